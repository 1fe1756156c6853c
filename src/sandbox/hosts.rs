//! A shared database host in memory: schemas, users, their use and a ledger, and what goes wrong on the way to them.
//!
//! [`Server`] is the truth, one for all processes, and keeps a history of what was dropped; a [`SandboxHosts`] is one process's way to it. What
//! is asked is done step by step, as the real adapter does it statement by statement, and each step may be the last: the process
//! crashes, the server goes away, or an answer is lost.

use super::cluster::SandboxCluster;
use crate::{
    model::{
        Kind,
        schema::{HostFacts, LedgerRow, RowState, Schema, SchemaOrder, schema_name},
        usage::{HostUse, Memory, Use},
    },
    policy,
    ports::{DatabaseHost, HostError},
    rng::Rng,
};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long one step takes.
const STEP: Duration = Duration::from_millis(20);

/// What is on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// The schemas.
    pub schemas: BTreeSet<String>,
    /// The users.
    pub users: BTreeSet<String>,
    /// The ledger.
    pub rows: BTreeMap<String, LedgerRow>,
    /// Nobody gets an answer.
    pub down: bool,
    /// Nothing can be written.
    pub read_only: bool,
    /// Of a thousand steps, how many are never done, and of how many the answer is lost.
    pub trouble: u16,
    /// The process that takes the step after so many more dies with it: before it is done, or after.
    pub kills: Option<(u32, bool)>,
    /// What has been dropped, in turn.
    pub drops: Vec<Dropped>,
    /// What it has counted of each user since it started.
    pub counted: BTreeMap<String, u64>,
    /// How often it was started.
    pub starts: u32,
    /// It counts nothing.
    pub uncounting: bool,
    /// Users who have a statement running.
    pub running: BTreeSet<String>,
    /// What the daemon has written down of their use.
    pub memories: BTreeMap<String, Memory>,
}

impl Server {
    /// Somebody uses a schema.
    pub fn touch(&mut self, name: &str) {
        if !self.uncounting {
            *self.counted.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// It starts anew, and has forgotten what it had counted.
    pub fn restart(&mut self) {
        self.starts = self.starts.saturating_add(1);
        self.counted.clear();
        self.running.clear();
    }
}

/// A schema that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its name.
    pub name: String,
    /// The row that it had then.
    pub row: Option<LedgerRow>,
    /// When, by the server's clock.
    pub at: Timestamp,
    /// The process that did it.
    pub by: String,
    /// Whether a clone lived then whose schema has that name.
    pub needed: bool,
}

/// One process's way to the host.
pub struct SandboxHosts {
    handle: SandboxCluster,
    server: Arc<Mutex<Server>>,
    dice: Mutex<Rng>,
}

impl SandboxHosts {
    /// A way for the process that has this handle.
    #[must_use]
    pub fn new(handle: &SandboxCluster, server: &Arc<Mutex<Server>>, seed: u64) -> Self {
        Self { handle: handle.clone(), server: Arc::clone(server), dice: Mutex::new(Rng::new(seed)) }
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn falls(&self, trouble: u16) -> bool {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).chance(trouble)
    }

    /// One statement.
    async fn step<T>(&self, writes: bool, effect: impl FnOnce(&mut Server) -> Result<T, HostError>) -> Result<T, HostError> {
        let trouble = self.server().trouble;
        let (before, after) = (self.falls(trouble), self.falls(trouble));
        tokio::time::sleep(STEP).await;
        let killed = self.killed();
        // Of a process that has died nothing is heard any more.
        if killed == Some(false) || self.handle.crashed() {
            return std::future::pending().await;
        }
        let done = self.effect(writes, before, effect);
        if killed.is_some() {
            self.handle.kill();
            return std::future::pending().await;
        }
        if after { lost() } else { done }
    }

    fn effect<T>(&self, writes: bool, fails: bool, effect: impl FnOnce(&mut Server) -> Result<T, HostError>) -> Result<T, HostError> {
        let mut server = self.server();
        if server.down || fails {
            return lost();
        }
        if writes && server.read_only {
            return Err(HostError::ReadOnly("(1290)".to_owned()));
        }
        effect(&mut server)
    }

    /// Whether the process dies with this step, and if so whether after it is done.
    fn killed(&self) -> Option<bool> {
        let mut server = self.server();
        let (left, effect) = server.kills?;
        server.kills = left.checked_sub(1).map(|left| (left, effect));
        let dies = server.kills.is_none();
        drop(server);
        if dies && !effect {
            self.handle.kill();
        }
        dies.then_some(effect)
    }

    async fn find(&self, name: &str) -> Result<Option<LedgerRow>, HostError> {
        self.step(false, |server| Ok(server.rows.get(name).cloned())).await
    }

    async fn say(&self, name: &str, state: RowState) -> Result<(), HostError> {
        self.step(true, |server| {
            server.rows.get_mut(name).into_iter().for_each(|row| row.state = Some(state));
            Ok(())
        })
        .await
    }

    fn needed(&self, name: &str) -> bool {
        let world = self.handle.world();
        world.objects(Kind::Clone).any(|clone| schema_name(super::json::text(clone, "/metadata/uid")).as_deref() == Some(name))
    }

