//! Whether the month's budget of a namespace bears one more clone: what is accrued, what those who live will still cost in it, what was
//! promised to those nobody has seen yet, and the newcomer. Counted like places, under the same promises, so it is as exact.
//!
//! A clone counts with what it costs at most: a serverless database at the top of its range.

use super::{Refusal, census::Census, count::Count};
use crate::cost::{accrual, dollars, tariff::Tariff};
use crate::model::{Database, Month, WordPressClone, duration::roughly, month::UsageRecord, snapshot::Departure};
use crate::plan::{accrual::Rates, lifetime::lifetime};
use crate::policy::{AtLimit, Budget, ClonePolicy};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use std::{fmt, sync::Arc};

/// What is known of what clones cost and have cost.
#[derive(Debug, Clone)]
pub struct Money {
    /// When that was known.
    pub at: Timestamp,
    /// What clones cost.
    pub tariff: Arc<Tariff>,
    /// The ledgers of this month.
    pub usages: Vec<Arc<UsageRecord>>,
    /// The names of ledgers that are there and cannot be read.
    pub unreadable: Vec<String>,
    /// Clones that have gone since those were written.
    pub departed: Vec<Departure>,
}

/// What is spent of a month's budget, USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// What clones have cost, up to the last checkpoint or their end.
    pub accrued: Decimal,
    /// What those that live, or were let in, will cost from then on.
    pub committed: Decimal,
}

impl Spent {
    /// Both.
    #[must_use]
    pub fn total(self) -> Decimal {
        self.accrued.saturating_add(self.committed)
    }
}

/// A clone that the budget does not bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overspent {
    /// The namespace.
    pub namespace: String,
    /// USD a month.
    pub monthly: Decimal,
    /// What is spent of it.
    pub spent: Spent,
    /// What the clone would cost in this month, USD.
    pub costs: Decimal,
    /// How long it was to live.
    pub lives: SignedDuration,
    /// How long one like it could live.
    pub fits: Option<SignedDuration>,
    /// What it would cost with a shared database, if that fits.
    pub shared: Option<Decimal>,
    /// `file:line`.
    pub place: String,
}

impl fmt::Display for Overspent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, monthly, spent, costs, lives, fits, shared, place } = self;
        let sum = spent.total().saturating_add(*costs);
        write!(
            f,
            "the month's budget of `{namespace}` is {} ({place}, `budget.monthly`): {} accrued, {} committed and {} for this clone ({}) are {}",
            dollars(*monthly),
            dollars(spent.accrued),
            dollars(spent.committed),
            dollars(*costs),
            roughly(*lives),
            dollars(sum)
        )?;
        let life = fits.map(|fits| format!("a life of {}", roughly(fits)));
        let share = shared.map(|usd| format!("a shared database ({})", dollars(usd)));
        match life.into_iter().chain(share).reduce(|one, other| format!("{one}, or {other}")) {
            Some(fits) => write!(f, "; what would fit: {fits}"),
            None => f.write_str("; end clones that are not needed any more, or raise the budget"),
        }
    }
}

/// What a newcomer would cost, against what is left.
pub(super) struct Weighed {
    /// What it costs in this month at most, USD.
    pub(super) costs: Decimal,
    /// The budget does not bear it.
    pub(super) over: Option<Overspent>,
    /// What the caller should know.
    pub(super) warning: Option<String>,
}

/// Weighs a clone that is to live so long on this database.
///
/// # Errors
/// Where a budget denies, and what clones cost is not known yet.
pub(super) fn weigh(database: &Database, lives: SignedDuration, policy: &ClonePolicy, census: &impl Count) -> Result<Option<Weighed>, Refusal> {
    let Some(budget) = &policy.budget else { return Ok(None) };
    let Some(purse) = census.purse(policy) else {
        return if budget.at_limit == AtLimit::Deny { Err(not_known()) } else { Ok(None) };
    };
    let database = &located(database, census);
    // What has no price would pass where what is cheap does not.
    if budget.at_limit == AtLimit::Deny && database.is_dedicated() && !census.is_priced(database) {
        let what = match database {
            Database::Dedicated(class) => class.to_string(),
            _ => "Aurora Serverless v2".to_owned(),
        };
        return Err(Refusal::Unpriced { what, place: policy.place_of("budget") });
    }
    let left = purse.at.duration_until(purse.month_ends);
    let costs = |database: &Database, lives: SignedDuration| {
        let seconds = lives.min(left).as_secs();
        census.at_most(database).saturating_mul(Decimal::from(seconds))
    };
    let spent = purse.spent;
    let cost = costs(database, lives);
    let sum = spent.total().saturating_add(cost);
    if sum <= budget.monthly {
        return Ok(Some(Weighed { costs: cost, over: None, warning: near(budget, sum) }));
    }
    let room = budget.monthly.saturating_sub(spent.total());
    let over = Overspent {
        namespace: census.namespace().to_owned(),
        monthly: budget.monthly,
        spent,
        costs: cost,
        lives,
        fits: room
            .checked_div(census.at_most(database))
            .and_then(|seconds| seconds.floor().to_i64())
            .map(SignedDuration::from_secs)
            .filter(|fits| *fits >= policy.ttl.minimum.get() && *fits < lives),
        shared: None,
        place: policy.place_of("budget"),
    };
    Ok(Some(Weighed { costs: cost, over: Some(over), warning: None }))
}

