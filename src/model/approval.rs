//! Who had decisions of a plan carried out by `clonewarden apply`: kept until the journal has it, and for a while after.
//!
//! It lives in the ConfigMap `clonewarden-approvals`, apart from the state: whoever approves must be able to write it down, and is not
//! thereby trusted to lift a pause or to release a brake.

use super::journal::Cost;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many decisions are approved at once at most: who approved each is kept until the journal has it.
pub const MOST_APPROVED: usize = 1_000;
/// How many approvals are kept. The journal has them all.
const KEPT: usize = 20;
/// How many decisions of all of them are kept until the journal has them. Each has half a kilobyte, and a ConfigMap a thousand.
const ROOM: usize = 1_500;
/// The longest reason in people's words, in bytes.
pub const LONGEST_REASON: usize = 1_000;
/// The longest name of anything, in bytes.
const LONGEST: usize = 253;

/// What people had carried out last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Approvals {
    /// Newest last.
    pub approvals: Vec<Approval>,
}

/// Decisions of a plan that a person had carried out, with that person's own rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Tells it from every other.
    pub id: String,
    /// When (UTC).
    pub at: Timestamp,
    /// By whom, as the API server calls the person.
    pub by: String,
    /// In whose words it is all right, if any were said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the plan was made that they read (UTC).
    pub plan: Timestamp,
    /// The revision of the policies that decided.
    pub policy_revision: String,
    /// How many decisions.
    pub count: usize,
    /// Which, until the journal has them; of very many approvals that wait for that, only the last are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Approved>,
    /// Whether the journal says that they were approved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// How it ended; `None`: it has not, as far as anybody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<ApprovalEnd>,
}

/// One decision of a plan that was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// Its id.
    pub id: String,
    /// What is done.
    pub action: String,
    /// What it is about: the kind.
    pub kind: String,
    /// Its namespace, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Whose clone it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The policy that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The code of the reason.
    #[serde(default)]
    pub code: String,
    /// What it costs, and what its end saves if it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// How it ended: `done`, `conflict`, …; `None`: it has not, as far as anybody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// How what was approved ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalEnd {
    /// When (UTC).
    pub at: Timestamp,
    /// How many decisions ended in each way: `done`, `conflict`, …
    pub outcomes: BTreeMap<String, usize>,
    /// Whether the journal says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

impl Approval {
    /// Whether the journal has yet to say that it was given, or how it ended.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        !self.told || self.ended.as_ref().is_some_and(|end| !end.told)
    }
}

impl Approvals {
    /// Writes down what a person is about to have carried out; whether that is new. What the journal has makes room for it, those that ended
    /// first: a process that died leaves one without an end.
    ///
    /// # Errors
    /// When there is no room: so much has to be journaled first.
    pub fn note(&mut self, approval: Approval) -> Result<bool, Full> {
        if self.approvals.iter().any(|known| known.id == approval.id) {
            return Ok(false);
        }
        while self.approvals.len() >= KEPT {
            let told = |ended: bool| self.approvals.iter().position(|known| !known.is_untold() && known.ended.is_some() == ended);
            self.approvals.remove(told(true).or_else(|| told(false)).ok_or(Full)?);
        }
        let listed: usize = self.approvals.iter().map(|known| known.decisions.len()).sum();
        if listed.saturating_add(approval.decisions.len()) > ROOM {
            return Err(Full);
        }
        self.approvals.push(approval);
        Ok(true)
    }

