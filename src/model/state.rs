//! The little that has no object of its own to live on: pause, brake, last populations, since when a namespace is enforced.
//! It lives in the ConfigMap `clonewarden-state` and is written by compare-and-swap, before the acts that depend on it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything the daemon must remember across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// Set while every write is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The revision of the policies that were acted by last. What is kept of policies counts only if it is these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<String>,
    /// Since when each namespace has been under `enforce` without a break.
    pub enforced_since: BTreeMap<String, Timestamp>,
    /// The brake of each policy.
    pub brakes: BTreeMap<String, Brake>,
    /// The last population of each source, to notice one that collapsed.
    pub populations: BTreeMap<String, Population>,
    /// The ResourceGraphDefinitions for clones that have been seen.
    pub definitions: BTreeSet<String>,
    /// A person has said that it is all right that they are gone; until one is seen again.
    pub definitions_accepted: bool,
    /// Whether the clones' CRD has been served before.
    pub clones_served: bool,
    /// The account in AWS that was swept first. Another one is not ours, whatever the credentials say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_account: Option<String>,
    /// The database that showed that another cluster uses our id; nothing in AWS is touched until a person has said it is all right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id_shared: Option<String>,
    /// ARNs of those of which a person has said so.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub cluster_id_accepted: BTreeSet<String>,
    /// The fingerprint of the key that credentials are derived under. While clones live, no other one is made or taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_key: Option<String>,
    /// Since when that key is gone, or another one is in its place, while clones live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_key_lost: Option<Timestamp>,
    /// A person has said that another key is all right; until one is there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub credentials_key_accepted: bool,
    /// What is remembered of asking for bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing: Option<super::bill::Billing>,
    /// What people let go last, newest last.
    pub releases: Vec<Release>,
    /// What people had carried out by `apply` last, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
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

/// How many decisions are approved at once at most: who approved each is kept until the journal has it.
pub const MOST_APPROVED: usize = 1_000;

/// Something that a person let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The policy or source.
    pub name: String,
    /// In whose words it is all right.
    pub reason: String,
    /// By whom, as far as known.
    #[serde(default)]
    pub by: String,
    /// When (UTC).
    pub at: Timestamp,
}

/// Who stopped every write, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Since when (UTC).
    pub since: Timestamp,
    /// In whose words.
    pub reason: String,
    /// By whom, as far as known.
    #[serde(default)]
    pub by: String,
}

/// The brake of one policy: surprises carried out, and whether it has tripped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Brake {
    /// Surprises carried out: UID and when. Written before the delete is sent, so that a crash loop cannot forget one.
    pub carried: BTreeMap<String, Timestamp>,
    /// Set while surprises wait for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tripped: Option<Trip>,
    /// UIDs that a person let go.
    pub released: BTreeSet<String>,
}

/// A tripped brake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trip {
    /// Since when.
    pub since: Timestamp,
    /// What waits: UID and `namespace/name`. A release lets exactly these go.
    pub waiting: BTreeMap<String, String>,
}

/// How many objects a source had, and a sample of which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Population {
    /// How many there were.
    pub count: usize,
    /// Hashes of the UIDs, sorted, hexadecimal, eight digits each; a sample where there are many.
    pub members: String,
    /// Only UIDs whose hash is a multiple of this were sampled.
    pub one_in: u32,
    /// Set while most of them are missing: judged by absence, nothing may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collapsed: Option<Timestamp>,
}

impl State {
    /// Lets go what waits behind the brake of `policy`; how many that is, or `None` if the brake is not on.
    pub fn release_brake(&mut self, policy: &str) -> Option<usize> {
        let brake = self.brakes.get_mut(policy)?;
        let trip = brake.tripped.take()?;
        brake.released.extend(trip.waiting.into_keys());
        Some(brake.released.len())
    }

