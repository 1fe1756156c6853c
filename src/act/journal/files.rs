//! A journal in files: the one that is written, and beside it those that were put aside when they were full, as `NAME.1` (the newest) to
//! `NAME.4` (the oldest).
//!
//! Contract: a line is in one file, whole. Nothing is written through a symbolic link, and nothing that this makes can be read by others
//! than its owner and group. Whoever else moves the file away, or takes its folder, is noticed with the next line. Where files cannot be
//! put aside, the present one grows.

use super::sink::{Kept, Sink, write_whole};
use std::{
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::{error, info};

/// Who may read what is made: the owner, and the group that collects it.
const MODE: u32 = 0o640;
/// How often the file is looked for that another process puts aside meanwhile.
const OPENS: usize = 10;
/// How soon files that could not be put aside are tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Files that are written in turn.
pub(super) struct Files {
    kept: Kept,
    open: Option<Open>,
    /// Putting aside failed: not again before then.
    not_before: Option<Instant>,
    failures: Arc<AtomicU64>,
}

struct Open {
    file: File,
    id: Id,
    /// What was written last has no end.
    torn: bool,
}

/// Which file it is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(u64, u64);

impl Id {
    /// That of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

impl Files {
    /// Opens the file, or makes it.
    pub(super) fn open(kept: &Kept) -> io::Result<Self> {
        let mut files = Self { kept: kept.clone(), open: None, not_before: None, failures: Arc::default() };
        files.size()?;
        Ok(files)
    }

    /// Sees to it that the file of our name is open; how long it is. Another process may be putting it aside right now.
    fn size(&mut self) -> io::Result<u64> {
        for _ in 1..OPENS {
            match self.look() {
                Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {}
                looked => return looked,
            }
        }
        self.look()
    }

    fn look(&mut self) -> io::Result<u64> {
        let path = &self.kept.path;
        let found = match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => Some(found),
            Ok(found) if found.is_symlink() => return Err(io::Error::other("it is a symbolic link by now: nothing is written through it")),
            Ok(_) => return Err(io::Error::other("it is no file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let (Some(found), Some(open)) = (&found, &self.open)
            && open.id == Id::of(found)
        {
            return Ok(found.len());
        }
        self.open = None;
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(MODE);
        let file = options.create_new(found.is_none()).open(path)?;
        let now = file.metadata()?;
        if found.is_some_and(|found| Id::of(&found) != Id::of(&now)) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it was replaced while it was opened"));
        }
        let mode = now.permissions().mode() & 0o777;
        if mode & !MODE != 0 {
            // It may be somebody else's, who knows why.
            let _ = file.set_permissions(fs::Permissions::from_mode(mode & MODE));
        }
        // What a crash left behind may have no end.
        let mut last = [b'\n'];
        if let Some(at) = now.len().checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        self.open = Some(Open { id: Id::of(&now), torn: last != [b'\n'], file });
        Ok(now.len())
    }

    /// Puts the file aside that is full, and takes the oldest away; `false`: another process is at it.
    fn rotate(&mut self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        let path = &self.kept.path;
        // Two processes write one file for a moment, where one takes over from the other: only one of them puts it aside.
        match open.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            // There are file systems without locks.
            Err(TryLockError::Error(_)) => {}
        }
        let is_ours = fs::symlink_metadata(path).is_ok_and(|found| Id::of(&found) == open.id);
        let moved = if is_ours { move_on(path, self.kept.files) } else { Ok(()) };
        if let Err(error) = moved {
            let _ = open.file.unlock();
            return Err(error);
        }
        // The file itself is let go in any case: it has another name by now.
        self.open = None;
        let taken = if is_ours { take_away(path, self.kept.files) } else { Ok(()) };
        taken.map(|()| true)
    }

    fn make_room(&mut self, size: u64, more: usize) {
        let full = size > 0 && size.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)) > self.kept.size;
        if !full || self.not_before.is_some_and(|until| Instant::now() < until) {
            return;
        }
        match self.rotate() {
            Ok(false) => {}
            Ok(true) => {
                if self.not_before.take().is_some() {
                    info!(path = %self.kept.path.display(), "The journal is rotated again.");
                }
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if self.not_before.is_none() {
                    error!(path = %self.kept.path.display(), %error, "The journal cannot be rotated: the file grows on until it can be.");
                }
                self.not_before = Some(Instant::now() + RETRY);
            }
        }
    }
}

impl Sink for Files {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let size = self.size().map_err(|error| named_at(&self.kept.path, &error))?;
        self.make_room(size, line.len());
        if self.open.is_none() {
            self.size().map_err(|error| named_at(&self.kept.path, &error))?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        write_whole(&mut open.file, line, &mut open.torn).map_err(|error| named_at(&self.kept.path, &error))
    }

    fn rotation_failures(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.failures)
    }
}

fn named_at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

/// Puts every file one further, and the one that is written after them.
fn move_on(path: &Path, files: u32) -> io::Result<()> {
    let last = oldest(files);
    // A crash in between has left a gap: it is filled before anything is taken away.
    let free = (1..last).find(|number| fs::symlink_metadata(aside(path, *number)).is_err()).unwrap_or(last);
    for number in (1..free).rev() {
        fs::rename(aside(path, number), aside(path, number.saturating_add(1)))?;
    }
    fs::rename(path, aside(path, 1))
}

/// Takes away what is older than the oldest that is kept: fewer were asked for than before.
fn take_away(path: &Path, files: u32) -> io::Result<()> {
    let old = put_aside(path)?.into_iter().filter(|(number, _)| *number > oldest(files));
    old.map(|(_, old)| fs::remove_file(old)).fold(Ok(()), io::Result::and)
}

/// The number of the oldest that is kept.
fn oldest(files: u32) -> u32 {
    files.saturating_sub(1).max(1)
}

/// What a file is called once it was put aside.
fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The files of a journal that were put aside, the newest first, with their numbers.
///
/// # Errors
/// Where the folder cannot be read.
pub fn put_aside(path: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let number = |found: &std::ffi::OsStr| {
        let digits = found.as_encoded_bytes().strip_prefix(name.as_encoded_bytes())?.strip_prefix(b".")?;
        let number = std::str::from_utf8(digits).ok()?.parse::<u32>().ok()?;
        // `.01` is somebody else's.
        (number > 0 && number.to_string().as_bytes() == digits).then_some(number)
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(number) = number(&entry.file_name()) {
            found.push((number, folder.join(entry.file_name())));
        }
    }
    found.sort_unstable();
    Ok(found)
}
