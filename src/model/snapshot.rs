//! One look at the world: every object that a decision reads, with how well each source is known.

use super::{
    bill::Bill,
    child::{Child, Definition},
    clone::WordPressClone,
    cloud::CloudResource,
    credentials::KeySight,
    database::Database,
    evidence::EvidenceSet,
    meta::Unreadable,
    month::UsageRecord,
    node::Node,
    orphan::OrphanRecord,
    quota::Quota,
    schema::HostFacts,
    state::State,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the daemon saw, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Where the snapshot comes from.
    pub origin: Origin,
    /// The id of this cluster, as it stands in AWS tags; `None` if it was not given.
    pub cluster_id: Option<Arc<str>>,
    /// How well each source is known.
    pub evidence: EvidenceSet,
    /// The labels of every namespace.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Those of them that are on their way out: nothing can be made in them any more.
    pub leaving: BTreeSet<String>,
    /// Every clone that could be read, sorted by `namespace/name`.
    pub clones: Vec<Arc<WordPressClone>>,
    /// Objects that are there but cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Every child, sorted by kind, then `namespace/name`.
    pub children: Vec<Arc<Child>>,
    /// KRO's definitions.
    pub definitions: Vec<Definition>,
    /// The account in AWS that answered last.
    pub account: Option<Arc<str>>,
    /// Databases and snapshots in AWS.
    pub cloud: Vec<Arc<CloudResource>>,
    /// What the last look at each shared database host has shown, by the name of its `DatabaseHost`.
    pub hosts: BTreeMap<Arc<str>, Arc<HostFacts>>,
    /// Objects that stood for a database and were seen to go, not long ago: the identifier, and when.
    pub released: Vec<(Box<str>, Timestamp)>,
    /// Since when the clones have been watched without a gap: whoever was there since then was seen.
    pub watched_since: Option<Timestamp>,
    /// Orphans marked before.
    pub orphans: Vec<Arc<OrphanRecord>>,
    /// What was counted of the clones of each namespace and month, sorted by name.
    pub usages: Vec<Arc<UsageRecord>>,
    /// Every node.
    pub nodes: Vec<Arc<Node>>,
    /// What bounds namespaces and has our name, ours or not, sorted by kind, then `namespace/name`.
    pub quotas: Vec<Arc<Quota>>,
    /// Clones that were seen to go, not long ago. Their children may take a moment to follow.
    pub departed: Vec<Departure>,
    /// Clones that were seen kept while an end stood announced on them, and the date of that announcement: it does not count.
    /// The date is what tells it from a later one, not what is compared with a clock, which may have been wrong then.
    pub withdrawn: BTreeMap<Box<str>, Timestamp>,
    /// What AWS has billed, if that is asked for and was ever told.
    pub bill: Option<Arc<Bill>>,
    /// What is known of the key that credentials are derived under.
    pub key: KeySight,
    /// What is remembered across restarts.
    pub state: State,
}

/// Where a snapshot comes from: some rules differ for files, since nothing was watched and nothing is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// Watched by this process.
    #[default]
    Live,
    /// Read from files that somebody exported.
    Files,
}

/// Why a clone was ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// The word for it in the ledger: `expired`, `idle`, `overLimit`.
    pub why: &'static str,
    /// Until when it would have lived otherwise (UTC).
    pub instead: Timestamp,
}

/// A clone that was seen to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Its UID.
    pub uid: Box<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// When it had been created.
    pub created: Timestamp,
    /// When it was seen to be gone.
    pub gone: Timestamp,
    /// Whether it was seen to go then; it may have been missing from a list, and may have gone long before.
    pub seen: bool,
    /// Whose it was.
    pub owner: Option<Box<str>>,
    /// What it kept its data in.
    pub database: Database,
    /// Why we ended it, if we did, and until when it would have lived otherwise.
    pub reaped: Option<Reaped>,
}

impl Departure {
    /// One of nobody's clones, which ended by itself.
    #[must_use]
    pub fn new(uid: &str, namespace: &str, created: Timestamp, gone: Timestamp) -> Self {
        Self { uid: uid.into(), namespace: namespace.into(), created, gone, seen: true, owner: None, database: Database::Shared(None), reaped: None }
    }
}
