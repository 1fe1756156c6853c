//! The last look before an instance of an Aurora cluster goes: AWS deletes it whether its cluster is protected or not.

mod schemas;

use super::*;
use crate::{
    model::orphan::status::OrphanStatus,
    plan::{Action, Reason},
    ports::{Farewell, Kin, Sweep},
    sandbox::{clock::SandboxClock, cluster::SandboxCluster, world::World},
};
use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

const ID: &str = "clone-1-c0000001";

/// AWS as it is by now: one instance in one cluster, and what tells of the cluster's past.
struct Aws {
    regions: [Arc<str>; 1],
    instance: CloudResource,
    cluster: Option<CloudResource>,
    past: Vec<Kin>,
}

impl Cloud for Aws {
    fn regions(&self) -> &[Arc<str>] {
        &self.regions
    }
    fn sweep<'a>(&'a self, _: &'a Arc<str>) -> BoxFuture<'a, Sweep> {
        panic!("a proof sweeps nothing")
    }
    fn describe<'a>(&'a self, list: CloudList, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<CloudResource>, CloudError>> {
        let found = if list == CloudList::Instances { Some(self.instance.clone()) } else { self.cluster.clone() };
        async move { Ok(found) }.boxed()
    }
    fn kin<'a>(&'a self, list: CloudList, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Vec<Kin>, CloudError>> {
        let past = if list == CloudList::Clusters { self.past.clone() } else { Vec::new() };
        async move { Ok(past) }.boxed()
    }
    fn delete<'a>(&'a self, _: &'a CloudResource, _: Farewell<'a>) -> BoxFuture<'a, Result<(), CloudError>> {
        panic!("a proof deletes nothing")
    }
    fn tag<'a>(&'a self, _: &'a CloudResource, _: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<(), CloudError>> {
        panic!("a proof tags nothing")
    }
    fn skew(&self, _: Timestamp) -> Option<SignedDuration> {
        None
    }
}

fn instance() -> CloudResource {
    let object = json!({
        "DBInstanceIdentifier": ID, "DBInstanceArn": format!("arn:aws:rds:us-east-1:123456789012:db:{ID}"), "DbiResourceId": "db-1",
        "DBInstanceStatus": "available", "InstanceCreateTime": "2026-02-05T10:00:00Z", "DeletionProtection": false,
        "DBClusterIdentifier": ID, "TagList": [],
    });
    CloudResource::read(CloudList::Instances, &object).unwrap()
}

fn home(protected: bool) -> CloudResource {
    let object = json!({
        "DBClusterIdentifier": ID, "DBClusterArn": format!("arn:aws:rds:us-east-1:123456789012:cluster:{ID}"), "DbClusterResourceId": "cluster-1",
        "Status": "available", "DeletionProtection": protected, "TagList": [],
    });
    CloudResource::read(CloudList::Clusters, &object).unwrap()
}

fn kept(kind: &str) -> OrphanRecord {
    let object = json!({
        "metadata": {"name": "o", "uid": "o", "resourceVersion": "1", "creationTimestamp": "2026-02-05T10:00:00Z",
                     "annotations": {names::KEEP: "true"}},
        "spec": {"target": {"kind": kind, "uid": "of-an-object-that-is-gone", "id": ID}},
    });
    OrphanRecord::read(&object).unwrap()
}

/// What is proved of the instance, whose cluster was unprotected when it was swept.
async fn proved(cluster: Option<CloudResource>, past: Vec<Kin>, vetoes: Vec<OrphanRecord>) -> Result<(), Unproved> {
    let base: Timestamp = "2026-02-05T14:30:22Z".parse().unwrap();
    let api = SandboxCluster::new(Arc::new(Mutex::new(World::new(1, base))), "a", SandboxClock::new(base), 1);
    let cloud = Aws { regions: [Arc::from("us-east-1")], instance: instance(), cluster, past };
    let owner = DeadOwner { uid: "c0000001-0000-4000-8000-000000000001".into(), namespace: "n".into(), name: Some("clone-1".into()) };
    let home = Some(Arc::new(home(false)));
    let course = Course { record: None, status: OrphanStatus::default(), news: false, owner, database: None, home, parting: None };
    let decision = Decision::new(Action::Delete, None, Target::Cloud(Arc::new(instance())), Reason::OwnerGone("c0000001".into(), true));
    let roll = Roll { called: Instant::now(), uids: HashSet::new(), vetoes, claims: Some(Vec::new()) };
    roll.proves(&api, &cloud, &decision, &course).await
}

fn said(proved: Result<(), Unproved>) -> String {
    match proved {
        Err(Unproved::Otherwise(why) | Unproved::Restored(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_does_not_go_from_a_cluster_that_has_to_stay() {
    assert_eq!(proved(Some(home(false)), vec![], vec![]).await, Ok(()));
    assert_eq!(proved(None, vec![], vec![]).await, Ok(()), "its cluster is gone");
    assert!(said(proved(Some(home(true)), vec![], vec![]).await).contains("protection"));
    let past = Kin { what: "automated backup".into(), resource_id: "cluster-0".into() };
    assert!(said(proved(Some(home(false)), vec![past], vec![]).await).contains("restored"));
    let another = CloudResource { resource_id: "cluster-2".into(), ..home(false) };
    assert!(said(proved(Some(another), vec![], vec![]).await).starts_with("its Aurora cluster:"));
}

#[tokio::test(start_paused = true)]
async fn a_veto_that_the_watch_has_not_brought_yet_is_a_wall() {
    for kind in ["DBInstance", "DBCluster"] {
        assert!(said(proved(Some(home(false)), vec![], vec![kept(kind)]).await).contains("somebody keeps"), "{kind}");
    }
    assert_eq!(proved(Some(home(false)), vec![], vec![kept("DBSnapshot")]).await, Ok(()));
}
