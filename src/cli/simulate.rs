//! `clonewarden simulate`: tries policies on a trace, two sets side by side; makes traces, and takes them out of a journal.

mod bar;
mod flags;
mod history;
mod lines;
mod make;
mod table;

use super::{Failure, inputs, output, plan};
use crate::{
    policy::Policies,
    simulate::{Setting, Simulation, chart, report::Outcome, trace},
};
use anyhow::{Context, anyhow};
use lines::Lines;
use serde_json::json;
use std::path::PathBuf;

/// `simulate`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Option<Run>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a trace: arrivals at random times, from a seed
    MakeTrace(make::Args),
    /// Take a trace out of a journal: who came, as far as it says
    TraceOf(history::Args),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The trace, one arrival a line (`-`: standard input)
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// The folder with the policy files
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: PathBuf,
    /// Another folder with policy files, to be put beside
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// How to print what came of it
    #[arg(long, short, env = "CLONEWARDEN_OUTPUT", value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Draw the curves into this file, as SVG
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    #[command(flatten)]
    setting: flags::Flags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// All figures and the curves
    Json,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match (args.command, args.run) {
        (Some(Command::MakeTrace(args)), _) => make::run(args),
        (Some(Command::TraceOf(args)), _) => history::run(&args),
        (None, Some(run)) => simulate(&run),
        (None, None) => Err(Failure::input(anyhow!("say which trace and which policies: `clonewarden simulate --trace FILE --policies DIR`"))),
    }
}

fn simulate(args: &Run) -> Result<(), Failure> {
    let folders: Vec<&PathBuf> = std::iter::once(&args.policies).chain(&args.against).collect();
    let sets = folders.iter().map(|folder| inputs::load(folder)).collect::<Result<Vec<Policies>, _>>()?;
    let setting = args.setting.read(&sets)?;
    let outcomes = play(args, &folders, &sets, &setting)?;
    if let Some(file) = &args.chart {
        let title =
            format!("{} under {}", args.trace.display(), folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" and "));
        let text = chart::svg(&title, &outcomes);
        std::fs::write(file, text).with_context(|| format!("the chart cannot be written to `{}`", file.display())).map_err(Failure::failed)?;
    }
    let trace = args.trace.display().to_string();
    output::data(&match args.output {
        Format::Table => table::render(&trace, &outcomes),
        Format::Json => plan::json(&json!({
            "apiVersion": "clonewarden.io/v1alpha1", "kind": "Simulation", "trace": trace, "assumed": args.setting.document(&setting),
            "policies": outcomes.iter().map(Outcome::document).collect::<Vec<_>>(),
        }))?,
    })
}

/// Reads the trace once, for all sets of policies.
fn play(args: &Run, folders: &[&PathBuf], sets: &[Policies], setting: &Setting) -> Result<Vec<Outcome>, Failure> {
    let mut simulations: Vec<Simulation<'_>> = sets.iter().map(|policies| Simulation::new(policies, setting)).collect();
    let mut lines = Lines::open(&args.trace)?;
    let mut reader = trace::Reader::default();
    let mut arrivals = 0_u64;
    while let Some(line) = lines.next()? {
        match reader.read(line) {
            Ok(None) => {}
            Ok(Some(arrival)) => {
                arrivals = arrivals.saturating_add(1);
                simulations.iter_mut().for_each(|simulation| simulation.arrive(&arrival));
            }
            Err(bad) => return Err(lines.bad_at(bad.column, &bad.message)),
        }
    }
    lines.done();
    if arrivals == 0 {
        let help = "`clonewarden simulate make-trace` makes one";
        return Err(Failure::input(anyhow!("nobody comes in the trace `{}`: {help}", args.trace.display())));
    }
    let outcomes = simulations.into_iter().zip(folders.iter().zip(sets)).map(|(simulation, (folder, policies))| Outcome {
        folder: folder.display().to_string(),
        revision: policies.revision.to_string(),
        figures: simulation.finish().0,
    });
    Ok(outcomes.collect())
}
