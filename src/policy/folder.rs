//! A folder of policy files as it stands: their bytes, and the Git commit that they are of.
//!
//! Contract: lists and reads, not in folders below; what the bytes mean is [`load`](super::load)'s. What cannot be read is a problem,
//! not a file that is not there.

use super::{
    Policies, Problems,
    code::Code,
    load,
    problem::{Place, Problem},
};
use std::{
    fs,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

/// A ConfigMap holds no more than this.
pub(crate) const LARGEST: usize = 1 << 20;
/// How often a folder that changes while it is read is read again.
const ATTEMPTS: usize = 5;
/// The link by which the kubelet swaps what is mounted.
const MOUNT: &str = "..data";
/// The file that says which commit the others are of.
const COMMIT: &str = "COMMIT";
/// How much of it is taken: a SHA-256 in hexadecimal, or a tag.
const COMMIT_CHARS: usize = 64;

/// Whether a file of this name holds policies: `*.yaml` and `*.yml`, not hidden, no fixtures (`*_test.yaml`).
#[must_use]
pub fn is_policy_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    !name.starts_with('.') && stem.is_some_and(|stem| !stem.ends_with("_test"))
}

/// Whether a file of this name holds fixtures: `*_test.yaml` and `*_test.yml`, not hidden.
pub(super) fn is_test_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    !name.starts_with('.') && stem.is_some_and(|stem| stem.ends_with("_test"))
}

/// The policy files of a folder, read once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folder {
    /// Name and bytes, sorted by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the file `COMMIT` says of the others, if it is there. It is no part of the revision: the same files are the same policies.
    pub commit: Option<Arc<str>>,
    unread: Vec<Problem>,
}

impl Folder {
    /// Files as a folder would hold them, the file `COMMIT` among them.
    #[must_use]
    pub fn of_files(files: Vec<(String, Vec<u8>)>) -> Self {
        Self::sort(files, Vec::new())
    }

    /// Reads the policy files of a folder.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn read(dir: &Path) -> Result<Self, Problems> {
        match read_dir(dir, |name| is_policy_file(name) || name == COMMIT) {
            Ok((files, unread)) => Ok(Self::sort(files, unread)),
            Err(error) => {
                let problem = Problem::new(Code::Unreadable, Place::whole(""), format!("the folder cannot be read: {error}"));
                Err(Problems::new(&[], vec![problem]))
            }
        }
    }

    fn sort(files: Vec<(String, Vec<u8>)>, unread: Vec<Problem>) -> Self {
        let (commits, mut files): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| name == COMMIT);
        files.retain(|(name, _)| is_policy_file(name));
        files.sort();
        let commit = commits.first().and_then(|(_, bytes)| commit_of(&String::from_utf8_lossy(bytes)));
        Self { files, commit, unread }
    }

    /// Every file that there is to keep, the one that names the commit too.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Vec<u8>)> {
        let commit = self.commit.iter().map(|commit| (COMMIT.to_owned(), commit.as_bytes().to_vec()));
        self.files.iter().cloned().chain(commit).collect()
    }

    /// What the files mean.
    ///
    /// # Errors
    /// Everything that keeps them from being used.
    pub fn load(&self) -> Result<Policies, Problems> {
        self.lint().loaded()
    }

    pub(super) fn lint(&self) -> load::Linted {
        let mut linted = load::lint(self.files.clone(), self.unread.clone());
        if let Some(policies) = &mut linted.policies {
            policies.revision.commit.clone_from(&self.commit);
        }
        linted
    }
}

/// Whether the folder changes as a whole, as a mounted ConfigMap does.
#[must_use]
pub fn changes_at_once(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(MOUNT)).is_ok_and(|found| found.is_symlink())
}

/// The first word of it, which goes into labels and documents: nothing that is not printed, and not much.
fn commit_of(text: &str) -> Option<Arc<str>> {
    let word = text.split_whitespace().next()?;
    let shown: String = word.chars().filter(char::is_ascii_graphic).take(COMMIT_CHARS).collect();
    (!shown.is_empty()).then(|| shown.into())
}

type Read = (Vec<(String, Vec<u8>)>, Vec<Problem>);

/// Reads the files of a folder. A ConfigMap mount is swapped as a whole, by turning the link `..data`: if it turns meanwhile,
/// two revisions could be mixed, so the folder is read again.
pub(super) fn read_dir(dir: &Path, wanted: fn(&str) -> bool) -> io::Result<Read> {
    let turn = || fs::read_link(dir.join(MOUNT)).ok();
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
