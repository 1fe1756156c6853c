//! Reads the world: watches, sweeps and files become a [`Snapshot`](crate::model::Snapshot). Nothing here writes.

mod answer;
pub mod billing;
pub mod files;
pub mod hosts;
pub mod kube;
pub mod mirror;
pub mod pricing;
pub mod rds;
pub mod schemas;
pub mod store;
pub mod sweeps;

use crate::{
    model::{Evidence, Snapshot, Source},
    ports::{Cloud, Cluster},
};
use jiff::{SignedDuration, Timestamp};

/// How far our clock may be from the API server's before nothing ends by it.
pub const LARGEST_SKEW: SignedDuration = SignedDuration::from_secs(30);

/// Whether our clock can be trusted, by the `Date` of the API server's last answer, and of AWS' where there is one: that AWS
/// cannot be reached is no reason to distrust the clock.
#[must_use]
pub fn time_evidence(cluster: &dyn Cluster, cloud: &dyn Cloud, now: Timestamp) -> Evidence {
    let far = |skew: &SignedDuration| skew.abs() > LARGEST_SKEW;
    let untrusted = |skew, whose| Evidence::incomplete(now, format!("our clock is {} from {whose}", crate::model::duration::human(skew)));
    match (cluster.skew(now), cloud.skew(now).filter(far)) {
        (None, _) => Evidence::incomplete(now, "the API server's time is not known"),
        (Some(skew), _) if far(&skew) => untrusted(skew, "the API server's"),
        (Some(_), Some(skew)) => untrusted(skew, "AWS'"),
        (Some(_), None) => Evidence::complete(now),
    }
}

/// Adds to a snapshot what is not an object: the time.
pub fn add_time(snapshot: &mut Snapshot, cluster: &dyn Cluster, cloud: &dyn Cloud, now: Timestamp) {
    snapshot.evidence.insert(Source::Time, time_evidence(cluster, cloud, now));
}