    async fn make(&self, order: &SchemaOrder) -> Result<(), HostError> {
        let name = order.name.as_str();
        match self.find(name).await? {
            Some(row) if row.cluster != order.row.cluster || row.uid != order.row.uid => return Err(HostError::Foreign("its row".to_owned())),
            Some(_) => self.say(name, RowState::Making).await?,
            None => {
                self.step(true, |server| {
                    if server.schemas.contains(name) || server.users.contains(name) {
                        return Err(HostError::Foreign("it has no row".to_owned()));
                    }
                    server.rows.insert(name.to_owned(), LedgerRow { state: Some(RowState::Making), ..order.row.clone() });
                    Ok(())
                })
                .await?;
            }
        }
        self.step(true, |server| Ok(server.schemas.insert(name.to_owned()))).await?;
        self.step(true, |server| Ok(server.users.insert(name.to_owned()))).await?;
        self.say(name, RowState::Ready).await
    }

    async fn take(&self, name: &str, judged: &LedgerRow) -> Result<(), HostError> {
        match self.find(name).await? {
            None => return Err(HostError::NotFound),
            Some(row) if row.cluster != judged.cluster || row.uid != judged.uid => return Err(HostError::Foreign("its row".to_owned())),
            Some(_) => self.say(name, RowState::Dropping).await?,
        }
        self.drop_anything(name).await?;
        self.step(true, |server| Ok(server.users.remove(name))).await?;
        self.step(true, |server| Ok(server.memories.remove(name))).await?;
        self.step(true, |server| Ok(server.rows.remove(name))).await.map(drop)
    }

    /// A write that changes nothing, and then what was counted: as much at once as one statement reads.
    async fn read_use(&self) -> Result<HostUse, HostError> {
        const OURSELVES: &str = "clonewarden";
        let own = |server: &Server| server.counted.get(OURSELVES).copied().unwrap_or_default();
        let before = self.step(false, |server| Ok(own(server))).await?;
        let write = |server: &mut Server| {
            server.touch(OURSELVES);
            Ok(())
        };
        self.step(true, write).await?;
        let uncounted = (self.step(false, |server| Ok(own(server))).await? <= before).then(|| "a write of ours was not counted".to_owned());
        let (starts, counted) = self.step(false, |server| Ok((server.starts, server.counted.clone()))).await?;
        let running = self.step(false, |server| Ok(server.running.clone())).await?;
        let memories = self.step(false, |server| Ok(server.memories.clone())).await?;
        let names: BTreeSet<&String> = counted.keys().filter(|name| *name != OURSELVES).chain(&running).chain(memories.keys()).collect();
        let known = |name: &String| Use {
            mark: counted.get(name).map(|count| format!("{starts} {count}").into()),
            busy: running.contains(name),
            written: None,
            memory: memories.get(name).cloned(),
        };
        Ok(HostUse { uncounted, uses: names.into_iter().map(|name| (name.clone(), known(name))).collect() })
    }

    /// Drops a schema, whoever's it is: what no adapter may do.
    ///
    /// # Errors
    /// When the host does not do it.
    pub async fn drop_anything(&self, name: &str) -> Result<(), HostError> {
        self.step(true, |server| {
            if server.schemas.remove(name) {
                let row = server.rows.get(name).cloned();
                let (at, by) = (self.handle.world().now(), self.handle.id().to_owned());
                server.drops.push(Dropped { name: name.to_owned(), row, at, by, needed: self.needed(name) });
            }
            Ok(())
        })
        .await
    }
}

fn lost<T>() -> Result<T, HostError> {
    Err(HostError::Unavailable("the connection broke".to_owned()))
}

impl DatabaseHost for SandboxHosts {
    fn look<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        async move {
            let seen = self.step(false, |server| Ok(server.clone())).await?;
            let host = Arc::from(host.name.as_str());
            let names: BTreeSet<&String> = seen.schemas.iter().chain(&seen.users).chain(seen.rows.keys()).collect();
            let schema = |name: &String| Schema {
                row: seen.rows.get(name).cloned(),
                there: seen.schemas.contains(name),
                user: seen.users.contains(name),
                ..Schema::absent(&host, name.clone())
            };
            Ok(HostFacts { schemas: names.into_iter().map(|name| Arc::new(schema(name))).collect(), ..HostFacts::default() })
        }
        .boxed()
    }

    fn usage<'a>(&'a self, _: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostUse, HostError>> {
        self.read_use().boxed()
    }

    fn note_use<'a>(&'a self, _: &'a policy::DatabaseHost, memories: &'a [(String, Memory)]) -> BoxFuture<'a, Result<(), HostError>> {
        self.step(true, |server| {
            server.memories.extend(memories.iter().cloned());
            Ok(())
        })
        .boxed()
    }

    fn make_schema<'a>(&'a self, _: &'a policy::DatabaseHost, order: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>> {
        self.make(order).boxed()
    }

    fn drop_schema<'a>(&'a self, _: &'a policy::DatabaseHost, name: &'a str, judged: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>> {
        self.take(name, judged).boxed()
    }
}
