//! The daemon on the real parts: etcd, kube-apiserver, controllers, scheduler, kwok, KRO, ACK and an AWS endpoint.
//!
//! ```text
//! cargo run -p clonewarden-platform -- run -- cargo test --test e2e -- --nocapture
//! ```
//!
//! Each scene has an installation of its own: a namespace with clonewarden's account, lease and state, under the RBAC it ships
//! with, and policies that name this scene's clone namespaces and no others. So scenes run beside each other; those that upset a part
//! that few use, such as the AWS endpoint, keep only these out. Those that
//! disturb everybody (the API server restarted, the RGD gone, orphans of which every daemon writes its own opinion on the one
//! `Orphan`) or look at what everybody did run after them, alone, in the order of the table. `CLONEWARDEN_E2E_SCENES=brake,pause` plays only those, for whoever works on one.

#![expect(clippy::indexing_slicing, reason = "a field that JSON lacks is null, and no scene takes null for what it wants to see")]

mod harness;
mod scenes;

use anyhow::{Context, Result, bail, ensure};
use futures::future::BoxFuture;
use harness::stage::Stage;
use std::{
    any::Any,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Mutex, RwLock, Semaphore},
    task::JoinSet,
};

/// How many scenes play beside each other at most: with more of them on two cores, each is late for reasons of its own.
const AT_ONCE: usize = 6;
/// A scene that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(300);

/// One scene: returns what it measured, in a few words.
struct Scene {
    name: &'static str,
    place: Place,
    play: fn(Arc<Stage>) -> BoxFuture<'static, Result<String>>,
}

macro_rules! scenes {
    ($($name:ident $place:ident;)*) => {
        const SCENES: &[Scene] = &[$(Scene {
            name: stringify!($name),
            place: Place::$place,
            play: |stage| Box::pin(scenes::$name::play(stage)),
        }),*];
    };
}

/// What may play beside a scene.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Whatever does not play alone.
    Beside,
    /// What does not upset AWS, where databases of its clones are.
    UnderSky,
    /// What has nothing in AWS: this scene begins with an empty account, and upsets it.
    Sky,
    /// What needs no MariaDB: this scene upsets it, or must not see it upset.
    MariaDb,
    /// Nothing.
    Alone,
}

/// What of the parts one scene may keep others from.
#[derive(Default)]
struct Shared {
    sky: Arc<RwLock<()>>,
    mariadb: Arc<Mutex<()>>,
}

impl Shared {
    /// Waits until the scene keeps nobody from what they have, and nobody it.
    async fn take(&self, place: Place) -> Box<dyn Any + Send> {
        match place {
            Place::Beside | Place::Alone => Box::new(()),
            Place::UnderSky => Box::new(Arc::clone(&self.sky).read_owned().await),
            Place::Sky => Box::new(Arc::clone(&self.sky).write_owned().await),
            Place::MariaDb => Box::new(Arc::clone(&self.mariadb).lock_owned().await),
        }
    }
}

scenes! {
    money Beside;
    idle MariaDb;
    hosts MariaDb;
    billing Sky;
    cloudwatch Sky;
    prices Sky;
    expiry Beside;
    rebirth Beside;
    snooze Beside;
    backlog Beside;
    approve Beside;
    crash Beside;
    pause Beside;
    quota Beside;
    failover Beside;
    messages UnderSky;
    certificates Beside;
    placement UnderSky;
    secrecy Beside;
    journal Beside;
    notify Beside;
    people UnderSky;
    reload Beside;
    alerts Beside;
    services Alone;
    admission Alone;
    traces Beside;
    outage Alone;
    definition Alone;
    orphans Alone;
    page Alone;
    credentials Alone;
    databases Alone;
    leaks Alone;
    adrift Alone;
    deaths Alone;
    regions Alone;
    rights Alone;
    schemas Alone;
    crowd Alone;
    install Alone;
}

/// How a scene ended.
struct Played {
    name: &'static str,
    took: Duration,
    outcome: Result<String>,
}

