//! What has been tried, and when it is tried again: nothing is repeated on a form of an object that it was carried out on, and
//! what fails is left alone for a while, so that it starves nothing else.

use super::{executor::is_secret, journal::Ending, lane};
use crate::plan::{Action, Decision, Plan, Target, Work};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// After so many conflicts on one object it is read once: the watch does not seem to bring its present form.
pub(super) const CONFLICTS: u8 = 5;

/// How long the watch may take to bring what was written. After that it is tried again: a conflict then leads to a read.
const ECHO: Duration = Duration::from_secs(60);
/// How long something that failed is left alone at first; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How late something that keeps failing may be tried again once the reason is gone.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What has been tried on every object.
#[derive(Default)]
pub(super) struct Tries {
    done: Mutex<HashMap<Box<str>, Done>>,
    /// What was made and may not have come back by the watch yet, and when it was made.
    made: Mutex<HashMap<String, Instant>>,
}

/// What has been tried on an object.
#[derive(Default)]
struct Done {
    /// The resourceVersion on which something was carried out, and when.
    on: Option<(Box<str>, Instant)>,
    conflicts: u8,
    /// How the last try ended: that it still fails the same way is no news.
    last: &'static str,
    /// How often it failed in a row, and until when it is left alone: one that always fails must not starve the others.
    failures: u32,
    not_before: Option<Instant>,
}

impl Done {
    /// Notes how a try ended. `slow`: it had to list the clones anew, and to ask AWS. What stands against it there stands until the
    /// next sweep or longer: tried again at once, it would do nothing else, and leave no turn to the others.
    fn note(&mut self, version: &str, ending: &Ending, slow: bool) {
        match ending {
            Ending::Done | Ending::Begun | Ending::Gone => {
                *self = Self { on: Some((version.into(), Instant::now())), last: self.last, ..Self::default() };
            }
            Ending::Conflict(_) => {
                self.conflicts = self.conflicts.saturating_add(1);
                if slow {
                    self.pause();
                }
            }
            Ending::Failed(_) => self.pause(),
            Ending::Stopped => {}
        }
    }

    fn pause(&mut self) {
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.not_before = Some(Instant::now() + pause);
    }

    /// Whether that form of the object has been dealt with, and the watch may still be about to bring the next.
    fn covers(&self, version: &str) -> bool {
        self.on.as_ref().is_some_and(|(on, at)| on.as_ref() == version && at.elapsed() < ECHO)
    }
}

/// What is to be said of how a try ended.
pub(super) struct Noted {
    /// It ended otherwise than the last one.
    pub(super) news: bool,
    /// The watch does not seem to bring the present form of the object.
    pub(super) read: bool,
    /// How often it has failed in a row.
    pub(super) failures: u32,
}

impl Tries {
    fn all(&self) -> MutexGuard<'_, HashMap<Box<str>, Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_made(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a try ended.
    pub(super) fn note(&self, decision: &Decision, ending: &Ending) -> Noted {
        let mut all = self.all();
        let done = all.entry(decision.target.key().into()).or_default();
        let news = std::mem::replace(&mut done.last, ending.word()) != ending.word() || *ending == Ending::Done;
        done.note(&version(decision), ending, lane::is_slow(decision));
        let read = done.conflicts >= CONFLICTS;
        if read {
            done.conflicts = 0;
        }
        Noted { news, read, failures: done.failures }
    }

    /// Notes that something was made that was not there.
    pub(super) fn note_made(&self, key: String) {
        self.all_made().insert(key, Instant::now());
    }

    /// Whether there is nothing to try: it is done, or it is left alone for a while because it failed.
    pub(super) fn covers(&self, decision: &Decision, left_alone: &mut bool) -> bool {
        let key = decision.target.key();
        if decision.action == Action::Create && self.all_made().contains_key(&key) {
            return true;
        }
        let all = self.all();
        let Some(done) = all.get(key.as_str()) else { return false };
        if done.not_before.is_some_and(|until| Instant::now() < until) {
            *left_alone = true;
            return true;
        }
        // A mark is written on another object than its target: the Orphan that the watch shows says that it is done. What is
        // made has no version to tell it by: see `made`.
        let made = decision.course().is_some_and(|course| course.record.is_none()) || decision.action == Action::Create && !is_secret(decision);
        !made && done.covers(&version(decision))
    }

    /// What was made has come back by the watch once the plan does not ask for it any more; if it is missing after that, it is
    /// made anew at once. One that never comes back is tried again.
    pub(super) fn forget_made(&self, plan: &Plan) {
        let mut made = self.all_made();
        if !made.is_empty() {
            let asked = plan.decisions.iter().filter(|decision| decision.action == Action::Create).map(|decision| decision.target.key());
            let asked: HashSet<String> = asked.collect();
            made.retain(|key, at| asked.contains(key) && at.elapsed() < ECHO);
        }
    }

    /// Forgets what was tried on objects that the plan does not name any more.
    pub(super) fn forget(&self, plan: &Plan) {
        let mut all = self.all();
        if all.len() > plan.decisions.len().saturating_mul(2).saturating_add(1_000) {
            let named: HashSet<String> = plan.decisions.iter().map(|decision| decision.target.key()).collect();
            all.retain(|key, _| named.contains(key.as_ref()));
        }
    }
}

/// What is done to which form of the object, by which a repeat is told: what is written on an `Orphan` has that one's. What is in
/// AWS has no form; but that its mark was made says nothing of its deletion.
fn version(decision: &Decision) -> String {
    // What is written down of a host is another thing each time.
    if let Some(Work::Note(memories)) = &decision.work {
        let last = memories.iter().map(|(_, memory)| memory.used).max();
        return format!("{}/{}", decision.action.word(), last.map(|last| last.to_string()).unwrap_or_default());
    }
    let record = decision.course().filter(|_| decision.action != Action::Delete).and_then(|course| course.record.as_ref());
    let meta = record.map(|record| &record.meta).or_else(|| match &decision.target {
        // It was made for that form of the clone, and is recorded on it.
        Target::Secret(clone) => Some(&clone.meta),
        target => target.meta(),
    });
    format!("{}/{}", decision.action.word(), meta.map_or("", |meta| meta.resource_version.as_ref()))
}

#[cfg(test)]
mod tests;
