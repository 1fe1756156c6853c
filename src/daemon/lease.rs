//! One writer: a Lease with client-go's semantics, and the fence that every write looks at first.
//!
//! A holder that cannot renew for [`RENEW_DEADLINE`] stops writing by its own monotonic clock; another may take over only
//! [`DURATION`] after *it* last saw the lease change, by *its* monotonic clock. No two machines' clocks are ever compared. A
//! write takes at most three seconds, so that one begun at the last moment is over before somebody else may begin.

use crate::ports::{ApiError, Clock, Cluster, LeaseRecord};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tracing::{info, warn};

/// The name of the Lease.
pub const NAME: &str = "clonewarden";
/// How long a holder that is not heard of keeps the lease.
pub const DURATION: Duration = Duration::from_secs(8);
/// How long a holder that cannot renew goes on writing.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(5);
/// How often the lease is renewed, or asked for.
pub const RETRY: Duration = Duration::from_secs(1);

/// Until when this process may write. Cheap to share and to ask.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<Mutex<Gate>>);

#[derive(Debug, Default)]
struct Gate {
    until: Option<Instant>,
    closed: bool,
}

impl Fence {
    /// A fence that is always open, for a process that needs no lease.
    #[must_use]
    pub fn open() -> Self {
        let far = Instant::now() + Duration::from_secs(86_400 * 365);
        Self(Arc::new(Mutex::new(Gate { until: Some(far), closed: false })))
    }

    /// Whether this process may write now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).until.is_some_and(|until| Instant::now() < until)
    }

    fn set(&self, until: Option<Instant>) {
        let mut gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !gate.closed {
            gate.until = until;
        }
    }

    /// Closes it for good: this process is about to end.
    pub fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Gate { until: None, closed: true };
    }
}

/// Where the holder of the lease answers reviews, as it was last seen. Cheap to share.
#[derive(Debug, Clone, Default)]
pub struct Leader(Arc<Mutex<String>>);

impl Leader {
    /// Its address; `None` while nobody holds the lease, or the holder answers none.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).filter(|address| !address.is_empty())
    }

    fn set(&self, record: &LeaseRecord) {
        let address = if record.holder.is_empty() { "" } else { record.address.as_str() };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != address {
            *known = address.to_owned();
        }
    }
}

