//! What AWS answers when it is asked what is there: now, or as it was a little earlier.

use super::{
    aws::Aws,
    thing::{Place, Thing},
};
use crate::{
    model::{cloud::CloudResource, evidence::CloudList},
    ports::Kin,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

impl Aws {
    /// One list of a region as it was at a moment not long ago.
    pub(super) fn list_at(&self, region: &str, list: CloudList, moment: Timestamp) -> Vec<Arc<Thing>> {
        let mut past: BTreeMap<&Place, Option<&Arc<Thing>>> = BTreeMap::new();
        for (_, place, before) in self.log.iter().rev().take_while(|(at, _, _)| *at > moment) {
            past.insert(place, before.as_ref());
        }
        let here = |place: &Place| place.1 == list && place.0.as_ref() == region;
        let now = self.things.iter().filter(|(place, _)| here(place) && !past.contains_key(place)).map(|(_, thing)| thing);
        let then = past.iter().filter(|(place, _)| here(place)).filter_map(|(_, thing)| *thing);
        let mut found: Vec<Arc<Thing>> = now.chain(then).cloned().collect();
        found.sort_by(|one, other| one.seen.id.cmp(&other.seen.id));
        found
    }

    /// A resource as AWS describes it at present.
    pub(super) fn described(&self, thing: &Thing) -> CloudResource {
        let mut seen = thing.seen.clone();
        seen.members = self.members(&thing.place()).map(|member| member.seen.id.clone()).collect();
        seen
    }

    /// Every snapshot and automated backup of an instance or cluster of this identifier. A database that lives has a backup.
    pub(super) fn kin(&self, region: &str, list: CloudList, id: &str) -> Vec<Kin> {
        let id = id.to_ascii_lowercase();
        let snapshots = if list == CloudList::Clusters { CloudList::ClusterSnapshots } else { CloudList::Snapshots };
        let of = |thing: &&Arc<Thing>| {
            thing.seen.region.as_ref() == region && thing.seen.list == snapshots && thing.seen.snapshot_of.as_deref() == Some(id.as_str())
        };
        let snapshots = self
            .things
            .values()
            .filter(of)
            .map(|thing| Kin { what: format!("snapshot {}", thing.seen.id), resource_id: thing.seen.resource_id.clone() });
        let backup = self.get(region, list, &id).filter(|thing| thing.seen.cluster.is_none() && thing.seen.created.is_some());
        let backup = backup.map(|thing| Kin { what: format!("automated backup of {id}"), resource_id: thing.seen.resource_id.clone() });
        snapshots.chain(backup).collect()
    }
}
