//! AWS keeps RDS' rules, ACK its habits, and a handle errs only where it is told to.

mod ack;

use super::{
    aws::Aws,
    faults::{CloudCall, CloudFate, CloudLevels},
    handle::SandboxCloud,
    thing::{Order, Origin, Pace, Thing},
};
use crate::{
    model::{Kind, cloud::CloudResource, evidence::CloudList, names},
    ports::{Cloud, CloudError, Farewell},
    sandbox::{
        ack::REGION,
        clock::SandboxClock,
        cluster::SandboxCluster,
        history::Actor,
        json,
        platform::Platform,
        world::{Key, World},
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

const INSTANCES: CloudList = CloudList::Instances;
const CLUSTERS: CloudList = CloudList::Clusters;
const SNAPSHOTS: CloudList = CloudList::Snapshots;

fn base() -> Timestamp {
    "2026-02-05T14:30:22Z".parse().unwrap()
}

fn world() -> World {
    World::new(1, base())
}

fn order(id: &str) -> Order {
    let tags = BTreeMap::from([(names::TAG_CLONE_UID.to_owned(), "u".to_owned())]);
    Order { region: Arc::from(REGION), id: id.to_owned(), tags, copy_tags: true, ..Order::default() }
}

fn make(world: &mut World, list: CloudList, order: Order) -> Result<Arc<Thing>, CloudError> {
    let issue = world.issue(Actor::Platform);
    world.aws.create(&issue, list, order, Origin::Made)
}

fn delete(world: &mut World, list: CloudList, id: &str, farewell: Farewell<'_>) -> Result<(), CloudError> {
    world.delete_in_aws((REGION, list, id), farewell)
}

fn pass(world: &mut World, seconds: i64) {
    world.advance_to(world.now() + SignedDuration::from_secs(seconds));
}

fn status(aws: &Aws, list: CloudList, id: &str) -> String {
    aws.get(REGION, list, id).map(|thing| thing.seen.status.clone()).unwrap_or_default()
}

fn code<T: std::fmt::Debug>(result: Result<T, CloudError>) -> String {
    match result.unwrap_err() {
        CloudError::State { code, .. } => format!("state {code}"),
        CloudError::Refused { code, .. } => format!("refused {code}"),
        other => other.to_string(),
    }
}

#[test]
fn an_instance_is_born_lives_and_takes_minutes_to_go() {
    let mut world = world();
    world.aws.set_pace(Pace::BRISK);
    make(&mut world, INSTANCES, order("a")).unwrap();
    let seen = |world: &World| world.aws.get(REGION, INSTANCES, "a").unwrap().seen.clone();
    assert_eq!((seen(&world).status.as_str(), seen(&world).created), ("creating", None), "AWS has not begun");
    let mut states = vec![seen(&world).status];
    for _ in 0..300 {
        pass(&mut world, 1);
        let now = seen(&world).status;
        if states.last() != Some(&now) {
            states.push(now);
        }
    }
    assert_eq!(states, ["creating", "backing-up", "available"]);
    assert!(seen(&world).created.is_some());
    delete(&mut world, INSTANCES, "a", Farewell::Snapshot("last")).unwrap();
    assert_eq!(status(&world.aws, INSTANCES, "a"), "deleting");
    assert_eq!(code(make(&mut world, INSTANCES, order("a"))), "refused DBInstanceAlreadyExists", "the identifier is not free yet");
    assert_eq!(code(delete(&mut world, INSTANCES, "a", Farewell::Nothing)), "state InvalidDBInstanceState");
    pass(&mut world, 59);
    assert_eq!(status(&world.aws, INSTANCES, "a"), "deleting");
    pass(&mut world, 200);
    assert_eq!(delete(&mut world, INSTANCES, "a", Farewell::Nothing), Err(CloudError::NotFound));
    assert_eq!(status(&world.aws, SNAPSHOTS, "last"), "available");
    let again = make(&mut world, INSTANCES, order("A")).unwrap();
    let kin = world.aws.kin(REGION, INSTANCES, "a");
    assert_eq!(kin.len(), 1);
    assert_ne!(kin[0].resource_id, again.seen.resource_id, "another one, under the same name");
}

#[test]
fn rds_refuses_what_it_refuses() {
    let mut world = world();
    world.aws.set_pace(Pace { creating: (60, 60), ..Pace::PROMPT });
    make(&mut world, INSTANCES, order("a")).unwrap();
    assert_eq!(code(delete(&mut world, INSTANCES, "a", Farewell::Snapshot("s"))), "state InvalidDBInstanceState", "nothing to take a picture of");
    pass(&mut world, 60);
    world.set_protection((REGION, INSTANCES, "a"), true).unwrap();
    for farewell in [Farewell::Nothing, Farewell::Snapshot("s")] {
        assert_eq!(code(delete(&mut world, INSTANCES, "a", farewell)), "refused InvalidParameterCombination");
    }
    world.set_protection((REGION, INSTANCES, "a"), false).unwrap();
    world.take_snapshot((REGION, INSTANCES, "a"), "taken", true).unwrap();
    assert_eq!(code(delete(&mut world, INSTANCES, "a", Farewell::Snapshot("taken"))), "refused DBSnapshotAlreadyExists");
    assert_eq!(status(&world.aws, INSTANCES, "a"), "available", "nothing of it has happened");
    for shapeless in ["9a", "a-", "a--b", "a_b", ""] {
        assert_eq!(code(make(&mut world, INSTANCES, order(shapeless))), "refused InvalidParameterValue", "{shapeless}");
    }
}

#[test]
fn a_cluster_goes_after_its_members() {
    let mut world = world();
    make(&mut world, CLUSTERS, order("c")).unwrap();
    pass(&mut world, 1);
    make(&mut world, INSTANCES, Order { cluster: Some("c".to_owned()), ..order("c") }).unwrap();
    world.add_reader(REGION, "c", "reader", BTreeMap::new()).unwrap();
    pass(&mut world, 1);
    let members = |world: &World| world.aws.described(world.aws.get(REGION, CLUSTERS, "c").unwrap()).members;
    assert_eq!(members(&world), ["c", "reader"]);
    assert_eq!(code(delete(&mut world, INSTANCES, "c", Farewell::Snapshot("s"))), "refused InvalidParameterCombination");
    world.aws.set_pace(Pace { deleting: (60, 60), ..Pace::PROMPT });
    delete(&mut world, INSTANCES, "c", Farewell::Nothing).unwrap();
    assert_eq!(code(delete(&mut world, CLUSTERS, "c", Farewell::Snapshot("s"))), "state InvalidDBClusterStateFault", "the reader stays");
    delete(&mut world, INSTANCES, "reader", Farewell::Nothing).unwrap();
    delete(&mut world, CLUSTERS, "c", Farewell::Snapshot("s")).unwrap();
    assert_eq!(world.aws.history().last().unwrap().members.len(), 2);
    pass(&mut world, 200);
    assert_eq!(status(&world.aws, CLUSTERS, "c") + &status(&world.aws, INSTANCES, "c"), "");
    assert_eq!(status(&world.aws, CloudList::ClusterSnapshots, "s"), "available");
}

#[test]
fn snapshots_inherit_tags_and_automated_ones_go_with_their_database() {
    let mut world = world();
    make(&mut world, INSTANCES, order("a")).unwrap();
    make(&mut world, INSTANCES, Order { copy_tags: false, ..order("b") }).unwrap();
    pass(&mut world, 1);
    world.nightly_snapshot((REGION, INSTANCES, "a"), "night").unwrap();
    world.take_snapshot((REGION, INSTANCES, "a"), "mine", false).unwrap();
    pass(&mut world, 1);
    assert_eq!(code(delete(&mut world, SNAPSHOTS, "night", Farewell::Nothing)), "state InvalidDBSnapshotState");
    let tags = |world: &World, id: &str| world.aws.get(REGION, SNAPSHOTS, id).unwrap().seen.tags.clone().unwrap().len();
    assert_eq!((tags(&world, "night"), tags(&world, "mine")), (1, 0));
    for (id, last, inherited) in [("a", "last-a", 1), ("b", "last-b", 0)] {
        delete(&mut world, INSTANCES, id, Farewell::Snapshot(last)).unwrap();
        assert_eq!(tags(&world, last), inherited);
    }
    pass(&mut world, 1);
    let left: Vec<&str> = world.aws.things().map(|thing| thing.seen.id.as_str()).collect();
    assert_eq!(left, ["last-a", "last-b", "mine"]);
    let rescued = world.rescue(REGION, "last-a", "a").unwrap();
    assert_eq!((rescued.origin, rescued.tag(names::TAG_CLONE_UID)), (Origin::Restored, Some("u")), "it looks like the one that is gone");
    let copy = world.copy_snapshot(REGION, "last-a", "copy").unwrap();
    assert_eq!((copy.seen.id.as_str(), copy.seen.tags.as_ref().unwrap().len()), ("copy", 1));
}
