//! Lines that wait to be written, and the thread that writes them.
//!
//! Contract: whoever has a line waits for nothing but a moment, and that once: while nothing can be written, lines gather up to
//! [`MOST`] bytes, and what comes after that is lost and counted. What failed is tried again until it works; then the journal itself says
//! how many lines are missing.

use super::sink::Sink;
use crate::model::journal::Line;
use jiff::Timestamp;
use serde_json::{Map, json};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tracing::{error, info};

/// The most bytes that wait: about ten thousand lines.
const MOST: usize = 8 << 20;
/// How long somebody with a line waits for room, before that and every further line is lost until there is room again.
const PATIENCE: Duration = Duration::from_millis(100);
/// How soon what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What became of the lines that went to one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The place: `file` or `stdout`.
    pub output: &'static str,
    /// How many were written.
    pub written: u64,
    /// How many were lost.
    pub lost: u64,
    /// How often a file could not be opened, or a line not be written.
    pub failures: u64,
    /// How often files could not be rotated.
    pub rotation_failures: u64,
}

/// The lines that wait for one place.
pub(super) struct Queue {
    name: &'static str,
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    /// There is a line, or there will be none any more.
    more: Condvar,
    /// There is room, or everything has been written.
    less: Condvar,
    written: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
    rotation_failures: Arc<AtomicU64>,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    /// Somebody has waited in vain: nobody else does before there is room.
    stuck: bool,
    /// What was taken is being written.
    writing: bool,
    closed: bool,
}

impl Queue {
    /// An empty queue, and the thread that empties it.
    pub(super) fn start(name: &'static str, sink: Box<dyn Sink>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            more: Condvar::new(),
            less: Condvar::new(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            rotation_failures: sink.rotation_failures(),
        });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name(format!("journal-{name}")).spawn(move || of_thread.write_all(name, sink))?;
        Ok(Self { name, shared })
    }

    /// Puts a line behind the others.
    pub(super) fn put(&self, line: &Arc<str>) {
        let shared = &*self.shared;
        let full = |waiting: &mut Waiting| waiting.bytes.saturating_add(line.len()) > MOST && !waiting.closed;
        let mut waiting = shared.waiting();
        if full(&mut waiting) && !waiting.stuck {
            waiting = shared.less.wait_timeout_while(waiting, PATIENCE, full).unwrap_or_else(PoisonError::into_inner).0;
            waiting.stuck = full(&mut waiting);
        }
        if full(&mut waiting) || waiting.closed {
            shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes = waiting.bytes.saturating_add(line.len());
        waiting.lines.push_back(Arc::clone(line));
        drop(waiting);
        shared.more.notify_one();
    }

    pub(super) fn tally(&self) -> Tally {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { written, lost, failures, rotation_failures, .. } = &*self.shared;
        Tally { output: self.name, written: of(written), lost: of(lost), failures: of(failures), rotation_failures: of(rotation_failures) }
    }

    /// Waits until then for what waits to be written, and takes no more.
    pub(super) fn close(&self, until: Instant) {
        let shared = &*self.shared;
        let left = until.saturating_duration_since(Instant::now());
        let mut waiting = shared.waiting();
        waiting.closed = true;
        shared.more.notify_one();
        let unfinished = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        let _ = shared.less.wait_timeout_while(waiting, left, unfinished);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.waiting().closed = true;
        self.shared.more.notify_one();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next line; `None`: there will be none.
    fn next(&self) -> Option<Arc<str>> {
        let nothing = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
        let mut waiting = self.more.wait_while(self.waiting(), nothing).unwrap_or_else(PoisonError::into_inner);
        let line = waiting.lines.pop_front()?;
        waiting.bytes = waiting.bytes.saturating_sub(line.len());
        waiting.writing = true;
        // Not as soon as there is room for one: whoever waits would be woken for each.
        waiting.stuck &= waiting.bytes > MOST.div_euclid(2);
        Some(line)
    }

    fn write_all(&self, name: &'static str, mut sink: Box<dyn Sink>) {
        let mut told = 0;
        while let Some(line) = self.next() {
            if !self.write(name, &line, sink.as_mut()) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            let lost = self.lost.load(Ordering::Relaxed);
            if lost > told && !self.waiting().stuck {
                let facts = Map::from_iter([("lines".to_owned(), json!(lost.saturating_sub(told)))]);
                let hole = serde_json::to_string(&Line { facts, ..Line::new("lost", Timestamp::now()) }).unwrap_or_default();
                if self.write(name, &format!("{hole}\n"), sink.as_mut()) {
                    told = lost;
                }
            }
            self.waiting().writing = false;
            self.less.notify_all();
        }
        self.less.notify_all();
    }

    /// Writes a line, however often that has to be tried; once nobody waits for it any more, only once more. Whether it is written.
    fn write(&self, name: &'static str, line: &str, sink: &mut dyn Sink) -> bool {
        let mut since: Option<Instant> = None;
        loop {
            let closed = self.waiting().closed;
            match sink.write(line.as_bytes()) {
                Ok(()) => {
                    if let Some(since) = since {
                        let lost = self.lost.load(Ordering::Relaxed);
                        info!(output = name, seconds = since.elapsed().as_secs(), lost, "The journal is written again.");
                    }
                    self.written.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                Err(error) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    if since.is_none() {
                        error!(output = name, %error, "The journal cannot be written. Decisions are carried out all the same; lines wait until it can be, as many as there is room for.");
                    }
                    since.get_or_insert_with(Instant::now);
                }
            }
            if closed {
                return false;
            }
            let waiting = self.waiting();
            let _ = self.more.wait_timeout_while(waiting, RETRY, |waiting| !waiting.closed);
        }
    }
}
