//! `Orphan`s of what was not judged this time: it is no orphan any more, or it is gone. What cannot be seen stays as it is.

use super::{
    Course, DeadOwner, Search, course, schemas,
    vetoes::{was_restored, was_vetoed},
};
use crate::model::{
    Kind, Source,
    cloud::{self, CloudResource},
    evidence::CloudList,
    later, names,
    orphan::{OrphanRecord, status::OrphanPhase},
    snapshot::Origin,
};
use crate::plan::{Action, Decision, Draft, Reason, Target, Work, doubt::Doubt, ground::cluster_id_doubt};
use jiff::SignedDuration;
use std::{cell::OnceCell, collections::HashSet, sync::Arc};

/// How long the `Orphan` of something that is gone is kept.
const HISTORY: SignedDuration = SignedDuration::from_hours(24);

/// Why an `Orphan` goes of what nothing shows any more.
pub const GONE: &str = "it is gone";

/// Where something is that was marked.
enum Whereabouts<'a> {
    /// It cannot be said.
    Unknown,
    Gone,
    There(Option<&'a Arc<CloudResource>>),
}

impl<'a> Search<'a, '_> {
    pub(super) fn history(&self, draft: &mut Draft) {
        let uids = OnceCell::new();
        let there =
            |uid: &str| uids.get_or_init(|| self.snapshot.children.iter().map(|child| child.meta.uid.as_ref()).collect::<HashSet<_>>()).contains(uid);
        for record in self.snapshot.orphans.iter().filter(|record| !self.judged.contains(&record.key)) {
            let whereabouts = self.whereabouts(record, &there);
            match (record.phase(), whereabouts) {
                (phase, Whereabouts::Unknown) => self.unseen(record, phase, draft),
                (Some(OrphanPhase::Deleted), Whereabouts::Gone) => self.forget(record, draft),
                (_, Whereabouts::Gone) if record.is_asked_for() && self.snapshot.origin == Origin::Live => self.close(record, draft),
                (_, Whereabouts::There(Some(resource))) if tags_gone(resource) => hold(record, Doubt::TagsGone, draft),
                // Asked for, and still there: its object in the cluster is gone and AWS takes its time, or the object is on its way.
                (Some(OrphanPhase::Deleting), Whereabouts::There(_)) => {}
                (_, Whereabouts::There(Some(resource))) if record.is_asked_for() && resource.is_going() => {}
                // With it the veto would be forgotten, or that it was restored. A database may be back: under its old name after a while,
                // with the tags that somebody had taken off, in a list that had lacked it.
                (_, Whereabouts::Gone) if !(is_database(record) && (record.keep || was_vetoed(record) || was_restored(record))) => {
                    unmark(record, GONE, draft)
                }
                (_, Whereabouts::There(_) | Whereabouts::Gone) if record.keep => hold(record, Doubt::Vetoed, draft),
                (_, Whereabouts::There(Some(_)) | Whereabouts::Gone) if was_vetoed(record) => hold(record, Doubt::Vetoed, draft),
                (_, Whereabouts::There(_) | Whereabouts::Gone) if was_restored(record) => hold(record, Doubt::Restored, draft),
                (_, Whereabouts::There(_) | Whereabouts::Gone) => unmark(record, "its clone lives, or somebody deletes it already", draft),
            }
        }
    }

    fn whereabouts(&self, record: &OrphanRecord, object_is_there: &dyn Fn(&str) -> bool) -> Whereabouts<'a> {
        if record.in_aws() {
            return self.in_aws(record);
        }
        if let Some((host, name)) = record.schema() {
            return self.on_host(host, name);
        }
        let Some(kind) = Kind::CHILDREN.into_iter().find(|kind| kind.name() == record.kind.as_ref()) else { return Whereabouts::Unknown };
        if self.snapshot.evidence.lack(&Source::Objects(kind), self.ground.now).is_some() {
            return Whereabouts::Unknown;
        }
        if object_is_there(&record.key) {
            return Whereabouts::There(None);
        }
        // The object is gone; its database is not gone before AWS says so.
        let list = match kind {
            Kind::DbInstance => CloudList::Instances,
            Kind::DbCluster => CloudList::Clusters,
            _ => return Whereabouts::Gone,
        };
        let Some(id) = record.id.as_deref() else { return Whereabouts::Gone };
        let there = self.sky.named(list, id).iter().copied().find(|resource| resource.tag(names::TAG_CLONE_UID) == record.owner.as_deref());
        if there.is_some() && (record.keep || was_vetoed(record) || was_restored(record) || record.is_asked_for()) {
            return Whereabouts::There(there);
        }
        // Where nobody looks, nothing is seen to be gone.
        let looked = |region: &Arc<str>| self.sky.regions.contains(region) && self.sky.lack(list, region).is_none();
        let seen = match &record.region {
            Some(region) => looked(region),
            None => !self.sky.regions.is_empty() && self.sky.regions.iter().all(looked),
        };
        if seen && self.sky.closed.is_none() { Whereabouts::Gone } else { Whereabouts::Unknown }
    }

    /// That a sweep or a look fails is said of that. Where there is none any more, nothing else would say it.
    fn unseen(&self, record: &Arc<OrphanRecord>, phase: Option<OrphanPhase>, draft: &mut Draft) {
        let hosts = &self.ground.policies.hosts;
        let doubt = if let Some((host, _)) = record.schema() {
            let looked_at = hosts.iter().any(|known| known.name == host && known.credentials_dir.is_some());
            (!looked_at).then(|| Doubt::HostNotGoverned(host.into()))
        } else {
            let region = record.region.as_ref().filter(|region| !self.sky.regions.contains(*region));
            region.map(|region| Doubt::RegionNotSwept(region.as_ref().into()))
        };
        if let Some(doubt) = doubt.filter(|_| phase != Some(OrphanPhase::Deleted) && self.snapshot.origin == Origin::Live) {
            hold(record, doubt, draft);
        }
    }

    fn in_aws(&self, record: &OrphanRecord) -> Whereabouts<'a> {
        let list = CloudList::ALL.into_iter().find(|list| cloud::kind(*list) == record.kind.as_ref());
        let (Some(list), Some(region), Some(id)) = (list, &record.region, record.id.as_deref()) else { return Whereabouts::Unknown };
        // What does not suffice to judge it does not suffice to say that it is no orphan either.
        let database = matches!(list, CloudList::Instances | CloudList::Clusters);
        let lack = if database { self.sky.lack_for(list, region) } else { self.sky.lack(list, region) };
        if self.sky.closed.is_some() || lack.is_some() {
            return Whereabouts::Unknown;
        }
        let found = self.sky.named(list, id).iter().copied().find(|resource| resource.arn == record.key);
        found.map_or(Whereabouts::Gone, |resource| Whereabouts::There(Some(resource)))
    }

    fn on_host(&self, host: &str, name: &str) -> Whereabouts<'a> {
        let Some(facts) = self.snapshot.hosts.get(host) else { return Whereabouts::Unknown };
        if cluster_id_doubt(self.snapshot).is_some() || schemas::lack(&self.snapshot.evidence, host, self.ground.now).is_some() {
            return Whereabouts::Unknown;
        }
        // One without a row has been dropped, and is somebody else's.
        let there = facts.schemas.iter().any(|schema| schema.name == name && schema.row.is_some());
        if there { Whereabouts::There(None) } else { Whereabouts::Gone }
    }

    /// It is gone: its `Orphan` says so from now on. The executor asks AWS once more before it writes that.
    fn close(&self, record: &Arc<OrphanRecord>, draft: &mut Draft) {
        let mut status = record.status.as_deref().cloned().unwrap_or_default();
        course::close(&mut status, draft.now);
        course::seal(&mut status, draft.now);
        let owner = DeadOwner { uid: record.owner.clone().unwrap_or_default(), namespace: record.namespace.clone().unwrap_or_default(), name: None };
        let course = Course { record: Some(Arc::clone(record)), status, news: true, owner, database: None, home: None, parting: None };
        let decision = Decision::new(Action::Update, record.policy.as_ref(), Target::Orphan(Arc::clone(record)), Reason::Deleted);
        draft.decisions.push(decision.with(Work::Record(Box::new(course))));
    }

    /// What is gone is remembered for a while, and for as long as its final snapshot is there.
    fn forget(&self, record: &Arc<OrphanRecord>, draft: &mut Draft) {
        let status = record.status.as_ref();
        let until = later(status.and_then(|status| status.deleted_at).unwrap_or(record.meta.created), HISTORY);
        if until > draft.now {
            return draft.wake_at(until);
        }
        let snapshot = status.and_then(|status| status.final_snapshot.as_ref());
        let lists = [CloudList::Snapshots, CloudList::ClusterSnapshots];
        let kept = |id: &str| lists.into_iter().any(|list| !self.sky.named(list, id).is_empty());
        let known = || lists.into_iter().all(|list| self.sky.regions.iter().all(|region| self.sky.lack(list, region).is_none()));
        if snapshot.is_none_or(|snapshot| !kept(&snapshot.id) && known()) {
            unmark(record, "it has been gone for a while", draft);
        }
    }
}

fn unmark(record: &Arc<OrphanRecord>, why: &'static str, draft: &mut Draft) {
    draft.decisions.push(Decision::new(Action::Unmark, None, Target::Orphan(Arc::clone(record)), Reason::NoOrphan(why)));
}

/// Whether it is about something in AWS, itself or by an object that stood for it.
fn is_database(record: &OrphanRecord) -> bool {
    record.in_aws() || record.id.is_some()
}

/// Tags that were there and are not are a broken answer, or somebody's wish: neither proves anything.
fn tags_gone(resource: &CloudResource) -> bool {
    let proof = [names::TAG_CLUSTER, names::TAG_CLONE_UID, names::TAG_CLONE_ID];
    resource.is_database() && !resource.is_going() && proof.iter().any(|tag| resource.tag(tag).is_none())
}

fn hold(record: &Arc<OrphanRecord>, doubt: Doubt, draft: &mut Draft) {
    draft.decisions.push(Decision::new(Action::Hold, record.policy.as_ref(), Target::Orphan(Arc::clone(record)), Reason::Doubtful(doubt)));
}
