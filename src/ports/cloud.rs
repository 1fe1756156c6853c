//! AWS as far as the daemon uses it: sweeps over what RDS holds, and the few calls that change something there.

use crate::model::{cloud::CloudResource, evidence::CloudList};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, sync::Arc};

/// Why a call to AWS did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// AWS says that it is not there.
    #[error("not found")]
    NotFound,
    /// The state that it is in does not allow what was asked, by AWS' own code. It may at another time.
    #[error("not in this state ({code}): {message}")]
    State {
        /// AWS' code, such as `InvalidDBInstanceState`.
        code: String,
        /// AWS' words.
        message: String,
    },
    /// AWS refuses, and will not think better of it by itself.
    #[error("refused ({code}): {message}")]
    Refused {
        /// AWS' code, such as `InvalidParameterCombination`.
        code: String,
        /// AWS' words.
        message: String,
    },
    /// The credentials are missing, expired or do not allow it, in AWS' words.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// No answer, throttled for too long, or 5xx. What was asked may have happened all the same.
    #[error("no answer: {0}")]
    Unavailable(String),
    /// There was an answer, and it is not whole: cut short, or without what it must carry. Nothing in it is used.
    #[error("the answer is not whole: {0}")]
    NotWhole(String),
    /// The credentials, or what was described, belong to another account or region than the daemon was told of.
    #[error("{0}")]
    Elsewhere(String),
}

/// What was asked of one region, list by list. Each list is whole, or it is an error.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The region.
    pub region: Arc<str>,
    /// The account that answered, if that is known.
    pub account: Option<Arc<str>>,
    /// When the first question was asked, by our clock: nothing is known of what happened after that.
    pub begun: Timestamp,
    /// What each list held.
    pub lists: BTreeMap<CloudList, Result<Vec<CloudResource>, CloudError>>,
}

/// What may be left of an identifier's earlier life: a snapshot or an automated backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kin {
    /// What it is, for people: `snapshot x`.
    pub what: String,
    /// The `DbiResourceId` or `DbClusterResourceId` that it was taken of; empty if AWS does not say.
    pub resource_id: String,
}

/// What becomes of the data when a database goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell<'a> {
    /// A final snapshot of this identifier is taken.
    Snapshot(&'a str),
    /// None: the policy does not want one, a person let it go without, or its kind cannot have one.
    Nothing,
}

/// RDS in every region that is governed. Every call has a timeout and bounded retries of its own.
pub trait Cloud: Send + Sync + 'static {
    /// The regions; none: there is no AWS.
    fn regions(&self) -> &[Arc<str>];

    /// One pass over everything that RDS holds in a region.
    fn sweep<'a>(&'a self, region: &'a Arc<str>) -> BoxFuture<'a, Sweep>;

    /// The one resource that has this identifier now, whole; `None` if AWS says that there is none.
    fn describe<'a>(&'a self, list: CloudList, region: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<CloudResource>, CloudError>>;

    /// Every snapshot and automated backup, of whichever kind, of an instance or cluster of this identifier.
    fn kin<'a>(&'a self, list: CloudList, region: &'a str, id: &'a str) -> BoxFuture<'a, Result<Vec<Kin>, CloudError>>;

    /// Asks for the deletion of what has this identifier. That it is accepted does not mean that it is gone.
    fn delete<'a>(&'a self, resource: &'a CloudResource, farewell: Farewell<'a>) -> BoxFuture<'a, Result<(), CloudError>>;

    /// Sets tags, beside those that are there.
    fn tag<'a>(&'a self, resource: &'a CloudResource, tags: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<(), CloudError>>;

    /// How far our clock is ahead of AWS', by the `Date` of its last answer; `None` if no answer of the last minutes carried one.
    fn skew(&self, now: Timestamp) -> Option<SignedDuration>;
}

/// No AWS at all: no regions were given.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCloud;

impl NoCloud {
    fn refuse<T: Send + 'static>() -> BoxFuture<'static, Result<T, CloudError>> {
        Box::pin(async { Err(CloudError::Unavailable("no region of AWS is governed (`--aws-regions`)".to_owned())) })
    }
}

impl Cloud for NoCloud {
    fn regions(&self) -> &[Arc<str>] {
        &[]
    }

    fn sweep<'a>(&'a self, region: &'a Arc<str>) -> BoxFuture<'a, Sweep> {
        Box::pin(async { Sweep { region: Arc::clone(region), account: None, begun: Timestamp::UNIX_EPOCH, lists: BTreeMap::new() } })
    }

    fn describe<'a>(&'a self, _: CloudList, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<CloudResource>, CloudError>> {
        Self::refuse()
    }

    fn kin<'a>(&'a self, _: CloudList, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Vec<Kin>, CloudError>> {
        Self::refuse()
    }

    fn delete<'a>(&'a self, _: &'a CloudResource, _: Farewell<'a>) -> BoxFuture<'a, Result<(), CloudError>> {
        Self::refuse()
    }

    fn tag<'a>(&'a self, _: &'a CloudResource, _: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<(), CloudError>> {
        Self::refuse()
    }

    fn skew(&self, _: Timestamp) -> Option<SignedDuration> {
        None
    }
}
