//! What clones have cost: a month's ledger, advanced from one checkpoint to the next.
//!
//! Contract: time is whole seconds, and a clone costs from its creation until it is gone, by the second. So the sum is the same however
//! the time between is cut, what the owners have paid is the whole, and each second belongs to one month of UTC. The ledger itself says
//! who lived at its last checkpoint and what that cost: where nobody watched since then, those of whom nothing is known any more are
//! counted for half of the time in which they may have gone, at most for as long as it is from one checkpoint to the next, and that is marked
//! as estimated.

use super::rates::SECONDS_AN_HOUR;
use crate::model::{
    Month, ceil_to_second,
    month::{CloneCounts, Costs, OwnerCosts, Saving, UsageStatus},
};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// How often a ledger is advanced, and the most that is estimated of a clone that went while nobody watched.
pub const CHECKPOINT: SignedDuration = SignedDuration::from_secs(60);
/// How many owners have accounts of their own in a month; whoever comes after them shares the one without a name.
const OWNERS: usize = 200;

/// The life of one clone, as far as the ledger asks.
#[derive(Debug, Clone, Copy)]
pub struct Stay<'a> {
    /// Whose it is.
    pub owner: &'a str,
    /// Since when it lives.
    pub created: Timestamp,
    /// When it was seen to be gone; `None`: it lives.
    pub gone: Option<Timestamp>,
    /// When it ends, if it lives.
    pub ends: Timestamp,
    /// What it costs a second.
    pub per_second: Costs,
    /// USD a second at most.
    pub at_most: Decimal,
}

impl Stay<'_> {
    /// How many seconds of it lie between the two.
    #[must_use]
    pub fn within(&self, from: Timestamp, to: Timestamp) -> u64 {
        let until = self.gone.map_or(to, |gone| ceil_to_second(gone).min(to));
        seconds(self.created.max(from), until)
    }

    /// What it will still cost in a month that has been counted up to then, USD at most.
    #[must_use]
    pub fn committed(&self, through: Timestamp, month: Month) -> Decimal {
        let until = if self.gone.is_some() { through } else { self.ends.min(month.end()) };
        self.at_most.saturating_mul(Decimal::from(seconds(self.created.max(through).max(month.start()), until)))
    }

    fn lived_at(&self, at: Timestamp) -> bool {
        self.created < at && self.gone.is_none_or(|gone| ceil_to_second(gone) > at)
    }
}

/// Something that was reaped: when, what it cost a second, and until when it would have lived otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Reaping<'a> {
    /// The word in the ledger.
    pub why: &'static str,
    /// Whose it was; `None`: nobody's any more, it was left behind.
    pub owner: Option<&'a str>,
    /// When it was gone.
    pub at: Timestamp,
    /// When it would have ended otherwise.
    pub instead: Timestamp,
    /// USD a second.
    pub per_second: Decimal,
}

impl Reaping<'_> {
    /// What it would have cost until it would otherwise have ended, USD.
    fn usd(&self) -> Decimal {
        self.per_second.saturating_mul(Decimal::from(seconds(self.at, self.instead))).normalize()
    }
}

/// Whole seconds from one moment to a later one; none, if it is earlier.
#[must_use]
pub fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_second().saturating_sub(from.as_second())).unwrap_or_default()
}

/// What is known of the time between two checkpoints.
#[derive(Debug, Clone, Copy)]
pub struct Interval {
    /// The month that it lies in.
    pub month: Month,
    /// Up to when everything had been counted: whole seconds.
    pub from: Timestamp,
    /// Up to when it is counted now: whole seconds.
    pub to: Timestamp,
    /// Since when no clone can have come and gone unseen; `None`: of nobody who is gone is anything known.
    pub watched: Option<Timestamp>,
}

