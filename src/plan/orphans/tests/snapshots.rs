//! Final snapshots: ours by their tag, kept until their date, and what their `Orphan`s say of them meanwhile.

use super::{scene::*, *};

#[test]
fn snapshots_go_after_their_own_date() {
    let snapshot = |id: &str, expires: &str| snapshot_of(id, "db-1", &ours("a-final-1", expires));
    let mut scene = Scene::with(snapshot("a-final-1", "2026-02-05T15:00:00Z"));
    assert!(codes(&scene.live(55)).is_empty());
    // Its date has passed: it soaks like any other.
    assert!(deletes(&scene.live(60)).is_empty());
    let plan = scene.live(10);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    assert_eq!((end.target.kind(), end.reason.code()), ("DBSnapshot", "SnapshotExpired"));

    never_goes(Scene::with(snapshot("a-copy", "2026-02-05T10:00:00Z")), None);
    never_goes(Scene::with(snapshot_of("theirs", "db-1", &tags("c1", "clone-1", UID))), None);
    never_goes(Scene::with(snapshot("a-final-1", "next week")), Some("ExpiryUnreadable"));
    let mut scene = Scene::with(snapshot("a-final-1", "2026-02-05T10:00:00Z"));
    scene.cloud.push(instance(|object| object["DbiResourceId"] = json!("db-restored")));
    never_goes(scene, Some("StillNeeded"));
    // A copy in another region may have the same name, but not the tag.
    let mut copy = snapshot("a-final-1", "2026-02-05T10:00:00Z");
    copy["TagList"].as_array_mut().unwrap().push(json!({"Key": names::TAG_REGION, "Value": "eu-west-1"}));
    never_goes(Scene::with(copy), None);
    // One that is called like ours, and of which nothing is known, must not cost money in silence.
    never_goes(Scene::with(snapshot_of("clone-1-c0000001-final-20260205150000", "db-1", &json!([]))), Some("Unclaimed"));
    let mut other = snapshot("a-final-1", "2026-02-05T10:00:00Z");
    other["TagList"][0]["Value"] = json!("c2");
    never_goes(Scene::with(other), None);
}

#[test]
fn a_final_snapshot_is_tagged_as_ours_once_it_is_there() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(60);
    let id = "clone-1-c0000001-final-20260205150000";
    scene.cloud = vec![snapshot_of(id, "db-1", &json!([])), snapshot_of("theirs", "db-1", &json!([]))];
    let plan = scene.live(5);
    let tagged: Vec<_> = plan.decisions.iter().filter_map(|decision| Some((decision.target.display(), decision.tags()?.clone()))).collect();
    let [(of, tags)] = &tagged[..] else { panic!("{tagged:?}") };
    assert_eq!(of, id);
    assert_eq!(tags[names::TAG_SNAPSHOT], id);
    assert_eq!(tags[names::TAG_EXPIRES_AT], "2026-02-12T15:00:00Z");
    assert_eq!((tags[names::TAG_POLICY].as_str(), tags[names::TAG_CLUSTER].as_str()), ("production", "c1"));
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleted));
    // Of another resource it is not ours, whatever it is called.
    scene.cloud = vec![snapshot_of(id, "db-9", &json!([]))];
    assert!(scene.look().decisions.iter().all(|decision| decision.tags().is_none()));
}

#[test]
fn what_is_gone_is_history_for_a_day_and_as_long_as_its_snapshot() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(60);
    scene.cloud =
        vec![snapshot_of("clone-1-c0000001-final-20260205150000", "db-1", &ours("clone-1-c0000001-final-20260205150000", "2026-02-12T15:00:00Z"))];
    scene.live(5);
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleted));
    scene.live(26 * 60);
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleted), "its snapshot is there");
    scene.cloud.clear();
    scene.live(5);
    assert!(scene.records.is_empty());
    // What goes by another hand is unmarked.
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(30);
    scene.cloud.clear();
    scene.live(5);
    assert!(scene.records.is_empty());
    // Tags that vanish prove nothing: it stays recorded, and held.
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(30);
    scene.cloud[0]["TagList"] = json!([]);
    let plan = scene.live(60);
    assert!(codes(&plan).contains(&"TagsGone") && deletes(&plan).is_empty() && scene.records.len() == 1);
}
