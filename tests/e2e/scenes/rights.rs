//! What the daemon's account may do, asked of the API server, and what all daemons of this run did with it: no right that is not
//! used or justified here, and nothing asked for that is not granted.

use crate::harness::{
    api::{Api, is_forbidden},
    audit::{self, Deed},
    clones::Clones,
    install::Install,
    stage::{Stage, manifests},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const OWN: &str = "cw-rights";
const THEIRS: &str = "rights";

/// What the account must not be allowed: verbs, group, resource, namespace (empty: all), name (empty: any).
const DENIED: &[(&[&str], &str, &str, &str, &str)] = &[
    (&["get", "list", "watch", "create", "update", "patch", "delete"], "", "secrets", THEIRS, ""),
    (&["get", "list", "watch", "update", "patch", "delete"], "", "secrets", OWN, "another"),
    (&["list", "watch", "patch", "delete"], "", "secrets", OWN, "clonewarden-webhook"),
    (&["get", "patch"], "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "another"),
    (&["get", "patch"], "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "another"),
    (&["create", "update", "delete"], "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "clonewarden"),
    (&["create", "update", "delete"], "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "clonewarden"),
    (&["get", "list", "watch"], "", "secrets", "", ""),
    (&["create", "update", "patch", "delete", "deletecollection"], "batch", "jobs", THEIRS, ""),
    (&["create", "update", "patch", "delete", "deletecollection"], "", "pods", THEIRS, ""),
    (&["create"], "", "pods/exec", THEIRS, ""),
    (&["create", "update", "patch", "delete", "deletecollection"], "", "services", THEIRS, ""),
    (&["create", "update", "patch", "delete", "deletecollection"], "networking.k8s.io", "ingresses", THEIRS, ""),
    (&["create", "update", "patch", "delete", "deletecollection"], "rds.services.k8s.aws", "dbinstances", THEIRS, ""),
    (&["create", "update", "patch", "delete", "deletecollection"], "rds.services.k8s.aws", "dbclusters", THEIRS, ""),
    (&["get", "create", "update", "patch", "delete"], "", "configmaps", THEIRS, ""),
    (&["update", "patch", "delete"], "", "configmaps", OWN, "kube-root-ca.crt"),
    (&["patch", "delete"], "", "configmaps", OWN, "clonewarden-state"),
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
    (&["update", "patch"], "", "resourcequotas/status", THEIRS, "clonewarden"),
    (&["create"], "", "serviceaccounts/token", OWN, ""),
    (&["impersonate"], "", "users", "", ""),
    (&["bind", "escalate", "create", "update", "patch"], "rbac.authorization.k8s.io", "clusterroles", "", ""),
];

/// What it must be allowed, so that the answers above mean something.
const ALLOWED: &[(&[&str], &str, &str, &str, &str)] = &[
    (&["list", "watch", "patch", "delete"], "kro.run", "wordpressclones", THEIRS, ""),
    (&["get", "update"], "", "configmaps", OWN, "clonewarden-state"),
    (&["get", "update"], "", "secrets", OWN, "clonewarden-webhook"),
    (&["get", "patch"], "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "clonewarden"),
    (&["get", "patch"], "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "clonewarden"),
    (&["create"], "", "events", THEIRS, ""),
    (&["list", "watch", "create", "patch", "delete"], "", "resourcequotas", THEIRS, "clonewarden"),
    (&["list", "watch", "create", "patch", "delete"], "", "limitranges", "", "clonewarden"),
];

/// Rights that a run may or may not come to use, and what they are for.
const JUSTIFIED: &[(&str, &str, &str, &str)] = &[
    ("kro.run", "wordpressclones", "get", "after five conflicts in a row on one clone it is read once"),
    ("clonewarden.io", "orphans", "get", "an Orphan whose status could not be written is looked at and completed"),
];

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "rights").await?;
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
    try_it(&stage, &install, &account).await?;

    // Without a cluster id the daemon asks for the one of kube-system.
    let daemon = install.start_with(&[])?;
    daemon.until_leading().await?;
    daemon.stop().await?;
    let deeds = audit::deeds(&stage.platform.audit_log(), "system:serviceaccount:cw-").await?;
    let granted = granted()?;
    check_refused(&deeds, &granted)?;
    check_unused(&deeds, &granted)?;
    Ok(format!("{asked} answers; {} rights, {} of them for what happens only at times", granted.len(), JUSTIFIED.len()))
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
async fn try_it(stage: &Arc<Stage>, install: &Install, account: &Api) -> Result<()> {
    let clones = Clones::in_new_namespace(&stage.admin, THEIRS).await?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}, "stringData": {"password": "x"}});
    stage.admin.create(&format!("/api/v1/namespaces/{THEIRS}/secrets"), &secret).await?;
    let clone = clones.create("clone", Some(3_000), &json!({})).await?;
    let parts = clones.until_up(&[clone]).await?;
    let job = parts.iter().find(|part| part.kind == "Job").context("the clone has a Job")?;
    let pod = parts.iter().find(|part| part.kind == "Pod").context("the clone has a Pod")?;
    let other = format!("/api/v1/namespaces/{}/configmaps/kube-root-ca.crt", install.namespace);
    let config = stage.admin.get(&other).await?;
    let tried = [
        ("read a Secret", account.get(&format!("/api/v1/namespaces/{THEIRS}/secrets/theirs")).await.map(drop)),
        ("list Secrets", account.list("/api/v1/secrets").await.map(drop)),
        ("delete a Job", account.delete(&format!("/apis/batch/v1/namespaces/{THEIRS}/jobs/{}", job.name)).await),
        ("delete a Pod", account.delete(&format!("/api/v1/namespaces/{THEIRS}/pods/{}", pod.name)).await),
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
    for object in manifests("rbac.yaml")? {
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
    ensure!(unused.is_empty(), "granted in deploy/rbac.yaml, neither used by any scene of a whole run nor justified: {}", unused.join("; "));
    let stale: Vec<_> = justified.iter().filter(|(right, _)| !granted.contains(*right)).collect();
    ensure!(stale.is_empty(), "justified, but not granted: {stale:?}");
    Ok(())
}
