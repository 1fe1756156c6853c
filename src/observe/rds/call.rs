//! One call to AWS: how long it may take, and what has to be seen of its answer before it is believed.
//!
//! Contract: [`Line::ask`] is the only way by which an answer comes out. It hands out the answer as [`xml`](super::xml) reads it,
//! which is whole; an answer that was not read there is an error, whatever the SDK makes of it.

use super::{
    counts::Attempts,
    fault::{Fault, failure},
    xml::{self, Element},
};
use crate::{observe::kube::skew::ServerClock, ports::CloudError};
use aws_sdk_rds::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        http::HttpResponse,
        interceptors::{AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
    },
    error::{BoxError, SdkError},
};
use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// What bounds a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Until there is a connection.
    pub(crate) connect: Duration,
    /// From the request to the first byte of the answer.
    pub(crate) read: Duration,
    /// One attempt, from the credentials to the last byte.
    pub(crate) attempt: Duration,
    /// A call with all its attempts and the waits between them.
    pub(crate) call: Duration,
    /// How often a read is tried. What changes something is sent once.
    pub(crate) attempts: u32,
    /// The longest wait before the second attempt; a random part of it is waited.
    pub(crate) backoff: Duration,
    /// The most pages of a list.
    pub(crate) pages: usize,
}

impl Default for Limits {
    /// A page of 100 takes AWS about a second. Five hundred pages are more than any account may have by its quotas, and what is
    /// beyond them is not judged.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(20),
            attempt: Duration::from_secs(30),
            call: Duration::from_secs(75),
            attempts: 3,
            backoff: Duration::from_secs(1),
            pages: 500,
        }
    }
}

/// What is remembered of all calls.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(super) clock: Arc<ServerClock>,
    pub(super) attempts: Arc<Attempts>,
    limit: Duration,
}

impl Line {
    pub(super) fn new(limit: Duration) -> Self {
        Self { clock: Arc::new(ServerClock::fresh_for(FRESH)), attempts: Arc::default(), limit }
    }

    /// Sends a request by `send`, which must give the witness to it, and judges the answer.
    pub(crate) async fn ask<T, E, F>(&self, operation: &'static str, send: impl FnOnce(Witness) -> F) -> Result<(T, Element), CloudError>
    where
        E: Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let witness = Witness { operation, clock: Arc::clone(&self.clock), attempts: Arc::clone(&self.attempts), heard: Arc::default() };
        let Ok(sent) = timeout(self.limit, Box::pin(send(witness.clone()))).await else {
            self.attempts.count(operation, "timeout");
            return Err(CloudError::Unavailable(format!("nothing within {:?}", self.limit)));
        };
        judge(operation, sent, witness.take())
    }
}

/// How long an answer tells the time: longer than from one sweep to the next by default, not much longer.
const FRESH: Duration = Duration::from_secs(15 * 60);

/// What the witness saw of the last attempt.
#[derive(Debug, Default)]
enum Heard {
    /// No answer, or not all of it.
    #[default]
    Nothing,
    /// A success, whole.
    Whole(Element),
    /// AWS says why not, whole.
    Fault(Fault),
    /// An answer that cannot be used, and why.
    Broken(u16, String),
}

/// Reads the answer to each attempt of one call, counts it, and takes the time from it.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    operation: &'static str,
    clock: Arc<ServerClock>,
    attempts: Arc<Attempts>,
    heard: Arc<Mutex<Heard>>,
}

impl Witness {
    fn hear(&self, heard: Heard) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }

    fn take(&self) -> Heard {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read(&self, response: &HttpResponse) -> Heard {
        let status = response.status().as_u16();
        let Some(body) = response.body().bytes() else { return Heard::Nothing };
        match xml::parse(body) {
            Err(why) => Heard::Broken(status, why),
            // Neither may pass for the other: a fault with 200, or an answer to something else.
            Ok(answer) if status == 200 && answer.name == format!("{}Response", self.operation) => Heard::Whole(answer),
            Ok(_) if status == 200 => Heard::Broken(status, format!("it is no answer to {}", self.operation)),
            Ok(answer) => match Fault::read(status, &answer) {
                Some(fault) => Heard::Fault(fault),
                None => Heard::Broken(status, "it is not how AWS says what went wrong".to_owned()),
            },
        }
    }

    fn outcome(&self, context: &FinalizerInterceptorContextRef<'_>) -> &'static str {
        if let Some(Err(error)) = context.output_or_error()
            && (error.is_timeout_error() || error.as_connector_error().is_some_and(|error| error.is_timeout()))
        {
            return "timeout";
        }
        match &*self.heard.lock().unwrap_or_else(PoisonError::into_inner) {
            Heard::Whole(_) if context.output_or_error().is_some_and(|output| output.is_ok()) => "ok",
            Heard::Whole(_) => "cut",
            Heard::Fault(fault) => fault.outcome(self.operation),
            Heard::Broken(500.., _) | Heard::Nothing => "unavailable",
            Heard::Broken(..) => "cut",
        }
    }
}

impl Intercept for Witness {
    fn name(&self) -> &'static str {
        "clonewarden"
    }

    fn read_before_attempt(&self, _: &BeforeTransmitInterceptorContextRef<'_>, _: &RuntimeComponents, _: &mut ConfigBag) -> Result<(), BoxError> {
        // What an earlier attempt heard must not speak for this one.
        self.hear(Heard::Nothing);
        Ok(())
    }

    /// The first moment at which the body is in memory.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let heard = self.read(response);
        // Anything else may come from something between AWS and us, with a clock of its own; so may a 5xx.
        if matches!(heard, Heard::Whole(_) | Heard::Fault(Fault { status: ..500, .. }))
            && let Some(date) = response.headers().get("date")
        {
            self.clock.heard(date);
        }
        self.hear(heard);
        Ok(())
    }

    fn read_after_attempt(&self, context: &FinalizerInterceptorContextRef<'_>, _: &RuntimeComponents, _: &mut ConfigBag) -> Result<(), BoxError> {
        self.attempts.count(self.operation, self.outcome(context));
        Ok(())
    }
}

/// What the SDK says counts only together with what the witness saw.
fn judge<T, E: Error + 'static>(operation: &str, sent: Result<T, SdkError<E, HttpResponse>>, heard: Heard) -> Result<(T, Element), CloudError> {
    match (sent, heard) {
        (Ok(output), Heard::Whole(answer)) => Ok((output, answer)),
        (Err(SdkError::TimeoutError(_)), _) => Err(CloudError::Unavailable("nothing in time".to_owned())),
        (Err(_), Heard::Fault(fault)) => Err(fault.error(operation)),
        (_, Heard::Broken(status @ 500.., _)) => Err(CloudError::Unavailable(format!("HTTP {status}"))),
        (_, Heard::Broken(200, why)) => Err(CloudError::NotWhole(why)),
        (_, Heard::Broken(status, why)) => Err(CloudError::NotWhole(format!("HTTP {status}: {why}"))),
        (Err(error), Heard::Nothing) => Err(failure(&error)),
        (Ok(_), Heard::Nothing) => Err(CloudError::NotWhole("it was not checked".to_owned())),
        (Ok(_), Heard::Fault(_)) => Err(CloudError::NotWhole("it can be read in two ways".to_owned())),
        (Err(_), Heard::Whole(_)) => Err(CloudError::NotWhole("a field in it is not of its type".to_owned())),
    }
}
