//! What bounds a namespace is made as the policy says, put right when somebody changes it, and taken away when nobody wants it
//! any more. Another owner's object of our name is left as it is, and told of. In audit there is nothing.

use crate::harness::{api::Api, audit::Deed, clones::Clones, daemon::Daemon, install::Install, stage::Stage, wait::until};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const OURS: &str = "quota";
const THEIRS: &str = "quota-theirs";
const AUDIT: &str = "quota-audit";
const SOON: Duration = Duration::from_secs(40);

/// What the policy wants. The API server writes `4` for `4000m` and completes the LimitRange: neither is drift.
const RULES: &str =
    "quota: {requests.cpu: 4000m, requests.memory: 8Gi, pods: 20}\nlimitRange: {default: {cpu: 500m}, max: {cpu: \"2\", memory: 2Gi}}";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "quota").await?;
    let api = &stage.admin;
    let mut namespaces = Vec::new();
    for namespace in [OURS, THEIRS, AUDIT] {
        namespaces.push(Clones::in_new_namespace(api, namespace).await?);
    }
    // Nothing in it contradicts what we want: an apply without force would merge the two and take it over.
    let theirs = object("ResourceQuota", &json!({"hard": {"services": "50"}}));
    api.create(&all(THEIRS, "resourcequotas"), &theirs).await?;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 5},
    });
    api.create(&format!("/apis/autoscaling/v2/namespaces/{OURS}/horizontalpodautoscalers"), &scaler).await?;
    install.govern("quota", &[OURS, THEIRS], &format!("mode: enforce\n{RULES}"))?;
    install.govern("quota-audit", &[AUDIT], RULES)?;
    let daemon = install.start_leader().await?;

    until_as_wanted(api).await?;
    // Room is told of: what bounds the namespace, and what scales in it.
    daemon.until_metric(SOON, "clonewarden_quota_allowed", &[("namespace", OURS), ("resource", "pods")], 20.0).await?;
    daemon.until_metric(SOON, "clonewarden_quota_allowed", &[("namespace", OURS), ("resource", "requests.memory")], 8_589_934_592.0).await?;
    daemon.until_metric(SOON, "clonewarden_autoscaler_replicas", &[("namespace", OURS), ("which", "most")], 5.0).await?;
    untouched(&install, api, &daemon).await?;
    until("what is as wanted is left alone", SOON, async || {
        let writes = writes(&install, "resourcequotas").await?;
        ensure!(writes.iter().map(|deed| deed.verb.as_str()).eq(["create"]), "written: {}", words(&writes));
        Ok(())
    })
    .await?;

    // Somebody asks for more, and adds something that is theirs in the eyes of the server.
    api.patch(&ours(OURS, "resourcequotas"), &json!({"spec": {"hard": {"requests.cpu": "400", "services": "5"}}})).await?;
    api.patch(&ours(OURS, "limitranges"), &json!({"spec": {"limits": [{"type": "Pod", "max": {"cpu": "100"}}]}})).await?;
    until_as_wanted(api).await?;
    let before = api.get(&ours(OURS, "resourcequotas")).await?;
    api.delete(&ours(OURS, "resourcequotas")).await?;
    until_as_wanted(api).await?;
    let now = api.get(&ours(OURS, "resourcequotas")).await?;
    ensure!(now["metadata"]["uid"] != before["metadata"]["uid"], "it is the one that was deleted");
    untouched(&install, api, &daemon).await?;

    // A policy that wants less, then nothing.
    install.govern("quota", &[OURS, THEIRS], "mode: enforce\nquota: {pods: 20}")?;
    until("what is no more wanted is gone", SOON, async || {
        let hard = hard(api, OURS).await?;
        ensure!(hard == json!({"pods": "20"}), "hard is {hard}");
        for namespace in [OURS, THEIRS] {
            ensure!(api.find(&ours(namespace, "limitranges")).await?.is_none(), "{namespace} still has a LimitRange");
        }
        Ok(())
    })
    .await?;
    install.govern("quota", &[OURS, THEIRS], "mode: enforce")?;
    until("the quota is gone", SOON, async || {
        ensure!(api.find(&ours(OURS, "resourcequotas")).await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    theirs_stays(&install, api).await?;
    let writes = writes(&install, "resourcequotas").await?;
    daemon.stop().await?;
    install.until_deleted_exactly(&[]).await?;
    for clones in &namespaces {
        clones.clear().await?;
    }
    Ok(format!("{} writes on ResourceQuotas", writes.len()))
}

fn object(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "clonewarden"}, "spec": spec})
}

