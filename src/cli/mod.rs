//! The command line: what can be asked, one file a subcommand.
//!
//! Contract: data goes to standard output and everything else to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage,
//! configuration, policy or input, with file and line; `policy lint`, `policy test` and `policy diff --exit-code`, whose answer that is, end with 1. Every flag can also be given as `CLONEWARDEN_…`. Nothing in here ends
//! the process; `main` does, with what [`dispatch`] returns.

mod api;
mod apply;
mod brake;
mod check;
mod clone;
mod crds;
mod dashboards;
mod demo;
mod diff;
mod explain;
mod inputs;
mod journal;
mod lint;
mod live;
mod notify;
mod output;
mod pause;
mod plan;
mod policy;
mod prices;
mod run;
mod simulate;
mod table;
#[cfg(test)]
mod tests;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{ffi::OsString, fmt, path::Path};

/// Governs the life and the cost of ephemeral clones in a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(name = "clonewarden", version, arg_required_else_help = true, disable_help_subcommand = true, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the daemon work, for a minute, over a cluster in memory: nothing is needed and nothing is touched.
    Demo(demo::Args),
    /// Run the daemon.
    Run(Box<crate::daemon::settings::RunArgs>),
    /// Say what would be done, to every clone and everything that clones left behind, and why.
    Plan(plan::Args),
    /// Carry out what was approved of a plan, with your own rights: exactly those decisions, judged again.
    Apply(apply::Args),
    /// Tell the life of one clone: every date and where it comes from, what happens next, and what would change that.
    Explain(explain::Args),
    /// Create, list, extend, keep and delete clones, and wait for them, with your own rights.
    #[command(subcommand)]
    Clone(clone::Command),
    /// Look after policy files.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Try policies on a trace of arrivals, two sets side by side: who gets in, who waits, what it costs.
    Simulate(Box<simulate::Args>),
    /// Ask the journal what was decided and done, why, and what it cost and saved.
    Journal(Box<journal::Args>),
    /// Try whether those who are to be told of what happens can be.
    #[command(subcommand)]
    Notify(notify::Command),
    /// Print every price that costs are reckoned by, with its date and its source.
    Prices(prices::Args),
    /// Stop every write of the daemon at once, until `resume`.
    Pause(pause::PauseArgs),
    /// Let the daemon write again.
    Resume(pause::ResumeArgs),
    /// See what the brakes hold back, or let it go.
    #[command(subcommand)]
    Brake(brake::Command),
    /// Print the CustomResourceDefinitions of clonewarden's own objects.
    Crds,
    /// Print the dashboards for Grafana.
    Dashboards(dashboards::Args),
    /// What the HTTP API for services is, and the page's JSON.
    #[command(subcommand)]
    Api(api::Command),
}

/// How the program is called by whoever has it as a plugin of kubectl.
const PLUGIN: &str = "kubectl-clonewarden";

/// Reads a command line, the program's own name first. A program that is installed or linked as `kubectl-clonewarden` is
/// a plugin of kubectl, and calls itself `kubectl clonewarden`.
///
/// # Errors
/// Wrong usage; `--help` and `--version` too, with exit code 0.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = Cli::command();
    if arguments.first().is_some_and(|program| Path::new(program).file_stem().is_some_and(|name| name == PLUGIN)) {
        command = command.bin_name(PLUGIN.replacen('-', " ", 1));
    }
    let mut matches = command.clone().try_get_matches_from(arguments)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Does what was asked.
///
/// # Errors
/// What went wrong, with the exit code it means.
pub fn dispatch(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(*args),
        Command::Plan(args) => plan::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Clone(command) => clone::run(command),
        Command::Policy(command) => policy::run(&command),
        Command::Simulate(args) => simulate::run(*args),
        Command::Journal(args) => journal::run(&args),
        Command::Notify(command) => notify::run(&command),
        Command::Prices(args) => prices::run(&args),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Brake(command) => brake::run(&command),
        Command::Crds => crds::run(),
        Command::Dashboards(args) => dashboards::run(&args),
        Command::Api(command) => api::run(&command),
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// 1: it failed; 2: what was asked, or what it was asked about, cannot be used.
    pub code: u8,
    report: Report,
}

#[derive(Debug)]
enum Report {
    /// Whole reports with snippets, which say `error:` themselves.
    Rendered(String),
    /// An error and what caused it.
    Chain(anyhow::Error),
}

impl Failure {
    /// The command was understood and could not be carried out.
    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 1, report: Report::Chain(error.into()) }
    }

    /// Wrong usage, configuration, policy or input.
    pub fn input(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 2, report: Report::Chain(error.into()) }
    }

    /// What was looked for was found, and this is the report on it; empty where it has been printed.
    pub fn found(report: impl Into<String>) -> Self {
        Self { code: 1, report: Report::Rendered(report.into()) }
    }

    /// Input that reports on itself, snippet and all.
    pub fn rendered(report: impl Into<String>) -> Self {
        Self { code: 2, report: Report::Rendered(report.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.report {
            Report::Rendered(report) => f.write_str(report),
            Report::Chain(error) => {
                write!(f, "error: {error}")?;
                error.chain().skip(1).try_for_each(|cause| write!(f, "\n  caused by: {cause}"))
            }
        }
    }
}
