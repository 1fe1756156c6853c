//! When the ledger of a namespace is advanced, and what from: a checkpoint is a decision like any other, made from what is seen now and
//! what the `CloneUsage` says. So a restart, a failover and a missed minute are the same path, and a checkpoint that was written twice
//! counts once.

use super::{
    Action, Decision, Draft, Reason, Target, Work,
    ground::{Ground, Standing},
    lifetime::{self, Cause},
    money::Finding,
};
use crate::cost::{
    accrual::{self, CHECKPOINT, Interval, Reaping, Stay},
    rates::{Part, SECONDS_AN_HOUR},
    tariff::Tariff,
};
use crate::model::{
    Database, Kind, Month, Reading, Snapshot, Source, WordPressClone, later,
    month::{Actual, Costs, UsageBudget, UsageRecord, UsageStatus, object_name},
    orphan::status::{Condition, ConditionStatus},
    snapshot::{Departure, Origin, Reaped},
};
use crate::policy::{ClonePolicy, Policies, Ttl};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How often that of a namespace is in which nobody lives.
const AT_REST: SignedDuration = SignedDuration::from_hours(1);
/// How many things without a price a ledger names, and how much of each.
const UNPRICED: usize = 20;
const UNPRICED_CHARS: usize = 100;
/// How long a watch may be behind. What is younger than this is counted by the next checkpoint.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);

/// The condition of a `CloneUsage` whose namespace has a budget.
const WITHIN_BUDGET: &str = "WithinBudget";

