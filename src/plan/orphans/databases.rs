//! Instances and Aurora clusters in AWS whose clone is gone.

use super::{Case, DeadOwner, Search, Verdict};
use crate::model::{Kind, Source, cloud::CloudResource, evidence::CloudList, later, names, snapshot::Origin};
use crate::plan::{
    Action, Decision, Draft, Reason, Target,
    doubt::{Doubt, STUCK_AFTER},
};
use jiff::Timestamp;
use std::sync::Arc;

impl Search<'_, '_> {
    /// Judges Aurora clusters.
    pub(super) fn clusters(&mut self, draft: &mut Draft) {
        self.databases(CloudList::Clusters, draft);
    }

    /// Judges instances, those in Aurora clusters too.
    pub(super) fn instances(&mut self, draft: &mut Draft) {
        self.databases(CloudList::Instances, draft);
    }

    fn databases(&mut self, list: CloudList, draft: &mut Draft) {
        if self.sky.closed.is_some() {
            return;
        }
        for resource in self.snapshot.cloud.iter().filter(|resource| resource.list == list) {
            let lost = self.sky.lost_its_cluster(resource).filter(|_| self.snapshot.cluster_id.is_some());
            let Some((uid, clone_id)) = self.sky.ours_by_tags(resource).or(lost) else { continue };
            if self.sky.lack_for(list, &resource.region).is_some() {
                continue;
            }
            let owner =
                DeadOwner { uid: uid.into(), namespace: resource.tag(names::TAG_NAMESPACE).unwrap_or_default().into(), name: Some(clone_id.into()) };
            let expected = names::database_identifier(clone_id, uid);
            if lost.is_some() {
                if !self.live.has(uid) && !resource.is_going() {
                    self.conclude(Case::of(resource, owner, Some(Doubt::TagsGone)), draft);
                }
            } else if resource.id != expected {
                self.conclude(Case::of(resource, owner, Some(Doubt::InheritedTags(expected.into()))), draft);
            } else if !self.live.has(uid) {
                self.of_dead_owner(resource, owner, draft);
            }
        }
    }

    fn of_dead_owner(&mut self, resource: &Arc<CloudResource>, owner: DeadOwner, draft: &mut Draft) {
        let now = draft.now;
        let ours = self.known.get(resource.arn.as_str()).is_some_and(|record| record.is_asked_for());
        if resource.is_going() {
            let since = resource.going_since.unwrap_or(now);
            let stuck = later(since, STUCK_AFTER);
            if stuck <= now {
                self.conclude(Case::of(resource, owner, Some(Doubt::StuckDeleting(since))), draft);
                return;
            }
            draft.wake_at(stuck);
            if ours {
                self.judged.insert(resource.arn.clone());
            }
            // A clone is not gone before its database is.
            if self.snapshot.origin == Origin::Live {
                let policy = self.ground.policy_of(&owner.namespace).map(|policy| &policy.name);
                draft.decisions.push(Decision::new(Action::Keep, policy, Target::Cloud(Arc::clone(resource)), Reason::Terminating(since)));
            }
            return;
        }
        // Of a clone, or of an object, that has gone since the sweep, the next one will show that its database goes too.
        let swept = self.seen_at(&[Source::Cloud(Arc::clone(&resource.region), resource.list)]);
        let since = |gone: Option<&Timestamp>| gone.is_some_and(|gone| *gone >= swept);
        if since(self.departed.get(owner.uid.as_ref())) || since(self.released.get(resource.id.as_str())) || self.follows(&owner.uid, draft) {
            self.judged.insert(resource.arn.clone());
            return;
        }
        let Some(doubt) = self.database_doubt(resource, &owner) else { return };
        let verdict = self.conclude(Case::of(resource, owner, doubt), draft);
        if resource.list == CloudList::Clusters && verdict != Verdict::Stays {
            self.ready.push(Arc::clone(resource));
        }
    }

    /// What speaks against a database whose clone is gone; `None`: the object in the cluster that stands for it is the orphan.
    fn database_doubt(&self, resource: &CloudResource, owner: &DeadOwner) -> Option<Option<Doubt>> {
        // Another namespace has other namesakes and another policy.
        let before = self.known.get(resource.arn.as_str()).and_then(|record| record.namespace.as_deref());
        if owner.namespace.is_empty() || before.is_some_and(|before| before != owner.namespace.as_ref()) {
            return Some(Some(Doubt::TagsGone));
        }
        // A person has settled that this one was made for a clone of another cluster. Whether it still is, nobody can tell.
        if self.snapshot.state.cluster_id_accepted.contains(&resource.arn) {
            return Some(Some(Doubt::ClusterIdShared(resource.arn.as_str().into())));
        }
        let path = format!("{}/{}", owner.namespace, owner.name.as_deref().unwrap_or_default());
        if self.live.has_path(&path) {
            return Some(Some(Doubt::NamesakeLives(path.into())));
        }
        // Of two databases of one name and with the same tags, in two regions, one is a copy: which, nobody can tell.
        let twin = |other: &&&Arc<CloudResource>| other.arn != resource.arn && self.sky.is_proven(other, &owner.uid);
        if let Some(twin) = self.sky.named(resource.list, &resource.id).iter().find(twin) {
            return Some(Some(Doubt::Claimed(twin.arn.as_str().into())));
        }
        if self.sky.is_restored(resource) {
            return Some(Some(Doubt::Restored));
        }
        let mut claimed = false;
        for child in self.sky.claims(resource) {
            let same = (child.kind == Kind::DbCluster) == (resource.list == CloudList::Clusters);
            let dead = child.owner.as_ref().is_some_and(|owner| !self.live.has(&owner.uid));
            if !dead {
                return Some(Some(Doubt::Claimed(format!("{} {}", child.kind, child.meta.path()).into())));
            }
            claimed |= same;
        }
        if claimed {
            return None;
        }
        // What the answer does not say is no permission.
        let protected = resource.protected != Some(false) && self.snapshot.origin == Origin::Live;
        Some(protected.then_some(Doubt::Protected))
    }
}
