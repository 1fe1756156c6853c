//! One decision everywhere: the end of a clone is found by its id in the trace, the journal, the Event and the log. A review of the webhook is a
//! span, too, and no span holds a password.

use crate::harness::{
    clones::Clones,
    door::{self, Balancer},
    hook::Hook,
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const NAMESPACE: &str = "traces";
const SOON: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct-horse-of-traces";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, NAMESPACE).await?;
    install.govern(NAMESPACE, &[NAMESPACE], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[NAMESPACE]).await?;
    let outcome = follow(&install, &balancer, &clones).await;
    door::unregister(&stage, &install).await?;
    clones.clear().await?;
    outcome
}

async fn follow(install: &Install, balancer: &Balancer, clones: &Clones) -> Result<String> {
    let collector = Hook::start().await?;
    let daemon = install.start_with_webhook(&["--otlp-endpoint", &collector.url])?;
    daemon.until_leading().await?;
    balancer.serve(&[daemon.webhook.context("it answers no reviews")?]);
    let uid = until("a clone gets in", SOON, async || {
        let seen = clones.create_with("short", Some(10), &json!({}), &json!({"sourcePassword": PASSWORD})).await?;
        Ok(seen.uid().to_owned())
    })
    .await?;
    clones.until_gone(&["short"]).await?;
    daemon.until_says_deleted(&["short"]).await?;
    let journal = daemon.journal()?;
    let ended = |line: &&Value| line["event"] == "acted" && line["action"] == "delete" && line["target"]["uid"] == uid.as_str();
    let line = journal.iter().find(ended).context("the journal has no end")?;
    let (id, trace) = (line["id"].as_str().context("no id")?.to_owned(), line["trace"].as_str().context("no trace")?.to_owned());

    let spans = until("its trace has arrived", SOON, async || {
        let spans = spans(&collector);
        ensure!(
            spans.iter().any(|span| span["name"] == "act" && attribute(span, "decision.id") == id),
            "there are {} spans, none of it",
            spans.len()
        );
        ensure!(spans.iter().any(|span| span["name"] == "cycle" && span["traceId"] == trace.as_str()), "its turn is not there");
        Ok(spans)
    })
    .await?;
    let act = spans.iter().find(|span| attribute(span, "decision.id") == id).context("no span")?;
    ensure!(act["traceId"] == trace.as_str(), "the journal says {trace}, the span {}", act["traceId"]);
    ensure!(
        attribute(act, "decision.code") == "Expired" && attribute(act, "outcome") == "done" && attribute(act, "target.namespace") == NAMESPACE,
        "{act}"
    );
    let named = |name: &str| spans.iter().find(|span| span["name"] == name && span["traceId"] == trace.as_str());
    let root = named("cycle").context("no turn")?;
    for part in [act, named("observe").context("no look")?, named("plan").context("no plan")?] {
        ensure!(part["parentSpanId"] == root["spanId"], "{part} is not in its turn");
    }
    let review =
        |span: &&Value| span["name"] == "admission" && attribute(span, "admission.phase") == "mutate" && attribute(span, "outcome") == "allowed";
    ensure!(spans.iter().any(|span| review(&span)), "no review is among {} spans", spans.len());

    ensure!(daemon.said()?.lines().any(|line| line.contains(&id) && line.contains("short") && !line.starts_with('{')), "its log does not name {id}");
    until("the Event names it", SOON, async || {
        let events = clones.api.list(&format!("/api/v1/namespaces/{NAMESPACE}/events")).await?;
        let names: Vec<&str> = events.iter().filter_map(|event| event["metadata"]["name"].as_str()).collect();
        ensure!(names.iter().any(|name| *name == format!("short.{id}")), "there are {names:?}");
        Ok(())
    })
    .await?;
    daemon.stop().await?;
    let all: String = collector.posts().iter().map(|post| post.body.to_string()).collect();
    Hook::ensure_absent(&all, &[PASSWORD])?;
    ensure!(collector.posts().iter().all(|post| post.path == "/v1/traces"), "something else was posted");
    Ok(format!("decision {id} in trace {trace}, journal, Event and log; {} spans", spans.len()))
}

fn spans(collector: &Hook) -> Vec<Value> {
    let of = |body: &Value| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned().unwrap_or_default();
    collector.posts().iter().flat_map(|post| of(&post.body)).collect()
}

fn attribute(span: &Value, key: &str) -> String {
    let found = span["attributes"].as_array().into_iter().flatten().find(|attribute| attribute["key"] == key);
    found.and_then(|attribute| attribute["value"]["stringValue"].as_str()).unwrap_or_default().to_owned()
}
