//! What AWS bills is read page by page, also with an empty day, after a throttled call, and again when yesterday is corrected; a
//! second process has the bill of the first and spends no call more than the day has; without the right to read it everything else
//! goes on.

use crate::harness::{
    aws::{Aws, REGION},
    clones::Clones,
    daemon::Daemon,
    install::Install,
    stage::{CLUSTER_ID, Stage},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const RULES: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}";
const OPERATION: &str = "GetCostAndUsage";
const TARGET: &str = "AWSInsightsIndexService.GetCostAndUsage";
const RDS: &str = "Amazon Relational Database Service";
const SOON: Duration = Duration::from_secs(30);
/// What a day may cost: enough for the first process to see a correction.
const CALLS: usize = 15;

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let aws = stage.empty_sky().await?;
    let install = Install::new(&stage, "billing").await?;
    install.govern("billing", &["billing"], RULES)?;
    let clones = Clones::in_new_namespace(&stage.admin, "billing").await?;
    let days = days()?;
    let yesterday = *days.last().context("a day")?;
    let month = yesterday.strftime("%Y-%m").to_string();
    // A dollar a day but for the empty one, in the month of yesterday.
    let billed = days.iter().skip(2).chain(days.first()).filter(|day| day.first_of_month() == yesterday.first_of_month()).count() as f64;

    aws.control("static", &bill(&days, "1")).await?;
    aws.control("faults", &json!([{"op": OPERATION, "code": "LimitExceededException", "status": 400}])).await?;
    let first = start(&install, &aws, CALLS)?;
    first.until_leading().await?;
    let actual = "clonewarden_billing_actual_usd";
    let of_rds = [("month", month.as_str()), ("service", RDS)];
    first.until_metric(SOON, actual, &of_rds, billed).await?;
    let ours = [("month", month.as_str()), ("namespace", "billing")];
    first.until_metric(SOON, "clonewarden_billing_namespace_usd", &ours, billed).await?;
    first.until_metric(SOON, "clonewarden_billing_calls_total", &[("outcome", "throttled")], 1.0).await?;

    aws.control("static", &bill(&days, "5.25")).await?;
    first.until_metric(SOON, actual, &of_rds, billed + 4.25).await?;
    first.kill()?;
    let before = aws.asked(OPERATION).await?;

    let second = start(&install, &aws, CALLS)?;
    second.until_leading().await?;
    second.until_metric(SOON, actual, &of_rds, billed + 4.25).await?;
    let state = format!("/api/v1/namespaces/{}/configmaps/clonewarden-state", install.namespace);
    until("the calls of the day are written down as spent", SOON, async || {
        let stored = stage.admin.get(&state).await?;
        let remembered: Value = serde_json::from_str(stored["data"]["state.json"].as_str().context("no state")?)?;
        ensure!(remembered["billing"]["calls"] == CALLS, "{}", remembered["billing"]["calls"]);
        Ok(())
    })
    .await?;
    second.until_metric(SOON, actual, &of_rds, billed + 4.25).await?;
    second.stop().await?;
    // Whoever is killed between writing a call down and sending it has spent it.
    let asked = aws.asked(OPERATION).await?;
    ensure!((CALLS - 1..=CALLS).contains(&asked), "{asked} calls, {before} of them by the first process, where {CALLS} were allowed");

    aws.control("faults", &json!([{"op": OPERATION, "code": "AccessDeniedException", "status": 400, "times": -1}])).await?;
    let third = start(&install, &aws, 1_000)?;
    third.until_leading().await?;
    let due = clones.create("due", Some(5), &json!({})).await?;
    until("AWS refuses to tell the bill", SOON, async || {
        let metrics = third.metrics().await?;
        ensure!(metrics.sum("clonewarden_billing_calls_total", &[("outcome", "forbidden")]) > 0.0, "{}", metrics.family("clonewarden_billing"));
        Ok(())
    })
    .await?;
    clones.until_gone(&["due"]).await?;
    install.until_deleted_exactly(&[format!("billing/{}", due.name())]).await?;
    let said = third.said()?;
    ensure!(said.contains("AccessDeniedException"), "it does not say why it has no bill");
    third.until_metric(SOON, actual, &of_rds, billed + 4.25).await?;
    // On the first day of a month nothing of it is billed yet.
    if month == today().strftime("%Y-%m").to_string() {
        reconciled(&stage, &third, &month, billed + 4.25).await?;
    }
    third.stop().await?;
    Ok(format!("{asked} of {CALLS} calls by two processes; corrected from {billed} to {} USD", billed + 4.25))
}

/// The ledger has what was billed, and how far it is from that is measured: nearly all of what was billed is missing in it.
async fn reconciled(stage: &Stage, daemon: &Daemon, month: &str, billed: f64) -> Result<()> {
    let ledger = format!("/apis/clonewarden.io/v1alpha1/cloneusages/billing-{month}");
    until("the ledger has what was billed", SOON, async || {
        let ledger = stage.admin.get(&ledger).await?;
        let actual = ledger["status"]["actual"]["amount"].as_str().and_then(|usd| usd.parse::<f64>().ok());
        ensure!(actual == Some(billed), "its status is {}", ledger["status"]);
        let metrics = daemon.metrics().await?;
        let drift = metrics.sum("clonewarden_cost_drift_ratio", &[("month", month), ("namespace", "billing")]);
        ensure!((-1.0..-0.9).contains(&drift), "{}", metrics.family("clonewarden_cost_drift"));
        Ok(())
    })
    .await
}

fn start(install: &Install, aws: &Aws, calls: usize) -> Result<Daemon> {
    let calls = calls.to_string();
    let flags =
        ["--cluster-id", CLUSTER_ID, "--aws-regions", REGION, "--sweep-every", "1s", "--billing-every", "1s", "--billing-calls-per-day", &calls];
    install.start_with_aws_and(aws, &flags)
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// The days that a daemon asks for today.
fn days() -> Result<Vec<Date>> {
    let today = today();
    let from = today.checked_sub(14.days())?.first_of_month();
    Ok(from.series(1.day()).take_while(|day| *day < today).collect())
}

/// Two pages: a dollar a day, nothing on the second day, and of the last day what AWS says of it at present.
fn bill(days: &[Date], last: &str) -> Value {
    let day = |(at, day): (usize, &Date)| {
        let usd = if at + 1 == days.len() { last } else { "1" };
        let group =
            |service: &str, tag: &str, usd: &str| json!({"Keys": [service, tag], "Metrics": {"UnblendedCost": {"Amount": usd, "Unit": "USD"}}});
        let empty = at == 1;
        let groups = if empty { vec![] } else { vec![group(RDS, "Namespace$billing", usd), group("Tax", "Namespace$", "0.5")] };
        let total = if empty { json!({"UnblendedCost": {"Amount": "0", "Unit": "USD"}}) } else { json!({}) };
        let end = day.tomorrow().unwrap_or(*day);
        json!({"TimePeriod": {"Start": day, "End": end}, "Estimated": at > 1, "Groups": groups, "Total": total})
    };
    let all: Vec<Value> = days.iter().enumerate().map(|(at, one)| day((at, one))).collect();
    let (one, other) = all.split_at(days.len() / 2);
    json!({TARGET: [
        {"match": "\"NextPageToken\":\"two\"", "answer": {"ResultsByTime": other}},
        {"answer": {"ResultsByTime": one, "NextPageToken": "two"}},
    ]})
}
