//! ACK between a cluster and AWS, and the handle by which a daemon looks at AWS.

use super::*;

struct Site {
    cluster: SandboxCluster,
    cloud: SandboxCloud,
    platform: Platform,
}

fn site() -> Site {
    let truth = SandboxClock::new(base());
    let cluster = SandboxCluster::new(Arc::new(Mutex::new(world())), "one", truth.clone(), 1);
    cluster.world().create_definition("wordpress-clone", "c1").unwrap();
    let cloud = SandboxCloud::new(&cluster, Arc::new(truth), &[REGION], 1);
    Site { cluster, cloud, platform: Platform::new(1) }
}

impl Site {
    async fn settle(&mut self) {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.platform.step(&mut self.cluster.world());
        }
    }

    async fn clone(&mut self, spec: Value) -> String {
        let clone = self.cluster.world().create_clone("staging", "a", spec, &BTreeMap::new()).unwrap();
        self.settle().await;
        names::database_identifier("a", json::text(&clone, "/metadata/uid"))
    }

    fn ids(&self, list: CloudList) -> Vec<String> {
        self.cluster.world().aws.things().filter(|thing| thing.seen.list == list).map(|thing| thing.seen.id.clone()).collect()
    }

    async fn swept(&self, list: CloudList) -> Result<Vec<CloudResource>, CloudError> {
        self.cloud.sweep(&Arc::from(REGION)).await.lists.remove(&list).unwrap()
    }
}

