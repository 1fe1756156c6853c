//! The webhook of an installation as the API server sees it: one address in front of its replicas, registered by the
//! configurations that ship. Only `service` is replaced by `url`, since no Service is served here; a small balancer does what one
//! would do.

use super::{
    install::Install,
    stage::{Stage, manifests},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Hands each connection to the next replica that takes it.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    replicas: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Balancer {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let replicas: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let behind = Arc::clone(&replicas);
        let task = tokio::spawn(async move {
            let next = AtomicUsize::new(0);
            while let Ok((mut client, _)) = listener.accept().await {
                let replicas = behind.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let first = next.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    for step in 0..replicas.len() {
                        if let Ok(mut replica) = TcpStream::connect(replicas[(first + step) % replicas.len()]).await {
                            let _ = (client.set_nodelay(true), replica.set_nodelay(true));
                            let _ = copy_bidirectional(&mut client, &mut replica).await;
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self { address, replicas, task })
    }

    /// Who is behind it from now on.
    pub(crate) fn serve(&self, replicas: &[SocketAddr]) {
        *self.replicas.lock().unwrap_or_else(PoisonError::into_inner) = replicas.to_vec();
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Registers the shipped webhook configurations for these namespaces, under the installation's own name.
pub(crate) async fn register(install: &Install, door: SocketAddr, namespaces: &[&str]) -> Result<()> {
    let mut documents = Vec::new();
    for mut object in manifests("base/webhooks.yaml")? {
        object["metadata"]["name"] = json!(install.namespace);
        for webhook in object["webhooks"].as_array_mut().context("a configuration without webhooks")? {
            let path = webhook.pointer("/clientConfig/service/path").and_then(Value::as_str).context("a webhook without a path")?;
            webhook["clientConfig"] = json!({"url": format!("https://{door}{path}")});
            let expressions = webhook["namespaceSelector"]["matchExpressions"].as_array_mut().context("a webhook for every namespace")?;
            ensure!(expressions.len() == 1 && expressions[0]["key"] == "kubernetes.io/metadata.name", "another selector than was expected");
            expressions[0]["values"] = json!(namespaces);
            for condition in webhook["matchConditions"].as_array_mut().into_iter().flatten() {
                let text = condition["expression"].as_str().unwrap_or_default();
                condition["expression"] = json!(text.replace("system:serviceaccount:clonewarden:clonewarden", &install.user));
            }
        }
        documents.push(object);
    }
    ensure!(documents.len() == 2, "deploy/base/webhooks.yaml has {} configurations", documents.len());
    allow(install).await?;
    install.stage.apply(&json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string()).await
}

/// Takes the configurations away again, so that nobody else's clones wait for a webhook that is gone.
pub(crate) async fn unregister(stage: &Stage, install: &Install) -> Result<()> {
    let name = &install.namespace;
    let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
    stage.kubectl(&["delete", kinds, name, "--ignore-not-found"]).await.map(drop)
}

/// The shipped rights on the configurations are for one name: the same rights for this installation's.
async fn allow(install: &Install) -> Result<()> {
    let name = format!("{}-webhooks", install.namespace);
    let role = manifests("base/rbac.yaml")?.into_iter().find(|object| object["kind"] == "ClusterRole").context("rbac.yaml has no ClusterRole")?;
    let ours = |rule: &&Value| rule["apiGroups"] == json!(["admissionregistration.k8s.io"]);
    let rules: Vec<Value> = role["rules"].as_array().into_iter().flatten().filter(ours).cloned().collect();
    ensure!(!rules.is_empty(), "rbac.yaml allows nothing on webhook configurations");
    let renamed = rules.into_iter().map(|mut rule| {
        rule["resourceNames"] = json!([install.namespace]);
        rule
    });
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": renamed.collect::<Vec<_>>()});
    let account = install.user.rsplit_once(':').map_or("", |(_, account)| account);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": install.namespace}],
    });
    install.stage.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}).to_string()).await
}
