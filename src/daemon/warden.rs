//! The loop: something wakes it, it takes one look at the whole world, plans it anew, and carries the plan out.
//!
//! Level-triggered: a wake carries no information. A restart, a missed event and a normal wake are the same path. One plan runs
//! at a time and at most one wake waits.

use super::{
    edit::{self, Edits},
    lease::Fence,
};
use crate::{
    act::{
        executor::{Executor, Round},
        journal::{Ending, Journal},
        keyring::Keyring,
        notify::Notes,
        state::Keeper,
    },
    diff::diff,
    model::Snapshot,
    observe::{self, store::Store, sweeps::Sweeps},
    plan::{Action, Decision, Plan, Planner},
    policy::Policies,
    ports::{Clock, Cloud, Cluster},
    traces::Tracer,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// The longest sleep: the heartbeat of the loop, and the backstop of every deadline.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long wakes by the watch are gathered before the next plan. Deadlines do not wait for it.
const GATHER: Duration = Duration::from_millis(20);
/// How soon a round that left something to do is followed by the next.
const SOON: Duration = Duration::from_millis(250);
/// How long that grows while nothing works at all.
const LATEST: Duration = Duration::from_secs(8);

/// Everything the loop needs.
pub struct Warden {
    /// The API server.
    pub cluster: Arc<dyn Cluster>,
    /// AWS.
    pub cloud: Arc<dyn Cloud>,
    /// What the sweeps over it have found.
    pub sweeps: Arc<Sweeps>,
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// The watched objects.
    pub store: Arc<Store>,
    /// The remembered state.
    pub keeper: Arc<Keeper>,
    /// The key that credentials are derived under.
    pub keys: Arc<Keyring>,
    /// Whether we may write.
    pub fence: Fence,
    /// Notes what is done and how long it takes.
    pub(crate) tracer: Tracer,
    /// Carries plans out.
    pub executor: Arc<Executor>,
    /// The policies in force.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Makes plans.
    pub planner: Planner,
    /// Wakes the loop.
    pub wake: Arc<Notify>,
    /// The id of this cluster in AWS tags.
    pub cluster_id: Option<Arc<str>>,
    /// Told about every plan and what became of it.
    pub watcher: Arc<dyn Watcher>,
    /// Where decisions whose verdict changed are written down.
    pub journal: Arc<Journal>,
    /// Where Events about them go.
    pub notes: Notes,
    /// The last verdict on each thing.
    pub verdicts: Mutex<HashMap<u64, u64>>,
    /// What plans found and could not write down, paused or refused.
    pub unwritten: Mutex<Unwritten>,
    /// What is known of edits of the policies.
    pub edits: Edits,
}

/// What has happened to promises and could not be written down yet: `enforce` was interrupted, a clone was kept.
#[derive(Debug, Default)]
pub struct Unwritten {
    interrupted: BTreeSet<String>,
    withdrawn: BTreeMap<Box<str>, Timestamp>,
}

impl Unwritten {
    fn note(&mut self, snapshot: &Snapshot, plan: &Plan, remembered: bool) {
        self.interrupted.extend(plan.interrupted.iter().cloned());
        if remembered {
            self.interrupted.clear();
        }
        self.withdrawn.extend(plan.withdrawn.iter().cloned());
        if self.withdrawn.len() > snapshot.clones.len() {
            let living: HashSet<&str> = snapshot.clones.iter().map(|clone| clone.meta.uid.as_ref()).collect();
            self.withdrawn.retain(|uid, _| living.contains(uid.as_ref()));
        }
    }
}

/// Looks on: metrics, page and demo.
pub trait Watcher: Send + Sync + 'static {
    /// A plan was made and, if we may write, carried out.
    fn planned(&self, snapshot: &Arc<Snapshot>, plan: &Arc<Plan>, round: Option<&Round>, took: Duration);
}

/// Somebody who does not look.
pub struct Nobody;

impl Watcher for Nobody {
    fn planned(&self, _: &Arc<Snapshot>, _: &Arc<Plan>, _: Option<&Round>, _: Duration) {}
}

