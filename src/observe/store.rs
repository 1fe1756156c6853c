//! The objects that are watched, trimmed, with how well each kind is known. The mirror fills it; snapshots are taken from it.
//!
//! What leaves the store is remembered for a while with how it went: seen deleted, seen `Terminating`, deleted by us, or just
//! missing from a list, which is no evidence that anybody deleted it.

use super::hosts::Hosts;
use crate::{
    model::{
        Child, Evidence, Kind, Meta, Quota, Snapshot, Source, Unreadable, WordPressClone, child::Definition, orphan::OrphanRecord,
        snapshot::Departure,
    },
    plan::admit::{Residents, Tallied},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// How long a clone that has gone is remembered. Longer than any window that looks back for it.
const REMEMBER: SignedDuration = SignedDuration::from_hours(24);
/// How many are remembered at most: a storm must not become a leak.
const REMEMBER_AT_MOST: usize = 20_000;

/// Everything that is watched. Cheap to share; every method takes the lock for a moment.
#[derive(Default)]
pub struct Store {
    /// What looks at shared database hosts have found.
    pub hosts: Hosts,
    held: Mutex<Held>,
    relist: Relist,
}

/// Somebody needs the clones listed anew: what a watch has shown is not known to be the present.
#[derive(Default)]
struct Relist {
    /// How often that was asked for.
    asked: watch::Sender<u64>,
    /// The last question that a finished list came after.
    answered: watch::Sender<u64>,
}

#[derive(Default)]
struct Held {
    clones: BTreeMap<Arc<str>, Arc<WordPressClone>>,
    children: BTreeMap<(Kind, Arc<str>), Arc<Child>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// The same, for those who only look; made anew when one changes.
    shared_namespaces: Option<Arc<BTreeMap<String, BTreeMap<String, String>>>>,
    leaving: BTreeSet<String>,
    quotas: BTreeMap<(Kind, String), Arc<Quota>>,
    definitions: BTreeMap<String, Definition>,
    orphans: BTreeMap<String, Arc<OrphanRecord>>,
    unreadable: BTreeMap<(Kind, String), Unreadable>,
    departed: VecDeque<Departure>,
    departed_paths: VecDeque<(Arc<str>, Timestamp)>,
    deleted_by_us: HashSet<Box<str>>,
    evidence: BTreeMap<Kind, Evidence>,
    /// The identifiers of databases whose objects have gone, and when.
    released: VecDeque<(Box<str>, Timestamp)>,
    /// Since when no clone can have come and gone unseen.
    watched_since: Option<Timestamp>,
}

/// One object, trimmed: what is left of the JSON once it has been read.
pub struct Trimmed {
    kind: Kind,
    path: String,
    object: Object,
}

enum Object {
    Clone(WordPressClone),
    Child(Child),
    /// Its labels, and whether it is on its way out.
    Namespace(BTreeMap<String, String>, bool),
    Definition(Definition),
    Orphan(OrphanRecord),
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
            _ => Child::read(kind, object).map(|child| child.map_or(Object::Foreign, Object::Child)),
        };
        Self { kind, path: format!("{namespace}/{name}"), object: read.unwrap_or_else(Object::Unreadable) }
    }
}

impl Store {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        // A panic elsewhere while the lock was held leaves plain data behind: still the best that is known.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records how well a kind is known.
    pub fn assess(&self, kind: Kind, evidence: Evidence) {
        let mut held = self.held();
        if kind == Kind::Clone && !evidence.complete {
            held.watched_since = None;
        }
        held.evidence.insert(kind, evidence);
    }

    /// The watch of a kind was heard: what is known of it is known as of now.
    pub fn heard(&self, kind: Kind, now: Timestamp) {
        if let Some(evidence) = self.held().evidence.get_mut(&kind).filter(|evidence| evidence.complete) {
            evidence.observed_at = now;
        }
    }

    /// Whether every kind has been asked for and has answered, even if only that it is not served.
    pub fn filled(&self) -> bool {
        let held = self.held();
        Kind::ALL.iter().all(|kind| held.evidence.contains_key(kind))
    }

    /// An object is there.
    pub fn apply(&self, kind: Kind, object: &Value) {
        self.held().apply(Trimmed::read(kind, object));
    }

