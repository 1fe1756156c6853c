//! The ways in which things go: with or without a final snapshot, through an object in the cluster, an Aurora cluster after its
//! instances; and how their `Orphan`s end.

use super::{scene::*, *};
use crate::{
    model::{cloud::CloudResource, snapshot::Departure},
    policy::load_files,
};

#[test]
fn the_farewell_follows_the_state_and_the_policy() {
    let gone = |scene: &mut Scene| {
        let plan = scene.live(60);
        let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
        end.course().unwrap().parting.as_ref().unwrap().snapshot.is_some()
    };
    let mut scene = Scene::with(instance(|_| {}));
    scene.policies = policies("enforce", ", finalSnapshot: false");
    assert!(!gone(&mut scene));
    for (status, code) in
        [("failed", "SnapshotImpossible"), ("incompatible-restore", "SnapshotImpossible"), ("modifying", "Busy"), ("new-state", "Busy")]
    {
        let mut scene = never_goes(Scene::with(instance(|object| object["DBInstanceStatus"] = json!(status))), Some(code));
        // A release is for its own reason alone.
        scene.annotate(names::RELEASE, "Protected");
        let mut scene = never_goes(scene, Some(code));
        scene.annotate(names::RELEASE, "SnapshotImpossible");
        let plan = scene.live(60);
        assert_eq!(deletes(&plan).len(), usize::from(code == "SnapshotImpossible"), "{status}: {:?}", codes(&plan));
    }
    // One that never came up is half-made: it does not wait for ever in silence.
    never_goes(Scene::with(instance(|object| object["DBInstanceStatus"] = json!("creating"))), Some("SnapshotImpossible"));
    // A snapshot of the name that was chosen is there: another name is taken.
    let mut scene = Scene::with(instance(|_| {}));
    scene.live(60);
    scene.cloud.push(snapshot_of("clone-1-c0000001-final-20260205150000", "db-1", &json!([])));
    let plan = scene.live(5);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    let parting = end.course().unwrap().parting.as_ref().unwrap();
    assert_eq!(parting.snapshot.as_deref(), Some("clone-1-c0000001-final-20260205150500"));
}

#[test]
fn what_aws_deletes_already_is_no_orphan_until_it_never_ends() {
    let mut scene = Scene::with(instance(|object| object["DBInstanceStatus"] = json!("deleting")));
    scene.edit = |snapshot| snapshot.cloud = snapshot.cloud.iter().map(|resource| going(resource, "2026-02-05T14:00:00Z")).collect();
    let plan = scene.look();
    assert_eq!((about(&plan, ID)[0].action, about(&plan, ID)[0].reason.code()), (Action::Keep, "Terminating"));
    assert!(scene.records.is_empty());
    let plan = scene.live(60);
    assert!(codes(&plan).contains(&"StuckDeleting") && deletes(&plan).is_empty(), "{:?}", codes(&plan));
}

#[test]
fn a_pod_goes_with_its_job_and_by_itself_only_without_one() {
    let mut scene = Scene::new();
    scene.children.push(object(Kind::Pod, |pod| pod["metadata"]["labels"] = json!({names::CLONE_UID: UID})));
    scene.children.push(object(Kind::Job, |job| job["metadata"]["name"] = json!("clone-1-job")));
    let plan = scene.live(60);
    let kinds: Vec<_> = deletes(&plan).iter().map(|end| end.target.kind()).collect();
    assert_eq!((kinds, codes(&plan).contains(&"GoesWithJob")), (vec!["Job"], true), "{:?}", codes(&plan));
    scene.children.pop();
    let plan = scene.live(5);
    let kinds: Vec<_> = deletes(&plan).iter().map(|end| end.target.kind()).collect();
    assert_eq!(kinds, ["Pod"], "{:?}", codes(&plan));
}

#[test]
fn what_aws_took_by_itself_goes_with_its_database_and_nothing_collapses() {
    let mut scene = Scene::with(instance(|_| {}));
    for number in 0..20 {
        let mut taken = snapshot_of(&format!("rds:theirs-{number}"), "db-9", &json!([]));
        taken["DBInstanceIdentifier"] = json!(format!("theirs-{number}"));
        taken["SnapshotType"] = json!("automated");
        scene.cloud.push(taken);
    }
    scene.live(55);
    scene.cloud.truncate(3);
    let plan = scene.live(5);
    assert_eq!((deletes(&plan).len(), codes(&plan).contains(&"Collapsed")), (1, false), "{:?}", codes(&plan));
}