/// The ledger at the end of the interval. `before` is what it said at its beginning, or at the end of the month before: then only who
/// lived is taken from it.
#[must_use]
pub fn advance(before: &UsageStatus, fresh: bool, interval: Interval, stays: &[Stay<'_>], reapings: &[Reaping<'_>]) -> UsageStatus {
    let Interval { month, from, to, .. } = interval;
    let lost = lost(before, &Book::open(before), interval, stays);
    let mut book = if fresh { Book::default() } else { Book::open(before) };
    for account in book.accounts.values_mut() {
        (account.live, account.per_hour, account.committed) = (0, Costs::default(), None);
    }
    let mut counts = if fresh { CloneCounts::default() } else { before.clones.unwrap_or_default() };
    counts.live = 0;
    for stay in stays {
        let lived = stay.within(from, to);
        let created = stay.created >= from && stay.created < to;
        let ended = stay.gone.is_some_and(|gone| ceil_to_second(gone) >= from && ceil_to_second(gone) < to);
        counts.created = counts.created.saturating_add(u32::from(created));
        counts.ended = counts.ended.saturating_add(u32::from(ended));
        let lives = stay.lived_at(to);
        counts.live = counts.live.saturating_add(u32::from(lives));
        if lived == 0 && !lives {
            continue;
        }
        let account = book.account(stay.owner);
        account.accrued = account.accrued.and(stay.per_second.times(Decimal::from(lived)));
        account.clone_seconds = account.clone_seconds.saturating_add(lived);
        if lives {
            account.committed = Some(account.committed.unwrap_or_default().saturating_add(stay.committed(to, month)).normalize());
            account.live = account.live.saturating_add(1);
            account.per_hour = account.per_hour.and(stay.per_second.times(SECONDS_AN_HOUR));
        }
    }
    counts.peak = counts.peak.max(counts.live);
    let mut estimated = if fresh { Decimal::ZERO } else { before.estimated.unwrap_or_default() };
    for (owner, lost) in lost {
        let account = book.account(&owner);
        account.accrued = account.accrued.and(lost.costs);
        account.clone_seconds = account.clone_seconds.saturating_add(lost.seconds);
        estimated = estimated.saturating_add(lost.costs.total);
        counts.ended = counts.ended.saturating_add(lost.clones);
    }
    let mut status = UsageStatus {
        accrued_through: Some(to),
        clones: Some(counts),
        estimated: (!estimated.is_zero()).then(|| estimated.normalize()),
        savings: if fresh { Vec::new() } else { before.savings.clone() },
        actual: if fresh { None } else { before.actual.clone() },
        ..UsageStatus::default()
    };
    for reaping in reapings.iter().filter(|reaping| reaping.at >= from && reaping.at < to) {
        save(&mut status.savings, *reaping);
        if let Some(owner) = reaping.owner {
            let account = book.account(owner);
            account.saved = Some(account.saved.unwrap_or_default().saturating_add(reaping.usd()).normalize());
        }
    }
    status.saved = (!status.savings.is_empty())
        .then(|| status.savings.iter().fold(Decimal::ZERO, |sum, saving| sum.saturating_add(saving.usd)).round_dp(4).normalize());
    let committed = stays.iter().fold(Decimal::ZERO, |sum, stay| sum.saturating_add(stay.committed(to, month)));
    book.close(&mut status);
    for owner in &mut status.owners {
        let expected = forecast(owner.accrued.total, owner.committed.unwrap_or_default(), month, to);
        owner.forecast = Some(expected.round_dp(4).normalize());
    }
    let accrued = status.owners.iter().fold(Decimal::ZERO, |sum, owner| sum.saturating_add(owner.accrued.total));
    status.committed = Some(committed.round_dp(4).normalize());
    status.forecast = Some(forecast(accrued, committed, month, to).round_dp(4).normalize());
    status
}

/// What a month will have cost: as it has gone until now, and at least what is committed already.
#[must_use]
pub fn forecast(accrued: Decimal, committed: Decimal, month: Month, now: Timestamp) -> Decimal {
    let (past, left) = (seconds(month.start(), now), seconds(now, month.end()));
    let at_this_pace = accrued.checked_div(Decimal::from(past)).map_or(Decimal::ZERO, |pace| pace.saturating_mul(Decimal::from(left)));
    accrued.saturating_add(committed.max(at_this_pace))
}

