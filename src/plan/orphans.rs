//! Finds what dead clones left behind: objects in the cluster and databases in AWS whose owner is not in the live set.
//!
//! Here orphans are found and marked; nothing in this module deletes. Absence is judged only against a live set that is
//! complete, and ownership is what labels, tags and derived identifiers prove together.

use super::{
    Action, Decision, Draft, Reason, Target,
    ground::{Ground, LiveSet, cluster_id_doubt},
    reason::Doubt,
};
use crate::model::{Child, Kind, Snapshot, Source, cloud::CloudResource, evidence::CloudList, later, names, orphan::OrphanRecord};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// How long the children of a clone that was just seen to go may take to follow before they are looked at.
const FOLLOW_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// Adds a mark or a hold for everything whose clone is gone.
pub(super) fn find<'a>(snapshot: &'a Snapshot, ground: &Ground<'a>, collapsed: bool, draft: &mut Draft) {
    let owned = snapshot.children.iter().any(|child| child.owner.is_some());
    if !owned && snapshot.cloud.is_empty() && snapshot.orphans.is_empty() {
        return;
    }
    let source = Source::Objects(Kind::Clone);
    let live = match ground.live_set() {
        Err(lack) => return hold_source(source.clone(), Reason::EvidenceMissing(source, lack), draft),
        // The alert has the numbers; the hold says that nothing is judged.
        Ok(_) if collapsed => {
            return hold_source(source.clone(), Reason::EvidenceMissing(source, "most of them vanished all at once".to_owned()), draft);
        }
        Ok(live) => live,
    };
    let following = snapshot.departed.iter().map(|gone| (gone.uid.as_ref(), later(gone.gone, FOLLOW_WITHIN))).filter(|(_, until)| *until > draft.now);
    let mut search = Search {
        ground,
        live,
        known: snapshot.orphans.iter().map(|record| (record.key.as_str(), record)).collect(),
        following: following.collect(),
        marked: HashSet::new(),
    };
    for child in &snapshot.children {
        search.child(child, draft);
    }
    search.cloud(snapshot, draft);
    search.unmark(snapshot, draft);
}

fn hold_source(source: Source, reason: Reason, draft: &mut Draft) {
    draft.decisions.push(Decision::new(Action::Hold, None, Target::Source(source), reason));
}

struct Search<'a, 'g> {
    ground: &'g Ground<'a>,
    live: LiveSet<'a, 'g>,
    known: HashMap<&'a str, &'a Arc<OrphanRecord>>,
    following: HashMap<&'a str, Timestamp>,
    marked: HashSet<String>,
}

impl Search<'_, '_> {
    fn child(&mut self, child: &Arc<Child>, draft: &mut Draft) {
        let Some(owner) = &child.owner else { return };
        // What somebody already deletes is no orphan.
        if self.live.has(&owner.uid) || child.meta.terminating.is_some() || self.follows(&owner.uid, draft) {
            return;
        }
        let namesake = owner.name.as_ref().map(|name| format!("{}/{name}", child.meta.namespace())).filter(|path| self.live.has_path(path));
        let verdict = namesake.map_or(Ok(()), |path| Err(Doubt::NamesakeLives(path.into())));
        self.conclude(child.meta.namespace(), Target::Child(Arc::clone(child)), &owner.uid, verdict, draft);
    }

    /// Whether a clone was seen to go just now, so that what is left of it may still follow: it is looked at again then.
    fn follows(&self, uid: &str, draft: &mut Draft) -> bool {
        let until = if self.following.is_empty() { None } else { self.following.get(uid) };
        until.inspect(|until| draft.wake_at(**until)).is_some()
    }

    fn conclude(&mut self, namespace: &str, target: Target, owner: &str, verdict: Result<(), Doubt>, draft: &mut Draft) {
        let policy = self.ground.policy_of(namespace).map(|policy| &policy.name);
        let key = target.key();
        let (action, reason) = match verdict {
            Err(doubt) => (Action::Hold, Reason::Doubtful(doubt)),
            Ok(()) => (Action::Mark, Reason::OwnerGone(owner.into(), self.known.get(key.as_str()).is_some_and(|record| record.complete))),
        };
        if action == Action::Mark && policy.is_none() {
            draft.alert(None, target.clone(), Reason::NoPolicy);
        }
        self.marked.insert(key);
        draft.decisions.push(Decision::new(action, policy, target, reason));
    }

