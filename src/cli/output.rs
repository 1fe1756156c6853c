//! Where words go: data to standard output, everything else to standard error, colours only where somebody sees them.

use super::Failure;
use anyhow::Context;
use std::io::{self, IsTerminal, Write};

/// Writes data to standard output. A reader that has seen enough (`| head`) is no failure.
pub(super) fn data(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output").map_err(Failure::failed),
    }
}

/// Says a whole report beside the data; its own text is printable already.
pub(super) fn aside(report: &str) {
    if !report.is_empty() {
        let _ = writeln!(io::stderr().lock(), "{report}");
    }
}

/// Says something beside the data. There is nobody left to tell if that fails.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "note: {}", printable(text));
}

/// Passes on what the API server warns of, as kubectl does.
pub(super) fn warning(text: &str) {
    let _ = writeln!(io::stderr().lock(), "Warning: {}", printable(text));
}

/// Says how far something has come.
pub(super) fn progress(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text));
}

/// Whether standard output takes colours.
pub(super) fn colours() -> bool {
    wanted() && io::stdout().is_terminal()
}

/// Whether standard error takes colours.
pub(super) fn error_colours() -> bool {
    wanted() && io::stderr().is_terminal()
}

/// <https://no-color.org>: set and not empty means none.
fn wanted() -> bool {
    let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How wide a line may be: as wide as the terminal, if it says; without a terminal nothing is cut.
pub(super) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Some(columns.unwrap_or(160).clamp(80, 400))
}

/// The same text with everything that could move a cursor or turn the direction of writing made visible: names, annotations
/// and answers come from others.
pub(super) fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_is_made_visible() {
        assert_eq!(printable("clone-1"), "clone-1");
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(printable("\u{202e}evil"), "\\u{202e}evil");
    }
}
