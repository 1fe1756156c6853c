//! What a plan says in numbers. Pure: a plan, its snapshot and the policies in, series out.
//!
//! Contract: the number of series is bounded by the policies and the code, never by the number of clones. Namespaces beyond the
//! bound are merged, and clones get series of their own only while they are few.

use super::{capacity::CapacityFigures, hosts::HostFigures, metrics::Series, money::MoneyFigures};
use crate::{
    model::{
        Kind, Month, Snapshot, WordPressClone, cloud,
        evidence::CloudList,
        later,
        occupancy::Occupancy,
        orphan::status::{OrphanPhase, OrphanStatus},
        schema,
    },
    plan::{Action, BlockedBy, Decision, Plan, Reason, Target, lifetime, lifetime::Lifetime},
    policy::{ClonePolicy, Governing, Mode, Namespaces, Policies},
};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Under which name namespaces beyond the bound stand together. No namespace can be called so.
pub(super) const OTHERS: &str = "_other";
/// Every state of a clone, so that a namespace has a series for each, be it zero.
const STATES: [&str; 6] = ["terminating", "held", "kept", "expiring", "broken", "living"];
/// What counts as near an end where the policy gives no warnings.
const NEAR: SignedDuration = SignedDuration::from_mins(10);

/// How many series there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Namespaces with series of their own.
    pub(super) namespaces: usize,
    /// Clones with a series of their own; with more than that none has one.
    pub(super) clones: usize,
}

