//! The Kubernetes API server behind [`Cluster`]: connecting, and everything that reads. What writes is in [`crate::act::kube`].
//!
//! Contract:
//! - A call ends within its limit ([`call::READ`], [`call::WRITE`], [`call::LEASE`]) and is sent once. The client's own retries
//!   are off: for the lease and for writes there must be none, and a list is asked for again by whoever needs it.
//! - Lists are consistent reads, whether the caller insists or not. A list at `resourceVersion=0` would come from a cache that
//!   may lie behind what was seen before (a population that seems to collapse, a child without its owner), and for such a list
//!   the server ignores `limit`, so that all of it would be in memory at once. Since 1.31 the server answers consistent lists
//!   from its cache too, once that has caught up.
//! - Absence is said only where the API server itself says that this very object is not there. A resource that is not served
//!   and an object that does not exist are both a 404; only the second is `None`.
//! - What an answer holds of `managedFields`, and for the kinds of [`Kind::metadata_only`] all but `metadata`, is let go as it
//!   is parsed.

pub(crate) mod answer;
mod autoscalers;
mod call;
pub(crate) mod callers;
mod config;
mod counts;
mod elsewhere;
#[cfg(test)]
pub(crate) mod fake;
mod guard;
pub(crate) mod person;
mod review;
pub(super) mod skew;
mod stored;
mod vault;
mod watch;

pub(crate) use self::{
    call::{Body, Call, LEASE, Transport, WRITE, collection, in_cluster, in_namespace, object, parse, refused},
    stored::{lease_from, state_from},
    vault::{ADMISSION, secret_from},
};
pub use self::{
    config::{default_namespace, in_pod, install_tls},
    counts::{Request, Requests},
};

use crate::{
    model::Kind,
    ports::{ApiError, Cluster, LeaseRecord, Note, Page, Pin, Stored, WatchEvent},
};
use ::kube::Client;
use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// The form of a list of nothing but metadata.
const METADATA_LIST: &str = "PartialObjectMetadataList";

/// How many objects one page of a list holds: what bounds the memory that a list needs.
const PAGE: usize = 500;

/// The cluster that the daemon runs for.
#[derive(Debug, Clone)]
pub struct KubeCluster {
    /// For everything but the lease.
    api: Transport,
    /// For the lease: connections of its own, so that a renewal never waits behind a list or 64 deletes.
    lease: Transport,
    /// Where the lease and the state are kept.
    namespace: String,
}

impl KubeCluster {
    /// Connects by the kubeconfig (`KUBECONFIG`, else `~/.kube/config`) or, where there is none, as the Pod's service account.
    /// Nothing is sent yet. Lease and state are kept in `namespace`, by default in [`default_namespace`].
    ///
    /// # Errors
    /// There is no usable configuration; the message says what is wrong with each.
    pub async fn connect(namespace: Option<&str>) -> anyhow::Result<Self> {
        let config = config::load(None).await?;
        let namespace = match namespace.filter(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => config::namespace(Some(&config)).await,
        };
        tracing::info!(server = config.cluster_url.host(), %namespace, "talking to the Kubernetes API server");
        Ok(Self::over(config::client(&config)?, config::client(&config)?, namespace))
    }

    /// Uses clients that were made elsewhere. They must not retry by themselves.
    #[must_use]
    pub fn over(client: Client, lease: Client, namespace: String) -> Self {
        let api = Transport::new(client);
        let lease = api.by(lease);
        Self { api, lease, namespace }
    }

    /// The namespace of the lease and the state.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What was asked of the API server so far.
    #[must_use]
    pub fn requests(&self) -> Arc<Requests> {
        Arc::clone(&self.api.requests)
    }

    async fn list_page(&self, kind: Kind, page: Option<String>) -> Result<Page, ApiError> {
        let mut call = Call::read("list", kind.plural(), collection(kind)).query("limit", &PAGE.to_string()).selected(kind);
        if let Some(token) = page.filter(|token| !token.is_empty()) {
            call = call.query("continue", &token);
        }
        if kind.metadata_only() {
            call = call.metadata(METADATA_LIST);
        }
        let Listed { kind: form, metadata, items } = parse(&self.api.ask(call).await?)?;
        if metadata.resource_version.is_empty() {
            return Err(ApiError::Unavailable("a list without a resourceVersion".to_owned()));
        }
        let items = match items {
            Some(items) => items,
            None if form == METADATA_LIST => Vec::new(),
            None => return Err(ApiError::Unavailable("a list without items".to_owned())),
        };
        let items = items.into_iter().map(|Lean(item)| trim(kind, item)).collect();
        let next = Some(metadata.next).filter(|token| !token.is_empty());
        Ok(Page { items, next, resource_version: metadata.resource_version })
    }

