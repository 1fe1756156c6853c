//! What the daemon's account may do, asked of the API server, and what all daemons of this run did with it: no right that is not
//! used or justified here, and nothing asked for that is not granted.

mod guard;

use crate::harness::{
    api::{Api, is_forbidden},
    audit::{self, Deed},
    clones::Clones,
    install::Install,
    stage::{Stage, manifests},
    wait::until,
};
use anyhow::{Context, Result, ensure};
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
    let guarded =
        guard::try_guard(&stage, &account).await? + guard::try_clone(&stage, &account, &clones).await? + guard::try_secrets(&account).await?;

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
    guard::without_guard(&stage, &install, &account).await?;
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
