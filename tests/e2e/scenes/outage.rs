//! The API server dies under the daemon, first for a moment, then for longer than a lease lasts, while ends come due. The daemon
//! goes on by itself, at most through a restart such as a kubelet gives it: nothing is lost, nothing goes that should not.

use crate::harness::{
    clones::{Clones, Seen},
    daemon::Daemon,
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Result, ensure};
use clonewarden::model::names;
use serde_json::json;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

const CLONES: u32 = 12;
const FIRST: u32 = 8;
const EVERY: u32 = 3;
/// The parts' own clients come back with pauses that grow.
const BACK_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Arc::new(Install::new(&stage, "outage").await?);
    install.govern("outage", &["outage"], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, "outage").await?;
    let kubelet = Kubelet::start(&install)?;
    kubelet.daemon().until_leading().await?;
    let due: Vec<String> = (0..CLONES).map(|n| format!("due-{n}")).collect();
    for (name, n) in due.iter().zip(0..) {
        clones.create(name, Some(FIRST + n * EVERY), &json!({})).await?;
    }
    clones.create("kept", Some(FIRST), &json!({names::KEEP: "true"})).await?;
    clones.create("long", Some(3_000), &json!({})).await?;
    let due: Vec<&str> = due.iter().map(String::as_str).collect();
    clones.until_announced(&due).await?;

    let begun = Instant::now();
    stage.parts(|platform| platform.kill("kube-apiserver")).await?;
    stage.parts(|platform| platform.restart("kube-apiserver")).await?;
    let moment = begun.elapsed();
    until_acting(&kubelet).await?;

    // Now until the lease is lost, which ends the process.
    let before = kubelet.restarts();
    let begun = Instant::now();
    stage.parts(|platform| platform.kill("kube-apiserver")).await?;
    until("the daemon ends because it lost the lease", Duration::from_secs(20), async || {
        ensure!(kubelet.restarts() > before, "it runs on");
        Ok(())
    })
    .await?;
    stage.parts(|platform| platform.restart("kube-apiserver")).await?;
    let long = begun.elapsed();
    until_acting(&kubelet).await?;

    until("those whose time is over are gone", BACK_WITHIN, async || {
        let left: Vec<_> = clones.all().await?.iter().map(|clone| format!("{} ({})", clone.name(), clone.state())).collect();
        ensure!(left.len() == 2, "still there: {}", left.join(", "));
        Ok(())
    })
    .await?;
    install.until_deleted_exactly(&due.iter().map(|name| format!("outage/{name}")).collect::<Vec<_>>()).await?;
    let left = clones.all().await?;
    ensure!(left.iter().map(Seen::name).eq(["kept", "long"]) && !left.iter().any(Seen::is_terminating), "left: {left:?}");
    let restarts = kubelet.end().await?;
    clones.clear().await?;
    Ok(format!("API server away for {:.1} s and {:.1} s; {restarts} restarts of the daemon", moment.as_secs_f64(), long.as_secs_f64()))
}

/// Waits until the present process is ready and holds the lease. Which one that is may change meanwhile.
async fn until_acting(kubelet: &Kubelet) -> Result<()> {
    until("a daemon acts again", BACK_WITHIN, async || {
        let daemon = kubelet.daemon();
        let (status, said) = daemon.page("/readyz").await?;
        ensure!(status == 200, "/readyz: {status}: {said}");
        ensure!(daemon.leads().await?, "{} does not hold the lease", daemon.name);
        Ok(())
    })
    .await
}

/// Starts a daemon, and another one whenever it ends, as Kubernetes would.
struct Kubelet {
    pod: Arc<Mutex<(Arc<Daemon>, usize)>>,
    task: JoinHandle<Result<()>>,
}

impl Kubelet {
    fn start(install: &Arc<Install>) -> Result<Self> {
        let pod = Arc::new(Mutex::new((Arc::new(install.start()?), 0)));
        let (install, running) = (Arc::clone(install), Arc::clone(&pod));
        let task = tokio::spawn(async move {
            loop {
                let ended = lock(&running).0.ended()?.is_some();
                if ended {
                    let next = Arc::new(install.start()?);
                    let mut pod = lock(&running);
                    *pod = (next, pod.1 + 1);
                }
                // A kubelet's own pause between restarts is longer.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        Ok(Self { pod, task })
    }

    fn daemon(&self) -> Arc<Daemon> {
        Arc::clone(&lock(&self.pod).0)
    }

    fn restarts(&self) -> usize {
        lock(&self.pod).1
    }

    async fn end(self) -> Result<usize> {
        self.task.abort();
        self.daemon().stop().await?;
        Ok(self.restarts())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(pod: &Mutex<(Arc<Daemon>, usize)>) -> std::sync::MutexGuard<'_, (Arc<Daemon>, usize)> {
    pod.lock().unwrap_or_else(PoisonError::into_inner)
}