#[test]
fn the_brake_takes_no_orphan_for_a_clone() {
    let mut scene = Scene::new();
    for number in 0..15 {
        scene.cloud.push(instance(|object| {
            let uid = format!("c{number:07}-0000-4000-8000-000000000001");
            let id = names::database_identifier("clone-1", &uid);
            object["DBInstanceIdentifier"] = json!(id);
            object["DBInstanceArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:db:{id}"));
            object["DbiResourceId"] = json!(format!("db-{number}"));
            object["TagList"] = tags("c1", "clone-1", &uid);
        }));
    }
    // Fifteen are fewer than `brake.deletes`; and of no clones they are no share.
    assert_eq!(deletes(&scene.live(60)).len(), 15);
    let again = scene.live(5);
    assert_eq!(deletes(&again).len(), 15, "{:?}", codes(&again));
}

pub(super) fn going(resource: &Arc<CloudResource>, since: &str) -> Arc<CloudResource> {
    let mut resource = CloudResource::clone(resource);
    resource.going_since = resource.is_going().then(|| since.parse().unwrap());
    Arc::new(resource)
}

pub(super) fn writer(edit: impl Fn(&mut Value)) -> Value {
    instance(|object| {
        object["DBClusterIdentifier"] = json!(ID);
        object["DBInstanceClass"] = json!("db.serverless");
        object["DbiResourceId"] = json!("db-writer");
        edit(object);
    })
}

#[test]
fn an_aurora_cluster_goes_after_its_instances_and_they_only_with_it() {
    let mut scene = Scene::new();
    scene.cloud = vec![writer(|_| {}), cluster(&[ID])];
    let plan = scene.live(60);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    assert_eq!((end.target.kind(), &end.course().unwrap().parting.as_ref().unwrap().snapshot), ("DBInstance", &None));
    assert!(codes(&plan).contains(&"WaitsForMembers"));
    // AWS is at it: now the cluster may go, with the snapshot.
    scene.cloud[0]["DBInstanceStatus"] = json!("deleting");
    let plan = scene.live(5);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    assert_eq!(end.target.kind(), "DBCluster");
    assert!(end.course().unwrap().parting.as_ref().unwrap().snapshot.is_some());

    // A cluster that is held keeps its instances.
    for (edit, code) in [
        ((|cluster: &mut Value| cluster["DeletionProtection"] = json!(true)) as fn(&mut Value), "Protected"),
        (|cluster| cluster["Status"] = json!("failed"), "SnapshotImpossible"),
        (|cluster| cluster["DBClusterMembers"] = json!([{"DBInstanceIdentifier": ID}, {"DBInstanceIdentifier": "a-reader"}]), "MemberNotOurs"),
    ] {
        let mut scene = Scene::new();
        let mut held = cluster(&[ID]);
        edit(&mut held);
        let reader = instance(|object| {
            object["DBInstanceIdentifier"] = json!("a-reader");
            object["DBInstanceArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:db:a-reader"));
            object["DBClusterIdentifier"] = json!(ID);
            object["TagList"] = json!([]);
        });
        scene.cloud = vec![writer(|_| {}), held, reader];
        let scene = never_goes(scene, Some(code));
        never_goes(scene, Some("WaitsForCluster"));
    }
}

#[test]
fn an_object_is_told_of_the_snapshot_before_it_goes() {
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |_| {}));
    let plan = scene.live(60);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    let parting = end.course().unwrap().parting.clone().unwrap();
    assert_eq!((end.target.kind(), parting.tell_ack), ("DBInstance", true));
    assert!(matches!(end.target, Target::Child(_)), "the object is the orphan, the database goes only through it");
    scene.children[0].1["metadata"]["annotations"] = json!({
        names::ACK_SKIP_SNAPSHOT: "false", names::ACK_FINAL_SNAPSHOT: parting.snapshot,
    });
    let plan = scene.live(5);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    let told = end.course().unwrap().parting.clone().unwrap();
    assert_eq!((told.tell_ack, told.snapshot), (false, parting.snapshot));
    // Gone from the cluster, it is not gone before its database is.
    scene.children.clear();
    scene.cloud[0]["DBInstanceStatus"] = json!("deleting");
    scene.live(10);
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleting));
    scene.cloud.clear();
    scene.live(5);
    assert_eq!(scene.phase(), Some(OrphanPhase::Deleted));
}

