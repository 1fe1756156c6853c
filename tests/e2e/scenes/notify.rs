//! People are told: a warning and an end go to the receiver of their owner, the brake to another one, a storm is a digest. A receiver that
//! says nothing keeps no clone alive, an owner whom admission has not seen takes nothing from anybody, and no address or token is in
//! anything that the daemon says.

use crate::harness::{
    clones::Clones,
    hook::{Hook, Post},
    install::Install,
    stage::{CLUSTER_ID, Stage},
    wait::{until, until_past},
};
use anyhow::{Result, ensure};
use clonewarden::model::names;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

const NAMESPACE: &str = "notify";
const BRAKED: &str = "notify-brake";
const TTL: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [20s], grace: 5s}";
const MINE: [&str; 2] = ["mine-1", "mine-2"];
/// Says that it is hers, and no admission has seen that.
const CLAIMED: &str = "claimed";
const STORM: usize = 12;
const AT_MOST: usize = 3;
const SOON: Duration = Duration::from_secs(90);
/// How late an end may be with a receiver that says nothing.
const LATE: Duration = Duration::from_secs(8);
const SECRETS: [&str; 3] = ["s3cret-path", "b0x-token", "dead-path"];

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "notify").await?;
    install.govern("notify", &[NAMESPACE], TTL)?;
    install.govern("notify-brake", &[BRAKED], &format!("{TTL}\nbrake: {{deletes: 1}}"))?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let braked = Clones::in_new_namespace(&stage.admin, BRAKED).await?;
    let mut late = Timestamp::now();
    for name in ["late-1", "late-2"] {
        late = braked.create(name, Some(5), &json!({})).await?.created()?.checked_add(SignedDuration::from_secs(6))?;
    }

    let (mine, others, operators, dead) = (Hook::start().await?, Hook::start().await?, Hook::start().await?, Hook::silent().await?);
    for (hook, name, path) in
        [(&mine, "mine", "/s3cret-path"), (&others, "others", "/o"), (&operators, "operators", "/p"), (&dead, "dead", "/dead-path")]
    {
        hook.address_in(&install.file(&format!("{name}-url")), path)?;
    }
    fs::write(install.file("token"), "Bearer b0x-token")?;
    let file = |name: &str| install.file(name).to_string_lossy().into_owned();
    let notifications = format!(
        "receivers:\n\
         - {{name: mine, kind: webhook, urlFile: {}, headerFiles: {{Authorization: {}}}}}\n\
         - {{name: others, kind: slack, urlFile: {}}}\n\
         - {{name: operators, kind: webhook, urlFile: {}}}\n\
         - {{name: dead, kind: webhook, urlFile: {}}}\n\
         routes:\n\
         - {{severity: critical, to: [operators, dead]}}\n\
         - {{owners: ['ada@*'], to: [mine, dead]}}\n\
         - {{namespaces: [{NAMESPACE}], to: [others, dead]}}\n\
         digest: {{window: 5s, atMost: {AT_MOST}}}\n",
        file("mine-url"),
        file("token"),
        file("others-url"),
        file("operators-url"),
        file("dead-url"),
    );
    fs::write(install.file("notifications.yaml"), notifications)?;
    let path = file("notifications.yaml");
    let said = install.person(&["notify", "test", "--notifications", &path, "--receiver", "mine"]).await?;
    ensure!(said == "mine: taken: 200 {}\n", "`notify test` says {said:?}");

    until_past(late).await;
    let daemon = install.start_with(&["--cluster-id", CLUSTER_ID, "--notifications", &path])?;
    daemon.until_leading().await?;
    // Creation is told in whole seconds, and has to lie behind the moment from which the namespace is enforced.
    until_past(Timestamp::now().checked_add(SignedDuration::from_secs(3))?).await;
    let mut names: Vec<String> = Vec::new();
    for (name, owner) in
        MINE.iter().map(|name| ((*name).to_owned(), "ada@example.com")).chain((0..STORM).map(|n| (format!("storm-{n}"), "bob@example.com")))
    {
        // Admission is not what is tried here: this is what it leaves on a clone.
        clones.create(&name, Some(40), &json!({names::OWNER: owner, names::RESERVATION: format!("promised-{name}")})).await?;
        names.push(name);
    }
    clones.create(CLAIMED, Some(40), &json!({names::OWNER: "ada@example.com"})).await?;
    names.push(CLAIMED.to_owned());
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    clones.until_gone(&all).await?;

    // Each of hers is warned of and ended, told to her receiver and to nobody else, with the token.
    let told = until("she is told of both", SOON, async || {
        let told = told(&mine.posts());
        let wanted: BTreeSet<_> = MINE
            .iter()
            .chain([&CLAIMED])
            .flat_map(|name| [("ExpiresSoon".to_owned(), (*name).to_owned()), ("Expired".to_owned(), (*name).to_owned())])
            .collect();
        ensure!(told.is_superset(&wanted), "she is told {told:?}");
        Ok(told)
    })
    .await?;
    let posts = mine.posts();
    ensure!(
        posts.iter().all(|post| post.path == "/s3cret-path" && post.headers.get("authorization").is_some_and(|token| token == "Bearer b0x-token")),
        "{posts:?}"
    );
    let journal = daemon.journal()?;
    for post in posts.iter().filter(|post| post.body["code"] == "Expired") {
        let line = journal.iter().find(|line| line["id"] == post.body["id"] && line["outcome"] == "done");
        ensure!(line.is_some_and(|line| line["reason"]["message"] == post.body["line"]["reason"]["message"]), "the journal has not {}", post.body);
        ensure!(post.headers.get("idempotency-key").is_some_and(|id| post.body["id"] == id.to_str().unwrap_or_default()), "{post:?}");
    }

    // His are a storm: a few messages, then digests. What is only said to be hers is told there as well.
    let notices = 2 * (STORM as u64 + 1);
    until("all of his are told", SOON, async || {
        let sent = daemon.metrics().await?.sum("clonewarden_notices_total", &[("receiver", "others"), ("outcome", "sent")]);
        ensure!(sent > notices as f64 - 0.5, "{sent} of {notices} are");
        Ok(())
    })
    .await?;
    let texts: Vec<String> = others.posts().iter().map(|post| post.body["text"].as_str().unwrap_or_default().to_owned()).collect();
    ensure!(texts.len() < STORM && texts.iter().any(|text| text.contains(" notices: ")), "{} messages: {texts:?}", texts.len());

    ensure!(!texts.iter().any(|text| text.contains("mine-")), "he is told of hers: {texts:?}");

    until("the operators are told of the brake", SOON, async || {
        // Alone, or in a digest with what else stands.
        let brake = operators.posts().iter().any(|post| ["BrakeOn", "notify-brake"].iter().all(|word| post.body.to_string().contains(word)));
        ensure!(brake, "they are told {:?}", operators.posts());
        Ok(())
    })
    .await?;

    // The dead one was told of everything, and nothing has waited for it.
    let mut latest = Duration::ZERO;
    for line in
        journal.iter().filter(|line| line["reason"]["code"] == "Expired" && line["outcome"] == "done" && line["target"]["namespace"] == NAMESPACE)
    {
        let at: Timestamp = line["time"].as_str().unwrap_or_default().parse()?;
        let end: Timestamp = line["reason"]["facts"]["announcedEnd"].as_str().unwrap_or_default().parse()?;
        latest = latest.max(Duration::try_from(at.duration_since(end)).unwrap_or_default());
    }
    ensure!(latest < LATE, "an end came {latest:?} late");
    let said = format!("{}{}", daemon.said()?, daemon.page("/metrics").await?.1);
    Hook::ensure_absent(&said, &SECRETS)?;
    ensure!(said.contains("clonewarden_notices_total{outcome=\"sent\",receiver=\"mine\"}"), "the metric is not there");
    daemon.stop().await?;
    Hook::ensure_absent(&daemon.said()?, &SECRETS)?;
    clones.clear().await?;
    braked.clear().await?;
    Ok(format!(
        "{} told to her, {notices} of his in {} messages; ends at most {} ms late beside a dead receiver",
        told.len(),
        texts.len(),
        latest.as_millis()
    ))
}

/// What was told of which clone.
fn told(posts: &[Post]) -> BTreeSet<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let real = posts.iter().filter(|post| post.body["code"] != "Test");
    real.map(|post| (text(&post.body["code"]), text(&post.body["line"]["target"]["name"]))).collect()
}
