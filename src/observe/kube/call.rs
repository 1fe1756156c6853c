//! One request to the API server and its answer: where it goes, how long it may take, what is remembered of it.

use super::{
    answer::{Problem, describe},
    callers::Token,
    counts::Requests,
    skew::ServerClock,
};
use crate::{model::Kind, ports::ApiError};
use ::kube::{Client, client};
use axum::body::Bytes;
use http::{Method, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// How long a write may take: a lease lasts 8 s and its holder gives up 5 s after the last renewal, so a write that was begun
/// as the holder must have ended 3 s later, before anybody else can hold it.
pub(crate) const WRITE: Duration = Duration::from_secs(3);
/// How long a read or one page of a list may take. Half of the server's own limit of 60 s: one that is slower is not well.
pub(crate) const READ: Duration = Duration::from_secs(30);
/// How long one call for the lease may take: three tries, a second apart, fit within the 5 s of the renew deadline.
pub(crate) const LEASE: Duration = Duration::from_millis(1500);

/// What is sent along.
pub(crate) enum Body {
    /// Nothing.
    None,
    /// A whole object, or the options of a delete.
    Json(Value),
    /// A JSON merge patch.
    Merge(Value),
    /// The fields that a server-side apply is to own. JSON is YAML.
    Apply(Value),
    /// A JSON patch: a list of operations.
    Patch(Value),
}

impl std::fmt::Debug for Body {
    /// Says the form alone: the content may be a Secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Json(_) => "Json",
            Self::Merge(_) => "Merge",
            Self::Apply(_) => "Apply",
            Self::Patch(_) => "Patch",
        })
    }
}

/// A request that is about to be sent.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) verb: &'static str,
    pub(super) resource: &'static str,
    method: Method,
    target: String,
    accept: String,
    body: Body,
    limit: Duration,
}

impl Call {
    /// A read: nothing is sent but the question.
    pub(crate) fn read(verb: &'static str, resource: &'static str, path: String) -> Self {
        let accept = "application/json".to_owned();
        Self { verb, resource, method: Method::GET, target: path, accept, body: Body::None, limit: READ }
    }

    /// A write. The verb is the one of RBAC; it decides the method.
    pub(crate) fn write(verb: &'static str, resource: &'static str, path: String, body: Body, limit: Duration) -> Self {
        let method = match verb {
            "create" => Method::POST,
            "update" => Method::PUT,
            "patch" => Method::PATCH,
            _ => Method::DELETE,
        };
        // The server is told the limit too, so that it does not carry out later what we have given up by then.
        let server = format!("{}ms", limit.as_millis());
        let call = Self { method, body, limit, ..Self::read(verb, resource, path) };
        call.query("timeout", &server).query("fieldManager", "clonewarden")
    }

    /// Adds a parameter.
    pub(crate) fn query(mut self, key: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(key);
        self.target.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.target.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(self.target, "%{byte:02X}");
            }
        }
        self
    }

    /// Of a list or a watch, asks for what belongs to the kind: objects with a label, or of one name.
    pub(super) fn selected(self, kind: Kind) -> Self {
        let labelled = match kind.selector() {
            Some(selector) => self.query("labelSelector", selector),
            None => self,
        };
        match kind.only() {
            Some(name) => labelled.query("fieldSelector", &format!("metadata.name={name}")),
            None => labelled,
        }
    }

    /// Asks for nothing but the metadata of objects; a server that cannot do that sends them whole.
    pub(crate) fn metadata(mut self, form: &str) -> Self {
        self.accept = format!("application/json;as={form};g=meta.k8s.io;v=v1,application/json");
        self
    }

    /// Sets how long it may take.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    fn request(self) -> Result<http::Request<client::Body>, ApiError> {
        let request = http::Request::builder().method(self.method).uri(self.target).header(header::ACCEPT, self.accept);
        let (request, body) = match self.body {
            Body::None => (request, client::Body::empty()),
            Body::Json(body) => (request.header(header::CONTENT_TYPE, "application/json"), body.to_string().into_bytes().into()),
            Body::Merge(body) => (request.header(header::CONTENT_TYPE, "application/merge-patch+json"), body.to_string().into_bytes().into()),
            Body::Apply(body) => (request.header(header::CONTENT_TYPE, "application/apply-patch+yaml"), body.to_string().into_bytes().into()),
            Body::Patch(body) => (request.header(header::CONTENT_TYPE, "application/json-patch+json"), body.to_string().into_bytes().into()),
        };
        request.body(body).map_err(|_| refused("not a request that can be sent"))
    }
}