/// Advances each ledger that is due.
pub(super) fn keep(snapshot: &Snapshot, ground: &Ground<'_>, tariff: &Tariff, draft: &mut Draft) {
    let known = |kind| snapshot.evidence.lack(&Source::Objects(kind), draft.now).is_none();
    // A list may be older than it seems, until the watch after it has caught up.
    let settled = snapshot.watched_since.map(|since| later(since, SETTLED));
    if snapshot.origin == Origin::Files || !known(Kind::Clone) || !ground.clock_trusted() {
        return;
    }
    if settled.is_none_or(|settled| settled > draft.now) {
        settled.into_iter().for_each(|settled| draft.wake_at(settled));
        return;
    }
    // What is not known is not free: without the nodes, say, clones would be counted for nothing, and never again.
    let usages = snapshot.evidence.lack(&Source::Objects(Kind::Usage), draft.now).map(|lack| format!("{}: {lack}", Kind::Usage.source()));
    if let Some(lack) = usages.or_else(|| tariff.lack.clone()) {
        if ground.governed().next().is_some() {
            draft.alert(None, Target::Source(Source::Objects(Kind::Usage)), Reason::Money(Finding::NotCounted(lack)));
        }
        return;
    }
    let to = whole_second(earlier(draft.now, SETTLED));
    let rates = Rates::of(tariff);
    let mut ledgers: BTreeMap<&str, &Arc<UsageRecord>> = BTreeMap::new();
    for record in snapshot.usages.iter().filter(|record| record.month <= Month::of(to)) {
        let last = ledgers.entry(&record.namespace).or_insert(record);
        if last.month < record.month {
            *last = record;
        }
    }
    let unreadable: BTreeSet<&str> =
        snapshot.unreadable.iter().filter(|object| object.kind == Kind::Usage).map(|object| object.name.as_str()).collect();
    let homes: BTreeMap<&str, &[Arc<WordPressClone>]> =
        ground.governed().filter_map(|(_, clones)| Some((clones.first()?.meta.namespace(), clones))).collect();
    // They are remembered in the order in which they went.
    let lately = earlier(draft.now, AT_REST);
    let left = snapshot.departed.iter().rev().take_while(|gone| gone.gone >= lately).map(|gone| gone.namespace.as_ref());
    let namespaces: BTreeSet<&str> = homes.keys().chain(ledgers.keys()).copied().chain(left).collect();
    let mut waits = Vec::new();
    for namespace in namespaces {
        let before = ledgers.get(namespace).copied();
        let policy = match ground.standing(namespace) {
            Some(Standing::Governed(policy, _)) => policy,
            Some(Standing::Conflict(..) | Standing::Unknown(_)) => continue,
            // Nobody's any more, as far as the policy that governed it is ours: what lived there until now is counted, and nothing after
            // it. Where that policy is not known, it may as well be another installation's.
            None => {
                let ours =
                    |record: &&Arc<UsageRecord>| ground.policies.policies.iter().any(|policy| record.status.policy.as_deref() == Some(&policy.name));
                draft.decisions.extend(before.filter(ours).and_then(|record| closed(record, to, snapshot, draft.now, &rates)));
                continue;
            }
        };
        let clones = homes.get(namespace).copied().unwrap_or_default();
        let month = match before {
            // A month that is over is counted to its end before the next one begins.
            Some(record) if through(record) >= record.month.end() => next_month(record.month, clones, to),
            Some(record) => record.month,
            None => Month::of(to),
        };
        // What stands in one that cannot be read must not be lost, and the months after it are counted all the same.
        let is_unreadable = |month| unreadable.contains(object_name(namespace, month).as_str());
        let month = std::iter::successors(Some(month), |month| Some(month.next()))
            .take_while(|month| month.start() <= to)
            .find(|month| !is_unreadable(*month));
        let Some(month) = month else { continue };
        let record = before.filter(|record| record.month == month);
        let from = record.map_or(month.start(), |record| through(record));
        let nobody_left = || snapshot.departed.iter().all(|gone| *gone.namespace != *namespace || gone.gone < from);
        let none_lived = record.is_none_or(|record| record.status.owners.iter().all(|owner| owner.live == 0));
        let quiet = clones.is_empty() && none_lived && nobody_left();
        if quiet && record.is_none() {
            continue;
        }
        record.into_iter().for_each(|record| tell(record, policy, draft));
        let due = later(from, if quiet { AT_REST } else { CHECKPOINT }).min(month.end());
        if record.is_some_and(|record| record.status.accrued_through.is_some()) && to < due {
            waits.push(later(due, SETTLED));
            continue;
        }
        let interval = Interval { month, from, to: to.min(month.end()), watched: snapshot.watched_since };
        let desk = Desk { snapshot, now: draft.now, rates: &rates, namespace };
        let status = desk.budgeted(desk.advance(before, record.is_none(), interval, clones, Some(&policy.ttl)), before, policy);
        let action = if record.is_some() { Action::Update } else { Action::Create };
        let reason = Reason::Money(Finding::Counted(interval.to));
        let decision = Decision::new(action, Some(&policy.name), Target::Usage(namespace.into(), month), reason);
        waits.push(later(later(interval.to, CHECKPOINT), SETTLED));
        draft.decisions.push(decision.with(Work::Count(record.map(Arc::clone), Box::new(status))));
    }
    waits.into_iter().for_each(|at| draft.wake_at(at));
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

/// The last checkpoint of a ledger whose namespace nobody governs any more.
fn closed(record: &Arc<UsageRecord>, to: Timestamp, snapshot: &Snapshot, now: Timestamp, rates: &Rates<'_>) -> Option<Decision> {
    let (from, to) = (through(record), to.min(record.month.end()));
    if to <= from || record.status.owners.iter().all(|owner| owner.live == 0) {
        return None;
    }
    let interval = Interval { month: record.month, from, to, watched: snapshot.watched_since };
    let clones: Vec<_> = snapshot.clones.iter().filter(|clone| clone.meta.namespace() == record.namespace).cloned().collect();
    let status = Desk { snapshot, now, rates, namespace: &record.namespace }.advance(Some(record), false, interval, &clones, None);
    let target = Target::Usage(record.namespace.as_str().into(), record.month);
    let decision = Decision::new(Action::Update, None, target, Reason::Money(Finding::Counted(to)));
    Some(decision.with(Work::Count(Some(Arc::clone(record)), Box::new(status))))
}

/// What it takes to advance one ledger.
struct Desk<'a> {
    snapshot: &'a Snapshot,
    now: Timestamp,
    rates: &'a Rates<'a>,
    namespace: &'a str,
}

