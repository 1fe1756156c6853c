//! What is decided about schemas: a table of worlds, each with the decisions that it must lead to.

mod adversity;

use crate::model::{
    Evidence, Kind, Snapshot, Source, WordPressClone,
    credentials::KeySight,
    orphan::{OrphanRecord, object_name},
    schema::{HostFacts, LedgerRow, RowState, Schema, schema_name},
    snapshot::Departure,
};
use crate::plan::{Action, BlockedBy, Plan, Work, plan};
use crate::policy::{Policies, load_files};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const OTHER: &str = "1f8fad5b-d9cb-469f-a165-70867728950e";

/// What is decided, where everything is as it should be but for this.
type World<'w> = (&'static str, &'w dyn Fn(&mut Snapshot));

fn now() -> Timestamp {
    "2026-02-05T16:30:22Z".parse().unwrap()
}

fn policies(mode: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: h}}\n\
         spec: {{endpoint: db.example.com, schemas: 5, credentialsDir: /etc/h}}\n---\n\
         apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\n\
         spec: {{mode: {mode}, namespaces: {{names: [n]}}, orphans: {{soak: 1h, observations: 3}}}}\n"
    );
    load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap()
}

fn clone(uid: &str, edit: impl FnOnce(&mut Value)) -> Arc<WordPressClone> {
    let mut object = json!({
        "metadata": {"namespace": "n", "name": "clone-1", "uid": uid, "resourceVersion": "7", "creationTimestamp": "2026-02-05T16:30:00Z",
                     "annotations": {}},
        "spec": {"cloneId": "clone-1", "sharedDatabase": {"host": "DB.example.com."}},
    });
    edit(&mut object);
    Arc::new(WordPressClone::read(&object).unwrap())
}

fn living() -> Vec<Arc<WordPressClone>> {
    vec![clone(UID, |_| {})]
}

fn row(cluster: &str, uid: &str, state: RowState) -> LedgerRow {
    LedgerRow {
        cluster: cluster.to_owned(),
        uid: uid.to_owned(),
        namespace: "n".to_owned(),
        clone: "clone-1".to_owned(),
        state: Some(state),
        made: Timestamp::UNIX_EPOCH,
    }
}

/// What is under the name of [`UID`]'s schema.
fn there(row: Option<LedgerRow>) -> Schema {
    Schema { row, there: true, user: true, ..Schema::absent(&Arc::from("h"), schema_name(UID).unwrap()) }
}

fn ready() -> Schema {
    there(Some(row("c1", UID, RowState::Ready)))
}

/// Everything is known.
fn world(clones: Vec<Arc<WordPressClone>>, schemas: Vec<Schema>) -> Snapshot {
    let facts = HostFacts { schemas: schemas.into_iter().map(Arc::new).collect(), ..HostFacts::default() };
    let mut snapshot = Snapshot {
        cluster_id: Some(Arc::from("c1")),
        hosts: [(Arc::from("h"), Arc::new(facts))].into(),
        key: KeySight::Held("0123456789abcdef".into()),
        clones,
        ..Snapshot::default()
    };
    for kind in Kind::ALL {
        snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(now()));
    }
    snapshot.evidence.insert(Source::Time, Evidence::complete(now()));
    snapshot.evidence.insert(host(), Evidence::complete(now()));
    snapshot.namespaces.insert("n".to_owned(), std::collections::BTreeMap::new());
    snapshot
}

fn host() -> Source {
    Source::Host(Arc::from("h"))
}

fn seen_to_go(mut snapshot: Snapshot) -> Snapshot {
    let at = |seconds| now().checked_sub(SignedDuration::from_secs(seconds)).unwrap();
    snapshot.departed = vec![Departure::new(UID, "n", at(9_000), at(1))];
    snapshot.state.enforced_since.insert("n".to_owned(), at(90_000));
    snapshot
}

