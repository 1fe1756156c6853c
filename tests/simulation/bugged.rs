//! A [`Cluster`] between the product and the sandbox that does not do what it should: see [`Bug`].

use crate::bugs::Bug;
use clonewarden::{
    model::{Kind, names},
    ports::{ApiError, Cluster, LeaseRecord, Note, Page, Pin, Stored, WatchEvent},
    sandbox::cluster::SandboxCluster,
};
use futures::{
    future::BoxFuture,
    stream::{BoxStream, StreamExt},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) struct Bugged {
    inner: SandboxCluster,
    bug: Bug,
}

impl Bugged {
    pub(crate) fn new(inner: SandboxCluster, bug: Bug) -> Self {
        Self { inner, bug }
    }

    async fn delete_anyhow(&self, pin: &Pin) -> Result<(), ApiError> {
        match self.bug {
            Bug::Unpinned => self.inner.delete(&Pin { resource_version: String::new(), ..pin.clone() }).await,
            Bug::Meddles => {
                let job = self.inner.get(Kind::Job, &pin.namespace, &format!("{}-job", pin.name)).await?;
                if let Some(job) = job {
                    self.inner.delete(&pinned(Kind::Job, &job)).await?;
                }
                self.inner.delete(pin).await
            }
            Bug::Forces => match self.inner.delete(pin).await {
                Err(ApiError::Conflict(_)) => match self.inner.get(pin.kind, &pin.namespace, &pin.name).await? {
                    Some(object) => self.inner.delete(&pinned(pin.kind, &object)).await,
                    None => Ok(()),
                },
                other => other,
            },
            _ => self.inner.delete(pin).await,
        }
    }
}

fn pinned(kind: Kind, object: &Value) -> Pin {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    Pin { kind, namespace: text("namespace"), name: text("name"), uid: text("uid"), resource_version: text("resourceVersion") }
}

impl Cluster for Bugged {
    fn list(&self, kind: Kind, page: Option<String>, quorum: bool) -> BoxFuture<'_, Result<Page, ApiError>> {
        Box::pin(async move {
            let mut found = self.inner.list(kind, page, quorum).await?;
            if self.bug == Bug::IgnoresClaims && quorum && matches!(kind, Kind::DbInstance | Kind::DbCluster) {
                found.items.clear();
            }
            if matches!(self.bug, Bug::IgnoresVeto | Bug::DropsKept) && quorum && kind == Kind::Orphan {
                let annotations = found.items.iter_mut().filter_map(|orphan| orphan.pointer_mut("/metadata/annotations")?.as_object_mut());
                annotations.for_each(|annotations| drop(annotations.remove(names::KEEP)));
            }
            Ok(found)
        })
    }

    fn watch(&self, kind: Kind, resource_version: String) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
        let deaf = self.bug == Bug::DeafWatch && kind == Kind::Clone;
        let hears = move |item: &Result<WatchEvent, ApiError>| std::future::ready(!deaf || !matches!(item, Ok(WatchEvent::Applied(_))));
        self.inner.watch(kind, resource_version).filter(hears).boxed()
    }

    fn get<'a>(&'a self, kind: Kind, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Value>, ApiError>> {
        self.inner.get(kind, namespace, name)
    }

    fn delete<'a>(&'a self, pin: &'a Pin) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(self.delete_anyhow(pin))
    }

    fn annotate<'a>(&'a self, pin: &'a Pin, changes: &'a BTreeMap<&'static str, Option<String>>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let mut changes = changes.clone();
            if let (Bug::TellsAckNothing, Some(skip)) = (self.bug, changes.get_mut(names::ACK_SKIP_SNAPSHOT)) {
                *skip = Some("true".to_owned());
            }
            if self.bug == Bug::Scribbles {
                changes.insert("clonewarden.io/owner", Some("the daemon".to_owned()));
            }
            self.inner.annotate(pin, &changes).await
        })
    }

    fn create(&self, kind: Kind, object: Value) -> BoxFuture<'_, Result<(), ApiError>> {
        self.inner.create(kind, object)
    }

    fn set_status<'a>(&'a self, pin: &'a Pin, status: &'a Value) -> BoxFuture<'a, Result<(), ApiError>> {
        self.inner.set_status(pin, status)
    }

    fn apply<'a>(&'a self, kind: Kind, object: &'a Value, pin: Option<&'a Pin>) -> BoxFuture<'a, Result<(), ApiError>> {
        self.inner.apply(kind, object, pin)
    }

    fn note<'a>(&'a self, note: &'a Note) -> BoxFuture<'a, Result<(), ApiError>> {
        self.inner.note(note)
    }

    fn read_state<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>, ApiError>> {
        Box::pin(async move {
            let mut stored = self.inner.read_state(name).await?;
            if self.bug == Bug::IgnoresPause
                && let Some(text) = stored.as_mut().and_then(|stored| stored.data.get_mut("state.json"))
                && let Ok(mut state) = serde_json::from_str::<Value>(text)
            {
                state["paused"] = Value::Null;
                *text = state.to_string();
            }
            Ok(stored)
        })
    }

    fn write_state<'a>(&'a self, name: &'a str, data: BTreeMap<String, String>, version: Option<&'a str>) -> BoxFuture<'a, Result<Stored, ApiError>> {
        self.inner.write_state(name, data, version)
    }

    fn read_lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<LeaseRecord>, ApiError>> {
        Box::pin(async move { if self.bug == Bug::TakesLease { Ok(None) } else { self.inner.read_lease(name).await } })
    }

    fn write_lease<'a>(&'a self, name: &'a str, record: &'a LeaseRecord) -> BoxFuture<'a, Result<LeaseRecord, ApiError>> {
        Box::pin(async move {
            match self.inner.write_lease(name, record).await {
                Err(_) if self.bug == Bug::TakesLease => Ok(record.clone()),
                other => other,
            }
        })
    }

    fn skew(&self, now: Timestamp) -> Option<SignedDuration> {
        if self.bug == Bug::TrustsClock { Some(SignedDuration::ZERO) } else { self.inner.skew(now) }
    }
}
