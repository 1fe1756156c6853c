//! What is written to the Kubernetes API server. Every write says which form of an object it is about, is sent once, and has
//! ended or failed within [`WRITE`].
//!
//! The verbs that RBAC has to allow: `delete` and `patch` on what is governed, `create` on `orphans`, `patch` and `update`
//! on `orphans/status`, `create` on `events`, `create`, `patch` and `delete` on our `resourcequotas` and `limitranges`; in the own
//! namespace `get`, `create` and `update` on `configmaps` and `leases`. For the webhook's certificate: see [`super::secrets`].

mod apply;

pub(crate) use apply::apply;

use crate::{
    model::{Kind, names},
    observe::kube::{Body, Call, LEASE, Transport, WRITE, answer::Problem, collection, in_namespace, lease_from, object, parse, refused, state_from},
    ports::{ApiError, EventType, LeaseRecord, Note, Pin, Stored},
};
use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// How we are called where the server wants to know who writes.
const OURSELVES: &str = "clonewarden";
/// How much of its message an Event may carry, in bytes.
const MESSAGE: usize = 1024;

/// Deletes exactly the pinned object; what it owns goes in the background.
///
/// A Job goes after its Pods. A clone's Job has the finalizer by which the garbage collector does that, and asked to take it off,
/// as `Background` does, the API server loses the version that it is to compare: to it every such delete is a conflict, for ever.
pub(crate) async fn delete(api: &Transport, pin: &Pin) -> Result<(), Problem> {
    let path = pinned(pin)?;
    let policy = if pin.kind == Kind::Job { "Foreground" } else { "Background" };
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": policy,
        "preconditions": {"uid": pin.uid, "resourceVersion": pin.resource_version},
    });
    api.ask(Call::write("delete", pin.kind.plural(), path, Body::Json(options), WRITE)).await?;
    Ok(())
}

/// Sets or removes annotations of exactly the pinned object: a version that is not its own is a conflict, and so is a UID.
pub(crate) async fn annotate(api: &Transport, pin: &Pin, changes: &BTreeMap<&'static str, Option<String>>) -> Result<(), ApiError> {
    let path = pinned(pin)?;
    let patch = json!({"metadata": {"uid": pin.uid, "resourceVersion": pin.resource_version, "annotations": changes}});
    patch_pinned(api, pin.kind, path, patch, WRITE).await
}

/// Creates an `Orphan` or a `CloneUsage`, then its status. An earlier attempt may have come no further than the first step: an object that is
/// the same and has no status is completed, any other one that is there already is a conflict.
pub(crate) async fn create(api: &Transport, kind: Kind, mut wanted: Value) -> Result<(), ApiError> {
    if !matches!(kind, Kind::Orphan | Kind::Usage) {
        return Err(refused("only objects of our own are created"));
    }
    let until = Instant::now() + WRITE;
    let name = text(&wanted, "/metadata/name").to_owned();
    let path = object(kind, "", &name)?;
    let status = wanted.as_object_mut().and_then(|fields| fields.shift_remove("status"));
    let spec = wanted.get("spec").cloned();
    let call = Call::write("create", kind.plural(), collection(kind), Body::Json(wanted), WRITE);
    let made: Value = match (api.ask(call).await.map_err(ApiError::from), &status) {
        (Ok(answer), _) => parse(&answer)?,
        (Err(conflict @ ApiError::Conflict(_)), Some(_)) => {
            let call = Call::read("get", kind.plural(), path.clone()).within(until.saturating_duration_since(Instant::now()));
            let there: Value = parse(&api.ask(call).await?)?;
            if there.get("status").is_some_and(|status| *status != json!({})) || there.get("spec") != spec.as_ref() {
                return Err(conflict);
            }
            there
        }
        (Err(error), _) => return Err(error),
    };
    let Some(status) = status else { return Ok(()) };
    let (uid, version) = (text(&made, "/metadata/uid"), text(&made, "/metadata/resourceVersion"));
    let patch = json!({"metadata": {"uid": uid, "resourceVersion": version}, "status": status});
    patch_pinned(api, kind, format!("{path}/status"), patch, until.saturating_duration_since(Instant::now())).await
}

/// Replaces the status of exactly the pinned object. The server takes nothing but the status of what is sent to this address.
pub(crate) async fn set_status(api: &Transport, pin: &Pin, status: &Value) -> Result<(), ApiError> {
    if !matches!(pin.kind, Kind::Orphan | Kind::Usage) {
        return Err(refused("only the status of objects of our own is written"));
    }
    let path = pinned(pin)?;
    let body = json!({
        "apiVersion": pin.kind.api_version(),
        "kind": pin.kind.name(),
        "metadata": {"name": pin.name, "uid": pin.uid, "resourceVersion": pin.resource_version},
        "status": status,
    });
    api.ask(Call::write("update", pin.kind.plural(), format!("{path}/status"), Body::Json(body), WRITE)).await?;
    Ok(())
}