    /// Writes down how that ended, all in all and for each decision (by its id); whether that is new.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn end(&mut self, id: &str, end: &ApprovalEnd, outcomes: &BTreeMap<String, String>) -> Result<bool, Forgotten> {
        let approval = self.approvals.iter_mut().rev().find(|approval| approval.id == id).ok_or(Forgotten)?;
        if approval.ended.is_some() {
            return Ok(false);
        }
        for decision in &mut approval.decisions {
            decision.outcome = outcomes.get(&decision.id).cloned();
        }
        approval.ended = Some(end.clone());
        Ok(true)
    }

    /// Cuts off what `apply` would not have written: whoever may write it may write anything, and the journal repeats it.
    pub fn cut(&mut self) {
        let surplus = self.approvals.len().saturating_sub(KEPT);
        self.approvals.drain(..surplus);
        let mut room = ROOM;
        for approval in &mut self.approvals {
            approval.decisions.truncate(room);
            room = room.saturating_sub(approval.decisions.len());
            let Approval { id, by, reason, policy_revision, decisions, ended, .. } = approval;
            [id, by, policy_revision].into_iter().chain(reason).for_each(|text| cut(text, LONGEST_REASON));
            for Approved { id, action, kind, namespace, name, uid, owner, policy, code, cost, outcome } in decisions {
                let texts = [namespace, name, uid, owner, policy, outcome].into_iter().flatten();
                texts.chain([id, action, kind, code]).for_each(|text| cut(text, LONGEST));
                cost.iter_mut().for_each(|cost| cost.unpriced.clear());
            }
            if let Some(end) = ended {
                end.outcomes.retain(|outcome, _| outcome.len() < LONGEST);
                while end.outcomes.len() > KEPT {
                    end.outcomes.pop_last();
                }
            }
        }
    }

    /// Notes that the journal has what there was to tell of these, by their ids; whether that is new. What has come in between is not noted.
    pub fn told(&mut self, given: &[String], ended: &[String]) -> bool {
        let mut new = false;
        for approval in &mut self.approvals {
            if given.contains(&approval.id) && !approval.told {
                approval.told = true;
                new = true;
            }
            if let Some(end) = approval.ended.as_mut().filter(|end| !end.told && ended.contains(&approval.id)) {
                end.told = true;
                approval.decisions.clear();
                new = true;
            }
        }
        new
    }
}

/// There is no room for another approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// An approval is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten;

