//! The page over real connections: who is let in, what an answer carries, and that asking again costs nothing.

use super::{Gallery, Shared, permits::tests::Book, routes};
use crate::{
    act::journal::Journal,
    daemon::{
        engine::Vitals,
        health::{self, Health},
        http,
        warden::Watcher,
    },
    export::{
        registry::Metrics,
        tests::{Hands, at, policies},
    },
    model::Snapshot,
    plan::plan,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};
use tokio_util::sync::CancellationToken;

struct Served {
    address: SocketAddr,
    gallery: Arc<Gallery>,
    journal: Arc<Journal>,
    vitals: Vitals,
    metrics: Arc<Metrics>,
}

async fn serve() -> Served {
    serve_as(false).await
}

async fn serve_as(token_always: bool) -> Served {
    let vitals = Vitals::default();
    let (_, receiver) = watch::channel(Arc::new(policies(Vec::new())));
    let (_, broken) = watch::channel(false);
    let clock: Arc<Hands> = Arc::new(Hands(Mutex::new(at(0))));
    let metrics = Arc::new(Metrics::new(Arc::<Hands>::clone(&clock), receiver.clone(), 10).unwrap());
    let (gallery, journal) = (Arc::new(Gallery::new(receiver)), Arc::new(Journal::to(std::io::sink())));
    let shared = Shared {
        clock,
        vitals: vitals.clone(),
        broken,
        journal: Arc::clone(&journal),
        health: Arc::new(Health::new(vitals.clone())),
        gallery: Arc::clone(&gallery),
        reviewer: Some(Arc::new(Book::default())),
        token_always,
        metrics: Arc::clone(&metrics),
    };
    let listening = http::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listening.address();
    tokio::spawn(listening.serve(routes(shared), CancellationToken::new()));
    Served { address, gallery, journal, vitals, metrics }
}

impl Served {
    fn plan(&self) {
        let (snapshot, policies) = (Arc::new(Snapshot::default()), policies(Vec::new()));
        let plan = Arc::new(plan(&snapshot, &policies, at(0)));
        self.gallery.planned(&snapshot, &plan, None, Duration::ZERO);
    }

    async fn get(&self, path: &str, head: &str) -> String {
        self.ask("GET", path, head).await
    }

