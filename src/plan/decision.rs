//! What a plan is made of: decisions, each about one target and with its reason as data.

use super::{lifetime::warned_text, orphans::Course, reason::Reason};
use crate::cost::tariff::Tariff;
use crate::model::{
    Child, EvidenceSet, Kind, Meta, Quota, Schema, Source, State, WordPressClone,
    cloud::CloudResource,
    meta::Unreadable,
    month::{Month, UsageRecord, UsageStatus, object_name},
    names,
    orphan::OrphanRecord,
    schema::{self, LedgerRow},
    usage::{Memory, Unused},
};
use crate::policy::Revision;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Everything that is decided about one snapshot. The daemon executes it, the command line prints it, metrics count it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The moment that was decided about (UTC).
    pub now: Timestamp,
    /// The revision of the policies that decided.
    pub revision: Revision,
    /// Whether it was made from files: then nothing can be applied from it.
    pub applicable: bool,
    /// What was known.
    pub evidence: EvidenceSet,
    /// The decisions, clones first, in the order of `namespace/name`.
    pub decisions: Vec<Decision>,
    /// When to look again if nothing happens before.
    pub next_wakeup: Option<Timestamp>,
    /// What must be remembered *before* any of the decisions is carried out.
    pub state: State,
    /// Namespaces whose `enforce` was found interrupted: not to be forgotten where [`Self::state`] cannot be written.
    pub interrupted: Vec<String>,
    /// UIDs of kept clones on which an end still stands announced, and the date of that announcement: it does not count any
    /// more, even if it cannot be taken back.
    pub withdrawn: Vec<(Box<str>, Timestamp)>,
    /// What clones cost.
    pub tariff: Arc<Tariff>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Nothing: it lives on.
    Keep,
    /// Its owner is told that its end comes.
    Warn,
    /// It goes.
    Delete,
    /// It would go or be judged, but something is not known well enough.
    Hold,
    /// It is recorded as an orphan.
    Mark,
    /// It is no orphan any more.
    Unmark,
    /// Something is made.
    Create,
    /// Something is changed.
    Update,
    /// A person should look.
    Alert,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 9] = [Self::Keep, Self::Warn, Self::Delete, Self::Hold, Self::Mark, Self::Unmark, Self::Create, Self::Update, Self::Alert];

    /// The word in `-o json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Warn => "warn",
            Self::Delete => "delete",
            Self::Hold => "hold",
            Self::Mark => "mark",
            Self::Unmark => "unmark",
            Self::Create => "create",
            Self::Update => "update",
            Self::Alert => "alert",
        }
    }
}

/// Why the daemon would not do what was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockedBy {
    /// The policy is in audit mode.
    Audit,
    /// The brake is on.
    Brake,
    /// `clonewarden pause` is in force.
    Pause,
}

impl BlockedBy {
    /// The word in `-o json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Brake => "brake",
            Self::Pause => "pause",
        }
    }
}

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A clone.
    Clone(Arc<WordPressClone>),
    /// The Secret of a clone.
    Secret(Arc<WordPressClone>),
    /// Something in the cluster that belongs or belonged to a clone.
    Child(Arc<Child>),
    /// Something in AWS.
    Cloud(Arc<CloudResource>),
    /// A schema on a shared host, be it there or not.
    Schema(Arc<Schema>),
    /// An `Orphan` object.
    Orphan(Arc<OrphanRecord>),
    /// A `ResourceQuota` or `LimitRange` under our name.
    Quota(Arc<Quota>),
    /// One of these that is not there, in this namespace.
    Absent(Kind, Arc<str>),
    /// The `CloneUsage` of a namespace and a month, be it there or not.
    Usage(Arc<str>, Month),
    /// An object that cannot be read.
    Unreadable(Box<Unreadable>),
    /// A source of evidence.
    Source(Source),
    /// A namespace.
    Namespace(Arc<str>),
    /// A policy.
    Policy(Arc<str>),
    /// KRO's ResourceGraphDefinition.
    Definition(Arc<str>),
}

