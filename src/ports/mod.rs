//! The narrow traits between the daemon and the world. `observe` and `act` hold the real implementations, `sandbox` the ones
//! in memory; everything else sees only these.

mod autoscalers;
mod billing;
mod cloud;
mod figures;
mod guarded;
mod host;
mod review;

pub use autoscalers::Autoscalers;
pub use billing::{BillPage, BillQuestion, Billing};
pub use cloud::{Cloud, CloudError, Farewell, Kin, NoCloud, Sweep};
pub use figures::{Datum, FigureStore, Measure, PutError, Said, SeriesId};
pub use guarded::{Guard, Guarded};
pub use host::{DatabaseHost, HostError, NoHosts};
pub use review::{Asker, Reviewer};

use crate::model::{Kind, credentials::SecretText};
use crate::policy::Revision;
use futures::{future::BoxFuture, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Our own clock. Time that passes for the product passes through here, so that tests and the demo can turn it.
pub trait Clock: Send + Sync + 'static {
    /// The present moment by this machine's clock (UTC). It may be wrong: see [`Cluster::skew`].
    fn now(&self) -> Timestamp;

    /// Waits for this long, measured monotonically.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
}

/// Why a call to the API server did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 404: there is no such object, or no such resource.
    #[error("not found")]
    NotFound,
    /// 409: the object is not the one that was judged, or it exists already.
    #[error("conflict: {0}")]
    Conflict(String),
    /// 410: the resourceVersion to continue from is too old; list again.
    #[error("resource version expired")]
    Expired,
    /// 401 or 403, with the server's words.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// Another answer that will not get better by itself.
    #[error("refused ({code}): {message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// No answer, a broken one, 429 or 5xx. What was asked may have happened all the same.
    #[error("no answer: {0}")]
    Unavailable(String),
}

/// One page of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The objects, as JSON. An element that is not what was asked for is somebody else's problem, not a failed list.
    pub items: Vec<Value>,
    /// Where to continue; `None`: this was the last page.
    pub next: Option<String>,
    /// The version of the list, from which a watch goes on.
    pub resource_version: String,
}

/// Something that a watch says.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// An object is there, new or changed.
    Applied(Value),
    /// An object is gone; its last form.
    Deleted(Value),
    /// Nothing happened up to this version: the watch is alive.
    Bookmark(String),
}

/// Which object is meant, and in which form it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The resourceVersion that was judged.
    pub resource_version: String,
}

/// How a Kubernetes Event is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// For information.
    Normal,
    /// A person should look.
    Warning,
}

/// A Kubernetes Event about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// A name that is the same for a repeat of the same event.
    pub name: String,
    /// What it is about.
    pub about: Pin,
    /// Its type.
    pub event_type: EventType,
    /// The reason code.
    pub reason: String,
    /// What was done: `Announce`, `Delete`, …
    pub action: String,
    /// For people.
    pub message: String,
    /// By which policies.
    pub revision: Revision,
    /// When.
    pub at: Timestamp,
}

/// A ConfigMap of our own, by which the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The version to replace it by compare-and-swap.
    pub resource_version: String,
    /// Its data.
    pub data: BTreeMap<String, String>,
}

/// The holder of the lease, as the Lease object says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseRecord {
    /// The version to replace it by compare-and-swap.
    pub resource_version: String,
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// How long a holder that is not heard of keeps it.
    pub duration: Duration,
    /// When it was taken.
    pub acquired: Option<Timestamp>,
    /// When it was last renewed, by the holder's clock. Never compared with ours.
    pub renewed: Option<Timestamp>,
    /// How often it changed hands.
    pub transitions: i32,
    /// Where the holder answers reviews that other replicas hand on; empty: it does not.
    pub address: String,
}

