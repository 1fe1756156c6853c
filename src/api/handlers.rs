//! What is done for each request. Who asks, what for, and how much of it was judged before anything is asked of the API server.

use super::{
    Desk,
    body::{Answer, Create, Credentials, Deletion, Extend, Extension, is_namespace},
    create::{self, Created},
    idempotency,
    problem::{Problem, TYPE, asked},
    query,
};
use crate::{
    lifecycle::{
        self, Summary, Trouble,
        delete::delete as delete_clone,
        extend::{Announced, Bounds, extend as extend_clone},
        wait::{self, End, For, Nobody, Waited},
    },
    model::WordPressClone,
    observe::kube::{callers::Token, person::Person},
    plan::working::{State as How, Told},
    policy::Governing,
    ports::ApiError,
};
use axum::{
    body::{Body, to_bytes},
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{error::Error as _, time::Duration};

/// How much a caller may send.
pub(super) const LARGEST: usize = 64 * 1_024;
/// How long a caller may take to send it.
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take until the state of a clone is known.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// By which a creation is recognised when it is sent again.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

type Named = Result<Path<(String, String)>, PathRejection>;

/// `POST /api/v1/clones`
pub(super) async fn create(State(desk): State<Desk>, RawQuery(query): RawQuery, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let token = token(&headers)?;
    query::none(query.as_deref())?;
    let key = key(&headers)?;
    let (namespace, wish) = json::<Create>(&headers, body).await?.wish().map_err(Problem::bad_request)?;
    let person = desk.callers.person(&token, &namespace);
    let Created { object, anew } = Box::pin(create::create(&desk, &person, wish, key.as_deref())).await?;
    let answer = if anew {
        let (clone, told) = (lifecycle::read(&object)?, Told::read(&object));
        // Nothing is known yet of what it is made of.
        desk.answer(&person, &clone, &told, &How::Starting(Vec::new()), Credentials::default(), Vec::new())
    } else {
        Box::pin(desk.look(&person, &object, For::Sight, SEEN_WITHIN)).await?
    };
    let place = format!("/api/v1/clones/{}/{}", answer.summary.namespace, answer.summary.name);
    let mut response = document(if anew { StatusCode::CREATED } else { StatusCode::OK }, &answer);
    if let Ok(place) = HeaderValue::try_from(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// `GET /api/v1/clones/{namespace}/{name}`
pub(super) async fn get(State(desk): State<Desk>, named: Named, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Problem> {
    let token = token(&headers)?;
    let (namespace, name) = place(named)?;
    let wait = query::wait(query.as_deref())?;
    let person = desk.callers.person(&token, &namespace);
    let object = lifecycle::existing(&person, &name).await?;
    let answer = match wait {
        None => Box::pin(desk.look(&person, &object, For::Sight, SEEN_WITHIN)).await?,
        Some(wait) => {
            let _place = desk.waiting.enter(&token).map_err(|why| Problem::busy(format!("{why}: wait for less, or ask without `wait`")))?;
            Box::pin(desk.look(&person, &object, For::Work, wait)).await?
        }
    };
    Ok(document(StatusCode::OK, &answer))
}

/// `POST /api/v1/clones/{namespace}/{name}/extend`
pub(super) async fn extend(
    State(desk): State<Desk>,
    named: Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let token = token(&headers)?;
    let (namespace, name) = place(named)?;
    query::none(query.as_deref())?;
    let how_far = json::<Extend>(&headers, body).await?.how_far().map_err(Problem::bad_request)?;
    let person = desk.callers.person(&token, &namespace);
    let object = lifecycle::existing(&person, &name).await?;
    let bounds = desk.bounds(&lifecycle::read(&object)?);
    let extended = Box::pin(extend_clone(&person, object, how_far, bounds)).await?;
    let announced = match extended.announced {
        Announced::Yes | Announced::Otherwise(_) => "yes",
        Announced::NotYet => "notYet",
        Announced::Kept => "kept",
        Announced::Audit => "audit",
    };
    let (expires_at, asked_for, ceiling) = (extended.end, extended.until, extended.bounds.ceiling);
    Ok(document(StatusCode::OK, &Extension { namespace, name, expires_at, asked_for, ceiling, announced, warnings: extended.warnings }))
}

/// `DELETE /api/v1/clones/{namespace}/{name}`
pub(super) async fn delete(State(desk): State<Desk>, named: Named, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Problem> {
    let token = token(&headers)?;
    let (namespace, name) = place(named)?;
    query::none(query.as_deref())?;
    let person = desk.callers.person(&token, &namespace);
    let object = lifecycle::existing(&person, &name).await?;
    let uid = lifecycle::read(&object)?.meta.uid.to_string();
    delete_clone(&person, object).await?;
    Ok(document(StatusCode::ACCEPTED, &Deletion { namespace, name, uid, state: "terminating" }))
}

impl Desk {
    /// How a clone is, as far as the caller sees it; waited for, or as it is now.
    async fn look(&self, person: &Person, object: &Value, what: For, patience: Duration) -> Result<Answer, Problem> {
        let enough = futures::future::select(Box::pin(tokio::time::sleep(patience)), Box::pin(self.leaving.cancelled())).map(drop);
        let Waited { clone, told, state, blind, end } = wait::wait(person, object, what, enough, &mut Nobody).await?;
        let name = clone.meta.name();
        let mut notes: Vec<String> = blind.map(|why| format!("{why}; if its Job is refused a Pod, the reason is not seen")).into_iter().collect();
        match end {
            End::Gone => return Err(Trouble::new(lifecycle::Cause::NoClone, name, format!("clone `{name}` was deleted meanwhile")).into()),
            End::Another(other) => return Err(lifecycle::made_again(name, &clone.meta.uid, &other).into()),
            End::Enough if what == For::Work && self.leaving.is_cancelled() => notes.push("this replica ends: ask again to wait longer".to_owned()),
            End::Works | End::Hopeless(_) | End::Enough | End::Silence => {}
        }
        let state = state.unwrap_or_else(|| How::Unknown(vec!["not everything was heard of in time: ask again".to_owned()]));
        let credentials = credentials(person, &told, &mut notes).await?;
        Ok(self.answer(person, &clone, &told, &state, credentials, notes))
    }

    fn answer(&self, person: &Person, clone: &WordPressClone, told: &Told, state: &How, credentials: Credentials, notes: Vec<String>) -> Answer {
        let summary = Summary::new(clone, told, state);
        let ceiling = self.bounds(clone).and_then(|bounds| bounds.ceiling);
        Answer { summary, ready: *state == How::Works, ceiling, credentials, notes, warnings: person.warnings() }
    }

    /// What the policy of its namespace says of how far a clone can be extended; `None`: nobody knows yet.
    fn bounds(&self, clone: &WordPressClone) -> Option<Bounds> {
        if !self.store.filled() {
            return None;
        }
        let namespaces = self.store.namespaces();
        let policies = self.policies.borrow();
        match policies.governing(clone.meta.namespace(), namespaces.get(clone.meta.namespace())) {
            Governing::Policy(policy) => Some(Bounds::of(clone, policy)),
            Governing::Conflict(..) | Governing::Nobody => Some(Bounds::default()),
        }
    }
}

/// What is in the clone's Secret, by the caller's own right to read it.
async fn credentials(person: &Person, told: &Told, notes: &mut Vec<String>) -> Result<Credentials, Problem> {
    let secret = match person.secret_named(&told.secret).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            notes.push(format!("the Secret `{}` is not made yet: username, password and apiKey are not here", told.secret));
            return Ok(Credentials::default());
        }
        Err(problem) if matches!(problem.error, ApiError::Forbidden(_)) && problem.code() == Some(403) => {
            notes.push(format!(
                "username, password and apiKey are not here: this token may not read the Secret `{}`: {}",
                told.secret,
                problem.words()
            ));
            return Ok(Credentials::default());
        }
        Err(problem) => return Err(asked(&problem, format!("cannot get Secret `{}`: {}", told.secret, problem.words()))),
    };
    let text = |key: &str| secret.data.get(key).and_then(|value| String::from_utf8(value.clone()).ok());
    Ok(Credentials { username: text("username"), password: text("password"), api_key: text("api-key") })
}

/// The caller's token.
fn token(headers: &HeaderMap) -> Result<Token, Problem> {
    let mut all = headers.get_all(header::AUTHORIZATION).into_iter();
    match (all.next(), all.next()) {
        (Some(one), None) => Token::read(one.as_bytes()).ok_or_else(Problem::no_token),
        _ => Err(Problem::no_token()),
    }
}

/// The key of a creation, if it has one.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all(KEY).into_iter();
    let (Some(one), next) = (all.next(), all.next()) else { return Ok(None) };
    let well = one.to_str().ok().filter(|key| (1..=idempotency::LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    match (well, next) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "the header `Idempotency-Key` is there twice or is no key: write one of 1 to {} visible characters, such as a UUID",
            idempotency::LONGEST
        ))),
    }
}

