//! What must be remembered whatever happens: vetoes, restores, whose a thing is; and that it is not gone because nobody sees it.

use super::{scene::*, ways::writer, *};

/// A veto on an object's Orphan outlives the object, and a sweep that lacks the database once.
#[test]
fn veto_survives_one_short_sweep() {
    let mut scene = vetoed_by_its_object();
    lack_everything_once(&mut scene);
    let plan = scene.live(120);
    assert!(deletes(&plan).is_empty(), "a vetoed database goes: {:?}", codes(&plan));
}

/// The same, where its region was not swept for one restart.
#[test]
fn veto_survives_a_region_that_is_taken_off_for_a_while() {
    let mut scene = vetoed_by_its_object();
    let (cloud, lists) = (std::mem::take(&mut scene.cloud), std::mem::take(&mut scene.lists));
    scene.edit = |snapshot| {
        for list in CloudList::ALL {
            snapshot.evidence.insert(Source::Cloud(Arc::from("eu-west-1"), list), Evidence::complete("2026-02-05T15:05:00Z".parse().unwrap()));
        }
    };
    scene.now = "2026-02-05T15:05:00Z".parse().unwrap();
    scene.look();
    scene.edit = |_| {};
    scene.cloud = cloud;
    scene.lists = lists;
    let plan = scene.live(120);
    assert!(deletes(&plan).is_empty(), "a vetoed database goes: {:?}", codes(&plan));
}

/// Somebody takes a tag off a vetoed database, and puts it back.
#[test]
fn veto_survives_an_edit_of_tags() {
    let mut scene = vetoed_by_its_object();
    let before = scene.cloud[0]["TagList"].clone();
    scene.cloud[0]["TagList"].as_array_mut().unwrap().retain(|tag| tag["Key"] != names::TAG_CLONE_UID);
    scene.live(10);
    scene.cloud[0]["TagList"] = before;
    let plan = scene.live(120);
    assert!(deletes(&plan).is_empty(), "a vetoed database goes: {:?}", codes(&plan));
}

/// A vetoed database gets another name, and its old one again.
#[test]
fn veto_survives_a_rename_and_back() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(30);
    scene.annotate(names::KEEP, "true");
    scene.live(30);
    let before = scene.cloud[0].clone();
    scene.cloud[0]["DBInstanceIdentifier"] = json!("rescue");
    scene.cloud[0]["DBInstanceArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:db:rescue"));
    scene.live(10);
    scene.cloud[0] = before;
    let plan = scene.live(120);
    assert!(deletes(&plan).is_empty(), "a vetoed database goes: {:?}", codes(&plan));
}

/// That a database was restored is not forgotten with the object that stood for it.
#[test]
fn restored_memory_of_an_object_survives_one_short_sweep() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |_| {}));
    let plan = scene.live(60);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    let status = end.course().unwrap().restored("an automated backup is of another resource");
    for record in scene.records.values_mut() {
        record["status"] = serde_json::to_value(&status).unwrap();
    }
    scene.children.clear();
    scene.live(10);
    lack_everything_once(&mut scene);
    let plan = scene.live(120);
    assert!(deletes(&plan).is_empty(), "a restored database goes: {:?}", codes(&plan));
}

/// What was asked to go is not said to be gone because nobody looks there any more.
#[test]
fn not_swept_is_not_gone() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |_| {}));
    scene.live(60);
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleting));
    scene.children.clear();
    scene.cloud.clear();
    scene.lists.clear();
    let plan = scene.look();
    assert_ne!(scene.phase(), Some(OrphanPhase::Deleted), "{:?}", codes(&plan));
}

