//! Final snapshots that the daemon made: each goes after its own date. What others made, or copied, is never touched.

use super::{Case, DeadOwner, Search, farewell};
use crate::model::{cloud::CloudResource, evidence::CloudList, names, snapshot::Origin};
use crate::plan::{Action, BlockedBy, Decision, Draft, Reason, Target, Work, doubt::Doubt};
use crate::policy::Mode;
use jiff::Timestamp;
use std::sync::Arc;

impl Search<'_, '_> {
    pub(super) fn snapshots(&mut self, draft: &mut Draft) {
        if self.sky.closed.is_some() {
            return;
        }
        for snapshot in self.snapshot.cloud.iter().filter(|resource| !resource.is_database() && !resource.automated) {
            if self.sky.lack(snapshot.list, &snapshot.region).is_some() {
                continue;
            }
            // A copy carries the tags of what it was copied from; in another region it may have the same name.
            let here = snapshot.tag(names::TAG_REGION).is_none_or(|region| region == snapshot.region.as_ref());
            match snapshot.tag(names::TAG_SNAPSHOT) {
                Some(tag) if tag == snapshot.id && here => match snapshot.tag(names::TAG_CLUSTER) {
                    None => self.unclaimed(snapshot, draft),
                    cluster if cluster == self.snapshot.cluster_id.as_deref() => self.snapshot_of_ours(snapshot, draft),
                    Some(_) => {}
                },
                Some(_) => {}
                None => self.claim_snapshot(snapshot, draft),
            }
        }
    }

    fn snapshot_of_ours(&mut self, snapshot: &Arc<CloudResource>, draft: &mut Draft) {
        let tag = |key| snapshot.tag(key).filter(|text| !text.is_empty());
        let said = tag(names::TAG_EXPIRES_AT).unwrap_or_default();
        let until = said.parse::<Timestamp>();
        match until {
            Ok(until) if until > draft.now => return draft.wake_at(until),
            _ if snapshot.is_going() => return,
            _ => {}
        }
        let uid = tag(names::TAG_CLONE_UID).unwrap_or_default();
        if self.live.has(uid) {
            return;
        }
        let doubt = match until {
            Err(_) => Some(Doubt::ExpiryUnreadable(said.into())),
            // Nobody's absence can be proved of it.
            Ok(_) if uid.is_empty() => Some(Doubt::Unclaimed),
            Ok(_) => self.still_needed(snapshot),
        };
        let case = Case {
            target: Target::Cloud(Arc::clone(snapshot)),
            owner: DeadOwner { uid: uid.into(), namespace: tag(names::TAG_NAMESPACE).unwrap_or_default().into(), name: None },
            doubt,
            kept_until: Some(until.unwrap_or(Timestamp::MAX)),
            policy: tag(names::TAG_POLICY),
        };
        self.conclude(case, draft);
    }

    /// A snapshot is what shows that a database was restored from it: it stays while one of that identifier is there.
    fn still_needed(&self, snapshot: &CloudResource) -> Option<Doubt> {
        let of = if snapshot.list == CloudList::ClusterSnapshots { CloudList::Clusters } else { CloudList::Instances };
        let source = snapshot.snapshot_of.as_deref().unwrap_or_default();
        if let Some((source, lack)) = self.sky.lack(of, &snapshot.region) {
            return Some(Doubt::StillNeeded(format!("{source}: {lack}").into()));
        }
        let there = self.sky.named(of, source).iter().any(|resource| resource.region == snapshot.region && !resource.is_going());
        (there || source.is_empty()).then(|| Doubt::StillNeeded(source.into()))
    }

    /// A final snapshot that was asked for has no tags of ours at first: they are set once it is there.
    fn claim_snapshot(&self, snapshot: &Arc<CloudResource>, draft: &mut Draft) {
        // An `Orphan` that somebody edited must not make a snapshot of theirs one of ours.
        let final_name = snapshot.snapshot_of.as_deref().is_some_and(|of| farewell::is_final_name(&snapshot.id, of));
        if !final_name {
            return;
        }
        let made = self.known.values().find(|record| {
            // Named right before it is asked for, whatever was found out since.
            let named = record.status.as_ref().and_then(|status| status.final_snapshot.as_ref());
            let named = named.is_some_and(|named| named.id == snapshot.id && Some(named.of.as_str()) == snapshot.snapshot_of.as_deref());
            // Of something in AWS the resource is known; an object that stood for one knew no more than the identifier.
            let same = !record.in_aws() || record.resource_id.as_deref() == Some(snapshot.resource_id.as_str());
            let region = record.region.as_ref().is_none_or(|region| *region == snapshot.region);
            named && same && region
        });
        let Some(record) = made else { return self.unclaimed(snapshot, draft) };
        let Some(expires_at) = record.status.as_ref().and_then(|status| status.final_snapshot.as_ref()?.expires_at) else {
            return self.unclaimed(snapshot, draft);
        };
        let governing = self.governing(record.namespace.as_deref().unwrap_or_default(), &[record.policy.as_deref()]);
        let policy = governing.map(|(policy, ..)| &policy.name).or(record.policy.as_ref());
        let tags = [
            (names::TAG_SNAPSHOT, Some(snapshot.id.clone())),
            (names::TAG_REGION, Some(snapshot.region.to_string())),
            (names::TAG_EXPIRES_AT, Some(expires_at.to_string())),
            (names::TAG_POLICY, policy.map(ToString::to_string)),
            (names::TAG_CLUSTER, self.snapshot.cluster_id.as_deref().map(str::to_owned)),
            (names::TAG_CLONE_UID, record.owner.as_deref().map(str::to_owned)),
            (names::TAG_NAMESPACE, record.namespace.as_deref().map(str::to_owned)),
        ];
        let tags = tags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        let decision = Decision::new(Action::Update, policy, Target::Cloud(Arc::clone(snapshot)), Reason::SnapshotOurs);
        let blocked_by = governing.is_some_and(|(.., mode)| mode == Mode::Audit).then_some(BlockedBy::Audit);
        draft.decisions.push(Decision { work: Some(Work::Tag(tags)), blocked_by, ..decision });
    }

    /// One that is called as ours are, of a database that was called as ours are, and of which nothing is known: it must not cost
    /// money in silence.
    fn unclaimed(&self, snapshot: &Arc<CloudResource>, draft: &mut Draft) {
        let ours = snapshot.tag(names::TAG_CLUSTER).is_none_or(|cluster| Some(cluster) == self.snapshot.cluster_id.as_deref());
        if ours && self.snapshot.origin == Origin::Live {
            let target = Target::Cloud(Arc::clone(snapshot));
            draft.decisions.push(Decision::new(Action::Hold, None, target, Reason::Doubtful(Doubt::Unclaimed)));
        }
    }
}
