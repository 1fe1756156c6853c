//! What a receiver is told at once, what is told as one digest, and what has been told before.
//!
//! Contract: pure; time is an argument. However much there is to tell, a receiver gets no more than [`Pace::at_most`] messages and one digest
//! within [`Pace::window`], and no more is remembered than the constants here say. What is critical does not wait behind what is not: it is
//! told at once where nothing critical was told within the window, and else with what else comes within [`CRITICAL_WAITS`].

use super::{
    message::Message,
    notice::{Notice, Severity},
};
use std::{
    collections::{HashMap, VecDeque},
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

/// How many notices are remembered as told.
pub(super) const REMEMBERED: usize = 10_000;
/// How long what stands is gathered after the start: whoever takes over finds all of it at once, and it may have been told before.
const SETTLING: Duration = Duration::from_secs(10);
/// How long critical notices are gathered at most after one that was told: what goes wrong together is one message, and whoever was called
/// by the first one is still on the way.
const CRITICAL_WAITS: Duration = Duration::from_secs(30);
/// How long the same critical notice is not told again, however long others are not: a brake that trips in the afternoon is another
/// one than that of the morning, and one that flaps is no storm.
const CRITICAL_AGAIN: Duration = Duration::from_secs(900);

/// One receiver's desk.
#[derive(Debug)]
pub(super) struct Desk {
    pace: Pace,
    sent: VecDeque<Instant>,
    /// When something critical was told last.
    critical: Option<Instant>,
    gathered: Message,
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
        let (sent, order) = (VecDeque::new(), VecDeque::new());
        Self { pace, sent, critical: None, gathered: Message::default(), due: None, settles: None, told: HashMap::new(), order }
    }

    /// Takes a notice. `room`: whether there is room for one more message.
    pub(super) fn take(&mut self, notice: Arc<Notice>, room: bool, now: Instant) -> Taken {
        if !self.is_new(&notice, now) {
            return Taken::Repeated;
        }
        if notice.stands {
            let settles = *self.settles.get_or_insert(now + SETTLING);
            if now < settles {
                self.gather(notice, settles);
                return Taken::Gathered;
            }
        }
        let critical = notice.severity == Severity::Critical;
        // What comes while a digest is open belongs to the same storm, unless it is only that a restart gathers what stands.
        let storm = !critical && self.due.is_some() && self.settles.is_none_or(|settles| now >= settles);
        let recent = |at: &Instant| now.saturating_duration_since(*at) < self.pace.window;
        let (enough, waits) = if critical {
            (self.critical.as_ref().is_some_and(recent), self.pace.window.min(CRITICAL_WAITS))
        } else {
            (storm || self.sent.iter().filter(|at| recent(at)).count() >= self.pace.at_most, self.pace.window)
        };
        if enough || !room {
            self.gather(notice, now + waits);
            return Taken::Gathered;
        }
        self.count(notice.severity, now);
        Taken::Now(Message::of(notice))
    }

    /// When there is a digest to be sent, if there is one.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What has been gathered, which is then told.
    pub(super) fn gathered(&mut self, now: Instant) -> Option<Message> {
        self.due = None;
        let message = Message::merged([std::mem::take(&mut self.gathered)])?;
        self.count(message.severity(), now);
        Some(message)
    }

    /// These have not been told after all: when they come again, they are new.
    pub(super) fn forget<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        for id in ids {
            self.told.remove(id);
        }
    }

    fn count(&mut self, severity: Severity, now: Instant) {
        if severity == Severity::Critical {
            self.critical = Some(now);
            return;
        }
        self.sent.push_back(now);
        // No more are ever asked about.
        if self.sent.len() > self.pace.at_most {
            self.sent.pop_front();
        }
    }

    fn gather(&mut self, notice: Arc<Notice>, due: Instant) {
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
        self.gathered.add(notice);
    }

    /// Whether this has not been told for so long that it may be told again; from now on it has been.
    fn is_new(&mut self, notice: &Notice, now: Instant) -> bool {
        let (id, critical) = (&notice.id, notice.severity == Severity::Critical);
        let repeat = if critical { self.pace.repeat.min(CRITICAL_AGAIN) } else { self.pace.repeat };
        while let Some((first, at)) = self.order.front() {
            if now.saturating_duration_since(*at) < self.pace.repeat && self.order.len() < REMEMBERED {
                break;
            }
            // One that was forgotten and told again has a later entry.
            if self.told.get(first) == Some(at) {
                self.told.remove(first);
            }
            self.order.pop_front();
        }
        if self.told.get(id).is_some_and(|at| now.saturating_duration_since(*at) < repeat) {
            return false;
        }
        self.told.insert(id.clone(), now);
        self.order.push_back((id.clone(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{message::FIRST, notice::tests::line},
        *,
    };

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
            assert!(matches!(desk.take(ended(&format!("a{number}")), true, start), Taken::Now(_)), "{number}");
        }
        for number in 0..500 {
            assert_eq!(desk.take(ended(&format!("b{number}")), true, start + Duration::from_secs(1)), Taken::Gathered);
        }
        let due = desk.due().unwrap();
        assert_eq!(due, start + Duration::from_secs(301));
        let digest = desk.gathered(due).unwrap();
        assert_eq!((digest.count, digest.first.len(), digest.codes["Expired"]), (500, FIRST, 500));
        assert_eq!((desk.due(), desk.gathered(due)), (None, None));
        assert!(matches!(desk.take(ended("c"), true, due + PACE.window), Taken::Now(_)));
    }

    #[test]
    fn a_brake_that_trips_in_the_afternoon_is_another_one_than_that_of_the_morning() {
        let day = Pace { repeat: Duration::from_secs(86_400), ..PACE };
        let (mut desk, start) = (Desk::new(day), Instant::now());
        let brake = || Arc::new(Notice::of(&line("decided", "alert", None, "BrakeOn", "a", "ada")).unwrap());
        assert_eq!(brake().severity, Severity::Critical);
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        desk.take(brake(), true, start);
        assert_eq!(desk.take(brake(), true, minutes(10)), Taken::Repeated, "it flaps");
        assert_ne!(desk.take(brake(), true, minutes(240)), Taken::Repeated);
        assert_eq!(desk.take(brake(), true, minutes(245)), Taken::Repeated);
        desk.take(ended("a"), true, start);
        assert_eq!(desk.take(ended("a"), true, minutes(240)), Taken::Repeated, "what is not critical is told once a day");
    }

    #[test]
    fn the_same_is_told_once_and_again_after_the_quiet_time() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        assert!(matches!(desk.take(ended("a"), true, start), Taken::Now(_)));
        assert_eq!(desk.take(ended("a"), true, start + Duration::from_secs(3_599)), Taken::Repeated);
        assert!(matches!(desk.take(ended("a"), true, start + Duration::from_secs(3_600)), Taken::Now(_)));
    }

    #[test]
    fn what_stands_after_a_restart_is_one_message() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        assert_eq!(desk.take(held("a"), true, start), Taken::Gathered);
        assert_eq!(desk.take(held("b"), true, start), Taken::Gathered);
        assert!(matches!(desk.take(ended("c"), true, start), Taken::Now(_)), "what was done does not wait");
        let due = desk.due().unwrap();
        assert_eq!(due, start + SETTLING);
        assert_eq!(desk.gathered(due).unwrap().count, 2);
        assert!(matches!(desk.take(held("d"), true, due), Taken::Now(_)));
        let mut alone = Desk::new(PACE);
        alone.take(held("a"), true, start);
        assert!(alone.gathered(due).unwrap().alone().is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        for number in 0..(REMEMBERED + 100) {
            let mut notice = (*ended("a")).clone();
            notice.id = number.to_string();
            desk.take(Arc::new(notice), true, start);
        }
        assert!(desk.told.len() <= REMEMBERED && desk.order.len() <= REMEMBERED);
    }

    fn critical(name: &str) -> Arc<Notice> {
        Arc::new(Notice { stands: false, ..Notice::of(&line("decided", "alert", None, "BrakeOn", name, "ada")).unwrap() })
    }

    #[test]
    fn what_is_critical_waits_behind_no_storm_and_a_burst_of_it_is_one_message_after_the_first() {
        let (mut desk, start) = (Desk::new(Pace { window: Duration::from_secs(3_600), ..PACE }), Instant::now());
        let second = Duration::from_secs(1);
        for number in 0..50 {
            desk.take(ended(&format!("a{number}")), true, start);
        }
        assert_eq!(desk.due().unwrap(), start + Duration::from_secs(3_600));
        assert!(matches!(desk.take(critical("first"), true, start), Taken::Now(_)));
        for number in 0..50 {
            assert_eq!(desk.take(critical(&format!("b{number}")), true, start + second), Taken::Gathered, "{number}");
        }
        let due = desk.due().unwrap();
        assert_eq!(due, start + second + CRITICAL_WAITS, "it waits no hour for the digest");
        let digest = desk.gathered(due).unwrap();
        assert_eq!((digest.count, digest.first[0].severity, digest.severities[&Severity::Critical]), (97, Severity::Critical, 50));
        assert_eq!(desk.take(critical("goes on"), true, due + second), Taken::Gathered);
        let due = desk.due().unwrap();
        assert_eq!(desk.gathered(due).unwrap().count, 1);
        assert!(matches!(desk.take(critical("another time"), true, due + Duration::from_secs(3_600)), Taken::Now(_)));
    }

    #[test]
    fn what_flaps_is_told_once_and_what_could_not_be_told_is_new() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        desk.take(held("a"), true, start);
        for second in 0..3_000 {
            assert_eq!(desk.take(held("a"), true, start + Duration::from_secs(second)), Taken::Repeated, "{second}");
        }
        let message = desk.gathered(start).unwrap();
        desk.forget(message.ids());
        assert_ne!(desk.take(held("a"), true, start + Duration::from_secs(3_000)), Taken::Repeated);
        // The entry from before does not end the memory of the second time.
        assert_eq!(desk.take(held("a"), true, start + Duration::from_secs(3_601)), Taken::Repeated);
    }

    #[test]
    fn without_room_for_a_message_it_is_gathered() {
        let (mut desk, start) = (Desk::new(PACE), Instant::now());
        assert_eq!(desk.take(ended("a"), false, start), Taken::Gathered);
        assert_eq!(desk.take(critical("a"), false, start), Taken::Gathered);
        assert_eq!(desk.gathered(start).unwrap().count, 2);
    }
}
