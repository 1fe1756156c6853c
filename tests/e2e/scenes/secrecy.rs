//! No secret gets out. Clones are applied with the password of their source: none is stored, and each is in its clone's Secret. Then
//! everything that the daemon and its commands say is searched for each secret and for the key, in every form that they may take.

use crate::harness::{
    clones::Clones,
    daemon::Daemon,
    door::{self, Balancer},
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use clonewarden::model::names;
use serde_json::{Value, json};
use std::{fmt::Write as _, sync::Arc, time::Duration};

const NAMESPACE: &str = "secrecy";
const WITHIN: Duration = Duration::from_secs(30);
/// The password of the source, and the one that somebody changes it to.
const PASSWORDS: [&str; 2] = ["correct-horse-battery-staple", "another-staple-another-horse"];

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "secrecy").await?;
    let ttl = "ttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}";
    install.govern("secrecy", &[NAMESPACE], &format!("mode: enforce\n{ttl}"))?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[NAMESPACE]).await?;
    let outcome = search(&stage, &install, &balancer, &clones).await;
    door::unregister(&stage, &install).await?;
    clones.clear().await?;
    outcome
}

fn manifest(name: &str, password: &str) -> Value {
    json!({
        "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"cloneId": name, "sourceUrl": "https://example.com", "sourceUsername": "ada", "sourcePassword": password, "ttlSeconds": 3000},
    })
}

async fn search(stage: &Arc<Stage>, install: &Install, balancer: &Balancer, clones: &Clones) -> Result<String> {
    let daemon = install.start_with_webhook(&[])?;
    daemon.until_leading().await?;
    balancer.serve(&[daemon.webhook.context("it answers no reviews")?]);
    let apply = async |password: &str| stage.apply(&manifest("shop", password).to_string()).await;
    until("a clone with a password gets in", WITHIN, async || apply(PASSWORDS[0]).await).await?;
    let secret = secret_of(stage, clones, "shop").await?;
    ensure!(secret["source-password"] == PASSWORDS[0], "the Secret holds another password of the source");
    let sealed = stored(stage, clones).await?;

    // Applied once more as it was, and changed: sealed anew each time; the Secret stays what it is.
    apply(PASSWORDS[0]).await?;
    apply(PASSWORDS[1]).await?;
    let changed = stored(stage, clones).await?;
    ensure!(changed != sealed, "the change was not taken");
    ensure!(secret_of(stage, clones, "shop").await? == secret, "the Secret was changed");
    // Copied into another clone it opens for nobody.
    let copied = stage.admin.try_create(&clones.path(""), &manifest("thief", &sealed)).await?;
    ensure!(copied.as_ref().is_err_and(|(code, said)| *code == 422 && said.contains("ForeignSeal")), "the copy: {copied:?}");
    // A Secret that cannot be made.
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-secrets"}, "spec": {"hard": {"count/secrets": "1"}}});
    stage.admin.create(&format!("/api/v1/namespaces/{NAMESPACE}/resourcequotas"), &quota).await?;
    until("the quota counts", WITHIN, async || {
        let quota = stage.admin.get(&format!("/api/v1/namespaces/{NAMESPACE}/resourcequotas/no-secrets")).await?;
        ensure!(quota["status"]["used"]["count/secrets"].is_string(), "it has no status");
        Ok(())
    })
    .await?;
    stage.admin.create(&clones.path(""), &manifest("late", PASSWORDS[1])).await?;
    until("the daemon says that it cannot make a Secret", WITHIN, async || {
        let failed = |line: &Value| line["outcome"] == "failed" && line["target"]["kind"] == "Secret";
        ensure!(daemon.journal()?.iter().any(failed), "it has not tried");
        Ok(())
    })
    .await?;
    stage.admin.delete(&format!("/api/v1/namespaces/{NAMESPACE}/resourcequotas/no-secrets")).await?;
    let late = secret_of(stage, clones, "late").await?;

    let key = stage.admin.get(&format!("/api/v1/namespaces/{}/secrets/{}", install.namespace, names::KEY_SECRET)).await?;
    let key = base64::engine::general_purpose::STANDARD.decode(key["data"][names::KEY_ENTRY].as_str().context("no key")?)?;
    let mut secrets: Vec<(String, Vec<u8>)> = vec![("the key".to_owned(), key)];
    secrets.extend(PASSWORDS.map(|password| ("a password of the source".to_owned(), password.into())));
    for (of, held) in [("shop", &secret), ("late", &late)] {
        let held = held.as_object().context("it holds nothing")?;
        secrets.extend(held.iter().map(|(key, value)| (format!("`{key}` of {of}"), value.as_str().unwrap_or_default().into())));
    }
    // It says the same again, the way a process says it that ends.
    daemon.stop().await?;
    let next = install.start_with_webhook(&[])?;
    next.until_leading().await?;
    let places = everything(stage, install, &[&daemon, &next], &next).await?;
    let mut looked_at = 0;
    for (place, text) in &places {
        for (what, secret) in &secrets {
            for form in forms(secret) {
                ensure!(!text.contains(&form), "{what} stands in {place}");
                looked_at += 1;
            }
        }
    }
    // What finds nothing anywhere would find nothing if it were there: in the Secrets themselves it is.
    let own = stage.admin.list(&format!("/api/v1/namespaces/{NAMESPACE}/secrets")).await?;
    let own = json!(own).to_string();
    ensure!(secrets.iter().skip(3).all(|(_, secret)| forms(secret).iter().any(|form| own.contains(form))), "the search finds nothing");
    next.stop().await?;
    Ok(format!("{} secrets, {} places, {looked_at} searches", secrets.len(), places.len()))
}

