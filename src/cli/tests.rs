//! What the commands do to a live cluster, and what they make of one that answers badly.

use super::{live, pause};
use crate::{
    act::state,
    model::{Kind, Source, State},
    ports::{ApiError, Cluster},
    sandbox::{
        clock::SandboxClock,
        cluster::SandboxCluster,
        faults::{Call, Fate},
        world::World,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

fn base() -> Timestamp {
    "2026-02-05T14:30:22Z".parse().unwrap()
}

/// A cluster with one clone, before any daemon has run in it.
fn without_daemon() -> SandboxCluster {
    let world = Arc::new(Mutex::new(World::new(1, base())));
    let cluster = SandboxCluster::new(world, "person", SandboxClock::new(base()), 1);
    cluster.world().create_clone("staging", "clone-1", json!({"ttlSeconds": 60}), &BTreeMap::new()).unwrap();
    cluster
}

/// The same, and a daemon keeps its state there.
async fn sandbox() -> SandboxCluster {
    let cluster = without_daemon();
    state::save(&cluster, &State::default(), None).await.unwrap();
    cluster
}

async fn paused(cluster: &SandboxCluster) -> Option<String> {
    state::load(cluster).await.unwrap().state.paused.map(|pause| pause.reason)
}

#[tokio::test(start_paused = true)]
async fn a_pause_stands_until_it_is_lifted_and_the_first_reason_stays() {
    let cluster = sandbox().await;
    assert!(pause::set(&cluster, "migration", "anna", base()).await.unwrap().contains("since 2026-02-05T14:30:22Z by anna: migration"));
    assert!(pause::set(&cluster, "me too", "bert", base()).await.unwrap().starts_with("already paused"));
    assert_eq!(paused(&cluster).await.as_deref(), Some("migration"));
    assert!(pause::lift(&cluster, "bert", base()).await.unwrap().contains("migration"));
    assert_eq!(paused(&cluster).await, None);
    assert!(pause::lift(&cluster, "bert", base()).await.unwrap().starts_with("not paused"));
}

#[tokio::test(start_paused = true)]
async fn a_pause_where_no_daemon_looks_is_refused() {
    let cluster = without_daemon();
    let failure = pause::set(&cluster, "migration", "", base()).await.unwrap_err();
    assert_eq!(failure.code, 2);
    assert!(failure.to_string().contains("--namespace"), "{failure}");
    assert_eq!(paused(&cluster).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_pause_gets_through_where_the_daemon_writes_in_between() {
    let cluster = sandbox().await;
    cluster.script(Call::WriteState, Fate::Refused(ApiError::Conflict("somebody was faster".to_owned())));
    pause::set(&cluster, "migration", "", base()).await.unwrap();
    assert_eq!(paused(&cluster).await.as_deref(), Some("migration"));
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_is_looked_at_again() {
    for fate in [Fate::LostAnswer(Duration::from_secs(5)), Fate::LostRequest(Duration::from_secs(5))] {
        let cluster = sandbox().await;
        cluster.script(Call::WriteState, fate);
        assert!(pause::set(&cluster, "migration", "", base()).await.unwrap().starts_with("paused"));
        assert_eq!(paused(&cluster).await.as_deref(), Some("migration"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_is_told_so() {
    let cluster = sandbox().await;
    cluster.script(Call::WriteState, Fate::Refused(ApiError::Forbidden("no".to_owned())));
    let failure = pause::set(&cluster, "migration", "", base()).await.unwrap_err();
    assert_eq!(failure.code, 1);
    assert!(failure.to_string().contains("forbidden: no"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_look_sees_every_kind_and_says_what_is_not_served() {
    let cluster = sandbox().await;
    cluster.world().vanish(Kind::DbInstance, true);
    let snapshot = live::look(&cluster, Some("c1"), base()).await.unwrap();
    assert_eq!(snapshot.clones.len(), 1);
    assert_eq!(snapshot.cluster_id.as_deref(), Some("c1"));
    for kind in Kind::ALL {
        let evidence = snapshot.evidence.of(kind).unwrap();
        assert_eq!(evidence.complete, kind != Kind::DbInstance, "{kind}");
        assert_eq!(evidence.absent, kind == Kind::DbInstance, "{kind}");
    }
    assert!(snapshot.evidence.get(&Source::Time).unwrap().complete);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_listed_is_incomplete_and_the_rest_is_used() {
    let cluster = sandbox().await;
    // The kinds are asked for in their order: the clones come first.
    cluster.script(Call::List, Fate::Refused(ApiError::Forbidden("no".to_owned())));
    let snapshot = live::look(&cluster, None, base()).await.unwrap();
    let evidence = snapshot.evidence.of(Kind::Clone).unwrap();
    assert!(!evidence.complete && !evidence.absent, "{evidence:?}");
    assert!(snapshot.evidence.of(Kind::Job).unwrap().complete);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_cut_is_begun_anew() {
    let cluster = sandbox().await;
    cluster.script(Call::List, Fate::Refused(ApiError::Expired));
    assert_eq!(live::list(&cluster, Kind::Clone).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_no_evidence() {
    let cluster = sandbox().await;
    let ahead = base() + SignedDuration::from_secs(31);
    let snapshot = live::look(&cluster, None, ahead).await.unwrap();
    assert!(!snapshot.evidence.get(&Source::Time).unwrap().complete);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_read_is_a_failure() {
    let cluster = without_daemon();
    cluster.write_state(state::NAME, BTreeMap::from([(state::KEY.to_owned(), "{".to_owned())]), None).await.unwrap();
    let failure = live::look(&cluster, None, base()).await.unwrap_err();
    assert!(failure.to_string().contains("does not parse"), "{failure}");
}
