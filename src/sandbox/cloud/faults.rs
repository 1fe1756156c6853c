//! What goes wrong between a daemon and AWS: drawn from a seed, call by call, or scripted by a test.

use crate::{model::evidence::CloudList, ports::CloudError, rng::Rng, sandbox::faults::date};
use jiff::SignedDuration;
use std::{collections::VecDeque, time::Duration};

/// How long after it was sent a request may still take effect, though its sender has given up: no longer than the adapter's own
/// patience with all its tries, for AWS does not keep what it has not answered.
pub const LATEST: Duration = Duration::from_secs(20);

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloudCall {
    /// One list of a sweep.
    List(CloudList),
    /// `describe`.
    Describe,
    /// `kin`.
    Kin,
    /// `delete`.
    Delete,
    /// `tag`.
    Tag,
}

/// What becomes of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudFate {
    /// It does what was asked, and answers.
    Through,
    /// As [`CloudFate::Through`], but it takes so long until the effect, and so long from there to the answer.
    Slow(Duration, Duration),
    /// The answer is this error, and nothing happened.
    Refused(CloudError),
    /// Nothing happens, and after this time the caller gives up.
    LostRequest(Duration),
    /// It does what was asked, but the answer never arrives: after this time the caller gives up.
    LostAnswer(Duration),
    /// The caller gives up after the first time; what was asked happens after the second, at most [`LATEST`].
    Straggler(Duration, Duration),
    /// The process dies before the call (`false`) or after its effect (`true`).
    Crash(bool),
}

/// How often things go wrong, in thousandths of the calls, lists or answers that they can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudLevels {
    /// Calls that are throttled, or answered 5xx, for longer than anybody waits.
    pub throttled: u16,
    /// Calls with credentials that have expired.
    pub forbidden: u16,
    /// Calls that reach another account.
    pub elsewhere: u16,
    /// Answers that are cut short, and noticed to be.
    pub cut: u16,
    /// Calls that take up to some seconds.
    pub slow: u16,
    /// Calls that time out before they have an effect.
    pub lost_requests: u16,
    /// Calls that time out after their effect.
    pub lost_answers: u16,
    /// Changes that take effect after their caller has given up.
    pub stragglers: u16,
    /// Lists that tell what was true a little earlier.
    pub stale: u16,
    /// Lists that leave out the newest resource.
    pub without_newest: u16,
    /// Lists that leave out some resources, and look whole.
    pub short: u16,
    /// Answers in which a resource has no tags, though it has.
    pub untagged: u16,
    /// Answers without a `Date`.
    pub no_date: u16,
    /// Answers with a wrong `Date`.
    pub wrong_date: u16,
}

impl CloudLevels {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        throttled: 0,
        forbidden: 0,
        elsewhere: 0,
        cut: 0,
        slow: 0,
        lost_requests: 0,
        lost_answers: 0,
        stragglers: 0,
        stale: 0,
        without_newest: 0,
        short: 0,
        untagged: 0,
        no_date: 0,
        wrong_date: 0,
    };

    /// AWS on a bad day.
    pub const MILD: Self = Self {
        throttled: 20,
        forbidden: 5,
        elsewhere: 2,
        cut: 10,
        slow: 50,
        lost_requests: 10,
        lost_answers: 20,
        stragglers: 10,
        stale: 30,
        without_newest: 20,
        short: 10,
        untagged: 10,
        no_date: 50,
        wrong_date: 2,
    };

    /// AWS on a day of which people will speak.
    pub const ROUGH: Self = Self {
        throttled: 120,
        forbidden: 40,
        elsewhere: 20,
        cut: 60,
        slow: 200,
        lost_requests: 60,
        lost_answers: 100,
        stragglers: 60,
        stale: 150,
        without_newest: 100,
        short: 80,
        untagged: 60,
        no_date: 200,
        wrong_date: 20,
    };
}

/// The faults of one handle.
#[derive(Debug)]
pub(super) struct CloudFaults {
    rng: Rng,
    levels: CloudLevels,
    script: VecDeque<(CloudCall, CloudFate)>,
}