    fn cloud(&mut self, snapshot: &Snapshot, draft: &mut Draft) {
        let databases = || snapshot.cloud.iter().filter(|resource| matches!(resource.list, CloudList::Instances | CloudList::Clusters));
        let Some(first) = databases().next() else { return };
        if let Some(doubt) = cluster_id_doubt(snapshot) {
            let source = Source::Cloud(Arc::clone(&first.region), CloudList::Instances);
            return hold_source(source, Reason::Doubtful(doubt), draft);
        }
        let mut lacking: BTreeMap<Source, String> = BTreeMap::new();
        for resource in databases() {
            let (Some(uid), Some(clone_id)) = (self.ours_by_tags(snapshot, resource), resource.tag(names::TAG_CLONE_ID)) else { continue };
            let source = Source::Cloud(Arc::clone(&resource.region), resource.list);
            if let Some(lack) = snapshot.evidence.lack(&source, draft.now) {
                lacking.insert(source, lack);
                continue;
            }
            let namespace = resource.tag(names::TAG_NAMESPACE).unwrap_or_default();
            let expected = names::database_identifier(clone_id, uid);
            if resource.id != expected {
                self.conclude(namespace, Target::Cloud(Arc::clone(resource)), uid, Err(Doubt::InheritedTags(expected.into())), draft);
            } else if !self.live.has(uid) && resource.status != "deleting" && !self.follows(uid, draft) {
                let path = format!("{namespace}/{clone_id}");
                let verdict = self.database_verdict(snapshot, resource, &path);
                if let Some(verdict) = verdict {
                    self.conclude(namespace, Target::Cloud(Arc::clone(resource)), uid, verdict, draft);
                }
            }
        }
        for (source, lack) in lacking {
            hold_source(source.clone(), Reason::EvidenceMissing(source, lack), draft);
        }
    }

    /// The UID on a database that carries our cluster id; restores carry it too, so this alone proves nothing.
    fn ours_by_tags<'r>(&self, snapshot: &Snapshot, resource: &'r CloudResource) -> Option<&'r str> {
        (resource.tag(names::TAG_CLUSTER) == snapshot.cluster_id.as_deref())
            .then(|| resource.tag(names::TAG_CLONE_UID))
            .flatten()
            .filter(|uid| !uid.is_empty())
    }

    /// What speaks against a database whose clone is gone; `None`: the object in the cluster that claims it is the orphan.
    fn database_verdict(&self, snapshot: &Snapshot, resource: &CloudResource, path: &str) -> Option<Result<(), Doubt>> {
        if self.live.has_path(path) {
            return Some(Err(Doubt::NamesakeLives(path.into())));
        }
        let restored = snapshot.cloud.iter().any(|snapshot| {
            snapshot.snapshot_of.as_deref() == Some(resource.id.as_str())
                && matches!(
                    (resource.list, snapshot.list),
                    (CloudList::Instances, CloudList::Snapshots) | (CloudList::Clusters, CloudList::ClusterSnapshots)
                )
                && !snapshot.resource_id.is_empty()
                && snapshot.resource_id != resource.resource_id
        });
        if restored {
            return Some(Err(Doubt::Restored));
        }
        let claims = |child: &&Arc<Child>| {
            child
                .database
                .as_ref()
                .is_some_and(|claim| claim.identifier.as_ref() == resource.id || claim.arn.as_deref() == Some(resource.arn.as_str()))
        };
        let dead = |child: &&Arc<Child>| child.owner.as_ref().is_some_and(|owner| !self.live.has(&owner.uid));
        match snapshot.children.iter().filter(claims).find(|child| !dead(child)) {
            Some(child) => Some(Err(Doubt::Claimed(format!("{} {}", child.kind, child.meta.path()).into()))),
            None if snapshot.children.iter().any(|child| claims(&child)) => None,
            None => Some(Ok(())),
        }
    }

    /// What was marked and is no orphan any more is unmarked; what cannot be seen stays as it is.
    fn unmark(&self, snapshot: &Snapshot, draft: &mut Draft) {
        for record in snapshot.orphans.iter().filter(|record| !self.marked.contains(&record.key)) {
            let Some(kind) = Kind::CHILDREN.into_iter().find(|kind| kind.name() == record.kind) else { continue };
            if record.key.starts_with("arn:") || snapshot.evidence.lack(&Source::Objects(kind), draft.now).is_some() {
                continue;
            }
            let there = snapshot.children.iter().any(|child| child.meta.uid.as_ref() == record.key);
            let why = if there { "its clone lives, or somebody deletes it already" } else { "it is gone" };
            let reason = Reason::NoOrphan(why);
            draft.decisions.push(Decision::new(Action::Unmark, None, Target::Orphan(Arc::clone(record)), reason));
        }
    }
}