fn object(name: &str) -> Key {
    ("staging".to_owned(), name.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_clone_gets_its_database_and_takes_it_along() {
    for (spec, instances, clusters) in [
        (json!({"useDedicatedDatabase": true}), 1, 0),
        (json!({"useDedicatedDatabase": true, "serverless": {"minACU": 0.5, "maxACU": 2}}), 1, 1),
        (json!({}), 0, 0),
    ] {
        let mut site = site();
        let id = site.clone(spec.clone()).await;
        let clone = site.cluster.world().get(Kind::Clone, "staging", "a").cloned().unwrap();
        assert_eq!(json::text(&clone, "/status/state"), "ACTIVE", "{spec}");
        let (found, in_clusters) = (site.swept(INSTANCES).await.unwrap(), site.swept(CLUSTERS).await.unwrap());
        assert_eq!((found.len(), in_clusters.len()), (instances, clusters), "{spec}");
        for seen in found.iter().chain(&in_clusters) {
            assert_eq!(seen.id, id);
            let expected = [Some("a"), Some(json::text(&clone, "/metadata/uid")), Some("staging"), Some("c1")];
            assert_eq!([names::TAG_CLONE_ID, names::TAG_CLONE_UID, names::TAG_NAMESPACE, names::TAG_CLUSTER].map(|tag| seen.tag(tag)), expected);
        }
        site.cluster.world().remove(Kind::Clone, &object("a")).unwrap();
        site.settle().await;
        assert!(site.cluster.world().get(Kind::Clone, "staging", "a").is_none(), "{spec}");
        assert_eq!(site.cluster.world().aws.things().count(), 0, "{spec}");
    }
}

#[tokio::test(start_paused = true)]
async fn ack_forgets_a_database_that_aws_still_deletes() {
    let mut site = site();
    let id = site.clone(json!({"useDedicatedDatabase": true})).await;
    site.cluster.world().aws.set_pace(Pace { deleting: (600, 600), ..Pace::PROMPT });
    site.cluster.world().remove(Kind::DbInstance, &object("a-db")).unwrap();
    // Without KRO, which would make it again at once.
    site.cluster.world().remove(Kind::Definition, &(String::new(), "wordpress-clone".to_owned())).unwrap();
    site.settle().await;
    assert_eq!(site.cluster.world().objects(Kind::DbInstance).count(), 0);
    assert_eq!(status(&site.cluster.world().aws, INSTANCES, &id), "deleting");
}

#[tokio::test(start_paused = true)]
async fn ack_obeys_its_annotations_and_gives_up_at_protection() {
    type Set = fn(&mut Value);
    let annotate = |object: &mut Value, key: &str, value: &str| json::set(object, &["metadata", "annotations"], key, Some(value.into()));
    let cases: [(Set, &[&str], bool); 4] = [
        (|object| json::set(object, &["metadata", "annotations"], names::ACK_DELETION_POLICY, Some("retain".into())), &[], true),
        (|object| json::set(object, &["metadata", "annotations"], names::ACK_READ_ONLY, Some("true".into())), &[], true),
        (|_| {}, &[], false),
        (|object| json::set(object, &["metadata", "annotations"], names::ACK_SKIP_SNAPSHOT, Some("false".into())), &["last"], false),
    ];
    for (index, (set, snapshots, stays)) in cases.into_iter().enumerate() {
        let mut site = site();
        let id = site.clone(json!({"useDedicatedDatabase": true})).await;
        {
            let mut world = site.cluster.world();
            world.remove(Kind::Definition, &(String::new(), "wordpress-clone".to_owned())).unwrap();
            let issue = world.issue(Actor::Person);
            let change = |object: &mut Value| {
                annotate(object, names::ACK_FINAL_SNAPSHOT, "last");
                set(object);
            };
            world.change(&issue, Kind::DbInstance, ("staging", "a-db"), None, change).unwrap();
            world.remove(Kind::DbInstance, &object("a-db")).unwrap();
        }
        site.settle().await;
        assert_eq!(site.cluster.world().objects(Kind::DbInstance).count(), 0, "case {index}");
        assert_eq!(!site.ids(INSTANCES).is_empty(), stays, "case {index}: {id}");
        assert_eq!(site.ids(SNAPSHOTS), snapshots, "case {index}");
    }
    let mut site = site();
    let id = site.clone(json!({"useDedicatedDatabase": true})).await;
    site.cluster.world().set_protection((REGION, INSTANCES, &id), true).unwrap();
    site.cluster.world().remove(Kind::Clone, &object("a")).unwrap();
    site.settle().await;
    site.cluster.world().set_protection((REGION, INSTANCES, &id), false).unwrap();
    site.settle().await;
    let hanging = site.cluster.world().get(Kind::DbInstance, "staging", "a-db").cloned().unwrap();
    assert_eq!(hanging["status"]["conditions"][0]["type"], "ACK.Terminal");
    assert_eq!(site.ids(INSTANCES), [id], "it never tries again");
}

#[tokio::test(start_paused = true)]
async fn ack_makes_anew_what_was_deleted_in_aws_and_forgets_what_was_renamed() {
    let mut site = site();
    let id = site.clone(json!({"useDedicatedDatabase": true})).await;
    let first = site.cluster.world().aws.get(REGION, INSTANCES, &id).cloned().unwrap();
    site.cluster.world().delete_in_aws((REGION, INSTANCES, &id), Farewell::Nothing).unwrap();
    site.settle().await;
    let second = site.cluster.world().aws.get(REGION, INSTANCES, &id).cloned().unwrap();
    assert_ne!(first.seen.resource_id, second.seen.resource_id);
    {
        let mut world = site.cluster.world();
        let issue = world.issue(Actor::Person);
        let rename = |object: &mut Value| json::set(object, &["spec"], "dbInstanceIdentifier", Some("other".into()));
        world.change(&issue, Kind::DbInstance, ("staging", "a-db"), None, rename).unwrap();
    }
    site.settle().await;
    assert_eq!(site.ids(INSTANCES), [id, "other".to_owned()], "the old one is nobody's");
    let object = site.cluster.world().get(Kind::DbInstance, "staging", "a-db").cloned().unwrap();
    assert!(json::text(&object, "/status/ackResourceMetadata/arn").ends_with(":other"));
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_is_lost_leaves_a_database_that_ack_does_not_know() {
    let mut site = site();
    site.platform.ack.loses_creations = 1_000;
    let id = site.clone(json!({"useDedicatedDatabase": true})).await;
    site.cluster.world().remove(Kind::Clone, &object("a")).unwrap();
    site.settle().await;
    assert_eq!(site.cluster.world().objects(Kind::DbInstance).count(), 0);
    assert_eq!(site.ids(INSTANCES), [id]);
}

#[tokio::test(start_paused = true)]
async fn ack_takes_tags_away_that_it_does_not_know() {
    let mut site = site();
    let id = site.clone(json!({"useDedicatedDatabase": true})).await;
    let seen = site.cloud.describe(INSTANCES, REGION, &id).await.unwrap().unwrap();
    site.cloud.tag(&seen, &BTreeMap::from([("mine".to_owned(), "1".to_owned())])).await.unwrap();
    assert_eq!(site.cloud.describe(INSTANCES, REGION, &id).await.unwrap().unwrap().tag("mine"), Some("1"));
    site.settle().await;
    assert_eq!(site.cloud.describe(INSTANCES, REGION, &id).await.unwrap().unwrap(), seen);
}

#[tokio::test(start_paused = true)]
async fn the_caller_may_be_told_less_than_what_happened_in_aws() {
    let site = site();
    for id in ["a", "b", "c"] {
        make(&mut site.cluster.world(), INSTANCES, order(id)).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    site.cluster.world().aws.set_pace(Pace { deleting: (600, 600), ..Pace::PROMPT });
    let seen = site.swept(INSTANCES).await.unwrap();
    let second = Duration::from_secs(1);
    let fates = [CloudFate::LostRequest(second), CloudFate::LostAnswer(second), CloudFate::Straggler(second, second * 5)];
    for (resource, fate) in seen.iter().zip(fates) {
        site.cloud.script(CloudCall::Delete, fate);
        assert!(matches!(site.cloud.delete(resource, Farewell::Nothing).await, Err(CloudError::Unavailable(_))));
    }
    let states = || ["a", "b", "c"].map(|id| status(&site.cluster.world().aws, INSTANCES, id));
    assert_eq!(states(), ["available", "deleting", "available"]);
    tokio::time::sleep(second * 5).await;
    assert_eq!(states(), ["available", "deleting", "deleting"]);
    let world = site.cluster.world();
    let write = world.aws.history().last().unwrap();
    assert_eq!(write.issue.by, Actor::Daemon(Arc::from("one")));
    assert_eq!(write.at.duration_since(write.issue.at), SignedDuration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn lists_may_lie_in_every_way_and_the_others_still_tell() {
    let site = site();
    for id in ["a", "b", "c", "d"] {
        make(&mut site.cluster.world(), INSTANCES, order(id)).unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let lengths = async |levels: CloudLevels| {
        site.cloud.set_faults(levels);
        let mut lengths = Vec::new();
        for _ in 0..20 {
            lengths.push(site.swept(INSTANCES).await.unwrap().len());
        }
        lengths
    };
    let none = CloudLevels::NONE;
    assert!(lengths(CloudLevels { stale: 1_000, ..none }).await.iter().any(|length| *length < 4));
    assert!(lengths(CloudLevels { without_newest: 1_000, ..none }).await.iter().all(|length| *length == 3));
    assert!(lengths(CloudLevels { short: 1_000, ..none }).await.iter().any(|length| *length < 3));
    site.cloud.set_faults(CloudLevels { untagged: 1_000, ..none });
    assert!(site.swept(INSTANCES).await.unwrap().iter().any(|seen| seen.tags == Some(BTreeMap::new())));
    site.cloud.set_faults(none);
    let broken = CloudError::NotWhole("cut".to_owned());
    site.cloud.script(CloudCall::List(CLUSTERS), CloudFate::Refused(broken.clone()));
    let sweep = site.cloud.sweep(&Arc::from(REGION)).await;
    assert_eq!(sweep.lists[&CLUSTERS], Err(broken));
    assert_eq!(sweep.lists[&INSTANCES].as_ref().map(Vec::len), Ok(4));
}

#[tokio::test(start_paused = true)]
async fn a_process_dies_on_its_way_to_aws_as_anywhere() {
    for effect in [false, true] {
        let site = site();
        make(&mut site.cluster.world(), INSTANCES, order("a")).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let seen = site.cloud.describe(INSTANCES, REGION, "a").await.unwrap().unwrap();
        site.cluster.world().aws.set_pace(Pace { deleting: (600, 600), ..Pace::PROMPT });
        site.cluster.crash_after(1, effect);
        assert!(site.cloud.kin(INSTANCES, REGION, "a").await.is_ok());
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour / 60, site.cloud.delete(&seen, Farewell::Nothing)).await.is_err());
        assert!(site.cluster.crashed());
        assert_eq!(status(&site.cluster.world().aws, INSTANCES, "a") == "deleting", effect);
        assert!(tokio::time::timeout(hour, site.cloud.sweep(&Arc::from(REGION))).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn aws_tells_the_time_by_its_answers() {
    let site = site();
    let now = || site.cluster.world().now();
    assert_eq!(site.cloud.skew(now()), None);
    site.cloud.kin(INSTANCES, REGION, "a").await.unwrap();
    assert_eq!(site.cloud.skew(now() + SignedDuration::from_secs(45)), Some(SignedDuration::from_millis(45_000)));
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(site.cloud.skew(now()), None);
}
