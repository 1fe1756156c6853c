//! `clonewarden policy`: looks after policy files: says everything that is wrong with them, and what editors should know.

use super::{Failure, inputs, output, plan};
use crate::policy::{Mode, Namespaces, load, prices, schema::schema};
use jiff::{Timestamp, tz::TimeZone};
use std::{fmt::Write, path::PathBuf};

/// `policy …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say everything that is wrong with the policies in a folder, with file, line and column
    Lint(Lint),
    /// Print the JSON Schema of policy files, by which editors complete and check them
    Schema,
}

/// `policy lint`
#[derive(Debug, clap::Args)]
pub(super) struct Lint {
    /// The folder with the policy files
    #[arg(value_name = "DIR", required_unless_present = "policies")]
    folder: Option<PathBuf>,
    /// The same as a flag
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: Option<PathBuf>,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Lint(args) => lint(args),
        Command::Schema => output::data(&plan::json(&schema())?),
    }
}

fn lint(args: &Lint) -> Result<(), Failure> {
    let Some(folder) = args.folder.as_ref().or(args.policies.as_ref()) else {
        return Err(Failure::input(anyhow::anyhow!("say which folder: `clonewarden policy lint DIR`")));
    };
    let loaded = inputs::load(folder)?;
    let ahead = prices::ahead(&loaded.prices, Timestamp::now().to_zoned(TimeZone::UTC).date());
    if !ahead.is_empty() {
        let help = "write the day on which the figures were read, as `asOf`";
        return Err(Failure::input(anyhow::anyhow!("{}: {help}", ahead.join("; "))));
    }
    for name in load::empty_files(folder) {
        output::progress(&format!("warning: {name}: the file holds nothing; write what belongs into it, or take it away"));
    }
    for free in prices::free(&loaded.prices) {
        output::progress(&format!("warning: {free}; if it has no price that is known, take it out"));
    }
    let mut out = String::new();
    for policy in &loaded.policies {
        let mode = if policy.mode == Mode::Audit { "audit" } else { "enforce" };
        let whom = match &policy.namespaces {
            Namespaces::Names(names) => names.join(", "),
            Namespaces::Selector(labels) => {
                let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("namespaces with {}", labels.join(", "))
            }
        };
        let _ = writeln!(out, "{}:{}: policy `{}` ({mode}) for {whom}", policy.file, policy.line, policy.name);
    }
    for host in &loaded.hosts {
        let _ = writeln!(out, "{}:{}: database host `{}` at {}:{}", host.file, host.line, host.name, host.endpoint, host.port);
    }
    let _ = writeln!(out, "revision {}", loaded.revision);
    output::data(&out)
}
