//! What an answer that is not a success means. An error carries the server's message, cut short; never a body or a header.

use super::call::bare;
use crate::ports::ApiError;
use ::kube::{Error, client::AuthError, core::Status};
use http::StatusCode;

/// How much of a message is passed on.
const CUT: usize = 300;

/// Why a call failed, with what the server said about it.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The same for the rest of the program.
    pub(crate) error: ApiError,
    /// The status code of the answer; `None`: there was none.
    code: Option<u16>,
    status: Option<Box<Status>>,
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self { error, code: None, status: None }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        problem.error
    }
}

impl Problem {
    /// Reads an answer that is not a success.
    pub(super) fn new(code: StatusCode, body: &[u8]) -> Self {
        let status = serde_json::from_slice::<Status>(body).ok().filter(|status| !status.message.is_empty() || status.code != 0);
        let message = match &status {
            // The server's words quote the value that it refuses, which may be a password.
            // A rule of the guard that could not be worked out quotes nothing but itself.
            Some(status) if code == StatusCode::UNPROCESSABLE_ENTITY && !status.message.contains("'clonewarden-guard") => fields(status),
            Some(status) if !status.message.is_empty() => cut(&status.message),
            _ => bare(code),
        };
        Self { error: error(code.as_u16(), message), code: Some(code.as_u16()), status: status.map(Box::new) }
    }

    /// The server's own words, whole, for the person who asked: they may quote what that person sent. Never for a log.
    pub(crate) fn words(&self) -> String {
        let said = self.status.as_ref().map(|status| status.message.as_str()).filter(|message| !message.is_empty());
        said.map_or_else(|| self.error.to_string(), str::to_owned)
    }

    /// The status code of the API server's answer, if there was one.
    pub(crate) fn code(&self) -> Option<u16> {
        self.code
    }

    /// After how many seconds the API server wants to be asked again, if it says so.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        let details = self.status.as_ref().and_then(|status| status.details.as_ref());
        details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    }

    /// Whether an object of that name is there already.
    pub(crate) fn is_already_there(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.code == 409 && status.reason == "AlreadyExists")
    }

    /// Whether the API server says that there is no object of this name: not merely that the path leads nowhere, which is what
    /// it says while a CRD is not installed, and not that something else is missing.
    pub(crate) fn is_absence_of(&self, group: &str, resource: &str, name: &str) -> bool {
        let details =
            self.status.as_ref().filter(|status| status.code == 404 && status.reason == "NotFound").and_then(|status| status.details.as_ref());
        self.error == ApiError::NotFound && details.is_some_and(|about| about.name == name && about.kind == resource && about.group == group)
    }

    /// Whether a creation failed because there is an object of that name; a conflict may be another's, such as a quota's.
    pub(crate) fn is_there_already(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.code == 409 && status.reason == "AlreadyExists")
    }

    /// Whether a write failed because the object has another UID than the one that was sent.
    pub(crate) fn is_another_uid(&self) -> bool {
        let details = self.status.as_ref().filter(|status| status.code == 422).and_then(|status| status.details.as_ref());
        details.is_some_and(|about| about.causes.iter().any(|cause| cause.field == "metadata.uid"))
    }
}

/// Which fields an object was refused for, without what they say.
fn fields(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = causes.map(|cause| format!("`{}` ({})", cause.field, cause.reason)).collect();
    if causes.is_empty() { "the object is not valid".to_owned() } else { cut(&format!("not valid: {}", causes.join(", "))) }
}

/// What a status code means to us.
pub(super) fn error(code: u16, message: String) -> ApiError {
    match code {
        404 => ApiError::NotFound,
        409 => ApiError::Conflict(message),
        410 => ApiError::Expired,
        401 | 403 => ApiError::Forbidden(message),
        0 | 408 | 429 | 500.. => ApiError::Unavailable(message),
        _ => ApiError::Refused { code, message },
    }
}

/// Why no answer came.
pub(super) fn describe(error: &Error) -> ApiError {
    ApiError::Unavailable(words(error))
}

/// What may be said of a failure of the client. What an authentication plugin wrote may be the credential itself: of those
/// failures only the harmless ones are told in full.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::Auth(known @ (AuthError::ReadTokenFile(..) | AuthError::AuthExecStart(_) | AuthError::MissingCommand)) => cut(&known.to_string()),
        Error::Auth(_) => "no credentials: the kubeconfig's authentication plugin or token failed".to_owned(),
        other => chain(other),
    }
}

/// An error with its causes, without those that only repeat the next one (`ServiceError: …`).
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut links = std::iter::successors(Some(error), |link| link.source()).map(ToString::to_string).peekable();
    while let Some(link) = links.next() {
        match links.peek() {
            Some(cause) if link.ends_with(cause.as_str()) => {}
            Some(_) => text = format!("{text}{link}: "),
            None => text.push_str(&link),
        }
    }
    cut(&text)
}

/// A message of bounded length on one line.
pub(super) fn cut(message: &str) -> String {
    message.chars().take(CUT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io,
        process::{ExitStatus, Output},
    };

    #[test]
    fn what_an_authentication_plugin_wrote_is_not_repeated() {
        let out: Box<Output> = Output { status: ExitStatus::default(), stdout: b"token hunter2".to_vec(), stderr: Vec::new() }.into();
        let error = Error::Auth(AuthError::AuthExecRun { cmd: "aws --secret hunter2".to_owned(), out });
        assert!(words(&error).starts_with("no credentials"));
    }

    #[test]
    fn what_only_repeats_its_cause_is_left_out() {
        let error = Error::Service(Box::new(io::Error::other("reset by peer")));
        assert_eq!(words(&error), "reset by peer");
        let error = Error::ReadEvents(io::Error::other("reset by peer"));
        assert_eq!(words(&error), "reset by peer");
    }
}
