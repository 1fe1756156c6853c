//! What the store holds: the objects, each trimmed to what a decision needs, and what is remembered of those that have gone.

use crate::cost::tariff::Tariff;
use crate::model::{
    Child, Evidence, Kind, Month, Node, Quota, Unreadable, WordPressClone,
    child::Definition,
    later,
    month::UsageRecord,
    orphan::OrphanRecord,
    snapshot::{Departure, Reaped},
};
use crate::observe::LARGEST_SKEW;
use crate::plan::admit::budget::Money;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How long a clone that has gone is remembered. Longer than any window that looks back for it.
const REMEMBER: SignedDuration = SignedDuration::from_hours(24);
/// How many are remembered at most: a storm must not become a leak.
const REMEMBER_AT_MOST: usize = 20_000;

/// So much may pass from the reading of a clock until the look that is dated by it.
const MEANWHILE: SignedDuration = SignedDuration::from_secs(1);

/// How long it is known what clones cost once a plan has found it. There is a plan every minute, unless nothing can be known.
const STANDS: Duration = Duration::from_secs(150);

#[derive(Default)]
pub(super) struct Held {
    pub(super) clones: BTreeMap<Arc<str>, Arc<WordPressClone>>,
    pub(super) children: BTreeMap<(Kind, Arc<str>), Arc<Child>>,
    pub(super) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// The same, for those who only look; made anew when one changes.
    pub(super) shared_namespaces: Option<Arc<BTreeMap<String, BTreeMap<String, String>>>>,
    pub(super) leaving: BTreeSet<String>,
    pub(super) quotas: BTreeMap<(Kind, String), Arc<Quota>>,
    pub(super) definitions: BTreeMap<String, Definition>,
    pub(super) orphans: BTreeMap<String, Arc<OrphanRecord>>,
    pub(super) usages: BTreeMap<String, Arc<UsageRecord>>,
    pub(super) nodes: BTreeMap<String, Arc<Node>>,
    /// What clones cost.
    pub(super) tariff: Option<Found>,
    pub(super) unreadable: BTreeMap<(Kind, String), Unreadable>,
    pub(super) departed: VecDeque<Departure>,
    pub(super) departed_paths: VecDeque<(Arc<str>, Timestamp)>,
    /// UIDs, with why, and when each would have ended otherwise.
    pub(super) deleted_by_us: HashMap<Box<str>, Option<Reaped>>,
    pub(super) evidence: BTreeMap<Kind, Evidence>,
    /// The identifiers of databases whose objects have gone, and when.
    pub(super) released: VecDeque<(Box<str>, Timestamp)>,
    /// Since when no clone can have come and gone unseen.
    pub(super) watched_since: Option<Timestamp>,
}

/// What clones cost, as a plan has found it.
pub(super) struct Found {
    /// When, by our clock.
    pub(super) at: Timestamp,
    /// The same, by the time that nobody sets.
    pub(super) when: Instant,
    pub(super) tariff: Arc<Tariff>,
}

/// One object, trimmed: what is left of the JSON once it has been read.
pub struct Trimmed {
    kind: Kind,
    pub(super) path: String,
    object: Object,
}

enum Object {
    Clone(WordPressClone),
    Child(Child),
    /// Its labels, and whether it is on its way out.
    Namespace(BTreeMap<String, String>, bool),
    Definition(Definition),
    Orphan(OrphanRecord),
    Usage(UsageRecord),
    Node(Node),
    Quota(Quota),
    Unreadable(Unreadable),
    /// Something that belongs to no clone, or has another name than what is looked for.
    Foreign,
}

