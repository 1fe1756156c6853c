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
    export::tests::{Hands, at, policies},
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
}

async fn serve() -> Served {
    let vitals = Vitals::default();
    let (_, receiver) = watch::channel(Arc::new(policies(Vec::new())));
    let (_, broken) = watch::channel(false);
    let (gallery, journal) = (Arc::new(Gallery::new(receiver)), Arc::new(Journal::to(std::io::sink())));
    let shared = Shared {
        clock: Arc::new(Hands(Mutex::new(at(0)))),
        vitals: vitals.clone(),
        broken,
        journal: Arc::clone(&journal),
        health: Arc::new(Health::new(vitals.clone())),
        gallery: Arc::clone(&gallery),
        reviewer: Some(Arc::new(Book::default())),
    };
    let listening = http::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listening.address();
    tokio::spawn(listening.serve(routes(shared), CancellationToken::new()));
    Served { address, gallery, journal, vitals }
}

impl Served {
    fn plan(&self) {
        let (snapshot, policies) = (Arc::new(Snapshot::default()), policies(Vec::new()));
        let plan = Arc::new(plan(&snapshot, &policies, at(0)));
        self.gallery.planned(&snapshot, &plan, None, Duration::ZERO);
    }

    async fn get(&self, path: &str, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes()).await.unwrap();
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
    for open in ["/view/page.css", "/view/page.js", "/view/v1/openapi.json"] {
        assert!(served.get(open, "Host: clonewarden.example\r\n").await.starts_with("HTTP/1.1 200 "), "{open}");
    }
    for method in ["POST", "DELETE", "PUT", "PATCH"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(format!("{method} / HTTP/1.1\r\nContent-Length: 0\r\n{HERE}\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let served = serve().await;
    served.plan();
    health::tests::fill(&served.vitals).await;
    let tag = |answer: &str| answer.lines().find_map(|line| line.strip_prefix("etag: ")).map(str::to_owned).unwrap();
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
