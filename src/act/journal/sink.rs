//! Places that lines can be written to.

use super::files::Files;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

/// Where the journal is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// To a file, which is rotated.
    pub file: Option<Kept>,
    /// To standard output.
    pub stdout: bool,
}

/// A file, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The file that is written.
    pub path: PathBuf,
    /// From how many bytes on it is put aside.
    pub size: u64,
    /// How many files there are at most, the one that is written among them.
    pub files: u32,
}

/// One such place.
pub(super) trait Sink: Send {
    /// Writes a line with its end, whole; or so that the next one stands on a line of its own all the same.
    ///
    /// # Errors
    /// It is not written; it may be tried again.
    fn write(&mut self, line: &[u8]) -> io::Result<()>;

    /// How often files could not be rotated.
    fn rotation_failures(&self) -> Arc<AtomicU64> {
        Arc::default()
    }
}

/// Something that is written to and never looked at.
pub(super) struct Stream<W> {
    out: W,
    torn: bool,
}

impl<W: Write> Stream<W> {
    pub(super) fn to(out: W) -> Self {
        Self { out, torn: false }
    }
}

impl<W: Write + Send> Sink for Stream<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        write_whole(&mut self.out, line, &mut self.torn)
    }
}

/// Writes a line in as few writes as it takes. `torn`: what was written last has no end; this one gets a line of its own.
pub(super) fn write_whole(out: &mut impl Write, line: &[u8], torn: &mut bool) -> io::Result<()> {
    let apart;
    let mut rest = line;
    if *torn {
        apart = [b"\n", line].concat();
        rest = &apart;
    }
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                *torn = true;
                rest = rest.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    *torn = false;
    out.flush()
}

impl Outputs {
    /// Opens each, with its name.
    pub(super) fn open(&self) -> io::Result<Vec<(&'static str, Box<dyn Sink>)>> {
        let mut sinks: Vec<(&'static str, Box<dyn Sink>)> = Vec::new();
        if let Some(kept) = &self.file {
            sinks.push(("file", open(kept)?));
        }
        if self.stdout {
            // Not through the library's own buffer: what is half written must be known.
            let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            sinks.push(("stdout", Box::new(Stream::to(stdout))));
        }
        Ok(sinks)
    }
}

/// A device or a pipe is written to as it is; a link is followed once, at start.
fn open(kept: &Kept) -> io::Result<Box<dyn Sink>> {
    let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    match fs::metadata(&kept.path) {
        Ok(found) if !found.is_file() && !found.is_dir() => Ok(Box::new(Stream::to(OpenOptions::new().append(true).open(&kept.path)?))),
        Ok(_) if is_link(&kept.path) => {
            let path = fs::canonicalize(&kept.path)?;
            Ok(Box::new(Files::open(&Kept { path, ..kept.clone() })?))
        }
        _ => Ok(Box::new(Files::open(kept)?)),
    }
}
