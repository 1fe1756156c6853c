//! Keeps the [`Store`] like the API server: one task a kind, list then watch, for ever.
//!
//! Contract: an error of one kind never touches another. A watch that ends is taken up again where it ended; one that breaks is
//! listed anew, with a pause that grows. A kind that is not served (its CRD is not there yet, or gone) is asked for again. What
//! was known stays known meanwhile, marked incomplete: missing is not empty.

use super::store::{Store, Trimmed};
use crate::{
    model::{Evidence, Kind},
    ports::{ApiError, Clock, Cluster, WatchEvent},
};
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::{debug, info, warn};

/// The first pause after an error; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause after errors, and between questions for a kind that is not served.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Every kind is listed anew this often even if nothing seems wrong: an event that was lost is then found.
const RELIST: Duration = Duration::from_secs(3_600);

/// The tasks that keep the store filled; they end when this is dropped.
pub struct Mirror {
    tasks: JoinSet<()>,
}

impl Mirror {
    /// Starts to mirror every kind, and wakes `wake` whenever something has changed.
    #[must_use]
    pub fn start(cluster: &Arc<dyn Cluster>, clock: &Arc<dyn Clock>, store: &Arc<Store>, wake: &Arc<Notify>) -> Self {
        let mut tasks = JoinSet::new();
        for kind in Kind::ALL {
            let one = OneKind { kind, cluster: Arc::clone(cluster), clock: Arc::clone(clock), store: Arc::clone(store), wake: Arc::clone(wake) };
            tasks.spawn(one.run());
        }
        Self { tasks }
    }

    /// Waits until a task ends, which only a panic can make it do.
    pub async fn ended(&mut self) {
        let _ = self.tasks.join_next().await;
    }
}

struct OneKind {
    kind: Kind,
    cluster: Arc<dyn Cluster>,
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
    wake: Arc<Notify>,
}

impl OneKind {
    async fn run(self) {
        let mut pause = FIRST_PAUSE;
        let mut relists = self.store.relists();
        loop {
            // Noted before the list begins: it answers every question that was asked until now.
            let question = *relists.borrow_and_update();
            match self.list(question != 0).await {
                Ok(version) => {
                    pause = FIRST_PAUSE;
                    if self.kind == Kind::Clone {
                        self.store.relisted(question);
                    }
                    self.wake.notify_one();
                    if let Err(error) = self.follow(version, &mut relists).await {
                        self.incomplete(&error);
                    } else {
                        continue;
                    }
                }
                Err(error) => self.incomplete(&error),
            }
            tokio::select! {
                biased;
                () = self.clock.sleep(pause) => {}
                // Somebody waits for this list.
                _ = relists.changed(), if self.kind == Kind::Clone => {}
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    fn incomplete(&self, error: &ApiError) {
        let now = self.clock.now();
        if *error == ApiError::NotFound {
            if !self.kind.optional() {
                warn!(kind = %self.kind, "The API server does not serve a kind that it must serve.");
            }
            debug!(kind = %self.kind, "The API server does not serve this kind.");
            self.store.assess(self.kind, Evidence::absent(now));
        } else {
            // The list comes anew right away; only if that fails too has something been lost for long.
            info!(kind = %self.kind, %error, "The watch broke or the list failed; it is listed anew.");
            self.store.assess(self.kind, Evidence::incomplete(now, error.to_string()));
        }
        self.wake.notify_one();
    }

    /// Lists every page, then swaps the whole list in. Whoever promises places needs a list that is no older than the question.
    async fn list(&self, quorum: bool) -> Result<String, ApiError> {
        let mut objects = Vec::new();
        let mut next = None;
        loop {
            let page = self.cluster.list(self.kind, next, quorum).await?;
            // Trimmed page by page: the whole list as it was sent is many times the size of what is kept.
            objects.extend(page.items.iter().map(|object| Trimmed::read(self.kind, object)));
            next = page.next;
            if next.is_none() {
                self.store.replace(self.kind, objects, self.clock.now());
                return Ok(page.resource_version);
            }
        }
    }

    /// Follows the watch until it is time to list anew. A stream that the server ends is taken up where it ended.
    async fn follow(&self, mut version: String, relists: &mut watch::Receiver<u64>) -> Result<(), ApiError> {
        let relist = Instant::now() + RELIST;
        while Instant::now() < relist {
            let begun = Instant::now();
            let mut events = self.cluster.watch(self.kind, version.clone());
            loop {
                let event = tokio::select! {
                    biased;
                    // Only of the clones does anybody ask that; the sender is the store, which we hold.
                    _ = relists.changed(), if self.kind == Kind::Clone => return Ok(()),
                    event = tokio::time::timeout_at(relist, events.next()) => match event {
                        Err(_) => return Ok(()),
                        Ok(None) => break,
                        Ok(Some(event)) => event?,
                    },
                };
                let now = self.clock.now();
                match event {
                    WatchEvent::Applied(object) => {
                        self.store.apply(self.kind, &object);
                        version = newer(&object, version);
                        self.wake.notify_one();
                    }
                    WatchEvent::Deleted(object) => {
                        self.store.remove(self.kind, &object, now);
                        version = newer(&object, version);
                        self.wake.notify_one();
                    }
                    WatchEvent::Bookmark(at) => version = at,
                }
                self.store.heard(self.kind, now);
            }
            // A server that ends every watch at once must not be asked in a circle.
            if begun.elapsed() < FIRST_PAUSE {
                self.clock.sleep(FIRST_PAUSE).await;
            }
        }
        Ok(())
    }
}

fn newer(object: &serde_json::Value, version: String) -> String {
    object.pointer("/metadata/resourceVersion").and_then(serde_json::Value::as_str).map_or(version, str::to_owned)
}
