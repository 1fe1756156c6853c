//! 30 clones in two namespaces under two policies. Those whose time is over are warned and go, with everything that KRO made of
//! them; those that are extended, kept, or carry something unreadable stay, say why, and their Pods run on.

use crate::harness::{
    clones::{Clones, Part, Seen},
    install::{Install, decisions, verdict},
    stage::Stage,
    wait::{secs, until},
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Long enough for 30 Pods to run before the first end, with the other scenes' clones beside them on two busy cores.
const TTL: u32 = 60;
/// The second policy's minimum, for clones that ask for less.
const RAISED: u32 = 62;
/// How late a delete may be at most, with other scenes beside this one: the loop itself needs milliseconds.
const LATEST: SignedDuration = SignedDuration::from_secs(5);

/// A clone that lives on, and how that is said.
struct Stays {
    name: &'static str,
    /// What a person sets on it once its end is announced.
    annotate: Option<(&'static str, &'static str)>,
    ttl: u32,
    /// The code of its verdict, and the cause of its end.
    code: &'static str,
    cause: &'static str,
    /// The reason of an Event about it.
    event: Option<&'static str>,
    /// What `explain` says.
    told: &'static str,
}

const fn stays(
    name: &'static str,
    annotate: Option<(&'static str, &'static str)>,
    ttl: u32,
    said: [&'static str; 3],
    event: Option<&'static str>,
) -> Stays {
    let [code, cause, told] = said;
    Stays { name, annotate, ttl, code, cause, event, told }
}

const FAR: &str = "2100-01-01T00:00:00Z";
const EXTENDED: [&str; 3] = ["Living", "extendedToCeiling", "extended by annotation"];
const KEPT: [&str; 3] = ["Kept", "requested", "clonewarden.io/keep: \"true\" keeps it"];
const UNREADABLE: [&str; 3] = ["Living", "unreadable", "UnreadableValue"];

const STAY_A: [Stays; 6] = [
    stays("extended-1", Some((names::EXTEND_UNTIL, FAR)), TTL, EXTENDED, Some("Announced")),
    stays("extended-2", Some((names::EXTEND_UNTIL, "2100-01-01T02:00:00+02:00")), TTL, EXTENDED, Some("Announced")),
    stays("kept-1", Some((names::KEEP, "true")), TTL, KEPT, None),
    stays("kept-2", Some((names::KEEP, "true")), TTL, KEPT, None),
    stays("odd-date", Some((names::EXTEND_UNTIL, "next tuesday")), TTL, UNREADABLE, Some("UnreadableValue")),
    stays("odd-keep", Some((names::KEEP, "yes please")), TTL, UNREADABLE, Some("UnreadableValue")),
];
const STAY_B: [Stays; 6] = [
    stays("extended-1", Some((names::EXTEND_UNTIL, FAR)), TTL, EXTENDED, Some("Announced")),
    stays("extended-2", Some((names::EXTEND_UNTIL, FAR)), 1, EXTENDED, Some("Announced")),
    stays("kept-1", Some((names::KEEP, "true")), TTL, ["Kept", "raisedToMinimum", "clonewarden.io/keep: \"true\" keeps it"], None),
    stays("odd-date", Some((names::EXTEND_UNTIL, "2100-01-01")), TTL, UNREADABLE, Some("UnreadableValue")),
    stays("odd-keep", Some((names::KEEP, "TRUE")), TTL, UNREADABLE, Some("UnreadableValue")),
    stays("long", None, 3600, ["Living", "requested", "its own TTL"], None),
];

/// One namespace with what lives there.
struct Place {
    clones: Clones,
    go: Vec<(String, Option<u32>)>,
    stay: &'static [Stays],
}

/// What was seen of a clone that goes, before it went.
#[derive(Default, Clone)]
struct Before {
    announced: Option<Timestamp>,
    warned: bool,
}

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "expiry").await?;
    install.govern(
        "short",
        &["expiry-a"],
        &format!("mode: enforce\nttl: {{minimum: 5s, default: {TTL}s, maximum: 2h, warnings: [10s], grace: 5s}}"),
    )?;
    install.govern(
        "raised",
        &["expiry-b"],
        &format!("mode: enforce\nttl: {{minimum: {RAISED}s, default: 2h, maximum: 3h, warnings: [12s], grace: 5s}}"),
    )?;
    let named = |word: &str, count: usize, ttl: Option<u32>| (1..=count).map(|n| (format!("{word}-{n}"), ttl)).collect::<Vec<_>>();
    let a = Clones::in_new_namespace(&stage.admin, "expiry-a").await?;
    let b = Clones::in_new_namespace(&stage.admin, "expiry-b").await?;
    let places = [
        Place { clones: a, go: [named("own", 6, Some(TTL)), named("default", 3, None)].concat(), stay: &STAY_A },
        Place { clones: b, go: [named("own", 5, Some(RAISED + 2)), named("raised", 4, Some(1))].concat(), stay: &STAY_B },
    ];

    let daemon = install.start_leader().await?;
    let begun = Instant::now();
    for place in &places {
        for (name, ttl) in &place.go {
            place.clones.create(name, *ttl, &json!({})).await?;
        }
        for stays in place.stay {
            place.clones.create(stays.name, Some(stays.ttl), &json!({})).await?;
        }
    }
    let mut pods: Vec<Part> = Vec::new();
    let mut born: Vec<Seen> = Vec::new();
    for place in &places {
        let all: Vec<&str> = place.go.iter().map(|(name, _)| name.as_str()).chain(place.stay.iter().map(|stays| stays.name)).collect();
        born.extend(place.clones.until_announced(&all).await?);
        for (name, (key, value)) in place.stay.iter().filter_map(|stays| Some((stays.name, stays.annotate?))) {
            place.clones.annotate(name, key, value).await?;
        }
    }
    for place in &places {
        pods.extend(place.clones.until_up(&place.clones.all().await?).await?.into_iter().filter(|part| part.kind == "Pod"));
    }
    ensure!(pods.len() == 30, "30 clones have {} Pods", pods.len());
    let up = begun.elapsed();

    let expected: Vec<String> =
        places.iter().flat_map(|place| place.go.iter().map(|(name, _)| format!("{}/{name}", place.clones.namespace))).collect();
    let before = follow(&places, &expected).await?;
    for place in &places {
        let gone: Vec<&str> = born.iter().filter(|clone| place.go.iter().any(|(name, _)| name == clone.name())).map(Seen::uid).collect();
        place.clones.until_swept(&gone).await?;
    }
    let lateness = check_deletes(&install, &expected, &before).await?;
    daemon.until_says_deleted(&places.iter().flat_map(|place| place.go.iter().map(|(name, _)| name.as_str())).collect::<Vec<_>>()).await?;

    // Those that stay have by now outlived the TTL that they asked for.
    for place in &places {
        check_living(&install, place, &pods).await?;
    }
    let told = place_events(&places, &before).await?;
    daemon.stop().await?;
    for place in &places {
        place.clones.clear().await?;
    }
    Ok(format!("30 up after {:.0} s, 18 gone, {lateness}; {told} Events", up.as_secs_f64()))
}

