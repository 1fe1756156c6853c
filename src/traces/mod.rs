//! Traces: what the daemon did and how long it took, sent to an OpenTelemetry collector (OTLP over HTTP, in JSON).
//!
//! Contract: off without `--otlp-endpoint`, and then nothing is measured. Spans are made of what has happened already, so nothing waits for them
//! and a turn of the loop that did nothing is not told. The id of a decision is on its span, as it is in the journal, in the name of its Event
//! and in the log.

mod exporter;
mod span;
#[cfg(test)]
mod tests;

pub use exporter::Collector;
pub(crate) use span::{Attribute, Parent};

use crate::{
    plan::{Decision, Plan},
    post::Poster,
    rng::Rng,
};
use exporter::{Counts, Exporter};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use span::{Span, trace_id};
use std::{
    collections::{VecDeque, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How many spans may wait to be sent: a few megabytes.
const WAITING: usize = 4_096;
/// How many turns of the loop are remembered: what is done beside the loop, in AWS or on a host, ends some turns later.
const TURNS: usize = 64;
/// A turn that takes longer is told even if it did nothing.
const SLOW: SignedDuration = SignedDuration::from_secs(1);

/// Notes what happened; does nothing until it is started.
#[derive(Clone, Default)]
pub struct Tracer(Arc<OnceLock<Running>>);

struct Running {
    queue: mpsc::Sender<Span>,
    counts: Arc<Counts>,
    sample: u64,
    numbers: Mutex<Rng>,
    turns: Mutex<VecDeque<Turn>>,
    closing: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// A turn of the loop.
struct Turn {
    /// The moment that its plan is about.
    plan: Timestamp,
    trace: u128,
    /// The turn itself and its parts, until they are sent.
    spans: Vec<Span>,
    id: u64,
    over: bool,
    worth: bool,
}

impl Tracer {
    /// Begins to send spans to this collector.
    ///
    /// # Errors
    /// Its certificates cannot be used.
    pub(crate) fn start(&self, collector: Collector) -> Result<(), String> {
        let (queue, waiting) = mpsc::channel(WAITING);
        let (counts, closing) = (Arc::<Counts>::default(), CancellationToken::new());
        let poster = Poster::new(collector.ca.as_deref())?;
        let sample = u64::from(collector.sample);
        let numbers = |what: &str| Rng::new(RandomState::new().hash_one(what));
        let exporter =
            Exporter { collector, poster, waiting, counts: Arc::clone(&counts), closing: closing.clone(), rng: numbers("pauses"), failing: false };
        let task = Mutex::new(Some(tokio::spawn(exporter.run())));
        let running = Running { queue, counts, sample, numbers: Mutex::new(numbers("ids")), turns: Mutex::default(), closing, task };
        let _ = self.0.set(running);
        Ok(())
    }

    /// What time it is, if anything is measured at all.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.0.get().map(|_| Timestamp::now())
    }

    /// A turn of the loop has looked (from `begun` on) and planned (from `looked` on).
    pub(crate) fn planned(&self, plan: &Plan, begun: Option<Timestamp>, looked: Option<Timestamp>) {
        let (Some(running), Some(begun), Some(looked)) = (self.0.get(), begun, looked) else { return };
        let Some(trace) = running.sampled(None) else { return };
        let (id, now) = (running.id(), Timestamp::now());
        let effective = plan.decisions.iter().filter(|decision| decision.effective()).count();
        let incomplete = plan.evidence.iter().filter(|(_, evidence)| !evidence.complete).count();
        let part = |name, begun, ended, attributes| Span {
            trace,
            id: running.id(),
            parent: Some(id),
            name,
            served: false,
            begun,
            ended,
            attributes,
            failed: false,
        };
        let spans = vec![
            Span { id, parent: None, ..part("cycle", begun, now, vec![("policy.revision", json!(plan.revision.hash))]) },
            part("observe", begun, looked, vec![("evidence.incomplete", json!(incomplete))]),
            part("plan", looked, now, vec![("decisions", json!(plan.decisions.len())), ("decisions.effective", json!(effective))]),
        ];
        let mut turns = running.turns();
        if turns.len() >= TURNS {
            turns.pop_front();
        }
        turns.push_back(Turn { plan: plan.now, trace, spans, id, over: false, worth: false });
    }

    /// A decision of that plan was carried out from `begun` on, and ended so.
    pub(crate) fn acted(&self, plan: &Plan, decision: &Decision, begun: Option<Timestamp>, outcome: &'static str) {
        let (Some(running), Some(begun)) = (self.0.get(), begun) else { return };
        let mut turns = running.turns();
        let Some(turn) = turns.iter_mut().rev().find(|turn| turn.plan == plan.now) else { return };
        turn.worth = true;
        let meta = decision.target.meta();
        let text = |text: Option<&str>| json!(text.unwrap_or_default());
        let attributes = vec![
            ("decision.id", json!(decision.id())),
            ("decision.action", json!(decision.action.word())),
            ("decision.code", json!(decision.reason.code())),
            ("decision.policy", text(decision.policy.as_deref())),
            ("target.kind", json!(decision.target.kind())),
            ("target.namespace", text(meta.map(|meta| meta.namespace()))),
            ("target.name", json!(decision.target.display())),
            ("outcome", json!(outcome)),
        ];
        let failed = outcome == "failed";
        let (trace, id, ended) = (turn.trace, running.id(), Timestamp::now());
        running.put(Span { trace, id, parent: Some(turn.id), name: "act", served: false, begun, ended, attributes, failed });
        if turn.over {
            std::mem::take(&mut turn.spans).into_iter().for_each(|span| running.put(span));
        }
    }

    /// The turn of the loop that carried out this plan is over.
    pub(crate) fn turned(&self, plan: &Plan) {
        let Some(running) = self.0.get() else { return };
        let mut turns = running.turns();
        let Some(turn) = turns.iter_mut().rev().find(|turn| turn.plan == plan.now && !turn.over) else { return };
        turn.over = true;
        let now = Timestamp::now();
        if let Some(root) = turn.spans.first_mut() {
            root.ended = now;
            turn.worth |= now.duration_since(root.begun) > SLOW;
        }
        // What did nothing is kept for a while: something that it began beside the loop may yet end.
        if turn.worth {
            std::mem::take(&mut turn.spans).into_iter().for_each(|span| running.put(span));
        }
    }

    /// The trace that the carrying out of this plan is in, if it is in one.
    pub(crate) fn trace_of(&self, plan: &Plan) -> Option<String> {
        let turns = self.0.get()?.turns();
        turns.iter().rev().find(|turn| turn.plan == plan.now).map(|turn| trace_id(turn.trace))
    }

    /// Something happened by itself, or because `parent` asked for it, from `begun` on.
    pub(crate) fn happened(&self, name: &'static str, begun: Option<Timestamp>, parent: Option<Parent>, attributes: Vec<Attribute>, failed: bool) {
        let (Some(running), Some(begun)) = (self.0.get(), begun) else { return };
        let Some(trace) = running.sampled(parent) else { return };
        let served = name == "admission";
        let (id, ended) = (running.id(), Timestamp::now());
        running.put(Span { trace, id, parent: parent.map(|parent| parent.id), name, served, begun, ended, attributes, failed });
    }

    /// How many spans had which outcome.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let Some(running) = self.0.get() else { return Vec::new() };
        let Counts { sent, failed, dropped } = &*running.counts;
        [("sent", sent), ("failed", failed), ("dropped", dropped)].map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed))).to_vec()
    }

    /// Sends what waits, once, but takes no longer than that.
    pub(crate) async fn close(&self, within: Duration) {
        let Some(running) = self.0.get() else { return };
        running.closing.cancel();
        let task = running.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = tokio::time::timeout(within, task).await;
        }
    }
}

impl Running {
    fn turns(&self) -> std::sync::MutexGuard<'_, VecDeque<Turn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> u64 {
        // 0 is no id.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).bits().max(1)
    }

    /// The trace that something belongs to, if it is one that is sent: whoever asks has decided that already.
    fn sampled(&self, parent: Option<Parent>) -> Option<u128> {
        match parent {
            Some(parent) => parent.sampled.then_some(parent.trace),
            None => {
                let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
                let (high, low) = (u128::from(numbers.bits()), u128::from(numbers.bits().max(1)));
                (numbers.below(1_000_000) < self.sample).then_some(high << 64 | low)
            }
        }
    }

    fn put(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
