//! What is remembered must outlast what cannot be seen: vetoes, restores, and which snapshot was asked for.

use super::{
    scene::*,
    ways::{going, writer},
    *,
};

const FINAL: &str = "clone-1-c0000001-final-20260205150000";

#[test]
fn what_cannot_be_judged_stays_recorded_with_its_veto() {
    let broken: fn(&mut Snapshot) =
        |snapshot| snapshot.evidence.insert(Source::Objects(Kind::DbInstance), Evidence::incomplete(Timestamp::MIN, "the watch broke"));
    for (list, edit) in [(Some(CloudList::Snapshots), (|_| {}) as fn(&mut Snapshot)), (None, broken)] {
        let mut scene = Scene::with(instance(|_| {}));
        scene.live(30);
        scene.annotate(names::KEEP, "true");
        scene.lists.extend(list.map(|list| (list, false)));
        scene.edit = edit;
        let plan = scene.look();
        assert_eq!(scene.records.len(), 1, "{list:?}: {:?}", codes(&plan));
        scene.lists.extend(list.map(|list| (list, true)));
        scene.edit = |_| {};
        never_goes(scene, Some("Vetoed"));
    }
}

#[test]
fn a_veto_on_an_object_holds_for_the_database_that_outlives_it() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |_| {}));
    scene.live(30);
    scene.annotate(names::KEEP, "true");
    // Its finalizer is stripped: the database is left, and nobody has said that it may go.
    scene.children.clear();
    let mut scene = never_goes(scene, Some("Vetoed"));
    scene.annotate(names::KEEP, "false");
    assert_eq!(deletes(&scene.live(70)).len(), 1);
}

#[test]
fn an_instance_waits_while_its_cluster_cannot_be_seen() {
    let mut protected = cluster(&[ID]);
    protected["DeletionProtection"] = json!(true);
    let through_ack = |scene: &mut Scene| scene.children.push(object(Kind::DbInstance, |object| object["spec"]["dbClusterIdentifier"] = json!(ID)));
    for by_object in [false, true] {
        let mut scene = Scene::new();
        scene.cloud = vec![writer(|_| {}), protected.clone()];
        if by_object {
            through_ack(&mut scene);
        }
        let mut scene = never_goes(scene, Some("WaitsForCluster"));
        // A new process, whose first sweep of clusters has failed: that none is known is not that there is none.
        scene.cloud.pop();
        scene.lists.insert(CloudList::Clusters, false);
        let mut scene = never_goes(scene, Some("EvidenceMissing"));
        // Nor can an instance be in a cluster that there is not.
        scene.lists.insert(CloudList::Clusters, true);
        never_goes(scene, Some("WaitsForCluster"));
    }
}

#[test]
fn an_aurora_cluster_that_ack_retains_keeps_its_instances() {
    let mut scene = Scene::new();
    scene.cloud = vec![writer(|_| {}), cluster(&[ID])];
    scene.children.push(object(Kind::DbInstance, |object| object["spec"]["dbClusterIdentifier"] = json!(ID)));
    scene.children.push(object(Kind::DbCluster, |object| object["metadata"]["annotations"] = json!({names::ACK_DELETION_POLICY: "retain"})));
    let plan = scene.live(60);
    let kinds: Vec<_> = deletes(&plan).iter().map(|end| end.target.kind()).collect();
    assert_eq!(kinds, ["DBCluster"], "{:?}", codes(&plan));
}

#[test]
fn what_takes_long_to_go_is_remembered_with_its_snapshot() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(60);
    scene.cloud[0]["DBInstanceStatus"] = json!("deleting");
    scene.edit = |snapshot| snapshot.cloud = snapshot.cloud.iter().map(|resource| going(resource, "2026-02-05T15:00:00Z")).collect();
    let plan = scene.live(90);
    assert!(codes(&plan).contains(&"StuckDeleting"), "{:?}", codes(&plan));
    scene.cloud = vec![snapshot_of(FINAL, "db-1", &json!([]))];
    let plan = scene.live(5);
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleted));
    assert!(plan.decisions.iter().any(|decision| decision.tags().is_some()), "{:?}", codes(&plan));
}

#[test]
fn tags_that_vanish_from_what_was_to_go_are_said() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(60);
    scene.cloud[0]["TagList"] = json!([]);
    let plan = scene.live(5);
    assert!(codes(&plan).contains(&"TagsGone"), "{:?}", codes(&plan));
}

#[test]
fn only_what_is_called_like_a_final_snapshot_is_tagged_as_ours() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(60);
    for record in scene.records.values_mut() {
        record["status"]["finalSnapshot"]["id"] = json!("before-the-upgrade");
    }
    scene.cloud = vec![snapshot_of("before-the-upgrade", "db-1", &json!([]))];
    let plan = scene.live(5);
    assert!(plan.decisions.iter().all(|decision| decision.tags().is_none()), "{:?}", codes(&plan));
}

