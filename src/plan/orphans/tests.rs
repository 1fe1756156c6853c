//! What becomes of things that were left behind, look by look: the plan's own `Orphan`s are written back and read again.

mod clocks;
mod memory;
mod scene;
mod signs;
mod snapshots;
mod survives;
mod ways;

use crate::model::{Evidence, Kind, Snapshot, Source, evidence::CloudList, names, orphan::status::OrphanPhase};
use crate::plan::{Action, Plan, Target, plan};
use jiff::{SignedDuration, Timestamp};
use scene::*;
use serde_json::{Value, json};
use std::sync::Arc;

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
    for list in [tags("c2", "clone-1", UID), tags("C1", "clone-1", UID), json!([]), tags("c1", "clone-1", "")] {
        never_goes(Scene::with(instance(|object| object["TagList"] = list.clone())), None);
    }
    // Called as ours are, and without the tag that would prove it.
    for list in [
        json!([{"Key": "CloneId", "Value": "clone-1"}, {"Key": "CloneUid", "Value": UID}, {"Key": "Namespace", "Value": NAMESPACE}]),
        json!([{"Key": "cluster", "Value": "c1"}, {"Key": "CloneId", "Value": "clone-1"}, {"Key": "CloneUid", "Value": UID}]),
    ] {
        never_goes(Scene::with(instance(|object| object["TagList"] = list.clone())), Some("TagsGone"));
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
