//! One resource in AWS, with what AWS tells of it and what only the truth knows.

use crate::{
    model::{cloud::CloudResource, evidence::CloudList},
    sandbox::history::Issue,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// The account that everything is in.
pub const ACCOUNT: &str = "123456789012";

/// Region, list and identifier.
pub type Place = (Arc<str>, CloudList, String);

/// How a resource came to be. AWS does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Made new, empty.
    Made,
    /// Restored from a snapshot: somebody wanted that data, whatever tags it inherited.
    Restored,
    /// Made by, or for, another cluster than ours.
    Elsewhere,
    /// A snapshot that was taken when its database was deleted.
    Final,
    /// A snapshot that somebody took.
    Manual,
    /// A snapshot that AWS took by itself.
    Automated,
}

/// What happens to a resource by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// AWS has begun to make it: it has a date from here on.
    Begun,
    /// It gets this status.
    Becomes(&'static str),
    /// It is gone.
    Gone,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// What AWS tells, but for the members of a cluster, which are found when it is asked.
    pub seen: CloudResource,
    /// How it came to be.
    pub origin: Origin,
    /// Whether its tags go to its snapshots.
    pub copy_tags: bool,
    /// A number that no other resource ever had.
    pub serial: u64,
    pub(super) next: Option<(Timestamp, Next)>,
}

impl Thing {
    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        (Arc::clone(&self.seen.region), self.seen.list, self.seen.id.clone())
    }

    /// Whether it is a database, and not a snapshot.
    #[must_use]
    pub fn is_database(&self) -> bool {
        matches!(self.seen.list, CloudList::Instances | CloudList::Clusters)
    }

    /// Its tag `key`.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.seen.tag(key)
    }
}

/// What is asked of AWS when a database is made.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The region.
    pub region: Arc<str>,
    /// The identifier.
    pub id: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The Aurora cluster that the instance is to be a member of.
    pub cluster: Option<String>,
    /// Whether it is protected from the start.
    pub protected: bool,
    /// Whether its tags go to its snapshots.
    pub copy_tags: bool,
    /// `db.t3.micro`, …
    pub class: Option<String>,
    /// `mysql`, …
    pub engine: Option<String>,
}

/// What was done in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A database was made, or restored.
    Create,
    /// A snapshot was taken.
    Snapshot,
    /// The deletion of a resource was accepted; the identifier of its final snapshot, if one is taken.
    Delete(Option<String>),
    /// Tags were set or taken away.
    Tag,
    /// Protection was switched.
    Protect,
}

/// One accepted change in AWS.
#[derive(Debug, Clone)]
pub struct CloudWrite {
    /// When it took effect, by AWS' clock.
    pub at: Timestamp,
    /// The request.
    pub issue: Issue,
    /// What was done.
    pub deed: Deed,
    /// The resource before, as it was.
    pub before: Option<Arc<Thing>>,
    /// The resource after; `None`: it is gone.
    pub after: Option<Arc<Thing>>,
    /// The members of a cluster at that moment, as they were.
    pub members: Vec<Arc<Thing>>,
}

impl CloudWrite {
    /// The resource that it was about.
    #[must_use]
    pub fn thing(&self) -> Option<&Arc<Thing>> {
        self.before.as_ref().or(self.after.as_ref())
    }
}

/// How long things take in AWS, in seconds: at least, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Until AWS has begun to make what was ordered.
    pub begins: (u64, u64),
    /// `creating`.
    pub creating: (u64, u64),
    /// The first `backing-up`.
    pub backing_up: (u64, u64),
    /// `deleting`, of instances and clusters.
    pub deleting: (u64, u64),
    /// `creating`, of snapshots.
    pub snapshot: (u64, u64),
}

impl Pace {
    /// Nothing takes time.
    pub const PROMPT: Self = Self { begins: (0, 0), creating: (0, 0), backing_up: (0, 0), deleting: (0, 0), snapshot: (0, 0) };

    /// As in life, where a cluster of the sandbox lives for minutes and not for hours: each about a quarter of what AWS takes.
    pub const BRISK: Self = Self { begins: (0, 10), creating: (20, 90), backing_up: (5, 40), deleting: (60, 150), snapshot: (5, 60) };
}
