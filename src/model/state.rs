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
    /// The last pauses that are over, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lifted: Vec<Pause>,
}

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
    /// Whether the journal says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
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
    /// Until when (UTC); `None`: it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who lifted it, as far as known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lifted_by: String,
    /// Whether the journal says that it began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Whether the journal says that it is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_told: bool,
}

impl Pause {
    /// A pause that stands since then, in these words, by whoever that is.
    #[must_use]
    pub fn new(since: Timestamp, reason: &str, by: &str) -> Self {
        Self { since, reason: reason.to_owned(), by: by.to_owned(), until: None, lifted_by: String::new(), told: false, end_told: false }
    }
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

    /// Stops every write. What comes into force meanwhile is acted by nowhere, so from here on nobody knows which policies were last.
    pub fn pause(&mut self, pause: Pause) {
        self.paused = Some(pause);
        self.policies = None;
    }

    /// Lets writes go on; the pause that is over.
    pub fn resume(&mut self, now: Timestamp, by: &str) -> Option<Pause> {
        let pause = Pause { until: Some(now), lifted_by: by.to_owned(), ..self.paused.take()? };
        push(&mut self.lifted, pause.clone());
        Some(pause)
    }

    /// Writes down that a person let something go.
    pub fn note_release(&mut self, release: Release) {
        push(&mut self.releases, release);
    }
}

/// The journal has all that people did; here the last of it is for whoever looks at the ConfigMap.
fn push<T>(last: &mut Vec<T>, next: T) {
    const KEPT: usize = 16;
    last.drain(..last.len().saturating_sub(KEPT.saturating_sub(1)));
    last.push(next);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_an_older_daemon_is_read() {
        let state: State = serde_json::from_str("{\"enforcedSince\": {}, \"releases\": [], \"approvals\": []}").unwrap();
        assert_eq!(state, State::default());
    }
}
