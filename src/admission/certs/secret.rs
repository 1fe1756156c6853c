//! Our own Secret: read by every replica, made and renewed by the holder of the lease, who also tells the API server whom to
//! trust (`caBundle`).
//!
//! Contract:
//! - A Secret that is broken or gone changes nothing about what is served. The holder repairs it from what is in use.
//! - Every write is a compare-and-swap on the version that was read, and fence and pause are asked before it. The holder uses
//!   what it wrote only after the API server has taken it: no replica ever serves what the others cannot find.
//! - Nothing is dated by a clock that differs from the API server's: a certificate that begins in the API server's future, or a
//!   CA that is renewed because a clock jumped by years, would cost more than a renewal that waits.

use super::{
    Material, Publisher, Told,
    bundle::Bundle,
    names::Names,
    rotation::{self, Sightings, Step},
    x509,
};
use crate::{
    daemon::lease::Fence,
    ports::{ApiError, Clock, HookBundles, StoredSecret, Vault},
};
use jiff::SignedDuration;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// The name of the Secret, in the daemon's namespace.
pub const SECRET: &str = "clonewarden-webhook";
/// The default name of the MutatingWebhookConfiguration and the ValidatingWebhookConfiguration.
pub const CONFIGURATION: &str = "clonewarden";

/// How often the Secret is read. [`rotation::SETTLED`] counts on it.
const EVERY: Duration = Duration::from_secs(10);
/// How often while there is no certificate yet, or just after a write.
const SOON: Duration = Duration::from_secs(1);
/// How far our clock may be from the API server's for anything to be renewed.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// What is needed to keep the Secret.
pub struct Own {
    /// The API server.
    pub vault: Arc<dyn Vault>,
    /// Whether we may write.
    pub fence: Fence,
    /// Whether writes are allowed: nobody has paused us, as far as is known.
    pub allowed: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The names that the certificate must carry.
    pub names: Names,
    /// The name of the webhook configurations whose `caBundle` is kept.
    pub configuration: String,
}

/// The task that keeps it.
pub(super) struct Custodian {
    own: Own,
    clock: Arc<dyn Clock>,
    publisher: Publisher,
    /// The Secret as it was when the identity in use was read from it.
    used: Option<Bundle>,
    sightings: Sightings,
    started: Instant,
    told: Told,
}

impl Custodian {
    pub(super) fn new(own: Own, clock: Arc<dyn Clock>, publisher: Publisher) -> Self {
        Self { own, clock, publisher, used: None, sightings: Sightings::default(), started: Instant::now(), told: Told::default() }
    }

    pub(super) async fn run(mut self) {
        loop {
            let wrote = self.turn().await;
            let soon = wrote || !self.publisher.has_any();
            self.clock.sleep(if soon { SOON } else { EVERY }).await;
        }
    }

    /// Reads the Secret, and does what is due; whether something was written.
    pub(super) async fn turn(&mut self) -> bool {
        let stored = match self.own.vault.read_secret(SECRET).await {
            Ok(stored) => stored,
            Err(error) => {
                self.sightings.saw_nothing();
                if self.told.news("read", &error.to_string()) {
                    warn!(%error, "The Secret `{SECRET}` cannot be read; the certificate in use stays.");
                }
                return false;
            }
        };
        self.told.over("read");
        if let Some(stored) = &stored {
            self.take(stored);
        }
        if !self.may_write() {
            // Whoever holds the lease next must see for itself for how long a CA has been trusted.
            self.sightings.saw_nothing();
            return false;
        }
        self.tend(stored).await
    }

    fn may_write(&self) -> bool {
        self.own.fence.holds() && (self.own.allowed)()
    }

    /// Uses what the Secret holds, if it is good.
    fn take(&mut self, stored: &StoredSecret) {
        let now = self.clock.now();
        match Material::of(&stored.data).and_then(|material| self.publisher.offer(&material, now)) {
            Ok(identity) => {
                self.told.over("content");
                self.used = Some(Bundle::read(&stored.data, now));
                if let Some(identity) = identity {
                    info!(until = %identity.not_after, fingerprint = %identity.fingerprint, "The certificate of the webhook is in use.");
                }
            }
            Err(flaw) => {
                if self.told.news("content", &flaw.to_string()) {
                    let rest = if self.publisher.has_any() { "the last good certificate stays in use" } else { "there is no certificate" };
                    error!(%flaw, "The Secret `{SECRET}` cannot be used: {rest}, and the holder of the lease repairs it.");
                }
            }
        }
    }

    /// What the holder does: renew, then tell the API server.
    async fn tend(&mut self, stored: Option<StoredSecret>) -> bool {
        let hooks = self.look().await;
        let renewed = self.renew(stored).await;
        let Some(hooks) = hooks else { return renewed };
        self.spread(&hooks).await || renewed
    }

