//! Audit becomes enforce over 25 clones that expired long ago. Audit writes nothing on them, and `policy diff` foretells the flip. After
//! it each gets its grace, and then the brake holds all of them until a person lets them go: exactly those that were listed, and nobody
//! who comes later.

use crate::harness::{
    clones::{Clones, Seen},
    daemon::Daemon,
    install::{Install, verdict},
    stage::Stage,
    wait::{until, until_past},
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{fs, sync::Arc, time::Duration};

const BACKLOG: usize = 25;
const GRACE: SignedDuration = SignedDuration::from_secs(5);
const SOON: Duration = Duration::from_secs(40);

fn rules(mode: &str) -> String {
    format!("mode: {mode}\nttl: {{minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}}")
}

const YOUNG: [&str; 2] = ["young-1", "young-2"];

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "backlog").await?;
    install.govern("backlog", &["backlog"], &rules("audit"))?;
    let clones = Clones::in_new_namespace(&stage.admin, "backlog").await?;
    let names: Vec<String> = (1..=BACKLOG).map(|n| format!("old-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        clones.create(name, Some(5), &json!({})).await?;
    }
    for name in YOUNG {
        clones.create(name, Some(3_600), &json!({})).await?;
    }

    let daemon = install.start_leader().await?;
    audit_writes_nothing(&install, &clones, &daemon).await?;
    the_flip_is_foretold(&install).await?;
    install.govern("backlog", &["backlog"], &rules("enforce"))?;
    let announced = grace_is_announced(&clones, &names).await?;
    let last = announced.iter().filter_map(Seen::expires_at).max().context("ends are announced")?;
    until_past(last).await;
    the_brake_holds(&install, &clones, &daemon, BACKLOG).await?;

    // Window and trip survive the process.
    daemon.stop().await?;
    let daemon = install.start_leader().await?;
    the_brake_holds(&install, &clones, &daemon, BACKLOG).await?;
    let status = install.person(&["brake", "status"]).await?;
    ensure!(names.iter().all(|name| status.contains(&format!("backlog/{name} "))), "`brake status` does not list all of them:\n{status}");
    ensure!(install.deleted().await?.is_empty(), "something went while the brake was on");

    let let_go = install.person(&["brake", "release", "backlog", "--reason", "the backlog is known"]).await?;
    ensure!(names.iter().all(|name| let_go.contains(&format!("backlog/{name} "))), "`brake release` does not list all of them:\n{let_go}");
    clones.until_gone(&names).await?;
    let expected: Vec<String> = names.iter().map(|name| format!("backlog/{name}")).collect();
    install.until_deleted_exactly(&expected).await?;

    // Surprises that come after it were not on the list: the brake, set lower, waits for another word.
    install.govern("backlog", &["backlog"], &format!("{}\nbrake: {{deletes: 1}}", rules("enforce")))?;
    let revision = install.revision().await?;
    daemon.until_metric(SOON, "clonewarden_policy_info", &[("revision", &revision)], 1.0).await?;
    for name in YOUNG {
        clones.set_ttl(name, 5).await?;
    }
    daemon.until_metric(SOON, "clonewarden_brake_on", &[("policy", "backlog")], 1.0).await?;
    // The plan shows the brake before what it announces is written: until then an end in an hour stands there.
    let last = until("the new ends are announced", SOON, async || {
        let last = clones.all().await?.iter().filter_map(Seen::expires_at).max().context("none is announced")?;
        ensure!(last.duration_since(Timestamp::now()) < SignedDuration::from_mins(1), "one is announced for {last}");
        Ok(last)
    })
    .await?;
    until_past(last).await;
    the_brake_holds(&install, &clones, &daemon, YOUNG.len()).await?;
    install.until_deleted_exactly(&expected).await?;
    daemon.stop().await?;
    clones.clear().await?;
    Ok(format!("{BACKLOG} of 27 gone after the release"))
}

