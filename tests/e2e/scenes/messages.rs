//! What kubectl says when a clone is refused, changed or warned of, word for word (`tests/e2e/goldens/admission.txt`); and that
//! nothing of the kind happens in audit.

use crate::harness::{
    clones::Clones,
    door::{self, Balancer},
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fmt::Write as _, path::Path, process::Stdio, sync::Arc, time::Duration};
use tokio::io::AsyncWriteExt as _;

const ENFORCED: &str = "messages";
const AUDITED: &str = "messages-audit";
/// Where a quota runs one clone, and where a host has room for one.
const POOR: &str = "messages-poor";
const NARROW: &str = "messages-narrow";
const RULES: &str = "ttl: {minimum: 30m, default: 2h, maximum: 4h}\nlimits: {clones: 3, dedicatedDatabases: 1, clonesPerOwner: 2}\n\
                     databases: [{name: critical, when: \"clone.labels['clonewarden.io/critical'] == 'true'\", use: dedicated, classes: [db.t3.micro, db.t3.small]}, {name: rest, use: shared, hosts: [messages-mysql]}]";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "messages").await?;
    for (namespace, mode) in [(ENFORCED, "enforce"), (AUDITED, "audit")] {
        install.govern(namespace, &[namespace], &format!("mode: {mode}\n{RULES}"))?;
        Clones::in_new_namespace(&stage.admin, namespace).await?;
    }
    install.govern(POOR, &[POOR], "mode: enforce\nlimits: {clones: 1}\nquota: {requests.cpu: 300m}")?;
    install.govern(NARROW, &[NARROW], "mode: enforce\ndatabases: [{name: all, use: shared, hosts: [messages-narrow]}]")?;
    for namespace in [POOR, NARROW] {
        Clones::in_new_namespace(&stage.admin, namespace).await?;
    }
    std::fs::write(
        install.policies().join("hosts.yaml"),
        "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: messages-mysql}\nspec: {endpoint: mysql.example, schemas: 40}\n---\n\
         apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: messages-narrow}\nspec: {endpoint: narrow.example, schemas: 1}\n",
    )?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[ENFORCED, AUDITED, POOR, NARROW]).await?;
    let outcome = talk(&stage, &install, &balancer).await;
    door::unregister(&stage, &install).await?;
    for namespace in [ENFORCED, AUDITED, POOR, NARROW] {
        Clones { api: stage.admin.clone(), namespace: namespace.to_owned() }.clear().await?;
    }
    outcome
}

