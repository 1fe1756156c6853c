//! Reads the world: watches, sweeps and files become a [`Snapshot`](crate::model::Snapshot). Nothing here writes.

pub mod files;
pub mod kube;
pub mod mirror;
pub mod rds;
pub mod store;

use crate::{
    model::{Evidence, Snapshot, Source},
    ports::Cluster,
};
use jiff::{SignedDuration, Timestamp};

/// How far our clock may be from the API server's before nothing ends by it.
pub const LARGEST_SKEW: SignedDuration = SignedDuration::from_secs(30);

/// Whether our clock can be trusted, by the `Date` of the API server's last answer.
#[must_use]
pub fn time_evidence(cluster: &dyn Cluster, now: Timestamp) -> Evidence {
    match cluster.skew(now) {
        Some(skew) if skew.abs() <= LARGEST_SKEW => Evidence::complete(now),
        Some(skew) => Evidence::incomplete(now, format!("our clock is {} from the API server's", crate::model::duration::human(skew))),
        None => Evidence::incomplete(now, "the API server's time is not known"),
    }
}

/// Adds to a snapshot what is not an object: the time.
pub fn add_time(snapshot: &mut Snapshot, cluster: &dyn Cluster, now: Timestamp) {
    snapshot.evidence.insert(Source::Time, time_evidence(cluster, now));
}
