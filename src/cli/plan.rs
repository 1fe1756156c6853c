//! `clonewarden plan`: what would be done, as a table for people or as the document that pipelines read.

use super::{
    Failure,
    inputs::{Given, Inputs},
    output, table,
};
use crate::plan::{Plan, Target, plan, render};
use anyhow::Context;
use serde_json::Value;
use std::collections::HashSet;

/// `plan`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    inputs: Inputs,
    /// How to print it
    #[arg(long, short, env = "CLONEWARDEN_OUTPUT", value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Output {
    /// For people: one line a decision
    Table,
    /// The plan as a document
    Json,
    /// The same document as YAML
    Yaml,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let given = args.inputs.read()?;
    let plan = plan(&given.snapshot, &given.policies, given.now);
    let text = match args.output {
        Output::Table => table::render(&plan, &frame(&given, &plan)),
        Output::Json => json(&render::document(&plan))?,
        Output::Yaml => yaml(&render::document(&plan))?,
    };
    output::data(&text)
}

/// What stands around the decisions: facts that are no part of the plan itself.
fn frame(given: &Given, plan: &Plan) -> table::Frame {
    let decided: HashSet<&str> = plan
        .decisions
        .iter()
        .filter_map(|decision| match &decision.target {
            Target::Clone(clone) => Some(clone.meta.uid.as_ref()),
            _ => None,
        })
        .collect();
    let ungoverned = given.snapshot.clones.iter().filter(|clone| !decided.contains(clone.meta.uid.as_ref())).count();
    let paused = given.snapshot.state.paused.as_ref().map(|pause| format!("since {}: {}", pause.since, pause.reason));
    let policies = given.policies.policies.iter().map(|policy| (policy.name.to_string(), policy.mode)).collect();
    table::Frame { ungoverned, paused, policies, colours: output::colours(), width: output::width() }
}

/// The document as JSON. What could move a cursor or turn the direction of writing is escaped: programs read the same, and a terminal is safe.
pub(super) fn json(document: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).context("cannot write the document as JSON").map_err(Failure::failed)?;
    Ok(output::escaped(&text) + "\n")
}

pub(super) fn yaml(document: &Value) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(document).context("cannot write the document as YAML").map_err(Failure::failed)?;
    if text.chars().all(|c| c == '\n' || !output::is_unprintable(c)) {
        return Ok(text);
    }
    // YAML knows escapes in some strings alone; every JSON document is one of YAML.
    json(document)
}
