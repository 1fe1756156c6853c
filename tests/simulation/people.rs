//! What people do to clones in a story.

use crate::{
    rulebook::HOST,
    sim::{NAMESPACES, Sim},
    story::{MANY, some_clone},
};
use clonewarden::{
    model::{Kind, names},
    sandbox::json,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) fn create(sim: &mut Sim, most: usize) {
    if sim.world().objects(Kind::Clone).count() >= most {
        return;
    }
    // In a story of many clones most of them are in one namespace, so that percentages mean something.
    let namespace = if most == MANY && sim.rng.chance(900) { "prod" } else { sim.rng.pick(&NAMESPACES).map_or("prod", |(name, _)| name) };
    let name = format!("c{}", sim.rng.below(most as u64 * 2));
    let mut spec = json!({"sourceUrl": "https://example.com"});
    if let Some(ttl) = some_ttl(sim) {
        json::set(&mut spec, &[], "ttlSeconds", Some(ttl));
    }
    if sim.rng.chance(200) || sim.aws && sim.dice.chance(500) {
        json::set(&mut spec, &[], "useDedicatedDatabase", Some(true.into()));
        if sim.aws && sim.dice.chance(300) {
            json::set(&mut spec, &[], "serverless", Some(json!({"minACU": 0.5, "maxACU": 2})));
        }
    }
    if sim.hosted && spec.get("useDedicatedDatabase").is_none() && sim.hosting.chance(700) {
        json::set(&mut spec, &[], "sharedDatabase", Some(json!({"host": HOST})));
    }
    if sim.rng.chance(20) {
        spec = sim.rng.pick(&[Value::Null, json!("none"), json!([])]).cloned().unwrap();
    }
    let mut annotations = BTreeMap::new();
    if sim.rng.chance(100) {
        annotations.insert(names::EXTEND_UNTIL.to_owned(), some_date(sim));
    }
    if sim.rng.chance(80) {
        annotations.insert(names::KEEP.to_owned(), some_keep(sim));
    }
    if sim.rng.chance(30) {
        // A manifest that was exported with what an earlier clone was promised.
        annotations.insert(names::EXPIRES_AT.to_owned(), some_date(sim));
        annotations.insert(names::ANNOUNCED_AT.to_owned(), some_date(sim));
    }
    sim.tell(|| format!("create {namespace}/{name} {spec} {annotations:?}"));
    drop(sim.world().create_clone(namespace, &name, spec, &annotations));
}

/// A TTL as people write it: mostly sensible, sometimes not.
pub(crate) fn some_ttl(sim: &mut Sim) -> Option<Value> {
    let odd = [json!(0), json!(-60), json!("600"), json!(90.5), json!(null), json!(true), json!(u64::MAX), json!({"seconds": 60})];
    match sim.rng.below(20) {
        0..=3 => None,
        4 => sim.rng.pick(&odd).cloned(),
        5..=6 => Some(sim.rng.between(1, 3_000).into()),
        _ => Some(sim.rng.between(20, 240).into()),
    }
}

pub(crate) fn some_date(sim: &mut Sim) -> String {
    let shift = i64::try_from(sim.rng.between(0, 900)).unwrap() - 200;
    let date = Timestamp::from_second(sim.now() + shift).unwrap();
    let odd = ["tomorrow", "2026-02-05", "", "2026-02-05T16:30:22+01:00[Europe/Berlin]", "1770301822"];
    match sim.rng.below(12) {
        0 => sim.rng.pick(&odd).copied().unwrap_or_default().to_owned(),
        1 => "9999-12-30T22:00:00Z".to_owned(),
        2 => date.to_string().replace('Z', ".25Z"),
        3 => Timestamp::from_second(sim.now() + shift + 3_600).unwrap().to_string().replace('Z', "+01:00"),
        _ => date.to_string(),
    }
}

pub(crate) fn some_keep(sim: &mut Sim) -> String {
    sim.rng.pick(&["true", "true", "true", "false", "yes", "", "True"]).copied().unwrap_or_default().to_owned()
}

pub(crate) fn extend(sim: &mut Sim) {
    let Some(clone) = some_clone(sim) else { return };
    let date = sim.rng.chance(850).then(|| some_date(sim));
    sim.tell(|| format!("extend {clone:?} {date:?}"));
    drop(sim.world().annotate_clone(&clone, names::EXTEND_UNTIL, date.as_deref()));
}

pub(crate) fn keep(sim: &mut Sim) {
    let Some(clone) = some_clone(sim) else { return };
    let keep = sim.rng.chance(500).then(|| some_keep(sim));
    sim.tell(|| format!("keep {clone:?} {keep:?}"));
    drop(sim.world().annotate_clone(&clone, names::KEEP, keep.as_deref()));
}

pub(crate) fn edit_ttl(sim: &mut Sim) {
    let Some(clone) = some_clone(sim) else { return };
    let ttl = some_ttl(sim);
    sim.tell(|| format!("ttl {clone:?} {ttl:?}"));
    drop(sim.world().set_spec(&clone, "ttlSeconds", ttl));
}

/// Somebody deletes a clone; sometimes by force, sometimes to make it again at once.
pub(crate) fn delete(sim: &mut Sim) {
    let Some(clone) = some_clone(sim) else { return };
    let (force, again) = (sim.rng.chance(300), sim.rng.chance(600));
    sim.tell(|| format!("delete {clone:?} force={force} again={again}"));
    let mut world = sim.world();
    drop(world.remove(Kind::Clone, &clone));
    if force {
        drop(world.strip_finalizers(Kind::Clone, &clone));
    }
    drop(world);
    if again {
        let ttl = some_ttl(sim);
        drop(sim.world().create_clone(&clone.0, &clone.1, json!({"ttlSeconds": ttl}), &BTreeMap::new()));
    }
}
