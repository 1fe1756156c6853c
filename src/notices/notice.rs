//! What is told of a line of the journal, and how urgent it is.
//!
//! Contract: pure. The words are those of the line; nothing is made up here, and nothing that the journal does not say is said.

use super::text::visible;
use crate::{act::journal::words, cost::dollars, model::journal::Line, plan::decision::digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How urgent something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It is done, or over.
    #[default]
    Info,
    /// Somebody may want to do something.
    Warning,
    /// A person has to do something, or much is held meanwhile.
    Critical,
}

impl Severity {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What alerts a person has to look at before the rest goes on.
const CRITICAL: [&str; 10] = [
    "BrakeOn",
    "Collapsed",
    "DefinitionGone",
    "ClusterIdShared",
    "ClusterIdMismatch",
    "AccountChanged",
    "CredentialsKeyLost",
    "CredentialsKeyChanged",
    "CredentialsKeyUnusable",
    "CredentialsKeyUnread",
];
/// What is done by way of housekeeping.
const HOUSEKEEPING: [&str; 5] = ["QuotaDrifted", "LimitRangeDrifted", "QuotaNotWanted", "UsageCounted", "UseNoted"];

/// Something that is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    /// The same for the same decision, and for a repeat of it after a crash.
    pub(crate) id: String,
    /// How urgent it is.
    pub(crate) severity: Severity,
    /// The reason code; of what is no decision, the word of the journal.
    pub(crate) code: String,
    /// Whether it is something that stands, and will be found again after a restart.
    pub(crate) stands: bool,
    /// The line.
    pub(crate) line: Line,
}

impl Notice {
    /// What is told of a line, if anything is.
    pub(crate) fn of(line: &Line) -> Option<Self> {
        let severity = severity(line)?;
        let code = line.reason.as_ref().map_or(&line.event, |reason| &reason.code).clone();
        let outcome = line.outcome.as_deref().unwrap_or_default();
        let id = match (&line.id, outcome) {
            (Some(id), "" | "done") => id.clone(),
            // That it failed must not keep anybody from hearing that it was done.
            (Some(id), outcome) => digest(&[id, outcome]),
            (None, _) => digest(&[&line.event, &line.time.to_string()]),
        };
        let stands = line.event == "decided";
        // What the verdict rests on is long, and is in the journal.
        Some(Self { id, severity, code, stands, line: Line { evidence: Vec::new(), ..line.clone() } })
    }

    /// Whose clone it is said to be, if it is about one.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.line.clone.as_ref()?.owner.as_deref()
    }

    /// Whose clone it is, if admission has seen that: an annotation alone can be written by anybody who may create a clone.
    pub(crate) fn proven_owner(&self) -> Option<&str> {
        self.owner().filter(|_| self.line.clone.as_ref().and_then(|clone| clone.admitted) == Some(true))
    }

    /// The namespace that it is about, if it is about one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        let own = self.line.clone.as_ref().and_then(|clone| clone.namespace.as_deref());
        own.or_else(|| Some(self.line.target("namespace")).filter(|namespace| !namespace.is_empty()))
    }

    /// What it is about, as a person calls it; empty if it is about the daemon itself.
    pub(crate) fn target(&self) -> String {
        words::target(&self.line)
    }

    /// What happened, in one line.
    pub(crate) fn text(&self) -> String {
        let line = &self.line;
        let blocked = line.blocked_by.as_ref().map(|by| format!(" (not done: {by})")).unwrap_or_default();
        let what = match (line.action.as_deref(), line.outcome.as_deref()) {
            (Some("delete"), Some("done")) => "deleted",
            (Some("delete"), Some("failed")) => "could not be deleted",
            (Some("delete"), _) => "would be deleted",
            (Some("mark"), Some(_)) => "is marked as left behind",
            (Some("mark"), None) => "would be marked as left behind",
            (Some("unmark"), _) => "is not left behind any more",
            (Some("hold"), _) => "is held",
            (Some("warn"), _) => "will end",
            (Some(_), _) => "needs a look",
            (None, _) => line.event.as_str(),
        };
        let target = self.target();
        let space = if target.is_empty() { "" } else { " " };
        let why = words::why(line);
        let colon = if why.is_empty() { "" } else { ": " };
        visible(&format!("{target}{space}{what}{blocked}{colon}{why}"))
    }

    /// USD that its end saves, if it is an end and that is known.
    pub(crate) fn saved(&self) -> Option<String> {
        Some(dollars(self.line.cost.as_ref()?.saved?))
    }
}