impl Warden {
    /// Runs until it is stopped; what is under way then is finished first.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut soon = SOON;
        while !stop.is_cancelled() {
            let (plan, round) = self.cycle().await;
            let again = round.as_ref().is_some_and(|round| round.again).then_some(soon);
            let went_well = round.is_none_or(|round| !round.again || round.endings.iter().any(|(_, ending)| *ending == Ending::Done));
            soon = if went_well { SOON } else { soon.saturating_mul(2).min(LATEST) };
            let sleep = self.until(plan.as_ref().and_then(|plan| plan.next_wakeup), again);
            tokio::select! {
                biased;
                () = self.wake.notified() => self.clock.sleep(GATHER).await,
                () = self.clock.sleep(sleep) => {}
                () = stop.cancelled() => {}
            }
        }
        self.executor.drain().await;
    }

    fn until(&self, deadline: Option<Timestamp>, again: Option<Duration>) -> Duration {
        let left = deadline.map_or(LONGEST_SLEEP, |deadline| Duration::try_from(deadline.duration_since(self.clock.now())).unwrap_or(Duration::ZERO));
        left.min(again.unwrap_or(LONGEST_SLEEP))
    }

    /// One look, one plan, one round; `None` while the caches are not filled or the state is not known.
    pub async fn cycle(&self) -> (Option<Arc<Plan>>, Option<Round>) {
        let (now, measured) = (whole_millisecond(self.clock.now()), self.tracer.now());
        let Some(mut snapshot) = self.look(now) else { return (None, None) };
        let base = snapshot.state.clone();
        self.catch_up(&mut snapshot);
        let snapshot = Arc::new(snapshot);
        let (begun, looked) = (std::time::Instant::now(), self.tracer.now());
        let policies = Arc::clone(&self.policies.borrow());
        let plan = Arc::new((self.planner)(&snapshot, &policies, now));
        let took = begun.elapsed();
        self.store.priced(plan.now, plan.tariff.lack.is_none().then_some(&plan.tariff));
        let round = if self.fence.holds() {
            let before = self.edits.before(base.policies.as_deref(), &policies, self.cluster.as_ref()).await;
            self.tell_changes(&plan, &policies);
            self.journal.follow(&snapshot, &plan, &policies);
            self.tracer.planned(&plan, measured, looked);
            let round = self.executor.execute(&plan, &base).await;
            self.tracer.turned(&plan);
            // No end waits for what is only said.
            if let Some(before) = before {
                edit::tell(&diff(&snapshot, &before, &policies, now), &self.journal);
            }
            Some(round)
        } else {
            None
        };
        let remembered = plan.state.paused.is_none() && round.as_ref().is_some_and(|round| !round.forgotten);
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).note(&snapshot, &plan, remembered);
        self.watcher.planned(&snapshot, &plan, round.as_ref(), took);
        (Some(plan), round)
    }

    /// What was promised before an interruption that could not be written down does not count.
    fn catch_up(&self, snapshot: &mut Snapshot) {
        let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.withdrawn.clone_from(&unwritten.withdrawn);
        if snapshot.state.paused.is_none() {
            snapshot.state.enforced_since.retain(|namespace, _| !unwritten.interrupted.contains(namespace));
        }
    }

    /// The world as it is known now.
    fn look(&self, now: Timestamp) -> Option<Snapshot> {
        let state = self.keeper.state()?;
        if !self.store.filled() {
            return None;
        }
        let key = self.keys.sight()?;
        let mut snapshot = self.store.snapshot(now);
        snapshot.state = state;
        snapshot.key = key;
        snapshot.cluster_id.clone_from(&self.cluster_id);
        self.sweeps.add_to(&mut snapshot);
        self.store.hosts.add_to(&mut snapshot);
        observe::add_time(&mut snapshot, self.cluster.as_ref(), self.cloud.as_ref(), now);
        Some(snapshot)
    }

    /// Journals and announces verdicts that are not what they were. That something is kept as always is no news.
    fn tell_changes(&self, plan: &Plan, policies: &Policies) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = HashMap::with_capacity(plan.decisions.len());
        for decision in &plan.decisions {
            let (key, verdict) = fingerprint(decision);
            present.insert(key, verdict);
            let before = verdicts.get(&key);
            if before == Some(&verdict) || (before.is_none() && decision.action == Action::Keep) {
                continue;
            }
            // What is carried out now is journaled with how it ended.
            let held = decision.action == Action::Hold;
            let carried_out = decision.effective() && !held && (decision.writes() || matches!(decision.action, Action::Delete | Action::Unmark));
            if !carried_out {
                self.journal.decided(decision, plan, policies);
                if plan.state.paused.is_none() {
                    self.notes.send(decision, &plan.revision, plan.now);
                }
            }
        }
        *verdicts = present;
    }
}

/// What a decision is about, and what it says, each as a number.
fn fingerprint(decision: &Decision) -> (u64, u64) {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut about = DefaultHasher::new();
    match decision.target.meta() {
        Some(meta) => meta.uid.hash(&mut about),
        None => decision.target.key().hash(&mut about),
    }
    let alert = decision.action == Action::Alert;
    (alert, alert.then(|| decision.reason.code())).hash(&mut about);
    let mut says = DefaultHasher::new();
    (decision.action, decision.blocked_by, decision.reason.code(), decision.reason.end()).hash(&mut says);
    (about.finish(), says.finish())
}

/// Dates are written down in milliseconds, so decisions are made in them.
fn whole_millisecond(now: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