/// The same, with what it would cost on this shared database, if that fits and has a price.
pub(super) fn offering(over: Overspent, shared: &Database, policy: &ClonePolicy, census: &impl Count) -> Overspent {
    let shared = located(shared, census);
    let left = census.purse(policy).map(|purse| purse.at.duration_until(purse.month_ends)).unwrap_or_default();
    let usd = census.at_most(&shared).saturating_mul(Decimal::from(over.lives.min(left).as_secs()));
    let fits = census.is_priced(&shared) && over.spent.total().saturating_add(usd) <= over.monthly;
    Overspent { shared: fits.then_some(usd), ..over }
}

/// The same, with the platform's own host where none is named.
fn located(database: &Database, census: &impl Count) -> Database {
    match database {
        Database::Shared(None) => Database::Shared(census.host().map(Into::into)),
        known => known.clone(),
    }
}

/// What a budget does not bear of a clone that is to live longer than before.
///
/// # Errors
/// Where a budget denies, and what clones cost is not known yet.
pub(super) fn longer(clone: &WordPressClone, old: &WordPressClone, policy: &ClonePolicy, census: &Census<'_>) -> Result<Option<Overspent>, Refusal> {
    let Some(budget) = &policy.budget else { return Ok(None) };
    let (money, purse) = match (census.residents().money.as_deref(), census.purse(policy)) {
        (Some(money), Some(purse)) => (money, purse),
        _ if lifetime(clone, &policy.ttl).end <= lifetime(old, &policy.ttl).end && clone.keep == old.keep => return Ok(None),
        _ if budget.at_limit == AtLimit::Deny => return Err(not_known()),
        _ => return Ok(None),
    };
    let (rates, month) = (Rates::of(&money.tariff), Month::of(money.at));
    let [stay, before] = [clone, old].map(|clone| rates.stay(clone, &policy.ttl, money.at));
    let costs = stay.committed(money.at, month).saturating_sub(before.committed(money.at, month));
    let spent = purse.spent;
    if costs <= Decimal::ZERO || spent.total().saturating_add(costs) <= budget.monthly {
        return Ok(None);
    }
    let room = budget.monthly.saturating_sub(spent.total()).max(Decimal::ZERO);
    let more = room.checked_div(stay.at_most).and_then(|seconds| seconds.floor().to_i64()).map(SignedDuration::from_secs);
    let lived = before.ends.duration_since(clone.meta.created);
    Ok(Some(Overspent {
        namespace: census.namespace().to_owned(),
        monthly: budget.monthly,
        spent,
        costs,
        lives: stay.ends.duration_since(clone.meta.created),
        fits: more.filter(|more| more.as_secs() >= 60).map(|more| lived.saturating_add(more)),
        shared: None,
        place: policy.place_of("budget"),
    }))
}

fn not_known() -> Refusal {
    Refusal::NotNow("what clones cost, or have cost, is not known, and its budget counts on that".to_owned())
}

fn near(budget: &Budget, sum: Decimal) -> Option<String> {
    let hundred = sum.saturating_mul(Decimal::ONE_HUNDRED);
    // Most are far from it, and a division takes longer than all the rest.
    if hundred < budget.monthly.saturating_mul(budget.warn_at.into()) {
        return None;
    }
    let percent = hundred.checked_div(budget.monthly)?;
    Some(format!("with this clone {} of the month's {} are spent or committed ({} %)", dollars(sum), dollars(budget.monthly), percent.round()))
}

/// What is spent of a namespace's month by those who live there, those who have gone, and those who were let in.
pub(super) fn spent<'a>(
    namespace: &str,
    policy: &ClonePolicy,
    money: &Money,
    living: impl Iterator<Item = &'a crate::model::WordPressClone>,
    promised: impl Iterator<Item = Decimal>,
) -> Spent {
    let rates = Rates::of(&money.tariff);
    let month = Month::of(money.at);
    let record = money.usages.iter().find(|record| record.namespace == namespace && record.month == month);
    let through = record.and_then(|record| record.status.accrued_through).unwrap_or(month.start());
    let counted = record.map(|record| accrual::accrued(&record.status)).unwrap_or_default();
    let gone = money.departed.iter().filter(|gone| *gone.namespace == *namespace && gone.gone >= through);
    let gone = gone.map(|gone| {
        let stay = rates.gone(gone);
        stay.per_second.total.saturating_mul(Decimal::from(stay.within(through, month.end())))
    });
    let living = living.map(|clone| rates.stay(clone, &policy.ttl, money.at).committed(through, month));
    let add = |sum: Decimal, usd: Decimal| sum.saturating_add(usd);
    Spent { accrued: gone.fold(counted, add), committed: living.chain(promised).fold(Decimal::ZERO, add) }
}