/// Writes an Event beside the object that it is about; in `default` if that has no namespace.
pub(crate) async fn note(api: &Transport, note: &Note) -> Result<(), ApiError> {
    let about = &note.about;
    let namespace = if about.namespace.is_empty() { "default" } else { &about.namespace };
    let path = in_namespace("/api/v1", namespace, "events", None)?;
    let mut involved = Map::new();
    let fields = [
        ("apiVersion", about.kind.api_version()),
        ("kind", about.kind.name().to_owned()),
        ("namespace", about.namespace.clone()),
        ("name", about.name.clone()),
        ("uid", about.uid.clone()),
        ("resourceVersion", about.resource_version.clone()),
    ];
    involved.extend(fields.into_iter().filter(|(_, text)| !text.is_empty()).map(|(field, text)| (field.to_owned(), Value::String(text))));
    let revision = [(names::POLICY_REVISION, Some(&note.revision.hash)), (names::POLICY_COMMIT, note.revision.commit.as_ref())];
    let annotations: BTreeMap<_, _> = revision.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
    let at = format!("{:.0}", note.at);
    // No `eventTime`: with it the server holds an Event to the rules of the newer API, and `kubectl get events` shows no age.
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": note.name, "namespace": namespace, "annotations": annotations},
        "involvedObject": involved,
        "type": match note.event_type { EventType::Normal => "Normal", EventType::Warning => "Warning" },
        "reason": note.reason,
        "action": note.action,
        "message": note.message.get(..note.message.floor_char_boundary(MESSAGE)),
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": OURSELVES},
        "reportingComponent": OURSELVES,
    });
    match api.ask(Call::write("create", "events", path, Body::Json(event), WRITE)).await {
        // The name says which event it is: one that is there is this one.
        Ok(_) => Ok(()),
        Err(problem) if matches!(problem.error, ApiError::Conflict(_)) => Ok(()),
        Err(problem) => Err(problem.into()),
    }
}

/// Creates the `ConfigMap` (no version), or replaces exactly the version that was read.
pub(crate) async fn write_state(
    api: &Transport,
    namespace: &str,
    name: &str,
    data: BTreeMap<String, String>,
    version: Option<&str>,
) -> Result<Stored, ApiError> {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": own(namespace, name), "data": data});
    let place = Place { prefix: "/api/v1", namespace, resource: "configmaps", name };
    state_from(&swap(api, &place, body, version, WRITE).await?)
}

/// Creates the `Lease` (no version in the record), or replaces exactly the version that was read. Where somebody has deleted
/// it since, the server creates it again: for a `Lease`, and for nothing else here, an update may do that. Still only one of
/// several writers succeeds: for the others there is then another version, or an object that exists already.
pub(crate) async fn write_lease(api: &Transport, namespace: &str, name: &str, record: &LeaseRecord) -> Result<LeaseRecord, ApiError> {
    let mut spec = Map::new();
    if !record.holder.is_empty() {
        spec.insert("holderIdentity".to_owned(), record.holder.as_str().into());
    }
    spec.insert("leaseDurationSeconds".to_owned(), whole_seconds(record.duration).into());
    spec.insert("leaseTransitions".to_owned(), record.transitions.into());
    let times = [("acquireTime", record.acquired), ("renewTime", record.renewed)];
    spec.extend(times.into_iter().filter_map(|(field, at)| Some((field.to_owned(), micro_time(at?).into()))));
    let mut metadata = own(namespace, name);
    if let Some(fields) = metadata.as_object_mut().filter(|_| !record.address.is_empty()) {
        fields.insert("annotations".to_owned(), json!({names::ADDRESS: record.address}));
    }
    let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec});
    let place = Place { prefix: "/apis/coordination.k8s.io/v1", namespace, resource: "leases", name };
    let version = Some(record.resource_version.as_str()).filter(|version| !version.is_empty());
    lease_from(&swap(api, &place, body, version, LEASE).await?)
}

/// Where one of our own objects is.
pub(super) struct Place<'a> {
    pub(super) prefix: &'static str,
    pub(super) namespace: &'a str,
    pub(super) resource: &'static str,
    pub(super) name: &'a str,
}

/// Compare and swap. An empty version would replace whatever is there: it is not sent.
pub(super) async fn swap(api: &Transport, place: &Place<'_>, mut body: Value, version: Option<&str>, limit: Duration) -> Result<Bytes, ApiError> {
    let Place { prefix, namespace, resource, name } = *place;
    let one = in_namespace(prefix, namespace, resource, Some(name))?;
    let call = match version {
        Some("") => return Err(refused("without the version that was read")),
        Some(version) => {
            if let Some(metadata) = body.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                metadata.insert("resourceVersion".to_owned(), version.into());
            }
            Call::write("update", resource, one, Body::Json(body), limit)
        }
        None => Call::write("create", resource, in_namespace(prefix, namespace, resource, None)?, Body::Json(body), limit),
    };
    Ok(api.ask(call).await?)
}

async fn patch_pinned(api: &Transport, kind: Kind, path: String, patch: Value, limit: Duration) -> Result<(), ApiError> {
    match api.ask(Call::write("patch", kind.plural(), path, Body::Merge(patch), limit)).await {
        Ok(_) => Ok(()),
        // A UID that is not the object's own is "invalid" to the server where the version fits; to us it is another object.
        Err(problem) if problem.is_another_uid() => Err(ApiError::Conflict("the object has another uid".to_owned())),
        Err(problem) => Err(problem.into()),
    }
}

/// Where a pinned object is. Half a pin would let the server take whatever it finds there.
fn pinned(pin: &Pin) -> Result<String, ApiError> {
    if pin.uid.is_empty() || pin.resource_version.is_empty() {
        return Err(refused("without the uid and the version of what was judged"));
    }
    object(pin.kind, &pin.namespace, &pin.name)
}

pub(super) fn own(namespace: &str, name: &str) -> Value {
    json!({"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": OURSELVES}})
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Rounded up, and at least one: the API takes nothing less.
fn whole_seconds(time: Duration) -> i32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX).max(1)
}

/// A `MicroTime`: exactly six digits of a second.
fn micro_time(at: Timestamp) -> String {
    format!("{at:.6}")
}

#[cfg(test)]
mod tests;