/// `action code [blocked]` of what is decided about schemas and hosts.
fn told(plan: &Plan) -> Vec<String> {
    let about = |decision: &&crate::plan::Decision| {
        matches!(decision.target.kind(), "Schema") || decision.target.key() == host().to_string() && decision.target.kind() == "Source"
    };
    let say = |decision: &crate::plan::Decision| {
        let blocked = decision.blocked_by.map(|by| format!(" [{}]", by.word())).unwrap_or_default();
        format!("{} {}{blocked}", decision.action.word(), decision.reason.code())
    };
    plan.decisions.iter().filter(about).map(say).collect()
}

fn enforced(snapshot: &Snapshot) -> Vec<String> {
    told(&plan(snapshot, &policies("enforce"), now()))
}

#[test]
fn a_clone_gets_what_is_missing_of_its_schema_and_nothing_that_is_not_its_own() {
    let state = |state| there(Some(row("c1", UID, state)));
    for (found, expected) in [
        (None, "create SchemaMissing"),
        (Some(ready()), ""),
        (Some(state(RowState::Making)), "create SchemaMissing"),
        (Some(state(RowState::Dropping)), "create SchemaMissing"),
        (Some(Schema { there: false, ..ready() }), "create SchemaMissing"),
        (Some(Schema { user: false, ..ready() }), "create SchemaMissing"),
        (Some(there(None)), "hold SchemaForeign"),
        (Some(there(Some(row("theirs", UID, RowState::Ready)))), "hold SchemaForeign"),
        (Some(there(Some(row("c1", OTHER, RowState::Ready)))), "hold RowDisagrees hold SchemaForeign"),
    ] {
        let snapshot = world(living(), found.clone().into_iter().collect());
        assert_eq!(enforced(&snapshot).join(" "), expected, "{found:?}");
    }
}

#[test]
fn a_schema_is_made_only_where_it_may_be_and_where_enough_is_known() {
    let made = plan(&world(living(), vec![]), &policies("enforce"), now());
    let order = made.decisions.iter().find_map(|decision| match &decision.work {
        Some(Work::Make(row)) => Some((decision.target.key(), Arc::clone(row))),
        _ => None,
    });
    let (key, row) = order.unwrap();
    assert_eq!(key, "mysql/h/wp_0f8fad5bd9cb469fa16570867728");
    assert_eq!((row.cluster.as_str(), row.uid.as_str(), row.namespace.as_str(), row.clone.as_str()), ("c1", UID, "n", "clone-1"));
    let audit = plan(&world(living(), vec![]), &policies("audit"), now());
    assert_eq!(told(&audit), ["create SchemaMissing [audit]"]);
    let paused = |snapshot: &mut Snapshot| {
        snapshot.state.paused = Some(serde_json::from_value(json!({"since": now(), "reason": "r"})).unwrap());
    };
    let worlds: [World<'_>; 8] = [
        ("hold EvidenceMissing", &|snapshot| snapshot.evidence.insert(host(), Evidence::incomplete(now(), "no answer"))),
        ("hold ClusterIdUnknown", &|snapshot| snapshot.cluster_id = None),
        ("hold CredentialsHeld", &|snapshot| snapshot.key = KeySight::Absent),
        ("create SchemaMissing [pause]", &paused),
        ("", &|snapshot| snapshot.clones = vec![clone(UID, |object| object["metadata"]["deletionTimestamp"] = json!("2026-02-05T16:30:20Z"))]),
        ("", &|snapshot| snapshot.clones = vec![clone(UID, |object| object["spec"]["useDedicatedDatabase"] = json!(true))]),
        ("", &|snapshot| snapshot.clones = vec![clone(UID, |object| object["spec"]["sharedDatabase"]["host"] = json!("db.example.com:3307"))]),
        ("", &|snapshot| snapshot.clones = vec![clone(UID, |object| object["metadata"]["namespace"] = json!("nobodys"))]),
    ];
    for (expected, edit) in worlds {
        let mut snapshot = world(living(), vec![]);
        edit(&mut snapshot);
        assert_eq!(enforced(&snapshot).join(" "), expected);
    }
}

