//! What is written of secrets: our own Secrets with the webhook's certificate and the key of the clones' credentials, a clone's
//! Secret, and `caBundle` in the webhook configurations.
//!
//! The verbs that RBAC has to allow: in the own namespace `create` on `secrets`, `get` on the two of ours and `update` on the one
//! with the certificate; `create` on `secrets` where clones live; `get` and `patch` on the two webhook configurations of ours.

use super::kube::{Place, own, swap};
use crate::{
    observe::kube::{ADMISSION, Body, Call, Transport, WRITE, in_cluster, in_namespace, refused, secret_from},
    ports::{ApiError, CloneSecret, HookBundles, StoredSecret},
};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Creates the Secret (no version), or replaces exactly the version that was read.
pub(crate) async fn write_secret(
    api: &Transport,
    namespace: &str,
    name: &str,
    data: BTreeMap<String, Vec<u8>>,
    version: Option<&str>,
) -> Result<StoredSecret, ApiError> {
    let data: BTreeMap<_, _> = data.into_iter().map(|(key, bytes)| (key, ByteString(bytes))).collect();
    // A Secret of another type, made by hand, is refused by the server: the type of a Secret cannot change.
    let body = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": own(namespace, name), "data": data});
    let place = Place { prefix: "/api/v1", namespace, resource: "secrets", name };
    secret_from(&swap(api, &place, body, version, WRITE).await?)
}

/// Creates the Secret of a clone. It goes when the clone does: the garbage collector sees to that, by UID.
pub(crate) async fn make_secret(api: &Transport, secret: &CloneSecret) -> Result<(), ApiError> {
    let owner = &secret.owner;
    if owner.uid.is_empty() {
        return Err(refused("without the uid of the clone that it is for"));
    }
    let data: BTreeMap<_, _> = secret.data.iter().map(|(key, text)| (*key, ByteString(text.reveal().as_bytes().to_vec()))).collect();
    let mut metadata = own(&owner.namespace, &secret.name);
    if let Some(fields) = metadata.as_object_mut() {
        let reference = json!({"apiVersion": owner.kind.api_version(), "kind": owner.kind.name(), "name": owner.name, "uid": owner.uid});
        fields.insert("ownerReferences".to_owned(), json!([reference]));
    }
    let body = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data});
    let path = in_namespace("/api/v1", &owner.namespace, "secrets", None)?;
    match api.ask(Call::write("create", "secrets", path, Body::Json(body), WRITE)).await {
        Ok(_) => Ok(()),
        Err(problem) if problem.is_there_already() => Ok(()),
        Err(problem) => Err(problem.into()),
    }
}

/// Sets every `caBundle` of exactly the configuration that was read. A JSON patch touches nothing else; it knows webhooks by
/// their places, so it carries the version in which they had those, and any other is a conflict.
pub(crate) async fn patch_ca_bundle(api: &Transport, seen: &HookBundles, bundle: &[u8]) -> Result<(), ApiError> {
    if seen.resource_version.is_empty() {
        return Err(refused("without the version that was read"));
    }
    let bundle = ByteString(bundle.to_vec());
    let version = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": seen.resource_version});
    let bundles =
        (0..seen.bundles.len()).map(|place| json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle}));
    let patch: Vec<Value> = [version].into_iter().chain(bundles).collect();
    let path = in_cluster(ADMISSION, seen.kind.plural(), &seen.name)?;
    api.ask(Call::write("patch", seen.kind.plural(), path, Body::Patch(Value::Array(patch)), WRITE)).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