/// 25 clones are overdue, and the daemon leaves no trace on any.
async fn audit_writes_nothing(install: &Install, clones: &Clones, daemon: &Daemon) -> Result<()> {
    let overdue = [("code", "WouldAnnounce"), ("policy", "backlog"), ("blocked_by", "audit")];
    daemon.until_metric(SOON, "clonewarden_decisions", &overdue, BACKLOG as f64).await?;
    let plan = install.plan().await?;
    ensure!(
        verdict(&plan, "backlog", "old-1")? == ("warn".into(), "WouldAnnounce".into(), "audit".into()),
        "{:?}",
        verdict(&plan, "backlog", "old-1")?
    );
    let all = clones.all().await?;
    ensure!(all.len() == BACKLOG + YOUNG.len(), "{} clones are left", all.len());
    let touched: Vec<_> = all.iter().filter(|clone| !clone.announcement().is_empty() || clone.is_terminating()).map(Seen::name).collect();
    ensure!(touched.is_empty(), "audit touched {}", touched.join(", "));
    let deeds = install.deeds().await?;
    let written: Vec<_> = deeds
        .iter()
        .filter(|deed| deed.writes() && deed.resource == "wordpressclones")
        .map(|deed| format!("{} {}", deed.verb, deed.object()))
        .collect();
    ensure!(written.is_empty(), "in audit mode the daemon asked for {}", written.join(", "));
    Ok(())
}

/// Before it happens `policy diff` says of the living cluster what it will do: 25 past their end, more than the brake lets go.
async fn the_flip_is_foretold(install: &Install) -> Result<()> {
    let proposal = install.file("proposal");
    fs::create_dir_all(&proposal)?;
    let text = fs::read_to_string(install.policies().join("backlog.yaml"))?;
    fs::write(proposal.join("backlog.yaml"), text.replace("mode: audit", "mode: enforce"))?;
    let diff = install.diff(&proposal).await?;
    let policy = diff.pointer("/policies/0").context("nothing is different")?;
    let reaped = policy["reaped"].as_array().map(Vec::len);
    let brake = &policy["brake"]["to"];
    let foretold = reaped == Some(BACKLOG)
        && brake["over"] == true
        && brake["surprises"] == BACKLOG
        && policy["warned"].as_array().map(Vec::len) == Some(YOUNG.len());
    ensure!(foretold, "`policy diff` says {policy:#}");
    ensure!(install.diff(&install.policies()).await?["same"] == true, "the policies are compared with themselves");
    Ok(())
}

/// Each gets an announced end that leaves it the grace, and an Event that says so.
async fn grace_is_announced(clones: &Clones, names: &[&str]) -> Result<Vec<Seen>> {
    let announced = clones.until_announced(names).await?;
    for clone in &announced {
        let at: Timestamp = clone.annotation(names::ANNOUNCED_AT).context("announced-at")?.parse()?;
        let left = clone.expires_at().context("expires-at")?.duration_since(at);
        ensure!(left >= GRACE, "{} was announced {left:#} before its end", clone.name());
    }
    until("each has an Event about its grace", SOON, async || {
        let events = clones.events().await?;
        let told = names
            .iter()
            .filter(|name| events.iter().any(|event| event.about == **name && event.reason == "GraceAnnounced" && event.event_type == "Warning"));
        let told = told.count();
        ensure!(told == names.len(), "only {told} have one");
        Ok(())
    })
    .await?;
    Ok(announced)
}

/// Announced ends have passed, and so many wait behind the brake.
async fn the_brake_holds(install: &Install, clones: &Clones, daemon: &Daemon, waiting: usize) -> Result<()> {
    let held = [("action", "delete"), ("policy", "backlog"), ("blocked_by", "brake")];
    // The present plan was made after the ends had passed: it is not that nobody has looked yet.
    daemon.until_metric(SOON, "clonewarden_decisions", &held, waiting as f64).await?;
    daemon.until_metric(SOON, "clonewarden_brake_on", &[("policy", "backlog")], 1.0).await?;
    daemon.until_metric(SOON, "clonewarden_brake_waiting_clones", &[("policy", "backlog")], waiting as f64).await?;
    let plan = install.plan().await?;
    let braked = |decision: &&Value| decision["action"] == "delete" && decision["blockedBy"] == "brake" && decision["effective"] == false;
    let braked = plan["decisions"].as_array().into_iter().flatten().filter(braked).count();
    ensure!(braked == waiting, "the plan shows {braked} behind the brake, not {waiting}");
    let going: Vec<_> = clones.all().await?.into_iter().filter(Seen::is_terminating).map(|clone| clone.name().to_owned()).collect();
    ensure!(going.is_empty(), "going all the same: {}", going.join(", "));
    Ok(())
}
