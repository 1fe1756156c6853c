//! What people change in the state while the daemon runs: a pause, a release, what they had carried out. It is looked for often,
//! acted on at once, and written down in the journal.

use super::engine::Vitals;
use crate::{
    act::journal::Journal,
    model::{State, state::Approval},
    ports::{Clock, Cluster},
};
use jiff::Timestamp;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;
use tracing::warn;

/// How often the holder of the lease looks whether somebody paused it or released the brake.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// How often a standby looks.
const STATE_EVERY_STANDBY: Duration = Duration::from_secs(5);

/// Looks regularly whether a person paused the daemon or released a brake.
pub(super) async fn poll_state(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, vitals: Vitals, wake: Arc<Notify>, journal: Arc<Journal>) {
    // Others read the state too, and what they have found first is to be told all the same.
    let mut told = vitals.keeper.state();
    loop {
        let changed = vitals.keeper.refresh(cluster.as_ref()).await;
        let present = vitals.keeper.state();
        tell_people(told.as_ref(), present.as_ref(), &journal, clock.now());
        told = present.or(told);
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

/// Writes down what people changed in the state: a pause, its end, a release, what they had carried out.
fn tell_people(before: Option<&State>, after: Option<&State>, journal: &Journal, now: Timestamp) {
    let (Some(before), Some(after)) = (before, after) else { return };
    match (&before.paused, &after.paused) {
        (None, Some(pause)) => journal.noted("paused", now, json!(pause)),
        (Some(pause), None) => journal.noted("resumed", now, json!(pause)),
        _ => {}
    }
    for release in after.releases.iter().filter(|release| !before.releases.contains(release)) {
        journal.noted("released", now, json!(release));
    }
    for approval in &after.approvals {
        let known = before.approvals.iter().find(|known| known.id == approval.id);
        if known.is_none() {
            journal.noted("approved", now, json!(Approval { ended: None, ..approval.clone() }));
        }
        if let (Some(end), None) = (&approval.ended, known.and_then(|known| known.ended.as_ref())) {
            journal.noted("applied", now, json!({"id": approval.id, "by": approval.by, "at": end.at, "outcomes": end.outcomes}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::ApprovalEnd;
    use serde_json::Value;
    use std::{collections::BTreeMap, io::Write, sync::Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> Vec<(String, Value)> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let lines = String::from_utf8(bytes).unwrap();
            lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .map(|line| (line["event"].as_str().unwrap().to_owned(), line["facts"].clone()))
                .collect()
        }
    }

    #[test]
    fn who_approved_is_told_once_and_so_is_how_it_ended() {
        let lines = Lines::default();
        let journal = Journal::to(lines.clone());
        let at = Timestamp::UNIX_EPOCH;
        let tell = |before: &State, after: &State| {
            tell_people(Some(before), Some(after), &journal, at);
            lines.take()
        };
        let none = State::default();
        let mut begun = State::default();
        begun.note_approval(Approval {
            id: "1".to_owned(),
            at,
            by: "anna@example.com".to_owned(),
            reason: Some("looked through".to_owned()),
            plan: at,
            policy_revision: "sha256:0".to_owned(),
            count: 1,
            decisions: vec!["0123456789abcdef".to_owned()],
            ended: None,
        });
        let mut ended = begun.clone();
        ended.end_approval("1", ApprovalEnd { at, outcomes: BTreeMap::from([("done".to_owned(), 1)]) });
        let told = tell(&none, &begun);
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].0.as_str(), &told[0].1["by"], &told[0].1["decisions"][0]),
            ("approved", &json!("anna@example.com"), &json!("0123456789abcdef"))
        );
        let told = tell(&begun, &ended);
        assert_eq!(told, [("applied".to_owned(), json!({"id": "1", "by": "anna@example.com", "at": at, "outcomes": {"done": 1}}))]);
        let events: Vec<String> = tell(&none, &ended).into_iter().map(|(event, _)| event).collect();
        assert_eq!(events, ["approved", "applied"], "both between two looks");
        assert_eq!(tell(&ended, &ended), []);
    }
}
