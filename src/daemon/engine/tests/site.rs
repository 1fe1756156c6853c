//! One process with a shared database host in memory: started, killed between any two steps, and started anew.

use super::*;
use crate::{
    plan::Planner,
    ports::DatabaseHost,
    sandbox::hosts::{SandboxHosts, Server},
};

pub(super) struct Site {
    pub(super) cluster: SandboxCluster,
    pub(super) clock: SandboxClock,
    pub(super) server: Arc<Mutex<Server>>,
    policies: watch::Sender<Arc<Policies>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Ended>,
    started: u64,
}

impl Site {
    /// A site at which nobody works yet.
    pub(super) fn new(seed: u64, policies: Arc<Policies>, server: Server) -> Self {
        let begin = "2026-02-05T14:30:22Z".parse().unwrap();
        let clock = SandboxClock::new(begin);
        let cluster = SandboxCluster::new(Arc::new(Mutex::new(World::new(seed, begin))), "daemon", clock.clone(), seed);
        cluster.world().create_namespace(OURS, &BTreeMap::new()).unwrap();
        let task = tokio::spawn(async { Ended::Stopped });
        let server = Arc::new(Mutex::new(server));
        Self { cluster, clock, server, policies: watch::channel(policies).0, stop: CancellationToken::new(), task, started: 0 }
    }

    /// The way to the host of the process that is started next.
    pub(super) fn hosts(&self, seed: u64) -> SandboxHosts {
        SandboxHosts::new(&self.cluster, &self.server, seed)
    }

    pub(super) fn start(&mut self, hosts: Arc<dyn DatabaseHost>, planner: Planner) {
        self.started += 1;
        let engine = Engine {
            cluster: Arc::new(self.cluster.clone()),
            cloud: Arc::new(NoCloud),
            hosts,
            secrets: Arc::new(self.cluster.clone()),
            sweep_every: Duration::from_secs(60),
            sweep: Arc::default(),
            clock: Arc::new(self.clock.clone()),
            address: String::new(),
            identity: format!("daemon-{}", self.started),
            cluster_id: Some(Arc::from("ours")),
            policies: self.policies.subscribe(),
            planner,
            wake: Arc::default(),
            journal: Arc::new(Journal::to(std::io::sink())),
            watcher: Arc::new(Nobody),
            vitals: Vitals::default(),
        };
        self.task = tokio::spawn(engine.run(self.stop.clone()));
    }

    /// The process dies; another one is to be started.
    pub(super) fn kill(&mut self) {
        let now = self.clock.now();
        self.cluster.kill();
        self.task.abort();
        let world = self.cluster.world_shared();
        self.clock = SandboxClock::new(now);
        self.cluster = SandboxCluster::new(world, "next", self.clock.clone(), self.started);
    }

    /// Nothing goes on.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}
