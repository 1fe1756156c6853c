//! What is remembered must outlast what cannot be seen: vetoes, restores, and which snapshot was asked for.

use super::*;

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
