//! An `Orphan` object as the plan reads it back: what was marked, how far it has come, and whether somebody vetoed it.

pub mod status;

use super::{
    kind::Kind,
    meta::{Meta, Unreadable, entry},
    names,
};
use serde_json::Value;
use status::{OrphanPhase, OrphanStatus};
use std::sync::Arc;

/// One `Orphan` object in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanRecord {
    /// Which object it is.
    pub meta: Meta,
    /// The kind of the thing that was marked (`Job`, `DBInstance`, …).
    pub kind: Box<str>,
    /// The unique key of the thing: its UID in Kubernetes, its ARN in AWS, `mysql/<host>/<name>` of a schema.
    pub key: String,
    /// The region, if the thing is in AWS.
    pub region: Option<Arc<str>>,
    /// The identifier in AWS, of the thing or of the database that an object in the cluster stands for.
    pub id: Option<Box<str>>,
    /// AWS' own id of the thing.
    pub resource_id: Option<Box<str>>,
    /// The UID of the clone that it was made for.
    pub owner: Option<Box<str>>,
    /// The namespace of that clone.
    pub namespace: Option<Box<str>>,
    /// The policy that governed it when it was marked.
    pub policy: Option<Arc<str>>,
    /// [`names::KEEP`] on the `Orphan`: somebody's veto.
    pub keep: bool,
    /// [`names::RELEASE`] on the `Orphan`: the reason code that a person lets go.
    pub release: Option<Box<str>>,
    /// How far it has come; `None` where that was not written (a crash may have come in between) or cannot be read.
    pub status: Option<Box<OrphanStatus>>,
}

impl OrphanRecord {
    /// Reads an `Orphan`.
    ///
    /// # Errors
    /// Where its identity or age cannot be read.
    pub fn read(object: &Value) -> Result<Self, Unreadable> {
        let meta = Meta::read(Kind::Orphan, object)?;
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        let annotation = |key| entry(object, "annotations", key);
        let status = object.get("status").and_then(|status| serde_json::from_value::<OrphanStatus>(status.clone()).ok());
        Ok(Self {
            kind: text("/spec/target/kind").unwrap_or_default().into(),
            key: key(object),
            region: text("/spec/target/region").map(Arc::from),
            id: text("/spec/target/id").map(Into::into),
            resource_id: text("/spec/target/resourceId").map(Into::into),
            owner: text("/spec/owner/uid").map(Into::into),
            namespace: text("/spec/owner/namespace").or_else(|| text("/spec/target/namespace")).map(Into::into),
            policy: text("/spec/policy").map(Arc::from),
            // Bad input keeps: only a plain "false" or nothing at all is no veto.
            keep: annotation(names::KEEP).is_some_and(names::is_veto),
            release: annotation(names::RELEASE).and_then(Value::as_str).map(Into::into),
            status: status.filter(|status| status.phase.is_some()).map(Box::new),
            meta,
        })
    }

    /// Whether it is about something in AWS itself, not about an object in the cluster.
    #[must_use]
    pub fn in_aws(&self) -> bool {
        self.key.starts_with("arn:")
    }

    /// The host and the name, if it is about a schema.
    #[must_use]
    pub fn schema(&self) -> Option<(&str, &str)> {
        self.key.strip_prefix("mysql/")?.split_once('/')
    }

    /// Whether its end was asked for, as far as anybody knows. What named a final snapshot once stays so: a stale answer, or another
    /// policy, may have set its phase back after AWS had accepted.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        let named = self.status.as_ref().is_some_and(|status| status.final_snapshot.is_some());
        self.phase() == Some(OrphanPhase::Deleting) || named && self.phase() != Some(OrphanPhase::Deleted)
    }

    /// How far it has come, if that is known.
    #[must_use]
    pub fn phase(&self) -> Option<OrphanPhase> {
        self.status.as_ref().and_then(|status| status.phase)
    }
}

fn key(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let schema = || match (text("/spec/target/provider"), text("/spec/target/host"), text("/spec/target/name")) {
        (Some("mysql"), Some(host), Some(name)) => Some(format!("mysql/{host}/{name}")),
        _ => None,
    };
    let known = text("/spec/target/arn").or_else(|| text("/spec/target/uid")).map(str::to_owned);
    known.or_else(schema).unwrap_or_default()
}

/// The name of the `Orphan` object for a thing: kind and unique key, so that a repeat finds the first.
#[must_use]
pub fn object_name(kind: &str, key: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{kind}/{key}"));
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{short}", kind.to_ascii_lowercase())
}
