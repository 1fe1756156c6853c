//! One watch on one kind: the changes of the world in their order, with what goes wrong on the way.

use super::{
    cluster::{Inner, selected, trimmed},
    faults::{Call, EventFate, Fate},
    world::Change,
};
use crate::{
    model::Kind,
    ports::{ApiError, WatchEvent},
};
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};

/// How often a watch that has nothing to tell says that it is alive.
const BOOKMARK: Duration = Duration::from_secs(60);

/// A watch on its way through the log.
struct Watch {
    inner: Arc<Inner>,
    kind: Kind,
    /// The version up to which it has told everything, or lost it.
    cursor: u64,
    /// Wakes when something happens to the kind.
    wake: Arc<Notify>,
    started: bool,
    ended: bool,
    bookmark: Instant,
    /// It has lost an event, and will be told 410 then.
    doomed: Option<Instant>,
}

/// What the log has for a watch.
enum Look {
    /// The kind is not served any more.
    Closed,
    /// The log does not reach back to where the watch is.
    Expired,
    /// This happened next.
    Event(u64, WatchEvent),
    /// Nothing new.
    Nothing,
}

type Item = Result<WatchEvent, ApiError>;

pub(super) fn stream(inner: Arc<Inner>, kind: Kind, resource_version: &str) -> BoxStream<'static, Item> {
    let cursor = resource_version.parse().unwrap_or_default();
    let bookmark = due(&inner, BOOKMARK);
    let wake = inner.world().wake(kind);
    let watch = Watch { inner, kind, cursor, wake, started: false, ended: false, bookmark, doomed: None };
    stream::unfold(watch, Watch::next).fuse().boxed()
}

fn due(inner: &Inner, time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(inner.truth.real(time)).unwrap_or(now)
}

impl Watch {
    async fn next(mut self) -> Option<(Item, Self)> {
        if self.ended {
            return None;
        }
        if !self.started {
            self.started = true;
            if let Err(error) = self.open().await {
                return Some(self.end(error));
            }
        }
        let (inner, wake) = (Arc::clone(&self.inner), Arc::clone(&self.wake));
        loop {
            // Both exist before the look, so that nothing that happens after it is missed.
            let (happened, turned) = (wake.notified(), inner.turned.notified());
            if self.inner.faults().crashed() {
                std::future::pending::<()>().await;
            }
            if self.doomed.is_some_and(|doom| doom <= Instant::now() || self.inner.faults().quiet()) {
                return Some(self.end(ApiError::Expired));
            }
            match self.look() {
                Look::Closed => return None,
                Look::Expired => return Some(self.end(ApiError::Expired)),
                Look::Event(version, event) => {
                    let fate = self.inner.faults().event();
                    match fate {
                        EventFate::Closed => return None,
                        EventFate::Gone => return Some(self.end(ApiError::Expired)),
                        EventFate::Lost(doom) => {
                            self.cursor = version;
                            self.inner.hears(self.kind, false);
                            self.doomed.get_or_insert(due(&self.inner, doom));
                            continue;
                        }
                        EventFate::Late(time) => self.inner.wait(time).await,
                        EventFate::Delivered => {}
                    }
                    self.cursor = version;
                    self.bookmark = due(&self.inner, BOOKMARK);
                    return Some((Ok(event), self));
                }
                Look::Nothing => {
                    let until = self.doomed.map_or(self.bookmark, |doom| doom.min(self.bookmark));
                    tokio::select! {
                        biased;
                        () = happened => {}
                        () = turned => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                    if self.bookmark <= Instant::now() {
                        let closes = self.inner.faults().closes_idle_watch();
                        if closes {
                            return None;
                        }
                        self.bookmark = due(&self.inner, BOOKMARK);
                        let version = self.inner.world().version().to_string();
                        return Some((Ok(WatchEvent::Bookmark(version)), self));
                    }
                }
            }
        }
    }

    /// The request that starts the watch.
    async fn open(&self) -> Result<(), ApiError> {
        let fate = self.inner.faults().fate(Call::Watch);
        match fate {
            Fate::Refused(error) => return self.inner.answer(Err(error)),
            Fate::LostRequest(patience) | Fate::LostAnswer(patience) | Fate::Straggler(patience, _) => {
                self.inner.wait(patience).await;
                return Err(ApiError::Unavailable("operation timed out".to_owned()));
            }
            Fate::Crash(_) => std::future::pending().await,
            Fate::Slow(before, after) => self.inner.wait(before.saturating_add(after)).await,
            Fate::Through => {}
        }
        let served = self.inner.world().served(self.kind);
        self.inner.answer(if served { Ok(()) } else { Err(ApiError::NotFound) })
    }

    fn end(mut self, error: ApiError) -> (Item, Self) {
        self.ended = true;
        (Err(error), self)
    }

    fn look(&mut self) -> Look {
        let mut world = self.inner.world();
        let Ok(shelf) = world.shelf(self.kind) else { return Look::Closed };
        if self.cursor < shelf.compacted {
            return Look::Expired;
        }
        let first = shelf.log.partition_point(|change| change.version <= self.cursor);
        for change in shelf.log.iter().skip(first) {
            if let Some(event) = told(self.kind, change) {
                return Look::Event(change.version, event);
            }
            self.cursor = change.version;
        }
        Look::Nothing
    }
}

/// What a watch with the kind's selectors says about a change. An object that leaves the selection is gone for it.
fn told(kind: Kind, change: &Change) -> Option<WatchEvent> {
    let selected = |object: &Value| selected(kind, object);
    let was = change.before.as_deref().is_some_and(selected);
    if change.gone {
        return was.then(|| WatchEvent::Deleted(trimmed(kind, &change.after)));
    }
    if selected(&change.after) {
        return Some(WatchEvent::Applied(trimmed(kind, &change.after)));
    }
    was.then(|| WatchEvent::Deleted(trimmed(kind, &change.after)))
}
