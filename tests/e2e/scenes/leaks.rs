//! Databases that outlive their clones, each in a way of its own, and what must never be touched beside them: all of it looked at
//! by one daemon, for longer than anything may live that it takes for an orphan.

use crate::harness::{
    aws::{Aws, By, ELSEWHERE, REGION, STEP_WITHIN},
    clones::{Clones, Seen},
    install::Install,
    orphans::{Bystanders, LONG, Pulse, annotate, dedicated, deletes_of, forget, snapshots_of, until_farewell, until_orphan},
    stage::{CLUSTER_ID, Stage},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use serde_json::json;
use std::{sync::Arc, time::Instant};

const RULES: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}\nbrake: {deletes: 200}";
/// A clone that is nowhere, as its tags would say it.
const NOBODY: &str = "0a1b2c3d-0000-4000-8000-00000000dead";
/// Another one, whose database somebody keeps by a tag.
const KEPT: &str = "0b1b2c3d-0000-4000-8000-00000000dead";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let aws = stage.empty_sky().await?;
    let install = Install::new(&stage, "leaks").await?;
    install.govern("leaks", &["leaks"], &format!("{RULES}\norphans: {{soak: 3s, observations: 2, snapshotsKeptFor: 1d}}"))?;
    install.govern("brief", &["leaks-brief"], &format!("{RULES}\norphans: {{soak: 3s, observations: 2, snapshotsKeptFor: 8s}}"))?;
    let clones = Clones::in_new_namespace(&stage.admin, "leaks").await?;
    let briefly = Clones::in_new_namespace(&stage.admin, "leaks-brief").await?;
    let lawless = Clones::in_new_namespace(&stage.admin, "leaks-lawless").await?;
    let mut born = Vec::new();
    for name in ["retained", "edited", "stripped", "protected", "vetoed", "twin"] {
        born.push(clones.with_database_by_hand(name, 3_000, &dedicated()).await?);
    }
    let brief = briefly.with_database_by_hand("brief", 3_000, &dedicated()).await?;
    let free = lawless.with_database_by_hand("free", 3_000, &dedicated()).await?;
    for clone in born.iter().chain([&brief, &free]) {
        aws.until_available("DBInstance", &clone.database()).await?;
    }
    let [retained, edited, stripped, protected, vetoed, twin] = &born[..] else { anyhow::bail!("six clones") };
    let second = edit(&stage, &aws, &clones, retained, edited).await?;
    stage.stop_part("ack").await?;
    // ACK would take it off again.
    protect(&aws, &protected.database(), true).await?;
    for clone in [stripped, protected, vetoed, twin] {
        clones.leak(clone.name()).await?;
    }
    briefly.leak("brief").await?;
    lawless.leak("free").await?;
    // A backup brings one back, under another uid.
    let again = clones.create("twin", Some(3_000), &json!({})).await?;
    ensure!(again.uid() != twin.uid(), "it is the same object");
    let strangers = strangers(&aws, stripped).await?;
    let strangers = Bystanders::remember(&aws, &[REGION, ELSEWHERE], &strangers.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let left: Vec<String> = born.iter().chain([&brief, &free]).map(Seen::database).collect();
    for id in &left {
        ensure!(aws.find(REGION, "DBInstance", id).await?.is_some(), "{id} is gone before anybody looked for it");
    }

    let _pulse = Pulse::on(&clones, "twin");
    let daemon = install.start_with_aws(&aws, &format!("{REGION},{ELSEWHERE}"))?;
    daemon.until_leading().await?;
    let begun = Instant::now();
    let veto = until_orphan(&stage.admin, "DBInstance", &vetoed.database(), "Soaking").await?;
    annotate(&stage.admin, &veto, names::KEEP, Some("true")).await?;
    for clone in [retained, edited, stripped] {
        aws.until_gone("DBInstance", &clone.database()).await?;
        let snapshot = until_farewell(&aws, "DBInstance", &clone.database(), clone.uid()).await?;
        let orphan = until_orphan(&stage.admin, "DBInstance", &clone.database(), "Deleted").await?;
        ensure!(orphan.snapshot() == snapshot && orphan.policy() == "leaks", "{orphan:?}");
    }
    let took = begun.elapsed();
    stage.start_part("ack").await?;
    // Its snapshot is not to be kept for long.
    aws.until_gone("DBInstance", &brief.database()).await?;
    until("the final snapshot has gone after its own time", STEP_WITHIN, async || {
        let snapshots = snapshots_of(&aws, "DBInstance", &brief.database()).await?;
        ensure!(snapshots.is_empty(), "there are {:?}", snapshots.iter().map(|(id, _)| id).collect::<Vec<_>>());
        let changes = aws.changes().await?;
        let deleted = changes.iter().filter(|change| change.done && change.op == "DeleteDBSnapshot" && change.by == By::Clonewarden);
        ensure!(deleted.clone().count() == 1, "deleted: {:?}", deleted.collect::<Vec<_>>());
        Ok(())
    })
    .await?;

    // Somebody makes one anew from its final snapshot, under the very same name, and with the very same tags.
    let restored = restore(&aws, retained).await?;
    for (code, count) in [("Protected", 1.0), ("NamesakeLives", 1.0), ("Vetoed", 2.0), ("InheritedTags", 1.0), ("Restored", 1.0)] {
        daemon.until_metric(STEP_WITHIN, "clonewarden_holds", &[("code", code), ("kind", "DBInstance")], count).await?;
    }
    let (their_twin, their_free, their_protected) = (twin.database(), free.database(), protected.database());
    let held = [their_twin.as_str(), &their_free, &their_protected, &restored.0, &restored.1];
    let held = Bystanders::remember(&aws, &[REGION], &held).await?;
    tokio::time::sleep(LONG).await;
    let mark = until_orphan(&stage.admin, "DBInstance", &their_free, "Marked").await?;
    ensure!(mark.policy().is_empty(), "{mark:?}");
    let seen = strangers.remain(&aws).await? + held.remain(&aws).await?;

    // A person takes a veto and a protection away: then these go, too.
    annotate(&stage.admin, &veto, names::KEEP, None).await?;
    protect(&aws, &their_protected, false).await?;
    for clone in [vetoed, protected] {
        aws.until_gone("DBInstance", &clone.database()).await?;
        until_farewell(&aws, "DBInstance", &clone.database(), clone.uid()).await?;
    }
    let changes = aws.changes().await?;
    let odd = changes.iter().filter(|change| change.by == By::Clonewarden);
    let odd: Vec<_> = odd.filter(|change| !["DeleteDBInstance", "DeleteDBSnapshot", "AddTagsToResource"].contains(&change.op.as_str())).collect();
    ensure!(odd.is_empty(), "clonewarden did something else in AWS: {odd:?}");
    for clone in [retained, edited, stripped, protected, vetoed, &brief] {
        let deletes = deletes_of(&changes, &clone.database());
        ensure!(deletes.len() == 1 && deletes.iter().all(|change| change.by == By::Clonewarden), "{}: {deletes:?}", clone.database());
    }
    let deletes = deletes_of(&changes, &second);
    ensure!(deletes.len() == 1 && deletes.iter().all(|change| change.by == By::Ack), "{second}: {deletes:?}");
    ensure!(clones.one("twin").await?.uid() == again.uid(), "the clone that a backup brought back is gone");
    ensure!(install.deleted().await?.is_empty(), "a clone was deleted");
    daemon.stop().await?;
    clones.clear().await?;
    forget(&stage.admin).await?;
    Ok(format!("3 leaks gone {:.1} s after the start; {seen} strangers untouched", took.as_secs_f64()))
}

