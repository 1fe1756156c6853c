//! Notifications: what the journal says is told to people, by Slack or any webhook. (Events on the objects are `act::notify`.)
//!
//! Contract: off without `--notifications`. It hears each line of the journal and returns at once: no delete, no lease and no plan waits for
//! it, and what does not fit into a queue is counted and lost. Only the holder of the lease tells. What is sent says what the journal says.

mod body;
pub(crate) mod config;
mod courier;
mod desk;
mod notice;
mod template;
#[cfg(test)]
mod tests;

use crate::{
    act::journal::Listener,
    daemon::lease::Fence,
    model::journal::{Cost, Line, Told, Whose},
    post::{Answer, Poster},
    rng::Rng,
};
use config::{Config, Receiver};
use courier::{Counts, Courier};
use desk::{Desk, Message};
use jiff::Timestamp;
use notice::Notice;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How many notices may wait for one receiver while a message is tried.
const WAITING: usize = 1_024;

/// Tells people.
pub(crate) struct Notices {
    config: Config,
    desks: BTreeMap<String, (mpsc::Sender<Arc<Notice>>, Arc<Counts>)>,
    fence: Fence,
    closing: CancellationToken,
    couriers: Mutex<JoinSet<()>>,
}

impl Notices {
    /// Starts a courier for each receiver.
    ///
    /// # Errors
    /// A receiver's certificates cannot be used.
    pub(crate) fn start(config: Config, fence: Fence) -> Result<Self, String> {
        Self::with(config, fence, courier::PATIENCE, courier::FIRST_PAUSE)
    }

    fn with(config: Config, fence: Fence, patience: Duration, first_pause: Duration) -> Result<Self, String> {
        let (mut desks, mut couriers, closing) = (BTreeMap::new(), JoinSet::new(), CancellationToken::new());
        let owners = Arc::new(config.owners.clone());
        for receiver in &config.receivers {
            let (sender, waiting) = mpsc::channel(WAITING);
            let counts = Arc::<Counts>::default();
            let courier = Courier {
                receiver: receiver.clone(),
                owners: Arc::clone(&owners),
                poster: Poster::new(receiver.ca.as_deref()).map_err(|error| format!("receiver `{}`: {error}", receiver.name))?,
                desk: Desk::new(config.pace),
                waiting,
                counts: Arc::clone(&counts),
                closing: closing.clone(),
                rng: Rng::new(RandomState::new().hash_one(&receiver.name)),
                patience,
                first_pause,
                told_lost: 0,
                failing: false,
            };
            couriers.spawn(courier.run());
            desks.insert(receiver.name.clone(), (sender, counts));
        }
        Ok(Self { config, desks, fence, closing, couriers: Mutex::new(couriers) })
    }

    /// How many notices had which outcome, by receiver.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.desks.iter().flat_map(|(name, (_, counts))| {
            let all = [("sent", &counts.sent), ("failed", &counts.failed), ("dropped", &counts.dropped), ("repeated", &counts.repeated)];
            all.map(|(outcome, count)| (name.as_str(), outcome, count.load(Ordering::Relaxed)))
        })
    }

    /// Sends what waits, each once, but takes no longer than that.
    pub(crate) async fn close(&self, within: Duration) {
        self.closing.cancel();
        let mut couriers = std::mem::take(&mut *self.couriers.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = tokio::time::timeout(within, async { while couriers.join_next().await.is_some() {} }).await;
    }
}

impl Listener for Notices {
    fn hear(&self, line: &Line) {
        // What was done is told even where the lease was lost meanwhile: nobody else will.
        if line.event != "acted" && !self.fence.holds() {
            return;
        }
        let Some(notice) = Notice::of(line).map(Arc::new) else { return };
        for name in self.config.receivers_of(&notice) {
            if let Some((sender, counts)) = self.desks.get(name)
                && sender.try_send(Arc::clone(&notice)).is_err()
            {
                counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Sends a sample to a receiver, once, and says what came back.
///
/// # Errors
/// It was not taken, and why.
pub(crate) async fn send_sample(config: &Config, receiver: &Receiver) -> Result<String, String> {
    let poster = Poster::new(receiver.ca.as_deref())?;
    let letter = body::letter(receiver, &config.owners, &Message::One(Arc::new(sample())), 0)?;
    match courier::once(&poster, receiver, &letter, courier::PATIENCE).await {
        Answer::Taken(status, text) => Ok(format!("{status} {}", text.trim()).trim().to_owned()),
        Answer::Later(reason, _) => Err(reason),
        Answer::Refused(reason, text) => Err([reason.as_str(), text.trim()].join(" ").trim().to_owned()),
    }
}

/// An end of a clone that there never was: templates are tried on it, and `clonewarden notify test` sends it.
fn sample() -> Notice {
    let map = |value: Value| value.as_object().cloned().unwrap_or_default();
    let line = Line {
        id: Some("0123456789abcdef".to_owned()),
        action: Some("delete".to_owned()),
        effective: Some(true),
        outcome: Some("done".to_owned()),
        policy: Some("example".to_owned()),
        target: map(json!({"kind": "WordPressClone", "namespace": "example", "name": "clonewarden-notify-test", "uid": "none"})),
        reason: Some(Told {
            code: "Test".to_owned(),
            message: "this is a test by `clonewarden notify test`; nothing was deleted".to_owned(),
            facts: Map::new(),
        }),
        clone: Some(Whose { namespace: Some("example".to_owned()), owner: Some("nobody@example.com".to_owned()), ..Whose::default() }),
        cost: Some(Cost { saved: Some(Decimal::new(42, 2)), ..Cost::default() }),
        ..Line::new("acted", Timestamp::now())
    };
    let id = line.id.clone().unwrap_or_default();
    Notice { id, severity: notice::Severity::Info, code: "Test".to_owned(), stands: false, line }
}

/// The JSON Schema of the file, for editors.
pub(crate) fn schema() -> Value {
    schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<config::File>().to_value()
}