impl CloudFaults {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), levels: CloudLevels::NONE, script: VecDeque::new() }
    }

    pub(super) fn set_levels(&mut self, levels: CloudLevels) {
        self.levels = levels;
    }

    pub(super) fn script(&mut self, call: CloudCall, fate: CloudFate) {
        self.script.push_back((call, fate));
    }

    fn quiet(&self) -> bool {
        self.levels == CloudLevels::NONE
    }

    /// What becomes of a call.
    pub(super) fn fate(&mut self, call: CloudCall) -> CloudFate {
        if let Some(index) = self.script.iter().position(|(scripted, _)| *scripted == call) {
            return self.script.remove(index).map_or(CloudFate::Through, |(_, fate)| fate);
        }
        if self.quiet() {
            return CloudFate::Through;
        }
        let (levels, rng) = (self.levels, &mut self.rng);
        let patience = Duration::from_millis(rng.between(2_000, 15_000));
        if rng.chance(levels.throttled) {
            let words = ["Throttling: Rate exceeded", "InternalFailure", "ServiceUnavailable"];
            return CloudFate::Refused(CloudError::Unavailable(rng.pick(&words).copied().unwrap_or_default().to_owned()));
        }
        if rng.chance(levels.forbidden) {
            return CloudFate::Refused(CloudError::Forbidden("ExpiredToken: The security token included in the request is expired".to_owned()));
        }
        if rng.chance(levels.elsewhere) {
            return CloudFate::Refused(CloudError::Elsewhere("the credentials belong to the account 999999999999".to_owned()));
        }
        if rng.chance(levels.lost_requests) {
            return CloudFate::LostRequest(patience);
        }
        if matches!(call, CloudCall::Delete | CloudCall::Tag) {
            if rng.chance(levels.lost_answers) {
                return CloudFate::LostAnswer(patience);
            }
            if rng.chance(levels.stragglers) {
                let latest = u64::try_from(LATEST.as_millis()).unwrap_or(u64::MAX);
                return CloudFate::Straggler(patience, Duration::from_millis(rng.below(latest)));
            }
        } else if rng.chance(levels.cut) {
            return CloudFate::Refused(CloudError::NotWhole("the answer ends within a word".to_owned()));
        }
        if rng.chance(levels.slow) {
            return CloudFate::Slow(Duration::from_millis(rng.below(4_000)), Duration::from_millis(rng.below(4_000)));
        }
        CloudFate::Through
    }

    /// How much too old a list is.
    pub(super) fn age(&mut self) -> SignedDuration {
        let stale = self.levels.stale > 0 && self.rng.chance(self.levels.stale);
        SignedDuration::from_secs(if stale { i64::try_from(self.rng.between(2, 60)).unwrap_or_default() } else { 0 })
    }

    /// Whether a list leaves out the newest resource.
    pub(super) fn forgets_newest(&mut self) -> bool {
        self.levels.without_newest > 0 && self.rng.chance(self.levels.without_newest)
    }

    /// Which share of a list is left out, in thousandths.
    pub(super) fn shortage(&mut self) -> u16 {
        let short = self.levels.short > 0 && self.rng.chance(self.levels.short);
        if short { u16::try_from(self.rng.between(100, 1_000)).unwrap_or_default() } else { 0 }
    }

    /// Whether the answer's resources lack their tags.
    pub(super) fn untagged(&mut self) -> bool {
        self.levels.untagged > 0 && self.rng.chance(self.levels.untagged)
    }

    /// True in so many of a thousand cases.
    pub(super) fn chance(&mut self, per_mille: u16) -> bool {
        self.rng.chance(per_mille)
    }

    /// How wrong the `Date` of an answer is; `None`: it carries none.
    pub(super) fn date(&mut self) -> Option<SignedDuration> {
        if self.quiet() { Some(SignedDuration::ZERO) } else { date(&mut self.rng, self.levels.wrong_date, self.levels.no_date) }
    }
}
