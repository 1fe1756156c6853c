//! What was written in the world: by whom, when, and what was there before. Whoever judges a daemon reads this.

use crate::{model::Kind, ports::LeaseRecord};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// Who wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A daemon, through the handle of this name.
    Daemon(Arc<str>),
    /// KRO, ACK, the Job controller.
    Platform,
    /// A person.
    Person,
}

/// A request on its way: who sent it, when, and who held a lease then. The effect may come later.
#[derive(Debug, Clone)]
pub struct Issue {
    /// Who.
    pub by: Actor,
    /// When it was sent, by the API server's clock.
    pub at: Timestamp,
    /// The lease as it was then, if there was one.
    pub lease: Option<LeaseNow>,
    /// How many writes the history of the world had then.
    pub writes: usize,
}

/// A lease at one moment.
#[derive(Debug, Clone)]
pub struct LeaseNow {
    /// Its name.
    pub name: Arc<str>,
    /// What stands in it.
    pub record: LeaseRecord,
    /// When it was last written, by the API server's clock.
    pub written: Timestamp,
}

impl LeaseNow {
    /// Whether `identity` held it at `now`: it stands in it, and has renewed it within its duration.
    #[must_use]
    pub fn held_by(&self, identity: &str, now: Timestamp) -> bool {
        let age = now.duration_since(self.written);
        self.record.holder == identity && age.unsigned_abs() < self.record.duration
    }
}

/// What kind of write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// An object was made.
    Create,
    /// An object was changed.
    Change,
    /// An object was deleted: it is gone, or waits for its finalizers.
    Delete,
    /// An object of the kind `Event` was written.
    Note,
    /// A ConfigMap of the daemon's own was written.
    State,
    /// A Secret was made, changed or deleted.
    Secret,
    /// A Lease changed hands. Renewals are not recorded, there are too many of them.
    Lease,
}

/// One accepted write.
#[derive(Debug, Clone)]
pub struct Write {
    /// When it took effect, by the API server's clock.
    pub at: Timestamp,
    /// The request.
    pub issue: Issue,
    /// What was done.
    pub verb: Verb,
    /// To which kind of object; `None` for Events, state, Secrets and leases.
    pub kind: Option<Kind>,
    /// In which namespace.
    pub namespace: String,
    /// Under which name.
    pub name: String,
    /// The preconditions it carried: uid and resourceVersion, each empty if it was not given.
    pub pin: Option<(String, String)>,
    /// The whole object before.
    pub before: Option<Arc<Value>>,
    /// The whole object after; `None`: it is gone.
    pub after: Option<Arc<Value>>,
}

impl Write {
    /// The daemon that wrote, if it was one.
    #[must_use]
    pub fn daemon(&self) -> Option<&str> {
        match &self.issue.by {
            Actor::Daemon(id) => Some(id),
            Actor::Platform | Actor::Person => None,
        }
    }
}
