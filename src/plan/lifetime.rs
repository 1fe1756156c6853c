//! **A clone's fate is decided here**: when its life ends, and what that means now.
//!
//! [`lifetime`] computes the end E from the object and the policy. [`judge`] compares E with what was announced (A) and with
//! the time, and says the next step. Both are pure; every rule that could end a clone early is a line in this file.

use crate::model::{Reading, Span, WordPressClone, ceil_to_second, later, names};
use crate::policy::{IdleRule, Ttl};
use jiff::{SignedDuration, Timestamp};

/// Where the end of a clone comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The clone says nothing: the policy's default.
    Default,
    /// The clone's own TTL.
    Requested,
    /// Its TTL was shorter than the policy's minimum.
    RaisedToMinimum,
    /// Its TTL was longer than the policy's maximum.
    LoweredToMaximum,
    /// Somebody extended it.
    Extended,
    /// Somebody extended it further than the ceiling.
    ExtendedToCeiling,
    /// Something on it cannot be read: it gets the longest life that the policy allows.
    Unreadable,
    /// It is one of the newest over a limit, and the policy says to reap those.
    OverLimit,
    /// Nothing has used its database since then for longer than the policy allows, and how long that is.
    Idle(Timestamp, Span),
}

impl Cause {
    /// The word in facts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Requested => "requested",
            Self::RaisedToMinimum => "raisedToMinimum",
            Self::LoweredToMaximum => "loweredToMaximum",
            Self::Extended => "extended",
            Self::ExtendedToCeiling => "extendedToCeiling",
            Self::Unreadable => "unreadable",
            Self::OverLimit => "overLimit",
            Self::Idle(..) => "idle",
        }
    }

    /// Where the end comes from, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Default => "the policy's default TTL",
            Self::Requested => "its own TTL",
            Self::RaisedToMinimum => "its TTL, raised to the policy's minimum",
            Self::LoweredToMaximum => "its TTL, lowered to the policy's maximum",
            Self::Extended => "extended by annotation",
            Self::ExtendedToCeiling => "extended by annotation, up to the policy's maximum",
            Self::Unreadable => "the policy's maximum, since something on it cannot be read",
            Self::OverLimit => "one of the newest over the limit",
            Self::Idle(..) => "nothing uses its database",
        }
    }
}

/// The dates of one clone's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Its beginning, by the API server's clock.
    pub created: Timestamp,
    /// Its end E, rounded up to the second. An end equal to now has passed.
    pub end: Timestamp,
    /// The latest end that the policy allows.
    pub ceiling: Timestamp,
    /// Where the end comes from.
    pub cause: Cause,
}

/// How long a clone lives: `creation + clamp(ttl)`, extended, never past the ceiling.
#[must_use]
pub fn lifetime(clone: &WordPressClone, ttl: &Ttl) -> Lifetime {
    let created = clone.meta.created;
    let ceiling = ceil_to_second(later(created, ttl.maximum.get()));
    let of = |end, cause| Lifetime { created, end, ceiling, cause };
    if unreadable(clone).next().is_some() {
        return of(ceiling, Cause::Unreadable);
    }
    let (length, cause) = match clone.ttl {
        Reading::Value(seconds) if seconds < ttl.minimum.as_secs() => (ttl.minimum.get(), Cause::RaisedToMinimum),
        Reading::Value(seconds) if seconds > ttl.maximum.as_secs() => (ttl.maximum.get(), Cause::LoweredToMaximum),
        Reading::Value(seconds) => (SignedDuration::from_secs(seconds), Cause::Requested),
        Reading::Absent | Reading::Unreadable(_) => (ttl.default.get(), Cause::Default),
    };
    let end = ceil_to_second(later(created, length));
    match clone.extend_until.value().map(|until| ceil_to_second(*until)) {
        Some(until) if until > end && until > ceiling => of(ceiling, Cause::ExtendedToCeiling),
        Some(until) if until > end => of(until, Cause::Extended),
        _ => of(end, cause),
    }
}

/// The same life, brought to its end because nothing has used the clone's database since then, as was found `seen`; `None`: it is not
/// idle, or that ends nothing.
///
/// Never before the policy's minimum, nor before a date to which somebody has extended it, and never where something on it cannot be
/// read. An end by it has passed when it is first found, so [`judge`] announces it with the grace.
#[must_use]
pub fn idle(clone: &WordPressClone, life: Lifetime, ttl: &Ttl, rule: IdleRule, since: Timestamp, seen: Timestamp) -> Option<Lifetime> {
    let extended = clone.extend_until.value().is_some_and(|until| *until > seen);
    if extended || clone.keep == Reading::Value(true) || unreadable(clone).next().is_some() {
        return None;
    }
    let end = ceil_to_second(later(since, rule.after.get()).max(later(life.created, ttl.minimum.get())));
    (end <= seen && end < life.end).then_some(Lifetime { end, cause: Cause::Idle(since, rule.after), ..life })
}

