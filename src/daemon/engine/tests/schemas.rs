//! Schemas on a shared host, through the whole loop, with seeded faults on paused time: clones come and go, processes are killed between
//! any two steps, the host goes away and comes back. Three promises, checked against what is really on the host:
//!
//! 1. what is not ours is never touched;
//! 2. no schema is dropped that a living clone needs;
//! 3. once all is quiet, every living clone has its schema, and nothing of ours is left of any other.

use super::*;
use crate::{
    model::schema::{LedgerRow, RowState, SchemaOrder, schema_name},
    plan::{Action, Plan},
    policy,
    ports::{DatabaseHost, HostError},
    rng::Rng,
    sandbox::hosts::{SandboxHosts, Server},
};
use futures::future::BoxFuture;
use site::Site;

const STEPS: usize = 40;
const SEEDS: u64 = 12;
const FOREIGN: &str = "wp_ffffffffffffffffffffffffffff";
const THEIR_UID: &str = "eeeeeeee-d9cb-469f-a165-70867728950e";

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// With each schema that is dropped goes the one that nobody's row is about.
    TakesForeign,
    /// In the place of a schema that of a living clone is dropped.
    TakesAnother,
    /// What is to be dropped is said to be, and is not.
    DropsNothing,
    /// No schema is made.
    MakesNothing,
}

/// A way to the host that does not do what it should.
struct Erring {
    inner: SandboxHosts,
    server: Arc<Mutex<Server>>,
    bug: Bug,
}

impl DatabaseHost for Erring {
    fn look<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<crate::model::schema::HostFacts, HostError>> {
        self.inner.look(host)
    }

    fn usage<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<crate::model::usage::HostUse, HostError>> {
        self.inner.usage(host)
    }

    fn note_use<'a>(
        &'a self,
        host: &'a policy::DatabaseHost,
        memories: &'a [(String, crate::model::usage::Memory)],
    ) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.note_use(host, memories)
    }

    fn make_schema<'a>(&'a self, host: &'a policy::DatabaseHost, order: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.make_schema(host, order)
    }

    fn drop_schema<'a>(&'a self, host: &'a policy::DatabaseHost, name: &'a str, judged: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async move {
            match self.bug {
                Bug::TakesForeign => self.inner.drop_anything(FOREIGN).await?,
                Bug::TakesAnother => {
                    let other = self.server.lock().unwrap().schemas.iter().find(|other| *other != name && *other != FOREIGN).cloned();
                    return self.inner.drop_anything(&other.unwrap_or_default()).await;
                }
                Bug::DropsNothing => return Ok(()),
                Bug::None | Bug::MakesNothing => {}
            }
            self.inner.drop_schema(host, name, judged).await
        })
    }
}

fn makes_nothing(snapshot: &crate::model::Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut plan = crate::plan::plan(snapshot, policies, now);
    plan.decisions.retain(|decision| !(decision.action == Action::Create && decision.target.kind() == "Schema"));
    plan
}

fn town_policies() -> Arc<Policies> {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: h}}\n\
         spec: {{endpoint: db.example.com, schemas: 100, credentialsDir: /etc/h}}\n---\n\
         apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\n\
         spec: {{mode: enforce, namespaces: {{names: [{OURS}]}}, orphans: {{soak: 2m, observations: 2}}, brake: {{deletes: 1000, percent: 100}}}}\n"
    );
    Arc::new(load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap_or_else(|problems| panic!("{problems}")))
}

struct Town {
    site: Site,
    bug: Bug,
    rng: Rng,
    made: usize,
}

impl Town {
    fn new(seed: u64, bug: Bug) -> Self {
        let theirs = LedgerRow {
            cluster: "theirs".to_owned(),
            uid: THEIR_UID.to_owned(),
            namespace: OURS.to_owned(),
            clone: "clone-0".to_owned(),
            state: Some(RowState::Ready),
            made: Timestamp::UNIX_EPOCH,
        };
        let name = schema_name(THEIR_UID).unwrap();
        let server = Server {
            schemas: [FOREIGN.to_owned(), name.clone()].into(),
            users: [name.clone()].into(),
            rows: [(name, theirs)].into(),
            trouble: 20,
            ..Server::default()
        };
        let site = Site::new(seed, town_policies(), server);
        let mut town = Self { site, bug, rng: Rng::new(seed), made: 0 };
        town.start();
        town
    }

    fn start(&mut self) {
        let inner = self.site.hosts(self.rng.bits());
        let hosts = Erring { inner, server: Arc::clone(&self.site.server), bug: self.bug };
        self.site.start(Arc::new(hosts), if self.bug == Bug::MakesNothing { makes_nothing } else { crate::plan::plan });
    }

