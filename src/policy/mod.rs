//! What the policy files say, once they have been read and checked.
//!
//! ```text
//! files ──► yaml ──► format (scalar) ──► lint ──► set ──► Policies
//!             └──────────┴────────────────┴───────┴────► Problems, with file, line, column and snippet
//! ```
//!
//! `yaml` cuts files into documents and bounds them, `format` mirrors how they are written, `lint` checks one document, `set` what
//! holds between them, and [`load`] does it for a folder. [`select`] is the language of `when`. A set loads whole or not at all.

mod code;
mod doubts;
pub mod fixture;
pub mod folder;
mod format;
mod forms;
mod host;
mod lint;
pub mod load;
mod meaning;
pub mod prices;
pub mod problem;
pub mod report;
mod scalar;
pub mod schema;
pub mod select;
mod set;
#[cfg(test)]
mod tests;
mod yaml;

pub use code::Code;
pub use folder::Folder;
pub use host::{DatabaseHost, Endpoint, RdsHost};
pub use load::{Linted, lint_dir, lint_files, load_dir, load_files};
pub use problem::{Place, Problem, Problems};
pub use select::{Condition, Facts, Reads, Unsure};

use crate::{
    cost::book::PriceBook,
    model::{Quantity, Span},
};
use rust_decimal::Decimal;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A whole set of policies, as one revision of the files gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policies {
    /// Which they are.
    pub revision: Revision,
    /// Every `ClonePolicy`, sorted by name.
    pub policies: Vec<Arc<ClonePolicy>>,
    /// Every `DatabaseHost`, sorted by name.
    pub hosts: Vec<DatabaseHost>,
    /// What AWS asks for: the book that is built in, with the figures of every `PriceBook` in place of its own.
    pub prices: Arc<PriceBook>,
}

/// Which set of policies it is: by what the files say, and by the commit that they say they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// `sha256:` of the sorted (file name, bytes).
    pub hash: Arc<str>,
    /// The Git commit, where the folder tells one (see [`Folder`]).
    pub commit: Option<Arc<str>>,
}

impl<T: Into<Arc<str>>> From<T> for Revision {
    fn from(hash: T) -> Self {
        Self { hash: hash.into(), commit: None }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hash)?;
        self.commit.iter().try_for_each(|commit| write!(f, " (commit {commit})"))
    }
}

/// Whether a policy only says what it would do, or does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing is deleted, mutated, denied, limited or made.
    #[default]
    Audit,
    /// The policy is carried out.
    Enforce,
}

/// The rules for the clones of some namespaces.
#[derive(Debug, Clone, PartialEq)]
pub struct ClonePolicy {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// The file it stands in, relative to the folder.
    pub file: String,
    /// The line of its `metadata.name`, from 1.
    pub line: u64,
    /// The lines of what clones may be refused for, by field (`limits.clones`, `quota`): who is turned away is told where to look.
    pub lines: BTreeMap<&'static str, u64>,
    /// `spec.mode`.
    pub mode: Mode,
    /// `spec.namespaces`.
    pub namespaces: Namespaces,
    /// `spec.ttl`.
    pub ttl: Ttl,
    /// `spec.idle`: when a clone ends that nothing uses; `None`: not earlier than any other.
    pub idle: Option<IdleRule>,
    /// `spec.limits`.
    pub limits: Limits,
    /// `spec.quota`: resource names and quantities of the ResourceQuota.
    pub quota: BTreeMap<String, Hard>,
    /// `spec.limitRange`: what the LimitRange says of containers.
    pub limit_range: Option<LimitRange>,
    /// `spec.databases`: the placement rules, in their order.
    pub databases: Vec<DatabaseRule>,
    /// `spec.budget`.
    pub budget: Option<Budget>,
    /// `spec.orphans`.
    pub orphans: OrphanRules,
    /// `spec.brake`.
    pub brake: BrakeRules,
}

/// A bound of a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hard {
    /// As the policy writes it.
    pub text: String,
    /// How much that is: every newcomer is held against it.
    pub amount: Quantity,
}

/// Which namespaces a policy governs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// These, by name.
    Names(Vec<String>),
    /// Those whose labels have all of these values.
    Selector(BTreeMap<String, String>),
}

/// How long clones live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ttl {
    /// Where the clone does not say.
    pub default: Span,
    /// The shortest life that can be asked for.
    pub minimum: Span,
    /// The ceiling, from the server's creationTimestamp; extensions included.
    pub maximum: Span,
    /// How long before the end warnings are given, longest first.
    pub warnings: Vec<Span>,
    /// The least time between an announcement that comes late and the end it announces.
    pub grace: Span,
}

impl Default for Ttl {
    fn default() -> Self {
        Self {
            default: Span::hours(2),
            minimum: Span::minutes(15),
            maximum: Span::hours(24),
            warnings: vec![Span::hours(1), Span::minutes(10)],
            grace: Span::minutes(10),
        }
    }
}

/// When a clone ends that nothing uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleRule {
    /// How long nothing must have used its database.
    pub after: Span,
}

