//! Exact limits: storms of creations from several clients, two replicas behind one address, the holder of the lease ended once and
//! killed twice in the middle, and clones deleted meanwhile. The caps are those of the original design, 10 in staging and 100 in production.
//! At no moment are there more; afterwards every place that was promised in vain is free again.

use crate::harness::{
    api::Api,
    clones::Clones,
    daemon::Daemon,
    door::{self, Balancer},
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt as _;
use kube::core::WatchEvent;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::{JoinHandle, JoinSet};

const STAGING: (&str, usize) = ("admission-staging", 10);
const PRODUCTION: (&str, usize) = ("admission-production", 100);
/// How many creations are tried; `CLONEWARDEN_E2E_CREATIONS` says another number.
const TRIES: usize = 4_000;
/// By how many clients at a time.
const CLIENTS: usize = 12;
/// A promise that nothing came of lapses after 60 s, and is looked for every 5.
const FILLED_WITHIN: Duration = Duration::from_secs(95);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "admission").await?;
    for (namespace, cap) in [STAGING, PRODUCTION] {
        install.govern(namespace, &[namespace], &format!("mode: enforce\nttl: {{default: 1h}}\nlimits: {{clones: {cap}}}"))?;
        Clones::in_new_namespace(&stage.admin, namespace).await?;
    }
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[STAGING.0, PRODUCTION.0]).await?;
    let outcome = storm(&stage, &install, &balancer).await;
    door::unregister(&stage, &install).await?;
    for (namespace, _) in [STAGING, PRODUCTION] {
        Clones { api: stage.admin.clone(), namespace: namespace.to_owned() }.clear().await?;
    }
    outcome
}

async fn storm(stage: &Arc<Stage>, install: &Install, balancer: &Balancer) -> Result<String> {
    let mut holder = install.start_with_webhook(&[])?;
    holder.until_leading().await?;
    let mut standby = install.start_with_webhook(&[])?;
    standby.until_ready().await?;
    serve(balancer, &[&holder, &standby]);
    until("the webhook answers", Duration::from_secs(30), async || {
        match stage.admin.try_create(&format!("{}?dryRun=All", path(STAGING.0)), &clone(STAGING.0, "dry")).await? {
            Ok(_) => Ok(()),
            Err((code, said)) => bail!("{code}: {said}"),
        }
    })
    .await?;
    // Whatever only tries takes no place.
    for number in 0..3 * STAGING.1 {
        let dry = stage.admin.try_create(&format!("{}?dryRun=All", path(STAGING.0)), &clone(STAGING.0, &format!("dry-{number}"))).await?;
        ensure!(dry.is_ok(), "a dry run was refused: {dry:?}");
    }

    let tries = match std::env::var("CLONEWARDEN_E2E_CREATIONS") {
        Ok(number) => number.parse().with_context(|| format!("CLONEWARDEN_E2E_CREATIONS is `{number}`"))?,
        Err(_) => TRIES,
    };
    let most = Watched::start(&stage.admin).await?;
    let tally = Arc::new(Tally::default());
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(create_all(stage.admin.clone(), Arc::clone(&tally), tries));
    }
    let churn = tokio::spawn(delete_now_and_then(stage.admin.clone(), Arc::clone(&tally)));
    for (share, gently) in [(2, true), (4, false), (7, false)] {
        until("the storm has come so far", Duration::from_secs(120), async || {
            let tried = tally.tried.load(Ordering::Relaxed);
            ensure!(tried >= tries * share / 10, "{tried} tried");
            Ok(())
        })
        .await?;
        // After a kill either of the two that are left may have been faster.
        (holder, standby) = holder_first(holder, standby).await?;
        if gently {
            let failed = tally.failed.load(Ordering::Relaxed);
            holder.stop().await?;
            standby.until_leading().await?;
            let more = tally.failed.load(Ordering::Relaxed) - failed;
            let last = tally.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ensure!(more == 0, "{more} creations failed while the holder ended as Kubernetes ends it: {last}");
        } else {
            holder.kill()?;
        }
        holder = std::mem::replace(&mut standby, install.start_with_webhook(&[])?);
        serve(balancer, &[&holder, &standby]);
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let took = begun.elapsed();
    churn.abort();
    (holder, standby) = holder_first(holder, standby).await?;

    for (namespace, cap) in [STAGING, PRODUCTION] {
        let refill = Instant::now();
        until(&format!("{namespace} can be filled up again"), FILLED_WITHIN, async || {
            loop {
                let number = tally.tried.fetch_add(1, Ordering::Relaxed);
                if stage.admin.try_create(&path(namespace), &clone(namespace, &format!("c-{number}"))).await?.is_err() {
                    break;
                }
            }
            let there = stage.admin.list(&path(namespace)).await?.len();
            ensure!(there == cap, "{there} of {cap} are there");
            Ok(())
        })
        .await
        .with_context(|| format!("after {:.0} s", refill.elapsed().as_secs_f64()))?;
    }
    let peaks = most.end()?;
    for (namespace, cap) in [STAGING, PRODUCTION] {
        let peak = peaks.get(namespace).copied().unwrap_or_default();
        ensure!(peak == cap, "{namespace}: at most {peak} were there at once, and {cap} are allowed");
    }
    let (made, full, failed) = tally.counts();
    ensure!(full > tries / 2, "only {full} were refused for want of room: this was no storm");
    standby.stop().await?;
    holder.stop().await?;
    Ok(format!(
        "{tries} creations in {:.1} s by {CLIENTS} clients: {made} made, {full} refused, {failed} failed; holder ended once and killed twice; peaks {peaks:?}",
        took.as_secs_f64()
    ))
}

