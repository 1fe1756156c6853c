//! What happens in a story: two hundred seeded steps in which people, the platform and misfortune do what they do, and then a
//! quiet time in which everything that is due must come to its end.

use crate::{
    bugs::Bug,
    oracle::Broken,
    people::{create, delete, edit_ttl, extend, keep, some_date},
    sim::{DEFINITION, NAMESPACES, Sim},
};
use clonewarden::{
    model::{Kind, State, names},
    sandbox::{
        faults::Levels,
        history::Actor,
        json,
        world::{Key, World},
    },
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::time::Duration;

/// How many steps a story has.
pub(crate) const STEPS: usize = 200;
/// How many clones there are at most in an ordinary story, and in one of ten.
const FEW: usize = 7;
pub(crate) const MANY: usize = 16;

/// How many times twenty seconds the quiet time at the end lasts: what is announced then must come to its end in it. With AWS, what
/// soaks, too, twice: an object that stands for a database, and the database that is found to be there still.
const QUIET: usize = 11;
const QUIET_WITH_AWS: usize = 36;

/// What a story came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Told {
    /// Clones that a daemon deleted.
    pub(crate) deleted: usize,
    /// Those of them whose end came as a surprise.
    pub(crate) surprised: usize,
    /// What a daemon deleted in AWS.
    pub(crate) in_aws: usize,
    /// Schemas that it dropped.
    pub(crate) dropped: usize,
}

/// Tells the story of a seed, on paused time.
pub(crate) fn tell(seed: u64, bug: Bug, aloud: bool) -> Result<Told, Broken> {
    let runtime = runtime();
    runtime.block_on(async {
        let mut sim = Sim::new(seed, bug, aloud);
        play(&mut sim).await?;
        let oracle = &sim.oracle;
        Ok(Told { deleted: oracle.deleted, surprised: oracle.surprised, in_aws: oracle.estate.deleted, dropped: oracle.dropped })
    })
}

