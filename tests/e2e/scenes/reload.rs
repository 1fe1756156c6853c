//! Policies in a ConfigMap that is edited on the API server: a good edit is followed within seconds, one that would end too many clones
//! is announced and held by the brake, a broken one changes nothing, also for a daemon that starts then, and half of one is never seen.

use crate::harness::{
    clones::{Clones, Seen},
    daemon::Daemon,
    install::Install,
    mount::Mount,
    stage::Stage,
    wait::{secs, until, until_past},
};
use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{fs, sync::Arc, time::Duration};

const POLICY: &str = "reload";
/// The mount is looked at each 2 s, and written for up to 2 s.
const FOLLOWED: Duration = Duration::from_secs(15);
const GRACE: i64 = 15;
const CLONES: [&str; 5] = ["one", "two", "three", "four", "five"];

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, POLICY).await?;
    let map = Map { install: &install, path: format!("/api/v1/namespaces/{}/configmaps/policies", install.namespace) };
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "policies"}, "data": set("1h", "c0ffee1")});
    stage.admin.create(&format!("/api/v1/namespaces/{}/configmaps", install.namespace), &object).await?;
    let at = install.file("mount");
    fs::create_dir(&at)?;
    let mount = Mount::new(&stage.admin, &install.namespace, "policies", &at).await?;
    let clones = Clones::in_new_namespace(&stage.admin, POLICY).await?;
    let daemon = install.start_on(mount.path())?;
    daemon.until_leading().await?;
    for name in CLONES {
        clones.create(name, None, &json!({})).await?;
    }
    clones.until_announced(&CLONES).await?;
    in_force(&daemon, "c0ffee1").await?;
    until("the set in force is kept", FOLLOWED, async || map.kept("COMMIT", "c0ffee1").await).await?;
    // By now each is older than the life that the next edit allows.
    let youngest = clones.all().await?.iter().filter_map(|clone| clone.created().ok()).max().context("there are clones")?;
    until_past(youngest.checked_add(SignedDuration::from_secs(6))?).await;

    let edited_at = Timestamp::now();
    map.edit(set("5s", "bad1dea")).await?;
    in_force(&daemon, "bad1dea").await?;
    let followed = Timestamp::now().duration_since(edited_at);
    let braked = [("policy", POLICY)];
    daemon.until_metric(FOLLOWED, "clonewarden_brake_on", &braked, 1.0).await?;
    let warned = until("everybody is told a nearer end", FOLLOWED, async || {
        let all = clones.all().await?;
        let near = |clone: &Seen| clone.expires_at().is_some_and(|end| end < edited_at + SignedDuration::from_mins(2));
        ensure!(all.len() == CLONES.len() && all.iter().all(near), "{all:?}");
        Ok(all)
    })
    .await?;
    let nearest = warned.iter().filter_map(Seen::expires_at).min().context("ends are announced")?;
    let grace = nearest.duration_since(edited_at);
    ensure!(grace >= SignedDuration::from_secs(GRACE), "only {} of grace", secs(grace));
    until_past(warned.iter().filter_map(Seen::expires_at).max().context("ends are announced")?).await;
    daemon.until_planned_after(Timestamp::now()).await?;
    ensure!(clones.all().await?.len() == CLONES.len(), "the brake let some go");
    told_the_revision(&stage, "bad1dea").await?;

    map.edit(json!({"policies.yaml": "kind: ClonePolicy\nspec: [", "COMMIT": "badbad1"})).await?;
    daemon.until_metric(FOLLOWED, "clonewarden_policy_load_failed", &[], 1.0).await?;
    in_force(&daemon, "bad1dea").await?;
    daemon.stop().await?;
    let next = install.start_on(mount.path())?;
    next.until_leading().await?;
    in_force(&next, "bad1dea").await?;
    next.until_metric(FOLLOWED, "clonewarden_policy_load_failed", &[], 1.0).await?;
    next.until_metric(FOLLOWED, "clonewarden_brake_on", &braked, 1.0).await?;

    map.edit(set("1h", "c0ffee2")).await?;
    in_force(&next, "c0ffee2").await?;
    next.until_metric(FOLLOWED, "clonewarden_policy_load_failed", &[], 0.0).await?;
    next.until_metric(FOLLOWED, "clonewarden_brake_on", &braked, 0.0).await?;
    until("the end is as far away as it was", FOLLOWED, async || {
        let all = clones.all().await?;
        let far = |clone: &Seen| clone.expires_at().is_some_and(|end| end > edited_at + SignedDuration::from_mins(30));
        ensure!(all.len() == CLONES.len() && all.iter().all(far), "{all:?}");
        Ok(())
    })
    .await?;
    let weighed = journaled(&daemon, &["policiesChanged", "policiesWeighed", "policiesBroken"])?;
    let weighed = &weighed[1]["facts"]["policies"][0];
    ensure!(weighed["brakeOn"] == true && weighed["newlyReaped"] == CLONES.len(), "the edit was weighed as {weighed}");
    journaled(&next, &["policiesBroken", "policiesMended", "policiesChanged", "policiesWeighed"])?;
    install.until_deleted_exactly(&[]).await?;
    next.stop().await?;
    clones.clear().await?;
    Ok(format!("followed after {}, {} of grace", secs(followed), secs(grace)))
}