/// What has been spent of a month and cannot be undone but by ending clones: what is accrued, and what its clones will still cost.
#[must_use]
pub fn accrued(status: &UsageStatus) -> Decimal {
    status.owners.iter().fold(Decimal::ZERO, |sum, owner| sum.saturating_add(owner.accrued.total))
}

fn save(savings: &mut Vec<Saving>, reaping: Reaping<'_>) {
    let usd = reaping.usd();
    match savings.iter_mut().find(|saving| saving.reason == reaping.why) {
        Some(saving) => (saving.usd, saving.reaped) = (saving.usd.saturating_add(usd), saving.reaped.saturating_add(1)),
        None => savings.push(Saving { reason: reaping.why.to_owned(), usd, reaped: 1 }),
    }
}

/// Clones of an owner that lived at the last checkpoint, and of which nothing is known any more.
struct Lost {
    clones: u32,
    seconds: u64,
    costs: Costs,
}

/// Of each owner, what is estimated for those who went while nobody watched.
fn lost(before: &UsageStatus, book: &Book, interval: Interval, stays: &[Stay<'_>]) -> Vec<(String, Lost)> {
    let unwatched = interval.watched.map_or(interval.to, |watched| ceil_to_second(watched).min(interval.to));
    let half = seconds(interval.from, unwatched).div_euclid(2).min(CHECKPOINT.as_secs().unsigned_abs());
    let mut known: BTreeMap<&str, (u32, Costs)> = BTreeMap::new();
    for stay in stays.iter().filter(|stay| stay.lived_at(interval.from)) {
        let (count, costs) = known.entry(book.name(stay.owner)).or_default();
        *count = count.saturating_add(1);
        *costs = costs.and(stay.per_second);
    }
    let of = |owner: &OwnerCosts| {
        let (count, costs) = known.get(owner.owner.as_str()).copied().unwrap_or_default();
        let clones = owner.live.saturating_sub(count);
        let each_second = owner.per_hour.times(Decimal::ONE.checked_div(SECONDS_AN_HOUR)?).without(costs);
        // Those who are left may cost more by now than all did before.
        let each_second = if each_second.total.is_sign_negative() { Costs::default() } else { each_second };
        let costs = each_second.times(Decimal::from(half)).to_places(12);
        (clones > 0 && half > 0).then(|| (owner.owner.clone(), Lost { clones, seconds: half.saturating_mul(clones.into()), costs }))
    };
    before.owners.iter().filter_map(of).collect()
}

/// The accounts of a month while they are added to.
#[derive(Default)]
struct Book {
    accounts: BTreeMap<String, OwnerCosts>,
}

impl Book {
    fn open(before: &UsageStatus) -> Self {
        Self { accounts: before.owners.iter().map(|owner| (owner.owner.clone(), owner.clone())).collect() }
    }

    /// The account that somebody's clones are counted on.
    fn name<'a>(&self, owner: &'a str) -> &'a str {
        if self.accounts.contains_key(owner) || self.accounts.len() < OWNERS { owner } else { "" }
    }

    fn account(&mut self, owner: &str) -> &mut OwnerCosts {
        let name = self.name(owner);
        self.accounts.entry(name.to_owned()).or_insert_with(|| OwnerCosts { owner: name.to_owned(), ..OwnerCosts::default() })
    }

    fn close(self, status: &mut UsageStatus) {
        let used = |account: &OwnerCosts| account.live > 0 || account.clone_seconds > 0 || account.saved.is_some();
        status.owners = self.accounts.into_values().filter(used).collect();
        let (mut costs, mut lived) = (Costs::default(), 0_u64);
        for account in &status.owners {
            costs = costs.and(account.accrued);
            lived = lived.saturating_add(account.clone_seconds);
        }
        status.accrued = Some(costs.rounded());
        let hours = Decimal::from(lived).checked_div(SECONDS_AN_HOUR).unwrap_or_default();
        status.clone_hours = Some(hours.round_dp(4).normalize());
    }
}

#[cfg(test)]
mod tests;