/// While KRO is stopped, one clone's object is told to retain its database, and another's to mean another one; then both clones are
/// deleted, and KRO goes on. Returns the other one.
async fn edit(stage: &Stage, aws: &Aws, clones: &Clones, retained: &Seen, edited: &Seen) -> Result<String> {
    stage.stop_part("kro").await?;
    let retain = json!({"metadata": {"annotations": {names::ACK_DELETION_POLICY: "retain"}}});
    clones.api.patch(&clones.instance_path(retained.name()), &retain).await?;
    let second = format!("{}-b", edited.database());
    clones.api.patch(&clones.instance_path(edited.name()), &json!({"spec": {"dbInstanceIdentifier": second}})).await?;
    aws.until_available("DBInstance", &second).await?;
    for clone in [retained, edited] {
        clones.api.delete(&clones.path(clone.name())).await?;
    }
    stage.start_part("kro").await?;
    clones.until_gone(&[retained.name(), edited.name()]).await?;
    aws.until_gone("DBInstance", &second).await?;
    Ok(second)
}

async fn protect(aws: &Aws, id: &str, on: bool) -> Result<()> {
    let on = if on { "true" } else { "false" };
    aws.ok(REGION, "ModifyDBInstance", &[("DBInstanceIdentifier", id), ("DeletionProtection", on), ("ApplyImmediately", "true")]).await?;
    Ok(())
}