/// The Kubernetes API as far as the daemon uses it. Every call has a timeout of its own.
pub trait Cluster: Send + Sync + 'static {
    /// One page of the objects of a kind, in all namespaces, trimmed by [`Kind::selector`] and [`Kind::metadata_only`].
    /// Lists are never answered from a cache when `quorum` is set.
    fn list(&self, kind: Kind, page: Option<String>, quorum: bool) -> BoxFuture<'_, Result<Page, ApiError>>;

    /// What happens to the objects of a kind from a resourceVersion on. The stream ends when the server ends it.
    fn watch(&self, kind: Kind, resource_version: String) -> BoxStream<'static, Result<WatchEvent, ApiError>>;

    /// One object by a quorum read; `None` if there is none of that name.
    fn get<'a>(&'a self, kind: Kind, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Value>, ApiError>>;

    /// Deletes exactly the pinned object: uid and resourceVersion are preconditions.
    fn delete<'a>(&'a self, pin: &'a Pin) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Sets (`Some`) or removes (`None`) annotations of exactly the pinned object.
    fn annotate<'a>(&'a self, pin: &'a Pin, changes: &'a BTreeMap<&'static str, Option<String>>) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Creates an object of a kind of our own (`Orphan`), with its status; one that exists already is a conflict.
    fn create(&self, kind: Kind, object: Value) -> BoxFuture<'_, Result<(), ApiError>>;

    /// Replaces the status of exactly the pinned object of a kind of our own: what `status` leaves out is gone afterwards.
    fn set_status<'a>(&'a self, pin: &'a Pin, status: &'a Value) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Makes an object of a kind that has a name of our own ([`Kind::only`]) be there as `object` says. Without a pin it is
    /// created, and anything of its name that is there already is a conflict; with one, exactly the pinned object is brought to
    /// say this and, in its spec, nothing else.
    fn apply<'a>(&'a self, kind: Kind, object: &'a Value, pin: Option<&'a Pin>) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Writes an Event. One of the same name that exists already counts as written.
    fn note<'a>(&'a self, note: &'a Note) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Reads a ConfigMap in the daemon's namespace.
    fn read_state<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>, ApiError>>;

    /// Writes a ConfigMap in the daemon's namespace if it still has the version that was read (`None`: if there is none).
    fn write_state<'a>(&'a self, name: &'a str, data: BTreeMap<String, String>, version: Option<&'a str>) -> BoxFuture<'a, Result<Stored, ApiError>>;

    /// Reads a Lease in the daemon's namespace.
    fn read_lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<LeaseRecord>, ApiError>>;

    /// Writes the Lease if it still has the version in the record (empty: if there is none).
    fn write_lease<'a>(&'a self, name: &'a str, record: &'a LeaseRecord) -> BoxFuture<'a, Result<LeaseRecord, ApiError>>;

    /// How far our clock is ahead of the API server's, by the `Date` of its last answer; `None` if no answer of the last
    /// minute carried one.
    fn skew(&self, now: Timestamp) -> Option<SignedDuration>;
}

/// The Secret of a clone, as it is made: `Opaque`, owned by the clone. What it holds is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct CloneSecret {
    /// The clone that it is for, and whose namespace it is in.
    pub owner: Pin,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub data: BTreeMap<&'static str, SecretText>,
}

impl fmt::Debug for CloneSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloneSecret").field("owner", &self.owner).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Our own Secret. What it holds is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The version to replace it by compare-and-swap.
    pub resource_version: String,
    /// Its data, decoded.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSecret").field("resource_version", &self.resource_version).field("keys", &self.data.keys()).finish_non_exhaustive()
    }
}

/// The two kinds of webhook configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// `MutatingWebhookConfiguration`.
    Mutating,
    /// `ValidatingWebhookConfiguration`.
    Validating,
}

impl HookKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mutating, Self::Validating];

    /// The kind, as it stands in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }

    /// The resource, as it stands in a URL.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }
}

/// A webhook configuration: whom the API server trusts for each webhook in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookBundles {
    /// Its kind.
    pub kind: HookKind,
    /// Its name.
    pub name: String,
    /// The version that this was read from.
    pub resource_version: String,
    /// `clientConfig.caBundle` of each webhook in turn, decoded; empty where there is none.
    pub bundles: Vec<Vec<u8>>,
}

/// Our own Secrets, and those that are made for clones: these are never read. Every call has a timeout of its own.
pub trait Secrets: Send + Sync + 'static {
    /// Reads a Secret in the daemon's namespace.
    fn read_secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<StoredSecret>, ApiError>>;

    /// Writes a Secret in the daemon's namespace if it still has the version that was read (`None`: if there is none).
    fn write_secret<'a>(
        &'a self,
        name: &'a str,
        data: BTreeMap<String, Vec<u8>>,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<StoredSecret, ApiError>>;

    /// Creates the Secret of a clone. One of its name that is there already counts as made: the name carries the clone's UID.
    fn make_secret<'a>(&'a self, secret: &'a CloneSecret) -> BoxFuture<'a, Result<(), ApiError>>;
}

/// No Secret is read or made: whoever acts with a person's rights has none of ours.
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn read_secret<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<StoredSecret>, ApiError>> {
        no_secret()
    }

    fn write_secret<'a>(&'a self, _: &'a str, _: BTreeMap<String, Vec<u8>>, _: Option<&'a str>) -> BoxFuture<'a, Result<StoredSecret, ApiError>> {
        no_secret()
    }

    fn make_secret<'a>(&'a self, _: &'a CloneSecret) -> BoxFuture<'a, Result<(), ApiError>> {
        no_secret()
    }
}

fn no_secret<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, ApiError>> {
    Box::pin(std::future::ready(Err(ApiError::Refused { code: 0, message: "no Secret is read or made here".to_owned() })))
}

/// Our own Secrets, and the webhook configurations whose `caBundle` follows one of them. Every call has a timeout of its own.
pub trait Vault: Secrets {
    /// The webhook configurations of this name: of each kind, the one that there is.
    fn ca_bundles<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<HookBundles>, ApiError>>;

    /// Sets the `caBundle` of every webhook in exactly the configuration that was read, and changes nothing else in it.
    fn patch_ca_bundle<'a>(&'a self, seen: &'a HookBundles, bundle: &'a [u8]) -> BoxFuture<'a, Result<(), ApiError>>;

    /// How far our clock is ahead of the API server's: [`Cluster::skew`], for whoever has nothing but a vault.
    fn lead(&self, now: Timestamp) -> Option<SignedDuration>;
}
