//! The cluster as the bench fills it: bare clones, bare children, and a client that only deletes.

use anyhow::{Context, Result, ensure};
use clonewarden::model::{ceil_to_second, names};
use clonewarden_platform::Platform;
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::PathBuf,
    process::Command,
};

/// The namespace of clones that live.
pub(super) const LIVE: &str = "bench-live";
/// The namespace of clones that all end at once.
pub(super) const STORM: &str = "bench-storm";
/// A namespace that no policy governs.
pub(super) const UNGOVERNED: &str = "bench-bare";
/// As many as the daemon itself sends at once.
const IN_FLIGHT: usize = 64;

/// The policy of the two governed namespaces. Its minimum lets `extend-until` alone say when a clone ends.
pub(super) fn policy() -> String {
    format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: bench}}\nspec:\n  mode: enforce\n  \
         namespaces: {{names: [{LIVE}, {STORM}]}}\n  ttl: {{default: 12h, minimum: 1s, maximum: 24h}}\n  \
         limits: {{clones: 50000, dedicatedDatabases: 1000, clonesPerOwner: 50000}}\n"
    )
}

/// A clone as somebody creates it.
pub(super) fn bare_clone(name: &str) -> Value {
    json!({
        "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"namespace": LIVE, "name": name},
        "spec": {"cloneId": name, "sourceUrl": "https://example.com", "ttlSeconds": 36_000},
    })
}

