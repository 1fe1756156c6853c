//! Figures get to CloudWatch whatever its endpoint does: throttled, answering errors, losing an answer, gone and back, standing still. At
//! the end every series that was sent is what `/metrics` says, none is lost or counted twice, and no end was late for it.

use crate::harness::{aws::REGION, clones::Clones, daemon::Daemon, install::Install, stage::Stage, wait::until};
use anyhow::{Context, Result, ensure};
use clonewarden::export::cloudwatch::CHOSEN;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const RULES: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}";
const NAMESPACE: &str = "Clonewarden/e2e";
const PUT: &str = "PutMetricData";
const SOON: Duration = Duration::from_secs(60);
/// From the wait after a failure to the next request.
const LATER: Duration = Duration::from_secs(120);
/// An end that is later than this was held up by something.
const LATE: &str = "5";

/// A series: its name, and its labels in their order.
type Series = (String, BTreeMap<String, String>);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let aws = stage.empty_sky().await?;
    let install = Install::new(&stage, "cloudwatch").await?;
    install.govern("cloudwatch", &["cloudwatch"], RULES)?;
    let clones = Clones::in_new_namespace(&stage.admin, "cloudwatch").await?;
    let flags = ["--cloudwatch-namespace", NAMESPACE, "--cloudwatch-region", REGION, "--cloudwatch-every", "1s", "--cloudwatch-series", "2000"];
    let daemon = install.start_with_aws_and(&aws, &flags)?;
    daemon.until_leading().await?;
    // A standby sends nothing, so some of this may never be sent.
    let standby = series(&daemon).await?;
    let reap = async |name: &str| -> Result<()> {
        clones.create(name, Some(5), &json!({})).await?;
        clones.until_gone(&[name]).await
    };
    let requests = async |outcome: &str| anyhow::Ok(daemon.metrics().await?.sum("clonewarden_cloudwatch_requests_total", &[("outcome", outcome)]));
    reap("calm").await?;

    // One at a time, and each is got over before the next: the wait doubles with each failure in a row.
    let fault = async |what: Value| aws.control("faults", &json!([what])).await;
    for (what, outcome) in [
        (json!({"op": PUT, "code": "ServiceUnavailable", "status": 503, "times": 1}), "unavailable"),
        (json!({"op": PUT, "code": "Throttling", "times": 1}), "throttled"),
        (json!({"op": PUT, "lostAnswer": true}), "unknown"),
    ] {
        fault(what).await?;
        until(outcome, SOON, async || so(requests(outcome).await? == 1.0)).await?;
        until_sent_anew(&daemon).await?;
    }
    reap("refused").await?;

    // Nothing is under way while it goes, and what it has is read before that.
    fault(json!({"op": PUT, "code": "ServiceUnavailable", "status": 503, "times": -1})).await?;
    until("it is refused", SOON, async || so(requests("unavailable").await? > 1.0)).await?;
    let mut taken = aws.figures().await?;
    stage.parts(|platform| platform.stop("aws")).await?;
    reap("away").await?;
    until("there is no connection", SOON, async || so(requests("unsent").await? > 0.0)).await?;
    stage.parts(|platform| platform.restart("aws")).await?;
    until_sent_anew(&daemon).await?;

    stage.parts(|platform| platform.freeze("aws")).await?;
    let frozen = reap("frozen").await;
    stage.parts(|platform| platform.thaw("aws")).await?;
    frozen?;

    let metrics = daemon.metrics().await?;
    let ended = metrics.sum("clonewarden_expiry_lateness_seconds_count", &[]);
    let in_time = metrics.sum("clonewarden_expiry_lateness_seconds_bucket", &[("le", LATE)]);
    ensure!(ended == 4.0 && in_time == ended, "{ended} ends, {in_time} of them in time");
    let kept = taken.len();
    let early = series(&daemon).await?;
    until_sent_anew(&daemon).await?;
    let all = [&taken[..], &aws.figures().await?].concat();
    let compared = compare(&all, &standby, [&early, &series(&daemon).await?])?;
    daemon.stop().await?;
    taken.extend(aws.figures().await?);
    let actions = taken.iter().filter(|one| one["name"] == "clonewarden_actions_total" && one["dimensions"]["outcome"] == "done");
    let deleted: f64 = actions.filter(|one| one["dimensions"]["action"] == "delete").map(total).sum();
    ensure!(deleted == 4.0, "{deleted} deletes are told of");
    Ok(format!("{compared} series compared, {} figures, {kept} of them before the restart; 4 ends, none later than {LATE} s", taken.len()))
}