async fn talk(stage: &Arc<Stage>, install: &Install, balancer: &Balancer) -> Result<String> {
    let daemon = install.start_with_webhook(&[])?;
    daemon.until_leading().await?;
    balancer.serve(&[daemon.webhook.context("it answers no reviews")?]);
    until("the webhook answers", Duration::from_secs(30), async || {
        let said = kubectl(stage, "create --dry-run=server", &clone(ENFORCED, "dry", json!({}), json!({}))).await?;
        ensure!(said.contains("created"), "{said}");
        Ok(())
    })
    .await?;
    let critical = json!({"labels": {"clonewarden.io/critical": "true"}});
    let mut text = String::new();
    let mut say = async |title: &str, verb: &str, object: Value| -> Result<()> {
        let said = kubectl(stage, verb, &object).await?;
        writeln!(text, "# {title}\n{}\n", said.trim_end())?;
        Ok(())
    };
    say("an ordinary clone", "create", clone(ENFORCED, "one", json!({}), json!({}))).await?;
    let image = json!({"image": "somebody.example/else:latest"});
    say("an image of the caller's choice", "create --dry-run=server", clone(ENFORCED, "image", image, json!({}))).await?;
    say(
        "a TTL below the minimum, and a wish that no rule grants",
        "create",
        clone(ENFORCED, "two", json!({"ttlSeconds": 60, "useDedicatedDatabase": true}), json!({})),
    )
    .await?;
    say("one more than an owner may have", "create", clone(ENFORCED, "three", json!({}), json!({}))).await?;
    say("a TTL of zero", "create --dry-run=server", clone(ENFORCED, "zero", json!({"ttlSeconds": 0}), json!({}))).await?;
    say("a name that is not the clone's id", "create --dry-run=server", clone(ENFORCED, "four", json!({"cloneId": "five"}), json!({}))).await?;
    let ghost = json!({"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"name": "ghost", "namespace": ENFORCED}});
    say("a ghost without a spec", "create --dry-run=server", ghost).await?;
    let generated = json!({"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"generateName": "clone-", "namespace": ENFORCED}, "spec": {"cloneId": "clone-x", "sourceUrl": "https://example.com"}});
    say("a name that the API server would make up", "create --dry-run=server", generated).await?;
    say(
        "a keep that is neither true nor false",
        "create --dry-run=server",
        clone(ENFORCED, "kept", json!({}), json!({"annotations": {"clonewarden.io/keep": "yes"}})),
    )
    .await?;
    let patch = |change: Value| json!({"namespace": ENFORCED, "name": "one", "change": change});
    say("a database of its own, afterwards", "patch", patch(json!({"spec": {"useDedicatedDatabase": true}}))).await?;
    say(
        "an end that somebody announces by hand",
        "patch",
        patch(json!({"metadata": {"annotations": {"clonewarden.io/expires-at": "2026-02-05T18:00:00Z"}}})),
    )
    .await?;
    say("an extension that is no date", "patch", patch(json!({"metadata": {"annotations": {"clonewarden.io/extend-until": "tomorrow"}}}))).await?;
    say("another owner, afterwards", "patch", patch(json!({"metadata": {"annotations": {"clonewarden.io/owner": "eve"}}}))).await?;
    say("a longer TTL than the maximum, afterwards", "patch", patch(json!({"spec": {"ttlSeconds": 90_000}}))).await?;
    say("in audit: a TTL below the minimum", "create", clone(AUDITED, "one", json!({"ttlSeconds": 60}), json!({}))).await?;
    say("in audit: a name that is not the clone's id", "create --dry-run=server", clone(AUDITED, "two", json!({"cloneId": "three"}), json!({})))
        .await?;
    say("in audit: a critical clone", "create --dry-run=server", clone(AUDITED, "critical", json!({}), critical)).await?;

    say("where one clone may be", "create", clone(POOR, "one", json!({}), json!({}))).await?;
    say("one more than may be", "create", clone(POOR, "two", json!({}), json!({}))).await?;
    install.govern(POOR, &[POOR], "mode: enforce\nquota: {requests.cpu: 300m}")?;
    until("the limit is gone", Duration::from_secs(40), async || {
        let said = kubectl(stage, "create --dry-run=server", &clone(POOR, "two", json!({}), json!({}))).await?;
        ensure!(!said.contains("LimitReached"), "{said}");
        Ok(())
    })
    .await?;
    say("one more than the quota runs", "create", clone(POOR, "two", json!({}), json!({}))).await?;
    say("on a host with room for one", "create", clone(NARROW, "one", json!({}), json!({}))).await?;
    say("on a host that is full", "create", clone(NARROW, "two", json!({}), json!({}))).await?;

    let stored = stage.admin.get(&format!("/apis/kro.run/v1alpha1/namespaces/{ENFORCED}/wordpressclones/two")).await?;
    ensure!(stored["spec"]["ttlSeconds"] == 1800 && stored["spec"]["sharedDatabase"]["host"] == "mysql.example:3306", "stored: {stored}");
    let audited = stage.admin.get(&format!("/apis/kro.run/v1alpha1/namespaces/{AUDITED}/wordpressclones/one")).await?;
    let annotations = &audited["metadata"]["annotations"];
    ensure!(audited["spec"]["ttlSeconds"] == 60 && annotations["clonewarden.io/owner"].is_null(), "audit changed something: {audited}");
    daemon.stop().await?;

    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/goldens/admission.txt");
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    ensure!(text == expected, "kubectl says something else than {} has; all of it:\n{text}", golden.display());
    Ok(format!("{} sentences", text.lines().filter(|line| line.starts_with('#')).count()))
}

fn clone(namespace: &str, name: &str, spec: Value, metadata: Value) -> Value {
    let mut object = json!({
        "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": metadata,
        "spec": {"cloneId": name, "sourceUrl": "https://example.com"},
    });
    object["metadata"]["name"] = json!(name);
    object["metadata"]["namespace"] = json!(namespace);
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

/// What kubectl prints, whether it goes along or not.
async fn kubectl(stage: &Stage, verb: &str, object: &Value) -> Result<String> {
    let mut command = tokio::process::Command::new(stage.platform.program("kubectl"));
    // It keeps a cache in its home.
    command.env_clear().env("KUBECONFIG", stage.platform.kubeconfig()).env("HOME", stage.platform.dir());
    let input = if verb == "patch" {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        command.args([
            "patch",
            "wordpressclone",
            &text("name"),
            "--namespace",
            &text("namespace"),
            "--type=merge",
            "--patch",
            &object["change"].to_string(),
        ]);
        String::new()
    } else {
        command.args(verb.split(' ')).args(["--filename=-"]);
        object.to_string()
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot run kubectl")?;
    child.stdin.take().context("kubectl takes no input")?.write_all(input.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout)))
}
