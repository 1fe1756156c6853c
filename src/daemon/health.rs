//! What `/healthz` and `/readyz` answer, and why not.
//!
//! *Healthy* means that the loop turns; where it does not, only a restart helps. A cluster that does not answer is no such
//! reason: the daemon then holds everything and waits. *Ready* means that the caches are filled and the state is known, whether
//! this process holds the lease or not.

use super::{engine::Vitals, warden::Watcher};
use crate::{act::executor::Round, model::Snapshot, plan::Plan};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long ago the loop may have turned last. It turns at least once a minute.
pub const SILENCE: Duration = Duration::from_mins(3);
/// How long the first turn may take: the first lists of a large cluster, or an API server that is not there yet.
pub const START: Duration = Duration::from_mins(5);

/// An answer: whether it is yes, and a short text that says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 if so, 503 if not.
    pub good: bool,
    /// One line, or a few.
    pub text: String,
}

/// Knows whether this process is healthy and ready. All times are monotonic.
pub struct Health {
    vitals: Vitals,
    started: Instant,
    turned: Mutex<Option<Instant>>,
}

impl Health {
    /// The health of a process that starts now. Policies are loaded before anything starts; they are no part of it.
    #[must_use]
    pub fn new(vitals: Vitals) -> Self {
        Self { vitals, started: Instant::now(), turned: Mutex::new(None) }
    }

    /// The loop has turned.
    pub fn beat(&self) {
        *self.turned() = Some(Instant::now());
    }

    fn turned(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.turned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the loop is alive.
    #[must_use]
    pub fn healthy(&self) -> Answer {
        let turned = *self.turned();
        let (since, allowed) = turned.map_or((self.started.elapsed(), START), |turned| (turned.elapsed(), SILENCE));
        let ago = since.as_secs();
        let text = match (turned.is_some(), since <= allowed) {
            (true, true) => format!("ok: the last plan was made {ago} s ago"),
            (false, true) => format!("ok: starting for {ago} s ({})", self.missing().join("; ")),
            (true, false) => format!("no plan was made for {ago} s, although one is due every minute{}", self.because()),
            (false, false) => format!("no plan was made in the {ago} s since the start{}", self.because()),
        };
        Answer { good: since <= allowed, text }
    }

    /// Whether it knows what it needs to plan.
    #[must_use]
    pub fn ready(&self) -> Answer {
        let missing = self.missing();
        if missing.is_empty() {
            let role = if self.vitals.fence.holds() { "holds the lease: it acts" } else { "does not hold the lease: it stands by" };
            // It still plans, by the state as it was; only nothing is carried out.
            // Whoever asks is told, and not everybody may know what the API server said: that is in the log.
            let trouble = if self.vitals.keeper.trouble().is_some() { "; nothing is written meanwhile: the state cannot be read" } else { "" };
            return Answer { good: true, text: format!("ready: this process {role}{trouble}") };
        }
        Answer { good: false, text: format!("not ready: {}", missing.join("; ")) }
    }

    fn because(&self) -> String {
        let missing = self.missing();
        if missing.is_empty() { String::new() } else { format!(": {}", missing.join("; ")) }
    }

    /// What a plan still lacks.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.vitals.store.filled() {
            missing.push("not every kind of object has been listed yet".to_owned());
        }
        if self.vitals.keeper.state().is_none() {
            let why = if self.vitals.keeper.trouble().is_some() { "it cannot be read" } else { "it was not read yet" };
            missing.push(format!("the state is not known: {why}"));
        }
        if self.vitals.certificate.get().is_some_and(|certificate| certificate.borrow().is_none()) {
            // Whoever was sent here would be hung up on.
            missing.push("the webhook has no certificate yet".to_owned());
        }
        missing
    }
}

impl Watcher for Health {
    fn planned(&self, _: &Arc<Snapshot>, _: &Arc<Plan>, _: Option<&Round>, _: Duration) {
        self.beat();
    }
}

/// Several who look on, in this order.
pub struct Watchers(pub Vec<Arc<dyn Watcher>>);

