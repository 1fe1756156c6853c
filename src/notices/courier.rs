//! Brings what is told to one receiver: tries again while it may help, and gives up when it cannot.
//!
//! ```text
//! take ──► Desk ──► errands ──► one try at a time, the most urgent first
//!                      ▲ │ not taken: all wait a little, or it alone does
//!                      └─┘
//! ```
//!
//! Contract: nothing waits for it, and no message for another one's pauses longer than the receiver itself needs them. What fails is tried
//! [`TRIES`] times within about a minute, longer only where the receiver asks for that; what is critical is tried for a day, whatever is
//! answered. At the end of the process all that is left goes out as one message. What is given up is counted, and told of in the next one.
//! Where its task dies it is started again: all that waits lies outside of the task, and what was under way has failed once.

use super::{
    bag::{Bag, Errand, Wakes},
    body::{Letter, letter},
    config::Receiver,
    counts::Lost,
    message::Message,
    notice::{Notice, Severity},
};
use crate::post::{Answer, Poster};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tracing::{error, info, warn};

/// How often a message is tried.
const TRIES: u32 = 7;
/// The header that says the same for a repeat of the same message.
const ID: HeaderName = HeaderName::from_static("idempotency-key");

/// How long something is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long a receiver may take to answer.
    pub(super) answer: Duration,
    /// How soon the second try comes; each further one comes after twice as long.
    pub(super) first_pause: Duration,
    /// How long a critical message is tried.
    pub(super) critical: Duration,
}

/// What is waited for outside of tests.
pub(super) const PATIENCE: Patience =
    Patience { answer: Duration::from_secs(10), first_pause: Duration::from_secs(1), critical: Duration::from_secs(24 * 3_600) };

