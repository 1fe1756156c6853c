//! Sends spans to a collector, in batches.
//!
//! Contract: nobody waits for it. What does not fit into the queue is dropped, what cannot be sent is given up after a few tries; both
//! are counted, and that it fails is logged once.

use super::span::{self, Span};
use crate::{
    post::{self, Answer, Poster},
    rng::Rng,
};
use http::{HeaderMap, Uri};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How many spans go out at once.
const BATCH: usize = 512;
/// How long the first of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How often a batch is tried.
const TRIES: u32 = 4;
/// How long a collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A collector that asks for more patience has its batch given up instead: the next ones wait behind it.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Where spans are sent, and as whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// The address for traces, with its path.
    pub endpoint: Uri,
    /// What is sent along; what it says is a secret.
    pub headers: HeaderMap,
    /// The certificates (PEM) by which it is trusted; `None`: those of the machine.
    pub ca: Option<PathBuf>,
    /// What is said of this process.
    pub resource: Vec<(String, String)>,
    /// How many of a million traces are sent.
    pub sample: u32,
}

/// What became of the spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// The task that sends them.
pub(super) struct Exporter {
    pub(super) collector: Collector,
    pub(super) poster: Poster,
    pub(super) waiting: mpsc::Receiver<Span>,
    pub(super) counts: Arc<Counts>,
    pub(super) closing: CancellationToken,
    pub(super) rng: Rng,
    pub(super) failing: bool,
}

impl Exporter {
    /// Sends what comes, until the process ends; then what is left, once.
    pub(super) async fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                () = self.closing.cancelled() => break,
                taken = self.waiting.recv_many(&mut batch, BATCH) => if taken == 0 { break },
            }
            if batch.len() < BATCH {
                tokio::select! {
                    () = self.closing.cancelled() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
                self.fill(&mut batch);
            }
            self.send(&batch).await;
        }
        loop {
            let mut batch = Vec::new();
            self.fill(&mut batch);
            if batch.is_empty() {
                return;
            }
            self.send(&batch).await;
        }
    }

    fn fill(&mut self, batch: &mut Vec<Span>) {
        while batch.len() < BATCH {
            let Ok(span) = self.waiting.try_recv() else { return };
            batch.push(span);
        }
    }

    async fn send(&mut self, batch: &[Span]) {
        let body = span::request(&self.collector.resource, batch).to_string();
        let count = batch.len() as u64;
        match self.sent(body).await {
            Ok(rejected) => {
                let rejected = rejected.min(count);
                self.counts.failed.fetch_add(rejected, Ordering::Relaxed);
                self.counts.sent.fetch_add(count.saturating_sub(rejected), Ordering::Relaxed);
                if std::mem::take(&mut self.failing) {
                    info!("Traces reach the collector again.");
                }
            }
            Err(reason) => {
                self.counts.failed.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(reason, "Traces cannot be sent and are given up. Nothing else waits for them.");
                }
            }
        }
    }

    /// Sends a body; how many of its spans were rejected.
    async fn sent(&mut self, body: String) -> Result<u64, String> {
        let body = axum::body::Bytes::from(body);
        let mut tries: u32 = 0;
        loop {
            tries = tries.saturating_add(1);
            let answer = self.poster.post(&self.collector.endpoint, &self.collector.headers, body.clone(), PATIENCE).await;
            let (reason, wait) = match answer {
                Answer::Taken(_, text) => return Ok(rejected(&text)),
                Answer::Refused(reason, _) => return Err(reason),
                Answer::Later(reason, wait) => (reason, wait.unwrap_or_default()),
            };
            if tries >= TRIES || wait > LONGEST_PAUSE || self.closing.is_cancelled() {
                return Err(reason);
            }
            let pause = post::pause(tries, FIRST_PAUSE, LONGEST_PAUSE, self.rng.bits()).max(wait);
            tokio::select! {
                () = self.closing.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// How many spans a collector says it has rejected: a number, or in the JSON of protobuf a text.
fn rejected(text: &str) -> u64 {
    let answer: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let rejected = answer.pointer("/partialSuccess/rejectedSpans");
    rejected.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok())).unwrap_or_default()
}
