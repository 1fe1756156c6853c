//! What people had carried out by `clonewarden apply` is written down in the journal, once by whoever holds the lease.

use super::engine::Vitals;
use crate::{
    act::{
        approvals::{self, ApprovalsError},
        journal::Journal,
    },
    model::approval::{Approval, Approvals, Full},
    ports::{Clock, Cluster},
};
use jiff::Timestamp;
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tracing::warn;

/// How often the holder of the lease looks. Nobody waits for it.
const EVERY: Duration = Duration::from_secs(5);
/// How soon it begins to, once it holds the lease: until the ConfigMap is there nobody can have anything carried out.
const SOON: Duration = Duration::from_secs(1);

/// Looks regularly what people had carried out, and tells it.
pub(super) async fn tell_approvals(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, vitals: Vitals, journal: Arc<Journal>) {
    let (mut teller, mut trouble) = (Teller::default(), None);
    loop {
        // A standby has nothing to tell, and has not looked.
        let holds = vitals.fence.holds();
        let looked = if holds { look(cluster.as_ref(), &vitals, &mut teller, &journal, clock.now()).await } else { Ok(()) };
        match &looked {
            Ok(()) if holds => vitals.beat("approvals", clock.now()),
            Err(error) if trouble.as_ref() != Some(error) => {
                warn!(%error, "What people had carried out by `apply` cannot be journaled, and nobody can have anything carried out until it can.");
            }
            Ok(()) | Err(_) => {}
        }
        trouble = looked.err();
        clock.sleep(if holds { EVERY } else { SOON }).await;
    }
}

async fn look(cluster: &dyn Cluster, vitals: &Vitals, teller: &mut Teller, journal: &Journal, now: Timestamp) -> Result<(), ApprovalsError> {
    let known = approvals::load(cluster).await?;
    if !vitals.fence.holds() {
        return Ok(());
    }
    if let Some(known) = &known {
        teller.tell(known, journal, now);
    }
    // A pause stops this write, too; what is told is known here meanwhile.
    if !vitals.keeper.allows_writes() {
        return Ok(());
    }
    match known {
        None => approvals::make(cluster).await,
        Some(known) if known.approvals.iter().any(Approval::is_untold) => teller.note(cluster).await,
        Some(_) => Ok(()),
    }
}

/// Knows which approvals this process has told.
#[derive(Default)]
struct Teller {
    given: BTreeSet<String>,
    ended: BTreeSet<String>,
}

impl Teller {
    /// Writes down who had decisions carried out, and how each ended, unless that has been told. An approval is told whenever it is found:
    /// it may have been given while nobody held the lease.
    fn tell(&mut self, known: &Approvals, journal: &Journal, now: Timestamp) {
        // Of what is kept no longer nothing is to be told.
        let kept = |id: &String| known.approvals.iter().any(|approval| approval.id == *id);
        self.given.retain(kept);
        self.ended.retain(kept);
        for approval in known.approvals.iter().filter(|approval| approval.is_untold()) {
            if !approval.told && self.given.insert(approval.id.clone()) {
                journal.noted("approved", now, json!(Approval { ended: None, ..approval.clone() }));
            }
            if approval.ended.as_ref().is_some_and(|end| !end.told) && self.ended.insert(approval.id.clone()) {
                approval.decisions.iter().for_each(|decision| journal.applied(approval, decision, now));
            }
        }
    }

