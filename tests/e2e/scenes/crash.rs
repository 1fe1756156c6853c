//! The daemon is killed with SIGKILL at random moments, many of them while it deletes, and started again: it forgets no clone
//! and deletes none twice.

use crate::harness::{clones::Clones, daemon::Daemon, install::Install, stage::Stage, wait::until};
use anyhow::{Context, Result, ensure};
use clonewarden::rng::Rng;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

const CLONES: u32 = 24;
/// The first end; by then all are announced.
const FIRST: u32 = 12;
/// An end every so many seconds: each life of the daemon has some.
const EVERY: u32 = 2;
const KILLS: usize = 4;

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let seed = std::env::var("CLONEWARDEN_E2E_SEED").ok().map(|text| text.parse().context("CLONEWARDEN_E2E_SEED is not a number")).transpose()?;
    let seed = seed.unwrap_or(20_260_205);
    let mut rng = Rng::new(seed);
    println!("crash: kills by seed {} (CLONEWARDEN_E2E_SEED)", seed);
    let install = Install::new(&stage, "crash").await?;
    install.govern("crash", &["crash"], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [5s], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, "crash").await?;
    let mut daemon = install.start_leader().await?;
    let names: Vec<String> = (0..CLONES).map(|n| format!("clone-{n}")).collect();
    for (name, n) in names.iter().zip(0..) {
        clones.create(name, Some(FIRST + n * EVERY), &json!({})).await?;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    clones.until_announced(&names).await?;

    let (mut lives, mut kills) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        // A successor waits 8 s for the lease: a few clones are overdue then and go in one burst, the best moment to die.
        let acts = acts(&daemon, lives.is_empty()).await?;
        let delay = moment(&mut rng);
        tokio::time::sleep(delay.saturating_sub(acts.elapsed())).await;
        daemon.kill()?;
        kills.push(format!("{} ms", delay.as_millis()));
        lives.push(daemon.deleted()?);
        daemon = install.start()?;
    }
    daemon.until_leading().await?;
    clones.until_gone(&names).await?;
    let expected: Vec<String> = names.iter().map(|name| format!("crash/{name}")).collect();
    install.until_deleted_exactly(&expected).await?;
    lives.push(daemon.deleted()?);
    daemon.stop().await?;

    let mut said: BTreeMap<&str, usize> = BTreeMap::new();
    for name in lives.iter().flatten() {
        *said.entry(name).or_default() += 1;
    }
    let twice: Vec<_> = said.iter().filter(|(_, count)| **count > 1).map(|(name, _)| *name).collect();
    ensure!(twice.is_empty(), "the journals say twice that {} was deleted", twice.join(", "));
    // A process may die between the answer to a delete and its line; that is all that may lack.
    ensure!(said.len() + KILLS * 8 >= names.len(), "the journals know of only {} deletes", said.len());
    let each = lives.iter().map(|life| life.len().to_string()).collect::<Vec<_>>().join("+");
    Ok(format!("killed {} after they began to act; {each} deletes journaled of {CLONES}", kills.join(", ")))
}

/// Waits until the daemon holds the lease (the first one: until it has deleted something), as its own journal says: sooner than
/// any scrape would show it.
async fn acts(daemon: &Daemon, first: bool) -> Result<Instant> {
    until(&format!("{} acts", daemon.name), Duration::from_secs(30), async || {
        let journal = daemon.journal()?;
        let acts = journal.iter().any(|line| if first { line["action"] == "delete" } else { line["event"] == "leaseAcquired" });
        ensure!(acts, "its journal ends: {:?}", journal.last());
        Ok(Instant::now())
    })
    .await
}

/// A random moment after the lease was acquired: every second one within the first burst.
fn moment(rng: &mut Rng) -> Duration {
    let most = if rng.chance(500) { 120 } else { 2_500 };
    Duration::from_millis(rng.between(0, most))
}
