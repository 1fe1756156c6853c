//! How resources in AWS go through their states by themselves, as time passes.

use super::{
    aws::Aws,
    thing::{Next, Place, Thing},
};
use crate::model::evidence::CloudList;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

impl Aws {
    /// Moves AWS' clock on, and with it everything that changes by itself. It never goes back.
    pub fn advance_to(&mut self, now: Timestamp) {
        while let Some(due) = self.due.filter(|due| *due <= now) {
            self.now = self.now.max(due);
            let ripe = |thing: &&Arc<Thing>| thing.next.is_some_and(|(at, _)| at <= due);
            let places: Vec<Place> = self.things.values().filter(ripe).map(|thing| thing.place()).collect();
            for place in places {
                self.turn(&place);
            }
            self.look_ahead();
        }
        self.now = self.now.max(now);
    }

    /// Finds out when something changes next.
    pub(super) fn look_ahead(&mut self) {
        self.due = self.things.values().filter_map(|thing| thing.next.map(|(at, _)| at)).min();
    }

    /// The next thing happens to a resource.
    fn turn(&mut self, place: &Place) {
        let Some(thing) = self.things.get(place).cloned() else { return };
        let Some((_, next)) = thing.next else { return };
        let mut after = Thing::clone(&thing);
        after.next = None;
        match next {
            Next::Begun => {
                after.seen.created = Some(self.now);
                let takes = self.takes(if thing.is_database() { self.pace.creating } else { self.pace.snapshot });
                after.next = Some((takes, Next::Becomes(if place.1 == CloudList::Instances { "backing-up" } else { "available" })));
            }
            Next::Becomes(status) => {
                after.seen.status = status.to_owned();
                if status == "backing-up" {
                    after.next = Some((self.takes(self.pace.backing_up), Next::Becomes("available")));
                }
            }
            // Aurora's storage goes after the last instance that computes on it.
            Next::Gone if place.1 == CloudList::Clusters && self.members(place).next().is_some() => {
                after.next = Some((self.now.checked_add(SignedDuration::from_secs(5)).unwrap_or(Timestamp::MAX), Next::Gone));
            }
            Next::Gone => {
                self.put(place, None);
                self.drop_automated(place);
                return;
            }
        }
        self.put(place, Some(after));
    }

    /// The snapshots that AWS took by itself go with what they were taken of.
    fn drop_automated(&mut self, (region, list, id): &Place) {
        let snapshots = if *list == CloudList::Instances { CloudList::Snapshots } else { CloudList::ClusterSnapshots };
        let of = |thing: &&Arc<Thing>| {
            thing.seen.list == snapshots && thing.seen.region == *region && thing.seen.automated && thing.seen.snapshot_of.as_ref() == Some(id)
        };
        let gone: Vec<Place> = self.things.values().filter(of).map(|thing| thing.place()).collect();
        for place in gone {
            self.put(&place, None);
        }
    }

    /// The moment at which something that takes so long and begins now is done.
    pub(super) fn takes(&mut self, (least, most): (u64, u64)) -> Timestamp {
        let seconds = i64::try_from(self.rng.between(least, most)).unwrap_or_default();
        self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    }
}
