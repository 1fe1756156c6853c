//! What becomes of things that were left behind, look by look: the plan's own `Orphan`s are written back and read again.

mod memory;
mod ways;

use crate::model::{
    Child, Evidence, Kind, Snapshot, Source, State, WordPressClone,
    cloud::CloudResource,
    evidence::CloudList,
    names,
    orphan::{OrphanRecord, object_name, status::OrphanPhase},
    snapshot::Departure,
};
use crate::plan::{Action, Decision, Plan, Target, plan};
use crate::policy::{Policies, load_files};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const UID: &str = "c0000001-0000-4000-8000-000000000001";
const ID: &str = "clone-1-c0000001";
const NAMESPACE: &str = "wordpress-production";
const REGION: &str = "us-east-1";

fn policies(mode: &str, orphans: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: production}}\nspec:\n  mode: {mode}\n  \
         namespaces: {{names: [{NAMESPACE}]}}\n  orphans: {{soak: 1h, observations: 3{orphans}}}\n"
    );
    load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap()
}

/// A world that the plan looks at every five minutes.
struct Scene {
    policies: Policies,
    now: Timestamp,
    cloud: Vec<Value>,
    children: Vec<(Kind, Value)>,
    clones: Vec<Value>,
    lists: BTreeMap<CloudList, bool>,
    records: BTreeMap<String, Value>,
    state: State,
    edit: fn(&mut Snapshot),
    departed: Vec<Departure>,
    watched_since: Option<Timestamp>,
}

impl Scene {
    fn new() -> Self {
        Self {
            policies: policies("enforce", ""),
            now: "2026-02-05T14:00:00Z".parse().unwrap(),
            cloud: Vec::new(),
            children: Vec::new(),
            clones: Vec::new(),
            lists: CloudList::ALL.into_iter().map(|list| (list, true)).collect(),
            records: BTreeMap::new(),
            state: State::default(),
            edit: |_| {},
            departed: Vec::new(),
            watched_since: None,
        }
    }

    fn with(object: Value) -> Self {
        let mut scene = Self::new();
        scene.cloud.push(object);
        scene
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { cluster_id: Some(Arc::from("c1")), state: self.state.clone(), ..Snapshot::default() };
        for kind in Kind::ALL {
            snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(self.now));
        }
        snapshot.evidence.insert(Source::Time, Evidence::complete(self.now));
        for (list, complete) in &self.lists {
            let evidence = if *complete { Evidence::complete(self.now) } else { Evidence::incomplete(self.now, "throttled") };
            snapshot.evidence.insert(Source::Cloud(Arc::from(REGION), *list), evidence);
        }
        snapshot.namespaces.insert(NAMESPACE.to_owned(), BTreeMap::new());
        snapshot.cloud = self.cloud.iter().map(|object| Arc::new(resource(object))).collect();
        snapshot.children = self.children.iter().map(|(kind, object)| Arc::new(Child::read(*kind, object).unwrap().unwrap())).collect();
        snapshot.clones = self.clones.iter().map(|object| Arc::new(WordPressClone::read(object).unwrap())).collect();
        snapshot.orphans = self.records.values().map(|object| Arc::new(OrphanRecord::read(object).unwrap())).collect();
        snapshot.departed.clone_from(&self.departed);
        snapshot.watched_since = self.watched_since;
        (self.edit)(&mut snapshot);
        snapshot
    }

    /// One look: what is decided is written down as the executor would.
    fn look(&mut self) -> Plan {
        let plan = plan(&self.snapshot(), &self.policies, self.now);
        self.state.clone_from(&plan.state);
        for decision in plan.decisions.iter().filter(|decision| decision.effective()) {
            match (decision.course(), &decision.target, decision.action) {
                (_, Target::Orphan(record), Action::Unmark) => drop(self.records.remove(record.meta.name())),
                (Some(course), ..) => {
                    let name = match (&course.record, &decision.target) {
                        (Some(record), _) => record.meta.name().to_owned(),
                        (None, target) => object_name(target.kind(), &target.key()),
                    };
                    let mut spec = crate::plan::render::target(&decision.target);
                    if let Target::Child(child) = &decision.target
                        && let Some(claim) = &child.database
                    {
                        spec["id"] = json!(claim.identifier);
                    }
                    let owner = json!({"uid": course.owner.uid, "namespace": course.owner.namespace});
                    let object = self.records.entry(name.clone()).or_insert_with(|| {
                        json!({
                            "metadata": {"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": self.now, "annotations": {}},
                            "spec": {"target": spec, "owner": owner, "policy": decision.policy},
                        })
                    });
                    object["status"] = serde_json::to_value(&course.status).unwrap();
                }
                _ => {}
            }
        }
        plan
    }

    /// Looks every five minutes for so long; the last plan.
    fn live(&mut self, minutes: i64) -> Plan {
        for _ in 0..minutes / 5 {
            self.look();
            self.now += SignedDuration::from_mins(5);
        }
        self.look()
    }

    fn phase(&self) -> Option<OrphanPhase> {
        let record = self.records.values().next()?;
        OrphanRecord::read(record).unwrap().phase()
    }

    fn annotate(&mut self, key: &str, value: &str) {
        for record in self.records.values_mut() {
            record["metadata"]["annotations"][key] = json!(value);
        }
    }
}

