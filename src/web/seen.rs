//! The last plan with what it was made of, kept for whoever looks.
//!
//! Contract: keeping it costs the loop a swap of pointers, however many clones there are. What is shown is made when somebody asks, on
//! another thread.

use crate::{act::executor::Round, daemon::warden::Watcher, model::Snapshot, plan::Plan, policy::Policies};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// A plan and what it was made of.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) plan: Arc<Plan>,
    pub(super) policies: Arc<Policies>,
    /// Tells it from every other of this process.
    pub(super) number: u64,
}

/// Keeps the last plan.
#[derive(Debug)]
pub struct Gallery {
    policies: watch::Receiver<Arc<Policies>>,
    last: Mutex<Option<Arc<Seen>>>,
}

impl Gallery {
    /// One that has seen nothing yet. `policies` are those in force.
    #[must_use]
    pub fn new(policies: watch::Receiver<Arc<Policies>>) -> Self {
        Self { policies, last: Mutex::default() }
    }

    /// The last plan; `None`: there was none yet.
    pub(super) fn last(&self) -> Option<Arc<Seen>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Watcher for Gallery {
    fn planned(&self, snapshot: &Arc<Snapshot>, plan: &Arc<Plan>, _: Option<&Round>, _: Duration) {
        let policies = Arc::clone(&self.policies.borrow());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let number = last.as_ref().map_or(0, |seen| seen.number.saturating_add(1));
        let before = last.replace(Arc::new(Seen { snapshot: Arc::clone(snapshot), plan: Arc::clone(plan), policies, number }));
        drop(last);
        // The one before goes after the lock is free: it may be large.
        drop(before);
    }
}
