//! The governed namespaces: what they may have, have, and cost.

use super::{Look, mode};
use crate::{
    cost::accrual,
    export::governed,
    lifecycle::summary::Moment,
    model::{
        Kind, Month, Quantity,
        month::UsageRecord,
        occupancy::Occupancy,
        orphan::status::{count, money},
    },
    policy::ClonePolicy,
};
use jiff::Timestamp;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use schemars::JsonSchema;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// How many namespaces are listed, those with the most clones.
const LISTED: usize = 100;

/// The governed namespaces.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Namespaces {
    /// How many there are.
    #[schemars(schema_with = "count")]
    pub(crate) total: usize,
    /// Those with the most clones.
    pub(crate) items: Vec<Namespace>,
}

/// One governed namespace.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Namespace {
    /// Its name.
    pub(crate) name: String,
    /// The policy that governs it.
    pub(crate) policy: String,
    /// `audit` or `enforce`.
    #[schemars(extend("enum" = ["audit", "enforce"]))]
    pub(crate) mode: &'static str,
    /// What is bounded in it.
    pub(crate) limits: Vec<Bound>,
    /// What its clones cost in this month, once that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) month: Option<Costs>,
}

/// Something that is bounded: how much there is, of how much there may be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bound {
    /// What: `clones`, `dedicatedDatabases`, `clonesPerOwner` (the owner with the most), or a resource such as `requests.cpu`.
    pub(crate) what: String,
    /// How much there is, as it is written; missing: not counted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) used: Option<String>,
    /// How much there may be; missing: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowed: Option<String>,
    /// That in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "count")]
    pub(crate) percent: Option<u32>,
}

/// The ledger of a month, USD.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Costs {
    /// The month, such as 2026-02.
    pub(crate) month: String,
    /// Up to when it is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) counted_through: Option<Timestamp>,
    /// What clones have cost.
    #[schemars(schema_with = "money")]
    pub(crate) accrued: Decimal,
    /// What those that live will still cost if each lives to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) committed: Option<Decimal>,
    /// What the month will have cost when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) forecast: Option<Decimal>,
    /// What reaping has saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) saved: Option<Decimal>,
    /// What the clones that live cost an hour.
    #[schemars(schema_with = "money")]
    pub(crate) per_hour: Decimal,
    /// What the policy allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<Budget>,
    /// What has no price, and is counted as nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unpriced: Vec<String>,
}

/// What a namespace may cost.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Budget {
    /// USD a month.
    #[schemars(schema_with = "money")]
    pub(crate) monthly: Decimal,
    /// From how many percent on a warning is given.
    #[schemars(schema_with = "count")]
    pub(crate) warn_at: u32,
    /// How much of it is accrued, in percent.
    #[schemars(schema_with = "money")]
    pub(crate) accrued_percent: Decimal,
    /// How much of it is accrued or committed, in percent.
    #[schemars(schema_with = "money")]
    pub(crate) used_percent: Decimal,
    /// How much of it the month is forecast to cost, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) forecast_percent: Option<Decimal>,
}

/// The ledger of this month of each namespace that may be seen.
pub(super) fn ledgers<'a>(look: &Look<'a>) -> BTreeMap<&'a str, &'a Arc<UsageRecord>> {
    let month = Month::of(look.plan.now);
    let these = look.snapshot.usages.iter().filter(|record| record.month == month && look.may_see(Some(&record.namespace)));
    these.map(|record| (record.namespace.as_str(), record)).collect()
}

impl Namespaces {
    pub(super) fn of(look: &Look<'_>) -> Self {
        let (taken, none) = (Occupancy::of(look.snapshot), Occupancy::default());
        let taken = |namespace: &str| taken.get(namespace).unwrap_or(&none);
        let mut all: Vec<(&str, &ClonePolicy)> = governed(look.snapshot, look.policies).into_iter().collect();
        all.retain(|(name, _)| look.may_see(Some(name)));
        all.sort_unstable_by(|(one, _), (other, _)| taken(other).clones.cmp(&taken(one).clones).then_with(|| one.cmp(other)));
        let ledgers = ledgers(look);
        let items = all.iter().take(LISTED).map(|(name, policy)| Namespace {
            name: (*name).to_owned(),
            policy: policy.name.to_string(),
            mode: mode(policy),
            limits: bounds(look, name, policy, taken(name)),
            month: ledgers.get(name).map(|record| Costs::of(record, policy)),
        });
        Self { total: all.len(), items: items.collect() }
    }
}

fn bounds(look: &Look<'_>, namespace: &str, policy: &ClonePolicy, taken: &Occupancy<'_>) -> Vec<Bound> {
    let numbered = |what: &str, used: usize, allowed: Option<u32>| Bound {
        what: what.to_owned(),
        used: Some(used.to_string()),
        allowed: allowed.map(|allowed| allowed.to_string()),
        percent: allowed.and_then(|allowed| percent(used.into(), allowed.into())),
    };
    let limits = &policy.limits;
    let mut bounds =
        vec![numbered("clones", taken.clones, limits.clones), numbered("dedicatedDatabases", taken.dedicated, limits.dedicated_databases)];
    if limits.clones_per_owner.is_some() {
        bounds.push(numbered("clonesPerOwner", taken.of_one_owner(), limits.clones_per_owner));
    }
    let kept = look.snapshot.quotas.iter().find(|quota| quota.kind == Kind::ResourceQuota && quota.meta.namespace() == namespace);
    bounds.extend(policy.quota.iter().map(|(resource, hard)| {
        let used = kept.and_then(|quota| quota.used.get(resource));
        let part = used.and_then(|used| Quantity::parse(used)?.part_of(hard.amount));
        Bound {
            what: resource.clone(),
            used: used.cloned(),
            allowed: Some(hard.text.clone()),
            percent: part.and_then(|part| percent(part, Decimal::ONE)),
        }
    }));
    bounds
}

fn percent(used: Decimal, allowed: Decimal) -> Option<u32> {
    used.saturating_mul(Decimal::ONE_HUNDRED).checked_div(allowed)?.round().to_u32()
}

fn share(part: Decimal, whole: Decimal) -> Decimal {
    part.saturating_mul(Decimal::ONE_HUNDRED).checked_div(whole).unwrap_or_default().round_dp(1).normalize()
}

impl Costs {
    fn of(record: &UsageRecord, policy: &ClonePolicy) -> Self {
        let status = &record.status;
        let accrued = accrual::accrued(status);
        let committed = status.committed.unwrap_or_default();
        let per_hour = status.owners.iter().map(|owner| owner.per_hour.total).fold(Decimal::ZERO, Decimal::saturating_add);
        Self {
            month: record.month.to_string(),
            counted_through: status.accrued_through,
            accrued: accrued.round_dp(4).normalize(),
            committed: status.committed,
            forecast: status.forecast,
            saved: status.saved,
            per_hour: per_hour.round_dp(6).normalize(),
            budget: policy.budget.as_ref().map(|budget| Budget {
                monthly: budget.monthly,
                warn_at: budget.warn_at,
                accrued_percent: share(accrued, budget.monthly),
                used_percent: share(accrued.saturating_add(committed), budget.monthly),
                forecast_percent: status.forecast.map(|forecast| share(forecast, budget.monthly)),
            }),
            unpriced: status.unpriced.clone(),
        }
    }
}