fn resource(object: &Value) -> CloudResource {
    let list = match object {
        object if object["DBSnapshotArn"].is_string() => CloudList::Snapshots,
        object if object["DBClusterSnapshotArn"].is_string() => CloudList::ClusterSnapshots,
        object if object["DBClusterArn"].is_string() => CloudList::Clusters,
        _ => CloudList::Instances,
    };
    CloudResource::read(list, object).unwrap()
}

fn tags(cluster: &str, clone_id: &str, uid: &str) -> Value {
    let pairs = [("Cluster", cluster), ("CloneId", clone_id), ("CloneUid", uid), ("Namespace", NAMESPACE)];
    pairs.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

fn instance(edit: impl Fn(&mut Value)) -> Value {
    let mut object = json!({
        "DBInstanceIdentifier": ID, "DBInstanceArn": format!("arn:aws:rds:{REGION}:123456789012:db:{ID}"), "DbiResourceId": "db-1",
        "DBInstanceStatus": "available", "InstanceCreateTime": "2026-02-05T10:00:00Z", "DeletionProtection": false,
        "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, "TagList": tags("c1", "clone-1", UID),
    });
    edit(&mut object);
    object
}

fn cluster(members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"DBInstanceIdentifier": id})).collect();
    json!({
        "DBClusterIdentifier": ID, "DBClusterArn": format!("arn:aws:rds:{REGION}:123456789012:cluster:{ID}"), "DbClusterResourceId": "cluster-1",
        "Status": "available", "ClusterCreateTime": "2026-02-05T10:00:00Z", "DeletionProtection": false, "DBClusterMembers": members,
        "TagList": tags("c1", "clone-1", UID),
    })
}

fn snapshot_of(id: &str, resource: &str, tags: &Value) -> Value {
    json!({
        "DBSnapshotIdentifier": id, "DBSnapshotArn": format!("arn:aws:rds:{REGION}:123456789012:snapshot:{id}"), "DbiResourceId": resource,
        "DBInstanceIdentifier": ID, "Status": "available", "SnapshotType": "manual", "SnapshotCreateTime": "2026-02-05T11:00:00Z", "TagList": tags,
    })
}

fn clone_object(name: &str, uid: &str) -> Value {
    json!({
        "metadata": {"namespace": NAMESPACE, "name": name, "uid": uid, "resourceVersion": "1", "creationTimestamp": "2026-02-05T13:59:00Z"},
        "spec": {"cloneId": name},
    })
}

fn object(kind: Kind, edit: impl Fn(&mut Value)) -> (Kind, Value) {
    let field = if kind == Kind::DbCluster { "dbClusterIdentifier" } else { "dbInstanceIdentifier" };
    let mut object = json!({
        "metadata": {
            "namespace": NAMESPACE, "name": "clone-1-db", "uid": format!("{kind}-uid"), "resourceVersion": "5",
            "creationTimestamp": "2026-02-05T10:00:00Z", "annotations": {},
            "labels": {"kro.run/instance-id": UID, "kro.run/instance-kind": "WordPressClone", "kro.run/instance-name": "clone-1"},
        },
        "spec": {field: ID}, "status": {},
    });
    edit(&mut object);
    (kind, object)
}

fn about<'p>(plan: &'p Plan, id: &str) -> Vec<&'p Decision> {
    plan.decisions.iter().filter(|decision| decision.target.display() == id).collect()
}

fn deletes(plan: &Plan) -> Vec<&Decision> {
    plan.decisions.iter().filter(|decision| decision.action == Action::Delete && decision.effective()).collect()
}

fn codes(plan: &Plan) -> Vec<&'static str> {
    plan.decisions.iter().map(|decision| decision.reason.code()).collect()
}

