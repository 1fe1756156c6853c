//! `clonewarden clone …`: what people do with clones, each with their own credentials, so that RBAC and admission judge the person
//! and not the daemon. Installed as `kubectl-clonewarden` it is `kubectl clonewarden clone …`.
//!
//! Contract: what is done stands in [`crate::lifecycle`]; here is how it is asked for and told. No spec is printed: it may hold a
//! password.

mod create;
mod delete;
mod extend;
mod keep;
mod list;
mod show;
mod wait;

use super::{Failure, output};
use crate::{
    lifecycle::{Cause, Trouble},
    model::Span,
    observe::kube::{answer::Problem, install_tls, person::Person},
    ports::ApiError,
};
use anyhow::{Context, anyhow};
use std::future::Future;

/// `clone …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Ask for a clone of a site; admission decides whether there is room, and which database it gets
    Create(create::Args),
    /// Wait until a clone works (Job, Pod, database, Secret), and say what is in its way
    Wait(wait::Args),
    /// List the clones: how they are, when they end, whose they are
    List(list::Args),
    /// Move the end of a clone further away
    Extend(extend::Args),
    /// Keep a clone until somebody lifts that
    Keep(keep::Args),
    /// Delete a clone, and follow it until everything of it is gone
    Delete(delete::Args),
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create::run(args),
        Command::Wait(args) => wait::run(args),
        Command::List(args) => list::run(args),
        Command::Extend(args) => extend::run(args),
        Command::Keep(args) => keep::run(args),
        Command::Delete(args) => delete::run(args),
    }
}

/// Where the clones are, and who asks.
#[derive(Debug, clap::Args)]
struct Place {
    /// The namespace of the clones; default: the kubeconfig context's
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Another context of the kubeconfig than the current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Place {
    /// Connects with the person's own credentials and runs `ask`. What the API server warned of meanwhile is told, as kubectl does.
    fn ask<T, F: Future<Output = Result<T, Failure>>>(self, ask: impl FnOnce(Person) -> F) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start").map_err(Failure::failed)?;
        runtime.block_on(async {
            install_tls();
            let person = Person::connect(self.context.as_deref(), self.namespace.as_deref()).await;
            let person = person.map_err(|error| Failure::input(error.context("no cluster to ask")))?;
            let done = ask(person.clone()).await;
            tell_warnings(&person);
            done
        })
    }
}

/// Says what the API server has warned of since the last time.
fn tell_warnings(person: &Person) {
    for warning in person.warnings() {
        output::warning(&warning);
    }
}

/// The name of a clone, also in the form in which `-o name` prints it.
fn name(text: &str) -> Result<String, String> {
    let bare = match text.split_once('/') {
        Some(("wordpressclone" | "wordpressclones" | "wordpressclone.kro.run" | "wordpressclones.kro.run", name)) => name,
        _ => text,
    };
    if bare.is_empty() || bare.contains('/') {
        return Err("write the clone's name, and its namespace with `-n`".to_owned());
    }
    Ok(bare.to_owned())
}

/// How long something may take before it is given up.
fn patience(span: Span) -> std::time::Duration {
    std::time::Duration::try_from(span.get()).unwrap_or_default()
}

/// What could not be done, in the words of the API server.
fn refused(what: &str, problem: Problem) -> Failure {
    Trouble::asked("", what.to_owned(), problem).into()
}

impl From<Trouble> for Failure {
    /// With what a person at a command line can do about it.
    fn from(trouble: Trouble) -> Self {
        let hint = match &trouble.cause {
            Cause::Asked(problem) if problem.error == ApiError::NotFound => "; see `kubectl get crd wordpressclones.kro.run`".to_owned(),
            Cause::Unsure(_) => "; `clonewarden clone list` shows whether it was".to_owned(),
            Cause::NoClone => "; `clonewarden clone list -A` shows those in other namespaces".to_owned(),
            Cause::Kept => format!(": `clonewarden clone keep {} --off` first, if nobody needs it", trouble.name),
            Cause::Endless => ": write `--until`".to_owned(),
            _ => String::new(),
        };
        let error = anyhow!("{}{hint}", output::printable(&trouble.to_string()));
        if matches!(trouble.cause, Cause::Nonsense) { Self::input(error) } else { Self::failed(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_named_as_it_is_printed() {
        for text in ["clone-1", "wordpressclone/clone-1", "wordpressclone.kro.run/clone-1"] {
            assert_eq!(name(text).unwrap(), "clone-1");
        }
        for odd in ["", "staging/clone-1", "wordpressclone/", "wordpressclone/a/b"] {
            assert!(name(odd).is_err(), "{odd}");
        }
    }
}