    async fn get_one(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        let mut call = Call::read("get", kind.plural(), object(kind, namespace, name)?);
        if kind.metadata_only() {
            call = call.metadata("PartialObjectMetadata");
        }
        let answer = match self.api.ask(call).await {
            Ok(answer) => answer,
            Err(problem) if problem.is_absence_of(kind.group(), kind.plural(), name) => return Ok(None),
            Err(problem) => return Err(problem.into()),
        };
        // With its managed fields, unlike a list: they say who made it.
        let found: Value = parse(&answer)?;
        // An answer that is not about this object must pass neither for the object nor for its absence.
        if found.pointer("/metadata/name").and_then(Value::as_str) != Some(name) {
            return Err(ApiError::Unavailable("the answer is another object than the one asked for".to_owned()));
        }
        Ok(Some(trim(kind, found)))
    }

    async fn read<T>(
        &self,
        by: &Transport,
        call: Call,
        (group, resource, name): (&str, &str, &str),
        reader: impl Fn(&[u8]) -> Result<T, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        match by.ask(call).await {
            Ok(answer) => reader(&answer).map(Some),
            Err(problem) if problem.is_absence_of(group, resource, name) => Ok(None),
            Err(problem) => Err(problem.into()),
        }
    }
}

impl Cluster for KubeCluster {
    fn list(&self, kind: Kind, page: Option<String>, _quorum: bool) -> BoxFuture<'_, Result<Page, ApiError>> {
        self.list_page(kind, page).boxed()
    }

    fn watch(&self, kind: Kind, resource_version: String) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
        watch::watch(self.api.clone(), kind, &resource_version)
    }

    fn get<'a>(&'a self, kind: Kind, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Value>, ApiError>> {
        self.get_one(kind, namespace, name).boxed()
    }

    fn delete<'a>(&'a self, pin: &'a Pin) -> BoxFuture<'a, Result<(), ApiError>> {
        async move { Ok(crate::act::kube::delete(&self.api, pin).await?) }.boxed()
    }

    fn annotate<'a>(&'a self, pin: &'a Pin, changes: &'a BTreeMap<&'static str, Option<String>>) -> BoxFuture<'a, Result<(), ApiError>> {
        crate::act::kube::annotate(&self.api, pin, changes).boxed()
    }

    fn create(&self, kind: Kind, object: Value) -> BoxFuture<'_, Result<(), ApiError>> {
        crate::act::kube::create(&self.api, kind, object).boxed()
    }

    fn set_status<'a>(&'a self, pin: &'a Pin, status: &'a Value) -> BoxFuture<'a, Result<(), ApiError>> {
        crate::act::kube::set_status(&self.api, pin, status).boxed()
    }

    fn apply<'a>(&'a self, kind: Kind, object: &'a Value, pin: Option<&'a Pin>) -> BoxFuture<'a, Result<(), ApiError>> {
        crate::act::kube::apply(&self.api, kind, object, pin).boxed()
    }

    fn note<'a>(&'a self, note: &'a Note) -> BoxFuture<'a, Result<(), ApiError>> {
        crate::act::kube::note(&self.api, note).boxed()
    }

    fn read_state<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>, ApiError>> {
        async move {
            let path = in_namespace("/api/v1", &self.namespace, "configmaps", Some(name))?;
            let call = Call::read("get", "configmaps", path);
            self.read(&self.api, call, ("", "configmaps", name), state_from).await
        }
        .boxed()
    }

    fn write_state<'a>(&'a self, name: &'a str, data: BTreeMap<String, String>, version: Option<&'a str>) -> BoxFuture<'a, Result<Stored, ApiError>> {
        crate::act::kube::write_state(&self.api, &self.namespace, name, data, version).boxed()
    }

    fn read_lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<LeaseRecord>, ApiError>> {
        async move {
            let path = in_namespace("/apis/coordination.k8s.io/v1", &self.namespace, "leases", Some(name))?;
            let call = Call::read("get", "leases", path).within(LEASE);
            self.read(&self.lease, call, ("coordination.k8s.io", "leases", name), lease_from).await
        }
        .boxed()
    }

    fn write_lease<'a>(&'a self, name: &'a str, record: &'a LeaseRecord) -> BoxFuture<'a, Result<LeaseRecord, ApiError>> {
        crate::act::kube::write_lease(&self.lease, &self.namespace, name, record).boxed()
    }

    fn skew(&self, now: Timestamp) -> Option<SignedDuration> {
        self.api.clock.skew(now, Instant::now())
    }
}

/// A list as it is sent. A list without `items` is a broken answer, never an empty list; only a list of metadata says `null`
/// where it has none.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    kind: String,
    metadata: ListMeta,
    #[serde(deserialize_with = "Option::deserialize")]
    items: Option<Vec<Lean>>,
}

#[derive(Deserialize)]
struct ListMeta {
    #[serde(default, rename = "resourceVersion")]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

/// An object without its `managedFields`, which go as soon as it is parsed: of a whole page, only one object has them at once.
struct Lean(Value);

impl<'de> Deserialize<'de> for Lean {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.shift_remove("managedFields");
        }
        Ok(Self(value))
    }
}

/// What is kept of an object of this kind.
fn trim(kind: Kind, mut object: Value) -> Value {
    if kind.metadata_only()
        && let Some(fields) = object.as_object_mut()
    {
        fields.retain(|field, _| field == "metadata");
    }
    object
}

#[cfg(test)]
mod tests;
