//! The listener of the API: TLS, how much is let in at a time, and what every answer has in common.

use super::{
    Desk, handlers, openapi,
    problem::{Problem, TYPE},
    query,
    visit::Visit,
};
use crate::{
    admission::{door, reservations::random},
    export::registry::Metrics,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post},
};
use axum_server::{Handle, accept::Accept};
use rustls::ServerConfig;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// How many connections there may be. One more is hung up on: it would cost a file descriptor.
pub(super) const CONNECTIONS: usize = 512;
/// How many requests are under way at a time, waits among them.
pub(super) const AT_ONCE: usize = 256;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(2);
/// How long a caller may take to send the head of a request, and how long a connection is kept for another one.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// How large the head of a request may be: a token has 16 KiB at most.
const HEAD_BYTES: usize = 32 * 1_024;
/// How long a request may take that does not wait: a creation may take as long as the API server gives its webhooks.
const WHOLE: Duration = Duration::from_secs(90);
/// How long requests that are under way may take when the process ends.
const DRAIN: Duration = Duration::from_secs(10);
/// Under which the log of the daemon knows a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The TLS that is ours at this moment, if there is a certificate.
pub(super) type Showing = Arc<dyn Fn() -> Option<Arc<ServerConfig>> + Send + Sync>;

/// A server that listens.
pub(super) struct Serving {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Serving {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until what is under way is answered.
    pub(super) async fn end(self) {
        let _ = self.task.await;
    }
}

/// Takes the address, then serves until `stop`.
pub(super) fn start(listen: SocketAddr, desk: Desk, showing: Showing, metrics: Arc<Metrics>, stop: CancellationToken) -> anyhow::Result<Serving> {
    let (listener, address) = door::take("--api-listen", listen)?;
    let handle = Handle::new();
    let acceptor = Door { showing, free: Arc::new(Semaphore::new(CONNECTIONS)) };
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle.clone()).http1_only();
    server.http_builder().http1().header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let task = tokio::spawn(server.serve(routes(desk, metrics).into_make_service()));
    tokio::spawn(async move {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(DRAIN));
    });
    tracing::info!(%address, "Serving the API for services, /api/v1.");
    Ok(Serving { address, task })
}

pub(super) fn routes(desk: Desk, metrics: Arc<Metrics>) -> Router {
    let gate = Gate { free: Arc::new(Semaphore::new(AT_ONCE)), metrics, leaving: desk.leaving.clone() };
    Router::new()
        .route(openapi::PATH, get(async || ([(header::CONTENT_TYPE, "application/json")], openapi::text())))
        .route("/api/v1/clones", post(handlers::create))
        .route("/api/v1/clones/{namespace}/{name}", get(handlers::get).merge(delete(handlers::delete)))
        .route("/api/v1/clones/{namespace}/{name}/extend", post(handlers::extend))
        // Bodies are read within limits of their own.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(gate, attend))
        .with_state(desk)
}

/// What a request is about, for metrics and limits: a bounded set, whatever somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Create,
    Get,
    Extend,
    Delete,
    Document,
    Other,
}

impl Route {
    fn of(method: &Method, path: &str) -> Self {
        let parts: Vec<&str> = path.strip_prefix("/api/v1/").unwrap_or_default().splitn(5, '/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["clones"]) => Self::Create,
            ("GET" | "HEAD", ["clones", _, _]) => Self::Get,
            ("DELETE", ["clones", _, _]) => Self::Delete,
            ("POST", ["clones", _, _, "extend"]) => Self::Extend,
            ("GET" | "HEAD", ["openapi.json"]) => Self::Document,
            _ => Self::Other,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Extend => "extend",
            Self::Delete => "delete",
            Self::Document => "document",
            Self::Other => "other",
        }
    }

    /// How long it may take.
    fn limit(self) -> Duration {
        match self {
            Self::Get => WHOLE.saturating_add(Duration::from_secs(query::LONGEST)),
            _ => WHOLE,
        }
    }
}

/// What stands before every request.
#[derive(Clone)]
struct Gate {
    free: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    leaving: CancellationToken,
}

/// Lets a request in, and completes its answer: an error is a problem, and the request has an id.
async fn attend(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = random();
    let path: String = request.uri().path().chars().take(400).collect();
    let route = Route::of(request.method(), &path);
    let turn = timeout(TURN, Arc::clone(&gate.free).acquire_owned()).await;
    let mut response = match turn {
        // It is never closed.
        Ok(_place) => timeout(route.limit(), next.run(request)).await.unwrap_or_else(|_| told(&slow(route), &path, &id)),
        Err(_) => told(&Problem::busy(format!("{AT_ONCE} requests are under way on this replica: try again")), &path, &id),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = told(&problem, &path, &id);
    } else if (response.status().is_client_error() || response.status().is_server_error()) && !is_problem(&response) {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = told(&Problem::plain(response.status()), &path, &id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::try_from(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    if gate.leaving.is_cancelled() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    gate.metrics.service_request(route.word(), status, took);
    // Neither the path nor what went wrong: both are the caller's words.
    tracing::info!(request = id, route = route.word(), status, ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "A service was answered.");
    response
}

fn told(problem: &Problem, path: &str, id: &str) -> Response {
    problem.answer(path, id)
}

fn is_problem(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == TYPE)
}

fn slow(route: Route) -> Problem {
    let hint =
        if route == Route::Create { "; it may have been made all the same: send it again with the same Idempotency-Key, or look for it" } else { "" };
    let detail = format!("it was not done within {} s{hint}", route.limit().as_secs());
    Problem { retry_after: Some(5), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "It took too long", detail) }
}

/// Lets in a bounded number of connections, by the certificate that is ours at that moment.
#[derive(Clone)]
struct Door {
    showing: Showing,
    free: Arc<Semaphore>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Door {
    type Stream = Visit<TlsStream<TcpStream>>;
    type Service = S;
    type Future = std::pin::Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (server, place) = ((self.showing)(), Arc::clone(&self.free).try_acquire_owned());
        Box::pin(async move {
            let place: OwnedSemaphorePermit = place.map_err(|_| io::Error::other("there are too many connections"))?;
            let stream = door::greet(server, stream).await?;
            Ok((Visit::new(stream, place), service))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_few_whatever_is_asked_for() {
        let of = |method: &str, path: &str| Route::of(&Method::from_bytes(method.as_bytes()).unwrap(), path).word();
        assert_eq!(of("POST", "/api/v1/clones"), "create");
        assert_eq!(of("HEAD", "/api/v1/clones/a/b"), "get");
        assert_eq!(of("POST", "/api/v1/clones/a/b/extend"), "extend");
        assert_eq!(of("DELETE", "/api/v1/clones/a/b"), "delete");
        assert_eq!(of("GET", openapi::PATH), "document");
        for (method, path) in [("GET", "/"), ("GET", "/api/v1/clones"), ("POST", "/api/v1/clones/a/b/extend/c"), ("BREW", "/api/v1/clones/a/b")] {
            assert_eq!(of(method, path), "other", "{path}");
        }
    }
}
