//! The backstop of the limits: what got in while admission was away is reported, or its end is brought forward.

use super::{
    Draft, Target,
    ground::Ground,
    lifetime::{self, Lifetime},
    reason::{Limit, Reason},
};
use crate::model::{Kind, Reading, Snapshot, Source, WordPressClone};
use crate::policy::{ClonePolicy, Overflow as Rule};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// The clones whose end a limit brings forward.
#[derive(Default)]
pub(super) struct Overflow<'a> {
    lives: HashMap<&'a str, Lifetime>,
}

impl Overflow<'_> {
    /// The life of a clone that is over a limit.
    pub(super) fn lifetime(&self, clone: &WordPressClone) -> Option<Lifetime> {
        if self.lives.is_empty() { None } else { self.lives.get(clone.meta.uid.as_ref()).copied() }
    }
}

/// Compares every governed namespace with its limits.
pub(super) fn overflow<'a>(snapshot: &'a Snapshot, ground: &Ground<'a>, draft: &mut Draft) -> Overflow<'a> {
    let mut overflow = Overflow::default();
    // Who is over a limit can only be said of a list that is whole.
    if snapshot.evidence.lack(&Source::Objects(Kind::Clone), draft.now).is_some() {
        return overflow;
    }
    for (policy, clones) in ground.governed() {
        let limits = policy.limits;
        // Where there are not more clones than allowed, whichever they are, nobody need look at each.
        if let Some(cap) = limits.clones.filter(|cap| clones.len() > allowed(*cap)) {
            check(policy, clones.iter().collect(), Limit::Clones, cap, draft, &mut overflow);
        }
        if let Some(cap) = limits.dedicated_databases {
            let dedicated = clones.iter().filter(|clone| clone.database.is_dedicated()).collect();
            check(policy, dedicated, Limit::DedicatedDatabases, cap, draft, &mut overflow);
        }
        if let Some(cap) = limits.clones_per_owner {
            let mut owners: BTreeMap<&str, Vec<&'a Arc<WordPressClone>>> = BTreeMap::new();
            for clone in clones {
                if let Some(owner) = clone.owner.as_deref() {
                    owners.entry(owner).or_default().push(clone);
                }
            }
            for (owner, theirs) in owners {
                check(policy, theirs, Limit::ClonesOf(owner.into()), cap, draft, &mut overflow);
            }
        }
    }
    overflow
}

fn check<'a>(
    policy: &Arc<ClonePolicy>,
    mut clones: Vec<&'a Arc<WordPressClone>>,
    limit: Limit,
    cap: u32,
    draft: &mut Draft,
    overflow: &mut Overflow<'a>,
) {
    clones.retain(|clone| clone.meta.terminating.is_none());
    let allowed = allowed(cap);
    let Some(first) = clones.first().filter(|_| clones.len() > allowed) else { return };
    let namespace = Target::Namespace(Arc::from(first.meta.namespace()));
    draft.alert(Some(&policy.name), namespace, Reason::OverLimit(limit, clones.len(), cap));
    if policy.limits.overflow == Rule::Report {
        return;
    }
    // One whose own end has come makes room by itself: nobody else need go for it.
    clones.retain(|clone| clone.keep == Reading::Value(true) || lifetime::lifetime(clone, &policy.ttl).end > draft.now);
    clones.sort_by(|one, other| one.meta.created.cmp(&other.meta.created).then_with(|| one.meta.uid.cmp(&other.meta.uid)));
    for clone in clones.into_iter().skip(allowed) {
        // A keep is a wall, and what cannot be read is never shortened.
        if clone.keep != Reading::Value(true) && lifetime::unreadable(clone).next().is_none() {
            overflow.lives.insert(&clone.meta.uid, lifetime::lifetime(clone, &policy.ttl).over_limit());
        }
    }
}

fn allowed(cap: u32) -> usize {
    usize::try_from(cap).unwrap_or(usize::MAX)
}
