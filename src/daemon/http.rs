//! The server for `/healthz`, `/readyz` and `/metrics`, and for what is merged into them: the page.
//!
//! Contract: the address is taken before anything else starts, so that one that cannot be had is an error at once. One answer a
//! connection; the head of the request has [`HEAD`], and a connection has [`PATIENCE`] for all of it: a client that is slow to ask or to read
//! is cut off and pins nothing. Health is answered whatever else is asked for ([`visit`]): who waits for it is the kubelet, which kills what
//! does not answer. Its own pages answer whoever asks, so nothing secret is in them; who asks for more is told apart by [`local`].

pub(crate) mod local;
#[cfg(test)]
mod tests;
pub(crate) mod visit;

use super::health::{Answer, Health};
use crate::export::registry::{CONTENT_TYPE, Metrics};
use axum::{
    Router,
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_server::Handle;
use local::is_lured;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use visit::{Door, Guest, Lobby};

/// How long a connection lasts at most, from its first byte to its last. A scrape has ten seconds by default.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// How long a client may take to send the head of its request.
pub const HEAD: Duration = Duration::from_secs(5);
/// How large the head of a request may be: a token has 16 KiB at most.
const HEAD_BYTES: usize = 32 * 1_024;
/// How long answers that are under way may take when the process ends. Whoever takes over must not wait for somebody who reads slowly.
const DRAIN: Duration = Duration::from_secs(3);
/// How many write down the metrics at a time. Whoever scrapes does it every few seconds.
const SCRAPES: usize = 4;

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
    head: Duration,
    patience: Duration,
}

/// What the server shows.
#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    scrapes: Arc<Semaphore>,
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
    Ok(Listening { listener, address, head: HEAD, patience: PATIENCE })
}

/// The pages of the daemon. More can be merged into them.
pub fn pages(metrics: Arc<Metrics>, health: Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(async |State(shown): State<Shown>| plain(shown.health.healthy())))
        .route("/readyz", get(async |State(shown): State<Shown>| plain(shown.health.ready())))
        .route("/metrics", get(exposition))
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page; see /\n"))
        .with_state(Shown { metrics, health, scrapes: Arc::new(Semaphore::new(SCRAPES)) })
}

impl Listening {
    /// The address, with the port that was found where none was given.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; answers that are under way are finished, for at most [`DRAIN`].
    ///
    /// # Errors
    /// Never in practice: what a connection does wrong ends that connection.
    pub async fn serve(self, pages: Router, stop: CancellationToken) -> io::Result<()> {
        let pages = pages.layer(middleware::from_fn(attend));
        let handle = Handle::new();
        let door = Door { lobby: Arc::<Lobby>::default(), patience: self.patience };
        let mut server = axum_server::from_tcp(self.listener.into_std()?)?.acceptor(door).handle(handle.clone()).http1_only();
        server.http_builder().http1().header_read_timeout(self.head).max_buf_size(HEAD_BYTES);
        let mut serving = std::pin::pin!(server.serve(pages.into_make_service()));
        tokio::select! {
            ended = &mut serving => return ended,
            () = stop.cancelled_owned() => handle.graceful_shutdown(Some(DRAIN)),
        }
        serving.await
    }
}

/// What every request goes through: whoever sent it is silent no more, and there is no second one.
async fn attend(Extension(guest): Extension<Arc<Guest>>, request: Request, next: Next) -> Response {
    guest.has_asked();
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn plain(answer: Answer) -> impl IntoResponse {
    let status = if answer.good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], format!("{}\n", answer.text))
}

/// Gathering waits for locks and reads files: not on a thread that probes and the lease need.
async fn exposition(State(shown): State<Shown>, Extension(guest): Extension<Arc<Guest>>, uri: Uri, headers: HeaderMap) -> Response {
    if is_lured(guest.ends, &uri, &headers) {
        let why = "on the daemon's own machine the metrics are shown to whoever asks by an address or `localhost`, not by another name\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    if !guest.takes_place() {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "2")], "too much is asked for at once; try again\n").into_response();
    }
    // It is never closed; whoever waits has one of few places.
    let turn = Arc::clone(&shown.scrapes).acquire_owned().await;
    let rendered = tokio::task::spawn_blocking(move || {
        let text = shown.metrics.render();
        drop(turn);
        text
    });
    match rendered.await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        failed => {
            tracing::error!(?failed, "The metrics cannot be rendered.");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be rendered; the log says why\n").into_response()
        }
    }
}
