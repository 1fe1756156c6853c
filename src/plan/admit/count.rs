//! What is counted when a newcomer is judged. The webhook counts residents and promises ([`Census`]), a simulation keeps counters; the
//! rules are the same, and ask either.

use super::census::Census;
use crate::model::{Kind, Quantity, WordPressClone};
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
}