    fn revive(&mut self) {
        self.site.kill();
        self.start();
    }

    /// The UIDs of the clones that live on the host.
    fn living(&self) -> Vec<(String, String)> {
        let world = self.site.cluster.world();
        let both = |clone: &Arc<Value>| (json::text(clone, "/metadata/name").to_owned(), json::text(clone, "/metadata/uid").to_owned());
        world.objects(Kind::Clone).map(both).collect()
    }

    fn something_happens(&mut self) {
        match self.rng.below(10) {
            0..=3 => {
                self.made += 1;
                let spec = json!({"sharedDatabase": {"host": "db.example.com"}, "ttlSeconds": 86_400});
                self.site.cluster.world().create_clone(OURS, &format!("clone-{}", self.made), spec, &BTreeMap::new()).unwrap();
            }
            4..=6 => {
                let living = self.living();
                if let Some((name, _)) = self.rng.pick(&living).cloned() {
                    self.site.cluster.world().remove(Kind::Clone, &(OURS.to_owned(), name)).unwrap();
                }
            }
            7 => self.revive(),
            8 => {
                let mut server = self.site.server.lock().unwrap();
                server.down = !server.down;
            }
            _ => {
                let mut server = self.site.server.lock().unwrap();
                server.read_only = !server.read_only;
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        let server = self.site.server.lock().unwrap();
        let theirs = schema_name(THEIR_UID).unwrap();
        let kept = server.schemas.contains(FOREIGN) && server.schemas.contains(&theirs) && server.users.contains(&theirs);
        if !kept || server.rows.get(&theirs).is_none_or(|row| row.state != Some(RowState::Ready)) {
            return Err("foreign".to_owned());
        }
        server.drops.iter().find(|dropped| dropped.needed).map_or(Ok(()), |dropped| Err(format!("needed: {}", dropped.name)))
    }

    fn check_at_rest(&self) -> Result<(), String> {
        let living: BTreeMap<String, String> = self.living().into_iter().filter_map(|(name, uid)| Some((schema_name(&uid)?, name))).collect();
        let server = self.site.server.lock().unwrap();
        for (schema, name) in &living {
            let ready = server.rows.get(schema).is_some_and(|row| row.state == Some(RowState::Ready));
            if !ready || !server.schemas.contains(schema) || !server.users.contains(schema) {
                return Err(format!("{name} has no schema"));
            }
        }
        let ours = server.rows.iter().filter(|(_, row)| row.cluster == "ours").map(|(name, _)| name);
        let theirs = schema_name(THEIR_UID).unwrap();
        let there = server.schemas.iter().chain(&server.users).filter(|name| *name != FOREIGN && **name != theirs);
        let left: Vec<_> = ours.chain(there).filter(|name| !living.contains_key(*name)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("left: {left:?}")) }
    }

    async fn story(mut self) -> Result<usize, String> {
        for _ in 0..STEPS {
            self.something_happens();
            let wait = if self.rng.chance(500) { self.rng.between(10, 400) } else { self.rng.between(1_000, 60_000) };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.check()?;
        }
        {
            let mut server = self.site.server.lock().unwrap();
            (server.down, server.read_only) = (false, false);
        }
        tokio::time::sleep(Duration::from_secs(1_200)).await;
        self.check()?;
        self.check_at_rest()?;
        self.site.stop();
        let drops = self.site.server.lock().unwrap().drops.len();
        Ok(drops)
    }
}

#[tokio::test(start_paused = true)]
async fn every_living_clone_has_its_schema_nothing_leaks_and_nothing_else_is_touched() {
    let mut drops = 0;
    for seed in 1..=SEEDS {
        drops += Town::new(seed, Bug::None).story().await.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    assert!(drops > 30, "only {drops} schemas were dropped in all stories");
}

#[tokio::test(start_paused = true)]
async fn every_planted_bug_is_caught() {
    for (bug, promise) in
        [(Bug::TakesForeign, "foreign"), (Bug::TakesAnother, "needed"), (Bug::DropsNothing, "left"), (Bug::MakesNothing, "has no schema")]
    {
        let mut caught = None;
        for seed in 1..=SEEDS {
            caught = Town::new(seed, bug).story().await.err();
            if caught.is_some() {
                break;
            }
        }
        // One that takes another's first may take theirs.
        let first_sign = if bug == Bug::TakesAnother { "foreign" } else { promise };
        assert!(caught.as_ref().is_some_and(|broken| broken.contains(promise) || broken.contains(first_sign)), "{bug:?}: {caught:?}");
    }
}
