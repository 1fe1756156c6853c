//! What clones cost, on the real parts: a budget lets in exactly as many as it bears, however many come at once, and says what would
//! fit; the `CloneUsage` counts what they cost, to the second; and a daemon that was killed while a clone went counts that one for no
//! more than a checkpoint, and says so.

use crate::harness::{
    clones::Clones,
    door::{self, Balancer},
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::{
    cost::accrual::CHECKPOINT,
    model::{Month, month::UsageStatus},
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const NAMESPACE: &str = "money";
/// A clone's life, in seconds.
const TTL: u32 = 7_200;
/// What a clone costs an hour: a tenth of the host, its share of the four nodes of the platform (one on demand for $0.3328, three of spare
/// capacity for $0.1097 each: half for 32 cores, half for 128 GiB), and a tenth of the fixed costs ($0.1305).
const PER_HOUR: &str = "0.116928";
/// A checkpoint, and what it takes to be written on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);
const HOST: &str = "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: paid}\n\
                    spec: {endpoint: paid.example.com, schemas: 10, costPerHour: 1.00}\n";
/// Three of them for $0.7016.
const RULES: &str = "mode: enforce\nttl: {minimum: 5s, default: 2h, maximum: 4h, warnings: [], grace: 5s}\nlimits: {clones: 10}\n\
                     databases: [{name: all, use: shared, hosts: [paid]}]\nbudget: {monthly: 0.80, atLimit: deny}";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, NAMESPACE).await?;
    install.share(HOST)?;
    install.govern("money", &[NAMESPACE], RULES)?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[NAMESPACE]).await?;
    let outcome = spend(&stage, &install, &balancer, &clones).await;
    door::unregister(&stage, &install).await?;
    clones.clear().await?;
    outcome
}

