//! The RGD is deleted: KRO would not take any clone down, so no end is carried out, and the daemon says so. Applied again, it
//! goes on.

use crate::harness::{
    clones::{Clones, Seen},
    install::{Install, verdict},
    stage::Stage,
    wait::{until, until_past},
};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(40);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "definition").await?;
    install.govern("definition", &["definition"], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, "definition").await?;
    let daemon = install.start_leader().await?;
    let due = ["due-1", "due-2", "due-3"];
    let mut born = Vec::new();
    for name in due {
        born.push(clones.create(name, Some(15), &json!({})).await?);
    }
    let announced = clones.until_announced(&due).await?;
    clones.until_up(&born).await?;
    let last = announced.iter().filter_map(Seen::expires_at).max().context("ends are announced")?;

    stage.kubectl(&["delete", "rgd", "wordpress-clone", "--timeout=30s"]).await?;
    let held = [("code", "DefinitionGone"), ("kind", "WordPressClone"), ("policy", "definition")];
    daemon.until_metric(SOON, "clonewarden_holds", &held, 3.0).await?;
    until_past(last).await;
    // A plan made after the ends had passed says the same.
    clones.annotate("due-1", "example.com/looked-at", "true").await?;
    daemon.until_planned_after(last).await?;
    daemon.until_metric(SOON, "clonewarden_holds", &held, 3.0).await?;
    daemon.until_metric(SOON, "clonewarden_overdue_clones", &[("policy", "definition"), ("cause", "held")], 3.0).await?;
    let (status, said) = daemon.page("/readyz").await?;
    ensure!(status == 200, "/readyz: {status}: {said}");
    let plan = install.plan().await?;
    for name in due {
        let (action, code, _) = verdict(&plan, "definition", name)?;
        ensure!((action.as_str(), code.as_str()) == ("hold", "DefinitionGone"), "{name}: {action} {code}");
    }
    let told = install.explain("definition/due-1").await?;
    ensure!(told.contains("DefinitionGone") && told.contains("wordpress-clone"), "`explain` does not say what is gone:\n{told}");
    let all = clones.all().await?;
    ensure!(all.len() == 3 && !all.iter().any(Seen::is_terminating), "not all of them are there: {all:?}");
    ensure!(install.deleted().await?.is_empty(), "something was deleted while the RGD was gone");
    until("each has an Event about it", SOON, async || {
        let events = clones.events().await?;
        let told = due.iter().filter(|name| events.iter().any(|event| event.about == **name && event.reason == "DefinitionGone")).count();
        ensure!(told == 3, "only {told} have one");
        Ok(())
    })
    .await?;

    let begun = Instant::now();
    stage.apply_definition().await?;
    clones.until_gone(&due).await?;
    let took = begun.elapsed();
    install.until_deleted_exactly(&due.map(|name| format!("definition/{name}"))).await?;
    clones.until_swept(&born.iter().map(Seen::uid).collect::<Vec<_>>()).await?;
    daemon.stop().await?;
    Ok(format!("3 overdue clones gone {:.1} s after the RGD was applied again", took.as_secs_f64()))
}