/// Which clone is meant.
fn place(named: Named) -> Result<(String, String), Problem> {
    let Path((namespace, name)) = named.map_err(|_| Problem::bad_request("the path is not valid: write /api/v1/clones/NAMESPACE/NAME"))?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(plain) && name.bytes().next_back().is_some_and(plain);
    let named = ends && name.len() <= 253 && name.bytes().all(|byte| plain(byte) || b"-.".contains(&byte));
    if !is_namespace(&namespace) || !named {
        return Err(Problem::bad_request("this is no namespace and name: both have lower case letters, digits and hyphens"));
    }
    Ok((namespace, name))
}

/// The body of a request.
async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let detail = "the body has to be JSON: send `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "NotJson", "The body is not JSON", detail));
    }
    let sent = tokio::time::timeout(SENT_WITHIN, to_bytes(body, LARGEST)).await;
    let sent = sent.map_err(|_| {
        let detail = format!("the body did not come within {} s", SENT_WITHIN.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "TooSlow", "It took too long", detail)
    })?;
    let bytes = sent.map_err(|error| {
        if error.source().is_some_and(|source| source.to_string().contains("length limit")) {
            let detail = format!("the body is larger than {} KiB", LARGEST / 1_024);
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", "The body is too large", detail);
        }
        Problem::bad_request("the body did not come whole")
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request(format!("the body cannot be read: {error}; see /api/v1/openapi.json")))
}

fn document(status: StatusCode, answer: &impl Serialize) -> Response {
    match serde_json::to_string(answer) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, TYPE)]).into_response(),
    }
}
