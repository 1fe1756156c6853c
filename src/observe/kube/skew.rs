//! A server's clock (the API server's, AWS'), as far as the `Date` of its answers tells.
//!
//! Between two answers it is carried on by the monotonic clock, so that a jump of our wall clock shows at once and not only
//! with the next answer. An answer that was long on its way makes us look ahead, never behind by more than half a second:
//! too much ahead holds ends, which is the safe side.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer tells the time.
const FRESH: Duration = Duration::from_secs(60);
/// `Date` has whole seconds, the rest cut off: on average the server's clock was half a second further.
const HALF: SignedDuration = SignedDuration::from_millis(500);

/// What the last dated answer said, and when it came.
#[derive(Debug)]
pub(in crate::observe) struct ServerClock {
    last: Mutex<Option<(Timestamp, Instant)>>,
    fresh: Duration,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self::fresh_for(FRESH)
    }
}

impl ServerClock {
    /// A clock that an answer tells the time of for this long.
    pub(in crate::observe) fn fresh_for(fresh: Duration) -> Self {
        Self { last: Mutex::default(), fresh }
    }

    /// Takes a `Date` header that has just come. One that cannot be read says nothing.
    pub(in crate::observe) fn heard(&self, date: &str) {
        if let Ok(date) = DateTimeParser::new().parse_timestamp(date) {
            self.record(date, Instant::now());
        }
    }

    fn record(&self, date: Timestamp, at: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Answers come on several threads: an older one must not take the place of a newer one.
        if last.is_none_or(|(_, before)| before <= at) {
            *last = Some((date, at));
        }
    }

    /// How far `now` is ahead of the server's clock; `None` if it is too long since it was heard.
    pub(in crate::observe) fn skew(&self, now: Timestamp, at: Instant) -> Option<SignedDuration> {
        let (date, heard) = (*self.last.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since = at.saturating_duration_since(heard);
        if since > self.fresh {
            return None;
        }
        let server = date.checked_add(HALF).ok()?.checked_add(SignedDuration::try_from(since).ok()?).ok()?;
        Some(now.duration_since(server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_jump_of_our_clock_shows_without_a_new_answer() {
        let clock = ServerClock::default();
        let start = Instant::now();
        assert_eq!(clock.skew(at("2026-02-05T16:30:00Z"), start), None, "nothing was heard");
        clock.record(at("2026-02-05T16:30:00Z"), start);
        let later = start + Duration::from_secs(20);
        assert_eq!(clock.skew(at("2026-02-05T16:30:20.5Z"), later), Some(SignedDuration::ZERO));
        assert_eq!(clock.skew(at("2026-02-05T17:30:20.5Z"), later), Some(SignedDuration::from_hours(1)));
        assert_eq!(clock.skew(at("2026-02-05T16:29:20.5Z"), later), Some(SignedDuration::from_secs(-60)));
    }

    #[test]
    fn an_old_answer_says_nothing_and_a_late_one_does_not_replace_a_newer() {
        let clock = ServerClock::default();
        let start = Instant::now();
        clock.record(at("2026-02-05T16:30:10Z"), start + Duration::from_secs(10));
        clock.record(at("2026-02-05T16:00:00Z"), start);
        assert_eq!(clock.skew(at("2026-02-05T16:31:10.5Z"), start + Duration::from_secs(70)), Some(SignedDuration::ZERO));
        assert_eq!(clock.skew(at("2026-02-05T16:31:11.5Z"), start + Duration::from_secs(71)), None);
    }

    #[test]
    fn dates_are_read_as_servers_write_them() {
        let clock = ServerClock::default();
        clock.heard("yesterday, or so");
        assert_eq!(clock.skew(at("1994-11-06T08:49:37Z"), Instant::now()), None);
        clock.heard("Sun, 06 Nov 1994 08:49:37 GMT");
        let skew = clock.skew(at("1994-11-06T08:49:37Z"), Instant::now()).unwrap();
        assert!(skew.abs() < SignedDuration::from_secs(2), "{skew}");
    }
}
