//! The journal: one JSON line for each decision that was carried out, or whose verdict has changed, and for what people did.
//!
//! A line never holds anything but what the plan itself shows: no spec, no Secret. Its `id` is the decision's, so that a repeat
//! after a crash is recognisable. The format is [`crate::model::journal`]; `docs/journal.md` tells of it.

pub mod files;
mod pursuit;
mod queue;
mod recent;
mod sink;
mod tell;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod words;

pub use queue::Tally;
pub use sink::{Kept, Outputs};

use crate::{
    model::{
        Snapshot,
        approval::{Approval, Approved},
        journal::Line,
    },
    plan::{Decision, Plan},
    policy::Policies,
};
use jiff::Timestamp;
use pursuit::Pursuit;
use queue::Queue;
use recent::Recent;
use serde_json::{Map, Value};
use std::{
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// Where lines go.
pub struct Journal {
    out: Out,
    pursuit: Mutex<Pursuit>,
    recent: Recent,
    listener: OnceLock<Arc<dyn Listener>>,
}

/// Hears every line, beside where they are written.
pub(crate) trait Listener: Send + Sync {
    /// A line is written. It must return at once: what it is about may be under way.
    fn hear(&self, line: &Line);
}

enum Out {
    /// Written at once, by whoever has something to say.
    Direct(Mutex<Box<dyn Write + Send>>),
    /// Each with a queue and a thread of its own, so that none waits for another, and nobody long for any.
    Queued(Vec<Queue>),
}

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
    /// A journal that is written to `out` at once.
    #[must_use]
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self { out: Out::Direct(Mutex::new(Box::new(out))), pursuit: Mutex::default(), recent: Recent::default(), listener: OnceLock::new() }
    }

    /// A journal that is written to these places, by threads of its own.
    ///
    /// # Errors
    /// A file that cannot be opened; a thread that cannot be started.
    pub fn open(outputs: &Outputs) -> io::Result<Self> {
        let queues = outputs.open()?.into_iter().map(|(name, sink)| Queue::start(name, sink)).collect::<io::Result<_>>()?;
        Ok(Self { out: Out::Queued(queues), pursuit: Mutex::default(), recent: Recent::default(), listener: OnceLock::new() })
    }

    /// A decision was carried out, or failed; in which trace, if it is in one.
    pub fn acted(&self, decision: &Decision, plan: &Plan, policies: &Policies, at: Timestamp, ending: &Ending, trace: Option<String>) {
        let line = Line { trace, ..tell::acted(decision, plan, policies, at, ending) };
        self.pursuit.lock().unwrap_or_else(PoisonError::into_inner).acted(decision, &line);
        self.write(line);
    }

    /// The verdict on something has changed.
    pub fn decided(&self, decision: &Decision, plan: &Plan, policies: &Policies) {
        self.write(tell::decided(decision, plan, policies));
    }

    /// Something happened that is no decision: the brake was released, the lease was taken.
    pub fn noted(&self, event: &str, at: Timestamp, facts: Value) {
        let facts = match facts {
            Value::Object(facts) => facts,
            Value::Null => Map::new(),
            other => Map::from_iter([("what".to_owned(), other)]),
        };
        self.write(Line { facts, ..Line::new(event, at) });
    }

    /// A person had this decision carried out, and how that ended.
    pub fn applied(&self, approval: &Approval, decision: &Approved, at: Timestamp) {
        self.write(tell::applied(approval, decision, at));
    }

    /// Tells of each clone that was on its way out and is gone with everything that was its own.
    pub fn follow(&self, snapshot: &Snapshot, plan: &Plan, policies: &Policies) {
        let gone = self.pursuit.lock().unwrap_or_else(PoisonError::into_inner).look(snapshot, plan, policies);
        gone.into_iter().for_each(|line| self.write(line));
    }

    /// What was done last, newest first, and how many lines of that there were in all.
    #[must_use]
    pub fn last_deeds(&self) -> (Vec<Arc<Line>>, u64) {
        self.recent.last()
    }

    /// What became of the lines, by where they go.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        match &self.out {
            Out::Direct(_) => Vec::new(),
            Out::Queued(queues) => queues.iter().map(Queue::tally).collect(),
        }
    }

    /// Waits until everything is written that waits, but no longer than that. What is written afterwards may be lost.
    pub fn close(&self, within: Duration) {
        if let Out::Queued(queues) = &self.out {
            let until = Instant::now() + within;
            queues.iter().for_each(|queue| queue.close(until));
        }
    }

    /// Has somebody hear every line from now on. Only the first who asks does.
    pub(crate) fn tell(&self, listener: Arc<dyn Listener>) {
        let _ = self.listener.set(listener);
    }

    fn write(&self, line: Line) {
        if let Some(listener) = self.listener.get() {
            listener.hear(&line);
        }
        let text = match serde_json::to_string(&line) {
            Ok(text) => text + "\n",
            Err(error) => return tracing::error!(%error, "A line of the journal cannot be put into words."),
        };
        match &self.out {
            // One write a line: cheaper by far, and a crash leaves no half of one.
            Out::Direct(out) => {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                    tracing::error!(%error, "The journal cannot be written.");
                }
            }
            Out::Queued(queues) => {
                let text: Arc<str> = text.into();
                queues.iter().for_each(|queue| queue.put(&text));
            }
        }
        self.recent.add(line);
    }
}