#[test]
fn an_object_that_stands_for_something_else_stays() {
    let payments = instance(|object| {
        object["DBInstanceIdentifier"] = json!("payments");
        object["DBInstanceArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:db:payments"));
        object["TagList"] = json!([]);
    });
    let renamed = |object: &mut Value| object["spec"]["dbInstanceIdentifier"] = json!("payments");
    for (edit, database, code) in [
        (renamed as fn(&mut Value), payments, "ClaimsForeign"),
        (|_| {}, instance(|object| object["TagList"] = json!([])), "ClaimsForeign"),
        (|_| {}, instance(|object| object["TagList"] = tags("c2", "clone-1", UID)), "ClaimsForeign"),
        (|_| {}, instance(|object| object["DeletionProtection"] = json!(true)), "Protected"),
        (|object| object["spec"]["deletionProtection"] = json!(true), instance(|_| {}), "Protected"),
        (
            |object| object["status"] = json!({"ackResourceMetadata": {"arn": "arn:aws:rds:eu-west-1:123456789012:db:x"}}),
            instance(|_| {}),
            "RegionNotSwept",
        ),
    ] {
        let mut scene = Scene::with(database);
        scene.children.push(object(Kind::DbInstance, edit));
        never_goes(scene, Some(code));
    }
    let mut scene = Scene::with(instance(|_| {}));
    scene.lists.clear();
    scene.cloud.clear();
    scene.children.push(object(Kind::DbInstance, |_| {}));
    never_goes(scene, Some("RegionNotSwept"));
    // Two objects for one database.
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |_| {}));
    scene.children.push(object(Kind::DbInstance, |object| {
        object["metadata"]["name"] = json!("theirs");
        object["metadata"]["uid"] = json!("theirs");
        object["metadata"]["labels"] = json!({});
    }));
    never_goes(scene, Some("Claimed"));
    // ACK retains the database: the object goes, and the database is judged by itself from then on.
    let mut scene = Scene::with(instance(|_| {}));
    scene.children.push(object(Kind::DbInstance, |object| object["metadata"]["annotations"] = json!({names::ACK_DELETION_POLICY: "retain"})));
    let plan = scene.live(60);
    let [end] = deletes(&plan)[..] else { panic!("{:?}", codes(&plan)) };
    assert!(matches!(end.target, Target::Child(_)) && end.course().unwrap().parting.as_ref().unwrap().snapshot.is_none());
}

#[test]
fn children_in_the_cluster_soak_and_go() {
    let mut scene = Scene::new();
    scene.children.push(object(Kind::Job, |_| {}));
    scene.look();
    assert!(deletes(&scene.live(55)).is_empty());
    assert_eq!(deletes(&scene.live(5)).len(), 1);
    // A person's copy of one, and one that was brought from another namespace.
    for edit in [(|object: &mut Value| object["metadata"]["annotations"] = json!({names::LAST_APPLIED: "{}"})) as fn(&mut Value), |object| {
        object["metadata"]["labels"][names::KRO_INSTANCE_NAMESPACE] = json!("elsewhere")
    }] {
        let mut scene = Scene::new();
        scene.children.push(object(Kind::ConfigMap, edit));
        never_goes(scene, Some("CopiedLabels"));
    }
    // Of another kind of KRO's, or of a clone that lives: never.
    let mut scene = Scene::new();
    scene.clones.push(clone_object("clone-1", UID));
    scene.children.push(object(Kind::Job, |_| {}));
    assert!(deletes(&scene.live(200)).is_empty() && scene.records.is_empty());
}

