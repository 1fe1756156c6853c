//! What the sweeps over AWS know: which lists can be trusted, what is ours by its tags, and which objects in the cluster stand for
//! what.

use super::{Search, State, hold_source};
use crate::model::{Child, Kind, Snapshot, Source, cloud::CloudResource, evidence::CloudList, later, names, snapshot::Origin};
use crate::plan::{Draft, Reason, doubt::Doubt, ground::cluster_id_doubt, population::Collapsed};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// How much later than the first look at the clones a database must have been made for its clone to have been seen: AWS' clock and
/// ours may differ by less.
pub(super) const MADE_SINCE: SignedDuration = SignedDuration::from_mins(2);
/// How many databases of another cluster a person can have accepted.
const ACCEPTED: usize = 256;

pub(super) struct Sky<'a> {
    snapshot: &'a Snapshot,
    /// The regions that are swept.
    pub(super) regions: BTreeSet<Arc<str>>,
    /// The lists that cannot be trusted, and why.
    lacks: BTreeMap<Source, String>,
    /// What is not known of the objects in the cluster that stand for databases.
    pub(super) objects_lack: Option<(Source, String)>,
    /// Why nothing in AWS is judged at all.
    pub(super) closed: Option<Doubt>,
    /// The objects in the cluster that stand for a database, by its identifier and by its ARN.
    by_id: HashMap<&'a str, Vec<&'a Arc<Child>>>,
    by_arn: HashMap<&'a str, Vec<&'a Arc<Child>>>,
    /// The same databases and snapshots by identifier.
    named: HashMap<(CloudList, &'a str), Vec<&'a Arc<CloudResource>>>,
    /// What snapshots tell of: the list and identifier of a database, and its resource ids.
    pasts: HashMap<(CloudList, &'a str), BTreeSet<&'a str>>,
}

impl<'a> Sky<'a> {
    pub(super) fn survey(snapshot: &'a Snapshot, collapsed: &Collapsed, now: Timestamp) -> Self {
        let mut sky = Self {
            snapshot,
            regions: BTreeSet::new(),
            lacks: BTreeMap::new(),
            objects_lack: [Kind::DbInstance, Kind::DbCluster].into_iter().find_map(|kind| {
                let source = Source::Objects(kind);
                snapshot.evidence.lack(&source, now).map(|lack| (source, lack))
            }),
            closed: None,
            by_id: HashMap::new(),
            by_arn: HashMap::new(),
            named: HashMap::new(),
            pasts: HashMap::new(),
        };
        for (source, evidence) in snapshot.evidence.iter() {
            let Source::Cloud(region, _) = source else { continue };
            sky.regions.insert(Arc::clone(region));
            let collapsed = || collapsed.contains(source).then(|| "most of what it held vanished all at once".to_owned());
            if let Some(lack) = evidence.lack(now).or_else(collapsed) {
                sky.lacks.insert(source.clone(), lack);
            }
        }
        for child in snapshot.children.iter().filter(|child| matches!(child.kind, Kind::DbInstance | Kind::DbCluster)) {
            let Some(claim) = &child.database else { continue };
            sky.by_id.entry(&claim.identifier).or_default().push(child);
            if let Some(arn) = &claim.arn {
                sky.by_arn.entry(arn).or_default().push(child);
            }
        }
        for resource in &snapshot.cloud {
            sky.named.entry((resource.list, &resource.id)).or_default().push(resource);
            let of = match resource.list {
                CloudList::Snapshots => CloudList::Instances,
                CloudList::ClusterSnapshots => CloudList::Clusters,
                CloudList::Instances | CloudList::Clusters => continue,
            };
            if let Some(id) = resource.snapshot_of.as_deref().filter(|_| !resource.resource_id.is_empty()) {
                sky.pasts.entry((of, id)).or_default().insert(&resource.resource_id);
            }
        }
        sky
    }

    /// Why a list of a region does not suffice; a list that nobody asked for does not.
    pub(super) fn lack(&self, list: CloudList, region: &Arc<str>) -> Option<(Source, String)> {
        let source = Source::Cloud(Arc::clone(region), list);
        if let Some(lack) = self.lacks.get(&source) {
            return Some((source, lack.clone()));
        }
        self.snapshot.evidence.get(&source).is_none().then(|| (source, "was not asked for".to_owned()))
    }

    /// Why what bears on a database of this list does not suffice: its own list, the snapshots that may show that it was restored,
    /// and the objects in the cluster that may stand for it. From files, what was not exported cannot be missed.
    pub(super) fn lack_for(&self, list: CloudList, region: &Arc<str>) -> Option<(Source, String)> {
        let snapshots = if list == CloudList::Clusters { CloudList::ClusterSnapshots } else { CloudList::Snapshots };
        let lack = self.lack(list, region);
        if lack.is_some() || self.snapshot.origin == Origin::Files {
            return lack;
        }
        self.lack(snapshots, region).or_else(|| self.objects_lack.clone())
    }

    /// The UID and the id of the clone that a resource was made for, by its tags; restores carry them too, so this alone proves
    /// nothing.
    pub(super) fn ours_by_tags<'r>(&self, resource: &'r CloudResource) -> Option<(&'r str, &'r str)> {
        let ours = self.snapshot.cluster_id.as_deref()?;
        let tag = |key| resource.tag(key).filter(|text| !text.is_empty());
        (resource.tag(names::TAG_CLUSTER) == Some(ours)).then_some(())?;
        Some((tag(names::TAG_CLONE_UID)?, tag(names::TAG_CLONE_ID)?))
    }

    /// Whether something is called as the databases of our clones are and carries the rest of their tags, without that of a cluster:
    /// somebody took that off, or a definition does not write it.
    pub(super) fn lost_its_cluster<'r>(&self, resource: &'r CloudResource) -> Option<(&'r str, &'r str)> {
        let tag = |key| resource.tag(key).filter(|text| !text.is_empty());
        let (uid, clone_id) = (tag(names::TAG_CLONE_UID)?, tag(names::TAG_CLONE_ID)?);
        (tag(names::TAG_CLUSTER).is_none() && resource.id == names::database_identifier(clone_id, uid)).then_some((uid, clone_id))
    }

    /// Whether a database is what its tags say: they are ours, and its identifier is the one derived from them.
    pub(super) fn is_proven(&self, resource: &CloudResource, uid: &str) -> bool {
        self.ours_by_tags(resource).is_some_and(|(owner, clone_id)| owner == uid && resource.id == names::database_identifier(clone_id, owner))
    }

    /// Whether something shows that a database was restored to its identifier.
    pub(super) fn is_restored(&self, resource: &CloudResource) -> bool {
        let past = self.pasts.get(&(resource.list, resource.id.as_str()));
        past.is_some_and(|ids| ids.iter().any(|id| *id != resource.resource_id))
    }

    /// The objects in the cluster that stand for a database.
    pub(super) fn claims(&self, resource: &CloudResource) -> impl Iterator<Item = &'a Arc<Child>> {
        let by_id = self.by_id.get(resource.id.as_str()).into_iter().flatten().copied();
        by_id.chain(self.by_arn.get(resource.arn.as_str()).into_iter().flatten().copied())
    }

    /// The other objects in the cluster that stand for the same database as this one.
    pub(super) fn rivals(&self, child: &Child) -> Option<&'a Arc<Child>> {
        let claim = child.database.as_ref()?;
        let by_id = self.by_id.get(claim.identifier.as_ref()).into_iter().flatten();
        let by_arn = claim.arn.as_deref().and_then(|arn| self.by_arn.get(arn)).into_iter().flatten();
        // An Aurora cluster and its writer have the same identifier: they are two databases.
        by_id.chain(by_arn).copied().find(|other| other.kind == child.kind && other.meta.uid != child.meta.uid)
    }

    /// The database in AWS that an object stands for, if a sweep knows exactly one.
    pub(super) fn claimed(&self, child: &Child) -> Option<&'a Arc<CloudResource>> {
        let claim = child.database.as_ref()?;
        let found = self.named.get(&(list_of(child.kind), claim.identifier.as_ref()))?;
        match claim.arn.as_deref() {
            Some(arn) => found.iter().copied().find(|resource| resource.arn == arn),
            None => found.first().copied().filter(|_| found.len() == 1),
        }
    }

    /// Everything of a list that has this identifier, in any region.
    pub(super) fn named<'s>(&'s self, list: CloudList, id: &'s str) -> &'s [&'a Arc<CloudResource>] {
        self.named.get(&(list, id)).map_or(&[], Vec::as_slice)
    }
}

