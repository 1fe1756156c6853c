//! `--from DIR`: what `kubectl get … -o yaml|json` and `aws rds describe-…` wrote into files becomes a [`Snapshot`].
//!
//! Contract: `.json`, `.yaml` and `.yml` must parse, or nothing is decided; other files are ignored with a note, hidden ones
//! without. A kind was asked for if one of its objects is there or a file is named after it; what was not asked for is missing
//! evidence, not an empty list. A page of a longer list, an answer that is an error and a file that a failed command left empty
//! are incomplete evidence. The same object in two files counts once, in its newer form. Nothing here is written, and nothing
//! that is read here is ever deleted: the plan says so.

mod collect;
mod named;
mod parse;
#[cfg(test)]
mod tests;

pub use collect::Contradiction;
pub use parse::Unparsable;

use crate::model::{Snapshot, names, snapshot::Origin};
use collect::Collection;
use jiff::Timestamp;
use named::Named;
use parse::Format;
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// What was read from a folder.
#[derive(Debug)]
pub struct FromFiles {
    /// The snapshot, dated [`Self::now`].
    pub snapshot: Snapshot,
    /// The moment that is decided about: the one that was given, or the newest file's.
    pub now: Timestamp,
    /// What a person should know about the files, each a sentence.
    pub notes: Vec<String>,
}

/// Why a folder cannot be read. Everything that is wrong with it is said at once.
#[derive(Debug)]
pub enum FilesError {
    /// The folder or a file cannot be opened.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no file to read in it.
    Empty(PathBuf),
    /// These files do not parse.
    Unparsable(Vec<Unparsable>),
    /// These objects are in the files twice and differ.
    Contradictory(Vec<Contradiction>),
}

impl FilesError {
    /// The error for people, for a terminal that knows colours or for one that does not.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        match self {
            Self::Unparsable(files) => {
                let all: Vec<String> = files.iter().map(|file| file.render(colours)).collect();
                all.join("\n\n")
            }
            other => other.to_string(),
        }
    }
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "cannot read `{}`: {error}", path.display()),
            Self::Empty(path) => write!(
                f,
                "`{}` holds no .yaml, .yml or .json file: write some with `kubectl get wordpressclones -A -o yaml > {}`",
                path.display(),
                path.join("wordpressclones.yaml").display()
            ),
            Self::Unparsable(_) => f.write_str(&self.render(false)),
            Self::Contradictory(all) => {
                let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for FilesError {}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.one == self.other {
            return write!(f, "{} stands in `{}` twice and {}: export it again", self.what, self.one, self.how);
        }
        write!(f, "{} stands in `{}` and in `{}`, and {}: remove the older file", self.what, self.one, self.other, self.how)
    }
}

/// Reads every file of a folder, dated `now` or, without it, as the newest of them.
///
/// # Errors
/// When a file cannot be opened or does not parse, when two contradict each other, and when there is none.
pub fn read_dir(dir: &Path, now: Option<Timestamp>, cluster_id: Option<&str>) -> Result<FromFiles, FilesError> {
    let mut collection = Collection::default();
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut unparsable = Vec::new();
    let mut files = 0_usize;
    for path in list(dir)? {
        let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        let io = |error| FilesError::Io { path: path.clone(), error };
        let about = fs::metadata(&path).map_err(io)?;
        let Some(format) = Format::of(&path).filter(|_| about.is_file()) else {
            let what = if about.is_dir() { "a folder" } else { "neither JSON nor YAML" };
            collection.notes.push(format!("`{name}` is {what}: it is ignored"));
            continue;
        };
        let bytes = fs::read(&path).map_err(io)?;
        files = files.saturating_add(1);
        newest = newest.max(about.modified().map_err(io)?);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match parse::documents(format, &path, &bytes) {
            Ok(documents) => collection.file(&name, &Named::after(&stem), documents),
            Err(error) => unparsable.push(error),
        }
    }
    if !unparsable.is_empty() {
        return Err(FilesError::Unparsable(unparsable));
    }
    if files == 0 {
        return Err(FilesError::Empty(dir.to_owned()));
    }
    if !collection.contradictions.is_empty() {
        return Err(FilesError::Contradictory(collection.contradictions));
    }
    // A file dated before the calendar begins is no reason to refuse: its evidence is just old.
    let now = now.unwrap_or_else(|| Timestamp::try_from(newest).unwrap_or(Timestamp::UNIX_EPOCH));
    let mut snapshot = collection.snapshot(now);
    snapshot.origin = Origin::Files;
    snapshot.cluster_id = cluster_id.map(Arc::from);
    if let (None, Some(uid)) = (cluster_id, collection.kube_system.filter(|uid| names::is_cluster_id(uid) && !snapshot.cloud.is_empty())) {
        collection.notes.push(format!("no cluster id was given: it is taken to be `{uid}`, the uid of the namespace `kube-system`"));
        snapshot.cluster_id = Some(Arc::from(uid));
    }
    Ok(FromFiles { snapshot, now, notes: collection.notes })
}

/// Reads objects that stand in a file of another sort, dated `now`, as far as they are any that a decision reads. What is not
/// among them is still missing evidence: whoever knows that they are all has to say so.
///
/// # Errors
/// When two contradict each other.
pub fn read_objects(file: &str, objects: Vec<serde_json::Value>, now: Timestamp, cluster_id: Option<&str>) -> Result<FromFiles, FilesError> {
    let mut collection = Collection::default();
    collection.file(file, &Named::Nothing, objects);
    if !collection.contradictions.is_empty() {
        return Err(FilesError::Contradictory(collection.contradictions));
    }
    let mut snapshot = collection.snapshot(now);
    snapshot.origin = Origin::Files;
    snapshot.cluster_id = cluster_id.map(Arc::from);
    Ok(FromFiles { snapshot, now, notes: collection.notes })
}

/// The files of a folder by name; hidden ones (`.git`, the `..data` of a mounted ConfigMap) are nobody's business.
fn list(dir: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let io = |error| FilesError::Io { path: dir.to_owned(), error };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