/// How many clones there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Live clones in a namespace.
    pub clones: Option<u32>,
    /// Clones with a database of their own, in a namespace.
    pub dedicated_databases: Option<u32>,
    /// Live clones of one owner, in a namespace.
    pub clones_per_owner: Option<u32>,
    /// What happens to those that got in over the limit.
    pub overflow: Overflow,
}

/// What the backstop does with clones over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It reports them.
    #[default]
    Report,
    /// It brings the end of the newest forward, announced and braked like every other.
    ReapNewest,
}

/// What a container gets that says nothing else, and what it may say. Resource names and quantities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitRange {
    /// The limit of one that has none.
    pub default: BTreeMap<String, String>,
    /// The request of one that has none.
    pub default_request: BTreeMap<String, String>,
    /// The highest limit.
    pub max: BTreeMap<String, String>,
    /// The lowest request.
    pub min: BTreeMap<String, String>,
}

/// One placement rule.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseRule {
    /// Its name, unique within the policy.
    pub name: String,
    /// When it matches; none: always.
    pub when: Option<Condition>,
    /// What a clone gets for which it matches.
    pub placement: Placement,
}

/// Which database a clone gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Placement {
    /// A schema on the first of these hosts that has room.
    Shared {
        /// Names of `DatabaseHost`s.
        hosts: Vec<String>,
    },
    /// An instance of its own, of one of these classes.
    Dedicated {
        /// Allowed instance classes, the first is the default.
        classes: Vec<String>,
    },
    /// An Aurora Serverless v2 cluster of its own.
    Serverless {
        /// The least capacity, in Aurora capacity units.
        min_acu: Decimal,
        /// The most capacity, in Aurora capacity units.
        max_acu: Decimal,
    },
}

/// What a namespace may cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// USD a calendar month (UTC).
    pub monthly: Decimal,
    /// The percentage at which to warn.
    pub warn_at: u32,
    /// What happens to a new clone that would go over it.
    pub at_limit: AtLimit,
}

/// What happens to a clone that the budget does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtLimit {
    /// It is created with a warning.
    #[default]
    Warn,
    /// It gets a shared database.
    Share,
    /// It is refused.
    Deny,
}

/// How orphans are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrphanRules {
    /// How long something must have been an orphan.
    pub soak: Span,
    /// How often it must have been seen as one.
    pub observations: u32,
    /// Whether a database gets a final snapshot.
    pub final_snapshot: bool,
    /// How long final snapshots are kept.
    pub snapshots_kept_for: Span,
}

impl Default for OrphanRules {
    fn default() -> Self {
        Self { soak: Span::hours(1), observations: 3, final_snapshot: true, snapshots_kept_for: Span::hours(24 * 7) }
    }
}

/// When to stop and ask a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrakeRules {
    /// More surprises than this within `per` trip the brake.
    pub deletes: u32,
    /// More surprises than this percentage of the policy's clones trip it too, from 10 clones up.
    pub percent: u32,
    /// The window.
    pub per: Span,
}

impl Default for BrakeRules {
    fn default() -> Self {
        Self { deletes: 20, percent: 50, per: Span::minutes(10) }
    }
}

impl ClonePolicy {
    /// `file:line` of a limit, or of the policy's name where it does not say that limit.
    #[must_use]
    pub fn place_of(&self, field: &str) -> String {
        format!("{}:{}", self.file, self.lines.get(field).unwrap_or(&self.line))
    }
}

/// Which policy governs a namespace.
#[derive(Debug, Clone, PartialEq)]
pub enum Governing<'a> {
    /// None: its clones are nobody's business here.
    Nobody,
    /// This one.
    Policy(&'a Arc<ClonePolicy>),
    /// Several selectors have come to meet on it: it is held.
    Conflict(&'a Arc<ClonePolicy>, &'a Arc<ClonePolicy>),
}

impl Policies {
    /// Which policy governs a namespace with these labels (`None`: not known, then only names match).
    #[must_use]
    pub fn governing(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> Governing<'_> {
        let mut matching = self.policies.iter().filter(|policy| policy.namespaces.contains(namespace, labels));
        match (matching.next(), matching.next()) {
            (None, _) => Governing::Nobody,
            (Some(policy), None) => Governing::Policy(policy),
            (Some(first), Some(second)) => Governing::Conflict(first, second),
        }
    }

    /// Whether any of them ends clones that nothing uses, so that it matters what does.
    #[must_use]
    pub fn end_idle_clones(&self) -> bool {
        self.policies.iter().any(|policy| policy.idle.is_some())
    }

    /// Whether the labels of namespaces have to be known before anything can be said.
    #[must_use]
    pub fn use_selectors(&self) -> bool {
        self.policies.iter().any(|policy| matches!(policy.namespaces, Namespaces::Selector(_)))
    }
}

impl Namespaces {
    /// Whether a namespace with these labels (`None`: not known) is among them.
    pub(crate) fn contains(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| name == namespace),
            Self::Selector(wanted) => labels.is_some_and(|labels| wanted.iter().all(|(key, value)| labels.get(key) == Some(value))),
        }
    }
}
