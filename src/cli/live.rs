//! The cluster as it lives: one quorum list of every kind, and the state. Read once, and never from a cache.
//!
//! Contract: what could not be listed is incomplete evidence and the rest is used all the same; only a cluster that answers
//! nothing at all is an error, and so is a state that cannot be read, since it may say `paused`.

use super::{Failure, output};
pub(super) use crate::lifecycle::now;
use crate::{
    act::state,
    model::{Evidence, Kind, Snapshot, names},
    observe::{
        self,
        kube::{KubeCluster, install_tls},
        store::{Store, Trimmed},
    },
    ports::{ApiError, Cluster, NoCloud},
};
use anyhow::{Context, anyhow};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use std::{future::Future, sync::Arc};

/// Where the daemon keeps its state.
#[derive(Debug, clap::Args)]
pub(super) struct Daemon {
    /// The namespace of the daemon's state; default: the Pod's own, else the kubeconfig context's, else `default`
    #[arg(long, env = "CLONEWARDEN_NAMESPACE", value_name = "NS")]
    namespace: Option<String>,
}

impl Daemon {
    /// Connects to the cluster of the kubeconfig and runs `ask` on it.
    pub(super) fn ask<T, F: Future<Output = Result<T, Failure>>>(&self, ask: impl FnOnce(Arc<dyn Cluster>) -> F) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start").map_err(Failure::failed)?;
        runtime.block_on(async {
            install_tls();
            let cluster = KubeCluster::connect(self.namespace.as_deref()).await;
            let cluster =
                cluster.map_err(|error| Failure::input(error.context("no cluster to ask; to decide from exported files use `--from DIR`")))?;
            ask(Arc::new(cluster)).await
        })
    }

    /// One look at everything, and when it was.
    pub(super) fn look(&self, cluster_id: Option<&str>) -> Result<(Snapshot, Timestamp), Failure> {
        self.ask(|cluster| async move {
            let now = now();
            Ok((look(cluster.as_ref(), cluster_id, now).await?, now))
        })
    }
}

/// Lists everything once, as of `now`.
pub(super) async fn look(cluster: &dyn Cluster, cluster_id: Option<&str>, now: Timestamp) -> Result<Snapshot, Failure> {
    let lists = join_all(Kind::ALL.map(|kind| list(cluster, kind))).await;
    let unreachable = |result: &Result<_, ApiError>| matches!(result, Err(error) if *error != ApiError::NotFound);
    if lists.iter().all(unreachable)
        && let Some(Err(error)) = lists.first()
    {
        return Err(Failure::failed(anyhow!(error.clone()).context("the API server answers nothing")));
    }
    let mut id = cluster_id.map(Arc::from);
    let store = Store::default();
    for (kind, result) in Kind::ALL.into_iter().zip(lists) {
        match result {
            Ok(objects) => {
                if kind == Kind::Namespace && id.is_none() {
                    id = kube_system(&objects).map(Arc::from);
                }
                store.replace(kind, objects.iter().map(|object| Trimmed::read(kind, object)).collect(), now);
            }
            Err(ApiError::NotFound) => store.assess(kind, Evidence::absent(now)),
            Err(error) => {
                output::note(&format!("{} could not be listed: {error}", kind.plural()));
                store.assess(kind, Evidence::incomplete(now, error.to_string()));
            }
        }
    }
    let mut snapshot = store.snapshot(now);
    let state = state::load(cluster).await.context("without the state nobody knows whether writes are paused or a brake is on");
    let state = state.map_err(Failure::failed)?;
    if state.version.is_none() {
        output::note("no daemon keeps its state in this namespace (`--namespace` says which): this is what one would decide at its first look");
    }
    snapshot.state = state.state;
    snapshot.cluster_id = id;
    observe::add_time(&mut snapshot, cluster, &NoCloud, now);
    Ok(snapshot)
}

/// Every page of a list. A list that became too old between two pages is begun anew, once.
pub(super) async fn list(cluster: &dyn Cluster, kind: Kind) -> Result<Vec<Value>, ApiError> {
    let mut begun_anew = false;
    let (mut objects, mut next) = (Vec::new(), None);
    loop {
        match cluster.list(kind, next.take(), true).await {
            Ok(page) => {
                objects.extend(page.items);
                if page.next.is_none() {
                    return Ok(objects);
                }
                next = page.next;
            }
            Err(ApiError::Expired) if !begun_anew => {
                begun_anew = true;
                objects.clear();
            }
            Err(error) => return Err(error),
        }
    }
}

/// The UID by which a cluster is called unless somebody says otherwise.
fn kube_system(namespaces: &[Value]) -> Option<&str> {
    let text = |object: &Value, key: &str| object.get("metadata").and_then(|meta| meta.get(key)).and_then(Value::as_str).map(str::to_owned);
    let found = namespaces.iter().find(|namespace| text(namespace, "name").as_deref() == Some("kube-system"))?;
    found.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| names::is_cluster_id(uid))
}