/// The kind alone: no RGD stands behind it, so KRO does not touch its objects.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "wordpressclones.kro.run"},
        "spec": {
            "group": "kro.run", "scope": "Namespaced",
            "names": {"kind": "WordPressClone", "listKind": "WordPressCloneList", "plural": "wordpressclones", "singular": "wordpressclone"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

/// The cluster, as its admin.
pub(super) struct Cluster {
    config: Config,
    client: Client,
    audit: PathBuf,
}

/// A clone that was created.
pub(super) struct Made {
    namespace: &'static str,
    name: String,
    uid: String,
    version: String,
}

/// Deletes that the API server accepted.
pub(super) struct Deletes {
    pub(super) count: usize,
    pub(super) first: Timestamp,
    last: Timestamp,
}

impl Deletes {
    pub(super) fn seconds(&self) -> f64 {
        self.last.duration_since(self.first).as_secs_f64()
    }

    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.seconds()
    }
}

impl Cluster {
    /// Installs the kinds and the namespaces.
    pub(super) async fn set(platform: &Platform) -> Result<Self> {
        clonewarden::observe::kube::install_tls();
        let read = Kubeconfig::read_from(platform.kubeconfig())?;
        let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        let own = Command::new(env!("CARGO_BIN_EXE_clonewarden")).arg("crds").output().context("cannot run `clonewarden crds`")?;
        ensure!(own.status.success(), "`clonewarden crds` failed: {}", String::from_utf8_lossy(&own.stderr));
        platform.kubectl_with_input(&["apply", "--filename=-"], &String::from_utf8(own.stdout)?)?;
        platform.kubectl_with_input(&["apply", "--filename=-"], &definition().to_string())?;
        platform.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
        for namespace in [LIVE, STORM, UNGOVERNED] {
            platform.kubectl(&["create", "namespace", namespace])?;
        }
        Ok(Self { client: Client::try_from(config.clone())?, config, audit: platform.audit_log() })
    }

    /// Creates clones whose end is announced already.
    pub(super) async fn create(&self, namespace: &'static str, prefix: &str, count: usize, end: impl Fn(usize) -> Timestamp) -> Result<Vec<Made>> {
        // Unique among all that is ever created here.
        let batch = Timestamp::now().as_millisecond();
        let objects = (0..count).map(|number| {
            let end = ceil_to_second(end(number)).to_string();
            // Not before the creation, which the server dates: an announcement counts if it is up to a minute ahead.
            let announced = (Timestamp::now() + SignedDuration::from_secs(20)).to_string();
            json!({
                "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone",
                "metadata": {
                    "namespace": namespace, "name": format!("{prefix}-{batch}-{number}"),
                    "labels": {"kro.run/owned": "true", "app.kubernetes.io/managed-by": "bench"},
                    "annotations": {names::EXTEND_UNTIL: end, names::EXPIRES_AT: end, names::ANNOUNCED_AT: announced, names::OWNER: "someone@example.com"},
                },
                "spec": {"cloneId": format!("{prefix}-{batch}-{number}"), "ttlSeconds": 1, "useDedicatedDatabase": false, "image": "wordpress:6.8-php8.3-apache"},
                "status": {"state": "ACTIVE"},
            })
        });
        let path = format!("/apis/kro.run/v1alpha1/namespaces/{namespace}/wordpressclones");
        let created = stream::iter(objects).map(|object| self.post(&path, object)).buffer_unordered(IN_FLIGHT);
        created.and_then(|object| async move { Made::read(namespace, &object) }).try_collect().await
    }

    /// Stores a clone that both webhooks have let in.
    pub(super) async fn store(&self, object: Value) -> Result<()> {
        self.post(&format!("/apis/kro.run/v1alpha1/namespaces/{LIVE}/wordpressclones"), object).await.map(drop)
    }

    /// Gives each clone so many ConfigMaps with the labels that KRO writes: what a child costs the daemon, whatever its kind.
    pub(super) async fn create_children(&self, clones: &[Made], each: usize) -> Result<()> {
        let objects = clones.iter().flat_map(|clone| {
            (0..each).map(move |number| {
                json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {
                        "namespace": clone.namespace, "name": format!("{}-child-{number}", clone.name),
                        "labels": {
                            "kro.run/owned": "true", "kro.run/kro-version": "v0.9.3", "kro.run/node-id": "dbConfigShared",
                            names::KRO_DEFINITION: "wordpress-clone", names::KRO_INSTANCE_ID: clone.uid, names::KRO_INSTANCE_NAME: clone.name,
                            names::KRO_INSTANCE_NAMESPACE: clone.namespace, names::KRO_INSTANCE_KIND: names::CLONE_KIND, names::KRO_INSTANCE_GROUP: names::CLONE_GROUP,
                        },
                    },
                    "data": {"host": "staging.example.us-east-1.rds.amazonaws.com", "port": "3306"},
                })
            })
        });
        let path = |object: &Value| format!("/api/v1/namespaces/{}/configmaps", object["metadata"]["namespace"].as_str().unwrap_or_default());
        stream::iter(objects)
            .map(|object| async move { self.post(&path(&object), object).await.map(drop) })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }

    /// Deletes as the daemon does, and nothing else: the same preconditions, as many in flight, and connections that are only
    /// made when they are needed.
    pub(super) async fn delete(&self, namespace: &str, clones: &[Made]) -> Result<()> {
        let client = &Client::try_from(self.config.clone())?;
        let send = |clone: &Made| {
            let path = format!("/apis/kro.run/v1alpha1/namespaces/{namespace}/wordpressclones/{}", clone.name);
            let options = json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                "preconditions": {"uid": clone.uid, "resourceVersion": clone.version},
            });
            async move {
                let request = Request::builder().method(Method::DELETE).uri(&path).header("content-type", "application/json");
                let answer = client.request_text(request.body(options.to_string().into_bytes())?).await;
                answer.map(drop).with_context(|| format!("DELETE {path}"))
            }
        };
        stream::iter(clones).map(send).buffer_unordered(IN_FLIGHT).try_collect().await
    }

    async fn post(&self, path: &str, object: Value) -> Result<Value> {
        let request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/json");
        self.client.request(request.body(object.to_string().into_bytes())?).await.with_context(|| format!("POST {path}"))
    }

    /// Where the API server's audit log ends now.
    pub(super) fn audit_mark(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.audit)?.len())
    }

    /// The deletes of clones in a namespace since then: the same yardstick for the daemon and for the bare client.
    pub(super) fn deletes_since(&self, mark: u64, namespace: &str) -> Result<Deletes> {
        let mut log = File::open(&self.audit)?;
        log.seek(SeekFrom::Start(mark))?;
        let (mut count, mut first, mut last) = (0, Timestamp::MAX, Timestamp::MIN);
        for line in BufReader::new(log).lines() {
            // The last line may still be being written.
            let Ok(event) = serde_json::from_str::<Event>(&line?) else { continue };
            let about = event.object.is_some_and(|object| object.resource == "wordpressclones" && object.namespace == namespace);
            if event.verb == "delete" && about && event.status.is_some_and(|status| status.code == 200) {
                count += 1;
                first = first.min(event.received);
                last = last.max(event.ended);
            }
        }
        ensure!(count > 0, "{} has no delete in {namespace}", self.audit.display());
        Ok(Deletes { count, first, last })
    }
}

impl Made {
    fn read(namespace: &'static str, object: &Value) -> Result<Self> {
        let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned).with_context(|| format!("a new clone without {field}"));
        Ok(Self { namespace, name: text("name")?, uid: text("uid")?, version: text("resourceVersion")? })
    }
}

/// The part of an audit event that says who did what when.
#[derive(Deserialize)]
struct Event {
    verb: String,
    #[serde(rename = "objectRef")]
    object: Option<About>,
    #[serde(rename = "responseStatus")]
    status: Option<Status>,
    #[serde(rename = "requestReceivedTimestamp")]
    received: Timestamp,
    #[serde(rename = "stageTimestamp")]
    ended: Timestamp,
}

#[derive(Deserialize)]
struct About {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}
