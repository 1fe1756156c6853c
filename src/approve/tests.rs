//! What is read of a document and what is refused, and what becomes of each decision when the world has moved on.

use super::*;
use crate::{
    model::{Evidence, WordPressClone, names},
    plan::{plan, render},
    policy::{Policies, load_files},
};
use serde_json::{Value, json};
use std::sync::Arc;

const BIRTH: i64 = 1_770_000_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(BIRTH + minutes * 60).unwrap()
}

fn policies(mode: &str, rest: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: staging}}\nspec:\n  mode: {mode}\n  namespaces: {{names: [n]}}\n  {rest}\n"
    );
    load_files(vec![("staging.yaml".to_owned(), text.into_bytes())]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A clone of one hour with these annotations.
fn clone_of(name: &str, uid: &str, annotations: Value) -> WordPressClone {
    let object = json!({
        "metadata": {"namespace": "n", "name": name, "uid": uid, "resourceVersion": "1", "creationTimestamp": at(0), "annotations": annotations},
        "spec": {"ttlSeconds": 3_600},
    });
    WordPressClone::read(&object).unwrap()
}

/// Its end was announced all along.
fn due(name: &str) -> WordPressClone {
    clone_of(name, &format!("uid-{name}"), json!({names::EXPIRES_AT: at(60), names::ANNOUNCED_AT: at(1)}))
}

fn world(now: Timestamp, clones: Vec<WordPressClone>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for kind in Kind::ALL {
        snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(now));
    }
    snapshot.evidence.insert(Source::Time, Evidence::complete(now));
    snapshot.state.enforced_since.insert("n".into(), at(0));
    snapshot.clones = clones.into_iter().map(Arc::new).collect();
    snapshot
}

fn text(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> String {
    serde_json::to_string_pretty(&render::document(&plan(snapshot, policies, now))).unwrap()
}

fn read(text: &str) -> Document {
    Document::read(text.as_bytes()).unwrap_or_else(|fault| panic!("{fault:?}"))
}

/// What becomes of each: its name, the outcome if it is not carried out, and why.
fn weighed(document: &Document, snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Vec<(String, Option<Outcome>, String)> {
    let fates = weigh(document, &plan(snapshot, policies, now), snapshot).unwrap_or_else(|(_, why)| panic!("{why}"));
    let told = document.entries.iter().zip(fates).map(|(entry, fate)| match fate {
        Fate::Apply(decision) => {
            assert!(decision.effective(), "{decision:?}");
            (entry.aim.to_string(), None, decision.reason.code().to_owned())
        }
        Fate::Settled(outcome, why) => (entry.aim.to_string(), Some(outcome), why),
    });
    told.collect()
}

#[test]
fn every_document_that_is_printed_is_read_and_one_from_files_is_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut read_as_live = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path().join("expected.json");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let fault = Document::read(text.as_bytes()).unwrap_err();
        assert!(fault.message.contains("made from files"), "{}: {fault:?}", path.display());
        assert_eq!(fault.line, 1 + text.lines().position(|line| line.contains("\"applicable\"")).unwrap());
        let live = text.replace("  \"applicable\": false,\n", "");
        let document = Document::read(live.as_bytes()).unwrap_or_else(|fault| panic!("{}: {fault:?}", path.display()));
        let decisions = serde_json::from_str::<Value>(&text).unwrap()["decisions"].as_array().unwrap().len();
        assert_eq!(document.entries.len(), decisions);
        read_as_live += 1;
    }
    assert!(read_as_live > 40, "{read_as_live}");
}

