//! A plan as a person hands it back: read strictly, and refused where it is not what `clonewarden plan -o json` wrote.
//!
//! Contract: decisions may be taken out of it and nothing else may be changed. The id of each is a digest of what it is about, of what
//! is decided and why, so a target or a reason that was edited is found before anybody is asked anything.

use crate::{
    model::{Kind, schema},
    plan::{Action, decision},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{collections::HashSet, fmt};

/// The largest document that is read, in bytes: a hundred thousand clones are a quarter of that.
pub const LARGEST: usize = 256 << 20;

/// A plan that somebody has approved.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// When it was made (UTC).
    pub now: Timestamp,
    /// The revision of the policies that decided.
    pub revision: String,
    /// What is left of its decisions, in its order.
    pub entries: Vec<Entry>,
    text: String,
}

/// One decision of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The id of the decision.
    pub id: String,
    /// What is to be done.
    pub action: Action,
    /// What kept the daemon from it.
    pub blocked_by: Option<String>,
    /// The policy that governed the target.
    pub policy: Option<String>,
    /// What it is about.
    pub aim: Aim,
    /// The code of the reason.
    pub code: String,
}

/// What a decision of a document is about. Each kind of target has some of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Aim {
    api_version: Option<String>,
    /// The kind, as in `-o json`.
    pub kind: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its UID.
    pub uid: Option<String>,
    /// Which form of it was judged.
    pub resource_version: Option<String>,
    /// `aws` or `mysql`; none in the cluster.
    pub provider: Option<String>,
    region: Option<String>,
    arn: Option<String>,
    id: Option<String>,
    resource_id: Option<String>,
    host: Option<String>,
    owner: Option<Owner>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    kind: String,
    name: String,
    uid: String,
}

impl Aim {
    /// What distinguishes it from every other of its kind, as [`crate::plan::Target::key`] says it.
    #[must_use]
    pub fn key(&self) -> String {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let quota = Kind::QUOTAS.iter().any(|kind| kind.name() == self.kind);
        match (&self.uid, self.provider.as_deref(), &self.owner, &self.namespace) {
            (Some(uid), ..) => uid.clone(),
            (None, Some("aws"), ..) => text(&self.arn),
            (None, Some(_), ..) if self.kind == schema::KIND => format!("mysql/{}/{}", text(&self.host), text(&self.name)),
            (None, _, Some(owner), _) => format!("Secret {}", owner.uid),
            (None, _, None, Some(_)) if quota => format!("{} {self}", self.kind),
            (None, _, None, Some(_)) => self.to_string(),
            (None, _, None, None) => text(&self.name),
        }
    }
}

impl fmt::Display for Aim {
    /// How a person calls it, as [`crate::plan::Target::display`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().or(self.id.as_deref()).or(self.arn.as_deref()).unwrap_or_default();
        match self.namespace.as_deref().or(self.host.as_deref()) {
            Some(place) => write!(f, "{place}/{name}"),
            None => f.write_str(name),
        }
    }
}

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// One sentence.
    pub message: String,
    /// What to do next.
    pub help: &'static str,
}

const AGAIN: &str = "make a plan anew with `clonewarden plan -o json`; decisions may be taken out of it, and nothing in it changed";

