//! What goes wrong between a daemon and the API server: drawn from a seed, call by call, or scripted by a test.

use crate::{ports::ApiError, rng::Rng};
use jiff::SignedDuration;
use std::{collections::VecDeque, time::Duration};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `list`.
    List,
    /// The start of a `watch`.
    Watch,
    /// `get`.
    Get,
    /// `delete`.
    Delete,
    /// `annotate`.
    Annotate,
    /// `create`.
    Create,
    /// `set_status`.
    SetStatus,
    /// `apply`.
    Apply,
    /// `note`.
    Note,
    /// `read_state`.
    ReadState,
    /// `write_state`.
    WriteState,
    /// `read_lease`.
    ReadLease,
    /// `write_lease`.
    WriteLease,
    /// `read_secret`.
    ReadSecret,
    /// `write_secret`.
    WriteSecret,
    /// `make_secret`.
    MakeSecret,
}

impl Call {
    fn writes(self) -> bool {
        !matches!(self, Self::List | Self::Watch | Self::Get | Self::ReadState | Self::ReadLease | Self::ReadSecret)
    }

    fn lease(self) -> bool {
        matches!(self, Self::ReadLease | Self::WriteLease)
    }
}

/// What becomes of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It does what was asked, and answers.
    Through,
    /// As [`Fate::Through`], but it takes so long until the effect, and so long from there to the answer.
    Slow(Duration, Duration),
    /// The answer is this error, and nothing happened.
    Refused(ApiError),
    /// Nothing happens, and after this time the caller gives up.
    LostRequest(Duration),
    /// It does what was asked, but the answer never arrives: after this time the caller gives up.
    LostAnswer(Duration),
    /// The caller gives up after the first time; what was asked happens after the second.
    Straggler(Duration, Duration),
    /// The process dies before the call (`false`) or after its effect (`true`): the call never returns, nor does any other.
    Crash(bool),
}

/// What becomes of one event of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventFate {
    Delivered,
    /// It, and everything behind it, comes so much later.
    Late(Duration),
    /// It is never delivered; after this time the watch gets 410.
    Lost(Duration),
    /// The server ends the watch before it.
    Closed,
    /// The server answers 410.
    Gone,
}

/// How often things go wrong, in thousandths of the calls, events or answers that they can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Levels {
    /// Calls answered 429, 500 or 503.
    pub refused: u16,
    /// Writes answered 409 though nothing was in the way.
    pub conflicts: u16,
    /// Calls that time out before they have an effect.
    pub lost_requests: u16,
    /// Calls that time out after their effect.
    pub lost_answers: u16,
    /// Writes that take effect after their caller has given up.
    pub stragglers: u16,
    /// Calls that take up to some seconds.
    pub slow: u16,
    /// Lists answered 404 though the resource is there.
    pub not_found: u16,
    /// Lists, where the caller allows it, from an old state.
    pub stale: u16,
    /// Lists in pages of one to three objects.
    pub small_pages: u16,
    /// Further pages that are answered 410.
    pub cut_lists: u16,
    /// Watch events that come late.
    pub late: u16,
    /// Watch events that never come, until the watch ends with 410.
    pub lost: u16,
    /// Watches that the server ends.
    pub closed: u16,
    /// Watches that end with 410.
    pub gone: u16,
    /// Answers without a `Date`.
    pub no_date: u16,
    /// Answers with a wrong `Date`.
    pub wrong_date: u16,
}

impl Levels {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        refused: 0,
        conflicts: 0,
        lost_requests: 0,
        lost_answers: 0,
        stragglers: 0,
        slow: 0,
        not_found: 0,
        stale: 0,
        small_pages: 0,
        cut_lists: 0,
        late: 0,
        lost: 0,
        closed: 0,
        gone: 0,
        no_date: 0,
        wrong_date: 0,
    };

    /// A cluster on a bad day.
    pub const MILD: Self = Self {
        refused: 20,
        conflicts: 10,
        lost_requests: 5,
        lost_answers: 10,
        stragglers: 5,
        slow: 50,
        not_found: 5,
        stale: 50,
        small_pages: 100,
        cut_lists: 50,
        late: 50,
        lost: 10,
        closed: 20,
        gone: 10,
        no_date: 50,
        wrong_date: 2,
    };

    /// A cluster that is falling apart.
    pub const ROUGH: Self = Self {
        refused: 120,
        conflicts: 60,
        lost_requests: 40,
        lost_answers: 60,
        stragglers: 40,
        slow: 200,
        not_found: 40,
        stale: 300,
        small_pages: 400,
        cut_lists: 150,
        late: 200,
        lost: 60,
        closed: 100,
        gone: 60,
        no_date: 300,
        wrong_date: 20,
    };
}

/// The faults of one handle.
#[derive(Debug)]
pub struct Faults {
    rng: Rng,
    levels: Levels,
    script: VecDeque<(Call, Fate)>,
    /// After so many further calls the process dies; whether the last one still has its effect.
    crash: Option<(u32, bool)>,
    crashed: bool,
}