impl Target {
    /// The identity of a target that is an object in the cluster.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        match self {
            Self::Clone(clone) => Some(&clone.meta),
            Self::Child(child) => Some(&child.meta),
            Self::Orphan(orphan) => Some(&orphan.meta),
            Self::Quota(quota) => Some(&quota.meta),
            _ => None,
        }
    }

    /// The kind, as it appears in `-o json`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Clone(_) => crate::model::names::CLONE_KIND,
            Self::Secret(_) => "Secret",
            Self::Child(child) => child.kind.name(),
            Self::Cloud(resource) => resource.kind(),
            Self::Schema(_) => schema::KIND,
            Self::Orphan(_) => "Orphan",
            Self::Quota(quota) => quota.kind.name(),
            Self::Absent(kind, _) => kind.name(),
            Self::Usage(..) => Kind::Usage.name(),
            Self::Unreadable(object) => object.kind.name(),
            Self::Source(_) => "Source",
            Self::Namespace(_) => "Namespace",
            Self::Policy(_) => "ClonePolicy",
            Self::Definition(_) => "ResourceGraphDefinition",
        }
    }

    /// What distinguishes it from every other of its kind: UID, ARN or name.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Cloud(resource) => resource.arn.clone(),
            Self::Schema(schema) => schema.key(),
            Self::Unreadable(object) => object.uid.clone().unwrap_or_else(|| format!("{}/{}", object.namespace, object.name)),
            Self::Source(source) => source.to_string(),
            Self::Namespace(name) | Self::Policy(name) | Self::Definition(name) => name.to_string(),
            Self::Absent(kind, _) => format!("{kind} {}", self.display()),
            Self::Usage(namespace, month) => object_name(namespace, *month),
            Self::Secret(clone) => format!("Secret {}", clone.meta.uid),
            Self::Clone(_) | Self::Child(_) | Self::Orphan(_) | Self::Quota(_) => self.meta().map(|meta| meta.uid.to_string()).unwrap_or_default(),
        }
    }

    /// How a person calls it: `namespace/name`, or its identifier.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::Clone(_) | Self::Child(_) | Self::Quota(_) => self.meta().map(|meta| meta.path().to_string()).unwrap_or_default(),
            Self::Absent(_, namespace) => format!("{namespace}/{}", names::OURSELVES),
            Self::Usage(namespace, month) => object_name(namespace, *month),
            Self::Secret(clone) => format!("{}/{}", clone.meta.namespace(), clone.secret_name()),
            Self::Orphan(orphan) => orphan.meta.name().to_owned(),
            Self::Cloud(resource) => resource.id.clone(),
            Self::Schema(schema) => format!("{}/{}", schema.host, schema.name),
            Self::Unreadable(object) => format!("{}/{}", object.namespace, object.name),
            Self::Source(source) => source.to_string(),
            Self::Namespace(name) | Self::Policy(name) | Self::Definition(name) => name.to_string(),
        }
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// Why the daemon would not do it; `None`: it would.
    pub blocked_by: Option<BlockedBy>,
    /// The policy that governs the target, if one does.
    pub policy: Option<Arc<str>>,
    /// What it is about.
    pub target: Target,
    /// Why.
    pub reason: Reason,
    /// What carrying it out writes, beside the end of what it is about.
    pub work: Option<Work>,
}

/// What carrying out a decision writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Annotations on the clone.
    Annotate(Write),
    /// An object of ours, as it is sent.
    Apply(Arc<Value>),
    /// The Secret of a clone; whether that is written on the clone at once. What is in it is made only when it is sent.
    Secret(bool),
    /// The key that credentials are derived under, once this is proved.
    Key(NobodyLives),
    /// A schema with its user, of the clone that the row is about.
    Make(Arc<LedgerRow>),
    /// Nothing but its end, once it is proved that nothing has used its database since this was found.
    Unused(Arc<Unused>),
    /// What a shared host has counted, written down there by the names of the schemas.
    Note(Arc<[(String, Memory)]>),
    /// The tags that something in AWS is to have.
    Tag(BTreeMap<String, String>),
    /// What the `CloneUsage` is to say; `None`: there is none yet.
    Count(Option<Arc<UsageRecord>>, Box<UsageStatus>),
    /// What the `Orphan` is to say of something that was left behind.
    Record(Box<Course>),
}

/// What has to be proved anew, by a quorum read, before a key is made: a watch may be behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NobodyLives {
    /// No clone lives: there was a key before.
    AtAll,
    /// No clone says that it has a Secret: no key is remembered.
    WithSecret,
    /// Nothing: a person has said that it is all right.
    Needless,
}

