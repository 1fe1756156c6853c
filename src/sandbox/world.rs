//! The ground truth: what the API server of the sandbox holds, and everything that ever happened to it.
//!
//! Contract: deterministic. It has its own clock, which somebody moves, and its own seeded numbers; it knows neither tokio's
//! time nor the wall's. Preconditions are honoured exactly as the real API server does, finalizers too.

use super::{
    cloud::aws::Aws,
    history::{Actor, Issue, LeaseNow, Verb, Write},
    json,
    secrets::SecretEntry,
    store::{LeaseEntry, StateEntry},
};
use crate::{model::Kind, ports::ApiError, rng::Rng};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::Notify;

/// How many changes of one kind are remembered; a watch from before them has to list again.
const LOG: usize = 2_048;

/// Namespace and name.
pub type Key = (String, String);

/// What happened to one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// The resourceVersion that it got by it.
    pub version: u64,
    /// The object before.
    pub before: Option<Arc<Value>>,
    /// The object after, or its last form with the version of its end.
    pub after: Arc<Value>,
    /// Whether it is gone.
    pub gone: bool,
}

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    /// Whether the API server serves the kind at all.
    pub(super) served: bool,
    pub(super) log: VecDeque<Change>,
    /// Watches from before this version get 410.
    pub(super) compacted: u64,
    pub(super) wake: Arc<Notify>,
}

/// The world. Share it as `Arc<Mutex<World>>`; every daemon has a handle of its own on it.
#[derive(Debug)]
pub struct World {
    now: Timestamp,
    pub(super) version: u64,
    /// How often an object has changed: leases and state are none.
    changes: u64,
    pub(super) rng: Rng,
    pub(super) shelves: BTreeMap<Kind, Shelf>,
    pub(super) states: BTreeMap<String, StateEntry>,
    pub(super) leases: BTreeMap<Arc<str>, LeaseEntry>,
    pub(super) notes: BTreeMap<Key, Value>,
    pub(super) secrets: BTreeMap<Key, SecretEntry>,
    history: Vec<Write>,
    /// AWS, which is another world, but turns with this one.
    pub aws: Aws,
}

impl World {
    /// An empty world, in which every API is served and nothing exists.
    #[must_use]
    pub fn new(seed: u64, now: Timestamp) -> Self {
        let shelf = || Shelf { objects: BTreeMap::new(), served: true, log: VecDeque::new(), compacted: 0, wake: Arc::default() };
        Self {
            now,
            version: 100,
            changes: 0,
            rng: Rng::new(seed),
            shelves: Kind::ALL.into_iter().map(|kind| (kind, shelf())).collect(),
            states: BTreeMap::new(),
            leases: BTreeMap::new(),
            notes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            history: Vec::new(),
            aws: Aws::new(seed ^ 0x0a05, now),
        }
    }

    /// The API server's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Moves the API server's clock on. It never goes back.
    pub fn advance_to(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.aws.advance_to(self.now);
    }

    /// Every accepted write so far, in the order in which they took effect.
    #[must_use]
    pub fn history(&self) -> &[Write] {
        &self.history
    }