/// A client, and what is remembered of all its calls.
#[derive(Clone)]
pub(crate) struct Transport {
    client: Client,
    pub(super) clock: Arc<ServerClock>,
    pub(super) requests: Arc<Requests>,
    /// What the API server warned of, for whoever reads it; `None`: nobody does.
    warnings: Option<Arc<Mutex<Vec<String>>>>,
    /// By whose token it asks; `None`: with the credentials of the client itself.
    token: Option<Token>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) fn new(client: Client) -> Self {
        Self { client, clock: Arc::default(), requests: Arc::default(), warnings: None, token: None }
    }

    /// The same, which keeps what the API server warns of until somebody takes it.
    pub(super) fn listening(self) -> Self {
        Self { warnings: Some(Arc::default()), ..self }
    }

    /// The same, asking with this token.
    pub(super) fn bearing(self, token: Token) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Takes what the API server has warned of since the last time.
    pub(super) fn take_warnings(&self) -> Vec<String> {
        let kept = self.warnings.as_ref().map(|warnings| std::mem::take(&mut *warnings.lock().unwrap_or_else(PoisonError::into_inner)));
        kept.unwrap_or_default()
    }

    /// Another client whose calls are remembered together with those of this one.
    pub(super) fn by(&self, client: Client) -> Self {
        Self { client, ..self.clone() }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn ask(&self, call: Call) -> Result<Bytes, Problem> {
        let (verb, resource, limit) = (call.verb, call.resource, call.limit);
        let answer = timeout(limit, async { body(self.respond(call).await?).await }).await;
        let answer = answer.unwrap_or_else(|_| Err(late(limit)));
        self.requests.count(verb, resource, answer.as_ref().err().map(|problem| &problem.error));
        answer
    }

    /// Sends a request and returns as soon as the answer begins.
    pub(super) async fn open(&self, call: Call) -> Result<client::Body, ApiError> {
        let (verb, resource, limit) = (call.verb, call.resource, call.limit);
        let answer = timeout(limit, self.respond(call)).await.unwrap_or_else(|_| Err(late(limit)));
        self.requests.count(verb, resource, answer.as_ref().err().map(|problem| &problem.error));
        Ok(answer?.into_body())
    }

    async fn respond(&self, call: Call) -> Result<Response<client::Body>, Problem> {
        let mut request = call.request()?;
        if let Some(token) = &self.token {
            request.headers_mut().insert(header::AUTHORIZATION, token.header());
        }
        let response = self.client.send(request).await.map_err(|error| describe(&error))?;
        let status = response.status();
        // A 5xx may come from something between the server and us, with a clock of its own.
        if !status.is_server_error()
            && let Some(date) = response.headers().get(header::DATE).and_then(|date| date.to_str().ok())
        {
            self.clock.heard(date);
        }
        if let Some(warnings) = &self.warnings {
            let said = response.headers().get_all(header::WARNING).iter().filter_map(|warning| warning.to_str().ok()).filter_map(unquoted);
            warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(said);
        }
        if status.is_success() {
            return Ok(response);
        }
        // Without its explanation an answer still says what happened.
        let explanation = match body(response).await {
            Ok(explanation) => explanation.to_vec(),
            Err(_) => Vec::new(),
        };
        Err(Problem::new(status, &explanation))
    }
}

/// The text of a `Warning` header: `299 - "text"`, in which `\\` stands before what would end it.
fn unquoted(header: &str) -> Option<String> {
    let quoted = header.strip_prefix("299 - \"")?;
    let (mut text, mut characters) = (String::new(), quoted.chars());
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            plain => text.push(plain),
        }
    }
}

async fn body(response: Response<client::Body>) -> Result<Bytes, Problem> {
    Ok(response.into_body().collect_bytes().await.map_err(|error| describe(&error))?)
}

fn late(limit: Duration) -> Problem {
    ApiError::Unavailable(format!("nothing within {limit:?}")).into()
}

/// Reads an answer. The parser's own words may quote the answer, so they are not passed on.
pub(crate) fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(answer).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ApiError::Unavailable(format!("an answer that cannot be read (line {line}, column {column})"))
    })
}

/// Something that is not even sent.
pub(crate) fn refused(message: &str) -> ApiError {
    ApiError::Refused { code: 0, message: format!("not sent: {message}") }
}

/// Where all the objects of a kind are.
pub(crate) fn collection(kind: Kind) -> String {
    format!("{}/{}", prefix(kind), kind.plural())
}

/// Where one object is. A name that is empty or holds a `/` would be another place: a delete of all objects, say.
pub(crate) fn object(kind: Kind, namespace: &str, name: &str) -> Result<String, ApiError> {
    if kind.namespaced() {
        return in_namespace(&prefix(kind), namespace, kind.plural(), Some(name));
    }
    Ok(format!("{}/{}", collection(kind), segment(name)?))
}

/// Where the objects of a resource in one namespace are, or one of them.
pub(crate) fn in_namespace(prefix: &str, namespace: &str, resource: &str, name: Option<&str>) -> Result<String, ApiError> {
    let all = format!("{prefix}/namespaces/{}/{resource}", segment(namespace)?);
    match name {
        None => Ok(all),
        Some(name) => Ok(format!("{all}/{}", segment(name)?)),
    }
}

/// Where one object of a resource without namespaces is.
pub(crate) fn in_cluster(prefix: &str, resource: &str, name: &str) -> Result<String, ApiError> {
    Ok(format!("{prefix}/{resource}/{}", segment(name)?))
}

/// Where the API group of a kind is.
pub(super) fn prefix(kind: Kind) -> String {
    match kind.group() {
        "" => format!("/api/{}", kind.version()),
        group => format!("/apis/{group}/{}", kind.version()),
    }
}

fn segment(name: &str) -> Result<&str, ApiError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if plain && name.bytes().any(|byte| byte != b'.') { Ok(name) } else { Err(refused("a name that no object can have")) }
}

/// The status line alone, for an answer that explains nothing.
pub(super) fn bare(status: StatusCode) -> String {
    status.canonical_reason().map_or_else(|| status.as_str().to_owned(), |reason| format!("{} {reason}", status.as_u16()))
}
