//! What RBAC would let the daemon's account do and the guard (`deploy/base/guard.yaml`) does not; and that a daemon sees whether there is one.

use super::{GUARDED_WITHIN, OWN, THEIRS};
use crate::harness::{
    api::{Api, is_conflict, is_forbidden},
    clones::Clones,
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use serde_json::{Value, json};
use std::sync::Arc;

/// Without the binding a daemon sees that nothing narrows what it may delete; what it tries for that does nothing.
pub(super) async fn without_guard(stage: &Arc<Stage>, install: &Install, account: &Api) -> Result<()> {
    let binding = format!("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/clonewarden-guard-{OWN}");
    let config = format!("/api/v1/namespaces/{OWN}/configmaps/kube-root-ca.crt");
    let tried = format!("{config}?dryRun=All");
    let before = stage.admin.get(&config).await?["metadata"]["uid"].clone();
    stage.admin.delete(&binding).await?;
    until("the guard is out of force", GUARDED_WITHIN, || account.delete(&tried)).await?;
    let daemon = install.start_with(&[])?;
    until("the daemon knows that nothing guards it", GUARDED_WITHIN, async || {
        let said = daemon.metrics().await?.family("clonewarden_guarded");
        ensure!(said.contains("{rule=\"deletions\"} 0") && said.contains("{rule=\"secrets\"} 1"), "{said}");
        Ok(())
    })
    .await?;
    daemon.stop().await?;
    ensure!(stage.admin.get(&config).await?["metadata"]["uid"] == before, "what was tried has deleted something");
    Ok(())
}

/// The kinds of which RBAC lets everything be deleted: where they are, and what one of them says at least.
fn kinds() -> [(&'static str, &'static str, Value); 7] {
    let instance = json!({"dbInstanceIdentifier": "guarded", "dbInstanceClass": "db.t3.micro", "engine": "mysql"});
    let pod = json!({"containers": [{"name": "x", "image": "x"}], "restartPolicy": "Never", "nodeSelector": {"no-such-node": "true"}});
    [
        ("/apis/batch/v1", "jobs Job", json!({"spec": {"suspend": true, "template": {"spec": pod}}})),
        ("/api/v1", "pods Pod", json!({"spec": pod})),
        ("/api/v1", "services Service", json!({"spec": {"ports": [{"port": 80}]}})),
        ("/api/v1", "configmaps ConfigMap", json!({"data": {"a": "b"}})),
        ("/apis/networking.k8s.io/v1", "ingresses Ingress", json!({"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}}})),
        ("/apis/rds.services.k8s.aws/v1alpha1", "dbinstances DBInstance", json!({"spec": instance})),
        (
            "/apis/rds.services.k8s.aws/v1alpha1",
            "dbclusters DBCluster",
            json!({"spec": {"dbClusterIdentifier": "guarded", "engine": "aurora-mysql"}}),
        ),
    ]
}

/// With RBAC alone the account could delete anything of some kinds: the guard lets it have what carries a clone's label, and no more
/// of that than it needs. ACK does not know these objects: it is stopped. Returns how much was refused.
pub(super) async fn try_guard(stage: &Arc<Stage>, account: &Api) -> Result<usize> {
    let uid = "0a1b2c3d-0000-4000-8000-00000000dead";
    let ours = json!({names::KRO_INSTANCE_ID: uid, names::KRO_INSTANCE_KIND: names::CLONE_KIND, names::CLONE_UID: uid});
    let not_ours = [
        ("bare", json!({})),
        ("other-kind", json!({names::KRO_INSTANCE_ID: uid, names::KRO_INSTANCE_KIND: "Database"})),
        ("other-group", json!({names::KRO_INSTANCE_ID: uid, names::KRO_INSTANCE_KIND: names::CLONE_KIND, names::KRO_INSTANCE_GROUP: "example.com"})),
        ("no-uid", json!({names::KRO_INSTANCE_ID: "", names::KRO_INSTANCE_KIND: names::CLONE_KIND, names::CLONE_UID: ""})),
        ("by-name", json!({"app": "wordpress-clone", "clone-id": "by-name"})),
    ];
    stage.stop_part("ack").await?;
    let (mut refused, mut ended) = (0, 0);
    for (prefix, kind, what) in kinds() {
        let (plural, kind) = kind.split_once(' ').context("plural and kind")?;
        let all = format!("{prefix}/namespaces/{THEIRS}/{plural}");
        let make = async |name: &str, labels: &Value| {
            let mut object = json!({"apiVersion": prefix.trim_start_matches("/apis/").trim_start_matches("/api/"), "kind": kind});
            object["metadata"] = json!({"name": format!("guarded-{name}"), "labels": labels});
            for (field, value) in what.as_object().into_iter().flatten() {
                object[field] = value.clone();
            }
            stage.admin.create(&all, &object).await
        };
        for (name, labels) in &not_ours {
            make(name, labels).await?;
            let path = format!("{all}/guarded-{name}");
            let before = stage.admin.get(&path).await?;
            is_guarded(delete(stage, account, &path).await, &format!("delete {kind} {name}"))?;
            ensure!(stage.admin.get(&path).await?["metadata"]["uid"] == before["metadata"]["uid"], "{kind} {name} is another one");
            stage.admin.delete(&path).await?;
            refused += 1;
        }
        make("ours", &ours).await?;
        let path = format!("{all}/guarded-ours");
        if plural.starts_with("db") {
            refused += try_changes(account, &path).await?;
        }
        is_guarded(account.delete(&path).await, &format!("delete {kind} without saying which version"))?;
        stage.admin.patch(&path, &json!({"metadata": {"annotations": {names::KEEP: "please"}}})).await?;
        is_guarded(delete(stage, account, &path).await, &format!("delete {kind} that somebody keeps"))?;
        stage.admin.patch(&path, &json!({"metadata": {"annotations": {names::KEEP: null}}})).await?;
        refused += 2;
        delete(stage, account, &path).await.with_context(|| format!("{kind}: it has a clone's label"))?;
        ended += 1;
    }
    stage.start_part("ack").await?;
    ensure!(ended == kinds().len(), "only {ended} kinds may be deleted");
    Ok(refused)
}

/// A clone: the account may say on it when it ends, and delete it when that has been said and nobody keeps it. Returns how much was refused.
pub(super) async fn try_clone(stage: &Arc<Stage>, account: &Api, clones: &Clones) -> Result<usize> {
    let clone = clones.create("guarded", Some(3_000), &json!({})).await?;
    clones.until_up(&[clone]).await?;
    let path = clones.path("guarded");
    let annotated = |annotations: Value| json!({"metadata": {"annotations": annotations}});
    let not_allowed = [
        ("a clone's spec", json!({"spec": {"ttlSeconds": 60}})),
        ("a clone's labels", json!({"metadata": {"labels": {names::CRITICAL: "true"}}})),
        ("a clone's finalizers", json!({"metadata": {"finalizers": []}})),
        ("whose a clone is", annotated(json!({names::OWNER: "me"}))),
        ("a keep", annotated(json!({names::KEEP: "true"}))),
        ("how long a clone lives", annotated(json!({names::EXTEND_UNTIL: "2030-01-01T00:00:00Z"}))),
    ];
    for (what, change) in &not_allowed {
        is_guarded(account.patch(&path, change).await.map(drop), &format!("change {what}"))?;
    }
    is_guarded(delete(stage, account, &path).await, "delete a clone whose end nobody announced")?;
    account.patch(&path, &annotated(json!({names::EXPIRES_AT: "2026-01-01T00:00:00Z"}))).await.context("it may announce an end")?;
    is_guarded(delete(stage, account, &path).await, "delete a clone whose end is half announced")?;
    account.patch(&path, &annotated(json!({names::ANNOUNCED_AT: "2026-01-01T00:00:00Z"}))).await.context("and say when it did")?;
    is_guarded(account.delete(&path).await, "delete a clone without saying which version")?;
    stage.admin.patch(&path, &annotated(json!({names::KEEP: "true"}))).await?;
    is_guarded(delete(stage, account, &path).await, "delete a clone that is kept")?;
    account.patch(&path, &annotated(json!({names::EXPIRES_AT: null, names::ANNOUNCED_AT: null}))).await.context("it may take that back")?;
    stage.admin.patch(&path, &annotated(json!({names::KEEP: null, names::EXPIRES_AT: "x", names::ANNOUNCED_AT: "x"}))).await?;
    delete(stage, account, &path).await.context("it may delete a clone whose end is announced")?;
    clones.clear().await?;
    Ok(not_allowed.len() + 4)
}

/// RBAC lets the account create any Secret: the guard lets it create those of clones, under their names. Returns how much was refused.
pub(super) async fn try_secrets(account: &Api) -> Result<usize> {
    let uid = "0a1b2c3d-0000-4000-8000-00000000dead";
    let owner = |kind: &str, uid: &str| json!([{"apiVersion": "kro.run/v1alpha1", "kind": kind, "name": "x", "uid": uid}]);
    let secret = |name: &str, owners: Value, more: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "ownerReferences": owners}});
        more.as_object().into_iter().flatten().for_each(|(field, value)| object[field] = value.clone());
        object
    };
    let clone = || owner(names::CLONE_KIND, uid);
    let mut two = clone();
    two.as_array_mut().context("a list")?.extend(owner("Job", uid).as_array().cloned().unwrap_or_default());
    let token = json!({"type": "example.com/another"});
    let not_allowed = [
        (THEIRS, "nobody's", secret("x-0a1b2c3d-secret", json!([]), json!({}))),
        (THEIRS, "a Job's", secret("x-0a1b2c3d-secret", owner("Job", uid), json!({}))),
        (THEIRS, "a clone's and a Job's", secret("x-0a1b2c3d-secret", two, json!({}))),
        (THEIRS, "a clone's under another name", secret("registry", clone(), json!({}))),
        (THEIRS, "a clone's with another's uid", secret("x-ffffffff-secret", clone(), json!({}))),
        (THEIRS, "a clone's of another type", secret("x-0a1b2c3d-secret", clone(), token)),
        (THEIRS, "one like its own, elsewhere", secret(names::KEY_SECRET, json!([]), json!({}))),
        (OWN, "another in its own namespace", secret("another", json!([]), json!({}))),
    ];
    for (namespace, what, object) in &not_allowed {
        let path = format!("/api/v1/namespaces/{namespace}/secrets?dryRun=All");
        is_guarded(account.create(&path, object).await.map(drop), &format!("create a Secret, {what}"))?;
    }
    let path = |namespace| format!("/api/v1/namespaces/{namespace}/secrets?dryRun=All");
    account.create(&path(THEIRS), &secret("x-0a1b2c3d-secret", clone(), json!({}))).await.context("a clone's Secret")?;
    account.create(&path(OWN), &secret(names::KEY_SECRET, json!([]), json!({}))).await.context("its own Secret")?;
    Ok(not_allowed.len())
}

