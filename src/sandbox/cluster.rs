//! A daemon's handle on the shared world: [`Cluster`] in memory, with faults and a clock of its own.
//!
//! Contract: what the world accepts has happened, whatever the caller is told; a call whose future is dropped has either had
//! its whole effect or none.

use super::{
    clock::SandboxClock,
    faults::{Call, Fate, Faults, Levels},
    history::{Actor, Issue},
    json, watch,
    world::World,
};
use crate::{
    model::Kind,
    ports::{ApiError, Clock, Cluster, LeaseRecord, Note, Page, Pin, Stored, WatchEvent},
};
use futures::{future::BoxFuture, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How many objects a page holds when nothing is wrong.
const PAGE: usize = 500;

/// A handle on a world. Clones of it are the same handle.
#[derive(Debug, Clone)]
pub struct SandboxCluster {
    pub(super) inner: Arc<Inner>,
}

/// What is left of a list that is being paged through, and the version of the list.
type Rest = (Vec<Arc<Value>>, u64);

#[derive(Debug)]
pub(super) struct Inner {
    world: Arc<Mutex<World>>,
    pub(super) id: Arc<str>,
    /// The world's own clock.
    pub(super) truth: SandboxClock,
    faults: Mutex<Faults>,
    /// The `Date` of the last answer that carried one, and when it arrived.
    date: Mutex<Option<(Timestamp, Instant)>>,
    /// Lists that are being paged through: what is left, and of which version they are.
    pages: Mutex<BTreeMap<u64, Rest>>,
    /// When watch events were lost, until the kind was listed again.
    deaf: Mutex<Vec<Deafness>>,
    /// Wakes the watches when the faults change.
    pub(super) turned: Notify,
}

/// A time in which a daemon could not know what happened to a kind: a watch event was lost, and no list had made up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deafness {
    /// The kind.
    pub kind: Kind,
    /// When the event was lost, by the API server's clock.
    pub from: Timestamp,
    /// When the kind was listed again; `None`: it has not been yet.
    pub until: Option<Timestamp>,
}

impl SandboxCluster {
    /// A handle for the daemon `id`. `truth` is the world's clock, from which the API server takes the time.
    #[must_use]
    pub fn new(world: Arc<Mutex<World>>, id: &str, truth: SandboxClock, seed: u64) -> Self {
        let inner = Inner {
            world,
            id: Arc::from(id),
            truth,
            faults: Mutex::new(Faults::new(seed)),
            date: Mutex::default(),
            pages: Mutex::default(),
            deaf: Mutex::default(),
            turned: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The name of the handle in the history.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The world behind it, with its clock moved to the present.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.inner.world()
    }

    /// The world behind it, for another handle.
    #[must_use]
    pub fn world_shared(&self) -> Arc<Mutex<World>> {
        Arc::clone(&self.inner.world)
    }

    /// From now on this much goes wrong between this daemon and the API server.
    pub fn set_faults(&self, levels: Levels) {
        self.inner.faults().set_levels(levels);
        self.inner.turned.notify_waiters();
    }

    /// The next call of this kind meets this fate.
    pub fn script(&self, call: Call, fate: Fate) {
        self.inner.faults().script(call, fate);
    }

    /// The process dies at the call after so many others: before it, or after its effect. From then on no call returns, and
    /// whoever owns the tasks should drop them.
    pub fn crash_after(&self, calls: u32, effect: bool) {
        self.inner.faults().crash_after(calls, effect);
    }

    /// The process dies now.
    pub fn kill(&self) {
        self.inner.faults().kill();
    }

    /// Whether it has died.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.inner.faults().crashed()
    }

    /// Whenever a watch has missed something.
    #[must_use]
    pub fn deafness(&self) -> Vec<Deafness> {
        lock(&self.inner.deaf).clone()
    }

    /// One call: its fate, its effect on the world, its answer.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut World, &Issue) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let inner = &self.inner;
        let issue = inner.world().issue(Actor::Daemon(Arc::clone(&inner.id)));
        let fate = inner.faults().fate(call);
        match fate {
            Fate::Through => inner.answer(effect(&mut inner.world(), &issue)),
            Fate::Slow(before, after) => {
                inner.wait(before).await;
                let result = effect(&mut inner.world(), &issue);
                inner.wait(after).await;
                inner.answer(result)
            }
            Fate::Refused(error) => inner.answer(Err(error)),
            Fate::LostRequest(patience) => inner.give_up(patience).await,
            Fate::LostAnswer(patience) => {
                drop(effect(&mut inner.world(), &issue));
                inner.give_up(patience).await
            }
            Fate::Straggler(patience, late) => {
                let inner = Arc::clone(inner);
                let sender = Arc::clone(&self.inner);
                tokio::spawn(async move {
                    inner.wait(late).await;
                    drop(effect(&mut inner.world(), &issue));
                });
                sender.give_up(patience).await
            }
            Fate::Crash(effective) => {
                if effective {
                    drop(effect(&mut inner.world(), &issue));
                }
                std::future::pending().await
            }
        }
    }
}

