//! The page and its JSON on the real API server: who may look, by real tokens and real RBAC, and that what is shown is so. And schemathesis
//! tries the JSON against its own OpenAPI document.

use crate::harness::{
    clones::{Clones, Part},
    daemon::Daemon,
    install::Install,
    stage::Stage,
    tried::Trial,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const HERE: &str = "page";
const THERE: &str = "page-other";
const TORN: &str = "page-torn";
const SOON: Duration = Duration::from_secs(40);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "page").await?;
    install.govern("page", &[HERE, THERE], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, HERE).await?;
    let others = Clones::in_new_namespace(&stage.admin, THERE).await?;
    clones.create("shown", Some(3_000), &json!({})).await?;
    clones.create("odd", Some(3_000), &json!({names::EXTEND_UNTIL: "<script>alert(1)</script>"})).await?;
    others.create("elsewhere", Some(3_000), &json!({})).await?;
    let torn = Clones::in_new_namespace(&stage.admin, TORN).await?;
    torn.create("held", Some(3_000), &json!({})).await?;
    // Two policies meet on a namespace: its clones are held. That is found only when the namespace has the labels.
    for label in ["one", "two"] {
        let policy = format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: page-{label}}}\nspec:\n  mode: enforce\n  \
             namespaces: {{selector: {{matchLabels: {{page-{label}: \"yes\"}}}}}}\n"
        );
        std::fs::write(install.policies().join(format!("page-{label}.yaml")), policy)?;
    }
    let labels = json!({"metadata": {"labels": {"page-one": "yes", "page-two": "yes"}}});
    stage.admin.patch(&format!("/api/v1/namespaces/{TORN}"), &labels).await?;
    // A clone goes while nobody watches, and leaves everything behind.
    let lost = clones.create("lost", Some(3_000), &json!({})).await?;
    let parts = clones.until_up(std::slice::from_ref(&lost)).await?;
    stage.parts(|platform| platform.stop("kro")).await?;
    clones.vanish("lost").await?;
    let daemon = install.start_leader().await?;
    clones.until_announced(&["shown", "odd"]).await?;

    let [all, one, none] = ["page-all", "page-one", "page-none"];
    for account in [all, one, none] {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}});
        stage.admin.create(&format!("/api/v1/namespaces/{HERE}/serviceaccounts"), &account).await?;
    }
    bind(&stage, all, None).await?;
    bind(&stage, one, Some(HERE)).await?;
    let (all, one, none) = (token(&stage, all).await?, token(&stage, one).await?, token(&stage, none).await?);
    let here = format!("/view/v1?namespace={HERE}");
    until("RBAC is in force", SOON, async || {
        ensure!(asked(&daemon, "/view/v1", Some(&all)).await?.0 == 200 && asked(&daemon, &here, Some(&one)).await?.0 == 200, "not yet");
        Ok(())
    })
    .await?;
    for (path, token, expected) in [
        ("/view/v1", None, 401),
        ("/", None, 401),
        ("/view/v1/clones", Some("nonsense"), 401),
        ("/view/v1", Some(none.as_str()), 403),
        (here.as_str(), Some(none.as_str()), 403),
        ("/view/v1", Some(one.as_str()), 403),
        ("/view/v1?namespace=page-other", Some(one.as_str()), 403),
        ("/", Some(all.as_str()), 200),
        ("/healthz", None, 200),
    ] {
        let (status, said) = asked(&daemon, path, token).await?;
        ensure!(status == expected, "{path}: {status} instead of {expected}: {said}");
        ensure!(token.is_none_or(|token| !said.contains(token)), "{path}: the answer repeats the token");
    }
    // On the daemon's own machine nobody is asked.
    ensure!(daemon.page("/").await?.0 == 200, "it turns away its own machine");
    let limited = asked(&daemon, &here, Some(&one)).await?.1;
    ensure!(limited.contains("shown") && !limited.contains("elsewhere") && !limited.contains(THERE), "one namespace shows others: {limited}");

    let view: Value = serde_json::from_str(&asked(&daemon, "/view/v1", Some(&all)).await?.1)?;
    ensure!(view["head"]["role"] == "acting" && view["head"]["clock"]["trusted"] == true, "{}", view["head"]);
    let items = view["clones"]["items"].as_array().context("clones")?;
    let shown = items.iter().find(|clone| clone["name"] == "shown").context("the clone is shown")?;
    let object = clones.one("shown").await?;
    let end = object.expires_at().context("an end is announced")?;
    ensure!(shown["endsAt"].as_str().and_then(|at| at.parse().ok()) == Some(end), "the object says {end}, the page {shown}");
    ensure!(shown["uid"] == object.uid() && shown["verdict"] == "keep", "{shown}");
    let page = daemon.page("/").await?.1;
    ensure!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"), "what somebody wrote is not escaped");

    let holds = view["holds"].as_array().context("holds")?;
    let held = holds.iter().find(|group| group["code"] == "PolicyConflict").with_context(|| format!("no hold is shown: {holds:?}"))?;
    ensure!(held["action"] == "hold" && held["items"][0]["target"]["name"] == "page-torn/held", "{held}");
    until("what was left behind is shown", SOON, async || {
        let view: Value = serde_json::from_str(&asked(&daemon, "/view/v1", Some(&all)).await?.1)?;
        let orphans = view["orphans"]["items"].as_array().context("orphans")?;
        let ours = orphans.iter().find(|orphan| orphan["namespace"] == HERE).context("none of ours")?;
        ensure!(ours["reason"]["code"] == "OwnerGone" && ours["deletesAt"].is_string() && ours["observations"] != 0, "{ours}");
        Ok(())
    })
    .await?;
    let deeds: Value = serde_json::from_str(&asked(&daemon, "/view/v1", Some(&all)).await?.1)?;
    let deeds = deeds["actions"]["items"].as_array().context("actions")?.clone();
    ensure!(deeds.iter().any(|deed| deed["action"] == "warn" && deed["outcome"] == "done" && deed["target"]["name"] == "page/shown"), "{deeds:?}");
    let cases = tried(&stage, &install, &daemon, &all).await?;
    let said = daemon.said()?;
    ensure!(![&all, &one, &none].iter().any(|token| said.contains(token.as_str())), "the log holds a token");
    stage.parts(|platform| platform.restart("kro")).await?;
    for part in parts.iter().filter(|part| part.clone == lost.uid() && part.kind != "Pod") {
        clones.api.delete(&path(part)).await?;
    }
    until("what is gone is un-marked", SOON, async || {
        let left = stage.admin.list("/apis/clonewarden.io/v1alpha1/orphans").await?;
        ensure!(left.is_empty(), "still marked: {left:?}");
        Ok(())
    })
    .await?;
    daemon.stop().await?;
    for clones in [clones, others, torn] {
        clones.clear().await?;
    }
    stage.admin.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/page-all").await?;
    Ok(format!("{} clones shown, a page of {} KiB; {cases}", items.len(), page.len() / 1_024))
}