    /// A clone was read by itself, or found to be gone (`None`). That counts only if it is still held in the form that led to
    /// the question: the watch may have been faster than the answer.
    pub fn settle(&self, judged: &Meta, found: Option<&Value>, now: Timestamp) {
        let mut held = self.held();
        let same = |clone: &&Arc<WordPressClone>| clone.meta.uid == judged.uid && clone.meta.resource_version == judged.resource_version;
        if held.clones.get(judged.path()).filter(same).is_none() {
            return;
        }
        match found {
            Some(object) => held.apply(Trimmed::read(Kind::Clone, object)),
            None => held.remove(Kind::Clone, judged.path(), now, true),
        }
    }

    /// An object was seen to go.
    pub fn remove(&self, kind: Kind, object: &Value, now: Timestamp) {
        let Some((namespace, name)) = place(object) else { return };
        self.held().remove(kind, &format!("{namespace}/{name}"), now, true);
    }

    /// When a clone of this name was last seen to have gone, as far as that is remembered.
    pub fn departed(&self, namespace: &str, name: &str) -> Option<Timestamp> {
        let path = format!("{namespace}/{name}");
        self.held().departed_paths.iter().rev().find(|(of, _)| **of == *path).map(|(_, gone)| *gone)
    }

    /// We asked for this clone's deletion, and the API server accepted.
    pub fn deleted_by_us(&self, uid: &str) {
        self.held().deleted_by_us.insert(uid.into());
    }

    /// A complete list replaces what was known of a kind. What is missing from it was seen to go only if it was already going.
    pub fn replace(&self, kind: Kind, objects: Vec<Trimmed>, now: Timestamp) {
        let listed: HashSet<&str> = objects.iter().map(|object| object.path.as_str()).collect();
        let mut held = self.held();
        for path in held.paths(kind) {
            if !listed.contains(path.as_str()) {
                held.remove(kind, &path, now, false);
            }
        }
        for object in objects {
            held.apply(object);
        }
        held.evidence.insert(kind, Evidence::complete(now));
        if kind == Kind::Clone {
            // Between the end of the last watch and this list, some may have come and gone.
            held.watched_since = Some(now);
        }
    }

    /// Has the clones listed anew and waits until a list has replaced them that was begun after this call.
    pub async fn clones_listed_anew(&self) {
        let mut question = 0;
        self.relist.asked.send_modify(|asked| {
            *asked = asked.saturating_add(1);
            question = *asked;
        });
        let mut answered = self.relist.answered.subscribe();
        // The sender lives as long as we do.
        let _ = answered.wait_for(|answered| *answered >= question).await;
    }

    /// For the mirror: the questions for a new list, as they come in.
    pub(super) fn relists(&self) -> watch::Receiver<u64> {
        self.relist.asked.subscribe()
    }

    /// For the mirror: a list is in that was begun after this question.
    pub(super) fn relisted(&self, question: u64) {
        self.relist.answered.send_modify(|answered| *answered = question.max(*answered));
    }

    /// The labels of every namespace.
    pub fn namespaces(&self) -> Arc<BTreeMap<String, BTreeMap<String, String>>> {
        let mut held = self.held();
        if let Some(namespaces) = &held.shared_namespaces {
            return Arc::clone(namespaces);
        }
        let namespaces = Arc::new(held.namespaces.clone());
        held.shared_namespaces = Some(Arc::clone(&namespaces));
        namespaces
    }

    /// Who takes up room.
    pub fn residents(&self) -> Residents {
        let namespaces = self.namespaces();
        let held = self.held();
        let databases = [Kind::DbInstance, Kind::DbCluster].into_iter().flat_map(|kind| {
            let of_kind = held.children.range((kind, Arc::from(""))..);
            of_kind.take_while(move |((of, _), _)| *of == kind).map(|(_, child)| Arc::clone(child))
        });
        let quotas: Vec<_> = held.quotas.values().filter(|quota| quota.kind == Kind::ResourceQuota).cloned().collect();
        let mut pods: BTreeMap<String, usize> = quotas.iter().map(|quota| (quota.meta.namespace().to_owned(), 0)).collect();
        if !pods.is_empty() {
            let all = held.children.range((Kind::Pod, Arc::from(""))..).take_while(|((kind, _), _)| *kind == Kind::Pod);
            for (_, pod) in all {
                if let Some(count) = pods.get_mut(pod.meta.namespace()) {
                    *count = count.saturating_add(1);
                }
            }
        }
        let definition = held.definitions.values().find(|definition| definition.makes_clones);
        // A kind that is not served has no objects; one that was not listed has we do not know how many.
        let unlisted = [Kind::DbInstance, Kind::DbCluster, Kind::Definition, Kind::ResourceQuota];
        let unlisted = unlisted.into_iter().filter(|kind| held.evidence.get(kind).is_none_or(|evidence| !evidence.complete && !evidence.absent));
        Residents {
            needs: definition.map(|definition| definition.needs.clone()).unwrap_or_default(),
            platform: definition.map(|definition| definition.platform.clone()).unwrap_or_default(),
            unlisted: unlisted.collect(),
            hosts: self.hosts.rooms(),
            quotas,
            pods,
            tallied: Tallied::default(),
            clones: held.clones.values().cloned().collect(),
            unreadable: held.unreadable.keys().filter(|(kind, _)| *kind == Kind::Clone).map(|(_, path)| path.clone()).collect(),
            databases: databases.collect(),
            namespaces,
        }
    }

