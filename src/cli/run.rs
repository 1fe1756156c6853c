//! `clonewarden run`: the daemon. Settings and policies are checked, all problems at once, before anything starts.

use super::{Failure, inputs};
use crate::{
    daemon::{
        reload::{self, Start},
        run,
        settings::{RunArgs, Settings},
    },
    observe::kube::{KubeCluster, in_pod, install_tls},
    ports::ApiError,
};
use anyhow::{Context, anyhow};
use jiff::Timestamp;
use std::io::IsTerminal;
use tracing::warn;
use tracing_subscriber::{EnvFilter, fmt};

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Settings, policies or an AWS account that cannot be used (2); a daemon that could not start or had to end (1).
pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    let settings = args.settle().map_err(Failure::input)?;
    let read = reload::read(&settings.policies);
    start_logs(&settings).map_err(Failure::failed)?;
    install_tls();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot be started").map_err(Failure::failed)?;
    runtime.block_on(async {
        let cluster = match (KubeCluster::connect(settings.namespace.as_deref()).await, &read) {
            (Ok(cluster), _) => cluster,
            (Err(_), Err(problems)) => return Err(inputs::refused(problems)),
            (Err(error), Ok(_)) => return Err(Failure::input(error)),
        };
        if settings.namespace.is_none() && !in_pod() {
            alone(&cluster).await?;
        }
        let start = Start::with(read, &cluster).await.map_err(|problems| inputs::refused(&problems))?;
        let rds = run::connect_cloud(&settings).await.map_err(Failure::input)?;
        run::run(settings, start, cluster, rds).await.map_err(Failure::failed)
    })
}

/// Whoever starts a daemon by hand and names no namespace gets that of a kubeconfig. Beside one that acts from another namespace it would be
/// a second writer: with a lease, a pause and a memory of its own.
async fn alone(cluster: &KubeCluster) -> Result<(), Failure> {
    match cluster.acts_elsewhere(Timestamp::now()).await {
        Ok(None) => Ok(()),
        Ok(Some((namespace, holder))) => Err(Failure::input(anyhow!(
            "another clonewarden acts in this cluster: `{holder}` holds the lease `{namespace}/clonewarden`, and this one would be in `{}`. \
             Say `--namespace {namespace}` to stand by for it, or `--namespace {}` if both are meant to act",
            cluster.namespace(),
            cluster.namespace(),
        ))),
        Err(ApiError::Forbidden(_)) => Err(Failure::input(anyhow!(
            "whether another clonewarden acts in this cluster cannot be known: leases in other namespaces may not be listed. Say `--namespace NS`, \
             the namespace of the lease: that of the one that acts, to stand by for it"
        ))),
        Err(error) => {
            warn!(%error, "Whether another clonewarden acts in this cluster is not known.");
            Ok(())
        }
    }
}

/// Logs go to standard error; standard output is the journal's.
fn start_logs(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log).context("--log is no filter")?;
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).with_target(false);
    let started = if settings.json_logs { logs.json().flatten_event(true).try_init() } else { logs.try_init() };
    started.map_err(|error| anyhow::anyhow!("logs cannot be written: {error}"))
}