#[test]
fn every_scene_on_the_real_parts() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let played = runtime.block_on(play_all()).unwrap_or_else(|error| panic!("no scene could be played: {}", story(&error)));
    println!("\n{}", table(&played, begun.elapsed()));
    // Once more, and last: whoever sees only the end of a long log is to see why.
    let stories = played.iter().filter_map(|scene| Some(format!("{}: {}", scene.name, story(scene.outcome.as_ref().err()?))));
    let stories: Vec<String> = stories.collect();
    assert!(stories.is_empty(), "these scenes failed:\n{}", stories.join("\n"));
}

async fn play_all() -> Result<Vec<Played>> {
    let chosen = chosen()?;
    let begun = Instant::now();
    let stage = Arc::new(Stage::set().await?);
    let mut played = vec![Played { name: "(setup)", took: begun.elapsed(), outcome: Ok(String::new()) }];
    let mut beside = JoinSet::new();
    let (places, shared) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Shared::default()));
    for scene in chosen.iter().copied().filter(|scene| scene.place != Place::Alone) {
        let (stage, places, shared) = (Arc::clone(&stage), Arc::clone(&places), Arc::clone(&shared));
        beside.spawn(async move {
            // In this order: who waits for a part takes nobody's place.
            let _shared = shared.take(scene.place).await;
            let _place = places.acquire().await?;
            anyhow::Ok(play(scene, stage).await)
        });
    }
    while let Some(scene) = beside.join_next().await {
        played.push(scene??);
    }
    if played.iter().any(|scene| scene.outcome.is_err()) {
        stage.restore().await?;
    }
    for scene in chosen.iter().filter(|scene| scene.place == Place::Alone) {
        let scene = play(scene, Arc::clone(&stage)).await;
        if scene.outcome.is_err() {
            // The next scene is not to fail for this one's reasons.
            stage.restore().await?;
        }
        played.push(scene);
    }
    Ok(played)
}

/// Every scene, or those that are asked for.
fn chosen() -> Result<Vec<&'static Scene>> {
    let Some(names) = std::env::var_os("CLONEWARDEN_E2E_SCENES") else { return Ok(SCENES.iter().collect()) };
    let names = names.into_string().ok().context("CLONEWARDEN_E2E_SCENES is not text")?;
    let known = SCENES.iter().map(|scene| scene.name).collect::<Vec<_>>().join(", ");
    let scenes =
        names.split(',').map(|name| SCENES.iter().find(|scene| scene.name == name).with_context(|| format!("no scene `{name}`; there are {known}")));
    let scenes: Vec<_> = scenes.collect::<Result<_>>()?;
    ensure!(!scenes.is_empty(), "CLONEWARDEN_E2E_SCENES names no scene");
    println!("ONLY these scenes are played: {names}");
    Ok(scenes)
}

async fn play(scene: &'static Scene, stage: Arc<Stage>) -> Played {
    let begun = Instant::now();
    println!("{:<12} begins", scene.name);
    // In a task of its own: a panic in one scene is that scene's failure.
    let task = tokio::spawn((scene.play)(stage));
    let abort = task.abort_handle();
    let outcome = match tokio::time::timeout(LONGEST, task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            abort.abort();
            (|| bail!("it did not end within {} s", LONGEST.as_secs()))()
        }
    };
    let took = begun.elapsed();
    match &outcome {
        Ok(figures) => println!("{:<12} done in {:.1} s  {figures}", scene.name, took.as_secs_f64()),
        Err(error) => println!("{:<12} FAILED after {:.1} s\n  {}\n", scene.name, took.as_secs_f64(), story(error)),
    }
    Played { name: scene.name, took, outcome }
}

/// An error with its causes, and no stack: what was seen says more than where we looked.
fn story(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join("\n  because: ")
}

fn table(played: &[Played], total: Duration) -> String {
    let mut out = format!("{:<12} {:>8}  {:<8}figures\n", "scene", "seconds", "outcome");
    for scene in played {
        let (outcome, figures) = match &scene.outcome {
            Ok(figures) => ("ok", figures.as_str()),
            Err(_) => ("FAILED", ""),
        };
        let _ = writeln!(out, "{}", format!("{:<12} {:>8.1}  {outcome:<8}{figures}", scene.name, scene.took.as_secs_f64()).trim_end());
    }
    let _ = write!(out, "{:<12} {:>8.1}", "total", total.as_secs_f64());
    out
}