fn cut(text: &mut String, longest: usize) {
    text.truncate(text.floor_char_boundary(longest));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approved(id: &str) -> Approved {
        let text = |text: &str| Some(text.to_owned());
        let (id, action, kind) = (id.to_owned(), "delete".to_owned(), "WordPressClone".to_owned());
        let (owner, policy, code) = (text("ada@example.com"), text("staging"), "Expired".to_owned());
        Approved { id, action, kind, namespace: text("n"), name: text("c"), uid: text("u"), owner, policy, code, cost: None, outcome: None }
    }

    fn approval(number: usize) -> Approval {
        Approval {
            id: format!("{number:016x}"),
            at: Timestamp::UNIX_EPOCH,
            by: "anna@example.com".to_owned(),
            reason: None,
            plan: Timestamp::UNIX_EPOCH,
            policy_revision: "sha256:0".to_owned(),
            count: 100,
            decisions: vec![approved("0123456789abcdef"); 900],
            told: false,
            ended: None,
        }
    }

    fn end() -> (ApprovalEnd, BTreeMap<String, String>) {
        let end = ApprovalEnd { at: Timestamp::UNIX_EPOCH, outcomes: BTreeMap::from([("done".to_owned(), 3)]), told: false };
        (end, BTreeMap::from([("0123456789abcdef".to_owned(), "done".to_owned())]))
    }

    #[test]
    fn what_the_journal_has_makes_room_and_nothing_else_does() {
        let mut kept = Approvals::default();
        let small = |number| Approval { decisions: vec![approved("0123456789abcdef"); 3], ..approval(number) };
        let id = |number| approval(number).id;
        assert!((0..KEPT).all(|number| kept.note(small(number)) == Ok(true)));
        assert_eq!((kept.note(small(KEPT - 1)), kept.note(small(KEPT))), (Ok(false), Err(Full)), "all of them have to be journaled first");
        // Those without an end are of processes that died, or that are still at it.
        let (end, each) = end();
        assert!(kept.told(&[id(0), id(1)], &[]));
        assert_eq!(kept.end(&id(1), &end, &each), Ok(true));
        assert!(kept.told(&[], &[id(1)]));
        assert_eq!((kept.note(small(20)), kept.end(&id(1), &end, &each)), (Ok(true), Err(Forgotten)));
        assert_eq!((kept.note(small(21)), kept.end(&id(0), &end, &each)), (Ok(true), Err(Forgotten)));
        assert_eq!(kept.note(small(22)), Err(Full));
        assert_eq!((kept.end(&id(5), &end, &each), kept.end(&id(5), &end, &each)), (Ok(true), Ok(false)));
        let ended = kept.approvals.iter().find(|approval| approval.id == id(5)).unwrap();
        assert_eq!((&ended.ended, ended.decisions[0].outcome.as_deref()), (&Some(end), Some("done")));
    }

    #[test]
    fn there_is_room_for_so_many_decisions() {
        let mut kept = Approvals::default();
        assert_eq!((kept.note(approval(1)), kept.note(approval(2))), (Ok(true), Err(Full)));
        let (end, each) = end();
        kept.end(&approval(1).id, &end, &each).unwrap();
        kept.told(&[approval(1).id], &[approval(1).id]);
        assert_eq!(kept.note(approval(2)), Ok(true));
        let text = serde_json::to_string(&Approvals { approvals: vec![Approval { decisions: vec![long(); ROOM], ..approval(1) }] }).unwrap();
        assert!(text.len() < 1_000_000, "{} bytes do not fit into a ConfigMap", text.len());
    }

    /// As long as a decision gets.
    fn long() -> Approved {
        let amount = || Some(rust_decimal::Decimal::new(123_456_789, 6));
        let text = |length| Some("x".repeat(length));
        Approved {
            kind: "PersistentVolume".to_owned(),
            namespace: text(63),
            name: text(63),
            uid: text(36),
            owner: text(60),
            policy: text(20),
            code: "NamesakeLives".to_owned(),
            cost: Some(Cost { per_hour: amount(), accrued: amount(), saved: amount(), instead: Some(Timestamp::UNIX_EPOCH), unpriced: Vec::new() }),
            outcome: text(9),
            ..approved("0123456789abcdef")
        }
    }

    #[test]
    fn what_nobody_would_write_is_cut_off() {
        let mut huge = approval(1);
        huge.reason = Some("é".repeat(200_000));
        huge.decisions = vec![Approved { name: Some("n".repeat(9_000)), ..approved("1") }; 9_000];
        huge.ended = Some(ApprovalEnd { at: Timestamp::UNIX_EPOCH, outcomes: (0..999).map(|n| (n.to_string(), n)).collect(), told: false });
        let mut kept = Approvals { approvals: vec![huge; 40] };
        kept.cut();
        assert_eq!((kept.approvals.len(), kept.approvals[0].decisions.len(), kept.approvals[1].decisions.len()), (KEPT, ROOM, 0));
        assert!(serde_json::to_string(&kept).unwrap().len() < 1_000_000);
        let before = Approvals { approvals: vec![approval(1)] };
        let mut same = before.clone();
        same.cut();
        assert_eq!(same, before, "what `apply` writes stays");
    }

    #[test]
    fn what_was_told_is_noted_of_that_alone() {
        let mut kept = Approvals::default();
        let small = |number| Approval { decisions: vec![approved("0123456789abcdef")], ..approval(number) };
        kept.note(small(1)).unwrap();
        kept.note(small(2)).unwrap();
        let ids = |number: usize| vec![approval(number).id];
        assert!(kept.told(&ids(1), &ids(1)) && !kept.told(&ids(1), &ids(1)), "it has not ended yet, and is told once");
        assert_eq!(kept.approvals.iter().map(Approval::is_untold).collect::<Vec<_>>(), [false, true]);
        kept.end(&approval(1).id, &end().0, &end().1).unwrap();
        assert!(kept.approvals[0].is_untold() && kept.told(&[], &ids(1)) && !kept.approvals[0].is_untold());
        assert!(kept.approvals[0].decisions.is_empty(), "the journal has them");
    }
}
