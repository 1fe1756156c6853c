//! The world keeps the API server's promises, and a handle on it breaks them only where it is told to.

use super::{
    clock::SandboxClock,
    cluster::SandboxCluster,
    faults::{Call, Fate, Levels},
    history::{Actor, Verb},
    json,
    platform::Platform,
    world::{Key, World},
};
use crate::{
    model::{Kind, names},
    ports::{ApiError, Cluster, LeaseRecord, Pin, WatchEvent},
};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

fn base() -> Timestamp {
    "2026-02-05T14:30:22.5Z".parse().unwrap()
}

fn key(name: &str) -> Key {
    ("staging".to_owned(), name.to_owned())
}

/// A world with KRO's definition in it, and a handle on it.
fn sandbox() -> SandboxCluster {
    let truth = SandboxClock::new(base());
    let world = Arc::new(Mutex::new(World::new(1, base())));
    let cluster = SandboxCluster::new(world, "one", truth, 1);
    cluster.world().create_definition("wordpress-clone", "c1").unwrap();
    cluster
}

fn born(cluster: &SandboxCluster, name: &str) -> Pin {
    let clone = cluster.world().create_clone("staging", name, json!({"ttlSeconds": 60}), &BTreeMap::new()).unwrap();
    pin(Kind::Clone, &clone)
}

fn pin(kind: Kind, object: &Value) -> Pin {
    let text = |pointer| json::text(object, pointer).to_owned();
    Pin {
        kind,
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        uid: text("/metadata/uid"),
        resource_version: text("/metadata/resourceVersion"),
    }
}

