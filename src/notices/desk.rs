//! What a receiver is told at once, what is told as one digest, and what has been told before.
//!
//! Contract: pure; time is an argument. However much there is to tell, a receiver gets no more than [`Pace::at_most`] messages and one
//! digest within [`Pace::window`], and no more is remembered than the constants here say.

use super::notice::Notice;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How much a receiver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The time in which messages are counted, and that a digest gathers.
    pub(crate) window: Duration,
    /// How many messages there may be within it, before a digest takes their place.
    pub(crate) at_most: usize,
    /// How long the same is not told again.
    pub(crate) repeat: Duration,
}

/// How many notices a digest tells whole.
pub(super) const FIRST: usize = 10;
/// How many codes a digest counts apart; what else there is stands under `other`.
const CODES: usize = 40;
/// How many notices are remembered as told.
const REMEMBERED: usize = 10_000;
/// How long what stands is gathered after the start: whoever takes over finds all of it at once, and it may have been told before.
const SETTLING: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// One notice.
    One(Arc<Notice>),
    /// Many.
    Digest(Digest),
}

/// Many notices as one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Digest {
    /// How many there are.
    pub(crate) count: u64,
    /// How many of each code.
    pub(crate) codes: BTreeMap<String, u64>,
    /// The first of them.
    pub(crate) first: Vec<Arc<Notice>>,
}

impl Message {
    /// How many notices are in it.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Digest(digest) => digest.count,
        }
    }
}

/// One receiver's desk.
#[derive(Debug)]
pub(super) struct Desk {
    pace: Pace,
    sent: VecDeque<Instant>,
    gathered: Digest,
    due: Option<Instant>,
    settles: Option<Instant>,
    told: HashMap<String, Instant>,
    order: VecDeque<(String, Instant)>,
}

/// What becomes of a notice.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// It is sent now.
    Now(Message),
    /// It waits for the digest.
    Gathered,
    /// It has been told already.
    Repeated,
}

impl Desk {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, sent: VecDeque::new(), gathered: Digest::default(), due: None, settles: None, told: HashMap::new(), order: VecDeque::new() }
    }

    /// Takes a notice.
    pub(super) fn take(&mut self, notice: Arc<Notice>, now: Instant) -> Taken {
        if !self.is_new(&notice.id, now) {
            return Taken::Repeated;
        }
        if notice.stands {
            let settles = *self.settles.get_or_insert(now + SETTLING);
            if now < settles {
                self.gather(notice, settles);
                return Taken::Gathered;
            }
        }
        while self.sent.front().is_some_and(|first| now.saturating_duration_since(*first) >= self.pace.window) {
            self.sent.pop_front();
        }
        // What comes while a digest is open belongs to the same storm, unless it is only that a restart gathers what stands.
        let storm = self.due.is_some() && self.settles.is_none_or(|settles| now >= settles);
        if storm || self.sent.len() >= self.pace.at_most {
            self.gather(notice, now + self.pace.window);
            return Taken::Gathered;
        }
        self.sent.push_back(now);
        Taken::Now(Message::One(notice))
    }

    /// When there is a digest to be sent, if there is one.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What has been gathered, which is then told.
    pub(super) fn gathered(&mut self, now: Instant) -> Option<Message> {
        self.due = None;
        let digest = std::mem::take(&mut self.gathered);
        if digest.count > 0 {
            self.sent.push_back(now);
        }
        match (digest.count, digest.first.first()) {
            (0, _) => None,
            (1, Some(one)) => Some(Message::One(Arc::clone(one))),
            _ => Some(Message::Digest(digest)),
        }
    }

    fn gather(&mut self, notice: Arc<Notice>, due: Instant) {
        self.due.get_or_insert(due);
        self.gathered.count = self.gathered.count.saturating_add(1);
        let known = self.gathered.codes.contains_key(&notice.code) || self.gathered.codes.len() < CODES;
        let code = if known { notice.code.clone() } else { "other".to_owned() };
        let count = self.gathered.codes.entry(code).or_default();
        *count = count.saturating_add(1);
        if self.gathered.first.len() < FIRST {
            self.gathered.first.push(notice);
        }
    }

    /// Whether this has not been told for so long that it may be told again; from now on it has been.
    fn is_new(&mut self, id: &str, now: Instant) -> bool {
        while let Some((first, at)) = self.order.front() {
            if now.saturating_duration_since(*at) < self.pace.repeat && self.order.len() < REMEMBERED {
                break;
            }
            self.told.remove(first);
            self.order.pop_front();
        }
        if self.told.contains_key(id) {
            return false;
        }
        self.told.insert(id.to_owned(), now);
        self.order.push_back((id.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{super::notice::tests::line, *};

    const PACE: Pace = Pace { window: Duration::from_secs(300), at_most: 3, repeat: Duration::from_secs(3_600) };

    fn ended(name: &str) -> Arc<Notice> {
        Arc::new(Notice::of(&line("acted", "delete", Some("done"), "Expired", name, "ada")).unwrap())
    }

    fn held(name: &str) -> Arc<Notice> {
        Arc::new(Notice::of(&line("decided", "hold", None, "EvidenceMissing", name, "ada")).unwrap())
    }

    #[test]
    fn a_storm_becomes_a_digest_and_a_quiet_time_ends_it() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        for number in 0..3 {
            assert!(matches!(desk.take(ended(&format!("a{number}")), start), Taken::Now(_)), "{number}");
        }
        for number in 0..500 {
            assert_eq!(desk.take(ended(&format!("b{number}")), start + Duration::from_secs(1)), Taken::Gathered);
        }
        let due = desk.due().unwrap();
        assert_eq!(due, start + Duration::from_secs(301));
        let Some(Message::Digest(digest)) = desk.gathered(due) else { panic!("no digest") };
        assert_eq!((digest.count, digest.first.len(), digest.codes["Expired"]), (500, FIRST, 500));
        assert_eq!((desk.due(), desk.gathered(due)), (None, None));
        assert!(matches!(desk.take(ended("c"), due + PACE.window), Taken::Now(_)));
    }

    #[test]
    fn the_same_is_told_once_and_again_after_the_quiet_time() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        assert!(matches!(desk.take(ended("a"), start), Taken::Now(_)));
        assert_eq!(desk.take(ended("a"), start + Duration::from_secs(3_599)), Taken::Repeated);
        assert!(matches!(desk.take(ended("a"), start + Duration::from_secs(3_600)), Taken::Now(_)));
    }

    #[test]
    fn what_stands_after_a_restart_is_one_message() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        assert_eq!(desk.take(held("a"), start), Taken::Gathered);
        assert_eq!(desk.take(held("b"), start), Taken::Gathered);
        assert!(matches!(desk.take(ended("c"), start), Taken::Now(_)), "what was done does not wait");
        let due = desk.due().unwrap();
        assert_eq!(due, start + SETTLING);
        assert_eq!(desk.gathered(due).unwrap().count(), 2);
        assert!(matches!(desk.take(held("d"), due), Taken::Now(_)));
        let mut alone = Desk::new(PACE);
        alone.take(held("a"), start);
        assert!(matches!(alone.gathered(due), Some(Message::One(_))));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        for number in 0..(REMEMBERED + 100) {
            let mut notice = (*ended("a")).clone();
            notice.id = number.to_string();
            notice.code = number.to_string();
            desk.take(Arc::new(notice), start);
        }
        assert!(desk.told.len() <= REMEMBERED && desk.order.len() <= REMEMBERED);
        assert!(desk.gathered.codes.len() <= CODES + 1 && desk.gathered.first.len() == FIRST);
    }
}
