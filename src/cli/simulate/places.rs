//! Where a simulation may write: never onto what it reads.

use crate::{cli::Failure, policy::folder::is_policy_file};
use anyhow::anyhow;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Whether two paths lead to one thing: also by another name, and through links.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// Refuses an output that is an input, or that is or would be a policy file of one of these folders.
pub(super) fn check<'a>(flag: &str, output: &Path, inputs: impl Iterator<Item = &'a Path>, folders: &[&PathBuf]) -> Result<(), Failure> {
    let refused = |why: String| Err(Failure::input(anyhow!("{flag} {}: {why}; name another file", output.display())));
    for input in inputs {
        if is_same(output, input) {
            return refused(format!("that is `{}`, which is read", input.display()));
        }
    }
    let is_policy = |path: &Path| path.file_name().is_some_and(|name| is_policy_file(&name.to_string_lossy()));
    let within = output.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    for folder in folders {
        let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_there = files.filter(|file| is_policy(file)).any(|file| is_same(&file, output));
        if is_there || (is_policy(output) && within.is_some_and(|within| is_same(within, folder))) {
            return refused(format!("that is a policy file of `{}`", folder.display()));
        }
    }
    Ok(())
}

/// Refuses to write a trace over something that is there and looks like a policy.
pub(super) fn check_trace(flag: &str, output: &Path) -> Result<(), Failure> {
    let is_policy = output.file_name().is_some_and(|name| is_policy_file(&name.to_string_lossy()));
    if is_policy && output.is_file() {
        return Err(Failure::input(anyhow!("{flag} {}: that may be a policy file; a trace is no YAML: name another file", output.display())));
    }
    Ok(())
}