#[test]
fn an_orphan_is_marked_soaks_and_goes_with_a_final_snapshot() {
    let mut scene = Scene::with(instance(|_| {}));
    let first = scene.look();
    assert_eq!(about(&first, ID)[0].action, Action::Mark);
    assert_eq!(scene.phase(), Some(OrphanPhase::Soaking));
    // 55 minutes: eleven looks more, and the soak is not over.
    assert!(deletes(&scene.live(55)).is_empty());
    let last = scene.live(5);
    let [end] = deletes(&last)[..] else { panic!("{:?}", codes(&last)) };
    let course = end.course().unwrap();
    assert_eq!(course.parting.as_ref().unwrap().snapshot.as_deref(), Some("clone-1-c0000001-final-20260205150000"));
    assert_eq!(course.status.final_snapshot.as_ref().unwrap().expires_at, Some("2026-02-12T15:00:00Z".parse().unwrap()));
    assert_eq!(course.status.cost_per_hour.map(|cost| cost.to_string()).as_deref(), Some("0.020151"));
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleting));
    // Asked again, it is asked with the same farewell.
    let again = scene.live(5);
    let [end] = deletes(&again)[..] else { panic!("{:?}", codes(&again)) };
    assert_eq!(end.course().unwrap().parting.as_ref().unwrap().snapshot.as_deref(), Some("clone-1-c0000001-final-20260205150000"));
}

#[test]
fn the_soak_alone_is_not_enough_and_neither_are_many_looks() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.look();
    scene.now += SignedDuration::from_hours(5);
    assert!(deletes(&scene.look()).is_empty(), "two looks, five hours apart");
    scene.now += SignedDuration::from_mins(5);
    assert_eq!(deletes(&scene.look()).len(), 1);

    let mut scene = Scene::with(instance(|_| {}));
    for _ in 0..50 {
        scene.look();
        scene.now += SignedDuration::from_secs(60);
    }
    assert!(deletes(&scene.look()).is_empty(), "fifty looks in fifty minutes");
}

#[test]
fn a_look_that_saw_no_new_sweep_does_not_count() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.look();
    let swept = scene.now;
    scene.now += SignedDuration::from_mins(4);
    let mut snapshot = scene.snapshot();
    for list in CloudList::ALL {
        snapshot.evidence.insert(Source::Cloud(Arc::from(REGION), list), Evidence::complete(swept));
    }
    let plan = plan(&snapshot, &scene.policies, scene.now);
    let course = about(&plan, ID)[0].course().unwrap();
    assert!(!course.news, "{:?}", course.status);
    assert_eq!(course.status.observations, 1);
}

/// Lives long past the soak; nothing goes, and this is said of the database (`None`: nothing).
fn never_goes(mut scene: Scene, code: Option<&str>) -> Scene {
    let name = code.unwrap_or("nothing");
    for _ in 0..40 {
        let plan = scene.look();
        assert!(deletes(&plan).is_empty(), "{name}: {:?}", deletes(&plan));
        scene.now += SignedDuration::from_mins(5);
    }
    let plan = scene.look();
    match code {
        Some(code) => assert!(codes(&plan).contains(&code), "{code} is not among {:?}", codes(&plan)),
        None => assert!(plan.decisions.iter().all(|decision| !matches!(decision.target, Target::Cloud(_))), "{:?}", plan.decisions),
    }
    scene
}

#[test]
fn what_is_not_proven_to_be_ours_is_never_touched() {
    // Of another cluster, of nobody, and near misses.
    for list in [
        tags("c2", "clone-1", UID),
        tags("C1", "clone-1", UID),
        json!([]),
        json!([{"Key": "CloneId", "Value": "clone-1"}, {"Key": "CloneUid", "Value": UID}, {"Key": "Namespace", "Value": NAMESPACE}]),
        json!([{"Key": "cluster", "Value": "c1"}, {"Key": "CloneId", "Value": "clone-1"}, {"Key": "CloneUid", "Value": UID}]),
        tags("c1", "clone-1", ""),
    ] {
        never_goes(Scene::with(instance(|object| object["TagList"] = list.clone())), None);
    }
    // A copy has our tags and another identifier.
    let renamed = |object: &mut Value| {
        object["DBInstanceIdentifier"] = json!("rescue");
        object["DBInstanceArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:db:rescue"));
    };
    never_goes(Scene::with(instance(renamed)), Some("InheritedTags"));
    // The owner lives.
    let mut scene = Scene::with(instance(|_| {}));
    scene.clones.push(clone_object("clone-1", UID));
    never_goes(scene, None);
    // A backup brought the clone back under a new uid.
    let mut scene = Scene::with(instance(|_| {}));
    scene.clones.push(clone_object("clone-1", "c9999999-0000-4000-8000-000000000009"));
    never_goes(scene, Some("NamesakeLives"));
    // Somebody else's object stands for it.
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |object| object["metadata"]["labels"] = json!({})));
    never_goes(scene, Some("Claimed"));
}

