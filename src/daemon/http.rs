//! The server for `/healthz`, `/readyz` and `/metrics`, and for what is merged into them: the page.
//!
//! Contract: the address is taken before anything else starts, so that one that cannot be had is an error at once. One answer a
//! connection, and a connection has [`PATIENCE`] for all of it: a client that is slow to ask or to read is cut off and pins
//! nothing. At most [`CONNECTIONS`] are served at a time, the next ones wait. Its own pages answer whoever asks, so nothing secret is
//! in them; who asks for more is told apart by [`Ends`].

use super::health::{Answer, Health};
use crate::export::registry::{CONTENT_TYPE, Metrics};
use axum::{
    Router,
    extract::{State, connect_info::Connected},
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
    serve::{IncomingStream, Listener},
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How long a connection lasts at most, from its first byte to its last. A scrape has ten seconds by default.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// How many connections are served at a time.
pub const CONNECTIONS: usize = 64;
/// How much a client may send. Nobody has to send a body.
pub const REQUEST_BYTES: usize = 16 * 1_024;

/// Why an address cannot be listened on, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error("cannot listen on `{0}`: the address is in use; stop whoever listens there, or choose another port with `--listen`")]
    InUse(SocketAddr),
    /// It is none of this machine's.
    #[error("cannot listen on `{0}`: it is no address of this machine; `--listen 0.0.0.0:{port}` takes all of them", port = .0.port())]
    NotOurs(SocketAddr),
    /// Low ports need a privilege.
    #[error("cannot listen on `{0}`: not permitted; choose a port from 1024 up with `--listen`")]
    NotPermitted(SocketAddr),
    /// Something else.
    #[error("cannot listen on `{0}`")]
    Other(SocketAddr, #[source] io::Error),
}

/// An address that is taken; connections wait in the kernel until they are served.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    patience: Duration,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// Who asks.
    pub peer: SocketAddr,
    /// Which of our addresses was asked; one that is nobody's where that is not known.
    pub local: SocketAddr,
}

impl Connected<IncomingStream<'_, Door>> for Ends {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { peer: *stream.remote_addr(), local: stream.io().stream.local_addr().unwrap_or(nobody) }
    }
}

/// What the server shows.
#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// Takes an address (port 0: any that is free).
///
/// # Errors
/// When it cannot be had: the message says what to do.
pub async fn listen(address: SocketAddr) -> Result<Listening, ListenError> {
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        io::ErrorKind::AddrNotAvailable => ListenError::NotOurs(address),
        io::ErrorKind::PermissionDenied => ListenError::NotPermitted(address),
        _ => ListenError::Other(address, error),
    })?;
    let address = listener.local_addr().map_err(|error| ListenError::Other(address, error))?;
    Ok(Listening { listener, address, patience: PATIENCE })
}

/// The pages of the daemon. More can be merged into them.
pub fn pages(metrics: Arc<Metrics>, health: Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(async |State(shown): State<Shown>| plain(shown.health.healthy())))
        .route("/readyz", get(async |State(shown): State<Shown>| plain(shown.health.ready())))
        .route("/metrics", get(exposition))
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page; see /\n"))
        .with_state(Shown { metrics, health })
}

impl Listening {
    /// The address, with the port that was found where none was given.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; answers that are under way are finished, for at most [`PATIENCE`].
    ///
    /// # Errors
    /// Never in practice: what a connection does wrong ends that connection.
    pub async fn serve(self, pages: Router, stop: CancellationToken) -> io::Result<()> {
        let pages = pages.layer(middleware::map_response(async |mut response: Response| {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }));
        let door = Door { listener: self.listener, free: Arc::new(Semaphore::new(CONNECTIONS)), patience: self.patience };
        axum::serve(door, pages.into_make_service_with_connect_info::<Ends>()).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

fn plain(answer: Answer) -> impl IntoResponse {
    let status = if answer.good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], format!("{}\n", answer.text))
}

