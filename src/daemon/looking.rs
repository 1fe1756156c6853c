//! The task that looks at shared database hosts while we hold the lease.

use super::engine::Vitals;
use crate::{
    observe::hosts,
    policy::Policies,
    ports::{Clock, DatabaseHost},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
};

/// How soon a host that did not answer is asked again: a clone may wait for its schema.
const RETRY: Duration = Duration::from_secs(15);

/// What it works with.
pub(super) struct Looking {
    pub(super) hosts: Arc<dyn DatabaseHost>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) vitals: Vitals,
    pub(super) policies: watch::Receiver<Arc<Policies>>,
    /// How often a host is looked at.
    pub(super) every: Duration,
    /// Has all of them looked at now.
    pub(super) asked: Arc<Notify>,
    pub(super) wake: Arc<Notify>,
}

impl Looking {
    /// Runs until the process ends. Policies that will not change any more are no reason to end.
    pub(super) async fn run(self) {
        let mut following = self.policies.clone();
        // By name and address: two names may stand for one host, and each is looked at under its own.
        let mut under_way: BTreeMap<(String, Arc<str>), AbortHandle> = BTreeMap::new();
        let mut all = JoinSet::new();
        let (mut everything, mut slept) = (true, Duration::ZERO);
        loop {
            while all.try_join_next().is_some() {}
            let policies = Arc::clone(&following.borrow_and_update());
            if self.vitals.fence.holds() {
                self.vitals.store.hosts.expect(&policies, self.clock.now());
                under_way.retain(|_, look| !look.is_finished());
                for host in hosts::governed(&policies).filter(|host| everything || self.vitals.store.hosts.lacks(&host.name)) {
                    // One that does not answer keeps none of the others waiting; its own next turn comes when this one has ended.
                    under_way
                        .entry((host.name.clone(), Arc::clone(host.address())))
                        .or_insert_with(|| all.spawn(self.look(host.clone(), policies.end_idle_clones())));
                }
            }
            if everything {
                slept = Duration::ZERO;
            }
            let sleep = RETRY.min(self.every);
            let changed = async {
                if following.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            everything = tokio::select! {
                biased;
                () = self.asked.notified() => true,
                () = changed => true,
                () = self.clock.sleep(sleep) => {
                    slept = slept.saturating_add(sleep);
                    slept >= self.every
                }
            };
        }
    }

    /// `counts`: whether it matters what uses its schemas.
    fn look(&self, host: crate::policy::DatabaseHost, counts: bool) -> impl Future<Output = ()> + Send + use<> {
        let (adapter, clock, vitals, wake, every) =
            (Arc::clone(&self.hosts), Arc::clone(&self.clock), self.vitals.clone(), Arc::clone(&self.wake), self.every);
        async move {
            let (begun, measured) = (clock.now(), vitals.tracer.now());
            let mut found = adapter.look(&host).await;
            if let Some(facts) = found.as_mut().ok().filter(|_| counts) {
                // What keeps this from being read keeps nothing else from being decided.
                facts.usage = hosts::usage_of(adapter.usage(&host).await, clock.now());
            }
            vitals.tracer.happened("look", measured, None, vec![("host", json!(host.name))], found.is_err());
            vitals.store.hosts.take(&host, begun, found, every);
            wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
