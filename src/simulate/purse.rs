//! What is spent of a namespace's month: what its clones have cost in it, and what those who live will still cost in it.
//!
//! Contract: what a ledger would say that is counted up to this very second. Nothing is summed up over clones but when a month begins.

use super::curve::dollars;
use crate::{model::Month, plan::admit::budget::Spent};
use jiff::Timestamp;

/// What a clone costs, in millionths of a millionth of a dollar a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) usual: i128,
    pub(super) at_most: i128,
}

/// The money of a namespace. Moments are seconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Purse {
    month_ends: i64,
    /// Up to when it is counted.
    counted: i64,
    accrued: i128,
    /// What those who live cost a second, together.
    rate: Rate,
    /// For each of those who live: its end or the month's, times what it costs at most.
    ends: i128,
}

impl Purse {
    /// When its month ends.
    pub(super) fn month_ends(&self) -> Timestamp {
        Timestamp::from_second(self.month_ends).unwrap_or_default()
    }

    /// Whether its month is over.
    pub(super) fn is_over(&self, now: i64) -> bool {
        now >= self.month_ends
    }

    /// A new month begins. `living`: what each costs who lives, and when it ends.
    pub(super) fn turn(&mut self, now: i64, living: impl Iterator<Item = (Rate, i64)>) {
        let month = Month::of(Timestamp::from_second(now).unwrap_or_default());
        self.month_ends = month.end().as_second();
        // Nobody has come or gone since it was counted: who lives now has lived since the month began.
        self.accrued = self.rate.usual.saturating_mul(now.saturating_sub(month.start().as_second().max(self.counted)).into());
        self.counted = now;
        self.ends = living.fold(0, |sum, (rate, ends)| sum.saturating_add(self.until(rate, ends)));
    }

    fn until(&self, rate: Rate, ends: i64) -> i128 {
        rate.at_most.saturating_mul(ends.min(self.month_ends).into())
    }

    fn count(&mut self, now: i64) {
        self.accrued = self.accrued.saturating_add(self.rate.usual.saturating_mul(now.saturating_sub(self.counted).into()));
        self.counted = now;
    }

    /// A clone begins to live, until then.
    pub(super) fn born(&mut self, now: i64, rate: Rate, ends: i64) {
        self.count(now);
        self.rate.usual = self.rate.usual.saturating_add(rate.usual);
        self.rate.at_most = self.rate.at_most.saturating_add(rate.at_most);
        self.ends = self.ends.saturating_add(self.until(rate, ends));
    }

    /// A clone is gone that was to live until then.
    pub(super) fn gone(&mut self, now: i64, rate: Rate, ends: i64) {
        self.count(now);
        self.rate.usual = self.rate.usual.saturating_sub(rate.usual);
        self.rate.at_most = self.rate.at_most.saturating_sub(rate.at_most);
        self.ends = self.ends.saturating_sub(self.until(rate, ends));
    }

    /// What is spent of this month.
    pub(super) fn spent(&self, now: i64) -> Spent {
        let since = self.rate.usual.saturating_mul(now.saturating_sub(self.counted).into());
        let committed = self.ends.saturating_sub(self.rate.at_most.saturating_mul(now.into()));
        Spent { accrued: dollars(self.accrued.saturating_add(since)), committed: dollars(committed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_becomes_accrued_and_a_month_begins_anew() {
        let begin: i64 = "2026-01-31T23:00:00Z".parse::<Timestamp>().unwrap().as_second();
        let (mut purse, rate) = (Purse::default(), Rate { usual: 1_000_000_000_000, at_most: 2_000_000_000_000 });
        assert!(purse.is_over(begin));
        purse.turn(begin, std::iter::empty());
        purse.born(begin, rate, begin + 7_200);
        let said = |purse: &Purse, at: i64| {
            let spent = purse.spent(begin + at);
            (spent.accrued.normalize().to_string(), spent.committed.normalize().to_string())
        };
        // An hour of it is this month's.
        assert_eq!(said(&purse, 0), ("0".to_owned(), "7200".to_owned()));
        assert_eq!(said(&purse, 600), ("600".to_owned(), "6000".to_owned()));
        assert!(purse.is_over(begin + 3_600));
        purse.turn(begin + 3_700, std::iter::once((rate, begin + 7_200)));
        assert_eq!(said(&purse, 3_700), ("100".to_owned(), "7000".to_owned()));
        purse.gone(begin + 4_000, rate, begin + 7_200);
        assert_eq!(said(&purse, 9_000), ("400".to_owned(), "0".to_owned()));
    }
}
