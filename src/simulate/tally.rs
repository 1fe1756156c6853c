//! The count of a simulation: who got in, how long they waited, what it cost.
//!
//! Contract: money is exact. A clone costs by the second what its rate says ([`Rate::per_second`]), so what is kept is how many seconds
//! were lived at each rate, and nothing grows with the number of clones.
//!
//! [`Rate::per_second`]: crate::cost::rates::Rate::per_second

use super::{
    curve::{Curve, dollars, picos},
    purse::Rate,
};
use crate::{
    cost::{rates::SECONDS_AN_HOUR, tariff::Tariff},
    model::{Database, month::Costs},
    plan::accrual::Rates,
};
use foldhash::HashMap;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// What came of a trace under one set of policies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// How many came.
    pub arrivals: u64,
    /// Of those, how many were let in, at once or later.
    pub admitted: u64,
    /// Of those, how many were told something.
    pub warned: u64,
    /// How many came to namespaces that no policy governs; nothing else is counted of them.
    pub ungoverned: u64,
    /// Who was turned away, by the code and by what of the policy did it.
    pub denied: BTreeMap<(&'static str, &'static str), Denied>,
    /// Of those who were let in, how many had to wait, by how many seconds.
    pub waits: BTreeMap<i64, u64>,
    /// How many clones ended by themselves.
    pub expired: u64,
    /// How many their people deleted before.
    pub deleted: u64,
    /// The most that lived at once.
    pub peak: u32,
    /// When that was first so: seconds since 1970.
    pub peak_at: i64,
    /// How many databases were left behind.
    pub orphans: u64,
    /// How long clones lived, together, in seconds.
    pub clone_seconds: u64,
    /// What they cost, USD.
    pub costs: Costs,
    /// What was left behind cost until it was found and deleted, USD.
    pub orphan_costs: Costs,
    /// What the platform costs on which all that happens, USD.
    pub bill: Bill,
    /// What has no price and is counted as nothing.
    pub unpriced: BTreeSet<String>,
    /// When the first one came: seconds since 1970.
    pub from: i64,
    /// When the last thing was gone.
    pub until: i64,
    /// How many lived, and at what cost, over time.
    pub curve: Curve,
}

/// Who was turned away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Denied {
    /// How often.
    pub tries: u64,
    /// How many never got in: this is what they were told last.
    pub arrivals: u64,
}

/// A bill for the time of a simulation, USD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// What costs whether or not a clone lives: control plane, load balancer.
    pub fixed: Decimal,
    /// The nodes; where more clones live than they can run, as many more of the same as that takes, by the second.
    pub nodes: Decimal,
    /// The shared hosts, each by its name.
    pub hosts: BTreeMap<String, Decimal>,
    /// Clones' own databases with their storage, those that were left behind included.
    pub databases: Decimal,
}

impl Bill {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Decimal {
        self.hosts.values().copied().chain([self.fixed, self.nodes, self.databases]).fold(Decimal::ZERO, Decimal::saturating_add)
    }
}

impl Figures {
    /// How long the simulation lasted, in hours.
    #[must_use]
    pub fn hours(&self) -> Decimal {
        Decimal::from(self.until.saturating_sub(self.from)).checked_div(SECONDS_AN_HOUR).unwrap_or_default()
    }

    /// How many were turned away for good.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.denied.values().fold(0, |sum, denied| sum.saturating_add(denied.arrivals))
    }

    /// How many had to wait.
    #[must_use]
    pub fn waited(&self) -> u64 {
        self.waits.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How long those had to wait who had to, on average, in seconds.
    #[must_use]
    pub fn mean_wait(&self) -> Option<i64> {
        let all = self.waits.iter().fold(0_i128, |sum, (wait, count)| sum.saturating_add(i128::from(*wait).saturating_mul((*count).into())));
        i64::try_from(all.checked_div(self.waited().into())?).ok()
    }

    /// How long 95 of 100 of those waited at most, in seconds.
    #[must_use]
    pub fn usual_wait(&self) -> Option<i64> {
        let enough = self.waited().saturating_mul(95).div_ceil(100);
        let mut sum = 0_u64;
        self.waits.iter().find_map(|(wait, count)| {
            sum = sum.saturating_add(*count);
            (sum >= enough).then_some(*wait)
        })
    }
}

