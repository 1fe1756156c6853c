//! Says what is wrong with clones that are stuck on their way out, or that live but do not work. KRO's `ACTIVE` says neither.

use super::{Draft, Target, ground::Ground, reason::Reason};
use crate::model::{Child, CloneState, Health, Kind, Snapshot, WordPressClone, later, names};
use jiff::SignedDuration;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// How long a deletion may take before somebody should look. RDS alone takes 5 to 15 minutes.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(20);
/// How long a clone may take to come up before it counts as broken: the original design promises 5 minutes.
const UP_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Adds an alert for every governed clone that is stuck or broken, and for a definition that is not ready.
pub(super) fn diagnose(snapshot: &Snapshot, ground: &Ground<'_>, draft: &mut Draft) {
    let now = draft.now;
    for definition in snapshot.definitions.iter().filter(|definition| definition.makes_clones) {
        if let Some(why) = &definition.not_ready {
            draft.alert(None, Target::Definition(Arc::from(definition.name.as_str())), Reason::DefinitionNotReady(why.clone()));
        }
    }
    let index = Index::of(snapshot, now);
    for (policy, clones) in ground.governed() {
        for clone in clones {
            if let Some(since) = clone.meta.terminating {
                let late = later(since, STUCK_AFTER);
                if late > now {
                    draft.wake_at(late);
                } else {
                    draft.alert(Some(&policy.name), Target::Clone(Arc::clone(clone)), Reason::StuckTerminating(since, blockers(clone, snapshot, ground)));
                }
                continue;
            }
            let problems = index.problems(clone);
            if !problems.is_empty() {
                draft.alert(Some(&policy.name), Target::Clone(Arc::clone(clone)), Reason::Broken(problems));
            }
        }
    }
}

/// What keeps a clone from going, the likeliest first.
fn blockers(clone: &WordPressClone, snapshot: &Snapshot, ground: &Ground<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(reason) = ground.no_end(clone) {
        found.push(reason.message(ground.now));
    }
    for definition in snapshot.definitions.iter().filter(|definition| definition.makes_clones && definition.not_ready.is_some()) {
        found.push(format!("ResourceGraphDefinition `{}` is not ready", definition.name));
    }
    for child in children_of(snapshot, &clone.meta.uid) {
        let held = child.finalizers.iter().map(|finalizer| format!("`{finalizer}`")).collect::<Vec<_>>().join(", ");
        let state = match (child.meta.terminating.is_some(), held.is_empty()) {
            (true, false) => format!("is held by its finalizers {held}"),
            (true, true) => "is on its way out".to_owned(),
            (false, _) => "is still there".to_owned(),
        };
        found.push(format!("{} `{}` {state}", child.kind, child.meta.name()));
    }
    let foreign = clone.finalizers.iter().filter(|finalizer| finalizer.as_ref() != names::KRO_FINALIZER);
    found.extend(foreign.map(|finalizer| format!("finalizer `{finalizer}`")));
    if found.is_empty() && !clone.finalizers.is_empty() {
        found.push(format!("finalizer `{}`: KRO has not finished", names::KRO_FINALIZER));
    }
    found
}

fn children_of<'a>(snapshot: &'a Snapshot, uid: &'a str) -> impl Iterator<Item = &'a Arc<Child>> {
    snapshot.children.iter().filter(move |child| child.owner.as_ref().is_some_and(|owner| owner.uid.as_ref() == uid))
}

/// The children that do not work, and which clones have a Pod at all.
struct Index<'a> {
    sick: HashMap<&'a str, Vec<&'a Child>>,
    /// `None` while the Pods are not known: then nobody lacks one.
    with_pod: Option<HashSet<&'a str>>,
    now: jiff::Timestamp,
}

impl<'a> Index<'a> {
    fn of(snapshot: &'a Snapshot, now: jiff::Timestamp) -> Self {
        let mut sick: HashMap<&str, Vec<&Child>> = HashMap::new();
        for child in snapshot.children.iter().filter(|child| child.health != Health::Fine && child.meta.terminating.is_none()) {
            if let Some(owner) = &child.owner {
                sick.entry(&owner.uid).or_default().push(child);
            }
        }
        let known = snapshot.evidence.lack(&crate::model::Source::Objects(Kind::Pod), now).is_none();
        let with_pod = known.then(|| {
            let pods = snapshot.children.iter().filter(|child| child.kind == Kind::Pod);
            pods.filter_map(|pod| pod.owner.as_ref().map(|owner| owner.uid.as_ref())).collect()
        });
        Self { sick, with_pod, now }
    }

    fn problems(&self, clone: &WordPressClone) -> Vec<String> {
        let mut problems = Vec::new();
        if clone.state == CloneState::Error {
            problems.push(clone.not_ready.as_deref().map_or_else(|| "KRO reports an error".to_owned(), |why| format!("KRO reports an error: {why}")));
        }
        let sick = if self.sick.is_empty() { None } else { self.sick.get(clone.meta.uid.as_ref()) };
        for child in sick.into_iter().flatten() {
            match &child.health {
                Health::Failed(why) => problems.push(format!("{} `{}`: {why}", child.kind, child.meta.name())),
                Health::Waiting(why) if later(child.meta.created, UP_WITHIN) <= self.now => {
                    problems.push(format!("{} `{}`: {why}", child.kind, child.meta.name()));
                }
                Health::Waiting(_) | Health::Fine => {}
            }
        }
        let grown = clone.state == CloneState::Active && later(clone.meta.created, UP_WITHIN) <= self.now;
        if problems.is_empty() && grown && self.with_pod.as_ref().is_some_and(|with_pod| !with_pod.contains(clone.meta.uid.as_ref())) {
            problems.push("KRO says ACTIVE, but it has no Pod".to_owned());
        }
        problems
    }
}
