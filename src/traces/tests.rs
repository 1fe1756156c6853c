//! What arrives at a collector, and what does not.

use super::*;
use crate::{
    model::Snapshot,
    plan::{Action, Reason, Target},
    policy::load_files,
};
use axum::{Router, body::Bytes, http::StatusCode};
use serde_json::Value;
use std::time::Instant;
use tokio::net::TcpListener;

type Got = Arc<Mutex<Vec<Value>>>;

/// A collector that answers so.
async fn collector(status: StatusCode, answer: &'static str) -> (String, Got) {
    let (listener, got) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Got::default());
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let taken = Arc::clone(&got);
    let take = async move |body: Bytes| {
        taken.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        (status, answer)
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    (url, got)
}

fn tracer(url: &str, sample: u32) -> Tracer {
    let tracer = Tracer::default();
    let (endpoint, headers) = (url.parse().unwrap(), http::HeaderMap::new());
    tracer.start(Collector { endpoint, headers, ca: None, resource: Vec::new(), sample }).unwrap();
    tracer
}

fn spans(got: &Got) -> Vec<Value> {
    let of = |body: &Value| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    got.lock().unwrap().iter().flat_map(of).collect()
}

fn names(got: &Got) -> Vec<String> {
    spans(got).iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect()
}

fn plan(second: i64) -> Plan {
    let text = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: a}\nspec: {namespaces: {names: [a]}}\n";
    let policies = load_files(vec![("a.yaml".to_owned(), text.into())]).unwrap();
    crate::plan::plan(&Snapshot::default(), &policies, Timestamp::from_second(second).unwrap())
}

fn decision() -> Decision {
    Decision::new(Action::Alert, None, Target::Namespace("staging".into()), Reason::NoPolicy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_did_something_is_told_and_an_idle_one_is_not() {
    let (url, got) = collector(StatusCode::OK, "{}").await;
    let tracer = tracer(&url, 1_000_000);
    let (idle, busy, late) = (plan(1), plan(2), plan(3));
    for plan in [&idle, &busy, &late] {
        tracer.planned(plan, tracer.now(), tracer.now());
        if plan.now == busy.now {
            tracer.acted(plan, &decision(), tracer.now(), "done");
        }
        tracer.turned(plan);
    }
    // What a turn began beside the loop ends later.
    tracer.acted(&late, &decision(), tracer.now(), "failed");
    tracer.close(Duration::from_secs(5)).await;
    let mut names = names(&got);
    names.sort();
    assert_eq!(names, ["act", "act", "cycle", "cycle", "observe", "observe", "plan", "plan"]);
    let spans = spans(&got);
    let act = spans.iter().find(|span| span["name"] == "act").unwrap();
    let root = spans.iter().find(|span| span["name"] == "cycle" && span["traceId"] == act["traceId"]).unwrap();
    assert_eq!(act["parentSpanId"], root["spanId"]);
    assert_eq!(act["traceId"], tracer.trace_of(&busy).unwrap());
    assert!(act["attributes"].to_string().contains(&decision().id()), "{act}");
    assert_eq!(tracer.counts(), [("sent", 8), ("failed", 0), ("dropped", 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_decides_whether_it_is_told() {
    let (url, got) = collector(StatusCode::OK, r#"{"partialSuccess": {"rejectedSpans": "1"}}"#).await;
    let tracer = tracer(&url, 0);
    tracer.happened("sweep", tracer.now(), None, Vec::new(), false);
    for (flag, name) in [("00", "look"), ("01", "admission")] {
        let parent = Parent::read(&format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flag}"));
        tracer.happened(name, tracer.now(), parent, Vec::new(), false);
    }
    tracer.close(Duration::from_secs(5)).await;
    assert_eq!(names(&got), ["admission"]);
    assert_eq!((&spans(&got)[0]["parentSpanId"], &spans(&got)[0]["kind"]), (&json!("00f067aa0ba902b7"), &json!(2)));
    assert_eq!(tracer.counts(), [("sent", 0), ("failed", 1), ("dropped", 0)], "what the collector rejects is counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_collector_keeps_nobody_waiting() {
    let tracer = tracer("http://127.0.0.1:1/v1/traces", 1_000_000);
    let begun = Instant::now();
    for _ in 0..20_000 {
        tracer.happened("sweep", tracer.now(), None, Vec::new(), false);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(tracer.counts()[2].1 > 10_000, "{:?}", tracer.counts());
    let begun = Instant::now();
    tracer.close(Duration::from_secs(3)).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn off_it_measures_nothing() {
    let tracer = Tracer::default();
    assert_eq!((tracer.now(), tracer.trace_of(&plan(1)), tracer.counts()), (None, None, Vec::new()));
    tracer.planned(&plan(1), None, None);
    tracer.acted(&plan(1), &decision(), None, "done");
    tracer.turned(&plan(1));
}
