//! Databases of clones to AWS and back to nothing, through KRO and ACK: a clone's objects are gone before its database is, and that
//! is no leak. While ACK is down a deleted clone hangs with its database, and all of it goes once ACK is back.

use crate::harness::{
    aws::{By, REGION, STEP_WITHIN},
    clones::Clones,
    install::Install,
    orphans::{LONG, dedicated, deletes_of, orphans, serverless, told},
    stage::Stage,
    wait::until,
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Longer than anything here takes: AWS goes on when it is told to.
const SLOW: f64 = 600.0;
/// When the clones end; by then they are up.
const TTL: u32 = 25;

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let aws = stage.empty_sky().await?;
    aws.control("timing", &json!({"deleting": SLOW})).await?;
    let install = Install::new(&stage, "databases").await?;
    let rules = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}\norphans: {soak: 1s, observations: 1}";
    install.govern("databases", &["databases"], rules)?;
    let clones = Clones::in_new_namespace(&stage.admin, "databases").await?;
    let daemon = install.start_with_aws(&aws, REGION)?;
    daemon.until_leading().await?;
    let one = clones.with_database("one", TTL, &dedicated()).await?;
    let many = clones.with_database("many", TTL, &serverless()).await?;
    let late = clones.with_database("late", 3_000, &dedicated()).await?;
    for (kind, clone) in [("DBInstance", &one), ("DBCluster", &many), ("DBInstance", &many), ("DBInstance", &late)] {
        aws.until_available(kind, &clone.database()).await?;
    }
    let by_hand = [("DBInstanceIdentifier", one.database()), ("DBSnapshotIdentifier", "before-the-end".to_owned())];
    aws.ok(REGION, "CreateDBSnapshot", &by_hand.each_ref().map(|(name, value)| (*name, value.as_str()))).await?;

    // The clones end; AWS takes its time.
    clones.until_gone(&["one", "many"]).await?;
    clones.until_swept(&[one.uid(), many.uid()]).await?;
    for (kind, clone) in [("DBInstance", &one), ("DBCluster", &many), ("DBInstance", &many)] {
        let there = aws.find(REGION, kind, &clone.database()).await?;
        ensure!(there.is_some(), "{kind} {} went with its clone: nothing is to be seen here", clone.database());
    }
    let going = [("action", "keep"), ("code", "Terminating")];
    daemon.until_metric(STEP_WITHIN, "clonewarden_decisions", &going, 3.0).await?;
    let held = daemon.metrics().await?;
    ensure!(held.sum("clonewarden_holds", &[]) == 0.0, "something is held: {}", held.family("clonewarden_holds"));

    let gone = || -> Result<Vec<Value>> { Ok(daemon.journal()?.into_iter().filter(|line| line["event"] == "gone").collect()) };
    ensure!(gone()?.is_empty(), "the journal says that they are gone: {:?}", gone()?);

    // Another is deleted by hand while ACK is down: its object hangs, and the clone with it.
    stage.stop_part("ack").await?;
    clones.api.delete(&clones.path("late")).await?;
    until("the object of the database hangs", STEP_WITHIN, async || {
        let object = clones.api.get(&clones.instance_path("late")).await?;
        ensure!(object["metadata"]["deletionTimestamp"].is_string(), "nobody deletes it");
        Ok(())
    })
    .await?;
    daemon.until_metric(STEP_WITHIN, "clonewarden_decisions", &going, 4.0).await?;
    tokio::time::sleep(LONG).await;
    let marked = orphans(&stage.admin).await?;
    ensure!(marked.is_empty(), "marked: {}", told(&marked));
    stage.start_part("ack").await?;
    clones.until_gone(&["late"]).await?;

    aws.control("shift", &json!({"seconds": SLOW + 1.0})).await?;
    daemon.until_metric(STEP_WITHIN, "clonewarden_decisions", &going, 0.0).await?;
    until("AWS has nothing but the snapshot that a person took", Duration::from_secs(30), async || {
        let left: Vec<_> = aws.everything(REGION).await?.into_keys().collect();
        ensure!(left == [("DBSnapshot".to_owned(), "before-the-end".to_owned())], "it has {left:?}");
        Ok(())
    })
    .await?;
    until("the journal says of each clone that it is gone", Duration::from_secs(30), async || {
        let gone = gone()?;
        let mut names: Vec<_> = gone.iter().map(|line| line["clone"]["name"].as_str().unwrap_or_default()).collect();
        names.sort_unstable();
        ensure!(names == ["late", "many", "one"], "it says so of {names:?}");
        let looked = |line: &Value| line["evidence"].as_array().is_some_and(|all| all.iter().any(|one| one["source"] == format!("rds/{REGION}")));
        ensure!(gone.iter().all(looked), "nobody looked in AWS: {gone:?}");
        Ok(())
    })
    .await?;
    let changes = aws.changes().await?;
    let ours: Vec<_> = changes.iter().filter(|change| change.by == By::Clonewarden).collect();
    ensure!(ours.is_empty(), "clonewarden changed something in AWS: {ours:?}");
    for clone in [&one, &late] {
        ensure!(deletes_of(&changes, &clone.database()).len() == 1, "{} was deleted otherwise than once", clone.database());
    }
    let marked = orphans(&stage.admin).await?;
    ensure!(marked.is_empty(), "marked: {}", told(&marked));
    install.until_deleted_exactly(&["databases/many".to_owned(), "databases/one".to_owned()]).await?;
    daemon.stop().await?;
    Ok("4 databases gone after their clones, none of them an orphan".to_owned())
}