impl Inner {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = lock(&self.world);
        world.advance_to(self.truth.now());
        world
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// A watch of this kind has missed something (`false`), or a list has made up for it (`true`).
    pub(super) fn hears(&self, kind: Kind, all: bool) {
        let now = self.truth.now();
        let mut deaf = lock(&self.deaf);
        let open = deaf.iter_mut().find(|deafness| deafness.kind == kind && deafness.until.is_none());
        match open {
            Some(deafness) if all => deafness.until = Some(now),
            None if !all => deaf.push(Deafness { kind, from: now, until: None }),
            _ => {}
        }
    }

    pub(super) async fn wait(&self, time: Duration) {
        tokio::time::sleep(self.truth.real(time)).await;
    }

    async fn give_up<T>(&self, patience: Duration) -> Result<T, ApiError> {
        self.wait(patience).await;
        Err(ApiError::Unavailable("operation timed out".to_owned()))
    }

    /// Every answer, an error too, may carry a `Date`.
    pub(super) fn answer<T>(&self, result: Result<T, ApiError>) -> Result<T, ApiError> {
        let wrong = self.faults().date();
        if let Some(wrong) = wrong {
            let second = Timestamp::from_second(self.truth.now().as_second()).unwrap_or(Timestamp::MIN);
            let date = second.checked_add(wrong).unwrap_or(second);
            *lock(&self.date) = Some((date, Instant::now()));
        }
        result
    }

    fn first_page(&self, world: &mut World, kind: Kind, quorum: bool) -> Result<Page, ApiError> {
        let stale = if quorum { 0 } else { self.faults().staleness() };
        let version = world.version().saturating_sub(stale).max(world.shelf(kind)?.compacted);
        let selected = |object: &Arc<Value>| selected(kind, object);
        let mut objects = if version < world.version() { world.objects_at(kind, version) } else { world.objects(kind).cloned().collect() };
        objects.retain(selected);
        self.hears(kind, true);
        Ok(self.page(kind, objects, version))
    }

    fn further_page(&self, kind: Kind, token: &str) -> Result<Page, ApiError> {
        let cut = self.faults().cuts_list();
        let rest = token.parse().ok().and_then(|token: u64| lock(&self.pages).remove(&token));
        let (objects, version) = rest.filter(|_| !cut).ok_or(ApiError::Expired)?;
        Ok(self.page(kind, objects, version))
    }

    fn page(&self, kind: Kind, mut objects: Vec<Arc<Value>>, version: u64) -> Page {
        let size = self.faults().page(PAGE).min(objects.len());
        let rest = objects.split_off(size);
        let items = objects.iter().map(|object| trimmed(kind, object)).collect();
        let mut pages = lock(&self.pages);
        let token = pages.last_key_value().map_or(1, |(token, _)| token.saturating_add(1));
        let next = (!rest.is_empty()).then(|| token.to_string());
        if next.is_some() {
            pages.insert(token, (rest, version));
        }
        Page { items, next, resource_version: version.to_string() }
    }
}

/// Whether a list or a watch of the kind tells of an object.
pub(super) fn selected(kind: Kind, object: &Value) -> bool {
    json::selected(object, kind.selector()) && kind.only().is_none_or(|name| json::text(object, "/metadata/name") == name)
}

/// What a list or a watch of the kind sends of an object.
pub(super) fn trimmed(kind: Kind, object: &Value) -> Value {
    if kind.metadata_only() { json!({"metadata": object.get("metadata")}) } else { object.clone() }
}

