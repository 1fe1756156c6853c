//! `clonewarden clone extend`: moves the end of a clone further away, and says the new end and the ceiling.
//!
//! The ceiling is the policy's, which people seldom may read. So it is asked of the webhook: a dry run of an extension without end
//! is answered by a warning that names it. With `--policies DIR` it is computed from those files. The new end counts once the daemon
//! has announced it, for which this waits a moment.

use super::{Failure, Place, amend::amend, existing, follow, output, pin, read, tell_warnings};
use crate::{
    cli::{inputs, live, table::relative},
    model::{Reading, Span, WordPressClone, ceil_to_second, later, names},
    observe::kube::person::{Person, Run},
    plan::{admit::ceiling_of, lifetime},
    policy::{Governing, Mode, Policies},
    ports::WatchEvent,
};
use anyhow::anyhow;
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// An extension that no policy grants in full.
const FOR_EVER: &str = "9000-01-01T00:00:00Z";
/// How long the daemon is given to announce the new end. It does so within a second, or it is not there.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);

/// `clone extend`
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("how far").required(true))]
pub(in crate::cli) struct Args {
    /// The clone
    #[arg(value_name = "CLONE", value_parser = super::name)]
    clone: String,
    /// By how much, from its present end on, e.g. 2h
    #[arg(long, value_name = "DURATION", group = "how far")]
    by: Option<Span>,
    /// Until when (RFC 3339, e.g. 2026-02-05T18:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = inputs::moment, group = "how far")]
    until: Option<Timestamp>,
    /// Take the ceiling from the policy files in this folder; default: the webhook is asked for it
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let policies = args.policies.as_deref().map(inputs::load).transpose()?;
    let how_far = match (args.by, args.until) {
        (Some(by), _) => HowFar::By(by),
        (None, Some(until)) => HowFar::Until(ceil_to_second(until)),
        (None, None) => return Err(Failure::input(anyhow!("say how far: `--by` or `--until`"))),
    };
    let said = args.place.ask(|person| async move { extend(&person, &args.clone, how_far, policies.as_ref()).await })?;
    output::data(&said)
}

/// How far somebody wants to move the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HowFar {
    By(Span),
    Until(Timestamp),
}

/// How far a clone can be extended, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Bounds {
    ceiling: Option<Timestamp>,
    /// The policy only says what it would do.
    audit: bool,
}

async fn extend(person: &Person, name: &str, how_far: HowFar, policies: Option<&Policies>) -> Result<String, Failure> {
    let object = existing(person, name).await?;
    let clone = read(&object)?;
    let now = live::now();
    let bounds = match policies {
        Some(policies) => by_files(person, &clone, policies).await?,
        None => by_webhook(person, &clone).await,
    };
    let until = aim(&clone, how_far, bounds.ceiling, now)?;
    // One that somebody has moved further meanwhile is left there.
    let settled = |clone: &WordPressClone| clone.extend_until.value().is_some_and(|there| *there >= until);
    let stored = amend(person, object, names::EXTEND_UNTIL, Some(until.to_string()), settled).await?;
    // The warning of the ceiling is what is said below.
    person.warnings().iter().filter(|warning| ceiling_of(warning).is_none()).for_each(|warning| output::warning(warning));
    let end = bounds.ceiling.map_or(until, |ceiling| until.min(ceiling));
    let told = Outcome { name, until, bounds, end, now, announced: announced(person, &stored, end, bounds).await? };
    Ok(told.text())
}

