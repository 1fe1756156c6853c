//! The ground truth of AWS: what RDS holds, and what was ever done to it.
//!
//! Contract: deterministic, as the world is; it refuses what RDS refuses, with RDS' codes. It deletes by identifier: whether that
//! still means what the caller judged is the caller's business.

use super::thing::{ACCOUNT, CloudWrite, Deed, Next, Order, Origin, Pace, Place, Thing};
use crate::{
    model::{
        cloud::{CloudResource, Size, kind},
        evidence::CloudList,
    },
    ports::{CloudError, Farewell},
    rng::Rng,
    sandbox::history::Issue,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// How many changes are remembered, for answers that are a little old.
const LOG: usize = 512;

/// RDS in every region of one account.
#[derive(Debug)]
pub struct Aws {
    pub(super) now: Timestamp,
    pub(super) rng: Rng,
    pub(super) things: BTreeMap<Place, Arc<Thing>>,
    /// When something changes by itself next.
    pub(super) due: Option<Timestamp>,
    pub(super) pace: Pace,
    /// What was where before each of the last changes.
    pub(super) log: VecDeque<(Timestamp, Place, Option<Arc<Thing>>)>,
    history: Vec<CloudWrite>,
    refused: Vec<CloudWrite>,
    changes: u64,
    serial: u64,
}

fn state(code: &str, message: impl Into<String>) -> CloudError {
    CloudError::State { code: code.to_owned(), message: message.into() }
}

fn refused(code: &str, message: impl Into<String>) -> CloudError {
    CloudError::Refused { code: code.to_owned(), message: message.into() }
}

impl Aws {
    /// An empty account in which nothing takes time.
    #[must_use]
    pub fn new(seed: u64, now: Timestamp) -> Self {
        let (rng, things, log) = (Rng::new(seed), BTreeMap::new(), VecDeque::new());
        Self { now, rng, things, due: None, pace: Pace::PROMPT, log, history: Vec::new(), refused: Vec::new(), changes: 0, serial: 0 }
    }

    /// From now on things take so long.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// AWS' clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Every accepted change so far, in the order in which they took effect. What AWS does by itself is not in it.
    #[must_use]
    pub fn history(&self) -> &[CloudWrite] {
        &self.history
    }

    /// Every deletion that was refused because of protection: nobody had to ask.
    #[must_use]
    pub fn refused(&self) -> &[CloudWrite] {
        &self.refused
    }

    /// How often something has changed so far, by itself too.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Everything that is there, in the order of region, list and identifier.
    pub fn things(&self) -> impl Iterator<Item = &Arc<Thing>> {
        self.things.values()
    }

    /// What has this identifier. AWS does not tell capitals from small letters in it.
    #[must_use]
    pub fn get(&self, region: &str, list: CloudList, id: &str) -> Option<&Arc<Thing>> {
        self.things.get(&(Arc::from(region), list, id.to_ascii_lowercase()))
    }

    /// The instances in an Aurora cluster.
    pub(super) fn members<'a>(&'a self, (region, list, id): &'a Place) -> impl Iterator<Item = &'a Arc<Thing>> {
        let member =
            |thing: &&Arc<Thing>| thing.seen.cluster.as_ref() == Some(id) && thing.seen.list == CloudList::Instances && thing.seen.region == *region;
        let cluster = *list == CloudList::Clusters;
        self.things.values().filter(move |thing| cluster && member(thing))
    }

    /// Makes an instance, or a cluster. A second one of its identifier is refused, also while the first is being deleted.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn create(&mut self, issue: &Issue, list: CloudList, order: Order, origin: Origin) -> Result<Arc<Thing>, CloudError> {
        let place = self.free(&order.region, list, &order.id)?;
        if let Some(cluster) = &order.cluster {
            let there = self.get(&order.region, CloudList::Clusters, cluster).ok_or(CloudError::NotFound)?;
            if there.seen.status != "available" {
                return Err(state("InvalidDBClusterStateFault", format!("DB cluster {cluster} is {}", there.seen.status)));
            }
        }
        let own = self.new_id(list);
        let Order { tags, cluster, protected, copy_tags, class, engine, .. } = order;
        let storage_gib = (list == CloudList::Instances && cluster.is_none()).then_some(20);
        let seen = CloudResource {
            resource_id: own,
            status: "creating".to_owned(),
            tags: Some(tags),
            protected: Some(protected),
            cluster: cluster.map(|id| id.to_ascii_lowercase()),
            size: Size { engine, class, storage_gib, storage_type: storage_gib.map(|_| "gp3".to_owned()), ..Size::default() },
            ..blank(&place)
        };
        let next = Some((self.takes(self.pace.begins), Next::Begun));
        let thing = Thing { seen, origin, copy_tags, serial: self.next_serial(), next };
        let after = self.put(&place, Some(thing));
        self.record(issue, Deed::Create, None, after.clone());
        after.ok_or(CloudError::NotFound)
    }

    /// Asks for the deletion of what has this identifier.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn delete(&mut self, issue: &Issue, (region, list, id): (&str, CloudList, &str), farewell: Farewell<'_>) -> Result<(), CloudError> {
        let thing = Arc::clone(self.get(region, list, id).ok_or(CloudError::NotFound)?);
        let place = thing.place();
        let status = thing.seen.status.as_str();
        if !thing.is_database() {
            if thing.seen.automated || status == "creating" {
                let code = if list == CloudList::Snapshots { "InvalidDBSnapshotState" } else { "InvalidDBClusterSnapshotStateFault" };
                return Err(state(code, format!("snapshot {id} is automated or {status}")));
            }
            self.put(&place, None);
            self.record(issue, Deed::Delete(None), Some(thing), None);
            return Ok(());
        }
        let cluster = list == CloudList::Clusters;
        let wrong_state = if cluster { "InvalidDBClusterStateFault" } else { "InvalidDBInstanceState" };
        if status == "deleting" {
            return Err(state(wrong_state, format!("{} {id} is already being deleted", kind(list))));
        }
        if thing.seen.protected != Some(false) {
            let (issue, after) = (issue.clone(), Some(Arc::clone(&thing)));
            self.refused.push(CloudWrite { at: self.now, issue, deed: Deed::Delete(None), before: Some(thing), after, members: Vec::new() });
            return Err(refused(
                "InvalidParameterCombination",
                "Cannot delete protected resource, please disable deletion protection and try again.",
            ));
        }
        if self.members(&place).any(|member| !member.seen.is_going()) {
            return Err(state(wrong_state, "Cluster cannot be deleted, it still contains DB instances in non-deleting state."));
        }
        let members: Vec<Arc<Thing>> = self.members(&place).cloned().collect();
        let last = match farewell {
            Farewell::Nothing => None,
            Farewell::Snapshot(_) if thing.seen.cluster.is_some() => {
                return Err(refused(
                    "InvalidParameterCombination",
                    "FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance",
                ));
            }
            Farewell::Snapshot(_) if shapeless(status) => {
                return Err(state(wrong_state, format!("cannot create a snapshot because {id} is in {status} state")));
            }
            Farewell::Snapshot(snapshot) => Some(self.photograph(&thing, snapshot, Origin::Final, None)?),
        };
        let mut going = Thing::clone(&thing);
        going.seen.status = "deleting".to_owned();
        going.next = Some((self.takes(self.pace.deleting), Next::Gone));
        let after = self.put(&place, Some(going));
        let deed = Deed::Delete(last.map(|snapshot| snapshot.seen.id.clone()));
        self.record_with(issue, deed, Some(thing), after, members);
        Ok(())
    }

    /// Takes a snapshot of a database; `tags`: instead of what it would inherit.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn snapshot(
        &mut self,
        issue: &Issue,
        (region, list, id): (&str, CloudList, &str),
        name: &str,
        origin: Origin,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<Arc<Thing>, CloudError> {
        let thing = Arc::clone(self.get(region, list, id).ok_or(CloudError::NotFound)?);
        if thing.seen.status != "available" {
            return Err(state("InvalidDBInstanceState", format!("{id} is {}", thing.seen.status)));
        }
        let snapshot = self.photograph(&thing, name, origin, tags)?;
        self.record(issue, Deed::Snapshot, None, Some(Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    /// Copies a snapshot of an instance, with its tags.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn copy(&mut self, issue: &Issue, region: &str, snapshot: &str, name: &str) -> Result<Arc<Thing>, CloudError> {
        let from = Arc::clone(self.get(region, CloudList::Snapshots, snapshot).ok_or(CloudError::NotFound)?);
        let place = self.free(region, CloudList::Snapshots, name)?;
        let seen = CloudResource { arn: blank(&place).arn, id: place.2.clone(), automated: false, ..from.seen.clone() };
        let thing = Thing { seen, origin: Origin::Manual, copy_tags: false, serial: self.next_serial(), next: None };
        let after = self.put(&place, Some(thing)).ok_or(CloudError::NotFound)?;
        self.record(issue, Deed::Snapshot, None, Some(Arc::clone(&after)));
        Ok(after)
    }

    /// Restores a snapshot of an instance under an identifier. It inherits the snapshot's tags.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn restore(&mut self, issue: &Issue, region: &str, snapshot: &str, id: &str) -> Result<Arc<Thing>, CloudError> {
        let from = Arc::clone(self.get(region, CloudList::Snapshots, snapshot).ok_or(CloudError::NotFound)?);
        if from.seen.status != "available" {
            return Err(state("InvalidDBSnapshotState", format!("snapshot {snapshot} is {}", from.seen.status)));
        }
        let tags = from.seen.tags.clone().unwrap_or_default();
        let order = Order { region: Arc::clone(&from.seen.region), id: id.to_owned(), tags, copy_tags: true, ..Order::default() };
        self.create(issue, CloudList::Instances, order, Origin::Restored)
    }

    /// Sets (`Some`) or takes away (`None`) tags.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn tag(&mut self, issue: &Issue, at: (&str, CloudList, &str), tags: &BTreeMap<String, Option<String>>) -> Result<(), CloudError> {
        self.edit(issue, at, Deed::Tag, |thing| {
            let there = thing.seen.tags.get_or_insert_default();
            for (key, value) in tags {
                match value {
                    Some(value) => drop(there.insert(key.clone(), value.clone())),
                    None => drop(there.remove(key)),
                }
            }
        })
    }

    /// Switches deletion protection.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn protect(&mut self, issue: &Issue, at: (&str, CloudList, &str), protected: bool) -> Result<(), CloudError> {
        self.edit(issue, at, Deed::Protect, |thing| thing.seen.protected = Some(protected))
    }

    fn edit(
        &mut self,
        issue: &Issue,
        (region, list, id): (&str, CloudList, &str),
        deed: Deed,
        edit: impl FnOnce(&mut Thing),
    ) -> Result<(), CloudError> {
        let before = Arc::clone(self.get(region, list, id).ok_or(CloudError::NotFound)?);
        if before.seen.is_going() {
            return Err(state("InvalidDBInstanceState", format!("{id} is being deleted")));
        }
        let mut after = Thing::clone(&before);
        edit(&mut after);
        if after != *before {
            let after = self.put(&before.place(), Some(after));
            self.record(issue, deed, Some(before), after);
        }
        Ok(())
    }

    /// Makes a snapshot of a database.
    pub(super) fn photograph(
        &mut self,
        thing: &Thing,
        name: &str,
        origin: Origin,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<Arc<Thing>, CloudError> {
        let list = if thing.seen.list == CloudList::Clusters { CloudList::ClusterSnapshots } else { CloudList::Snapshots };
        let place = self.free(&thing.seen.region, list, name)?;
        let inherited = if thing.copy_tags { thing.seen.tags.clone().unwrap_or_default() } else { BTreeMap::new() };
        let seen = CloudResource {
            resource_id: thing.seen.resource_id.clone(),
            snapshot_of: Some(thing.seen.id.clone()),
            status: "creating".to_owned(),
            created: Some(self.now),
            tags: Some(tags.unwrap_or(inherited)),
            automated: origin == Origin::Automated,
            size: thing.seen.size.clone(),
            ..blank(&place)
        };
        let next = Some((self.takes(self.pace.snapshot), Next::Becomes("available")));
        let snapshot = Thing { seen, origin, copy_tags: false, serial: self.next_serial(), next };
        self.put(&place, Some(snapshot)).ok_or(CloudError::NotFound)
    }

    /// The place for an identifier that is not taken.
    fn free(&self, region: &str, list: CloudList, id: &str) -> Result<Place, CloudError> {
        let place = (Arc::from(region), list, id.to_ascii_lowercase());
        let shape = id.starts_with(|first: char| first.is_ascii_alphabetic()) && !id.ends_with('-') && !id.contains("--");
        if !shape || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') || id.len() > if list == CloudList::Snapshots { 255 } else { 63 } {
            return Err(refused("InvalidParameterValue", format!("The parameter {}Identifier is not a valid identifier: {id}", kind(list))));
        }
        if self.things.contains_key(&place) {
            let suffix = if matches!(list, CloudList::Clusters | CloudList::ClusterSnapshots) { "Fault" } else { "" };
            return Err(refused(&format!("{}AlreadyExists{suffix}", kind(list)), format!("{} already exists", kind(list))));
        }
        Ok(place)
    }

    fn new_id(&mut self, list: CloudList) -> String {
        let prefix = if list == CloudList::Clusters { "cluster" } else { "db" };
        format!("{prefix}-{:016X}", self.rng.bits())
    }

    fn next_serial(&mut self) -> u64 {
        self.serial = self.serial.saturating_add(1);
        self.serial
    }

    /// Something is so from now on.
    pub(super) fn put(&mut self, place: &Place, thing: Option<Thing>) -> Option<Arc<Thing>> {
        self.changes = self.changes.saturating_add(1);
        let thing = thing.map(Arc::new);
        let before = match &thing {
            Some(thing) => self.things.insert(place.clone(), Arc::clone(thing)),
            None => self.things.remove(place),
        };
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        self.log.push_back((self.now, place.clone(), before));
        self.look_ahead();
        thing
    }

    fn record(&mut self, issue: &Issue, deed: Deed, before: Option<Arc<Thing>>, after: Option<Arc<Thing>>) {
        self.record_with(issue, deed, before, after, Vec::new());
    }

    fn record_with(&mut self, issue: &Issue, deed: Deed, before: Option<Arc<Thing>>, after: Option<Arc<Thing>>, members: Vec<Arc<Thing>>) {
        self.history.push(CloudWrite { at: self.now, issue: issue.clone(), deed, before, after, members });
    }
}

/// The states of which no snapshot can be taken.
fn shapeless(status: &str) -> bool {
    matches!(status, "creating" | "failed" | "storage-full") || status.starts_with("incompatible-")
}

/// A resource of which nothing but its place is known.
fn blank((region, list, id): &Place) -> CloudResource {
    let word = match list {
        CloudList::Instances => "db",
        CloudList::Clusters => "cluster",
        CloudList::Snapshots => "snapshot",
        CloudList::ClusterSnapshots => "cluster-snapshot",
    };
    CloudResource {
        list: *list,
        region: Arc::clone(region),
        arn: format!("arn:aws:rds:{region}:{ACCOUNT}:{word}:{id}"),
        id: id.clone(),
        resource_id: String::new(),
        snapshot_of: None,
        status: String::new(),
        created: None,
        tags: None,
        protected: None,
        cluster: None,
        members: Vec::new(),
        automated: false,
        size: Size::default(),
        going_since: None,
    }
}