impl Watcher for Watchers {
    fn planned(&self, snapshot: &Arc<Snapshot>, plan: &Arc<Plan>, round: Option<&Round>, took: Duration) {
        for watcher in &self.0 {
            watcher.planned(snapshot, plan, round, took);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        model::{Evidence, Kind},
        ports::{ApiError, Cluster, LeaseRecord, Note, Page, Pin, Stored, WatchEvent},
    };
    use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
    use jiff::{SignedDuration, Timestamp};
    use serde_json::Value;
    use std::collections::BTreeMap;

    /// An API server that knows of no state and answers nothing else.
    struct Mute;

    fn nothing<T: Send + 'static>() -> BoxFuture<'static, Result<T, ApiError>> {
        Box::pin(std::future::ready(Err(ApiError::NotFound)))
    }

    impl Cluster for Mute {
        fn list(&self, _: Kind, _: Option<String>, _: bool) -> BoxFuture<'_, Result<Page, ApiError>> {
            nothing()
        }
        fn watch(&self, _: Kind, _: String) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
            futures::stream::empty().boxed()
        }
        fn get<'a>(&'a self, _: Kind, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<Value>, ApiError>> {
            nothing()
        }
        fn delete<'a>(&'a self, _: &'a Pin) -> BoxFuture<'a, Result<(), ApiError>> {
            nothing()
        }
        fn annotate<'a>(&'a self, _: &'a Pin, _: &'a BTreeMap<&'static str, Option<String>>) -> BoxFuture<'a, Result<(), ApiError>> {
            nothing()
        }
        fn create(&self, _: Kind, _: Value) -> BoxFuture<'_, Result<(), ApiError>> {
            nothing()
        }
        fn set_status<'a>(&'a self, _: &'a Pin, _: &'a Value) -> BoxFuture<'a, Result<(), ApiError>> {
            nothing()
        }
        fn apply<'a>(&'a self, _: Kind, _: &'a Value, _: Option<&'a Pin>) -> BoxFuture<'a, Result<(), ApiError>> {
            nothing()
        }
        fn note<'a>(&'a self, _: &'a Note) -> BoxFuture<'a, Result<(), ApiError>> {
            nothing()
        }
        fn read_state<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Stored>, ApiError>> {
            Box::pin(std::future::ready(Ok(None)))
        }
        fn write_state<'a>(&'a self, _: &'a str, _: BTreeMap<String, String>, _: Option<&'a str>) -> BoxFuture<'a, Result<Stored, ApiError>> {
            nothing()
        }
        fn read_lease<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<LeaseRecord>, ApiError>> {
            nothing()
        }
        fn write_lease<'a>(&'a self, _: &'a str, _: &'a LeaseRecord) -> BoxFuture<'a, Result<LeaseRecord, ApiError>> {
            nothing()
        }
        fn skew(&self, _: Timestamp) -> Option<SignedDuration> {
            None
        }
    }

    /// Gives a process everything that it has to know.
    pub(crate) async fn fill(vitals: &Vitals) {
        for kind in Kind::ALL {
            vitals.store.assess(kind, Evidence::complete(Timestamp::UNIX_EPOCH));
        }
        vitals.keeper.refresh(&Mute).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_may_take_its_time_but_not_for_ever() {
        let health = Health::new(Vitals::default());
        tokio::time::advance(START).await;
        assert!(health.healthy().good);
        tokio::time::advance(Duration::from_secs(1)).await;
        let late = health.healthy();
        assert!(!late.good && late.text.contains("301 s") && late.text.contains("not every kind"), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_not_healthy() {
        let health = Health::new(Vitals::default());
        tokio::time::advance(Duration::from_hours(1)).await;
        health.beat();
        assert!(health.healthy().good, "late is better than never");
        tokio::time::advance(SILENCE).await;
        assert!(health.healthy().good);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!health.healthy().good);
        health.beat();
        assert!(health.healthy().good);
    }

    #[tokio::test]
    async fn ready_says_what_is_missing() {
        let vitals = Vitals::default();
        let health = Health::new(vitals.clone());
        let missing = health.ready();
        assert!(!missing.good && missing.text.contains("listed") && missing.text.contains("state"), "{missing:?}");
        fill(&vitals).await;
        let ready = health.ready();
        assert!(ready.good && ready.text.contains("stands by"), "{ready:?}");
        let mut served = vitals.clone();
        served.certificate = std::sync::Arc::default();
        served.certificate.set(tokio::sync::watch::channel(None).1).unwrap();
        assert!(Health::new(served).ready().text.contains("certificate"));
        let mut holding = vitals;
        holding.fence = crate::daemon::lease::Fence::open();
        assert!(Health::new(holding).ready().text.contains("it acts"));
    }
}
