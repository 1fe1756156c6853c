//! The brake: when more ends come as a surprise than the policy allows, none of them goes until a person has looked.
//!
//! A surprise is an end that was not announced as what it was computed to be. Ends that were announced all along go on, even
//! for all clones at once.

use super::{BlockedBy, Decision, Draft, Target, ground::Ground, reason::Reason};
use crate::model::{Snapshot, State, later, snapshot::Origin, state::Trip};
use crate::policy::{ClonePolicy, Mode};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The surprises that are due now or within the next window, by policy.
#[derive(Default)]
pub(super) struct Surprises {
    by_policy: BTreeMap<Arc<str>, BTreeMap<String, String>>,
}

impl Surprises {
    /// Counts a decision if it is, or announces, a surprise that comes due within the policy's next window.
    pub(super) fn consider(&mut self, decision: &Decision, policy: &Arc<ClonePolicy>, now: Timestamp) {
        if policy.mode == Mode::Audit {
            return;
        }
        let due = match &decision.reason {
            _ if decision.is_surprise() => true,
            Reason::GraceAnnounced(_, at) => *at <= later(now, policy.brake.per.get()),
            Reason::Living(life) | Reason::LivingOn(life, _) | Reason::ExpiresSoon(life, ..) => announced(&decision.target).is_some_and(|at| at > life.end && at <= later(now, policy.brake.per.get())),
            _ => false,
        };
        if let (true, Some(meta)) = (due, decision.target.meta()) {
            self.by_policy.entry(Arc::clone(&policy.name)).or_default().insert(meta.uid.to_string(), meta.path().to_string());
        }
    }
}

/// The end that stands announced on a clone whose announcement has been found to count.
fn announced(target: &Target) -> Option<Timestamp> {
    match target {
        Target::Clone(clone) => clone.expires_at.value().copied(),
        _ => None,
    }
}

/// Trips or keeps the brake of each policy, holds back its surprises, and remembers those that go.
pub(super) fn apply(surprises: &Surprises, snapshot: &Snapshot, ground: &Ground<'_>, state: &mut State, draft: &mut Draft) {
    let now = draft.now;
    let mut on: BTreeSet<Arc<str>> = BTreeSet::new();
    for policy in &ground.policies.policies {
        let nothing = BTreeMap::new();
        let due = surprises.by_policy.get(&policy.name).unwrap_or(&nothing);
        let window = policy.brake.per.get();
        let start = now.checked_sub(window).unwrap_or(Timestamp::MIN);
        let mut brake = state.brakes.get(policy.name.as_ref()).cloned().unwrap_or_default();
        brake.carried.retain(|_, at| *at > start);
        brake.released.retain(|uid| due.contains_key(uid));
        let waiting: BTreeMap<String, String> = due.iter().filter(|(uid, _)| !brake.released.contains(*uid)).map(|(uid, path)| (uid.clone(), path.clone())).collect();
        let carried = brake.carried.keys().filter(|uid| !waiting.contains_key(*uid)).count();
        let counted = waiting.len().saturating_add(carried);
        let clones = clones_at(start, policy, snapshot, ground);
        let too_many = counted > usize::try_from(policy.brake.deletes).unwrap_or(usize::MAX);
        let percent = usize::try_from(policy.brake.percent).unwrap_or(usize::MAX);
        let too_large = clones >= 10 && counted.saturating_mul(100) > percent.saturating_mul(clones);
        if !waiting.is_empty() && (brake.tripped.is_some() || too_many || too_large) {
            let since = brake.tripped.as_ref().map_or(now, |trip| trip.since);
            draft.alert(Some(&policy.name), Target::Policy(Arc::clone(&policy.name)), Reason::BrakeOn(waiting.len(), carried, clones));
            brake.tripped = Some(Trip { since, waiting });
            on.insert(Arc::clone(&policy.name));
        } else if waiting.is_empty() && policy.mode == Mode::Enforce {
            // Nothing waits any more: it was extended, kept or deleted by somebody.
            brake.tripped = None;
        }
        if snapshot.origin == Origin::Live {
            if brake == crate::model::state::Brake::default() {
                state.brakes.remove(policy.name.as_ref());
            } else {
                state.brakes.insert(policy.name.to_string(), brake);
            }
        }
    }
    for decision in draft.decisions.iter_mut().filter(|decision| decision.is_surprise() && decision.blocked_by.is_none()) {
        let (Some(policy), Some(meta)) = (&decision.policy, decision.target.meta()) else { continue };
        if state.brakes.get(policy.as_ref()).is_some_and(|brake| brake.released.contains(meta.uid.as_ref())) {
            continue;
        }
        if on.contains(policy) {
            decision.blocked_by = Some(BlockedBy::Brake);
        } else if snapshot.origin == Origin::Live {
            // Written before the delete is sent; one that fails is counted all the same.
            state.brakes.entry(policy.to_string()).or_default().carried.entry(meta.uid.to_string()).or_insert(now);
        }
    }
}

/// How many clones the policy had at `start`: those that are older, and those that have gone since.
fn clones_at(start: Timestamp, policy: &Arc<ClonePolicy>, snapshot: &Snapshot, ground: &Ground<'_>) -> usize {
    let governed = ground.governed().filter(|(governing, _)| governing.name == policy.name);
    let there: usize = governed.map(|(_, clones)| clones.iter().filter(|clone| clone.meta.created <= start).count()).sum();
    let departed = snapshot.departed.iter().filter(|gone| gone.created <= start && gone.gone > start);
    let gone = departed.filter(|gone| ground.policy_of(&gone.namespace).is_some_and(|governing| governing.name == policy.name)).count();
    there.saturating_add(gone)
}
