//! The webhook's server: TLS, `/mutate` and `/validate` for the API server, `/peer/…` for other replicas.
//!
//! Contract: every review is answered before the API server gives up on it, if only by "not now". What promises nothing (a change,
//! a namespace in audit, a namespace of nobody) is judged by whichever replica is asked; a creation under `enforce` by the holder
//! of the lease, to which the others hand it on. While the lease moves they wait.

use super::{
    certs::{self, Identities},
    door,
    forward::{ForwardError, Forwarder, LARGEST},
    reservations::{Answer, Desk, unharmed},
    review::{self, Phase, Review, outcome_of},
};
use crate::{
    act::keyring::Keyring,
    daemon::lease::{Fence, Leader},
    export::registry::Metrics,
    observe::store::Store,
    plan::admit::{self, Operation, Refusal, Request, Residents, Town, Verdict},
    policy::{ClonePolicy, Governing, Mode, Namespaces, Policies},
    traces::Tracer,
};
use axum::{
    Extension, Router,
    body::Bytes,
    extract::{self, DefaultBodyLimit, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, AddExtension},
    response::{IntoResponse, Response},
    routing::post,
};
use axum_server::{Handle, accept::Accept};
use serde::Deserialize;
use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer as _;

/// How long the API server waits where it does not say.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long before that an answer is given: it has to arrive, too.
const MARGIN: Duration = Duration::from_millis(500);
/// How soon it is looked again who holds the lease.
const AGAIN: Duration = Duration::from_millis(50);
/// How long the holder may take with what is handed on to it. One whose machine is gone says nothing at all; the lease moves sooner
/// than the API server gives up.
const FORWARD: Duration = Duration::from_secs(4);
/// How long a request may take from its first byte to its answer; the API server gives up after 30 s at the latest.
const WHOLE: Duration = Duration::from_secs(35);
/// How many reviews are under way at a time: each holds its objects in memory.
const AT_ONCE: usize = 512;
/// How long reviews that are under way may take when the process ends.
const DRAIN: Duration = Duration::from_secs(10);

/// What the server works with.
#[derive(Clone)]
pub struct Office {
    /// Where places are promised.
    pub desk: Desk,
    /// Whether this process holds the lease.
    pub fence: Fence,
    /// Where the holder is.
    pub leader: Leader,
    /// The watched objects.
    pub store: Arc<Store>,
    /// The policies in force.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Our certificate, as it is at present.
    pub identity: Identities,
    /// Hands reviews on.
    pub forwarder: Arc<Forwarder>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The key that passwords are sealed under.
    pub keys: Arc<Keyring>,
    /// Notes how long each review takes.
    pub(crate) tracer: Tracer,
    /// Set from when this process is told to end.
    pub leaving: CancellationToken,
}

/// A server that listens.
pub struct Serving {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the reviews that are under way are answered.
    pub async fn end(self) {
        let _ = self.task.await;
    }
}

/// Takes the address, then serves until `stop`.
///
/// # Errors
/// When the address cannot be had.
pub fn start(listen: SocketAddr, office: Office, stop: CancellationToken) -> anyhow::Result<Serving> {
    let (listener, address) = door::take("--webhook-listen", listen)?;
    let handle = Handle::new();
    let door = Door { identity: office.identity.clone() };
    let server = axum_server::from_tcp(listener)?.acceptor(door).handle(handle.clone());
    let task = tokio::spawn(server.serve(routes(office).into_make_service()));
    tokio::spawn(async move {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(DRAIN));
    });
    tracing::info!(%address, "Serving /mutate and /validate.");
    Ok(Serving { address, task })
}

fn routes(office: Office) -> Router {
    let leaving = office.leaving.clone();
    let free = Arc::new(Semaphore::new(AT_ONCE));
    Router::new()
        .route(
            "/mutate",
            post(async |office: State<Office>, asked: Query<Asked>, head: HeaderMap, body: Bytes| {
                office.review(Phase::Mutate, &asked, &head, body).await
            }),
        )
        .route(
            "/validate",
            post(async |office: State<Office>, asked: Query<Asked>, head: HeaderMap, body: Bytes| {
                office.review(Phase::Validate, &asked, &head, body).await
            }),
        )
        .route("/peer/mutate", post(async |office: State<Office>, peer: Extension<Peer>, body: Bytes| office.peer(Phase::Mutate, *peer, &body).await))
        .route(
            "/peer/validate",
            post(async |office: State<Office>, peer: Extension<Peer>, body: Bytes| office.peer(Phase::Validate, *peer, &body).await),
        )
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::map_response(move |mut response: Response| {
            if leaving.is_cancelled() {
                // A connection that is closed in between would take the next review with it.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            std::future::ready(response)
        }))
        .layer(middleware::from_fn(move |request: extract::Request, next: middleware::Next| {
            let free = Arc::clone(&free);
            async move {
                // It is never closed.
                let _place = free.acquire_owned().await;
                timeout(WHOLE, next.run(request)).await.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
            }
        }))
        .with_state(office)
}

