//! What holds for every text and all facts: no panic, the same answer each time, and no more steps than were promised.

use super::*;
use proptest::prelude::*;

/// Words that conditions are made of, so that random texts get past the scanner.
const WORDS: [&str; 62] = [
    "clone",
    "namespace",
    "budget",
    "hosts",
    ".name",
    ".labels",
    ".spec",
    ".ttlSeconds",
    ".free",
    ".monthly",
    "['a']",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "==",
    "!=",
    "<",
    "<=",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    " in ",
    "?",
    ":",
    ",",
    ".",
    ".?",
    "[?",
    "'a'",
    "\"\"",
    "''' '''",
    "r'\\'",
    "b'x'",
    "1",
    "-9223372036854775808",
    "1.5",
    "1u",
    "0x",
    "1e999",
    "true",
    "null",
    "has(",
    "size(",
    "int(",
    "string(",
    ".exists(x,",
    ".all(x,",
    ".map(x,",
    ".filter(",
    ".exists_one(x,",
    "x",
    "`a`",
    "//",
    "\u{e9}",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..24).prop_map(|words| words.concat())
}

/// Expressions that parse, with types that go together or not.
fn expression() -> impl Strategy<Value = String> {
    let leaves = [
        "clone.name",
        "clone.owner",
        "clone.labels",
        "clone.labels['team']",
        "clone.labels.gone",
        "clone.spec.ttlSeconds",
        "clone.spec.useDedicatedDatabase",
        "namespace.name",
        "namespace.labels",
        "budget.monthly",
        "budget.set",
        "hosts['full'].free",
        "hosts['gone'].used",
        "hosts",
        "x",
        "y",
        "'web'",
        "''",
        "'7'",
        "0",
        "1",
        "-9223372036854775808",
        "9223372036854775807",
        "0.0",
        "1.5",
        "true",
        "false",
        "[]",
        "[1, 2]",
        "['a', 'team']",
    ];
    let leaf = prop::sample::select(leaves.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operators = ["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "%", "in"];
        let functions = ["size", "int", "double", "string", "!", "-", "has"];
        let members = ["contains", "startsWith", "endsWith"];
        let loops = ["all", "exists", "exists_one", "map", "filter"];
        prop_oneof![
            4 => (inner.clone(), prop::sample::select(operators.to_vec()), inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            1 => (prop::sample::select(functions.to_vec()), inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            1 => (inner.clone(), prop::sample::select(members.to_vec()), inner.clone()).prop_map(|(a, name, b)| format!("({a}).{name}({b})")),
            2 => (inner.clone(), prop::sample::select(loops.to_vec()), any::<bool>(), inner.clone())
                .prop_map(|(a, name, x, b)| format!("({a}).{name}({}, {b})", if x { "x" } else { "y" })),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("[{a}, {b}]")),
        ]
    })
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z\u{e9}]{0,4}".prop_map(Into::into),
    ];
    let name = prop::sample::select(vec!["name", "labels", "owner", "spec", "ttlSeconds", "team", "full", "free", "monthly", "set", "used"]);
    leaf.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(|map| map
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// Compiles and evaluates; whatever comes out comes out twice.
fn try_out(text: &str, facts: &Facts) {
    match Condition::compile(text) {
        Ok(condition) => {
            let answer = condition.holds(facts);
            assert_eq!(answer, compile(text).holds(facts), "{text}");
        }
        Err(broken) => {
            assert!(
                !broken.message.is_empty() && !broken.message.contains(tokens::STAND_IN) || text.contains(tokens::STAND_IN),
                "{text}: {broken:?}"
            );
            assert!(broken.at.is_none_or(|at| text.get(at).is_some()), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        try_out(&text, &facts());
    }

    #[test]
    fn no_soup_of_words_makes_it_panic(text in soup()) {
        try_out(&text, &facts());
    }

    #[test]
    fn no_expression_makes_it_panic(text in expression()) {
        try_out(&format!("{text} == {text}"), &facts());
        try_out(&text, &facts());
    }

    #[test]
    fn no_facts_make_it_panic(text in expression(), clone in json(), namespace in json(), budget in json(), hosts in json()) {
        try_out(&text, &Facts { clone, namespace, budget, hosts });
    }
}