    /// What the API server trusts at present; `None`: nobody knows.
    async fn look(&mut self) -> Option<Vec<HookBundles>> {
        match self.own.vault.ca_bundles(&self.own.configuration).await {
            Ok(hooks) => {
                self.told.over("hooks");
                let trusted: Vec<_> = hooks.iter().flat_map(|hook| &hook.bundles).map(|bundle| ids(bundle)).collect();
                let everywhere = match trusted.split_first() {
                    Some((first, rest)) => first.iter().filter(|id| rest.iter().all(|other| other.contains(*id))).cloned().collect(),
                    // Where nobody asks us, nobody can be let down; only the other replicas need to hear of it.
                    None => self.used.as_ref().map(|used| used.view(&self.own.names).cas.into_iter().map(|ca| ca.id).collect()).unwrap_or_default(),
                };
                self.sightings.saw(&everywhere, self.started.elapsed());
                Some(hooks)
            }
            Err(error) => {
                self.sightings.saw_nothing();
                if self.told.news("hooks", &error.to_string()) {
                    warn!(%error, "The webhook configurations `{}` cannot be read; no new CA signs until they can.", self.own.configuration);
                }
                None
            }
        }
    }

    /// Makes what is due; whether it was written.
    async fn renew(&mut self, stored: Option<StoredSecret>) -> bool {
        let now = self.clock.now();
        if self.own.vault.lead(now).is_none_or(|lead| lead.abs() > SKEW) {
            if self.told.news("clock", "") {
                warn!("This machine's clock differs from the API server's by more than 30 s, or nobody knows: no certificate is renewed.");
            }
            return false;
        }
        self.told.over("clock");
        let (before, version) = stored.map(|stored| (stored.data, stored.resource_version)).unzip();
        let before = before.unwrap_or_default();
        let read = Bundle::read(&before, now);
        let bundle = match &self.used {
            Some(used) => read.clone().completed_by(used),
            None => read.clone(),
        };
        let step = rotation::next(&bundle.view(&self.own.names), &self.sightings.held(self.started.elapsed()), now);
        // Nothing new is due, but a replica that starts now would find less than what is in use.
        let restored = || if read.material() == bundle.material() { None } else { bundle.data() };
        let made = bundle.after(step.clone(), &self.own.names, now).map(|next| next.map_or_else(restored, |next| next.data()));
        let data = match made {
            Ok(Some(data)) => data,
            Ok(None) => return false,
            Err(flaw) => {
                if self.told.news("renew", &flaw.to_string()) {
                    error!(%flaw, "The certificate of the webhook cannot be renewed.");
                }
                return false;
            }
        };
        // What others keep beside it stays.
        let mut whole = before;
        whole.extend(data);
        if !self.may_write() {
            return false;
        }
        match self.own.vault.write_secret(SECRET, whole, version.as_deref()).await {
            Ok(written) => {
                self.told.over("renew");
                info!("{}", done(&step));
                self.take(&written);
                true
            }
            // Somebody was faster: the next turn sees what it is now.
            Err(ApiError::Conflict(_)) => true,
            Err(error) => {
                if self.told.news("renew", &error.to_string()) {
                    error!(%error, "The Secret `{SECRET}` cannot be written; the certificate in use stays until it ends.");
                }
                false
            }
        }
    }

    /// Writes the bundle in use into every `caBundle` that holds something else; whether one was written.
    async fn spread(&mut self, hooks: &[HookBundles]) -> bool {
        let Some(wanted) = self.used.as_ref().and_then(Bundle::material).map(|material| material.ca) else { return false };
        let mut wrote = false;
        for hook in hooks.iter().filter(|hook| hook.bundles.iter().any(|bundle| *bundle != wanted)) {
            if !self.may_write() {
                return wrote;
            }
            match self.own.vault.patch_ca_bundle(hook, &wanted).await {
                Ok(()) => {
                    self.told.over("patch");
                    info!(configuration = %hook.name, kind = hook.kind.name(), "The API server is told which CAs to trust.");
                    wrote = true;
                }
                Err(ApiError::Conflict(_) | ApiError::NotFound) => wrote = true,
                Err(error) => {
                    if self.told.news("patch", &error.to_string()) {
                        error!(%error, configuration = %hook.name, kind = hook.kind.name(), "The `caBundle` cannot be written.");
                    }
                }
            }
        }
        wrote
    }
}

/// The CAs that a `caBundle` holds. One that cannot be read holds none.
fn ids(bundle: &[u8]) -> BTreeSet<String> {
    let certificates = x509::certificates(bundle, "caBundle").unwrap_or_default();
    certificates.iter().map(|certificate| x509::fingerprint(certificate)).collect()
}

fn done(step: &Step) -> &'static str {
    match step {
        Step::Keep => "The Secret is restored from what is in use.",
        Step::IssueServing { .. } => "A new certificate for the webhook is made.",
        Step::NewCa { serving_too: true } => "A CA and a certificate for the webhook are made.",
        Step::NewCa { serving_too: false } => "A new CA is made. It signs as soon as the API server is seen to trust it.",
        Step::Forget { .. } => "A CA that signs nothing any more is no longer trusted.",
    }
}

#[cfg(test)]
mod tests;