async fn spend(stage: &Stage, install: &Install, balancer: &Balancer, clones: &Clones) -> Result<String> {
    let daemon = install.start_with_webhook(&[])?;
    daemon.until_leading().await?;
    balancer.serve(&[daemon.webhook.context("it answers no reviews")?]);
    until("the webhook answers", WITHIN, async || clones.create("first", Some(TTL), &json!({})).await).await?;
    let begun = Timestamp::now();
    // In its last hours a month bears more clones: they cost it less.
    let whole_lives = begun.duration_until(Month::of(begun).end()) > SignedDuration::from_hours(4);
    let names: Vec<String> = (0..12).map(|n| format!("rush-{n}")).collect();
    let nothing = json!({});
    let asked = join_all(names.iter().map(|name| clones.create(name, Some(TTL), &nothing))).await;
    let refused: Vec<String> = asked.iter().filter_map(|answer| answer.as_ref().err()).map(|error| format!("{error:#}")).collect();
    if whole_lives {
        ensure!(refused.len() == 10, "{} of 12 are refused: {refused:?}", refused.len());
        for words in ["the month's budget of `money` is $0.80", "committed", "what would fit: a life of"] {
            ensure!(refused.iter().all(|said| said.contains(words)), "not all say `{words}`: {refused:?}");
        }
        let longer = clones.set_ttl("first", 4 * 3_600).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(longer.contains("the month's budget of `money` is $0.80"), "one that is to live two hours longer: {longer:?}");
    }
    let living = clones.all().await?;
    for clone in &living {
        ensure!(
            clone.annotation("clonewarden.io/owner") == living.first().and_then(|first| first.annotation("clonewarden.io/owner")),
            "owners differ"
        );
    }
    let per_second = PER_HOUR.parse::<Decimal>()? / Decimal::from(3_600);

    // The ledger.
    let counted = counted(stage, |status| status.clones.is_some_and(|clones| clones.live as usize == living.len())).await?;
    let through = counted.accrued_through.context("no accruedThrough")?;
    let mut lived = 0;
    for clone in &living {
        lived += through.as_second() - clone.created()?.as_second();
    }
    let seconds: u64 = counted.owners.iter().map(|owner| owner.clone_seconds).sum();
    ensure!(i64::try_from(seconds)? == lived, "{seconds} s are counted and {lived} s were lived");
    ensure!(counted.owners.len() == 1 && counted.owners[0].owner.contains("admin"), "owners: {:?}", counted.owners);
    let accrued = counted.owners[0].accrued.total;
    let expected = per_second * Decimal::from(lived);
    ensure!((accrued - expected).abs() < Decimal::new(1, 6), "${accrued} are accrued, and not ${expected}");
    ensure!(counted.estimated.is_none() && counted.unpriced.is_empty(), "estimated: {:?}, unpriced: {:?}", counted.estimated, counted.unpriced);
    until("the metrics say what they cost", WITHIN, async || {
        let rate = daemon.metrics().await?.sum("clonewarden_cost_usd_per_hour", &[("namespace", NAMESPACE)]);
        ensure!((rate / living.len() as f64 - PER_HOUR.parse::<f64>()?).abs() < 1e-5, "${rate} an hour for {}", living.len());
        Ok(())
    })
    .await?;

    // Killed; a clone goes while nobody watches.
    daemon.kill()?;
    balancer.serve(&[]);
    let before = read(stage).await?.context("the CloneUsage is gone")?;
    door::unregister(stage, install).await?;
    let goes = living.last().context("nobody lives")?.name();
    clones.delete(goes).await?;
    clones.until_gone(&[goes]).await?;
    let next = install.start_leader().await?;
    let after = self::counted(stage, |status| status.accrued_through > before.accrued_through).await?;
    let estimated = after.estimated.context("nothing is marked as estimated")?;
    let most = per_second * Decimal::from(CHECKPOINT.as_secs());
    ensure!(estimated > Decimal::ZERO && estimated <= most, "${estimated} are estimated, and a checkpoint is worth ${most}");
    let (past, upto) = (before.accrued_through.context("no time")?, after.accrued_through.context("no time")?);
    let stayed = i64::try_from(living.len())? - 1;
    let exact = accrued_of(&after) - accrued_of(&before) - estimated;
    let expected = per_second * Decimal::from((upto.as_second() - past.as_second()) * stayed);
    ensure!((exact - expected).abs() < Decimal::new(1, 6), "beside the estimate ${exact} were added for {stayed} clones, and not ${expected}");
    next.stop().await?;
    let table = stage.kubectl(&["get", "cusage", &format!("{NAMESPACE}-{}", Month::of(begun))]).await?;
    let last = read(stage).await?.and_then(|status| status.accrued).context("the CloneUsage is gone")?;
    ensure!(table.contains("ACCRUED") && table.contains(&format!(" {} ", last.total)), "{} are accrued, and kubectl shows:\n{table}", last.total);
    Ok(format!("{} of 13 let in; ${estimated:.6} of ${:.6} estimated after a kill", living.len(), accrued_of(&after)))
}

fn accrued_of(status: &UsageStatus) -> Decimal {
    status.owners.iter().map(|owner| owner.accrued.total).sum()
}

async fn read(stage: &Stage) -> Result<Option<UsageStatus>> {
    let path = format!("/apis/clonewarden.io/v1alpha1/cloneusages/{NAMESPACE}-{}", Month::of(Timestamp::now()));
    let Some(object) = stage.admin.find(&path).await? else { return Ok(None) };
    Ok(serde_json::from_value(object["status"].clone()).ok())
}

/// Waits until the ledger says something.
async fn counted(stage: &Stage, wanted: impl Fn(&UsageStatus) -> bool) -> Result<UsageStatus> {
    until("the ledger is advanced", WITHIN, async || {
        let status = read(stage).await?.context("there is no CloneUsage")?;
        ensure!(wanted(&status), "it says {}", json!(status));
        Ok(status)
    })
    .await
}
