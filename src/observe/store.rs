//! The objects that are watched, trimmed, with how well each kind is known. The mirror fills it; snapshots are taken from it.
//!
//! What leaves the store is remembered for a while with how it went: seen deleted, seen `Terminating`, deleted by us, or just
//! missing from a list, which is no evidence that anybody deleted it.

mod held;

pub use held::Trimmed;

use super::hosts::Hosts;
use crate::{
    cost::tariff::Tariff,
    model::{Evidence, Kind, Meta, Snapshot, Source, snapshot::Reaped},
    plan::admit::{Residents, Tallied},
};
use held::{Found, Held, place};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::watch, time::Instant};

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

    /// An object was read by itself that no watch has told of. One that is held is newer, or will be.
    pub fn found(&self, kind: Kind, object: &Value) {
        let trimmed = Trimmed::read(kind, object);
        let mut held = self.held();
        if !held.paths(kind).contains(&trimmed.path) {
            held.apply(trimmed);
        }
    }

    /// A clone or an `Orphan` was read by itself, or found to be gone (`None`). That counts only if it is still held in the form that led
    /// to the question: the watch may have been faster than the answer.
    pub fn settle(&self, kind: Kind, judged: &Meta, found: Option<&Value>, now: Timestamp) {
        let mut held = self.held();
        let same = |meta: &Meta| meta.uid == judged.uid && meta.resource_version == judged.resource_version;
        let known = match kind {
            Kind::Clone => held.clones.get(judged.path()).is_some_and(|clone| same(&clone.meta)),
            Kind::Orphan => held.orphans.get(judged.path().as_ref()).is_some_and(|orphan| same(&orphan.meta)),
            _ => false,
        };
        match found {
            _ if !known => {}
            Some(object) => held.apply(Trimmed::read(kind, object)),
            None => held.remove(kind, judged.path(), now, true),
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

    /// We asked for this clone's deletion, and the API server accepted; with why that was, for the ledger.
    pub fn deleted_by_us(&self, uid: &str, why: Option<Reaped>) {
        self.held().deleted_by_us.insert(uid.into(), why);
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

    /// What clones cost, as a plan has found it; `None`: it has found that something of that is not known.
    pub fn priced(&self, at: Timestamp, tariff: Option<&Arc<Tariff>>) {
        self.held().tariff = tariff.map(|tariff| Found { at, when: Instant::now(), tariff: Arc::clone(tariff) });
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
        // Of ledgers that are not served nobody knows what was in them.
        let no_ledgers = held.evidence.get(&Kind::Usage).is_none_or(|evidence| !evidence.complete).then_some(Kind::Usage);
        Residents {
            money: held.money(),
            needs: definition.map(|definition| definition.needs.clone()).unwrap_or_default(),
            platform: definition.map(|definition| definition.platform.clone()).unwrap_or_default(),
            unlisted: unlisted.chain(no_ledgers).collect(),
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
            usages: held.usages.values().cloned().collect(),
            nodes: held.nodes.values().cloned().collect(),
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
