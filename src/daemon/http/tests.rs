//! The server over real connections: what it answers, to whom, and what it does with those who ask slowly, too much or nothing.

use super::*;
use crate::{
    daemon::{engine::Vitals, health},
    export::tests::{Hands, at, policies},
};
use axum::body::Bytes;
use std::{
    sync::{LazyLock, Mutex},
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use visit::{PLACES, SILENT};

/// How long a probe of the kubelet waits for an answer where nobody says otherwise.
const PROBE: Duration = Duration::from_secs(1);

/// What is not taken off our hands: more than the kernel keeps for a client that does not read.
static LARGE: LazyLock<Bytes> = LazyLock::new(|| vec![b'x'; 16 << 20].into());

struct Served {
    address: SocketAddr,
    vitals: Vitals,
    health: Arc<Health>,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

async fn serve(head: Duration, patience: Duration) -> Served {
    let vitals = Vitals::default();
    let health = Arc::new(Health::new(vitals.clone()));
    let (_, receiver) = watch::channel(Arc::new(policies(Vec::new())));
    let metrics = Arc::new(Metrics::new(Arc::new(Hands(Mutex::new(at(0)))), receiver, 10).unwrap());
    let listening = Listening { head, patience, ..listen("127.0.0.1:0".parse().unwrap()).await.unwrap() };
    let (address, stop) = (listening.address(), CancellationToken::new());
    let large = Router::new().route(
        "/large",
        get(async |Extension(guest): Extension<Arc<Guest>>| if guest.takes_place() { LARGE.clone() } else { Bytes::from_static(b"no place") }),
    );
    let task = tokio::spawn(listening.serve(pages(metrics, Arc::clone(&health)).merge(large), stop.clone()));
    Served { address, vitals, health, stop, task }
}

/// Sends these bytes and returns everything that comes back until the connection ends, however it ends.
async fn send(address: SocketAddr, request: &[u8]) -> String {
    send_by(TcpStream::connect(address).await.unwrap(), request).await
}

async fn send_by(mut stream: TcpStream, request: &[u8]) -> String {
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get_page(address: SocketAddr, path: &str) -> String {
    send(address, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await
}

/// A connection that comes from another address of this machine.
async fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Many who connect, and send so much.
async fn crowd(address: SocketAddr, count: usize, request: &[u8]) -> Vec<TcpStream> {
    crowd_from("127.0.0.1", address, count, request).await
}

async fn crowd_from(source: &str, address: SocketAddr, count: usize, request: &[u8]) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut stream = connect_from(source, address).await;
        stream.write_all(request).await.unwrap();
        all.push(stream);
    }
    all
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: not so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_pages_answer() {
    let served = serve(HEAD, PATIENCE).await;
    let answer = get_page(served.address, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("starting"), "{answer}");
    let answer = get_page(served.address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("not ready: "), "{answer}");
    health::tests::fill(&served.vitals).await;
    served.health.beat();
    let answer = get_page(served.address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("stands by"), "{answer}");
    let answer = get_page(served.address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    assert!(answer.contains("\n# TYPE clonewarden_leader gauge\nclonewarden_leader 0\n"), "{answer}");
    let answer = get_page(served.address, "/nothing").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    let answer = send(served.address, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn whom_a_strangers_name_has_led_here_sees_no_metrics() {
    let served = serve(HEAD, PATIENCE).await;
    let ask = async |path: &str, host: &str| send(served.address, format!("GET {path} HTTP/1.1\r\n{host}\r\n").as_bytes()).await;
    for host in ["Host: evil.example\r\n", "Host: evil.example:8080\r\n", "Host: localhost.evil.example\r\n", "Host: \r\n"] {
        let answer = ask("/metrics", host).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("clonewarden_leader"), "{host}: {answer}");
        assert!(ask("/healthz", host).await.starts_with("HTTP/1.1 200 "), "a probe may name any host: {host}");
    }
    for host in ["Host: localhost:8080\r\n", "Host: 127.0.0.1\r\n", "Host: 10.0.0.7:8443\r\nX-Forwarded-For: 10.0.0.9\r\n"] {
        assert!(ask("/metrics", host).await.starts_with("HTTP/1.1 200 "), "{host}");
    }
}

#[tokio::test]
async fn a_busy_address_is_an_error_that_says_what_to_do() {
    let first = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let problem = listen(first.address()).await.unwrap_err();
    assert!(matches!(problem, ListenError::InUse(_)), "{problem}");
    assert!(problem.to_string().contains("--listen"), "{problem}");
    // TEST-NET-1: nobody's machine.
    let foreign = listen("192.0.2.1:8080".parse().unwrap()).await.unwrap_err();
    assert!(matches!(foreign, ListenError::NotOurs(_)) && foreign.to_string().contains("0.0.0.0:8080"), "{foreign}");
}

#[tokio::test]
async fn health_answers_at_once_although_hundreds_are_silent_or_slow() {
    let served = serve(HEAD, PATIENCE).await;
    let mut slow = Vec::new();
    for begun in [b"".as_slice(), b"GET /healthz HTT", b"GET /large HTTP/1.1\r\nHost: localhost\r\nX: "] {
        slow.extend(crowd(served.address, SILENT, begun).await);
    }
    // Those who take nothing of what they have asked for have all the places.
    slow.extend(crowd(served.address, PLACES, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await);
    until("every place is taken", async || get_page(served.address, "/large").await.ends_with("no place")).await;
    for path in ["/healthz", "/readyz", "/healthz"] {
        let answer = tokio::time::timeout(PROBE, get_page(served.address, path)).await.unwrap_or_else(|_| panic!("{path} does not answer"));
        assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
    }
    let answer = get_page(served.address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 2"), "nobody waits for a place: {answer}");
    drop(slow);
    until("whoever goes leaves the place to others", async || get_page(served.address, "/metrics").await.starts_with("HTTP/1.1 200 ")).await;
}

#[tokio::test]
async fn strangers_who_hold_all_that_they_can_get_keep_nobody_out_who_comes_from_elsewhere() {
    const LARGE: &[u8] = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let served = serve(HEAD, PATIENCE).await;
    let mut strangers = Vec::new();
    for source in ["127.0.0.1", "127.0.0.3"] {
        strangers.extend(crowd_from(source, served.address, PLACES, LARGE).await);
        strangers.extend(crowd_from(source, served.address, SILENT, b"").await);
    }
    let ask = async |source: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        send_by(connect_from(source, served.address).await, request.as_bytes()).await
    };
    until("the strangers have every place", async || ask("127.0.0.3", "/large").await.ends_with("no place")).await;
    for path in ["/metrics", "/healthz", "/metrics", "/readyz"] {
        let answer = tokio::time::timeout(PROBE, ask("127.0.0.2", path)).await.unwrap_or_else(|_| panic!("{path} does not answer"));
        let expected = if path == "/readyz" { "HTTP/1.1 503 " } else { "HTTP/1.1 200 " };
        assert!(answer.starts_with(expected), "{path}: {answer}");
        strangers.extend(crowd(served.address, 2, LARGE).await);
    }
    // Nor does one who holds a place lose it to those who have more.
    let mut slow = crowd_from("127.0.0.2", served.address, 1, LARGE).await;
    strangers.extend(crowd(served.address, PLACES, LARGE).await);
    until("the strangers have every place again", async || ask("127.0.0.1", "/metrics").await.starts_with("HTTP/1.1 503 ")).await;
    let mut answer = Vec::new();
    slow.remove(0).read_to_end(&mut answer).await.unwrap();
    assert!(answer.len() > self::LARGE.len(), "hung up on after {}", answer.len());
}

#[tokio::test]
async fn whoever_was_silent_longest_goes_first() {
    let served = serve(HEAD, PATIENCE).await;
    let mut early = TcpStream::connect(served.address).await.unwrap();
    let rest = crowd(served.address, SILENT, b"").await;
    let begun = Instant::now();
    assert!(matches!(early.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert!(begun.elapsed() < HEAD / 2, "it was hung up on because it was slow, not because others came: {:?}", begun.elapsed());
    // The one that came last is there, and is answered when it asks.
    let mut last = rest.into_iter().next_back().unwrap();
    last.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_come_and_an_answer_that_is_not_taken_are_cut_off() {
    let served = serve(Duration::from_millis(200), Duration::from_millis(900)).await;
    for begun in [b"".as_slice(), b"GET /healthz HTTP/1.1\r\nHost: loc"] {
        let since = Instant::now();
        let rest = send(served.address, begun).await;
        assert!(!rest.contains("200 OK") && since.elapsed() < Duration::from_millis(800), "{begun:?}: {:?}", since.elapsed());
    }
    let mut taken = crowd(served.address, 1, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let mut some = Vec::new();
    let _ = taken.remove(0).read_to_end(&mut some).await;
    assert!(some.len() < LARGE.len(), "all of it was kept for somebody who did not take it");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let served = serve(HEAD, PATIENCE).await;
    let header = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(4 * HEAD_BYTES));
    assert!(!send(served.address, header.as_bytes()).await.starts_with("HTTP/1.1 200"));
    let token = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", "x".repeat(16 * 1_024));
    assert!(send(served.address, token.as_bytes()).await.starts_with("HTTP/1.1 200"), "a token may be so long");
}

#[tokio::test]
async fn it_stops_when_told_however_slow_others_are() {
    let served = serve(Duration::from_secs(60), Duration::from_secs(60)).await;
    let mut slow = crowd(served.address, 3, b"GET /healthz HTT").await;
    slow.extend(crowd(served.address, 3, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await);
    assert!(get_page(served.address, "/healthz").await.starts_with("HTTP/1.1 200 "));
    let begun = Instant::now();
    served.stop.cancel();
    served.task.await.unwrap().unwrap();
    assert!(begun.elapsed() < DRAIN + Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(TcpStream::connect(served.address).await.is_err());
}