#[test]
fn what_is_no_plan_of_ours_is_refused_where_it_stands() {
    let text = text(&world(at(61), vec![due("one"), due("two")]), &policies("enforce", ""), at(61));
    let id = |number: usize| serde_json::from_str::<Value>(&text).unwrap()["decisions"][number]["id"].as_str().unwrap().to_owned();
    let line = |words: &str, nth: usize| text.lines().enumerate().filter(|(_, line)| line.contains(words)).nth(nth).unwrap().0 + 1;
    let edits: Vec<(&str, String, &str, usize)> = vec![
        ("nothing", String::new(), "EOF", 1),
        ("YAML", "apiVersion: clonewarden.io/v1alpha1\n".to_owned(), "expected value", 1),
        ("a list", "[]".to_owned(), "invalid", 1),
        ("another kind", text.replace("\"kind\": \"Plan\"", "\"kind\": \"Applied\""), "`kind` is \"Applied\"", line("\"kind\": \"Plan\"", 0)),
        ("another version", text.replace("clonewarden.io/v1alpha1\"", "clonewarden.io/v2\""), "`apiVersion` is \"clonewarden.io/v2\"", 2),
        ("no kind", text.replace("  \"kind\": \"Plan\",\n", ""), "says no `kind`", 1),
        ("an unknown field", text.replacen("\"now\":", "\"force\": true,\n\"now\":", 1), "unknown field `force`", line("\"now\"", 0)),
        ("a field twice", text.replacen("\"now\":", "\"kind\": \"Plan\",\n\"now\":", 1), "duplicate field `kind`", line("\"now\"", 0)),
        ("no id", text.replacen(&format!("\"id\": \"{}\",", id(0)), "", 1), "missing field `id`", 0),
        (
            "an unknown field in a target",
            text.replacen("\"namespace\": \"n\"", "\"cluster\": \"n\"", 1),
            "unknown field `cluster`",
            line("\"namespace\"", 0),
        ),
        ("the same twice", text.replace(&id(1), &id(0)), "two decisions have the id", line(&id(1), 0)),
        ("another target", text.replacen("uid-two", "uid-six", 1), "was edited", line(&id(1), 0)),
        ("another action", text.replacen("\"action\": \"delete\"", "\"action\": \"keep\"", 1), "was edited", line(&id(0), 0)),
        (
            "no such action",
            text.replacen("\"action\": \"delete\"", "\"action\": \"drop\"", 1),
            "the action `drop`, which there is not",
            line(&id(0), 0),
        ),
        ("another reason", text.replacen("\"code\": \"Expired\"", "\"code\": \"Idle\"", 1), "was edited", line(&id(0), 0)),
        (
            "another end",
            text.replacen("\"announcedEnd\": \"2026-02-02T03:40:00Z\"", "\"announcedEnd\": \"2026-02-02T03:40:01Z\"", 1),
            "was edited",
            line(&id(0), 0),
        ),
        ("a made up id", text.replacen(&id(0), "0000000000000000", 1), "was edited", line(&id(0), 0)),
        (
            "an end that is no text",
            text.replacen("\"announcedEnd\": \"2026-02-02T03:40:00Z\"", "\"announcedEnd\": 7", 1),
            "was edited",
            line(&id(0), 0),
        ),
        ("a date that is none", text.replacen(&format!("\"now\": \"{}\"", at(61)), "\"now\": \"today\"", 1), "year", line("\"now\"", 0)),
        ("two documents", format!("{text}\n{text}"), "trailing characters", text.lines().count() + 1),
        ("one deep in lists", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "", 1),
    ];
    assert_eq!(read(&text).entries.len(), 2);
    for (what, edited, words, line) in edits {
        assert_ne!(edited, text, "{what}: nothing was edited");
        let fault = Document::read(edited.as_bytes()).expect_err(what);
        assert!(fault.message.contains(words), "{what}: {fault:?}");
        assert!(line == 0 || fault.line == line, "{what}: {fault:?}, not in line {line}");
    }
    let fault = Document::read(b"{\n\"kind\": \"\xff\"}").unwrap_err();
    assert_eq!((fault.line, fault.message.as_str()), (2, "is not UTF-8"));
    assert_eq!(read(&format!("\u{feff}{text}")).entries.len(), 2);
    assert_eq!(read(&text.replacen("\"evidence\"", "\"policyCommit\": \"0a1b\", \"evidence\"", 1)).entries.len(), 2);
}

