//! Shared database hosts, by SQL: what is looked at there. What is changed there stands in `act/schemas.rs`.
//!
//! Contract: a look is whole or an error. A host is asked one thing at a time, over one connection, and each statement has a limit of its
//! own; the credentials are read anew for each connection, so that a rotated password needs no restart.

mod fault;
mod session;
mod usage;

pub(crate) use session::Session;

use crate::{
    act::schemas as act,
    model::{
        schema::{HostFacts, LedgerRow, PREFIX, RowState, Schema, SchemaOrder},
        usage::{HostUse, Memory, Usage},
    },
    policy,
    ports::{DatabaseHost, HostError},
};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// The schema in which the ledger is.
pub(crate) const LEDGER: &str = "clonewarden";
/// The codes of a server that has no such schema, or no such table.
pub(crate) const NO_LEDGER: [u16; 2] = [1049, 1146];
/// What every server has of its own.
const SYSTEM: [&str; 6] = ["information_schema", "mysql", "performance_schema", "sys", "innodb", LEDGER];

/// The hosts, reached over TLS.
pub struct MySqlHosts {
    ca: PathBuf,
    /// One host is asked one thing at a time.
    lines: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>,
}

impl MySqlHosts {
    /// Hosts that are trusted by the certificates in this file; it is read for each connection.
    #[must_use]
    pub fn new(ca: PathBuf) -> Self {
        Self { ca, lines: Mutex::default() }
    }

    /// The only connection to a host, and the right to it.
    async fn open(&self, host: &policy::DatabaseHost) -> Result<(Session, tokio::sync::OwnedMutexGuard<()>), HostError> {
        let line = Arc::clone(self.lines.lock().unwrap_or_else(PoisonError::into_inner).entry(Arc::clone(host.address())).or_default());
        let right = line.lock_owned().await;
        Ok((Session::open(host, &self.ca).await?, right))
    }
}

impl DatabaseHost for MySqlHosts {
    fn look<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        async move {
            let (mut session, _right) = self.open(host).await?;
            let facts = look(&mut session, &Arc::from(host.name.as_str())).await;
            session.end().await;
            facts
        }
        .boxed()
    }

    fn usage<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostUse, HostError>> {
        async move {
            let (mut session, _right) = self.open(host).await?;
            let uses = usage::usage(&mut session).await;
            session.end().await;
            uses
        }
        .boxed()
    }

    fn note_use<'a>(&'a self, host: &'a policy::DatabaseHost, memories: &'a [(String, Memory)]) -> BoxFuture<'a, Result<(), HostError>> {
        async move {
            let (mut session, _right) = self.open(host).await?;
            let noted = act::note_use(&mut session, memories).await;
            session.end().await;
            noted
        }
        .boxed()
    }

    fn make_schema<'a>(&'a self, host: &'a policy::DatabaseHost, order: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>> {
        async move {
            let (mut session, _right) = self.open(host).await?;
            let made = act::make(&mut session, order).await;
            session.end().await;
            made
        }
        .boxed()
    }

    fn drop_schema<'a>(&'a self, host: &'a policy::DatabaseHost, name: &'a str, judged: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>> {
        async move {
            let (mut session, _right) = self.open(host).await?;
            let dropped = act::drop(&mut session, name, judged).await;
            session.end().await;
            dropped
        }
        .boxed()
    }
}

/// The columns of a row, in the order in which they are read.
pub(crate) const COLUMNS: &str = "name, cluster, uid, namespace, clone, state, made";
/// The same as they come.
pub(crate) type Columns = (String, String, String, String, String, String, i64);

/// A row under its name.
pub(crate) fn row((name, cluster, uid, namespace, clone, state, made): Columns) -> (String, LedgerRow) {
    let made = Timestamp::from_millisecond(made).unwrap_or(Timestamp::UNIX_EPOCH);
    (name, LedgerRow { cluster, uid, namespace, clone, state: RowState::of(&state), made })
}

async fn look(session: &mut Session, host: &Arc<str>) -> Result<HostFacts, HostError> {
    // MySQL answers from statistics that are up to a day old; MariaDB does not know the word.
    session.run_unless("SET SESSION information_schema_stats_expiry = 0", &[1193]).await?;
    let (version, max_connections): (String, u32) = session.one("SELECT VERSION(), @@global.max_connections").await?;
    let all: Vec<String> = session.rows("SELECT schema_name FROM information_schema.schemata").await?;
    let rows: Vec<Columns> = session.rows_unless(&format!("SELECT {COLUMNS} FROM {LEDGER}.schemas"), &NO_LEDGER).await?;
    let users: Vec<String> = session.rows("SELECT DISTINCT user FROM mysql.user WHERE user LIKE 'wp|_%' ESCAPE '|'").await?;
    let sizes: Vec<(String, Option<u64>, Option<i64>)> = session
        .rows(
            "SELECT table_schema, CAST(SUM(data_length + index_length) AS UNSIGNED), CAST(MAX(UNIX_TIMESTAMP(update_time)) AS SIGNED) \
             FROM information_schema.tables WHERE table_schema LIKE 'wp|_%' ESCAPE '|' GROUP BY table_schema",
        )
        .await?;
    let connections: Vec<(Option<String>, u32)> = session.rows("SELECT user, COUNT(*) FROM information_schema.processlist GROUP BY user").await?;

    let mut found: BTreeMap<String, Schema> = BTreeMap::new();
    let mut at = |name: &str, put: &mut dyn FnMut(&mut Schema)| {
        put(found.entry(name.to_owned()).or_insert_with(|| Schema::absent(host, name.to_owned())));
    };
    for (name, row) in rows.into_iter().map(row) {
        at(&name, &mut |schema| schema.row = Some(row.clone()));
    }
    let named: BTreeSet<&String> = all.iter().filter(|name| name.starts_with(PREFIX)).collect();
    named.iter().for_each(|name| at(name, &mut |schema| schema.there = true));
    users.iter().for_each(|name| at(name, &mut |schema| schema.user = true));
    for (name, bytes, written) in sizes.iter().filter(|(name, ..)| named.contains(name)) {
        at(name, &mut |schema| {
            schema.bytes = bytes.unwrap_or_default();
            schema.last_write = written.and_then(|seconds| Timestamp::from_second(seconds).ok());
        });
    }
    for (name, count) in connections.iter().filter_map(|(name, count)| Some((name.as_ref()?, count))).filter(|(name, _)| name.starts_with(PREFIX)) {
        at(name, &mut |schema| schema.connections = *count);
    }
    Ok(HostFacts {
        version,
        schemas: found.into_values().map(Arc::new).collect(),
        others: all.iter().filter(|name| !name.starts_with(PREFIX) && !SYSTEM.contains(&name.as_str())).count(),
        connections: connections.iter().map(|(_, count)| *count).fold(0, u32::saturating_add),
        max_connections,
        usage: Usage::NotAsked,
    })
}