/// A number that depends on every write of a seed's story.
pub(crate) fn digest_of(seed: u64) -> u64 {
    let runtime = runtime();
    runtime.block_on(async {
        let mut sim = Sim::new(seed, Bug::None, false);
        drop(play(&mut sim).await);
        digest(&sim.world())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

async fn play(sim: &mut Sim) -> Result<(), Broken> {
    let most = if sim.rng.chance(100) { MANY } else { FEW };
    for _ in 0..STEPS {
        sim.catch_up()?;
        step(sim, most).await?;
    }
    quiet(sim).await
}

async fn step(sim: &mut Sim, most: usize) -> Result<(), Broken> {
    if sim.aws && sim.dice.chance(250) {
        crate::sky::step(sim);
        return Ok(());
    }
    if sim.hosted && sim.hosting.chance(150) {
        crate::hosted::step(sim);
        return Ok(());
    }
    let dice = sim.rng.below(100);
    let pass = |low: u64, high: u64, sim: &mut Sim| Duration::from_millis(sim.rng.between(low * 1_000, high * 1_000));
    let time = match dice {
        0..=15 => pass(0, 5, sim),
        16..=27 => pass(5, 40, sim),
        28..=31 => pass(40, 150, sim),
        32 if sim.rng.chance(400) => pass(150, 600, sim),
        _ => Duration::ZERO,
    };
    if !time.is_zero() {
        sim.tell(|| format!("{time:?} pass"));
        return sim.pass(time).await;
    }
    match dice {
        33..=50 => create(sim, most),
        51..=56 => extend(sim),
        57..=62 => keep(sim),
        63..=66 => edit_ttl(sim),
        67..=70 => delete(sim),
        71..=74 => switch_policy(sim),
        75..=77 => break_platform(sim),
        78..=79 => skew(sim),
        80..=83 => sim.crash(),
        84..=85 => sim.scale(),
        86..=88 => pause(sim),
        89..=90 => release(sim),
        91..=93 => faults(sim),
        94 => relabel(sim),
        95..=96 => forge(sim),
        97..=98 => touch(sim),
        _ => break_object(sim),
    }
    Ok(())
}

/// Everything works again. What is due goes; what is kept, held back or young stays.
async fn quiet(sim: &mut Sim) -> Result<(), Broken> {
    sim.catch_up()?;
    sim.tell(|| "everything works again".to_owned());
    sim.heal();
    for kind in Kind::ALL {
        sim.world().serve(kind);
    }
    drop(sim.world().create_definition(DEFINITION, "sim"));
    with_state(sim, |state| state.paused = None);
    let since = sim.now();
    if sim.aws {
        crate::sky::heal(sim);
    }
    for _ in 0..if sim.aws || sim.hosted { QUIET_WITH_AWS } else { QUIET } {
        sim.pass(Duration::from_secs(20)).await?;
        release(sim);
    }
    sim.oracle.at_rest(&sim.world(), &sim.rules, since)?;
    let server = sim.server.lock().unwrap().clone();
    sim.oracle.host_at_rest(&sim.world(), &server, &sim.rules, since)
}

pub(crate) fn some_clone(sim: &mut Sim) -> Option<Key> {
    let clones: Vec<Key> = sim
        .world()
        .objects(Kind::Clone)
        .map(|clone| (json::text(clone, "/metadata/namespace").to_owned(), json::text(clone, "/metadata/name").to_owned()))
        .collect();
    sim.rng.pick(&clones).cloned()
}

fn switch_policy(sim: &mut Sim) {
    let index = usize::try_from(sim.rng.below(sim.rules.len() as u64)).unwrap();
    let what = sim.rng.below(10);
    let mut pick = |low, high| i64::try_from(sim.rng.between(low, high)).unwrap();
    let rule = &mut sim.rules[index];
    match what {
        0..=5 => rule.enforce = !rule.enforce,
        6 => rule.default = pick(60, 300),
        7 => rule.maximum = pick(300, 1_500),
        8 => rule.minimum = pick(10, 60),
        _ => rule.grace = pick(60, 90),
    }
    sim.tell(|| format!("policy {:?}", sim.rules[index]));
    let all = sim.rng.chance(700);
    sim.publish(all);
}

/// KRO's definition or the clones' CRD goes, or comes back.
fn break_platform(sim: &mut Sim) {
    let mut world = sim.world();
    let definition = (String::new(), DEFINITION.to_owned());
    let what = if !world.served(Kind::Clone) {
        world.serve(Kind::Clone);
        "the CRD is back"
    } else if world.get(Kind::Definition, "", DEFINITION).is_none() {
        drop(world.create_definition(DEFINITION, "sim"));
        "the definition is back"
    } else {
        drop(world);
        let (dice, objects) = (sim.rng.below(10), sim.rng.chance(300));
        world = sim.world();
        if dice < 7 {
            drop(world.remove(Kind::Definition, &definition));
            "the definition is gone"
        } else {
            world.vanish(Kind::Clone, objects);
            if objects {
                let now = world.now().as_second();
                drop(world);
                sim.oracle.estate.wiped(Kind::Clone, now);
                sim.oracle.clones_wiped();
                world = sim.world();
            }
            "the CRD is gone"
        }
    };
    drop(world);
    sim.tell(|| what.to_owned());
}

fn skew(sim: &mut Sim) {
    const SKEWS: [i64; 16] = [0, 0, 0, 5, -5, 20, -20, 28, -28, 45, -45, 600, -600, 7_200, -7_200, 40_000];
    let skew = sim.rng.pick(&SKEWS).copied().unwrap_or_default();
    sim.tell(|| format!("a clock is {skew} s ahead"));
    sim.set_skew(SignedDuration::from_secs(skew));
}

/// A person's command: reads the state, changes it, writes it back.
pub(crate) fn with_state(sim: &Sim, change: impl FnOnce(&mut State)) {
    const NAME: &str = "clonewarden-state";
    let mut world = sim.world();
    let stored = world.state(NAME);
    let mut data = stored.as_ref().map(|stored| stored.data.clone()).unwrap_or_default();
    let mut state: State = data.get("state.json").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    change(&mut state);
    data.insert("state.json".to_owned(), serde_json::to_string(&state).unwrap());
    let issue = world.issue(Actor::Person);
    world.write_state(&issue, NAME, data, stored.as_ref().map(|stored| stored.resource_version.as_str())).unwrap();
}

fn pause(sim: &mut Sim) {
    // A pause that nobody lifts would make the rest of the story dull.
    let at = sim.world().now();
    with_state(sim, |state| {
        state.paused =
            if state.paused.is_some() { None } else { serde_json::from_value(json!({"since": at.to_string(), "reason": "a look"})).unwrap() };
    });
    sim.tell(|| "pause or resume".to_owned());
}

/// Releases the brake of every policy.
fn release(sim: &mut Sim) {
    let names: Vec<&str> = sim.rules.iter().map(|rule| rule.name).collect();
    let waits = ["tripped", "collapsed", "clusterIdShared", "credentialsKeyLost"];
    let waits = |text: &String| waits.iter().any(|word| text.contains(&format!("\"{word}\"")));
    let waiting = sim.world().state("clonewarden-state").is_some_and(|stored| stored.data.values().any(waits));
    if waiting {
        sim.tell(|| "release every brake".to_owned());
        let inherits = sim.aws || sim.hosted;
        with_state(sim, |state| {
            for name in &names {
                state.release_brake(name);
            }
            state.release_source("credentials-key", false);
            if inherits {
                let collapsed: Vec<String> = state.populations.keys().cloned().collect();
                for source in collapsed {
                    state.release_source(&source, false);
                }
                state.release_source("cluster-id", false);
            }
        });
    }
}

fn faults(sim: &mut Sim) {
    let levels = match sim.rng.below(10) {
        0..=3 => ("none", Levels::NONE),
        4..=7 => ("mild", Levels::MILD),
        _ => ("rough", Levels::ROUGH),
    };
    sim.tell(|| format!("faults: {}", levels.0));
    sim.set_faults(levels.1);
}

fn relabel(sim: &mut Sim) {
    let Some((namespace, _)) = sim.rng.pick(&NAMESPACES).copied() else { return };
    let env = sim.rng.pick(&[None, Some("staging"), Some("staging"), Some("review")]).copied().flatten();
    sim.tell(|| format!("label {namespace} {env:?}"));
    let mut world = sim.world();
    let issue = world.issue(Actor::Person);
    let change = |object: &mut Value| json::set(object, &["metadata", "labels"], "env", env.map(Into::into));
    drop(world.change(&issue, Kind::Namespace, ("", namespace), None, change));
}

/// Somebody writes what only the daemon should, or takes it away.
fn forge(sim: &mut Sim) {
    let Some(clone) = some_clone(sim) else { return };
    let (expires, announced) = (sim.rng.chance(500).then(|| some_date(sim)), sim.rng.chance(500).then(|| some_date(sim)));
    sim.tell(|| format!("forge {clone:?} {expires:?} {announced:?}"));
    let mut world = sim.world();
    drop(world.annotate_clone(&clone, names::EXPIRES_AT, expires.as_deref()));
    drop(world.annotate_clone(&clone, names::ANNOUNCED_AT, announced.as_deref()));
}

/// A change that means nothing, except that the object is not the one that was judged.
fn touch(sim: &mut Sim) {
    let Some(clone) = some_clone(sim) else { return };
    let text = sim.rng.below(1_000).to_string();
    drop(sim.world().annotate_clone(&clone, "example.com/touched", Some(&text)));
}

/// Something that should not happen to an object, or to the daemon's own memory.
fn break_object(sim: &mut Sim) {
    if sim.rng.chance(200) {
        sim.tell(|| "the state is lost".to_owned());
        sim.world().lose_state("clonewarden-state");
        let now = sim.now();
        return sim.oracle.state_lost(now);
    }
    if sim.rng.chance(150) {
        sim.tell(|| "the key is lost".to_owned());
        return sim.world().lose_secret(names::KEY_SECRET);
    }
    let Some(clone) = some_clone(sim) else { return };
    sim.tell(|| format!("{clone:?} cannot be dated any more"));
    drop(sim.world().edit_clone(&clone, |object| json::set(object, &["metadata"], "creationTimestamp", None)));
}

fn digest(world: &World) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hash = DefaultHasher::new();
    for write in world.history() {
        (write.at.as_millisecond(), write.daemon(), &write.namespace, &write.name, write.after.as_ref().map(|after| after.to_string()))
            .hash(&mut hash);
    }
    hash.finish()
}
