//! What is decided about a clone's Secret and the key: a table of worlds, each with the decisions that it must lead to.

use crate::model::{Evidence, Kind, Snapshot, Source, State, Unreadable, WordPressClone, credentials::KeySight};
use crate::plan::{Plan, Work, plan};
use crate::policy::{Policies, load_files};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

const NAMED: &str = "clone-1-7f0c1f7e-secret";

fn now() -> Timestamp {
    "2026-02-05T16:30:22Z".parse().unwrap()
}

fn policies(mode: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec: {{mode: {mode}, namespaces: {{names: [n]}}}}\n"
    );
    load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap()
}

fn clone(edit: impl FnOnce(&mut Value)) -> Arc<WordPressClone> {
    let mut object = json!({
        "metadata": {"namespace": "n", "name": "clone-1", "uid": "7f0c1f7e-58a6", "resourceVersion": "7",
                     "creationTimestamp": "2026-02-05T16:30:00Z", "annotations": {}},
        "spec": {"cloneId": "clone-1"},
    });
    edit(&mut object);
    Arc::new(WordPressClone::read(&object).unwrap())
}

fn with(name: &str) -> Arc<WordPressClone> {
    clone(|object| object["metadata"]["annotations"]["clonewarden.io/credentials"] = json!(name))
}

/// Everything is known, and the key is this one.
fn world(key: KeySight, clones: Vec<Arc<WordPressClone>>) -> Snapshot {
    let mut snapshot = Snapshot { key, clones, ..Snapshot::default() };
    for kind in Kind::ALL {
        snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(now()));
    }
    snapshot.evidence.insert(Source::Time, Evidence::complete(now()));
    snapshot
}

fn held(key: &str) -> KeySight {
    KeySight::Held(key.into())
}

fn remembering(key: &str) -> State {
    State { credentials_key: Some(key.to_owned()), ..State::default() }
}

fn told(plan: &Plan) -> Vec<String> {
    let about = plan.decisions.iter().filter(|decision| decision.reason.code().starts_with("Credentials"));
    about
        .map(|decision| {
            let blocked = decision.blocked_by.map(|by| format!(" [{}]", by.word())).unwrap_or_default();
            let work = if decision.work.is_some() { "!" } else { "" };
            format!("{} {} {}{blocked}{work}", decision.action.word(), decision.target.display(), decision.reason.code())
        })
        .collect()
}

#[test]
fn every_clone_under_enforce_gets_the_secret_that_kro_waits_for() {
    let make = [format!("create n/{NAMED} CredentialsMissing!")];
    let none: [String; 0] = [];
    let going = clone(|object| object["metadata"]["deletionTimestamp"] = json!("2026-02-05T16:30:10Z"));
    let elsewhere = clone(|object| object["metadata"]["namespace"] = json!("free"));
    let otherwise = clone(|object| object["spec"]["cloneId"] = json!("shop"));
    for (what, clone, mode, wanted) in [
        ("it has none", clone(|_| {}), "enforce", &make[..]),
        ("it says whose it is", with(NAMED), "enforce", &none[..]),
        ("it says somebody else's", with("clone-1-00000000-secret"), "enforce", &make[..]),
        ("it says nonsense", with("clone-1"), "enforce", &make[..]),
        ("it is going", going, "enforce", &none[..]),
        ("it is nobody's", elsewhere, "enforce", &none[..]),
        ("KRO names after the cloneId", otherwise, "enforce", &["create n/shop-7f0c1f7e-secret CredentialsMissing!".to_owned()][..]),
        ("in audit", clone(|_| {}), "audit", &[format!("create n/{NAMED} CredentialsMissing [audit]")][..]),
    ] {
        let plan = plan(&world(held("one"), vec![clone]), &policies(mode), now());
        assert_eq!(told(&plan), wanted, "{what}");
    }
}

#[test]
fn it_is_recorded_at_once_unless_something_else_is_written_on_the_clone() {
    let record = |clone| {
        let plan = plan(&world(held("one"), vec![clone]), &policies("enforce"), now());
        plan.decisions.iter().find_map(|decision| match decision.work {
            Some(Work::Secret(record)) => Some(record),
            _ => None,
        })
    };
    assert_eq!(record(clone(|_| {})), Some(false), "its end is announced in the same round");
    let kept = clone(|object| object["metadata"]["annotations"]["clonewarden.io/keep"] = json!("true"));
    assert_eq!(record(kept), Some(true));
}

#[test]
fn one_that_goes_now_gets_none() {
    let due = clone(|object| {
        object["metadata"]["creationTimestamp"] = json!("2026-02-05T12:00:00Z");
        for (key, at) in [("expires-at", "2026-02-05T14:00:00Z"), ("announced-at", "2026-02-05T12:00:01Z")] {
            object["metadata"]["annotations"][format!("clonewarden.io/{key}")] = json!(at);
        }
    });
    let mut world = world(held("one"), vec![due]);
    world.state.enforced_since.insert("n".to_owned(), "2026-02-05T11:00:00Z".parse().unwrap());
    let plan = plan(&world, &policies("enforce"), now());
    assert_eq!((plan.decisions[0].action.word(), told(&plan)), ("delete", vec![]));
}

