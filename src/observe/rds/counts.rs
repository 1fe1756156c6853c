//! How often AWS was asked what, and how it ended. Metrics read it; nothing here knows them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// One kind of attempt and of ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// What was asked, as AWS calls it: `DescribeDBInstances`, `GetCallerIdentity`, …
    pub operation: &'static str,
    /// `ok`, `not_found`, `state`, `refused`, `forbidden`, `throttled`, `unavailable`, `timeout` or `cut`.
    pub outcome: &'static str,
}

/// Counts of all attempts since the start. The number of different keys is bounded by the code, not by AWS.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<BTreeMap<Attempt, u64>>);

impl Attempts {
    /// The counts as they are now.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Attempt, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self, operation: &'static str, outcome: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(Attempt { operation, outcome }).or_default();
        *count = count.saturating_add(1);
    }
}
