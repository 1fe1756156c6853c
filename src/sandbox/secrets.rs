//! Secrets: the daemon's own, and those of clones, which the garbage collector takes when their clone is gone.

use super::{
    cluster::SandboxCluster,
    faults::Call,
    history::{Issue, Verb},
    json,
    world::World,
};
use crate::{
    model::Kind,
    ports::{ApiError, CloneSecret, Secrets, StoredSecret},
};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A Secret; the daemon's own stand in no namespace.
#[derive(Debug, Clone)]
pub(super) struct SecretEntry {
    version: u64,
    /// The UID of the clone that it goes with.
    owner: Option<String>,
    data: BTreeMap<String, Vec<u8>>,
}

impl SecretEntry {
    /// How the history shows it: this is the truth, and holds no real secret.
    fn shown(&self) -> Arc<Value> {
        let data: BTreeMap<&String, String> = self.data.iter().map(|(key, bytes)| (key, String::from_utf8_lossy(bytes).into_owned())).collect();
        Arc::new(json!({"owner": self.owner, "data": data}))
    }
}

impl World {
    /// Every Secret of a clone: namespace, name, and what it holds, with the UID of its owner.
    pub fn clone_secrets(&self) -> impl Iterator<Item = (&str, &str, Arc<Value>)> {
        let of_clones = self.secrets.iter().filter(|(_, entry)| entry.owner.is_some());
        of_clones.map(|((namespace, name), entry)| (namespace.as_str(), name.as_str(), entry.shown()))
    }

    /// Takes a Secret of the daemon's own away, as a person would.
    pub fn lose_secret(&mut self, name: &str) {
        self.secrets.remove(&(String::new(), name.to_owned()));
    }

    fn own_secret(&self, name: &str) -> Option<StoredSecret> {
        let entry = self.secrets.get(&(String::new(), name.to_owned()))?;
        Some(StoredSecret { resource_version: entry.version.to_string(), data: entry.data.clone() })
    }

    fn write_own_secret(
        &mut self,
        issue: &Issue,
        name: &str,
        data: BTreeMap<String, Vec<u8>>,
        version: Option<&str>,
    ) -> Result<StoredSecret, ApiError> {
        let key = (String::new(), name.to_owned());
        let before = self.secrets.get(&key).cloned();
        if before.as_ref().map(|entry| entry.version.to_string()).as_deref() != version {
            return Err(ApiError::Conflict(format!("secrets \"{name}\": the object has been modified")));
        }
        let entry = SecretEntry { version: self.bump(), owner: None, data };
        self.secrets.insert(key.clone(), entry.clone());
        let stored = StoredSecret { resource_version: entry.version.to_string(), data: entry.data.clone() };
        self.record(issue, Verb::Secret, None, key, version.map(|version| ("", version)), before.map(|entry| entry.shown()), Some(entry.shown()));
        Ok(stored)
    }

    fn make_clone_secret(&mut self, issue: &Issue, secret: &CloneSecret) {
        let key = (secret.owner.namespace.clone(), secret.name.clone());
        if self.secrets.contains_key(&key) {
            return;
        }
        let data = secret.data.iter().map(|(key, text)| ((*key).to_owned(), text.reveal().as_bytes().to_vec())).collect();
        let entry = SecretEntry { version: self.bump(), owner: Some(secret.owner.uid.clone()), data };
        self.secrets.insert(key.clone(), entry.clone());
        self.record(issue, Verb::Secret, None, key, None, None, Some(entry.shown()));
    }

    /// The garbage collector: what belongs to a clone that is gone goes.
    pub(super) fn collect_secrets(&mut self, issue: &Issue) {
        // Where the API is not served it collects nothing.
        if self.secrets.is_empty() || !self.served(Kind::Clone) {
            return;
        }
        let living: BTreeSet<String> = self.objects(Kind::Clone).map(|clone| json::text(clone, "/metadata/uid").to_owned()).collect();
        let dead = self.secrets.iter().filter(|(_, entry)| entry.owner.as_ref().is_some_and(|owner| !living.contains(owner)));
        let dead: Vec<_> = dead.map(|(key, entry)| (key.clone(), entry.shown())).collect();
        for (key, shown) in dead {
            self.secrets.remove(&key);
            self.record(issue, Verb::Secret, None, key, None, Some(shown), None);
        }
    }
}

impl Secrets for SandboxCluster {
    fn read_secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<StoredSecret>, ApiError>> {
        let name = name.to_owned();
        Box::pin(self.call(Call::ReadSecret, move |world, _| Ok(world.own_secret(&name))))
    }

    fn write_secret<'a>(
        &'a self,
        name: &'a str,
        data: BTreeMap<String, Vec<u8>>,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<StoredSecret, ApiError>> {
        let (name, version) = (name.to_owned(), version.map(str::to_owned));
        Box::pin(self.call(Call::WriteSecret, move |world, issue| world.write_own_secret(issue, &name, data, version.as_deref())))
    }

    fn make_secret<'a>(&'a self, secret: &'a CloneSecret) -> BoxFuture<'a, Result<(), ApiError>> {
        let secret = secret.clone();
        Box::pin(self.call(Call::MakeSecret, move |world, issue| {
            world.make_clone_secret(issue, &secret);
            Ok(())
        }))
    }
}
