//! Clones that KRO never took down, so that everything they were made of is left, ACK's objects and their databases too; and
//! namespaces that are gone before what was in them.

use crate::harness::{
    aws::{Aws, By, REGION, STEP_WITHIN},
    clones::Clones,
    install::Install,
    orphans::{annotate, dedicated, deletes_of, forget, orphans, serverless, snapshots_of, told, until_farewell, until_orphan},
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc, time::Instant};

const RULES: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}\nbrake: {deletes: 200}\n\
                     orphans: {soak: 3s, observations: 1, snapshotsKeptFor: 1d}";
/// What a clone with a database of its own leaves when nobody takes it down.
const LEFT: [&str; 6] = ["ConfigMap", "DBInstance", "Ingress", "Job", "Pod", "Service"];

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let aws = stage.empty_sky().await?;
    let install = Install::new(&stage, "adrift").await?;
    install.govern("adrift", &["adrift", "adrift-gone", "adrift-void"], RULES)?;
    let clones = Clones::in_new_namespace(&stage.admin, "adrift").await?;
    let leaving = Clones::in_new_namespace(&stage.admin, "adrift-gone").await?;
    let voided = Clones::in_new_namespace(&stage.admin, "adrift-void").await?;
    let loose = clones.with_database_by_hand("loose", 3_000, &dedicated()).await?;
    let wide = clones.with_database_by_hand("wide", 3_000, &serverless()).await?;
    let gone = leaving.with_database_by_hand("gone", 3_000, &dedicated()).await?;
    let void = voided.with_database_by_hand("void", 3_000, &dedicated()).await?;
    for (kind, clone) in [("DBInstance", &loose), ("DBCluster", &wide), ("DBInstance", &wide), ("DBInstance", &gone), ("DBInstance", &void)] {
        aws.until_available(kind, &clone.database()).await?;
    }
    clones.until_up(&[loose.clone(), wide.clone()]).await?;

    stage.stop_part("ack").await?;
    leaving.leak("gone").await?;
    stage.stop_part("kro").await?;
    clones.vanish("loose").await?;
    clones.vanish("wide").await?;
    force_away(&stage, &voided).await?;
    stage.start_part("kro").await?;
    stage.start_part("ack").await?;
    // ACK deletes the database of a namespace that is gone, and cannot say so on its object.
    aws.until_gone("DBInstance", &void.database()).await?;

    let begun = Instant::now();
    let daemon = install.start_with_aws(&aws, REGION)?;
    daemon.until_leading().await?;
    let veto = until_orphan(&stage.admin, "DBInstance", &gone.database(), "Soaking").await?;
    annotate(&stage.admin, &veto, names::KEEP, Some("true")).await?;
    until_orphan(&stage.admin, "DBInstance", &gone.database(), "Held").await?;
    until("everything that the clones were made of is gone", STEP_WITHIN, async || {
        let parts = clones.parts().await?;
        ensure!(parts.is_empty(), "there are still {parts:?}");
        for plural in ["dbinstances", "dbclusters"] {
            let left = clones.api.list(&format!("/apis/rds.services.k8s.aws/v1alpha1/namespaces/adrift/{plural}")).await?;
            ensure!(left.is_empty(), "there are still {} {plural}; the orphans: {}", left.len(), told(&orphans(&stage.admin).await?));
        }
        Ok(())
    })
    .await?;
    for (kind, clone) in [("DBInstance", &loose), ("DBInstance", &wide), ("DBCluster", &wide)] {
        aws.until_gone(kind, &clone.database()).await?;
    }
    let took = begun.elapsed();
    until_farewell(&aws, "DBInstance", &loose.database(), loose.uid()).await?;
    until_farewell(&aws, "DBCluster", &wide.database(), wide.uid()).await?;
    let all = orphans(&stage.admin).await?;
    let of_loose: BTreeSet<_> = all.iter().filter(|orphan| orphan.owner() == loose.uid()).map(|orphan| orphan.kind()).collect();
    ensure!(of_loose.is_subset(&BTreeSet::from(LEFT)) && of_loose.contains("DBInstance"), "left of it was {of_loose:?}");
    ensure!(
        all.iter().all(|orphan| orphan.in_aws() == (orphan.owner() == gone.uid())),
        "an object's database was gone for by itself: {}",
        told(&all)
    );

    // The namespace goes while a person keeps the database; the policy that governed it is remembered.
    stage.kubectl(&["delete", "namespace", "adrift-gone", "--timeout=60s"]).await?;
    // AWS refuses, and the Orphan says so in AWS' words for as long as it does.
    let refusal = json!({"op": "DeleteDBInstance", "match": gone.database(), "code": "SnapshotQuotaExceeded", "status": 400, "times": -1});
    aws.control("faults", &json!([refusal])).await?;
    annotate(&stage.admin, &veto, names::KEEP, None).await?;
    until_refused(&stage, &gone.database(), Some("SnapshotQuotaExceeded")).await?;
    aws.control("faults", &json!([])).await?;
    aws.until_gone("DBInstance", &gone.database()).await?;
    until_refused(&stage, &gone.database(), None).await?;
    until_farewell(&aws, "DBInstance", &gone.database(), gone.uid()).await?;
    until_orphan(&stage.admin, "DBInstance", &gone.database(), "Deleted").await?;

    // The clone whose namespace was forced away is still listed, so it lives: nothing of it is an orphan.
    ensure!(orphans(&stage.admin).await?.iter().all(|orphan| orphan.owner() != void.uid()), "something of a clone that is listed is marked");
    let ends = deletes(&install).await?;
    ensure!(!ends.iter().any(|(namespace, _)| namespace == "adrift-void"), "something was deleted in a namespace that is gone: {ends:?}");
    let Aftermath { created, by_us } = Aftermath::of(&aws).await?;
    ensure!(created == 5, "{created} databases were made, where 5 were wished for");
    ensure!(by_us == BTreeSet::from(["AddTagsToResource".to_owned(), "DeleteDBInstance".to_owned()]), "clonewarden did {by_us:?} in AWS");
    let changes = aws.changes().await?;
    for (id, by, times) in [(loose.database(), By::Ack, 1), (wide.database(), By::Ack, 2), (gone.database(), By::Clonewarden, 1)] {
        let deletes = deletes_of(&changes, &id);
        ensure!(deletes.len() == times && deletes.iter().all(|change| change.by == by), "{id}: {deletes:?}");
    }
    ensure!(snapshots_of(&aws, "DBInstance", &wide.database()).await?.is_empty(), "an instance of a cluster has a snapshot");
    daemon.stop().await?;

    // Only a namespace of that name lets KRO and ACK finish what they began.
    Clones::in_new_namespace(&stage.admin, "adrift-void").await?;
    voided.until_gone(&["void"]).await?;
    forget(&stage.admin).await?;
    Ok(format!(
        "everything of 2 clones gone {:.1} s after the start; kinds: {}",
        took.as_secs_f64(),
        of_loose.into_iter().collect::<Vec<_>>().join(", ")
    ))
}

