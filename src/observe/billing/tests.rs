//! No part of a bill passes for the bill, nothing is taken for zero, and every request is paid for.

use super::{super::rds::http, *};
use crate::{model::bill::BilledLine, sandbox::clock::SandboxClock};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_rds::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::proxy::ProxyConfig;
use futures::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn question() -> BillQuestion {
    BillQuestion {
        from: "2026-11-26".parse().unwrap(),
        until: "2026-11-28".parse().unwrap(),
        tag: Arc::from("Namespace"),
        account: Arc::from("123456789012"),
    }
}

/// As AWS answers; the second day is empty.
fn recorded() -> Value {
    json!({
        "GroupDefinitions": [{"Key": "SERVICE", "Type": "DIMENSION"}, {"Key": "Namespace", "Type": "TAG"}],
        "ResultsByTime": [
            {
                "Estimated": false,
                "Groups": [
                    {
                        "Keys": ["Amazon Relational Database Service", "Namespace$wordpress-staging"],
                        "Metrics": {"UnblendedCost": {"Amount": "0.40800000001", "Unit": "USD"}}
                    },
                    {
                        "Keys": ["Amazon Elastic Container Service for Kubernetes", "Namespace$"],
                        "Metrics": {"UnblendedCost": {"Amount": "2.4", "Unit": "USD"}}
                    },
                    {"Keys": ["Tax", "Namespace$"], "Metrics": {"UnblendedCost": {"Amount": "-1.5E-7", "Unit": "USD"}}}
                ],
                "TimePeriod": {"Start": "2026-11-26", "End": "2026-11-27"},
                "Total": {}
            },
            {
                "Estimated": true,
                "Groups": [],
                "TimePeriod": {"Start": "2026-11-27", "End": "2026-11-28"},
                "Total": {"UnblendedCost": {"Amount": "0", "Unit": "USD"}}
            }
        ],
        "DimensionValueAttributes": []
    })
}

fn read(answer: &Value) -> Result<BillPage, String> {
    read::page(&question(), answer.to_string().as_bytes())
}

fn line(service: &str, namespace: &str, usd: &str) -> BilledLine {
    BilledLine { service: service.to_owned(), namespace: namespace.to_owned(), usd: usd.parse().unwrap() }
}

#[test]
fn a_recorded_answer_is_read_to_ten_places() {
    let page = read(&recorded()).unwrap();
    assert_eq!(page.next, None);
    assert_eq!(
        page.days.iter().flat_map(|day| day.lines.clone()).collect::<Vec<_>>(),
        [
            line("Amazon Relational Database Service", "wordpress-staging", "0.408"),
            line("Amazon Elastic Container Service for Kubernetes", "", "2.4"),
            line("Tax", "", "-0.00000015"),
        ]
    );
    assert_eq!(page.days.iter().map(|day| (day.date.day(), day.estimated, day.lines.len())).collect::<Vec<_>>(), [(26, false, 3), (27, true, 0)]);
}

