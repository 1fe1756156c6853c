//! Who takes up room: clones that live, and places that were promised to clones nobody has seen yet.
//!
//! Contract: what exists in etcd is always among what is counted here. A promise ([`Claim`]) stands until the clone that it was
//! made to is seen, or can be proved never to come; a clone stands until it is seen to be gone. Both are counted by
//! `namespace/name`, of which etcd holds one at a time, so a clone and its promise, or two tries to create it, take one place.
//!
//! *When is a place free again?* A clone's: when its object is gone, after KRO has taken its children down; one that is being
//! deleted still takes part in all that it costs. A dedicated database's: when its `DBInstance` or `DBCluster` object is gone too.

use super::budget::{self, Money, Spent};
use crate::model::{
    Child, Kind, Quantity, Quota, WordPressClone,
    schema::{HostRoom, schema_name},
};
use crate::policy::ClonePolicy;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, OnceLock},
};

/// What one clone takes up.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Whether it has a database of its own.
    pub dedicated: bool,
    /// The address of the shared host that it lives on, if a policy chose one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The class or the range of its own database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What it will cost in this month at most, USD, if a budget counts that.
    #[serde(skip_serializing_if = "Decimal::is_zero")]
    pub usd: Decimal,
    /// How long it was to live then, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lives: Option<i64>,
}

/// Everything that lives, as far as counting goes.
#[derive(Debug, Clone, Default)]
pub struct Residents {
    /// Every clone that could be read, sorted by `namespace/name`.
    pub clones: Vec<Arc<WordPressClone>>,
    /// Those that could not, as `namespace/name`: they are alive.
    pub unreadable: Vec<String>,
    /// ACK's database objects.
    pub databases: Vec<Arc<Child>>,
    /// The labels of every namespace.
    pub namespaces: Arc<BTreeMap<String, BTreeMap<String, String>>>,
    /// What the Pod of one clone needs, under the names that a quota has for it; empty where no definition says so.
    pub needs: BTreeMap<String, Quantity>,
    /// The ResourceQuotas that are called as ours.
    pub quotas: Vec<Arc<Quota>>,
    /// How many Pods of clones run in each namespace that has such a quota.
    pub pods: BTreeMap<String, usize>,
    /// What the definition of clones gives each of them.
    pub platform: BTreeMap<&'static str, String>,
    /// What is on each shared host that the daemon keeps schemas on, by its address.
    pub hosts: BTreeMap<String, HostRoom>,
    /// Kinds that could not be listed: of them nothing is known, which is not the same as nothing.
    pub unlisted: BTreeSet<Kind>,
    /// What clones cost and have cost; `None`: that is not known yet.
    pub money: Option<Arc<Money>>,
    /// The clones, counted. Many requests are judged about the same residents, and there may be ten thousand of those.
    pub tallied: Tallied,
}

/// Counted once somebody asks.
#[derive(Debug, Clone, Default)]
pub struct Tallied(OnceLock<Tallies>);

/// How many clones there are, of each kind that a limit asks for.
#[derive(Debug, Clone, Default)]
struct Tallies {
    namespaces: HashMap<Box<str>, Tally>,
    hosts: HashMap<Arc<str>, usize>,
    /// What is on each host beside the schemas of the clones that live there: of clones that are gone, of other clusters, of people.
    strangers: HashMap<String, usize>,
}

/// The clones of one namespace.
#[derive(Debug, Clone, Default)]
struct Tally {
    clones: usize,
    dedicated: usize,
    owners: HashMap<Box<str>, usize>,
}

impl Tallies {
    fn of(clones: &[Arc<WordPressClone>], hosts: &BTreeMap<String, HostRoom>) -> Self {
        let mut tallies = Self { strangers: strangers(clones, hosts), ..Self::default() };
        for clones in clones.chunk_by(|one, next| one.meta.namespace() == next.meta.namespace()) {
            let mut tally = Tally { clones: clones.len(), ..Tally::default() };
            for clone in clones {
                tally.dedicated = tally.dedicated.saturating_add(usize::from(clone.database.is_dedicated()));
                if let Some(owner) = &clone.owner {
                    count(&mut tally.owners, owner);
                }
                if let Some(host) = clone.database.host() {
                    count(&mut tallies.hosts, host);
                }
            }
            if let Some(first) = clones.first() {
                tallies.namespaces.insert(first.meta.namespace().into(), tally);
            }
        }
        tallies
    }
}

