//! Who is told what: the file is read whole before anything starts, so that what is wrong with it is said with everything else.

use super::Check;
use crate::notices::config::Config;
use std::path::PathBuf;

/// The file, if one was said and can be used.
pub(super) fn settle(file: Option<String>, check: &mut Check) -> Option<PathBuf> {
    let file = PathBuf::from(file?);
    if let Err(problems) = Config::read(&file) {
        for problem in problems {
            check.that(false, || format!("--notifications: {problem}"));
        }
    }
    Some(file)
}