/// Nothing in here panics while it holds a lock, and if a test does, the world is still the world.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster for SandboxCluster {
    fn list(&self, kind: Kind, page: Option<String>, quorum: bool) -> BoxFuture<'_, Result<Page, ApiError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(self.call(Call::List, move |world, _| match page {
            None => inner.first_page(world, kind, quorum),
            Some(token) => inner.further_page(kind, &token),
        }))
    }

    fn watch(&self, kind: Kind, resource_version: String) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
        watch::stream(Arc::clone(&self.inner), kind, &resource_version)
    }

    fn get<'a>(&'a self, kind: Kind, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Value>, ApiError>> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Box::pin(self.call(Call::Get, move |world, _| {
            world.shelf(kind)?;
            Ok(world.get(kind, &namespace, &name).map(|object| Value::clone(object)))
        }))
    }

    fn delete<'a>(&'a self, pin: &'a Pin) -> BoxFuture<'a, Result<(), ApiError>> {
        let pin = pin.clone();
        Box::pin(self.call(Call::Delete, move |world, issue| {
            world.delete(issue, pin.kind, (&pin.namespace, &pin.name), Some((&pin.uid, &pin.resource_version)))
        }))
    }

    fn annotate<'a>(&'a self, pin: &'a Pin, changes: &'a BTreeMap<&'static str, Option<String>>) -> BoxFuture<'a, Result<(), ApiError>> {
        let (pin, changes) = (pin.clone(), changes.clone());
        Box::pin(self.call(Call::Annotate, move |world, issue| {
            world.change(issue, pin.kind, (&pin.namespace, &pin.name), Some((&pin.uid, &pin.resource_version)), |object| {
                for (key, value) in changes {
                    json::set(object, &["metadata", "annotations"], key, value.map(Value::from));
                }
            })
        }))
    }

    fn create(&self, kind: Kind, object: Value) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(self.call(Call::Create, move |world, issue| world.create(issue, kind, object).map(drop)))
    }

    fn set_status<'a>(&'a self, pin: &'a Pin, status: &'a Value) -> BoxFuture<'a, Result<(), ApiError>> {
        let (pin, status) = (pin.clone(), status.clone());
        Box::pin(self.call(Call::SetStatus, move |world, issue| {
            world.change(issue, pin.kind, (&pin.namespace, &pin.name), Some((&pin.uid, &pin.resource_version)), |object| {
                json::set(object, &[], "status", Some(status));
            })
        }))
    }

    fn apply<'a>(&'a self, kind: Kind, object: &'a Value, pin: Option<&'a Pin>) -> BoxFuture<'a, Result<(), ApiError>> {
        let (object, pin) = (object.clone(), pin.cloned());
        Box::pin(self.call(Call::Apply, move |world, issue| {
            let Some(pin) = pin else { return world.create(issue, kind, object).map(drop) };
            world.change(issue, pin.kind, (&pin.namespace, &pin.name), Some((&pin.uid, &pin.resource_version)), |there| {
                for map in ["labels", "annotations"] {
                    for (key, value) in object.pointer(&format!("/metadata/{map}")).and_then(Value::as_object).into_iter().flatten() {
                        json::set(there, &["metadata", map], key, Some(value.clone()));
                    }
                }
                json::set(there, &[], "spec", object.get("spec").cloned());
            })
        }))
    }

    fn note<'a>(&'a self, note: &'a Note) -> BoxFuture<'a, Result<(), ApiError>> {
        let note = note.clone();
        Box::pin(self.call(Call::Note, move |world, issue| {
            world.write_note(issue, &note);
            Ok(())
        }))
    }

    fn read_state<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>, ApiError>> {
        let name = name.to_owned();
        Box::pin(self.call(Call::ReadState, move |world, _| Ok(world.state(&name))))
    }

    fn write_state<'a>(&'a self, name: &'a str, data: BTreeMap<String, String>, version: Option<&'a str>) -> BoxFuture<'a, Result<Stored, ApiError>> {
        let (name, version) = (name.to_owned(), version.map(str::to_owned));
        Box::pin(self.call(Call::WriteState, move |world, issue| world.write_state(issue, &name, data, version.as_deref())))
    }

    fn read_lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<LeaseRecord>, ApiError>> {
        let name = name.to_owned();
        Box::pin(self.call(Call::ReadLease, move |world, _| Ok(world.lease(&name))))
    }

    fn write_lease<'a>(&'a self, name: &'a str, record: &'a LeaseRecord) -> BoxFuture<'a, Result<LeaseRecord, ApiError>> {
        let (name, record) = (name.to_owned(), record.clone());
        Box::pin(self.call(Call::WriteLease, move |world, issue| world.write_lease(issue, &name, &record)))
    }

    fn skew(&self, now: Timestamp) -> Option<SignedDuration> {
        let (date, arrived) = (*lock(&self.inner.date))?;
        let passed = self.inner.truth.since(arrived);
        let passed = SignedDuration::try_from(passed).ok().filter(|passed| *passed <= SignedDuration::from_mins(1))?;
        Some(now.duration_since(date.checked_add(passed).ok()?))
    }
}
