//! A line of the journal: the format that `docs/journal.md` tells of, written by the daemon and read by `clonewarden journal`.
//!
//! Contract: fields are added and never renamed, and what is not known is not there: no `null`, no zero in its place. A reader takes what it
//! knows and leaves the rest; where a field has to mean something else, [`VERSION`] rises.

use super::orphan::status::{StatusEvidence, moment, money};
use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the format. Lines from before there was one say none.
pub const VERSION: u32 = 1;

/// What every line begins with.
const HEAD: &[u8] = b"{\"time\":\"";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When it was written (UTC).
    #[schemars(schema_with = "moment")]
    pub time: Timestamp,
    /// What happened: acted, decided, gone, leaseAcquired, paused, resumed, released, lost.
    pub event: String,
    /// The version of the format; missing before there was one.
    #[serde(default)]
    pub version: u32,
    /// The revision of the policies that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_revision: Option<String>,
    /// The Git commit of these policies, where their folder tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_commit: Option<String>,
    /// The decision: the same for every line about it, and for a repeat after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What was decided, as in a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Whether the daemon does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<bool>,
    /// If not, why: audit, brake or pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// The policy that governs the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What it is about, as in a plan.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub target: Map<String, Value>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Told>,
    /// What a verdict that ends, marks or holds something rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<StatusEvidence>,
    /// The clone that it is about, or that the target was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<Whose>,
    /// What the target costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// How carrying it out ended: done, begun, gone, conflict or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What was answered, where it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The trace that carrying it out is in, where traces are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What else there is to say of an event that is no decision.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub facts: Map<String, Value>,
}

/// Why something was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// The reason code.
    pub code: String,
    /// One sentence for people.
    #[serde(default)]
    pub message: String,
    /// The numbers and dates behind it.
    #[serde(default)]
    pub facts: Map<String, Value>,
}

/// A clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Whose {
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// That admission let it in, so that its owner is whoever made it; missing where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted: Option<bool>,
    /// Whether it has a database of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedicated: Option<bool>,
}

/// What something costs, in USD, by the prices at that time. An amount that nobody knows is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// USD an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub per_hour: Option<Decimal>,
    /// USD since it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub accrued: Option<Decimal>,
    /// USD that it would have cost from then on until it would have ended otherwise: only where it was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub saved: Option<Decimal>,
    /// When it would have ended otherwise (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub instead: Option<Timestamp>,
    /// What of it has no price, and is in none of these amounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<String>,
}

/// What a line of text is.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// A line of a journal, and where in the text it stands.
    Line(Box<Line>, &'a [u8]),
    /// One of a version that is newer than ours and cannot be read.
    Newer,
    /// One that was cut, or damaged.
    Broken,
    /// Something else: a line of a log, or nothing.
    Other,
}

impl Line {
    /// A line that says what happened and when.
    #[must_use]
    pub fn new(event: &str, time: Timestamp) -> Self {
        Self {
            time,
            event: event.to_owned(),
            version: VERSION,
            policy_revision: None,
            policy_commit: None,
            id: None,
            action: None,
            effective: None,
            blocked_by: None,
            policy: None,
            target: Map::new(),
            reason: None,
            evidence: Vec::new(),
            clone: None,
            cost: None,
            outcome: None,
            detail: None,
            trace: None,
            facts: Map::new(),
        }
    }

