//! Brings what is told to one receiver: tries again while it may help, and gives up when it cannot.
//!
//! Contract: nothing waits for it. What fails is tried [`TRIES`] times within about a minute, longer only where the receiver asks for that.

use super::{
    body::{Letter, letter},
    config::Receiver,
    desk::{Desk, Message, Taken},
    notice::Notice,
};
use crate::{
    post::{self, Answer, LONGEST_WAIT, Poster},
    rng::Rng,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often a message is tried.
pub(super) const TRIES: u32 = 7;
/// How long a receiver may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How soon the second try comes; each further one comes after twice as long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The header that says the same for a repeat of the same message.
const ID: HeaderName = HeaderName::from_static("idempotency-key");

/// What became of the notices for one receiver.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// They were sent, each in a message of its own or in a digest.
    pub(super) sent: AtomicU64,
    /// The receiver did not take them.
    pub(super) failed: AtomicU64,
    /// Too many waited.
    pub(super) dropped: AtomicU64,
    /// They had been told already.
    pub(super) repeated: AtomicU64,
}

/// What brings notices to one receiver.
pub(super) struct Courier {
    pub(super) receiver: Receiver,
    pub(super) owners: Arc<BTreeMap<String, String>>,
    pub(super) poster: Poster,
    pub(super) desk: Desk,
    pub(super) waiting: mpsc::Receiver<Arc<Notice>>,
    pub(super) counts: Arc<Counts>,
    /// The process ends: nothing is tried twice any more.
    pub(super) closing: CancellationToken,
    pub(super) rng: Rng,
    pub(super) patience: Duration,
    pub(super) first_pause: Duration,
    /// How many were lost when that was last told.
    pub(super) told_lost: u64,
    pub(super) failing: bool,
}

impl Courier {
    /// Brings what comes, until the process ends; then what is left, once.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.desk.due();
            tokio::select! {
                biased;
                () = self.closing.cancelled() => break,
                () = at(due) => self.bring_gathered().await,
                notice = self.waiting.recv() => match notice {
                    Some(notice) => self.take(notice).await,
                    None => break,
                },
            }
        }
        while let Ok(notice) = self.waiting.try_recv() {
            self.take(notice).await;
        }
        self.bring_gathered().await;
    }

    async fn take(&mut self, notice: Arc<Notice>) {
        match self.desk.take(notice, Instant::now()) {
            Taken::Now(message) => self.bring(&message).await,
            Taken::Gathered => {}
            Taken::Repeated => {
                self.counts.repeated.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn bring_gathered(&mut self) {
        if let Some(message) = self.desk.gathered(Instant::now()) {
            self.bring(&message).await;
        }
    }

    async fn bring(&mut self, message: &Message) {
        let lost = self.counts.failed.load(Ordering::Relaxed).saturating_add(self.counts.dropped.load(Ordering::Relaxed));
        let letter = letter(&self.receiver, &self.owners, message, lost.saturating_sub(self.told_lost));
        let brought = match letter {
            Ok(letter) => self.send(&letter).await,
            Err(error) => Err(format!("its template makes nothing of it: {error}")),
        };
        let receiver = &self.receiver.name;
        match brought {
            Ok(()) => {
                self.counts.sent.fetch_add(message.count(), Ordering::Relaxed);
                self.told_lost = lost;
                if std::mem::take(&mut self.failing) {
                    info!(receiver, "The receiver takes notifications again.");
                }
            }
            Err(reason) => {
                self.counts.failed.fetch_add(message.count(), Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(receiver, reason, "A notification could not be sent and is given up; the journal has it. Nothing else waits for it.");
                }
            }
        }
    }

    /// Sends a message, however often that has to be tried.
    async fn send(&mut self, letter: &Letter) -> Result<(), String> {
        let mut tries: u32 = 0;
        loop {
            tries = tries.saturating_add(1);
            let (reason, wait) = match once(&self.poster, &self.receiver, letter, self.patience).await {
                Answer::Taken(..) => return Ok(()),
                Answer::Refused(reason, _) => return Err(reason),
                Answer::Later(reason, wait) => (reason, wait),
            };
            if tries >= TRIES || self.closing.is_cancelled() {
                return Err(reason);
            }
            let pause = post::pause(tries, self.first_pause, LONGEST_WAIT, self.rng.bits());
            tokio::select! {
                () = tokio::time::sleep(wait.unwrap_or_default().max(pause)) => {}
                () = self.closing.cancelled() => {}
            }
        }
    }
}

/// Sends a message once.
pub(super) async fn once(poster: &Poster, receiver: &Receiver, letter: &Letter, patience: Duration) -> Answer {
    // Read anew each time: a mounted Secret changes.
    let of_files = receiver.address().and_then(|address| Ok((address, receiver.headers()?)));
    let (address, own) = match of_files {
        Ok(found) => found,
        Err(error) => return Answer::Later(error, None),
    };
    let mut headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::USER_AGENT, HeaderValue::from_static(concat!("clonewarden/", env!("CARGO_PKG_VERSION")))),
    ]);
    if let Ok(id) = HeaderValue::try_from(&letter.id) {
        headers.insert(ID, id);
    }
    headers.extend(own);
    poster.post(&address, &headers, letter.body.clone().into(), patience).await
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
