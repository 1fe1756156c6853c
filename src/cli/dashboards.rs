//! `clonewarden dashboards`: the dashboards, as Grafana imports them.

use super::{Failure, output, plan};
use crate::export::dashboards::{ALL, Dashboard, NAMES};
use clap::builder::PossibleValuesParser;

/// The flags of `dashboards`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which one; without it all of them, as one JSON array
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    name: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let document = match &args.name {
        Some(name) => ALL.iter().find(|one| one.name == name).map(Dashboard::json).unwrap_or_default(),
        None => ALL.iter().map(Dashboard::json).collect(),
    };
    output::data(&plan::json(&document)?)
}
