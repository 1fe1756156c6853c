//! The API over prepared answers of the API server: who asks, what is passed on, what comes back.

mod hostile;
mod keys;

use super::{Desk, server, waiting::Waiting};
use crate::{
    export::{
        registry::Metrics,
        tests::{Hands, at, policies},
    },
    model::names,
    observe::{
        kube::fake::{Answer, Asked, Fake, Then, failure},
        store::Store,
    },
};
use ::kube::{Client, client::Body};
use axum::{Router, body::to_bytes};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const BEARER: (&str, &str) = ("authorization", "Bearer callers-token");

fn metrics() -> Arc<Metrics> {
    let (_, receiver) = watch::channel(Arc::new(policies(Vec::new())));
    Arc::new(Metrics::new(Arc::new(Hands(Mutex::new(at(0)))), receiver, 10).unwrap())
}

fn desk(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Desk, Fake) {
    let (callers, fake) = Fake::answering(answer);
    let (_, policies) = watch::channel(Arc::new(policies(Vec::new())));
    let (store, waiting, leaving) = (Arc::new(Store::default()), Waiting::default(), CancellationToken::new());
    (Desk { callers, store, policies, waiting, leaving }, fake)
}

/// What came back.
#[derive(Debug)]
struct Came {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// It is a problem of this kind.
    #[track_caller]
    fn problem(&self, status: u16, code: &str) -> &str {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!((self.body["status"].as_u64(), self.body["requestId"].as_str()), (Some(status.into()), Some(self.header("x-request-id"))));
        assert_eq!(self.body["type"], format!("tag:clonewarden.io,2026:problem:{code}"));
        self.body["detail"].as_str().unwrap()
    }
}

