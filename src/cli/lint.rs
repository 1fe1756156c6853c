//! `clonewarden policy lint`: everything that is wrong with a folder of policies, for people, pipelines and pull requests.
//!
//! Exit codes: 0 clean, 1 problems (with `--strict` also where there are only warnings), 2 misuse or a folder that cannot be read.

use super::{Failure, output, plan};
use crate::policy::{Code, Mode, Namespaces, Policies, Problems, lint_dir, prices, report};
use jiff::{Timestamp, tz::TimeZone};
use std::{fmt::Write, path::PathBuf};

/// `policy lint`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder with the policy files, or one of them alone
    #[arg(value_name = "DIR", required_unless_present_any = ["policies", "explain"])]
    folder: Option<PathBuf>,
    /// The same as a flag
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    /// How to print the problems
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Print what a code means, with an example and what to do, and nothing else
    #[arg(long, value_name = "CODE", value_parser = code, conflicts_with_all = ["folder", "strict", "output"])]
    explain: Option<Code>,
}

/// How problems are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// For people: each with the lines it is about, on standard error
    Text,
    /// One document
    Json,
    /// A SARIF 2.1.0 log
    Sarif,
    /// Workflow commands of GitHub Actions: annotations beside the lines
    Github,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(code) = args.explain {
        return output::data(&format!("{code} ({})\n\n{}\n", code.severity(), code.page()));
    }
    let Some(folder) = args.folder.as_ref().or(args.policies.as_ref()) else {
        return Err(Failure::input(anyhow::anyhow!("say which folder: `clonewarden policy lint DIR`")));
    };
    let linted = lint_dir(folder);
    let problems = &linted.problems;
    if problems.is_unread() {
        return Err(Failure::rendered(problems.render(output::error_colours())));
    }
    linted.policies.as_ref().map_or(Ok(()), check_dates)?;
    match (args.output, &linted.policies) {
        (Output::Text, loaded) => output::data(&loaded.as_ref().map(listing).unwrap_or_default())?,
        (Output::Json, loaded) => output::data(&plan::json(&report::document(problems, loaded.as_ref()))?)?,
        (Output::Sarif | Output::Github, _) => print(problems, args.output)?,
    }
    let text = args.output == Output::Text && problems.count() > 0;
    let said = if text { format!("{}\n\n{}", problems.render(output::error_colours()), summary(problems)) } else { String::new() };
    if problems.errors() > 0 || (args.strict && problems.warnings() > 0) {
        return Err(Failure::found(said));
    }
    output::aside(&said);
    Ok(())
}

/// Fails where figures are dated ahead of today: policies know no clock, whoever checks them does.
fn check_dates(loaded: &Policies) -> Result<(), Failure> {
    let ahead = prices::ahead(&loaded.prices, Timestamp::now().to_zoned(TimeZone::UTC).date());
    if ahead.is_empty() {
        return Ok(());
    }
    Err(Failure::found(format!("error: {}: write the day on which the figures were read, as `asOf`", ahead.join("; "))))
}

/// Prints problems for the machine that is to read them.
pub(super) fn print(problems: &Problems, output: Output) -> Result<(), Failure> {
    match output {
        Output::Sarif => output::data(&plan::json(&report::sarif(problems))?),
        _ => output::data(&report::github(problems)),
    }
}

/// `2 errors, 1 warning`, and how to learn more.
fn summary(problems: &Problems) -> String {
    let noun = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let counts = [(problems.errors(), "error"), (problems.warnings(), "warning")].into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, one)| noun(count, one)).collect();
    let first = problems.iter().next().map_or("CODE", |problem| problem.code.as_str());
    format!("{}; more about one: clonewarden policy lint --explain {first}", counts.join(", "))
}

/// What was loaded: each policy and host with its line, and the revision.
fn listing(loaded: &Policies) -> String {
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
        let _ = writeln!(out, "{}:{}: database host `{}` at {}:{}", host.file, host.line, host.name, host.endpoint.host(), host.endpoint.port());
    }
    let _ = writeln!(out, "revision {}", loaded.revision);
    out
}

fn code(text: &str) -> Result<Code, String> {
    Code::named(text).ok_or_else(|| {
        let known: Vec<&str> = Code::ALL.into_iter().map(Code::as_str).collect();
        format!("is not a code; there are: {}", known.join(", "))
    })
}