impl Trimmed {
    /// Reads an object as the API server sent it and keeps what a decision needs.
    #[must_use]
    pub fn read(kind: Kind, object: &Value) -> Self {
        let Some((namespace, name)) = place(object) else {
            // An object without a name cannot even be told apart; it counts once, as one that is alive.
            let problem =
                Unreadable { kind, namespace: String::new(), name: String::new(), uid: None, problem: "metadata.name is missing".to_owned() };
            return Self { kind, path: String::new(), object: Object::Unreadable(problem) };
        };
        let read = match kind {
            Kind::Clone => WordPressClone::read(object).map(Object::Clone),
            Kind::Namespace => Ok(Object::Namespace(labels(object), object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()))),
            Kind::ResourceQuota | Kind::LimitRange => Quota::read(kind, object).map(|quota| quota.map_or(Object::Foreign, Object::Quota)),
            Kind::Definition => Definition::read(object).map(Object::Definition),
            Kind::Orphan => OrphanRecord::read(object).map(Object::Orphan),
            Kind::Usage => UsageRecord::read(object).map(Object::Usage),
            Kind::Node => Node::read(object).map(Object::Node),
            _ => Child::read(kind, object).map(|child| child.map_or(Object::Foreign, Object::Child)),
        };
        Self { kind, path: format!("{namespace}/{name}"), object: read.unwrap_or_else(Object::Unreadable) }
    }
}

impl Held {
    pub(super) fn apply(&mut self, trimmed: Trimmed) {
        let Trimmed { kind, path, object } = trimmed;
        if let Object::Unreadable(problem) = object {
            // The last form that could be read is not this object any more.
            self.forget_object(kind, &path);
            self.unreadable.insert((kind, path), problem);
            return;
        }
        self.unreadable.remove(&(kind, path.clone()));
        match object {
            Object::Clone(clone) => self.put_clone(clone),
            Object::Child(child) => drop(self.children.insert((kind, Arc::clone(child.meta.path())), Arc::new(child))),
            Object::Namespace(labels, leaving) => {
                self.forget_object(kind, &path);
                let name = path.trim_start_matches('/').to_owned();
                self.leaving.extend(leaving.then(|| name.clone()));
                self.namespaces.insert(name, labels);
            }
            Object::Quota(quota) => drop(self.quotas.insert((kind, path), Arc::new(quota))),
            Object::Definition(definition) => drop(self.definitions.insert(definition.name.clone(), definition)),
            Object::Orphan(orphan) => drop(self.orphans.insert(path, Arc::new(orphan))),
            Object::Usage(usage) => drop(self.usages.insert(path, Arc::new(usage))),
            Object::Node(node) => drop(self.nodes.insert(path, Arc::new(node))),
            Object::Foreign | Object::Unreadable(_) => drop(self.children.remove(&(kind, Arc::from(path)))),
        }
    }

    fn put_clone(&mut self, clone: WordPressClone) {
        let path = Arc::clone(clone.meta.path());
        let before = self.clones.insert(path, Arc::new(clone));
        // Made again under the same name: the one before it has gone unseen.
        if let Some(before) = before
            && self.clones.get(before.meta.path()).is_some_and(|now| now.meta.uid != before.meta.uid)
        {
            let ours = self.deleted_by_us.remove(&before.meta.uid);
            let now = self.clones.get(before.meta.path()).map_or(before.meta.created, |clone| clone.meta.created);
            if ours.is_some() || before.meta.terminating.is_some() {
                self.depart(&before, now, true, ours.flatten());
            }
        }
    }

    pub(super) fn remove(&mut self, kind: Kind, path: &str, now: Timestamp, seen: bool) {
        if let Some(gone) = self.clones.get(path).filter(|_| kind == Kind::Clone).cloned() {
            let ours = self.deleted_by_us.remove(&gone.meta.uid);
            if seen || ours.is_some() || gone.meta.terminating.is_some() {
                self.depart(&gone, now, seen, ours.flatten());
            }
        }
        if matches!(kind, Kind::DbInstance | Kind::DbCluster)
            && let Some(claim) = self.children.get(&(kind, Arc::from(path))).and_then(|child| child.database.as_ref())
        {
            self.released.push_back((claim.identifier.clone(), now));
        }
        self.forget_object(kind, path);
        self.unreadable.remove(&(kind, path.to_owned()));
    }

