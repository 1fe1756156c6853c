//! What clones would cost a month under either set: **the one definition** of the costs in a diff.
//!
//! A clone that lives stands for those like it. As many of them live at once as now, and each lives for so long under the old policies:
//! so by Little's law they arrive at a rate of one in a life. Under the new policies as many arrive, each lives for so long, and costs what
//! the place costs that it would get. A snapshot meets long lives more often than short ones; that is why each clone is counted with its own
//! life, and not with the mean of all.

use super::{
    Change, Cost,
    house::Played,
    side::{Fate, Side},
};
use crate::{
    cost::{
        rates::{HOURS_A_MONTH, Part},
        tariff::Tariff,
    },
    model::{Database, WordPressClone},
    plan::{
        Reason,
        lifetime::{Cause, lifetime},
    },
};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How many things without a price are named, and how much of each.
const UNPRICED: usize = 20;
const UNPRICED_CHARS: usize = 100;

/// Costs that are being summed up.
#[derive(Default)]
pub(super) struct Sum {
    usd: Change<Decimal>,
    /// How many clones were counted.
    clones: Change<usize>,
    /// How many of them have a price at all.
    priced: Change<usize>,
    unpriced: BTreeSet<String>,
}

/// What one clone costs a month under either set.
pub(super) struct Share {
    usd: Change<Option<Decimal>>,
    unpriced: Change<Arc<[String]>>,
}

/// What a database with a clone's share of the nodes costs an hour, USD, and what of it has no price.
type Priced = (Option<Decimal>, Arc<[String]>);

/// What each kind of clone costs by a tariff, made once. Not rounded: a month of five thousand clones is a large multiple.
struct Rates<'a> {
    tariff: &'a Tariff,
    known: RefCell<BTreeMap<Database, Priced>>,
}

impl<'a> Rates<'a> {
    fn of(tariff: &'a Tariff) -> Self {
        Self { tariff, known: RefCell::default() }
    }

    fn of_database(&self, database: &Database) -> Priced {
        if let Some(known) = self.known.borrow().get(database) {
            return known.clone();
        }
        let rate = self.tariff.rate(database);
        // What the platform costs whether or not a clone lives no policy changes, over however many clones it is spread.
        let parts = rate.parts().iter().filter(|(part, _)| *part != Part::Fixed);
        let hour = parts.fold(Decimal::ZERO, |sum, (_, usd)| sum.saturating_add(*usd));
        let priced: Priced = ((!hour.is_zero() || rate.unpriced.is_empty()).then_some(hour), rate.unpriced.into());
        self.known.borrow_mut().insert(database.clone(), priced.clone());
        priced
    }
}

/// The rates of both sets.
pub(super) struct Desk<'a> {
    rates: Change<Rates<'a>>,
    known: bool,
    now: Timestamp,
}

impl<'a> Desk<'a> {
    pub(super) fn of(sides: &'a Change<Side<'_>>, now: Timestamp) -> Self {
        let known = sides.from.plan.tariff.lack.is_none() && sides.to.plan.tariff.lack.is_none();
        Self { rates: Change { from: Rates::of(&sides.from.plan.tariff), to: Rates::of(&sides.to.plan.tariff) }, known, now }
    }

    /// Whether what prices are made from is known.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// What the clone at that place in the snapshot costs.
    pub(super) fn share(&self, clone: &WordPressClone, place: usize, sides: &Change<Side<'_>>) -> Share {
        let fates = Change { from: sides.from.fate(place), to: sides.to.fate(place) };
        let played = Change { from: sides.from.played.get(place), to: sides.to.played.get(place) };
        let placed = |played: Option<&Played>| played.and_then(|played| played.database.as_ref()).unwrap_or(&clone.database).clone();
        // One that lives is counted before, whoever would not let it in again; those who are turned away today nobody counts.
        let refused = |played: Option<&Played>| played.is_some_and(|played| played.denied() == 2);
        let goes = refused(played.to) && !refused(played.from);
        let (before, unpriced_before) = self.rates.from.of_database(&placed(played.from));
        let (after, unpriced_after) = if goes { (Some(Decimal::ZERO), Arc::default()) } else { self.rates.to.of_database(&placed(played.to)) };
        let month = |usd: Decimal| usd.saturating_mul(HOURS_A_MONTH);
        let part = part(clone, fates, self.now);
        Share {
            usd: Change { from: before.map(month), to: after.map(|usd| month(usd).saturating_mul(part)) },
            unpriced: Change { from: unpriced_before, to: unpriced_after },
        }
    }
}

/// The life under the new set as a part of that under the old one.
fn part(clone: &WordPressClone, fates: Change<Fate<'_>>, now: Timestamp) -> Decimal {
    let age = now.duration_since(clone.meta.created).max(SignedDuration::ZERO);
    let lives = Change { from: life(clone, &fates.from, age), to: life(clone, &fates.to, age) };
    // Nobody knows how long one lives that nothing ends: as long as it has, and as long as somebody else would let it.
    let (from, to) = match (lives.from, lives.to) {
        (Some(from), Some(to)) => (from, to),
        (None, Some(to)) => (age.max(to), to),
        (Some(from), None) => (from, age.max(from)),
        (None, None) => return Decimal::ONE,
    };
    let seconds = |life: SignedDuration| Decimal::from(life.as_secs().max(1));
    seconds(to).checked_div(seconds(from)).unwrap_or(Decimal::ONE)
}

/// How long a clone lives; in audit, where nothing ends it, at least as long as it has. `None`: nothing ends it at all.
fn life(clone: &WordPressClone, fate: &Fate<'_>, age: SignedDuration) -> Option<SignedDuration> {
    let policy = fate.policy?;
    let life = match fate.reason() {
        Some(Reason::Kept(..)) => return None,
        Some(reason) => reason.life().copied().filter(|life| matches!(life.cause, Cause::Idle(..))),
        None => None,
    };
    let life = life.unwrap_or_else(|| lifetime(clone, &policy.ttl));
    let length = life.end.duration_since(life.created);
    Some(if fate.is_said() { length.max(age) } else { length })
}

impl Sum {
    /// Counts a clone, under the sets for which that is so.
    pub(super) fn add(&mut self, share: &Share, counted: Change<bool>) {
        let mut add = |counted: bool, usd: Option<Decimal>, unpriced: &[String], sum: &mut Decimal, clones: &mut usize, priced: &mut usize| {
            if counted {
                *clones = clones.saturating_add(1);
                *priced = priced.saturating_add(usize::from(usd.is_some()));
                *sum = sum.saturating_add(usd.unwrap_or_default());
                self.unpriced.extend(unpriced.iter().take(UNPRICED).map(|what| what.chars().take(UNPRICED_CHARS).collect::<String>()));
            }
        };
        let Share { usd, unpriced } = share;
        add(counted.from, usd.from, &unpriced.from, &mut self.usd.from, &mut self.clones.from, &mut self.priced.from);
        add(counted.to, usd.to, &unpriced.to, &mut self.usd.to, &mut self.clones.to, &mut self.priced.to);
    }

    pub(super) fn close(self, known: bool) -> Cost {
        let usd = |usd: Decimal, clones: usize, priced: usize| (known && (clones == 0 || priced > 0)).then(|| usd.round_dp(4).normalize());
        Cost {
            usd: Change { from: usd(self.usd.from, self.clones.from, self.priced.from), to: usd(self.usd.to, self.clones.to, self.priced.to) },
            unpriced: if known { self.unpriced.into_iter().take(UNPRICED).collect() } else { Vec::new() },
        }
    }
}