/// Sends a letter once.
pub(super) type Deliver = Box<dyn Fn(Arc<Letter>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// What brings notices to one receiver.
pub(super) struct Courier {
    pub(super) receiver: Arc<Receiver>,
    pub(super) owners: Arc<BTreeMap<String, String>>,
    pub(super) deliver: Deliver,
    /// By when everything has to be out, as soon as the process ends.
    pub(super) closing: watch::Receiver<Option<Instant>>,
    pub(super) patience: Patience,
    pub(super) bag: Mutex<Bag>,
    pub(super) more: Notify,
}

impl Courier {
    /// Takes a notice, and waits for nothing.
    pub(super) fn take(&self, notice: Arc<Notice>) {
        // Whoever says this is deciding and deleting: a bug here must not end that.
        let taken = catch_unwind(AssertUnwindSafe(|| self.bag().take(Arc::clone(&notice), Instant::now())));
        let reason = match taken {
            Ok(true) => return self.more.notify_one(),
            Ok(false) => "it came after the last message of this process",
            Err(_) => "a bug of the daemon",
        };
        let (receiver, message) = (&self.receiver.name, Message::of(notice));
        let mut bag = self.bag();
        bag.counts.dropped(&message);
        // When the same is found again, it is told.
        bag.desk.forget(message.ids());
        if taken.is_err() {
            bag.count_restart();
            error!(receiver, "What sorts the notifications for a receiver has failed: this is a bug. Everything else goes on.");
        }
        if message.severity() == Severity::Critical {
            error!(receiver, reason, what = texts(&message), "A critical notification is lost: it found no place. The journal has it.");
        }
    }

    /// Brings what comes until the process ends, and then what is left, whatever becomes of the task.
    pub(super) async fn run(self: Arc<Self>) {
        // It goes with us, too, when we are broken off.
        let mut tasks = JoinSet::new();
        loop {
            tasks.spawn(Arc::clone(&self).work());
            let Some(Err(died)) = tasks.join_next().await else { return };
            let receiver = &self.receiver.name;
            error!(receiver, %died, "What tells a receiver has died: this is a bug. It is started again, and nothing that waits is lost.");
            self.bag().count_restart();
            self.settle(Answer::Later("a bug of the daemon has ended the try".to_owned(), None), Instant::now());
            tokio::time::sleep(self.patience.first_pause).await;
        }
    }

    async fn work(self: Arc<Self>) {
        let mut closing = self.closing.clone();
        loop {
            let wakes = self.bag().begin(Instant::now());
            let until = match wakes {
                Wakes::Now => {
                    let mut answer = std::pin::pin!(self.attempt());
                    tokio::select! {
                        biased;
                        until = closed(&mut closing) => {
                            // Half of the time: what is left may be more urgent.
                            let now = Instant::now();
                            let soon = now + until.saturating_duration_since(now).checked_div(2).unwrap_or_default();
                            if let Ok(answer @ Answer::Taken(..)) = timeout_at(soon, answer).await {
                                self.settle(answer, Instant::now());
                            }
                            until
                        }
                        answer = &mut answer => {
                            self.settle(answer, Instant::now());
                            continue;
                        }
                    }
                }
                Wakes::At(due) => tokio::select! {
                    biased;
                    until = closed(&mut closing) => until,
                    () = self.more.notified() => continue,
                    () = at(due) => continue,
                },
            };
            return self.finish(until).await;
        }
    }

    pub(super) fn bag(&self) -> MutexGuard<'_, Bag> {
        self.bag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries once what is to be tried.
    async fn attempt(&self) -> Answer {
        match self.letter() {
            Some(letter) => (self.deliver)(letter).await,
            None => std::future::pending().await,
        }
    }

    /// The letter that is tried. What it says is made without the lock: whoever has something to tell does not wait for a template.
    fn letter(&self) -> Option<Arc<Letter>> {
        let (message, refused, lost) = {
            let bag = self.bag();
            match bag.trying.as_ref()? {
                Errand { letter: Some((letter, _)), .. } => return Some(Arc::clone(letter)),
                errand => (errand.message.clone(), errand.refused.clone(), bag.counts.lost()),
            }
        };
        let letter = Arc::new(letter(&self.receiver, &self.owners, &message, &lost, refused.as_deref()));
        if let Some(problem) = &letter.problem {
            let receiver = &self.receiver.name;
            error!(receiver, problem, "A template makes nothing of a notification, which is sent in the words of the daemon instead.");
        }
        let told = if letter.tells_lost { lost } else { Lost::default() };
        self.bag().trying.as_mut()?.letter = Some((Arc::clone(&letter), told));
        Some(letter)
    }

    /// What becomes of the message that was tried.
    fn settle(&self, answer: Answer, now: Instant) {
        let mut bag = self.bag();
        let Some(mut errand) = bag.trying.take() else { return };
        let (reason, wait) = match answer {
            Answer::Taken(..) => return self.taken(&mut bag, &errand),
            Answer::Refused(reason, _) if !errand.is_critical() => return self.give_up(&mut bag, &errand.message, &reason),
            Answer::Refused(reason, _) => {
                if errand.letter.as_ref().is_some_and(|(letter, _)| letter.by_template) {
                    errand.letter = None;
                    errand.refused = Some(reason.clone());
                }
                (reason, None)
            }
            Answer::Later(reason, wait) => {
                let pause = bag.pause(errand.tries, wait, self.patience.first_pause);
                // What it asks for is meant for everything, and so is that it does not answer; later each critical one waits by itself.
                if errand.tries < TRIES {
                    bag.rests = Some(now + pause);
                    errand.next = now + pause;
                    bag.errands.push(errand);
                    return;
                }
                (reason, wait)
            }
        };
        if !errand.is_critical() || now.saturating_duration_since(errand.since) >= self.patience.critical {
            return self.give_up(&mut bag, &errand.message, &reason);
        }
        if !std::mem::replace(&mut errand.late, true) {
            let (receiver, what) = (&self.receiver.name, texts(&errand.message));
            error!(receiver, reason, what, "A critical notification is not taken. It is tried for a day, and nothing else waits for it.");
        }
        errand.next = now + bag.pause(errand.tries, wait, self.patience.first_pause);
        bag.errands.push(errand);
        bag.join_late(now);
    }

    fn taken(&self, bag: &mut Bag, errand: &Errand) {
        bag.rests = None;
        let told = errand.letter.as_ref().map(|(_, lost)| lost.clone()).unwrap_or_default();
        bag.counts.sent(&errand.message, &told);
        if std::mem::take(&mut bag.failing) {
            info!(receiver = self.receiver.name, "The receiver takes notifications again.");
        }
    }

    fn give_up(&self, bag: &mut Bag, message: &Message, reason: &str) {
        bag.counts.failed(message);
        // Where the same is found again, it has not been told.
        bag.desk.forget(message.ids());
        let receiver = &self.receiver.name;
        if message.severity() == Severity::Critical {
            let what = texts(message);
            error!(receiver, reason, what, "A critical notification is lost: it could not be sent. The journal has it.");
        } else if !std::mem::replace(&mut bag.failing, true) {
            warn!(receiver, reason, "A notification could not be sent and is given up; the journal has it. Nothing else waits for it.");
        }
    }

    /// Brings all that is left as one message, by then.
    async fn finish(&self, until: Instant) {
        if !self.bag().close(Instant::now()) {
            return;
        }
        let mut reason = "there was no time for it".to_owned();
        loop {
            match timeout_at(until, self.attempt()).await {
                Ok(answer @ Answer::Taken(..)) => return self.settle(answer, Instant::now()),
                Ok(Answer::Later(why, _) | Answer::Refused(why, _)) => reason = why,
                Err(_) => break,
            }
            let again = Instant::now() + self.bag().tries_again(self.patience.first_pause);
            if again >= until {
                break;
            }
            tokio::time::sleep_until(again).await;
        }
        let mut bag = self.bag();
        let Some(errand) = bag.trying.take() else { return };
        bag.failing = true;
        self.give_up(&mut bag, &errand.message, &reason);
        warn!(
            receiver = self.receiver.name,
            count = errand.message.count,
            reason,
            "The process ends, and notifications are lost that were not taken; the journal has them."
        );
    }
}

/// What the critical ones in it say.
fn texts(message: &Message) -> String {
    message.criticals().map(|notice| notice.text()).collect::<Vec<_>>().join("; ")
}

/// Sends a message once; with the answer the text that came with it, which may repeat the address and belongs into no log.
pub(super) async fn once(poster: &Poster, receiver: &Receiver, letter: &Letter, patience: Duration) -> (Answer, String) {
    // Read anew each time: a mounted Secret changes.
    let of_files = receiver.address().and_then(|address| Ok((address, receiver.headers()?)));
    let (address, own) = match of_files {
        Ok(found) => found,
        Err(error) => return (Answer::Later(error, None), String::new()),
    };
    let mut headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::USER_AGENT, HeaderValue::from_static(concat!("clonewarden/", env!("CARGO_PKG_VERSION")))),
    ]);
    if let Ok(id) = HeaderValue::try_from(&letter.id) {
        headers.insert(ID, id);
    }
    headers.extend(own);
    poster.ask(&address, &headers, letter.body.clone().into(), patience).await
}

/// By when everything has to be out; waits until that is said. Whoever could say it is gone: at once.
async fn closed(closing: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let said = closing.wait_for(Option::is_some).await.ok().and_then(|until| *until);
    said.unwrap_or_else(Instant::now)
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
