//! `policy diff`: what one set of policies in another's place would do to the clones that live.
//!
//! ```text
//! (&Snapshot, &old, &new, now) ──► Side × 2: plan() ──► what becomes of each clone
//!                                           └► House: each clone played again as a newcomer ──► let in? placed where?
//!                                  both sides, clone by clone ──► Diff, policy by policy
//! ```
//!
//! Contract: pure, no clock. What judges here is what judges in the daemon, function by function ([`plan`](crate::plan::plan),
//! [`lifetime`](crate::plan::lifetime::lifetime), [`Newcomer`](crate::plan::admit::Newcomer)); nothing in here knows a rule. Equal things
//! are left out. Whatever lists clones is in the order of `namespace/name`.

mod compare;
mod house;
mod money;
mod side;
#[cfg(test)]
mod tests;

use crate::{
    model::Snapshot,
    plan::reason::Limit,
    policy::{Mode, Policies, Revision},
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::sync::Arc;

/// A thing under the old policies and under the new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change<T> {
    /// Under the old ones.
    pub from: T,
    /// Under the new ones.
    pub to: T,
}

impl<T: PartialEq> Change<T> {
    /// Whether both are the same.
    pub fn is_none(&self) -> bool {
        self.from == self.to
    }
}

/// What would be different.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// The moment that was judged (UTC).
    pub now: Timestamp,
    /// The revisions of both sets.
    pub revisions: Change<Revision>,
    /// Whether both sets mean the same: then there is nothing else here.
    pub same: bool,
    /// How many clones were looked at.
    pub clones: usize,
    /// Whether every clone is known and was judged under both. If not, what is here is not all that there is to say.
    pub complete: bool,
    /// Policies with any difference, by name.
    pub policies: Vec<PolicyDiff>,
    /// Names of `DatabaseHost`s that are new, gone or say something else.
    pub hosts: Vec<Altered>,
    /// Whether prices differ.
    pub prices: bool,
    /// What all governed clones cost a month.
    pub cost: Cost,
    /// What is not known, or not judged: each a sentence.
    pub notes: Vec<String>,
}

impl Diff {
    /// Whether nothing would happen to any clone that lives, though the policies may differ.
    #[must_use]
    pub fn touches_nobody(&self) -> bool {
        self.policies.iter().all(|policy| policy.impact == Impact::default() && policy.cost.usd.is_none())
    }
}

/// What became of a thing that is in either set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Altered {
    /// It is new.
    Added(String),
    /// It is gone.
    Removed(String),
    /// It says something else.
    Changed(String),
}

impl Altered {
    /// Its name, and the word for it.
    #[must_use]
    pub fn said(&self) -> (&str, &'static str) {
        match self {
            Self::Added(name) => (name, "added"),
            Self::Removed(name) => (name, "removed"),
            Self::Changed(name) => (name, "changed"),
        }
    }
}

/// What would be different under one policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyDiff {
    /// Its name, in both sets or in one.
    pub name: Arc<str>,
    /// Its mode; `None` in the set that it is not in.
    pub mode: Change<Option<Mode>>,
    /// The fields of its `spec` that say something else.
    pub fields: Vec<&'static str>,
    /// How many clones it governs.
    pub clones: Change<usize>,
    /// What its clones cost a month.
    pub cost: Cost,
    /// What would happen to clones.
    pub impact: Impact,
}

/// What would happen to the clones of a policy. Where one changes hands, it stands under the policy that would have it then.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Impact {
    /// Namespaces that come to it or go from it.
    pub handed_over: Vec<Handover>,
    /// Clones whose end has passed, and that are newly to go for it.
    pub reaped: Vec<End>,
    /// Clones that were to go for that, and are not any more.
    pub spared: Vec<End>,
    /// Clones whose end comes nearer, or that get one.
    pub sooner: Vec<Shift>,
    /// Clones whose end moves away, or that lose it.
    pub later: Vec<Shift>,
    /// Clones that are newly told of their end.
    pub warned: Vec<Warned>,
    /// Clones about which nothing can be decided any more, and why.
    pub held: Vec<Held>,
    /// Clones whose like would newly be refused.
    pub denied: Vec<Denied>,
    /// Clones whose like would not be refused any more.
    pub admitted: Vec<Denied>,
    /// Clones whose like would get another database. Their own stays where it is.
    pub moved: Vec<Moved>,
    /// Limits that are newly exceeded.
    pub exceeded: Vec<Exceeded>,
    /// What was left behind, or bounds a namespace, and newly goes: kind and name.
    pub removed: Vec<(&'static str, String)>,
    /// The brake, if anything about it differs.
    pub brake: Option<Change<Brake>>,
}