/// What is written on a clone. The annotations themselves are made only when they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// This end, announced at that time, with the warning that the announcement already is.
    Announce(Timestamp, Timestamp, Option<SignedDuration>, Because),
    /// The warning so long before this end has been given.
    Warned(Timestamp, SignedDuration),
    /// What was announced is taken back.
    Withdraw,
}

/// What an announcement says of why the end has come nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Nothing, and the clone says nothing either.
    Nothing,
    /// Nothing has used its database since then.
    Unused(Timestamp),
    /// That is over: what the clone says of it is taken away.
    UsedAgain,
}

impl Write {
    /// The annotations: `Some` sets, `None` removes.
    #[must_use]
    pub fn annotations(self) -> BTreeMap<&'static str, Option<String>> {
        let warned = |end: Timestamp, before: SignedDuration| (names::WARNED, Some(warned_text(end, before)));
        match self {
            Self::Announce(end, at, before, because) => {
                let announced = [(names::EXPIRES_AT, Some(end.to_string())), (names::ANNOUNCED_AT, Some(at.to_string()))];
                let because = match because {
                    Because::Nothing => None,
                    Because::Unused(since) => Some((names::UNUSED_SINCE, Some(since.to_string()))),
                    Because::UsedAgain => Some((names::UNUSED_SINCE, None)),
                };
                announced.into_iter().chain(before.map(|before| warned(end, before))).chain(because).collect()
            }
            Self::Warned(end, before) => [warned(end, before)].into(),
            Self::Withdraw => [names::EXPIRES_AT, names::ANNOUNCED_AT, names::UNUSED_SINCE, names::WARNED].map(|name| (name, None)).into(),
        }
    }
}

impl Decision {
    /// A decision that nothing blocks and that writes nothing on a clone.
    #[must_use]
    pub fn new(action: Action, policy: Option<&Arc<str>>, target: Target, reason: Reason) -> Self {
        Self { action, blocked_by: None, policy: policy.cloned(), target, reason, work: None }
    }

    /// The same decision, which writes this when it is carried out.
    #[must_use]
    pub fn with(self, work: impl Into<Option<Work>>) -> Self {
        Self { work: work.into(), ..self }
    }

    /// What is to be written on the clone, if anything is.
    #[must_use]
    pub fn write(&self) -> Option<Write> {
        match self.work {
            Some(Work::Annotate(write)) => Some(write),
            _ => None,
        }
    }

    /// What its `Orphan` is to say, if it is about something that was left behind.
    #[must_use]
    pub fn course(&self) -> Option<&Course> {
        match &self.work {
            Some(Work::Record(course)) => Some(course),
            _ => None,
        }
    }

    /// The tags that something in AWS is to have.
    #[must_use]
    pub fn tags(&self) -> Option<&BTreeMap<String, String>> {
        match &self.work {
            Some(Work::Tag(tags)) => Some(tags),
            _ => None,
        }
    }

    /// Whether carrying it out writes something, beside what it is about being deleted.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.course().map_or(self.work.is_some(), |course| course.news)
    }

    /// Whether the end of this orphan was asked for before.
    #[must_use]
    pub fn was_asked_for(&self) -> bool {
        let record = self.course().and_then(|course| course.record.as_ref());
        record.is_some_and(|record| record.is_asked_for())
    }

    /// Whether the daemon would do it.
    #[must_use]
    pub fn effective(&self) -> bool {
        self.blocked_by.is_none()
    }

    /// An id that is the same whenever the same is decided for the same reason about the same object: a repeat after a crash
    /// is recognisable. 16 hexadecimal digits of SHA-256 over uid, action, reason and end.
    #[must_use]
    pub fn id(&self) -> String {
        id(self.target.kind(), &self.target.key(), self.action.word(), self.reason.code(), self.reason.end())
    }
}

/// The id of whatever is decided so: see [`Decision::id`].
#[must_use]
pub fn id(kind: &str, key: &str, action: &str, code: &str, end: Option<Timestamp>) -> String {
    digest(&[kind, key, action, code, &end.map(|end| end.to_string()).unwrap_or_default()])
}

/// 16 hexadecimal digits that are the same for the same parts only.
#[must_use]
pub fn digest(parts: &[&str]) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
