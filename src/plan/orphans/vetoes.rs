//! Who is not to go because somebody said so, wherever that stands; and what is remembered of it when that is gone.

use super::{Doubt, Search};
use crate::model::{Child, Kind, Snapshot, orphan::OrphanRecord};
use std::{cell::OnceCell, collections::HashSet};

/// The kinds and identifiers of the databases whose `Orphan`s are such.
fn databases(snapshot: &Snapshot, such: impl Fn(&OrphanRecord) -> bool) -> HashSet<(&str, &str)> {
    let such = snapshot.orphans.iter().filter(|record| such(record));
    such.filter_map(|record| Some((record.kind.as_ref(), record.id.as_deref()?))).collect()
}

/// The databases that somebody keeps: by an `Orphan`, by a tag, or by an object that stands for one.
pub(super) fn vetoed(snapshot: &Snapshot) -> HashSet<(&str, &str)> {
    // Made only where something asks: there may be many objects, and hardly ever such a veto.
    let there = OnceCell::new();
    let is_there = |uid: &str| {
        let uids = || snapshot.children.iter().map(|child| child.meta.uid.as_ref()).collect::<HashSet<&str>>();
        there.get_or_init(uids).contains(uid)
    };
    let mut vetoed = databases(snapshot, |record| record.keep || was_vetoed(record) && !is_there(&record.key));
    vetoed.extend(snapshot.cloud.iter().filter(|resource| resource.is_kept()).map(|resource| (resource.kind(), resource.id.as_str())));
    let objects = snapshot.children.iter().filter(|child| child.kept);
    vetoed.extend(objects.filter_map(|child| Some((child.kind.name(), child.database.as_ref()?.identifier.as_ref()))));
    vetoed
}

/// The databases that were seen to be restored.
pub(super) fn restored(snapshot: &Snapshot) -> HashSet<(&str, &str)> {
    databases(snapshot, was_restored)
}

/// The UIDs of the clones of which a Pod carries a veto.
pub(super) fn kept_pods(snapshot: &Snapshot) -> HashSet<&str> {
    let pods = snapshot.children.iter().filter(|child| child.kept && child.kind == Kind::Pod);
    pods.filter_map(|pod| Some(pod.owner.as_ref()?.uid.as_ref())).collect()
}

impl Search<'_, '_> {
    /// Whether an object carries a veto, or what goes with it does: a Job takes its Pods along.
    pub(super) fn keeps(&self, child: &Child) -> bool {
        let owner = child.owner.as_ref().filter(|_| child.kind == Kind::Job);
        child.kept || owner.is_some_and(|owner| self.kept_pods.contains(owner.uid.as_ref()))
    }
}

/// Once somebody was seen to have restored it, it stays so, whatever becomes of what showed it.
pub(super) fn was_restored(record: &OrphanRecord) -> bool {
    was(record, &Doubt::Restored)
}

/// An object that was vetoed when it was seen last: once it is gone nothing else tells, and its database may be there.
pub(super) fn was_vetoed(record: &OrphanRecord) -> bool {
    !record.in_aws() && was(record, &Doubt::Vetoed)
}

fn was(record: &OrphanRecord, doubt: &Doubt) -> bool {
    let reason = record.status.as_ref().and_then(|status| status.reason.as_ref());
    reason.is_some_and(|reason| reason.code == doubt.code())
}
