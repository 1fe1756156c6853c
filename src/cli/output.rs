//! Where words go: data to standard output, everything else to standard error, colours only where somebody sees them.

use super::Failure;
use anyhow::Context;
use std::{
    fs::{self, File},
    io::{self, IsTerminal, Write},
    path::Path,
};

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

/// Writes a file whole or not at all. What is no regular file itself (a link, a device, a pipe) is written straight into: it must stay what it is.
///
/// # Errors
/// What the file system says.
pub(super) fn file(path: &Path, text: &str) -> io::Result<()> {
    let before = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Some(metadata.permissions()),
        Ok(_) => return fs::write(path, text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // Hidden, so that nobody takes it for a policy file meanwhile. One that is there is somebody else's.
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let (mut file, new) = (0_u32..100)
        .find_map(|number| {
            let new = path.with_file_name(format!(".{name}.{}-{number}.new", std::process::id()));
            match File::create_new(&new) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                other => Some(other.map(|file| (file, new))),
            }
        })
        .ok_or(io::ErrorKind::AlreadyExists)??;
    let written = before.map_or(Ok(()), |permissions| file.set_permissions(permissions));
    let written = written.and_then(|()| file.write_all(text.as_bytes())).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
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

/// Whether it could move a cursor or turn the direction of writing. All of these are in the basic plane.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same JSON, with what could move a cursor or turn the direction of writing escaped: programs read the same, and a terminal is safe.
pub(super) fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // JSON's own line ends are the only control characters outside of its strings.
        if c != '\n' && is_unprintable(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// The same text with everything that could move a cursor or turn the direction of writing made visible: names, annotations
/// and answers come from others.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is() {
        let folder = std::env::temp_dir().join(format!("clonewarden-output-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        fs::write(at("prices.new"), "another's").unwrap();
        fs::write(at("prices.yaml"), "old").unwrap();
        std::os::unix::fs::symlink(at("prices.yaml"), at("link.yaml")).unwrap();
        file(&at("link.yaml"), "through the link").unwrap();
        assert_eq!(fs::read_to_string(at("prices.yaml")).unwrap(), "through the link");
        assert!(fs::symlink_metadata(at("link.yaml")).unwrap().is_symlink());
        file(&at("prices.yaml"), "new").unwrap();
        file(&at("other.yaml"), "other").unwrap();
        file(Path::new("/dev/null"), "nothing").unwrap();
        assert!(!fs::symlink_metadata("/dev/null").unwrap().is_file());
        let read = |name: &str| fs::read_to_string(at(name)).unwrap();
        assert_eq!([read("prices.yaml"), read("other.yaml"), read("prices.new")], ["new", "other", "another's"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4, "nothing is left over");
        assert!(file(&at("none/prices.yaml"), "").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_moves_a_cursor_is_made_visible() {
        assert_eq!(printable("clone-1"), "clone-1");
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(printable("\u{202e}evil"), "\\u{202e}evil");
    }
}
