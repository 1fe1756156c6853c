//! The product without its shell: mirror, lease, state and loop over any [`Cluster`] and [`Clock`].
//!
//! `clonewarden run` starts it on the real API server; the demo and the fault simulation start the very same thing in memory.

use super::{
    approvals::tell_approvals,
    edit::Edits,
    lease::{self, Elector, Fence, Leader, Standing},
    looking::Looking,
    polling::poll_state,
    warden::{Warden, Watcher},
};
use crate::{
    act::{
        executor::{Executor, Tools},
        journal::Journal,
        keyring::Keyring,
        notify::Notes,
        state::Keeper,
    },
    admission::certs::Identities,
    observe::{mirror::Mirror, store::Store, sweeps::Sweeps},
    plan::Planner,
    policy::Policies,
    ports::{Clock, Cloud, Cluster, DatabaseHost, Secrets},
    traces::Tracer,
};
use jiff::Timestamp;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often every replica reads the key.
const KEY_EVERY: Duration = Duration::from_secs(5);

/// What an engine is started with.
pub struct Engine {
    /// The API server.
    pub cluster: Arc<dyn Cluster>,
    /// AWS.
    pub cloud: Arc<dyn Cloud>,
    /// The shared database hosts.
    pub hosts: Arc<dyn DatabaseHost>,
    /// The API server, for Secrets.
    pub secrets: Arc<dyn Secrets>,
    /// How often AWS is swept, and each shared host looked at.
    pub sweep_every: Duration,
    /// Has AWS swept now: cron does.
    pub sweep: Arc<Notify>,
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// Our name in the Lease; no two processes may share one.
    pub identity: String,
    /// Where other replicas hand reviews on to us while we hold the lease; empty: nowhere.
    pub address: String,
    /// The id of this cluster in AWS tags.
    pub cluster_id: Option<Arc<str>>,
    /// The policies in force.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Makes plans.
    pub planner: Planner,
    /// Wakes the loop: policies, cron and the watches do.
    pub wake: Arc<Notify>,
    /// Where it writes down what it does.
    pub journal: Arc<Journal>,
    /// Who looks on.
    pub watcher: Arc<dyn Watcher>,
    /// What it shares with those who ask about it.
    pub vitals: Vitals,
}

/// What health and metrics ask about.
#[derive(Clone, Default)]
pub struct Vitals {
    /// The watched objects.
    pub store: Arc<Store>,
    /// What the sweeps over AWS have found.
    pub sweeps: Arc<Sweeps>,
    /// The remembered state.
    pub keeper: Arc<Keeper>,
    /// The key that clones' credentials are derived under.
    pub keys: Arc<Keyring>,
    /// Whether we may write.
    pub fence: Fence,
    /// Notes what is done and how long it takes.
    pub(crate) tracer: Tracer,
    /// Where the holder of the lease answers reviews.
    pub leader: Leader,
    /// The certificate of the webhook, if there is a webhook.
    pub certificate: Arc<OnceLock<Identities>>,
    dropped_events: Arc<AtomicU64>,
    beats: Arc<Mutex<BTreeMap<&'static str, Timestamp>>>,
}

impl Vitals {
    /// Those of a process that may write.
    #[cfg(test)]
    pub(super) fn acting() -> Self {
        Self { fence: Fence::open(), ..Self::default() }
    }

    /// When each loop last did its work.
    #[must_use]
    pub fn beats(&self) -> BTreeMap<&'static str, Timestamp> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A loop has done its work.
    pub fn beat(&self, name: &'static str, at: Timestamp) {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).insert(name, at);
    }

    /// How many Events were dropped because too many waited.
    #[must_use]
    pub fn dropped_events(&self) -> u64 {
        self.dropped_events.load(Ordering::Relaxed)
    }
}

/// Why an engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It held the lease and lost it: the process must end, another one acts.
    LeaseLost,
    /// One of its tasks died, which only a bug can cause.
    TaskDied(&'static str),
}

