//! `clonewarden pause` stops every write, though ends come due; a restart changes nothing about that; `resume` goes on.

use crate::harness::{
    clones::{Clones, Seen},
    daemon::Daemon,
    install::{Install, verdict},
    stage::Stage,
    wait::{secs, until_past},
};
use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{sync::Arc, time::Duration};

const SOON: Duration = Duration::from_secs(40);
/// The holder reads the state once a second; a write that has begun is finished.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(3);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "pause").await?;
    install.govern("pause", &["pause"], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [3s], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, "pause").await?;
    let daemon = install.start_leader().await?;
    let due = ["due-1", "due-2", "due-3", "due-4"];
    for name in due {
        clones.create(name, Some(12), &json!({})).await?;
    }
    let announced = clones.until_announced(&due).await?;
    let last = announced.iter().filter_map(Seen::expires_at).max().context("ends are announced")?;

    let said = install.person(&["pause", "--reason", "an outage is looked into"]).await?;
    let paused_at = Timestamp::now();
    ensure!(said.contains("an outage is looked into"), "{said}");
    daemon.until_metric(SOON, "clonewarden_paused", &[], 1.0).await?;
    let noticed = Timestamp::now().duration_since(paused_at);
    ensure!(noticed < AT_ONCE, "the pause was noticed only after {}", secs(noticed));
    // Something new to announce, and something due to delete: neither happens.
    clones.create("new", Some(600), &json!({})).await?;
    until_past(last).await;
    all_wait(&install, &clones, &daemon, due.len()).await?;
    daemon.stop().await?;
    let daemon = install.start_leader().await?;
    all_wait(&install, &clones, &daemon, due.len()).await?;
    let resumed_at = Timestamp::now();

    let said = install.person(&["resume"]).await?;
    ensure!(said.contains("resumed") && said.contains("an outage is looked into"), "{said}");
    clones.until_gone(&due).await?;
    clones.until_announced(&["new"]).await?;
    install.until_deleted_exactly(&due.map(|name| format!("pause/{name}"))).await?;
    let after = paused_at.checked_add(AT_ONCE)?;
    let deeds = install.deeds().await?;
    // Events only say what is not done; they are how people learn of the pause.
    let written = deeds.iter().filter(|deed| deed.writes() && deed.resource != "events" && deed.at > after && deed.at < resumed_at);
    let written: Vec<_> = written.map(|deed| format!("{} {} at {}", deed.verb, deed.object(), deed.at)).collect();
    ensure!(written.is_empty(), "written while paused: {}", written.join(", "));
    daemon.stop().await?;
    clones.clear().await?;
    Ok(format!("noticed after {}", secs(noticed)))
}

/// Every end has passed, all are there, and the plan says what holds them.
async fn all_wait(install: &Install, clones: &Clones, daemon: &Daemon, due: usize) -> Result<()> {
    let held = [("action", "delete"), ("policy", "pause"), ("blocked_by", "pause")];
    daemon.until_metric(SOON, "clonewarden_decisions", &held, due as f64).await?;
    daemon.until_metric(SOON, "clonewarden_paused", &[], 1.0).await?;
    let all = clones.all().await?;
    ensure!(all.len() == due + 1 && !all.iter().any(Seen::is_terminating), "not all of them are there: {all:?}");
    ensure!(clones.one("new").await?.announcement().is_empty(), "the new clone was announced");
    let plan = install.plan().await?;
    ensure!(verdict(&plan, "pause", "due-1")? == ("delete".into(), "Expired".into(), "pause".into()), "{:?}", verdict(&plan, "pause", "due-1")?);
    let told = install.explain("pause/due-1").await?;
    ensure!(told.contains("clonewarden resume"), "`explain` does not say how to go on:\n{told}");
    Ok(())
}
