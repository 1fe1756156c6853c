//! A vault in memory: one Secret, two webhook configurations, compare-and-swap as the API server does it. And an identity for
//! callers, with whoever trusts it.

use super::{Identity, tests};
use crate::ports::{ApiError, CloneSecret, HookBundles, HookKind, Secrets, StoredSecret, Vault};
use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Default)]
pub(crate) struct FakeVault(Mutex<Held>);

#[derive(Default)]
pub(crate) struct Held {
    /// The Secret, if there is one.
    pub(crate) secret: Option<StoredSecret>,
    /// The webhook configurations.
    pub(crate) hooks: Vec<HookBundles>,
    /// What every call fails with.
    pub(crate) trouble: Option<ApiError>,
    /// How far the daemon's clock is ahead.
    pub(crate) lead: Option<SignedDuration>,
    /// How often the Secret was written.
    pub(crate) writes: usize,
    /// How often a `caBundle` was written.
    pub(crate) patches: usize,
    version: u64,
}

impl Held {
    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// What anybody else writes.
    pub(crate) fn put(&mut self, data: BTreeMap<String, Vec<u8>>) {
        let resource_version = self.next();
        self.secret = Some(StoredSecret { resource_version, data });
    }

    /// Registers webhooks, as a manifest without a `caBundle` does.
    pub(crate) fn register(&mut self, kind: HookKind, webhooks: usize) {
        let resource_version = self.next();
        self.hooks.push(HookBundles { kind, name: "clonewarden".to_owned(), resource_version, bundles: vec![Vec::new(); webhooks] });
    }

    fn works(&self) -> Result<(), ApiError> {
        self.trouble.clone().map_or(Ok(()), Err)
    }

    fn write(&mut self, data: BTreeMap<String, Vec<u8>>, version: Option<&str>) -> Result<StoredSecret, ApiError> {
        self.works()?;
        if self.secret.as_ref().map(|secret| secret.resource_version.as_str()) != version {
            return Err(ApiError::Conflict("another version".to_owned()));
        }
        self.put(data);
        self.writes += 1;
        self.secret.clone().ok_or(ApiError::NotFound)
    }

    fn patch(&mut self, seen: &HookBundles, bundle: &[u8]) -> Result<(), ApiError> {
        self.works()?;
        let version = self.next();
        let hook = self.hooks.iter_mut().find(|hook| hook.kind == seen.kind && hook.name == seen.name).ok_or(ApiError::NotFound)?;
        if hook.resource_version != seen.resource_version {
            return Err(ApiError::Conflict("another version".to_owned()));
        }
        hook.resource_version = version;
        hook.bundles.fill(bundle.to_vec());
        self.patches += 1;
        Ok(())
    }
}

impl FakeVault {
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Secrets for FakeVault {
    fn read_secret<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<Option<StoredSecret>, ApiError>> {
        async move {
            let held = self.held();
            held.works()?;
            Ok(held.secret.clone())
        }
        .boxed()
    }

    fn write_secret<'a>(
        &'a self,
        _name: &'a str,
        data: BTreeMap<String, Vec<u8>>,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<StoredSecret, ApiError>> {
        async move { self.held().write(data, version) }.boxed()
    }

    fn make_secret<'a>(&'a self, _secret: &'a CloneSecret) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async { Err(ApiError::Forbidden("no clone lives here".to_owned())) })
    }
}

impl Vault for FakeVault {
    fn ca_bundles<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<HookBundles>, ApiError>> {
        async move {
            let held = self.held();
            held.works()?;
            Ok(held.hooks.iter().filter(|hook| hook.name == name).cloned().collect())
        }
        .boxed()
    }

    fn patch_ca_bundle<'a>(&'a self, seen: &'a HookBundles, bundle: &'a [u8]) -> BoxFuture<'a, Result<(), ApiError>> {
        async move { self.held().patch(seen, bundle) }.boxed()
    }

    fn lead(&self, _now: Timestamp) -> Option<SignedDuration> {
        self.held().lead
    }
}

/// An identity for callers, under the name `127.0.0.1`, and a client that trusts it.
pub(crate) fn callers_identity() -> (std::sync::Arc<Identity>, tokio_rustls::TlsConnector) {
    let now = Timestamp::now();
    let material = tests::fresh(now).material().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    for ca in super::x509::certificates(&material.ca, super::CA).unwrap() {
        roots.add(ca).unwrap();
    }
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let identity = Identity::for_callers(&material.certificate, &material.key, now).unwrap();
    (std::sync::Arc::new(identity), std::sync::Arc::new(client).into())
}
