//! The harness: one world, the product's own engine once or twice over it, and the oracle that reads along.
//!
//! Time is tokio's, paused: nothing waits for real, and the same seed tells the same story to the last write.

use crate::{
    aloud::{Aloud, gist},
    bugs::Bug,
    oracle::{Broken, Oracle, seconds},
    rulebook::{first_rules, product},
    rules::Rule,
};
use clonewarden::{
    act::{journal::Journal, keyring::Keyring},
    daemon::{
        engine::{Ended, Engine, Vitals},
        warden::Nobody,
    },
    model::Kind,
    policy::Policies,
    ports::Clock,
    rng::Rng,
    sandbox::{
        ack::REGION,
        clock::SandboxClock,
        cloud::{
            faults::{CloudCall, CloudFate, CloudLevels},
            handle::SandboxCloud,
            thing::Pace,
        },
        cluster::SandboxCluster,
        faults::{Call, Fate, Levels},
        hosts::{SandboxHosts, Server},
        platform::Platform,
        world::World,
    },
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// When every story begins.
const BEGIN: i64 = 1_770_301_822;
/// The namespaces: the first is governed by name, the next two by label, the last by nobody.
pub(crate) const NAMESPACES: [(&str, Option<&str>); 4] = [("prod", None), ("blue", Some("staging")), ("green", Some("staging")), ("free", None)];
/// A second region, in which ACK does not work.
pub(crate) const ELSEWHERE: &str = "eu-west-1";
/// How many stories of a thousand have AWS in them: one takes as long to tell as six others, and `SIM_SEEDS` has more.
const WITH_AWS: u16 = 150;
/// How many stories of a thousand have a shared host in them.
const WITH_HOST: u16 = 150;
/// KRO's definition of clones.
pub(crate) const DEFINITION: &str = "wordpress-clone";

/// One process.
struct Daemon {
    handle: SandboxCluster,
    cloud: SandboxCloud,
    clock: SandboxClock,
    policies: watch::Sender<Arc<Policies>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<Ended>,
    /// It was told to stop, and is not to come back.
    leaving: bool,
}

pub(crate) struct Sim {
    pub(crate) rng: Rng,
    pub(crate) rules: Vec<Rule>,
    pub(crate) oracle: Oracle,
    pub(crate) levels: Levels,
    pub(crate) cloud_levels: CloudLevels,
    /// Whether the daemons govern AWS, and orphans come to their end within the story.
    pub(crate) aws: bool,
    /// What happens in AWS draws its own numbers: without it, a seed tells what it always told.
    pub(crate) dice: Rng,
    /// Whether there is a shared database host; what happens on it draws its own numbers, too.
    pub(crate) hosted: bool,
    pub(crate) hosting: Rng,
    pub(crate) server: Arc<Mutex<Server>>,
    /// What it can be restored to.
    pub(crate) past: Option<Server>,
    /// How many daemons there should be.
    pub(crate) wanted: usize,
    world: Arc<Mutex<World>>,
    truth: SandboxClock,
    pub(crate) platform: Platform,
    bug: Bug,
    daemons: Vec<Daemon>,
    started: u32,
    revision: u32,
    tell: bool,
    told: usize,
    told_of_aws: usize,
}

impl Sim {
    pub(crate) fn new(seed: u64, bug: Bug, tell: bool) -> Self {
        let mut rng = Rng::new(seed);
        let begin = Timestamp::from_second(BEGIN).unwrap();
        let mut platform = Platform::new(rng.bits());
        platform.idle = 100;
        platform.leave_pods = 50;
        platform.leave_children = 30;
        let mut dice = Rng::new(seed ^ 0x0a05_5eed);
        let aws = bug.is_in_aws() || bug == Bug::None && dice.chance(WITH_AWS);
        let mut hosting = Rng::new(seed ^ 0x0b05_7ed5);
        let hosted = bug.is_on_host() || bug == Bug::None && hosting.chance(WITH_HOST);
        let mut rules = first_rules(&mut rng);
        if aws || hosted {
            rules.iter_mut().for_each(|rule| rule.hasten_orphans(&mut dice));
        }
        let mut sim = Self {
            rules,
            oracle: Oracle::new(),
            levels: Levels::NONE,
            cloud_levels: CloudLevels::NONE,
            aws,
            dice,
            hosted,
            hosting,
            server: Arc::default(),
            past: None,
            wanted: 1,
            world: Arc::new(Mutex::new(World::new(rng.bits(), begin))),
            truth: SandboxClock::new(begin),
            platform,
            bug,
            daemons: Vec::new(),
            started: 0,
            revision: 0,
            tell,
            told: 0,
            told_of_aws: 0,
            rng,
        };
        sim.oracle.inherits = aws;
        if aws {
            sim.platform.ack.looks_again = 100;
            sim.world().aws.set_pace(Pace::BRISK);
        }
        for (name, env) in NAMESPACES {
            let labels: BTreeMap<String, String> = env.map(|env| ("env".to_owned(), env.to_owned())).into_iter().collect();
            sim.world().create_namespace(name, &labels).unwrap();
        }
        sim.world().create_definition(DEFINITION, "sim").unwrap();
        sim.start(SignedDuration::ZERO);
        sim
    }

    /// The world, with its clock moved to the present.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap();
        world.advance_to(self.truth.now());
        world
    }

    /// The API server's time, in seconds.
    pub(crate) fn now(&self) -> i64 {
        seconds(self.truth.now())
    }

    /// Says what happens, to somebody who replays one seed.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.tell {
            eprintln!("{} {}", self.truth.now(), what());
        }
    }

    /// Starts a process with a clock that is so far ahead.
    fn start(&mut self, skew: SignedDuration) {
        self.started += 1;
        let id = format!("daemon-{}", self.started);
        let handle = SandboxCluster::new(Arc::clone(&self.world), &id, self.truth.clone(), self.rng.bits());
        handle.set_faults(self.levels);
        let clock = self.truth.beside(skew);
        let regions: &[&str] = if self.aws { &[REGION, ELSEWHERE] } else { &[] };
        let cloud = SandboxCloud::new(&handle, Arc::new(clock.clone()), regions, self.dice.bits());
        cloud.set_faults(self.cloud_levels);
        let (policies, loaded) = watch::channel(Arc::new(product(&self.rules, self.revision, self.hosted)));
        self.oracle.loads(&id, self.now(), &Arc::new(self.rules.clone()));
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let mut vitals = Vitals::default();
        // A story is the same each time it is told: so are its keys.
        let random = Mutex::new(Rng::new(self.started as u64));
        let draw = move |bytes: &mut [u8]| {
            bytes.iter_mut().for_each(|byte| *byte = u8::try_from(random.lock().unwrap().below(256)).unwrap());
            true
        };
        vitals.keys = Arc::new(Keyring::drawing(Box::new(draw)));
        let engine = Engine {
            cluster: self.bug.cluster(handle.clone()),
            cloud: self.bug.cloud(cloud.clone()),
            hosts: self.bug.hosts(SandboxHosts::new(&handle, &self.server, self.hosting.bits()), &self.server),
            secrets: self.bug.secrets(handle.clone()),
            sweep_every: Duration::from_secs(if self.aws || self.hosted { 20 } else { 300 }),
            sweep: Arc::default(),
            clock: Arc::new(clock.clone()),
            address: String::new(),
            identity: id.clone(),
            cluster_id: Some(Arc::from("sim")),
            policies: loaded,
            planner: self.bug.planner(),
            wake: Arc::clone(&wake),
            journal: Arc::new(Journal::to(std::io::sink())),
            watcher: if self.tell { Arc::new(Aloud { daemon: id.clone(), last: Mutex::default() }) } else { Arc::new(Nobody) },
            vitals,
        };
        self.tell(|| format!("{id} starts, its clock is {skew:#} ahead"));
        let task = tokio::spawn(engine.run(stop.clone()));
        self.daemons.push(Daemon { handle, cloud, clock, policies, wake, stop, task, leaving: false });
    }

    /// Lets time pass; the platform works meanwhile, and processes that end come back as a kubelet brings them back.
    pub(crate) async fn pass(&mut self, time: Duration) -> Result<(), Broken> {
        let end = Instant::now() + time;
        let stride = Duration::from_secs(if time > Duration::from_secs(90) { 10 } else { 3 });
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.catch_up();
            }
            tokio::time::sleep(left.min(stride)).await;
            let mut world = self.world.lock().unwrap();
            world.advance_to(self.truth.now());
            self.platform.step(&mut world);
            drop(world);
            self.tend()?;
        }
    }

    /// Processes that ended are gone; as many are started as there should be.
    fn tend(&mut self) -> Result<(), Broken> {
        let mut index = 0;
        while index < self.daemons.len() {
            let daemon = &self.daemons[index];
            if !daemon.task.is_finished() && !daemon.handle.crashed() {
                index += 1;
                continue;
            }
            let daemon = self.daemons.remove(index);
            self.tell(|| format!("{} has ended{}", daemon.handle.id(), if daemon.handle.crashed() { ": it crashed" } else { "" }));
            // Nothing of a process that has ended goes on.
            daemon.handle.kill();
            daemon.clock.stop();
            daemon.task.abort();
            self.oracle.deaf(daemon.handle.id(), daemon.handle.deafness());
            if let Some(Ok(Ended::TaskDied(part))) = futures::FutureExt::now_or_never(daemon.task) {
                return Err(Broken { promise: "alive", what: format!("the {part} task died") });
            }
        }
        while self.daemons.iter().filter(|daemon| !daemon.leaving).count() < self.wanted {
            self.start(SignedDuration::ZERO);
        }
        Ok(())
    }

    /// Lets the oracle read what has happened.
    pub(crate) fn catch_up(&mut self) -> Result<(), Broken> {
        for daemon in &self.daemons {
            self.oracle.deaf(daemon.handle.id(), daemon.handle.deafness());
        }
        let mut world = self.world.lock().unwrap();
        world.advance_to(self.truth.now());
        if self.tell {
            for write in world.history().iter().skip(self.told).filter(|write| write.daemon().is_some()) {
                let (kind, by, path) =
                    (write.kind.map_or("", Kind::name), write.daemon().unwrap_or_default(), format!("{}/{}", write.namespace, write.name));
                eprintln!(
                    "    {} {by} {:?} {kind} {path} {:?} -> {:?}",
                    write.at,
                    write.verb,
                    gist(write.before.as_deref()),
                    gist(write.after.as_deref())
                );
            }
            self.told = world.history().len();
            for write in world.aws.history().iter().skip(self.told_of_aws) {
                let (by, thing) = (&write.issue.by, write.thing().map(|thing| (&thing.seen.arn, &thing.seen.resource_id)));
                eprintln!("    {} {by:?} in AWS: {:?} of {thing:?}", write.at, write.deed);
            }
            self.told_of_aws = world.aws.history().len();
        }
        let holder = world.lease("clonewarden").map(|lease| lease.holder).unwrap_or_default();
        let acting = self.daemons.iter().map(|daemon| &daemon.handle).find(|handle| handle.id() == holder && !handle.crashed());
        let hears_all = |handle: &&SandboxCluster| {
            self.levels != Levels::ROUGH && handle.deafness().iter().all(|deaf| deaf.kind != Kind::Namespace || deaf.until.is_some())
        };
        self.oracle.catch_up(&world, acting.filter(hears_all).map(SandboxCluster::id))?;
        drop(world);
        self.oracle.catch_up_on_host(&self.server.lock().unwrap())
    }

    /// Sends the present rules to the daemons; `all`, or each only perhaps.
    pub(crate) fn publish(&mut self, all: bool) {
        self.revision += 1;
        let (rules, policies, now) = (Arc::new(self.rules.clone()), Arc::new(product(&self.rules, self.revision, self.hosted)), self.now());
        for daemon in &self.daemons {
            if all || self.rng.chance(800) {
                daemon.policies.send_replace(Arc::clone(&policies));
                daemon.wake.notify_one();
                self.oracle.loads(daemon.handle.id(), now, &rules);
            }
        }
    }

    /// How much goes wrong from now on.
    pub(crate) fn set_faults(&mut self, levels: Levels) {
        self.levels = levels;
        for daemon in &self.daemons {
            daemon.handle.set_faults(levels);
        }
    }

    /// How much goes wrong on the way to AWS from now on.
    pub(crate) fn set_cloud_faults(&mut self, levels: CloudLevels) {
        self.cloud_levels = levels;
        for daemon in &self.daemons {
            daemon.cloud.set_faults(levels);
        }
    }

    /// Every process meets this fate at its next call of this kind.
    pub(crate) fn script_cloud(&self, call: CloudCall, fate: &CloudFate) {
        for daemon in &self.daemons {
            daemon.cloud.script(call, fate.clone());
        }
    }

    /// Every process dies at its next call of this kind to the API server, before or after its effect.
    pub(crate) fn script_crash(&self, call: Call, effect: bool) {
        for daemon in &self.daemons {
            daemon.handle.script(call, Fate::Crash(effect));
        }
    }

    /// A clock jumps.
    pub(crate) fn set_skew(&mut self, skew: SignedDuration) {
        let index = usize::try_from(self.rng.below(self.daemons.len() as u64)).unwrap();
        if let Some(daemon) = self.daemons.get(index) {
            daemon.clock.set_skew(skew);
        }
    }

    /// Every clock is right, every process has the present rules and may go on.
    pub(crate) fn heal(&mut self) {
        self.set_faults(Levels::NONE);
        self.set_cloud_faults(CloudLevels::NONE);
        crate::hosted::heal(self);
        for daemon in &self.daemons {
            daemon.clock.set_skew(SignedDuration::ZERO);
        }
        self.publish(true);
    }

    /// A process dies soon, between two of its calls.
    pub(crate) fn crash(&mut self) {
        let (calls, effect) = (u32::try_from(self.rng.below(30)).unwrap(), self.rng.chance(500));
        let index = usize::try_from(self.rng.below(self.daemons.len() as u64)).unwrap();
        if let Some(daemon) = self.daemons.get(index) {
            daemon.handle.crash_after(calls, effect);
        }
    }

    /// A second process comes, or one of two is told to stop.
    pub(crate) fn scale(&mut self) {
        if self.wanted == 1 {
            self.wanted = 2;
            let skew = self.rng.between(0, 40);
            self.start(SignedDuration::from_secs(i64::try_from(skew).unwrap() - 20));
        } else {
            self.wanted = 1;
            let index = usize::try_from(self.rng.below(self.daemons.len() as u64)).unwrap();
            if let Some(daemon) = self.daemons.get_mut(index) {
                daemon.stop.cancel();
                daemon.leaving = true;
            }
        }
    }
}
