//! The promise `A7`, at the end of a quiet time: nothing is left that costs money and belongs to nobody, save for a reason.

use crate::{
    custody::{clone_path, is_proven, namespace, uid},
    estate::{self, text},
    oracle::{Broken, Oracle, WATCH_LAG, seconds},
    rules::{self, Rule},
};
use clonewarden::{
    model::{Kind, evidence::CloudList, names},
    sandbox::{
        cloud::thing::{Origin, Thing},
        world::World,
    },
};
use serde_json::Value;

/// How long after everything works again, and the last reason to stay is gone, something may still be there, beside its soak: the
/// sweeps, a brake that is released now and then, a try that has to be repeated, an Aurora cluster that waits for its instances.
const SLACK: i64 = 240;

impl Oracle {
    /// At the end of a quiet time nothing is left that costs money and belongs to nobody. `since`: when it began.
    pub(crate) fn nothing_leaks(&self, world: &World, rules: &[Rule], since: i64) -> Result<(), Broken> {
        let now = seconds(world.now());
        // A person has to look first; what waits for that is no leak.
        if self.estate.shared.now().copied().unwrap_or_default() {
            return Ok(());
        }
        let leak = |what: String| Err(Broken { promise: "A7", what });
        for thing in world.aws.things() {
            if let Some(settled) = self.stays(world, rules, thing).map_or_else(|| self.settles(world, rules, thing, since), |_| None)
                && settled <= now
            {
                let mark = self.estate.mark(&thing.seen.arn);
                return leak(format!("{} costs money {} s after it should be gone: {thing:?}, {mark:?}", thing.seen.arn, now - settled));
            }
        }
        for (kind, object) in estate::children(world) {
            let (owner, uid) = (estate::owner(kind, object), text(object, "/metadata/uid"));
            let namespace = text(object, "/metadata/namespace");
            let Some(rule) = self.enforcing(rules, namespace).filter(|_| !owner.is_empty()) else { continue };
            let name = object["metadata"]["labels"]["kro.run/instance-name"].as_str().unwrap_or_default();
            let named = self.estate.clones.values().any(|stay| stay.until == i64::MAX && stay.path == format!("{namespace}/{name}"));
            let Some(died) = self.estate.died(owner) else { continue };
            // A Job that stays makes its Pod anew.
            let job = object.pointer("/metadata/ownerReferences/0/uid").and_then(Value::as_str);
            let controlled = job.is_some_and(|job| world.objects(Kind::Job).any(|object| text(object, "/metadata/uid") == job));
            let freed = self.estate.freed.get(uid).copied().unwrap_or(i64::MIN);
            if named
                || self.estate.kept(uid)
                || self.home_stays(world, rules, kind, object)
                || controlled
                || !object["metadata"]["deletionTimestamp"].is_null()
                || self.object_stays(world, kind, object)
            {
                continue;
            }
            let path = format!("{namespace}/{name}");
            let namesakes = self.estate.clones.values().filter(|stay| stay.path == path).map(|stay| stay.until).max().unwrap_or(i64::MIN);
            let settled = died.max(since).max(namesakes).max(freed).saturating_add(2 * (rule.soak + WATCH_LAG) + SLACK);
            if settled <= now {
                let mark = self.estate.mark(uid);
                return leak(format!("{kind} {} is left {} s after it should be gone: {object}, {mark:?}", estate::path(object), now - settled));
            }
        }
        Ok(())
    }