fn settle(cluster: &SandboxCluster, platform: &mut Platform) {
    for _ in 0..20 {
        platform.step(&mut cluster.world());
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_hits_exactly_what_was_pinned_or_nothing() {
    let cluster = sandbox();
    let first = born(&cluster, "a");
    cluster.world().annotate_clone(&key("a"), names::KEEP, Some("true")).unwrap();
    assert!(matches!(cluster.delete(&first).await, Err(ApiError::Conflict(_))), "the version has moved on");
    cluster.world().remove(Kind::Clone, &key("a")).unwrap();
    let second = born(&cluster, "a");
    assert!(matches!(cluster.delete(&first).await, Err(ApiError::Conflict(_))), "a namesake is somebody else");
    cluster.delete(&second).await.unwrap();
    assert_eq!(cluster.delete(&second).await, Err(ApiError::NotFound));
    let world = cluster.world();
    let deletes: Vec<_> = world.history().iter().filter(|write| write.verb == Verb::Delete && write.daemon().is_some()).collect();
    assert_eq!(deletes.len(), 1);
    assert_eq!(deletes[0].pin, Some((second.uid, second.resource_version)));
    assert_eq!(json::text(deletes[0].before.as_ref().unwrap(), "/metadata/creationTimestamp"), "2026-02-05T14:30:22Z");
}

#[tokio::test(start_paused = true)]
async fn annotations_are_pinned_too_and_a_change_of_nothing_is_none() {
    let cluster = sandbox();
    let first = born(&cluster, "a");
    let changes = BTreeMap::from([(names::EXPIRES_AT, Some("x".to_owned())), (names::WARNED, None)]);
    cluster.annotate(&first, &changes).await.unwrap();
    assert!(matches!(cluster.annotate(&first, &changes).await, Err(ApiError::Conflict(_))));
    let present = cluster.get(Kind::Clone, "staging", "a").await.unwrap().unwrap();
    assert_eq!(json::entry(&present, "annotations", names::EXPIRES_AT), Some("x"));
    cluster.annotate(&pin(Kind::Clone, &present), &changes).await.unwrap();
    let again = cluster.get(Kind::Clone, "staging", "a").await.unwrap().unwrap();
    assert_eq!(pin(Kind::Clone, &again), pin(Kind::Clone, &present));
}

#[tokio::test(start_paused = true)]
async fn a_clone_is_expanded_and_taken_down_from_the_last_child_to_the_first() {
    let cluster = sandbox();
    let mut platform = Platform::new(1);
    cluster.world().create_clone("staging", "a", json!({"useDedicatedDatabase": true}), &BTreeMap::new()).unwrap();
    settle(&cluster, &mut platform);
    let clone = cluster.get(Kind::Clone, "staging", "a").await.unwrap().unwrap();
    assert_eq!(json::text(&clone, "/status/state"), "ACTIVE");
    let uid = json::text(&clone, "/metadata/uid");
    for kind in [Kind::Job, Kind::Service, Kind::Ingress, Kind::ConfigMap, Kind::DbInstance] {
        let world = cluster.world();
        let owners: Vec<_> = world.objects(kind).map(|child| json::entry(child, "labels", names::KRO_INSTANCE_ID)).collect();
        assert_eq!(owners, [Some(uid)], "{kind}");
    }
    assert_eq!(json::entry(cluster.world().objects(Kind::Pod).next().unwrap(), "labels", names::CLONE_UID), Some(uid));

    cluster.delete(&pin(Kind::Clone, &clone)).await.unwrap();
    settle(&cluster, &mut platform);
    let world = cluster.world();
    assert!(Kind::CHILDREN.into_iter().chain([Kind::Clone]).all(|kind| world.objects(kind).next().is_none()));
    let mut gone = world.history().iter().filter(|write| write.after.is_none() && write.verb != Verb::Note).map(|write| write.kind.unwrap());
    let order = [Kind::Ingress, Kind::Service, Kind::Pod, Kind::Job, Kind::ConfigMap, Kind::DbInstance, Kind::Clone];
    assert!(order.into_iter().eq(gone.by_ref()));
}

#[tokio::test(start_paused = true)]
async fn without_its_definition_kro_does_nothing_and_goes_on_when_it_is_back() {
    let cluster = sandbox();
    let mut platform = Platform::new(1);
    born(&cluster, "a");
    settle(&cluster, &mut platform);
    cluster.world().remove(Kind::Definition, &(String::new(), "wordpress-clone".to_owned())).unwrap();
    cluster.world().remove(Kind::Clone, &key("a")).unwrap();
    settle(&cluster, &mut platform);
    let hanging = cluster.get(Kind::Clone, "staging", "a").await.unwrap().unwrap();
    assert!(json::terminating(&hanging));
    assert_eq!(json::text(&hanging, "/status/state"), "ACTIVE", "KRO says so to the end");
    cluster.world().create_definition("wordpress-clone", "c1").unwrap();
    settle(&cluster, &mut platform);
    assert_eq!(cluster.get(Kind::Clone, "staging", "a").await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn children_stay_behind_where_the_finalizer_is_stripped() {
    let cluster = sandbox();
    let mut platform = Platform::new(1);
    born(&cluster, "a");
    settle(&cluster, &mut platform);
    cluster.world().remove(Kind::Clone, &key("a")).unwrap();
    cluster.world().strip_finalizers(Kind::Clone, &key("a")).unwrap();
    settle(&cluster, &mut platform);
    assert_eq!(cluster.world().objects(Kind::Clone).count(), 0);
    assert_eq!(cluster.world().objects(Kind::Job).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happens_in_order_and_only_what_is_selected() {
    let cluster = sandbox();
    let page = cluster.list(Kind::Pod, None, true).await.unwrap();
    let mut watch = cluster.watch(Kind::Pod, page.resource_version);
    let pod = |name: &str, labels: Value| json!({"metadata": {"namespace": "staging", "name": name, "labels": labels}});
    let issue = cluster.world().issue(Actor::Person);
    cluster.world().create(&issue, Kind::Pod, pod("foreign", json!({}))).unwrap();
    cluster.world().create(&issue, Kind::Pod, pod("ours", json!({names::CLONE_UID: "u"}))).unwrap();
    let Some(Ok(WatchEvent::Applied(object))) = watch.next().await else { panic!("the pod was not told") };
    assert_eq!(json::text(&object, "/metadata/name"), "ours");
    // A label that goes takes the object out of the selection.
    cluster.world().change(&issue, Kind::Pod, ("staging", "ours"), None, |pod| json::set(pod, &["metadata"], "labels", None)).unwrap();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Deleted(_)))));
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Bookmark(_)))), "an idle watch is alive");
    cluster.world().create(&issue, Kind::Pod, pod("missed", json!({names::CLONE_UID: "u"}))).unwrap();
    cluster.world().compact(Kind::Pod);
    assert_eq!(watch.next().await, Some(Err(ApiError::Expired)));
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_lost_event_is_never_told_but_the_watch_ends_and_a_list_tells() {
    let cluster = sandbox();
    let version = cluster.list(Kind::Clone, None, true).await.unwrap().resource_version;
    cluster.set_faults(Levels { lost: 1_000, ..Levels::NONE });
    let mut watch = cluster.watch(Kind::Clone, version);
    born(&cluster, "a");
    let told: Vec<_> = watch.by_ref().filter(|item| std::future::ready(!matches!(item, Ok(WatchEvent::Bookmark(_))))).collect().await;
    assert_eq!(told, [Err(ApiError::Expired)]);
    assert_eq!(cluster.deafness().iter().map(|deaf| (deaf.kind, deaf.until)).collect::<Vec<_>>(), [(Kind::Clone, None)]);
    assert_eq!(cluster.list(Kind::Clone, None, true).await.unwrap().items.len(), 1);
    assert!(cluster.deafness().iter().all(|deaf| deaf.until.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_late_event_holds_up_those_behind_it() {
    let cluster = sandbox();
    let version = cluster.list(Kind::Clone, None, true).await.unwrap().resource_version;
    cluster.set_faults(Levels { late: 1_000, ..Levels::NONE });
    let mut watch = cluster.watch(Kind::Clone, version);
    born(&cluster, "a");
    born(&cluster, "b");
    let begun = tokio::time::Instant::now();
    for name in ["a", "b"] {
        let Some(Ok(WatchEvent::Applied(object))) = watch.next().await else { panic!("{name} was not told") };
        assert_eq!(json::text(&object, "/metadata/name"), name);
    }
    assert!(begun.elapsed() > Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn pages_are_of_one_moment_and_stale_lists_of_an_earlier_one() {
    let cluster = sandbox();
    for name in ["a", "b", "c", "d"] {
        born(&cluster, name);
    }
    cluster.set_faults(Levels { small_pages: 1_000, ..Levels::NONE });
    let (mut names, mut next) = (Vec::new(), None);
    loop {
        let page = cluster.list(Kind::Clone, next, true).await.unwrap();
        names.extend(page.items.iter().map(|object| json::text(object, "/metadata/name").to_owned()));
        born(&cluster, &format!("later-{}", names.len()));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c", "d"]);
    cluster.set_faults(Levels { stale: 1_000, ..Levels::NONE });
    let all = cluster.world().objects(Kind::Clone).count();
    let stale: Vec<usize> = {
        let mut lengths = Vec::new();
        for _ in 0..20 {
            lengths.push(cluster.list(Kind::Clone, None, false).await.unwrap().items.len());
        }
        lengths
    };
    assert!(stale.iter().any(|length| *length < all), "{stale:?}");
    assert_eq!(cluster.list(Kind::Clone, None, true).await.unwrap().items.len(), all, "a quorum read is never stale");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_vanishes_is_not_found_and_its_watch_ends() {
    let cluster = sandbox();
    born(&cluster, "a");
    let version = cluster.list(Kind::Clone, None, true).await.unwrap().resource_version;
    let mut watch = cluster.watch(Kind::Clone, version.clone());
    let vanishes = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.world().vanish(Kind::Clone, false);
    };
    assert_eq!(tokio::join!(watch.next(), vanishes).0, None);
    assert_eq!(cluster.list(Kind::Clone, None, true).await.unwrap_err(), ApiError::NotFound);
    assert_eq!(cluster.watch(Kind::Clone, version).next().await, Some(Err(ApiError::NotFound)));
    cluster.world().serve(Kind::Clone);
    assert_eq!(cluster.list(Kind::Clone, None, true).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_caller_may_be_told_less_than_what_happened() {
    let cluster = sandbox();
    let (lost, done, late) = (born(&cluster, "a"), born(&cluster, "b"), born(&cluster, "c"));
    let there = |name: &str| cluster.world().get(Kind::Clone, "staging", name).is_some();
    let second = Duration::from_secs(1);
    cluster.script(Call::Delete, Fate::LostRequest(second));
    assert!(matches!(cluster.delete(&lost).await, Err(ApiError::Unavailable(_))));
    assert!(there("a"));
    cluster.script(Call::Delete, Fate::LostAnswer(second));
    assert!(matches!(cluster.delete(&done).await, Err(ApiError::Unavailable(_))));
    assert!(!there("b"));
    cluster.script(Call::Delete, Fate::Straggler(second, second * 5));
    let sent = cluster.world().now();
    assert!(matches!(cluster.delete(&late).await, Err(ApiError::Unavailable(_))));
    assert!(there("c"));
    tokio::time::sleep(second * 10).await;
    assert!(!there("c"));
    let world = cluster.world();
    let write = world.history().last().unwrap();
    assert_eq!((write.issue.at, write.at.duration_since(sent)), (sent, SignedDuration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_no_call_returns_and_another_handle_goes_on() {
    let cluster = sandbox();
    let clone = born(&cluster, "a");
    cluster.crash_after(1, true);
    assert!(cluster.get(Kind::Clone, "staging", "a").await.is_ok());
    let hour = Duration::from_secs(3_600);
    assert!(tokio::time::timeout(hour, cluster.delete(&clone)).await.is_err());
    assert!(tokio::time::timeout(hour, cluster.get(Kind::Clone, "staging", "a")).await.is_err());
    assert!(cluster.crashed());
    assert!(cluster.world().get(Kind::Clone, "staging", "a").is_none(), "it died after the effect");
}

#[tokio::test(start_paused = true)]
async fn state_and_lease_are_written_by_compare_and_swap() {
    let cluster = sandbox();
    let data = |text: &str| BTreeMap::from([("k".to_owned(), text.to_owned())]);
    let first = cluster.write_state("s", data("1"), None).await.unwrap();
    assert!(matches!(cluster.write_state("s", data("2"), None).await, Err(ApiError::Conflict(_))));
    let second = cluster.write_state("s", data("2"), Some(&first.resource_version)).await.unwrap();
    assert!(matches!(cluster.write_state("s", data("3"), Some(&first.resource_version)).await, Err(ApiError::Conflict(_))));
    assert_eq!(cluster.read_state("s").await.unwrap(), Some(second));

    let mine = LeaseRecord { holder: "one".to_owned(), duration: Duration::from_secs(8), ..LeaseRecord::default() };
    let held = cluster.write_lease("l", &mine).await.unwrap();
    assert!(matches!(cluster.write_lease("l", &mine).await, Err(ApiError::Conflict(_))));
    let issue = cluster.world().issue(Actor::Person);
    let now = cluster.world().now();
    assert!(issue.lease.as_ref().unwrap().held_by("one", now));
    assert!(!issue.lease.unwrap().held_by("one", now + SignedDuration::from_secs(8)), "it runs out");
    cluster.write_lease("l", &LeaseRecord { holder: String::new(), ..held }).await.unwrap();
    let changes = cluster.world().history().iter().filter(|write| write.verb == Verb::Lease).count();
    assert_eq!(changes, 2, "taken and given back");
}

#[tokio::test(start_paused = true)]
async fn the_skew_is_known_for_a_minute_after_an_answer_and_follows_a_jump() {
    let cluster = sandbox();
    let truth = || cluster.world().now();
    assert_eq!(cluster.skew(truth()), None);
    cluster.get(Kind::Clone, "staging", "a").await.unwrap();
    let ahead = SignedDuration::from_secs(45);
    // The `Date` has whole seconds.
    assert_eq!(cluster.skew(truth() + ahead), Some(SignedDuration::from_millis(45_500)));
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(cluster.skew(truth()), Some(SignedDuration::from_millis(500)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.skew(truth()), None);
    cluster.set_faults(Levels { no_date: 1_000, ..Levels::NONE });
    cluster.get(Kind::Clone, "staging", "a").await.unwrap();
    assert_eq!(cluster.skew(truth()), None);
}
