//! What is answered: the page, the JSON, and why not.

use super::{
    Desk, assets,
    door::{Entry, Refused},
    html::{Note, Page},
    openapi, query,
    seen::Seen,
    view::{Filter, Look, Standing, View},
};
use crate::daemon::http::{
    local::Ends,
    visit::{Guest, PLACES},
};
use askama::Template;
use axum::{
    Json, Router,
    body::Body,
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// Nothing but what comes from here is loaded, and nobody puts the page into a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";
/// What every answer says beside what it answers.
const SAFETY: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];
const PROBLEM: &str = "application/problem+json";

/// An answer that is none (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Problem {
    /// What is wrong, in a few words.
    title: String,
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What failed, why, and what to do.
    detail: String,
}

/// What form an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Page,
    Whole,
    Clones,
}

impl Form {
    /// What is asked for by this path, if it is one of these.
    fn of(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Page),
            "/view/v1" => Some(Self::Whole),
            "/view/v1/clones" => Some(Self::Clones),
            _ => None,
        }
    }

    /// Under which name it is counted.
    fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Whole => "view",
            Self::Clones => "clones",
        }
    }
}

pub(super) fn routes(desk: Arc<Desk>) -> Router {
    let answering = |form: Form| {
        get(move |State(desk): State<Arc<Desk>>, Extension(guest): Extension<Arc<Guest>>, uri: Uri, headers: HeaderMap| async move {
            match answer(&desk, form, guest.ends, &uri, &headers).await {
                Ok(response) => response,
                Err(lack) => lack.told(form),
            }
        })
    };
    Router::new()
        .route("/", answering(Form::Page))
        .route("/view/v1", answering(Form::Whole))
        .route("/view/v1/clones", answering(Form::Clones))
        .route(openapi::PATH, get(async || ([(header::CONTENT_TYPE, "application/json")], openapi::text())))
        .route(assets::STYLE.path, get(async || assets::STYLE.answer()))
        .route(assets::SCRIPT.path, get(async || assets::SCRIPT.answer()))
        .route(assets::AGAIN.path, get(async || assets::AGAIN.answer()))
        .route(assets::SIGN.path, get(async || assets::SIGN.answer()))
        .layer(middleware::from_fn_with_state(Arc::clone(&desk), attend))
        .with_state(desk)
}

/// What every request goes through: it needs a place, and whatever is answered is safe to show and is counted.
async fn attend(State(desk): State<Arc<Desk>>, Extension(guest): Extension<Arc<Guest>>, request: Request, next: Next) -> Response {
    let form = Form::of(request.uri().path());
    let mut response = if guest.takes_place() { next.run(request).await } else { Lack::Busy.told(form.unwrap_or(Form::Page)) };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = Lack::ReadOnly.told(form.unwrap_or(Form::Whole));
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    for (name, value) in SAFETY {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Some(form) = form {
        desk.shared.metrics.page_request(form.word(), outcome(response.status()));
    }
    response
}

/// How a request ended, for the metric.
fn outcome(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_MODIFIED => "unchanged",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "refused",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        status if status.is_success() => "ok",
        status if status.is_client_error() => "wrong",
        _ => "failed",
    }
}

/// Why there is no answer.
enum Lack {
    Refused(Refused),
    Wrong(String),
    Starting(String),
    Busy,
    ReadOnly,
    Failed,
}