impl Desk<'_> {
    /// The ledger at the end of the interval. Without a policy (`ttl`) it is the last one: whoever lives, lives elsewhere from then on.
    fn advance(
        &self,
        before: Option<&Arc<UsageRecord>>,
        fresh: bool,
        interval: Interval,
        clones: &[Arc<WordPressClone>],
        ttl: Option<&Ttl>,
    ) -> UsageStatus {
        let namespace = self.namespace;
        // When one went that was only missing from a list nobody knows, nor where the clock was wrong: it is estimated, as if nobody had
        // watched.
        let gone = self.snapshot.departed.iter().filter(|gone| *gone.namespace == *namespace && gone.gone >= interval.from);
        let (gone, undated): (Vec<&Departure>, Vec<_>) = gone.partition(|gone| gone.seen && gone.gone <= self.now);
        let interval = if undated.is_empty() { interval } else { Interval { watched: None, ..interval } };
        let living: BTreeSet<&str> = clones.iter().map(|clone| clone.meta.uid.as_ref()).collect();
        let gone: Vec<&Departure> = gone.into_iter().filter(|gone| !living.contains(gone.uid.as_ref())).collect();
        let stays: Vec<Stay<'_>> = clones
            .iter()
            .map(|clone| match ttl {
                Some(ttl) => self.rates.stay(clone, ttl, interval.to),
                None => Stay { gone: Some(interval.to), ..self.rates.stay(clone, &Ttl::default(), interval.to) },
            })
            .chain(gone.iter().map(|gone| self.rates.gone(gone)))
            .filter(|stay| stay.created < interval.to)
            .collect();
        let reapings: Vec<Reaping> = gone
            .iter()
            .filter_map(|gone| {
                let Reaped { why, instead } = gone.reaped?;
                Some(Reaping { why, at: gone.gone, instead, per_second: self.rates.of_database(&gone.database).per_second.total })
            })
            .chain(self.orphans(namespace, interval))
            .collect();
        // A ledger of the month before says who lived when it ended; of an earlier one that is too long ago.
        let nothing = UsageStatus::default();
        let before = before.filter(|record| !fresh || record.month.next() == interval.month).map_or(&nothing, |record| &record.status);
        let mut status = accrual::advance(before, fresh, interval, &stays, &reapings);
        status.unpriced = self.rates.unpriced(clones);
        // Once told, it stays until AWS corrects it.
        if let Some((amount, as_of)) = self.snapshot.bill.as_ref().and_then(|bill| bill.of_namespace(&interval.month.to_string(), namespace)) {
            status.actual = Some(Actual { amount: amount.round_dp(4).normalize(), as_of });
        }
        status
    }

    /// The same, against the budget of the policy.
    fn budgeted(&self, mut status: UsageStatus, before: Option<&Arc<UsageRecord>>, policy: &ClonePolicy) -> UsageStatus {
        status.policy = Some(policy.name.to_string());
        status.budget = policy.budget.as_ref().map(|budget| {
            let used = accrual::accrued(&status).saturating_add(status.committed.unwrap_or_default());
            status.conditions = vec![within_budget(used <= budget.monthly, before, status.accrued_through)];
            let percent = used.saturating_mul(Decimal::ONE_HUNDRED).checked_div(budget.monthly).map(|percent| percent.round_dp(1).normalize());
            UsageBudget { policy: policy.name.to_string(), monthly: budget.monthly, used_percent: percent }
        });
        status
    }

    /// What was left behind and is gone: nothing else would have ended it.
    fn orphans<'s>(&'s self, namespace: &'s str, interval: Interval) -> impl Iterator<Item = Reaping> + 's {
        let of = self.snapshot.orphans.iter().filter(move |record| record.namespace.as_deref() == Some(namespace));
        of.filter_map(move |record| {
            let status = record.status.as_ref()?;
            let per_second = status.cost_per_hour?.checked_div(SECONDS_AN_HOUR)?.round_dp(12);
            Some(Reaping { why: "orphan", at: status.deleted_at?, instead: interval.month.end(), per_second })
        })
    }
}

