//! When the ledger of a namespace is advanced, and what from: a checkpoint is a decision like any other, made from what is seen now and
//! what the `CloneUsage` says. So a restart, a failover and a missed minute are the same path, and a checkpoint that was written twice
//! counts once.

mod desk;
mod price;
mod rates;

pub use price::{price, spared, spent};
pub use rates::{Priced, Rates};

use super::{
    Action, Decision, Draft, Reason, Target, Work,
    ground::{Ground, Standing},
    lifetime::{self, Cause},
    money::Finding,
};
use crate::cost::{
    accrual::{self, CHECKPOINT, Interval},
    tariff::Tariff,
};
use crate::model::{
    Kind, Month, Snapshot, Source, WordPressClone, later,
    month::{UsageRecord, object_name},
    snapshot::{Origin, Reaped},
};
use crate::policy::{ClonePolicy, Policies};
use desk::Desk;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How often that of a namespace is in which nobody lives.
const AT_REST: SignedDuration = SignedDuration::from_hours(1);
/// How long a watch may be behind. What is younger than this is counted by the next checkpoint.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);

/// Advances each ledger that is due.
pub(super) fn keep(snapshot: &Snapshot, ground: &Ground<'_>, tariff: &Tariff, draft: &mut Draft) {
    if !is_countable(snapshot, ground, tariff, draft) {
        return;
    }
    let to = whole_second(earlier(draft.now, SETTLED));
    let rates = Rates::of(tariff);
    let office = Office { snapshot, ground, rates: &rates, to, now: draft.now, ledgers: last_ledgers(snapshot, to) };
    let homes: BTreeMap<&str, &[Arc<WordPressClone>]> =
        ground.governed().filter_map(|(_, clones)| Some((clones.first()?.meta.namespace(), clones))).collect();
    // They are remembered in the order in which they went.
    let lately = earlier(draft.now, AT_REST);
    let left = snapshot.departed.iter().rev().take_while(|gone| gone.gone >= lately).map(|gone| gone.namespace.as_ref());
    let namespaces: BTreeSet<&str> = homes.keys().chain(office.ledgers.keys()).copied().chain(left).collect();
    for namespace in namespaces {
        match ground.standing(namespace) {
            Some(Standing::Governed(policy, _)) => office.count(namespace, policy, homes.get(namespace).copied().unwrap_or_default(), draft),
            Some(Standing::Conflict(..) | Standing::Unknown(_)) => {}
            None => draft.decisions.extend(office.close(namespace)),
        }
    }
}

/// Whether everything is known that a checkpoint is made from. What is not known is not free: without the nodes, say, clones would be
/// counted for nothing, and never again.
fn is_countable(snapshot: &Snapshot, ground: &Ground<'_>, tariff: &Tariff, draft: &mut Draft) -> bool {
    let lack = |kind| snapshot.evidence.lack(&Source::Objects(kind), draft.now);
    if snapshot.origin == Origin::Files || lack(Kind::Clone).is_some() || !ground.clock_trusted() {
        return false;
    }
    // A list may be older than it seems, until the watch after it has caught up.
    match snapshot.watched_since.map(|since| later(since, SETTLED)) {
        None => return false,
        Some(settled) if settled > draft.now => {
            draft.wake_at(settled);
            return false;
        }
        Some(_) => {}
    }
    let usages = lack(Kind::Usage).map(|lack| format!("{}: {lack}", Kind::Usage.source()));
    let Some(lack) = usages.or_else(|| tariff.lack.clone()) else { return true };
    if ground.governed().next().is_some() {
        draft.alert(None, Target::Source(Source::Objects(Kind::Usage)), Reason::Money(Finding::NotCounted(lack)));
    }
    false
}

/// The last ledger of each namespace.
fn last_ledgers(snapshot: &Snapshot, to: Timestamp) -> BTreeMap<&str, &Arc<UsageRecord>> {
    let mut ledgers: BTreeMap<&str, &Arc<UsageRecord>> = BTreeMap::new();
    for record in snapshot.usages.iter().filter(|record| record.month <= Month::of(to)) {
        let last = ledgers.entry(&record.namespace).or_insert(record);
        if last.month < record.month {
            *last = record;
        }
    }
    ledgers
}

/// What it takes to say which ledgers are due.
struct Office<'a, 'g> {
    snapshot: &'a Snapshot,
    ground: &'a Ground<'g>,
    rates: &'a Rates<'a>,
    /// Up to when is counted.
    to: Timestamp,
    now: Timestamp,
    ledgers: BTreeMap<&'a str, &'a Arc<UsageRecord>>,
}

impl Office<'_, '_> {
    /// Advances the ledger of a namespace, if it is due, and says what its budget is like.
    fn count(&self, namespace: &str, policy: &Arc<ClonePolicy>, clones: &[Arc<WordPressClone>], draft: &mut Draft) {
        let before = self.ledgers.get(namespace).copied();
        let Some(month) = self.month(namespace, before, clones) else { return };
        let record = before.filter(|record| record.month == month);
        let from = record.map_or(month.start(), |record| through(record));
        let quiet = clones.is_empty() && self.nobody_lived(namespace, record, from);
        if quiet && record.is_none() {
            return;
        }
        record.into_iter().for_each(|record| tell(record, policy, draft));
        let due = later(from, if quiet { AT_REST } else { CHECKPOINT }).min(month.end());
        if record.is_some_and(|record| record.status.accrued_through.is_some()) && self.to < due {
            return draft.wake_at(later(due, SETTLED));
        }
        let interval = Interval { month, from, to: self.to.min(month.end()), watched: self.snapshot.watched_since };
        let desk = self.desk(namespace);
        let status = desk.budgeted(desk.advance(before, record.is_none(), interval, clones, Some(&policy.ttl)), before, policy);
        let action = if record.is_some() { Action::Update } else { Action::Create };
        let reason = Reason::Money(Finding::Counted(interval.to));
        let decision = Decision::new(action, Some(&policy.name), Target::Usage(namespace.into(), month), reason);
        draft.wake_at(later(later(interval.to, CHECKPOINT), SETTLED));
        draft.decisions.push(decision.with(Work::Count(record.map(Arc::clone), Box::new(status))));
    }

