//! A world that is looked at again and again, and what is in it.

use crate::model::{
    Child, Evidence, Kind, Snapshot, Source, State, WordPressClone,
    cloud::CloudResource,
    evidence::CloudList,
    orphan::{OrphanRecord, object_name, status::OrphanPhase},
    snapshot::Departure,
};
use crate::plan::{Action, Decision, Plan, Target, plan};
use crate::policy::{Policies, load_files};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

pub(super) const UID: &str = "c0000001-0000-4000-8000-000000000001";
pub(super) const ID: &str = "clone-1-c0000001";
pub(super) const NAMESPACE: &str = "wordpress-production";
pub(super) const REGION: &str = "us-east-1";

pub(super) fn policies(mode: &str, orphans: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: production}}\nspec:\n  mode: {mode}\n  \
         namespaces: {{names: [{NAMESPACE}]}}\n  orphans: {{soak: 1h, observations: 3{orphans}}}\n"
    );
    load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap()
}

/// A world that the plan looks at every five minutes.
pub(super) struct Scene {
    pub(super) policies: Policies,
    pub(super) now: Timestamp,
    pub(super) cloud: Vec<Value>,
    pub(super) children: Vec<(Kind, Value)>,
    pub(super) clones: Vec<Value>,
    pub(super) lists: BTreeMap<CloudList, bool>,
    pub(super) records: BTreeMap<String, Value>,
    pub(super) state: State,
    pub(super) edit: fn(&mut Snapshot),
    pub(super) departed: Vec<Departure>,
    pub(super) watched_since: Option<Timestamp>,
}

impl Scene {
    pub(super) fn new() -> Self {
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

    pub(super) fn with(object: Value) -> Self {
        let mut scene = Self::new();
        scene.cloud.push(object);
        scene
    }

    pub(super) fn snapshot(&self) -> Snapshot {
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
    pub(super) fn look(&mut self) -> Plan {
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
    pub(super) fn live(&mut self, minutes: i64) -> Plan {
        for _ in 0..minutes / 5 {
            self.look();
            self.now += SignedDuration::from_mins(5);
        }
        self.look()
    }

    pub(super) fn phase(&self) -> Option<OrphanPhase> {
        let record = self.records.values().next()?;
        OrphanRecord::read(record).unwrap().phase()
    }

    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        for record in self.records.values_mut() {
            record["metadata"]["annotations"][key] = json!(value);
        }
    }
}

pub(super) fn resource(object: &Value) -> CloudResource {
    let list = match object {
        object if object["DBSnapshotArn"].is_string() => CloudList::Snapshots,
        object if object["DBClusterSnapshotArn"].is_string() => CloudList::ClusterSnapshots,
        object if object["DBClusterArn"].is_string() => CloudList::Clusters,
        _ => CloudList::Instances,
    };
    CloudResource::read(list, object).unwrap()
}

pub(super) fn tags(cluster: &str, clone_id: &str, uid: &str) -> Value {
    let pairs = [("Cluster", cluster), ("CloneId", clone_id), ("CloneUid", uid), ("Namespace", NAMESPACE)];
    pairs.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

pub(super) fn instance(edit: impl Fn(&mut Value)) -> Value {
    let mut object = json!({
        "DBInstanceIdentifier": ID, "DBInstanceArn": format!("arn:aws:rds:{REGION}:123456789012:db:{ID}"), "DbiResourceId": "db-1",
        "DBInstanceStatus": "available", "InstanceCreateTime": "2026-02-05T10:00:00Z", "DeletionProtection": false,
        "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, "TagList": tags("c1", "clone-1", UID),
    });
    edit(&mut object);
    object
}

pub(super) fn cluster(members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"DBInstanceIdentifier": id})).collect();
    json!({
        "DBClusterIdentifier": ID, "DBClusterArn": format!("arn:aws:rds:{REGION}:123456789012:cluster:{ID}"), "DbClusterResourceId": "cluster-1",
        "Status": "available", "ClusterCreateTime": "2026-02-05T10:00:00Z", "DeletionProtection": false, "DBClusterMembers": members,
        "TagList": tags("c1", "clone-1", UID),
    })
}

pub(super) fn snapshot_of(id: &str, resource: &str, tags: &Value) -> Value {
    json!({
        "DBSnapshotIdentifier": id, "DBSnapshotArn": format!("arn:aws:rds:{REGION}:123456789012:snapshot:{id}"), "DbiResourceId": resource,
        "DBInstanceIdentifier": ID, "Status": "available", "SnapshotType": "manual", "SnapshotCreateTime": "2026-02-05T11:00:00Z", "TagList": tags,
    })
}

/// The tags of a final snapshot of ours.
pub(super) fn ours(id: &str, expires: &str) -> Value {
    let mut list = tags("c1", "clone-1", UID);
    list.as_array_mut().unwrap().push(json!({"Key": crate::model::names::TAG_SNAPSHOT, "Value": id}));
    list.as_array_mut().unwrap().push(json!({"Key": crate::model::names::TAG_EXPIRES_AT, "Value": expires}));
    list
}

pub(super) fn clone_object(name: &str, uid: &str) -> Value {
    json!({
        "metadata": {"namespace": NAMESPACE, "name": name, "uid": uid, "resourceVersion": "1", "creationTimestamp": "2026-02-05T13:59:00Z"},
        "spec": {"cloneId": name},
    })
}

pub(super) fn object(kind: Kind, edit: impl Fn(&mut Value)) -> (Kind, Value) {
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

pub(super) fn about<'p>(plan: &'p Plan, id: &str) -> Vec<&'p Decision> {
    plan.decisions.iter().filter(|decision| decision.target.display() == id).collect()
}

pub(super) fn deletes(plan: &Plan) -> Vec<&Decision> {
    plan.decisions.iter().filter(|decision| decision.action == Action::Delete && decision.effective()).collect()
}
