//! A file, line by line, of any length: what is read is forgotten again.

use super::{bar::Bar, trace};
use crate::cli::Failure;
use anyhow::{Context, anyhow};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// The lines of a file, or of standard input.
pub(super) struct Lines {
    name: String,
    input: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
    bar: Bar,
}

impl Lines {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let (name, input, length): (_, Box<dyn BufRead>, _) = if path == Path::new("-") {
            ("standard input".to_owned(), Box::new(io::stdin().lock()), None)
        } else {
            let name = path.display().to_string();
            let open = || {
                let file = File::open(path)?;
                let length = file.metadata()?.len();
                Ok::<_, io::Error>((file, length))
            };
            let (file, length) = open().with_context(|| format!("`{name}` cannot be read")).map_err(Failure::input)?;
            (name, Box::new(BufReader::with_capacity(256 << 10, file)), Some(length))
        };
        Ok(Self { name, input, buffer: Vec::new(), number: 0, bar: Bar::of(length) })
    }

    /// The next line, without its end; `None`: there is none.
    pub(super) fn next(&mut self) -> Result<Option<&str>, Failure> {
        self.buffer.clear();
        let most = u64::try_from(trace::LONGEST).unwrap_or(u64::MAX).saturating_add(1);
        let read = self.input.by_ref().take(most).read_until(b'\n', &mut self.buffer);
        let read = read.with_context(|| format!("{} cannot be read on", self.name)).map_err(Failure::input)?;
        if read == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        self.bar.add(u64::try_from(read).unwrap_or_default());
        if self.buffer.len() > trace::LONGEST {
            return Err(self.bad(&format!("the line is longer than {} KiB", trace::LONGEST >> 10)));
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(_) => {}
            Err(_) => return Err(self.bad("the line is not UTF-8: save the file as UTF-8")),
        }
        let line = std::str::from_utf8(&self.buffer).ok().map(|line| line.trim_end_matches(['\n', '\r']));
        // As in policy files, what some editors put before a text is none of it.
        Ok(if self.number == 1 { line.map(|line| line.strip_prefix('\u{feff}').unwrap_or(line)) } else { line })
    }

    /// The line that was read last is of no use.
    pub(super) fn bad(&mut self, message: &str) -> Failure {
        self.bad_at(None, message)
    }

    /// The same, with the column.
    pub(super) fn bad_at(&mut self, column: Option<usize>, message: &str) -> Failure {
        self.bar.clear();
        let column = column.map(|column| format!(":{column}")).unwrap_or_default();
        Failure::input(anyhow!("{}:{}{column}: {}", self.name, self.number, crate::cli::output::printable(message)))
    }

    /// There are no more.
    pub(super) fn done(&mut self) {
        self.bar.clear();
    }
}