/// Waits until one of two holds the lease; returns that one first.
async fn holder_first(one: Daemon, other: Daemon) -> Result<(Daemon, Daemon)> {
    let first = until("one of them holds the lease", Duration::from_secs(25), async || match (one.leads().await?, other.leads().await?) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => bail!("neither {} nor {} does", one.name, other.name),
    })
    .await?;
    Ok(if first { (one, other) } else { (other, one) })
}

fn serve(balancer: &Balancer, daemons: &[&Daemon]) {
    balancer.serve(&daemons.iter().filter_map(|daemon| daemon.webhook).collect::<Vec<_>>());
}

fn path(namespace: &str) -> String {
    format!("/apis/kro.run/v1alpha1/namespaces/{namespace}/wordpressclones")
}

fn clone(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"cloneId": name, "sourceUrl": "https://example.com"},
    })
}

/// What became of the creations.
#[derive(Default)]
struct Tally {
    tried: AtomicUsize,
    made: AtomicUsize,
    full: AtomicUsize,
    failed: AtomicUsize,
    /// What the last one that failed was told.
    last: Mutex<String>,
}

impl Tally {
    fn counts(&self) -> (usize, usize, usize) {
        (self.made.load(Ordering::Relaxed), self.full.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

async fn create_all(api: Api, tally: Arc<Tally>, tries: usize) -> Result<()> {
    loop {
        let number = tally.tried.fetch_add(1, Ordering::Relaxed);
        if number >= tries {
            return Ok(());
        }
        let namespace = if number.is_multiple_of(3) { STAGING.0 } else { PRODUCTION.0 };
        match api.try_create(&path(namespace), &clone(namespace, &format!("c-{number}"))).await? {
            Ok(_) => tally.made.fetch_add(1, Ordering::Relaxed),
            Err((403, said)) if said.contains("LimitReached") => tally.full.fetch_add(1, Ordering::Relaxed),
            // A review that was under way when its replica was killed.
            Err((500 | 503, said)) => {
                *tally.last.lock().unwrap_or_else(PoisonError::into_inner) = said;
                tally.failed.fetch_add(1, Ordering::Relaxed)
            }
            Err((code, said)) => bail!("{code}: {said}"),
        };
    }
}

/// Makes room all the time, so that the last places are fought for.
async fn delete_now_and_then(api: Api, tally: Arc<Tally>) -> Result<()> {
    loop {
        for (namespace, _) in [STAGING, PRODUCTION] {
            let there = api.list(&path(namespace)).await?;
            let living: Vec<_> = there.iter().filter(|clone| clone["metadata"]["deletionTimestamp"].is_null()).collect();
            if let Some(one) = living.get(tally.tried.load(Ordering::Relaxed) % living.len().max(1)) {
                let _ = api.delete(&format!("{}/{}", path(namespace), one["metadata"]["name"].as_str().unwrap_or_default())).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Counts, by the API server's own watch, how many clones there are at a time.
struct Watched {
    peaks: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

impl Watched {
    async fn start(api: &Api) -> Result<Self> {
        let peaks: Arc<Mutex<BTreeMap<&'static str, usize>>> = Arc::default();
        let mut tasks = Vec::new();
        for (namespace, _) in [STAGING, PRODUCTION] {
            let list = api.get(&path(namespace)).await?;
            let version = list["metadata"]["resourceVersion"].as_str().context("a list without a version")?.to_owned();
            let mut events = Box::pin(api.watch(&path(namespace), &version).await?);
            let peaks = Arc::clone(&peaks);
            tasks.push(tokio::spawn(async move {
                let mut there = BTreeSet::new();
                while let Some(event) = events.next().await {
                    let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
                    match event? {
                        WatchEvent::Added(object) | WatchEvent::Modified(object) => drop(there.insert(uid(&object))),
                        WatchEvent::Deleted(object) => drop(there.remove(&uid(&object))),
                        WatchEvent::Bookmark(_) => {}
                        WatchEvent::Error(error) => bail!("the watch broke: {error:?}"),
                    }
                    let mut peaks = peaks.lock().unwrap_or_else(PoisonError::into_inner);
                    let peak = peaks.entry(namespace).or_default();
                    *peak = (*peak).max(there.len());
                }
                bail!("the watch of {namespace} ended")
            }));
        }
        Ok(Self { peaks, tasks })
    }

    fn end(self) -> Result<BTreeMap<&'static str, usize>> {
        for task in self.tasks {
            ensure!(!task.is_finished(), "a watch ended before the storm did");
            task.abort();
        }
        Ok(self.peaks.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
