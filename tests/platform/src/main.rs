//! Builds and runs the real parts that end-to-end tests need. See the library for what can be relied on.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    ExitCode::from(clonewarden_platform::main_with(&args))
}
