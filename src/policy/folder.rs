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
    path::{Path, PathBuf},
    sync::Arc,
};

/// A ConfigMap holds no more than this.
pub(crate) const LARGEST: usize = 1 << 20;
/// The most that the files of a folder may be together.
const LARGEST_SET: usize = 16 << 20;
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

    /// Reads the policy files of a folder; of a file, that one alone, as if no other were beside it.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let only = path.file_name().filter(|_| path.is_file()).map(|name| name.to_string_lossy());
        let wanted = |name: &str| name == COMMIT || is_policy_file(name) && only.as_ref().is_none_or(|only| only == name);
        match read_dir(dir_of(path), &wanted) {
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
        // Nothing is judged by it, so nothing waits for it.
        let unread = unread.into_iter().filter(|problem| *problem.place.file != *COMMIT).collect();
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

/// The folder that is meant by a path: the file's, where it leads to one.
pub(super) fn dir_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|_| path.is_file());
    parent.map_or(path, |parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Whether the folder changes as a whole, as a mounted ConfigMap does.
#[must_use]
pub fn changes_at_once(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(MOUNT)).is_ok_and(|found| found.is_symlink())
}

/// The first word of it, if it is the name of a commit: it goes into labels and documents.
fn commit_of(text: &str) -> Option<Arc<str>> {
    let word = text.split_whitespace().next()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    (word.len() <= COMMIT_CHARS && word.chars().all(is_name)).then(|| word.into())
}

type Read = (Vec<(String, Vec<u8>)>, Vec<Problem>);

/// Reads the files of a folder. Of a mounted ConfigMap, those that the link leads to: it is turned at once, while the links to single
/// files come and go one by one after it. If it turns meanwhile, two revisions could be mixed, so the folder is read again.
pub(super) fn read_dir(dir: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<Read> {
    let turn = || fs::read_link(dir.join(MOUNT)).ok();
    let read = |turned: &Option<PathBuf>| read_once(&turned.as_ref().map_or_else(|| dir.to_owned(), |target| dir.join(target)), wanted);
    let mut before = turn();
    let mut files = read(&before);
    for _ in 1..ATTEMPTS {
        let after = turn();
        if before == after {
            break;
        }
        before = after;
        files = read(&before);
    }
    files
}

fn read_once(dir: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<Read> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut room = LARGEST_SET;
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
            Ok(Some(bytes)) => match room.checked_sub(bytes.len()) {
                Some(left) => {
                    room = left;
                    files.push((lossy.into_owned(), bytes));
                }
                None => {
                    let problem = Problem::new(Code::TooLarge, Place::whole(&lossy), "the files of this folder are larger than 16 MiB together");
                    problems.push(problem.help("policies are small; move what is none out of this folder"));
                    break;
                }
            },
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