async fn answer(desk: &Arc<Desk>, form: Form, ends: Ends, uri: &Uri, headers: &HeaderMap) -> Result<Response, Lack> {
    let filter = query::read(uri.query());
    let namespace = filter.as_ref().ok().and_then(|filter| filter.namespace.as_deref());
    let entry = desk.door.admit(ends, uri, headers, namespace).await.map_err(Lack::Refused)?;
    let filter = filter.map_err(Lack::Wrong)?;
    let Some(seen) = desk.shared.gallery.last() else { return Err(Lack::Starting(desk.shared.health.ready().text)) };
    let now = desk.shared.clock.now();
    let (deeds, total) = desk.shared.journal.last_deeds();
    let standing = Standing {
        acts: desk.shared.vitals.fence.holds(),
        policies_broken: *desk.shared.broken.borrow(),
        trouble: desk.shared.vitals.keeper.trouble().map(|trouble| trouble.to_string()),
        deeds,
    };
    let tag = tag(&desk.run, &seen, total, &standing, &entry, &filter, form);
    if headers.get_all(header::IF_NONE_MATCH).iter().any(|known| known.to_str().is_ok_and(|known| known.split(',').any(|one| one.trim() == tag))) {
        return Ok(finished(StatusCode::NOT_MODIFIED.into_response(), now, &tag));
    }
    let Ok(turn) = Arc::clone(&desk.making).acquire_owned().await else { return Err(Lack::Failed) };
    let made = tokio::task::spawn_blocking(move || {
        // Whoever hangs up ends the waiting, not the work: the turn is over when that is.
        let _turn = turn;
        made(form, &seen, &standing, &entry, &filter, now)
    })
    .await;
    match made {
        Ok(Some(response)) => Ok(finished(response, now, &tag)),
        failed => {
            tracing::error!(panicked = failed.is_err(), "The page cannot be made.");
            Err(Lack::Failed)
        }
    }
}

fn made(form: Form, seen: &Seen, standing: &Standing, entry: &Entry, filter: &Filter, now: Timestamp) -> Option<Response> {
    let only = match entry {
        Entry::All => None,
        Entry::Only(namespace) => Some(namespace.as_ref()),
    };
    let look = Look::new((&seen.snapshot, &seen.plan, &seen.policies), standing, only, filter);
    Some(match form {
        Form::Clones => Json(look.clones()).into_response(),
        Form::Whole => Json(look.view()).into_response(),
        Form::Page => {
            let view: View = look.view();
            Html(Page { view: &view, filter, only, now }.render().ok()?).into_response()
        }
    })
}

/// The same as long as the same would be answered.
fn tag(run: &str, seen: &Seen, deeds: u64, standing: &Standing, entry: &Entry, filter: &Filter, form: Form) -> String {
    let mut hash = DefaultHasher::new();
    (deeds, standing.acts, standing.policies_broken, &standing.trouble, form).hash(&mut hash);
    (&filter.namespace, &filter.owner, &filter.text, filter.limit, &filter.after).hash(&mut hash);
    match entry {
        Entry::All => None,
        Entry::Only(namespace) => Some(namespace),
    }
    .hash(&mut hash);
    format!("\"{run}-{}-{:016x}\"", seen.number, hash.finish())
}

/// An answer is dated by the daemon's clock, by which its countdowns go, and is asked for anew each time.
fn finished(mut response: Response, now: Timestamp, tag: &str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
    if let Ok(date) = HeaderValue::try_from(now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
        headers.insert(header::DATE, date);
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

impl Lack {
    fn told(&self, form: Form) -> Response {
        let (status, title, detail) = match self {
            Self::Refused(refused) => (refused.status(), refused.title(), refused.detail()),
            Self::Wrong(what) => (StatusCode::BAD_REQUEST, "the query cannot be understood", what.clone()),
            Self::Starting(lack) => (StatusCode::SERVICE_UNAVAILABLE, "no plan was made yet", lack.clone()),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too much is asked for at once", format!("{PLACES} answers are under way: try again")),
            Self::ReadOnly => {
                (StatusCode::METHOD_NOT_ALLOWED, "this is read-only", "nothing can be changed here: ask with `GET` or `HEAD`".to_owned())
            }
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be made", "the daemon's log says why".to_owned()),
        };
        let mut response = match form {
            Form::Page => {
                let note =
                    Note { status: status.as_u16(), title, detail: &detail, again: status.is_server_error(), ways: matches!(self, Self::Refused(_)) };
                (status, Html(note.render().unwrap_or(detail))).into_response()
            }
            Form::Whole | Form::Clones => {
                let problem = Problem { title: title.to_owned(), status: status.as_u16(), detail };
                let text = serde_json::to_string(&problem).unwrap_or_default();
                (status, [(header::CONTENT_TYPE, PROBLEM)], Body::from(text)).into_response()
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"clonewarden\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
