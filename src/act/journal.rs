//! The journal: one JSON line for each decision that was carried out, or whose verdict has changed.
//!
//! A line never holds anything but what the plan itself shows: no spec, no Secret. Its `id` is the decision's, so that a repeat
//! after a crash is recognisable.

use crate::plan::{Decision, Target, render};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

/// Where lines go.
pub struct Journal(Mutex<Box<dyn Write + Send>>);

/// How carrying out a decision ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The API server accepted it.
    Done,
    /// A step that has to come first was done; the rest follows.
    Begun,
    /// The object was gone already.
    Gone,
    /// The object is not the one that was judged any more; it is judged anew.
    Conflict(String),
    /// It did not work; it is tried again.
    Failed(String),
    /// It was not tried: the lease was lost, or everything is paused.
    Stopped,
}

impl Ending {
    /// The word in the journal and in metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Begun => "begun",
            Self::Gone => "gone",
            Self::Conflict(_) => "conflict",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
        }
    }

    fn detail(&self) -> Option<&str> {
        match self {
            Self::Conflict(detail) | Self::Failed(detail) => Some(detail),
            _ => None,
        }
    }
}

impl Journal {
    /// A journal that writes to `out`.
    #[must_use]
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(out)))
    }

    /// A decision was carried out, or failed.
    pub fn acted(&self, decision: &Decision, revision: &str, at: Timestamp, ending: &Ending) {
        let mut line = line("acted", decision, revision, at);
        line.insert("outcome".to_owned(), json!(ending.word()));
        if let Some(detail) = ending.detail() {
            line.insert("detail".to_owned(), json!(detail));
        }
        self.write(line);
    }

    /// The verdict on something has changed.
    pub fn decided(&self, decision: &Decision, revision: &str, at: Timestamp) {
        self.write(line("decided", decision, revision, at));
    }

    /// Something happened that is no decision: the brake was released, the lease was taken.
    pub fn noted(&self, event: &str, at: Timestamp, facts: Value) {
        let head = [("time".to_owned(), json!(at)), ("event".to_owned(), json!(event)), ("facts".to_owned(), facts)];
        self.write(Map::from_iter(head));
    }

    fn write(&self, line: Map<String, Value>) {
        let line = Value::Object(line);
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One write a line: cheaper by far, and a crash leaves no half of one.
        if let Err(error) = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()) {
            tracing::error!(%error, "The journal cannot be written.");
        }
    }
}

fn line(event: &str, decision: &Decision, revision: &str, at: Timestamp) -> Map<String, Value> {
    let head = [("time".to_owned(), json!(at)), ("event".to_owned(), json!(event)), ("policyRevision".to_owned(), json!(revision))];
    let mut line = Map::from_iter(head);
    if let Value::Object(fields) = render::decision(decision, at) {
        line.extend(fields);
    }
    if let Target::Clone(clone) = &decision.target {
        // For whoever wants to know later what came: `clonewarden simulate trace-of`.
        line.insert("clone".to_owned(), json!({"owner": clone.owner, "dedicated": clone.database.is_dedicated()}));
    }
    line
}