impl Engine {
    /// Runs until it is stopped, loses the lease, or a part of it dies. Stopped, it finishes the writes that are under way
    /// and gives the lease back.
    pub async fn run(self, stop: CancellationToken) -> Ended {
        let Vitals { store, sweeps, keeper, fence, .. } = self.vitals.clone();
        sweeps.expect(self.cloud.regions(), self.clock.now());
        let mut mirror = Mirror::start(&self.cluster, &self.clock, &store, &self.wake);
        let (notes, _notes_task) =
            Notes::start(Arc::clone(&self.cluster), Arc::clone(&self.clock), fence.clone(), Arc::clone(&self.vitals.dropped_events));
        let executor = Executor::new(Tools {
            cluster: Arc::clone(&self.cluster),
            cloud: Arc::clone(&self.cloud),
            hosts: Arc::clone(&self.hosts),
            secrets: Arc::clone(&self.secrets),
            keys: Arc::clone(&self.vitals.keys),
            clock: Arc::clone(&self.clock),
            store: Arc::clone(&store),
            keeper: Arc::clone(&keeper),
            fence: fence.clone(),
            tracer: self.vitals.tracer.clone(),
            policies: self.policies.clone(),
            journal: Arc::clone(&self.journal),
            notes: notes.clone(),
            wake: Arc::clone(&self.wake),
        });
        let warden = Warden {
            cluster: Arc::clone(&self.cluster),
            cloud: Arc::clone(&self.cloud),
            sweeps,
            clock: Arc::clone(&self.clock),
            store,
            keeper: Arc::clone(&keeper),
            keys: Arc::clone(&self.vitals.keys),
            fence: fence.clone(),
            tracer: self.vitals.tracer.clone(),
            executor: Arc::new(executor),
            policies: self.policies.clone(),
            planner: self.planner,
            wake: Arc::clone(&self.wake),
            cluster_id: self.cluster_id,
            watcher: self.watcher,
            journal: Arc::clone(&self.journal),
            notes,
            verdicts: Mutex::new(HashMap::new()),
            unwritten: Mutex::default(),
            edits: Edits::default(),
        };
        let elector = Elector::new(Arc::clone(&self.cluster), Arc::clone(&self.clock), self.identity, fence.clone())
            .at(self.address, self.vitals.leader.clone());
        let drained = CancellationToken::new();
        let looked = Arc::new(Notify::new());
        let leading = Leading {
            elector,
            vitals: self.vitals.clone(),
            wake: Arc::clone(&self.wake),
            sweep: Arc::clone(&self.sweep),
            look: Arc::clone(&looked),
            journal: Arc::clone(&self.journal),
            drained: drained.clone(),
        };
        let mut lease = tokio::spawn(leading.run(Arc::clone(&self.cluster), Arc::clone(&self.clock)));
        let mut polling = tokio::spawn(poll_state(
            Arc::clone(&self.cluster),
            Arc::clone(&self.clock),
            self.vitals.clone(),
            Arc::clone(&self.wake),
            Arc::clone(&self.journal),
        ));
        let mut telling =
            tokio::spawn(tell_approvals(Arc::clone(&self.cluster), Arc::clone(&self.clock), self.vitals.clone(), Arc::clone(&self.journal)));
        let looking = Looking {
            hosts: self.hosts,
            clock: Arc::clone(&self.clock),
            vitals: self.vitals.clone(),
            policies: self.policies,
            every: self.sweep_every,
            asked: looked,
            wake: Arc::clone(&self.wake),
        };
        let mut looking = tokio::spawn(looking.run());
        let mut finding = tokio::spawn(look_for_key(self.secrets, Arc::clone(&self.clock), Arc::clone(&self.vitals.keys), Arc::clone(&self.wake)));
        let sweeping = Sweeping {
            cloud: self.cloud,
            clock: Arc::clone(&self.clock),
            vitals: self.vitals.clone(),
            every: self.sweep_every,
            asked: self.sweep,
            wake: Arc::clone(&self.wake),
        };
        let mut sweeping = tokio::spawn(sweeping.run());
        let told = stop.clone();
        let mut looping = tokio::spawn(async move { warden.run(&told).await });

        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ended::Stopped,
            lost = &mut lease => if matches!(lost, Ok(Standing::Lost)) { Ended::LeaseLost } else { Ended::TaskDied("lease") },
            _ = &mut looping => if stop.is_cancelled() { Ended::Stopped } else { Ended::TaskDied("loop") },
            _ = &mut polling => Ended::TaskDied("state"),
            _ = &mut telling => Ended::TaskDied("approvals"),
            _ = &mut sweeping => Ended::TaskDied("sweeps"),
            _ = &mut looking => Ended::TaskDied("looks"),
            _ = &mut finding => Ended::TaskDied("key"),
            () = mirror.ended() => Ended::TaskDied("mirror"),
        };
        // From here on nothing new is written; what is on the wire is waited for before another may take the lease.
        fence.close();
        if ended == Ended::Stopped {
            if !looping.is_finished() {
                let _ = (&mut looping).await;
            }
            drained.cancel();
            let _ = (&mut lease).await;
        }
        polling.abort();
        telling.abort();
        sweeping.abort();
        looking.abort();
        finding.abort();
        looping.abort();
        lease.abort();
        ended
    }
}