/// Of a database object that is a clone's, the account may change what ACK is told about the final snapshot, and nothing else.
async fn try_changes(account: &Api, path: &str) -> Result<usize> {
    let told = |skip: &str, id: &str| json!({"metadata": {"annotations": {names::ACK_SKIP_SNAPSHOT: skip, names::ACK_FINAL_SNAPSHOT: id}}});
    let mut more = told("false", "guarded-final");
    more["spec"] = json!({"deletionProtection": false});
    let not_allowed = [
        ("its spec", more),
        ("its policy", json!({"metadata": {"annotations": {names::ACK_DELETION_POLICY: "delete"}}})),
        ("its labels", json!({"metadata": {"labels": {names::KRO_INSTANCE_ID: "another"}}})),
        ("its finalizers", json!({"metadata": {"finalizers": ["example.com/x"]}})),
        ("that there is no snapshot", told("true", "guarded-final")),
        ("a snapshot without a name", json!({"metadata": {"annotations": {names::ACK_SKIP_SNAPSHOT: "false"}}})),
    ];
    for (what, change) in &not_allowed {
        is_guarded(account.patch(path, change).await.map(drop), &format!("change {what}"))?;
    }
    account.patch(path, &told("false", "guarded-final")).await.context("it may ask for a final snapshot")?;
    Ok(not_allowed.len())
}

/// Deletes exactly what is there; what a controller changes meanwhile is looked at again, as the daemon does.
async fn delete(stage: &Stage, account: &Api, path: &str) -> Result<()> {
    loop {
        match account.delete_exactly(path, &stage.admin.get(path).await?).await {
            Err(error) if is_conflict(&error) => {}
            answer => return answer,
        }
    }
}

/// It was refused, and by the guard.
fn is_guarded(answer: Result<()>, what: &str) -> Result<()> {
    let error = answer.err().with_context(|| format!("the account could {what}"))?;
    ensure!(is_forbidden(&error) && format!("{error:#}").contains("deploy/base/guard.yaml"), "{what}: not refused by the guard, but: {error:#}");
    Ok(())
}
