//! The slow lanes: whatever has to ask AWS first, and whatever is done on a shared database host, with a lane for each host. Clones must
//! never wait for an AWS or a host that does not answer, so lanes are worked through beside the loop, one batch at a time; what does
//! not fit into a batch comes with a later plan.

use super::{
    executor::{Executor, Round},
    orphans,
    proof::Roll,
};
use crate::{
    model::Source,
    plan::{Action, Decision, Plan, Target, Work},
};
use jiff::SignedDuration;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tracing::warn;

/// How many decisions of one plan are carried out at most, before the world is looked at again.
pub(super) const BATCH: usize = 32;
/// How many at once. Each orphan is asked about several times first, and AWS throttles.
const AT_ONCE: usize = 8;
/// How old the plan may be on which something is still begun.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// How long the end of the process waits for what is on the wire: as long as a write to the API server may take.
const DRAIN: Duration = Duration::from_secs(3);

/// Whether there is a batch under way, and what the last ones came to.
#[derive(Default)]
pub(super) struct Lane {
    busy: Arc<AtomicBool>,
    idle: Arc<Notify>,
    ended: Mutex<Round>,
}

/// The host on which a decision is carried out, if it is one.
fn host(decision: &Decision) -> Option<&Arc<str>> {
    match (&decision.target, &decision.work) {
        (Target::Schema(schema), Some(Work::Make(_))) => Some(&schema.host),
        (Target::Schema(schema), _) if decision.action == Action::Delete => Some(&schema.host),
        (Target::Clone(_), Some(Work::Unused(judged))) if decision.action == Action::Delete => Some(&judged.host),
        (Target::Source(Source::Host(host)), Some(Work::Note(_))) => Some(host),
        _ => None,
    }
}

/// Whether a decision may have to wait for somebody else than the API server.
pub(super) fn is_slow(decision: &Decision) -> bool {
    host(decision).is_some() || orphans::asks_aws(decision)
}

/// Whether something goes by it that is judged by the absence of its clone.
pub(super) fn needs_roll(decision: &Decision) -> bool {
    orphans::is_end(decision) || matches!(decision.target, Target::Schema(_)) && decision.action == Action::Delete
}

/// Says that the lane is free again, however the batch ended.
struct Busy {
    flag: Arc<AtomicBool>,
    idle: Arc<Notify>,
    wake: Arc<Notify>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.flag.store(false, Ordering::Release);
        self.idle.notify_waiters();
        self.wake.notify_one();
    }
}

impl Executor {
    /// Sends each decision, which stands at that place of the plan, down its lane.
    pub(super) fn send_off(self: &Arc<Self>, plan: &Arc<Plan>, slow: &[(usize, &Decision)]) {
        let mut on_hosts: BTreeMap<&Arc<str>, Vec<usize>> = BTreeMap::new();
        let mut in_aws = Vec::new();
        for (place, decision) in slow {
            host(decision).map_or(&mut in_aws, |host| on_hosts.entry(host).or_default()).push(*place);
        }
        self.take_up(&self.lane, AT_ONCE, plan, in_aws);
        for (host, chosen) in on_hosts {
            let lane = Arc::clone(self.hosts.lock().unwrap_or_else(PoisonError::into_inner).entry(Arc::clone(host)).or_default());
            // A host is asked one thing at a time.
            self.take_up(&lane, 1, plan, chosen);
        }
    }

    /// Takes up what belongs into a lane, so many at once, unless its last batch is not through yet.
    fn take_up(self: &Arc<Self>, lane: &Arc<Lane>, at_once: usize, plan: &Arc<Plan>, chosen: Vec<usize>) {
        if chosen.is_empty() || lane.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let busy = Busy { flag: Arc::clone(&lane.busy), idle: Arc::clone(&lane.idle), wake: Arc::clone(&self.tools.wake) };
        let (executor, plan, lane) = (Arc::clone(self), Arc::clone(plan), Arc::clone(lane));
        tokio::spawn(async move {
            let decisions: Vec<&Decision> = chosen.into_iter().take(BATCH).filter_map(|place| plan.decisions.get(place)).collect();
            executor.work_off(&lane, at_once, &decisions, &plan).await;
            drop(busy);
        });
    }

    async fn work_off(&self, lane: &Lane, at_once: usize, decisions: &[&Decision], plan: &Plan) {
        let roll = if decisions.iter().any(|decision| needs_roll(decision)) {
            let roll = Roll::call(self.tools.cluster.as_ref()).await;
            roll.inspect_err(|error| warn!(%error, "Orphans wait: what lives could not be listed anew.")).ok()
        } else {
            None
        };
        let fresh = || self.tools.clock.now().duration_since(plan.now) < FRESH;
        let mut round = Round::default();
        for few in decisions.chunks(at_once).take_while(|_| fresh()) {
            self.work_through(few.iter().copied(), at_once, roll.as_ref(), plan, &mut round).await;
        }
        let mut ended = lane.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.endings.append(&mut round.endings);
    }

    /// What has been worked off since this was last asked.
    pub(super) fn worked_off(&self) -> Round {
        let mut round = Round::default();
        for lane in self.lanes() {
            let mut ended = std::mem::take(&mut *lane.ended.lock().unwrap_or_else(PoisonError::into_inner));
            round.endings.append(&mut ended.endings);
        }
        round
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.values().chain([&self.lane]).cloned().collect()
    }

    /// Waits until what is on the wire has ended, but no longer than a write may take: nothing new is begun by then.
    pub async fn drain(&self) {
        let lanes = self.lanes();
        let idle = futures::future::join_all(lanes.iter().map(|lane| async move {
            let idle = lane.idle.notified();
            if lane.busy.load(Ordering::Acquire) {
                idle.await;
            }
        }));
        tokio::select! {
            biased;
            _ = idle => {}
            () = self.tools.clock.sleep(DRAIN) => {}
        }
    }
}
