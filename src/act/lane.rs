//! The slow lane: whatever has to ask AWS first. Clones must never wait for an AWS that does not answer, so it is worked through
//! beside the loop, one batch at a time; what does not fit into a batch comes with a later plan.

use super::{
    executor::{Executor, Round},
    orphans,
    proof::Roll,
};
use crate::plan::{Decision, Plan};
use jiff::SignedDuration;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tracing::warn;

/// How many decisions of one plan are carried out at most, before the world is looked at again.
const BATCH: usize = 32;
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
    /// Takes up what has to ask AWS, unless the last batch is not through yet.
    pub(super) fn take_up(self: &Arc<Self>, plan: &Arc<Plan>, chosen: Vec<usize>) {
        if chosen.is_empty() || self.lane.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let busy = Busy { flag: Arc::clone(&self.lane.busy), idle: Arc::clone(&self.lane.idle), wake: Arc::clone(&self.tools.wake) };
        let (executor, plan) = (Arc::clone(self), Arc::clone(plan));
        tokio::spawn(async move {
            let decisions: Vec<&Decision> = chosen.into_iter().take(BATCH).filter_map(|place| plan.decisions.get(place)).collect();
            executor.work_off(&decisions, &plan).await;
            drop(busy);
        });
    }

    async fn work_off(&self, decisions: &[&Decision], plan: &Plan) {
        let roll = if decisions.iter().any(|decision| orphans::is_end(decision)) {
            let roll = Roll::call(self.tools.cluster.as_ref()).await;
            roll.inspect_err(|error| warn!(%error, "Orphans wait: what lives could not be listed anew.")).ok()
        } else {
            None
        };
        let fresh = || self.tools.clock.now().duration_since(plan.now) < FRESH;
        let mut round = Round::default();
        for few in decisions.chunks(AT_ONCE).take_while(|_| fresh()) {
            self.work_through(few.iter().copied(), AT_ONCE, roll.as_ref(), plan, &mut round).await;
        }
        let mut ended = self.lane.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.endings.append(&mut round.endings);
    }

    /// What has been worked off since this was last asked.
    pub(super) fn worked_off(&self) -> Round {
        std::mem::take(&mut *self.lane.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until what is on the wire has ended, but no longer than a write may take: nothing new is begun by then.
    pub async fn drain(&self) {
        let idle = self.lane.idle.notified();
        if self.lane.busy.load(Ordering::Acquire) {
            tokio::select! {
                () = idle => {}
                () = self.tools.clock.sleep(DRAIN) => {}
            }
        }
    }
}
