//! What one decision is about in money: what its target costs, has cost, and what its end spares. By the tariff of the plan and by the
//! ledger's own arithmetic: there is no second one.

use super::{Priced, Rates, reaped};
use crate::cost::{
    accrual::{Reaping, seconds},
    rates::SECONDS_AN_HOUR,
};
use crate::model::{Month, journal::Cost};
use crate::plan::{Action, Decision, Plan, Target};
use crate::policy::Policies;
use jiff::Timestamp;
use rust_decimal::Decimal;

/// What the target of a decision costs at `at`; `done`: it has just been ended. `None` where nothing is known of it, or where it costs
/// nothing of its own.
#[must_use]
pub fn price(decision: &Decision, plan: &Plan, policies: &Policies, at: Timestamp, done: bool) -> Option<Cost> {
    let cost = match &decision.target {
        Target::Clone(clone) => {
            // By half a tariff nothing is counted.
            let tariff = Some(&plan.tariff).filter(|tariff| tariff.lack.is_none())?;
            let priced = Rates::of(tariff).of_database(&clone.database);
            let spent = spent(&priced, clone.meta.created, at)?;
            let reaped = reaped(decision, policies).filter(|_| done);
            let saved = reaped.filter(|_| spent.per_hour.is_some()).map(|reaped| {
                let reaping =
                    Reaping { why: reaped.why, owner: clone.owner.as_deref(), at, instead: reaped.instead, per_second: priced.per_second.total };
                cents(reaping.saved())
            });
            Cost { saved, instead: reaped.map(|reaped| reaped.instead), ..spent }
        }
        _ => {
            let per_hour = decision.course()?.status.cost_per_hour?;
            let spared = spared(per_hour, at, Month::of(at).end()).filter(|_| done && decision.action == Action::Delete);
            Cost {
                per_hour: Some(per_hour),
                saved: spared.map(|spared| cents(spared.saved())),
                instead: spared.map(|spared| spared.instead),
                ..Cost::default()
            }
        }
    };
    (cost != Cost::default()).then_some(cost)
}

/// What something costs that is priced like this, and has cost from then until then.
#[must_use]
pub fn spent(priced: &Priced, from: Timestamp, to: Timestamp) -> Option<Cost> {
    let per_second = Some(priced.per_second.total).filter(|usd| !usd.is_zero());
    let cost = Cost {
        per_hour: per_second.map(|usd| usd.saturating_mul(SECONDS_AN_HOUR).round_dp(6).normalize()),
        accrued: per_second.map(|usd| cents(usd.saturating_mul(Decimal::from(seconds(from, to))))),
        unpriced: priced.unpriced.to_vec(),
        ..Cost::default()
    };
    (cost != Cost::default()).then_some(cost)
}

/// The end of what was left behind and cost that much an hour (USD): nothing else would have ended it before the month is over.
#[must_use]
pub fn spared(per_hour: Decimal, at: Timestamp, month_ends: Timestamp) -> Option<Reaping<'static>> {
    let per_second = per_hour.checked_div(SECONDS_AN_HOUR)?.round_dp(12);
    Some(Reaping { why: "orphan", owner: None, at, instead: month_ends, per_second })
}

/// As the ledger shows it: to a hundredth of a cent.
fn cents(usd: Decimal) -> Decimal {
    usd.round_dp(4).normalize()
}
