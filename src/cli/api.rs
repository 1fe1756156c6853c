//! `clonewarden api openapi`: the OpenAPI document of the HTTP API that `run --api-listen` serves.

use super::{Failure, output};
use crate::api;

/// `api …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print its OpenAPI document
    Openapi,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Openapi => output::data(api::openapi()),
    }
}
