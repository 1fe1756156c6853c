//! What is counted when a newcomer is judged. The webhook counts residents and promises ([`Census`]), a simulation keeps counters; the
//! rules are the same, and ask either.

use super::{budget::Spent, census::Census};
use crate::{
    model::{Database, Kind, Month, Quantity, WordPressClone, clone::host_address, month::object_name},
    plan::accrual::Rates,
    policy::ClonePolicy,
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Of whom something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// Everybody.
    Everybody,
    /// Those with a database of their own.
    Dedicated,
    /// Those of this owner.
    Owner(&'a str),
}

/// What is known of the month's money of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purse {
    /// When that was known.
    pub at: Timestamp,
    /// When the month ends.
    pub month_ends: Timestamp,
    /// What is spent of it.
    pub spent: Spent,
}

/// The count, from the point of view of one newcomer: what takes up room besides it.
pub trait Count {
    /// The labels of its namespace, if they are known.
    fn labels(&self) -> Option<&BTreeMap<String, String>>;
    /// Clones of its namespace.
    fn clones(&self) -> usize;
    /// Of those, how many are being deleted already.
    fn leaving(&self, of: Of<'_>) -> usize;
    /// Clones of one owner in its namespace.
    fn owned_by(&self, owner: &str) -> usize;
    /// Databases that clones of its namespace have for themselves, those that dead clones left included.
    fn dedicated(&self) -> usize;
    /// What takes up room on the shared host of that address, of all namespaces.
    fn on_host(&self, address: &str) -> usize;
    /// Whether a shared host did not answer when it was looked at last.
    fn is_down(&self, address: &str) -> bool;
    /// What other Pods than clones' use of its namespace's quota, where each clone needs `need`.
    fn used_by_others(&self, resource: &str, need: Quantity) -> Quantity;
    /// What the Pod of one clone needs, under the names that a quota has for it.
    fn needs(&self) -> &BTreeMap<String, Quantity>;
    /// Whether objects of this kind could be listed: what is missing from a list that failed cannot be counted.
    fn is_listed(&self, kind: Kind) -> bool;
    /// Its namespace.
    fn namespace(&self) -> &str;
    /// The address of the host where a clone lives whose host no rule chooses.
    fn host(&self) -> Option<String>;
    /// What is spent of the month in its namespace; `None`: that is not known yet.
    fn purse(&self, policy: &ClonePolicy) -> Option<Purse>;
    /// What a clone costs that keeps its data there, USD a second at most.
    fn at_most(&self, database: &Database) -> Decimal;
    /// Whether such a database has a price.
    fn is_priced(&self, database: &Database) -> bool;
}

impl Count for Census<'_> {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.residents().namespaces.get(self.namespace())
    }

    fn clones(&self) -> usize {
        self.clones()
    }

    fn leaving(&self, of: Of<'_>) -> usize {
        self.leaving(|clone: &WordPressClone| match of {
            Of::Everybody => true,
            Of::Dedicated => clone.database.is_dedicated(),
            Of::Owner(owner) => clone.owner.as_deref() == Some(owner),
        })
    }

    fn owned_by(&self, owner: &str) -> usize {
        self.owned_by(owner)
    }

    fn dedicated(&self) -> usize {
        self.dedicated()
    }

    fn on_host(&self, address: &str) -> usize {
        self.on_host(address)
    }

    fn is_down(&self, address: &str) -> bool {
        self.is_down(address)
    }

    fn used_by_others(&self, resource: &str, need: Quantity) -> Quantity {
        self.used_by_others(resource, need)
    }

    fn needs(&self) -> &BTreeMap<String, Quantity> {
        &self.residents().needs
    }

    fn is_listed(&self, kind: Kind) -> bool {
        !self.residents().unlisted.contains(&kind)
    }

    fn namespace(&self) -> &str {
        self.namespace()
    }

    fn host(&self) -> Option<String> {
        self.residents().platform.get("sharedDatabase.host").map(|host| host_address(host, None))
    }

    fn purse(&self, policy: &ClonePolicy) -> Option<Purse> {
        let money = self.residents().money.as_deref()?;
        // A ledger that is missing from what is known is not one that is empty.
        let ledger = object_name(self.namespace(), Month::of(money.at));
        if !self.is_listed(Kind::Usage) || money.unreadable.contains(&ledger) {
            return None;
        }
        Some(Purse { at: money.at, month_ends: Month::of(money.at).end(), spent: self.spent(policy, money) })
    }

    fn is_priced(&self, database: &Database) -> bool {
        self.residents().money.as_deref().is_some_and(|money| Rates::of(&money.tariff).of_database(database).known)
    }

    fn at_most(&self, database: &Database) -> Decimal {
        self.residents().money.as_deref().map(|money| Rates::of(&money.tariff).of_database(database).at_most).unwrap_or_default()
    }
}
