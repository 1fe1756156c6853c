//! What ages between two plans: how old the evidence is, how long clones are overdue and orphans known, when a loop did its work last.
//!
//! Contract: it is measured when metrics are gathered, so that a loop that stands still does not look fresh.

use super::{
    figures::{Figures, seconds},
    lateness::Lateness,
    metrics::Families,
};
use crate::{model::Source, plan::Plan};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What is remembered of the present plan.
pub(super) struct Present {
    evidence: Vec<(String, Timestamp)>,
    overdue: Vec<([String; 2], Timestamp)>,
    orphans: Vec<([String; 2], Timestamp)>,
    /// When each loop that is told of here did its work last; the start of the process, until it has.
    loops: BTreeMap<String, Timestamp>,
    /// How late clones were deleted.
    pub(super) lateness: Lateness,
}

impl Present {
    /// Before the first plan of a process that began at `started`.
    pub(super) fn new(started: Timestamp) -> Self {
        let loops = ["plan", "lease", "state"].map(|name| (name.to_owned(), started)).into();
        Self { evidence: Vec::new(), overdue: Vec::new(), orphans: Vec::new(), loops, lateness: Lateness::default() }
    }

    /// The loop `name` has done its work.
    pub(super) fn done(&mut self, name: &str, at: Timestamp) {
        self.loops.insert(name.to_owned(), at);
    }

    /// There is a new plan.
    pub(super) fn replace(&mut self, figures: &Figures<'_>, plan: &Plan) {
        fn owned((labels, since): (&[&str; 2], &Timestamp)) -> ([String; 2], Timestamp) {
            (labels.map(str::to_owned), *since)
        }
        self.overdue = figures.overdue_since.iter().map(owned).collect();
        self.orphans = figures.orphans_since.iter().map(owned).collect();
        self.evidence = plan.evidence.iter().map(|(source, evidence)| (source.to_string(), evidence.observed_at)).collect();
        for (source, evidence) in plan.evidence.iter() {
            // A mirror whose kind is not served does its work too: it asks, and is told so.
            if matches!(source, Source::Objects(_)) && (evidence.complete || evidence.absent) {
                self.done(&format!("mirror/{source}"), evidence.observed_at);
            }
        }
    }

    /// Sets when each loop did its work last, and takes away what is said of others.
    pub(super) fn set_loops(&self, families: &Families) {
        families.loop_success.clear();
        for (name, at) in &self.loops {
            families.loop_success.set(&[name], seconds(*at));
        }
    }

    /// Sets how old everything is at `now`.
    pub(super) fn set_ages(&self, families: &Families, now: Timestamp) {
        let age = |since: &Timestamp| now.duration_since(*since).as_secs_f64().max(0.0);
        for gauge in [&families.evidence_age, &families.overdue_oldest, &families.orphans_oldest] {
            gauge.clear();
        }
        for (source, observed_at) in &self.evidence {
            families.evidence_age.set(&[source], age(observed_at));
        }
        for ([policy, cause], since) in &self.overdue {
            families.overdue_oldest.set(&[policy, cause], age(since));
        }
        for ([kind, phase], since) in &self.orphans {
            families.orphans_oldest.set(&[kind, phase], age(since));
        }
    }
}
