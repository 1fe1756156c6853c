//! `clonewarden prices`: every price that costs are reckoned by, with its date and its source.

use super::{
    Failure, inputs,
    output::{self, printable},
    plan,
};
use crate::{cost::book::PriceBook, policy::prices};
use serde_json::{Value, json};
use std::{fmt::Write, path::PathBuf, sync::Arc};

mod refresh;

/// `prices`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The folder with the policy files: what its `PriceBook`s say takes the place of what is built in
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Only this region
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// How to print them
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Look the figures up in AWS' price list, and write a `PriceBook` of them to put beside the policies.
    Refresh(refresh::Args),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line each
    #[default]
    Table,
    /// All that is known of each
    Json,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(Command::Refresh(args)) = &args.command {
        return refresh::run(args);
    }
    let book = match &args.policies {
        Some(folder) => inputs::load(folder)?.prices,
        None => prices::built_in(),
    };
    if let Some(region) = args.region.as_ref().filter(|region| !book.knows(region)) {
        let help = "write a `PriceBook` with that region beside the policies, and say `--policies DIR`";
        return Err(Failure::input(anyhow::anyhow!("there are no prices for the region `{}`: {help}", printable(region))));
    }
    output::data(&match args.output {
        Format::Table => table(&book, args.region.as_deref()),
        Format::Json => plan::json(&Value::Array(rows(&book, args.region.as_deref()).collect()))?,
    })
}

fn rows<'a>(book: &'a Arc<PriceBook>, region: Option<&'a str>) -> impl Iterator<Item = Value> + 'a {
    let chosen = book.figures().filter(move |(of, ..)| region.is_none_or(|region| region == *of));
    chosen.map(|(region, table, name, figure)| {
        json!({
            "region": region, "of": table.word(), "name": name, "usd": figure.usd.to_string(), "per": table.unit(),
            "asOf": figure.as_of, "source": figure.source, "place": figure.place,
        })
    })
}

fn table(book: &Arc<PriceBook>, region: Option<&str>) -> String {
    let mut out = format!("{:<16}{:<14}{:<16}{:>9}  {:<11}{:<12}SOURCE\n", "REGION", "OF", "NAME", "USD", "PER", "AS OF");
    for row in rows(book, region) {
        let text = |key: &str| printable(row.get(key).and_then(Value::as_str).unwrap_or_default());
        let _ = writeln!(
            out,
            "{:<16}{:<14}{:<16}{:>9}  {:<11}{:<12}{} ({})",
            text("region"),
            text("of"),
            text("name"),
            text("usd"),
            text("per"),
            text("asOf"),
            text("source"),
            text("place")
        );
    }
    out
}
