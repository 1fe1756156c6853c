//! The admission webhook: what happens between a person's `create` and the object in etcd.
//!
//! ```text
//! API server ─TLS─► server ─► review ─► does it promise a place?
//!                                        ├ no:  judged here, by any replica
//!                                        └ yes: the holder of the lease ─► reservations (one ledger, one writer) ─► answer
//!                                               forward hands it on there, with mutual TLS
//! ```
//!
//! What is decided is in [`crate::plan::admit`]; here is only how it is asked, remembered and answered.

pub mod certs;
pub(crate) mod door;
pub mod forward;
pub mod ledger;
pub mod reservations;
pub mod review;
pub(crate) mod seal;
pub mod server;
mod traced;

use crate::{
    daemon::{engine::Vitals, settings::Webhook},
    export::registry::Metrics,
    policy::Policies,
    ports::{Clock, Cluster, Vault},
};
use anyhow::Context;
use std::sync::Arc;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What the webhook shares with the rest of the process.
pub struct Shared {
    /// The API server.
    pub cluster: Arc<dyn Cluster>,
    /// The API server, for Secret and webhook configurations.
    pub vault: Arc<dyn Vault>,
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// What the engine shares.
    pub vitals: Vitals,
    /// The policies in force.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Our name in the Lease.
    pub identity: String,
    /// The namespace that we run in.
    pub namespace: String,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// A webhook that is open.
pub struct Admission {
    serving: server::Serving,
    desk: JoinHandle<()>,
    certificates: JoinHandle<()>,
}

/// Opens the webhook. From `leaving` on no connection is kept for another review; it closes at `stop`.
///
/// # Errors
/// When the address cannot be had, or a name of the certificate is none.
pub fn open(webhook: &Webhook, shared: Shared, leaving: CancellationToken, stop: CancellationToken) -> anyhow::Result<Admission> {
    let Shared { cluster, vault, clock, vitals, policies, identity, namespace, metrics } = shared;
    let source = match &webhook.certs {
        Some(folder) => certs::Source::Folder(folder.clone()),
        None => {
            let keeper = Arc::clone(&vitals.keeper);
            certs::Source::Own(certs::Own {
                vault,
                fence: vitals.fence.clone(),
                allowed: Arc::new(move || keeper.allows_writes()),
                names: certs::Names::new(&namespace, &webhook.names).context("--webhook-names")?,
                configuration: webhook.configuration.clone(),
            })
        }
    };
    let (identities, certificates) = certs::start(source, clock);
    // Nothing is ever in it before: a process has one webhook.
    let _ = vitals.certificate.set(identities.clone());
    let tools = reservations::Tools {
        cluster,
        fence: vitals.fence.clone(),
        store: Arc::clone(&vitals.store),
        policies: policies.clone(),
        identity,
        random: reservations::random,
        keys: Arc::clone(&vitals.keys),
    };
    let (desk, clerk) = reservations::open(tools);
    let (shown, promised) = (identities.clone(), desk.clone());
    metrics.before_gathering(move |metrics| {
        metrics.certificate_expires(shown.borrow().as_ref().map(|identity| identity.not_after));
        metrics.reservations(promised.promised());
    });
    let office = server::Office {
        desk,
        fence: vitals.fence,
        leader: vitals.leader,
        store: vitals.store,
        policies,
        identity: identities,
        forwarder: Arc::default(),
        metrics,
        keys: vitals.keys,
        tracer: vitals.tracer,
        leaving,
    };
    let serving = server::start(webhook.listen, office, stop)?;
    Ok(Admission { serving, desk: clerk, certificates })
}

impl Admission {
    /// Waits until a part of it dies, which only a bug can cause.
    pub async fn ended(&mut self) {
        tokio::select! {
            _ = &mut self.desk => {}
            _ = &mut self.certificates => {}
        }
    }

    /// Waits until the reviews that are under way are answered.
    pub async fn close(self) {
        self.serving.end().await;
        self.desk.abort();
        self.certificates.abort();
    }
}
