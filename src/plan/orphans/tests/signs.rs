//! Signs that must not be misread: dates of other clocks, names in other regions, tags that people edit, objects that only say so.

use super::{scene::*, ways::writer, *};
use crate::model::{orphan::OrphanRecord, snapshot::Departure};
use crate::policy::load_files;

/// Without its namespace nobody knows its namesake.
#[test]
fn a_lost_namespace_tag_does_not_hide_a_namesake() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(30);
    scene.clones.push(clone_object("clone-1", "c9999999-0000-4000-8000-000000000009"));
    let plan = scene.live(30);
    assert!(codes(&plan).contains(&"NamesakeLives"));
    scene.cloud[0]["TagList"].as_array_mut().unwrap().retain(|tag| tag["Key"] != names::TAG_NAMESPACE);
    let plan = scene.live(120);
    assert!(deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

/// Nor with another one than it was recorded with.
#[test]
fn an_edited_namespace_tag_does_not_hide_a_namesake() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.policies = load_files(vec![("p.yaml".to_owned(), b"apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: production}\nspec:\n  mode: enforce\n  namespaces: {names: [wordpress-production, other]}\n  orphans: {soak: 1h, observations: 3}\n".to_vec())]).unwrap();
    scene.live(30);
    scene.clones.push(clone_object("clone-1", "c9999999-0000-4000-8000-000000000009"));
    scene.live(10);
    for tag in scene.cloud[0]["TagList"].as_array_mut().unwrap() {
        if tag["Key"] == "Namespace" {
            tag["Value"] = json!("other")
        }
    }
    let plan = scene.live(120);
    assert!(deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

/// A departure that is dated ahead was one all the same.
#[test]
fn a_clock_set_back_does_not_make_the_id_shared() {
    let mut scene = Scene::with(instance(|object| object["InstanceCreateTime"] = json!("2026-02-05T14:10:00Z")));
    scene.watched_since = Some("2026-02-05T14:00:00Z".parse().unwrap());
    scene.now = "2026-02-05T14:20:00Z".parse().unwrap();
    let gone = scene.now + SignedDuration::from_secs(10);
    scene.departed = vec![Departure::new(UID, NAMESPACE, gone, gone)];
    let plan = scene.look();
    assert!(!codes(&plan).contains(&"ClusterIdShared"), "{:?} {:?}", codes(&plan), scene.state.cluster_id_shared);
}

/// Plans are dated in whole milliseconds, departures are not.
#[test]
fn a_departure_within_the_millisecond_of_the_plan_counts() {
    let mut scene = Scene::with(instance(|object| object["InstanceCreateTime"] = json!("2026-02-05T14:10:00Z")));
    scene.watched_since = Some("2026-02-05T14:00:00Z".parse().unwrap());
    scene.now = "2026-02-05T14:30:00Z".parse().unwrap();
    let gone = scene.now + SignedDuration::from_micros(300);
    scene.departed = vec![Departure::new(UID, NAMESPACE, "2026-02-05T14:05:00Z".parse().unwrap(), gone)];
    let plan = scene.look();
    assert!(!codes(&plan).contains(&"ClusterIdShared"), "{:?}", codes(&plan));
    scene.now += SignedDuration::from_secs(1);
    let plan = scene.look();
    assert!(!codes(&plan).contains(&"ClusterIdShared"), "{:?}", codes(&plan));
}

/// One look is one, however often it is looked at.
#[test]
fn one_sweep_counts_once_also_if_it_is_dated_ahead() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.look();
    let ahead: Timestamp = "2026-02-05T14:05:40Z".parse().unwrap();
    scene.edit = |snapshot| {
        for list in CloudList::ALL {
            snapshot.evidence.insert(Source::Cloud(Arc::from(REGION), list), Evidence::complete("2026-02-05T14:05:40Z".parse().unwrap()));
        }
    };
    scene.now = "2026-02-05T14:05:00Z".parse().unwrap();
    for _ in 0..5 {
        scene.look();
        scene.now += SignedDuration::from_secs(1);
    }
    assert!(scene.now < ahead);
    let record = OrphanRecord::read(scene.records.values().next().unwrap()).unwrap();
    assert_eq!(record.status.unwrap().observations, 2);
}

/// An instance goes with its own cluster, not with one of that name in another region.
#[test]
fn an_instance_does_not_go_because_of_a_cluster_elsewhere() {
    let mut scene = Scene::new();
    let elsewhere = |mut object: Value, key: &str| {
        object[key] = json!(object[key].as_str().unwrap().replace(REGION, "eu-west-1"));
        object
    };
    let mut theirs = elsewhere(cluster(&[ID]), "DBClusterArn");
    theirs["TagList"] = json!([]);
    theirs["DbClusterResourceId"] = json!("cluster-9");
    scene.cloud = vec![cluster(&[]), theirs, elsewhere(writer(|_| {}), "DBInstanceArn")];
    scene.edit = |snapshot| {
        let at = snapshot.evidence.get(&Source::Objects(Kind::Clone)).unwrap().observed_at;
        for list in CloudList::ALL {
            snapshot.evidence.insert(Source::Cloud(Arc::from("eu-west-1"), list), Evidence::complete(at));
        }
    };
    let plan = scene.live(60);
    let gone: Vec<_> = deletes(&plan).iter().map(|end| end.target.key()).collect();
    assert!(gone.iter().all(|arn| !arn.contains("eu-west-1")), "{gone:?} {:?}", codes(&plan));
}

/// ACK adopts into an object whose spec is empty at first.
#[test]
fn an_object_that_is_about_to_adopt_claims() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |object| {
        object["metadata"]["labels"] = json!({});
        object["metadata"]["annotations"] = json!({"services.k8s.aws/adoption-policy": "adopt", "services.k8s.aws/adoption-fields": format!("{{\"dbInstanceIdentifier\": \"{ID}\"}}")});
        object.as_object_mut().unwrap().shift_remove("spec");
    }));
    let plan = scene.live(90);
    assert!(deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

/// A cluster follows its instances through the brake.
#[test]
fn the_brake_does_not_strand_a_cluster() {
    let mut scene = Scene::new();
    scene.policies = load_files(vec![("p.yaml".to_owned(), b"apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: production}\nspec:\n  mode: enforce\n  namespaces: {names: [wordpress-production]}\n  orphans: {soak: 1h, observations: 3}\n  brake: {deletes: 1, percent: 50, per: 10m}\n".to_vec())]).unwrap();
    scene.cloud = vec![writer(|_| {}), cluster(&[ID])];
    let plan = scene.live(60);
    let first = deletes(&plan).len();
    if first == 1 {
        scene.cloud[0]["DBInstanceStatus"] = json!("deleting");
        let plan = scene.live(5);
        assert!(!deletes(&plan).is_empty(), "its instance goes, and it stays behind the brake: {:?}", codes(&plan));
    }
}

#[test]
fn far_dates_do_not_break_it() {
    for date in ["-009999-01-02T01:59:59Z", "9999-12-30T21:00:00.999999999Z", "1970-01-01T00:00:00Z"] {
        let id = "clone-1-c0000001-final-20260205150000";
        let mut scene = Scene::with(snapshot_of(id, "db-1", &ours(id, date)));
        scene.live(120);
    }
    let mut scene = Scene::with(instance(|object| object["InstanceCreateTime"] = json!("9999-12-30T21:00:00Z")));
    scene.live(60);
    let mut scene = Scene::with(instance(|object| object["TagList"] = tags("c1", "clone-1", "ééééééé")));
    scene.live(60);
}

/// What is ours and cannot go is recorded, since it costs money for as long as nobody looks.
#[test]
fn doubtful_from_the_first_is_recorded_or_alerted() {
    let mut scene = Scene::with(instance(|object| object["DeletionProtection"] = json!(true)));
    let plan = scene.live(60);
    let alerts = plan.decisions.iter().filter(|d| d.action == Action::Alert).count();
    assert!(alerts > 0 || !scene.records.is_empty());
}

#[test]
fn a_member_waits_when_its_cluster_is_not_shown_once() {
    let mut scene = Scene::new();
    let mut held = cluster(&[ID]);
    held["DeletionProtection"] = json!(true);
    scene.cloud = vec![writer(|_| {}), held];
    scene.live(60);
    scene.cloud.pop();
    scene.now += SignedDuration::from_mins(5);
    let plan = scene.look();
    assert!(deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

/// A load balancer costs money, too.
#[test]
fn an_ingress_that_never_goes_is_said() {
    let mut scene = Scene::new();
    scene.children.push(object(Kind::Ingress, |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-02-05T13:00:00Z");
        object["metadata"]["finalizers"] = json!(["ingress.k8s.aws/resources"]);
    }));
    let plan = scene.live(600);
    assert!(!codes(&plan).is_empty(), "nothing is said for ten hours");
}

/// What an object says of a cluster does not make an instance of its own go without a snapshot.
#[test]
fn a_standalone_object_said_to_be_in_a_dying_cluster_keeps_its_snapshot() {
    let uid2 = "c0000002-0000-4000-8000-000000000002";
    let id2 = "clone-2-c0000002";
    let mut theirs = cluster(&[]);
    theirs["DBClusterIdentifier"] = json!(id2);
    theirs["DBClusterArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:cluster:{id2}"));
    theirs["TagList"] = tags("c1", "clone-2", uid2);
    let mut scene = Scene::new();
    scene.cloud = vec![instance(|_| {}), theirs];
    scene.children.push(object(Kind::DbInstance, |object| object["spec"]["dbClusterIdentifier"] = json!(id2)));
    let plan = scene.live(60);
    let ends: Vec<_> = deletes(&plan).iter().map(|end| (end.target.kind(), end.course().unwrap().parting.clone().unwrap().snapshot)).collect();
    assert!(ends.iter().all(|(kind, snapshot)| *kind != "DBInstance" || snapshot.is_some()), "{ends:?}");
}
