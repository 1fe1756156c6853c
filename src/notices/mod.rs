//! Notifications: what the journal says is told to people, by Slack or any webhook. (Events on the objects are `act::notify`.)
//!
//! Contract: off without `--notifications`. It hears each line of the journal and returns at once: no delete, no lease and no plan waits for
//! it. What is critical makes room for itself and is tried for a day; what is lost is counted, and told of in the next message. Only the holder
//! of the lease tells. What is sent says what the journal says.

mod bag;
mod body;
pub(crate) mod config;
mod counts;
mod courier;
mod desk;
mod message;
mod notice;
mod template;
#[cfg(test)]
mod tests;
mod text;

use crate::{
    act::journal::Listener,
    daemon::lease::Fence,
    model::journal::{Cost, Line, Told, Whose},
    post::{Answer, Poster},
    rng::Rng,
};
use bag::Bag;
use config::{Config, Receiver};
use counts::Lost;
use courier::{Courier, PATIENCE, Patience};
use desk::Desk;
use jiff::Timestamp;
use message::Message;
use notice::{Notice, Severity};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::error;

/// How long a courier that is told to come to an end by a time is waited for beyond it.
const MARGIN: Duration = Duration::from_millis(250);

/// Tells people.
pub(crate) struct Notices {
    config: Config,
    couriers: BTreeMap<String, Arc<Courier>>,
    fence: Fence,
    closing: watch::Sender<Option<Instant>>,
    running: Mutex<JoinSet<()>>,
}

/// What became of the notices for one receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally<'a> {
    /// The receiver.
    pub(crate) receiver: &'a str,
    /// How many had which outcome.
    pub(crate) outcomes: [(&'static str, u64); 4],
    /// How many were lost, by how urgent they were.
    pub(crate) lost: [(&'static str, u64); 3],
    /// How many critical ones were not taken at first and are tried on.
    pub(crate) late: u64,
    /// How often what tells it has died.
    pub(crate) restarts: u64,
}

impl Notices {
    /// Starts a courier for each receiver.
    ///
    /// # Errors
    /// A receiver's certificates cannot be used.
    pub(crate) fn start(config: Config, fence: Fence) -> Result<Self, String> {
        Self::with(config, fence, PATIENCE)
    }

    fn with(config: Config, fence: Fence, patience: Patience) -> Result<Self, String> {
        let (mut couriers, mut running, (closing, until)) = (BTreeMap::new(), JoinSet::new(), watch::channel(None));
        let owners = Arc::new(config.owners.clone());
        for receiver in &config.receivers {
            let poster = Poster::new(receiver.ca.as_deref()).map_err(|error| format!("receiver `{}`: {error}", receiver.name))?;
            let receiver = Arc::new(receiver.clone());
            let to = Arc::clone(&receiver);
            let courier = Arc::new(Courier {
                owners: Arc::clone(&owners),
                deliver: Box::new(move |letter| {
                    let (poster, receiver) = (poster.clone(), Arc::clone(&to));
                    Box::pin(async move { courier::once(&poster, &receiver, &letter, patience.answer).await.0 })
                }),
                closing: until.clone(),
                patience,
                bag: Mutex::new(Bag::new(Desk::new(config.pace), Rng::new(RandomState::new().hash_one(&receiver.name)))),
                more: Notify::new(),
                receiver,
            });
            running.spawn(Arc::clone(&courier).run());
            couriers.insert(courier.receiver.name.clone(), courier);
        }
        Ok(Self { config, couriers, fence, closing, running: Mutex::new(running) })
    }

    /// What became of the notices, by receiver.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = Tally<'_>> {
        self.couriers.iter().map(|(receiver, courier)| {
            let bag = courier.bag();
            Tally { receiver, outcomes: bag.counts.outcomes(), lost: bag.counts.lost_by_severity(), late: bag.late(), restarts: bag.counts.restarts }
        })
    }

    /// Sends what waits, as one message to each, but takes no longer than that.
    pub(crate) async fn close(&self, within: Duration) {
        self.closing.send_replace(Some(Instant::now() + within));
        let mut running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(within.saturating_add(MARGIN), all).await.is_err() {
            error!("Notifications may be lost: sending the last ones did not come to an end. The journal has them.");
        }
    }
}

impl Listener for Notices {
    fn hear(&self, line: &Line) {
        // What was done is told even where the lease was lost meanwhile: nobody else will.
        if line.event != "acted" && !self.fence.holds() {
            return;
        }
        let Some(notice) = Notice::of(line).map(Arc::new) else { return };
        for courier in self.config.receivers_of(&notice).into_iter().filter_map(|name| self.couriers.get(name)) {
            courier.take(Arc::clone(&notice));
        }
    }
}

/// Sends a sample to a receiver, once, and says what came back.
///
/// # Errors
/// It was not taken, and why.
pub(crate) async fn send_sample(config: &Config, receiver: &Receiver) -> Result<String, String> {
    let poster = Poster::new(receiver.ca.as_deref())?;
    let letter = body::letter(receiver, &config.owners, &Message::of(Arc::new(sample())), &Lost::default(), None);
    if let Some(problem) = letter.problem {
        return Err(format!("its template makes nothing of it: {problem}"));
    }
    let (answer, text) = courier::once(&poster, receiver, &letter, PATIENCE.answer).await;
    let text = receiver.without_secrets(&text);
    let with_text = |said: &str| format!("{said} {}", text.trim()).trim().to_owned();
    match answer {
        Answer::Taken(status, _) => Ok(with_text(&status.to_string())),
        Answer::Later(reason, _) | Answer::Refused(reason, _) => Err(with_text(&reason)),
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
    Notice { id, severity: Severity::Info, code: "Test".to_owned(), stands: false, line }
}

/// The JSON Schema of the file, for editors.
pub(crate) fn schema() -> Value {
    schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<config::File>().to_value()
}
