//! What clones cost by the tariff of a plan: by what each keeps its data in.

use crate::cost::{
    accrual::Stay,
    rates::{Part, SECONDS_AN_HOUR},
    tariff::Tariff,
};
use crate::model::{Database, Month, Reading, WordPressClone, month::Costs, snapshot::Departure};
use crate::{plan::lifetime, policy::Ttl};
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How many things without a price a ledger names, and how much of each.
const UNPRICED: usize = 20;
const UNPRICED_CHARS: usize = 100;

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

    /// What of these has no price, for people.
    pub(super) fn unpriced(&self, clones: &[Arc<WordPressClone>]) -> Vec<String> {
        let databases: BTreeSet<&Database> = clones.iter().map(|clone| &clone.database).collect();
        let all: BTreeSet<String> = databases.into_iter().flat_map(|database| self.of_database(database).unpriced.to_vec()).collect();
        // What a clone says of itself may be long.
        all.into_iter().take(UNPRICED).map(|what| what.chars().take(UNPRICED_CHARS).collect()).collect()
    }
}