fn severity(line: &Line) -> Option<Severity> {
    let reason = line.reason.as_ref();
    let code = reason.map(|reason| reason.code.as_str()).unwrap_or_default();
    if HOUSEKEEPING.contains(&code) {
        return None;
    }
    match (line.event.as_str(), line.action.as_deref(), line.outcome.as_deref()) {
        ("acted", Some("delete" | "unmark"), Some("done")) => Some(Severity::Info),
        ("acted", Some("delete"), Some("failed")) => Some(Severity::Warning),
        ("acted", Some("hold" | "alert"), Some("done")) if CRITICAL.contains(&code) => Some(Severity::Critical),
        ("acted", Some("mark" | "hold" | "alert"), Some("done")) => Some(Severity::Warning),
        // A new clone's own end is no news.
        ("acted", Some("warn"), Some("done")) if code == "Announced" => {
            reason.is_some_and(|reason| reason.facts.contains_key("announcedBefore")).then_some(Severity::Info)
        }
        ("acted", Some("warn"), Some("done")) => Some(Severity::Warning),
        ("decided", Some("hold" | "alert"), _) if CRITICAL.contains(&code) => Some(Severity::Critical),
        ("decided", Some("hold" | "alert"), _) => Some(if code == "PricesOld" { Severity::Info } else { Severity::Warning }),
        // What the brake or a pause keeps is told as one: `BrakeOn`, or `paused`.
        ("decided", Some("delete" | "mark" | "warn"), _) if line.blocked_by.as_deref() == Some("audit") => Some(Severity::Info),
        ("policiesBroken", ..) => Some(Severity::Critical),
        ("paused", ..) => Some(Severity::Warning),
        ("resumed" | "released" | "approved" | "policiesMended", ..) => Some(Severity::Info),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{
        journal::{Cost, Told, Whose},
        names,
    };
    use serde_json::{Map, json};

    /// A line about a clone.
    pub(in crate::notices) fn line(event: &str, action: &str, outcome: Option<&str>, code: &str, name: &str, owner: &str) -> Line {
        let target = json!({"kind": names::CLONE_KIND, "namespace": "staging", "name": name, "uid": format!("uid-{name}")});
        Line {
            id: Some(digest(&[name, action, code])),
            action: Some(action.to_owned()),
            outcome: outcome.map(str::to_owned),
            policy: Some("staging".to_owned()),
            target: target.as_object().cloned().unwrap_or_default(),
            reason: Some(Told { code: code.to_owned(), message: "its end has passed".to_owned(), facts: Map::new() }),
            clone: Some(Whose { namespace: Some("staging".to_owned()), owner: Some(owner.to_owned()), admitted: Some(true), ..Whose::default() }),
            ..Line::new(event, "2026-02-05T16:30:00Z".parse().unwrap())
        }
    }

    #[test]
    fn what_is_told_and_how_urgently() {
        let cases = [
            ("acted", "delete", Some("done"), "Expired", Some(Severity::Info)),
            ("acted", "delete", Some("failed"), "Expired", Some(Severity::Warning)),
            ("acted", "delete", Some("conflict"), "Expired", None),
            ("acted", "delete", Some("begun"), "OwnerGone", None),
            ("acted", "delete", Some("done"), "QuotaDrifted", None),
            ("acted", "warn", Some("done"), "ExpiresSoon", Some(Severity::Warning)),
            ("acted", "warn", Some("done"), "Announced", None),
            ("acted", "create", Some("done"), "CredentialsMissing", None),
            ("acted", "mark", Some("done"), "OwnerGone", Some(Severity::Warning)),
            ("decided", "hold", None, "EvidenceMissing", Some(Severity::Warning)),
            ("decided", "hold", None, "DefinitionGone", Some(Severity::Critical)),
            ("decided", "alert", None, "BrakeOn", Some(Severity::Critical)),
            // The same id: whichever is heard first is told.
            ("acted", "alert", Some("done"), "BrakeOn", Some(Severity::Critical)),
            ("acted", "alert", Some("done"), "StuckTerminating", Some(Severity::Warning)),
            ("decided", "alert", None, "BudgetExceeded", Some(Severity::Warning)),
            ("decided", "keep", None, "Living", None),
            ("gone", "delete", None, "Expired", None),
        ];
        for (event, action, outcome, code, expected) in cases {
            let notice = Notice::of(&line(event, action, outcome, code, "a", "ada"));
            assert_eq!(notice.as_ref().map(|notice| notice.severity), expected, "{event} {action} {code}");
            assert!(notice.is_none_or(|notice| notice.code == code));
        }
        let mut moved = line("acted", "warn", Some("done"), "Announced", "a", "ada");
        moved.reason.as_mut().unwrap().facts.insert("announcedBefore".to_owned(), json!("x"));
        assert!(Notice::of(&moved).is_some());
        for (by, told) in [("audit", true), ("brake", false), ("pause", false)] {
            let blocked = Line { blocked_by: Some(by.to_owned()), ..line("decided", "delete", None, "Expired", "a", "ada") };
            assert_eq!(Notice::of(&blocked).is_some(), told, "{by}");
        }
        for (event, told) in [("paused", true), ("policiesBroken", true), ("leaseAcquired", false), ("policiesChanged", false), ("lost", false)] {
            assert_eq!(Notice::of(&Line::new(event, jiff::Timestamp::UNIX_EPOCH)).is_some(), told, "{event}");
        }
    }

    #[test]
    fn it_says_what_the_line_says() {
        let mut ended = line("acted", "delete", Some("done"), "Expired", "clone-1", "ada");
        ended.cost = Some(Cost { saved: Some("0.42".parse().unwrap()), ..Cost::default() });
        let notice = Notice::of(&ended).unwrap();
        assert_eq!(notice.text(), "staging/clone-1 deleted: Expired: its end has passed; saved $0.42");
        assert_eq!((notice.owner(), notice.namespace(), notice.saved().as_deref()), (Some("ada"), Some("staging"), Some("$0.42")));
        let failed = Notice::of(&Line { outcome: Some("failed".to_owned()), detail: Some("forbidden".to_owned()), ..ended.clone() }).unwrap();
        assert_ne!(failed.id, notice.id);
        assert!(failed.text().contains("could not be deleted: Expired") && failed.text().contains("forbidden"), "{}", failed.text());
        let paused = Line { facts: json!({"by": "ada", "reason": "look"}).as_object().cloned().unwrap(), ..Line::new("paused", ended.time) };
        assert_eq!(Notice::of(&paused).unwrap().text(), "paused: by ada; reason look");
        let broken = Line { facts: json!({"places": ["p.yaml:4:9 ttl"]}).as_object().cloned().unwrap(), ..Line::new("policiesBroken", ended.time) };
        assert!(Notice::of(&broken).unwrap().text().contains("p.yaml:4:9"), "file and line are told");
    }
}
