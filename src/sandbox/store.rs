//! What a daemon keeps in the cluster for itself: its ConfigMaps, its Lease, and the Events it writes.

use super::{
    history::{Issue, Verb},
    world::World,
};
use crate::ports::{ApiError, EventType, LeaseRecord, Note, Stored};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// A ConfigMap in the daemon's namespace.
#[derive(Debug, Clone)]
pub(super) struct StateEntry {
    version: u64,
    data: BTreeMap<String, String>,
}

/// A Lease in the daemon's namespace.
#[derive(Debug, Clone)]
pub(super) struct LeaseEntry {
    version: u64,
    pub(super) record: LeaseRecord,
    /// When it was last written, by the API server's clock.
    pub(super) written: Timestamp,
}

fn conflict(what: &str, name: &str) -> ApiError {
    ApiError::Conflict(format!("{what} \"{name}\": the object has been modified"))
}

impl World {
    /// A ConfigMap in the daemon's namespace.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<Stored> {
        self.states.get(name).map(|entry| Stored { resource_version: entry.version.to_string(), data: entry.data.clone() })
    }

    /// Writes it if it still has this version (`None`: if there is none).
    ///
    /// # Errors
    /// A conflict where it has another.
    pub fn write_state(&mut self, issue: &Issue, name: &str, data: BTreeMap<String, String>, version: Option<&str>) -> Result<Stored, ApiError> {
        let before = self.states.get(name);
        if before.map(|entry| entry.version.to_string()).as_deref() != version {
            return Err(conflict("configmaps", name));
        }
        let before = before.map(|entry| Arc::new(json!(entry.data)));
        let after = Arc::new(json!(data));
        let entry = StateEntry { version: self.bump(), data };
        let stored = Stored { resource_version: entry.version.to_string(), data: entry.data.clone() };
        self.states.insert(name.to_owned(), entry);
        let pin = version.map(|version| ("", version));
        self.record(issue, Verb::State, None, (String::new(), name.to_owned()), pin, before, Some(after));
        Ok(stored)
    }

    /// Takes a ConfigMap away, as a person would.
    pub fn lose_state(&mut self, name: &str) {
        self.states.remove(name);
    }

    /// The Lease of this name.
    #[must_use]
    pub fn lease(&self, name: &str) -> Option<LeaseRecord> {
        self.leases.get(name).map(|entry| entry.record.clone())
    }

    /// Writes it if it still has the version in the record (empty: if there is none).
    ///
    /// # Errors
    /// A conflict where it has another.
    pub fn write_lease(&mut self, issue: &Issue, name: &str, record: &LeaseRecord) -> Result<LeaseRecord, ApiError> {
        let before = self.leases.get(name);
        if before.map(|entry| entry.version.to_string()).unwrap_or_default() != record.resource_version {
            return Err(conflict("leases", name));
        }
        let holder_before = before.map(|entry| entry.record.holder.clone());
        let version = self.bump();
        let record = LeaseRecord { resource_version: version.to_string(), ..record.clone() };
        let written = self.now();
        self.leases.insert(Arc::from(name), LeaseEntry { version, record: record.clone(), written });
        if holder_before.as_deref() != Some(record.holder.as_str()) {
            let said = |holder: &str| Arc::new(Value::from(holder));
            let (before, after) = (holder_before.as_deref().map(said), Some(said(&record.holder)));
            self.record(issue, Verb::Lease, None, (String::new(), name.to_owned()), None, before, after);
        }
        Ok(record)
    }

    /// Writes an Event; a repeat of one that is there is none.
    pub fn write_note(&mut self, issue: &Issue, note: &Note) {
        let key = (note.about.namespace.clone(), note.name.clone());
        if self.notes.contains_key(&key) {
            return;
        }
        let event_type = match note.event_type {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let event = json!({
            "type": event_type, "reason": note.reason, "action": note.action, "note": note.message, "eventTime": note.at.to_string(),
            "regarding": {"kind": note.about.kind.name(), "namespace": note.about.namespace, "name": note.about.name, "uid": note.about.uid},
        });
        self.notes.insert(key.clone(), event.clone());
        self.record(issue, Verb::Note, None, key, None, None, Some(Arc::new(event)));
    }

    /// Every Event, in the order of namespace and name.
    pub fn events(&self) -> impl Iterator<Item = &Value> {
        self.notes.values()
    }
}