#[test]
fn decisions_may_be_taken_out() {
    let snapshot = world(at(61), vec![due("one"), due("two")]);
    let enforce = policies("enforce", "");
    let mut document: Value = serde_json::from_str(&text(&snapshot, &enforce, at(61))).unwrap();
    document["decisions"].as_array_mut().unwrap().remove(0);
    let told = weighed(&read(&document.to_string()), &snapshot, &enforce, at(61));
    assert_eq!(told, [("n/two".to_owned(), None, "Expired".to_owned())]);
    document["decisions"] = json!([]);
    assert_eq!(weighed(&read(&document.to_string()), &snapshot, &enforce, at(61)), []);
}

#[test]
fn only_what_is_judged_the_same_is_carried_out() {
    let before = ["extended", "gone", "going", "kept", "made-anew", "moved", "same"];
    let enforce = policies("enforce", "");
    let document = read(&text(&world(at(61), before.map(due).to_vec()), &enforce, at(61)));
    let snoozed = json!({names::EXPIRES_AT: at(60), names::ANNOUNCED_AT: at(1), names::EXTEND_UNTIL: at(90)});
    let kept = json!({names::EXPIRES_AT: at(60), names::ANNOUNCED_AT: at(1), names::KEEP: "true"});
    let moved = json!({names::EXPIRES_AT: at(61), names::ANNOUNCED_AT: at(1)});
    let mut going = due("going");
    going.meta.terminating = Some(at(62));
    let now = world(
        at(62),
        vec![
            clone_of("extended", "uid-extended", snoozed),
            going,
            clone_of("kept", "uid-kept", kept),
            clone_of("made-anew", "uid-another", json!({names::EXPIRES_AT: at(60), names::ANNOUNCED_AT: at(1)})),
            clone_of("moved", "uid-moved", moved),
            due("same"),
        ],
    );
    let told = weighed(&document, &now, &enforce, at(62));
    let outcomes: Vec<(&str, Option<Outcome>)> = told.iter().map(|(name, outcome, _)| (name.as_str(), *outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("n/extended", Some(Outcome::Otherwise)),
            ("n/gone", Some(Outcome::Gone)),
            ("n/going", Some(Outcome::Gone)),
            ("n/kept", Some(Outcome::Otherwise)),
            ("n/made-anew", Some(Outcome::Gone)),
            ("n/moved", Some(Outcome::Otherwise)),
            ("n/same", None),
        ]
    );
    assert!(told[0].2.starts_with("it is warn now, Announced: "), "{told:?}");
    assert!(told[3].2.starts_with("it is keep now, Kept: "), "{told:?}");
    assert!(told[4].2.contains("another of its name is there now (uid uid-another)"), "{told:?}");
}

#[test]
fn what_is_not_known_any_more_is_not_gone() {
    let enforce = policies("enforce", "");
    let document = read(&text(&world(at(61), vec![due("one")]), &enforce, at(61)));
    let mut now = world(at(61), Vec::new());
    now.evidence.insert(Source::Objects(Kind::Clone), Evidence::incomplete(at(61), "forbidden"));
    let told = weighed(&document, &now, &enforce, at(61));
    assert_eq!((told[0].1, told[0].2.contains("not known")), (Some(Outcome::Otherwise), true), "{told:?}");
    // Nor may anything go by a clock that is not trusted.
    let mut now = world(at(61), vec![due("one")]);
    now.evidence.insert(Source::Time, Evidence::incomplete(at(61), "31 s ahead"));
    let told = weighed(&document, &now, &enforce, at(61));
    assert_eq!((told[0].1, told[0].2.contains("ClockUntrusted")), (Some(Outcome::Otherwise), true), "{told:?}");
}

