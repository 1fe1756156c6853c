//! From a folder, or from files in memory, to [`Policies`] or to everything that is wrong with them.
//!
//! Contract: whole or not at all; warnings hinder nothing, and only [`lint_dir`] and [`lint_files`] tell them. What takes files is pure,
//! what takes a folder only lists and reads. None of them panics, whatever the bytes.

use super::{
    Policies,
    code::Code,
    problem::{Place, Problem, Problems, Source},
    set::Set,
    yaml,
};
use crate::cost::book::PriceBook;
use sha2::{Digest, Sha256};
use std::{fs, io, io::Read as _, path::Path, sync::Arc};

/// A ConfigMap holds no more than this.
pub(crate) const LARGEST: usize = 1 << 20;
/// How often a folder that changes while it is read is read again.
const ATTEMPTS: usize = 5;

/// Whether a file of this name holds policies: `*.yaml` and `*.yml`, not hidden, no fixtures (`*_test.yaml`).
#[must_use]
pub fn is_policy_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    !name.starts_with('.') && stem.is_some_and(|stem| !stem.ends_with("_test"))
}

/// A set of files with everything that there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Linted {
    /// What the files mean; `None` where something keeps them from being loaded.
    pub policies: Option<Policies>,
    /// Errors and warnings; none at all where the set is clean.
    pub problems: Problems,
}

/// Whether a file of this name holds fixtures: `*_test.yaml` and `*_test.yml`, not hidden.
pub(super) fn is_test_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    !name.starts_with('.') && stem.is_some_and(|stem| stem.ends_with("_test"))
}

/// Reads the policies in a folder, not in those below it.
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
    let folder = dir.display().to_string();
    let linted = match read_dir(dir, is_policy_file) {
        Ok((files, unread)) => lint(files, unread),
        Err(error) => {
            let problem = Problem::new(Code::Unreadable, Place::whole(""), format!("the folder cannot be read: {error}"));
            Linted { policies: None, problems: Problems::new(&[], vec![problem]) }
        }
    };
    Linted { problems: linted.problems.in_folder(folder), ..linted }
}

/// As [`load_files`], with the warnings too.
#[must_use]
pub fn lint_files(files: Vec<(String, Vec<u8>)>) -> Linted {
    lint(files, Vec::new())
}

impl Linted {
    /// The policies, or what keeps them from being used: a daemon has no use for doubts.
    fn loaded(self) -> Result<Policies, Problems> {
        self.policies.ok_or_else(|| self.problems.without_warnings())
    }
}

/// Reads price books alone.
pub(super) fn load_prices(files: Vec<(String, Vec<u8>)>) -> Result<PriceBook, Problems> {
    let (mut set, sources) = read(&files, Vec::new());
    let problems = Problems::new(&sources, std::mem::take(&mut set.problems));
    if problems.errors() == 0 { Ok(set.into_prices()) } else { Err(problems) }
}

fn lint(mut files: Vec<(String, Vec<u8>)>, unread: Vec<Problem>) -> Linted {
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
fn revision(files: &[(String, Vec<u8>)]) -> Arc<str> {
    let mut digest = Sha256::new();
    for part in files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes]) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}").into()
}

type Read = (Vec<(String, Vec<u8>)>, Vec<Problem>);

/// Reads the files of a folder. A ConfigMap mount is swapped as a whole, by turning the link `..data`: if it turns meanwhile,
/// two revisions could be mixed, so the folder is read again.
pub(super) fn read_dir(dir: &Path, wanted: fn(&str) -> bool) -> io::Result<Read> {
    let turn = || fs::read_link(dir.join("..data")).ok();
    let mut before = turn();
    let mut read = read_once(dir, wanted)?;
    for _ in 1..ATTEMPTS {
        let after = turn();
        if before == after {
            break;
        }
        before = after;
        read = read_once(dir, wanted)?;
    }
    Ok(read)
}

fn read_once(dir: &Path, wanted: fn(&str) -> bool) -> io::Result<Read> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let lossy = name.to_string_lossy();
        if !wanted(&lossy) {
            continue;
        }
        if name.to_str().is_none() {
            let problem = Problem::new(Code::Unreadable, Place::whole(&lossy), "the name of the file is not UTF-8");
            problems.push(problem.help("rename it"));
            continue;
        }
        match read_file(&path) {
            Ok(Some(bytes)) => files.push((lossy.into_owned(), bytes)),
            Ok(None) => {}
            Err(error) => problems.push(Problem::new(Code::Unreadable, Place::whole(&lossy), format!("the file cannot be read: {error}"))),
        }
    }
    files.sort();
    Ok((files, problems))
}

/// The bytes of a file, a little more than the largest that is accepted; `None` for a folder.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is neither a file nor a link to one"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
