//! How often the API server was asked what, and how it ended. Metrics read it; nothing here knows them.

use crate::ports::ApiError;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// One kind of request and of ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// The verb of RBAC: `list`, `watch`, `get`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The resource: `wordpressclones`, `leases`, …
    pub resource: &'static str,
    /// `ok`, `not_found`, `conflict`, `expired`, `forbidden`, `refused` or `unavailable`.
    pub outcome: &'static str,
}

/// Counts of all requests since the start. The number of different keys is bounded by the code, not by the cluster.
#[derive(Debug, Default)]
pub struct Requests(Mutex<BTreeMap<Request, u64>>);

impl Requests {
    /// The counts as they are now.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Request, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count(&self, verb: &'static str, resource: &'static str, error: Option<&ApiError>) {
        let request = Request { verb, resource, outcome: outcome(error) };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(request).or_default();
        *count = count.saturating_add(1);
    }
}

fn outcome(error: Option<&ApiError>) -> &'static str {
    match error {
        None => "ok",
        Some(ApiError::NotFound) => "not_found",
        Some(ApiError::Conflict(_)) => "conflict",
        Some(ApiError::Expired) => "expired",
        Some(ApiError::Forbidden(_)) => "forbidden",
        Some(ApiError::Refused { .. }) => "refused",
        Some(ApiError::Unavailable(_)) => "unavailable",
    }
}