/// The end that somebody asks for.
fn aim(clone: &WordPressClone, how_far: HowFar, ceiling: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Failure> {
    let name = clone.meta.name();
    let refuse = |why: String| Err(Failure::failed(anyhow!("clone `{name}` {why}")));
    if let Some(since) = clone.meta.terminating {
        return refuse(format!("is being deleted since {since}: nothing extends it any more"));
    }
    let extended = clone.extend_until.value().map(|until| ceil_to_second(*until));
    let by_ttl = clone.ttl.value().map(|seconds| later(clone.meta.created, jiff::SignedDuration::from_secs(*seconds)));
    let announced = clone.expires_at.value().copied();
    let known = [announced, extended, by_ttl].into_iter().flatten().max();
    match how_far {
        HowFar::Until(until) if until <= now => Err(Failure::input(anyhow!("{until} has passed: say a time that lies ahead"))),
        HowFar::Until(until) => match announced.max(extended).filter(|there| until <= *there) {
            Some(there) => refuse(format!("is to live until {there} already: an extension only moves an end further away")),
            None => Ok(until),
        },
        HowFar::By(by) => match known {
            // Whoever asked for more than there is begins at the ceiling.
            Some(end) => Ok(later(ceiling.map_or(end, |ceiling| end.min(ceiling)).max(now), by.get())),
            None => refuse("does not say when it ends: write `--until`".to_owned()),
        },
    }
}

/// The ceiling by policy files.
async fn by_files(person: &Person, clone: &WordPressClone, policies: &Policies) -> Result<Bounds, Failure> {
    // Without its labels a namespace is still governed by its name.
    let labels = person.namespace_labels().await.ok();
    match policies.governing(person.namespace(), labels.as_ref()) {
        Governing::Policy(policy) => Ok(Bounds { ceiling: Some(lifetime::lifetime(clone, &policy.ttl).ceiling), audit: policy.mode == Mode::Audit }),
        Governing::Conflict(one, other) => {
            Err(Failure::failed(anyhow!("policies `{}` and `{}` both govern `{}`", one.name, other.name, person.namespace())))
        }
        Governing::Nobody => {
            let unread = if labels.is_none() { ", as far as its name says: its labels cannot be read" } else { "" };
            output::note(&format!("no policy in these files governs `{}`{unread}", person.namespace()));
            Ok(Bounds::default())
        }
    }
}

/// The ceiling by the webhook's own word. What keeps this from being asked keeps the extension from being written, and is said then.
async fn by_webhook(person: &Person, clone: &WordPressClone) -> Bounds {
    tell_warnings(person);
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

/// What the daemon has said of the new end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
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

async fn announced(person: &Person, stored: &Value, end: Timestamp, bounds: Bounds) -> Result<Announced, Failure> {
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

/// What is said at the end.
struct Outcome<'a> {
    name: &'a str,
    until: Timestamp,
    bounds: Bounds,
    end: Timestamp,
    now: Timestamp,
    announced: Announced,
}

impl Outcome<'_> {
    fn text(&self) -> String {
        let at = |at: Timestamp| format!("{at} ({})", relative(at, self.now));
        let end = match self.announced {
            Announced::Otherwise(end) => end,
            _ => self.end,
        };
        let clamped = if end < self.until { format!("; asked for was {}, which is past its ceiling", self.until) } else { String::new() };
        let mut text = match self.announced {
            Announced::Kept => format!("{} is kept; without that it lives until {}{clamped}\n", self.name, at(end)),
            Announced::Audit => format!("{} would live until {}{clamped}: its policy is in audit and ends nothing\n", self.name, at(end)),
            Announced::Yes | Announced::Otherwise(_) => format!("{} lives until {}{clamped}\n", self.name, at(end)),
            Announced::NotYet => format!("{} is extended until {}{clamped}; the daemon has not announced that yet\n", self.name, at(end)),
        };
        text += &match self.bounds.ceiling {
            Some(ceiling) => format!("ceiling: {}, the longest that its policy allows; `clone keep` goes beyond\n", at(ceiling)),
            None => "ceiling: not known, since no webhook of clonewarden's answered; `--policies DIR` tells\n".to_owned(),
        };
        text
    }
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
        assert_eq!(until(json!({names::EXPIRES_AT: at(120)}), 120).unwrap_err().code, 1);
        assert_eq!(until(json!({names::EXPIRES_AT: at(120), names::EXTEND_UNTIL: at(180)}), 150).unwrap_err().code, 1);
        assert_eq!(until(json!({}), 10).unwrap_err().code, 2, "it has passed");
        let mut going = clone(json!({}));
        going.meta.terminating = Some(at(5));
        assert!(aim(&going, HowFar::Until(at(500)), None, at(10)).unwrap_err().to_string().contains("being deleted"));
    }

    #[test]
    fn the_new_end_and_the_ceiling_are_said() {
        let told = |until: i64, ceiling: Option<i64>, announced| {
            let bounds = Bounds { ceiling: ceiling.map(at), audit: false };
            let end = ceiling.map_or(at(until), |ceiling| at(until).min(at(ceiling)));
            Outcome { name: "c", until: at(until), bounds, end, now: at(0), announced }.text()
        };
        let text = told(180, Some(300), Announced::Yes);
        assert!(text.starts_with(&format!("c lives until {} (in 3h)\nceiling: {} (in 5h)", at(180), at(300))), "{text}");
        let text = told(600, Some(300), Announced::Yes);
        assert!(text.starts_with(&format!("c lives until {} (in 5h); asked for was {}", at(300), at(600))), "{text}");
        let text = told(600, None, Announced::Otherwise(at(300)));
        assert!(text.contains("past its ceiling") && text.contains("--policies"), "{text}");
        assert!(told(180, Some(300), Announced::NotYet).contains("has not announced"));
        assert!(told(180, Some(300), Announced::Kept).starts_with("c is kept"));
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
        let text = extend(&person, "c", HowFar::Until(until), None).await.unwrap();
        assert!(text.starts_with("c lives until 2026-02-05T20:00:00Z") && text.contains("asked for was 2099"), "{text}");
        let asked = fake.asked();
        assert!(asked[1].line.contains("dryRun=All") && !asked[2].line.contains("dryRun"), "{:?}", fake.lines());
        assert_eq!(asked[2].body["metadata"]["annotations"], json!({names::EXTEND_UNTIL: until}));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_webhook_and_a_daemon_it_says_so() {
        let until: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
        let answers = [
            Answer::Json(200, object(json!({}))),
            Answer::Warned(vec![]),
            Answer::Json(200, object(json!({names::EXTEND_UNTIL: until}))),
            Answer::Pieces(vec![], Then::Silence),
        ];
        let (person, _) = Fake::person(answers);
        let text = extend(&person, "c", HowFar::Until(until), None).await.unwrap();
        assert!(text.contains("has not announced") && text.contains("not known"), "{text}");
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