/// Everything that is said by these daemons, by commands, and in the cluster but in Secrets.
async fn everything(stage: &Arc<Stage>, install: &Install, all: &[&Daemon], running: &Daemon) -> Result<Vec<(String, String)>> {
    let mut places = Vec::new();
    for daemon in all {
        places.push((format!("log and journal of {}", daemon.name), daemon.said()?));
    }
    for page in ["/metrics", "/healthz", "/readyz", "/"] {
        places.push((format!("the page {page}"), running.page(page).await?.1));
    }
    places.push(("the plan".to_owned(), install.plan().await?.to_string()));
    places.push(("`explain`".to_owned(), install.explain(&format!("{NAMESPACE}/shop")).await?));
    places.push(("`brake status`".to_owned(), install.person(&["brake", "status"]).await?));
    let lists = [
        format!("/api/v1/namespaces/{NAMESPACE}/events"),
        format!("/api/v1/namespaces/{NAMESPACE}/configmaps"),
        format!("/apis/kro.run/v1alpha1/namespaces/{NAMESPACE}/wordpressclones"),
        format!("/apis/batch/v1/namespaces/{NAMESPACE}/jobs"),
        format!("/api/v1/namespaces/{}/configmaps", install.namespace),
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", install.namespace),
        "/apis/clonewarden.io/v1alpha1/orphans".to_owned(),
    ];
    for list in lists {
        places.push((list.clone(), json!(stage.admin.list(&list).await?).to_string()));
    }
    ensure!(places.first().is_some_and(|(_, text)| text.contains("shop")), "the daemon said nothing of the clone: nothing was searched");
    Ok(places)
}

/// How a secret may be written: as it is, in base64 at any offset of three, in hexadecimal digits, and as a list of numbers.
pub(super) fn forms(secret: &[u8]) -> Vec<String> {
    let hex = secret.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let numbers = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let mut forms = vec![hex, numbers];
    forms.extend(std::str::from_utf8(secret).ok().map(str::to_owned));
    for skip in 0..3 {
        // The last characters depend on what follows.
        let whole = secret.get(skip..).unwrap_or_default();
        let whole = whole.get(..whole.len() / 3 * 3).unwrap_or_default();
        forms.extend([STANDARD_NO_PAD.encode(whole), URL_SAFE_NO_PAD.encode(whole)]);
    }
    forms
}

/// The sealed password as it is stored; the whole object holds no plain one.
async fn stored(stage: &Arc<Stage>, clones: &Clones) -> Result<String> {
    let object = stage.admin.get(&clones.path("shop")).await?;
    let text = object.to_string();
    ensure!(PASSWORDS.iter().all(|password| !text.contains(password)), "the object holds a plain password");
    ensure!(object["metadata"]["annotations"][names::LAST_APPLIED].is_string(), "it was not applied as kubectl does it: {object}");
    let sealed = object["spec"]["sourcePassword"].as_str().context("no password is stored")?;
    ensure!(sealed.starts_with("sealed:v1:"), "what is stored is not sealed");
    Ok(sealed.to_owned())
}

/// What the Secret of a clone holds, decoded.
async fn secret_of(stage: &Arc<Stage>, clones: &Clones, name: &str) -> Result<Value> {
    let clone = clones.one(name).await?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}", names::secret_name(name, clone.uid()));
    let secret = until(&format!("{name} has its Secret"), WITHIN, async || stage.admin.get(&path).await).await?;
    let mut held = json!({});
    for (key, value) in secret["data"].as_object().context("it holds nothing")? {
        let decoded = base64::engine::general_purpose::STANDARD.decode(value.as_str().context("no text")?)?;
        held[key] = json!(String::from_utf8(decoded)?);
    }
    Ok(held)
}
