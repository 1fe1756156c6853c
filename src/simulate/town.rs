//! Who lives where while a trace runs: counters in place of residents.
//!
//! Contract: what is counted is what the webhook would count, had it the same world before it. On a host whose schemas the daemon keeps, a
//! schema takes up room until it is dropped, `orphans.soak` after its clone; a database that a dead clone left counts as one of its
//! namespace for as long.

use super::{purse::Purse, setting::Setting, tally::Tally};
use crate::{
    model::{Database, Kind, Quantity},
    plan::admit::{self, Count, Of, Refusal},
    policy::{ClonePolicy, Governing, Policies, Reads},
};
use foldhash::HashMap;
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// So many namespaces that are nobody's are remembered.
const NOBODYS: usize = 4_096;

/// Whose a namespace is.
#[derive(Debug, Clone)]
pub(super) enum Standing<'p> {
    /// This policy's.
    Governed(&'p Arc<ClonePolicy>),
    /// Nobody's.
    Nobody,
    /// Two policies claim it, and admit nobody.
    Conflict(Box<Refusal>),
}

/// A namespace.
#[derive(Debug)]
pub(super) struct Place<'p> {
    pub(super) standing: Standing<'p>,
    /// What the conditions of its policy look at.
    pub(super) reads: Reads,
    /// Its money, if a budget counts that.
    pub(super) purse: Option<Purse>,
    namespace: Arc<str>,
    labels: Option<&'p BTreeMap<String, String>>,
    clones: usize,
    dedicated: usize,
    owners: HashMap<Arc<str>, usize>,
}

impl<'p> Place<'p> {
    pub(super) fn new(namespace: &Arc<str>, policies: &'p Policies, labels: Option<&'p BTreeMap<String, String>>) -> Self {
        let standing = match policies.governing(namespace, labels) {
            Governing::Nobody => Standing::Nobody,
            Governing::Policy(policy) => Standing::Governed(policy),
            Governing::Conflict(one, other) => Standing::Conflict(Box::new(Refusal::Conflict {
                namespace: namespace.to_string(),
                one: one.name.to_string(),
                other: other.name.to_string(),
            })),
        };
        let reads = match &standing {
            Standing::Governed(policy) => {
                policy.databases.iter().filter_map(|rule| rule.when.as_ref()).map(crate::policy::Condition::reads).fold(Reads::default(), Reads::and)
            }
            _ => Reads::default(),
        };
        let purse = match &standing {
            Standing::Governed(policy) if policy.budget.is_some() => Some(Purse::default()),
            _ => None,
        };
        Self { standing, reads, purse, namespace: Arc::clone(namespace), labels, clones: 0, dedicated: 0, owners: HashMap::default() }
    }
}

/// Everybody who lives.
#[derive(Debug, Default)]
pub(super) struct Town<'p> {
    pub(super) places: Vec<Place<'p>>,
    ids: HashMap<Arc<str>, usize>,
    hosts: HashMap<Arc<str>, usize>,
    /// Namespaces that are nobody's, as many as are worth remembering: a trace may have one for each of its lines.
    nobodys: HashSet<Arc<str>>,
}

impl<'p> Town<'p> {
    /// The number of a namespace; `None`: it is nobody's.
    pub(super) fn place(
        &mut self,
        namespace: &Arc<str>,
        policies: &'p Policies,
        labels: &'p BTreeMap<String, BTreeMap<String, String>>,
    ) -> Option<usize> {
        if let Some(id) = self.ids.get(namespace) {
            return Some(*id);
        }
        if self.nobodys.contains(namespace) {
            return None;
        }
        let place = Place::new(namespace, policies, labels.get(&**namespace));
        if matches!(place.standing, Standing::Nobody) {
            if self.nobodys.len() >= NOBODYS {
                self.nobodys.clear();
            }
            self.nobodys.insert(Arc::clone(namespace));
            return None;
        }
        let id = self.places.len();
        self.places.push(place);
        self.ids.insert(Arc::clone(namespace), id);
        Some(id)
    }

