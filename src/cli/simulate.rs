//! `clonewarden simulate`: tries policies on a trace, two sets side by side; makes traces, and takes them out of a journal.

mod bar;
mod flags;
mod history;
mod lines;
mod make;
mod places;
mod table;

use super::{Failure, inputs, output, plan};
use crate::{
    policy::Policies,
    simulate::{Setting, Simulation, chart, report::Outcome, trace},
};
use anyhow::{Context, anyhow};
use lines::Lines;
use places::is_same;
use serde_json::json;
use std::path::{Path, PathBuf};

/// `simulate`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
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
    #[arg(long, value_name = "FILE", required = true)]
    trace: Option<PathBuf>,
    /// The folder with the policy files
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR", required = true)]
    policies: Option<PathBuf>,
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
    /// The same document as YAML
    Yaml,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match (args.command, &args.run.trace, &args.run.policies) {
        (Some(Command::MakeTrace(args)), ..) => make::run(args),
        (Some(Command::TraceOf(args)), ..) => history::run(&args),
        (None, Some(trace), Some(policies)) => simulate(&args.run, trace, policies),
        // They are required where there is no subcommand.
        (None, ..) => Err(Failure::input(anyhow!("say which trace and which policies: `clonewarden simulate --trace FILE --policies DIR`"))),
    }
}

fn simulate(args: &Run, trace: &Path, policies: &PathBuf) -> Result<(), Failure> {
    let folders: Vec<&PathBuf> = std::iter::once(policies).chain(&args.against).collect();
    if let Some(against) = args.against.as_ref().filter(|against| is_same(policies, against)) {
        let (policies, against) = (policies.display(), against.display());
        return Err(Failure::input(anyhow!("--policies {policies} --against {against}: they are one folder; name another one to compare with")));
    }
    if let Some(chart) = &args.chart {
        let inputs = std::iter::once(trace).chain(args.setting.definition.as_deref());
        places::check("--chart", chart, inputs, &folders)?;
    }
    let sets = folders.iter().map(|folder| inputs::load(folder)).collect::<Result<Vec<Policies>, _>>()?;
    let setting = args.setting.read(&sets)?;
    let outcomes = play(trace, &folders, &sets, &setting)?;
    let name = trace.display().to_string();
    if let Some(file) = &args.chart {
        let folders: Vec<&str> = outcomes.iter().map(|outcome| outcome.folder.as_str()).collect();
        let text = chart::svg(&format!("{name} under {}", folders.join(" and ")), &outcomes);
        std::fs::write(file, text).with_context(|| format!("the chart cannot be written to `{}`", file.display())).map_err(Failure::failed)?;
    }
    let document = || {
        json!({
            "apiVersion": "clonewarden.io/v1alpha1", "kind": "Simulation", "trace": name, "assumed": args.setting.document(&setting),
            "policies": outcomes.iter().map(Outcome::document).collect::<Vec<_>>(),
        })
    };
    output::data(&match args.output {
        Format::Table => table::render(&name, &outcomes),
        Format::Json => plan::json(&document())?,
        Format::Yaml => plan::yaml(&document())?,
    })
}

/// Reads the trace once, for all sets of policies.
fn play(path: &Path, folders: &[&PathBuf], sets: &[Policies], setting: &Setting) -> Result<Vec<Outcome>, Failure> {
    let mut simulations: Vec<Simulation<'_>> = sets.iter().map(|policies| Simulation::new(policies, setting)).collect();
    let mut lines = Lines::open(path)?;
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
        return Err(Failure::input(anyhow!("nobody comes in the trace `{}`: {help}", path.display())));
    }
    let outcomes = simulations.into_iter().zip(folders.iter().zip(sets)).map(|(simulation, (folder, policies))| Outcome {
        folder: folder.display().to_string(),
        revision: policies.revision.hash.to_string(),
        figures: simulation.finish().0,
    });
    Ok(outcomes.collect())
}