#[test]
fn what_the_brake_holds_back_is_carried_out_and_what_is_held_never() {
    let enforce = policies("enforce", "brake: {deletes: 1}");
    let surprises = |count: usize| {
        (0..count).map(|n| clone_of(&format!("c{n}"), &format!("uid-{n}"), json!({names::EXPIRES_AT: at(70), names::ANNOUNCED_AT: at(1)})))
    };
    let mut snapshot = world(at(71), surprises(3).collect());
    let braked = text(&snapshot, &enforce, at(71));
    assert!(braked.contains("\"blockedBy\": \"brake\""), "{braked}");
    let told = weighed(&read(&braked), &snapshot, &enforce, at(71));
    let carried = told.iter().filter(|(_, outcome, _)| outcome.is_none()).count();
    assert_eq!(carried, 3, "{told:?}");
    assert!(
        told.iter().any(|(name, outcome, why)| name == "staging" && *outcome == Some(Outcome::NotForApply) && why.contains("brake release staging")),
        "{told:?}"
    );

    snapshot.evidence.insert(Source::Time, Evidence::incomplete(at(71), "31 s ahead"));
    let held = read(&text(&snapshot, &enforce, at(71)));
    assert!(held.entries.iter().any(|entry| entry.action == Action::Hold));
    let told = weighed(&held, &snapshot, &enforce, at(71));
    assert!(told.iter().all(|(_, outcome, _)| outcome.is_some()), "{told:?}");
}

/// In audit an end is announced first, because a person wants it, and only after that has passed it may go. None of it counts
/// once it is enforced.
#[test]
fn audit_takes_two_steps() {
    let audit = policies("audit", "");
    let plain = clone_of("one", "uid-one", json!({}));
    let snapshot = world(at(61), vec![plain]);
    let document = read(&text(&snapshot, &audit, at(61)));
    // The daemon has yet to note that `enforce` was interrupted.
    assert_eq!(weighed(&document, &snapshot, &audit, at(62))[0].1, Some(Outcome::NotTried));
    let world = |now, clones| {
        let mut world = world(now, clones);
        world.state.enforced_since.clear();
        world
    };
    assert_eq!((document.entries[0].action, document.entries[0].code.as_str()), (Action::Warn, "WouldAnnounce"));
    // A minute later it is the same decision, with the grace from then on.
    let now = world(at(62), vec![clone_of("one", "uid-one", json!({}))]);
    let fates = weigh(&document, &plan(&now, &audit, at(62)), &now).unwrap();
    let Fate::Apply(announce) = &fates[0] else { panic!("{fates:?}") };
    assert_eq!((announce.action, announce.reason.code()), (Action::Warn, "GraceAnnounced"));
    let written = announce.write().unwrap().annotations();
    assert_eq!(written[names::EXPIRES_AT], Some(at(72).to_string()));
    assert_eq!(written[names::ANNOUNCED_AT], Some(at(62).to_string()));

    let announced = |by: i64| world(at(by), vec![clone_of("one", "uid-one", json!({names::EXPIRES_AT: at(72), names::ANNOUNCED_AT: at(62)}))]);
    let verdict = |snapshot: &Snapshot, policies: &Policies, now| {
        let decision = plan(snapshot, policies, now).decisions.remove(0);
        (decision.action, decision.reason.code(), decision.effective())
    };
    assert_eq!(verdict(&announced(63), &audit, at(63)), (Action::Keep, "Living", true));
    assert_eq!(verdict(&announced(72), &audit, at(72)), (Action::Delete, "Expired", false));
    let second = read(&text(&announced(72), &audit, at(72)));
    assert_eq!(weighed(&second, &announced(73), &audit, at(73))[0].1, None);
    // The first document is of no use for the second step.
    assert_eq!(weighed(&document, &announced(73), &audit, at(73))[0].1, Some(Outcome::Otherwise));

    // Under `enforce` since then, what audit announced does not count: a grace is announced.
    let mut enforced = announced(73);
    enforced.state.enforced_since.insert("n".into(), at(73));
    assert_eq!(verdict(&enforced, &policies("enforce", ""), at(73)), (Action::Warn, "GraceAnnounced", true));
    // Nor where it is not known since when.
    enforced.state.enforced_since.clear();
    enforced.evidence.insert(Source::Time, Evidence::incomplete(at(73), "31 s ahead"));
    assert_eq!(verdict(&enforced, &policies("enforce", ""), at(73)).0, Action::Hold);
    // An announcement of an earlier life counts nowhere.
    let mut before = announced(73);
    before.clones = vec![Arc::new(clone_of("one", "uid-one", json!({names::EXPIRES_AT: at(72), names::ANNOUNCED_AT: at(-1)})))];
    assert_eq!(verdict(&before, &audit, at(73)), (Action::Warn, "WouldAnnounce", false));
}

