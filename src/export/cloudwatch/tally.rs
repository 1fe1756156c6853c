//! What became of what was sent to CloudWatch, in numbers.
//!
//! Contract: bounded; whoever counts here waits for a moment at most.

use super::{REQUEST, SERIES_HOUR};
use crate::export::{
    figures::{number, seconds},
    metrics::Families,
};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Counts since the start, as they are at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tallied {
    /// Requests, by how they ended.
    pub requests: BTreeMap<&'static str, u64>,
    /// Figures, by what became of them.
    pub datums: BTreeMap<&'static str, u64>,
    /// Series that were sent in this hour.
    pub series: usize,
    /// Series for which there was no room the last time.
    pub left_out: usize,
    /// The hour of [`Tallied::requests_of_hour`], since 1970.
    pub hour: i64,
    /// Requests that were sent in that hour.
    pub requests_of_hour: u64,
    /// When everything was delivered last, or the start.
    pub succeeded: Option<Timestamp>,
    /// How often the task was started again.
    pub restarts: u64,
}

impl Tallied {
    /// What the hour costs, in USD.
    #[must_use]
    pub fn usd(&self) -> f64 {
        number(self.series) * SERIES_HOUR + count(self.requests_of_hour) * REQUEST
    }

    pub(in crate::export) fn set(&self, families: &Families) {
        for (outcome, total) in &self.requests {
            families.cloudwatch_requests.raise(&[outcome], count(*total));
        }
        for (outcome, total) in &self.datums {
            families.cloudwatch_datums.raise(&[outcome], count(*total));
        }
        families.cloudwatch_series.set(&[], number(self.series));
        families.cloudwatch_left_out.set(&[], number(self.left_out));
        families.cloudwatch_cost.set(&[], self.usd());
        families.cloudwatch_restarts.raise(&[], count(self.restarts));
        if let Some(at) = self.succeeded {
            families.cloudwatch_success.set(&[], seconds(at));
        }
    }
}

/// Counts, shared by whoever sends and whoever shows.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Tallied>);

impl Tally {
    /// The counts as they are now.
    #[must_use]
    pub fn now(&self) -> Tallied {
        self.lock().clone()
    }

    /// A request ended, with so many figures in it.
    pub fn sent(&self, at: Timestamp, outcome: &'static str, datums: &'static str, figures: usize) {
        let mut tallied = self.lock();
        let hour = at.as_second().div_euclid(3_600);
        if tallied.hour != hour {
            (tallied.hour, tallied.requests_of_hour) = (hour, 0);
        }
        // What never left costs nothing.
        if outcome != "unsent" {
            tallied.requests_of_hour += 1;
        }
        *tallied.requests.entry(outcome).or_default() += 1;
        *tallied.datums.entry(datums).or_default() += u64::try_from(figures).unwrap_or(u64::MAX);
    }

    /// So many figures cannot be sent.
    pub fn unfit(&self, figures: u64) {
        let mut tallied = self.lock();
        let unfit = tallied.datums.entry("unfit").or_default();
        *unfit = unfit.saturating_add(figures);
    }

    /// How many series there are in this hour, and how many found no room.
    pub fn room(&self, series: usize, left_out: usize) {
        let mut tallied = self.lock();
        (tallied.series, tallied.left_out) = (series, left_out);
    }

    /// Everything was delivered, or there is nothing to deliver.
    pub fn succeeded(&self, at: Timestamp) {
        self.lock().succeeded = Some(at);
    }

    /// The task died.
    pub fn restarted(&self) {
        let mut tallied = self.lock();
        tallied.restarts = tallied.restarts.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, Tallied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(total: u64) -> f64 {
    number(usize::try_from(total).unwrap_or(usize::MAX))
}
