//! What `parts.json` says of a part.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One part of a running platform, as recorded in `<folder>/parts.json`. The file is written anew, whole, at every
/// change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its name: `etcd`, `kube-apiserver`, `kro`, ...
    pub name: String,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// Program and arguments; a restart uses the same.
    pub argv: Vec<String>,
    /// Its environment, besides PATH.
    pub env: BTreeMap<String, String>,
    /// Where its output goes.
    pub log: PathBuf,
    /// The port it serves on, if it has one.
    pub port: Option<u16>,
}
