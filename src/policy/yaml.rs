//! The one place that knows the YAML library: cuts a file into documents, bounds what a document may cost, and turns the
//! library's errors into ours.
//!
//! The library stops at the first error of a document. Types and values are therefore checked later (`scalar`, `lint`), all at
//! once; what ends a document here is what makes the rest of it unreadable.

use super::{code::Code, forms};
use serde::de::DeserializeOwned;
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, MessageFormatter, Options, UserMessageFormatter};

/// Fields that later releases will have; a policy that says one today must not be read as if it did not.
const RESERVED: [&str; 4] = ["keep", "stuckAfter", "trustedCallers", "provision"];

/// Why a document cannot be read.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) at: Location,
}

/// The documents of a file that hold more than comments, each with the offset at which it begins.
///
/// A line that begins with `---` or `...` ends a document wherever it stands, even in a quoted text or a block (YAML 1.2.2,
/// 9.1.2), so the cut needs no parser, and a document that does not parse leaves its neighbours whole.
pub(super) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut begin, mut offset) = (0, 0);
    let mut keep = |from: usize, to: usize| {
        if let Some(document) = text.get(from..to).filter(|document| document.lines().any(has_content)) {
            documents.push((from, document));
        }
    };
    for line in text.split_inclusive('\n') {
        let next = offset + line.len();
        let cut = if is_marker(line, "---") { Some(offset) } else { is_marker(line, "...").then_some(next) };
        if let Some(cut) = cut {
            keep(begin, cut);
            begin = cut;
        }
        offset = next;
    }
    keep(begin, offset);
    documents
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line is more than a comment, a directive or a marker.
fn has_content(line: &str) -> bool {
    let rest = if is_marker(line, "---") || is_marker(line, "...") { line.get(3..).unwrap_or_default() } else { line };
    let rest = rest.trim_matches([' ', '\t', '\r']);
    !rest.is_empty() && !rest.starts_with('#') && !line.starts_with('%')
}

/// Reads one document.
pub(super) fn read<T: DeserializeOwned>(document: &str) -> Result<T, Failure> {
    serde_saphyr::from_str_with_options(document, options()).map_err(|error| failure(&error))
}

/// Bounds far above any policy and far below what would hurt: whoever can change a policy must not be able to stop the daemon.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_events: 50_000,
            max_nodes: 20_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_total_scalar_bytes: 1 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn failure(error: &Error) -> Failure {
    let error = error.without_snippet();
    let error = if let Error::AliasError { error, .. } = error { error.without_snippet() } else { error };
    let at = error.location().unwrap_or(Location::UNKNOWN);
    let (code, message, help) = describe(error);
    Failure { code, message, help, at }
}

fn describe(error: &Error) -> (Code, String, Option<String>) {
    match error {
        Error::SerdeUnknownField { field, .. } if RESERVED.contains(&field.as_str()) => (
            Code::ReservedField,
            format!("`{field}` is reserved for a later release"),
            Some("take it out: this release would not act on it".to_owned()),
        ),
        Error::SerdeUnknownField { field, expected, .. } => {
            let help = match forms::nearest(field, expected.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", list(expected)),
            };
            (Code::UnknownField, format!("there is no field `{field}` here"), Some(help))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let message = match key {
                Some(key) => format!("`{key}` is said twice"),
                None => "a key is said twice".to_owned(),
            };
            (Code::DuplicateKey, message, Some("keep one of the two".to_owned()))
        }
        Error::Unexpected { expected, .. } => (Code::WrongType, format!("{} must stand here", plain(expected)), None),
        Error::SerdeInvalidType { unexpected, expected, .. } | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            (Code::WrongType, format!("{expected} must stand here, not {unexpected}"), None)
        }
        Error::UnexpectedSequenceEnd { .. }
        | Error::UnexpectedMappingEnd { .. }
        | Error::NullIntoString { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::NonFiniteFloat { .. }
        | Error::InvalidScalar { .. } => (Code::WrongType, text(error), None),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::RecursiveReferencesRequireWeakTypes { .. } => too_complex(),
        Error::UnknownAnchor { .. } => (Code::Syntax, "the alias refers to an anchor that does not exist".to_owned(), None),
        _ => {
            let text = text(error);
            // The parser's own limits come without a variant of their own.
            if text.contains("recursion limit") || text.contains("nesting limit") {
                return too_complex();
            }
            let help = text.starts_with("tab").then(|| "indent with spaces".to_owned());
            (Code::Syntax, text, help)
        }
    }
}

fn too_complex() -> (Code, String, Option<String>) {
    (
        Code::TooComplex,
        "the document holds more values, aliases or levels than a policy can need".to_owned(),
        Some("write the values out instead of nesting aliases, and split a large set into several files".to_owned()),
    )
}

/// The library's own words, made one sentence of ours.
fn text(error: &Error) -> String {
    let text = UserMessageFormatter.format_message(error);
    text.trim().trim_end_matches('.').replace(['\n', '\r'], " ")
}

/// What the library expected, in words that do not come from a parser.
fn plain(expected: &str) -> String {
    match expected {
        "mapping start" => "a mapping (`field: value` lines)".to_owned(),
        "sequence start" => "a list".to_owned(),
        other => other.to_owned(),
    }
}

/// Names in backticks.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        documents(text).into_iter().map(|(_, document)| document).collect()
    }

    #[test]
    fn markers_cut_and_nothing_else_does() {
        assert_eq!(cut("a: 1\n---\nb: 2\n"), ["a: 1\n", "---\nb: 2\n"]);
        assert_eq!(cut("--- {a: 1}\n--- # next\nb: 2\n...\nc: 3"), ["--- {a: 1}\n", "--- # next\nb: 2\n...\n", "c: 3"]);
        assert_eq!(cut("a: |\n  ---\n  b\n----\n"), ["a: |\n  ---\n  b\n----\n"]);
        assert_eq!(cut("a: 1\r\n---\r\nb: 2\r\n"), ["a: 1\r\n", "---\r\nb: 2\r\n"]);
    }

    #[test]
    fn documents_without_content_are_none() {
        for empty in ["", "\n\n", "---\n", "---\n---\n...\n", "# only words\n", "%YAML 1.2\n---\n# x\n", " \t\r\n"] {
            assert!(cut(empty).is_empty(), "{empty:?}");
        }
    }

    #[test]
    fn offsets_lead_back_into_the_file() {
        let text = "# first\n---\na: 1\n---\nb: 2\n";
        for (begin, document) in documents(text) {
            assert!(text.get(begin..).unwrap().starts_with(document));
        }
    }
}