#[test]
fn a_snapshot_that_does_not_say_whose_it_was_is_held() {
    let mut snapshot = snapshot_of(FINAL, "db-1", &ours(FINAL, "2026-02-05T10:00:00Z"));
    snapshot["TagList"].as_array_mut().unwrap().retain(|tag| tag["Key"] != names::TAG_CLONE_UID);
    never_goes(Scene::with(snapshot), Some("Unclaimed"));
}

#[test]
fn a_sweep_counts_once_however_the_watch_goes_on() {
    let mut scene = Scene::with(instance(|_| {}));
    let swept = scene.now;
    scene.edit = |snapshot| snapshot.evidence.insert(Source::Objects(Kind::Clone), Evidence::complete("2026-02-05T13:59:30Z".parse().unwrap()));
    scene.look();
    scene.edit = |_| {};
    scene.now += SignedDuration::from_mins(2);
    let mut snapshot = scene.snapshot();
    for list in CloudList::ALL {
        snapshot.evidence.insert(Source::Cloud(Arc::from(REGION), list), Evidence::complete(swept));
    }
    let plan = plan(&snapshot, &scene.policies, scene.now);
    assert_eq!(about(&plan, ID)[0].course().unwrap().status.observations, 1);
}

#[test]
fn automated_snapshots_come_and_go_by_themselves() {
    let automated = |day: &'static str| {
        (0..12).map(move |number| {
            let mut snapshot = snapshot_of(&format!("rds:theirs-{number}-{day}"), "db-7", &json!([]));
            snapshot["SnapshotType"] = json!("automated");
            snapshot["DBInstanceIdentifier"] = json!(format!("theirs-{number}"));
            snapshot
        })
    };
    let mut scene = Scene::with(instance(|_| {}));
    scene.cloud.extend(automated("monday"));
    scene.live(30);
    // A daemon that was away over night finds none of yesterday's.
    scene.cloud.truncate(1);
    scene.cloud.extend(automated("tuesday"));
    let plan = scene.live(30);
    assert_eq!(deletes(&plan).len(), 1, "{:?}", codes(&plan));
}

#[test]
fn a_restore_that_was_found_out_once_is_remembered() {
    // By AWS, right before it would have gone: an automated backup told of it, which no sweep shows.
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |_| {}));
    let plan = scene.live(60);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    let status = end.course().unwrap().restored("an automated backup is of another resource");
    for record in scene.records.values_mut() {
        record["status"] = serde_json::to_value(&status).unwrap();
    }
    let mut scene = never_goes(scene, Some("Restored"));
    // Nor does the database go once the object is gone that stood for it.
    scene.children.clear();
    never_goes(scene, Some("Restored"));
}

#[test]
fn an_orphan_in_a_region_that_is_not_swept_any_more_is_said() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(30);
    scene.cloud.clear();
    scene.lists.clear();
    let plan = scene.live(60);
    assert!(codes(&plan).contains(&"RegionNotSwept"), "{:?}", codes(&plan));
    assert_eq!((scene.records.len(), scene.phase()), (1, Some(OrphanPhase::Soaking)));
}

#[test]
fn an_object_of_another_account_stays() {
    let theirs = json!({"ackResourceMetadata": {"arn": format!("arn:aws:rds:{REGION}:999999999999:db:{ID}")}});
    let mut scene = Scene::with(snapshot_of("theirs", "db-7", &json!([])));
    scene.children.push(object(Kind::DbInstance, |object| object["status"] = theirs.clone()));
    never_goes(scene, Some("ClaimsForeign"));
}

#[test]
fn another_account_says_nothing_of_ours() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.edit = |snapshot| snapshot.account = Some(Arc::from("123456789012"));
    scene.live(30);
    // The credentials are another account's now, which has nothing of this name.
    scene.edit = |snapshot| {
        snapshot.account = Some(Arc::from("999999999999"));
        snapshot.cloud.clear();
    };
    let plan = scene.live(60);
    assert!(codes(&plan).contains(&"AccountChanged") && scene.records.len() == 1, "{:?}", codes(&plan));
    scene.edit = |snapshot| snapshot.account = Some(Arc::from("123456789012"));
    assert_eq!(deletes(&scene.live(0)).len(), 1);
}

#[test]
fn an_orphan_that_never_goes_does_not_count_against_the_brake_for_ever() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(60);
    assert_eq!(scene.state.brakes.get("production").map(|brake| brake.carried.len()), Some(1));
    let plan = scene.live(30);
    assert_eq!((deletes(&plan).len(), scene.state.brakes.get("production")), (1, None));
}

#[test]
fn of_two_of_one_name_in_two_regions_neither_goes() {
    let mut scene = Scene::with(instance(|_| {}));
    for list in CloudList::ALL {
        // The same evidence, for a region of its own.
        scene.lists.insert(list, true);
    }
    scene.cloud.push(instance(|object| object["DBInstanceArn"] = json!(format!("arn:aws:rds:eu-west-1:123456789012:db:{ID}"))));
    never_goes(scene, Some("Claimed"));
}
