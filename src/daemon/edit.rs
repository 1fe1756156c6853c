//! What an edit of the policies does to the clones that live, said by the holder of the lease when the edit comes into force: how many end
//! sooner, and whether that is more than the brake allows. Nothing is decided by it. Whoever ends sooner is announced it with the grace
//! (rule 5), and the brake counts them all.

use crate::{
    act::journal::Journal,
    diff::{Diff, PolicyDiff},
};
use serde_json::{Value, json};
use tracing::{info, warn};

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
    })
}
