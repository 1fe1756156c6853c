//! Brings what is told to one receiver: tries again while it may help, and gives up when it cannot.
//!
//! ```text
//! Tray ──► Desk ──► errands ──► one try at a time, the most urgent first
//!                      ▲ │ not taken: all wait a little, or it alone does
//!                      └─┘
//! ```
//!
//! Contract: nothing waits for it, and no message for another one's pauses longer than the receiver itself needs them. What fails is tried
//! [`TRIES`] times within about a minute, longer only where the receiver asks for that; what is critical is tried for a day, whatever is
//! answered. At the end of the process all that is left goes out as one message. What is given up is counted, and told of in the next one.

use super::{
    body::{Letter, letter},
    config::Receiver,
    counts::{Counts, Lost},
    desk::{Desk, Taken},
    digest::Message,
    notice::{Notice, Severity},
    tray::Tray,
};
use crate::{
    post::{self, Answer, LONGEST_WAIT, Poster},
    rng::Rng,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tracing::{error, info, warn};

/// How often a message is tried.
const TRIES: u32 = 7;
/// How many messages may wait; beyond that they become one.
const ERRANDS: usize = 64;
/// How many critical messages are tried on, each by itself; beyond that they become one.
const LATE: usize = 16;
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

/// What brings notices to one receiver.
pub(super) struct Courier {
    pub(super) receiver: Arc<Receiver>,
    pub(super) owners: Arc<BTreeMap<String, String>>,
    pub(super) poster: Poster,
    pub(super) desk: Desk,
    pub(super) tray: Arc<Tray>,
    pub(super) counts: Arc<Counts>,
    /// By when everything has to be out, as soon as the process ends.
    pub(super) closing: watch::Receiver<Option<Instant>>,
    pub(super) rng: Rng,
    pub(super) patience: Patience,
    pub(super) errands: Vec<Errand>,
    /// The receiver is given time until then.
    pub(super) rests: Option<Instant>,
    pub(super) failing: bool,
}

/// A message on its way.
pub(super) struct Errand {
    message: Message,
    /// It is written when it is first tried, and stays the same: the receiver may have taken it without our knowing.
    letter: Option<(Arc<Letter>, Lost)>,
    since: Instant,
    next: Instant,
    tries: u32,
    /// Critical, and not taken at first: it waits by itself and nothing waits for it.
    late: bool,
    /// How the receiver refused what its template made: it is put in our own words now.
    refused: Option<String>,
}

/// A message that is being tried.
struct Trying {
    errand: Errand,
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

impl Courier {
    /// Brings what comes, until the process ends; then what is left.
    pub(super) async fn run(mut self) {
        let (mut trying, mut closing, tray) = (None, self.closing.clone(), Arc::clone(&self.tray));
        loop {
            let now = Instant::now();
            self.bring_gathered(now);
            if trying.is_none() {
                trying = self.next(now);
            }
            let wakes = if trying.is_none() { self.wakes() } else { self.desk.due().filter(|_| self.has_room()) };
            tokio::select! {
                biased;
                until = closed(&mut closing) => return self.finish(trying, until).await,
                (errand, answer) = answered(&mut trying) => self.settle(errand, answer, Instant::now()),
                notice = tray.next() => self.take(notice, Instant::now()),
                () = at(wakes) => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        self.errands.len() < ERRANDS
    }

    fn take(&mut self, notice: Arc<Notice>, now: Instant) {
        match self.desk.take(notice, self.has_room(), now) {
            Taken::Now(message) => self.errands.push(Errand::new(message, now)),
            Taken::Gathered => {}
            Taken::Repeated => self.counts.repeated(),
        }
    }

    fn bring_gathered(&mut self, now: Instant) {
        if self.desk.due().is_some_and(|due| due <= now) && self.has_room() {
            self.errands.extend(self.desk.gathered(now).map(|message| Errand::new(message, now)));
        }
    }

    /// When there will be something to do.
    fn wakes(&self) -> Option<Instant> {
        let next = self.errands.iter().map(|errand| errand.next).min();
        let next = next.map(|next| self.rests.map_or(next, |rests| next.max(rests)));
        next.into_iter().chain(self.desk.due().filter(|_| self.has_room())).min()
    }

    /// The most urgent message that may be tried now; of those that are equally urgent the oldest.
    fn next(&mut self, now: Instant) -> Option<Trying> {
        if self.rests.is_some_and(|rests| rests > now) {
            return None;
        }
        let may = self.errands.iter().enumerate().filter(|(_, errand)| errand.next <= now);
        let (place, _) = may.min_by_key(|(_, errand)| (!errand.is_critical(), errand.since))?;
        let errand = self.errands.remove(place);
        Some(self.sent_off(errand))
    }

    fn sent_off(&mut self, mut errand: Errand) -> Trying {
        errand.tries = errand.tries.saturating_add(1);
        let (letter, _) = errand.letter.get_or_insert_with(|| {
            let lost = self.counts.lost();
            let letter = letter(&self.receiver, &self.owners, &errand.message, &lost, errand.refused.as_deref());
            if let Some(problem) = &letter.problem {
                let receiver = &self.receiver.name;
                error!(receiver, problem, "A template makes nothing of a notification, which is sent in the words of the daemon instead.");
            }
            let told = if letter.tells_lost { lost } else { Lost::default() };
            (Arc::new(letter), told)
        });
        let (poster, receiver, letter, patience) = (self.poster.clone(), Arc::clone(&self.receiver), Arc::clone(letter), self.patience.answer);
        Trying { errand, answer: Box::pin(async move { once(&poster, &receiver, &letter, patience).await.0 }) }
    }

    fn settle(&mut self, mut errand: Errand, answer: Answer, now: Instant) {
        let (reason, wait) = match answer {
            Answer::Taken(..) => return self.taken(&errand),
            Answer::Refused(reason, _) if !errand.is_critical() => return self.give_up(&errand.message, &reason),
            Answer::Refused(reason, _) => {
                if errand.letter.as_ref().is_some_and(|(letter, _)| letter.by_template) {
                    errand.letter = None;
                    errand.refused = Some(reason.clone());
                }
                (reason, None)
            }
            Answer::Later(reason, wait) => {
                let pause = self.pause(errand.tries, wait);
                // What it asks for is meant for everything, and so is that it does not answer; later each critical one waits by itself.
                if errand.tries < TRIES {
                    self.rests = Some(now + pause);
                    errand.next = now + pause;
                    self.errands.push(errand);
                    return;
                }
                (reason, wait)
            }
        };
        if !errand.is_critical() || now.saturating_duration_since(errand.since) >= self.patience.critical {
            return self.give_up(&errand.message, &reason);
        }
        if !std::mem::replace(&mut errand.late, true) {
            let (receiver, what) = (&self.receiver.name, texts(&errand.message));
            error!(receiver, reason, what, "A critical notification is not taken. It is tried for a day, and nothing else waits for it.");
        }
        errand.next = now + self.pause(errand.tries, wait);
        self.errands.push(errand);
        self.join_late(now);
        self.count_late();
    }

    fn pause(&mut self, tries: u32, wait: Option<Duration>) -> Duration {
        let pause = post::pause(tries, self.patience.first_pause, LONGEST_WAIT, self.rng.bits());
        // Whoever was told to wait equally long does not come again at the same moment; and nobody comes before the time.
        let spread = |wait: Duration, chance| wait.saturating_add(wait.saturating_sub(post::pause(1, wait, wait, chance)));
        pause.max(wait.map(|wait| spread(wait, self.rng.bits())).unwrap_or_default())
    }

    /// Many critical ones that are tried on become one: the room is for all.
    fn join_late(&mut self, now: Instant) {
        if self.errands.iter().filter(|errand| errand.late).count() <= LATE {
            return;
        }
        let (late, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.errands).into_iter().partition(|errand| errand.late);
        self.errands = rest;
        let since = late.iter().map(|errand| errand.since).max().unwrap_or(now);
        let next = late.iter().map(|errand| errand.next).max().unwrap_or(now);
        let tries = late.iter().map(|errand| errand.tries).min().unwrap_or_default();
        let message = Message::merged(late.into_iter().map(|errand| errand.message));
        self.errands.extend(message.map(|message| Errand { message, letter: None, since, next, tries, late: true, refused: None }));
    }

    fn count_late(&self) {
        let late = self.errands.iter().filter(|errand| errand.late);
        let critical = late.filter_map(|errand| errand.message.severities().get(&Severity::Critical).copied());
        self.counts.set_late(critical.fold(0, u64::saturating_add));
    }

    fn taken(&mut self, errand: &Errand) {
        self.rests = None;
        let told = errand.letter.as_ref().map(|(_, lost)| lost.clone()).unwrap_or_default();
        self.counts.sent(&errand.message, &told);
        self.count_late();
        if std::mem::take(&mut self.failing) {
            info!(receiver = self.receiver.name, "The receiver takes notifications again.");
        }
    }

    fn give_up(&mut self, message: &Message, reason: &str) {
        self.counts.failed(message);
        self.count_late();
        // Where the same is found again, it has not been told.
        self.desk.forget(message.ids());
        let receiver = &self.receiver.name;
        if message.severity() == Severity::Critical {
            let what = texts(message);
            error!(receiver, reason, what, "A critical notification is lost: it could not be sent. The journal has it.");
        } else if !std::mem::replace(&mut self.failing, true) {
            warn!(receiver, reason, "A notification could not be sent and is given up; the journal has it. Nothing else waits for it.");
        }
    }

    /// Brings all that is left as one message, by then.
    async fn finish(mut self, trying: Option<Trying>, until: Instant) {
        let now = Instant::now();
        if let Some(Trying { errand, answer }) = trying {
            // Half of the time: what is left may be more urgent.
            let soon = now + until.saturating_duration_since(now).checked_div(2).unwrap_or_default();
            match timeout_at(soon, answer).await {
                Ok(answer @ Answer::Taken(..)) => self.settle(errand, answer, Instant::now()),
                _ => self.errands.push(errand),
            }
        }
        for notice in self.tray.close() {
            self.take(notice, Instant::now());
        }
        let gathered = self.desk.gathered(Instant::now());
        let errands = std::mem::take(&mut self.errands).into_iter().map(|errand| errand.message);
        let Some(message) = Message::merged(errands.chain(gathered)) else { return };
        let (mut errand, mut reason) = (Errand::new(message, now), "there was no time for it".to_owned());
        loop {
            let trying = self.sent_off(errand);
            errand = trying.errand;
            match timeout_at(until, trying.answer).await {
                Ok(Answer::Taken(..)) => return self.taken(&errand),
                Ok(Answer::Later(why, _) | Answer::Refused(why, _)) => reason = why,
                Err(_) => break,
            }
            let again = Instant::now() + self.pause(errand.tries, None);
            if again >= until {
                break;
            }
            tokio::time::sleep_until(again).await;
        }
        self.failing = true;
        self.give_up(&errand.message, &reason);
        warn!(
            receiver = self.receiver.name,
            count = errand.message.count(),
            reason,
            "The process ends, and notifications are lost that were not taken; the journal has them."
        );
    }
}

impl Errand {
    fn new(message: Message, now: Instant) -> Self {
        Self { message, letter: None, since: now, next: now, tries: 0, late: false, refused: None }
    }

    fn is_critical(&self) -> bool {
        self.message.severity() == Severity::Critical
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

async fn answered(trying: &mut Option<Trying>) -> (Errand, Answer) {
    let answer = match trying {
        Some(trying) => trying.answer.as_mut().await,
        None => std::future::pending().await,
    };
    match trying.take() {
        Some(trying) => (trying.errand, answer),
        None => std::future::pending().await,
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{config::Kind, desk::Pace, notice::tests::line},
        *,
    };

    fn courier() -> Courier {
        Courier {
            receiver: Arc::new(Receiver::for_test("r", Kind::Webhook, None)),
            owners: Arc::default(),
            poster: Poster::new(None).unwrap(),
            desk: Desk::new(Pace { window: Duration::from_secs(300), at_most: 20, repeat: Duration::from_secs(3_600) }),
            tray: Arc::default(),
            counts: Arc::default(),
            closing: watch::channel(None).1,
            rng: Rng::new(7),
            patience: PATIENCE,
            errands: Vec::new(),
            rests: None,
            failing: false,
        }
    }

    #[tokio::test]
    async fn many_critical_ones_that_are_tried_on_become_one_and_leave_room() {
        let (mut courier, now) = (courier(), Instant::now());
        for number in 0..=LATE {
            let notice = Notice::of(&line("acted", "alert", Some("done"), "BrakeOn", &number.to_string(), "ada")).unwrap();
            courier.settle(Errand::new(Message::One(Arc::new(notice)), now), Answer::Refused("no".to_owned(), String::new()), now);
        }
        assert_eq!((courier.errands.len(), courier.counts.late()), (1, LATE as u64 + 1));
        assert!(courier.errands[0].next > now && courier.rests.is_none(), "nothing else waits for it");
    }

    #[test]
    fn a_receiver_is_never_asked_before_the_time_that_it_says_and_not_by_all_at_once() {
        let (mut courier, asked) = (courier(), Duration::from_secs(40));
        let pauses: Vec<Duration> = (0..50).map(|_| courier.pause(1, Some(asked))).collect();
        assert!(pauses.iter().all(|pause| *pause >= asked && *pause <= asked.mul_f64(1.25)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
}