    /// Somebody moves in.
    pub(super) fn settle(&mut self, id: usize, owner: &Arc<str>, database: &Database) {
        let Some(place) = self.places.get_mut(id) else { return };
        place.clones = place.clones.saturating_add(1);
        place.dedicated = place.dedicated.saturating_add(usize::from(database.is_dedicated()));
        up(&mut place.owners, owner);
        if let Some(address) = database.host() {
            up(&mut self.hosts, address);
        }
    }

    /// A clone is gone. Its database is not, until [`Self::vacate`].
    pub(super) fn leave(&mut self, id: usize, owner: &Arc<str>) {
        let Some(place) = self.places.get_mut(id) else { return };
        place.clones = place.clones.saturating_sub(1);
        if let Some(count) = place.owners.get_mut(owner) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                place.owners.remove(owner);
            }
        }
    }

    /// A database, or a schema on a host, is gone.
    pub(super) fn vacate(&mut self, id: usize, database: &Database) {
        if let Some(address) = database.host() {
            if let Some(count) = self.hosts.get_mut(&**address) {
                *count = count.saturating_sub(1);
            }
        } else if database.is_dedicated()
            && let Some(place) = self.places.get_mut(id)
        {
            place.dedicated = place.dedicated.saturating_sub(1);
        }
    }

    /// The count from the point of view of a newcomer to that place.
    pub(super) fn from<'a>(&'a self, place: &'a Place<'p>, setting: &'a Setting, tally: &'a Tally, now: i64) -> View<'a, 'p> {
        View { town: self, place, setting, tally, now }
    }
}

fn up(counts: &mut HashMap<Arc<str>, usize>, key: &Arc<str>) {
    match counts.get_mut(key) {
        Some(count) => *count = count.saturating_add(1),
        None => drop(counts.insert(Arc::clone(key), 1)),
    }
}

/// What a newcomer counts.
pub(super) struct View<'a, 'p> {
    town: &'a Town<'p>,
    place: &'a Place<'p>,
    setting: &'a Setting,
    tally: &'a Tally,
    now: i64,
}

impl Count for View<'_, '_> {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.place.labels
    }

    fn clones(&self) -> usize {
        self.place.clones
    }

    /// Here a clone is gone at once.
    fn leaving(&self, _: Of<'_>) -> usize {
        0
    }

    fn owned_by(&self, owner: &str) -> usize {
        self.place.owners.get(owner).copied().unwrap_or_default()
    }

    fn dedicated(&self) -> usize {
        self.place.dedicated
    }

    fn on_host(&self, address: &str) -> usize {
        self.town.hosts.get(address).copied().unwrap_or_default()
    }

    fn is_down(&self, _: &str) -> bool {
        false
    }

    /// A trace does not tell of other Pods.
    fn used_by_others(&self, _: &str, _: Quantity) -> Quantity {
        Quantity::default()
    }

    fn needs(&self) -> &BTreeMap<String, Quantity> {
        &self.setting.needs
    }

    fn is_listed(&self, _: Kind) -> bool {
        true
    }
    fn namespace(&self) -> &str {
        &self.place.namespace
    }

    fn host(&self) -> Option<String> {
        self.setting.host.clone()
    }

    fn purse(&self, _: &ClonePolicy) -> Option<admit::Purse> {
        let purse = self.place.purse.as_ref()?;
        Some(admit::Purse { at: Timestamp::from_second(self.now).unwrap_or_default(), month_ends: purse.month_ends(), spent: purse.spent(self.now) })
    }

    fn is_priced(&self, database: &Database) -> bool {
        self.tally.is_priced(database)
    }

    fn at_most(&self, database: &Database) -> Decimal {
        self.tally.at_most(database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nobodys_takes_no_room() {
        let policy = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [ours]}}\n";
        let policies = crate::policy::load_files(vec![("p.yaml".to_owned(), policy.into())]).unwrap();
        let labels = BTreeMap::new();
        let mut town = Town::default();
        for number in 0..20_000 {
            assert_eq!(town.place(&format!("n-{number}").into(), &policies, &labels), None);
        }
        assert_eq!(town.place(&"ours".into(), &policies, &labels), Some(0));
        assert_eq!((town.places.len(), town.ids.len()), (1, 1));
        assert!(town.nobodys.len() <= NOBODYS);
    }
}
