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
use tracing::{debug, warn};

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
        // Only the holder of the lease tells: others see the same.
        if vitals.fence.holds() {
            tell_people(told.as_ref(), present.as_ref(), &journal, clock.now());
        }
        if vitals.fence.holds()
            && vitals.keeper.allows_writes()
            && let Some(state) = &present
            && let Some(next) = tell_approvals(state, &journal, clock.now())
            && let Err(error) = vitals.keeper.remember(cluster.as_ref(), state, &next).await
        {
            debug!(%error, "That approvals are journaled could not be remembered; they are told once more.");
        }
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

/// Writes down what people changed in the state: a pause, its end, a release.
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
}

/// Writes down who had decisions carried out, and how each ended, unless that has been told; the state that remembers that it is. An
/// approval is told whenever it is found, by whoever holds the lease then: it may have been given while nobody did.
fn tell_approvals(state: &State, journal: &Journal, now: Timestamp) -> Option<State> {
    let untold = |approval: &Approval| !approval.told || approval.ended.as_ref().is_some_and(|end| !end.told);
    if !state.approvals.iter().any(untold) {
        return None;
    }
    let mut next = state.clone();
    for approval in next.approvals.iter_mut().filter(|approval| untold(approval)) {
        if !approval.told {
            journal.noted("approved", now, json!(Approval { ended: None, ..approval.clone() }));
            approval.told = true;
        }
        if approval.ended.is_some() {
            approval.decisions.iter().for_each(|decision| journal.applied(approval, decision, now));
            // The journal has them.
            approval.decisions.clear();
        }
        if let Some(end) = &mut approval.ended {
            end.told = true;
        }
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        act::journal::tests::Said,
        model::state::{ApprovalEnd, Approved},
    };
    use std::collections::BTreeMap;

    #[test]
    fn who_approved_is_told_once_and_so_is_how_it_ended() {
        let lines = Said::default();
        let journal = Journal::to(lines.clone());
        let at = Timestamp::UNIX_EPOCH;
        let mut state = State::default();
        state.note_approval(Approval {
            id: "1".to_owned(),
            at,
            by: "anna@example.com".to_owned(),
            reason: Some("looked through".to_owned()),
            plan: at,
            policy_revision: "sha256:0".to_owned(),
            count: 1,
            decisions: vec![Approved {
                id: "0123456789abcdef".to_owned(),
                action: "delete".to_owned(),
                kind: "WordPressClone".to_owned(),
                namespace: Some("n".to_owned()),
                name: Some("c".to_owned()),
                uid: Some("u".to_owned()),
                outcome: None,
            }],
            told: false,
            ended: None,
        });
        let end = ApprovalEnd { at, outcomes: BTreeMap::from([("done".to_owned(), 1)]), told: false };
        let each = BTreeMap::from([("0123456789abcdef".to_owned(), "done".to_owned())]);
        let begun = tell_approvals(&state, &journal, at).unwrap();
        let told = lines.take();
        assert_eq!((told.len(), &told[0]["event"], &told[0]["facts"]["by"]), (1, &json!("approved"), &json!("anna@example.com")));
        assert_eq!(told[0]["facts"]["decisions"][0]["name"], "c");
        assert_eq!(tell_approvals(&begun, &journal, at), None, "once");
        let mut ended = begun;
        ended.end_approval("1", end.clone(), &each);
        let over = tell_approvals(&ended, &journal, at).unwrap();
        let told = lines.take();
        assert_eq!(
            (told.len(), &told[0]["event"], &told[0]["outcome"], &told[0]["clone"]["uid"]),
            (1, &json!("applied"), &json!("done"), &json!("u"))
        );
        assert_eq!((&told[0]["facts"]["by"], &told[0]["facts"]["reason"]), (&json!("anna@example.com"), &json!("looked through")));
        assert_eq!((tell_approvals(&over, &journal, at), over.approvals[0].decisions.len()), (None, 0));
        // Given and over while nobody held the lease: both are told.
        state.end_approval("1", end, &each);
        tell_approvals(&state, &journal, at).unwrap();
        assert_eq!(lines.take().iter().map(|line| line["event"].clone()).collect::<Vec<_>>(), ["approved", "applied"]);
    }
}
