//! What has to be so in the daemon's own state before anything is carried out: a daemon acts, nothing is paused, and it acts by these policies.

use super::Asked;
use crate::{
    cli::{Failure, output},
    daemon::lease,
    model::State,
    ports::Cluster,
};
use anyhow::{Context, anyhow};

/// What is approved is judged by the policies that the daemon acts by, and not by those of some checkout.
pub(super) fn in_force(state: &State, asked: &Asked) -> Result<(), Failure> {
    let ours = &asked.policies.revision;
    match &state.policies {
        Some(acted_by) if **acted_by == *ours.hash => Ok(()),
        Some(acted_by) => Err(Failure::input(anyhow!(
            "the daemon acts by policies of revision {}, and `{}` was made by {ours}; take the files that are rolled out, and plan anew",
            output::printable(acted_by),
            asked.name
        ))),
        None => Err(Failure::input(anyhow!(
            "no daemon in this namespace has acted by any policies since it was installed or resumed; wait until one has, or say which namespace \
             with `--namespace`"
        ))),
    }
}

/// Where no daemon acts nobody acts: whoever scales it to nothing wants everything stopped.
pub(super) async fn held(cluster: &dyn Cluster) -> Result<(), Failure> {
    let lease = cluster.read_lease(lease::NAME).await.context("who acts is not known").map_err(Failure::failed)?;
    if lease.is_some_and(|lease| !lease.holder.is_empty()) {
        return Ok(());
    }
    Err(Failure::input(anyhow!(
        "no daemon holds the lease in this namespace, so nothing is carried out: start it, or say which namespace with `--namespace`"
    )))
}

pub(super) fn not_paused(state: &State) -> Result<(), Failure> {
    let Some(pause) = &state.paused else { return Ok(()) };
    let by = if pause.by.is_empty() { String::new() } else { format!(" by {}", output::printable(&pause.by)) };
    Err(Failure::failed(anyhow!(
        "every write is paused since {}{by}: {}; nothing is carried out until `clonewarden resume`",
        pause.since,
        output::printable(&pause.reason)
    )))
}
