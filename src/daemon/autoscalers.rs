//! The task that looks at autoscalers once a minute, for the metrics.
//!
//! Contract: it stands before nothing. It is no part of the engine, of the store or of a snapshot; a missing right, a missing API and
//! an answer that never comes leave the metrics without these series and everything else as it is.

use crate::{
    export::registry::Metrics,
    model::autoscaler::Autoscaler,
    observe::store::Store,
    policy::Policies,
    ports::{Autoscalers, Clock},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use tracing::debug;

/// How often they are listed: replicas are scaled by the minute.
const EVERY: Duration = Duration::from_secs(60);

/// What the task works with.
pub(crate) struct Looking {
    /// What lists them.
    pub(crate) cluster: Arc<dyn Autoscalers>,
    /// Our clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// For the labels of namespaces.
    pub(crate) store: Arc<Store>,
    /// The policies in force: only what they govern is said.
    pub(crate) policies: watch::Receiver<Arc<Policies>>,
}

impl Looking {
    /// Has them said by the metrics, and looks until it is dropped.
    pub(crate) async fn run(self, metrics: Arc<Metrics>) {
        let Self { cluster, clock, store, policies } = self;
        let seen: Arc<Mutex<Arc<Vec<Autoscaler>>>> = Arc::default();
        let said = Arc::clone(&seen);
        metrics.before_gathering(move |metrics| {
            let all = Arc::clone(&said.lock().unwrap_or_else(PoisonError::into_inner));
            let policies = Arc::clone(&policies.borrow());
            metrics.autoscalers(&all, &policies, &store.namespaces());
        });
        // The metrics keep what they call; they are not ours to keep alive.
        drop(metrics);
        loop {
            let found = cluster.autoscalers().await.unwrap_or_else(|error| {
                debug!(%error, "Autoscalers cannot be listed; the metrics are without them.");
                Vec::new()
            });
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
            clock.sleep(EVERY).await;
        }
    }
}