    /// Accepts what `source` shows at present as the truth; whether anything had been held because of it.
    ///
    /// `clones`: a population that collapsed, or a CRD that is gone. `credentials-key`: the key that is gone, or another one.
    /// `cluster-id`: a database that
    /// another cluster seemed to have made. `aws-account`: the account that was swept until now. `definitions`: ResourceGraphDefinitions that are gone.
    /// Whether the CRD or a definition is gone at present, the caller has to have looked.
    pub fn release_source(&mut self, source: &str, gone: bool) -> bool {
        let collapsed = self.populations.get(source).is_some_and(|population| population.collapsed.is_some());
        if collapsed {
            self.populations.remove(source);
        }
        match source {
            "aws-account" => self.aws_account.take().is_some(),
            "cluster-id" => {
                let shown = self.cluster_id_shared.take();
                shown.is_some_and(|arn| self.cluster_id_accepted.insert(arn))
            }
            "credentials-key" => {
                let lost = self.credentials_key_lost.take().is_some();
                if lost {
                    self.credentials_key = None;
                    self.credentials_key_accepted = true;
                }
                lost
            }
            "clones" if gone => std::mem::take(&mut self.clones_served) | collapsed,
            "definitions" if gone => {
                self.definitions.clear();
                !std::mem::replace(&mut self.definitions_accepted, true)
            }
            _ => collapsed,
        }
    }

    /// Writes down what a person is about to have carried out.
    pub fn note_approval(&mut self, approval: Approval) {
        /// As of the releases, the journal has them all.
        const KEPT: usize = 20;
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
    }

    /// Writes down how that ended, all in all and for each decision (by its id); whether it is still known.
    pub fn end_approval(&mut self, id: &str, end: ApprovalEnd, outcomes: &BTreeMap<String, String>) -> bool {
        let Some(approval) = self.approvals.iter_mut().rev().find(|approval| approval.id == id) else { return false };
        for decision in &mut approval.decisions {
            decision.outcome = outcomes.get(&decision.id).cloned();
        }
        approval.ended = Some(end);
        true
    }

    /// Stops every write. What comes into force meanwhile is acted by nowhere, so from here on nobody knows which policies were last.
    pub fn pause(&mut self, pause: Pause) {
        self.paused = Some(pause);
        self.policies = None;
    }

    /// Writes down that a person let something go.
    pub fn note_release(&mut self, release: Release) {
        /// The journal has them all; here the last ones are for whoever looks at the ConfigMap.
        const KEPT: usize = 16;
        let surplus = self.releases.len().saturating_sub(KEPT.saturating_sub(1));
        self.releases.drain(..surplus);
        self.releases.push(release);
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
    fn the_last_approvals_are_kept_and_what_they_list_is_bounded() {
        let mut state = State::default();
        (0..25).for_each(|number| state.note_approval(approval(number)));
        assert_eq!((state.approvals.len(), state.approvals[0].id.as_str()), (20, "0000000000000005"));
        let listed: Vec<usize> = state.approvals.iter().map(|approval| approval.decisions.len()).filter(|count| *count > 0).collect();
        assert_eq!((state.approvals[0].count, listed), (100, vec![900, 900]));
        let end = ApprovalEnd { at: Timestamp::UNIX_EPOCH, outcomes: BTreeMap::from([("done".to_owned(), 3)]), told: false };
        let each = BTreeMap::from([("0123456789abcdef".to_owned(), "done".to_owned())]);
        assert!(state.end_approval("0000000000000018", end.clone(), &each) && !state.end_approval("0000000000000001", end.clone(), &each));
        assert_eq!((&state.approvals[19].ended, state.approvals[19].decisions[0].outcome.as_deref()), (&Some(end), Some("done")));
    }

    #[test]
    fn a_state_of_an_older_daemon_is_read_and_one_without_approvals_says_nothing_of_them() {
        let state: State = serde_json::from_str("{\"enforcedSince\": {}, \"releases\": []}").unwrap();
        assert_eq!(state, State::default());
        assert!(!serde_json::to_string(&state).unwrap().contains("approvals"));
        let state = State { approvals: vec![approval(1)], ..State::default() };
        assert_eq!(serde_json::from_str::<State>(&serde_json::to_string(&state).unwrap()).unwrap(), state);
    }
}