fn strangers(clones: &[Arc<WordPressClone>], hosts: &BTreeMap<String, HostRoom>) -> HashMap<String, usize> {
    let mut own: HashMap<&str, HashSet<String>> = hosts.keys().map(|address| (address.as_str(), HashSet::new())).collect();
    for clone in clones {
        if let Some(names) = clone.database.host().map(AsRef::as_ref).and_then(|address| own.get_mut(address)) {
            names.extend(schema_name(&clone.meta.uid));
        }
    }
    let others =
        |address: &String, room: &HostRoom| room.names.iter().filter(|name| own.get(address.as_str()).is_none_or(|own| !own.contains(*name))).count();
    hosts.iter().map(|(address, room)| (address.clone(), others(address, room))).collect()
}

fn count<K: Eq + std::hash::Hash + Clone>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(count) => *count = count.saturating_add(1),
        None => drop(counts.insert(key.clone(), 1)),
    }
}

impl Residents {
    /// The clones of a namespace. They are sorted by `namespace/name` as one text, in which `a-b/…` stands before `a/…`.
    fn of(&self, namespace: &str) -> &[Arc<WordPressClone>] {
        let prefix = format!("{namespace}/");
        let rest = self.clones.get(self.clones.partition_point(|clone| clone.meta.path().as_ref() < prefix.as_str())..).unwrap_or_default();
        rest.get(..rest.partition_point(|clone| clone.meta.path().starts_with(&prefix))).unwrap_or_default()
    }

    /// The clone of that name, if one lives.
    #[must_use]
    pub fn find(&self, namespace: &str, name: &str) -> Option<&Arc<WordPressClone>> {
        let path = format!("{namespace}/{name}");
        let at = self.clones.binary_search_by(|clone| clone.meta.path().as_ref().cmp(path.as_str())).ok()?;
        self.clones.get(at)
    }
}

/// The count, from the point of view of one newcomer: what takes up room besides it.
pub(super) struct Census<'a> {
    residents: &'a Residents,
    namespace: &'a str,
    name: &'a str,
    /// Promises to others.
    claims: Vec<&'a Claim>,
}

impl<'a> Census<'a> {
    pub(super) fn around(residents: &'a Residents, claims: impl Iterator<Item = &'a Claim>, namespace: &'a str, name: &'a str) -> Self {
        let claims = claims.filter(|claim| (claim.namespace.as_str(), claim.name.as_str()) != (namespace, name)).collect();
        Self { residents, namespace, name, claims }
    }

