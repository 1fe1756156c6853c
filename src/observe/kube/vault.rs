//! Our own Secret and the webhook configurations, as the API server sends them. What writes them is in `act/secrets.rs`.
//!
//! Nothing that was read here is ever quoted: an answer that does not parse is told by line and column.

use super::{Call, KubeCluster, WRITE, in_cluster, in_namespace, parse};
use crate::ports::{ApiError, CloneSecret, HookBundles, HookKind, Secrets, StoredSecret, Vault};
use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use serde::Deserialize;
use std::{collections::BTreeMap, time::Instant};

/// Where webhook configurations are.
pub(crate) const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

#[derive(Deserialize)]
struct Versioned {
    #[serde(rename = "resourceVersion")]
    resource_version: String,
}

#[derive(Deserialize)]
struct Secret {
    metadata: Versioned,
    #[serde(default)]
    data: Option<BTreeMap<String, ByteString>>,
}

#[derive(Deserialize)]
struct Configuration {
    metadata: Versioned,
    #[serde(default)]
    webhooks: Option<Vec<Webhook>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    client_config: ClientConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientConfig {
    #[serde(default)]
    ca_bundle: Option<ByteString>,
}

/// Reads a Secret.
pub(crate) fn secret_from(answer: &[u8]) -> Result<StoredSecret, ApiError> {
    let Secret { metadata, data } = parse(answer)?;
    let data = data.unwrap_or_default().into_iter().map(|(key, ByteString(bytes))| (key, bytes)).collect();
    Ok(StoredSecret { resource_version: metadata.resource_version, data })
}

impl Secrets for KubeCluster {
    fn read_secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<StoredSecret>, ApiError>> {
        async move {
            let path = in_namespace("/api/v1", &self.namespace, "secrets", Some(name))?;
            self.read(&self.api, Call::read("get", "secrets", path).within(WRITE), ("", "secrets", name), secret_from).await
        }
        .boxed()
    }

    fn write_secret<'a>(
        &'a self,
        name: &'a str,
        data: BTreeMap<String, Vec<u8>>,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<StoredSecret, ApiError>> {
        crate::act::secrets::write_secret(&self.api, &self.namespace, name, data, version).boxed()
    }

    fn make_secret<'a>(&'a self, secret: &'a CloneSecret) -> BoxFuture<'a, Result<(), ApiError>> {
        crate::act::secrets::make_secret(&self.api, secret).boxed()
    }
}

impl Vault for KubeCluster {
    fn ca_bundles<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<HookBundles>, ApiError>> {
        async move {
            let mut found = Vec::new();
            for kind in HookKind::ALL {
                let call = Call::read("get", kind.plural(), in_cluster(ADMISSION, kind.plural(), name)?).within(WRITE);
                let about = ("admissionregistration.k8s.io", kind.plural(), name);
                let Some(configuration) = self.read(&self.api, call, about, parse::<Configuration>).await? else { continue };
                let bundle = |webhook: Webhook| webhook.client_config.ca_bundle.map(|ByteString(bytes)| bytes).unwrap_or_default();
                found.push(HookBundles {
                    kind,
                    name: name.to_owned(),
                    resource_version: configuration.metadata.resource_version,
                    bundles: configuration.webhooks.unwrap_or_default().into_iter().map(bundle).collect(),
                });
            }
            Ok(found)
        }
        .boxed()
    }

    fn patch_ca_bundle<'a>(&'a self, seen: &'a HookBundles, bundle: &'a [u8]) -> BoxFuture<'a, Result<(), ApiError>> {
        crate::act::secrets::patch_ca_bundle(&self.api, seen, bundle).boxed()
    }

    fn lead(&self, now: Timestamp) -> Option<SignedDuration> {
        self.api.clock.skew(now, Instant::now())
    }
}
