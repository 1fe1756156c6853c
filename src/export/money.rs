//! What clones cost, in numbers.
//!
//! Contract: series for each namespace with a ledger of this month, for each part of a rate and for each reason of a saving; none that
//! grows with the clones or with their owners (a `CloneUsage` says those).

use super::metrics::Series;
use crate::{
    cost::tariff::{SharedHost, Tariff},
    model::{Month, Snapshot, month::Costs},
    plan::Plan,
};
use rust_decimal::{Decimal, prelude::ToPrimitive};

/// Everything that is said of money.
#[derive(Default)]
pub(super) struct MoneyFigures<'a> {
    pub(super) per_hour: Series<'a, 2>,
    /// What is paid for and no clone bears.
    pub(super) unallocated: Series<'a, 1>,
    pub(super) accrued: Series<'a, 2>,
    pub(super) estimated: Series<'a, 1>,
    pub(super) committed: Series<'a, 1>,
    pub(super) forecast: Series<'a, 1>,
    pub(super) budget: Series<'a, 2>,
    pub(super) saved: Series<'a, 2>,
    pub(super) through: Series<'a, 1>,
}

impl<'a> MoneyFigures<'a> {
    /// `own` tells by which name a namespace stands in a label.
    pub(super) fn of(snapshot: &'a Snapshot, plan: &Plan, own: &dyn Fn(&'a str) -> &'a str) -> Self {
        let mut figures = Self::default();
        let month = Month::of(plan.now);
        let mut all = Costs::default();
        for record in snapshot.usages.iter().filter(|record| record.month == month) {
            let (namespace, status) = (own(&record.namespace), &record.status);
            let (mut accrued, mut per_hour) = (Costs::default(), Costs::default());
            for owner in &status.owners {
                accrued = accrued.and(owner.accrued);
                per_hour = per_hour.and(owner.per_hour);
            }
            for (part, usd) in parts(accrued) {
                add(&mut figures.accrued, [namespace, part], usd);
            }
            for (part, usd) in parts(per_hour) {
                add(&mut figures.per_hour, [namespace, part], usd);
            }
            all = all.and(per_hour);
            add(&mut figures.estimated, [namespace], status.estimated.unwrap_or_default());
            add(&mut figures.committed, [namespace], status.committed.unwrap_or_default());
            add(&mut figures.forecast, [namespace], status.forecast.unwrap_or_default());
            for saving in &status.savings {
                add(&mut figures.saved, [namespace, saving.reason.as_str()], saving.usd);
            }
            // Several budgets are none for what many spend together.
            if let Some(budget) = status.budget.as_ref().filter(|_| namespace != super::figures::OTHERS) {
                add(&mut figures.budget, [namespace, budget.policy.as_str()], budget.monthly);
            }
            if let Some(through) = status.accrued_through {
                let through = super::figures::seconds(through);
                figures.through.entry([namespace]).and_modify(|oldest| *oldest = through.min(*oldest)).or_insert(through);
            }
        }
        for (part, usd) in unallocated(&plan.tariff, all, snapshot) {
            add(&mut figures.unallocated, [part], usd);
        }
        figures
    }
}

/// What is paid for and no clone bears, USD an hour: nodes, hosts and fixed costs without the shares of the clones.
fn unallocated(tariff: &Tariff, clones: Costs, snapshot: &Snapshot) -> [(&'static str, Decimal); 3] {
    let free = |address: &str, host: &SharedHost| {
        let there = snapshot.clones.iter().filter(|clone| clone.database.host().is_some_and(|known| **known == *address)).count();
        let free = host.schemas.saturating_sub(u32::try_from(there).unwrap_or(u32::MAX));
        host.per_hour?.checked_mul(free.into())?.checked_div(host.schemas.into())
    };
    let hosts = tariff.hosts().filter_map(|(address, host)| free(address, host)).fold(Decimal::ZERO, Decimal::saturating_add);
    let left = |whole: Decimal, taken: Decimal| whole.saturating_sub(taken).max(Decimal::ZERO);
    [("compute", left(tariff.compute().total, clones.compute)), ("fixed", left(tariff.fixed().per_hour(), clones.fixed)), ("hosts", hosts)]
}

fn parts(costs: Costs) -> [(&'static str, Decimal); 4] {
    [("databases", costs.databases), ("storage", costs.storage), ("compute", costs.compute), ("fixed", costs.fixed)]
}

pub(super) fn add<'a, const N: usize>(series: &mut Series<'a, N>, labels: [&'a str; N], usd: Decimal) {
    *series.entry(labels).or_default() += usd.to_f64().unwrap_or_default();
}
