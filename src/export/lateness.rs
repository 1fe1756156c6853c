//! How late the daemon's own deletions are: from the end that was announced to the moment the API server had accepted.
//!
//! Where a whole round of deletes was accepted, the moment is the round's end by our clock, which is never too early. Where some
//! were not, a round does not say which; those that were are then known by the API server's own deletion date, or by when they
//! were seen to be gone.

use crate::{
    act::{executor::Round, journal::Ending},
    model::Snapshot,
    plan::{Action, Plan, Reason, Target},
};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

/// The deletions that are under way.
#[derive(Default)]
pub(super) struct Lateness {
    /// Deletions of which some were accepted and nobody said which: UID and end.
    open: HashMap<Box<str>, Timestamp>,
    /// Deletions that have been counted, as long as plans still ask for them.
    counted: HashSet<Box<str>>,
}

impl Lateness {
    /// Looks at what a round did; returns how late, in seconds, each deletion was that is known now to have been accepted.
    pub(super) fn after(&mut self, snapshot: &Snapshot, plan: &Plan, round: &Round, now: Timestamp) -> Vec<f64> {
        let due: HashMap<&str, Timestamp> = plan
            .decisions
            .iter()
            .filter_map(|decision| match (&decision.target, &decision.reason) {
                (Target::Clone(clone), Reason::Expired(life, announced)) if decision.action == Action::Delete && decision.effective() => {
                    Some((clone.meta.uid.as_ref(), life.end.max(*announced)))
                }
                _ => None,
            })
            .collect();
        let mut late = self.seen(snapshot, &due);
        self.counted.retain(|uid| due.contains_key(uid.as_ref()));
        let asked: Vec<(&str, Timestamp)> = due.into_iter().filter(|(uid, _)| !self.counted.contains(*uid)).collect();
        let deletes = round.endings.iter().filter(|(action, _)| *action == Action::Delete);
        let done = deletes.filter(|(_, ending)| *ending == Ending::Done).count();
        // A round tells how many deletes were accepted, not of what: beside others, those of clones are only known by their dates.
        let clones_alone = !plan
            .decisions
            .iter()
            .any(|decision| decision.action == Action::Delete && decision.effective() && !matches!(decision.target, Target::Clone(_)));
        if done > 0 && done == asked.len() && clones_alone {
            for (uid, end) in asked {
                self.open.remove(uid);
                self.counted.insert(uid.into());
                late.push(seconds(end, now));
            }
        } else if done > 0 {
            self.open.extend(asked.into_iter().map(|(uid, end)| (uid.into(), end)));
        }
        late
    }

    /// What became of the open ones that the plan does not ask for any more.
    fn seen(&mut self, snapshot: &Snapshot, due: &HashMap<&str, Timestamp>) -> Vec<f64> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let mut going: HashMap<&str, Timestamp> = snapshot.departed.iter().map(|gone| (gone.uid.as_ref(), gone.gone)).collect();
        going.extend(snapshot.clones.iter().filter_map(|clone| Some((clone.meta.uid.as_ref(), clone.meta.terminating?))));
        let settled: Vec<(Box<str>, Timestamp)> = self.open.extract_if(|uid, _| !due.contains_key(uid.as_ref())).collect();
        settled.iter().filter_map(|(uid, end)| going.get(uid.as_ref()).map(|at| seconds(*end, *at))).collect()
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}
