//! The daemon is killed with SIGKILL again and again while orphaned databases go: in the end all of them are gone, each by one
//! delete, with one final snapshot, and nothing else was touched.

use crate::harness::{
    aws::{Aws, By, REGION, STEP_WITHIN},
    clones::{Clones, Seen},
    daemon::Daemon,
    install::Install,
    orphans::{Bystanders, dedicated, deletes_of, forget, orphans, told, until_farewell, until_orphan},
    stage::{CLUSTER_ID, Stage},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::{model::names, rng::Rng};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const RULES: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}\nbrake: {deletes: 200}\n\
                     orphans: {soak: 2s, observations: 1, snapshotsKeptFor: 1d}";
const KILLS: u32 = 4;
/// New leaks before each start, beside those of real clones: each life has some that go.
const EACH: u32 = 3;

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let seed = std::env::var("CLONEWARDEN_E2E_SEED").ok().map(|text| text.parse().context("CLONEWARDEN_E2E_SEED is not a number")).transpose()?;
    let seed = seed.unwrap_or(20_260_206);
    let mut rng = Rng::new(seed);
    println!("deaths: kills by seed {} (CLONEWARDEN_E2E_SEED)", seed);
    let aws = stage.empty_sky().await?;
    let install = Install::new(&stage, "deaths").await?;
    install.govern("deaths", &["deaths"], RULES)?;
    let clones = Clones::in_new_namespace(&stage.admin, "deaths").await?;
    let mut born = Vec::new();
    for name in ["with-object-1", "with-object-2", "alive"] {
        born.push(clones.with_database_by_hand(name, 3_000, &dedicated()).await?);
    }
    for clone in &born {
        aws.until_available("DBInstance", &clone.database()).await?;
    }
    let [one, two, alive] = &born[..] else { anyhow::bail!("three clones") };
    stage.stop_part("kro").await?;
    clones.vanish(one.name()).await?;
    clones.vanish(two.name()).await?;
    stage.start_part("kro").await?;
    let mut left: Vec<(String, String)> = [one, two].map(|clone: &Seen| (clone.database(), clone.uid().to_owned())).to_vec();
    aws.instance(REGION, "nobodys", &[]).await?;
    aws.instance(REGION, "theirs-00000000", &[("Cluster", "another"), ("CloneId", "theirs"), ("CloneUid", "00000000-1"), ("Namespace", "deaths")])
        .await?;
    let their = alive.database();
    let bystanders = Bystanders::remember(&aws, &[REGION], &["nobodys", "theirs-00000000", &their]).await?;

    left.extend(leak(&aws, 0).await?);
    let mut daemon = install.start_with_aws(&aws, REGION)?;
    let mut kills = Vec::new();
    for life in 1..=KILLS {
        let leads = leads(&daemon).await?;
        let delay = moment(&mut rng);
        tokio::time::sleep(delay.saturating_sub(leads.elapsed())).await;
        daemon.kill()?;
        kills.push(format!("{} ms", delay.as_millis()));
        left.extend(leak(&aws, life).await?);
        daemon = install.start_with_aws(&aws, REGION)?;
    }
    daemon.until_leading().await?;
    for (id, uid) in &left {
        aws.until_gone("DBInstance", id).await?;
        until_farewell(&aws, "DBInstance", id, uid).await?;
        until_orphan(&stage.admin, "DBInstance", id, "Deleted").await?;
    }
    let changes = aws.changes().await?;
    for (id, _) in &left {
        let deletes = deletes_of(&changes, id);
        ensure!(deletes.len() == 1, "{id} was deleted otherwise than once: {deletes:?}");
    }
    let odd: Vec<_> =
        changes.iter().filter(|change| change.by == By::Clonewarden && change.op != "DeleteDBInstance" && change.op != "AddTagsToResource").collect();
    ensure!(odd.is_empty(), "clonewarden did something else in AWS: {odd:?}");
    bystanders.remain(&aws).await?;
    until("nothing of the dead clones is left in the cluster", STEP_WITHIN, async || {
        let parts = clones.parts().await?;
        let theirs: Vec<_> = parts.iter().filter(|part| part.clone != alive.uid()).collect();
        ensure!(theirs.is_empty(), "there are {theirs:?}; {}", told(&orphans(&stage.admin).await?));
        Ok(())
    })
    .await?;
    let parts = clones.until_up(std::slice::from_ref(alive)).await?;
    ensure!(parts.iter().all(|part| part.clone == alive.uid()), "{parts:?}");
    daemon.stop().await?;
    clones.delete(alive.name()).await?;
    forget(&stage.admin).await?;
    Ok(format!("killed {} after they led; {} databases gone, one final snapshot each", kills.join(", "), left.len()))
}

/// Makes databases that no object stands for, of clones that nobody ever saw; their identifiers and the UIDs of those clones.
async fn leak(aws: &Aws, life: u32) -> Result<Vec<(String, String)>> {
    let mut left = Vec::new();
    for number in 0..EACH {
        let (name, uid) = (format!("bare-{number}"), format!("{life:04x}{number:04x}-0000-4000-8000-00000000dead"));
        let id = names::database_identifier(&name, &uid);
        aws.instance(REGION, &id, &[("Cluster", CLUSTER_ID), ("CloneId", &name), ("CloneUid", &uid), ("Namespace", "deaths")]).await?;
        left.push((id, uid));
    }
    Ok(left)
}

/// Waits until the daemon holds the lease, as its own journal says: sooner than any scrape would show it.
async fn leads(daemon: &Daemon) -> Result<Instant> {
    until(&format!("{} leads", daemon.name), Duration::from_secs(30), async || {
        let journal = daemon.journal()?;
        ensure!(journal.iter().any(|line| line["event"] == "leaseAcquired"), "its journal ends: {:?}", journal.last());
        Ok(Instant::now())
    })
    .await
}

/// A random moment after the lease was acquired: while marks are written, while they soak, or while databases go.
fn moment(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.between(500, 4_500))
}
