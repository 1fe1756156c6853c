//! What is known, how completely, and since when. Missing is not empty, and empty is not zero.

use super::kind::Kind;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Something that evidence comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The list of one kind of object in the cluster.
    Objects(Kind),
    /// Whether our own clock can be trusted.
    Time,
    /// The key that clones' credentials are derived under.
    Key,
    /// One sweep over a region of AWS: the region, and what was listed there.
    Cloud(Arc<str>, CloudList),
    /// A look at a shared database host, by the name of its `DatabaseHost`.
    Host(Arc<str>),
    /// The price book of a region of AWS.
    Prices(Arc<str>),
    /// What AWS has billed.
    Billing,
}

impl CloudList {
    /// Every list of a sweep, in the order in which they are asked for: databases first, so that a snapshot that was taken of one
    /// meanwhile is seen.
    pub const ALL: [Self; 4] = [Self::Instances, Self::Clusters, Self::Snapshots, Self::ClusterSnapshots];
}

/// What a sweep over AWS lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloudList {
    /// RDS instances.
    Instances,
    /// RDS (Aurora) clusters.
    Clusters,
    /// Instance snapshots.
    Snapshots,
    /// Cluster snapshots.
    ClusterSnapshots,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(kind) => f.write_str(kind.source()),
            Self::Time => f.write_str("time"),
            Self::Host(host) => write!(f, "mysql/{host}"),
            Self::Key => f.write_str("credentials-key"),
            Self::Billing => f.write_str("billing"),
            Self::Prices(region) => write!(f, "prices/{region}"),
            Self::Cloud(region, CloudList::Instances) => write!(f, "rds/{region}"),
            Self::Cloud(region, CloudList::Clusters) => write!(f, "rds/{region}/clusters"),
            Self::Cloud(region, CloudList::Snapshots) => write!(f, "rds/{region}/snapshots"),
            Self::Cloud(region, CloudList::ClusterSnapshots) => write!(f, "rds/{region}/cluster-snapshots"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How well one source is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Everything that is there was seen.
    pub complete: bool,
    /// When it was last known to be so (UTC).
    pub observed_at: Timestamp,
    /// Why it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The API itself answers that it does not exist (404): its CRD is gone, or was never installed.
    #[serde(skip)]
    pub absent: bool,
    /// How old it may be and still be acted on. A sweep is as old as the time between two of them.
    #[serde(skip)]
    pub valid_for: SignedDuration,
}

impl Evidence {
    /// How old evidence from a watch may be and still be acted on. A healthy watch hears a bookmark about every minute.
    pub const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);

    /// Everything was seen at that time.
    #[must_use]
    pub fn complete(observed_at: Timestamp) -> Self {
        Self { complete: true, observed_at, reason: None, absent: false, valid_for: Self::MAX_AGE }
    }

    /// Not everything was seen, and why.
    #[must_use]
    pub fn incomplete(observed_at: Timestamp, reason: impl Into<String>) -> Self {
        Self { complete: false, observed_at, reason: Some(reason.into()), absent: false, valid_for: Self::MAX_AGE }
    }

    /// The API answers that there is no such resource.
    #[must_use]
    pub fn absent(observed_at: Timestamp) -> Self {
        Self { absent: true, ..Self::incomplete(observed_at, "the API server does not serve this resource") }
    }

    /// Why this evidence does not suffice at `now`, if it does not.
    #[must_use]
    pub fn lack(&self, now: Timestamp) -> Option<String> {
        if !self.complete {
            return Some(self.reason.clone().unwrap_or_else(|| "incomplete".to_owned()));
        }
        let age = now.duration_since(self.observed_at);
        // What is dated ahead was dated by a clock that was wrong then, or is judged by one that is wrong now.
        if age < -self.valid_for {
            return Some(format!("dated {} ahead", super::duration::human(-age)));
        }
        (age > self.valid_for).then(|| format!("last seen {} ago", super::duration::human(age)))
    }
}

/// The evidence of every source that was asked. A source that is not in it was never asked: that is missing evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvidenceSet(BTreeMap<Source, Evidence>);

impl EvidenceSet {
    /// Records what is known of a source.
    pub fn insert(&mut self, source: Source, evidence: Evidence) {
        self.0.insert(source, evidence);
    }

    /// What is known of a source; `None` if it was never asked.
    #[must_use]
    pub fn get(&self, source: &Source) -> Option<&Evidence> {
        self.0.get(source)
    }

    /// What is known of the list of a kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Option<&Evidence> {
        self.0.get(&Source::Objects(kind))
    }

    /// Why a source does not suffice at `now`; `None` if it does.
    #[must_use]
    pub fn lack(&self, source: &Source, now: Timestamp) -> Option<String> {
        self.get(source).map_or_else(|| Some("was not asked for".to_owned()), |evidence| evidence.lack(now))
    }

    /// Every source with its evidence, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, &Evidence)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_good_for_a_while_on_either_side_of_its_date() {
        let now: Timestamp = "2026-02-05T14:00:00Z".parse().unwrap();
        let seen = |at: Timestamp| Evidence::complete(at).lack(now);
        let (valid, second) = (Evidence::MAX_AGE, SignedDuration::from_secs(1));
        assert_eq!((seen(now), seen(now - valid), seen(now + valid)), (None, None, None));
        assert!(seen(now - valid - second).unwrap().ends_with("ago"));
        assert!(seen(now + valid + second).unwrap().ends_with("ahead"), "a date in the future proves nothing");
        assert_eq!(Evidence::incomplete(now, "a page was missing").lack(now).as_deref(), Some("a page was missing"));
    }
}