/// The key as it is seen, what was remembered, who lives; what is said, and which key is remembered then.
#[test]
fn a_key_is_made_once_and_no_other_is_taken_while_clones_live() {
    let lives = || vec![clone(|_| {})];
    let has = || vec![with(NAMED)];
    let make = "create credentials-key CredentialsKeyMissing!";
    let waits = format!("hold n/{NAMED} CredentialsHeld");
    let alert = |code: &str| format!("alert credentials-key CredentialsKey{code}");
    let secret = format!("create n/{NAMED} CredentialsMissing!");
    for (what, key, state, clones, wanted, remembered) in [
        ("first need", KeySight::Absent, State::default(), vec![], vec![make.to_owned()], None),
        (
            "first need, and a clone",
            KeySight::Absent,
            State::default(),
            lives(),
            vec![format!("create n/{NAMED} CredentialsMissing"), make.to_owned()],
            None,
        ),
        ("first seen", held("one"), State::default(), lives(), vec![secret], Some("one")),
        ("as always", held("one"), remembering("one"), has(), vec![], Some("one")),
        ("lost, a clone has its Secret", KeySight::Absent, remembering("one"), has(), vec![alert("Lost")], Some("one")),
        ("lost, a clone may have one", KeySight::Absent, remembering("one"), lives(), vec![waits.clone(), alert("Lost")], Some("one")),
        ("lost with the state", KeySight::Absent, State::default(), has(), vec![alert("Lost")], None),
        ("lost, and nobody lives", KeySight::Absent, remembering("one"), vec![], vec![make.to_owned()], Some("one")),
        ("another", held("two"), remembering("one"), lives(), vec![waits.clone(), alert("Changed")], Some("one")),
        ("another, and nobody lives", held("two"), remembering("one"), vec![], vec![], Some("two")),
        ("spoilt", KeySight::Unusable, remembering("one"), has(), vec![alert("Unusable")], Some("one")),
        ("spoilt, and nobody lives", KeySight::Unusable, remembering("one"), vec![], vec![alert("Unusable")], Some("one")),
        ("not readable", KeySight::Unread("no".into()), remembering("one"), lives(), vec![waits, alert("Unread")], Some("one")),
    ] {
        let mut world = world(key, clones);
        world.state = state;
        let plan = plan(&world, &policies("enforce"), now());
        assert_eq!(told(&plan), wanted, "{what}");
        assert_eq!(plan.state.credentials_key.as_deref(), remembered, "{what}");
        let lost =
            wanted.iter().any(|said| said.contains("Lost") || said.contains("Changed") || (said.contains("Unusable") && !world.clones.is_empty()));
        assert_eq!(plan.state.credentials_key_lost.is_some(), lost, "{what}");
    }
}

#[test]
fn what_cannot_be_read_or_listed_counts_as_alive() {
    let mut unreadable = world(KeySight::Absent, vec![]);
    unreadable.state = remembering("one");
    let one = Unreadable { kind: Kind::Clone, namespace: "n".into(), name: "c".into(), uid: None, problem: "?".into() };
    unreadable.unreadable.push(one);
    let mut forgotten = unreadable.clone();
    forgotten.state = State::default();
    let mut unlisted = world(KeySight::Absent, vec![]);
    unlisted.state = remembering("one");
    unlisted.evidence.insert(Source::Objects(Kind::Clone), Evidence::incomplete(now(), "no answer"));
    for world in [unreadable, forgotten, unlisted] {
        assert_eq!(told(&plan(&world, &policies("enforce"), now())), ["alert credentials-key CredentialsKeyLost"]);
    }
    // While nobody serves clones, nothing is missed and nothing made: the state may have been lost with the key.
    let mut fresh = world(KeySight::Absent, vec![]);
    fresh.evidence.insert(Source::Objects(Kind::Clone), Evidence::absent(now()));
    assert!(told(&plan(&fresh, &policies("enforce"), now())).is_empty());
}

#[test]
fn a_person_lets_another_key_be_made_and_only_once() {
    let mut world = world(KeySight::Absent, vec![with(NAMED)]);
    world.state = remembering("one");
    assert!(!world.state.clone().release_source("credentials-key", false), "nothing is held");
    world.state = plan(&world, &policies("enforce"), now()).state;
    assert!(world.state.release_source("credentials-key", false));
    let after = plan(&world, &policies("enforce"), now());
    assert_eq!(told(&after), ["create credentials-key CredentialsKeyMissing!"]);
    world.state = after.state;
    world.key = held("two");
    world.state = plan(&world, &policies("enforce"), now()).state;
    assert_eq!((world.state.credentials_key.as_deref(), world.state.credentials_key_accepted), (Some("two"), false));
    world.key = KeySight::Absent;
    assert_eq!(told(&plan(&world, &policies("enforce"), now())), ["alert credentials-key CredentialsKeyLost"]);
}

#[test]
fn in_audit_no_key_is_made_or_missed_and_paused_nothing_is_carried_out() {
    let audit = plan(&world(KeySight::Absent, vec![clone(|_| {})]), &policies("audit"), now());
    assert_eq!(told(&audit), [format!("create n/{NAMED} CredentialsMissing [audit]")]);
    let mut paused = world(held("one"), vec![clone(|_| {})]);
    paused.state.paused = Some(crate::model::state::Pause::new(now(), "a test", ""));
    let plan = plan(&paused, &policies("enforce"), now());
    assert_eq!((told(&plan), plan.state), (vec![format!("create n/{NAMED} CredentialsMissing [pause]")], paused.state));
}
