//! The clones of one namespace, and what KRO made of them, as the people see it whose clones they are.

use super::{api::Api, wait::until};
use anyhow::{Context, Result, bail, ensure};
use clonewarden::model::{names, schema::schema_name};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, time::Duration};

/// How long KRO and the controllers may take to bring clones up or down, with other scenes beside them on two cores.
const KRO_WITHIN: Duration = Duration::from_secs(90);

/// How many deletions are under way at once.
const AT_ONCE: usize = 32;

/// What stands around a clone: the label of all but Pods, who carry the UID under another one.
const CHILDREN: [(&str, &str, &str); 4] = [
    ("/apis/batch/v1", "jobs", "Job"),
    ("/api/v1", "services", "Service"),
    ("/apis/networking.k8s.io/v1", "ingresses", "Ingress"),
    ("/api/v1", "configmaps", "ConfigMap"),
];

/// One clone as it was seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen(Value);

impl Seen {
    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(crate) fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// The schema and the user that it has on a shared host.
    pub(crate) fn schema(&self) -> String {
        schema_name(self.uid()).unwrap_or_default()
    }

    pub(crate) fn state(&self) -> &str {
        self.text("/status/state")
    }

    pub(crate) fn is_terminating(&self) -> bool {
        !self.text("/metadata/deletionTimestamp").is_empty()
    }

    pub(crate) fn created(&self) -> Result<Timestamp> {
        self.text("/metadata/creationTimestamp").parse().with_context(|| format!("{}: no creationTimestamp", self.name()))
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.0["metadata"]["annotations"].get(key).and_then(Value::as_str)
    }

    /// The announced end.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.annotation(names::EXPIRES_AT)?.parse().ok()
    }

    /// What the daemon has written on it.
    pub(crate) fn announcement(&self) -> BTreeMap<&'static str, String> {
        let written = |key| Some((key, self.annotation(key)?.to_owned()));
        [names::EXPIRES_AT, names::ANNOUNCED_AT, names::WARNED].into_iter().filter_map(written).collect()
    }
}

/// One object of a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// `Job`, `Pod`, …
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) uid: String,
    /// The UID of its clone.
    pub(crate) clone: String,
    /// It runs, if it is a Pod, and nobody is deleting it.
    pub(crate) up: bool,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.kind, self.name, if self.up { "" } else { " (not up)" })
    }
}

/// The clones of one namespace.
#[derive(Clone)]
pub(crate) struct Clones {
    pub(crate) api: Api,
    pub(crate) namespace: String,
}

