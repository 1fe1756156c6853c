//! Rows that were written by hand, policies that change in between, vetoes that cannot be seen: nothing goes by them that should not,
//! and nothing is left without a word.

use super::*;
use crate::{
    model::Unreadable,
    plan::{Decision, Target},
};

/// The same, but for its last digits, which no name has.
const NEAR: &str = "0f8fad5b-d9cb-469f-a165-708677289fff";
/// The same without hyphens.
const BARE: &str = "0f8fad5bd9cb469fa16570867728950e";

fn at(seconds: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_secs(seconds)).unwrap()
}

fn deletes(plan: &Plan) -> Vec<&Decision> {
    plan.decisions.iter().filter(|decision| decision.action == Action::Delete).collect()
}

/// An `Orphan` of the schema, long soaked.
fn soaked(uid: &str) -> Arc<OrphanRecord> {
    let key = format!("mysql/h/{}", schema_name(UID).unwrap());
    let object = json!({
        "metadata": {"name": object_name("Schema", &key), "uid": "o-1", "resourceVersion": "1", "creationTimestamp": "2026-02-05T10:00:00Z"},
        "spec": {"id": key, "target": {"kind": "Schema", "provider": "mysql", "host": "h", "name": schema_name(UID)},
                 "owner": {"uid": uid, "namespace": "n"}, "policy": "p"},
        "status": {"phase": "Due", "firstSeen": "2026-02-05T10:00:00Z", "lastSeen": "2026-02-05T16:20:00Z", "observations": 9,
                   "soak": {"since": "2026-02-05T10:00:00Z", "observations": 9, "duration": "1h", "observationsNeeded": 3}},
    });
    Arc::new(OrphanRecord::read(&object).unwrap())
}

#[test]
fn a_row_that_somebody_edited_takes_no_living_clone_its_schema() {
    for uid in [NEAR, BARE] {
        assert_eq!(schema_name(uid), schema_name(UID), "{uid}");
        let edited = Schema { row: Some(row("c1", uid, RowState::Ready)), ..ready() };
        let mut snapshot = world(living(), vec![edited]);
        snapshot.state.enforced_since.insert("n".to_owned(), at(90_000));
        assert_eq!(enforced(&snapshot), ["hold Claimed", "hold SchemaForeign"], "{uid}");
        // Neither when it has been marked for long, nor as that of a clone that was seen to go.
        snapshot.orphans = vec![soaked(uid)];
        assert_eq!(enforced(&snapshot), ["hold Claimed", "hold SchemaForeign"], "{uid}");
        snapshot.orphans.clear();
        snapshot.departed = vec![Departure::new(uid, "n", at(9_000), at(1))];
        assert_eq!(enforced(&snapshot), ["hold Claimed", "hold SchemaForeign"], "{uid}");
    }
    // One that cannot be read lives.
    let mut snapshot = world(vec![], vec![Schema { row: Some(row("c1", NEAR, RowState::Ready)), ..ready() }]);
    let odd = Unreadable { kind: Kind::Clone, namespace: "n".into(), name: "odd".into(), uid: Some(UID.into()), problem: "?".into() };
    snapshot.unreadable = vec![odd];
    assert_eq!(enforced(&snapshot), ["hold Claimed"]);
}

#[test]
fn what_audit_has_kept_does_not_go_at_once_when_audit_ends() {
    let ended = |enforced: Option<Timestamp>| {
        let mut snapshot = seen_to_go(world(vec![], vec![ready()]));
        snapshot.state.enforced_since.clear();
        snapshot.state.enforced_since.extend(enforced.map(|since| ("n".to_owned(), since)));
        snapshot
    };
    assert_eq!(enforced(&ended(Some(at(2)))), ["delete CloneEnded"], "it went under enforce");
    // The clone went a second ago, and it is enforced since now, or the state with that date is lost.
    for since in [Some(now()), None] {
        let plan = plan(&ended(since), &policies("enforce"), now());
        assert_eq!(told(&plan), ["mark OwnerGone"], "{since:?}");
        assert!(deletes(&plan).is_empty());
    }
}

#[test]
fn nothing_goes_while_a_veto_could_not_be_seen() {
    let mut snapshot = seen_to_go(world(vec![], vec![ready()]));
    snapshot.evidence.insert(Source::Objects(Kind::Orphan), Evidence::incomplete(now(), "cut"));
    assert_eq!(enforced(&snapshot), ["hold EvidenceMissing"]);
}

#[test]
fn an_orphan_on_a_host_that_nobody_looks_at_any_more_is_not_forgotten_in_silence() {
    let mut snapshot = world(vec![], vec![]);
    snapshot.hosts.clear();
    snapshot.orphans = vec![soaked(UID)];
    let about = |policies: &Policies| -> Vec<String> {
        let plan = plan(&snapshot, policies, now());
        let about = plan.decisions.iter().filter(|decision| matches!(decision.target, Target::Orphan(_)));
        about.map(|decision| format!("{} {}", decision.action.word(), decision.reason.code())).collect()
    };
    let other = |text: &str| load_files(vec![("p.yaml".to_owned(), text.as_bytes().to_vec())]).unwrap();
    let policy = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {mode: enforce, namespaces: {names: [n]}}\n";
    let bare = "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: h}\nspec: {endpoint: db.example.com, schemas: 5}\n---\n";
    assert_eq!(about(&other(policy)), ["hold HostNotGoverned"], "its file is gone");
    assert_eq!(about(&other(&format!("{bare}{policy}"))), ["hold HostNotGoverned"], "its credentials are");
    // Not looked at yet: that passes by itself.
    assert_eq!(about(&policies("enforce")), Vec::<String>::new());
}
