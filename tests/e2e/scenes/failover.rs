//! Two daemons, of which one acts. Where it is killed the other takes over when the lease has run out; where it is told to end
//! it gives the lease back, and the other takes over at once. Never do two say that they act.

use crate::harness::{clones::Clones, daemon::Daemon, install::Install, metrics::Metrics, stage::Stage, wait::until};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

const AFTER_KILL: Duration = Duration::from_secs(15);
const AFTER_TERM: Duration = Duration::from_secs(4);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "failover").await?;
    install.govern("failover", &["failover"], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, "failover").await?;
    let first = install.start_leader().await?;
    let second = install.start()?;
    second.until_ready().await?;
    let watched = Watched::start(&[first.address, second.address]);
    ensure!(!second.leads().await?, "both say that they act");
    one_goes(&clones, "one", &first).await?;

    // Due while nobody acts: nothing is lost by that.
    let due = clones.create("two", Some(5), &json!({})).await?;
    clones.until_announced(&["two"]).await?;
    first.kill()?;
    let killed = Instant::now();
    until_leads(&second, AFTER_KILL).await?;
    let after_kill = killed.elapsed();
    clones.until_gone(&[due.name()]).await?;
    second.until_says_deleted(&["two"]).await?;

    let third = install.start()?;
    third.until_ready().await?;
    watched.add(third.address);
    ensure!(second.leads().await? && !third.leads().await?, "the second holds the lease");
    second.terminate()?;
    let told = Instant::now();
    until_leads(&third, AFTER_TERM).await?;
    let after_term = told.elapsed();
    let status = second.until_ended().await?;
    ensure!(status.success(), "{} ended with {status}", second.name);
    one_goes(&clones, "three", &third).await?;

    let looks = watched.end().await?;
    install.until_deleted_exactly(&["one", "two", "three"].map(|name| format!("failover/{name}"))).await?;
    third.stop().await?;
    Ok(format!(
        "taken over {:.1} s after SIGKILL, {:.1} s after SIGTERM; one leader in {looks} looks",
        after_kill.as_secs_f64(),
        after_term.as_secs_f64()
    ))
}

/// A clone ends, and this daemon is the one who did it.
async fn one_goes(clones: &Clones, name: &str, by: &Daemon) -> Result<()> {
    clones.create(name, Some(5), &json!({})).await?;
    clones.until_gone(&[name]).await?;
    by.until_says_deleted(&[name]).await
}

async fn until_leads(daemon: &Daemon, within: Duration) -> Result<()> {
    until(&format!("{} takes over", daemon.name), within, async || {
        ensure!(daemon.leads().await?, "it does not act");
        Ok(())
    })
    .await
}

/// Looks all the time whether two daemons say that they act.
struct Watched {
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<Result<usize>>,
    end: tokio::sync::oneshot::Sender<()>,
}

impl Watched {
    fn start(addresses: &[SocketAddr]) -> Self {
        let addresses = Arc::new(Mutex::new(addresses.to_vec()));
        let (end, mut ended) = tokio::sync::oneshot::channel();
        let watched = Arc::clone(&addresses);
        let task = tokio::spawn(async move {
            let mut looks = 0;
            while ended.try_recv().is_err() {
                let now = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
                look(&now).await?;
                looks += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(looks)
        });
        Self { addresses, task, end }
    }

    fn add(&self, address: SocketAddr) {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    /// How often it looked; an error if ever there were two.
    async fn end(self) -> Result<usize> {
        let _ = self.end.send(());
        self.task.await?
    }
}

/// Readings are not taken at one moment, so the first to say yes is asked again after a second one has: one process never
/// loses the lease and gets it back.
async fn look(addresses: &[SocketAddr]) -> Result<()> {
    let mut first: Option<SocketAddr> = None;
    for address in addresses {
        if !leads(*address).await {
            continue;
        }
        match first {
            None => first = Some(*address),
            Some(before) if leads(before).await => bail!("{before} and {address} both say that they act"),
            Some(_) => first = Some(*address),
        }
    }
    Ok(())
}

/// One that does not answer does not say so.
async fn leads(address: SocketAddr) -> bool {
    Metrics::read(address).await.context("no metrics").is_ok_and(|metrics| metrics.sum("clonewarden_leader", &[]) > 0.5)
}
