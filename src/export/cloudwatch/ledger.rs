//! **What was delivered**, and so what is new.
//!
//! Contract: of each counter the ledger has what it stood at when it was last taken for delivered. The registry forgets no
//! counter, and neither does the ledger: one that is missing for a moment is not new when it is back. In one hour (UTC) no more than so many series are ever sent, since AWS bills each series in each hour in which it is
//! sent: those that were sent in it go first, and then, in the order of the readings, as many others as there is room for.

use super::{
    readings::{Amount, Reading, Readings},
    signals,
};
use crate::ports::{Datum, Said, SeriesId};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// A figure that is to be sent, and what its counter stands at then.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What is sent.
    pub datum: Datum,
    after: Option<Amount>,
    before: Option<Amount>,
}

/// Everything that is to be sent at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Due {
    /// The figures, the most important first.
    pub items: Vec<Item>,
    /// How many series there was no room for.
    pub left_out: usize,
}

/// What was delivered.
#[derive(Debug)]
pub struct Ledger {
    delivered: HashMap<SeriesId, Amount>,
    most: usize,
    hour: i64,
    sent: BTreeSet<SeriesId>,
}

impl Ledger {
    /// Nothing was delivered yet: whatever was counted since the start of the process is new. At most so many series an hour.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { delivered: HashMap::new(), most, hour: i64::MIN, sent: BTreeSet::new() }
    }

    /// Takes everything that was counted until now for delivered: of what a standby has counted nothing is sent.
    pub fn pass(&mut self, readings: &Readings) {
        for reading in &readings.series {
            if !matches!(reading.amount, Amount::Level(_)) {
                self.set(&reading.id, Some(reading.amount.clone()));
            }
        }
    }

    /// What is to be sent now: every level, and each counter that has moved. A counter of an alarm is sent once an hour whether it has or
    /// not: so it has its place when it does.
    pub fn due(&mut self, readings: &Readings, now: Timestamp) -> Due {
        self.turn(now);
        let mut room = self.most.saturating_sub(self.sent.len());
        let mut due = Due::default();
        for reading in &readings.series {
            let Some(item) = self.item(reading, now) else { continue };
            if self.sent.contains(&reading.id) {
                due.items.push(item);
            } else if room > 0 {
                room -= 1;
                due.items.push(item);
            } else {
                due.left_out += 1;
            }
        }
        due
    }

    /// Only what was counted, for whoever sends for the last time: by then another process may say what is so.
    pub fn due_last(&mut self, readings: &Readings, now: Timestamp) -> Due {
        let mut due = self.due(readings, now);
        due.items.retain(|item| item.after.is_some());
        due
    }

    /// To be called right before figures are sent.
    pub fn take(&mut self, items: &[Item], now: Timestamp) {
        self.turn(now);
        for item in items {
            self.sent.insert(item.datum.id.clone());
            if let Some(after) = &item.after {
                self.set(&item.datum.id, Some(after.clone()));
            }
        }
    }

    /// They were certainly not taken.
    pub fn give_back(&mut self, items: &[Item]) {
        for item in items.iter().filter(|item| item.after.is_some()) {
            self.set(&item.datum.id, item.before.clone());
        }
    }

    /// How many series were sent in this hour.
    #[must_use]
    pub fn series(&self) -> usize {
        self.sent.len()
    }

    fn set(&mut self, id: &SeriesId, amount: Option<Amount>) {
        match amount {
            Some(amount) => self.delivered.insert(id.clone(), amount),
            None => self.delivered.remove(id),
        };
    }

    /// In a new hour the order of the readings decides anew.
    fn turn(&mut self, now: Timestamp) {
        let hour = now.as_second().div_euclid(3_600);
        if hour != self.hour {
            self.hour = hour;
            self.sent.clear();
        }
    }

    fn item(&self, reading: &Reading, now: Timestamp) -> Option<Item> {
        let before = self.delivered.get(&reading.id);
        let (said, after) = match (&reading.amount, before) {
            (Amount::Level(level), _) => (Said::One(*level), None),
            (Amount::Total(total), before) => {
                let known = match before {
                    // A counter that is lower than it was began anew.
                    Some(Amount::Total(known)) if known <= total => *known,
                    _ => 0.0,
                };
                let grown = total - known;
                let due = grown > 0.0 || reading.id.name == signals::NAME && !self.sent.contains(&reading.id);
                due.then_some((Said::One(grown), Some(reading.amount.clone())))?
            }
            (Amount::Buckets(buckets), before) => {
                let spread = spread(buckets, before);
                (!spread.is_empty()).then_some((Said::Spread(spread), Some(reading.amount.clone())))?
            }
        };
        let datum = Datum { id: reading.id.clone(), at: now, measure: reading.measure, said };
        Some(Item { datum, after, before: before.cloned() })
    }
}

/// How many values have come into each bucket, under its upper bound.
fn spread(buckets: &[(f64, u64)], before: Option<&Amount>) -> Vec<(f64, u64)> {
    let known = |at: usize| match before {
        Some(Amount::Buckets(known)) => known.get(at).map_or(0, |(_, count)| *count),
        _ => 0,
    };
    let began_anew = buckets.iter().enumerate().any(|(at, (_, count))| *count < known(at));
    let grown = |at: usize, count: u64| if began_anew { count } else { count.saturating_sub(known(at)) };
    buckets.iter().enumerate().map(|(at, (bound, count))| (*bound, grown(at, *count))).filter(|(_, count)| *count > 0).collect()
}
