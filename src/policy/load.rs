//! From a folder, or from files in memory, to [`Policies`] or to everything that is wrong with them.
//!
//! Contract: whole or not at all. [`load_files`] is pure; [`load_dir`] only lists and reads. Neither panics, whatever the bytes.

use super::{
    Policies,
    problem::{Code, Place, Problem, Problems, Source},
    set::Set,
    yaml,
};
use crate::cost::book::PriceBook;
use sha2::{Digest, Sha256};
use std::{fs, io, io::Read as _, path::Path, sync::Arc};

/// A ConfigMap holds no more than this.
const LARGEST: usize = 1 << 20;
/// How often a folder that changes while it is read is read again.
const ATTEMPTS: usize = 5;

/// Whether a file of this name holds policies: `*.yaml` and `*.yml`, not hidden, no fixtures (`*_test.yaml`).
#[must_use]
pub fn is_policy_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    !name.starts_with('.') && stem.is_some_and(|stem| !stem.ends_with("_test"))
}

/// Reads the policies in a folder, not in those below it.
///
/// # Errors
/// Everything that is wrong with the folder, the files and what they say.
pub fn load_dir(dir: &Path) -> Result<Policies, Problems> {
    let folder = dir.display().to_string();
    let (files, unread) = match read_dir(dir) {
        Ok(read) => read,
        Err(error) => {
            let problem = Problem::new(Code::Unreadable, Place::whole(""), format!("the folder cannot be read: {error}"));
            return Err(Problems::new(&[], vec![problem]).in_folder(folder));
        }
    };
    load(files, unread).map_err(|problems| problems.in_folder(folder))
}

/// Reads policies from files in memory: name and bytes.
///
/// # Errors
/// Everything that is wrong with the files and what they say.
pub fn load_files(files: Vec<(String, Vec<u8>)>) -> Result<Policies, Problems> {
    load(files, Vec::new())
}

/// The policy files in a folder that hold nothing but comments, by name. A set is whole without them, and yet nobody wrote one on purpose.
#[must_use]
pub fn empty_files(dir: &Path) -> Vec<String> {
    let (files, _) = read_dir(dir).unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).into_owned();
    let mut empty: Vec<String> = files.into_iter().filter(|(_, bytes)| yaml::documents(&text(bytes)).is_empty()).map(|(name, _)| name).collect();
    empty.sort();
    empty
}

/// Reads price books alone.
pub(super) fn load_prices(files: Vec<(String, Vec<u8>)>) -> Result<PriceBook, Problems> {
    let (set, sources) = read(&files, Vec::new());
    if set.problems.is_empty() { Ok(set.into_prices()) } else { Err(Problems::new(&sources, set.problems)) }
}

fn load(mut files: Vec<(String, Vec<u8>)>, unread: Vec<Problem>) -> Result<Policies, Problems> {
    files.sort();
    let (mut set, sources) = read(&files, unread);
    set.check();
    if set.problems.is_empty() { Ok(set.finish(revision(&files))) } else { Err(Problems::new(&sources, set.problems)) }
}

fn read(files: &[(String, Vec<u8>)], unread: Vec<Problem>) -> (Set, Vec<Source>) {
    let mut set = Set::default();
    for problem in unread {
        set.broken(problem);
    }
    let mut sources = Vec::new();
    for (name, bytes) in files {
        if bytes.len() > LARGEST {
            let problem = Problem::new(Code::TooLarge, Place::whole(name), "the file is larger than 1 MiB");
            set.broken(problem.help("policies fit into a ConfigMap; split the file or move it out of this folder"));
            continue;
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let source = Source::new(name, text);
                set.read(&source);
                sources.push(source);
            }
            Err(error) => {
                // Up to the first bad byte the lossy text has the same offsets.
                let source = Source::new(name, &String::from_utf8_lossy(bytes));
                let at = error.valid_up_to();
                let problem = Problem::new(Code::NotUtf8, source.place(at..at + '\u{fffd}'.len_utf8()), "the file is not UTF-8");
                set.broken(problem.help("save it as UTF-8"));
                sources.push(source);
            }
        }
    }
    (set, sources)
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
fn read_dir(dir: &Path) -> io::Result<Read> {
    let turn = || fs::read_link(dir.join("..data")).ok();
    let mut before = turn();
    let mut read = read_once(dir)?;
    for _ in 1..ATTEMPTS {
        let after = turn();
        if before == after {
            break;
        }
        before = after;
        read = read_once(dir)?;
    }
    Ok(read)
}

fn read_once(dir: &Path) -> io::Result<Read> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let lossy = name.to_string_lossy();
        if !is_policy_file(&lossy) {
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
