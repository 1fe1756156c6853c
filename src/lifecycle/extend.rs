//! Moves the end of a clone further away, and knows the new end and the ceiling.
//!
//! The ceiling is the policy's, which people seldom may read. Where whoever asks does not know it, the webhook is asked: a dry run of
//! an extension without end is answered by a warning that names it. The new end counts once the daemon has announced it, for which
//! this waits a moment.

use super::{Cause, Trouble, amend::amend, follow, pin, read};
use crate::{
    model::{Reading, Span, WordPressClone, ceil_to_second, later, names},
    observe::kube::person::{Person, Run},
    plan::{admit::ceiling_of, lifetime},
    policy::{ClonePolicy, Mode},
    ports::WatchEvent,
};
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// An extension that no policy grants in full.
const FOR_EVER: &str = "9000-01-01T00:00:00Z";
/// How long the daemon is given to announce the new end. It does so within a second, or it is not there.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);

/// How far somebody wants to move the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HowFar {
    By(Span),
    Until(Timestamp),
}

/// How far a clone can be extended, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    pub(crate) ceiling: Option<Timestamp>,
    /// The policy only says what it would do.
    pub(crate) audit: bool,
}

impl Bounds {
    /// What a policy that governs the clone says.
    pub(crate) fn of(clone: &WordPressClone, policy: &ClonePolicy) -> Self {
        Self { ceiling: Some(lifetime::lifetime(clone, &policy.ttl).ceiling), audit: policy.mode == Mode::Audit }
    }
}

/// What the daemon has said of the new end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    /// It is announced.
    Yes,
    /// Another end is: the clone's ceiling, where it was not known before.
    Otherwise(Timestamp),
    /// Nothing was heard within [`ANNOUNCED_WITHIN`].
    NotYet,
    /// Nothing ends it, so nothing is announced.
    Kept,
    /// In audit nothing is announced.
    Audit,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extended {
    /// What was written: the end that was asked for.
    pub(crate) until: Timestamp,
    pub(crate) bounds: Bounds,
    /// The end, as far as the policy grants it.
    pub(crate) end: Timestamp,
    pub(crate) announced: Announced,
    /// What the API server warned of, without the ceiling, which is told by `bounds`.
    pub(crate) warnings: Vec<String>,
}

/// Extends exactly the clone that was seen. `bounds`: what is known already of how far it goes; `None`: the webhook is asked.
pub(crate) async fn extend(person: &Person, object: Value, how_far: HowFar, bounds: Option<Bounds>) -> Result<Extended, Trouble> {
    let clone = read(&object)?;
    let mut warnings = person.warnings();
    let bounds = match bounds {
        Some(bounds) => bounds,
        None => by_webhook(person, &clone).await,
    };
    let until = aim(&clone, how_far, bounds.ceiling, super::now())?;
    // One that somebody has moved further meanwhile is left there.
    let settled = |clone: &WordPressClone| clone.extend_until.value().is_some_and(|there| *there >= until);
    let stored = amend(person, object, names::EXTEND_UNTIL, Some(until.to_string()), settled).await?;
    warnings.extend(person.warnings().into_iter().filter(|warning| ceiling_of(warning).is_none()));
    let granted = bounds.ceiling.map_or(until, |ceiling| until.min(ceiling));
    let announced = announced(person, &stored, granted, bounds).await?;
    let end = match announced {
        Announced::Otherwise(end) => end,
        _ => granted,
    };
    Ok(Extended { until, bounds, end, announced, warnings })
}

