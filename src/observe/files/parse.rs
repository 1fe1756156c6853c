//! Text to documents. What does not parse is shown with file, line, column and the line itself.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A file that does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unparsable {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
    /// The line as it stands.
    source: String,
}

impl Unparsable {
    /// The problem with the line it is in, for a terminal that knows colours or for one that does not.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        if self.source.to_ascii_lowercase().contains("password") {
            // The line is where somebody's password may stand.
            return format!(
                "error: {}\n  --> {}:{}:{} (the line is not shown: it may hold a password)",
                self.message,
                self.path.display(),
                self.line,
                self.column
            );
        }
        let path = self.path.display().to_string();
        let start = self.source.char_indices().nth(self.column.saturating_sub(1)).map_or(self.source.len(), |(at, _)| at);
        let width = self.source.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let annotation = AnnotationKind::Primary.span(start..start.saturating_add(width));
        let snippet = Snippet::source(self.source.as_str()).path(path.as_str()).line_start(self.line).annotation(annotation);
        let report = [Level::ERROR.primary_title(self.message.as_str()).element(snippet)];
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&report)
    }
}

/// Whether a file is read at all, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
}

impl Format {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// Every document of a file. A YAML document without content is none; an empty YAML file has none.
pub(super) fn documents(format: Format, path: &Path, bytes: &[u8]) -> Result<Vec<Value>, Unparsable> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => return Err(not_utf8(path, bytes, error.valid_up_to())),
    };
    let broken = |line: usize, column: usize, message: String| Unparsable {
        path: path.to_owned(),
        line: line.max(1),
        column: column.max(1),
        message,
        source: text.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_owned(),
    };
    match format {
        Format::Json => {
            let documents: Result<Vec<Value>, serde_json::Error> = serde_json::Deserializer::from_str(text).into_iter().collect();
            let documents = documents.map_err(|error| broken(error.line(), error.column(), json_message(&error)))?;
            if documents.is_empty() {
                let message = "is empty: the command that wrote it has failed; export it again".to_owned();
                return Err(broken(1, 1, message));
            }
            Ok(documents)
        }
        Format::Yaml => serde_saphyr::from_multiple_with_options(text, yaml_options()).map_err(|error| {
            let location = error.location();
            let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            let (line, column) = location.map_or((1, 1), |at| (number(at.line()), number(at.column())));
            broken(line, column, yaml_message(&error))
        }),
    }
}

/// A plain scalar is a number or a boolean only where every YAML parser agrees; everything else stays text, which a decision
/// then finds unreadable rather than something that nobody wrote.
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        // The size of an export is its owner's business; aliases, which multiply it, stay limited.
        budget: None,
        with_snippet: false,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
    }
}

/// `serde_json` repeats the position at the end of its message.
fn json_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

/// The first line says what is wrong; the rest repeats where.
fn yaml_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let message = first.find(" at line ").and_then(|at| first.get(..at)).unwrap_or(first);
    message.trim_end_matches(':').to_owned()
}

fn not_utf8(path: &Path, bytes: &[u8], valid: usize) -> Unparsable {
    let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
    let last = before.rsplit('\n').next().unwrap_or_default();
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let message = if utf16 {
        "is UTF-16, not UTF-8: in PowerShell write it with `| Out-File -Encoding utf8`"
    } else {
        "is not UTF-8: it was not written by kubectl or aws"
    };
    Unparsable {
        path: path.to_owned(),
        line: before.matches('\n').count().saturating_add(1),
        column: last.chars().count().saturating_add(1),
        message: message.to_owned(),
        source: last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn yaml(text: &str) -> Result<Vec<Value>, Unparsable> {
        documents(Format::Yaml, Path::new("x.yaml"), text.as_bytes())
    }

    fn json(text: &str) -> Result<Vec<Value>, Unparsable> {
        documents(Format::Json, Path::new("x.json"), text.as_bytes())
    }

    #[test]
    fn a_file_may_hold_several_documents_or_none() {
        assert_eq!(yaml("a: 1\n---\nb: 2\n---\n").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
        assert_eq!(yaml("").unwrap(), Vec::<Value>::new());
        assert_eq!(yaml("# nothing\n---\n").unwrap(), Vec::<Value>::new());
        assert_eq!(json("{\"a\": 1}\n{\"b\": 2}\n").unwrap().len(), 2);
        assert_eq!(yaml("\u{feff}a: 1\n").unwrap(), [json!({"a": 1})]);
    }

    #[test]
    fn what_is_not_plainly_a_number_stays_text() {
        let read = yaml("{a: 7200, b: \"7200\", c: 1_000, d: 0755, e: yes, f: .inf, g: 2026-02-05T14:30:22Z, h: -1, i: 1.5, j: true}").unwrap();
        let wanted = json!({"a": 7200, "b": "7200", "c": "1_000", "d": "0755", "e": "yes", "f": ".inf", "g": "2026-02-05T14:30:22Z", "h": -1, "i": 1.5, "j": true});
        assert_eq!(read, [wanted]);
    }

    #[test]
    fn what_does_not_parse_is_shown_where_it_stands() {
        let broken = yaml("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(broken.line >= 2, "{broken:?}");
        let twice = yaml("a: 1\na: 2\n").unwrap_err();
        assert_eq!((twice.line, twice.column), (2, 1), "{twice:?}");
        assert!(twice.render(false).contains("x.yaml:2:1"), "{}", twice.render(false));
        let broken = json("{\n  \"a\": nope\n}").unwrap_err();
        assert_eq!(broken.line, 2);
        assert!(broken.render(false).contains("\"a\": nope"), "{}", broken.render(false));
        assert_eq!(json("").unwrap_err().line, 1);
    }

    #[test]
    fn what_is_not_utf8_says_what_to_do() {
        let utf16 = documents(Format::Yaml, Path::new("x.yaml"), b"\xff\xfea\0:\0").unwrap_err();
        assert!(utf16.message.contains("UTF-16"), "{utf16:?}");
        let latin = documents(Format::Yaml, Path::new("x.yaml"), b"a: 1\nb: \xe9\n").unwrap_err();
        assert_eq!((latin.line, latin.column), (2, 4));
    }
}