#[test]
fn too_many_orphans_at_once_wait_for_a_person() {
    let mut scene = Scene::new();
    for number in 0..21 {
        let (uid, name) = (format!("d{number:07}-0000-4000-8000-000000000001"), format!("clone-{number}"));
        scene.cloud.push(instance(|object| {
            let id = names::database_identifier(&name, &uid);
            object["DBInstanceArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:db:{id}"));
            object["DBInstanceIdentifier"] = json!(id);
            object["TagList"] = tags("c1", &name, &uid);
        }));
    }
    let plan = scene.live(65);
    assert!(deletes(&plan).is_empty() && codes(&plan).contains(&"BrakeOn"), "{:?}", codes(&plan));
    assert_eq!(scene.state.release_brake("production"), Some(21));
    assert_eq!(deletes(&scene.live(0)).len(), 21);
}

#[test]
fn a_database_of_a_clone_that_never_was_here_shows_that_the_id_is_shared() {
    let mut scene = Scene::with(instance(|object| object["InstanceCreateTime"] = json!("2026-02-05T14:10:00Z")));
    scene.watched_since = Some("2026-02-05T14:00:00Z".parse().unwrap());
    let mut scene = never_goes(scene, Some("ClusterIdShared"));
    // A new process, which watches from now on, knows it too.
    scene.watched_since = Some(scene.now);
    let mut scene = never_goes(scene, Some("ClusterIdShared"));
    // Everything else is judged again from then on.
    assert!(scene.state.release_source("cluster-id", false));
    let other = instance(|object| {
        object["DBInstanceIdentifier"] = json!("clone-2-c0000002");
        object["DBInstanceArn"] = json!(format!("arn:aws:rds:{REGION}:123456789012:db:clone-2-c0000002"));
        object["TagList"] = tags("c1", "clone-2", "c0000002-0000-4000-8000-000000000002");
    });
    scene.cloud.push(other);
    let plan = scene.live(65);
    let gone: Vec<_> = deletes(&plan).iter().map(|end| end.target.display()).collect();
    assert_eq!(gone, ["clone-2-c0000002"], "{:?}", codes(&plan));
    // Its clone was seen to go: then it is ours.
    let mut scene = Scene::with(instance(|object| object["InstanceCreateTime"] = json!("2026-02-05T14:10:00Z")));
    scene.watched_since = Some("2026-02-05T14:00:00Z".parse().unwrap());
    let gone = "2026-02-05T14:00:00Z".parse().unwrap();
    scene.departed = vec![Departure::new(UID, NAMESPACE, gone, gone)];
    assert_eq!(deletes(&scene.live(65)).len(), 1);
}

#[test]
fn the_policy_of_a_namespace_that_is_gone_is_remembered() {
    let selecting = |text: &str| {
        load_files(vec![(
            "p.yaml".to_owned(),
            text.replace("{names: [wordpress-production]}", "{selector: {matchLabels: {tier: clones}}}").into_bytes(),
        )])
        .unwrap()
    };
    let text = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: production}\nspec:\n  mode: enforce\n  \
                namespaces: {names: [wordpress-production]}\n  orphans: {soak: 1h, observations: 3}\n";
    let labelled: fn(&mut Snapshot) =
        |snapshot| drop(snapshot.namespaces.insert(NAMESPACE.to_owned(), [("tier".to_owned(), "clones".to_owned())].into()));
    let mut scene = Scene::with(instance(|_| {}));
    scene.policies = selecting(text);
    scene.edit = labelled;
    scene.live(30);
    scene.edit = |snapshot| snapshot.namespaces.clear();
    assert_eq!(deletes(&scene.live(60)).len(), 1);
    // First seen when the namespace was gone already: no policy is known.
    let mut scene = Scene::with(instance(|_| {}));
    scene.policies = selecting(text);
    scene.edit = |snapshot| snapshot.namespaces.clear();
    never_goes(scene, Some("NoPolicy"));
    // A namespace that is there, and that the policy has let go of, is nobody's.
    let mut scene = Scene::with(instance(|_| {}));
    scene.policies = selecting(text);
    scene.edit = labelled;
    scene.live(30);
    scene.edit = |_| {};
    never_goes(scene, Some("NoPolicy"));
}