/// The end that somebody asks for.
fn aim(clone: &WordPressClone, how_far: HowFar, ceiling: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Trouble> {
    let name = clone.meta.name();
    let refuse = |cause: Cause, why: String| Err(Trouble::new(cause, name, format!("clone `{name}` {why}")));
    if let Some(since) = clone.meta.terminating {
        return refuse(Cause::Terminating, format!("is being deleted since {since}: nothing extends it any more"));
    }
    let extended = clone.extend_until.value().map(|until| ceil_to_second(*until));
    let by_ttl = clone.ttl.value().map(|seconds| later(clone.meta.created, jiff::SignedDuration::from_secs(*seconds)));
    let announced = clone.expires_at.value().copied();
    let known = [announced, extended, by_ttl].into_iter().flatten().max();
    match how_far {
        HowFar::Until(until) if until <= now => Err(Trouble::new(Cause::Nonsense, name, format!("{until} has passed: say a time that lies ahead"))),
        HowFar::Until(until) => match announced.max(extended).filter(|there| until <= *there) {
            Some(there) => refuse(Cause::NoLonger, format!("is to live until {there} already: an extension only moves an end further away")),
            None => Ok(until),
        },
        HowFar::By(by) => match known {
            // Whoever asked for more than there is begins at the ceiling.
            Some(end) => Ok(later(ceiling.map_or(end, |ceiling| end.min(ceiling)).max(now), by.get())),
            None => refuse(Cause::Endless, "does not say when it ends: say until when".to_owned()),
        },
    }
}

/// The ceiling by the webhook's own word. What keeps this from being asked keeps the extension from being written, and is said then.
async fn by_webhook(person: &Person, clone: &WordPressClone) -> Bounds {
    let for_ever = BTreeMap::from([(names::EXTEND_UNTIL, Some(FOR_EVER.to_owned()))]);
    let asked = person.annotate(&pin(clone), &for_ever, Run::Dry).await;
    let warnings = person.warnings();
    if asked.is_err() {
        return Bounds::default();
    }
    bounds(&warnings)
}

fn bounds(warnings: &[String]) -> Bounds {
    let found = warnings.iter().find_map(|warning| Some((ceiling_of(warning)?, warning.starts_with("clonewarden (audit)"))));
    found.map(|(ceiling, audit)| Bounds { ceiling: Some(ceiling), audit }).unwrap_or_default()
}

async fn announced(person: &Person, stored: &Value, end: Timestamp, bounds: Bounds) -> Result<Announced, Trouble> {
    let clone = read(stored)?;
    if clone.keep == Reading::Value(true) {
        return Ok(Announced::Kept);
    }
    if bounds.audit {
        return Ok(Announced::Audit);
    }
    let before = clone.expires_at.value().copied();
    let heard = |clone: &WordPressClone| match clone.expires_at.value().copied() {
        Some(at) if at == end => Some(Announced::Yes),
        Some(at) if bounds.ceiling.is_none() && Some(at) != before => Some(Announced::Otherwise(at)),
        // It was to end earlier because nothing used it, and has the rest of its own life again.
        Some(at) if at > end && Some(at) != before => Some(Announced::Otherwise(at)),
        _ => None,
    };
    if let Some(heard) = heard(&clone) {
        return Ok(heard);
    }
    let scope = follow::clone_itself(person.namespace(), clone.meta.name());
    let mut events = person.watch(&scope, &clone.meta.resource_version);
    let next = async {
        while let Some(Ok(event)) = events.next().await {
            if let WatchEvent::Applied(object) = event
                && let Ok(now) = WordPressClone::read(&object)
                && now.meta.uid == clone.meta.uid
                && let Some(heard) = heard(&now)
            {
                return heard;
            }
        }
        Announced::NotYet
    };
    Ok(tokio::time::timeout(ANNOUNCED_WITHIN, next).await.unwrap_or(Announced::NotYet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::kube::fake::{Answer, Fake, Then};
    use serde_json::json;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_770_300_000 + 60 * minutes).unwrap()
    }

    fn clone(annotations: Value) -> WordPressClone {
        WordPressClone::read(&object(annotations)).unwrap()
    }

    fn object(annotations: Value) -> Value {
        json!({
            "metadata": {"namespace": "a", "name": "c", "uid": "u", "resourceVersion": "7", "creationTimestamp": at(0), "annotations": annotations},
            "spec": {"ttlSeconds": 7_200},
        })
    }

    #[test]
    fn an_extension_begins_at_the_end_there_is() {
        let by = |annotations: Value, ceiling: Option<i64>, now: i64| {
            aim(&clone(annotations), HowFar::By(Span::hours(1)), ceiling.map(at), at(now)).unwrap()
        };
        assert_eq!(by(json!({}), None, 10), at(180), "its TTL");
        assert_eq!(by(json!({names::EXPIRES_AT: at(150)}), None, 10), at(210), "the announced end");
        // Twice within a second: the daemon has not announced the first yet.
        assert_eq!(by(json!({names::EXPIRES_AT: at(120), names::EXTEND_UNTIL: at(180)}), None, 10), at(240));
        assert_eq!(by(json!({names::EXTEND_UNTIL: at(9_000)}), Some(300), 10), at(360), "more than there is begins at the ceiling");
        assert_eq!(by(json!({names::EXPIRES_AT: at(120)}), None, 200), at(260), "an end that has passed is no beginning");
    }

    #[test]
    fn an_extension_never_shortens() {
        let until = |annotations: Value, until: i64| aim(&clone(annotations), HowFar::Until(at(until)), None, at(10));
        assert_eq!(until(json!({names::EXPIRES_AT: at(120)}), 121).unwrap(), at(121));
        assert_eq!(until(json!({names::EXPIRES_AT: at(120)}), 120).unwrap_err().name, "c");
        assert_eq!(until(json!({names::EXPIRES_AT: at(120), names::EXTEND_UNTIL: at(180)}), 150).unwrap_err().name, "c");
        assert!(matches!(until(json!({}), 10).unwrap_err().cause, Cause::Nonsense), "it has passed");
        let mut going = clone(json!({}));
        going.meta.terminating = Some(at(5));
        assert!(aim(&going, HowFar::Until(at(500)), None, at(10)).unwrap_err().to_string().contains("being deleted"));
    }

    #[tokio::test]
    async fn the_webhook_is_asked_for_the_ceiling_and_the_daemon_waited_for() {
        let ceiling =
            "299 - \"`clonewarden.io/extend-until` is past the ceiling: the clone lives until 2026-02-05T20:00:00Z (`ttl.maximum`, staging.yaml:4)\"";
        let until: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
        let event = |version: &str, expires: Timestamp| {
            let mut object = object(json!({names::EXPIRES_AT: expires, names::EXTEND_UNTIL: until}));
            object["metadata"]["resourceVersion"] = json!(version);
            (json!({"type": "MODIFIED", "object": object}).to_string() + "\n").into_bytes()
        };
        let end: Timestamp = "2026-02-05T20:00:00Z".parse().unwrap();
        let stored = Answer::Json(200, object(json!({names::EXTEND_UNTIL: until})));
        let watched = Answer::Pieces(vec![event("8", at(120)), event("9", end)], Then::Silence);
        let (person, fake) = Fake::person([Answer::Json(200, object(json!({}))), Answer::Warned(vec![ceiling]), stored, watched]);
        let object = crate::lifecycle::existing(&person, "c").await.unwrap();
        let extended = extend(&person, object, HowFar::Until(until), None).await.unwrap();
        assert_eq!((extended.end, extended.until, extended.announced), (end, until, Announced::Yes));
        let asked = fake.asked();
        assert!(asked[1].line.contains("dryRun=All") && !asked[2].line.contains("dryRun"), "{:?}", fake.lines());
        assert_eq!(asked[2].body["metadata"]["annotations"], json!({names::EXTEND_UNTIL: until}));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_webhook_and_a_daemon_it_says_so() {
        let until: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
        let answers = [Answer::Warned(vec![]), Answer::Json(200, object(json!({names::EXTEND_UNTIL: until}))), Answer::Pieces(vec![], Then::Silence)];
        let (person, _) = Fake::person(answers);
        let extended = extend(&person, object(json!({})), HowFar::Until(until), None).await.unwrap();
        assert_eq!((extended.announced, extended.bounds), (Announced::NotYet, Bounds::default()));
    }

    #[test]
    fn audit_is_told_by_the_warning() {
        let warning = |begin: &str| {
            vec![format!("{begin}`clonewarden.io/extend-until` is past the ceiling: the clone lives until {} (`ttl.maximum`, p.yaml:4)", at(300))]
        };
        assert_eq!(bounds(&warning("")), Bounds { ceiling: Some(at(300)), audit: false });
        assert_eq!(bounds(&warning("clonewarden (audit): would say: ")), Bounds { ceiling: Some(at(300)), audit: true });
        assert_eq!(bounds(&["other".to_owned()]), Bounds::default());
    }
}