impl Default for Curve {
    fn default() -> Self {
        Self::from(0)
    }
}

/// Seconds that were lived at one rate.
#[derive(Debug)]
struct Priced {
    own: bool,
    orphan: bool,
    per_second: Costs,
    at_most: Decimal,
    rate: Rate,
    seconds: u64,
}

/// The count while it goes on.
#[derive(Debug)]
pub(super) struct Tally {
    tariff: Tariff,
    rates: Vec<Priced>,
    of_clones: HashMap<Database, usize>,
    of_orphans: HashMap<Database, usize>,
    begun: bool,
    now: i64,
    living: u32,
    picos: i128,
    /// What the nodes cost a second, all of them and what one clone takes of them.
    nodes: (i128, i128),
    /// What more nodes have cost.
    more_nodes: i128,
    pub(super) arrivals: u64,
    figures: Figures,
}

impl Tally {
    /// `part`: which part of the nodes one clone takes.
    pub(super) fn new(tariff: Tariff, part: Decimal) -> Self {
        let nodes = tariff.compute().total.checked_div(SECONDS_AN_HOUR).unwrap_or_default();
        Self {
            nodes: (picos(nodes), picos(nodes.saturating_mul(part))),
            more_nodes: 0,
            tariff,
            rates: Vec::new(),
            of_clones: HashMap::default(),
            of_orphans: HashMap::default(),
            begun: false,
            now: 0,
            living: 0,
            picos: 0,
            arrivals: 0,
            figures: Figures::default(),
        }
    }

    /// Time passes.
    pub(super) fn pass(&mut self, now: i64) {
        if !self.begun {
            (self.begun, self.now, self.figures.from) = (true, now, now);
            self.figures.curve = Curve::from(now);
        }
        if now > self.now {
            self.figures.curve.add(self.now, now, self.living, self.picos);
            let (all, each) = self.nodes;
            let more = each.saturating_mul(self.living.into()).saturating_sub(all).max(0);
            self.more_nodes = self.more_nodes.saturating_add(more.saturating_mul(now.saturating_sub(self.now).into()));
            self.now = now;
        }
    }

    /// The rate of a clone with this database.
    pub(super) fn clone_rate(&mut self, database: &Database) -> usize {
        if let Some(known) = self.of_clones.get(database) {
            return *known;
        }
        let priced = Rates::of(&self.tariff).of_database(database);
        self.figures.unpriced.extend(priced.unpriced.iter().cloned());
        let known = self.add(priced.per_second, priced.at_most, database, false);
        self.of_clones.insert(database.clone(), known);
        known
    }

    /// The rate of this database when its clone is gone: nothing but itself is paid for.
    pub(super) fn orphan_rate(&mut self, database: &Database) -> usize {
        if let Some(known) = self.of_orphans.get(database) {
            return *known;
        }
        let whole = Rates::of(&self.tariff).of_database(database).per_second;
        let known = self.add(Costs::of(whole.databases, whole.storage, Decimal::ZERO, Decimal::ZERO), Decimal::ZERO, database, true);
        self.of_orphans.insert(database.clone(), known);
        known
    }

    fn add(&mut self, per_second: Costs, at_most: Decimal, database: &Database, orphan: bool) -> usize {
        let rate = Rate { usual: picos(per_second.total), at_most: picos(at_most) };
        self.rates.push(Priced { own: database.is_dedicated(), orphan, per_second, at_most, rate, seconds: 0 });
        self.rates.len().saturating_sub(1)
    }

    /// What a clone costs that keeps its data there, USD a second at most.
    pub(super) fn at_most(&self, database: &Database) -> Decimal {
        let known = self.of_clones.get(database).and_then(|known| self.rates.get(*known));
        known.map_or_else(|| Rates::of(&self.tariff).of_database(database).at_most, |known| known.at_most)
    }