    /// The month that is counted next.
    fn month(&self, namespace: &str, before: Option<&Arc<UsageRecord>>, clones: &[Arc<WordPressClone>]) -> Option<Month> {
        let month = match before {
            // A month that is over is counted to its end before the next one begins.
            Some(record) if through(record) >= record.month.end() => next_month(record.month, clones, self.to),
            Some(record) => record.month,
            None => Month::of(self.to),
        };
        // What stands in one that cannot be read must not be lost, and the months after it are counted all the same.
        let unreadable = || self.snapshot.unreadable.iter().filter(|object| object.kind == Kind::Usage);
        let is_unreadable = |month| unreadable().any(|object| object.name == object_name(namespace, month));
        std::iter::successors(Some(month), |month| Some(month.next()))
            .take_while(|month| month.start() <= self.to)
            .find(|month| !is_unreadable(*month))
    }

    /// Whether nobody is in the ledger, nor has come and gone since.
    fn nobody_lived(&self, namespace: &str, record: Option<&Arc<UsageRecord>>, from: Timestamp) -> bool {
        record.is_none_or(|record| record.status.owners.iter().all(|owner| owner.live == 0))
            && self.snapshot.departed.iter().all(|gone| *gone.namespace != *namespace || gone.gone < from)
    }

    /// The last checkpoint of a ledger whose namespace nobody governs any more, as far as the policy that governed it is ours: what lived
    /// there until now is counted, and nothing after it. Where that policy is not known, it may as well be another installation's.
    fn close(&self, namespace: &str) -> Option<Decision> {
        let record = self.ledgers.get(namespace).copied()?;
        let is_ours = self.ground.policies.policies.iter().any(|policy| record.status.policy.as_deref() == Some(&policy.name));
        let (from, to) = (through(record), self.to.min(record.month.end()));
        if !is_ours || to <= from || record.status.owners.iter().all(|owner| owner.live == 0) {
            return None;
        }
        let interval = Interval { month: record.month, from, to, watched: self.snapshot.watched_since };
        let clones: Vec<_> = self.snapshot.clones.iter().filter(|clone| clone.meta.namespace() == namespace).cloned().collect();
        let status = self.desk(namespace).advance(Some(record), false, interval, &clones, None);
        let decision = Decision::new(Action::Update, None, Target::Usage(namespace.into(), record.month), Reason::Money(Finding::Counted(to)));
        Some(decision.with(Work::Count(Some(Arc::clone(record)), Box::new(status))))
    }

    fn desk<'d>(&'d self, namespace: &'d str) -> Desk<'d> {
        Desk { snapshot: self.snapshot, now: self.now, rates: self.rates, namespace }
    }
}

/// Says that a budget is near its end or beyond it, and what it does not count.
fn tell(record: &UsageRecord, policy: &Arc<ClonePolicy>, draft: &mut Draft) {
    let Some(budget) = &policy.budget else { return };
    let target = || Target::Namespace(record.namespace.as_str().into());
    let used = accrual::accrued(&record.status).saturating_add(record.status.committed.unwrap_or_default());
    let warned = budget.monthly.saturating_mul(budget.warn_at.into()).checked_div(Decimal::ONE_HUNDRED).unwrap_or_default();
    if used > budget.monthly {
        draft.alert(Some(&policy.name), target(), Reason::Money(Finding::BudgetExceeded(used.round_dp(2), budget.monthly)));
    } else if used >= warned {
        draft.alert(Some(&policy.name), target(), Reason::Money(Finding::BudgetNear(used.round_dp(2), budget.monthly, budget.warn_at)));
    }
    if !record.status.unpriced.is_empty() {
        draft.alert(Some(&policy.name), target(), Reason::Money(Finding::Unpriced(record.status.unpriced.clone())));
    }
}

/// Up to when a ledger is counted.
fn through(record: &UsageRecord) -> Timestamp {
    record.status.accrued_through.unwrap_or(record.month.start())
}

/// The next month of which something is to be counted: this one, unless a clone lives that was there in one before.
fn next_month(last: Month, clones: &[Arc<WordPressClone>], to: Timestamp) -> Month {
    let this = Month::of(to);
    if clones.iter().any(|clone| clone.meta.created < this.start()) { last.next().min(this) } else { this }
}

/// Why a clone that we end would have lived on, and until when, for the ledger: to the policy's ceiling where its own end has come, and
/// to its own end where something else ends it.
#[must_use]
pub fn reaped(decision: &Decision, policies: &Policies) -> Option<Reaped> {
    let (Target::Clone(clone), Reason::Expired(life, _)) = (&decision.target, &decision.reason) else { return None };
    let policy = policies.policies.iter().find(|policy| decision.policy.as_ref() == Some(&policy.name))?;
    let own_end = || lifetime::lifetime(clone, &policy.ttl).end;
    Some(match life.cause {
        Cause::OverLimit => Reaped { why: "overLimit", instead: own_end() },
        Cause::Idle(..) => Reaped { why: "idle", instead: own_end() },
        _ => Reaped { why: "expired", instead: life.ceiling },
    })
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