    /// The latest resourceVersion.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How often an object, or something in AWS, has changed so far. Leases and state do not count.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.saturating_add(self.aws.changes())
    }

    /// A request that is sent now.
    #[must_use]
    pub fn issue(&self, by: Actor) -> Issue {
        let lease = self.leases.iter().max_by_key(|(_, entry)| entry.written);
        let lease = lease.map(|(name, entry)| LeaseNow { name: Arc::clone(name), record: entry.record.clone(), written: entry.written });
        Issue { by, at: self.now, lease, writes: self.history.len() }
    }

    /// One object.
    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.shelves.get(&kind)?.objects.get(&key)
    }

    /// All objects of a kind, in the order of namespace and name, served or not.
    pub fn objects(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        self.shelves.get(&kind).into_iter().flat_map(|shelf| shelf.objects.values())
    }

    /// Whether the API server serves this kind.
    #[must_use]
    pub fn served(&self, kind: Kind) -> bool {
        self.shelves.get(&kind).is_some_and(|shelf| shelf.served)
    }

    /// Makes an object. The API server gives it its UID, version and date.
    ///
    /// # Errors
    /// As the API server answers: the name is taken, the kind is not served.
    pub fn create(&mut self, issue: &Issue, kind: Kind, mut object: Value) -> Result<Arc<Value>, ApiError> {
        let key = (json::text(&object, "/metadata/namespace").to_owned(), json::text(&object, "/metadata/name").to_owned());
        let uid = self.rng.uid();
        let created = date(self.now);
        let shelf = self.shelf(kind)?;
        if key.1.is_empty() || kind.namespaced() == key.0.is_empty() {
            return Err(ApiError::Refused { code: 422, message: "metadata.name or metadata.namespace does not fit the kind".to_owned() });
        }
        if shelf.objects.contains_key(&key) {
            return Err(ApiError::Conflict(format!("{} \"{}\" already exists", kind.plural(), key.1)));
        }
        let kind_of = [("apiVersion", kind.api_version()), ("kind", kind.name().to_owned())];
        for (field, value) in kind_of {
            json::set(&mut object, &[], field, Some(value.into()));
        }
        for (field, value) in [("uid", json!(uid)), ("creationTimestamp", json!(created)), ("generation", json!(1))] {
            json::set(&mut object, &["metadata"], field, Some(value));
        }
        let after = self.put(kind, &key, None, object)?;
        self.record(issue, Verb::Create, Some(kind), key, None, None, Some(Arc::clone(&after)));
        Ok(after)
    }

    /// Changes an object by a function. A change that changes nothing is none; an object that is being deleted and has no
    /// finalizer left goes.
    ///
    /// # Errors
    /// As the API server answers: not found, or not the one that was meant (`pin`: uid and resourceVersion, empty = any).
    pub fn change(
        &mut self,
        issue: &Issue,
        kind: Kind,
        (namespace, name): (&str, &str),
        pin: Option<(&str, &str)>,
        edit: impl FnOnce(&mut Value),
    ) -> Result<(), ApiError> {
        let key = (namespace.to_owned(), name.to_owned());
        let before = self.pinned(kind, &key, pin)?;
        let mut after = Value::clone(&before);
        edit(&mut after);
        if after == *before {
            return Ok(());
        }
        let after = if json::terminating(&after) && json::finalizers(&after).is_empty() {
            self.take(kind, &key, &before)?;
            None
        } else {
            Some(self.put(kind, &key, Some(Arc::clone(&before)), after)?)
        };
        self.record(issue, Verb::Change, Some(kind), key, pin, Some(before), after);
        Ok(())
    }

    /// Deletes an object: it goes at once, or waits for its finalizers.
    ///
    /// # Errors
    /// As the API server answers: not found, or not the one that was meant.
    pub fn delete(&mut self, issue: &Issue, kind: Kind, (namespace, name): (&str, &str), pin: Option<(&str, &str)>) -> Result<(), ApiError> {
        let key = (namespace.to_owned(), name.to_owned());
        let before = self.pinned(kind, &key, pin)?;
        let after = if json::finalizers(&before).is_empty() {
            self.take(kind, &key, &before)?;
            None
        } else if json::terminating(&before) {
            Some(Arc::clone(&before))
        } else {
            let mut after = Value::clone(&before);
            json::set(&mut after, &["metadata"], "deletionTimestamp", Some(date(self.now).into()));
            Some(self.put(kind, &key, Some(Arc::clone(&before)), after)?)
        };
        self.record(issue, Verb::Delete, Some(kind), key, pin, Some(before), after);
        Ok(())
    }

    /// The API server stops serving a kind: its CRD is gone. Its objects go with it or, where the CRD was only replaced or
    /// the discovery of its group broke, come back as they were.
    pub fn vanish(&mut self, kind: Kind, objects_too: bool) {
        let version = self.version.saturating_add(1);
        let Some(shelf) = self.shelves.get_mut(&kind) else { return };
        self.version = version;
        self.changes = self.changes.saturating_add(1);
        if objects_too {
            shelf.objects.clear();
        }
        shelf.served = false;
        // Who watches from before has to list again.
        shelf.log.clear();
        shelf.compacted = version;
        shelf.wake.notify_waiters();
    }

    /// The API server serves a kind (again).
    pub fn serve(&mut self, kind: Kind) {
        self.changes = self.changes.saturating_add(1);
        if let Some(shelf) = self.shelves.get_mut(&kind) {
            shelf.served = true;
        }
    }

    /// The API server forgets the past of a kind: watches from before get 410.
    pub fn compact(&mut self, kind: Kind) {
        let version = self.version;
        let Some(shelf) = self.shelves.get_mut(&kind) else { return };
        shelf.log.clear();
        shelf.compacted = version;
        shelf.wake.notify_waiters();
    }

    /// Wakes when something happens to a kind.
    pub(super) fn wake(&self, kind: Kind) -> Arc<Notify> {
        self.shelves.get(&kind).map(|shelf| Arc::clone(&shelf.wake)).unwrap_or_default()
    }

    /// The objects of a kind as they were at a version not long ago, for an answer from a stale cache.
    pub(super) fn objects_at(&self, kind: Kind, version: u64) -> Vec<Arc<Value>> {
        let Some(shelf) = self.shelves.get(&kind) else { return Vec::new() };
        let mut objects = shelf.objects.clone();
        for change in shelf.log.iter().rev().take_while(|change| change.version > version) {
            let key = key_of(&change.after);
            match &change.before {
                Some(before) => objects.insert(key, Arc::clone(before)),
                None => objects.remove(&key),
            };
        }
        objects.into_values().collect()
    }

    pub(super) fn shelf(&mut self, kind: Kind) -> Result<&mut Shelf, ApiError> {
        self.shelves.get_mut(&kind).filter(|shelf| shelf.served).ok_or(ApiError::NotFound)
    }

    /// The next resourceVersion.
    pub(super) fn bump(&mut self) -> u64 {
        self.version = self.version.saturating_add(1);
        self.version
    }

    #[expect(clippy::too_many_arguments, reason = "one line of the history has so many columns, and only this module writes them")]
    pub(super) fn record(
        &mut self,
        issue: &Issue,
        verb: Verb,
        kind: Option<Kind>,
        (namespace, name): Key,
        pin: Option<(&str, &str)>,
        before: Option<Arc<Value>>,
        after: Option<Arc<Value>>,
    ) {
        let pin = pin.map(|(uid, version)| (uid.to_owned(), version.to_owned()));
        self.history.push(Write { at: self.now, issue: issue.clone(), verb, kind, namespace, name, pin, before, after });
    }

    fn pinned(&mut self, kind: Kind, key: &Key, pin: Option<(&str, &str)>) -> Result<Arc<Value>, ApiError> {
        let object = Arc::clone(self.shelf(kind)?.objects.get(key).ok_or(ApiError::NotFound)?);
        let (uid, version) = pin.unwrap_or_default();
        for (wanted, field) in [(uid, "/metadata/uid"), (version, "/metadata/resourceVersion")] {
            let there = json::text(&object, field);
            if !wanted.is_empty() && wanted != there {
                return Err(ApiError::Conflict(format!("precondition failed: {field} is {there}, not {wanted}")));
            }
        }
        Ok(object)
    }

    fn put(&mut self, kind: Kind, key: &Key, before: Option<Arc<Value>>, mut object: Value) -> Result<Arc<Value>, ApiError> {
        let version = self.bump();
        self.changes = self.changes.saturating_add(1);
        json::set(&mut object, &["metadata"], "resourceVersion", Some(version.to_string().into()));
        let after = Arc::new(object);
        let shelf = self.shelf(kind)?;
        shelf.objects.insert(key.clone(), Arc::clone(&after));
        shelf.happened(Change { version, before, after: Arc::clone(&after), gone: false });
        Ok(after)
    }

    fn take(&mut self, kind: Kind, key: &Key, before: &Arc<Value>) -> Result<(), ApiError> {
        let version = self.bump();
        self.changes = self.changes.saturating_add(1);
        let mut last = Value::clone(before);
        json::set(&mut last, &["metadata"], "resourceVersion", Some(version.to_string().into()));
        let shelf = self.shelf(kind)?;
        shelf.objects.remove(key);
        shelf.happened(Change { version, before: Some(Arc::clone(before)), after: Arc::new(last), gone: true });
        Ok(())
    }
}

impl Shelf {
    fn happened(&mut self, change: Change) {
        self.log.push_back(change);
        if self.log.len() > LOG
            && let Some(oldest) = self.log.pop_front()
        {
            self.compacted = oldest.version;
        }
        self.wake.notify_waiters();
    }
}

/// A moment as the API server writes it: whole seconds, rounded down.
#[must_use]
pub fn date(moment: Timestamp) -> String {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment).to_string()
}

fn key_of(object: &Value) -> Key {
    (json::text(object, "/metadata/namespace").to_owned(), json::text(object, "/metadata/name").to_owned())
}
