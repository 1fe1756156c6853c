//! What somebody tries who wants the daemon's rights, another's wait, or all of its connections.

use super::*;
use crate::{
    admission::certs::fake::callers_identity,
    api::{
        server::{CONNECTIONS, HEAD},
        waiting::EACH,
    },
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

#[tokio::test]
async fn without_a_usable_token_nobody_is_asked() {
    let (router, fake) = served(world);
    let two = [BEARER, ("authorization", "Bearer other")];
    let all: [&[(&str, &str)]; 6] = [
        &[],
        &[("authorization", "Basic YTpi")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer a b")],
        &[("authorization", "callers-token")],
        &two,
    ];
    for headers in all {
        for line in ["GET /api/v1/clones/a/c", "DELETE /api/v1/clones/a/c", "POST /api/v1/clones", "POST /api/v1/clones/a/c/extend"] {
            let came = send(&router, line, headers, "{}").await;
            assert!(came.problem(401, "Unauthorized").contains("Authorization: Bearer"));
            assert!(came.header("www-authenticate").starts_with("Bearer"), "{came:?}");
        }
    }
    assert_eq!(fake.lines(), [] as [String; 0]);
}

#[tokio::test]
async fn of_what_a_caller_sends_the_token_alone_is_passed_on() {
    let (router, fake) = served(world);
    let headers = [
        BEARER,
        ("impersonate-user", "admin"),
        ("impersonate-group", "system:masters"),
        ("impersonate-extra-scopes", "all"),
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
        ("x-forwarded-for", "10.0.0.1"),
        ("cookie", "a=b"),
        ("user-agent", "x"),
        ("connection", "authorization"),
        ("idempotency-key", "k"),
        ("content-type", "application/json"),
    ];
    send(&router, "GET /api/v1/clones/a/c", &headers, "").await;
    send(&router, "POST /api/v1/clones", &headers, json!({"namespace": "a", "sourceUrl": "https://example.com"}).to_string()).await;
    send(&router, "POST /api/v1/clones/a/c/extend", &headers, json!({"by": "1h"}).to_string()).await;
    send(&router, "DELETE /api/v1/clones/a/c", &headers, "").await;
    let asked = fake.asked();
    assert!(asked.len() > 12, "{:?}", fake.lines());
    for asked in asked {
        assert_eq!(asked.authorization, "Bearer callers-token", "{}", asked.line);
        assert!(
            asked.headers.iter().all(|name| ["authorization", "accept", "content-type", "content-length", "user-agent"].contains(&name.as_str())),
            "{asked:?}"
        );
    }
}

struct Open {
    address: SocketAddr,
    desk: Desk,
    fake: Fake,
    connector: TlsConnector,
    stop: CancellationToken,
    serving: server::Serving,
}

fn open(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Open {
    crate::observe::kube::install_tls();
    let (desk, fake) = desk(answer);
    let (identity, connector) = callers_identity();
    let (showing, stop) = (Arc::new(move || Some(Arc::clone(&identity.callers))), CancellationToken::new());
    let serving = server::start("127.0.0.1:0".parse().unwrap(), desk.clone(), showing, metrics(), stop.clone()).unwrap();
    Open { address: serving.address(), desk, fake, connector, stop, serving }
}

impl Open {
    async fn connect(&self) -> TlsStream<TcpStream> {
        let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
        self.connector.connect(name, TcpStream::connect(self.address).await.unwrap()).await.unwrap()
    }

    async fn get(&self, target: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request(target).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer callers-token\r\nConnection: close\r\n\r\n")
}

/// A clone that never comes up: its Job has no Pod.
fn starting(asked: &Asked) -> Answer {
    if asked.line.contains("/pods?") && !asked.line.contains("watch=") {
        return Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}, "items": []}));
    }
    world(asked)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_wait_ends_when_its_client_goes_away_and_when_the_process_ends() {
    let open = open(starting);
    let mut client = open.connect().await;
    client.write_all(request("/api/v1/clones/a/c?wait=300s").as_bytes()).await.unwrap();
    until("it waits", || open.desk.waiting.count() == 1).await;
    drop(client);
    until("nobody waits for a client that is gone", || open.desk.waiting.count() == 0).await;

    let mut client = open.connect().await;
    client.write_all(request("/api/v1/clones/a/c?wait=300s").as_bytes()).await.unwrap();
    until("it waits again", || open.desk.waiting.count() == 1).await;
    open.desk.leaving.cancel();
    open.stop.cancel();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("this replica ends"), "{answer}");
    tokio::time::timeout(Duration::from_secs(5), open.serving.end()).await.expect("it ends");
}

#[tokio::test]
async fn thousands_of_waits_leave_room_for_others() {
    let open = open(starting);
    let mut clients = Vec::new();
    for _ in 0..EACH {
        let mut client = open.connect().await;
        client.write_all(request("/api/v1/clones/a/c?wait=300s").as_bytes()).await.unwrap();
        clients.push(client);
    }
    until("they wait", || open.desk.waiting.count() == EACH).await;
    let answer = open.get("/api/v1/clones/a/c?wait=300s").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"Busy\"") && answer.to_lowercase().contains("retry-after"), "{answer}");
    let answer = open.get("/api/v1/clones/a/c").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "whoever does not wait is served: {answer}");
    assert!(open.fake.asked().iter().all(|asked| asked.authorization == "Bearer callers-token"));
}

#[tokio::test]
async fn slow_and_silent_clients_are_hung_up_on() {
    let open = open(world);
    let begun = Instant::now();
    let (mut slow, mut silent) = (open.connect().await, open.connect().await);
    // No handshake at all.
    let mut mute = TcpStream::connect(open.address).await.unwrap();
    slow.write_all(b"GET /api/v1/clones/a/c HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut body = open.connect().await;
    let head = "POST /api/v1/clones HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    body.write_all(head.as_bytes()).await.unwrap();
    for stream in [&mut slow, &mut silent] {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
    let _ = mute.read_to_end(&mut Vec::new()).await;
    let mut rest = [0; 12];
    body.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"HTTP/1.1 408");
    assert!(begun.elapsed() < HEAD + Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(open.fake.lines(), [] as [String; 0]);
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let open = open(world);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(TcpStream::connect(open.address).await.unwrap());
    }
    // Accepted one after the other: the last one is hung up on, not kept waiting.
    let mut late = TcpStream::connect(open.address).await.unwrap();
    let hung_up = tokio::time::timeout(Duration::from_secs(3), late.read(&mut [0; 1])).await.expect("it is told at once");
    assert!(matches!(hung_up, Ok(0) | Err(_)));
    held.clear();
    let begun = Instant::now();
    loop {
        let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
        if open.connector.connect(name, TcpStream::connect(open.address).await.unwrap()).await.is_ok() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody is let in any more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let open = open(world);
    let mut stream = open.connect().await;
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 2"));
    assert_eq!(StatusCode::OK.as_u16(), 200);
}
