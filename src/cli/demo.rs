//! `clonewarden demo`: the daemon's real loop over an in-memory cluster, with a clock that runs fast.
//!
//! Mirror, plan, executor, lease and journal are those of `clonewarden run`; only the API server and the time are not real.
//! The policies are read from the folder and shown as they are shipped, in audit; then `mode: enforce` is set in memory.

mod hosts;
mod narrator;
mod story;

use super::{Failure, inputs, output};
use crate::{
    act::journal::Journal,
    daemon::{
        engine::{Engine, Vitals},
        shell::{Shell, Shown},
    },
    plan,
    policy::Policies,
    ports::{Clock, Cluster},
    sandbox::{ack, clock::SandboxClock, cloud::handle::SandboxCloud, cluster::SandboxCluster, world::World},
};
use anyhow::Context;
use hosts::Hosts;
use narrator::Narrator;
use std::{
    io::IsTerminal,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use story::Story;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How many seconds of the demo pass in one.
const SPEED: u32 = 200;
/// When the demo plays: the day of the original design's first clone.
const BEGIN: &str = "2026-02-05T14:30:00Z";

/// The flags of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder with the policy files
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
    /// Where to serve the page and /metrics while it runs
    #[arg(long, env = "CLONEWARDEN_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write the journal to this file
    #[arg(long, env = "CLONEWARDEN_JOURNAL", value_name = "FILE")]
    journal: Option<PathBuf>,
}

/// Plays the demo.
///
/// # Errors
/// Policies that cannot be used (2); an address or a journal that cannot be had (1).
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let policies = inputs::load(&args.policies)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("the runtime cannot be started");
    runtime.map_err(Failure::failed)?.block_on(play(args, policies)).map_err(Failure::failed)
}

async fn play(args: &Args, policies: Policies) -> anyhow::Result<()> {
    let begin = BEGIN.parse().context("the demo's date")?;
    let truth = SandboxClock::fast(begin, SPEED);
    let world = Arc::new(Mutex::new(World::new(1, begin)));
    let handle = SandboxCluster::new(Arc::clone(&world), "clonewarden", truth.clone(), 1);
    let cluster: Arc<dyn Cluster> = Arc::new(handle.clone());
    let clock: Arc<dyn Clock> = Arc::new(truth.clone());
    let cloud = SandboxCloud::new(&handle, Arc::clone(&clock), &[ack::REGION], 1);
    let hosts = Hosts::new(&handle, &policies.hosts);
    let journal = match &args.journal {
        Some(path) => Journal::to(std::fs::File::create(path).with_context(|| format!("the journal `{}` cannot be written", path.display()))?),
        None => Journal::to(std::io::sink()),
    };
    let journal = Arc::new(journal);
    let (set_policies, receive) = watch::channel(Arc::new(policies));
    let stop = CancellationToken::new();
    let vitals = Vitals::default();
    let (_files, broken) = watch::channel(false);
    let shown = Shown {
        clock: Arc::clone(&clock),
        cluster: Arc::clone(&cluster),
        vitals: vitals.clone(),
        policies: receive.clone(),
        broken,
        clone_metrics: 100,
        journal: Arc::clone(&journal),
        reviewer: None,
        page_token_always: false,
    };
    let shell = Shell::start(args.listen, shown, stop.clone()).await?;
    let narrator = Arc::new(Narrator::new(shell.watcher(), output::colours()));
    narrator.say(&opening(shell.address()));
    let wake = Arc::new(Notify::new());
    let engine = Engine {
        secrets: Arc::new(handle.clone()),
        cloud: Arc::new(cloud),
        hosts: Arc::new(hosts),
        sweep_every: std::time::Duration::from_secs(300),
        sweep: Arc::default(),
        cluster,
        clock,
        address: String::new(),
        identity: "demo".to_owned(),
        cluster_id: Some(Arc::from("demo-cluster")),
        policies: receive,
        planner: plan::plan,
        wake: Arc::clone(&wake),
        journal,
        watcher: Arc::<Narrator>::clone(&narrator),
        vitals,
    };
    let story = Story::new(handle, truth, set_policies, wake, Arc::clone(&narrator))?;
    let running = tokio::spawn(engine.run(stop.clone()));
    story.tell().await?;
    narrator.say(&narrator.summary());
    if std::io::stdin().is_terminal() {
        narrator.say("The daemon goes on. Press Enter to end.");
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await;
    }
    stop.cancel();
    let _ = running.await;
    shell.end().await;
    Ok(())
}

/// The first screen: what this is, for somebody who has never heard of it.
fn opening(address: SocketAddr) -> String {
    let seconds = 60.0 / f64::from(SPEED);
    format!(
        "clonewarden governs ephemeral clones in a Kubernetes cluster: copies of a customer's site that live by a TTL.
It writes the end of each clone on the clone, warns, deletes exactly those whose announced end has passed, and
finds what dead ones leave behind. When it does not know enough, it holds. Every line says why.

This is its real loop, over a cluster in memory; a minute takes {seconds} seconds. Nothing is needed, nothing is touched.
The page while it runs: http://{address}/
Metrics while it runs: http://{address}/metrics

time        verdict what                               why"
    )
}
