//! Errors as callers get them: a problem (RFC 9457) that says what failed, on which clone, why, and what to do, with a code that
//! programs can rely on.
//!
//! Contract: the API server's words go to the caller whose token was sent, and nowhere else. No problem holds a token or a password.

use crate::{
    lifecycle::{Cause, Trouble},
    observe::kube::answer,
    plan::admit::Refusal,
    ports::ApiError,
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::borrow::Cow;

/// The media type.
pub(super) const TYPE: &str = "application/problem+json";
/// What stands before a code in `type`.
const TYPES: &str = "tag:clonewarden.io,2026:problem:";
/// How much the API server may say.
const LONGEST: usize = 4_096;

/// What went wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Problem")]
pub(super) struct Body {
    /// Which kind of problem it is: `tag:clonewarden.io,2026:problem:` and the code.
    r#type: String,
    /// The same in a few words.
    title: String,
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What failed, on which clone, why, and what to do.
    detail: String,
    /// The path that was asked for.
    instance: String,
    /// The code, for programs. A refusal of admission has admission's own code.
    code: String,
    /// By which the log of the daemon knows this request.
    request_id: String,
}

/// A problem before it is known which request it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: Cow<'static, str>,
    /// After how many seconds it may be tried again.
    pub(super) retry_after: Option<u32>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, title, detail: detail.into(), retry_after: None }
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", "The request cannot be understood", detail)
    }

    /// Nobody is served at this moment.
    pub(super) fn busy(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", "Too much is asked at a time", detail) }
    }

    /// There is no token, or none that could be one.
    pub(super) fn no_token() -> Self {
        let detail = "a token for the Kubernetes API server is needed: send `Authorization: Bearer TOKEN`, of a service account for example";
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "No usable token", detail)
    }

    /// What is said for an answer that nothing else was said for.
    pub(super) fn plain(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(status, "NotFound", "There is no such page", "there is nothing here: see /api/v1/openapi.json"),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                "MethodNotAllowed",
                "Not with this method",
                "the header `Allow` says which methods there are; see /api/v1/openapi.json",
            ),
            status if status.is_server_error() => {
                Self::new(status, "Internal", "It failed", "this is a fault of ours: the log of the daemon says more")
            }
            status => Self { status, ..Self::bad_request("the request cannot be understood: see /api/v1/openapi.json") },
        }
    }

    /// The answer to the request.
    pub(super) fn answer(&self, instance: &str, request_id: &str) -> Response {
        let body = Body {
            r#type: format!("{TYPES}{}", self.code),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.chars().take(LONGEST).collect(),
            instance: instance.to_owned(),
            code: self.code.to_owned(),
            request_id: request_id.to_owned(),
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, TYPE)], text).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kubernetes\""));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Goes to the middleware that knows the request, which writes the answer.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        let text = trouble.to_string();
        let conflict = |code, title, detail: String| Self::new(StatusCode::CONFLICT, code, title, detail);
        match &trouble.cause {
            Cause::Asked(problem) => asked(problem, text),
            Cause::Unsure(_) => {
                let detail = format!("{text}; look for it by GET, or send the same request again with the same Idempotency-Key");
                Self { retry_after: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unsure", "Nobody knows whether it was done", detail) }
            }
            Cause::NoClone => Self::new(StatusCode::NOT_FOUND, "NoClone", "There is no such clone", text),
            Cause::MadeAgain => conflict("MadeAgain", "It is another clone by now", format!("{text}; read it again before you change it")),
            Cause::Terminating => conflict("Terminating", "It is being deleted", text),
            Cause::Kept => {
                conflict("Kept", "Somebody keeps it", format!("{text}: take the annotation `clonewarden.io/keep` off it first, if nobody needs it"))
            }
            Cause::NoLonger => conflict("NoLonger", "It lives that long already", text),
            Cause::Endless => conflict("Endless", "It does not say when it ends", format!("{text}, by `until`")),
            Cause::Nonsense => conflict("Passed", "That time has passed", text),
            Cause::Changing => Self { retry_after: Some(2), ..conflict("Changing", "It changes all the time", text) },
            Cause::Unreadable => Self::new(StatusCode::BAD_GATEWAY, "Unreadable", "The API server's answer cannot be read", text),
        }
    }
}

/// What the API server said, with its status where that makes sense to the caller.
pub(super) fn asked(problem: &answer::Problem, text: String) -> Problem {
    let refusal = refusal_of(&problem.words());
    let of = |status, code, title, detail: String| Problem::new(status, refusal.unwrap_or(code), title, detail);
    let mut told = match (problem.code(), &problem.error) {
        (Some(401), _) => {
            let detail = format!("{text}; the token is not valid for this cluster, or no longer: get a new one");
            Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized", "The API server does not take the token", detail)
        }
        (Some(403), _) if refusal.is_some() => of(StatusCode::FORBIDDEN, "Refused", "Admission refuses it", text),
        (Some(403), _) => {
            of(StatusCode::FORBIDDEN, "Forbidden", "The token does not have the right", format!("{text}; docs/api.md lists the rights"))
        }
        (Some(404), _) => of(StatusCode::NOT_FOUND, "NotFound", "The API server does not know it", text),
        (Some(409), _) if problem.is_already_there() => {
            of(StatusCode::CONFLICT, "NameTaken", "The name is taken", format!("{text}; choose another name, or leave it out"))
        }
        (Some(409), _) => of(StatusCode::CONFLICT, "Conflict", "It changed meanwhile", format!("{text}; read it again, then try again")),
        (Some(422), _) => of(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "The API server does not take it", text),
        (Some(429), _) => of(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "The API server has too much to do", text),
        (Some(400..500), ApiError::Refused { .. }) => of(StatusCode::UNPROCESSABLE_ENTITY, "Refused", "The API server refuses it", text),
        _ => {
            let detail = format!("{text}; try again");
            of(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "The API server does not answer", detail)
        }
    };
    if matches!(told.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        told.retry_after = Some(problem.retry_after().unwrap_or(5));
    }
    told
}

/// The code by which clonewarden's webhook has refused something, if it was that.
fn refusal_of(words: &str) -> Option<&'static str> {
    let (_, rest) = words.split_once("denied the request: ")?;
    let (code, _) = rest.split_once(':')?;
    Refusal::CODES.into_iter().find(|known| *known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admission_s_refusals_have_its_codes() {
        let words = "admission webhook \"mutate.clonewarden.io\" denied the request: LimitReached: 2 of 2 clones";
        assert_eq!(refusal_of(words), Some("LimitReached"));
        assert_eq!(refusal_of("admission webhook \"other\" denied the request: Whatever: no"), None);
        assert_eq!(refusal_of("denied"), None);
    }

    #[test]
    fn every_code_is_in_the_docs() {
        let page = include_str!("../../docs/api.md");
        for code in CODES {
            assert!(page.contains(&format!("| `{code}` |")), "{code}");
        }
    }

    const CODES: [&str; 28] = [
        "BadRequest",
        "Unauthorized",
        "Forbidden",
        "Refused",
        "NotFound",
        "NoClone",
        "MethodNotAllowed",
        "TooSlow",
        "TooLarge",
        "NotJson",
        "NameTaken",
        "Conflict",
        "MadeAgain",
        "Terminating",
        "Kept",
        "NoLonger",
        "Endless",
        "Passed",
        "Changing",
        "KeySpent",
        "KeyReused",
        "Invalid",
        "TooManyRequests",
        "Busy",
        "Unsure",
        "Unavailable",
        "Unreadable",
        "Internal",
    ];
}
