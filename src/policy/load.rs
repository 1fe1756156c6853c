//! From a folder, or from files in memory, to [`Policies`] or to everything that is wrong with them.
//!
//! Contract: whole or not at all; warnings hinder nothing, and only [`lint_dir`] and [`lint_files`] tell them. What takes files is pure,
//! what takes a folder only lists and reads. None of them panics, whatever the bytes.

use super::{
    Policies, Revision,
    code::Code,
    folder::{self, Folder, LARGEST},
    problem::{Place, Problem, Problems, Source},
    set::Set,
    yaml,
};
use crate::cost::book::PriceBook;
use sha2::{Digest, Sha256};
use std::path::Path;

/// A set of files with everything that there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Linted {
    /// What the files mean; `None` where something keeps them from being loaded.
    pub policies: Option<Policies>,
    /// Errors and warnings; none at all where the set is clean.
    pub problems: Problems,
}

/// Reads the policies in a folder, not in those below it; or those of one file.
///
/// # Errors
/// Everything that keeps the folder, the files and what they say from being used.
pub fn load_dir(dir: &Path) -> Result<Policies, Problems> {
    lint_dir(dir).loaded()
}

/// Reads policies from files in memory: name and bytes.
///
/// # Errors
/// Everything that keeps the files and what they say from being used.
pub fn load_files(files: Vec<(String, Vec<u8>)>) -> Result<Policies, Problems> {
    lint_files(files).loaded()
}

/// As [`load_dir`], with the warnings too.
#[must_use]
pub fn lint_dir(dir: &Path) -> Linted {
    let folder = folder::dir_of(dir).display().to_string();
    let linted = Folder::read(dir).map_or_else(|problems| Linted { policies: None, problems }, |read| read.lint());
    Linted { problems: linted.problems.in_folder(folder), ..linted }
}

/// As [`load_files`], with the warnings too.
#[must_use]
pub fn lint_files(files: Vec<(String, Vec<u8>)>) -> Linted {
    lint(files, Vec::new())
}

impl Linted {
    /// The policies, or what keeps them from being used: a daemon has no use for doubts.
    pub(super) fn loaded(self) -> Result<Policies, Problems> {
        self.policies.ok_or_else(|| self.problems.without_warnings())
    }
}

/// Reads price books alone.
pub(super) fn load_prices(files: Vec<(String, Vec<u8>)>) -> Result<PriceBook, Problems> {
    let (mut set, sources) = read(&files, Vec::new());
    let problems = Problems::new(&sources, std::mem::take(&mut set.problems));
    if problems.errors() == 0 { Ok(set.into_prices()) } else { Err(problems) }
}

pub(super) fn lint(mut files: Vec<(String, Vec<u8>)>, unread: Vec<Problem>) -> Linted {
    files.sort();
    let (mut set, sources) = read(&files, unread);
    set.check();
    let problems = Problems::new(&sources, std::mem::take(&mut set.problems));
    Linted { policies: (problems.errors() == 0).then(|| set.finish(revision(&files))), problems }
}

fn read(files: &[(String, Vec<u8>)], unread: Vec<Problem>) -> (Set, Vec<Source>) {
    let mut set = Set::default();
    for problem in unread {
        set.broken(problem);
    }
    let mut sources = Vec::new();
    for (name, bytes) in files {
        let (source, problem) = source(name, bytes);
        match problem {
            Some(problem) => set.broken(problem),
            None => {
                if let Some(source) = &source {
                    set.read(source);
                    set.problems.extend(yaml::documents(&source.text).is_empty().then(|| empty(name)));
                }
            }
        }
        sources.extend(source);
    }
    (set, sources)
}

/// A set is whole without it, and yet nobody wrote it on purpose.
fn empty(name: &str) -> Problem {
    Problem::new(Code::EmptyFile, Place::whole(name), "the file holds nothing").help("write what belongs into it, or take it away")
}

/// The text of a file, as far as it can be shown, and what is wrong with it, if anything is.
pub(super) fn source(name: &str, bytes: &[u8]) -> (Option<Source>, Option<Problem>) {
    if bytes.len() > LARGEST {
        let problem = Problem::new(Code::TooLarge, Place::whole(name), "the file is larger than 1 MiB");
        return (None, Some(problem.help("policies fit into a ConfigMap; split the file or move it out of this folder")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(Source::new(name, text)), None),
        Err(error) => {
            // Up to the first bad byte the lossy text has the same offsets.
            let source = Source::new(name, &String::from_utf8_lossy(bytes));
            let at = error.valid_up_to();
            let problem = Problem::new(Code::NotUtf8, source.place(at..at + '\u{fffd}'.len_utf8()), "the file is not UTF-8");
            (Some(source), Some(problem.help("save it as UTF-8")))
        }
    }
}

/// `sha256:` of the sorted files. Lengths go before names and bytes, so that no two sets run into one another.
fn revision(files: &[(String, Vec<u8>)]) -> Revision {
    let mut digest = Sha256::new();
    for part in files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes]) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}").into()
}
