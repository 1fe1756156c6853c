//! The brake: when more ends come as a surprise than the policy allows, none of them goes until a person has looked.
//!
//! A surprise is an end that was not announced as what it was computed to be. Ends that were announced all along go on, even
//! for all clones at once. What waits behind a brake keeps waiting until a person lets it go or it is judged otherwise: a plan
//! that could not judge it, a renamed policy or a moment of audit lets nothing slip.

use super::{Action, BlockedBy, Decision, Draft, Target, ground::Ground, reason::Reason};
use crate::model::{
    Kind, Snapshot, Source, State, later,
    snapshot::Origin,
    state::{Brake, Trip},
};
use crate::policy::{BrakeRules, ClonePolicy, Mode};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// How many are listed at most, and so let go by one release: the list has to fit into a ConfigMap, and before a person's eyes.
/// The rest waits unlisted and is listed by the next trip.
const LISTED: usize = 1_000;
/// The most surprises that any policy may let go within a window, for the same reason.
const MOST_DELETES: usize = 5_000;
/// How long the brake of a policy that is gone is remembered.
const REMEMBER: SignedDuration = SignedDuration::from_hours(24);

/// The surprises that are due now or within the next window, by policy.
pub(super) struct Surprises {
    by_policy: BTreeMap<Arc<str>, BTreeMap<String, String>>,
    /// Those that could not be judged: what is known of them stays as it is.
    unjudged: HashSet<String>,
    /// Whether any brake holds or has let go anything; only then are the unjudged of interest.
    any_held: bool,
    /// Whether any surprise is due now.
    any_now: bool,
}

impl Surprises {
    pub(super) fn of(state: &State) -> Self {
        let any_held = state.brakes.values().any(|brake| brake.tripped.is_some() || !brake.released.is_empty());
        Self { by_policy: BTreeMap::new(), unjudged: HashSet::new(), any_held, any_now: false }
    }

    /// Counts a decision if it is, or announces, a surprise that comes due within the policy's next window.
    pub(super) fn consider(&mut self, decision: &Decision, policy: &Arc<ClonePolicy>, now: Timestamp) {
        if self.any_held && (decision.action == Action::Hold || policy.mode == Mode::Audit) {
            self.leave(decision);
        }
        if policy.mode == Mode::Audit {
            return;
        }
        self.any_now |= decision.is_surprise();
        let soon = later(now, policy.brake.per.get());
        let due = match &decision.reason {
            _ if decision.is_surprise() => true,
            Reason::GraceAnnounced(_, at) => *at <= soon,
            Reason::Living(life) | Reason::LivingOn(life, _) | Reason::ExpiresSoon(life, ..) => {
                announced(&decision.target).is_some_and(|at| at > life.end && at <= soon)
            }
            _ => false,
        };
        if due {
            self.by_policy.entry(Arc::clone(&policy.name)).or_default().insert(decision.target.key(), decision.target.display());
        }
    }

    /// Counts an orphan if it goes now or within the policy's next window.
    pub(super) fn consider_orphan(&mut self, decision: &Decision, policy: &ClonePolicy, now: Timestamp) {
        let Some(course) = decision.course() else { return };
        if self.any_held && decision.action == Action::Hold {
            self.leave(decision);
        }
        if decision.was_asked_for() {
            return;
        }
        let goes = decision.action == Action::Delete;
        self.any_now |= goes;
        let soon = later(now, policy.brake.per.get());
        if goes || decision.action == Action::Mark && course.status.deletes_at.is_some_and(|at| at <= soon) {
            self.by_policy.entry(Arc::clone(&policy.name)).or_default().insert(decision.target.key(), decision.target.display());
        }
    }