impl Clones {
    /// A new namespace for clones.
    pub(crate) async fn in_new_namespace(api: &Api, namespace: &str) -> Result<Self> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        api.create("/api/v1/namespaces", &object).await?;
        // A Job whose namespace has no account yet is tried again only after a pause.
        let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        until("the namespace has its default account", KRO_WITHIN, || api.get(&account)).await?;
        Ok(Self { api: api.clone(), namespace: namespace.to_owned() })
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("/apis/kro.run/v1alpha1/namespaces/{}/wordpressclones/{name}", self.namespace)
    }

    fn all_at(&self, prefix: &str, plural: &str) -> String {
        format!("{prefix}/namespaces/{}/{plural}", self.namespace)
    }

    /// Creates a clone that is wanted for so many seconds, or says nothing about that.
    pub(crate) async fn create(&self, name: &str, ttl: Option<u32>, annotations: &Value) -> Result<Seen> {
        self.create_with(name, ttl, annotations, &json!({})).await
    }

    /// Creates a clone whose spec says more than usual.
    pub(crate) async fn create_with(&self, name: &str, ttl: Option<u32>, annotations: &Value, more: &Value) -> Result<Seen> {
        let mut object = json!({
            "apiVersion": "kro.run/v1alpha1",
            "kind": "WordPressClone",
            "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations},
            "spec": {"cloneId": name, "sourceUrl": "https://example.com"},
        });
        if let Some(seconds) = ttl {
            object["spec"]["ttlSeconds"] = json!(seconds);
        }
        for (field, value) in more.as_object().into_iter().flatten() {
            object["spec"][field] = value.clone();
        }
        Ok(Seen(self.api.create(&self.all_at("/apis/kro.run/v1alpha1", "wordpressclones"), &object).await?))
    }

    pub(crate) async fn one(&self, name: &str) -> Result<Seen> {
        Ok(Seen(self.api.get(&self.path(name)).await?))
    }

    pub(crate) async fn find(&self, name: &str) -> Result<Option<Seen>> {
        Ok(self.api.find(&self.path(name)).await?.map(Seen))
    }

    pub(crate) async fn all(&self) -> Result<Vec<Seen>> {
        let items = self.api.list(&self.all_at("/apis/kro.run/v1alpha1", "wordpressclones")).await?;
        Ok(items.into_iter().map(Seen).collect())
    }

    /// Sets an annotation, as a person would.
    pub(crate) async fn annotate(&self, name: &str, key: &str, value: &str) -> Result<Seen> {
        Ok(Seen(self.api.patch(&self.path(name), &json!({"metadata": {"annotations": {key: value}}})).await?))
    }

    /// Asks for another life.
    pub(crate) async fn set_ttl(&self, name: &str, seconds: u32) -> Result<Seen> {
        Ok(Seen(self.api.patch(&self.path(name), &json!({"spec": {"ttlSeconds": seconds}})).await?))
    }

    /// Deletes a clone, as a person would, and returns when KRO has taken it down.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.delete_all(&[name]).await
    }

    /// Deletes these at once, and returns when KRO has taken down all of them.
    pub(crate) async fn delete_all(&self, names: &[&str]) -> Result<()> {
        let paths: Vec<String> = names.iter().map(|name| self.path(name)).collect();
        let delete = |path: String| async move { self.api.delete(&path).await };
        stream::iter(paths).map(delete).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.until_gone(names).await
    }

    /// Waits until clones of these names are gone. A clone that is deleted while KRO applies its labels, KRO makes again as an
    /// object without a spec: that is another one, of which nothing ever comes.
    pub(crate) async fn until_gone(&self, names: &[&str]) -> Result<()> {
        let what = format!("{}: {} are gone", self.namespace, names.join(", "));
        until(&what, KRO_WITHIN, async || {
            let all = self.all().await?;
            let theirs = all.iter().filter(|clone| names.contains(&clone.name()) && clone.0.get("spec").is_some());
            let left: Vec<_> = theirs.map(|clone| format!("{} ({})", clone.name(), clone.state())).collect();
            ensure!(left.is_empty(), "still there: {}", left.join(", "));
            Ok(())
        })
        .await
    }

    /// Waits until an end is announced on each of these; returns them as they were then.
    pub(crate) async fn until_announced(&self, names: &[&str]) -> Result<Vec<Seen>> {
        let what = format!("{}: an end is announced on {}", self.namespace, names.join(", "));
        until(&what, KRO_WITHIN, async || {
            let all = self.all().await?;
            let announced: Vec<_> = all.into_iter().filter(|clone| names.contains(&clone.name()) && clone.expires_at().is_some()).collect();
            let have: Vec<_> = announced.iter().map(Seen::name).collect();
            ensure!(have.len() == names.len(), "only on {}", have.join(", "));
            Ok(announced)
        })
        .await
    }

    /// Everything that stands around clones here.
    pub(crate) async fn parts(&self) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for (prefix, plural, kind) in CHILDREN {
            let items = self.api.list(&self.all_at(prefix, plural)).await?;
            parts.extend(items.iter().filter_map(|item| part(kind, names::KRO_INSTANCE_ID, item)));
        }
        let pods = self.api.list(&self.all_at("/api/v1", "pods")).await?;
        parts.extend(pods.iter().filter_map(|pod| part("Pod", names::CLONE_UID, pod)));
        Ok(parts)
    }

    /// Waits until each of these clones has all of its parts and a Pod that runs; returns the parts.
    pub(crate) async fn until_up(&self, clones: &[Seen]) -> Result<Vec<Part>> {
        let what = format!("{}: {} clones have Job, Service, Ingress, ConfigMap and a running Pod", self.namespace, clones.len());
        until(&what, KRO_WITHIN, async || {
            let parts = self.parts().await?;
            let up = |uid: &str| parts.iter().filter(|part| part.clone == uid && part.up).count();
            let down: Vec<_> = clones.iter().filter(|clone| up(clone.uid()) < 5).collect();
            if let Some(clone) = down.first() {
                let has: Vec<_> = parts.iter().filter(|part| part.clone == clone.uid()).map(ToString::to_string).collect();
                bail!("{} are not up; {} has only: {}", down.len(), clone.name(), has.join(", "));
            }
            Ok(parts)
        })
        .await
    }

    /// Waits until each of these clones is up, and KRO has said so in its status: then nobody changes it any more.
    pub(crate) async fn until_settled(&self, clones: &[Seen]) -> Result<()> {
        self.until_up(clones).await?;
        until(&format!("{}: KRO has said that {} clones are up", self.namespace, clones.len()), KRO_WITHIN, async || {
            for clone in clones {
                let clone = self.one(clone.name()).await?;
                let conditions = clone.0["status"]["conditions"].as_array().into_iter().flatten();
                let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
                let said = ready.any(|ready| ready["status"] == "True" && ready["observedGeneration"] == clone.0["metadata"]["generation"]);
                ensure!(clone.state() == "ACTIVE" && said, "{} has {}", clone.name(), clone.0["status"]);
            }
            Ok(())
        })
        .await
    }

    /// Waits until nothing of clones with these UIDs is left.
    pub(crate) async fn until_swept(&self, uids: &[&str]) -> Result<()> {
        until(&format!("{}: nothing is left of {} clones", self.namespace, uids.len()), KRO_WITHIN, async || {
            let left: Vec<_> =
                self.parts().await?.into_iter().filter(|part| uids.contains(&part.clone.as_str())).map(|part| part.to_string()).collect();
            ensure!(left.is_empty(), "still there: {}", left.join(", "));
            Ok(())
        })
        .await
    }

    /// The Events here: what they are about, and their reason.
    pub(crate) async fn events(&self) -> Result<Vec<Told>> {
        let items = self.api.list(&self.all_at("/api/v1", "events")).await?;
        Ok(items.iter().filter_map(Told::read).collect())
    }

    /// Asks for the end of every clone that is left, so that later scenes have the room.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.api.delete(&self.all_at("/apis/kro.run/v1alpha1", "wordpressclones")).await
    }
}

/// An Event that clonewarden wrote.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) about: String,
    pub(crate) reason: String,
    pub(crate) event_type: String,
    pub(crate) message: String,
    pub(crate) at: Timestamp,
}

impl Told {
    fn read(event: &Value) -> Option<Self> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        (text("/reportingComponent")? == "clonewarden").then_some(())?;
        Some(Self {
            about: text("/involvedObject/name")?,
            reason: text("/reason")?,
            event_type: text("/type")?,
            message: text("/message")?,
            at: text("/lastTimestamp")?.parse().ok()?,
        })
    }
}

fn part(kind: &'static str, label: &str, object: &Value) -> Option<Part> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let clone = object["metadata"]["labels"].get(label)?.as_str()?.to_owned();
    let runs = kind != "Pod" || text("/status/phase") == "Running";
    let up = runs && text("/metadata/deletionTimestamp").is_empty();
    Some(Part { kind, name: text("/metadata/name").to_owned(), uid: text("/metadata/uid").to_owned(), clone, up })
}
