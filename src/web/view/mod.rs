//! What the page and `/view/v1` show: made of a plan, the snapshot that it was made of and the policies, and nothing else.
//!
//! Contract: pure. A reason is the decision's own, words and all; a sum is one that the plan or a ledger holds. What is not known is
//! not there. No spec of a clone, no Secret, and no password of a source is in any of it; whoever may see one namespace is told of no other
//! ([`discretion`]). It is bounded whatever there is: lists say how many there are in all. Money is USD as a decimal string, dates are RFC 3339 in UTC.

pub(super) mod actions;
pub(super) mod clones;
mod discretion;
pub(super) mod groups;
pub(super) mod head;
pub(super) mod namespaces;
pub(super) mod orphans;
#[cfg(test)]
mod tests;
pub(super) mod upcoming;

use crate::{
    model::{Snapshot, journal::Line},
    plan::{BlockedBy, Decision, Plan, Target, accrual::Rates},
    policy::{ClonePolicy, Mode, Policies},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::HashMap, sync::Arc};

/// The version of this format. Fields are added within it and never renamed.
const VERSION: u32 = 1;

/// Everything that the page shows.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View {
    /// The version of this format.
    pub(crate) version: u32,
    /// The daemon itself: whether it acts, by which policies, and what it knows.
    pub(crate) head: head::Head,
    /// The governed namespaces with what they may have, have, and cost.
    pub(crate) namespaces: namespaces::Namespaces,
    /// The clones, what is due first first.
    pub(crate) clones: clones::Clones,
    /// What will happen, soonest first, if nothing changes.
    pub(crate) upcoming: upcoming::Upcoming,
    /// What is held, or held back, and why.
    pub(crate) holds: Vec<groups::Group>,
    /// What a person should look at.
    pub(crate) alerts: Vec<groups::Group>,
    /// What clones left behind.
    pub(crate) orphans: orphans::Orphans,
    /// What this process did last, newest first.
    pub(crate) actions: actions::Actions,
}

/// Why, as the decision says it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Why {
    /// The reason code: docs/reasons.md has a line for each.
    pub(crate) code: String,
    /// One sentence for people.
    pub(crate) message: String,
    /// The numbers and dates behind it.
    pub(crate) facts: Map<String, Value>,
}

/// What a decision is about.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Thing {
    /// Its kind, such as WordPressClone or DBInstance.
    pub(crate) kind: String,
    /// How a person calls it: namespace/name, or its identifier.
    pub(crate) name: String,
    /// The namespace that it belongs to, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
}

impl Thing {
    fn of(decision: &Decision) -> Self {
        Self { kind: decision.target.kind().to_owned(), name: decision.target.display(), namespace: namespace_of(decision).map(str::to_owned) }
    }
}

/// What somebody asks to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Clones of this namespace only.
    pub(crate) namespace: Option<String>,
    /// Clones of this owner only.
    pub(crate) owner: Option<String>,
    /// Clones that hold this text in their name, owner, policy, database, verdict or reason code.
    pub(crate) text: Option<String>,
    /// How many clones at most.
    pub(crate) limit: usize,
    /// Clones after this place, as [`clones::Clones::next`] gives it.
    pub(crate) after: Option<String>,
}

/// How this process stands, beside what the plan says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// It holds the lease.
    pub(crate) acts: bool,
    /// The policy files as they are cannot be loaded: the last good set stands.
    pub(crate) policies_broken: bool,
    /// Why nothing can be written for now.
    pub(crate) trouble: Option<String>,
    /// What was done last, newest first.
    pub(crate) deeds: Vec<Arc<Line>>,
}

/// What a view is made of.
pub(crate) struct Look<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) plan: &'a Plan,
    pub(crate) policies: &'a Policies,
    pub(crate) standing: &'a Standing,
    /// The one namespace that may be seen; `None`: all.
    pub(crate) only: Option<&'a str>,
    pub(crate) filter: &'a Filter,
    rates: Rates<'a>,
    by_name: HashMap<&'a str, &'a Arc<ClonePolicy>>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(
        (snapshot, plan, policies): (&'a Snapshot, &'a Plan, &'a Policies),
        standing: &'a Standing,
        only: Option<&'a str>,
        filter: &'a Filter,
    ) -> Self {
        let by_name = policies.policies.iter().map(|policy| (policy.name.as_ref(), policy)).collect();
        Self { snapshot, plan, policies, standing, only, filter, rates: Rates::of(&plan.tariff), by_name }
    }

    /// Everything.
    pub(crate) fn view(&self) -> View {
        View {
            version: VERSION,
            head: head::Head::of(self),
            namespaces: namespaces::Namespaces::of(self),
            clones: clones::Clones::of(self),
            upcoming: upcoming::Upcoming::of(self),
            holds: groups::holds(self),
            alerts: groups::alerts(self),
            orphans: orphans::Orphans::of(self),
            actions: actions::Actions::of(self),
        }
    }

    /// The clones alone.
    pub(crate) fn clones(&self) -> clones::Clones {
        clones::Clones::of(self)
    }

    fn now(&self) -> Timestamp {
        self.plan.now
    }

    fn policy(&self, decision: &Decision) -> Option<&'a Arc<ClonePolicy>> {
        self.by_name.get(decision.policy.as_deref()?).copied()
    }

    /// Why the daemon would not do what this decision comes to, now or later.
    fn blocked(&self, decision: &Decision) -> Option<BlockedBy> {
        if self.plan.state.paused.is_some() {
            return Some(BlockedBy::Pause);
        }
        let audited = self.policy(decision).is_some_and(|policy| policy.mode == Mode::Audit);
        decision.blocked_by.or(audited.then_some(BlockedBy::Audit))
    }
}

/// The namespace that what a decision is about belongs to, where that is known.
fn namespace_of(decision: &Decision) -> Option<&str> {
    if let Some(course) = decision.course() {
        return Some(&*course.owner.namespace).filter(|namespace| !namespace.is_empty());
    }
    let found = match &decision.target {
        Target::Clone(clone) | Target::Secret(clone) => clone.meta.namespace(),
        Target::Child(child) => child.meta.namespace(),
        Target::Quota(quota) => quota.meta.namespace(),
        Target::Absent(_, namespace) | Target::Namespace(namespace) | Target::Usage(namespace, _) => namespace,
        Target::Unreadable(object) => &object.namespace,
        Target::Orphan(record) => record.namespace.as_deref()?,
        Target::Schema(schema) => &schema.row.as_ref()?.namespace,
        Target::Cloud(_) | Target::Source(_) | Target::Policy(_) | Target::Definition(_) => return None,
    };
    Some(found).filter(|namespace| !namespace.is_empty())
}

/// The word for a mode.
fn mode(policy: &ClonePolicy) -> &'static str {
    match policy.mode {
        Mode::Audit => "audit",
        Mode::Enforce => "enforce",
    }
}
