//! `clonewarden policy`: looks after policy files: says everything that is wrong with them, tries them, says what a change of them would
//! do, and tells editors what to know.

use super::{Failure, check, diff, lint, output, plan};
use crate::policy::schema::schema;

/// `policy …`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say everything that is wrong with the policies in a folder, with file, line and column
    Lint(lint::Args),
    /// Run the tests (`*_test.yaml`) beside the policies, and say which rules, limits and budgets no test has hit
    Test(check::Args),
    /// Say what new policies in the place of old ones would do to the clones that live: reap, warn, deny, place elsewhere, cost
    Diff(diff::Args),
    /// Print the JSON Schema of policy files, by which editors complete and check them
    Schema,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Lint(args) => lint::run(args),
        Command::Test(args) => check::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Schema => output::data(&plan::json(&schema())?),
    }
}
