//! What another holder's clock wrote, and what a crash left behind: neither may keep an orphan for ever.

use super::{scene::*, *};
use crate::model::{orphan::OrphanRecord, snapshot::Departure};

#[test]
fn a_look_that_is_dated_ahead_does_not_stop_the_count() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(5);
    let ahead = scene.now + SignedDuration::from_hours(2);
    for record in scene.records.values_mut() {
        record["status"]["lastSeen"] = json!(ahead);
    }
    let before = observations(&scene);
    scene.live(5);
    assert!(observations(&scene) > before, "it waits for a look in the future");
    assert!(!deletes(&scene.live(70)).is_empty());
}

#[test]
fn a_departure_that_is_dated_ahead_is_not_waited_for() {
    let mut scene = Scene::new();
    scene.children.push(object(Kind::Service, |_| {}));
    let departed = |gone| Departure::new(UID, NAMESPACE, gone, gone);
    scene.departed = vec![departed(scene.now)];
    assert!(about(&scene.look(), "wordpress-production/clone-1-db").is_empty(), "its clone went just now: it follows");
    scene.departed = vec![departed(scene.now + SignedDuration::from_hours(2))];
    assert_eq!(about(&scene.look(), "wordpress-production/clone-1-db")[0].action, Action::Mark);
}

#[test]
fn what_named_a_final_snapshot_is_closed_however_its_phase_was_set_back() {
    let mut scene = Scene::with(instance(|_| {}));
    assert_eq!(deletes(&scene.live(70)).len(), 1);
    let snapshot = scene.records.values().next().unwrap()["status"]["finalSnapshot"]["id"].as_str().unwrap().to_owned();
    for record in scene.records.values_mut() {
        record["status"]["phase"] = json!("Soaking");
    }
    scene.cloud = vec![snapshot_of(&snapshot, "db-1", &tags("c1", "clone-1", UID))];
    let plan = scene.look();
    let tagged = plan.decisions.iter().any(|decision| decision.tags().is_some_and(|tags| tags.get(names::TAG_SNAPSHOT) == Some(&snapshot)));
    assert!(tagged, "its final snapshot is forgotten: {:?}", plan.decisions);
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleted));
}

#[test]
fn a_refusal_is_said_until_it_is_over_or_nothing_is_asked_any_more() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(70);
    let words = || Some("AWS: refused (SnapshotQuotaExceeded): too many");
    let at = scene.now;
    let refuse = |scene: &mut Scene| {
        for record in scene.records.values_mut() {
            let mut status: crate::model::orphan::status::OrphanStatus = serde_json::from_value(record["status"].clone()).unwrap();
            assert!(status.refuse(words(), at) && !status.refuse(words(), at), "the same words are no news");
            record["status"] = serde_json::to_value(&status).unwrap();
        }
    };
    refuse(&mut scene);
    scene.look();
    assert_eq!(refusal(&scene).as_deref(), words(), "another look takes it back");
    scene.annotate(names::KEEP, "true");
    scene.look();
    assert_eq!(refusal(&scene), None, "nothing is asked of AWS while somebody keeps it");
}

fn observations(scene: &Scene) -> u64 {
    scene.records.values().next().unwrap()["status"]["observations"].as_u64().unwrap()
}

fn refusal(scene: &Scene) -> Option<String> {
    let record = OrphanRecord::read(scene.records.values().next()?).unwrap();
    record.status?.refusal().map(str::to_owned)
}
