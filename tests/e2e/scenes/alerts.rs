//! The alerts that ship, by a real Prometheus that scrapes a daemon: nothing fires while nothing is wrong; a pause and a broken policy
//! file reach whoever a real Alertmanager tells, and so does their end.

use crate::harness::{clones::Clones, daemon::Daemon, install::Install, prometheus::Monitoring, stage::Stage, wait::until};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const RULES: &str = "mode: enforce\nlimits: {clones: 9}\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [10m]}\nbudget: {monthly: '500'}";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "alerts").await?;
    install.govern("alerts", &["alerts"], RULES)?;
    let clones = Clones::in_new_namespace(&stage.admin, "alerts").await?;
    let daemon = install.start_leader().await?;
    clones.create("one", None, &json!({})).await?;
    clones.until_announced(&["one"]).await?;
    takes(&daemon).await?;

    // What a standby does not look for is nothing that is wrong.
    let standby = install.start()?;
    standby.until_ready().await?;
    let monitoring = Monitoring::start(&install.file(""), &[daemon.address, standby.address]).await?;
    until("it is scraped", Duration::from_secs(20), async || {
        ensure!(!monitoring.query("clonewarden_clones{namespace=\"alerts\"}").await?.is_empty(), "it has no clones");
        Ok(())
    })
    .await?;
    let sick = monitoring.sick_rules().await?;
    ensure!(sick.is_empty(), "rules that cannot be evaluated: {}", sick.join("; "));
    // Without their waits they tell of a start, too. The clones of the scenes beside this one are nobody's to this daemon, and the host
    // that the definition names has no price.
    until("nothing fires", Duration::from_secs(60), async || {
        const RIGHT: &str = "ClonewardenClonesUngoverned|ClonewardenCostsNotCounted";
        let firing = monitoring.query(&format!("ALERTS{{alertstate=\"firing\", alertname!~\"{RIGHT}\"}}")).await?;
        ensure!(firing.is_empty(), "though nothing is wrong: {firing:?}");
        Ok(())
    })
    .await?;

    install.person(&["pause", "--reason", "to see it"]).await?;
    let paused = monitoring.until_told("ClonewardenPaused", "firing").await?;
    ensure!(paused["annotations"]["runbook"] == "docs/runbooks.md#clonewardenpaused" && paused["labels"]["severity"] == "warning", "{paused}");
    install.person(&["resume"]).await?;
    monitoring.until_told("ClonewardenPaused", "resolved").await?;

    fs::write(install.policies().join("alerts.yaml"), "kind: ClonePolicy\nspec: [")?;
    monitoring.until_told("ClonewardenPolicyBroken", "firing").await?;
    install.govern("alerts", &["alerts"], RULES)?;
    monitoring.until_told("ClonewardenPolicyBroken", "resolved").await?;

    let version = monitoring.query("clonewarden_build_info").await?;
    standby.stop().await?;
    daemon.stop().await?;
    monitoring.until_told("ClonewardenDown", "firing").await?;
    clones.clear().await?;
    Ok(version.first().map_or_else(String::new, |series: &Value| format!("version {}", series["metric"]["version"])))
}

/// Prometheus' own tool has nothing against what the daemon exports.
async fn takes(daemon: &Daemon) -> Result<()> {
    let (_, text) = daemon.page("/metrics").await?;
    let said = tokio::task::spawn_blocking(move || -> Result<String> {
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run `promtool`: apt-get install prometheus")?;
        std::io::Write::write_all(&mut child.stdin.take().context("promtool takes no input")?, text.as_bytes())?;
        let output = child.wait_with_output()?;
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    })
    .await??;
    ensure!(said.trim().is_empty(), "promtool check metrics: {said}");
    Ok(())
}