/// Follows who holds the lease, for a process that is no candidate any more, for ever.
pub async fn follow(cluster: &dyn Cluster, leader: &Leader) {
    /// Reviews wait for the next holder meanwhile.
    const EVERY: Duration = Duration::from_millis(250);
    loop {
        match cluster.read_lease(NAME).await {
            Ok(found) => leader.set(&found.unwrap_or_default()),
            Err(error) => tracing::debug!(%error, "The lease cannot be read."),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Tries to get and to keep the lease.
pub struct Elector {
    cluster: Arc<dyn Cluster>,
    clock: Arc<dyn Clock>,
    identity: String,
    /// Where this process answers reviews as the holder; empty: it does not.
    address: String,
    /// Who else wants to know where the holder is.
    leader: Leader,
    fence: Fence,
    observed: LeaseRecord,
    observed_at: Instant,
    held_until: Option<Instant>,
    /// What went wrong last: that it still does is no news.
    trouble: Option<ApiError>,
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// We hold it, and did not before.
    Acquired,
    /// We still hold it.
    Held,
    /// Somebody else holds it, or nobody knows.
    Waiting,
    /// We held it and could not renew it in time: the process must end.
    Lost,
}

impl Elector {
    /// A candidate of this name. The fence is open while it holds the lease.
    #[must_use]
    pub fn new(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, identity: String, fence: Fence) -> Self {
        Self {
            cluster,
            clock,
            identity,
            address: String::new(),
            leader: Leader::default(),
            fence,
            observed: LeaseRecord::default(),
            observed_at: Instant::now(),
            held_until: None,
            trouble: None,
        }
    }

    /// The same candidate, which answers reviews at this address while it is the holder, and tells `leader` who that is.
    #[must_use]
    pub fn at(self, address: String, leader: Leader) -> Self {
        Self { address, leader, ..self }
    }

    /// Who holds the lease, as far as it was seen.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.observed.holder
    }

    /// One attempt to get or to renew the lease.
    pub async fn attempt(&mut self) -> Standing {
        let begun = Instant::now();
        match self.try_write().await {
            Ok(true) => {
                self.trouble = None;
                let acquired = self.held_until.is_none();
                // Counted from before the request: the server may have taken it any moment since.
                let until = begun + RENEW_DEADLINE;
                self.held_until = Some(until);
                if acquired { Standing::Acquired } else { Standing::Held }
            }
            Ok(false) if self.held_until.is_some() => {
                warn!(holder = %self.observed.holder, "Somebody else took the lease.");
                self.lose()
            }
            Ok(false) => Standing::Waiting,
            Err(error) => {
                let told = self.trouble.replace(error.clone());
                if told.as_ref() != Some(&error) {
                    warn!(%error, "The lease can be neither read nor written; without it this process only looks on.");
                }
                match self.held_until {
                    Some(until) if Instant::now() >= until => self.lose(),
                    Some(_) => Standing::Held,
                    None => Standing::Waiting,
                }
            }
        }
    }

    /// Opens the fence for as long as the last renewal lasts. A new holder first reads what the last one remembered.
    pub fn open_fence(&self) {
        self.fence.set(self.held_until);
    }

    fn lose(&mut self) -> Standing {
        self.fence.set(None);
        self.held_until = None;
        Standing::Lost
    }

    /// Whether the lease is ours after this attempt.
    async fn try_write(&mut self) -> Result<bool, ApiError> {
        // A holder renews what it wrote last; only where that fails does it look.
        if self.held_until.is_some() {
            match self.write(false).await {
                Ok(()) => return Ok(true),
                Err(ApiError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        match self.cluster.read_lease(NAME).await? {
            // Dated by when the answer is here, so that another's lease is never taken to be older than it is.
            None => self.observe(LeaseRecord::default()),
            Some(found) => self.observe(found),
        }
        let ours = self.observed.holder == self.identity;
        let free = self.observed.holder.is_empty();
        let run_out = self.observed_at.elapsed() >= self.observed.duration.max(DURATION);
        if !ours && !free && !run_out {
            return Ok(false);
        }
        match self.write(!ours).await {
            Ok(()) => Ok(true),
            // Somebody else was faster; the next attempt sees who.
            Err(ApiError::Conflict(_)) if self.held_until.is_none() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn observe(&mut self, found: LeaseRecord) {
        self.leader.set(&found);
        if found != self.observed {
            self.observed = found;
            self.observed_at = Instant::now();
        }
    }

    async fn write(&mut self, taking: bool) -> Result<(), ApiError> {
        let now = self.clock.now();
        let record = LeaseRecord {
            resource_version: self.observed.resource_version.clone(),
            holder: self.identity.clone(),
            duration: DURATION,
            acquired: if taking { Some(now) } else { self.observed.acquired },
            renewed: Some(now),
            address: self.address.clone(),
            transitions: if taking && !self.observed.resource_version.is_empty() {
                self.observed.transitions.saturating_add(1)
            } else {
                self.observed.transitions
            },
        };
        let written = self.cluster.write_lease(NAME, &record).await?;
        self.observe(written);
        Ok(())
    }

    /// Gives the lease back, so that another need not wait for it to run out.
    pub async fn release(&mut self) {
        if self.held_until.is_none() {
            return;
        }
        self.lose();
        let record = LeaseRecord {
            holder: String::new(),
            address: String::new(),
            duration: Duration::from_secs(1),
            renewed: Some(self.clock.now()),
            ..self.observed.clone()
        };
        match self.cluster.write_lease(NAME, &record).await {
            Ok(_) => info!("The lease is released."),
            Err(error) => warn!(%error, "The lease could not be released; it runs out by itself."),
        }
    }
}
