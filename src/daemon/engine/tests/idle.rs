//! Clones that nothing uses, through the whole loop, with seeded faults on paused time: people use their clones, leave them, come back
//! within the grace, extend them; the host restarts, goes away, stops counting; processes are killed between any two steps.
//!
//! What is promised is checked against who really used what, and when:
//!
//! 1. no clone ends that was used within `idle.after`, before `ttl.minimum`, unannounced, or against an extension;
//! 2. once all is quiet, those that somebody uses live, and those that nobody uses are gone.

mod erring;

use super::*;
use crate::{model::schema::schema_name, rng::Rng, sandbox::hosts::Server};
use erring::{Bug, Erring};
use jiff::SignedDuration;
use site::Site;

const STEPS: usize = 100;
const SEEDS: u64 = 5;
const AFTER: SignedDuration = SignedDuration::from_mins(5);
const MINIMUM: SignedDuration = SignedDuration::from_mins(2);
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// Between the last proof and the deletion nobody can look.
const MOMENT: SignedDuration = SignedDuration::from_secs(1);
/// How many clones live at once.
const MOST: usize = 6;

fn inn_policies() -> Arc<Policies> {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: h}}\n\
         spec: {{endpoint: db.example.com, schemas: 100, credentialsDir: /etc/h}}\n---\n\
         apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\n\
         spec: {{mode: enforce, namespaces: {{names: [{OURS}]}}, ttl: {{minimum: 2m, default: 20h, maximum: 24h, warnings: [], grace: 1m}}, \
         idle: {{after: 5m}}, orphans: {{soak: 2m, observations: 2}}, brake: {{deletes: 1000, percent: 100}}}}\n"
    );
    Arc::new(load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap_or_else(|problems| panic!("{problems}")))
}

/// From when to when somebody used a schema.
type Stay = (Timestamp, Option<Timestamp>);

struct Inn {
    site: Site,
    bug: Bug,
    rng: Rng,
    made: usize,
    /// Who really used which schema, and when.
    stays: BTreeMap<String, Vec<Stay>>,
    judged: usize,
}

impl Inn {
    fn new(seed: u64, bug: Bug) -> Self {
        let site = Site::new(seed, inn_policies(), Server { trouble: 10, ..Server::default() });
        let mut inn = Self { site, bug, rng: Rng::new(seed), made: 0, stays: BTreeMap::new(), judged: 0 };
        inn.start();
        inn
    }

    fn start(&mut self) {
        let hosts = Erring::new(self.site.hosts(self.rng.bits()), self.bug);
        self.site.start(Arc::new(hosts), crate::plan::plan);
    }

    fn revive(&mut self) {
        self.site.kill();
        self.start();
    }

    /// The living clones: name and schema.
    fn living(&self) -> Vec<(String, String)> {
        let world = self.site.cluster.world();
        let both = |clone: &Arc<Value>| Some((json::text(clone, "/metadata/name").to_owned(), schema_name(json::text(clone, "/metadata/uid"))?));
        world.objects(Kind::Clone).filter_map(both).collect()
    }

    fn someone(&mut self) -> Option<(String, String)> {
        let living = self.living();
        self.rng.pick(&living).cloned()
    }

    /// One that is to end because nobody uses it.
    fn announced(&mut self) -> Option<String> {
        let world = self.site.cluster.world();
        let unused = |clone: &&Arc<Value>| json::entry(clone, "annotations", names::UNUSED_SINCE).is_some();
        let schema = |clone: &Arc<Value>| schema_name(json::text(clone, "/metadata/uid"));
        let announced: Vec<String> = world.objects(Kind::Clone).filter(unused).filter_map(schema).collect();
        drop(world);
        self.rng.pick(&announced).cloned()
    }

    /// Somebody looks at the site: there is nobody to be seen before its user is there.
    fn touch(&mut self, schema: &str) {
        let now = self.site.clock.now();
        let mut server = self.site.server.lock().unwrap();
        if server.users.contains(schema) && !server.down {
            server.touch(schema);
            self.stays.entry(schema.to_owned()).or_default().push((now, Some(now)));
        }
    }

    /// A long statement begins, or ends.
    fn run_or_end(&mut self, schema: &str) {
        let now = self.site.clock.now();
        let mut server = self.site.server.lock().unwrap();
        if server.down || !server.users.contains(schema) {
            return;
        }
        let stays = self.stays.entry(schema.to_owned()).or_default();
        if server.running.remove(schema) {
            server.touch(schema);
            stays.iter_mut().filter(|stay| stay.1.is_none()).for_each(|stay| stay.1 = Some(now));
        } else {
            server.running.insert(schema.to_owned());
            stays.push((now, None));
        }
    }

    fn all_leave(&mut self, now: Timestamp) {
        self.stays.values_mut().flatten().for_each(|stay| stay.1 = Some(stay.1.unwrap_or(now)));
    }

    /// What is broken is repaired before long.
    fn mend(&mut self) {
        let (up, counts) = (self.rng.chance(400), self.rng.chance(400));
        let mut server = self.site.server.lock().unwrap();
        server.down &= !up;
        // It counts again only once that it did not was seen: what happens between two looks nobody can know.
        let seen = server.memories.values().all(|memory| memory.mark.is_empty());
        server.uncounting &= !(counts && seen && self.bug != Bug::BelievesAnyHost);
    }