/// Looks at those that go until all of them are gone, and remembers how they were announced.
async fn follow(places: &[Place], expected: &[String]) -> Result<BTreeMap<String, Before>> {
    let seen: Mutex<BTreeMap<String, Before>> = Mutex::default();
    until("those whose time is over are gone", Duration::from_secs(90), async || {
        let mut left = Vec::new();
        for place in places {
            for clone in place.clones.all().await? {
                let path = format!("{}/{}", place.clones.namespace, clone.name());
                if !expected.contains(&path) {
                    continue;
                }
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let before = seen.entry(path.clone()).or_default();
                before.announced = clone.expires_at().or(before.announced);
                before.warned |= clone.annotation(names::WARNED).is_some();
                left.push(path);
            }
        }
        ensure!(left.is_empty(), "still there: {}", left.join(", "));
        Ok(())
    })
    .await?;
    Ok(seen.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Exactly the expected ones were deleted, each once, warned before, never early.
async fn check_deletes(install: &Install, expected: &[String], before: &BTreeMap<String, Before>) -> Result<String> {
    let mut lateness = Vec::new();
    for deed in install.until_deleted_exactly(expected).await? {
        let path = format!("{}/{}", deed.namespace, deed.name);
        let before = before.get(&path).with_context(|| format!("{path} was never seen"))?;
        ensure!(before.warned, "{path} went without a warning on it");
        let late = deed.at.duration_since(before.announced.with_context(|| format!("{path} went unannounced"))?);
        ensure!(!late.is_negative(), "{path} went {} before its announced end", secs(-late));
        ensure!(late < LATEST, "{path} went {} after its announced end", secs(late));
        lateness.push(late);
    }
    lateness.sort_unstable();
    let at = |percent: usize| lateness.get(lateness.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
    Ok(format!("deletes late by {} (median), {} (most)", secs(at(50)), secs(at(100))))
}

/// The clones that stay live, say why in the plan and in `explain`, and have the very Pods that they had.
async fn check_living(install: &Install, place: &Place, pods: &[Part]) -> Result<()> {
    let namespace = &place.clones.namespace;
    let plan = install.plan().await?;
    let parts = place.clones.parts().await?;
    for stays in place.stay {
        let clone = place.clones.one(stays.name).await?;
        ensure!(!clone.is_terminating(), "{namespace}/{} is being deleted", stays.name);
        if stays.ttl <= RAISED {
            let asked = clone.created()?.checked_add(SignedDuration::from_secs(i64::from(stays.ttl)))?;
            ensure!(Timestamp::now() > asked, "{namespace}/{}: its TTL is not over yet: this proves nothing", stays.name);
        }
        let pod = pods.iter().find(|pod| pod.clone == clone.uid()).context("it had a Pod")?;
        ensure!(parts.contains(pod), "{namespace}/{}: its Pod {} does not run any more", stays.name, pod.name);

        let (action, code, _) = verdict(&plan, namespace, stays.name)?;
        let about = decisions(&plan, namespace, stays.name);
        let cause = about.first().map(|decision| &decision["reason"]["facts"]["cause"]);
        ensure!((action.as_str(), code.as_str()) == ("keep", stays.code), "{namespace}/{}: {action} {code}, not keep {}", stays.name, stays.code);
        ensure!(cause.is_some_and(|cause| *cause == stays.cause), "{namespace}/{}: the cause is {cause:?}, not {}", stays.name, stays.cause);
        let alerted = about.iter().any(|decision| decision["action"] == "alert" && decision["reason"]["code"] == "UnreadableValue");
        ensure!(alerted == (stays.cause == "unreadable"), "{namespace}/{}: its alerts are wrong: {about:?}", stays.name);
        let told = install.explain(&format!("{namespace}/{}", stays.name)).await?;
        ensure!(
            told.contains(stays.told) && told.contains(stays.code),
            "`explain {namespace}/{}` does not say `{}`:\n{told}",
            stays.name,
            stays.told
        );
        let announced = clone.expires_at().is_some();
        ensure!(announced == (stays.code != "Kept"), "{namespace}/{}: announced: {announced}, though it is {}", stays.name, stays.code);
    }
    Ok(())
}

/// Every clone that went was warned of by an Event before the Event of its end; those that stay have theirs. Returns how many.
async fn place_events(places: &[Place], before: &BTreeMap<String, Before>) -> Result<usize> {
    let mut count = 0;
    for place in places {
        let events = until("the Events are written", Duration::from_secs(20), async || {
            let events = place.clones.events().await?;
            let has = |name: &str, reason: &str, event_type: &str| {
                let event = events.iter().find(|event| event.about == name && event.reason == reason);
                let event = event.with_context(|| {
                    format!("{name} has no Event `{reason}` among {:?}", events.iter().filter(|event| event.about == name).collect::<Vec<_>>())
                })?;
                ensure!(event.event_type == event_type, "{name}: {reason} is of type {}", event.event_type);
                Ok(event.clone())
            };
            for (name, _) in &place.go {
                let (warned, gone) = (has(name, "ExpiresSoon", "Warning")?, has(name, "Expired", "Normal")?);
                ensure!(warned.at < gone.at, "{name} was warned at {} and went at {}", warned.at, gone.at);
                let end = before.get(&format!("{}/{name}", place.clones.namespace)).and_then(|before| before.announced);
                ensure!(end.is_some_and(|end| warned.message.contains(&end.to_string())), "the warning does not name the end: {}", warned.message);
            }
            for (name, reason) in place.stay.iter().filter_map(|stays| Some((stays.name, stays.event?))) {
                has(name, reason, if reason == "Announced" { "Normal" } else { "Warning" })?;
            }
            Ok(events)
        })
        .await?;
        count += events.len();
    }
    Ok(count)
}