fn all(namespace: &str, plural: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{plural}")
}

fn ours(namespace: &str, plural: &str) -> String {
    format!("{}/clonewarden", all(namespace, plural))
}

async fn hard(api: &Api, namespace: &str) -> Result<Value> {
    Ok(api.get(&ours(namespace, "resourcequotas")).await?["spec"]["hard"].clone())
}

/// Waits until our namespace has exactly what the policy wants, in the API server's words.
async fn until_as_wanted(api: &Api) -> Result<()> {
    until("the namespace is bounded as the policy says", SOON, async || {
        let hard = hard(api, OURS).await?;
        ensure!(hard == json!({"requests.cpu": "4", "requests.memory": "8Gi", "pods": "20"}), "hard is {hard}");
        let range = api.get(&ours(OURS, "limitranges")).await?;
        let parts = |cpu: &str| json!({"cpu": cpu, "memory": "2Gi"});
        let wanted = json!([{"type": "Container", "default": parts("500m"), "defaultRequest": parts("500m"), "max": parts("2")}]);
        ensure!(range["spec"]["limits"] == wanted, "limits are {}", range["spec"]["limits"]);
        for object in [&api.get(&ours(OURS, "resourcequotas")).await?, &range] {
            let (labels, annotations) = (&object["metadata"]["labels"], &object["metadata"]["annotations"]);
            ensure!(labels["app.kubernetes.io/managed-by"] == "clonewarden", "its labels are {labels}");
            ensure!(annotations["clonewarden.io/policy"] == "quota", "its annotations are {annotations}");
        }
        Ok(())
    })
    .await
}

/// Another owner's object is as it was and told of; in audit there is nothing, and the plan says what would be.
async fn untouched(install: &Install, api: &Api, daemon: &Daemon) -> Result<()> {
    theirs_stays(install, api).await?;
    daemon.until_metric(SOON, "clonewarden_decisions", &[("action", "alert"), ("code", "QuotaForeign"), ("policy", "quota")], 1.0).await?;
    for plural in ["resourcequotas", "limitranges"] {
        let there = api.list(&all(AUDIT, plural)).await?;
        ensure!(there.is_empty(), "there are {plural} in a namespace under audit: {there:?}");
    }
    let plan = install.plan().await?;
    let decisions = plan["decisions"].as_array().context("the plan has decisions")?;
    for code in ["QuotaMissing", "LimitRangeMissing"] {
        let would = |decision: &&Value| decision["reason"]["code"] == code && decision["target"]["namespace"] == AUDIT;
        let found: Vec<_> = decisions.iter().filter(would).collect();
        ensure!(found.len() == 1 && found[0]["action"] == "create" && found[0]["blockedBy"] == "audit", "{code}: {found:?}");
    }
    Ok(())
}

async fn theirs_stays(install: &Install, api: &Api) -> Result<()> {
    let there = api.get(&ours(THEIRS, "resourcequotas")).await?;
    ensure!(there["spec"] == json!({"hard": {"services": "50"}}), "another owner's quota says {}", there["spec"]);
    let (labels, annotations) = (&there["metadata"]["labels"], &there["metadata"]["annotations"]);
    ensure!(labels.is_null() && annotations.is_null(), "another owner's quota carries {labels} {annotations}");
    let writes = writes(install, "resourcequotas").await?;
    // A create that was refused because there was one would be no harm, but none is even tried.
    let theirs: Vec<_> = writes.into_iter().filter(|deed| deed.namespace == THEIRS).collect();
    ensure!(theirs.is_empty(), "written on another owner's quota: {}", words(&theirs));
    Ok(())
}

/// What the daemon wrote of this kind.
async fn writes(install: &Install, resource: &str) -> Result<Vec<Deed>> {
    Ok(install.deeds().await?.into_iter().filter(|deed| deed.writes() && deed.resource == resource).collect())
}

fn words(deeds: &[Deed]) -> String {
    deeds.iter().map(|deed| format!("{} {}: {}", deed.verb, deed.object(), deed.code)).collect::<Vec<_>>().join(", ")
}
