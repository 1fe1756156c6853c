//! The certificate of the webhook while clones are created all the time: its Secret is damaged and mended, then deleted, so that CA
//! and certificate are made anew. Not one creation fails.

use crate::harness::{
    api::Api,
    clones::Clones,
    daemon::Daemon,
    door::{self, Balancer},
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

const NAMESPACE: &str = "certificates";
const CLIENTS: usize = 3;
/// A new CA signs only once the API server has had it for 30 s, and replicas read the Secret every 10 s.
const RENEWED_WITHIN: Duration = Duration::from_secs(75);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "certificates").await?;
    install.govern(NAMESPACE, &[NAMESPACE], "mode: enforce\nlimits: {clones: 5}")?;
    Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[NAMESPACE]).await?;
    let outcome = renew(&stage, &install, &balancer).await;
    door::unregister(&stage, &install).await?;
    outcome
}

async fn renew(stage: &Arc<Stage>, install: &Install, balancer: &Balancer) -> Result<String> {
    let (first, second) = (install.start_with_webhook(&[])?, install.start_with_webhook(&[])?);
    for daemon in [&first, &second] {
        daemon.until_ready().await?;
    }
    balancer.serve(&[first.webhook, second.webhook].into_iter().flatten().collect::<Vec<_>>());
    until("the webhook answers", Duration::from_secs(30), async || try_out(&stage.admin, 0).await).await?;

    let (end, tried) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(1)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (api, end, tried) = (stage.admin.clone(), Arc::clone(&end), Arc::clone(&tried));
        clients.spawn(async move {
            while !end.load(Ordering::Relaxed) {
                try_out(&api, tried.fetch_add(1, Ordering::Relaxed)).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        });
    }
    let secret = format!("/api/v1/namespaces/{}/secrets/clonewarden-webhook", install.namespace);
    // What is damaged is mended from what is in use: it stays the same certificate.
    let before = stage.admin.get(&secret).await?["data"].clone();
    stage.admin.patch(&secret, &json!({"data": {"tls.crt": null}})).await?;
    until("the Secret has its certificate again", RENEWED_WITHIN, async || {
        let now = stage.admin.get(&secret).await?["data"].clone();
        ensure!(now == before, "it holds {:?}", now.as_object().map(|data| data.keys().collect::<Vec<_>>()));
        Ok(())
    })
    .await?;
    // Without the Secret everything is made anew, CA and certificate, while the old ones serve on.
    let (before, shown) = (stage.admin.get(&secret).await?["data"].clone(), expires(&first).await?);
    stage.admin.delete(&secret).await?;
    let renewed = until("CA and certificate are renewed", RENEWED_WITHIN, async || {
        let now = stage.admin.get(&secret).await?["data"].clone();
        for key in ["ca.key", "tls.crt", "tls.key"] {
            ensure!(now[key].as_str().is_some_and(|text| !text.is_empty()) && now[key] != before[key], "there is no new {key}");
        }
        Ok(now)
    })
    .await?;
    until("both replicas show the new certificate", RENEWED_WITHIN, async || {
        let (one, other) = (expires(&first).await?, expires(&second).await?);
        ensure!(one == other && one != shown, "they show {one} and {other} after {shown}");
        Ok(())
    })
    .await?;
    trusted(stage, install, &renewed).await?;
    // A while longer, by the last certificate.
    let so_far = tried.load(Ordering::Relaxed);
    until("more are created", Duration::from_secs(30), async || {
        ensure!(tried.load(Ordering::Relaxed) > so_far + 100, "not yet");
        Ok(())
    })
    .await?;
    end.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client?.context("a creation failed while certificates were renewed")?;
    }
    for daemon in [&first, &second] {
        daemon.stop().await?;
    }
    Ok(format!("{} creations, none failed, while CA and certificate were renewed", tried.load(Ordering::Relaxed)))
}

/// Whether a creation passes both webhooks; nothing is stored.
async fn try_out(api: &Api, number: usize) -> Result<()> {
    let name = format!("c-{number}");
    let object = json!({
        "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"cloneId": name, "sourceUrl": "https://example.com"},
    });
    match api.try_create(&format!("/apis/kro.run/v1alpha1/namespaces/{NAMESPACE}/wordpressclones?dryRun=All"), &object).await? {
        Ok(made) => {
            ensure!(made["metadata"]["annotations"]["clonewarden.io/owner"].is_string(), "the webhook was not asked: {made}");
            Ok(())
        }
        Err((code, said)) => bail!("{name}: {code}: {said}"),
    }
}

/// Until when the certificate is valid that a daemon shows, in milliseconds.
async fn expires(daemon: &Daemon) -> Result<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a date in milliseconds is far below 2^53")]
    Ok((daemon.metrics().await?.sum("clonewarden_webhook_certificate_expires_timestamp_seconds", &[]) * 1e3) as i64)
}

/// Both configurations trust what the Secret holds.
async fn trusted(stage: &Stage, install: &Install, secret: &Value) -> Result<()> {
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}/{}", install.namespace);
        until(&format!("{plural}: the CA bundle is the Secret's"), Duration::from_secs(30), async || {
            let configuration = stage.admin.get(&path).await?;
            let mut webhooks = configuration["webhooks"].as_array().into_iter().flatten();
            ensure!(webhooks.all(|webhook| webhook["clientConfig"]["caBundle"] == secret["ca.crt"]), "it is another");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
