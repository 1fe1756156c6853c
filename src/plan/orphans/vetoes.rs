//! Who is not to go because somebody said so, wherever that stands; and what is remembered of it when that is gone.

use super::{Doubt, Search};
use crate::model::{Child, Kind, Snapshot, orphan::OrphanRecord};
use std::collections::HashSet;

/// The kinds and identifiers of the databases whose `Orphan`s are such.
fn databases(snapshot: &Snapshot, such: impl Fn(&OrphanRecord) -> bool) -> HashSet<(&str, &str)> {
    let such = snapshot.orphans.iter().filter(|record| such(record));
    such.filter_map(|record| Some((record.kind.as_ref(), record.id.as_deref()?))).collect()
}

/// The databases that somebody keeps: by an `Orphan`, by a tag, or by an object that stands for one.
pub(super) fn vetoed(snapshot: &Snapshot) -> HashSet<(&str, &str)> {
    let there: HashSet<&str> = snapshot.children.iter().map(|child| child.meta.uid.as_ref()).collect();
    let mut vetoed = databases(snapshot, |record| record.keep || was_vetoed(record) && !there.contains(record.key.as_str()));
    vetoed.extend(snapshot.cloud.iter().filter(|resource| resource.is_kept()).map(|resource| (resource.kind(), resource.id.as_str())));
    let objects = snapshot.children.iter().filter(|child| child.kept);
    vetoed.extend(objects.filter_map(|child| Some((child.kind.name(), child.database.as_ref()?.identifier.as_ref()))));
    vetoed
}

/// The databases that were seen to be restored.
pub(super) fn restored(snapshot: &Snapshot) -> HashSet<(&str, &str)> {
    databases(snapshot, was_restored)
}

impl Search<'_, '_> {
    /// Whether an object carries a veto, or what goes with it does: a Job takes its Pods along.
    pub(super) fn keeps(&self, child: &Child) -> bool {
        let of_it = |pod: &Child| {
            pod.kept && pod.kind == Kind::Pod && pod.owner.as_ref().zip(child.owner.as_ref()).is_some_and(|(its, own)| its.uid == own.uid)
        };
        child.kept || child.kind == Kind::Job && self.snapshot.children.iter().any(|pod| of_it(pod))
    }
}

/// Once somebody was seen to have restored it, it stays so, whatever becomes of what showed it.
pub(super) fn was_restored(record: &OrphanRecord) -> bool {
    let reason = record.status.as_ref().and_then(|status| status.reason.as_ref());
    reason.is_some_and(|reason| reason.code == Doubt::Restored.code())
}

/// An object that was vetoed by what stood on itself, as seen last: once it is gone nothing else tells, and its database may be there.
pub(super) fn was_vetoed(record: &OrphanRecord) -> bool {
    let reason = record.status.as_ref().and_then(|status| status.reason.as_ref());
    !record.in_aws() && reason.is_some_and(|reason| reason.code == Doubt::Vetoed.code())
}