/// `brake release cluster-id` lets everything else be judged, not the database that was shown to be another cluster's.
#[test]
fn a_release_does_not_give_away_what_is_another_clusters() {
    let mut scene = Scene::with(instance(|object| object["InstanceCreateTime"] = json!("2026-02-05T14:10:00Z")));
    scene.watched_since = Some("2026-02-05T14:00:00Z".parse().unwrap());
    scene.live(30);
    assert!(scene.state.release_source("cluster-id", false));
    let plan = scene.live(90);
    assert!(deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

/// A veto on what would go along may have come since.
#[test]
fn orphans_that_are_not_known_hold() {
    let mut scene = Scene::new();
    scene.cloud = vec![writer(|_| {}), cluster(&[ID])];
    scene.live(55);
    scene.edit = |snapshot| snapshot.evidence.insert(Source::Objects(Kind::Orphan), Evidence::incomplete(Timestamp::MIN, "403"));
    scene.now += SignedDuration::from_mins(5);
    let plan = scene.look();
    assert!(deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

/// A veto can stand on the thing itself, where no `Orphan` and no kind of ours has to be there to remember it.
#[test]
fn what_says_itself_that_it_is_kept_stays() {
    let tag = |key: &str| json!({"Key": names::KEEP, "Value": key});
    for (value, stays) in [("true", true), ("please", true), ("", true), ("false", false)] {
        let mut scene = Scene::with(instance(|object| object["TagList"].as_array_mut().unwrap().push(tag(value))));
        let plan = scene.live(90);
        assert_eq!(deletes(&plan).is_empty(), stays, "{value}: {:?}", codes(&plan));
        assert_eq!(codes(&plan).iter().any(|code| code.contains("Vetoed")), stays, "{value}: {:?}", codes(&plan));
    }
    // Of an object and the database that it stands for, either keeps both.
    for by_tag in [true, false] {
        let mut scene = Scene::with(instance(|object| {
            if by_tag {
                object["TagList"].as_array_mut().unwrap().push(tag("true"));
            }
        }));
        scene.children.push(object(Kind::DbInstance, |object| {
            if !by_tag {
                object["metadata"]["annotations"][names::KEEP] = json!("true");
            }
        }));
        let plan = scene.live(90);
        assert!(deletes(&plan).is_empty(), "{by_tag}: {:?}", codes(&plan));
        // What stood on the object is remembered by its Orphan: a person takes that away.
        scene.children.clear();
        let plan = scene.live(300);
        assert!(deletes(&plan).is_empty(), "{by_tag}: {:?}", codes(&plan));
        scene.records.clear();
        let plan = scene.live(90);
        assert_eq!(deletes(&plan).is_empty(), by_tag, "{by_tag}: {:?}", codes(&plan));
    }
    let mut scene = Scene::with(snapshot_of("clone-1-c0000001-final-20260205150000", "db-1", &{
        let mut tags = ours("clone-1-c0000001-final-20260205150000", "2026-02-05T14:05:00Z");
        tags.as_array_mut().unwrap().push(tag("true"));
        tags
    }));
    let plan = scene.live(120);
    assert!(deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

/// The object's own veto was taken off before the object went: nothing remembers it.
#[test]
fn a_veto_that_was_lifted_is_not_remembered() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |object| object["metadata"]["annotations"][names::KEEP] = json!("true")));
    scene.live(30);
    scene.children = vec![object(Kind::DbInstance, |_| {})];
    let plan = scene.live(120);
    assert!(!deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

/// A keep on a part of a living clone keeps the clone: its end would take the part along, and by no rule of orphans.
#[test]
fn a_keep_on_a_part_keeps_its_clone() {
    let kept = |child: bool, tag: bool| {
        let mut scene = Scene::with(instance(|object| {
            if tag {
                object["TagList"].as_array_mut().unwrap().push(json!({"Key": names::KEEP, "Value": "true"}));
            }
        }));
        scene.children.push(object(Kind::DbInstance, |object| {
            if child {
                object["metadata"]["annotations"][names::KEEP] = json!("true");
            }
        }));
        scene.clones.push(clone_object("clone-1", UID));
        let plan = scene.live(60);
        let kept = plan.decisions.iter().find(|decision| decision.reason.code() == "Kept");
        kept.map(|decision| decision.reason.message(plan.now))
    };
    let [by_object, by_tag, by_nobody] = [kept(true, false), kept(false, true), kept(false, false)].map(Option::unwrap_or_default);
    assert!(by_object.starts_with("is kept by a keep on DBInstance wordpress-production/clone-1-db;"), "{by_object}");
    assert!(by_tag.starts_with("is kept by a keep on DBInstance arn:aws:rds:"), "{by_tag}");
    assert_eq!(by_nobody, "");
}

/// A Job takes its Pods along, and an Aurora cluster its instances.
#[test]
fn what_would_take_a_kept_part_along_stays() {
    let labelled = |kind: Kind, keep: &str| {
        let mut object = json!({
            "metadata": {
                "namespace": NAMESPACE, "name": format!("{kind}"), "uid": format!("{kind}-uid"), "resourceVersion": "5",
                "creationTimestamp": "2026-02-05T10:00:00Z", "annotations": {names::KEEP: keep},
                "labels": {"kro.run/instance-id": UID, "kro.run/instance-kind": "WordPressClone", "clonewarden.io/clone-uid": UID},
            },
        });
        if kind == Kind::Pod {
            object["metadata"]["ownerReferences"] = json!([{"kind": "Job", "controller": true}]);
        }
        (kind, object)
    };
    for (pod, stays) in [("true", true), ("false", false)] {
        let mut scene = Scene::new();
        scene.children = vec![labelled(Kind::Job, "false"), labelled(Kind::Pod, pod)];
        let plan = scene.live(120);
        assert_eq!(deletes(&plan).is_empty(), stays, "{:?}", codes(&plan));
    }
    for keep in ["true", "false"] {
        let mut scene = Scene::new();
        let tag = json!({"Key": names::KEEP, "Value": keep});
        scene.cloud = vec![writer(|object| object["TagList"].as_array_mut().unwrap().push(tag.clone())), cluster(&[ID])];
        let plan = scene.live(120);
        assert_eq!(deletes(&plan).is_empty(), keep == "true", "{:?}", codes(&plan));
    }
}

/// A database that is recorded and loses a tag is held, not forgotten.
#[test]
fn a_lost_uid_tag_is_said() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(30);
    scene.cloud[0]["TagList"].as_array_mut().unwrap().retain(|tag| tag["Key"] != names::TAG_CLONE_UID);
    let plan = scene.live(30);
    assert!(!codes(&plan).is_empty() && !scene.records.is_empty(), "nothing is said: {:?}", codes(&plan));
}

/// A final snapshot that lost the tag of its cluster is held.
#[test]
fn final_snapshot_without_cluster_tag_is_said() {
    let id = "clone-1-c0000001-final-20260205150000";
    let mut snapshot = snapshot_of(id, "db-1", &ours(id, "2026-02-05T10:00:00Z"));
    snapshot["TagList"].as_array_mut().unwrap().retain(|tag| tag["Key"] != names::TAG_CLUSTER);
    let mut scene = Scene::with(snapshot);
    let plan = scene.live(60);
    assert!(!codes(&plan).is_empty(), "nothing is said");
}

/// A definition that does not write the tag of the cluster leaks databases: each is held.
#[test]
fn a_definition_without_the_cluster_tag_is_said() {
    let mut scene = Scene::with(instance(|object| object["TagList"].as_array_mut().unwrap().retain(|tag| tag["Key"] != "Cluster")));
    let plan = scene.live(60);
    assert!(!codes(&plan).is_empty(), "nothing is said");
}

/// A database whose object somebody vetoed; the object is gone since.
fn vetoed_by_its_object() -> Scene {
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |_| {}));
    scene.live(30);
    scene.annotate(names::KEEP, "true");
    scene.children.clear();
    scene.live(30);
    scene
}

/// A sweep that is complete and lacks what is there.
fn lack_everything_once(scene: &mut Scene) {
    let cloud = std::mem::take(&mut scene.cloud);
    scene.now += SignedDuration::from_mins(5);
    scene.look();
    scene.cloud = cloud;
    scene.now += SignedDuration::from_mins(5);
}