    pub(super) fn residents(&self) -> &'a Residents {
        self.residents
    }

    fn is_newcomer(&self, clone: &WordPressClone) -> bool {
        clone.meta.name() == self.name && clone.meta.namespace() == self.namespace
    }

    /// How many distinct names are taken: by `living` clones, which are those for which `lives` holds, and by promises for which
    /// `promised` does.
    fn names(&self, living: usize, lives: impl Fn(&WordPressClone) -> bool, promised: impl Fn(&Claim) -> bool) -> usize {
        let itself = self.residents.find(self.namespace, self.name).is_some_and(|clone| lives(clone));
        // A promise whose clone lives already and is counted takes no second place.
        let claimed: HashSet<(&str, &str)> = self
            .claims
            .iter()
            .filter(|claim| promised(claim))
            .map(|claim| (claim.namespace.as_str(), claim.name.as_str()))
            .filter(|(namespace, name)| self.residents.find(namespace, name).is_none_or(|clone| !lives(clone)))
            .collect();
        living.saturating_sub(usize::from(itself)).saturating_add(claimed.len())
    }

    fn tallies(&self) -> &'a Tallies {
        self.residents.tallied.0.get_or_init(|| Tallies::of(&self.residents.clones, &self.residents.hosts))
    }

    /// What the namespace's clones come to.
    fn tally(&self, of: impl Fn(&Tally) -> usize) -> usize {
        self.tallies().namespaces.get(self.namespace).map_or(0, of)
    }

    fn here(&self) -> &'a [Arc<WordPressClone>] {
        self.residents.of(self.namespace)
    }

    fn is_here(&self, claim: &Claim) -> bool {
        claim.namespace == self.namespace
    }

    /// The namespace that the newcomer is for.
    pub(super) fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// What is spent of the month's budget of the namespace.
    pub(super) fn spent(&self, policy: &ClonePolicy, money: &Money) -> Spent {
        let living = self.here().iter().filter(|clone| !self.is_newcomer(clone)).map(AsRef::as_ref);
        let unseen = self.claims.iter().filter(|claim| self.is_here(claim) && self.residents.find(&claim.namespace, &claim.name).is_none());
        // Of two tries to create one name at most one succeeds.
        let mut promised: BTreeMap<&str, Decimal> = BTreeMap::new();
        for claim in unseen {
            let most = promised.entry(&claim.name).or_default();
            *most = claim.usd.max(*most);
        }
        budget::spent(self.namespace, policy, money, living, promised.into_values())
    }

    /// Clones of the namespace.
    pub(super) fn clones(&self) -> usize {
        let (own, prefix) = (format!("{}/{}", self.namespace, self.name), format!("{}/", self.namespace));
        let unreadable = self.residents.unreadable.iter().filter(|path| path.starts_with(&prefix) && **path != own).count();
        self.names(self.tally(|tally| tally.clones), |_| true, |claim| self.is_here(claim)).saturating_add(unreadable)
    }

    /// Clones of the namespace, of this kind, that are being deleted already.
    pub(super) fn leaving(&self, of: impl Fn(&WordPressClone) -> bool) -> usize {
        self.here().iter().filter(|clone| clone.meta.terminating.is_some() && !self.is_newcomer(clone) && of(clone)).count()
    }

    /// Clones of one owner in the namespace.
    pub(super) fn owned_by(&self, owner: &str) -> usize {
        let living = self.tally(|tally| tally.owners.get(owner).copied().unwrap_or_default());
        self.names(living, |clone| clone.owner.as_deref() == Some(owner), |claim| self.is_here(claim) && claim.owner == owner)
    }

    /// Databases that clones of the namespace have for themselves, those that dead clones left included.
    pub(super) fn dedicated(&self) -> usize {
        // A database of the newcomer's own namesake is one that is left, too.
        let living = self.here().iter().filter(|clone| clone.database.is_dedicated() && !self.is_newcomer(clone));
        let living: HashSet<&str> = living.map(|clone| clone.meta.uid.as_ref()).collect();
        let here = self.residents.databases.iter().filter(|database| database.meta.namespace() == self.namespace);
        let left: HashSet<&str> =
            here.filter_map(|database| database.owner.as_ref()).map(|owner| owner.uid.as_ref()).filter(|uid| !living.contains(uid)).collect();
        self.names(self.tally(|tally| tally.dedicated), |clone| clone.database.is_dedicated(), |claim| self.is_here(claim) && claim.dedicated)
            .saturating_add(left.len())
    }

    /// What other Pods than clones' use of the namespace's quota, by the quota controller's last count.
    pub(super) fn used_by_others(&self, resource: &str, need: Quantity) -> Quantity {
        let quotas = self.residents.quotas.iter();
        let quota = quotas.filter(|quota| quota.kind == Kind::ResourceQuota).find(|quota| quota.meta.namespace() == self.namespace);
        let used = quota.and_then(|quota| Quantity::parse(quota.used.get(resource)?)).unwrap_or_default();
        used.without(need.times(self.residents.pods.get(self.namespace).copied().unwrap_or_default()))
    }

    /// What takes up room on a shared host: clones of all namespaces that live there, and whatever else is on it.
    pub(super) fn on_host(&self, address: &str) -> usize {
        let living = self.tallies().hosts.get(address).copied().unwrap_or_default();
        let strangers = self.tallies().strangers.get(address).copied().unwrap_or_default();
        strangers.saturating_add(self.names(
            living,
            |clone| clone.database.host().map(AsRef::as_ref) == Some(address),
            |claim| claim.host.as_deref() == Some(address),
        ))
    }

    /// Whether a shared host did not answer when it was looked at last.
    pub(super) fn is_down(&self, address: &str) -> bool {
        self.residents.hosts.get(address).is_some_and(|room| room.lack.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_namespace_is_told_from_one_that_begins_like_it() {
        let clone = |namespace: &str| {
            let object = json!({"metadata": {"namespace": namespace, "name": "x", "uid": namespace, "creationTimestamp": "2026-02-05T14:30:22Z"}});
            Arc::new(WordPressClone::read(&object).unwrap())
        };
        let mut clones: Vec<_> = ["wordpress", "wordpress-staging", "wordpress.x", "w", "wordpress0"].into_iter().map(clone).collect();
        clones.sort_by(|one, other| one.meta.path().cmp(other.meta.path()));
        let residents = Residents { clones, ..Residents::default() };
        for namespace in ["wordpress", "wordpress-staging", "wordpress.x", "w", "wordpress0"] {
            let of: Vec<_> = residents.of(namespace).iter().map(|clone| clone.meta.namespace().to_owned()).collect();
            assert_eq!(of, [namespace]);
            assert!(residents.find(namespace, "x").is_some());
        }
        assert!(residents.of("word").is_empty() && residents.find("wordpress", "y").is_none());
    }
}
