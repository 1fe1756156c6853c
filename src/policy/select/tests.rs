//! What conditions mean, what they are refused for, and that nothing makes them panic or take long.

mod properties;

use super::{check::MOST_STEPS, facts::Fact, *};
use serde_json::json;

/// A clone with everything that a condition can look at.
fn facts() -> Facts {
    Facts {
        clone: json!({
            "name": "pr-42",
            "namespace": "wordpress-staging",
            "labels": {"clonewarden.io/critical": "true", "team": "web", "priority": "7"},
            "annotations": {"note": "for the demo"},
            "owner": "ada@example.com",
            "spec": {"ttlSeconds": 3_600, "useDedicatedDatabase": false, "databaseSize": "db.t3.micro", "sourceUrl": "https://shop.example.com/"},
        }),
        namespace: json!({"name": "wordpress-staging", "labels": {"tier": "staging"}}),
        budget: json!({"monthly": 150.0, "set": true}),
        hosts: json!({"staging-mysql": {"schemas": 40, "used": 39, "free": 1}, "full": {"schemas": 5, "used": 5, "free": 0}}),
    }
}

fn compile(text: &str) -> Condition {
    Condition::compile(text).unwrap_or_else(|broken| panic!("{text}: {broken:?}"))
}

fn holds(text: &str) -> Result<bool, Unsure> {
    compile(text).holds(&facts())
}

/// What a text is refused for, and which part of it.
fn refused(text: &str) -> (String, String) {
    let broken = Condition::compile(text).expect_err(text);
    let part = broken.at.map(|at| text.get(at).unwrap().to_owned()).unwrap_or_default();
    (format!("{}; {}", broken.message, broken.help.unwrap_or_default()), part)
}

#[test]
fn conditions_are_thread_safe_and_compared_by_their_text() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug + PartialEq>(_: &T) {}
    let (a, b) = (compile("clone.name == 'a'"), compile("clone.name == 'a'"));
    check(&a);
    assert!(a == b && a != compile("clone.name=='a'"));
    assert_eq!((a.text(), format!("{a:?}").as_str()), ("clone.name == 'a'", "Condition(\"clone.name == 'a'\")"));
}

