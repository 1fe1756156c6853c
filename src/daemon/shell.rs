//! What a process shows of itself while the engine runs: health, readiness, metrics and the page over HTTP.

use super::{
    engine::Vitals,
    health::{Health, Watchers},
    http,
    warden::Watcher,
};
use crate::{
    act::journal::Journal,
    export::registry::Metrics,
    policy::Policies,
    ports::{Clock, Cluster, Reviewer},
    web::{self, Gallery},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A server that listens, with what it shows.
pub struct Shell {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    gallery: Arc<Gallery>,
    serving: JoinHandle<std::io::Result<()>>,
}

/// What a shell looks at.
pub struct Shown {
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// The API server, for how far our clock is from its.
    pub cluster: Arc<dyn Cluster>,
    /// What the engine shares.
    pub vitals: Vitals,
    /// The policies in force.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Whether the policy files as they stand can be loaded.
    pub broken: watch::Receiver<bool>,
    /// The most clones that get a metric of their own.
    pub clone_metrics: usize,
    /// What has been done.
    pub journal: Arc<Journal>,
    /// Who can be asked whether somebody may see the page; `None`: nobody but this machine may.
    pub reviewer: Option<Arc<dyn Reviewer>>,
    /// Even this machine has to show a token for the page.
    pub page_token_always: bool,
}

impl Shell {
    /// Takes the address first, so that a wrong one is an error before anything else starts; then serves until `stop`.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(listen: SocketAddr, shown: Shown, stop: CancellationToken) -> anyhow::Result<Self> {
        let listening = http::listen(listen).await?;
        let address = listening.address();
        let metrics = Arc::new(Metrics::new(Arc::clone(&shown.clock), shown.policies.clone(), shown.clone_metrics)?);
        let health = Arc::new(Health::new(shown.vitals.clone()));
        let gallery = Arc::new(Gallery::new(shown.policies.clone()));
        let page = web::routes(web::Shared {
            clock: Arc::clone(&shown.clock),
            vitals: shown.vitals.clone(),
            broken: shown.broken.clone(),
            journal: Arc::clone(&shown.journal),
            health: Arc::clone(&health),
            gallery: Arc::clone(&gallery),
            reviewer: shown.reviewer.clone(),
            token_always: shown.page_token_always,
            metrics: Arc::clone(&metrics),
        });
        metrics.before_gathering(move |metrics| {
            metrics.leader(shown.vitals.fence.holds());
            metrics.policies_broken(*shown.broken.borrow());
            metrics.clock_skew(shown.cluster.skew(shown.clock.now()));
            metrics.events_dropped(shown.vitals.dropped_events());
            for (name, at) in shown.vitals.beats() {
                metrics.last_success(name, at);
            }
            for (region, at) in shown.vitals.sweeps.successes() {
                metrics.last_success(&format!("sweep/{region}"), at);
            }
            for (host, at) in shown.vitals.store.hosts.successes() {
                metrics.last_success(&format!("look/{host}"), at);
            }
        });
        let pages = http::pages(Arc::clone(&metrics), Arc::clone(&health)).merge(page);
        tracing::info!(%address, "Serving the page, /healthz, /readyz and /metrics.");
        let serving = tokio::spawn(listening.serve(pages, stop));
        Ok(Self { address, metrics, health, gallery, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The metrics, for whoever has more to add.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What has to be told of every plan.
    #[must_use]
    pub fn watcher(&self) -> Arc<dyn Watcher> {
        let metrics: Arc<dyn Watcher> = Arc::<Metrics>::clone(&self.metrics);
        let health: Arc<dyn Watcher> = Arc::<Health>::clone(&self.health);
        let gallery: Arc<dyn Watcher> = Arc::<Gallery>::clone(&self.gallery);
        Arc::new(Watchers(vec![metrics, health, gallery]))
    }

    /// Waits until the answers that are under way are finished.
    pub async fn end(self) {
        let _ = self.serving.await;
    }
}
