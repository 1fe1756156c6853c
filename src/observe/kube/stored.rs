//! Our own `ConfigMap` and `Lease` as the API server sends them. An answer that is neither must not pass for an empty one.

use super::call::parse;
use crate::{
    model::names,
    ports::{ApiError, LeaseRecord, Stored},
};
use jiff::Timestamp;
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

#[derive(Deserialize)]
struct Versioned {
    #[serde(rename = "resourceVersion")]
    resource_version: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct ConfigMap {
    metadata: Versioned,
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Lease {
    metadata: Versioned,
    #[serde(default)]
    spec: Option<LeaseSpec>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LeaseSpec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u64>,
    acquire_time: Option<Timestamp>,
    renew_time: Option<Timestamp>,
    lease_transitions: Option<i32>,
}

/// Reads a `ConfigMap`.
pub(crate) fn state_from(answer: &[u8]) -> Result<Stored, ApiError> {
    let ConfigMap { metadata, data } = parse(answer)?;
    Ok(Stored { resource_version: metadata.resource_version, data: data.unwrap_or_default() })
}

/// Reads a `Lease`.
pub(crate) fn lease_from(answer: &[u8]) -> Result<LeaseRecord, ApiError> {
    let Lease { metadata, spec } = parse(answer)?;
    let spec = spec.unwrap_or_default();
    let address = metadata.annotations.and_then(|mut annotations| annotations.remove(names::ADDRESS));
    Ok(LeaseRecord {
        resource_version: metadata.resource_version,
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(spec.lease_duration_seconds.unwrap_or_default()),
        acquired: spec.acquire_time,
        renewed: spec.renew_time,
        transitions: spec.lease_transitions.unwrap_or_default(),
        address: address.unwrap_or_default(),
    })
}
