//! `clonewarden brake`: what waits for a person, and the word that lets it go.

use super::{Failure, inputs, live, output, pause};
use crate::{
    act::state,
    model::{Kind, State, child::Definition, state as model},
    ports::{ApiError, Cluster},
};
use anyhow::anyhow;
use std::fmt::Write;

/// `brake …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show every brake that is on, every population that collapsed, and what they hold back
    Status(Status),
    /// Let exactly what waits now go: the unannounced ends of a policy, or what is judged by a source that collapsed
    Release(Release),
}

/// `brake status`
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    daemon: live::Daemon,
}

/// `brake release`
#[derive(Debug, clap::Args)]
pub(super) struct Release {
    /// The policy whose brake is on, or what is not as it was (`clones`, `definitions`, `credentials-key`, `aws-account`, `cluster-id`)
    #[arg(value_name = "POLICY|SOURCE")]
    name: String,
    /// Why it is all right
    #[arg(long, value_name = "TEXT", value_parser = inputs::reason)]
    reason: String,
    #[command(flatten)]
    daemon: live::Daemon,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Status(args) => {
            let state = args.daemon.ask(|cluster| async move { Ok(state::load(cluster.as_ref()).await.map_err(Failure::failed)?.state) })?;
            output::data(&status(&state))
        }
        Command::Release(args) => {
            let let_go = args.daemon.ask(|cluster| async move {
                let gone = is_gone(cluster.as_ref(), &args.name).await?;
                let by = pause::whoami();
                pause::change(cluster.as_ref(), |state| {
                    let (write, told) = release(state, &args.name, gone);
                    if write {
                        state.note_release(model::Release {
                            name: args.name.clone(),
                            reason: args.reason.clone(),
                            by: by.clone(),
                            at: live::now(),
                            told: false,
                        });
                    }
                    (write, told)
                })
                .await
            })?;
            let let_go = let_go.map_err(|held| {
                let held = if held.is_empty() { "no brake is on".to_owned() } else { format!("held: {}", held.join(", ")) };
                Failure::failed(anyhow!("nothing is held back by `{}`; {held}", output::printable(&args.name)))
            })?;
            output::data(&format!("{let_go}reason: {}\n", output::printable(&args.reason)))
        }
    }
}

/// Whether the CRD of the clones, or every definition that makes them, is gone at present.
async fn is_gone(cluster: &dyn Cluster, name: &str) -> Result<bool, Failure> {
    let kind = match name {
        "clones" => Kind::Clone,
        "definitions" => Kind::Definition,
        _ => return Ok(false),
    };
    match live::list(cluster, kind).await {
        Err(ApiError::NotFound) => Ok(true),
        Err(error) => Err(Failure::failed(anyhow!(error).context(format!("{} could not be listed: what is gone is not known", kind.plural())))),
        Ok(_) if kind == Kind::Clone => Ok(false),
        Ok(found) => Ok(!found.iter().any(|object| Definition::read(object).is_ok_and(|definition| definition.makes_clones))),
    }
}

/// Everything that waits for a person.
fn status(state: &State) -> String {
    let mut out = String::new();
    if let Some(pause) = &state.paused {
        let _ = writeln!(out, "paused since {}: {}", pause.since, output::printable(&pause.reason));
    }
    for (policy, brake) in &state.brakes {
        let Some(trip) = &brake.tripped else { continue };
        let _ = writeln!(
            out,
            "policy `{policy}`: on since {}; {} waiting, {} carried out in the window",
            trip.since,
            trip.waiting.len(),
            brake.carried.len()
        );
        waiting(trip.waiting.iter(), &mut out);
    }
    for (source, population) in &state.populations {
        if let Some(since) = population.collapsed {
            let _ = writeln!(
                out,
                "source `{source}`: collapsed since {since}; of {} objects most are missing, and nothing is judged by their absence",
                population.count
            );
        }
    }
    if let Some(since) = &state.credentials_key_lost {
        let _ = writeln!(out, "`credentials-key`: gone or another since {since}; new clones get no Secret");
    }
    if let Some(arn) = &state.cluster_id_shared {
        let _ = writeln!(
            out,
            "`cluster-id`: {} carries our cluster id and was made for a clone that never was here; nothing in AWS is touched",
            output::printable(arn)
        );
    }
    if out.is_empty() { "no brake is on\n".to_owned() } else { out }
}

fn waiting<'a>(each: impl Iterator<Item = (&'a String, &'a String)>, out: &mut String) {
    for (uid, path) in each {
        let _ = writeln!(out, "  {}  (uid {})", output::printable(path), output::printable(uid));
    }
}

/// Lets go what `name` holds and says what that is; else the names of what is held.
fn release(state: &mut State, name: &str, gone: bool) -> (bool, Result<String, Vec<String>>) {
    let mut out = String::new();
    if let Some(trip) = state.brakes.get(name).and_then(|brake| brake.tripped.clone()) {
        let _ = writeln!(out, "policy `{name}`: {} let go", trip.waiting.len());
        waiting(trip.waiting.iter(), &mut out);
        state.release_brake(name);
        return (true, Ok(out));
    }
    let before = state.clone();
    if state.release_source(name, gone) {
        let collapsed = before.populations.get(name).filter(|population| population.collapsed.is_some());
        let forgotten = match (name, collapsed) {
            (_, Some(population)) => format!("the {} objects there were", population.count),
            ("aws-account", None) => format!("the AWS account {}", before.aws_account.unwrap_or_default()),
            ("cluster-id", None) => format!("that {} is another cluster's", before.cluster_id_shared.unwrap_or_default()),
            ("credentials-key", None) => format!("the key {}", before.credentials_key.unwrap_or_default()),
            ("definitions", None) => before.definitions.into_iter().collect::<Vec<_>>().join(", "),
            (_, None) => "that its CRD was served".to_owned(),
        };
        let _ = writeln!(out, "source `{name}`: what it shows now is taken for the truth; forgotten: {}", output::printable(&forgotten));
        return (true, Ok(out));
    }
    let brakes = state.brakes.iter().filter(|(_, brake)| brake.tripped.is_some()).map(|(name, _)| name.clone());
    let sources = state.populations.iter().filter(|(_, population)| population.collapsed.is_some()).map(|(name, _)| name.clone());
    let shared = state.cluster_id_shared.iter().map(|_| "cluster-id".to_owned());
    let key = state.credentials_key_lost.iter().map(|_| "credentials-key".to_owned());
    (false, Err(brakes.chain(sources).chain(shared).chain(key).collect()))
}