/// The files of a set whose clones live so long at most.
fn set(maximum: &str, commit: &str) -> Value {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: {POLICY}}}\nspec:\n  mode: enforce\n  namespaces: {{names: [{POLICY}]}}\n  \
         ttl: {{minimum: 1s, default: {maximum}, maximum: {maximum}, warnings: [], grace: {GRACE}s}}\n  brake: {{deletes: 3, per: 5m}}\n"
    );
    json!({"policies.yaml": text, "COMMIT": commit})
}

/// The ConfigMap with the policies, and the one in which the daemon keeps the last good ones.
struct Map<'a> {
    install: &'a Install,
    path: String,
}

impl Map<'_> {
    async fn edit(&self, data: Value) -> Result<()> {
        self.install.stage.admin.patch(&self.path, &json!({"data": data})).await?;
        Ok(())
    }

    async fn kept(&self, file: &str, text: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{}/configmaps/clonewarden-policies-in-force", self.install.namespace);
        let kept = self.install.stage.admin.get(&path).await?;
        ensure!(kept["data"][file] == text, "it keeps {}", kept["data"]);
        Ok(())
    }
}

async fn in_force(daemon: &Daemon, commit: &str) -> Result<()> {
    daemon.until_metric(FOLLOWED, "clonewarden_policy_info", &[("policy", POLICY), ("commit", commit)], 1.0).await
}

/// An Event says by which policies it was decided.
async fn told_the_revision(stage: &Stage, commit: &str) -> Result<()> {
    until("an Event names the policies", FOLLOWED, async || {
        let events = stage.admin.list(&format!("/api/v1/namespaces/{POLICY}/events")).await?;
        let names = |event: &Value| {
            let annotations = &event["metadata"]["annotations"];
            let revision = annotations["clonewarden.io/policy-revision"].as_str().unwrap_or_default();
            annotations["clonewarden.io/policy-commit"] == commit && revision.starts_with("sha256:")
        };
        ensure!(events.iter().any(names), "none of {} does", events.len());
        Ok(())
    })
    .await
}

/// Its journal has exactly these events about policies: the lines.
fn journaled(daemon: &Daemon, expected: &[&str]) -> Result<Vec<Value>> {
    let mut lines = daemon.journal()?;
    lines.retain(|line| line["event"].as_str().is_some_and(|event| event.starts_with("policies")));
    let events: Vec<_> = lines.iter().map(|line| &line["event"]).collect();
    ensure!(events == expected, "{} journals {events:?}, not {expected:?}", daemon.name);
    Ok(lines)
}
