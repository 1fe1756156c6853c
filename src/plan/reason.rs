//! Why something was decided, as data. Command line, Events, journal, page and metrics all render this and nothing else.
//!
//! A reason holds numbers and dates; its words are made only when somebody reads them, so that a plan over a hundred thousand
//! clones does not write a hundred thousand sentences.

pub use super::doubt::Doubt;

use super::lifetime::{Cause, Lifetime};
use crate::model::{
    Source, Span,
    duration::{human, roughly},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Which limit was exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// `limits.clones`.
    Clones,
    /// `limits.dedicatedDatabases`.
    DedicatedDatabases,
    /// `limits.clonesPerOwner`, and whose.
    ClonesOf(Box<str>),
}

/// Why a decision was taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// It lives: its end has not come.
    Living(Lifetime),
    /// It lives, though its end has passed or come nearer: the later end that was announced stands.
    LivingOn(Lifetime, Timestamp),
    /// Somebody wants it kept: itself, or the part of it that is named.
    Kept(Lifetime, Option<Box<str>>),
    /// Somebody has deleted it; it is on its way out.
    Terminating(Timestamp),
    /// Its end is announced; the end that was announced before, if there was one.
    Announced(Lifetime, Timestamp, Option<Timestamp>),
    /// Its end has passed unannounced, or came nearer: the announced end gives it the grace.
    GraceAnnounced(Lifetime, Timestamp),
    /// Its announced end is near.
    ExpiresSoon(Lifetime, Timestamp, SignedDuration),
    /// Its end has passed; under `enforce` this end would be announced now.
    WouldAnnounce(Lifetime, Timestamp),
    /// Computed and announced end have passed.
    Expired(Lifetime, Timestamp),
    /// Something that the decision needs is not known well enough.
    EvidenceMissing(Source, String),
    /// Our clock and the server's disagree, or the server's is not known.
    ClockUntrusted(String),
    /// The RGD or CRD of the clones was there and is gone.
    DefinitionGone(Arc<str>),
    /// Two policies have come to meet on the namespace.
    PolicyConflict(Arc<str>, Arc<str>),
    /// The object is there and cannot be read.
    UnreadableObject(Box<str>),
    /// Most objects of the source are missing all at once: how many there were, how many are missing.
    Collapsed(usize, usize),
    /// Its owner, this UID, is gone; whether it was recorded before.
    OwnerGone(Box<str>, bool),
    /// It is an orphan and no policy is known to govern it: it is recorded and never deleted.
    NoPolicy,
    /// It may be no orphan.
    Doubtful(Doubt),
    /// A snapshot that was made for an orphan has outlived its date; whether it was recorded before.
    SnapshotExpired(Timestamp, bool),
    /// A clone lives on a shared host, at this `namespace/name`, and has no schema there.
    SchemaMissing(Box<str>),
    /// Something about what clones cost.
    Money(super::money::Finding),
    /// The clone that it was made for, of this UID, was seen to go.
    CloneEnded(Box<str>),
    /// It was marked and is no orphan any more, and why.
    NoOrphan(&'static str),
    /// What was marked is gone, in the cluster and in AWS.
    Deleted,
    /// It is the final snapshot of an orphan, and does not say yet that it is ours.
    SnapshotOurs,
    /// A field cannot be read: which, and what it says.
    UnreadableValue(&'static str, Box<str>),
    /// It has been going for too long: since when, and what holds it.
    StuckTerminating(Timestamp, Vec<String>),
    /// It does not work, and why.
    Broken(Vec<String>),
    /// It is kept although the policy's ceiling has passed.
    KeptPastCeiling(Lifetime),
    /// More than allowed: how many, and how many may be.
    OverLimit(Limit, usize, u32),
    /// Surprises wait for a person: how many wait, how many were carried out, out of how many clones.
    BrakeOn(usize, usize, usize),
    /// KRO says the definition is not ready.
    DefinitionNotReady(Box<str>),
    /// What bounds a namespace is not what the policy says.
    Quota(super::quota::Finding),
    /// What a shared host has counted of the use of so many schemas is written down there.
    UseNoted(usize),
    /// A shared host does not count every use of its schemas, and why.
    UseNotCounted(Box<str>),
    /// A clone's Secret, or the key behind it, is not there.
    Credentials(super::credentials::Lack),
}

impl Reason {
    /// The code: CamelCase, each with a line in the docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Living(_) | Self::LivingOn(..) => "Living",
            Self::Kept(..) => "Kept",
            Self::Terminating(_) => "Terminating",
            Self::Announced(..) => "Announced",
            Self::GraceAnnounced(..) => "GraceAnnounced",
            Self::ExpiresSoon(..) => "ExpiresSoon",
            Self::WouldAnnounce(..) => "WouldAnnounce",
            Self::Expired(life, _) if life.cause == Cause::OverLimit => "OverLimit",
            Self::Expired(Lifetime { cause: Cause::Idle(..), .. }, _) => "Idle",
            Self::Expired(..) => "Expired",
            Self::EvidenceMissing(..) => "EvidenceMissing",
            Self::ClockUntrusted(_) => "ClockUntrusted",
            Self::DefinitionGone(_) => "DefinitionGone",
            Self::PolicyConflict(..) => "PolicyConflict",
            Self::UnreadableObject(_) => "UnreadableObject",
            Self::Collapsed(..) => "Collapsed",
            Self::OwnerGone(..) => "OwnerGone",
            Self::NoPolicy => "NoPolicy",
            Self::Doubtful(doubt) => doubt.code(),
            Self::SnapshotExpired(..) => "SnapshotExpired",
            Self::SchemaMissing(_) => "SchemaMissing",
            Self::Money(finding) => finding.code(),
            Self::CloneEnded(_) => "CloneEnded",
            Self::NoOrphan(_) => "NoOrphan",
            Self::Deleted => "Deleted",
            Self::SnapshotOurs => "SnapshotOurs",
            Self::UnreadableValue(..) => "UnreadableValue",
            Self::StuckTerminating(..) => "StuckTerminating",
            Self::Broken(_) => "Broken",
            Self::KeptPastCeiling(_) => "KeptPastCeiling",
            Self::OverLimit(..) => "OverLimit",
            Self::BrakeOn(..) => "BrakeOn",
            Self::DefinitionNotReady(_) => "DefinitionNotReady",
            Self::Quota(finding) => finding.code(),
            Self::UseNoted(_) => "UseNoted",
            Self::UseNotCounted(_) => "UseNotCounted",
            Self::Credentials(lack) => lack.code(),
        }
    }

    /// The end that the decision is about, if it is about one.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        match self {
            Self::Announced(_, at, _) | Self::GraceAnnounced(_, at) | Self::ExpiresSoon(_, at, _) | Self::Expired(_, at) | Self::LivingOn(_, at) => {
                Some(*at)
            }
            Self::Living(life) | Self::Kept(life, _) | Self::WouldAnnounce(life, _) | Self::KeptPastCeiling(life) => Some(life.end),
            _ => None,
        }
    }

    /// The dates of the clone's life, if the decision is about one.
    #[must_use]
    pub fn life(&self) -> Option<&Lifetime> {
        match self {
            Self::Living(life) | Self::Kept(life, _) | Self::Announced(life, ..) | Self::GraceAnnounced(life, _) | Self::LivingOn(life, _) => {
                Some(life)
            }
            Self::ExpiresSoon(life, ..) | Self::WouldAnnounce(life, _) | Self::Expired(life, _) | Self::KeptPastCeiling(life) => Some(life),
            _ => None,
        }
    }

    /// One sentence for people: what, why, and what comes next.
    #[must_use]
    pub fn message(&self, now: Timestamp) -> String {
        let from_now = |at: Timestamp| {
            let left = at.duration_since(now);
            if left.is_positive() { format!("in {}", roughly(left)) } else { format!("{} ago", roughly(-left)) }
        };
        match self {
            Self::LivingOn(Lifetime { cause: Cause::Idle(since, after), .. }, at)
            | Self::GraceAnnounced(Lifetime { cause: Cause::Idle(since, after), .. }, at) => {
                format!("{}: it goes at {at} ({}), unless something uses it or somebody extends it", unused(*since, *after, now), from_now(*at))
            }
            Self::WouldAnnounce(Lifetime { cause: Cause::Idle(since, after), .. }, at) => {
                format!("{}; under `enforce` it would go at {at}", unused(*since, *after, now))
            }
            Self::Expired(Lifetime { cause: Cause::Idle(since, after), .. }, at) => {
                format!("{}; announced for {at}, which has passed", unused(*since, *after, now))
            }
            Self::Living(life) => format!("lives until {} ({}): {}", life.end, from_now(life.end), life.cause.words()),
            Self::Kept(life, by) => {
                let by = by.as_deref().map_or_else(|| "its annotation".to_owned(), |part| format!("a keep on {part}"));
                format!("is kept by {by}; without it, it would end at {} ({})", life.end, from_now(life.end))
            }
            Self::Terminating(since) => format!("was deleted {} and is on its way out", from_now(*since)),
            Self::Announced(life, at, None) => format!("its end is announced for {at} ({}): {}", from_now(*at), life.cause.words()),
            Self::Announced(life, at, Some(before)) => {
                format!("its announced end moves from {before} to {at} ({}): {}", from_now(*at), life.cause.words())
            }
            Self::LivingOn(life, at) if life.cause == Cause::OverLimit => {
                format!("is one of the newest over the limit: it lives until {at} ({}), as announced", from_now(*at))
            }
            Self::LivingOn(life, at) => {
                format!(
                    "its end {} has passed or come nearer; it lives until {at} ({}), as announced: {}",
                    life.end,
                    from_now(*at),
                    life.cause.words()
                )
            }
            Self::GraceAnnounced(life, at) if life.cause == Cause::OverLimit => {
                format!("is one of the newest over the limit: it goes at {at} ({})", from_now(*at))
            }
            Self::GraceAnnounced(life, at) => {
                format!("its end {} has passed or come nearer; it goes at {at} ({}), so that nobody is surprised", life.end, from_now(*at))
            }
            Self::ExpiresSoon(_, at, _) => format!("will be deleted at {at} ({}); extend it or keep it if it is still needed", from_now(*at)),
            Self::WouldAnnounce(life, at) if life.cause == Cause::OverLimit => {
                format!("is one of the newest over the limit; under `enforce` it would go at {at}")
            }
            Self::WouldAnnounce(life, at) => {
                format!("its end {} has passed ({}); under `enforce` it would go at {at}", life.end, from_now(life.end))
            }
            Self::Expired(life, at) if life.cause == Cause::OverLimit => {
                format!("is one of the newest over the limit; announced for {at}, which has passed")
            }
            Self::Expired(life, at) if *at > life.end => {
                format!("its end {} has passed, and so has {at}, the end that was announced: {}", life.end, life.cause.words())
            }
            Self::Expired(life, at) => format!("its announced end {at} has passed ({}): {}", from_now(*at), life.cause.words()),
            Self::EvidenceMissing(source, lack) => format!("nothing is decided without `{source}`: {lack}"),
            Self::ClockUntrusted(lack) => format!("nothing ends by a clock that cannot be trusted: {lack}"),
            Self::DefinitionGone(name) => format!("`{name}` was there and is gone: nothing ends until it is back"),
            Self::PolicyConflict(one, other) => format!("policies `{one}` and `{other}` both govern the namespace: change one selector"),
            Self::UnreadableObject(problem) => format!("cannot be read ({problem}): it counts as alive"),
            Self::Collapsed(count, missing) => {
                format!(
                    "{missing} of {count} objects are missing without having been deleted: nothing is judged by absence until they are back or the brake is released"
                )
            }
            Self::OwnerGone(uid, _) => format!("its clone (uid {uid}) is gone"),
            Self::NoPolicy => "is an orphan that no policy governs: it is recorded, and never deleted".to_owned(),
            Self::Doubtful(doubt) => doubt.message(),
            Self::SnapshotExpired(at, _) => format!("is a final snapshot that was kept until {at}"),
            Self::Money(finding) => finding.message(),
            Self::SchemaMissing(path) => format!("`{path}` lives on this host and has no schema there, or not all of it"),
            Self::CloneEnded(uid) => format!("its clone (uid {uid}) has ended, and its schema follows"),
            Self::NoOrphan(why) => format!("is no orphan any more: {why}"),
            Self::Deleted => "is gone".to_owned(),
            Self::SnapshotOurs => "is the final snapshot that was taken for an orphan: it is tagged as ours, with its own date".to_owned(),
            Self::UnreadableValue(field, text) => {
                format!("`{field}` says `{text}`, which cannot be read: it gets the longest life that the policy allows")
            }
            Self::StuckTerminating(since, blockers) => {
                format!("has been going for {}: {}", roughly(now.duration_since(*since)), list(blockers, "nothing visible holds it"))
            }
            Self::Broken(what) => format!("does not work: {}", list(what, "no detail")),
            Self::KeptPastCeiling(life) => {
                format!("is kept {} past the longest life that the policy allows", roughly(now.duration_since(life.ceiling)))
            }
            Self::OverLimit(limit, count, cap) => format!("{count} {}, {cap} allowed", limit.words()),
            Self::BrakeOn(waiting, carried, clones) => format!(
                "{waiting} unannounced ends wait and {carried} were carried out, of {clones} clones: none goes until `clonewarden brake release`"
            ),
            Self::DefinitionNotReady(why) => format!("KRO says it is not ready ({why}): deletions may hang"),
            Self::Quota(finding) => finding.message(),
            Self::UseNoted(count) => format!("what was counted of {count} schemas has changed, and is written down"),
            Self::UseNotCounted(why) => format!("no clone on it ends because nothing uses it: {why}"),
            Self::Credentials(lack) => lack.message(),
        }
    }

    /// The numbers and dates behind the sentence.
    #[must_use]
    pub fn facts(&self) -> Map<String, Value> {
        let mut facts = Map::new();
        let mut put = |key: &str, value: Value| drop(facts.insert(key.to_owned(), value));
        if let Some(life) = self.life() {
            put("createdAt", json!(life.created));
            put("expiresAt", json!(life.end));
            put("ceiling", json!(life.ceiling));
            put("cause", json!(life.cause.word()));
            if let Cause::Idle(since, after) = life.cause {
                put("unusedSince", json!(since));
                put("idleAfter", json!(human(after.get())));
            }
        }
        match self {
            Self::Announced(_, at, before) => {
                put("announcedEnd", json!(at));
                if let Some(before) = before {
                    put("announcedBefore", json!(before));
                }
            }
            Self::GraceAnnounced(_, at) | Self::Expired(_, at) | Self::LivingOn(_, at) => put("announcedEnd", json!(at)),
            Self::WouldAnnounce(_, at) => put("wouldGoAt", json!(at)),
            Self::ExpiresSoon(_, at, before) => {
                put("announcedEnd", json!(at));
                put("warning", json!(human(*before)));
            }
            Self::Terminating(since) => put("since", json!(since)),
            Self::EvidenceMissing(source, lack) => {
                put("source", json!(source));
                put("lack", json!(lack));
            }
            Self::ClockUntrusted(lack) => put("lack", json!(lack)),
            Self::DefinitionGone(name) => put("definition", json!(name)),
            Self::PolicyConflict(one, other) => put("policies", json!([one, other])),
            Self::UnreadableObject(problem) => put("problem", json!(problem)),
            Self::Collapsed(count, missing) => {
                put("count", json!(count));
                put("missing", json!(missing));
            }
            Self::OwnerGone(uid, recorded) => {
                put("ownerUid", json!(uid));
                put("recorded", json!(recorded));
            }
            Self::Doubtful(doubt) => doubt.facts(&mut put),
            Self::UnreadableValue(field, text) => {
                put("field", json!(field));
                put("text", json!(text));
            }
            Self::StuckTerminating(since, blockers) => {
                put("since", json!(since));
                put("blockers", json!(blockers));
            }
            Self::Broken(what) => put("problems", json!(what)),
            Self::OverLimit(limit, count, cap) => {
                put("limit", json!(limit.field()));
                if let Limit::ClonesOf(owner) = limit {
                    put("owner", json!(owner));
                }
                put("count", json!(count));
                put("allowed", json!(cap));
            }
            Self::BrakeOn(waiting, carried, clones) => {
                put("waiting", json!(waiting));
                put("carried", json!(carried));
                put("clones", json!(clones));
            }
            Self::SnapshotExpired(at, recorded) => {
                put("expiredAt", json!(at));
                put("recorded", json!(recorded));
            }
            Self::SchemaMissing(path) => put("clone", json!(path)),
            Self::Money(finding) => finding.facts(&mut put),
            Self::CloneEnded(uid) => put("ownerUid", json!(uid)),
            Self::NoOrphan(why) => put("why", json!(why)),
            Self::DefinitionNotReady(why) => put("why", json!(why)),
            Self::Quota(finding) => finding.facts().into_iter().for_each(|(key, value)| put(&key, value)),
            Self::UseNoted(count) => put("schemas", json!(count)),
            Self::UseNotCounted(why) => put("why", json!(why)),
            Self::Credentials(lack) => lack.facts(&mut put),
            Self::Kept(_, by) => by.iter().for_each(|by| put("keptBy", json!(by))),
            Self::Living(_) | Self::KeptPastCeiling(_) | Self::NoPolicy | Self::Deleted | Self::SnapshotOurs => {}
        }
        facts
    }
}

/// Since when nothing has used a clone's database, and by which rule that matters.
fn unused(since: Timestamp, after: Span, now: Timestamp) -> String {
    format!("nothing has used its database since {since:.0} (for {}, and `idle.after` is {after})", roughly(now.duration_since(since)))
}

fn list(items: &[String], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join("; ") }
}

impl Limit {
    /// Its field under `limits`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Clones => "clones",
            Self::DedicatedDatabases => "dedicatedDatabases",
            Self::ClonesOf(_) => "clonesPerOwner",
        }
    }

    /// What it bounds, for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Clones => "live clones".to_owned(),
            Self::DedicatedDatabases => "clones with a database of their own".to_owned(),
            Self::ClonesOf(owner) => format!("live clones of `{owner}`"),
        }
    }
}
