//! A trace out of a journal: who came, as far as the daemon has written it down.
//!
//! Contract: what a journal does not say is not made up. It says when a clone was created, how long it was to live, where, whose it was and
//! what database it has; not its labels. An older one does not say whose it was either. Who was refused is in no journal at all.

use super::trace::Arrival;
use crate::model::{Span, names};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, de::IgnoredAny};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Whose a clone is of which a journal does not say it.
pub const UNKNOWN: &str = "unknown";

/// What was found in a journal, line by line.
#[derive(Debug, Default)]
pub struct History {
    clones: HashMap<String, Seen>,
    /// How many lines were about something else.
    pub others: u64,
    /// How many lines say what happened and when, as every line of a journal does.
    pub events: u64,
}

#[derive(Debug)]
struct Seen {
    namespace: String,
    name: String,
    created: Timestamp,
    end: Timestamp,
    cause: String,
    owner: Option<String>,
    dedicated: Option<bool>,
    ended: bool,
    deleted: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Line {
    time: Option<IgnoredAny>,
    event: Option<IgnoredAny>,
    #[serde(default)]
    action: String,
    #[serde(default)]
    outcome: String,
    target: Option<Target>,
    reason: Option<Reason>,
    clone: Option<Clone>,
}

#[derive(Deserialize)]
struct Target {
    kind: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    #[serde(default)]
    facts: Facts,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Facts {
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    cause: String,
    since: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Clone {
    owner: Option<String>,
    dedicated: Option<bool>,
}

impl History {
    /// Reads one line.
    ///
    /// # Errors
    /// If it is no line of a journal.
    pub fn read(&mut self, line: &str) -> Result<(), String> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let line: Line = serde_json::from_str(line).map_err(|error| format!("{error}: a journal has one JSON object a line"))?;
        self.events = self.events.saturating_add((line.time.is_some() && line.event.is_some()).into());
        let (Some(target), Some(reason)) = (&line.target, &line.reason) else {
            self.others = self.others.saturating_add(1);
            return Ok(());
        };
        if target.kind != names::CLONE_KIND || target.uid.is_empty() {
            self.others = self.others.saturating_add(1);
            return Ok(());
        }
        if let (Some(created), Some(end)) = (reason.facts.created_at, reason.facts.expires_at) {
            let seen = self.clones.entry(target.uid.clone()).or_insert_with(|| Seen {
                namespace: target.namespace.clone(),
                name: target.name.clone(),
                created,
                end,
                cause: reason.facts.cause.clone(),
                owner: None,
                dedicated: None,
                ended: false,
                deleted: None,
            });
            if let Some(clone) = &line.clone {
                seen.owner = seen.owner.take().or_else(|| clone.owner.clone());
                seen.dedicated = seen.dedicated.or(clone.dedicated);
            }
            seen.ended |= line.action == "delete" && line.outcome == "done";
        }
        if reason.code == "Terminating"
            && let Some(seen) = self.clones.get_mut(&target.uid).filter(|seen| !seen.ended)
        {
            seen.deleted = seen.deleted.or(reason.facts.since);
        }
        Ok(())
    }

    /// Of how many clones it is not known whose they are.
    #[must_use]
    pub fn unowned(&self) -> usize {
        self.clones.values().filter(|seen| seen.owner.is_none()).count()
    }

    /// The trace, in the order of time.
    #[must_use]
    pub fn arrivals(self) -> Vec<Arrival> {
        let none = Arc::new(BTreeMap::new());
        let whole = |length: SignedDuration| Some(Span::seconds(length.as_secs())).filter(|span| span.as_secs() > 0);
        let arrival = |seen: Seen| Arrival {
            at: Timestamp::from_second(seen.created.as_second()).unwrap_or(seen.created),
            namespace: seen.namespace.into(),
            name: Some(seen.name.into()),
            owner: seen.owner.as_deref().unwrap_or(UNKNOWN).into(),
            // A default is the policy's, which another policy may have another of.
            ttl: if seen.cause == "default" { None } else { whole(seen.end.duration_since(seen.created)) },
            labels: Arc::clone(&none),
            dedicated: seen.dedicated,
            class: None,
            uses: seen.deleted.filter(|deleted| *deleted < seen.end).and_then(|deleted| whole(deleted.duration_since(seen.created))),
        };
        let mut arrivals: Vec<Arrival> = self.clones.into_values().map(arrival).collect();
        arrivals.sort_by(|one, other| (one.at, &one.namespace, &one.name).cmp(&(other.at, &other.namespace, &other.name)));
        arrivals
    }
}
