//! What people change in the state while the daemon runs: a pause, a release. It is looked for often, acted on at once, and written down in
//! the journal.

use super::engine::Vitals;
use crate::{
    act::journal::Journal,
    model::{
        State,
        state::{Pause, Release},
    },
    ports::{Clock, Cluster},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tracing::{debug, warn};

/// How often the holder of the lease looks whether somebody paused it or released the brake.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// How often a standby looks.
const STATE_EVERY_STANDBY: Duration = Duration::from_secs(5);

/// Looks regularly whether a person paused the daemon or released a brake.
pub(super) async fn poll_state(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, vitals: Vitals, wake: Arc<Notify>, journal: Arc<Journal>) {
    let mut teller = Teller::default();
    loop {
        let changed = vitals.keeper.refresh(cluster.as_ref()).await;
        // Only the holder of the lease tells: others see the same.
        if vitals.fence.holds()
            && let Some(state) = vitals.keeper.state()
            && let Some(next) = teller.tell(&state, &journal, clock.now())
            && vitals.keeper.allows_writes()
            && let Err(error) = vitals.keeper.remember(cluster.as_ref(), &state, &next).await
        {
            debug!(%error, "That what people did is journaled could not be noted; it is tried again.");
        }
        let trouble = vitals.keeper.trouble();
        if changed {
            if let Some(error) = &trouble {
                warn!(%error, "The state is not known; nothing is written until it is.");
            }
            wake.notify_one();
        }
        if trouble.is_none() {
            vitals.beat("state", clock.now());
        }
        // In short steps: a standby that becomes the holder must not sleep on through a pause.
        let mut slept = Duration::ZERO;
        while slept < STATE_EVERY_STANDBY {
            clock.sleep(STATE_EVERY).await;
            slept = if vitals.fence.holds() { STATE_EVERY_STANDBY } else { slept.saturating_add(STATE_EVERY) };
        }
    }
}

/// Knows what this process has written down of what people did.
#[derive(Default)]
struct Teller {
    told: BTreeSet<(&'static str, Timestamp)>,
}

impl Teller {
    /// Writes down what people did, unless that has been told: whenever it is found, by whoever holds the lease then. It may have been done
    /// while nobody held it. What comes back is the state that remembers that it is told.
    fn tell(&mut self, state: &State, journal: &Journal, now: Timestamp) -> Option<State> {
        let mut next = state.clone();
        let mut say = |event, at, told: &mut bool, facts: Value| {
            if !std::mem::replace(told, true) && self.told.insert((event, at)) {
                journal.noted(event, now, facts);
            }
        };
        for pause in next.lifted.iter_mut().chain(&mut next.paused) {
            let Pause { since, reason, by, until, lifted_by, told, end_told } = pause;
            say("paused", *since, told, json!({"since": since, "reason": reason, "by": by}));
            if let Some(until) = until {
                say("resumed", *until, end_told, json!({"since": since, "until": until, "reason": reason, "pausedBy": by, "by": lifted_by}));
            }
        }
        for Release { name, reason, by, at, told } in &mut next.releases {
            say("released", *at, told, json!({"name": name, "reason": reason, "by": by, "at": at}));
        }
        (next != *state).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::journal::tests::Said;
    use jiff::SignedDuration;

    #[test]
    fn what_people_did_is_told_once_also_if_nobody_looked_meanwhile() {
        let lines = Said::default();
        let journal = Journal::to(lines.clone());
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let events = || lines.take().iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let mut state = State::default();
        let mut teller = Teller::default();
        assert_eq!(teller.tell(&state, &journal, at(0)), None);
        state.pause(Pause::new(at(1), "an outage", "bert"));
        assert!(teller.tell(&state, &journal, at(2)).is_some());
        assert_eq!(events(), ["paused"]);
        // While everything is paused nothing can be noted.
        teller.tell(&state, &journal, at(3));
        assert!(events().is_empty());
        // Lifted, and paused and lifted again, before anybody looked.
        state.resume(at(4), "anna");
        state.pause(Pause::new(at(5), "once more", "bert"));
        state.resume(at(6), "anna");
        state.note_release(Release { name: "staging".to_owned(), reason: "it is all right".to_owned(), by: String::new(), at: at(7), told: false });
        let noted = teller.tell(&state, &journal, at(8)).unwrap();
        assert_eq!(events(), ["resumed", "paused", "resumed", "released"]);
        assert_eq!(Teller::default().tell(&noted, &journal, at(9)), None, "the next holder knows");
        assert!(events().is_empty());
    }
}
