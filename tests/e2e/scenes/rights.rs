//! What the daemon's account may do, asked of the API server, and what all daemons of this run did with it: no right that is not
//! used or justified here, and nothing asked for that is not granted.

use crate::harness::{
    api::{Api, is_conflict, is_forbidden},
    audit::{self, Deed},
    clones::Clones,
    install::Install,
    stage::{Stage, manifests},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const OWN: &str = "cw-rights";
const THEIRS: &str = "rights";
/// A guard is in or out of force once the API server's own caches have it.
const GUARDED_WITHIN: Duration = Duration::from_secs(40);

/// What the account must not be allowed: verbs, group, resource, namespace (empty: all), name (empty: any).
const DENIED: &[(&[&str], &str, &str, &str, &str)] = &[
    (&["get", "list", "watch", "update", "patch", "delete", "deletecollection"], "", "secrets", THEIRS, ""),
    (&["get", "list", "watch", "update", "patch", "delete"], "", "secrets", OWN, "another"),
    (&["list", "watch", "patch", "delete"], "", "secrets", OWN, "clonewarden-webhook"),
    (&["list", "watch", "update", "patch", "delete"], "", "secrets", OWN, "clonewarden-key"),
    (&["get", "patch"], "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "another"),
    (&["get", "patch"], "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "another"),
    (&["create", "update", "delete"], "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "clonewarden"),
    (&["create", "update", "delete"], "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "clonewarden"),
    (&["get", "list", "watch"], "", "secrets", "", ""),
    (&["create", "update", "patch", "deletecollection"], "batch", "jobs", THEIRS, ""),
    (&["create", "update", "patch", "deletecollection"], "", "pods", THEIRS, ""),
    (&["create"], "", "pods/exec", THEIRS, ""),
    (&["create"], "", "pods/eviction", THEIRS, ""),
    (&["create", "update", "patch", "deletecollection"], "", "services", THEIRS, ""),
    (&["create", "update", "patch", "deletecollection"], "networking.k8s.io", "ingresses", THEIRS, ""),
    (&["create", "update", "deletecollection"], "rds.services.k8s.aws", "dbinstances", THEIRS, ""),
    (&["create", "update", "deletecollection"], "rds.services.k8s.aws", "dbclusters", THEIRS, ""),
    (&["update", "patch"], "rds.services.k8s.aws", "dbinstances/status", THEIRS, ""),
    (&["create", "update", "patch", "deletecollection"], "", "configmaps", THEIRS, ""),
    (&["update", "patch"], "", "configmaps", OWN, "kube-root-ca.crt"),
    (&["patch"], "", "configmaps", OWN, "clonewarden-state"),
    (&["patch"], "", "configmaps", OWN, "clonewarden-policies-in-force"),
    (&["patch"], "", "configmaps", OWN, "clonewarden-approvals"),
    (&["update", "patch", "delete"], "coordination.k8s.io", "leases", OWN, "another"),
    (&["update", "patch", "delete"], "coordination.k8s.io", "leases", "kube-system", ""),
    (&["create", "update", "deletecollection"], "kro.run", "wordpressclones", THEIRS, ""),
    (&["update", "patch"], "kro.run", "wordpressclones/status", THEIRS, ""),
    (&["create", "update", "patch", "delete"], "kro.run", "resourcegraphdefinitions", "", ""),
    (&["create", "update", "patch", "delete"], "", "namespaces", "", ""),
    (&["update", "patch", "delete"], "", "events", THEIRS, ""),
    (&["get", "list", "watch", "update", "patch", "delete", "deletecollection"], "", "resourcequotas", THEIRS, "another"),
    (&["get", "list", "watch", "update", "patch", "delete", "deletecollection"], "", "limitranges", THEIRS, "another"),
    (&["get", "list", "watch", "patch", "delete"], "", "resourcequotas", "", ""),
    (&["watch", "create", "update", "patch", "delete"], "autoscaling", "horizontalpodautoscalers", THEIRS, ""),
    (&["update", "patch"], "", "resourcequotas/status", THEIRS, "clonewarden"),
    (&["create"], "", "serviceaccounts/token", OWN, ""),
    (&["get", "list", "watch", "update", "delete"], "authentication.k8s.io", "tokenreviews", "", ""),
    (&["create"], "authorization.k8s.io", "localsubjectaccessreviews", THEIRS, ""),
    (&["impersonate"], "", "users", "", ""),
    (&["bind", "escalate", "create", "update", "patch"], "rbac.authorization.k8s.io", "clusterroles", "", ""),
];

/// What it must be allowed, so that the answers above mean something.
const ALLOWED: &[(&[&str], &str, &str, &str, &str)] = &[
    (&["list", "watch", "patch", "delete"], "kro.run", "wordpressclones", THEIRS, ""),
    (&["get", "update"], "", "configmaps", OWN, "clonewarden-state"),
    (&["get", "update"], "", "configmaps", OWN, "clonewarden-policies-in-force"),
    (&["get", "update"], "", "configmaps", OWN, "clonewarden-approvals"),
    (&["get", "update"], "", "secrets", OWN, "clonewarden-webhook"),
    (&["get"], "", "secrets", OWN, "clonewarden-key"),
    // Of these only what a clone owns: see `try_secrets`.
    (&["create"], "", "secrets", THEIRS, ""),
    (&["get", "patch"], "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "clonewarden"),
    (&["get", "patch"], "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "clonewarden"),
    (&["create"], "", "events", THEIRS, ""),
    (&["create"], "authentication.k8s.io", "tokenreviews", "", ""),
    (&["create"], "authorization.k8s.io", "subjectaccessreviews", "", ""),
    // Of these only what carries a clone's label: see `try_guard`.
    (&["get", "list", "watch", "delete"], "batch", "jobs", THEIRS, ""),
    (&["list", "watch", "delete"], "", "pods", THEIRS, ""),
    (&["get", "list", "watch", "delete"], "", "services", THEIRS, ""),
    (&["get", "list", "watch", "delete"], "", "configmaps", THEIRS, ""),
    (&["get", "list", "watch", "delete"], "networking.k8s.io", "ingresses", THEIRS, ""),
    (&["get", "list", "watch", "patch", "delete"], "rds.services.k8s.aws", "dbinstances", THEIRS, ""),
    (&["get", "list", "watch", "patch", "delete"], "rds.services.k8s.aws", "dbclusters", THEIRS, ""),
    (&["list", "watch", "create", "patch", "delete"], "", "resourcequotas", THEIRS, "clonewarden"),
    (&["list", "watch", "create", "patch", "delete"], "", "limitranges", "", "clonewarden"),
    (&["list"], "autoscaling", "horizontalpodautoscalers", "", ""),
];

/// Rights that a run may or may not come to use, and what they are for.
const JUSTIFIED: &[(&str, &str, &str, &str)] = &[
    (
        "clonewarden.io",
        "cloneusages",
        "get",
        "one that was made by somebody who was killed before its status was written is looked at, and completed",
    ),
    ("kro.run", "wordpressclones", "get", "after five conflicts in a row on one clone it is read once"),
    ("clonewarden.io", "orphans", "get", "an Orphan whose status could not be written is looked at and completed"),
];

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::without_key(&stage, "rights").await?;
    install.govern("rights", &[THEIRS], "mode: enforce")?;
    let account = Api::by(&install.kubeconfig).await?;
    let mut asked = 0;
    for (rules, wanted) in [(DENIED, false), (ALLOWED, true)] {
        for (verbs, group, resource, namespace, name) in rules {
            for verb in *verbs {
                let allowed = may(&account, verb, group, resource, namespace, name).await?;
                ensure!(allowed == wanted, "may {verb} {resource}.{group} in `{namespace}` `{name}`: {allowed}");
                asked += 1;
            }
        }
    }
    let clones = Clones::in_new_namespace(&stage.admin, THEIRS).await?;
    try_it(&stage, &install, &account, &clones).await?;
    let guarded = try_guard(&stage, &account).await? + try_clone(&stage, &account, &clones).await? + try_secrets(&account).await?;

    // Without a cluster id the daemon asks for the one of kube-system.
    let daemon = install.start_with(&[])?;
    daemon.until_leading().await?;
    until("the daemon knows that it is guarded", GUARDED_WITHIN, async || {
        let metrics = daemon.metrics().await?;
        ensure!(metrics.sum("clonewarden_guarded", &[]) == 2.0, "{}", metrics.family("clonewarden_guarded"));
        Ok(())
    })
    .await?;
    daemon.stop().await?;
    without_guard(&stage, &install, &account).await?;
    let deeds = audit::deeds(&stage.platform.audit_log(), "system:serviceaccount:cw-").await?;
    let granted = granted()?;
    check_refused(&deeds, &granted)?;
    check_unused(&deeds, &granted)?;
    Ok(format!(
        "{asked} answers; {guarded} refused by the guard; {} rights, {} of them for what happens only at times",
        granted.len(),
        JUSTIFIED.len()
    ))
}

/// Without the binding a daemon sees that nothing narrows what it may delete; what it tries for that does nothing.
async fn without_guard(stage: &Arc<Stage>, install: &Install, account: &Api) -> Result<()> {
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

/// What the account is told about one right of its own.
async fn may(account: &Api, verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace, "name": name,
        }},
    });
    let answer = account.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await?;
    answer["status"]["allowed"].as_bool().with_context(|| format!("no answer: {answer}"))
}

/// Real requests, against real objects: all of them are refused.
async fn try_it(stage: &Arc<Stage>, install: &Install, account: &Api, clones: &Clones) -> Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}, "stringData": {"password": "x"}});
    stage.admin.create(&format!("/api/v1/namespaces/{THEIRS}/secrets"), &secret).await?;
    let clone = clones.create("clone", Some(3_000), &json!({})).await?;
    let parts = clones.until_up(&[clone]).await?;
    let job = parts.iter().find(|part| part.kind == "Job").context("the clone has a Job")?;
    let other = format!("/api/v1/namespaces/{}/configmaps/kube-root-ca.crt", install.namespace);
    let config = stage.admin.get(&other).await?;
    let tried = [
        ("read a Secret", account.get(&format!("/api/v1/namespaces/{THEIRS}/secrets/theirs")).await.map(drop)),
        ("list Secrets", account.list("/api/v1/secrets").await.map(drop)),
        (
            "change a Job",
            account.patch(&format!("/apis/batch/v1/namespaces/{THEIRS}/jobs/{}", job.name), &json!({"spec": {"suspend": true}})).await.map(drop),
        ),
        ("delete all Jobs at once", account.delete(&format!("/apis/batch/v1/namespaces/{THEIRS}/jobs")).await),
        ("write another ConfigMap", account.replace(&other, &config).await.map(drop)),
        ("delete all clones at once", account.delete(&format!("/apis/kro.run/v1alpha1/namespaces/{THEIRS}/wordpressclones")).await),
    ];
    for (what, answer) in tried {
        let error = answer.err().with_context(|| format!("the account could {what}"))?;
        ensure!(is_forbidden(&error), "{what}: not refused, but: {error:#}");
    }
    let now = clones.parts().await?;
    ensure!(parts.iter().all(|part| now.contains(part)), "something happened to the clone's parts: {now:?}");
    clones.clear().await
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
async fn try_guard(stage: &Arc<Stage>, account: &Api) -> Result<usize> {
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
async fn try_clone(stage: &Arc<Stage>, account: &Api, clones: &Clones) -> Result<usize> {
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
async fn try_secrets(account: &Api) -> Result<usize> {
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

/// Group, resource and verb.
type Right = (String, String, String);

/// Every right in the file that ships.
fn granted() -> Result<BTreeSet<Right>> {
    let list = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let mut granted = BTreeSet::new();
    for object in manifests("base/rbac.yaml")? {
        for rule in object["rules"].as_array().into_iter().flatten() {
            for group in list(&rule["apiGroups"]) {
                for resource in list(&rule["resources"]) {
                    granted.extend(list(&rule["verbs"]).into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
                }
            }
        }
    }
    Ok(granted)
}

fn right(deed: &Deed) -> Right {
    (deed.group.clone(), deed.resource.clone(), deed.verb.clone())
}

/// No daemon asked for what it is not granted. A right that it has is refused too while an API server starts and has not read
/// the roles yet.
fn check_refused(deeds: &[Deed], granted: &BTreeSet<Right>) -> Result<()> {
    let refused = deeds.iter().filter(|deed| deed.by_clonewarden && !deed.allowed && !granted.contains(&right(deed)));
    let refused: BTreeSet<_> = refused.map(|deed| format!("{} {} ({})", deed.verb, deed.object(), deed.user)).collect();
    ensure!(refused.is_empty(), "daemons asked for what they are not granted: {}", refused.into_iter().collect::<Vec<_>>().join("; "));
    Ok(())
}

/// Every right was used in this run, or is justified; and no more than that is justified.
fn check_unused(deeds: &[Deed], granted: &BTreeSet<Right>) -> Result<()> {
    let used: BTreeSet<Right> = deeds.iter().filter(|deed| deed.allowed).map(right).collect();
    let justified: BTreeMap<Right, &str> =
        JUSTIFIED.iter().map(|(group, resource, verb, why)| (((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned()), *why)).collect();
    let named = |(group, resource, verb): &Right| format!("{verb} {resource}.{group}");
    let unused: Vec<_> = granted.iter().filter(|right| !used.contains(*right) && !justified.contains_key(*right)).map(named).collect();
    ensure!(unused.is_empty(), "granted in deploy/base/rbac.yaml, neither used by any scene of a whole run nor justified: {}", unused.join("; "));
    let stale: Vec<_> = justified.iter().filter(|(right, _)| !granted.contains(*right)).collect();
    ensure!(stale.is_empty(), "justified, but not granted: {stale:?}");
    Ok(())
}