/// Everything that is said of the present plan.
#[derive(Default)]
pub(super) struct Figures<'a> {
    pub(super) decisions: Series<'a, 4>,
    pub(super) holds: Series<'a, 3>,
    pub(super) clones: Series<'a, 3>,
    pub(super) announced: Series<'a, 1>,
    pub(super) warned: Series<'a, 1>,
    pub(super) overdue: Series<'a, 2>,
    /// Since when the oldest of the overdue clones has been so.
    pub(super) overdue_since: HashMap<[&'a str; 2], Timestamp>,
    pub(super) limit_allowed: Series<'a, 3>,
    pub(super) limit_used: Series<'a, 3>,
    pub(super) expires: Series<'a, 2>,
    pub(super) left_out: usize,
    pub(super) orphans: Series<'a, 3>,
    pub(super) orphans_cost: Series<'a, 2>,
    /// Since when the oldest orphans have been there.
    pub(super) orphans_since: HashMap<[&'a str; 2], Timestamp>,
    /// Which namespaces have series of their own.
    pub(super) own: Own<'a>,
    pub(super) hosts: HostFigures<'a>,
    pub(super) money: MoneyFigures<'a>,
    pub(super) capacity: CapacityFigures<'a>,
    pub(super) ungoverned: f64,
    pub(super) brake_on: Series<'a, 1>,
    pub(super) brake_waiting: Series<'a, 1>,
}

impl<'a> Figures<'a> {
    /// Counts everything, in one pass over the decisions and one over the clones.
    pub(super) fn of(snapshot: &'a Snapshot, plan: &'a Plan, policies: &'a Policies, bounds: Bounds) -> Self {
        let mut figures = Self::default();
        let governed = governed(snapshot, policies);
        let own = own_series(snapshot, plan, &governed, bounds.namespaces);
        for (namespace, policy) in &governed {
            for state in STATES {
                figures.clones.insert([own.named(namespace), policy.name.as_ref(), state], 0.0);
            }
        }
        for policy in &policies.policies {
            figures.announced.insert([policy.name.as_ref()], 0.0);
            figures.warned.insert([policy.name.as_ref()], 0.0);
        }
        let count = Count {
            now: plan.now,
            policies: policies.policies.iter().map(|policy| (policy.name.as_ref(), policy.as_ref())).collect(),
            broken: broken(plan),
            own: &own,
        };
        let mut ends = Vec::new();
        for decision in &plan.decisions {
            figures.decision(decision, &count, &mut ends);
        }
        // Each clone in scope has one decision. Two policies that meet in a namespace are a hold, not nobody.
        let there = snapshot.unreadable.iter().filter(|object| object.kind == Kind::Clone).count().saturating_add(snapshot.clones.len());
        figures.ungoverned = (number(there) - figures.clones.values().sum::<f64>()).max(0.0);
        figures.unjudged_orphans(snapshot, plan);
        figures.limits(snapshot, &governed, &own);
        figures.brakes(plan, policies);
        figures.hosts = HostFigures::of(snapshot, policies);
        figures.money = MoneyFigures::of(snapshot, plan, &|namespace| own.named(namespace));
        figures.capacity = CapacityFigures::of(snapshot, &|namespace| own.has(namespace));
        figures.own = own;
        if bounds.clones > 0 && ends.len() <= bounds.clones {
            figures.expires.extend(ends);
        } else if bounds.clones > 0 {
            figures.left_out = ends.len();
        }
        figures
    }

    fn decision(&mut self, decision: &'a Decision, count: &Count<'a, '_>, ends: &mut Vec<([&'a str; 2], f64)>) {
        let policy = decision.policy.as_deref().unwrap_or_default();
        let code = decision.reason.code();
        add(&mut self.decisions, [decision.action.word(), code, policy, decision.blocked_by.map_or("", BlockedBy::word)]);
        if decision.action == Action::Hold {
            add(&mut self.holds, [code, decision.target.kind(), policy]);
        }
        match &decision.target {
            Target::Clone(clone) if decision.action != Action::Alert => self.clone(clone, decision, policy, count, ends),
            Target::Unreadable(object) if object.kind == Kind::Clone => {
                add(&mut self.clones, [count.own.named(&object.namespace), policy, "held"]);
            }
            target => {
                if let Some(course) = decision.course() {
                    let kind = course.record.as_ref().map_or(target.kind(), |record| kind_of(&record.kind));
                    self.orphan(kind, decision.policy.is_some(), &course.status, count.now);
                }
            }
        }
    }

    /// Orphans that were not judged this time, since they cannot be seen, count as what was written on them last.
    fn unjudged_orphans(&mut self, snapshot: &'a Snapshot, plan: &'a Plan) {
        let courses = plan.decisions.iter().filter_map(|decision| decision.course()?.record.as_ref());
        let unmarked = plan.decisions.iter().filter(|decision| decision.action == Action::Unmark).filter_map(|decision| decision.target.meta());
        let said: HashSet<&str> = courses.map(|record| record.meta.uid.as_ref()).chain(unmarked.map(|meta| meta.uid.as_ref())).collect();
        for record in snapshot.orphans.iter().filter(|record| !said.contains(record.meta.uid.as_ref())) {
            if let Some(status) = &record.status {
                self.orphan(kind_of(&record.kind), record.policy.is_some(), status, plan.now);
            }
        }
    }

    fn orphan(&mut self, kind: &'a str, policy_known: bool, status: &OrphanStatus, now: Timestamp) {
        let Some(phase) = status.phase else { return };
        add(&mut self.orphans, [kind, phase.word(), if policy_known { "true" } else { "false" }]);
        if phase == OrphanPhase::Deleted {
            return;
        }
        let cost = status.cost_per_hour.and_then(|cost| cost.to_f64()).unwrap_or_default();
        *self.orphans_cost.entry([kind, phase.word()]).or_default() += cost;
        let since = status.first_seen.unwrap_or(now);
        self.orphans_since.entry([kind, phase.word()]).and_modify(|oldest| *oldest = since.min(*oldest)).or_insert(since);
    }

    fn clone(
        &mut self,
        clone: &'a WordPressClone,
        decision: &'a Decision,
        policy: &'a str,
        count: &Count<'a, '_>,
        ends: &mut Vec<([&'a str; 2], f64)>,
    ) {
        let governing = count.policies.get(policy).copied();
        let life = decision.reason.life().copied().or_else(|| governing.map(|policy| lifetime::lifetime(clone, &policy.ttl)));
        let announced = announced(clone, decision, governing);
        let goes_at = life.map(|life| announced.map_or(life.end, |announced| announced.max(life.end)));
        let near = governing.and_then(|policy| policy.ttl.warnings.iter().map(|warning| warning.get()).max()).unwrap_or(NEAR);
        let state = match (decision.action, &decision.reason) {
            (_, Reason::Terminating(_)) => "terminating",
            (Action::Hold, _) => "held",
            (_, Reason::Kept(..)) => "kept",
            _ if goes_at.is_some_and(|at| at <= later(count.now, near)) => "expiring",
            _ if count.broken.contains(clone.meta.uid.as_ref()) => "broken",
            _ => "living",
        };
        add(&mut self.clones, [count.own.named(clone.meta.namespace()), policy, state]);
        if clone.expires_at.value().is_some() && clone.announced_at.value().is_some() {
            add(&mut self.announced, [policy]);
        }
        if clone.warned.is_some() {
            add(&mut self.warned, [policy]);
        }
        if matches!(state, "terminating" | "kept") {
            return;
        }
        if let Some(goes_at) = goes_at {
            ends.push(([clone.meta.namespace(), clone.meta.name()], seconds(goes_at)));
        }
        if let Some(life) = life.filter(|life| life.end <= count.now) {
            self.overdue(decision, policy, life, announced, count.now);
        }
    }

    fn overdue(&mut self, decision: &Decision, policy: &'a str, life: Lifetime, announced: Option<Timestamp>, now: Timestamp) {
        let cause = match (decision.action, decision.blocked_by) {
            (Action::Hold, _) => "held",
            (_, Some(by)) => by.word(),
            (Action::Delete, None) => "due",
            _ => "grace",
        };
        let since = announced.filter(|at| *at <= now).map_or(life.end, |at| at.max(life.end));
        add(&mut self.overdue, [policy, cause]);
        self.overdue_since.entry([policy, cause]).and_modify(|oldest| *oldest = since.min(*oldest)).or_insert(since);
    }

    fn limits(&mut self, snapshot: &'a Snapshot, governed: &HashMap<&'a str, &'a ClonePolicy>, own: &Own<'a>) {
        let taken = Occupancy::of(snapshot);
        let none = Occupancy::default();
        for (namespace, policy) in governed.iter().filter(|(namespace, _)| own.has(namespace)) {
            let taken = taken.get(namespace).unwrap_or(&none);
            let mut limit = |name, allowed: Option<u32>, used: usize| {
                if let Some(allowed) = allowed {
                    let key = [*namespace, policy.name.as_ref(), name];
                    self.limit_allowed.insert(key, f64::from(allowed));
                    self.limit_used.insert(key, number(used));
                }
            };
            limit("clones", policy.limits.clones, taken.clones);
            limit("dedicatedDatabases", policy.limits.dedicated_databases, taken.dedicated);
            limit("clonesPerOwner", policy.limits.clones_per_owner, taken.of_one_owner());
        }
    }

    fn brakes(&mut self, plan: &'a Plan, policies: &'a Policies) {
        let known = policies.policies.iter().map(|policy| policy.name.as_ref());
        for policy in known.chain(plan.state.brakes.keys().map(String::as_str)) {
            let trip = plan.state.brakes.get(policy).and_then(|brake| brake.tripped.as_ref());
            self.brake_on.insert([policy], if trip.is_some() { 1.0 } else { 0.0 });
            self.brake_waiting.insert([policy], trip.map_or(0.0, |trip| number(trip.waiting.len())));
        }
    }
}

/// What counting one clone needs to know of the rest.
struct Count<'a, 'b> {
    now: Timestamp,
    policies: HashMap<&'a str, &'a ClonePolicy>,
    broken: HashSet<&'a str>,
    own: &'b Own<'a>,
}

/// The namespaces that have series of their own; `None`: all of them.
#[derive(Default)]
pub(super) struct Own<'a> {
    names: Option<HashSet<&'a str>>,
    /// How many have not.
    pub(super) merged: usize,
}