    /// Why something in AWS may stay for ever, by the truth.
    fn stays(&self, world: &World, rules: &[Rule], thing: &Thing) -> Option<&'static str> {
        if self.estate.kept(&thing.seen.arn) || self.kept_by_object(thing) {
            return Some("somebody keeps it");
        }
        if self.estate.accepted.contains(&thing.seen.arn) {
            return Some("a person has said that it is another cluster's");
        }
        if self.enforcing(rules, namespace(thing)).is_none() {
            return Some("no policy enforces anything there");
        }
        if !thing.is_database() {
            let ours = thing.origin == Origin::Final && self.estate.asked.contains(&thing.seen.id);
            let clusters = thing.seen.list == CloudList::ClusterSnapshots;
            let source = |other: &&std::sync::Arc<Thing>| {
                let list = if clusters { CloudList::Clusters } else { CloudList::Instances };
                other.seen.list == list && other.seen.region == thing.seen.region && thing.seen.snapshot_of.as_ref() == Some(&other.seen.id)
            };
            if !ours {
                return Some("it is not ours");
            }
            // Held as `Unclaimed`, and said so: a person decides.
            if self.estate.forgetful && thing.tag(names::TAG_SNAPSHOT).is_none() {
                return Some("nothing says any more that it is ours");
            }
            return world.aws.things().find(source).map(|_| "it shows where a database came from");
        }
        if !is_proven(thing) || thing.origin != Origin::Made {
            return Some("it is not ours");
        }
        if thing.seen.is_going() {
            return Some("it goes already");
        }
        if thing.seen.protected != Some(false) {
            return Some("it is protected");
        }
        if self.estate.died(uid(thing)).is_none() {
            return Some("its clone lives");
        }
        if self.estate.clones.values().any(|stay| stay.until == i64::MAX && stay.path == clone_path(thing)) {
            return Some("a namesake lives");
        }
        let cluster = thing.seen.list == CloudList::Clusters;
        if let Some(claim) = self.estate.claimed(cluster, &thing.seen.id, &thing.seen.arn, i64::MAX, i64::MAX) {
            let object = world.objects(claim.kind).find(|object| text(object, "/metadata/uid") == claim.uid);
            let dead =
                |object: &Value| self.estate.died(estate::owner(claim.kind, object)).is_some() && !estate::owner(claim.kind, object).is_empty();
            let going = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
            if object.is_none_or(|object| !dead(object) || going(object) || self.object_stays(world, claim.kind, object)) {
                return Some("an object stands for it, and stays");
            }
        }
        if restored(world, thing) || self.held_restored(thing) {
            return Some("its identifier had another life");
        }
        let members = || world.aws.things().filter(|other| other.seen.cluster.as_ref() == Some(&thing.seen.id));
        if cluster && members().any(|member| !is_proven(member) || uid(member) != uid(thing) || self.stays_alone(world, rules, member)) {
            return Some("an instance in it stays");
        }
        let home = thing.seen.cluster.as_deref().and_then(|id| world.aws.get(&thing.seen.region, CloudList::Clusters, id));
        home.filter(|home| self.stays(world, rules, home).is_some_and(|why| why != "it goes already")).map(|_| "the cluster that it is in stays")
    }

    /// Whether somebody keeps it by the `Orphan` of an object that stood for it, and may be gone since.
    fn kept_by_object(&self, thing: &Thing) -> bool {
        let kind = if thing.seen.list == CloudList::Clusters { Kind::DbCluster } else { Kind::DbInstance };
        let mut claims = self.estate.claims.iter().filter(|claim| claim.kind == kind && claim.identifier == thing.seen.id);
        claims.any(|claim| self.estate.mark(&claim.uid).is_some_and(|mark| mark.until == i64::MAX) && self.estate.kept(&claim.uid))
    }

    /// Whether an instance in a cluster stays for a reason of its own.
    fn stays_alone(&self, world: &World, rules: &[Rule], member: &Thing) -> bool {
        let mut alone = member.clone();
        alone.seen.cluster = None;
        self.stays(world, rules, &alone).is_some_and(|why| why != "it goes already")
    }

    /// Its mark is about another one of that identifier, or says that it was seen to have been restored.
    fn held_restored(&self, thing: &Thing) -> bool {
        let there = |mark: &&estate::Mark| mark.key == thing.seen.arn && mark.until == i64::MAX;
        self.estate.marks.iter().filter(there).any(|mark| mark.resource_id != thing.seen.resource_id || mark.reason == "Restored")
    }

    /// When the last reason for which it may be there is over, and by when it must be gone.
    fn settles(&self, world: &World, rules: &[Rule], thing: &Thing, since: i64) -> Option<i64> {
        let rule = self.enforcing(rules, namespace(thing))?;
        if !thing.is_database() {
            let taken = thing.seen.created.map(seconds)?;
            return Some(taken.max(since).saturating_add(rule.kept_for + rule.soak + WATCH_LAG + SLACK));
        }
        let unclaimed = self.estate.claims.iter().filter(|claim| claim.identifier == thing.seen.id).map(|claim| claim.until);
        let unclaimed = unclaimed.filter(|until| *until != i64::MAX).max().unwrap_or(i64::MIN);
        let namesakes = self.estate.clones.values().filter(|stay| stay.path == clone_path(thing)).map(|stay| stay.until).max();
        let begun = self.estate.died(uid(thing))?.max(since).max(unclaimed).max(namesakes.unwrap_or(i64::MIN));
        let made = thing.seen.created.map_or(seconds(world.now()), seconds);
        Some(begun.max(made + 150).saturating_add(2 * (rule.soak + WATCH_LAG) + SLACK))
    }

    /// Whether an object of ACK's has to stay: its database is protected, had another life, or is in a cluster that stays.
    fn object_stays(&self, world: &World, kind: Kind, object: &Value) -> bool {
        if !matches!(kind, Kind::DbInstance | Kind::DbCluster) {
            return false;
        }
        let labels = &object["metadata"]["labels"];
        let (name, uid) = (labels["kro.run/instance-name"].as_str().unwrap_or_default(), labels["kro.run/instance-id"].as_str().unwrap_or_default());
        let protected = object.pointer("/spec/deletionProtection") == Some(&Value::Bool(true));
        let field = if kind == Kind::DbCluster { "/spec/dbClusterIdentifier" } else { "/spec/dbInstanceIdentifier" };
        let home = text(object, "/spec/dbClusterIdentifier");
        let concerns = |thing: &&std::sync::Arc<Thing>| {
            let member = thing.seen.cluster.as_deref() == Some(home) && !home.is_empty();
            let itself = thing.seen.id == text(object, field) || thing.seen.arn == text(object, "/status/ackResourceMetadata/arn");
            thing.is_database() && (itself || member || thing.seen.id == home)
        };
        let held = |thing: &Thing| {
            thing.seen.protected != Some(false)
                || !is_proven(thing)
                || restored(world, thing)
                || thing.origin != Origin::Made
                || self.held_restored(thing)
                || self.estate.kept(&thing.seen.arn)
        };
        let shared =
            self.estate.claims.iter().filter(|claim| claim.until == i64::MAX && claim.kind == kind && claim.identifier == text(object, field));
        let renamed = text(object, field) != format!("{name}-{}", uid.get(..8).unwrap_or(uid));
        protected || renamed || shared.count() > 1 || world.aws.things().filter(concerns).any(|thing| held(thing)) || self.mark_held(object)
    }

    /// Whether an object of an instance waits for an Aurora cluster that stays.
    fn home_stays(&self, world: &World, rules: &[Rule], kind: Kind, object: &Value) -> bool {
        let home = text(object, "/spec/dbClusterIdentifier");
        let mut homes = world.aws.things().filter(|thing| thing.seen.list == CloudList::Clusters && thing.seen.id == home);
        kind == Kind::DbInstance && homes.any(|home| self.stays(world, rules, home).is_some_and(|why| why != "it goes already"))
    }

    /// An object that somebody keeps, or whose fellow is kept: an Aurora cluster and its instances go together.
    fn mark_held(&self, object: &Value) -> bool {
        let mut fellows = self.estate.claims.iter().filter(|claim| claim.until == i64::MAX).filter(|claim| {
            let ids = [text(object, "/spec/dbInstanceIdentifier"), text(object, "/spec/dbClusterIdentifier")];
            !claim.identifier.is_empty() && ids.contains(&claim.identifier.as_str())
        });
        fellows.any(|claim| self.estate.kept(&claim.uid) || self.estate.kept(&claim.arn))
    }

    /// The rule that is enforced in a namespace at present.
    fn enforcing<'r>(&self, rules: &'r [Rule], namespace: &str) -> Option<&'r Rule> {
        let env = self.env_of(namespace);
        rules::governing(rules, namespace, env.as_deref()).filter(|rule| rule.enforce)
    }
}

/// Whether something that is there tells of another life of its identifier.
fn restored(world: &World, thing: &Thing) -> bool {
    world.aws.things().any(|snapshot| {
        let same = snapshot.seen.snapshot_of.as_deref() == Some(thing.seen.id.as_str()) && snapshot.seen.region == thing.seen.region;
        let clusters = (snapshot.seen.list == CloudList::ClusterSnapshots) == (thing.seen.list == CloudList::Clusters);
        same && clusters && snapshot.seen.resource_id != thing.seen.resource_id
    })
}
