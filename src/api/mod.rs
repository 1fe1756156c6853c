//! The HTTP API for services: create a clone, wait until it works, extend it, delete it.
//!
//! ```text
//! service ─TLS─► server (limits, request ids) ─► handlers ─► lifecycle ─► API server, by the caller's token
//! ```
//!
//! Contract:
//! - Nothing is ever asked of the API server for a caller with the daemon's credentials: every call carries the caller's own bearer
//!   token ([`crate::observe::kube::callers`]), so that RBAC, admission and the audit log see the caller. Without a token nothing is
//!   asked at all.
//! - It keeps no state: any replica answers, holder of the lease or not.
//! - An error is a problem (RFC 9457) with a code. What a caller sent or was told, tokens and passwords above all, stands in no log.
//! - What a caller can hold is bounded: connections, requests, waits, bytes, time.

mod body;
mod create;
mod handlers;
mod idempotency;
pub(crate) mod openapi;
mod problem;
mod query;
mod server;
#[cfg(test)]
mod tests;
mod visit;
mod waiting;

pub use openapi::{PATH as DOCUMENT, text as openapi};

use crate::{
    admission::certs::{self, Identities},
    daemon::{engine::Vitals, settings::Api},
    export::registry::Metrics,
    observe::{kube::callers::Callers, store::Store},
    policy::Policies,
    ports::Clock,
};
use std::{net::SocketAddr, sync::Arc};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What the API shares with the rest of the process.
pub struct Shared {
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// What the engine shares.
    pub vitals: Vitals,
    /// The policies in force.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What the handlers work with.
#[derive(Clone)]
struct Desk {
    callers: Callers,
    store: Arc<Store>,
    policies: watch::Receiver<Arc<Policies>>,
    waiting: waiting::Waiting,
    /// Set from when this process is told to end: nobody waits any longer.
    leaving: CancellationToken,
}

/// An API that is open.
pub struct Opened {
    serving: server::Serving,
    certificates: Option<JoinHandle<()>>,
}

/// Opens the API. From `leaving` on nobody waits any longer and no connection is kept; it closes at `stop`.
///
/// # Errors
/// The address cannot be had, or there is no usable configuration for the API server.
pub async fn open(settings: &Api, shared: Shared, leaving: CancellationToken, stop: CancellationToken) -> anyhow::Result<Opened> {
    let Shared { clock, vitals, policies, metrics } = shared;
    let (identities, certificates) = match &settings.certs {
        Some(folder) => {
            let (identities, task) = certs::start(certs::Source::Callers(folder.clone()), clock);
            (Some(identities), Some(task))
        }
        None => (None, None),
    };
    let webhook = Arc::clone(&vitals.certificate);
    let shown = move || -> Option<Identities> { identities.clone().or_else(|| webhook.get().cloned()) };
    let waiting = waiting::Waiting::default();
    let desk = Desk { callers: Callers::connect().await?, store: Arc::clone(&vitals.store), policies, waiting: waiting.clone(), leaving };
    metrics.before_gathering(move |metrics| metrics.service_waits(waiting.count()));
    let server = Arc::new(move || shown()?.borrow().as_ref().map(|identity| Arc::clone(&identity.callers)));
    let serving = server::start(settings.listen, desk, server, metrics, stop)?;
    Ok(Opened { serving, certificates })
}

impl Opened {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Waits until a part of it dies, which only a bug can cause.
    pub async fn ended(&mut self) {
        match &mut self.certificates {
            Some(task) => drop(task.await),
            None => std::future::pending().await,
        }
    }

    /// Waits until what is under way is answered.
    pub async fn close(self) {
        self.serving.end().await;
        if let Some(task) = self.certificates {
            task.abort();
        }
    }
}