/// The condition that no more is spent and committed than the budget allows, since when that is so.
fn within_budget(within: bool, before: Option<&Arc<UsageRecord>>, at: Option<Timestamp>) -> Condition {
    let status = if within { ConditionStatus::True } else { ConditionStatus::False };
    let known = before.into_iter().flat_map(|record| &record.status.conditions).find(|known| known.r#type == WITHIN_BUDGET && known.status == status);
    Condition {
        r#type: WITHIN_BUDGET.to_owned(),
        status,
        reason: if within { "Within" } else { "Exceeded" }.to_owned(),
        message: String::new(),
        last_transition_time: known.and_then(|known| known.last_transition_time).or(at),
        observed_generation: None,
    }
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

/// What each kind of clone costs, made once.
pub struct Rates<'a> {
    tariff: &'a Tariff,
    known: RefCell<BTreeMap<Database, Priced>>,
}

/// What a clone costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// USD a second.
    pub per_second: Costs,
    /// USD a second at most.
    pub at_most: Decimal,
    /// What has no price.
    pub unpriced: Arc<[String]>,
    /// Whether the database itself has one.
    pub known: bool,
}

impl<'a> Rates<'a> {
    /// Rates by this tariff.
    #[must_use]
    pub fn of(tariff: &'a Tariff) -> Self {
        Self { tariff, known: RefCell::default() }
    }

    /// What a clone costs that keeps its data there.
    #[must_use]
    pub fn of_database(&self, database: &Database) -> Priced {
        if let Some(known) = self.known.borrow().get(database) {
            return known.clone();
        }
        let rate = self.tariff.rate(database);
        let per_second = rate.per_second();
        let beyond = rate.beyond.checked_div(SECONDS_AN_HOUR).unwrap_or_default().round_dp(12);
        let known = rate.parts().iter().any(|(part, _)| matches!(part, Part::Instance | Part::Capacity | Part::Host));
        let at_most = per_second.total.saturating_add(beyond);
        let priced = Priced { at_most, per_second, unpriced: rate.unpriced.into(), known };
        self.known.borrow_mut().insert(database.clone(), priced.clone());
        priced
    }

    /// The life of a clone that is there. One that is kept lives on for the rest of the month, as far as anybody knows; one whose end has
    /// passed, until now.
    #[must_use]
    pub fn stay<'c>(&self, clone: &'c WordPressClone, ttl: &Ttl, now: Timestamp) -> Stay<'c> {
        let priced = self.of_database(&clone.database);
        let ends = match (clone.meta.terminating, clone.keep == Reading::Value(true)) {
            (Some(_), _) => now,
            (None, true) => Month::of(now).end(),
            (None, false) => {
                let end = lifetime::lifetime(clone, ttl).end;
                clone.expires_at.value().map_or(end, |announced| end.max(*announced))
            }
        };
        Stay {
            owner: clone.owner.as_deref().unwrap_or_default(),
            created: clone.meta.created,
            gone: None,
            ends: ends.max(now),
            per_second: priced.per_second,
            at_most: priced.at_most,
        }
    }

    /// The life of a clone that has gone.
    #[must_use]
    pub fn gone<'c>(&self, gone: &'c Departure) -> Stay<'c> {
        let priced = self.of_database(&gone.database);
        Stay {
            owner: gone.owner.as_deref().unwrap_or_default(),
            created: gone.created,
            gone: Some(gone.gone),
            ends: gone.gone,
            per_second: priced.per_second,
            at_most: priced.at_most,
        }
    }

    fn unpriced(&self, clones: &[Arc<WordPressClone>]) -> Vec<String> {
        let databases: BTreeSet<&Database> = clones.iter().map(|clone| &clone.database).collect();
        let all: BTreeSet<String> = databases.into_iter().flat_map(|database| self.of_database(database).unpriced.to_vec()).collect();
        // What a clone says of itself may be long.
        all.into_iter().take(UNPRICED).map(|what| what.chars().take(UNPRICED_CHARS).collect()).collect()
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