#[test]
fn a_page_cut_at_any_byte_is_none() {
    let body = recorded().to_string();
    for at in 0..body.len() {
        assert!(read::page(&question(), &body.as_bytes()[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn what_is_missing_or_strange_is_not_zero() {
    let first = "/ResultsByTime/0/Groups/0";
    for (at, value, why) in [
        (format!("{first}/Metrics/UnblendedCost/Amount"), json!(""), "is no amount"),
        (format!("{first}/Metrics/UnblendedCost/Amount"), json!("12,5"), "is no amount"),
        (format!("{first}/Metrics/UnblendedCost/Amount"), json!("NaN"), "is no amount"),
        (format!("{first}/Metrics/UnblendedCost/Amount"), json!(0.4), "invalid type"),
        (format!("{first}/Metrics/UnblendedCost/Unit"), json!("EUR"), "in `EUR`"),
        (format!("{first}/Metrics"), json!({"BlendedCost": {"Amount": "1", "Unit": "USD"}}), "is missing"),
        (format!("{first}/Metrics"), json!({}), "is missing"),
        (format!("{first}/Keys"), json!(["Tax"]), "1 keys"),
        (format!("{first}/Keys"), json!(["Tax", "Team$a"]), "not by the tag"),
        (format!("{first}/Keys"), json!(["", "Namespace$a"]), "without a service"),
        ("/ResultsByTime/1/Total/UnblendedCost/Amount".to_owned(), json!("3"), "nothing says what for"),
        ("/ResultsByTime/1/TimePeriod/End".to_owned(), json!("2026-11-29"), "is not a day"),
        ("/ResultsByTime/1/TimePeriod".to_owned(), json!({"Start": "2026-11-28", "End": "2026-11-29"}), "nobody asked for"),
        ("/NextPageToken".to_owned(), json!(""), "is empty"),
        ("/NextPageToken".to_owned(), Value::Null, "invalid type"),
    ] {
        let mut answer = recorded();
        match answer.pointer_mut(&at) {
            Some(place) => *place = value.clone(),
            None => drop(answer.as_object_mut().unwrap().insert(at.trim_start_matches('/').to_owned(), value.clone())),
        }
        let said = read(&answer).unwrap_err();
        assert!(said.contains(why), "{at} = {value}: {said}");
    }
}

#[test]
fn every_field_that_is_read_is_needed() {
    for (at, field) in [
        ("", "ResultsByTime"),
        ("/ResultsByTime/0", "TimePeriod"),
        ("/ResultsByTime/0", "Estimated"),
        ("/ResultsByTime/0", "Groups"),
        ("/ResultsByTime/0/Groups/0", "Keys"),
        ("/ResultsByTime/0/Groups/0", "Metrics"),
        ("/ResultsByTime/0/Groups/0/Metrics/UnblendedCost", "Amount"),
        ("/ResultsByTime/0/Groups/0/Metrics/UnblendedCost", "Unit"),
    ] {
        let mut answer = recorded();
        answer.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(field).unwrap();
        assert!(read(&answer).unwrap_err().contains("missing field"), "{at}/{field}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..600) {
        let mut body = recorded().to_string().into_bytes();
        let at = at.min(body.len());
        body.splice(at..(at + bytes.len()).min(body.len()), bytes);
        let _ = read::page(&question(), &body);
    }
}

/// A purse with so many calls in it.
struct Calls(AtomicU32);

impl Purse for Calls {
    fn spend(&self) -> BoxFuture<'_, Result<(), String>> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        async move { left.map(drop).map_err(|_| "spent".to_owned()) }.boxed()
    }
}

/// What is told, page by page.
struct Told(Mutex<Vec<Result<BillPage, CloudError>>>);

impl Billing for Told {
    fn page<'a>(&'a self, _: &'a BillQuestion, _: Option<&'a str>) -> BoxFuture<'a, Result<BillPage, CloudError>> {
        async { self.0.lock().unwrap().remove(0) }.boxed()
    }
}

fn told(date: &str, lines: Vec<BilledLine>, next: Option<&str>) -> Result<BillPage, CloudError> {
    Ok(BillPage { days: vec![BilledDay { date: date.parse().unwrap(), estimated: false, lines }], next: next.map(str::to_owned) })
}

/// What comes of these pages, and how many calls of ten it took.
async fn gather(pages: Vec<Result<BillPage, CloudError>>, calls: u32) -> (Result<Vec<BilledDay>, String>, u32) {
    let purse = Calls(AtomicU32::new(calls));
    let clock = SandboxClock::new("2026-11-28T06:00:00Z".parse().unwrap());
    let days = collect(&Told(Mutex::new(pages)), &question(), &purse, &clock).await;
    (days.map_err(|error| error.to_string()), calls - purse.0.into_inner())
}

#[tokio::test(start_paused = true)]
async fn pages_are_put_together_and_a_day_may_lie_on_two() {
    let pages = vec![
        told("2026-11-26", vec![line("a", "n", "1")], Some("x")),
        told("2026-11-26", vec![line("a", "m", "2")], Some("y")),
        told("2026-11-27", vec![], None),
    ];
    let (days, calls) = gather(pages, 10).await;
    assert_eq!((days.unwrap().iter().map(|day| day.lines.len()).collect::<Vec<_>>(), calls), (vec![2, 0], 3));
}

#[tokio::test(start_paused = true)]
async fn a_bill_that_is_not_whole_is_none() {
    let one = || told("2026-11-26", vec![line("a", "n", "1")], Some("x"));
    for (pages, why) in [
        (vec![told("2026-11-26", vec![], None)], "2026-11-27 is missing"),
        (vec![told("2026-11-27", vec![], None)], "2026-11-26 is missing"),
        (vec![one(), one()], "is told twice"),
        (vec![one(), told("2026-11-27", vec![], Some("x"))], "in a circle"),
        (vec![one(), Err(CloudError::NotWhole("cut".to_owned()))], "cut"),
        (vec![one(), Err(CloudError::Forbidden("no".to_owned()))], "forbidden"),
    ] {
        let said = gather(pages, 10).await.0.unwrap_err();
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_gets_no_answer_is_asked_again_and_paid_again() {
    let busy = || Err(CloudError::Unavailable("LimitExceededException: slow down".to_owned()));
    let rest = || vec![told("2026-11-26", vec![], Some("x")), told("2026-11-27", vec![], None)];
    let (days, calls) = gather([vec![busy()], rest()].concat(), 10).await;
    assert_eq!((days.unwrap().len(), calls), (2, 3));
    let (days, calls) = gather([vec![busy(), busy(), busy()], rest()].concat(), 10).await;
    assert!(days.unwrap_err().contains("slow down"));
    assert_eq!(calls, TRIES);
    let (days, calls) = gather([vec![busy()], rest()].concat(), 2).await;
    assert_eq!((days.unwrap_err().as_str(), calls), ("spent", 2), "a page too far is not asked for");
}

/// Cost Explorer over plain HTTP: what it says each time, and what it was asked.
async fn explorer(replies: Vec<(u16, String)>) -> (CostExplorer, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        for (status, body) in replies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let request = loop {
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let head = head.to_ascii_lowercase();
                assert!(head.contains("x-amz-target: awsinsightsindexservice.getcostandusage") && head.contains("/us-east-1/ce/"), "{head}");
                if let Ok(request) = serde_json::from_str(body) {
                    break request;
                }
            };
            heard.lock().unwrap().push(request);
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let shared = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).endpoint_url(url);
    let shared = shared.http_client(http(ProxyConfig::disabled())).credentials_provider(SharedCredentialsProvider::new(keys)).build();
    (CostExplorer::over(&shared), asked)
}

#[tokio::test]
async fn one_call_is_one_request_that_says_what_is_wanted() {
    let (explorer, asked) = explorer(vec![(200, recorded().to_string())]).await;
    let page = explorer.page(&question(), Some("token")).await.unwrap();
    assert_eq!(page.days.len(), 2);
    assert_eq!(
        *asked.lock().unwrap(),
        [json!({
            "TimePeriod": {"Start": "2026-11-26", "End": "2026-11-28"},
            "Filter": {"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": ["123456789012"]}},
            "Granularity": "DAILY",
            "Metrics": ["UnblendedCost"],
            "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "TAG", "Key": "Namespace"}],
            "NextPageToken": "token",
        })]
    );
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart_and_nothing_is_sent_twice() {
    let whole = recorded().to_string();
    let replies = vec![
        (400, r#"{"__type":"LimitExceededException","Message":"slow down"}"#.to_owned()),
        (400, r#"{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::1:user/x is not authorized"}"#.to_owned()),
        (400, r#"{"__type":"DataUnavailableException","Message":"just enabled"}"#.to_owned()),
        (503, "busy".to_owned()),
        (400, "<html>".to_owned()),
        (200, whole.get(..whole.len() / 2).unwrap().to_owned()),
        (200, whole.replace(r#""Unit":"USD""#, r#""Unit":"EUR""#)),
        (200, "{}".to_owned()),
    ];
    let count = replies.len();
    let (explorer, asked) = explorer(replies).await;
    for expected in [
        "no answer: LimitExceededException: slow down",
        "forbidden: AccessDeniedException: User: arn:aws:iam::1:user/x is not authorized",
        "refused (DataUnavailableException): just enabled",
        "no answer: HTTP 503",
        "the answer is not whole: HTTP 400: it is not how AWS says what went wrong",
        "the answer is not whole: it is not JSON, or a field in it is not of its type",
        "the answer is not whole: an amount of 2026-11-26 is in `EUR`, not in USD",
        "the answer is not whole: missing field `ResultsByTime`",
    ] {
        let said = explorer.page(&question(), None).await.unwrap_err().to_string();
        assert!(said.starts_with(expected), "{said}");
    }
    assert_eq!(asked.lock().unwrap().len(), count);
    let outcomes = explorer.attempts().counts().into_iter().map(|(attempt, count)| (attempt.outcome, count)).collect::<Vec<_>>();
    assert_eq!(outcomes, [("cut", 2), ("forbidden", 1), ("ok", 2), ("refused", 1), ("throttled", 1), ("unavailable", 1)]);
}