/// Waits until the `Orphan` of a database says that its end is refused, in these words, or that it is not.
async fn until_refused(stage: &Stage, id: &str, words: Option<&str>) -> Result<()> {
    until(&format!("the Orphan of {id} says of its refusal {words:?}"), STEP_WITHIN, async || {
        let all = orphans(&stage.admin).await?;
        let orphan = all.iter().find(|orphan| orphan.kind() == "DBInstance" && orphan.id() == id).context("there is none")?;
        let said = orphan.refusal();
        ensure!(words.map_or(said.is_none(), |words| said.is_some_and(|said| said.contains(words))), "it says {said:?}");
        Ok(())
    })
    .await
}

/// Deletes a namespace whose contents hang, and then takes away what it waits for, as people do who have read how.
async fn force_away(stage: &Stage, clones: &Clones) -> Result<()> {
    let path = format!("/api/v1/namespaces/{}", clones.namespace);
    stage.admin.delete(&path).await?;
    until("what is in the namespace hangs", STEP_WITHIN, async || {
        for object in [clones.path("void"), clones.instance_path("void")] {
            let found = stage.admin.get(&object).await?;
            ensure!(found["metadata"]["deletionTimestamp"].is_string(), "{object} is not being deleted");
        }
        Ok(())
    })
    .await?;
    // Its own controller writes to it, too.
    until("the namespace is told to wait for nothing", STEP_WITHIN, async || {
        let mut namespace = stage.admin.get(&path).await?;
        namespace["spec"]["finalizers"] = json!([]);
        stage.admin.replace(&format!("{path}/finalize"), &namespace).await
    })
    .await?;
    until("the namespace is gone", STEP_WITHIN, async || {
        ensure!(stage.admin.find(&path).await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    ensure!(clones.find("void").await?.is_some(), "the clone went with its namespace: nothing is to be seen here");
    Ok(())
}

/// Namespace and resource of everything that the daemon deleted, but its own records.
async fn deletes(install: &Install) -> Result<Vec<(String, String)>> {
    let deeds = install.deeds().await?;
    let deletes = deeds.into_iter().filter(|deed| deed.verb == "delete" && deed.done() && deed.by_clonewarden && deed.resource != "orphans");
    Ok(deletes.map(|deed| (deed.namespace, deed.resource)).collect())
}

/// What was done in AWS, in all.
struct Aftermath {
    created: usize,
    by_us: BTreeSet<String>,
}

impl Aftermath {
    async fn of(aws: &Aws) -> Result<Self> {
        let changes = aws.changes().await?;
        let created = changes.iter().filter(|change| change.done && change.op.starts_with("CreateDB") && !change.op.ends_with("Snapshot")).count();
        let by_us = changes.iter().filter(|change| change.by == By::Clonewarden).map(|change| change.op.clone()).collect();
        Ok(Self { created, by_us })
    }
}
