//! A trace: who asked for a clone, and when. JSON Lines, one arrival a line, in the order of time, so that it can be read while it runs.
//!
//! Contract: strict. A field that does not exist, a date without an offset, a line that is earlier than the one before: each is an error
//! that says where and what to do. Nothing is guessed, since a figure in a report must come from somewhere.

use crate::model::Span;
use foldhash::HashMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, ops::RangeInclusive, sync::Arc};

/// No arrival needs more bytes.
pub const LONGEST: usize = 64 << 10;
/// The dates that a trace may have, in seconds since 1970: as far from the ends of the calendar as any life is long.
pub const SECONDS: RangeInclusive<i64> = 0..=253_000_000_000;
/// So many texts are remembered, in order not to make them anew for each line.
const REMEMBERED: usize = 4_096;

/// The labels of a clone.
pub type Labels = BTreeMap<String, String>;

/// Somebody asks for a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When: whole seconds, as the API server dates what is created.
    pub at: Timestamp,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name; `None`: one that nobody else has.
    pub name: Option<Arc<str>>,
    /// Who asks.
    pub owner: Arc<str>,
    /// How long it is to live, if that is said.
    pub ttl: Option<Span>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// `spec.useDedicatedDatabase`, if that is said.
    pub dedicated: Option<bool>,
    /// `spec.databaseSize`, if that is said.
    pub class: Option<Arc<str>>,
    /// For how long somebody wants it: then they delete it, if it still lives.
    pub uses: Option<Span>,
}

/// A line of a trace.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an arrival: {\"at\": …, \"namespace\": …, \"owner\": …}")]
struct Line<'a> {
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    owner: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    ttl: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<Cow<'a, Labels>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dedicated: Option<bool>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    class: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    uses: Option<Text<'a>>,
}

/// A text that is borrowed from the line. As an `Option<Cow<str>>` it would be copied.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Text<'a> {
    fn of(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

/// Why a line is no arrival: one sentence, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadLine {
    /// The column, from 1, if it is known.
    pub column: Option<usize>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl BadLine {
    fn new(message: impl Into<String>) -> Self {
        Self { column: None, message: message.into() }
    }
}

/// Reads the lines of one trace, in their order.
#[derive(Debug, Default)]
pub struct Reader {
    texts: HashMap<Box<str>, Arc<str>>,
    spans: HashMap<Box<str>, Span>,
    labels: HashMap<Labels, Arc<Labels>>,
    none: Arc<Labels>,
    last: Option<Timestamp>,
}

impl Reader {
    /// The arrival of the next line; `None`: the line is empty.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn read(&mut self, line: &str) -> Result<Option<Arrival>, BadLine> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| broken(&error))?;
        let at = moment(&line.at)?;
        if let Some(last) = self.last.filter(|last| at < *last) {
            let help = "a trace is in the order of time; sort it by `at`";
            return Err(BadLine::new(format!("`at` says {at}, and the line before {last}: {help}")));
        }
        let namespace = self.named("namespace", &line.namespace)?;
        let owner = self.named("owner", &line.owner)?;
        let name = line.name.map(|name| self.named("name", &name.0)).transpose()?;
        let class = line.class.map(|class| self.named("class", &class.0)).transpose()?;
        let ttl = line.ttl.map(|text| self.span("ttl", &text.0)).transpose()?;
        // Hardly two are alike: remembered, they would push out those that are.
        let uses = line.uses.map(|text| span("uses", &text.0)).transpose()?;
        let labels = match line.labels {
            None => Arc::clone(&self.none),
            Some(labels) => self.labels(labels.into_owned()),
        };
        self.last = Some(at);
        Ok(Some(Arrival { at, namespace, name, owner, ttl, labels, dedicated: line.dedicated, class, uses }))
    }

    fn named(&mut self, field: &str, text: &str) -> Result<Arc<str>, BadLine> {
        if let Some(known) = self.texts.get(text) {
            return Ok(Arc::clone(known));
        }
        if text.is_empty() || text.contains('/') || text.chars().any(char::is_control) {
            return Err(BadLine::new(format!("`{field}` says {}: write a name", Value::from(text))));
        }
        forget(&mut self.texts);
        let known: Arc<str> = text.into();
        self.texts.insert(text.into(), Arc::clone(&known));
        Ok(known)
    }

    fn span(&mut self, field: &str, text: &str) -> Result<Span, BadLine> {
        if let Some(known) = self.spans.get(text) {
            return Ok(*known);
        }
        let span = span(field, text)?;
        forget(&mut self.spans);
        self.spans.insert(text.into(), span);
        Ok(span)
    }

    fn labels(&mut self, labels: Labels) -> Arc<Labels> {
        if let Some(known) = self.labels.get(&labels) {
            return Arc::clone(known);
        }
        forget(&mut self.labels);
        let known = Arc::new(labels.clone());
        self.labels.insert(labels, Arc::clone(&known));
        known
    }
}

/// A trace may hold as many names as it has lines; what is remembered of them must not grow with it.
fn forget<K, V>(memory: &mut HashMap<K, V>) {
    if memory.len() >= REMEMBERED {
        memory.clear();
    }
}

fn span(field: &str, text: &str) -> Result<Span, BadLine> {
    text.parse().map_err(|error| BadLine::new(format!("`{field}`: {error}")))
}

/// A date with an offset, cut to the second.
fn moment(text: &str) -> Result<Timestamp, BadLine> {
    let help = "write an RFC 3339 date with an offset, as in `2026-02-05T14:30:22Z`";
    let date = text.parse::<Timestamp>().ok().filter(|_| !text.contains('['));
    let date = date.and_then(|date| Timestamp::from_second(date.as_second()).ok());
    let wrong = |help: &str| BadLine::new(format!("`at` says {}: {help}", Value::from(text)));
    let date = date.ok_or_else(|| wrong(help))?;
    if SECONDS.contains(&date.as_second()) { Ok(date) } else { Err(wrong(&format!("the dates of a trace are {}", range()))) }
}