/// What is not ours, or is not known to be: other clusters', nobody's, copies, and near misses. Returns the identifiers.
async fn strangers(aws: &Aws, leaked: &Seen) -> Result<Vec<String>> {
    let uid = leaked.uid();
    let derived = names::database_identifier("ghost", NOBODY);
    let whole = |cluster, clone| [("Cluster", cluster), ("CloneId", clone), ("CloneUid", NOBODY), ("Namespace", "leaks")];
    aws.instance(REGION, &derived, &whole("another-cluster", "ghost")).await?;
    aws.instance(REGION, "nobodys", &[]).await?;
    // Ours in every way, and somebody keeps it: nothing but its tag says so.
    let kept = names::database_identifier("kept", KEPT);
    let of_kept = [("Cluster", CLUSTER_ID), ("CloneId", "kept"), ("CloneUid", KEPT), ("Namespace", "leaks"), (names::KEEP, "true")];
    aws.instance(REGION, &kept, &of_kept).await?;
    // Each misses by a little what would make it ours.
    let near = [
        ("near-1-0a1b2c3d", vec![("cluster", CLUSTER_ID), ("CloneId", "near-1"), ("CloneUid", NOBODY), ("Namespace", "leaks")]),
        ("near-2-0a1b2c3d", vec![("Cluster", "E2E"), ("CloneId", "near-2"), ("CloneUid", NOBODY), ("Namespace", "leaks")]),
        ("near-3-0a1b2c3d", vec![("Cluster", CLUSTER_ID), ("CloneId", "near-3"), ("Namespace", "leaks")]),
        ("near-4-0a1b2c3d", vec![("Cluster", CLUSTER_ID), ("CloneUid", NOBODY), ("Namespace", "leaks")]),
        ("near-5-0a1b2c3d", vec![("Cluster", "e2e-"), ("CloneId", "near-5"), ("CloneUid", NOBODY), ("Namespace", "leaks")]),
    ];
    for (id, tags) in &near {
        aws.instance(REGION, id, tags).await?;
    }
    // A copy of what was leaked, under a name of its own: it inherits the tags.
    aws.instance(REGION, "rescue", &[("Cluster", CLUSTER_ID), ("CloneId", leaked.name()), ("CloneUid", uid), ("Namespace", "leaks")]).await?;
    // A person's snapshot of it, with the tags of the database, and one that looks like ours and is a copy of it.
    for snapshot in ["by-hand", "copied"] {
        aws.ok(REGION, "CreateDBSnapshot", &[("DBInstanceIdentifier", &leaked.database()), ("DBSnapshotIdentifier", snapshot)]).await?;
        let mut tags = json!({"Cluster": CLUSTER_ID, "CloneId": leaked.name(), "CloneUid": uid, "Namespace": "leaks"});
        if snapshot == "copied" {
            tags[names::TAG_SNAPSHOT] = json!(format!("{}-final-20260101000000", leaked.database()));
            tags[names::TAG_EXPIRES_AT] = json!("2026-01-02T00:00:00Z");
        }
        aws.control("rds", &json!({"region": REGION, "snapshot": snapshot, "set": {"tags": tags}})).await?;
    }
    for snapshot in ["by-hand", "copied"] {
        until("the snapshot is there", STEP_WITHIN, async || {
            let found = aws.find(REGION, "DBSnapshot", snapshot).await?.context("it is not")?;
            ensure!(found.text("Status") == "available", "it is {}", found.text("Status"));
            Ok(())
        })
        .await?;
    }
    aws.instance(ELSEWHERE, &derived, &whole("another-cluster", "ghost")).await?;
    aws.instance(ELSEWHERE, "far-away", &[]).await?;
    let mut ids = vec![derived, kept, "nobodys".to_owned(), "rescue".to_owned(), "by-hand".to_owned(), "copied".to_owned(), "far-away".to_owned()];
    ids.extend(near.iter().map(|(id, _)| (*id).to_owned()));
    Ok(ids)
}

/// Returns the identifiers of the database and of the snapshot that it came from.
async fn restore(aws: &Aws, clone: &Seen) -> Result<(String, String)> {
    let id = clone.database();
    let snapshots = snapshots_of(aws, "DBInstance", &id).await?;
    let (snapshot, _) = snapshots.first().context("there is no snapshot to restore")?;
    aws.ok(REGION, "RestoreDBInstanceFromDBSnapshot", &[("DBInstanceIdentifier", &id), ("DBSnapshotIdentifier", snapshot)]).await?;
    let tags = json!({"Cluster": CLUSTER_ID, "CloneId": clone.name(), "CloneUid": clone.uid(), "Namespace": "leaks"});
    aws.control("rds", &json!({"region": REGION, "id": id, "set": {"tags": tags}})).await?;
    aws.until_available("DBInstance", &id).await?;
    Ok((id, snapshot.clone()))
}