/// Gathering waits for locks and reads files: not on a thread that probes and the lease need.
async fn exposition(State(shown): State<Shown>) -> Response {
    match tokio::task::spawn_blocking(move || shown.metrics.render()).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        failed => {
            tracing::error!(?failed, "The metrics cannot be rendered.");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be rendered; the log says why\n").into_response()
        }
    }
}

/// Lets in a limited number of connections, each for a limited time.
struct Door {
    listener: TcpListener,
    free: Arc<Semaphore>,
    patience: Duration,
}

impl Listener for Door {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        // It is never closed; if it were, connections would only not be counted.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let end = Box::pin(sleep_until(Instant::now() + self.patience));
        (Visit { stream, end, left: REQUEST_BYTES, _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection: a stream that breaks when its time is up, or when the client has sent more than it may.
struct Visit {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    left: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Visit {
    /// Breaks once the time is up; until then it makes sure that the task is woken when it is.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Visit {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too large"))),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        daemon::{engine::Vitals, health},
        export::tests::{Hands, at, policies},
    };
    use std::sync::Mutex;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::watch,
        task::JoinHandle,
    };

    struct Served {
        address: SocketAddr,
        vitals: Vitals,
        health: Arc<Health>,
        stop: CancellationToken,
        task: JoinHandle<io::Result<()>>,
    }

    async fn serve(patience: Duration) -> Served {
        let vitals = Vitals::default();
        let health = Arc::new(Health::new(vitals.clone()));
        let (_, receiver) = watch::channel(Arc::new(policies(Vec::new())));
        let metrics = Arc::new(Metrics::new(Arc::new(Hands(Mutex::new(at(0)))), receiver, 10).unwrap());
        let listening = Listening { patience, ..listen("127.0.0.1:0".parse().unwrap()).await.unwrap() };
        let (address, stop) = (listening.address(), CancellationToken::new());
        let task = tokio::spawn(listening.serve(pages(metrics, Arc::clone(&health)), stop.clone()));
        Served { address, vitals, health, stop, task }
    }

    /// Sends these bytes and returns everything that comes back until the connection ends, however it ends.
    async fn send(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn get_page(address: SocketAddr, path: &str) -> String {
        send(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await
    }

    #[tokio::test]
    async fn the_pages_answer() {
        let served = serve(PATIENCE).await;
        let answer = get_page(served.address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("starting"), "{answer}");
        let answer = get_page(served.address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("not ready: "), "{answer}");
        health::tests::fill(&served.vitals).await;
        served.health.beat();
        let answer = get_page(served.address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("stands by"), "{answer}");
        let answer = get_page(served.address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
        assert!(answer.contains("\n# TYPE clonewarden_leader gauge\nclonewarden_leader 0\n"), "{answer}");
        let answer = get_page(served.address, "/nothing").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        let answer = send(served.address, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
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
    async fn clients_that_never_finish_their_request_pin_nothing() {
        let served = serve(Duration::from_millis(300)).await;
        let mut slow = Vec::new();
        for _ in 0..CONNECTIONS + 8 {
            let mut stream = TcpStream::connect(served.address).await.unwrap();
            stream.write_all(b"GET /healthz HTT").await.unwrap();
            slow.push(stream);
        }
        // It waits for a place, and gets one as soon as the first of them are cut off.
        let answer = get_page(served.address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        for mut stream in slow {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert!(!rest.starts_with(b"HTTP/1.1 200"));
        }
    }

    #[tokio::test]
    async fn a_request_that_is_too_large_is_cut_off() {
        let served = serve(PATIENCE).await;
        let header = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(REQUEST_BYTES));
        assert!(!send(served.address, header.as_bytes()).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn it_stops_when_told() {
        let served = serve(PATIENCE).await;
        served.stop.cancel();
        served.task.await.unwrap().unwrap();
        assert!(TcpStream::connect(served.address).await.is_err());
    }
}
