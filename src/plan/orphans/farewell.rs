//! Whether a database can go now, and with which final snapshot. What cannot have one is held, not leaked in silence.

use super::{Parting, Search, sky::list_of};
use crate::model::{
    Child,
    cloud::{self, CloudResource},
    evidence::CloudList,
    later,
    orphan::OrphanRecord,
};
use crate::plan::{Target, doubt::Doubt};
use crate::policy::OrphanRules;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// How long a database may take to come up, before it counts as one that never will.
const UP_WITHIN: SignedDuration = SignedDuration::from_hours(2);

/// Whether AWS takes a final snapshot of a database in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Yes,
    /// Not before something that is under way has ended.
    NotNow,
    Never,
}

/// By the states that the RDS user guide lists under "Viewing DB instance status" and "Deleting a DB instance": one that has
/// failed can only be deleted without a final snapshot.
fn takes_snapshot(status: &str) -> Takes {
    match status {
        "available" | "stopped" | "storage-optimization" => Takes::Yes,
        "failed"
        | "incompatible-network"
        | "incompatible-option-group"
        | "incompatible-parameters"
        | "incompatible-restore"
        | "incompatible-create"
        | "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable"
        | "insufficient-capacity"
        | "restore-error"
        | "cloning-failed"
        | "migration-failed"
        | "storage-full" => Takes::Never,
        _ => Takes::NotNow,
    }
}

/// What the final snapshots of a database are called: with the second at which they were asked for.
fn final_name(id: &str, now: Timestamp) -> String {
    format!("{id}-final-{}", now.strftime("%Y%m%d%H%M%S"))
}

/// Whether a snapshot of a database is called so.
pub(super) fn is_final_name(name: &str, id: &str) -> bool {
    let date = name.strip_prefix(id).and_then(|rest| rest.strip_prefix("-final-"));
    date.is_some_and(|date| date.len() == 14 && date.bytes().all(|digit| digit.is_ascii_digit()))
}

/// The identifier in AWS of what a target is, or stands for.
pub(super) fn identifier(target: &Target) -> &str {
    match target {
        Target::Cloud(resource) => &resource.id,
        Target::Child(child) => child.database.as_ref().map_or("", |claim| claim.identifier.as_ref()),
        _ => "",
    }
}

impl Search<'_, '_> {
    /// How a database goes that no object stands for.
    pub(super) fn database_parting(
        &self,
        resource: &CloudResource,
        rules: OrphanRules,
        record: Option<&OrphanRecord>,
        now: Timestamp,
    ) -> Result<Parting, Doubt> {
        if let Some(cluster) = &resource.cluster {
            return self.member_parting(cluster, Some(resource));
        }
        let snapshot = self.final_snapshot(resource, rules, record, now)?;
        self.members_are_gone(resource)?;
        Ok(Parting { snapshot, tell_ack: false })
    }

    /// How an object goes that stands for a database: ACK deletes that with it, and by itself takes no final snapshot.
    pub(super) fn object_parting(&self, child: &Child, rules: OrphanRules, record: Option<&OrphanRecord>, now: Timestamp) -> Result<Parting, Doubt> {
        let Some(claim) = child.database.as_ref().filter(|claim| !claim.retained) else { return Ok(Parting { snapshot: None, tell_ack: false }) };
        let resource = self.sky.claimed(child);
        // What the object says is a wish; what AWS says decides whether there are data of its own.
        if let Some(there) = resource.filter(|there| there.cluster.as_deref() != claim.cluster.as_deref()) {
            return Err(Doubt::ClaimsForeign(there.cluster.as_deref().unwrap_or(&there.id).into()));
        }
        if let Some(cluster) = &claim.cluster {
            return self.member_parting(cluster, resource.map(Arc::as_ref));
        }
        let snapshot = match resource {
            Some(resource) => {
                let snapshot = self.final_snapshot(resource, rules, record, now)?;
                self.members_are_gone(resource)?;
                snapshot
            }
            // Nothing is there to be lost; should ACK come to make it meanwhile, it still takes a snapshot.
            None => rules.final_snapshot.then(|| self.choose(list_of(child.kind), &claim.identifier, record, now)),
        };
        let told = claim.final_snapshot.as_deref();
        match (snapshot, told) {
            // Told by us, in an earlier step; the `Orphan` that remembered it may have been lost.
            (_, Some(told)) if is_final_name(told, &claim.identifier) => Ok(Parting { snapshot: Some(told.to_owned()), tell_ack: false }),
            // Told by a person: that snapshot is theirs.
            (_, Some(_)) => Ok(Parting { snapshot: None, tell_ack: false }),
            (Some(id), None) => Ok(Parting { snapshot: Some(id), tell_ack: true }),
            (None, None) => Ok(Parting { snapshot: None, tell_ack: false }),
        }
    }

