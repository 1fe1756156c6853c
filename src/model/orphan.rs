//! An `Orphan` object as the plan reads it back: what was marked, and whether somebody vetoed it.

use super::{
    kind::Kind,
    meta::{Meta, Unreadable, entry},
    names,
};
use serde_json::Value;

/// One `Orphan` object in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanRecord {
    /// Which object it is.
    pub meta: Meta,
    /// The kind of the thing that was marked (`Job`, `DBInstance`, …).
    pub kind: String,
    /// The unique key of the thing: its UID in Kubernetes, its ARN in AWS.
    pub key: String,
    /// [`names::KEEP`] on the `Orphan`: somebody's veto.
    pub keep: bool,
    /// Whether its status was written: a crash may have come in between.
    pub complete: bool,
}

impl OrphanRecord {
    /// Reads an `Orphan`.
    ///
    /// # Errors
    /// Where its identity or age cannot be read.
    pub fn read(object: &Value) -> Result<Self, Unreadable> {
        let meta = Meta::read(Kind::Orphan, object)?;
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let keep = entry(object, "annotations", names::KEEP);
        let arn = text("/spec/target/arn");
        Ok(Self {
            kind: text("/spec/target/kind"),
            key: if arn.is_empty() { text("/spec/target/uid") } else { arn },
            // Bad input keeps: only a plain "false" or nothing at all is no veto.
            keep: keep.is_some_and(|value| value.as_str() != Some("false")),
            complete: object.pointer("/status/phase").is_some(),
            meta,
        })
    }
}

/// The name of the `Orphan` object for a thing: kind and unique key, so that a repeat finds the first.
#[must_use]
pub fn object_name(kind: &str, key: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{kind}/{key}"));
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{short}", kind.to_ascii_lowercase())
}