/// The task that holds the lease.
struct Leading {
    elector: Elector,
    vitals: Vitals,
    wake: Arc<Notify>,
    sweep: Arc<Notify>,
    look: Arc<Notify>,
    journal: Arc<Journal>,
    drained: CancellationToken,
}

impl Leading {
    async fn run(mut self, cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>) -> Standing {
        loop {
            match self.elector.attempt().await {
                Standing::Acquired => {
                    // What the last holder remembered must be known before anything is done.
                    self.vitals.keeper.refresh(cluster.as_ref()).await;
                    info!("This process holds the lease: it acts.");
                    self.journal.noted("leaseAcquired", clock.now(), json!({"holder": self.elector.holder()}));
                    // From now on it is waited for.
                    self.vitals.beat("approvals", clock.now());
                    self.elector.open_fence();
                    self.sweep.notify_one();
                    self.look.notify_one();
                    self.wake.notify_one();
                }
                Standing::Held => self.elector.open_fence(),
                Standing::Waiting => {}
                Standing::Lost => {
                    warn!("The lease is lost: this process ends, so that only one acts.");
                    return Standing::Lost;
                }
            }
            self.vitals.beat("lease", clock.now());
            tokio::select! {
                biased;
                () = clock.sleep(lease::RETRY) => {}
                () = self.drained.cancelled() => {
                    self.elector.release().await;
                    return Standing::Waiting;
                }
            }
        }
    }
}

/// The task that sweeps AWS while we hold the lease: others need not pay for it.
struct Sweeping {
    cloud: Arc<dyn Cloud>,
    clock: Arc<dyn Clock>,
    vitals: Vitals,
    every: Duration,
    asked: Arc<Notify>,
    wake: Arc<Notify>,
}

impl Sweeping {
    async fn run(self) {
        if self.cloud.regions().is_empty() {
            return std::future::pending().await;
        }
        let mut under_way: BTreeMap<Arc<str>, AbortHandle> = BTreeMap::new();
        let mut all = JoinSet::new();
        loop {
            while all.try_join_next().is_some() {}
            if self.vitals.fence.holds() {
                self.vitals.sweeps.due(self.cloud.regions(), self.clock.now());
                for region in self.cloud.regions() {
                    // One that does not answer keeps none of the others waiting; its own next turn comes when this one has ended.
                    if under_way.get(region).is_none_or(AbortHandle::is_finished) {
                        under_way.insert(Arc::clone(region), all.spawn(self.sweep(Arc::clone(region))));
                    }
                }
            }
            // The alarm may be late, or there may be none.
            tokio::select! {
                biased;
                () = self.asked.notified() => {}
                () = self.clock.sleep(self.every) => {}
            }
        }
    }
}

impl Sweeping {
    fn sweep(&self, region: Arc<str>) -> impl Future<Output = ()> + Send + use<> {
        let (cloud, sweeps, wake, every) = (Arc::clone(&self.cloud), Arc::clone(&self.vitals.sweeps), Arc::clone(&self.wake), self.every);
        let tracer = self.vitals.tracer.clone();
        async move {
            let begun = tracer.now();
            let found = cloud.sweep(&region).await;
            tracer.happened("sweep", begun, None, vec![("aws.region", json!(region))], false);
            sweeps.take(found, every);
            wake.notify_one();
        }
    }
}

/// Looks regularly whether the key is still what it was: a standby, too, that may have to seal a password the moment it is asked.
async fn look_for_key(secrets: Arc<dyn Secrets>, clock: Arc<dyn Clock>, keys: Arc<Keyring>, wake: Arc<Notify>) {
    loop {
        if keys.refresh(secrets.as_ref()).await {
            wake.notify_one();
        }
        clock.sleep(KEY_EVERY).await;
    }
}

#[cfg(test)]
mod tests;