#[test]
fn a_schema_follows_a_clone_that_was_seen_to_go() {
    let ended = seen_to_go(world(vec![], vec![ready()]));
    let made = plan(&ended, &policies("enforce"), now());
    assert_eq!(told(&made), ["delete CloneEnded"]);
    let decision = made.decisions.iter().find(|decision| decision.action == Action::Delete).unwrap();
    assert!(!decision.is_surprise() && decision.effective(), "{decision:?}");
    let audit = plan(&ended, &policies("audit"), now());
    assert!(audit.decisions.iter().any(|decision| decision.action == Action::Delete && decision.blocked_by == Some(BlockedBy::Audit)));
    // Made again under its old name, the clone is another one.
    let again = seen_to_go(world(vec![clone(OTHER, |_| {})], vec![ready()]));
    assert_eq!(enforced(&again), ["delete CloneEnded", "create SchemaMissing"]);
    let worlds: [World<'_>; 6] = [
        ("hold EvidenceMissing", &|snapshot| snapshot.evidence.insert(host(), Evidence::incomplete(now(), "no answer"))),
        ("", &|snapshot| snapshot.evidence.insert(Source::Objects(Kind::Clone), Evidence::incomplete(now(), "cut"))),
        ("hold ClockUntrusted", &|snapshot| snapshot.evidence.insert(Source::Time, Evidence::incomplete(now(), "far"))),
        ("", &|snapshot| snapshot.cluster_id = None),
        ("", &|snapshot| snapshot.clones = living()),
        ("", &|snapshot| snapshot.hosts = [(Arc::from("h"), Arc::default())].into()),
    ];
    for (expected, edit) in worlds {
        let mut snapshot = seen_to_go(world(vec![], vec![ready()]));
        edit(&mut snapshot);
        assert_eq!(enforced(&snapshot).join(" "), expected);
    }
}