#[test]
fn conditions_mean_what_they_say() {
    for (text, expected) in [
        ("clone.labels['clonewarden.io/critical'] == 'true'", true),
        ("clone.labels.team == 'web' && clone['labels'][\"team\"] != 'ops'", true),
        ("clone.namespace == namespace.name && namespace.labels['tier'] == 'staging'", true),
        ("clone.spec.ttlSeconds <= 3600", true),
        ("clone.spec.ttlSeconds < 3600", false),
        ("clone.spec.ttlSeconds > 3599.5", true),
        ("clone.spec.ttlSeconds * 2 == 7200 && -clone.spec.ttlSeconds < 0 && clone.spec.ttlSeconds % 7 == 2", true),
        ("double(clone.spec.ttlSeconds) / 7200.0 == 0.5", true),
        ("hosts['staging-mysql'].free > 0", true),
        ("hosts['staging-mysql'].free + hosts.full.free >= 2", false),
        ("hosts.full.used == hosts.full.schemas", true),
        ("budget.monthly > 100.0", true),
        ("budget.monthly > 100 && budget.set", true),
        ("budget.monthly * 2.0 >= 300.0", true),
        ("clone.spec.useDedicatedDatabase", false),
        ("!clone.spec.useDedicatedDatabase || false", true),
        ("clone.owner.endsWith('@example.com') && clone.name.startsWith('pr-') && clone.spec.sourceUrl.contains('shop')", true),
        ("int(clone.labels['priority']) >= 5 && string(hosts.full.free) == '0'", true),
        ("clone.name in ['a', 'pr-42']", true),
        ("'team' in clone.labels && !('x' in clone.labels) && has(clone.labels.team) && !has(clone.labels.x)", true),
        ("has(clone.owner) && has(clone.spec.databaseSize)", true),
        ("clone.labels.exists(k, k.startsWith('clonewarden.io/') && clone.labels[k] == 'true')", true),
        ("clone.labels.all(k, size(clone.labels[k]) < 5)", true),
        ("clone.labels.exists_one(k, clone.labels[k] == 'web')", true),
        ("['full', 'staging-mysql'].filter(name, hosts[name].free > 0) == ['staging-mysql']", true),
        ("clone.labels.map(k, k) == ['clonewarden.io/critical', 'priority', 'team']", true),
        ("size(clone.labels) == 3 && clone.labels.size() == size([1, 2] + [3]) && size(clone.name) == 5", true),
        ("clone.labels == clone.labels && clone.labels != clone.annotations", true),
        ("clone.spec.ttlSeconds > 60 ? clone.name == 'pr-42' : false", true),
        ("[clone.labels, namespace.labels].exists(m, m['tier'] == 'staging')", true),
        ("'ü€' == '\\u00fc€' // a comment (", true),
    ] {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_missing_does_not_match() {
    let mut facts = facts();
    facts.clone["owner"] = serde_json::Value::Null;
    facts.clone["spec"] = json!({});
    for (text, expected) in [
        ("clone.labels['x'] == 'true'", false),
        ("clone.labels['x'] != 'true'", false),
        ("!(clone.labels['x'] == 'true')", false),
        ("clone.labels.x.startsWith('a')", false),
        ("clone.owner == 'ada'", false),
        ("clone.spec.ttlSeconds > 0", false),
        ("clone.spec.useDedicatedDatabase", false),
        ("hosts['gone'].free > 0", false),
        ("clone.labels['x'] == 'true' && clone.name == 'pr-42'", false),
        ("clone.labels.exists(k, clone.annotations[k] == 'a')", false),
        // What is decided without it is decided.
        ("clone.labels['x'] == 'true' || clone.name == 'pr-42'", true),
        ("has(clone.owner) || !has(clone.spec.ttlSeconds)", true),
        ("size(clone.spec) == 0", true),
    ] {
        assert_eq!(compile(text).holds(&facts), Ok(expected), "{text}");
    }
}

#[test]
fn what_cannot_be_said_is_unsure() {
    let mut odd = facts();
    odd.clone["spec"]["ttlSeconds"] = json!("soon");
    odd.clone["name"] = json!({"secret": "value"});
    odd.budget = serde_json::Value::Null;
    for text in [
        "clone.spec.ttlSeconds <= 3600",
        "clone.spec.ttlSeconds % 2 == 0",
        "clone.name.startsWith('a')",
        "clone.name + 'a' == ''",
        "budget.monthly > 1.0",
        "budget.set",
        "clone.spec.useDedicatedDatabase ? budget.set : 1 / (hosts.full.free * 2) == 0",
        "1 % hosts.full.free == 0",
        "9223372036854775807 + hosts.full.used > 0",
        "[1, 2][hosts.full.used] == 1",
        "int(clone.owner) == 1",
        "clone.labels.all(k, int(clone.labels[k]) > 0)",
        "[1, 2].exists(x, 1 / (x - x) == 1)",
    ] {
        let unsure = compile(text).holds(&odd).expect_err(text);
        assert!(!unsure.message.is_empty() && !unsure.message.contains("secret") && !unsure.message.contains("soon"), "{text}: {unsure}");
    }
    odd.clone["labels"]["clonewarden.io/critical"] = json!(1);
    assert_eq!(
        compile("[clone.labels.team, clone.labels['clonewarden.io/critical']][1] < 'a'").holds(&odd).unwrap_err().message,
        "`<` cannot be applied to int and string"
    );
    // What is known of types is known when it is compiled; the rest is found out.
    odd.clone["spec"]["useDedicatedDatabase"] = json!("yes");
    assert_eq!(compile("clone.spec.useDedicatedDatabase").holds(&odd).unwrap_err().message, "the condition gives `string`, not true or false");
}

#[test]
fn what_could_never_match_is_refused() {
    let mut wrong = Vec::new();
    for (text, message, part) in [
        ("clon.name == 'a'", "there is no variable `clon` here; did you mean `clone`?", "clon"),
        ("clone.name == team", "known here: `clone`, `namespace`, `budget`, `hosts`", "team"),
        ("clone.labels.all(key, kye == 'a')", "did you mean `key`?", "kye"),
        ("clone.lables['x'] == 'a'", "there is no field `lables` here; did you mean `labels`?", "lables"),
        ("has(clone.spec.ttl)", "there is no field `ttl`", "ttl"),
        ("has(clone.ownr)", "did you mean `owner`?", "ownr"),
        ("clone['nmae'] == ''", "did you mean `name`?", "'nmae'"),
        ("hosts['a'].fee > 0", "did you mean `free`?", "fee"),
        ("'ü' == clone.name.startWith('ü')", "there is no function `startWith` here; did you mean `startsWith`?", "startWith"),
        ("'ü' == 'ü' && sze(clone.name) == 1", "did you mean `size`?", "sze"),
        ("clone.name.matches('a.*')", "no regular expressions here; use `contains`", "matches"),
        ("namespace() == 1", "there is no function `namespace`", "namespace"),
        ("clone.labels.exists(k)", "`exists` cannot be called like this; write it as `clone.labels.exists(x, ", "exists"),
        ("startsWith(clone.name, 'a')", "cannot be called like this", "startsWith"),
        ("clone.name.contains(1)", "cannot be called like this", "contains"),
        ("optional.of(1) == 1", "there is no function `of`", "of"),
        ("type(1) == int", "there is no function `type`", "type"),
        ("clone.?name == 'a'", "unsupported syntax", "."),
        ("clone.labels['critical'] == true", "a text is never equal to true or false; the values of labels are texts", "=="),
        ("clone.spec.ttlSeconds == '3600'", "a whole number is never equal to a text; turn the text into a number", "=="),
        ("clone.labels['n'] > 3", "`>` cannot compare a text with a whole number", ">"),
        ("budget.monthly * 2 > 1.0", "`*` cannot be applied to a number with a fraction and a whole number; turn the whole number", "*"),
        ("clone.name in [true]", "is never among", "in"),
        ("1 in ['a']", "is never among", "in"),
        ("clone.owner == null", "nothing is ever `null` here", "null"),
        ("clone.name", "the condition is a text, not true or false", ""),
        ("clone.spec.ttlSeconds + 1", "the condition is a whole number", ""),
        ("clone.labels.map(k, k)", "the condition is a list", ""),
        ("clone.name && true", "`&&` needs true or false, not a text", "&&"),
        ("!clone.name", "`!` needs true or false", "!"),
        ("-clone.name == ''", "`-` needs a number", "-"),
        ("clone.name ? true : false", "`?` needs true or false", "?"),
        ("clone.name.exists(x, true)", "a text cannot be gone through", "exists"),
        ("clone.labels.exists(clone, true)", "`clone` is a variable already", "clone"),
        ("clone.labels.exists(namespace, true)", "`namespace` is a variable already", "namespace"),
        ("clone[clone.name] == ''", "has to be written here", "clone"),
        ("clone.labels[1] == ''", "cannot be looked up by a whole number", "1"),
        ("{'a': 1} == {'a': 1}", "no use for `{…}`", "{"),
        ("b'a' == b'a'", "no bytes", "b'a'"),
        ("1u == 1", "without `u`", "1u"),
        ("clone.name == ", "the condition ends where more is expected", "="),
        ("clone.name = 'a'", "`=` is not expected here", "="),
        ("clone.name == 'ü' 'b'", "`'b'` is not expected here", "'b'"),
        ("'ü' == 'ü' &&\n  clone.name == @", "`@` is not expected here", "@"),
        ("clone.name == 'a", "the text that begins here is not closed", "'a"),
        ("clone.name == '\\q'", "", "'\\q'"),
        ("(clone.name == 'a'", "ends where more is expected", "'"),
        ("if == 1", "reserved identifier: if", "if"),
        ("99999999999999999999 == 1", "invalid int literal", "99999999999999999999"),
    ] {
        let (told, at) = refused(text);
        if !told.contains(message) || !at.ends_with(part) {
            wrong.push(format!("{text}: {told}: at {at}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hosts_are_noted_with_their_places() {
    let condition = compile("hosts['a'].free > 0 || hosts.b.free > 0 || has(hosts.c) || 'd' in hosts || clone.labels['hosts'] == 'e'");
    let named: Vec<_> = condition.hosts().map(|(name, at)| (name, condition.text().get(at.unwrap()).unwrap())).collect();
    assert_eq!(named, [("a", "'a'"), ("b", "b")]);
}

/// Runs it on a stack of three quarters of the size that the threads of the daemon have.
fn on_a_small_stack(body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(3 << 19).spawn(body).unwrap().join().unwrap();
}

#[test]
fn no_text_overflows_the_stack() {
    on_a_small_stack(|| {
        let (words, open) = (tokens::MOST_WORDS, tokens::MOST_OPEN);
        for text in ["(".repeat(100_000), format!("{}true{}", "(".repeat(100_000), ")".repeat(100_000)), "!".repeat(100_000)] {
            assert!(refused(&text).0.contains("longer than"));
        }
        let brackets = |begin: &str, end: &str| format!("{}true{}", begin.repeat(open), end.repeat(open));
        let chain = |link: &str, words_each: usize| format!("clone{}", link.repeat((words - 1) / words_each));
        for text in [
            brackets("(", ")"),
            brackets("[", "]"),
            brackets("!(", ")"),
            brackets("size(", ")"),
            chain(".a", 2),
            chain(".a()", 4),
            chain("[0]", 3),
            chain(" + 1", 2),
            chain(" == 1", 2),
            chain(" && 1", 2),
            chain(" in a", 2),
            "!".repeat(words),
            "-".repeat(words),
            format!("{}a{}", "(a + ".repeat(open), ")".repeat(open)),
            format!("{}true", "true ? true : ".repeat(open)),
            format!("{}[true{}", "[[".repeat(open / 2 - 1), "]]".repeat(open / 2 - 1)),
            format!("{}1 == 1", "1 * ".repeat(22)),
            "1 == 1 == ".repeat(50),
            "a ? ".repeat(open),
            "has(".repeat(open),
        ] {
            if let Ok(condition) = Condition::compile(&text) {
                let _ = condition.holds(&facts());
            }
        }
        let deepest = format!("0{} == 0", " - 1".repeat(22));
        assert_eq!(compile(&deepest).holds(&facts()), Ok(false));
    });
}

#[test]
fn work_is_bounded_before_it_is_done() {
    let steps = |text: &str| {
        let words = tokens::scan(text).unwrap();
        let (tree, info) = LANGUAGE.parser().parse_with_source_info(&words.readable).unwrap();
        check::check(&tree, Some(&check::Places { words: &words, info: &info }), check::USUAL).map(|checked| checked.steps)
    };
    assert_eq!(steps("clone.name == 'a'"), Ok(4));
    let once = steps("clone.labels.exists(k, k == 'a')").unwrap();
    assert!((1_000..1_500).contains(&once), "a hundred turns: {once}");
    // Through all labels for each label, or four times with much to do in each turn: more than it may take.
    for text in [
        "clone.labels.exists(a, namespace.labels.exists(b, a == b))",
        "clone.labels.map(a, clone.labels.map(b, a + b)).size() > 0",
        "clone.labels.exists(k, clone.labels == namespace.labels)",
        "[clone.labels, clone.labels, clone.labels] == [clone.labels] || clone.labels.exists(k, [clone.labels, clone.labels] == [clone.labels])",
    ] {
        assert!(steps(text).unwrap() > MOST_STEPS, "{text}");
        assert!(refused(text).0.contains("steps on a clone with 100 labels"), "{text}");
    }
    for (text, message) in [
        ("[1].exists(a, [1].exists(b, [1].exists(c, true)))", "2 deep"),
        (&["[1].exists(a, true)"; 5].join(" && "), "4 times in all"),
        (&format!("clone.name{} == ''", " + clone.name".repeat(9)), "more than 8 `+`"),
        (&format!("0{} == 0", " - 1".repeat(40)), "more than 24 levels deep"),
    ] {
        assert!(refused(text).0.contains(message), "{text}: {}", refused(text).0);
    }
    compile("['web', 'ops', 'shop'].exists(team, clone.labels.exists(k, clone.labels[k] == team))");
}

#[test]
fn facts_that_are_too_large_are_not_looked_through() {
    let mut facts = facts();
    let label = |number: usize| (format!("example.com/label-{number:04}"), json!("x".repeat(63)));
    facts.clone["labels"] = (0..100).map(label).collect::<serde_json::Map<_, _>>().into();
    let (one, many) = (compile("clone.labels['team'] == 'web'"), compile("clone.labels.exists(k, clone.labels[k] == 'web' || k + 'a' == 'b')"));
    assert_eq!((one.holds(&facts), many.holds(&facts)), (Ok(false), Ok(false)));
    facts.clone["labels"] = (0..5_000).map(label).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(one.holds(&facts), Ok(false), "what looks at one label does not mind how many there are");
    assert!(many.holds(&facts).unwrap_err().message.contains("5000 entries"));
    facts.clone["labels"] = json!({"a": "b"});
    facts.clone["annotations"] = json!({"a": "x".repeat(256 * 1024)});
    assert_eq!(one.holds(&facts), Ok(false));
    let long = compile("[1, 2, 3, 4, 5, 6, 7, 8].exists(x, clone.annotations.a + clone.annotations.a == 'a')");
    assert!(long.holds(&facts).unwrap_err().message.contains("262144 bytes"));
}

#[test]
fn the_page_says_what_there_is_and_its_examples_hold() {
    let page = include_str!("../../../docs/policies.md");
    fn names(prefix: &str, fact: Fact, out: &mut Vec<String>) {
        match fact {
            Fact::Fields(fields) => fields.iter().for_each(|(name, fact)| names(&format!("{prefix}.{name}"), *fact, out)),
            Fact::Keyed(Fact::Text) => out.push(format!("{prefix}[KEY]")),
            Fact::Keyed(item) => names(&format!("{prefix}[NAME]"), *item, out),
            Fact::Truth | Fact::Whole | Fact::Fraction | Fact::Text => out.push(prefix.to_owned()),
        }
    }
    let mut all = Vec::new();
    facts::ROOTS.iter().for_each(|(name, fact)| names(name, *fact, &mut all));
    assert_eq!(all.len(), 18);
    for name in all {
        assert!(page.contains(&format!("`{name}`")), "docs/policies.md does not name `{name}`");
    }
    let examples: Vec<&str> = page.split("```cel\n").skip(1).flat_map(|block| block.split("```").next().unwrap().lines()).collect();
    assert!(examples.len() >= 10);
    for example in examples {
        assert_eq!(holds(example), Ok(true), "{example}");
    }
}