#[test]
fn protection_and_veto_are_walls() {
    never_goes(Scene::with(instance(|object| object["DeletionProtection"] = json!(true))), Some("Protected"));
    never_goes(Scene::with(instance(|object| drop(object.as_object_mut().unwrap().shift_remove("DeletionProtection")))), Some("Protected"));
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(55);
    scene.annotate(names::KEEP, "true");
    let mut scene = never_goes(scene, Some("Vetoed"));
    // A veto that is lifted is a first sight.
    scene.annotate(names::KEEP, "false");
    assert!(deletes(&scene.live(55)).is_empty());
    assert_eq!(deletes(&scene.live(5)).len(), 1);
}

#[test]
fn a_restored_database_is_held_for_ever() {
    let theirs = snapshot_of("before-the-upgrade", "db-0", &json!([]));
    let mut scene = Scene::with(instance(|_| {}));
    scene.cloud.push(theirs);
    let mut scene = never_goes(scene, Some("Restored"));
    // Even when the snapshot that showed it is gone.
    scene.cloud.pop();
    never_goes(scene, Some("Restored"));
    // And when all that tells of it is the Orphan of the one before.
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(60);
    scene.cloud = vec![instance(|object| object["DbiResourceId"] = json!("db-2"))];
    never_goes(scene, Some("Restored"));
}

#[test]
fn without_evidence_nothing_goes() {
    for list in [CloudList::Instances, CloudList::Snapshots] {
        let mut scene = Scene::with(instance(|_| {}));
        scene.lists.insert(list, false);
        never_goes(scene, Some("EvidenceMissing"));
    }
    type Edit = fn(&mut Snapshot);
    let lacks: [(Edit, &str); 6] = [
        (|snapshot| snapshot.evidence.insert(Source::Objects(Kind::Clone), Evidence::incomplete(Timestamp::MIN, "403")), "EvidenceMissing"),
        (|snapshot| snapshot.evidence.insert(Source::Objects(Kind::DbInstance), Evidence::absent(Timestamp::MIN)), "EvidenceMissing"),
        (|snapshot| snapshot.evidence.insert(Source::Objects(Kind::DbCluster), Evidence::incomplete(Timestamp::MIN, "403")), "EvidenceMissing"),
        (|snapshot| snapshot.evidence.insert(Source::Time, Evidence::incomplete(Timestamp::MIN, "skew")), "ClockUntrusted"),
        (|snapshot| snapshot.cluster_id = None, "ClusterIdUnknown"),
        (|snapshot| snapshot.cluster_id = Some(Arc::from("REPLACE-CLUSTER-ID")), "ClusterIdMismatch"),
    ];
    for (edit, code) in lacks {
        let mut scene = Scene::with(instance(|_| {}));
        scene.edit = edit;
        let plan = scene.live(100);
        assert!(deletes(&plan).is_empty() && codes(&plan).contains(&code), "{code}: {:?}", codes(&plan));
    }
    // What was known before does not count for more: it waits where it is, and goes on when all is known again.
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(55);
    scene.lists.insert(CloudList::Instances, false);
    assert!(deletes(&scene.live(60)).is_empty());
    assert_eq!(scene.phase(), Some(OrphanPhase::Soaking));
    scene.lists.insert(CloudList::Instances, true);
    assert_eq!(deletes(&scene.live(0)).len(), 1);
}

#[test]
fn a_population_that_collapsed_holds_its_region() {
    let mut scene = Scene::new();
    for number in 0..12 {
        scene.cloud.push(instance(|object| {
            object["DBInstanceIdentifier"] = json!(format!("theirs-{number}"));
            object["DBInstanceArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:db:theirs-{number}"));
            object["TagList"] = json!([]);
        }));
    }
    scene.cloud.push(instance(|_| {}));
    scene.live(55);
    scene.cloud.drain(..8);
    let plan = scene.live(20);
    assert!(deletes(&plan).is_empty() && codes(&plan).contains(&"Collapsed"), "{:?}", codes(&plan));
    // Until a person says that it is all right.
    assert!(scene.state.release_source("rds/us-east-1", false));
    assert_eq!(deletes(&scene.live(5)).len(), 1);
}

#[test]
fn audit_marks_and_its_end_is_a_first_sight() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.policies = policies("audit", "");
    let plan = scene.live(200);
    assert!(deletes(&plan).is_empty());
    assert_eq!(scene.phase(), Some(OrphanPhase::Marked));
    scene.policies = policies("enforce", "");
    assert!(deletes(&scene.live(55)).is_empty());
    assert_eq!(deletes(&scene.live(5)).len(), 1);
}
