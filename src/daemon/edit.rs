//! What an edit of the policies does to the clones that live, said by the holder of the lease when the edit comes into force: how many end
//! sooner, and whether that is more than the brake allows. Nothing is decided by it. Whoever ends sooner is announced it with the grace
//! (rule 5), and the brake counts them all.
//!
//! What was acted by last stands in the state, so an edit that comes with a restart, a rollout or a failover is weighed, too.

use crate::{
    act::{journal::Journal, policies},
    diff::{Diff, PolicyDiff},
    policy::Policies,
    ports::Cluster,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{info, warn};

/// What is known of edits from one plan to the next.
#[derive(Debug, Default)]
pub struct Edits(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    last: Option<Arc<Policies>>,
    /// The edit that has been weighed, until it is what is acted by.
    weighed: Option<Arc<str>>,
}

impl Edits {
    /// The policies that were acted by last, if `present` are others and that has not been weighed. `acted_by` is their revision; `None`: that
    /// is not remembered, after a pause, and those are meant that are known from before.
    pub(super) async fn before(&self, acted_by: Option<&str>, present: &Arc<Policies>, cluster: &dyn Cluster) -> Option<Arc<Policies>> {
        let hash = &present.revision.hash;
        let last = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let last = known.last.replace(Arc::clone(present));
            if acted_by == Some(hash.as_ref()) {
                known.weighed = None;
                return None;
            }
            if known.weighed.replace(Arc::clone(hash)).as_ref() == Some(hash) {
                return None;
            }
            last
        };
        let is_before = |known: &Policies| acted_by.map_or(known.revision.hash != *hash, |acted_by| *known.revision.hash == *acted_by);
        if let Some(last) = last.filter(|last| is_before(last)) {
            return Some(last);
        }
        let kept = policies::kept(cluster).await;
        let kept = kept.inspect_err(|error| warn!(%error, "The policies that were acted by last cannot be read.")).ok().flatten();
        let kept = kept.and_then(|folder| folder.load().ok()).filter(is_before).map(Arc::new);
        if let (None, Some(before)) = (&kept, acted_by) {
            info!(before, now = %present.revision, "The policies are others than were acted by last; what that changes cannot be said, since those are not kept.");
        }
        kept
    }
}

/// Says it, in the log and in the journal.
pub(super) fn tell(diff: &Diff, journal: &Journal) {
    let policies: Vec<Value> = diff.policies.iter().map(facts).collect();
    let (from, to) = (&diff.revisions.from.hash, &diff.revisions.to.hash);
    journal.noted("policiesWeighed", diff.now, json!({"from": from, "to": to, "clones": diff.clones, "policies": policies}));
    for policy in &diff.policies {
        let (reaped, sooner) = (policy.impact.reaped.len(), policy.impact.sooner.len());
        let name = policy.name.as_ref();
        match policy.impact.brake.map(|brake| brake.to) {
            Some(brake) if brake.over => warn!(
                policy = name,
                surprises = brake.surprises,
                clones = brake.clones,
                "The edit ends more clones than the brake allows. Each is announced its end with the grace, and none goes until `clonewarden brake release {name}`."
            ),
            Some(brake) if brake.loosened => warn!(
                policy = name,
                surprises = brake.surprises,
                clones = brake.clones,
                "The edit ends more clones than the brake allowed until now, and loosens the brake. Each is announced its end with the grace, and then goes: `clonewarden pause` stops that."
            ),
            _ if reaped > 0 || sooner > 0 => {
                warn!(policy = name, newly_reaped = reaped, sooner, "The edit brings ends nearer. Each is announced with the grace.")
            }
            _ => info!(policy = name, "The edit ends no clone sooner."),
        }
    }
}

fn facts(policy: &PolicyDiff) -> Value {
    let impact = &policy.impact;
    let brake = impact.brake.map(|brake| brake.to);
    json!({
        "policy": policy.name,
        "clones": policy.clones.to,
        "newlyReaped": impact.reaped.len(),
        "sooner": impact.sooner.len(),
        "later": impact.later.len(),
        "newlyHeld": impact.held.len(),
        "surprises": brake.map(|brake| brake.surprises),
        "brakeOn": brake.is_some_and(|brake| brake.over),
        "brakeLoosened": brake.is_some_and(|brake| brake.loosened),
    })
}
