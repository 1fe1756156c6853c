//! The text of a journal, line by line, of any length: files that were put aside first, then the one that is written, then, if that is
//! asked for, what is written from then on, through every rotation.

use crate::act::journal::files::{Id, put_aside};
use anyhow::{Context, anyhow};
use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Longer lines are none of a journal, and are passed over.
const LONGEST: usize = 1 << 20;
/// What a file begins with that gzip made.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One journal.
pub(super) struct Source {
    name: String,
    /// The file that is written; `None`: standard input.
    path: Option<PathBuf>,
    waiting: VecDeque<File>,
    input: Option<Box<dyn Input>>,
    /// The file that is read, if it is one.
    id: Option<Id>,
    line: Vec<u8>,
    /// The line is too long: what comes up to its end is none.
    too_long: bool,
    /// The line was handed out.
    whole: bool,
}

/// Something that is read, and may be found to have become shorter.
trait Input: BufRead {
    /// Begins anew, if the file is shorter than what was read of it.
    fn begin_anew(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

impl Input for io::StdinLock<'static> {}

impl Input for BufReader<File> {
    fn begin_anew(&mut self) -> io::Result<bool> {
        let shorter = self.get_ref().metadata()?.len() < self.stream_position()?;
        if shorter {
            self.rewind()?;
        }
        Ok(shorter)
    }
}

impl Source {
    /// Opens a journal with the files beside it; `-` is standard input. Files in `seen` are not read again.
    pub(super) fn open(path: &Path, seen: &mut HashSet<Id>) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::new("standard input".to_owned(), None, Some(Box::new(io::stdin().lock()))));
        }
        let name = format!("`{}`", path.display());
        let files = newer_than(path, None).with_context(|| format!("{name} cannot be read"))?;
        let mut source = Self::new(name, Some(path.to_owned()), None);
        for (file, id) in files {
            let mut first = [0; 2];
            if file.read_at(&mut first, 0).with_context(|| format!("{} cannot be read", source.name))? == 2 && first == GZIP {
                return Err(anyhow!("a file of {} is compressed: `zcat FILE | clonewarden journal -`", source.name));
            }
            if seen.insert(id) {
                source.waiting.push_back(file);
            }
            source.id = Some(id);
        }
        Ok(source)
    }

    fn new(name: String, path: Option<PathBuf>, input: Option<Box<dyn Input>>) -> Self {
        Self { name, path, waiting: VecDeque::new(), input, id: None, line: Vec::new(), too_long: false, whole: false }
    }

    /// How a person calls it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether nothing can come any more.
    pub(super) fn is_over(&self) -> bool {
        self.path.is_none() && self.input.is_none()
    }

    /// The next line, without its end; `None`: there is none, or, where the journal is followed, none yet.
    pub(super) fn next(&mut self, follow: bool) -> io::Result<Option<&[u8]>> {
        if std::mem::take(&mut self.whole) {
            self.line.clear();
        }
        loop {
            let Some(input) = &mut self.input else {
                match self.waiting.pop_front() {
                    Some(file) => {
                        self.input = Some(Box::new(BufReader::with_capacity(256 << 10, file)));
                        continue;
                    }
                    None => return Ok(None),
                }
            };
            let room = LONGEST.saturating_sub(self.line.len()).saturating_add(1);
            let read = input.by_ref().take(u64::try_from(room).unwrap_or(u64::MAX)).read_until(b'\n', &mut self.line)?;
            if self.line.last() == Some(&b'\n') {
                if std::mem::take(&mut self.too_long) {
                    self.line.clear();
                    continue;
                }
                self.whole = true;
                return Ok(Some(self.line.trim_ascii_end()));
            }
            if self.line.len() > LONGEST {
                self.line.clear();
                self.too_long = true;
                continue;
            }
            if read > 0 {
                continue;
            }
            // The end, for now. Another one of the journal may have been begun.
            if self.waiting.is_empty() && follow {
                if input.begin_anew()? {
                    self.line.clear();
                    continue;
                }
                self.look_for_newer()?;
                if self.waiting.is_empty() && self.path.is_some() {
                    return Ok(None);
                }
                if !self.waiting.is_empty() {
                    // What was written to the old one before the new one was there.
                    let rest = self.input.as_mut().map(|input| input.fill_buf().map(|rest| !rest.is_empty())).transpose()?;
                    if rest == Some(true) {
                        continue;
                    }
                }
            }
            self.input = None;
            self.too_long = false;
            if !self.line.is_empty() {
                self.whole = true;
                return Ok(Some(&self.line));
            }
        }
    }

    fn look_for_newer(&mut self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        match newer_than(path, self.id) {
            Ok(files) => {
                for (file, id) in files {
                    self.waiting.push_back(file);
                    self.id = Some(id);
                }
                Ok(())
            }
            // It is put aside just now, and the next one has not been begun.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The files of a journal that were begun after one of them, the oldest first; `None`: all. The one that is written is opened first: whatever
/// is put aside meanwhile is met again under its next name.
fn newer_than(path: &Path, known: Option<Id>) -> io::Result<Vec<(File, Id)>> {
    for _ in 0..5 {
        let mut found: Vec<(File, Id)> = Vec::new();
        let current = match File::open(path) {
            Ok(file) => file,
            // Put aside, and the next one not begun yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => match put_aside(path).ok().and_then(|old| old.into_iter().next()) {
                Some((_, newest)) => File::open(newest)?,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let metadata = current.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::other("it is a folder"));
        }
        let newest = Id::of(&metadata);
        if known == Some(newest) {
            return Ok(found);
        }
        found.push((current, newest));
        for (_, old) in if metadata.is_file() { put_aside(path)? } else { Vec::new() } {
            let file = match File::open(old) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let id = Id::of(&file.metadata()?);
            // Where that one is gone altogether, all came after it.
            if known == Some(id) {
                break;
            }
            if found.iter().all(|(_, other)| *other != id) {
                found.push((file, id));
            }
        }
        found.reverse();
        if !metadata.is_file() || fs::metadata(path).map_or(true, |now| Id::of(&now) == newest) {
            return Ok(found);
        }
    }
    Err(io::Error::other("its files are put aside faster than they can be opened"))
}