    fn depart(&mut self, clone: &WordPressClone, now: Timestamp, seen: bool, reaped: Option<Reaped>) {
        let gone = &clone.meta;
        self.departed.push_back(Departure {
            owner: clone.owner.clone(),
            database: clone.database.clone(),
            reaped,
            seen,
            ..Departure::new(&gone.uid, gone.namespace(), gone.created, now)
        });
        self.departed_paths.push_back((Arc::clone(gone.path()), now));
    }

    fn forget_object(&mut self, kind: Kind, path: &str) {
        match kind {
            Kind::Clone => drop(self.clones.remove(path)),
            Kind::Namespace => {
                self.shared_namespaces = None;
                self.namespaces.remove(path.trim_start_matches('/'));
                self.leaving.remove(path.trim_start_matches('/'));
            }
            Kind::ResourceQuota | Kind::LimitRange => drop(self.quotas.remove(&(kind, path.to_owned()))),
            Kind::Definition => drop(self.definitions.remove(path.trim_start_matches('/'))),
            Kind::Orphan => drop(self.orphans.remove(path)),
            Kind::Usage => drop(self.usages.remove(path)),
            Kind::Node => drop(self.nodes.remove(path)),
            _ => drop(self.children.remove(&(kind, Arc::from(path)))),
        }
    }

    /// What is known now of what clones cost and have cost.
    pub(super) fn money(&self) -> Option<Arc<Money>> {
        let Found { at, when, tariff } = self.tariff.as_ref()?;
        let (since, tariff) = (when.elapsed(), Arc::clone(tariff));
        if since > STANDS {
            return None;
        }
        // A plan may be a minute old, and this a new month.
        let at = later(*at, SignedDuration::try_from(since).unwrap_or_default());
        let month = Month::of(at);
        let usages: Vec<_> = self.usages.values().filter(|record| record.month == month).cloned().collect();
        // Whoever went before the oldest of these ledgers was advanced is counted in all of them.
        let oldest = usages.iter().map(|record| record.status.accrued_through.unwrap_or(month.start())).min().unwrap_or(month.start());
        let departed: Vec<_> = self.departed.iter().filter(|gone| gone.gone >= oldest).cloned().collect();
        let unreadable = self.unreadable.keys().filter(|(kind, _)| *kind == Kind::Usage).map(|(_, path)| path.trim_start_matches('/').to_owned());
        Some(Arc::new(Money { at, tariff, usages, unreadable: unreadable.collect(), departed }))
    }

    pub(super) fn paths(&self, kind: Kind) -> Vec<String> {
        let mut paths: Vec<String> = match kind {
            Kind::Clone => self.clones.keys().map(ToString::to_string).collect(),
            Kind::Namespace => self.namespaces.keys().map(|name| format!("/{name}")).collect(),
            Kind::Definition => self.definitions.keys().map(|name| format!("/{name}")).collect(),
            Kind::Orphan => self.orphans.keys().cloned().collect(),
            Kind::Usage => self.usages.keys().cloned().collect(),
            Kind::Node => self.nodes.keys().cloned().collect(),
            Kind::ResourceQuota | Kind::LimitRange => self.quotas.keys().filter(|(of, _)| *of == kind).map(|(_, path)| path.clone()).collect(),
            _ => self.children.keys().filter(|(of, _)| *of == kind).map(|(_, path)| path.to_string()).collect(),
        };
        paths.extend(self.unreadable.keys().filter(|(of, _)| *of == kind).map(|(_, path)| path.clone()));
        paths
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        for gone in self.departed.iter_mut().filter(|gone| gone.gone > now) {
            gone.seen &= gone.gone <= later(now, MEANWHILE);
            gone.gone = not_ahead(gone.gone, now);
        }
        self.released.iter_mut().for_each(|(_, gone)| *gone = not_ahead(*gone, now));
        while self.released.len() > REMEMBER_AT_MOST || self.released.front().is_some_and(|(_, gone)| now.duration_since(*gone) > REMEMBER) {
            self.released.pop_front();
        }
        while self.departed.len() > REMEMBER_AT_MOST || self.departed.front().is_some_and(|gone| now.duration_since(gone.gone) > REMEMBER) {
            // Whoever went before that is not remembered any more.
            let forgotten = self.departed.pop_front().map(|gone| gone.gone);
            self.departed_paths.pop_front();
            self.watched_since = self.watched_since.map(|since| forgotten.map_or(since, |gone| since.max(gone)));
        }
    }
}

