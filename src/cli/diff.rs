//! `clonewarden policy diff`: what a change of policies would do, for whoever reviews it.
//!
//! Exit codes: 0; with `--exit-code` 1 where the two sets do not mean the same; 2 misuse, policies that do not load, or no world to judge.

mod document;
mod git;
mod markdown;
mod sets;
mod table;
mod words;

use super::{Failure, inputs::World, output, plan};
use crate::diff::{Change, diff};

/// `policy diff`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policies as they are: a folder, or a Git revision (`main`, `HEAD~1`, `v1:policies`)
    #[arg(value_name = "OLD")]
    old: String,
    /// The policies as they would be: a folder, or a Git revision
    #[arg(value_name = "NEW")]
    new: String,
    #[command(flatten)]
    world: World,
    /// How to print it
    #[arg(long, short, env = "CLONEWARDEN_OUTPUT", value_enum, default_value_t = Output::Table)]
    output: Output,
    /// End with 1 where the policies do not mean the same, as `git diff` does
    #[arg(long)]
    exit_code: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Table,
    /// All of it, as a document
    Json,
    /// For the comment on a pull request
    Markdown,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let sets = Change { from: sets::read("old", &args.old, &args.new)?, to: sets::read("new", &args.new, &args.old)? };
    let (snapshot, now) = args.world.look()?;
    let diff = diff(&snapshot, &sets.from.policies, &sets.to.policies, now);
    let text = match args.output {
        Output::Table => table::render(&diff, &sets),
        Output::Json => plan::json(&document::document(&diff, &sets))?,
        Output::Markdown => markdown::render(&diff, &sets),
    };
    output::data(&text)?;
    if args.exit_code && !diff.same { Err(Failure::found("")) } else { Ok(()) }
}
