//! `clonewarden dashboards`: the dashboards, as Grafana imports them or as CloudWatch takes them.

use super::{Failure, output, plan};
use crate::export::dashboards::{
    ALL, Dashboard, NAMES,
    cloudwatch::{BOARDS, Place},
};
use clap::builder::PossibleValuesParser;

/// The flags of `dashboards`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which one; without it all of them, as one JSON array. CloudWatch has `overview` and `cost`
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    name: Option<String>,
    /// For CloudWatch: the namespace that figures are sent to (`run --cloudwatch-namespace`)
    #[arg(long, value_name = "NAMESPACE")]
    cloudwatch: Option<String>,
    /// The region that they are sent to
    #[arg(long, value_name = "REGION", default_value = "us-east-1", requires = "cloudwatch")]
    region: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(namespace) = &args.cloudwatch {
        let place = Place { namespace, region: &args.region };
        let document = match &args.name {
            None => BOARDS.iter().map(|board| board.json(&place)).collect(),
            Some(name) => match BOARDS.iter().find(|board| board.name == name) {
                Some(board) => board.json(&place),
                None => {
                    let known: Vec<&str> = BOARDS.iter().map(|board| board.name).collect();
                    return Err(Failure::input(anyhow::anyhow!("there is no `{name}` for CloudWatch; there are {}", known.join(", "))));
                }
            },
        };
        return output::data(&plan::json(&document)?);
    }
    let document = match &args.name {
        Some(name) => ALL.iter().find(|one| one.name == name).map(Dashboard::json).unwrap_or_default(),
        None => ALL.iter().map(Dashboard::json).collect(),
    };
    output::data(&plan::json(&document)?)
}
