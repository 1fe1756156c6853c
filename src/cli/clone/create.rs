//! `clonewarden clone create`: asks for a clone, and waits for it if that is wanted.

use super::{
    Failure, Place, output, patience,
    show::{self, Format, Output},
    tell_warnings, wait,
};
use crate::{
    cli::plan,
    lifecycle::{
        self, Summary,
        create::{Wish, create, fit},
    },
    model::Span,
    observe::kube::person::Run,
    plan::working::{State, Told},
};
use serde_json::Value;

/// `clone create`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its name; default: clone-YYYYMMDD-HHMMSS, by the clock of this machine in UTC
    #[arg(value_name = "NAME", value_parser = fit)]
    name: Option<String>,
    /// The site to clone
    #[arg(long, value_name = "URL", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    source_url: String,
    /// How long it is wanted, e.g. 90m; default: as the policy says, which also has the last word
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Span>,
    /// Label it as critical: policies may give such a clone a database of its own
    #[arg(long)]
    critical: bool,
    /// Return only when it works
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// With --wait: how long
    #[arg(long, value_name = "DURATION", default_value_t = wait::TIMEOUT, requires = "wait")]
    timeout: Span,
    /// Create nothing: `client` prints what would be sent, `server` has it judged
    #[arg(long, value_enum, value_name = "WHERE")]
    dry_run: Option<DryRun>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DryRun {
    Client,
    Server,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Args { name, source_url, ttl, critical, wait, timeout, dry_run, output: Output { format }, place } = args;
    let wish = Wish { name, source_url, ttl, critical, ..Wish::default() };
    place.ask(|person| async move {
        let now = lifecycle::now();
        if dry_run == Some(DryRun::Client) {
            return print(&wish.manifest(&wish.name_at(now, 1), person.namespace()), format);
        }
        let stored = create(&person, &wish, now, if dry_run.is_some() { Run::Dry } else { Run::Real }).await?;
        tell_warnings(&person);
        // Nothing is known yet of what it is made of.
        let shown = Summary::new(&lifecycle::read(&stored)?, &Told::read(&stored), &State::Starting(Vec::new()));
        let dry = if dry_run.is_some() { " (server dry run)" } else { "" };
        let created = format!("{} created{dry}\n", show::full_name(&shown.name));
        if !wait {
            return show::one(&shown, format, &created);
        }
        // The name is told at once: whoever waits in vain needs it too.
        match format {
            Format::Json | Format::Yaml => output::progress(created.trim_end()),
            Format::Table | Format::Name => show::one(&shown, format, &created)?,
        }
        let (works, words) = wait::wait(&person, stored, patience(timeout)).await?;
        if format == Format::Name { Ok(()) } else { show::one(&works, format, &words) }
    })
}

/// The object as it would be sent.
fn print(object: &Value, format: Format) -> Result<(), Failure> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    output::data(&match format {
        Format::Table | Format::Yaml => plan::yaml(object)?,
        Format::Json => plan::json(object)?,
        Format::Name => show::full_name(name) + "\n",
    })
}
