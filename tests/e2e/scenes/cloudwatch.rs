//! Figures get to CloudWatch whatever its endpoint does: throttled, answering errors, losing an answer, gone and back, standing still. At
//! the end every series that was sent is what `/metrics` says, none is lost or counted twice, and no end was late for it.

use crate::harness::{
    aws::{Aws, REGION},
    clones::Clones,
    daemon::Daemon,
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::export::cloudwatch::CHOSEN;
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
    let reap = async |name: &str| -> Result<()> {
        clones.create(name, Some(5), &json!({})).await?;
        clones.until_gone(&[name]).await
    };
    let requests = async |outcome: &str| anyhow::Ok(daemon.metrics().await?.sum("clonewarden_cloudwatch_requests_total", &[("outcome", outcome)]));
    reap("calm").await?;

    let fault = |mut what: Value| {
        what["op"] = PUT.into();
        what
    };
    let faults =
        [json!({"code": "InternalServiceFault", "status": 500, "times": 2}), json!({"code": "Throttling", "times": 1}), json!({"lostAnswer": true})];
    aws.control("faults", &faults.map(fault).into()).await?;
    reap("refused").await?;
    until("an answer was lost", LATER, async || so(requests("unknown").await? == 1.0)).await?;
    ensure!(requests("throttled").await? == 1.0 && requests("unavailable").await? == 2.0, "{}", told(&daemon).await?);

    // Nothing is under way while it goes, and what it has is read before that.
    aws.control("faults", &json!([fault(json!({"code": "ServiceUnavailable", "status": 503, "times": -1}))])).await?;
    let before = requests("unavailable").await?;
    until("it is refused", SOON, async || so(requests("unavailable").await? > before)).await?;
    let mut taken = aws.figures().await?;
    stage.parts(|platform| platform.stop("aws")).await?;
    reap("away").await?;
    until("there is no connection", LATER, async || so(requests("unsent").await? > 0.0)).await?;
    stage.parts(|platform| platform.restart("aws")).await?;
    until("it is back", LATER, async || so(!aws.figures().await?.is_empty())).await?;

    stage.parts(|platform| platform.freeze("aws")).await?;
    let frozen = reap("frozen").await;
    stage.parts(|platform| platform.thaw("aws")).await?;
    frozen?;

    let metrics = daemon.metrics().await?;
    let ended = metrics.sum("clonewarden_expiry_lateness_seconds_count", &[]);
    let in_time = metrics.sum("clonewarden_expiry_lateness_seconds_bucket", &[("le", LATE)]);
    ensure!(ended == 4.0 && in_time == ended, "{ended} ends, {in_time} of them in time");
    let kept = taken.len();
    let compared = until("every series is what /metrics says", LATER, async || {
        let early = series(&daemon).await?;
        let sent = aws.figures().await?.len();
        until("it sends twice", LATER, async || so(newest(&aws).await? > sent)).await?;
        let mut all = taken.clone();
        all.extend(aws.figures().await?);
        compare(&all, &early, &series(&daemon).await?)
    })
    .await?;
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

async fn told(daemon: &Daemon) -> Result<String> {
    Ok(daemon.metrics().await?.family("clonewarden_cloudwatch"))
}

async fn newest(aws: &Aws) -> Result<usize> {
    Ok(aws.figures().await?.len())
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
/// the same, and what did has to lie between. Returns how many series there are.
fn compare(taken: &[Value], early: &BTreeMap<Series, f64>, late: &BTreeMap<Series, f64>) -> Result<usize> {
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
        let (low, high) = (before.min(*now) - 1e-6, before.max(*now) + 1e-6);
        // A level may have been elsewhere in between.
        let level = !id.0.ends_with("_total") && before != now;
        ensure!(level || (low..=high).contains(&said), "{id:?}: {said} was sent, and it is {before} to {now}");
    }
    ensure!(seen.len() > 20, "only {} series were sent", seen.len());
    Ok(seen.len())
}