    /// Notes one that could not be judged.
    pub(super) fn leave(&mut self, decision: &Decision) {
        if self.any_held {
            self.unjudged.insert(decision.target.key());
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
    // By a clock that is not trusted nothing ends, and nothing that was carried out is long ago.
    let mut brakes = state.brakes.clone();
    let strays = take_strays(&mut brakes, surprises, snapshot, ground, now);
    for policy in &ground.policies.policies {
        let nothing = BTreeMap::new();
        let due = surprises.by_policy.get(&policy.name).unwrap_or(&nothing);
        let start = if ground.clock_trusted() { now.checked_sub(policy.brake.per.get()).unwrap_or(Timestamp::MIN) } else { Timestamp::MIN };
        let mut brake = brakes.remove(policy.name.as_ref()).unwrap_or_default();
        brake.carried.retain(|_, at| *at > start);
        brake.released.retain(|uid| due.contains_key(uid) || surprises.unjudged.contains(uid));
        let mut waiting: BTreeMap<String, String> =
            due.iter().filter(|(uid, _)| !brake.released.contains(*uid)).map(|(uid, path)| (uid.clone(), path.clone())).collect();
        // One that waits behind any brake waits behind this one, whatever its policy was called then.
        let moved = waiting.keys().any(|uid| strays.waiting.contains(uid));
        let held_before = brake.tripped.is_some() || moved;
        let since = brake.tripped.as_ref().map_or(now, |trip| trip.since);
        if let Some(trip) = brake.tripped.take() {
            waiting.extend(trip.waiting.into_iter().filter(|(uid, _)| surprises.unjudged.contains(uid) || unseen(snapshot, uid, now)));
        }
        let carried = brake.carried.keys().filter(|uid| !waiting.contains_key(*uid)).count();
        let carried = carried.saturating_add(strays.carried.values().filter(|at| **at > start).count());
        let counted = waiting.len().saturating_add(carried);
        // Counted only where there is something to hold back.
        let clones = if waiting.is_empty() { 0 } else { clones_at(start, policy, &brake, snapshot, ground) };
        if !waiting.is_empty() && (held_before || exceeds(policy.brake, counted, clones)) {
            draft.alert(Some(&policy.name), Target::Policy(Arc::clone(&policy.name)), Reason::BrakeOn(waiting.len(), carried, clones));
            while waiting.len() > LISTED {
                waiting.pop_last();
            }
            brake.tripped = Some(Trip { since, waiting });
            on.insert(Arc::clone(&policy.name));
        }
        if brake != Brake::default() {
            brakes.insert(policy.name.to_string(), brake);
        }
    }
    if surprises.any_now {
        let surprising = draft.decisions.iter_mut().filter(|decision| decision.is_surprise() && decision.blocked_by.is_none());
        for decision in surprising {
            let Some(policy) = &decision.policy else { continue };
            let key = decision.target.key();
            let released = brakes.get(policy.as_ref()).is_some_and(|brake| brake.released.contains(&key));
            if on.contains(policy) && !released {
                decision.blocked_by = Some(BlockedBy::Brake);
            } else {
                // Written before the delete is sent; one that fails is counted all the same, and so is one that was let go.
                brakes.entry(policy.to_string()).or_default().carried.entry(key).or_insert(now);
            }
        }
    }
    if snapshot.origin == Origin::Live {
        state.brakes = brakes;
    }
}

/// Whether so many surprises within a window are too many, of so many clones at its start.
#[must_use]
pub fn exceeds(rules: BrakeRules, counted: usize, clones: usize) -> bool {
    let too_many = counted > usize::try_from(rules.deletes).unwrap_or(usize::MAX).min(MOST_DELETES);
    let percent = usize::try_from(rules.percent).unwrap_or(usize::MAX);
    too_many || clones >= 10 && counted.saturating_mul(100) > percent.saturating_mul(clones)
}

/// What the brakes of policies hold that are not the clones' own any more: renamed ones, and those of namespaces that moved.
#[derive(Default)]
struct Strays {
    waiting: BTreeSet<String>,
    carried: BTreeMap<String, Timestamp>,
}

/// Takes out of each brake what now belongs to another policy; forgets the brakes of policies that are long gone.
fn take_strays(brakes: &mut BTreeMap<String, Brake>, surprises: &Surprises, snapshot: &Snapshot, ground: &Ground<'_>, now: Timestamp) -> Strays {
    let mut strays = Strays::default();
    let home = |uid: &String| surprises.by_policy.iter().find(|(_, due)| due.contains_key(uid)).map(|(policy, _)| policy.as_ref());
    for (name, brake) in brakes.iter_mut() {
        let known = ground.policies.policies.iter().any(|policy| policy.name.as_ref() == name.as_str());
        if let Some(trip) = &mut brake.tripped {
            trip.waiting.retain(|uid, _| match home(uid) {
                Some(policy) if policy != name.as_str() => {
                    strays.waiting.insert(uid.clone());
                    false
                }
                Some(_) => true,
                None => known || surprises.unjudged.contains(uid) || unseen(snapshot, uid, now),
            });
            if trip.waiting.is_empty() && !known {
                brake.tripped = None;
            }
        }
        if !known {
            brake.carried.retain(|_, at| !ground.clock_trusted() || later(*at, REMEMBER) > now);
            brake.released.clear();
            strays.carried.extend(brake.carried.iter().map(|(uid, at)| (uid.clone(), *at)));
        }
    }
    brakes.retain(|_, brake| *brake != Brake::default());
    strays
}

/// Whether a clone may live although the snapshot does not show it: its list is not whole.
fn unseen(snapshot: &Snapshot, uid: &str, now: Timestamp) -> bool {
    snapshot.evidence.lack(&Source::Objects(Kind::Clone), now).is_some() && !snapshot.clones.iter().any(|clone| clone.meta.uid.as_ref() == uid)
}

/// How many clones the policy had at `start`: those that are older, and those that have gone since. What a process before this
/// one saw to go is forgotten, but not what it carried out as a surprise: a crash must not make the population look small.
fn clones_at(start: Timestamp, policy: &Arc<ClonePolicy>, brake: &Brake, snapshot: &Snapshot, ground: &Ground<'_>) -> usize {
    let governed = ground.governed().filter(|(governing, _)| governing.name == policy.name);
    let there: usize = governed.map(|(_, clones)| clones.iter().filter(|clone| clone.meta.created <= start).count()).sum();
    let departed = snapshot.departed.iter().filter(|gone| gone.created <= start && gone.gone > start);
    let gone = departed.filter(|gone| ground.policy_of(&gone.namespace).is_some_and(|governing| governing.name == policy.name)).count();
    let seen = |uid: &str| ground.roster().place(uid).is_some() || snapshot.departed.iter().any(|gone| gone.uid.as_ref() == uid);
    // What a clone left behind was none.
    let left = |key: &str| key.starts_with("arn:") || snapshot.orphans.iter().any(|record| record.key == key);
    let carried = brake.carried.keys().filter(|uid| !seen(uid) && !left(uid)).count();
    there.saturating_add(gone).saturating_add(carried)
}