/// Where an object is: its namespace (empty if it has none) and its name.
pub(super) fn place(object: &Value) -> Option<(&str, &str)> {
    let metadata = object.get("metadata")?;
    let text = |key: &str| metadata.get(key).and_then(Value::as_str);
    let name = text("name").filter(|name| !name.is_empty())?;
    Some((text("namespace").unwrap_or_default(), name))
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| value.as_str().map(|value| (key.clone(), value.to_owned()));
    labels.map(|labels| labels.iter().filter_map(text).collect()).unwrap_or_default()
}

/// When something went of which we know at `now`. It went between the reading of the clock and the look, or two clocks differ that are
/// both trusted: then it is just gone. What lies further ahead was dated by a clock that was wrong, and is no more right when it comes.
fn not_ahead(gone: Timestamp, now: Timestamp) -> Timestamp {
    if gone <= later(now, LARGEST_SKEW) { gone.min(now) } else { gone }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::store::Store;
    use serde_json::json;

    /// What a look at that moment says of a clone that was seen to go so long after it: when that was, and whether it is certain.
    fn told(ahead: SignedDuration) -> (SignedDuration, bool) {
        let store = Store::default();
        let now: Timestamp = "2026-02-05T14:00:00.123Z".parse().unwrap();
        let meta = json!({"namespace": "a", "name": "one", "uid": "u1", "resourceVersion": "1", "creationTimestamp": "2026-02-05T13:00:00Z"});
        let clone = json!({"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": meta, "spec": {"cloneId": "one"}});
        store.apply(Kind::Clone, &clone);
        store.remove(Kind::Clone, &clone, later(now, ahead));
        let departed = store.snapshot(now).departed;
        (departed[0].gone.duration_since(now), departed[0].seen)
    }

    #[tokio::test(start_paused = true)]
    async fn what_clones_cost_is_known_for_a_while_and_dated_by_the_time_that_passes() {
        let store = Store::default();
        let at: Timestamp = "2026-01-31T23:59:30Z".parse().unwrap();
        let known = || store.residents().money.map(|money| money.at.duration_since(at).as_secs());
        assert_eq!(known(), None);
        let tariff = Arc::default();
        store.priced(at, Some(&tariff));
        assert_eq!(known(), Some(0));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(store.residents().money.map(|money| Month::of(money.at).to_string()).as_deref(), Some("2026-02"));
        tokio::time::advance(Duration::from_secs(111)).await;
        assert_eq!(known(), None, "no plan has come since");
        store.priced(at, Some(&tariff));
        store.priced(at, None);
        assert_eq!(known(), None, "the nodes, say, are not known any more");
    }

    #[test]
    fn what_goes_while_a_look_begins_has_gone() {
        assert_eq!(told(SignedDuration::from_micros(400)), (SignedDuration::ZERO, true));
        assert_eq!(told(SignedDuration::from_millis(900)), (SignedDuration::ZERO, true));
        assert_eq!(told(SignedDuration::from_secs(20)), (SignedDuration::ZERO, false));
        assert_eq!(told(SignedDuration::from_hours(1)), (SignedDuration::from_hours(1), false));
    }
}