/// What the API server says about the call: how long it waits.
#[derive(Debug, Deserialize)]
struct Asked {
    timeout: Option<String>,
}

impl Asked {
    /// Until when an answer is of use. The API server writes whole seconds: `15s`.
    fn deadline(&self, now: Instant) -> Instant {
        let said = self.timeout.as_deref().and_then(|text| text.strip_suffix('s')).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let wait = said.filter(|wait| *wait <= Duration::from_secs(30)).unwrap_or(USUAL_TIMEOUT);
        now + wait.saturating_sub(MARGIN)
    }
}

impl Office {
    /// Answers the API server.
    async fn review(&self, phase: Phase, asked: &Asked, head: &HeaderMap, body: Bytes) -> Response {
        let (begun, measured) = (Instant::now(), self.tracer.now());
        let Review { uid, request } = match review::read(&body) {
            Ok(review) => review,
            Err(problem) => return (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
        };
        let Some(request) = request else { return answered(&uid, &Verdict::default()) };
        let deadline = asked.deadline(begun);
        let answer = timeout_at(deadline, self.judge(phase, &uid, &request, &body)).await;
        let response = answer.unwrap_or_else(|_| {
            let why = match (self.store.filled(), self.leader.address()) {
                (false, _) => "this replica has not listed everything yet",
                (true, None) => "no replica holds the lease",
                (true, Some(_)) => "the replica that holds the lease did not answer in time",
            };
            Outcome::Here(Box::new(self.unjudged(&request, why)))
        });
        match response {
            Outcome::Here(verdict) => {
                self.metrics.reviewed(phase, &verdict, begun.elapsed());
                self.traced(phase, &uid, head, measured, outcome_of(&verdict));
                answered(&uid, &verdict)
            }
            Outcome::Elsewhere(answer) => {
                self.metrics.review_forwarded(phase, begun.elapsed());
                self.traced(phase, &uid, head, measured, ("forwarded", ""));
                ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
            }
        }
    }

    /// Judges here what needs no promise; finds the holder for what does, for as long as the caller waits.
    async fn judge(&self, phase: Phase, uid: &str, request: &Request, body: &Bytes) -> Outcome {
        let mut told = String::new();
        loop {
            if self.is_known(request).await {
                let policies = Arc::clone(&self.policies.borrow());
                let residents = self.residents(phase, request);
                if !counts_on_promises(phase, request, &policies, &residents) {
                    let nothing = BTreeMap::new();
                    return Outcome::Here(Box::new(judged(
                        phase,
                        request,
                        Town { policies: &policies, residents: &residents, claims: &nothing },
                        &self.keys,
                    )));
                }
                // Not in the condition: what it borrows must not be held while we wait.
                let identity = self.identity.borrow().clone();
                if self.fence.holds() {
                    match self.decide(phase, request).await {
                        Answer::Judged(verdict) => return Outcome::Here(verdict),
                        Answer::NotHolder => {}
                        Answer::NotNow(why) => tell(&mut told, why, uid),
                    }
                } else if let (Some(address), Some(identity)) = (self.leader.address(), identity) {
                    match timeout(FORWARD, self.forwarder.forward(&identity, &address, phase, body.clone()))
                        .await
                        .unwrap_or_else(|_| Err(ForwardError::Silent(address)))
                    {
                        Ok(answer) => return Outcome::Elsewhere(answer),
                        Err(error) => tell(&mut told, error.to_string(), uid),
                    }
                }
            }
            sleep(AGAIN).await;
        }
    }

    /// What is said to a review that nobody could judge in time: in audit nobody is turned away, and nobody is where no policy can
    /// be in force.
    fn unjudged(&self, request: &Request, why: &str) -> Verdict {
        let policies = self.policies.borrow();
        let namespaces = self.store.namespaces();
        let may_govern = |policy: &ClonePolicy| match (&policy.namespaces, namespaces.get(&request.namespace)) {
            (Namespaces::Selector(_), None) => true,
            (_, labels) => policy.namespaces.contains(&request.namespace, labels),
        };
        if policies.policies.iter().any(|policy| policy.mode == Mode::Enforce && may_govern(policy)) {
            return Verdict { refusal: Some(Refusal::NotNow(why.to_owned())), ..Verdict::default() };
        }
        Verdict { warnings: vec![format!("clonewarden could not judge this ({why})")], audit: true, ..Verdict::default() }
    }

    /// Judges what rests on a promise, as the holder of the lease.
    async fn decide(&self, phase: Phase, request: &Request) -> Answer {
        if phase == Phase::Mutate {
            return self.desk.promise(request.clone()).await;
        }
        let policies = Arc::clone(&self.policies.borrow());
        self.desk.confirm(request, &policies, &self.residents(phase, request))
    }

    /// Who lives here, as far as this review counts them: at ten thousand clones looking at all is the dearest part of it.
    fn residents(&self, phase: Phase, request: &Request) -> Residents {
        let namespaces = self.store.namespaces();
        let light = Residents { namespaces, ..Residents::default() };
        let policies = self.policies.borrow();
        let governing = policies.governing(&request.namespace, light.namespaces.get(&request.namespace));
        let here = phase == Phase::Mutate && !counts_on_promises(phase, request, &policies, &light);
        let counts = here && matches!(governing, Governing::Policy(policy) if counts(request, policy));
        if counts { self.store.residents() } else { light }
    }

    /// Whether enough is known: every kind has been listed, and the namespace is, where labels decide who governs it.
    async fn is_known(&self, request: &Request) -> bool {
        /// A namespace that is newer than the watch is seen within this.
        const LAG: Duration = Duration::from_secs(2);
        if !self.store.filled() {
            return false;
        }
        let until = Instant::now() + LAG;
        loop {
            let any = !self.policies.borrow().use_selectors();
            let seen = any || self.store.namespaces().contains_key(&request.namespace);
            if seen {
                return true;
            }
            // Unknown is not ungoverned: the API server has seen the namespace, and so will we.
            if Instant::now() >= until {
                return false;
            }
            sleep(AGAIN).await;
        }
    }

    /// Answers another replica.
    async fn peer(&self, phase: Phase, peer: Peer, body: &[u8]) -> Response {
        if !peer.0 {
            return (StatusCode::FORBIDDEN, "only replicas of clonewarden may ask here\n").into_response();
        }
        let (begun, measured) = (Instant::now(), self.tracer.now());
        let Ok(Review { uid, request: Some(request) }) = review::read(body) else {
            return (StatusCode::BAD_REQUEST, "this is no review of a clone\n").into_response();
        };
        if !self.fence.holds() || !self.is_known(&request).await {
            return (StatusCode::SERVICE_UNAVAILABLE, "this replica does not hold the lease\n").into_response();
        }
        match self.decide(phase, &request).await {
            Answer::Judged(verdict) => {
                self.metrics.reviewed(phase, &verdict, begun.elapsed());
                self.traced(phase, &uid, &HeaderMap::new(), measured, outcome_of(&verdict));
                answered(&uid, &verdict)
            }
            Answer::NotHolder => (StatusCode::SERVICE_UNAVAILABLE, "this replica does not hold the lease\n").into_response(),
            Answer::NotNow(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
        }
    }
}

enum Outcome {
    /// It was judged by this process.
    Here(Box<Verdict>),
    /// It was judged by another one, whose answer this is.
    Elsewhere(Bytes),
}

/// Whether the answer makes a promise or counts on those that were made, which only the holder of the lease can do.
fn counts_on_promises(phase: Phase, request: &Request, policies: &Policies, residents: &Residents) -> bool {
    let Governing::Policy(policy) = policies.governing(&request.namespace, residents.namespaces.get(&request.namespace)) else { return false };
    // A keep is let in whatever is spent, and waits for nobody.
    let waits = request.operation == Operation::Create || (phase == Phase::Mutate && counts(request, policy) && !admit::is_kept(request));
    policy.mode == Mode::Enforce && waits
}

/// Whether it is judged by who lives there, and what that costs: a clone that comes, or one that may live longer where a budget counts.
fn counts(request: &Request, policy: &ClonePolicy) -> bool {
    request.operation == Operation::Create || admit::may_live_longer(request, policy)
}

fn judged(phase: Phase, request: &Request, town: Town<'_>, keys: &Keyring) -> Verdict {
    let verdict = unharmed(|| match phase {
        Phase::Mutate => admit::mutate(request, town, "").sealed(request, keys),
        Phase::Validate => admit::validate(request, town),
    });
    verdict.unwrap_or_else(|| Verdict { refusal: Some(Refusal::NotNow("judging it failed; the log says where".to_owned())), ..Verdict::default() })
}

/// Logs a reason to wait when it is another than the last one.
fn tell(told: &mut String, why: String, uid: &str) {
    if *told != why {
        tracing::info!(review = uid, "A review waits: {why}");
        *told = why;
    }
}

fn answered(uid: &str, verdict: &Verdict) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], review::answer(uid, verdict).to_string()).into_response()
}

/// Whether the client is another replica, by the certificate that it showed.
#[derive(Debug, Clone, Copy)]
struct Peer(bool);

/// Lets in whoever speaks TLS, by the certificate that is ours at that moment.
#[derive(Clone)]
struct Door {
    identity: Identities,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Door {
    type Stream = TlsStream<TcpStream>;
    type Service = AddExtension<S, Peer>;
    type Future = std::pin::Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let server = self.identity.borrow().as_ref().map(|identity| Arc::clone(&identity.server));
        Box::pin(async move {
            let stream = door::greet(server, stream).await?;
            let peer = Peer(certs::is_peer(stream.get_ref().1.peer_certificates()));
            Ok((stream, Extension(peer).layer(service)))
        })
    }
}
