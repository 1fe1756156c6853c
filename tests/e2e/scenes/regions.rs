//! Sweeps of one of two regions fail, in one way after the other: nothing goes there, and the other region goes on. The account of
//! the credentials is not the one that was said: the daemon does not start.

use crate::harness::{
    aws::{ACCOUNT, Aws, ELSEWHERE, REGION},
    clones::Clones,
    install::Install,
    orphans::{deletes_of, forget, orphans, told, until_orphan},
    stage::{CLUSTER_ID, Stage},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const RULES: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}\n\
                     orphans: {soak: 1s, observations: 1, snapshotsKeptFor: 1d}";
const SOON: Duration = Duration::from_secs(30);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let aws = stage.empty_sky().await?;
    let install = Install::new(&stage, "regions").await?;
    install.govern("regions", &["regions"], RULES)?;
    Clones::in_new_namespace(&stage.admin, "regions").await?;
    wrong_account(&install, &aws).await?;

    let here = leak(&aws, REGION, "here", 0).await?;
    let ways = [
        ("throttled", "", json!({"op": "DescribeDBInstances", "code": "Throttling", "status": 400})),
        ("cut short", "", json!({"op": "DescribeDBInstances", "truncate": 0.7})),
        ("out of credentials", "/snapshots", json!({"op": "DescribeDBSnapshots", "code": "ExpiredToken", "status": 403})),
        ("hung up on", "", json!({"op": "DescribeDBInstances", "reset": true})),
    ];
    let mut daemon = None;
    for ((way, list, fault), number) in ways.iter().zip(1..) {
        let mut fault: Value = fault.clone();
        fault["region"] = json!(REGION);
        fault["times"] = json!(-1);
        // Which the daemon always says, and nobody else here.
        fault["match"] = json!("MaxRecords=100");
        aws.control("faults", &json!([fault])).await?;
        let there = leak(&aws, ELSEWHERE, "there", number).await?;
        if daemon.is_none() {
            let started = install.start_with_aws(&aws, &format!("{REGION},{ELSEWHERE}"))?;
            started.until_leading().await?;
            daemon = Some(started);
        }
        let daemon = daemon.as_ref().context("a daemon")?;
        until(&format!("{way}: the sweep of {REGION} is not complete"), SOON, async || {
            let metrics = daemon.metrics().await?;
            let complete = metrics.sum("clonewarden_evidence_complete", &[("source", &format!("rds/{REGION}{list}"))]);
            let there = metrics.sum("clonewarden_evidence_complete", &[("source", &format!("rds/{ELSEWHERE}{list}"))]);
            ensure!(complete == 0.0 && there == 1.0, "{}", metrics.family("clonewarden_evidence_complete"));
            Ok(())
        })
        .await?;
        until_orphan(&stage.admin, "DBInstance", &there, "Deleted").await?;
        ensure!(aws.find(REGION, "DBInstance", &here).await?.is_some(), "{way}: {here} is gone");
        let asked = deletes_of(&aws.changes().await?, &here).len();
        ensure!(asked == 0, "{way}: somebody deleted {here}");
    }
    aws.control("faults", &json!([])).await?;
    aws.until_gone("DBInstance", &here).await?;
    until_orphan(&stage.admin, "DBInstance", &here, "Deleted").await?;
    let all = orphans(&stage.admin).await?;
    ensure!(all.len() == ways.len() + 1, "{}", told(&all));
    daemon.context("a daemon")?.stop().await?;
    forget(&stage.admin).await?;
    Ok(format!("{} ways to fail in one region, {} gone meanwhile in the other", ways.len(), ways.len()))
}

/// An orphaned database in a region; its identifier.
async fn leak(aws: &Aws, region: &str, name: &str, number: u32) -> Result<String> {
    let (name, uid) = (format!("{name}-{number}"), format!("{number:08x}-0000-4000-8000-00000000dead"));
    let id = names::database_identifier(&name, &uid);
    aws.instance(region, &id, &[("Cluster", CLUSTER_ID), ("CloneId", &name), ("CloneUid", &uid), ("Namespace", "regions")]).await?;
    Ok(id)
}

/// It ends at once, as one that is configured wrongly, and says which account it found and which it wanted.
async fn wrong_account(install: &Install, aws: &Aws) -> Result<()> {
    const ANOTHER: &str = "999999999999";
    let mut command = install.command_with_aws(aws);
    command.args(["run", "--cluster-id", CLUSTER_ID, "--aws-regions", REGION, "--aws-account", ANOTHER, "--listen", "127.0.0.1:0"]);
    command.arg("--policies").arg(install.policies());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "it ended with {}: {said}", output.status);
    ensure!(said.contains(ANOTHER) && said.contains(ACCOUNT), "it does not say both accounts: {said}");
    Ok(())
}