/// What every document of ours says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<Value>,
    kind: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Whole {
    #[expect(dead_code, reason = "checked before, by `Head`")]
    api_version: String,
    #[expect(dead_code, reason = "checked before, by `Head`")]
    kind: String,
    now: Timestamp,
    policy_revision: String,
    #[expect(dead_code, reason = "said for people; the revision tells which policies they are")]
    policy_commit: Option<String>,
    applicable: Option<bool>,
    #[expect(dead_code, reason = "what was known then is asked for anew")]
    evidence: Vec<Evidence>,
    decisions: Vec<Decision>,
    #[expect(dead_code, reason = "it is part of the form")]
    next_wakeup: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is part of the form")]
struct Evidence {
    source: String,
    complete: bool,
    observed_at: Timestamp,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Decision {
    id: String,
    action: String,
    #[expect(dead_code, reason = "whether the daemon would do it is judged anew")]
    effective: bool,
    blocked_by: Option<String>,
    policy: Option<String>,
    target: Aim,
    reason: Reason,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    code: String,
    #[expect(dead_code, reason = "said for people; it is part of the form")]
    message: String,
    facts: Map<String, Value>,
}

impl Reason {
    /// The end that the decision is about: what is announced, or where nothing is, what was computed.
    fn end(&self) -> Option<Timestamp> {
        let end = self.facts.get("announcedEnd").or_else(|| self.facts.get("expiresAt"));
        end.and_then(Value::as_str)?.parse().ok()
    }
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// The first thing in it that is not as `clonewarden plan -o json` wrote it, or a plan that was made from files.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > LARGEST {
            return Err(Fault { line: 1, column: 1, message: format!("is larger than {} MiB", LARGEST >> 20), help: AGAIN });
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
            Err(error) => {
                let line = bytes.get(..error.valid_up_to()).unwrap_or_default().split(|byte| *byte == b'\n').count();
                return Err(Fault { line, column: 1, message: "is not UTF-8".to_owned(), help: AGAIN });
            }
        };
        let head: Head = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        for (field, said, wanted) in [("kind", head.kind, "Plan"), ("apiVersion", head.api_version, "clonewarden.io/v1alpha1")] {
            let Some(said) = said else {
                return Err(Fault { line: 1, column: 1, message: format!("says no `{field}`: it is no plan"), help: AGAIN });
            };
            if said != wanted {
                return Err(at(&text, &format!("\"{field}\""), 0, format!("`{field}` is {said}; `\"{wanted}\"` is applied and nothing else")));
            }
        }
        let whole: Whole = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        if whole.applicable == Some(false) {
            let message = "was made from files (`\"applicable\": false`): nothing can be applied from it".to_owned();
            return Err(Fault {
                help: "make a plan of the cluster itself: `clonewarden plan -o json` without `--from`",
                ..at(&text, "\"applicable\"", 0, message)
            });
        }
        let mut seen = HashSet::with_capacity(whole.decisions.len());
        let mut entries = Vec::with_capacity(whole.decisions.len());
        for decision in whole.decisions {
            let quoted = format!("\"{}\"", decision.id);
            // Several alerts may be about the same; none of them is carried out.
            if decision.action != Action::Alert.word() && !seen.insert(decision.id.clone()) {
                return Err(at(&text, &quoted, 1, format!("two decisions have the id `{}`", decision.id)));
            }
            let Some(action) = Action::ALL.into_iter().find(|action| action.word() == decision.action) else {
                return Err(at(
                    &text,
                    &quoted,
                    0,
                    format!("the decision `{}` has the action `{}`, which there is not", decision.id, decision.action),
                ));
            };
            let aim = decision.target;
            if decision::id(&aim.kind, &aim.key(), action.word(), &decision.reason.code, decision.reason.end()) != decision.id {
                let message = format!(
                    "the decision `{}` about {} `{aim}` was edited: its id is that of another target, action or reason",
                    decision.id, aim.kind
                );
                return Err(at(&text, &quoted, 0, message));
            }
            let Decision { id, blocked_by, policy, reason, .. } = decision;
            entries.push(Entry { id, action, blocked_by, policy, aim, code: reason.code });
        }
        Ok(Self { now: whole.now, revision: whole.policy_revision, entries, text })
    }

    /// What is wrong with one of its decisions, and where that stands.
    #[must_use]
    pub fn fault(&self, entry: &Entry, message: String) -> Fault {
        at(&self.text, &format!("\"{}\"", entry.id), 0, message)
    }

    /// A digest of it.
    #[must_use]
    pub fn digest(&self) -> String {
        decision::digest(&[&self.text])
    }
}

/// A fault where this text stands for the nth time.
fn at(text: &str, what: &str, nth: usize, message: String) -> Fault {
    let offset = text.match_indices(what).nth(nth).map_or(0, |(offset, _)| offset);
    let before = text.get(..offset).unwrap_or_default();
    let last = before.rsplit('\n').next().unwrap_or_default();
    Fault { line: before.matches('\n').count().saturating_add(1), column: last.chars().count().saturating_add(1), message, help: AGAIN }
}

fn unreadable(error: &serde_json::Error) -> Fault {
    // It repeats the position at the end of its message.
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
    Fault { line: error.line().max(1), column: error.column().max(1), message, help: AGAIN }
}