#[test]
fn one_whose_clone_nobody_saw_go_is_an_orphan() {
    let mut snapshot = world(vec![], vec![ready()]);
    snapshot.state.enforced_since.insert("n".to_owned(), "2026-02-01T00:00:00Z".parse().unwrap());
    assert_eq!(enforced(&snapshot), ["mark OwnerGone"]);
    let marked = plan(&snapshot, &policies("enforce"), now());
    let decision = marked.decisions.iter().find(|decision| decision.action == Action::Mark).unwrap();
    let target = crate::plan::render::target(&decision.target);
    assert_eq!(target, json!({"kind": "Schema", "provider": "mysql", "host": "h", "name": schema_name(UID)}));
    // Its `Orphan` is read back as being about it, and after the soak it goes: as a surprise.
    let orphan = |edit: &dyn Fn(&mut Value)| {
        let mut object = json!({
            "metadata": {"name": object_name("Schema", &decision.target.key()), "uid": "o-1", "resourceVersion": "1",
                         "creationTimestamp": "2026-02-05T14:00:00Z"},
            "spec": {"id": decision.target.display(), "target": target, "owner": {"uid": UID, "namespace": "n"}, "policy": "p"},
            "status": {"phase": "Soaking", "firstSeen": "2026-02-05T14:00:00Z", "lastSeen": "2026-02-05T16:20:00Z", "observations": 4,
                       "soak": {"since": "2026-02-05T14:00:00Z", "observations": 4, "duration": "1h", "observationsNeeded": 3}},
        });
        edit(&mut object);
        Arc::new(OrphanRecord::read(&object).unwrap())
    };
    let record = orphan(&|_| {});
    assert_eq!((record.key.as_str(), record.schema()), (decision.target.key().as_str(), Some(("h", "wp_0f8fad5bd9cb469fa16570867728"))));
    let with = |record: Arc<OrphanRecord>, snapshot: &Snapshot| Snapshot { orphans: vec![record], ..snapshot.clone() };
    let due = plan(&with(Arc::clone(&record), &snapshot), &policies("enforce"), now());
    let gone = due.decisions.iter().find(|decision| decision.action == Action::Delete).unwrap();
    assert!(gone.is_surprise() && gone.course().is_some_and(|course| course.parting.is_some()));
    let vetoed = orphan(&|object| object["metadata"]["annotations"] = json!({"clonewarden.io/keep": "true"}));
    assert_eq!(enforced(&with(vetoed, &snapshot)), ["hold Vetoed"]);
    // Once it is marked, nothing shortens that.
    assert_eq!(
        enforced(&with(orphan(&|object| object["status"]["soak"]["observations"] = json!(1)), &seen_to_go(snapshot.clone()))),
        ["mark OwnerGone"]
    );
    // Gone, alive again, or not to be seen.
    let history = |snapshot: &Snapshot| {
        let plan = plan(snapshot, &policies("enforce"), now());
        let about = plan.decisions.iter().filter(|decision| decision.target.kind() == "Orphan");
        about.map(|decision| format!("{} {}", decision.action.word(), decision.reason.code())).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(history(&with(Arc::clone(&record), &world(vec![], vec![]))), "unmark NoOrphan");
    assert_eq!(history(&with(Arc::clone(&record), &world(living(), vec![ready()]))), "unmark NoOrphan");
    let mut unseen = with(Arc::clone(&record), &world(vec![], vec![]));
    unseen.evidence.insert(host(), Evidence::incomplete(now(), "no answer"));
    assert_eq!(history(&unseen), "");
    let asked = orphan(&|object| object["status"]["phase"] = json!("Deleting"));
    assert_eq!(history(&with(asked, &world(vec![], vec![]))), "update Deleted");
}

#[test]
fn what_is_not_proven_to_be_ours_is_never_touched() {
    let named = |schema: Schema, name: &str| Schema { name: name.to_owned(), ..schema };
    for (found, expected) in [
        (there(None), ""),
        (named(there(None), "wpX0f8fad5bd9cb469fa16570867728"), ""),
        (there(Some(row("theirs", UID, RowState::Ready))), ""),
        (there(Some(row("c1", OTHER, RowState::Ready))), "hold RowDisagrees"),
        (named(ready(), "wordpress"), "hold RowDisagrees"),
        (there(Some(row("c1", "", RowState::Ready))), "hold RowDisagrees"),
    ] {
        let snapshot = seen_to_go(world(vec![], vec![found.clone()]));
        assert_eq!(enforced(&snapshot).join(" "), expected, "{found:?}");
    }
    let namesake = world(vec![clone(OTHER, |_| {})], vec![ready()]);
    assert_eq!(enforced(&namesake), ["hold NamesakeLives", "create SchemaMissing"]);
}

#[test]
fn a_row_of_ours_for_a_clone_that_never_was_here_holds_every_schema() {
    let at = |seconds| now().checked_sub(SignedDuration::from_secs(seconds)).unwrap();
    let stranger = |made| Schema { row: Some(LedgerRow { made, ..row("c1", OTHER, RowState::Ready) }), ..named(OTHER) };
    // Another cluster with our id makes one while we watch; our own dead clone's waits with it.
    let mut snapshot = seen_to_go(world(Vec::new(), vec![ready(), stranger(at(600))]));
    snapshot.watched_since = Some(at(3_600));
    let plan = plan(&snapshot, &policies("enforce"), now());
    assert_eq!(told(&plan), ["hold ClusterIdShared"]);
    // Remembered by the next process, and by a person's word only that one stays.
    snapshot.state = plan.state;
    snapshot.watched_since = Some(now());
    assert_eq!(enforced(&snapshot), ["hold ClusterIdShared"]);
    assert!(snapshot.state.release_source("cluster-id", false));
    assert_eq!(enforced(&snapshot), ["delete CloneEnded", "hold ClusterIdShared"]);
    // What was there before we watched, or of a clone that was seen to go, shows nothing.
    for (made, since) in [(at(7_200), at(3_600)), (at(3_590), at(3_600))] {
        let mut snapshot = seen_to_go(world(Vec::new(), vec![stranger(made)]));
        snapshot.watched_since = Some(since);
        assert_eq!(enforced(&snapshot), ["mark OwnerGone"]);
    }
}

/// Schema and user of a clone, without a row.
fn named(uid: &str) -> Schema {
    Schema { there: true, user: true, ..Schema::absent(&Arc::from("h"), schema_name(uid).unwrap()) }
}
