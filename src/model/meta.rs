//! What every object has: where it is, which one it is, how old it is.

use super::{kind::Kind, shared::shared};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// The part of `metadata` that identifies one object and dates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// `namespace/name`, one string so that it can also be the key it is stored under; cluster-scoped: `/name`.
    path: Arc<str>,
    /// The same string for all objects of a namespace.
    namespace: Arc<str>,
    /// `metadata.uid`: which object of that name it is.
    pub uid: Box<str>,
    /// A short hash of the UID, by which populations are compared.
    pub uid_hash: u32,
    /// `metadata.resourceVersion`; empty where a file does not carry it (nothing is ever deleted without it).
    pub resource_version: Box<str>,
    /// `metadata.creationTimestamp`, set by the API server.
    pub created: Timestamp,
    /// `metadata.deletionTimestamp` if somebody has deleted it already.
    pub terminating: Option<Timestamp>,
}

/// An object that is there but cannot be read. It is alive and held; the watch goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What kind of object it is.
    pub kind: Kind,
    /// Its namespace, empty if unknown.
    pub namespace: String,
    /// Its name, empty if unknown.
    pub name: String,
    /// Its UID, if that much could be read.
    pub uid: Option<String>,
    /// What could not be read.
    pub problem: String,
}

impl Meta {
    /// Builds the identity of one object.
    #[must_use]
    pub fn new(namespace: &str, name: &str, uid: &str, resource_version: &str, created: Timestamp) -> Self {
        Self {
            path: Arc::from(format!("{namespace}/{name}")),
            namespace: shared(namespace),
            uid: uid.into(),
            uid_hash: short_hash(uid),
            resource_version: resource_version.into(),
            created,
            terminating: None,
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The namespace; empty for a cluster-scoped object.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.get(self.namespace.len().saturating_add(1)..).unwrap_or_default()
    }

    /// Reads `metadata` of a JSON object.
    ///
    /// # Errors
    /// Names the field that is missing or does not parse; the object is then alive and held.
    pub fn read(kind: Kind, object: &Value) -> Result<Self, Unreadable> {
        let metadata = object.get("metadata");
        let field = |name: &str| metadata?.get(name)?.as_str();
        let (namespace, name) = (field("namespace").unwrap_or_default(), field("name").unwrap_or_default());
        let broken = |problem: &str| Unreadable {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: field("uid").map(str::to_owned),
            problem: problem.to_owned(),
        };
        if name.is_empty() {
            return Err(broken("metadata.name is missing"));
        }
        if kind.namespaced() && namespace.is_empty() {
            return Err(broken("metadata.namespace is missing"));
        }
        let uid = field("uid").filter(|uid| !uid.is_empty()).ok_or_else(|| broken("metadata.uid is missing"))?;
        let created = field("creationTimestamp").ok_or_else(|| broken("metadata.creationTimestamp is missing"))?;
        let created = created.parse::<Timestamp>().map_err(|_| broken("metadata.creationTimestamp is not an RFC 3339 date"))?;
        let mut meta = Self::new(namespace, name, uid, field("resourceVersion").unwrap_or_default(), created);
        // A deletion date that cannot be read still says that the object is being deleted.
        meta.terminating = match metadata.and_then(|metadata| metadata.get("deletionTimestamp")) {
            None | Some(Value::Null) => None,
            Some(date) => Some(date.as_str().and_then(|date| date.parse().ok()).unwrap_or(created)),
        };
        Ok(meta)
    }
}

/// FNV-1a, 32 bits: stable across versions and machines, which the kept populations rely on.
#[must_use]
pub fn short_hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The text of a label or annotation (`map` is `labels` or `annotations`).
pub(crate) fn entry<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(map)?.get(key)
}

/// The text of a label.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    entry(object, "labels", key)?.as_str()
}

/// The finalizers of an object, in their order.
pub(crate) fn finalizers(object: &Value) -> Box<[Arc<str>]> {
    let list = object.get("metadata").and_then(|metadata| metadata.get("finalizers")).and_then(Value::as_array);
    list.map(|all| all.iter().filter_map(Value::as_str).map(shared).collect()).unwrap_or_default()
}
