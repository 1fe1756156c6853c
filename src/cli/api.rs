//! `clonewarden api …`: the OpenAPI documents of the HTTP API that `run --api-listen` serves, and of the page's JSON.

use super::{Failure, output};
use crate::{api, web};

/// `api …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print its OpenAPI document
    Openapi,
    /// Print the OpenAPI document of what the page shows as JSON, /view/v1
    ViewOpenapi,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Openapi => output::data(api::openapi()),
        Command::ViewOpenapi => output::data(web::openapi()),
    }
}