fn so(seen: bool) -> Result<()> {
    ensure!(seen, "it is not so yet");
    Ok(())
}

/// Waits until everything has got through that was counted at this moment.
async fn until_sent_anew(daemon: &Daemon) -> Result<()> {
    let now = Timestamp::now().as_duration().as_secs_f64();
    until("it is sent anew", LATER, async || so(daemon.metrics().await?.sum("clonewarden_cloudwatch_last_success_timestamp_seconds", &[]) > now))
        .await
}

/// The chosen series of `/metrics`; of a histogram how many values it has.
async fn series(daemon: &Daemon) -> Result<BTreeMap<Series, f64>> {
    let (_, text) = daemon.page("/metrics").await?;
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (id, value) = line.rsplit_once(' ').context("a line without a value")?;
        let (name, labels) = id.split_once('{').unwrap_or((id, "}"));
        let name = name.strip_suffix("_count").filter(|name| CHOSEN.contains(name)).unwrap_or(name);
        if !CHOSEN.contains(&name) {
            continue;
        }
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once("=\""));
        let labels = labels.map(|(label, value)| (label.to_owned(), value.trim_end_matches('"').to_owned())).collect();
        all.insert((name.to_owned(), labels), value.parse()?);
    }
    Ok(all)
}

fn total(figure: &Value) -> f64 {
    let values = figure["values"].as_array().into_iter().flatten();
    values.map(|pair| pair[0].as_f64().unwrap_or_default() * pair[1].as_f64().unwrap_or_default()).sum()
}

/// Holds what was taken against two readings of `/metrics`, before and after the newest of it: what did not change in between has to be
/// the same, and what did has to lie between. Only what was counted before it had the lease may be missing. Returns how many series there are.
fn compare(taken: &[Value], standby: &BTreeMap<Series, f64>, [early, late]: [&BTreeMap<Series, f64>; 2]) -> Result<usize> {
    let mut seen: BTreeMap<Series, f64> = BTreeMap::new();
    for figure in taken.iter().filter(|figure| figure["namespace"] == NAMESPACE && figure["name"] != "clonewarden_signal") {
        let name = figure["name"].as_str().context("no name")?.to_owned();
        let labels = figure["dimensions"].as_object().context("no dimensions")?.iter();
        let text = |value: &Value| value.as_str().filter(|text| *text != "-").unwrap_or_default().to_owned();
        let id = (name, labels.map(|(label, value)| (label.clone(), text(value))).collect());
        let said = seen.entry(id).or_default();
        let counts = figure["values"].as_array().context("no values")?;
        match figure["name"].as_str() {
            Some(name) if name.ends_with("_total") => *said += total(figure),
            Some("clonewarden_expiry_lateness_seconds" | "clonewarden_plan_duration_seconds" | "clonewarden_admission_review_duration_seconds") => {
                *said += counts.iter().filter_map(|pair| pair[1].as_f64()).fold(0.0, |sum, count| sum + count);
            }
            _ => *said = total(figure),
        }
    }
    for (id, now) in late {
        // What never moved is not sent, and what has just begun may be under way.
        let Some(before) = early.get(id) else { continue };
        let said = seen.get(id).copied().unwrap_or_default();
        let counts = id.0.ends_with("_total");
        let passed = standby.get(id).copied().filter(|_| counts).unwrap_or_default();
        let (low, high) = (before.min(*now) - passed - 1e-6, before.max(*now) + 1e-6);
        // A level may have been elsewhere in between.
        let moved = !counts && before != now;
        ensure!(moved || (low..=high).contains(&said), "{id:?}: {said} was sent, and it is {before} to {now}");
    }
    ensure!(seen.len() > 20, "only {} series were sent", seen.len());
    Ok(seen.len())
}
