//! What happens in AWS, and to the objects that stand for it, in a story: the ways in which databases are left behind, and people who
//! rescue, protect and veto.

use crate::{
    custody::CLUSTER,
    sim::{ELSEWHERE, Sim},
    story::some_clone,
};
use clonewarden::{
    model::{Kind, evidence::CloudList, names},
    ports::Farewell,
    sandbox::{
        ack::REGION,
        cloud::{
            faults::{CloudCall, CloudFate, CloudLevels},
            thing::{Order, Origin, Thing},
        },
        faults::Call,
        history::Actor,
        json,
        world::Key,
    },
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// One thing happens.
pub(crate) fn step(sim: &mut Sim) {
    match sim.dice.below(100) {
        0..=9 => strip(sim),
        10..=15 => retain(sim),
        16..=18 => controller(sim),
        19..=22 => rename(sim),
        23..=29 => protect(sim),
        30..=37 => snapshot(sim),
        38..=45 => rescue(sim),
        46..=50 => foreign(sim),
        51..=53 => reader(sim),
        54..=57 => delete_in_aws(sim),
        58..=65 => restore_from_backup(sim),
        66..=71 => veto(sim),
        72..=74 => vanish(sim),
        75..=81 => faults(sim),
        82..=93 => kill_on_the_way(sim),
        94..=96 => delete_object(sim),
        _ => second_cluster(sim),
    }
}

/// Everything works again.
pub(crate) fn heal(sim: &mut Sim) {
    sim.platform.ack.down = false;
    sim.platform.ack.loses_creations = 0;
}

/// An object of ACK's, somewhere.
fn some_object(sim: &mut Sim) -> Option<(Kind, Key)> {
    let world = sim.world();
    let both = [Kind::DbInstance, Kind::DbCluster].into_iter().flat_map(|kind| world.objects(kind).map(move |object| (kind, object)));
    let key = |object: &Value| (json::text(object, "/metadata/namespace").to_owned(), json::text(object, "/metadata/name").to_owned());
    let objects: Vec<(Kind, Key)> = both.map(|(kind, object)| (kind, key(object))).collect();
    drop(world);
    sim.dice.pick(&objects).cloned()
}

fn some_thing(sim: &mut Sim, wanted: impl Fn(&Thing) -> bool) -> Option<Arc<Thing>> {
    let things: Vec<Arc<Thing>> = sim.world().aws.things().filter(|thing| wanted(thing)).cloned().collect();
    sim.dice.pick(&things).cloned()
}

fn at(thing: &Thing) -> (&str, CloudList, &str) {
    (&thing.seen.region, thing.seen.list, &thing.seen.id)
}

fn annotate(sim: &Sim, kind: Kind, key: &Key, name: &str, value: Option<&str>) {
    let mut world = sim.world();
    let issue = world.issue(Actor::Person);
    let set = |object: &mut Value| json::set(object, &["metadata", "annotations"], name, value.map(Into::into));
    drop(world.change(&issue, kind, (&key.0, &key.1), None, set));
}

/// Somebody takes the finalizer off an object, so that it goes without its database; or KRO's off the clone, so that everything
/// of it stays.
fn strip(sim: &mut Sim) {
    if sim.dice.chance(400) {
        let Some(clone) = some_clone(sim) else { return };
        sim.tell(|| format!("strip {clone:?}"));
        let mut world = sim.world();
        drop(world.remove(Kind::Clone, &clone));
        drop(world.strip_finalizers(Kind::Clone, &clone));
        return;
    }
    let Some((kind, key)) = some_object(sim) else { return };
    let along = sim.dice.chance(700);
    sim.tell(|| format!("strip {kind} {key:?}, and its clone: {along}"));
    let mut world = sim.world();
    if along {
        let clone = (key.0.clone(), key.1.split("-db").next().unwrap_or_default().to_owned());
        drop(world.remove(Kind::Clone, &clone));
        drop(world.strip_finalizers(Kind::Clone, &clone));
    }
    drop(world.remove(kind, &key));
    drop(world.strip_finalizers(kind, &key));
}

fn retain(sim: &mut Sim) {
    let Some((kind, key)) = some_object(sim) else { return };
    let (name, value) = if sim.dice.chance(700) { (names::ACK_DELETION_POLICY, "retain") } else { (names::ACK_READ_ONLY, "true") };
    sim.tell(|| format!("{kind} {key:?}: {name} = {value}"));
    annotate(sim, kind, &key, name, Some(value));
}

/// ACK goes down, comes back, or begins to lose answers.
fn controller(sim: &mut Sim) {
    if sim.dice.chance(600) {
        sim.platform.ack.down = !sim.platform.ack.down;
    } else {
        sim.platform.ack.loses_creations = if sim.platform.ack.loses_creations > 0 { 0 } else { 400 };
    }
    sim.tell(|| format!("ACK down: {}, loses {} of a thousand creations", sim.platform.ack.down, sim.platform.ack.loses_creations));
}

/// Somebody edits the identifier: the old database is forgotten.
fn rename(sim: &mut Sim) {
    let Some((kind, key)) = some_object(sim) else { return };
    let field = if kind == Kind::DbCluster { "dbClusterIdentifier" } else { "dbInstanceIdentifier" };
    let id = format!("renamed-{}", sim.dice.below(1_000));
    sim.tell(|| format!("{kind} {key:?}: {field} = {id}"));
    let mut world = sim.world();
    let issue = world.issue(Actor::Person);
    drop(world.change(&issue, kind, (&key.0, &key.1), None, |object| json::set(object, &["spec"], field, Some(id.into()))));
}

fn protect(sim: &mut Sim) {
    let Some(thing) = some_thing(sim, |thing| thing.is_database() && !thing.seen.is_going()) else { return };
    let protected = thing.seen.protected != Some(true) || sim.dice.chance(100);
    sim.tell(|| format!("protect {}: {protected}", thing.seen.arn));
    drop(sim.world().set_protection(at(&thing), protected));
}

/// A snapshot by hand, by night, or a copy of one.
fn snapshot(sim: &mut Sim) {
    let name = format!("by-hand-{}", sim.dice.below(100_000));
    if sim.dice.chance(250) {
        let Some(from) = some_thing(sim, |thing| thing.seen.list == CloudList::Snapshots && !thing.seen.automated) else { return };
        sim.tell(|| format!("copy {} to {name}", from.seen.id));
        drop(sim.world().copy_snapshot(&from.seen.region, &from.seen.id, &name));
        return;
    }
    let Some(thing) = some_thing(sim, |thing| thing.is_database() && thing.seen.status == "available" && thing.seen.cluster.is_none()) else {
        return;
    };
    let (night, tags) = (sim.dice.chance(300), sim.dice.chance(600));
    sim.tell(|| format!("snapshot {name} of {}, by night: {night}, tags: {tags}", thing.seen.arn));
    let mut world = sim.world();
    drop(if night { world.nightly_snapshot(at(&thing), &name) } else { world.take_snapshot(at(&thing), &name, tags) });
}

/// Somebody restores a snapshot: beside the original, or in its place.
fn rescue(sim: &mut Sim) {
    let Some(from) = some_thing(sim, |thing| thing.seen.list == CloudList::Snapshots && thing.seen.status == "available") else { return };
    let original = from.seen.snapshot_of.clone().unwrap_or_default();
    let id = if sim.dice.chance(600) { original } else { format!("rescue-{}", sim.dice.below(1_000)) };
    let restored = sim.world().rescue(&from.seen.region, &from.seen.id, &id);
    sim.tell(|| format!("restore {} as {id}: {}", from.seen.id, restored.is_ok()));
}

/// A database that looks more or less like one of ours, and is not.
fn foreign(sim: &mut Sim) {
    let uid = format!("{:08x}-0000-4000-8000-000000000000", sim.dice.bits() >> 32);
    let id = names::database_identifier("c1", &uid);
    let all = [(names::TAG_CLONE_ID, "c1"), (names::TAG_CLONE_UID, &uid), (names::TAG_NAMESPACE, "prod"), (names::TAG_CLUSTER, CLUSTER)];
    let mut tags: BTreeMap<String, String> = all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut id = id;
    match sim.dice.below(7) {
        0 => tags.clear(),
        1 => drop(tags.insert(names::TAG_CLUSTER.to_owned(), "another".to_owned())),
        2 => drop(tags.insert(names::TAG_CLUSTER.to_owned(), "Sim".to_owned())),
        3 => drop(tags.remove(names::TAG_CLUSTER)),
        4 => drop(tags.insert(names::TAG_CLONE_UID.to_owned(), String::new())),
        5 => drop(tags.remove(names::TAG_CLONE_ID)),
        _ => id.push_str("-2"),
    }
    let list = if sim.dice.chance(200) { CloudList::Clusters } else { CloudList::Instances };
    let region = if sim.dice.chance(300) { ELSEWHERE } else { REGION };
    sim.tell(|| format!("foreign {id} in {region}: {tags:?}"));
    let order = Order { region: Arc::from(region), id, tags, copy_tags: true, ..Order::default() };
    drop(sim.world().foreign_database(list, order));
}

/// Another cluster with our id makes a database. Nothing on it tells it from one of ours.
fn second_cluster(sim: &mut Sim) {
    if sim.dice.chance(800) {
        return;
    }
    let uid = format!("{:08x}-1111-4000-8000-000000000000", sim.dice.bits() >> 32);
    let all = [(names::TAG_CLONE_ID, "c2"), (names::TAG_CLONE_UID, &uid), (names::TAG_NAMESPACE, "prod"), (names::TAG_CLUSTER, CLUSTER)];
    let tags = all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let order = Order { region: Arc::from(REGION), id: names::database_identifier("c2", &uid), tags, ..Order::default() };
    sim.tell(|| format!("another cluster makes {}", order.id));
    drop(sim.world().foreign_database(CloudList::Instances, order));
}

fn reader(sim: &mut Sim) {
    let Some(cluster) = some_thing(sim, |thing| thing.seen.list == CloudList::Clusters && thing.seen.status == "available") else { return };
    let tags = if sim.dice.chance(500) { cluster.seen.tags.clone().unwrap_or_default() } else { BTreeMap::new() };
    let id = format!("reader-{}", sim.dice.below(1_000));
    sim.tell(|| format!("{id} in {}", cluster.seen.arn));
    drop(sim.world().add_reader(&cluster.seen.region, &cluster.seen.id, &id, tags));
}

fn delete_in_aws(sim: &mut Sim) {
    let Some(thing) = some_thing(sim, |thing| !thing.seen.is_going() && !thing.seen.automated) else { return };
    // Without the snapshot that it was restored from, nobody in the world could tell a copy from the original.
    let source = |other: &Arc<Thing>| other.origin == Origin::Restored && Some(&other.seen.id) == thing.seen.snapshot_of.as_ref();
    if sim.world().aws.things().any(source) {
        return;
    }
    let name = format!("by-hand-last-{}", sim.dice.below(100_000));
    let farewell = if thing.is_database() && sim.dice.chance(500) { Farewell::Snapshot(&name) } else { Farewell::Nothing };
    sim.tell(|| format!("somebody deletes {} in AWS", thing.seen.arn));
    drop(sim.world().delete_in_aws(at(&thing), farewell));
}

/// A clone is restored from a backup: the same name, another UID, while its old database lives.
fn restore_from_backup(sim: &mut Sim) {
    let Some(clone) = some_clone(sim) else { return };
    sim.tell(|| format!("{clone:?} is restored from a backup"));
    let mut world = sim.world();
    let spec = world.get(Kind::Clone, &clone.0, &clone.1).and_then(|object| object.get("spec").cloned()).unwrap_or_default();
    drop(world.remove(Kind::Clone, &clone));
    drop(world.strip_finalizers(Kind::Clone, &clone));
    drop(world.create_clone(&clone.0, &clone.1, spec, &BTreeMap::new()));
}

/// Somebody keeps an orphan, thinks better of it, or lets it go without a snapshot.
pub(crate) fn veto(sim: &mut Sim) {
    let orphans: Vec<Key> =
        sim.world().objects(Kind::Orphan).map(|orphan| (String::new(), json::text(orphan, "/metadata/name").to_owned())).collect();
    let Some(orphan) = sim.dice.pick(&orphans).cloned() else { return };
    let (name, value) = match sim.dice.below(6) {
        0 => (names::RELEASE, Some("SnapshotImpossible")),
        1 | 2 => (names::KEEP, None),
        3 => (names::KEEP, Some("of course")),
        _ => (names::KEEP, Some("true")),
    };
    sim.tell(|| format!("Orphan {}: {name} = {value:?}", orphan.1));
    annotate(sim, Kind::Orphan, &orphan, name, value);
}

/// A CRD is replaced, or lost with its objects; the next time it is back.
fn vanish(sim: &mut Sim) {
    let kind = sim.dice.pick(&[Kind::Orphan, Kind::Orphan, Kind::DbInstance, Kind::DbCluster]).copied().unwrap_or(Kind::Orphan);
    let mut world = sim.world();
    if !world.served(kind) {
        world.serve(kind);
        drop(world);
        return sim.tell(|| format!("{kind} is served again"));
    }
    drop(world);
    let objects = sim.dice.chance(400);
    let now = sim.now();
    sim.world().vanish(kind, objects);
    if objects {
        sim.oracle.estate.wiped(kind, now);
    }
    sim.tell(|| format!("{kind} is not served any more, its objects are lost: {objects}"));
}

fn faults(sim: &mut Sim) {
    let (name, levels) = match sim.dice.below(10) {
        0..=3 => ("none", CloudLevels::NONE),
        4..=7 => ("mild", CloudLevels::MILD),
        _ => ("rough", CloudLevels::ROUGH),
    };
    sim.tell(|| format!("faults in AWS: {name}"));
    sim.set_cloud_faults(levels);
}

/// Between every two steps of a delete: the next call of a kind is the last of the process, or its answer is lost.
fn kill_on_the_way(sim: &mut Sim) {
    let effect = sim.dice.chance(500);
    let second = Duration::from_secs(1);
    let late = Duration::from_millis(sim.dice.below(20_000));
    match sim.dice.below(9) {
        0 | 1 => sim.script_cloud(CloudCall::Delete, &CloudFate::Crash(effect)),
        2 => sim.script_cloud(CloudCall::Describe, &CloudFate::Crash(effect)),
        3 => sim.script_cloud(CloudCall::Kin, &CloudFate::Crash(effect)),
        4 => sim.script_cloud(CloudCall::Tag, &CloudFate::Crash(effect)),
        5 => sim.script_cloud(CloudCall::Delete, &CloudFate::LostAnswer(second)),
        6 => sim.script_cloud(CloudCall::Delete, &CloudFate::Straggler(second, late)),
        7 => sim.script_crash(Call::SetStatus, effect),
        _ => sim.script_crash(Call::Delete, effect),
    }
    sim.tell(|| format!("somebody stumbles over a cable, after the effect: {effect}"));
}

/// Somebody deletes an object of ACK's, past KRO.
fn delete_object(sim: &mut Sim) {
    let Some((kind, key)) = some_object(sim) else { return };
    sim.tell(|| format!("delete {kind} {key:?}"));
    drop(sim.world().remove(kind, &key));
}
