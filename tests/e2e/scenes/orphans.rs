//! Clones vanish without KRO (their finalizer is stripped) and leave everything behind. What is left is marked as `Orphan`
//! objects, soaks, and is un-marked when somebody else takes it away before its time. Clones that live leave no mark.

use crate::harness::{
    api::Api,
    clones::{Clones, Part, Seen},
    install::Install,
    stage::Stage,
    wait::{secs, until},
};
use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const ORPHANS: &str = "/apis/clonewarden.io/v1alpha1/orphans";
const KINDS: [&str; 5] = ["ConfigMap", "Ingress", "Job", "Pod", "Service"];
const SOON: Duration = Duration::from_secs(40);
/// What a clone that was just seen to go leaves behind may be on its way out too: it is left alone for so long.
const FOLLOW: SignedDuration = SignedDuration::from_secs(60);
/// Then the next turn of the loop marks it; one comes at least every minute.
const MARKED_WITHIN: Duration = Duration::from_secs(130);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let earlier = stage.admin.list(ORPHANS).await?;
    ensure!(earlier.is_empty(), "scenes that left nothing behind have marks: {earlier:?}");
    let install = Install::new(&stage, "orphans").await?;
    install.govern("orphans", &["orphans"], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, "orphans").await?;
    let mut born = Vec::new();
    for name in ["unseen", "seen", "alive"] {
        born.push(clones.create(name, Some(3_000), &json!({})).await?);
    }
    let parts = clones.until_up(&born).await?;
    let [unseen, seen, alive] = &born[..] else { anyhow::bail!("three clones") };
    let of = |clone: &Seen| parts.iter().filter(|part| part.clone == clone.uid()).cloned().collect::<Vec<_>>();
    for clone in &born {
        ensure!(
            of(clone).iter().map(|part| part.kind).collect::<BTreeSet<_>>() == BTreeSet::from(KINDS),
            "{} has other parts: {:?}",
            clone.name(),
            of(clone)
        );
    }

    // Gone while nobody watched: marked at once.
    stage.parts(|platform| platform.stop("kro")).await?;
    clones.vanish(unseen.name()).await?;
    let daemon = install.start_leader().await?;
    until_marked(&stage.admin, &of(unseen), SOON).await?;

    // Gone before the daemon's eyes: its children get the time to follow.
    clones.vanish(seen.name()).await?;
    let gone = Timestamp::now();
    stage.parts(|platform| platform.restart("kro")).await?;
    for part in of(unseen).iter().filter(|part| part.kind != "Pod") {
        clones.api.delete(&path(&clones.namespace, part)).await?;
    }
    until("what is gone is un-marked", SOON, async || {
        let left = marks(&stage.admin).await?;
        ensure!(left.is_empty(), "still marked: {left:?}");
        Ok(())
    })
    .await?;
    let marked = until_marked(&stage.admin, &of(seen), MARKED_WITHIN).await?;
    // Dates of the API are whole seconds, and we looked a moment after it was gone.
    let after = marked.duration_since(gone).saturating_add(SignedDuration::from_secs(1));
    ensure!(after >= FOLLOW, "marked {} after the clone had gone: its children had no time to follow", secs(after));

    let now = clones.parts().await?;
    let left: BTreeSet<_> = of(seen).iter().chain(&of(alive)).map(|part| part.uid.clone()).collect();
    ensure!(now.iter().map(|part| part.uid.clone()).collect::<BTreeSet<_>>() == left, "not exactly what was left is there: {now:?}");
    let plan = install.plan().await?;
    let marks_of_living = plan["decisions"].as_array().into_iter().flatten().filter(|decision| decision["action"] == "mark");
    let marks_of_living = marks_of_living.filter(|decision| decision["reason"]["facts"]["ownerUid"] == alive.uid()).count();
    ensure!(marks_of_living == 0, "the plan marks parts of a clone that lives");
    ensure!(install.deleted().await?.is_empty(), "clonewarden deleted something");
    for part in of(seen).iter().filter(|part| part.kind != "Pod") {
        clones.api.delete(&path(&clones.namespace, part)).await?;
    }
    until("what is gone is un-marked", SOON, async || {
        let left = marks(&stage.admin).await?;
        ensure!(left.is_empty(), "still marked: {left:?}");
        Ok(())
    })
    .await?;
    daemon.stop().await?;
    clones.clear().await?;
    Ok(format!("unseen: at once; seen to go: after {:.0} s", after.as_secs_f64()))
}

/// Kind and UID of everything that is marked.
async fn marks(api: &Api) -> Result<BTreeSet<(String, String)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = api.list(ORPHANS).await?;
    Ok(all.iter().map(|orphan| (text(&orphan["spec"]["target"]["kind"]), text(&orphan["spec"]["target"]["uid"]))).collect())
}

/// Waits until exactly these are marked, with policy and reason; returns when the first of them was.
async fn until_marked(api: &Api, parts: &[Part], within: Duration) -> Result<Timestamp> {
    let expected: BTreeSet<_> = parts.iter().map(|part| (part.kind.to_owned(), part.uid.clone())).collect();
    until("exactly what was left behind is marked", within, async || {
        let marked = marks(api).await?;
        ensure!(marked == expected, "marked: {marked:?}; left behind: {expected:?}");
        let orphans = api.list(ORPHANS).await?;
        let mut first: Option<Timestamp> = None;
        for orphan in &orphans {
            let (spec, status) = (&orphan["spec"], &orphan["status"]);
            ensure!(spec["policy"] == "orphans" && spec["target"]["namespace"] == "orphans", "{spec}");
            ensure!(status["phase"] == "Soaking" && status["reason"]["code"] == "OwnerGone", "{} has status {status}", spec["target"]);
            let seen: Timestamp = status["firstSeen"].as_str().context("firstSeen")?.parse()?;
            first = Some(first.map_or(seen, |first| first.min(seen)));
        }
        first.context("nothing is marked")
    })
    .await
}

fn path(namespace: &str, part: &Part) -> String {
    let (prefix, plural) = match part.kind {
        "Job" => ("/apis/batch/v1", "jobs"),
        "Ingress" => ("/apis/networking.k8s.io/v1", "ingresses"),
        "Service" => ("/api/v1", "services"),
        _ => ("/api/v1", "configmaps"),
    };
    format!("{prefix}/namespaces/{namespace}/{plural}/{}", part.name)
}