/// A namespace that another policy governs, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The namespace.
    pub namespace: Arc<str>,
    /// Whose it is; `None`: nobody's, or two policies' that hold it.
    pub policy: Change<Option<Arc<str>>>,
    /// How many clones live there.
    pub clones: usize,
}

/// An end that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// `namespace/name`.
    pub clone: Arc<str>,
    /// The computed end.
    pub end: Timestamp,
    /// When it goes; `None`: that is not announced.
    pub goes: Option<Timestamp>,
    /// Where the end comes from, in words.
    pub cause: &'static str,
    /// Whether it is only said, since the policy is in audit mode.
    pub only_said: bool,
}

/// An end that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// `namespace/name`.
    pub clone: Arc<str>,
    /// The computed end; `None`: it has none.
    pub end: Change<Option<Timestamp>>,
    /// Where the new end comes from, in words; the old one where there is no new one.
    pub cause: &'static str,
}

/// A clone that is told of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warned {
    /// `namespace/name`.
    pub clone: Arc<str>,
    /// The code of the reason.
    pub code: &'static str,
    /// The end that it is told.
    pub end: Option<Timestamp>,
    /// Whether it is only said, since the policy is in audit mode.
    pub only_said: bool,
}

/// A clone that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// `namespace/name`.
    pub clone: Arc<str>,
    /// The code of the reason.
    pub code: &'static str,
    /// The sentence.
    pub message: String,
}

/// A clone whose like is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// `namespace/name`.
    pub clone: Arc<str>,
    /// The code of the refusal.
    pub code: &'static str,
    /// What the caller would be told.
    pub message: String,
    /// Whether it is only said, since the policy is in audit mode.
    pub only_said: bool,
}

/// A clone whose like gets another database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// `namespace/name`.
    pub clone: Arc<str>,
    /// Which, in words.
    pub database: Change<String>,
}

/// A limit that is exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// The namespace.
    pub namespace: Arc<str>,
    /// Which.
    pub limit: Limit,
    /// How many there are.
    pub count: usize,
    /// How many may be.
    pub allowed: u32,
}

/// The surprises of a policy, against what its brake allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brake {
    /// Ends that were not announced as what they were computed to be.
    pub surprises: usize,
    /// Of so many clones.
    pub clones: usize,
    /// `brake.deletes`.
    pub deletes: u32,
    /// `brake.percent`.
    pub percent: u32,
    /// Whether none of them goes until a person lets it.
    pub over: bool,
    /// Whether that would be so by the brake of the old policies, and is not by this one.
    pub loosened: bool,
}

/// What clones cost a month of 730 hours, USD.
///
/// Each clone that lives stands for those like it: so many live at once as now, so as many arrive in a time as fit its life under the old
/// policies (Little's law). Before: its rate. After: its rate by where it would be placed, times its life under the new policies as a part
/// of that under the old ones. What the platform costs whether or not a clone lives is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cost {
    /// USD; `None`: nothing of it has a price, or what prices are made from is not known.
    pub usd: Change<Option<Decimal>>,
    /// What has no price, and is counted as nothing.
    pub unpriced: Vec<String>,
}

/// Compares what two sets of policies make of one world.
#[must_use]
pub fn diff(snapshot: &Snapshot, old: &Policies, new: &Policies, now: Timestamp) -> Diff {
    compare::compare(snapshot, old, new, now)
}
