//! The two sets that are compared: each a folder, else a Git revision.

use super::{super::Failure, git};
use crate::{
    cli::output,
    policy::{
        Policies,
        folder::{LARGEST, is_policy_file},
        lint_files, load_dir,
        problem::Problems,
    },
};
use anyhow::{Context, anyhow};
use std::path::{Path, PathBuf};

/// Where policies are looked for in a revision that says no folder.
const USUAL: &str = "policies";

/// A set, and where it comes from.
pub(super) struct Set {
    /// As it was asked for.
    pub(super) name: String,
    /// The folder, in a revision from the top of the repository on.
    pub(super) folder: String,
    /// The commit, where it comes out of one.
    pub(super) commit: Option<String>,
    pub(super) policies: Policies,
}

/// Reads what `name` stands for; `other` is what it is compared with, `side` which of the two it is.
pub(super) fn read(side: &str, name: &str, other: &str) -> Result<Set, Failure> {
    if name.is_empty() || name.starts_with('-') {
        return Err(Failure::input(anyhow!("`{name}` is neither a folder nor a Git revision; a folder of that name is written `./{name}`")));
    }
    let broken = |problems: Problems| {
        let report = problems.render(output::error_colours());
        Failure::rendered(format!("error: the {side} policies, `{}`, do not load\n\n{report}", output::printable(name)))
    };
    if Path::new(name).is_dir() {
        let policies = load_dir(Path::new(name)).map_err(broken)?;
        return Ok(Set { name: name.to_owned(), folder: name.to_owned(), commit: None, policies });
    }
    let (folder, commit, files) = from_git(name, other)
        .with_context(|| format!("the {side} policies, `{}`, cannot be read", output::printable(name)))
        .map_err(Failure::input)?;
    let linted = lint_files(files);
    let (revision, _) = git::split(name);
    let problems = linted.problems;
    let policies = linted.policies.ok_or_else(|| broken(problems.without_warnings().in_folder(format!("{revision}:{folder}"))))?;
    Ok(Set { name: name.to_owned(), folder, commit, policies })
}

/// The folder, the commit, and the files with their bytes.
type Found = (String, Option<String>, Vec<(String, Vec<u8>)>);

fn from_git(name: &str, other: &str) -> anyhow::Result<Found> {
    let (revision, path) = git::split(name);
    if revision.is_empty() {
        return Err(anyhow!("it names no revision before the colon: write `REVISION:FOLDER`, as in `main:{USUAL}`"));
    }
    let here = Path::new(".");
    // One says only where the other's folder is: that folder, in that repository.
    let (at, path) = match path {
        Some(path) => (PathBuf::from(here), path.to_owned()),
        None if Path::new(other).is_dir() => (PathBuf::from(other), git::prefix(Path::new(other))?),
        None => match git::split(other) {
            (_, Some(path)) => (PathBuf::from(here), path.to_owned()),
            _ => (PathBuf::from(here), format!("./{USUAL}")),
        },
    };
    let tree = git::tree(&at, revision, &path)?;
    let mut files = Vec::new();
    for entry in git::entries(&at, &tree, is_policy_file)? {
        if entry.link {
            return Err(anyhow!("`{}` is a link, and what it leads to is not in it: put the file itself there", entry.name));
        }
        let bytes = git::bytes(&at, &entry, LARGEST)?;
        files.push((entry.name, bytes));
    }
    let folder = path.trim_start_matches("./").trim_end_matches('/').to_owned();
    Ok((folder, tree.commit, files))
}