/// Schemathesis: anything that the document allows, and much that it does not. Where the document lies it says so.
async fn tried(stage: &Arc<Stage>, install: &Install, daemon: &Daemon, token: &str) -> Result<String> {
    let url = format!("http://{}", daemon.address);
    let trial = Trial { stage, install, url: url.clone(), ca: None, token, head: Some("Host: clonewarden.example") };
    let cases = trial.finds_nothing(&format!("{url}/view/v1/openapi.json"), &["--mode", "all", "--max-time", "15"], None).await?;
    let mut lie: Value = serde_json::from_str(&daemon.page("/view/v1/openapi.json").await?.1)?;
    lie["components"]["schemas"]["Clones"]["properties"]["total"] = json!({"type": "string"});
    trial.notices(&lie, "total").await?;
    Ok(cases)
}

fn path(part: &Part) -> String {
    let (prefix, plural) = match part.kind {
        "Job" => ("/apis/batch/v1", "jobs"),
        "Ingress" => ("/apis/networking.k8s.io/v1", "ingresses"),
        "Service" => ("/api/v1", "services"),
        _ => ("/api/v1", "configmaps"),
    };
    format!("{prefix}/namespaces/{HERE}/{plural}/{}", part.name)
}

/// Asks from elsewhere, with a token or without.
async fn asked(daemon: &Daemon, path: &str, token: Option<&str>) -> Result<(u16, String)> {
    let head = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    daemon.page_from_elsewhere(path, &head).await
}

/// Lets an account list clones, in a namespace or in all of them.
async fn bind(stage: &Arc<Stage>, account: &str, namespace: Option<&str>) -> Result<()> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": account},
        "rules": [{"apiGroups": ["kro.run"], "resources": ["wordpressclones"], "verbs": ["list"]}],
    });
    stage.admin.create("/apis/rbac.authorization.k8s.io/v1/clusterroles", &role).await?;
    let (kind, path) = match namespace {
        None => ("ClusterRoleBinding", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings".to_owned()),
        Some(namespace) => ("RoleBinding", format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings")),
    };
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": HERE}],
    });
    stage.admin.create(&path, &binding).await.map(drop)
}

async fn token(stage: &Arc<Stage>, account: &str) -> Result<String> {
    Ok(stage.kubectl(&["create", "token", account, "--namespace", HERE]).await?.trim().to_owned())
}
