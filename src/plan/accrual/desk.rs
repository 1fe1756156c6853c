//! One ledger from one checkpoint to the next: who lived there meanwhile, who went, and what that came to.

use super::Rates;
use crate::cost::{
    accrual::{self, Interval, Reaping, Stay},
    rates::SECONDS_AN_HOUR,
};
use crate::model::{
    Snapshot, WordPressClone,
    month::{Actual, UsageBudget, UsageRecord, UsageStatus},
    orphan::status::{Condition, ConditionStatus},
    snapshot::{Departure, Reaped},
};
use crate::policy::{ClonePolicy, Ttl};
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::{collections::BTreeSet, sync::Arc};

/// The condition of a `CloneUsage` whose namespace has a budget.
const WITHIN_BUDGET: &str = "WithinBudget";

/// What it takes to advance one ledger.
pub(super) struct Desk<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: Timestamp,
    pub(super) rates: &'a Rates<'a>,
    pub(super) namespace: &'a str,
}

impl Desk<'_> {
    /// The ledger at the end of the interval. Without a policy (`ttl`) it is the last one: whoever lives, lives elsewhere from then on.
    pub(super) fn advance(
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
        let reapings: Vec<Reaping<'_>> = gone
            .iter()
            .filter_map(|gone| {
                let Reaped { why, instead } = gone.reaped?;
                let owner = Some(gone.owner.as_deref().unwrap_or_default());
                Some(Reaping { why, owner, at: gone.gone, instead, per_second: self.rates.of_database(&gone.database).per_second.total })
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
    pub(super) fn budgeted(&self, mut status: UsageStatus, before: Option<&Arc<UsageRecord>>, policy: &ClonePolicy) -> UsageStatus {
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
    fn orphans<'s>(&'s self, namespace: &'s str, interval: Interval) -> impl Iterator<Item = Reaping<'s>> + 's {
        let of = self.snapshot.orphans.iter().filter(move |record| record.namespace.as_deref() == Some(namespace));
        of.filter_map(move |record| {
            let status = record.status.as_ref()?;
            let per_second = status.cost_per_hour?.checked_div(SECONDS_AN_HOUR)?.round_dp(12);
            Some(Reaping { why: "orphan", owner: None, at: status.deleted_at?, instead: interval.month.end(), per_second })
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