    /// One look at everything.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let mut held = self.held();
        held.forget(now);
        let mut snapshot = Snapshot {
            namespaces: held.namespaces.clone(),
            leaving: held.leaving.clone(),
            quotas: held.quotas.values().cloned().collect(),
            clones: held.clones.values().cloned().collect(),
            unreadable: held.unreadable.values().cloned().collect(),
            children: held.children.values().cloned().collect(),
            definitions: held.definitions.values().cloned().collect(),
            orphans: held.orphans.values().cloned().collect(),
            departed: held.departed.iter().cloned().collect(),
            released: held.released.iter().cloned().collect(),
            watched_since: held.watched_since,
            ..Snapshot::default()
        };
        for (kind, evidence) in &held.evidence {
            snapshot.evidence.insert(Source::Objects(*kind), evidence.clone());
        }
        snapshot
    }
}

impl Held {
    fn apply(&mut self, trimmed: Trimmed) {
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
            Object::Foreign | Object::Unreadable(_) => drop(self.children.remove(&(kind, Arc::from(path)))),
        }
    }

    fn put_clone(&mut self, clone: WordPressClone) {
        let path = Arc::clone(clone.meta.path());
        let before = self.clones.insert(path, Arc::new(clone));
        // Made again under the same name: the one before it has gone unseen.
        if let Some(before) = before
            && self.clones.get(before.meta.path()).is_some_and(|now| now.meta.uid != before.meta.uid)
            && (self.deleted_by_us.remove(&before.meta.uid) | before.meta.terminating.is_some())
        {
            let now = self.clones.get(before.meta.path()).map_or(before.meta.created, |clone| clone.meta.created);
            self.depart(&before.meta, now);
        }
    }

    fn remove(&mut self, kind: Kind, path: &str, now: Timestamp, seen: bool) {
        if let Some(gone) = self.clones.get(path).filter(|_| kind == Kind::Clone).cloned() {
            let ours = self.deleted_by_us.remove(&gone.meta.uid);
            if seen || ours || gone.meta.terminating.is_some() {
                self.depart(&gone.meta, now);
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

    fn depart(&mut self, gone: &Meta, now: Timestamp) {
        self.departed.push_back(Departure { uid: gone.uid.clone(), namespace: Arc::from(gone.namespace()), created: gone.created, gone: now });
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
            _ => drop(self.children.remove(&(kind, Arc::from(path)))),
        }
    }

    fn paths(&self, kind: Kind) -> Vec<String> {
        let mut paths: Vec<String> = match kind {
            Kind::Clone => self.clones.keys().map(ToString::to_string).collect(),
            Kind::Namespace => self.namespaces.keys().map(|name| format!("/{name}")).collect(),
            Kind::Definition => self.definitions.keys().map(|name| format!("/{name}")).collect(),
            Kind::Orphan => self.orphans.keys().cloned().collect(),
            Kind::ResourceQuota | Kind::LimitRange => self.quotas.keys().filter(|(of, _)| *of == kind).map(|(_, path)| path.clone()).collect(),
            _ => self.children.keys().filter(|(of, _)| *of == kind).map(|(_, path)| path.to_string()).collect(),
        };
        paths.extend(self.unreadable.keys().filter(|(of, _)| *of == kind).map(|(_, path)| path.clone()));
        paths
    }

    fn forget(&mut self, now: Timestamp) {
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
fn place(object: &Value) -> Option<(&str, &str)> {
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