async fn send(router: &Router, line: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Came {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(format!("http://here{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // The client adds nothing of its own to what is sent to a router.
    let response = Client::new(router.clone(), "default").send(request.body(Body::from(body.into())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(axum::body::Body::new(body), usize::MAX).await.unwrap();
    Came { status: parts.status.as_u16(), headers: parts.headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

async fn post(router: &Router, target: &str, headers: &[(&str, &str)], body: &Value) -> Came {
    let headers = [&[BEARER, ("content-type", "application/json")], headers].concat();
    send(router, &format!("POST {target}"), &headers, body.to_string()).await
}

fn clone(name: &str, annotations: Value) -> Value {
    json!({
        "metadata": {"namespace": "a", "name": name, "uid": "12345678-u", "resourceVersion": "7", "creationTimestamp": at(0), "annotations": annotations},
        "spec": {"cloneId": name, "ttlSeconds": 7200}, "status": {"state": "ACTIVE", "cloneUrl": "http://x/c/"},
    })
}

/// An API server with one clone `c` that works, and a Secret for it.
fn world(asked: &Asked) -> Answer {
    let list = |items: Value| Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}, "items": items}));
    let labels = json!({names::CLONE_UID: "12345678-u", names::KRO_INSTANCE_ID: "12345678-u", names::KRO_INSTANCE_KIND: "WordPressClone"});
    let child = |name: &str| {
        let metadata = json!({"namespace": "a", "name": name, "uid": name, "creationTimestamp": at(0), "labels": labels.clone()});
        json!([{"metadata": metadata, "status": {"phase": "Running"}}])
    };
    let made = json!({names::CREDENTIALS: "c-12345678-secret", names::OWNER: "ada", names::EXPIRES_AT: at(7_200)});
    let line = asked.line.as_str();
    match line.split('?').next().unwrap_or_default() {
        _ if line.contains("watch=") => Answer::Pieces(Vec::new(), Then::Silence),
        "GET /apis/kro.run/v1alpha1/namespaces/a/wordpressclones/c" => Answer::Json(200, clone("c", made)),
        "GET /apis/kro.run/v1alpha1/namespaces/a/wordpressclones" => list(json!([clone("c", made)])),
        "GET /apis/batch/v1/namespaces/a/jobs" => list(child("j")),
        "GET /api/v1/namespaces/a/pods" => list(child("p")),
        "GET /api/v1/namespaces/a/events" => list(json!([])),
        "GET /api/v1/namespaces/a/secrets/c-12345678-secret" => {
            let data = [("username", "admin"), ("password", "s3cret"), ("api-key", "k3y"), ("db-password", "never-told")];
            let data: serde_json::Map<_, _> = data.into_iter().map(|(key, value)| (key.to_owned(), json!(STANDARD.encode(value)))).collect();
            Answer::Json(200, json!({"metadata": {"resourceVersion": "1"}, "data": data}))
        }
        "DELETE /apis/kro.run/v1alpha1/namespaces/a/wordpressclones/c" => Answer::Json(200, json!({})),
        "POST /apis/kro.run/v1alpha1/namespaces/a/wordpressclones" => {
            let name = asked.body["metadata"]["name"].as_str().unwrap_or_default();
            Answer::Json(201, clone(name, asked.body["metadata"]["annotations"].clone()))
        }
        other => {
            let (resource, name) = other.rsplit_once('/').unwrap_or_default();
            let plural = resource.rsplit('/').next().unwrap_or_default();
            let group = if plural == "wordpressclones" { "kro.run" } else { "" };
            failure(404, "NotFound", &format!("{plural} \"{name}\" not found"), json!({"name": name, "kind": plural, "group": group}))
        }
    }
}

fn served(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Router, Fake) {
    let (desk, fake) = desk(answer);
    (server::routes(desk, metrics()), fake)
}

#[tokio::test]
async fn a_clone_is_told_with_what_the_old_provisioner_said() {
    let (router, _) = served(world);
    let came = send(&router, "GET /api/v1/clones/a/c", &[BEARER], "").await;
    assert_eq!((came.status, came.header("cache-control")), (200, "no-store"), "{came:?}");
    let body = &came.body;
    assert_eq!((&body["state"], &body["ready"], &body["url"]), (&json!("works"), &json!(true), &json!("http://x/c/")));
    assert_eq!((&body["username"], &body["password"], &body["apiKey"]), (&json!("admin"), &json!("s3cret"), &json!("k3y")));
    assert_eq!((&body["expiresAt"], &body["owner"]), (&json!(at(7_200)), &json!("ada")));
    assert!(!body.to_string().contains("never-told"), "{body}");
    let waited = send(&router, "GET /api/v1/clones/a/c?wait=300s", &[BEARER], "").await;
    assert_eq!((waited.status, &waited.body["ready"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_secret_that_the_caller_may_not_read_is_not_read() {
    let (router, _) =
        served(
            |asked| {
                if asked.line.contains("/secrets/") { failure(403, "Forbidden", "secrets is forbidden: ada", json!({})) } else { world(asked) }
            },
        );
    let came = send(&router, "GET /api/v1/clones/a/c", &[BEARER], "").await;
    assert_eq!((came.status, came.body.get("password"), came.body.get("apiKey")), (200, None, None));
    assert!(came.body["notes"][0].as_str().unwrap().contains("secrets is forbidden: ada"), "{came:?}");
    let (router, _) = served(|asked| {
        let name = json!({"name": "c-12345678-secret", "kind": "secrets"});
        if asked.line.contains("/secrets/") { failure(404, "NotFound", "none", name) } else { world(asked) }
    });
    let came = send(&router, "GET /api/v1/clones/a/c", &[BEARER], "").await;
    assert!(came.body.get("password").is_none() && came.body["notes"][0].as_str().unwrap().contains("not made yet"), "{came:?}");
}

#[tokio::test]
async fn what_is_refused_is_told_in_the_server_s_words() {
    let words = "admission webhook \"mutate.clonewarden.io\" denied the request: LimitReached: 2 of 2 clones of `ada` are in `a`";
    let body = json!({"namespace": "a", "sourceUrl": "https://example.com"});
    for (code, reason, said, status, named) in [
        (403, "Forbidden", words, 403, "LimitReached"),
        (403, "Forbidden", "wordpressclones.kro.run is forbidden: User \"ada\" cannot create", 403, "Forbidden"),
        (401, "Unauthorized", "Unauthorized", 401, "Unauthorized"),
        (404, "NotFound", "namespaces \"a\" not found", 404, "NotFound"),
        (422, "Invalid", "spec.ttlSeconds: Invalid value", 422, "Invalid"),
        (409, "AlreadyExists", "already exists", 409, "NameTaken"),
        (429, "TooManyRequests", "too many requests", 429, "TooManyRequests"),
        (503, "ServiceUnavailable", "denied the request: NotNow: no replica holds the lease", 503, "NotNow"),
        (400, "BadRequest", "strict decoding error", 422, "Refused"),
    ] {
        let said_here = said.to_owned();
        let (router, _) = served(move |_| failure(code, reason, &said_here, json!({})));
        let mut named_body = body.clone();
        named_body["name"] = json!("mine");
        let came = post(&router, "/api/v1/clones", &[], &named_body).await;
        let detail = came.problem(status, named);
        assert!(detail.starts_with("cannot create clone `mine`: ") && detail.contains(said), "{detail}");
        assert_eq!(came.header("www-authenticate").is_empty(), status != 401);
        assert_eq!(came.header("retry-after").is_empty(), ![429, 503].contains(&status));
    }
    let (router, _) = served(|_| Answer::Text(504, ""));
    let came = post(&router, "/api/v1/clones", &[], &body).await;
    assert!(came.problem(503, "Unsure").contains("may have been made all the same"));
}

#[tokio::test]
async fn a_clone_is_created_extended_and_deleted() {
    let (router, fake) = served(world);
    let body = json!({"namespace": "a", "name": "mine", "sourceUrl": "https://example.com", "ttl": "90m", "critical": true});
    let came = post(&router, "/api/v1/clones", &[], &body).await;
    assert_eq!((came.status, came.header("location"), &came.body["state"]), (201, "/api/v1/clones/a/mine", &json!("starting")), "{came:?}");
    assert_eq!(fake.asked()[0].body["spec"], json!({"cloneId": "mine", "sourceUrl": "https://example.com", "ttlSeconds": 5400}));
    let came = send(&router, "DELETE /api/v1/clones/a/c", &[BEARER], "").await;
    assert_eq!((came.status, &came.body["state"]), (202, &json!("terminating")));
    assert_eq!(fake.asked().last().unwrap().body["preconditions"], json!({"uid": "12345678-u", "resourceVersion": "7"}));
    send(&router, "DELETE /api/v1/clones/a/other", &[BEARER], "").await.problem(404, "NoClone");

    let (router, _) = served(|asked| {
        let annotations = json!({names::KEEP: "true", names::EXTEND_UNTIL: "2099-01-01T00:00:00Z"});
        if asked.line.starts_with("GET") || asked.line.starts_with("PATCH") { Answer::Json(200, clone("c", annotations)) } else { world(asked) }
    });
    send(&router, "DELETE /api/v1/clones/a/c", &[BEARER], "").await.problem(409, "Kept");
    post(&router, "/api/v1/clones/a/c/extend", &[], &json!({"until": "2000-01-01T00:00:00Z"})).await.problem(409, "Passed");
    post(&router, "/api/v1/clones/a/c/extend", &[], &json!({"until": "2098-01-01T00:00:00Z"})).await.problem(409, "NoLonger");
    let came = post(&router, "/api/v1/clones/a/c/extend", &[], &json!({"until": "2100-01-01T00:00:00Z"})).await;
    assert_eq!((came.status, &came.body["announced"], &came.body["askedFor"]), (200, &json!("kept"), &json!("2100-01-01T00:00:00Z")), "{came:?}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_a_problem_and_asks_nobody() {
    let (router, fake) = served(world);
    let good = json!({"namespace": "a", "sourceUrl": "https://example.com"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let came = post(&router, "/api/v1/clones", &[], &with("keep", json!(true))).await;
    assert!(came.problem(400, "BadRequest").contains("unknown field `keep`"));
    post(&router, "/api/v1/clones", &[], &with("ttl", json!("soon"))).await.problem(400, "BadRequest");
    post(&router, "/api/v1/clones", &[], &with("name", json!("x".repeat(70_000)))).await.problem(413, "TooLarge");
    post(&router, "/api/v1/clones", &[("idempotency-key", "")], &good).await.problem(400, "BadRequest");
    post(&router, "/api/v1/clones", &[("idempotency-key", "a"), ("idempotency-key", "b")], &good).await.problem(400, "BadRequest");
    post(&router, "/api/v1/clones?wait=5m", &[], &good).await.problem(400, "BadRequest");
    send(&router, "POST /api/v1/clones", &[BEARER, ("content-type", "text/plain")], "x").await.problem(415, "NotJson");
    send(&router, "POST /api/v1/clones", &[BEARER, ("content-type", "application/json")], "{").await.problem(400, "BadRequest");
    for target in ["/api/v1/clones/a/..", "/api/v1/clones/A/c", "/api/v1/clones/a/%2e%2e", "/api/v1/clones/a/%ff", "/api/v1/clones/a/c%2fstatus"] {
        send(&router, &format!("GET {target}"), &[BEARER], "").await.problem(400, "BadRequest");
    }
    send(&router, "GET /api/v1/clones/a/c?wait=301s", &[BEARER], "").await.problem(400, "BadRequest");
    send(&router, "GET /nothing", &[BEARER], "").await.problem(404, "NotFound");
    let came = send(&router, "PUT /api/v1/clones/a/c", &[BEARER], "").await;
    came.problem(405, "MethodNotAllowed");
    assert!(came.header("allow").contains("GET") && came.header("allow").contains("DELETE"), "{came:?}");
    assert_eq!(fake.lines(), [] as [String; 0]);
    let document = send(&router, "GET /api/v1/openapi.json", &[], "").await;
    assert_eq!((document.status, &document.body["openapi"]), (200, &json!("3.1.0")));
}
