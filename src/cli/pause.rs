//! `clonewarden pause` and `resume`: stop every write of the daemon at once, without Git, and let it write again.

use super::{Failure, inputs, live, output};
use crate::{
    act::state::{self, StateError},
    daemon::lease,
    model::{State, state::Pause},
    ports::{ApiError, Cluster},
};
use anyhow::{Context, anyhow};
use jiff::Timestamp;

/// How often a write is tried again when the daemon has written the state in between.
const TRIES: usize = 5;

/// `pause`
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    /// Why; it is shown everywhere until `resume`
    #[arg(long, value_name = "TEXT", value_parser = inputs::reason)]
    reason: String,
    #[command(flatten)]
    daemon: live::Daemon,
}

/// `resume`
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    daemon: live::Daemon,
}

pub(super) fn pause(args: &PauseArgs) -> Result<(), Failure> {
    let said = args.daemon.ask(|cluster| async move { set(cluster.as_ref(), &args.reason, &whoami(), live::now()).await })?;
    output::data(&said)
}

pub(super) fn resume(args: &ResumeArgs) -> Result<(), Failure> {
    let said = args.daemon.ask(|cluster| async move { lift(cluster.as_ref(), &whoami(), live::now()).await })?;
    output::data(&said)
}

/// Stops every write. A pause that stands already stays as it is: whoever set it first has a reason too.
pub(super) async fn set(cluster: &dyn Cluster, reason: &str, by: &str, now: Timestamp) -> Result<String, Failure> {
    change(cluster, |state| match &state.paused {
        Some(pause) => (false, format!("already paused {}\n", told(pause))),
        None => {
            let pause = Pause::new(now, reason, by);
            let said = format!("paused {}\nnothing is written any more until `clonewarden resume`\n", told(&pause));
            state.pause(pause);
            (true, said)
        }
    })
    .await
}

pub(super) async fn lift(cluster: &dyn Cluster, by: &str, now: Timestamp) -> Result<String, Failure> {
    change(cluster, |state| match state.resume(now, by) {
        Some(pause) => (true, format!("resumed; it had been paused {}\n", told(&pause))),
        None => (false, "not paused: nothing to resume\n".to_owned()),
    })
    .await
}

fn told(pause: &Pause) -> String {
    let by = if pause.by.is_empty() { String::new() } else { format!(" by {}", output::printable(&pause.by)) };
    format!("since {}{by}: {}", pause.since, output::printable(&pause.reason))
}

/// Changes the state by compare-and-swap; `edit` says whether there is anything to write, and what to tell. Where the daemon
/// writes in between, it is read and edited again. A write without an answer may have happened: what stands then is looked at.
pub(super) async fn change<T>(cluster: &dyn Cluster, edit: impl Fn(&mut State) -> (bool, T)) -> Result<T, Failure> {
    let mut unanswered: Option<(State, T)> = None;
    for _ in 0..TRIES {
        let mut read = state::load(cluster).await.map_err(Failure::failed)?;
        if let Some((_, told)) = unanswered.take_if(|(wanted, _)| *wanted == read.state) {
            return Ok(told);
        }
        if read.version.is_none() && cluster.read_lease(lease::NAME).await.map_err(Failure::failed)?.is_none() {
            // Written where no daemon looks, it would only seem to have worked.
            return Err(Failure::input(anyhow!(
                "no daemon keeps its lease or its state in this namespace: nothing was changed; say which one with `--namespace`"
            )));
        }
        let (write, told) = edit(&mut read.state);
        if !write {
            return Ok(told);
        }
        match state::save(cluster, &read.state, read.version.as_deref()).await {
            Ok(_) => return Ok(told),
            Err(StateError::Api(ApiError::Conflict(_))) => {}
            Err(StateError::Api(ApiError::Unavailable(_))) => unanswered = Some((read.state, told)),
            Err(error) => return Err(error).context("nothing was changed").map_err(Failure::failed),
        }
    }
    let name = state::NAME;
    Err(Failure::failed(anyhow!("ConfigMap `{name}` could not be written in {TRIES} tries; see `clonewarden brake status`, then try again")))
}

/// Who asks, as far as this machine knows. It is a courtesy to whoever finds the pause, not a proof.
pub(super) fn whoami() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    name.unwrap_or_default()
}