/// Those dates in words.
#[must_use]
pub fn range() -> String {
    let date = |second: &i64| Timestamp::from_second(*second).unwrap_or_default();
    format!("from {} to {}", date(SECONDS.start()), date(SECONDS.end()))
}

fn broken(error: &serde_json::Error) -> BadLine {
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    let fields = "the fields are `at`, `namespace`, `owner` and, if need be, `name`, `ttl`, `labels`, `dedicated`, `class`, `uses`";
    let help = match (error.is_data(), said.contains("expected one of")) {
        (true, true) => "write it as one of these, or take it out",
        (true, false) => fields,
        (false, _) => "a trace has one JSON object a line",
    };
    BadLine { column: Some(error.column()).filter(|column| *column > 0), message: format!("{said}: {help}") }
}

/// The line of an arrival, without its end.
#[must_use]
pub fn write(arrival: &Arrival) -> String {
    let line = Line {
        at: arrival.at.to_string().into(),
        namespace: Cow::Borrowed(&arrival.namespace),
        name: arrival.name.as_deref().map(Text::of),
        owner: Cow::Borrowed(&arrival.owner),
        ttl: arrival.ttl.map(|span| Text(span.to_string().into())),
        labels: (!arrival.labels.is_empty()).then(|| Cow::Borrowed(&*arrival.labels)),
        dedicated: arrival.dedicated,
        class: arrival.class.as_deref().map(Text::of),
        uses: arrival.uses.map(|span| Text(span.to_string().into())),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_line_that_was_written_is_read_as_it_was() {
        let full = r#"{"at":"2026-02-05T14:30:22Z","namespace":"wordpress-staging","name":"clone-1","owner":"ada@example.com","ttl":"2h","labels":{"clonewarden.io/critical":"true"},"dedicated":true,"class":"db.t3.small","uses":"45m"}"#;
        let arrival = Reader::default().read(full).unwrap().unwrap();
        assert_eq!(write(&arrival), full);
        let short = r#"{"at":"2026-02-05T15:30:22.9+01:00","namespace":"n","owner":"a \"b\""}"#;
        let arrival = Reader::default().read(short).unwrap().unwrap();
        assert_eq!(write(&arrival), r#"{"at":"2026-02-05T14:30:22Z","namespace":"n","owner":"a \"b\""}"#);
        assert_eq!(Reader::default().read("  \n"), Ok(None));
    }

    #[test]
    fn what_is_no_arrival_says_what_to_write() {
        let with = |more: &str| format!(r#"{{"at":"2026-02-05T14:30:22Z","namespace":"n","owner":"a"{more}}}"#);
        for (line, said) in [
            ("{".to_owned(), "a trace has one JSON object a line"),
            ("[]".to_owned(), "an arrival"),
            (with(r#","tll":"2h""#), "unknown field `tll`"),
            (with(r#","ttl":7200"#), "expected a string"),
            (with(r#","ttl":"7200""#), "the unit is missing"),
            (with(r#","uses":"0s""#), "more than zero"),
            (with(r#","owner":"b""#), "duplicate field `owner`"),
            (with(r#","dedicated":"yes""#), "expected a boolean"),
            (with(r#","name":"a/b""#), "`name` says \"a/b\": write a name"),
            (with("").replace("\"n\"", "\"\""), "`namespace` says \"\": write a name"),
            (with("").replace('Z', ""), "RFC 3339"),
            (with("").replace('Z', "+01:00[Europe/Berlin]"), "RFC 3339"),
            (with("").replace("2026", "1969"), "the dates of a trace are from 1970-01-01T00:00:00Z to 9987-"),
            (with("").replace("2026-02-05", "9999-12-30"), "the dates of a trace are from 1970-01-01T00:00:00Z to 9987-"),
            (r#"{"at":"2026-02-05T14:30:22Z","namespace":"n"}"#.to_owned(), "missing field `owner`"),
        ] {
            let error = Reader::default().read(&line).unwrap_err();
            assert!(error.message.contains(said), "{line}: {error}");
        }
        let mut reader = Reader::default();
        reader.read(&with("")).unwrap();
        let earlier = reader.read(&with("").replace(":22Z", ":21Z")).unwrap_err();
        assert!(earlier.message.contains("sort it by `at`"), "{earlier}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut reader = Reader::default();
        for number in 0..10_000 {
            let line =
                format!(r#"{{"at":"2026-02-05T14:30:22Z","namespace":"n","owner":"{number}","ttl":"{}m","labels":{{"l":"{number}"}}}}"#, number + 1);
            reader.read(&line).unwrap();
        }
        assert!(reader.texts.len() <= REMEMBERED && reader.spans.len() <= REMEMBERED && reader.labels.len() <= REMEMBERED);
    }

    proptest! {
        /// Whatever a line says, it is an arrival or an error with words, and an arrival is read back as it is written.
        #[test]
        fn any_line_is_read_or_refused(line in "\\PC{0,60}", at in "[0-9TZ:.+-]{0,30}|2026-02-05T14:30:22Z", ttl in "[0-9]{0,4}[a-z]{0,3}") {
            let named = json!({"at": at, "namespace": line, "owner": "o", "ttl": ttl}).to_string();
            for text in [line, named] {
                match Reader::default().read(&text) {
                    Ok(Some(arrival)) => prop_assert_eq!(Reader::default().read(&write(&arrival)), Ok(Some(arrival))),
                    Ok(None) => {}
                    Err(bad) => prop_assert!(!bad.message.is_empty()),
                }
            }
        }
    }
}