/// The list that holds what objects of a kind stand for.
pub(super) fn list_of(kind: Kind) -> CloudList {
    if kind == Kind::DbCluster { CloudList::Clusters } else { CloudList::Instances }
}

impl<'a> Search<'a, '_> {
    /// Notes which lists are not known, and whether what carries our cluster id in AWS can be ours at all.
    pub(super) fn sky_is_ours(&mut self, state: &mut State, draft: &mut Draft) {
        let live = self.snapshot.origin == Origin::Live;
        let any = self.snapshot.cloud.iter().find(|resource| resource.is_database());
        let region = any.map(|resource| &resource.region).or_else(|| self.sky.regions.first().filter(|_| live));
        let Some(region) = region.cloned() else { return };
        let doubt = cluster_id_doubt(self.snapshot).or_else(|| self.other_account(state)).or_else(|| self.shared_id(state));
        if let Some(doubt) = doubt {
            hold_source(Source::Cloud(region, CloudList::Instances), Reason::Doubtful(doubt.clone()), draft);
            self.sky.closed = Some(doubt);
            return;
        }
        let relevant = |source: &Source| live || self.snapshot.cloud.iter().any(|resource| self.concerns(resource, source));
        if let Some((source, lack)) = self.sky.objects_lack.clone().filter(|_| live && any.is_some()) {
            hold_source(source.clone(), Reason::EvidenceMissing(source, lack), draft);
        }
        for (source, lack) in self.sky.lacks.iter().filter(|(source, _)| relevant(source)) {
            hold_source(source.clone(), Reason::EvidenceMissing(source.clone(), lack.clone()), draft);
        }
    }

    fn concerns(&self, resource: &CloudResource, source: &Source) -> bool {
        let Source::Cloud(region, list) = source else { return false };
        resource.list == *list && resource.region == *region && resource.is_database() && self.sky.ours_by_tags(resource).is_some()
    }

    /// In another account everything is gone, and nothing that is said there says anything of ours.
    fn other_account(&self, state: &mut State) -> Option<Doubt> {
        let account = self.snapshot.account.as_deref()?;
        let known = state.aws_account.get_or_insert_with(|| account.to_owned());
        (known != account).then(|| Doubt::AccountChanged(account.into()))
    }

    /// A database with our id that was made while we watched, for a clone that we never saw: another cluster uses our id.
    fn shared_id(&self, state: &mut State) -> Option<Doubt> {
        if let (None, Some(since)) = (&state.cluster_id_shared, self.snapshot.watched_since) {
            let made = later(since, MADE_SINCE);
            // However their departure is dated: that they were here is what counts.
            let here: HashSet<&str> = self.snapshot.departed.iter().map(|gone| gone.uid.as_ref()).collect();
            let unseen = |uid: &str| !self.live.has(uid) && !here.contains(uid);
            let stranger = self.snapshot.cloud.iter().filter(|resource| resource.is_database()).find(|resource| {
                resource.created.is_some_and(|created| created > made)
                    && !state.cluster_id_accepted.contains(&resource.arn)
                    && !resource.is_going()
                    && self.sky.ours_by_tags(resource).is_some_and(|(uid, _)| self.sky.is_proven(resource, uid) && unseen(uid))
                    && !self.sky.is_restored(resource)
                    && self.sky.claims(resource).next().is_none()
            });
            state.cluster_id_shared = stranger.map(|stranger| stranger.arn.clone());
        }
        while state.cluster_id_accepted.len() > ACCEPTED {
            state.cluster_id_accepted.pop_first();
        }
        state.cluster_id_shared.as_deref().map(|arn| Doubt::ClusterIdShared(arn.into()))
    }
}
