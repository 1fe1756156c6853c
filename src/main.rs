//! The command `clonewarden`: parses, hands over to [`clonewarden::cli`], and turns what comes back into an exit code.

use clonewarden::cli::{dispatch, parse};
use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(usage) => {
            // `--help` and `--version` arrive here too, with code 0 and meant for standard output.
            let _ = usage.print();
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let said = failure.to_string();
            if !said.is_empty() {
                let _ = writeln!(std::io::stderr().lock(), "{said}");
            }
            ExitCode::from(failure.code)
        }
    }
}