    fn something_happens(&mut self) {
        self.mend();
        match self.rng.below(30) {
            0..=3 if self.living().len() < MOST => {
                self.made += 1;
                let spec = json!({"sharedDatabase": {"host": "db.example.com"}});
                self.site.cluster.world().create_clone(OURS, &format!("clone-{}", self.made), spec, &BTreeMap::new()).unwrap();
            }
            0..=11 => {
                if let Some((_, schema)) = self.someone() {
                    self.touch(&schema);
                }
            }
            12 => {
                if let Some((_, schema)) = self.someone() {
                    self.run_or_end(&schema);
                }
            }
            13 => {
                let until = self.site.clock.now().checked_add(SignedDuration::from_mins(8)).unwrap().to_string();
                if let Some((name, _)) = self.someone() {
                    self.site.cluster.world().annotate_clone(&(OURS.to_owned(), name), names::EXTEND_UNTIL, Some(&until)).unwrap();
                }
            }
            14 | 15 => self.revive(),
            16 => {
                self.site.server.lock().unwrap().restart();
                self.all_leave(self.site.clock.now());
            }
            17 => self.site.server.lock().unwrap().down = true,
            18 => self.site.server.lock().unwrap().uncounting = true,
            19 | 20 => {
                if let Some(schema) = self.announced() {
                    self.touch(&schema);
                }
            }
            // Nobody comes.
            _ => {}
        }
    }

    fn check(&mut self) -> Result<(), String> {
        let world = self.site.cluster.world();
        let ends = world.history().iter().filter(|write| write.verb == Verb::Delete && write.kind == Some(Kind::Clone) && write.daemon().is_some());
        let ends: Vec<_> = ends.skip(self.judged).map(|write| (write.at, write.before.clone().unwrap())).collect();
        self.judged += ends.len();
        for (gone, clone) in ends {
            let name = json::text(&clone, "/metadata/name");
            let date = |key: &str| json::entry(&clone, "annotations", key).and_then(|text| text.parse::<Timestamp>().ok());
            let created: Timestamp = json::text(&clone, "/metadata/creationTimestamp").parse().unwrap();
            let schema = schema_name(json::text(&clone, "/metadata/uid")).unwrap();
            let in_use = |(from, to): &&Stay| *from <= gone - MOMENT && to.is_none_or(|to| to > gone - AFTER);
            if let Some(stay) = self.stays.get(&schema).and_then(|stays| stays.iter().find(in_use)) {
                return Err(format!("used: {name} at {gone}, used {stay:?}"));
            }
            if gone < created + MINIMUM {
                return Err(format!("young: {name} at {gone}"));
            }
            if date(names::EXPIRES_AT).is_none_or(|at| at > gone) || date(names::ANNOUNCED_AT).is_none_or(|at| at > gone - GRACE) {
                return Err(format!("unannounced: {name} at {gone}"));
            }
            if date(names::EXTEND_UNTIL).is_some_and(|until| until > gone) {
                return Err(format!("extended: {name} at {gone}"));
            }
        }
        Ok(())
    }

    /// Half of them are used on, the other half once more and then not.
    async fn come_to_rest(&mut self) -> Result<(), String> {
        let ended = {
            let mut server = self.site.server.lock().unwrap();
            let running = std::mem::take(&mut server.running);
            (server.down, server.uncounting) = (false, false);
            server.memories.values_mut().for_each(|memory| memory.mark = "".into());
            running
        };
        self.all_leave(self.site.clock.now());
        ended.iter().for_each(|schema| self.touch(schema));
        tokio::time::sleep(Duration::from_secs(120)).await;
        let mut living = self.living();
        living.iter().for_each(|(_, schema)| self.touch(schema));
        let used = living.split_off(living.len() / 2);
        for _ in 0..30 {
            used.iter().for_each(|(_, schema)| self.touch(schema));
            tokio::time::sleep(Duration::from_secs(40)).await;
            self.check()?;
        }
        let left = self.living();
        if let Some((name, _)) = used.iter().find(|one| !left.contains(one)) {
            return Err(format!("used: {name} is gone"));
        }
        let unused = living.iter().find(|one| left.contains(one));
        unused.map_or(Ok(()), |(name, _)| Err(format!("lives: nobody uses {name}")))
    }

    async fn story(mut self) -> Result<usize, String> {
        for _ in 0..STEPS {
            self.something_happens();
            let wait = match self.rng.below(10) {
                0..=2 => self.rng.between(10, 400),
                3..=8 => self.rng.between(1_000, 60_000),
                _ => self.rng.between(60_000, 500_000),
            };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.check()?;
        }
        let early = self.judged;
        self.come_to_rest().await?;
        self.site.stop();
        Ok(early)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_used_ends_early_and_everything_else_does() {
    let mut ends = 0;
    for seed in 1..=SEEDS {
        ends += Inn::new(seed, Bug::None).story().await.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    assert!(ends > 15, "only {ends} clones ended in the middle of a story");
}

#[tokio::test(start_paused = true)]
async fn every_planted_bug_of_idleness_is_caught() {
    for (bug, promise) in [
        (Bug::ReadsOnce, "used"),
        (Bug::ForgetsRestarts, "used"),
        (Bug::BelievesAnyHost, "used"),
        (Bug::OverlooksRunning, "used"),
        (Bug::SeesNothing, "lives"),
        (Bug::ProvesNothing, "used"),
    ] {
        let mut caught = None;
        for seed in 1..=40 {
            caught = Inn::new(seed, bug).story().await.err();
            if caught.is_some() {
                break;
            }
        }
        assert!(caught.as_ref().is_some_and(|broken| broken.starts_with(promise)), "{bug:?}: {caught:?}");
    }
}