    async fn ask(&self, method: &str, path: &str, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{method} {path} HTTP/1.1\r\n{head}\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

const HERE: &str = "Host: localhost\r\n";

fn elsewhere(token: &str) -> String {
    format!("Host: clonewarden.example\r\nAuthorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn before_the_first_plan_it_says_what_is_missing() {
    let served = serve().await;
    let answer = served.get("/view/v1", HERE).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 2") && answer.contains("application/problem+json"), "{answer}");
    let answer = served.get("/", HERE).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("not ready") && answer.contains("http-equiv=\"refresh\""), "{answer}");
}

#[tokio::test]
async fn who_is_not_on_this_machine_shows_a_token_before_anything_else() {
    let served = serve().await;
    served.plan();
    for (token, status) in [("all", 200), ("none", 403), ("one", 403), ("stranger", 401), ("down", 503), ("unasked", 503)] {
        for path in ["/", "/view/v1", "/view/v1/clones"] {
            let answer = served.get(path, &elsewhere(token)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{token} {path}: {answer}");
            assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
            assert!(status == 200 || answer.contains("cache-control: no-store"), "{answer}");
        }
    }
    let answer = served.get("/", "Host: clonewarden.example\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("www-authenticate: Bearer") && answer.contains("port-forward"), "{answer}");
    let answer = served.get("/view/v1?nonsense=1", "Host: clonewarden.example\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "a stranger learns nothing of the query: {answer}");
    assert!(served.get("/view/v1?namespace=a", &elsewhere("one")).await.starts_with("HTTP/1.1 200 "));
    for open in ["/view/page.css", "/view/page.js", "/view/note.js", "/view/v1/openapi.json"] {
        assert!(served.get(open, "Host: clonewarden.example\r\n").await.starts_with("HTTP/1.1 200 "), "{open}");
    }
}

#[tokio::test]
async fn nothing_can_be_changed_and_heads_have_no_body() {
    let served = serve().await;
    served.plan();
    for method in ["POST", "DELETE", "PUT", "PATCH", "OPTIONS"] {
        for (path, kind) in [("/", "text/html"), ("/view/v1", "application/problem+json"), ("/view/v1/clones", "application/problem+json")] {
            let answer = served.ask(method, path, &format!("Content-Length: 0\r\n{HERE}")).await;
            assert!(
                answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET,HEAD\r\n") && answer.contains(kind),
                "{method} {path}: {answer}"
            );
            assert!(answer.contains("content-security-policy: ") && answer.contains("cache-control: no-store"), "{answer}");
        }
    }
    for path in ["/", "/view/v1", "/view/v1/clones", "/view/page.css"] {
        let answer = served.ask("HEAD", path, HERE).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n") && !answer.contains("content-length: 0"), "{path}: {answer}");
    }
    assert!(served.ask("HEAD", "/", "Host: clonewarden.example\r\n").await.starts_with("HTTP/1.1 401 "), "a stranger learns nothing by it");
}

#[tokio::test]
async fn who_comes_through_a_proxy_or_by_a_strangers_name_is_not_on_this_machine() {
    let served = serve().await;
    served.plan();
    for head in [
        "Host: evil.example\r\n",
        "Host: localhost.evil.example:8080\r\n",
        "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n",
        "Host: localhost\r\nForwarded: for=127.0.0.1\r\n",
        "Host: localhost\r\nVia: 1.1 sidecar\r\n",
        "",
    ] {
        for path in ["/", "/view/v1", "/view/v1/clones"] {
            let answer = served.get(path, head).await;
            // Without a host it is no HTTP/1.1 at all.
            let refused = answer.starts_with("HTTP/1.1 401 ") || head.is_empty() && answer.starts_with("HTTP/1.1 400 ");
            assert!(refused && !answer.contains("plannedAt"), "{head}{path}: {answer}");
        }
    }
    let strict = serve_as(true).await;
    strict.plan();
    for path in ["/", "/view/v1", "/view/v1/clones"] {
        let answer = strict.get(path, HERE).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && !answer.contains("plannedAt"), "{path}: {answer}");
        assert!(strict.get(path, &format!("{HERE}Authorization: Bearer all\r\n")).await.starts_with("HTTP/1.1 200 "), "{path}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_how_they_end() {
    let served = serve().await;
    served.get("/view/v1", HERE).await;
    served.plan();
    let first = served.get("/", HERE).await;
    let again = format!("{HERE}If-None-Match: {}\r\n", tag(&first));
    served.get("/", &again).await;
    served.get("/", &elsewhere("stranger")).await;
    served.get("/view/v1/clones", &elsewhere("none")).await;
    served.get("/view/v1/clones?limit=0", HERE).await;
    served.ask("POST", "/view/v1", HERE).await;
    served.get("/view/page.css", HERE).await;
    let text = served.metrics.render().unwrap();
    let counted: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("clonewarden_page_requests_total")).collect();
    let expected = [
        "{outcome=\"ok\",route=\"page\"} 1",
        "{outcome=\"refused\",route=\"clones\"} 1",
        "{outcome=\"refused\",route=\"page\"} 1",
        "{outcome=\"unavailable\",route=\"view\"} 1",
        "{outcome=\"unchanged\",route=\"page\"} 1",
        "{outcome=\"wrong\",route=\"clones\"} 1",
        "{outcome=\"wrong\",route=\"view\"} 1",
    ];
    assert_eq!(counted, expected);
}

#[tokio::test]
async fn whoever_asks_while_every_place_is_taken_is_told_to_come_again() {
    let served = serve().await;
    served.plan();
    let mut held = Vec::new();
    for _ in 0..http::visit::PLACES {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(format!("GET /view/v1 HTTP/1.1\r\n{}\r\n", elsewhere("hang")).as_bytes()).await.unwrap();
        held.push(stream);
    }
    let busy = loop {
        let answer = served.get("/view/v1", HERE).await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(
        busy.starts_with("HTTP/1.1 503 ") && busy.contains("application/problem+json") && busy.contains("too much is asked for at once"),
        "{busy}"
    );
    assert!(busy.contains("retry-after: 2"), "{busy}");
    let page = served.get("/", HERE).await;
    assert!(page.starts_with("HTTP/1.1 503 ") && page.contains("http-equiv=\"refresh\""), "the page asks again by itself: {page}");
    drop(held);
    while !served.get("/", HERE).await.starts_with("HTTP/1.1 200 ") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn tag(answer: &str) -> String {
    answer.lines().find_map(|line| line.strip_prefix("etag: ")).map(str::to_owned).unwrap()
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let served = serve().await;
    served.plan();
    health::tests::fill(&served.vitals).await;
    let first = served.get("/", HERE).await;
    assert!(first.starts_with("HTTP/1.1 200 ") && first.contains("date: Mon, 02 Feb 2026 "), "{first}");
    let again = format!("{HERE}If-None-Match: {}\r\n", tag(&first));
    let answer = served.get("/", &again).await;
    assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n") && answer.contains("date: Mon, 02 Feb 2026 "), "{answer}");
    for (what, path) in [("another form", "/view/v1"), ("another query", "/?q=a")] {
        assert!(served.get(path, &again).await.starts_with("HTTP/1.1 200 "), "{what}");
    }
    served.journal.noted("leaseAcquired", at(1), serde_json::Value::Null);
    let second = served.get("/", &again).await;
    assert!(second.starts_with("HTTP/1.1 200 ") && second.contains("leaseAcquired"), "what was done is news: {second}");
    served.plan();
    let again = format!("{HERE}If-None-Match: {}\r\n", tag(&second));
    assert!(served.get("/", &again).await.starts_with("HTTP/1.1 200 "), "a new plan is news");
}