impl<'a> Own<'a> {
    fn has(&self, namespace: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(namespace))
    }

    /// Under which name a namespace stands in a label.
    pub(super) fn named<'n>(&self, namespace: &'n str) -> &'n str {
        if self.has(namespace) { namespace } else { OTHERS }
    }
}

/// The namespaces with the most clones, as many as may have series of their own, and before others without a clone those that are governed:
/// a budget may be spent where nobody lives at the moment. Whoever has a ledger of this month is among those who ask: where each branch has a
/// namespace of its own, most of them are gone.
fn own_series<'a>(snapshot: &'a Snapshot, plan: &'a Plan, governed: &HashMap<&'a str, &'a ClonePolicy>, bound: usize) -> Own<'a> {
    let month = Month::of(plan.now);
    let paid = snapshot.usages.iter().filter(|record| record.month == month).map(|record| record.namespace.as_str());
    let mut sizes: HashMap<&str, usize> = governed.keys().copied().chain(paid).map(|namespace| (namespace, 0)).collect();
    for decision in &plan.decisions {
        let namespace = match &decision.target {
            Target::Clone(clone) => clone.meta.namespace(),
            Target::Unreadable(object) if object.kind == Kind::Clone => &object.namespace,
            _ => continue,
        };
        let size = sizes.entry(namespace).or_default();
        *size = size.saturating_add(1);
    }
    let merged = sizes.len().saturating_sub(bound);
    if merged == 0 {
        return Own { names: None, merged };
    }
    let mut sizes: Vec<(&str, usize)> = sizes.into_iter().collect();
    let left = |namespace: &str| !governed.contains_key(namespace);
    sizes.sort_unstable_by(|(one, few), (other, many)| many.cmp(few).then_with(|| (left(one), one).cmp(&(left(other), other))));
    Own { names: Some(sizes.into_iter().take(bound).map(|(namespace, _)| namespace).collect()), merged }
}

