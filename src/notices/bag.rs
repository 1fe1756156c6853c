//! What waits for one receiver: what its desk gathers, the messages on their way, and the one that is being tried.
//!
//! Contract: it lies outside of the task that empties it, and outlives that. Whoever puts something in waits for nothing; however much that
//! is, it becomes no more than [`ERRANDS`] messages and one digest. What is most urgent is taken out first.

use super::{
    body::Letter,
    counts::{Counts, Lost},
    desk::{Desk, Taken},
    message::Message,
    notice::{Notice, Severity},
};
use crate::{
    post::{self, LONGEST_WAIT},
    rng::Rng,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How many messages may wait; beyond that they become one.
const ERRANDS: usize = 64;
/// How many critical messages are tried on, each by itself; beyond that they become one.
pub(super) const LATE: usize = 16;

/// What waits for its task, and outlives it.
pub(super) struct Bag {
    pub(super) desk: Desk,
    pub(super) errands: Vec<Errand>,
    /// What is being tried.
    pub(super) trying: Option<Errand>,
    /// The receiver is given time until then.
    pub(super) rests: Option<Instant>,
    pub(super) failing: bool,
    /// The last message has been made: there will be no more.
    closed: bool,
    pub(super) counts: Counts,
    rng: Rng,
}

/// A message on its way.
pub(super) struct Errand {
    pub(super) message: Message,
    /// It is written when it is first tried, and stays the same: the receiver may have taken it without our knowing.
    pub(super) letter: Option<(Arc<Letter>, Lost)>,
    pub(super) since: Instant,
    pub(super) next: Instant,
    pub(super) tries: u32,
    /// Critical, and not taken at first: it waits by itself and nothing waits for it.
    pub(super) late: bool,
    /// How the receiver refused what its template made: it is put in our own words now.
    pub(super) refused: Option<String>,
}

/// When there is something to do.
pub(super) enum Wakes {
    /// A message is to be tried now.
    Now,
    /// Then, or when something comes.
    At(Option<Instant>),
}

impl Bag {
    pub(super) fn new(desk: Desk, rng: Rng) -> Self {
        Self { desk, errands: Vec::new(), trying: None, rests: None, failing: false, closed: false, counts: Counts::default(), rng }
    }

    /// Takes a notice, if the last message has not been made.
    pub(super) fn take(&mut self, notice: Arc<Notice>, now: Instant) -> bool {
        if self.closed {
            return false;
        }
        let room = self.errands.len() < ERRANDS;
        match self.desk.take(notice, room, now) {
            Taken::Now(message) => self.errands.push(Errand::new(message, now)),
            Taken::Gathered => {}
            Taken::Repeated => self.counts.repeated = self.counts.repeated.saturating_add(1),
        }
        true
    }

    /// What empties it has died and is started again.
    pub(super) fn count_restart(&mut self) {
        self.counts.restarts = self.counts.restarts.saturating_add(1);
    }

    /// Begins with what may be tried now: the most urgent, and of those that are equally urgent the oldest.
    pub(super) fn begin(&mut self, now: Instant) -> Wakes {
        let room = self.errands.len() < ERRANDS;
        if room && self.desk.due().is_some_and(|due| due <= now) {
            self.errands.extend(self.desk.gathered(now).map(|message| Errand::new(message, now)));
        }
        let rests = self.rests.filter(|rests| *rests > now);
        let may = self.errands.iter().enumerate().filter(|(_, errand)| rests.is_none() && errand.next <= now);
        if let Some((place, _)) = may.min_by_key(|(_, errand)| (!errand.is_critical(), errand.since)) {
            let errand = self.errands.remove(place);
            self.trying = Some(Errand { tries: errand.tries.saturating_add(1), ..errand });
            return Wakes::Now;
        }
        let next = self.errands.iter().map(|errand| errand.next).min();
        let next = next.map(|next| rests.map_or(next, |rests| next.max(rests)));
        Wakes::At(next.into_iter().chain(self.desk.due().filter(|_| room)).min())
    }

    /// How long is waited before the next try, after so many.
    pub(super) fn pause(&mut self, tries: u32, wait: Option<Duration>, first: Duration) -> Duration {
        let pause = post::pause(tries, first, LONGEST_WAIT, self.rng.bits());
        // Whoever was told to wait equally long does not come again at the same moment; and nobody comes before the time.
        let spread = |wait: Duration, chance| wait.saturating_add(wait.saturating_sub(post::pause(1, wait, wait, chance)));
        pause.max(wait.map(|wait| spread(wait, self.rng.bits())).unwrap_or_default())
    }

    /// Many critical ones that are tried on become one: the room is for all.
    pub(super) fn join_late(&mut self, now: Instant) {
        if self.errands.iter().filter(|errand| errand.late).count() <= LATE {
            return;
        }
        let late: Vec<_> = self.errands.extract_if(.., |errand| errand.late).collect();
        let since = late.iter().map(|errand| errand.since).max().unwrap_or(now);
        let next = late.iter().map(|errand| errand.next).max().unwrap_or(now);
        let tries = late.iter().map(|errand| errand.tries).min().unwrap_or_default();
        let message = Message::merged(late.into_iter().map(|errand| errand.message));
        self.errands.extend(message.map(|message| Errand { since, next, tries, late: true, ..Errand::new(message, now) }));
    }

    /// How many critical ones are tried on.
    pub(super) fn late(&self) -> u64 {
        self.errands.iter().chain(&self.trying).filter(|errand| errand.late).map(|errand| errand.message.critical()).sum()
    }

    /// Makes one message of all that is left, and tries that: there will be no more. Whether there is any.
    pub(super) fn close(&mut self, now: Instant) -> bool {
        self.closed = true;
        let errands = self.trying.take().into_iter().chain(std::mem::take(&mut self.errands));
        let message = Message::merged(errands.map(|errand| errand.message).chain(self.desk.gathered(now)));
        self.trying = message.map(|message| Errand { tries: 1, ..Errand::new(message, now) });
        self.trying.is_some()
    }

    /// What is being tried is tried once more, after so long.
    pub(super) fn tries_again(&mut self, first: Duration) -> Duration {
        let tries = self.trying.as_ref().map_or(1, |errand| errand.tries);
        self.trying.iter_mut().for_each(|errand| errand.tries = tries.saturating_add(1));
        self.pause(tries, None, first)
    }
}

impl Errand {
    pub(super) fn new(message: Message, now: Instant) -> Self {
        Self { message, letter: None, since: now, next: now, tries: 0, late: false, refused: None }
    }

    pub(super) fn is_critical(&self) -> bool {
        self.message.severity() == Severity::Critical
    }
}