    /// Whether such a database has a price.
    pub(super) fn is_priced(&self, database: &Database) -> bool {
        Rates::of(&self.tariff).of_database(database).known
    }

    /// What a clone of that rate costs.
    pub(super) fn rate(&self, rate: usize) -> Rate {
        self.rates.get(rate).map(|known| known.rate).unwrap_or_default()
    }

    /// A clone begins to live.
    pub(super) fn born(&mut self, rate: usize) {
        self.living = self.living.saturating_add(1);
        self.picos = self.picos.saturating_add(self.rate(rate).usual);
        if self.living > self.figures.peak {
            (self.figures.peak, self.figures.peak_at) = (self.living, self.now);
        }
    }

    /// A clone is gone that has lived for so many seconds.
    pub(super) fn gone(&mut self, rate: usize, lived: i64, by_people: bool) {
        self.living = self.living.saturating_sub(1);
        let lived = lived.unsigned_abs();
        self.figures.clone_seconds = self.figures.clone_seconds.saturating_add(lived);
        let counter = if by_people { &mut self.figures.deleted } else { &mut self.figures.expired };
        *counter = counter.saturating_add(1);
        if let Some(rate) = self.rates.get_mut(rate) {
            rate.seconds = rate.seconds.saturating_add(lived);
            self.picos = self.picos.saturating_sub(rate.rate.usual);
        }
    }

    /// A database was left behind, for so many seconds.
    pub(super) fn orphaned(&mut self, rate: usize, seconds: i64) {
        self.figures.orphans = self.figures.orphans.saturating_add(1);
        if let Some(rate) = self.rates.get_mut(rate) {
            rate.seconds = rate.seconds.saturating_add(seconds.unsigned_abs());
            self.picos = self.picos.saturating_add(rate.rate.usual);
        }
    }

    /// It is gone.
    pub(super) fn orphan_gone(&mut self, rate: usize) {
        self.picos = self.picos.saturating_sub(self.rate(rate).usual);
    }

    pub(super) fn admitted(&mut self, waited: i64, warned: bool) {
        self.figures.admitted = self.figures.admitted.saturating_add(1);
        self.figures.warned = self.figures.warned.saturating_add(warned.into());
        if waited > 0 {
            let count = self.figures.waits.entry(waited).or_default();
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn denied(&mut self, code: &'static str, field: &'static str, for_good: bool) {
        let denied = self.figures.denied.entry((code, field)).or_default();
        denied.tries = denied.tries.saturating_add(1);
        denied.arrivals = denied.arrivals.saturating_add(for_good.into());
    }

    pub(super) fn ungoverned(&mut self) {
        self.figures.ungoverned = self.figures.ungoverned.saturating_add(1);
    }

    /// Nobody lives any more.
    pub(super) fn close(mut self) -> Figures {
        (self.figures.arrivals, self.figures.until) = (self.arrivals, self.now);
        for rate in &self.rates {
            let costs = rate.per_second.times(Decimal::from(rate.seconds));
            let sum = if rate.orphan { &mut self.figures.orphan_costs } else { &mut self.figures.costs };
            *sum = sum.and(costs);
            if rate.own {
                self.figures.bill.databases = self.figures.bill.databases.saturating_add(costs.databases).saturating_add(costs.storage);
            }
        }
        let hours = self.figures.hours();
        self.figures.bill.fixed = self.tariff.fixed().per_hour().saturating_mul(hours);
        self.figures.bill.nodes = self.tariff.compute().total.saturating_mul(hours).saturating_add(dollars(self.more_nodes));
        for (_, host) in self.tariff.hosts() {
            match host.per_hour {
                Some(usd) => drop(self.figures.bill.hosts.insert(host.name.to_string(), usd.saturating_mul(hours))),
                None => drop(self.figures.unpriced.insert(format!("host {}", host.name))),
            }
        }
        self.figures.unpriced.extend(self.tariff.fixed().unpriced.iter().chain(&self.tariff.compute().unpriced).cloned());
        self.figures
    }
}
