//! `clonewarden notify`: tries whether those who are to be told can be.

use super::{
    Failure,
    output::{self, printable},
    plan,
};
use crate::{
    notices::{
        self,
        config::{Config, Receiver},
    },
    observe::kube::install_tls,
};
use anyhow::{Context, anyhow};
use std::{fmt::Write as _, path::PathBuf};

/// `notify …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Send a sample to each receiver, and say what came back
    Test(Args),
    /// Print the JSON Schema of the file with the receivers
    Schema,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file that says who is told what
    #[arg(long, env = "CLONEWARDEN_NOTIFICATIONS", value_name = "FILE")]
    notifications: PathBuf,
    /// Only this receiver
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
}

/// Sends a sample.
///
/// # Errors
/// A file that cannot be used, or a receiver that is not in it (2); a receiver that did not take it (1).
pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Test(args) => test(args),
        Command::Schema => output::data(&plan::json(&notices::schema())?),
    }
}

fn test(args: &Args) -> Result<(), Failure> {
    let config = Config::read(&args.notifications).map_err(|problems| Failure::input(anyhow!(printable(&problems.join("\n")))))?;
    let wanted = |name: &str| args.receiver.as_ref().is_none_or(|receiver| receiver == name);
    let names = || config.receivers().map(Receiver::name);
    if let Some(unknown) = args.receiver.as_ref().filter(|_| !names().any(wanted)) {
        let names = names().collect::<Vec<_>>().join(", ");
        return Err(Failure::input(anyhow!("no receiver is called `{}`; there are {names}", printable(unknown))));
    }
    install_tls();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime cannot be started");
    let answers = runtime.map_err(Failure::failed)?.block_on(async {
        let mut answers = Vec::new();
        for receiver in config.receivers().filter(|receiver| wanted(receiver.name())) {
            answers.push((receiver.name(), notices::send_sample(&config, receiver).await));
        }
        answers
    });
    let (mut taken, mut refused) = (String::new(), Vec::new());
    for (name, answer) in answers {
        match answer {
            Ok(said) => drop(writeln!(taken, "{name}: taken: {}", printable(&said))),
            Err(reason) => refused.push(format!("error: {name}: not taken: {}", printable(&reason))),
        }
    }
    output::data(&taken)?;
    if refused.is_empty() { Ok(()) } else { Err(Failure::found(refused.join("\n"))) }
}