/// Every namespace that exactly one policy governs, be there clones in it or not.
pub(crate) fn governed<'a>(snapshot: &'a Snapshot, policies: &'a Policies) -> HashMap<&'a str, &'a ClonePolicy> {
    let named = policies.policies.iter().flat_map(|policy| match &policy.namespaces {
        Namespaces::Names(names) => names.as_slice(),
        Namespaces::Selector(_) => &[],
    });
    let all: BTreeSet<&str> = named.chain(snapshot.namespaces.keys()).map(String::as_str).collect();
    let policy = |namespace: &'a str| match policies.governing(namespace, snapshot.namespaces.get(namespace)) {
        Governing::Policy(policy) => Some((namespace, policy.as_ref())),
        Governing::Nobody | Governing::Conflict(..) => None,
    };
    all.into_iter().filter_map(policy).collect()
}

/// The UIDs of the clones that do not work.
fn broken(plan: &Plan) -> HashSet<&str> {
    let alerts = plan.decisions.iter().filter(|decision| matches!(decision.reason, Reason::Broken(_)));
    alerts.filter_map(|decision| decision.target.meta().map(|meta| meta.uid.as_ref())).collect()
}

/// The end that is announced on a clone, or by this very decision. In audit mode an announcement that stands counts for nothing.
fn announced(clone: &WordPressClone, decision: &Decision, policy: Option<&ClonePolicy>) -> Option<Timestamp> {
    match &decision.reason {
        Reason::Announced(_, at, _) | Reason::GraceAnnounced(_, at) | Reason::ExpiresSoon(_, at, _) | Reason::Expired(_, at) => Some(*at),
        _ if policy.is_some_and(|policy| policy.mode == Mode::Enforce) => clone.expires_at.value().copied(),
        _ => None,
    }
}

/// The kind as the code calls it: what an `Orphan` says is not ours to make series of.
fn kind_of(kind: &str) -> &'static str {
    let children = Kind::CHILDREN.into_iter().map(Kind::name);
    children.chain(CloudList::ALL.into_iter().map(cloud::kind)).chain([schema::KIND]).find(|known| *known == kind).unwrap_or("other")
}

fn add<'a, const N: usize>(series: &mut Series<'a, N>, labels: [&'a str; N]) {
    *series.entry(labels).or_default() += 1.0;
}

/// A count as a metric's value.
pub(super) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A moment as a metric's value: seconds since 1970-01-01T00:00:00Z.
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
