//! What two sets of policies say differently, wherever and however it is written.
//!
//! Contract: order of files, lines, comments, and a default that is written out or left out mean nothing. A condition is its text.

use super::{ClonePolicy, DatabaseHost, Namespaces, Policies};
use std::collections::BTreeSet;

impl Policies {
    /// Whether both sets mean the same.
    #[must_use]
    pub fn mean_the_same(&self, other: &Self) -> bool {
        let policies = self.policies.iter().map(|policy| &policy.name).eq(other.policies.iter().map(|policy| &policy.name))
            && self.policies.iter().zip(&other.policies).all(|(one, other)| one.unlike(other).is_empty());
        let hosts = self.hosts.len() == other.hosts.len() && self.hosts.iter().zip(&other.hosts).all(|(one, other)| one.means_the_same(other));
        policies && hosts && self.prices.asks_the_same(&other.prices)
    }
}

impl ClonePolicy {
    /// The fields of `spec` that say something else, in the order of the documentation.
    #[must_use]
    pub fn unlike(&self, other: &Self) -> Vec<&'static str> {
        let fields = [
            ("mode", self.mode != other.mode),
            ("namespaces", !self.namespaces.are_the_same(&other.namespaces)),
            ("ttl", self.ttl != other.ttl),
            ("idle", self.idle != other.idle),
            ("limits", self.limits != other.limits),
            ("brake", self.brake != other.brake),
            ("quota", self.quota != other.quota),
            ("limitRange", self.limit_range != other.limit_range),
            ("databases", self.databases != other.databases),
            ("budget", self.budget != other.budget),
            ("orphans", self.orphans != other.orphans),
        ];
        fields.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect()
    }
}

impl Namespaces {
    fn are_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Names(one), Self::Names(other)) => one.iter().collect::<BTreeSet<_>>() == other.iter().collect(),
            _ => self == other,
        }
    }
}

impl DatabaseHost {
    /// Whether both say the same.
    #[must_use]
    pub fn means_the_same(&self, other: &Self) -> bool {
        *self == Self { file: self.file.clone(), line: self.line, ..other.clone() }
    }
}
