//! A watch: JSON objects `{type, object}`, one a line, in a body that goes on for minutes.
//!
//! The stream ends when the server ends it, which it does after [`LENGTH`]; going on from the last version is the caller's
//! business. After an error it ends too: whoever goes on must know that something may be missing.

use super::{
    Lean,
    answer::{chain, cut, error},
    call::{Call, Transport, collection},
    trim,
};
use crate::{
    model::Kind,
    ports::{ApiError, WatchEvent},
};
use ::kube::core::Status;
use axum::body::{Body, BodyDataStream};
use futures::{
    StreamExt, future,
    stream::{self, BoxStream},
};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the server is asked to keep a watch open.
const LENGTH: Duration = Duration::from_secs(290);
/// How long nothing at all may be heard. The server sends a bookmark about once a minute and ends the watch after [`LENGTH`];
/// a connection that is silent beyond that is dead without knowing it.
const SILENCE: Duration = Duration::from_secs(310);
/// After how long a watch that said nothing from its beginning to its end is not believed. Two bookmarks were due by then. A
/// server that was restored from a backup and never had the version that was asked for is just as silent, and without an
/// error: listing again is the only way to learn what there is.
const MUTE: Duration = Duration::from_secs(150);
/// How long one frame may be. The server takes no object over 3 MiB; JSON may make it a few times longer, never this long.
const LONGEST: usize = 32 * 1024 * 1024;

/// Watches a kind from a version on.
pub(super) fn watch(transport: Transport, kind: Kind, resource_version: &str) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
    let call = watching(Call::read("watch", kind.plural(), collection(kind)), resource_version).selected(kind);
    follow(transport, Some(kind), call, resource_version)
}

/// The same question, asked as a watch from a version on.
pub(super) fn watching(call: Call, resource_version: &str) -> Call {
    call.query("watch", "true")
        .query("allowWatchBookmarks", "true")
        .query("timeoutSeconds", &LENGTH.as_secs().to_string())
        .query("resourceVersion", resource_version)
}

/// Watches what `call` names from a version on; of a kind that is one of ours, what is kept of its objects.
pub(super) fn follow(
    transport: Transport,
    kind: Option<Kind>,
    mut call: Call,
    resource_version: &str,
) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
    // Without a version the server would begin with whatever it has, and say nothing of what is gone by then.
    if matches!(resource_version, "" | "0") {
        return stream::once(future::ready(Err(ApiError::Expired))).boxed();
    }
    let resource = call.resource;
    if kind.is_some_and(Kind::metadata_only) {
        call = call.metadata("PartialObjectMetadata");
    }
    let start = State::Asking(Box::new(call));
    let steps = move |state| {
        let transport = transport.clone();
        async move { step(&transport, resource, kind, state).await }
    };
    stream::unfold(start, steps).boxed()
}

enum State {
    Asking(Box<Call>),
    Reading(Box<Reader>),
    Done,
}

async fn step(transport: &Transport, resource: &'static str, kind: Option<Kind>, state: State) -> Option<(Result<WatchEvent, ApiError>, State)> {
    let mut reader = match state {
        State::Done => return None,
        State::Reading(reader) => reader,
        State::Asking(call) => match transport.open(*call).await {
            Ok(body) => {
                let body = Body::new(body).into_data_stream();
                Box::new(Reader { body, frames: Frames::default(), mute_since: Some(Instant::now()) })
            }
            Err(error) => return Some((Err(error), State::Done)),
        },
    };
    match reader.next(kind).await.transpose()? {
        Ok(event) => Some((Ok(event), State::Reading(reader))),
        Err(error) => {
            transport.requests.count("watch", resource, Some(&error));
            Some((Err(error), State::Done))
        }
    }
}

struct Reader {
    body: BodyDataStream,
    frames: Frames,
    /// When the watch began, as long as it has said nothing at all.
    mute_since: Option<Instant>,
}

impl Reader {
    /// The next event; `None` where the server ended the watch between two of them.
    async fn next(&mut self, kind: Option<Kind>) -> Result<Option<WatchEvent>, ApiError> {
        loop {
            while let Some(frame) = self.frames.next() {
                if !frame.trim_ascii().is_empty() {
                    self.mute_since = None;
                    return event(kind, &frame).map(Some);
                }
            }
            if self.frames.pending() > LONGEST {
                return Err(broken("a frame without end"));
            }
            let chunk = timeout(SILENCE, self.body.next()).await;
            match chunk.map_err(|_| broken(&format!("nothing for {SILENCE:?}")))? {
                Some(Ok(chunk)) => self.frames.push(&chunk),
                Some(Err(error)) => return Err(broken(&chain(&error))),
                None if self.frames.pending() > 0 => return Err(broken("ended within a frame")),
                None if self.mute_since.is_some_and(|since| since.elapsed() > MUTE) => return Err(ApiError::Expired),
                None => return Ok(None),
            }
        }
    }
}

/// Cuts a body into lines, wherever its chunks are cut.
#[derive(Default)]
struct Frames {
    buffer: Vec<u8>,
    /// Up to here there is no end of a line: a long frame is not searched again with every chunk.
    searched: usize,
}

impl Frames {
    fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let found = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
        let Some(found) = found else {
            self.searched = self.buffer.len();
            return None;
        };
        let rest = self.buffer.split_off(self.searched + found + 1);
        self.searched = 0;
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    fn pending(&self) -> usize {
        self.buffer.len()
    }
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    event: String,
    object: Lean,
}

fn event(kind: Option<Kind>, frame: &[u8]) -> Result<WatchEvent, ApiError> {
    // The parser's words may quote the object: they are not passed on.
    let Frame { event, object: Lean(object) } = serde_json::from_slice(frame).map_err(|_| broken("a frame that cannot be read"))?;
    let kept = |object| match kind {
        Some(kind) => trim(kind, object),
        None => object,
    };
    match event.as_str() {
        "ADDED" | "MODIFIED" => Ok(WatchEvent::Applied(kept(object))),
        "DELETED" => Ok(WatchEvent::Deleted(kept(object))),
        "BOOKMARK" => match object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
            Some(version) if !version.is_empty() => Ok(WatchEvent::Bookmark(version.to_owned())),
            _ => Err(broken("a bookmark without a resourceVersion")),
        },
        "ERROR" => {
            let status = serde_json::from_value::<Status>(object).map_err(|_| broken("an error that cannot be read"))?;
            Err(error(status.code, cut(&status.message)))
        }
        _ => Err(broken("an event of an unknown type")),
    }
}

fn broken(what: &str) -> ApiError {
    ApiError::Unavailable(format!("watch: {what}"))
}

#[cfg(test)]
mod tests;
