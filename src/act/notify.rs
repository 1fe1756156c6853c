//! Events on the objects, through a bounded queue that never stands before a delete.

use super::executor::pin;
use crate::{
    daemon::lease::Fence,
    model::Kind,
    plan::{Action, Decision, Reason, Target, credentials::Lack},
    policy::Revision,
    ports::{Clock, Cluster, EventType, Note},
};
use jiff::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// How many Events may wait. In a storm the rest are dropped and counted: the journal has every one of them.
const WAITING: usize = 512;
/// The pause between two Events, so that a storm of them takes no more than a small part of the API server.
const PAUSE: Duration = Duration::from_millis(40);

/// The queue's end at which Events are put in.
#[derive(Clone)]
pub struct Notes {
    queue: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
}

impl Notes {
    /// A queue, and the task that empties it; the task ends when the last sender is dropped. `dropped` counts what did not fit.
    #[must_use]
    pub fn start(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, fence: Fence, dropped: Arc<AtomicU64>) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let task = tokio::spawn(drain(cluster, clock, fence, waiting));
        (Self { queue, dropped }, task)
    }

    /// Puts an Event about a decision into the queue, if the decision is one that people should see on the object.
    pub fn send(&self, decision: &Decision, revision: &Revision, at: Timestamp) {
        if let Some(note) = note(decision, revision, at)
            && self.queue.try_send(note).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn drain(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, fence: Fence, mut waiting: mpsc::Receiver<Note>) {
    while let Some(note) = waiting.recv().await {
        // Who has lost the lease writes nothing any more, Events neither; the journal has them.
        if !fence.holds() {
            continue;
        }
        if let Err(error) = cluster.note(&note).await {
            debug!(%error, event = %note.name, "An Event could not be written.");
            if matches!(error, crate::ports::ApiError::Forbidden(_)) {
                warn!(%error, "Events cannot be written; grant `create` on `events`.");
            }
        }
        clock.sleep(PAUSE).await;
    }
}

/// The Event for a decision. That a new clone's own end is announced is no news; everything that changes a life is.
fn note(decision: &Decision, revision: &Revision, at: Timestamp) -> Option<Note> {
    let event_type = match (decision.action, &decision.reason) {
        // Nor is it that it gets its Secret.
        (Action::Keep, _) | (_, Reason::Announced(_, _, None)) | (_, Reason::Credentials(Lack::Secret)) => return None,
        (Action::Warn, Reason::Announced(..)) | (Action::Unmark, _) => EventType::Normal,
        (Action::Delete, _) if decision.blocked_by.is_none() => EventType::Normal,
        _ => EventType::Warning,
    };
    let about = match &decision.target {
        Target::Clone(clone) | Target::Secret(clone) => pin(Kind::Clone, &clone.meta),
        Target::Child(child) => pin(child.kind, &child.meta),
        Target::Orphan(orphan) => pin(Kind::Orphan, &orphan.meta),
        Target::Quota(quota) => pin(quota.kind, &quota.meta),
        Target::Cloud(_) | Target::Schema(_) => super::orphans::about(decision)?,
        _ => return None,
    };
    let blocked = decision.blocked_by.map(|by| format!(" (not done: {})", by.word())).unwrap_or_default();
    let name: String = about.name.chars().take(200).collect();
    Some(Note {
        name: format!("{name}.{}", decision.id()),
        about,
        event_type,
        reason: decision.reason.code().to_owned(),
        action: decision.action.word().to_owned(),
        message: format!("{}{blocked}", decision.reason.message(at)),
        revision: revision.clone(),
        at,
    })
}