    async fn note(&self, cluster: &dyn Cluster) -> Result<(), ApprovalsError> {
        let (given, ended): (Vec<_>, Vec<_>) = (self.given.iter().cloned().collect(), self.ended.iter().cloned().collect());
        approvals::change(cluster, |known| Ok::<_, Full>(known.told(&given, &ended))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        act::{journal::tests::Said, state},
        model::{
            State,
            approval::{ApprovalEnd, Approved},
            state::Pause,
        },
        sandbox::{clock::SandboxClock, cluster::SandboxCluster, world::World},
    };
    use std::{collections::BTreeMap, sync::Mutex};

    const DECISION: &str = "0123456789abcdef";

    fn approval(id: &str) -> Approval {
        let at = Timestamp::UNIX_EPOCH;
        let text = |text: &str| Some(text.to_owned());
        Approval {
            id: id.to_owned(),
            at,
            by: "anna@example.com".to_owned(),
            reason: text("looked through"),
            plan: at,
            policy_revision: "sha256:0".to_owned(),
            count: 1,
            decisions: vec![Approved {
                id: DECISION.to_owned(),
                action: "delete".to_owned(),
                kind: "WordPressClone".to_owned(),
                namespace: text("n"),
                name: text("c"),
                uid: text("u"),
                owner: text("ada@example.com"),
                policy: text("staging"),
                code: "Expired".to_owned(),
                cost: None,
                outcome: None,
            }],
            told: false,
            ended: None,
        }
    }

    fn end(known: &mut Approvals, id: &str) {
        let outcomes = BTreeMap::from([("done".to_owned(), 1)]);
        let end = ApprovalEnd { at: Timestamp::UNIX_EPOCH, outcomes, told: false };
        known.end(id, &end, &BTreeMap::from([(DECISION.to_owned(), "done".to_owned())])).unwrap();
    }

    /// The ConfigMap is made by the holder alone, and not while everything is paused; what is told is noted as soon as that is over.
    #[tokio::test(start_paused = true)]
    async fn the_holder_makes_the_config_map_and_notes_what_it_told() {
        let begin = "2026-02-05T14:30:22Z".parse().unwrap();
        let clock = SandboxClock::new(begin);
        let cluster = SandboxCluster::new(Arc::new(Mutex::new(World::new(1, begin))), "daemon", clock.clone(), 1);
        let lines = Said::default();
        let journal = Journal::to(lines.clone());
        let vitals = Vitals::acting();
        let mut teller = Teller::default();
        let mut state = State::default();
        state.pause(Pause::new(begin, "an outage", "bert"));
        let paused = state::save(&cluster, &state, None).await.unwrap();
        vitals.keeper.refresh(&cluster).await;
        look(&cluster, &vitals, &mut teller, &journal, begin).await.unwrap();
        assert_eq!(approvals::load(&cluster).await.unwrap(), None, "paused");
        state.resume(begin, "bert");
        let resumed = state::save(&cluster, &state, paused.version.as_deref()).await.unwrap();
        vitals.keeper.refresh(&cluster).await;
        look(&cluster, &vitals, &mut teller, &journal, begin).await.unwrap();
        approvals::change(&cluster, |known| known.note(approval("1"))).await.unwrap();
        state.pause(Pause::new(begin, "once more", "bert"));
        let paused = state::save(&cluster, &state, resumed.version.as_deref()).await.unwrap();
        vitals.keeper.refresh(&cluster).await;
        look(&cluster, &vitals, &mut teller, &journal, begin).await.unwrap();
        look(&cluster, &vitals, &mut teller, &journal, begin).await.unwrap();
        assert_eq!(lines.take().len(), 1, "told once, though it cannot be noted");
        assert!(approvals::load(&cluster).await.unwrap().unwrap().approvals[0].is_untold());
        state.resume(begin, "bert");
        state::save(&cluster, &state, paused.version.as_deref()).await.unwrap();
        vitals.keeper.refresh(&cluster).await;
        look(&cluster, &vitals, &mut teller, &journal, begin).await.unwrap();
        assert!(!approvals::load(&cluster).await.unwrap().unwrap().approvals[0].is_untold());
        // Whoever has lost the lease tells nothing and writes nothing.
        approvals::change(&cluster, |known| known.note(approval("2"))).await.unwrap();
        vitals.fence.close();
        look(&cluster, &vitals, &mut teller, &journal, begin).await.unwrap();
        assert!(lines.take().is_empty());
    }

    #[test]
    fn who_approved_is_told_once_and_so_is_how_it_ended() {
        let lines = Said::default();
        let journal = Journal::to(lines.clone());
        let at = Timestamp::UNIX_EPOCH;
        let (mut known, mut teller) = (Approvals::default(), Teller::default());
        known.note(approval("1")).unwrap();
        teller.tell(&known, &journal, at);
        let told = lines.take();
        assert_eq!((told.len(), &told[0]["event"], &told[0]["facts"]["by"]), (1, &json!("approved"), &json!("anna@example.com")));
        assert_eq!(told[0]["facts"]["decisions"][0]["name"], "c");
        // Though nobody could note it.
        teller.tell(&known, &journal, at);
        assert!(lines.take().is_empty(), "once");
        end(&mut known, "1");
        teller.tell(&known, &journal, at);
        let told = lines.take();
        assert_eq!(
            (told.len(), &told[0]["event"], &told[0]["outcome"], &told[0]["clone"]["uid"]),
            (1, &json!("applied"), &json!("done"), &json!("u"))
        );
        assert_eq!((&told[0]["facts"]["by"], &told[0]["facts"]["reason"]), (&json!("anna@example.com"), &json!("looked through")));
        // The next holder knows what was noted, and tells what was not: given and over while nobody held the lease.
        assert!(known.told(&["1".to_owned()], &["1".to_owned()]));
        known.note(approval("2")).unwrap();
        end(&mut known, "2");
        Teller::default().tell(&known, &journal, at);
        assert_eq!(lines.take().iter().map(|line| line["event"].clone()).collect::<Vec<_>>(), ["approved", "applied"]);
    }
}