impl Faults {
    /// No faults yet; those to come depend on the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), levels: Levels::NONE, script: VecDeque::new(), crash: None, crashed: false }
    }

    /// From now on this much goes wrong.
    pub fn set_levels(&mut self, levels: Levels) {
        self.levels = levels;
    }

    /// The next call of this kind meets this fate; several wait for their turn.
    pub fn script(&mut self, call: Call, fate: Fate) {
        self.script.push_back((call, fate));
    }

    /// The process dies at the call after so many others: before it, or after its effect but before its answer.
    pub fn crash_after(&mut self, calls: u32, effect: bool) {
        self.crash = Some((calls, effect));
    }

    /// The process dies now.
    pub fn kill(&mut self) {
        self.crashed = true;
    }

    /// Whether the process is dead.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.crashed
    }

    pub(super) fn quiet(&self) -> bool {
        self.levels == Levels::NONE
    }

    /// What becomes of a call.
    pub(super) fn fate(&mut self, call: Call) -> Fate {
        let fate = self.draw(call);
        self.crashed |= matches!(fate, Fate::Crash(_));
        fate
    }

    /// Whether the process is dead, or dies at this very call: before it (`false`) or after its effect. Whatever it calls counts,
    /// the API server or AWS.
    pub(super) fn dies(&mut self) -> Option<bool> {
        if self.crashed {
            return Some(false);
        }
        match &mut self.crash {
            Some((0, effect)) => return Some(*effect),
            Some((left, _)) => *left = left.saturating_sub(1),
            None => {}
        }
        None
    }

    fn draw(&mut self, call: Call) -> Fate {
        if let Some(effect) = self.dies() {
            return Fate::Crash(effect);
        }
        if let Some(index) = self.script.iter().position(|(scripted, _)| *scripted == call) {
            return self.script.remove(index).map_or(Fate::Through, |(_, fate)| fate);
        }
        if self.quiet() {
            return Fate::Through;
        }
        let (levels, rng) = (self.levels, &mut self.rng);
        // A write is given up sooner than a list, and one of the lease sooner still, or it could not be renewed in time.
        let longest = if call.lease() {
            2_000
        } else if call.writes() {
            3_000
        } else {
            10_000
        };
        let patience = Duration::from_millis(rng.between(1_000, longest));
        if rng.chance(levels.refused) {
            return Fate::Refused(refusal(rng));
        }
        if call == Call::List && rng.chance(levels.not_found) {
            return Fate::Refused(ApiError::NotFound);
        }
        if rng.chance(levels.lost_requests) {
            return Fate::LostRequest(patience);
        }
        if call.writes() {
            if rng.chance(levels.conflicts) {
                return Fate::Refused(ApiError::Conflict("the object has been modified".to_owned()));
            }
            if rng.chance(levels.lost_answers) {
                return Fate::LostAnswer(patience);
            }
            if !call.lease() && rng.chance(levels.stragglers) {
                return Fate::Straggler(patience, Duration::from_millis(rng.between(0, 20_000)));
            }
        }
        if rng.chance(levels.slow) {
            let longest = if call.lease() { 900 } else { 1_500 };
            return Fate::Slow(Duration::from_millis(rng.below(longest)), Duration::from_millis(rng.below(longest)));
        }
        Fate::Through
    }

    pub(super) fn event(&mut self) -> EventFate {
        let (levels, rng) = (self.levels, &mut self.rng);
        if self.script.is_empty() && levels == Levels::NONE {
            EventFate::Delivered
        } else if rng.chance(levels.closed) {
            EventFate::Closed
        } else if rng.chance(levels.gone) {
            EventFate::Gone
        } else if rng.chance(levels.lost) {
            EventFate::Lost(Duration::from_secs(rng.between(5, 120)))
        } else if rng.chance(levels.late) {
            EventFate::Late(Duration::from_millis(rng.between(100, 15_000)))
        } else {
            EventFate::Delivered
        }
    }

    /// Whether an idle watch is ended by the server now.
    pub(super) fn closes_idle_watch(&mut self) -> bool {
        let level = self.levels.closed;
        level > 0 && self.rng.chance(level)
    }

    /// How much a list is behind, in versions.
    pub(super) fn staleness(&mut self) -> u64 {
        if self.rng.chance(self.levels.stale) { self.rng.between(1, 30) } else { 0 }
    }

    pub(super) fn page(&mut self, usual: usize) -> usize {
        if self.rng.chance(self.levels.small_pages) { usize::try_from(self.rng.between(1, 3)).unwrap_or(1) } else { usual }
    }

    pub(super) fn cuts_list(&mut self) -> bool {
        self.rng.chance(self.levels.cut_lists)
    }

    /// How wrong the `Date` of an answer is; `None`: it carries none.
    pub(super) fn date(&mut self) -> Option<SignedDuration> {
        if self.quiet() { Some(SignedDuration::ZERO) } else { date(&mut self.rng, self.levels.wrong_date, self.levels.no_date) }
    }
}

/// How wrong a `Date` is that is wrong, or missing, in so many of a thousand answers.
pub(super) fn date(rng: &mut Rng, wrong: u16, missing: u16) -> Option<SignedDuration> {
    // None of these makes up for the skew that a scenario gives to a clock: nobody could notice that.
    const WRONG: [i64; 4] = [-4_123, -97, 333, 5_077];
    let wrong = rng.chance(wrong).then(|| rng.pick(&WRONG).copied()).flatten();
    let none = rng.chance(missing);
    (!none).then(|| SignedDuration::from_secs(wrong.unwrap_or_default()))
}

fn refusal(rng: &mut Rng) -> ApiError {
    let words = ["429 Too Many Requests", "500 Internal Server Error: etcdserver: leader changed", "503 Service Unavailable"];
    ApiError::Unavailable(rng.pick(&words).copied().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
