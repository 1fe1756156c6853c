//! Who had decisions of a plan carried out by `clonewarden apply`: kept until the journal has it, and for a while after.
//!
//! It lives in the ConfigMap `clonewarden-approvals`, apart from the state: whoever approves must be able to write it down, and is not
//! thereby trusted to lift a pause or to release a brake.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many decisions are approved at once at most: who approved each is kept until the journal has it.
pub const MOST_APPROVED: usize = 1_000;
/// How many approvals are kept. The journal has them all.
const KEPT: usize = 20;

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
    /// Writes down what a person is about to have carried out; whether that is new.
    pub fn note(&mut self, approval: Approval) -> bool {
        if self.approvals.iter().any(|known| known.id == approval.id) {
            return false;
        }
        let surplus = self.approvals.len().saturating_sub(KEPT.saturating_sub(1));
        self.approvals.drain(..surplus);
        self.approvals.push(approval);
        // All of them have to fit into a ConfigMap.
        let mut room = 2 * MOST_APPROVED;
        for approval in self.approvals.iter_mut().rev() {
            match room.checked_sub(approval.decisions.len()) {
                Some(left) => room = left,
                None => approval.decisions.clear(),
            }
        }
        true
    }

    /// Writes down how that ended, all in all and for each decision (by its id); whether that is new.
    pub fn end(&mut self, id: &str, end: &ApprovalEnd, outcomes: &BTreeMap<String, String>) -> bool {
        let open = |approval: &&mut Approval| approval.id == id && approval.ended.is_none();
        let Some(approval) = self.approvals.iter_mut().rev().find(open) else { return false };
        for decision in &mut approval.decisions {
            decision.outcome = outcomes.get(&decision.id).cloned();
        }
        approval.ended = Some(end.clone());
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    fn approved(id: &str) -> Approved {
        let text = |text: &str| Some(text.to_owned());
        let (id, action, kind) = (id.to_owned(), "delete".to_owned(), "WordPressClone".to_owned());
        Approved { id, action, kind, namespace: text("n"), name: text("c"), uid: text("u"), outcome: None }
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

    #[test]
    fn the_last_ones_are_kept_and_what_they_list_is_bounded() {
        let mut kept = Approvals::default();
        assert!((0..25).all(|number| kept.note(approval(number))) && !kept.note(approval(24)));
        assert_eq!((kept.approvals.len(), kept.approvals[0].id.as_str()), (20, "0000000000000005"));
        let listed: Vec<usize> = kept.approvals.iter().map(|approval| approval.decisions.len()).filter(|count| *count > 0).collect();
        assert_eq!((kept.approvals[0].count, listed), (100, vec![900, 900]));
        let end = ApprovalEnd { at: Timestamp::UNIX_EPOCH, outcomes: BTreeMap::from([("done".to_owned(), 3)]), told: false };
        let each = BTreeMap::from([("0123456789abcdef".to_owned(), "done".to_owned())]);
        assert!(kept.end("0000000000000018", &end, &each), "it was not known");
        assert!(!kept.end("0000000000000018", &end, &each) && !kept.end("0000000000000001", &end, &each));
        assert_eq!((&kept.approvals[19].ended, kept.approvals[19].decisions[0].outcome.as_deref()), (&Some(end), Some("done")));
    }

    #[test]
    fn what_was_told_is_noted_of_that_alone() {
        let mut kept = Approvals::default();
        kept.note(approval(1));
        kept.note(approval(2));
        let ids = |number: usize| vec![approval(number).id];
        assert!(kept.told(&ids(1), &ids(1)) && !kept.told(&ids(1), &ids(1)), "it has not ended yet, and is told once");
        assert_eq!(kept.approvals.iter().map(Approval::is_untold).collect::<Vec<_>>(), [false, true]);
        kept.end(&approval(1).id, &ApprovalEnd { at: Timestamp::UNIX_EPOCH, outcomes: BTreeMap::new(), told: false }, &BTreeMap::new());
        assert!(kept.approvals[0].is_untold() && kept.told(&[], &ids(1)) && !kept.approvals[0].is_untold());
        assert!(kept.approvals[0].decisions.is_empty(), "the journal has them");
    }
}