#[test]
fn under_enforce_the_daemon_announces_by_itself() {
    let enforce = policies("enforce", "");
    let snapshot = world(at(1), vec![clone_of("one", "uid-one", json!({}))]);
    let document = read(&text(&snapshot, &enforce, at(1)));
    assert_eq!(document.entries[0].code, "Announced");
    let told = weighed(&document, &snapshot, &enforce, at(1));
    assert_eq!((told[0].1, told[0].2.contains("by itself")), (Some(Outcome::NotForApply), true), "{told:?}");
}

#[test]
fn a_quota_that_audit_holds_back_is_made() {
    let audit = policies("audit", "quota: {pods: 5}");
    let mut snapshot = world(at(1), Vec::new());
    snapshot.namespaces.insert("n".into(), Default::default());
    let document = read(&text(&snapshot, &audit, at(1)));
    let told = weighed(&document, &snapshot, &audit, at(1));
    assert_eq!(told, [("n/clonewarden".to_owned(), None, "QuotaMissing".to_owned())]);
}

#[test]
fn a_name_or_a_policy_that_was_edited_is_found() {
    let enforce = policies("enforce", "");
    let snapshot = world(at(61), vec![due("one")]);
    let edited = read(&text(&snapshot, &enforce, at(61)).replacen("\"name\": \"one\"", "\"name\": \"two\"", 1));
    let plan = plan(&snapshot, &enforce, at(61));
    let (entry, why) = weigh(&edited, &plan, &snapshot).unwrap_err();
    assert!(why.contains("calls it `n/two`"), "{why}");
    assert!(edited.fault(entry, why).line > 10);
    let edited = read(&text(&snapshot, &enforce, at(61)).replacen("\"policy\": \"staging\"", "\"policy\": \"other\"", 1));
    assert_eq!(weighed(&edited, &snapshot, &enforce, at(61))[0].1, Some(Outcome::Otherwise));
}

#[test]
fn a_document_is_too_old_or_ahead() {
    let document = read(&text(&world(at(61), vec![due("one")]), &policies("enforce", ""), at(61)));
    let hour = SignedDuration::from_hours(1);
    assert_eq!(dated(&document, at(121), hour), Ok(()));
    assert!(dated(&document, at(122), hour).unwrap_err().contains("`--max-age`"));
    assert_eq!(dated(&document, at(61) - SKEW, hour), Ok(()));
    assert!(dated(&document, at(61) - SKEW - SignedDuration::from_secs(1), hour).unwrap_err().contains("ahead of the clock"));
}

#[test]
fn the_aim_of_each_kind_has_the_key_of_its_target() {
    let aim = |value: Value| serde_json::from_value::<Aim>(value).unwrap();
    for (value, key, display) in [
        (json!({"kind": "Schema", "provider": "mysql", "host": "h", "name": "wp_1"}), "mysql/h/wp_1", "h/wp_1"),
        (json!({"kind": "DBInstance", "provider": "aws", "region": "r", "arn": "arn:1", "id": "i", "resourceId": "db-1"}), "arn:1", "i"),
        (json!({"kind": "ResourceQuota", "namespace": "n", "name": "clonewarden"}), "ResourceQuota n/clonewarden", "n/clonewarden"),
        (json!({"kind": "Source", "name": "rds/us-east-1"}), "rds/us-east-1", "rds/us-east-1"),
        (json!({"kind": "WordPressClone", "namespace": "n", "name": "c", "uid": null}), "n/c", "n/c"),
        (json!({"kind": "Secret", "namespace": "n", "name": "s", "owner": {"kind": "WordPressClone", "name": "c", "uid": "u"}}), "Secret u", "n/s"),
    ] {
        assert_eq!((aim(value.clone()).key().as_str(), aim(value).to_string().as_str()), (key, display));
    }
}