    /// Reads a line of text, which may be one of a log: `kubectl logs` has both, and may put a Pod's name or a date before it.
    #[must_use]
    pub fn find(text: &[u8]) -> Found<'_> {
        let is_head = |window: &[u8]| window == HEAD;
        let Some(first) = text.windows(HEAD.len()).position(is_head) else { return Found::Other };
        // A message of a log may quote anything.
        if !text.get(..first).is_some_and(is_prefix) {
            return Found::Other;
        }
        // What a crash cut may have no end: then the next line stands right behind it.
        let last = text.windows(HEAD.len()).rposition(is_head).filter(|last| *last > first);
        match (Self::read(text, first), last) {
            (Found::Broken, Some(last)) => Self::read(text, last),
            (found, _) => found,
        }
    }

    fn read(text: &[u8], at: usize) -> Found<'_> {
        let line = text.get(at..).unwrap_or_default().trim_ascii_end();
        match serde_json::from_slice::<Self>(line) {
            Ok(read) => Found::Line(Box::new(read), line),
            Err(_) => match serde_json::from_slice::<Map<String, Value>>(line) {
                Ok(fields) if fields.get("version").and_then(Value::as_u64).is_some_and(|version| version > VERSION.into()) => Found::Newer,
                Ok(fields) if !fields.contains_key("event") => Found::Other,
                _ => Found::Broken,
            },
        }
    }

    /// A text of the target: its `kind`, `namespace`, `name`, `uid` or `id`; empty if it has none.
    #[must_use]
    pub fn target(&self, field: &str) -> &str {
        self.target.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it says that something was ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.action.as_deref() == Some("delete") && self.outcome.as_deref() == Some("done")
    }
}

/// Whether this is what `kubectl logs --prefix --timestamps` puts before a line: the Pod in brackets, and when it was written.
fn is_prefix(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let is_one = |word: &str| (word.starts_with('[') && word.ends_with(']')) || word.parse::<Timestamp>().is_ok();
    text.split_whitespace().count() <= 2 && text.split_whitespace().all(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(text: &str) -> Found<'_> {
        Line::find(text.as_bytes())
    }

    #[test]
    fn a_line_is_read_as_it_was_written_wherever_it_stands() {
        let mut line = Line::new("acted", "2026-02-05T16:30:22.104Z".parse().unwrap());
        line.cost = Some(Cost { saved: Some("0.42".parse().unwrap()), ..Cost::default() });
        line.clone = Some(Whose { owner: Some("ada".into()), ..Whose::default() });
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"time":"2026-02-05T16:30:22.104Z","event":"acted","version":1,"clone":{"owner":"ada"},"cost":{"saved":"0.42"}}"#);
        for before in ["", "[pod/clonewarden-0] ", "2026-02-05T16:30:22Z "] {
            assert_eq!(found(&format!("{before}{text}\r\n")), Found::Line(Box::new(line.clone()), text.as_bytes()));
        }
    }

    #[test]
    fn older_newer_half_and_foreign_lines_are_told_apart() {
        let old = r#"{"time":"2026-02-05T16:30:22Z","event":"acted","clone":{"owner":null,"dedicated":true},"facts":{}}"#;
        assert!(matches!(found(old), Found::Line(line, _) if line.version == 0 && line.clone.as_ref().unwrap().dedicated == Some(true)));
        let newer = r#"{"time":"2026-02-05T16:30:22Z","event":"acted","version":2,"more":[1],"outcome":"done"}"#;
        assert!(matches!(found(newer), Found::Line(line, _) if line.version == 2), "what is known of it is read");
        assert_eq!(found(&newer.replace("\"done\"", "{}")), Found::Newer);
        for broken in [old.split_at(old.len() - 9).0, r#"{"time":"#, r#"{"time":"2026-"#, r#"{"time":"noon","event":"acted"}"#] {
            let expected = if broken.len() < HEAD.len() { Found::Other } else { Found::Broken };
            assert_eq!(found(broken), expected, "{broken}");
        }
        for other in ["", "INFO started", r#"{"timestamp":"…","level":"INFO"}"#, r#"{"time":"noon","level":"info"}"#] {
            assert_eq!(found(other), Found::Other, "{other}");
        }
        assert_eq!(Line::find(b"{\"time\":\"\xff\"}"), Found::Broken);
        let behind = format!("{}{old}", old.split_at(old.len() - 9).0);
        assert!(matches!(found(&behind), Found::Line(_, text) if text == old.as_bytes()), "half a line spoils the next one");
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        let line = serde_json::to_value(Line::new("leaseAcquired", Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(line, json!({"time": "1970-01-01T00:00:00Z", "event": "leaseAcquired", "version": 1}));
    }
}
