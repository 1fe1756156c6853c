//! One request to a service of AWS that answers in JSON, and what is heard of it before it is believed.
//!
//! Contract: [`ask`] hands out the very bytes of a success, to be read by a strict reader of our own: the SDK's takes a field that
//! is missing for none. The SDK signs, sends once, and has to have understood the answer too.

use super::rds::{
    Attempts,
    fault::{Fault, failure},
};
use crate::ports::CloudError;
use aws_sdk_rds::{
    config::{ConfigBag, Intercept, RuntimeComponents, http::HttpResponse, interceptors::AfterDeserializationInterceptorContextRef},
    error::{BoxError, SdkError},
};
use serde::Deserialize;
use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// The status and the body of an answer, if there was one.
type Heard = Option<(u16, Vec<u8>)>;

/// Catches the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Ear(Arc<Mutex<Heard>>);

impl Intercept for Ear {
    fn name(&self) -> &'static str {
        "clonewarden"
    }

    /// The first moment at which the body is in memory.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if let Some(body) = response.body().bytes() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((response.status().as_u16(), body.to_vec()));
        }
        Ok(())
    }
}

/// Sends one request by `send`, which must give the ear to it, and counts it.
///
/// # Errors
/// It was refused, or there was no answer `within` that time, or not the whole of one.
pub(super) async fn ask<T, E, F>(
    operation: &'static str,
    within: Duration,
    attempts: &Attempts,
    send: impl FnOnce(Ear) -> F,
) -> Result<Vec<u8>, CloudError>
where
    E: Error + 'static,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let ear = Ear::default();
    let Ok(sent) = timeout(within, Box::pin(send(ear.clone()))).await else {
        attempts.count(operation, "timeout");
        return Err(CloudError::Unavailable(format!("nothing within {within:?}")));
    };
    let heard = ear.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (outcome, answer) = judge(operation, sent.map(|_| ()), heard);
    attempts.count(operation, outcome);
    answer
}

fn judge<E: Error + 'static>(
    operation: &'static str,
    sent: Result<(), SdkError<E, HttpResponse>>,
    heard: Heard,
) -> (&'static str, Result<Vec<u8>, CloudError>) {
    let not_whole = |why: &str| ("cut", Err(CloudError::NotWhole(why.to_owned())));
    match (sent, heard) {
        (Ok(()), Some((200, body))) => ("ok", Ok(body)),
        (Ok(()), Some((status, _))) => not_whole(&format!("HTTP {status} passed for a success")),
        (Ok(()), None) => not_whole("it was not checked"),
        (Err(_), Some((200, _))) => not_whole("it is not JSON, or a field in it is not of its type"),
        (Err(_), Some((status, body))) => match fault(status, &body) {
            Some(fault) => (fault.outcome(operation), Err(fault.error(operation))),
            None if status >= 500 => ("unavailable", Err(CloudError::Unavailable(format!("HTTP {status}")))),
            None => not_whole(&format!("HTTP {status}: it is not how AWS says what went wrong")),
        },
        (Err(SdkError::TimeoutError(_)), None) => ("timeout", Err(CloudError::Unavailable("nothing in time".to_owned()))),
        (Err(error), None) => {
            let error = failure(&error);
            (if matches!(error, CloudError::Forbidden(_)) { "forbidden" } else { "unavailable" }, Err(error))
        }
    }
}

/// What went wrong, as services say it in JSON; `None` if it does not say that.
fn fault(status: u16, body: &[u8]) -> Option<Fault> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "__type", alias = "code", alias = "Code")]
        kind: String,
        #[serde(default, alias = "Message")]
        message: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    // `com.amazonaws.…#AccessDeniedException:http://…`.
    let code = said.kind.rsplit('#').next().and_then(|code| code.split(':').next()).filter(|code| !code.is_empty())?;
    Some(Fault::said(status, code, said.message.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_says_in_json_means_what_it_means_in_xml() {
        for (status, body, outcome) in [
            (
                400,
                r#"{"__type":"com.amazonaws.costexplorer#AccessDeniedException","Message":"User not enabled for cost explorer access"}"#,
                "forbidden",
            ),
            (400, r#"{"__type":"LimitExceededException","message":"slow down"}"#, "throttled"),
            (400, r#"{"__type":"ThrottlingException:http://x/","message":null}"#, "throttled"),
            (400, r#"{"__type":"DataUnavailableException"}"#, "refused"),
            (500, r#"{"__type":"InternalServerException","message":"x"}"#, "unavailable"),
        ] {
            assert_eq!(fault(status, body.as_bytes()).unwrap().outcome("GetCostAndUsage"), outcome, "{body}");
        }
        for odd in ["", "{}", "<html>", r#"{"__type":""}"#, r#"{"__type":7}"#, "null"] {
            assert_eq!(fault(400, odd.as_bytes()), None, "{odd}");
        }
    }
}