/// Everything on a clone that was said and cannot be read: the field and its text.
pub fn unreadable(clone: &WordPressClone) -> impl Iterator<Item = (&'static str, &str)> {
    [("spec.ttlSeconds", clone.ttl.unreadable()), (names::EXTEND_UNTIL, clone.extend_until.unreadable()), (names::KEEP, clone.keep.unreadable())]
        .into_iter()
        .filter_map(|(field, text)| text.map(|text| (field, text)))
}

/// Since when a clone's namespace has been under `enforce` without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// It is, and since when is not known: nothing that was announced counts.
    No,
    /// It is not: the policy is in audit mode. What a person had announced counts for what is shown, and for what a person then has
    /// carried out; nothing is done by itself, and nothing of it counts once it is enforced.
    Audited,
    /// Since then.
    Since(Timestamp),
    /// For ever, as far as anybody knows: the files do not tell.
    Always,
}

/// How far ahead of us the clock of another holder may have been when it announced: each is held to 30 s of the server's.
const FOREIGN_CLOCK: SignedDuration = SignedDuration::from_secs(60);

/// The announced end of a clone, if the announcement counts: it was made in this clone's life, under `enforce` as it has
/// stood since where anything is enforced, and not in the future.
#[must_use]
pub fn announcement(clone: &WordPressClone, enforced: Enforced, now: Timestamp) -> Option<Timestamp> {
    let (end, at) = (*clone.expires_at.value()?, *clone.announced_at.value()?);
    let since = match enforced {
        Enforced::No => return None,
        Enforced::Since(since) => since.max(clone.meta.created),
        Enforced::Audited | Enforced::Always => clone.meta.created,
    };
    (at >= since && at <= later(now, FOREIGN_CLOCK)).then_some(end)
}

/// What comes next in a clone's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet. What was announced stands, if anything was.
    Wait,
    /// This end is to be announced, because the one that stands is missing or another.
    Announce(Timestamp),
    /// Computed and announced end have both passed.
    Delete {
        /// The announced end.
        announced: Timestamp,
        /// It was not announced as what it was computed to be: the brake counts it.
        surprise: bool,
    },
}

/// Announced before it happens: it goes only when E ≤ now and E ≤ A ≤ now; everything else waits or announces.
#[must_use]
pub fn judge(end: Timestamp, announced: Option<Timestamp>, grace: SignedDuration, now: Timestamp) -> Step {
    let after_grace = ceil_to_second(later(now, grace));
    match announced {
        Some(announced) if end <= announced && announced <= now => Step::Delete { announced, surprise: announced > end },
        Some(announced) if announced == end => Step::Wait,
        // The end came nearer: so may the announcement, but never nearer than the grace.
        Some(announced) if announced > end => match announced.min(end.max(after_grace)) {
            same if same == announced => Step::Wait,
            nearer => Step::Announce(nearer),
        },
        // Nothing was announced, or an end that is now too early.
        _ if end > now => Step::Announce(end),
        _ => Step::Announce(after_grace),
    }
}

/// The warning that is due before an announced end, if there is one: how long before the end it was meant for.
#[must_use]
pub fn warning_due(clone: &WordPressClone, announced: Timestamp, ttl: &Ttl, now: Timestamp) -> Option<SignedDuration> {
    let left = announced.duration_since(now);
    // They are sorted, longest first: for most of a life none is near.
    if ttl.warnings.first().is_none_or(|longest| left > longest.get()) {
        return None;
    }
    // Warnings longer than the life itself would be given at birth: the announcement is that already.
    let life = announced.duration_since(clone.meta.created);
    let due = ttl.warnings.iter().map(|warning| warning.get()).filter(|warning| *warning < life && left <= *warning).min()?;
    let given = clone.warned.as_deref().and_then(|text| given_warning(text, announced));
    given.is_none_or(|given| given > due).then_some(due)
}

/// The next moment at which a warning becomes due.
#[must_use]
pub fn next_warning(announced: Timestamp, ttl: &Ttl, now: Timestamp) -> Option<Timestamp> {
    let at = |warning: SignedDuration| announced.checked_sub(warning).ok();
    ttl.warnings.iter().filter_map(|warning| at(warning.get())).filter(|at| *at > now).min()
}

/// How `warned` records a warning: the end it was about, and how long before it.
#[must_use]
pub fn warned_text(announced: Timestamp, before: SignedDuration) -> String {
    format!("{announced}/{}", crate::model::duration::human(before))
}

/// A warning counts only for the end that it was about: after an extension they are given again.
fn given_warning(text: &str, announced: Timestamp) -> Option<SignedDuration> {
    let (end, before) = text.split_once('/')?;
    let same = end.parse::<Timestamp>().ok()? == announced;
    before.parse::<crate::model::Span>().ok().filter(|_| same).map(crate::model::Span::get)
}

/// Whether anything on a clone announces an end, or the warning of one.
#[must_use]
pub fn says_an_end(clone: &WordPressClone) -> bool {
    clone.expires_at != Reading::Absent || clone.announced_at != Reading::Absent || clone.unused_since != Reading::Absent || clone.warned.is_some()
}
