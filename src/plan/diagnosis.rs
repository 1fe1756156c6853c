//! Says what is wrong with clones that are stuck on their way out, or that live but do not work. KRO's `ACTIVE` says neither.

use super::{
    Draft, Target,
    ground::{Ground, Standing},
    reason::Reason,
    working::{self, Pods},
};
use crate::model::{Child, Health, Kind, Snapshot, WordPressClone, later, names};
use jiff::SignedDuration;
use std::{collections::HashMap, sync::Arc};

/// How long a deletion may take before somebody should look. RDS alone takes 5 to 15 minutes.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(20);

/// Adds an alert for every governed clone that is stuck or broken, and for a definition that is not ready.
pub(super) fn diagnose(snapshot: &Snapshot, ground: &Ground<'_>, draft: &mut Draft) {
    let now = draft.now;
    for definition in snapshot.definitions.iter().filter(|definition| definition.makes_clones) {
        if let Some(why) = &definition.not_ready {
            draft.alert(None, Target::Definition(Arc::from(definition.name.as_str())), Reason::DefinitionNotReady(why.clone()));
        }
    }
    let index = Index::of(snapshot, ground, now);
    for (place, (clone, standing)) in ground.clones().enumerate() {
        let Some(Standing::Governed(policy, _)) = standing else { continue };
        if let Some(since) = clone.meta.terminating {
            let late = later(since, STUCK_AFTER);
            if late > now {
                draft.wake_at(late);
            } else {
                let why = blockers(clone, index.left(place), snapshot, ground);
                draft.alert(Some(&policy.name), Target::Clone(Arc::clone(clone)), Reason::StuckTerminating(since, why));
            }
            continue;
        }
        let problems = index.problems(place, clone);
        if !problems.is_empty() {
            draft.alert(Some(&policy.name), Target::Clone(Arc::clone(clone)), Reason::Broken(problems));
        }
    }
}

/// What keeps a clone from going, the likeliest first.
fn blockers(clone: &WordPressClone, left: &[&Child], snapshot: &Snapshot, ground: &Ground<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(reason) = ground.no_end(clone) {
        found.push(reason.message(ground.now));
    }
    for definition in snapshot.definitions.iter().filter(|definition| definition.makes_clones && definition.not_ready.is_some()) {
        found.push(format!("ResourceGraphDefinition `{}` is not ready", definition.name));
    }
    found.extend(left.iter().copied().map(working::left));
    let foreign = clone.finalizers.iter().filter(|finalizer| finalizer.as_ref() != names::KRO_FINALIZER);
    found.extend(foreign.map(|finalizer| format!("finalizer `{finalizer}`")));
    if found.is_empty() && !clone.finalizers.is_empty() {
        found.push(format!("finalizer `{}`: KRO has not finished", names::KRO_FINALIZER));
    }
    found
}

/// What the children say about their clones, each known by its place in the snapshot.
struct Index<'a> {
    /// The children that do not work.
    sick: HashMap<usize, Vec<&'a Child>>,
    /// The children of clones that should have gone long ago.
    left: HashMap<usize, Vec<&'a Child>>,
    /// What is known of each clone's Pods; `None` while they are not known: then nobody lacks one.
    pods: Option<Vec<Pods>>,
    now: jiff::Timestamp,
}

impl<'a> Index<'a> {
    fn of(snapshot: &'a Snapshot, ground: &Ground<'_>, now: jiff::Timestamp) -> Self {
        let stuck = |clone: &Arc<WordPressClone>| clone.meta.terminating.is_some_and(|since| later(since, STUCK_AFTER) <= now);
        let any_stuck = !snapshot.children.is_empty() && snapshot.clones.iter().any(stuck);
        let pods_known = snapshot.evidence.lack(&crate::model::Source::Objects(Kind::Pod), now).is_none();
        let mut index = Self { sick: HashMap::new(), left: HashMap::new(), pods: pods_known.then(|| vec![Pods::None; snapshot.clones.len()]), now };
        for child in &snapshot.children {
            let sick = child.health != Health::Fine && child.meta.terminating.is_none();
            let pod = pods_known && child.kind == Kind::Pod;
            // Most children say nothing: whose they are need not be looked up.
            if !(sick || pod || any_stuck) {
                continue;
            }
            let Some(place) = child.owner.as_ref().and_then(|owner| ground.roster().place(&owner.uid)) else { continue };
            if sick {
                index.sick.entry(place).or_default().push(child);
            }
            if let Some(known) = index.pods.as_mut().and_then(|pods| pods.get_mut(place)).filter(|_| pod) {
                *known = known.and(child);
            }
            if any_stuck && snapshot.clones.get(place).is_some_and(stuck) {
                index.left.entry(place).or_default().push(child);
            }
        }
        index
    }

    fn left(&self, place: usize) -> &[&'a Child] {
        self.left.get(&place).map_or(&[], Vec::as_slice)
    }

    fn problems(&self, place: usize, clone: &WordPressClone) -> Vec<String> {
        let sick = if self.sick.is_empty() { None } else { self.sick.get(&place) };
        let pods = self.pods.as_ref().and_then(|pods| pods.get(place)).copied().unwrap_or(Pods::Unknown);
        working::problems(clone, sick.into_iter().flatten().copied(), pods, self.now)
    }
}