    /// An instance of an Aurora cluster has no snapshot of its own, and goes only if its cluster does. There is one where there is
    /// the instance, whether a sweep shows it or not.
    fn member_parting(&self, cluster: &str, instance: Option<&CloudResource>) -> Result<Parting, Doubt> {
        let unseen = self.sky.regions.iter().any(|region| self.sky.lack(CloudList::Clusters, region).is_some());
        let named = self.sky.named(CloudList::Clusters, cluster);
        let ready = |home: &CloudResource| self.ready.iter().any(|ready| ready.arn == home.arn);
        let goes = match instance {
            Some(instance) => self.home(instance).is_some_and(|home| ready(home)),
            None => !unseen && named.iter().all(|home| ready(home)),
        };
        if goes { Ok(Parting { snapshot: None, tell_ack: false }) } else { Err(Doubt::WaitsForCluster(cluster.into())) }
    }

    /// The Aurora cluster that an instance is in, if the sweep of its region shows it and both were made for the same clone.
    pub(super) fn home(&self, instance: &CloudResource) -> Option<&Arc<CloudResource>> {
        let found = self.sky.named(CloudList::Clusters, instance.cluster.as_deref()?);
        let uid = self.sky.ours_by_tags(instance).map(|(uid, _)| uid)?;
        found.iter().copied().find(|home| home.region == instance.region && self.sky.is_proven(home, uid))
    }

    /// An Aurora cluster goes after the instances in it, and not at all if one of them is not ours.
    fn members_are_gone(&self, cluster: &CloudResource) -> Result<(), Doubt> {
        if cluster.list != CloudList::Clusters {
            return Ok(());
        }
        let mut waits = Vec::new();
        let owner = self.sky.ours_by_tags(cluster).map(|(uid, _)| uid);
        for id in &cluster.members {
            let found = self.sky.named(CloudList::Instances, id).iter().find(|member| member.region == cluster.region);
            match found {
                Some(member) if member.is_going() => {}
                // It would wait for that for ever, and lose all the others.
                Some(_) if self.vetoed.contains(&(cloud::kind(CloudList::Instances), id.as_str())) => return Err(Doubt::Vetoed),
                Some(member) if !owner.is_some_and(|uid| self.sky.is_proven(member, uid)) => return Err(Doubt::MemberNotOurs(id.as_str().into())),
                // One that the list of instances does not show yet: the next sweep will.
                Some(_) | None => waits.push(id.clone()),
            }
        }
        if waits.is_empty() { Ok(()) } else { Err(Doubt::WaitsForMembers(waits)) }
    }

    fn final_snapshot(
        &self,
        resource: &CloudResource,
        rules: OrphanRules,
        record: Option<&OrphanRecord>,
        now: Timestamp,
    ) -> Result<Option<String>, Doubt> {
        let impossible = || Doubt::SnapshotImpossible(resource.status.as_str().into());
        let released = record.and_then(|record| record.release.as_deref()) == Some(impossible().code());
        if !rules.final_snapshot {
            return Ok(None);
        }
        let half_made = resource.status == "creating" && resource.created.is_none_or(|created| later(created, UP_WITHIN) <= now);
        match takes_snapshot(&resource.status) {
            Takes::Yes => Ok(Some(self.choose(resource.list, &resource.id, record, now))),
            Takes::NotNow if !half_made => Err(Doubt::Busy(resource.status.as_str().into())),
            Takes::NotNow | Takes::Never if released => Ok(None),
            Takes::NotNow | Takes::Never => Err(impossible()),
        }
    }

    /// The identifier of the final snapshot: the one that was chosen before, unless there is a snapshot of that name by now.
    fn choose(&self, list: CloudList, id: &str, record: Option<&OrphanRecord>, now: Timestamp) -> String {
        let list = if list == CloudList::Clusters { CloudList::ClusterSnapshots } else { CloudList::Snapshots };
        let before = record.and_then(|record| record.status.as_ref()?.final_snapshot.as_ref()).map(|snapshot| snapshot.id.clone());
        let free = |name: &String| is_final_name(name, id) && self.sky.named(list, name).is_empty();
        before.filter(free).unwrap_or_else(|| final_name(id, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_not_known_waits() {
        for (status, takes) in [
            ("available", Takes::Yes),
            ("backing-up", Takes::NotNow),
            ("creating", Takes::NotNow),
            ("something-new", Takes::NotNow),
            ("", Takes::NotNow),
            ("failed", Takes::Never),
            ("incompatible-restore", Takes::Never),
            ("storage-full", Takes::Never),
        ] {
            assert_eq!(takes_snapshot(status), takes, "{status}");
        }
    }
}
