//! A daemon in this process: its real loop and its real page over a cluster in memory, whose clock is the true one. What a person or the
//! platform would do to the cluster, a test does by a call.

use clonewarden::{
    act::{journal::Journal, state},
    daemon::{
        engine::{Engine, Vitals},
        shell::{Shell, Shown},
    },
    model::{Kind, names, state::Pause},
    plan,
    policy::{Policies, load_files},
    ports::{Clock, Cluster, NoHosts},
    sandbox::{ack, clock::SandboxClock, cloud::handle::SandboxCloud, cluster::SandboxCluster, platform::Platform, world::World as Sandbox},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    sync::{Notify, watch},
};
use tokio_util::sync::CancellationToken;

pub(crate) const STAGING: &str = "wordpress-staging";
pub(crate) const PRODUCTION: &str = "wordpress-production";
/// KRO's definition of clones.
const DEFINITION: &str = "wordpress-clone";
/// How often the platform does its work.
const STEP: Duration = Duration::from_millis(100);

/// A running daemon and its cluster. It ends when this is dropped.
pub(crate) struct World {
    runtime: Option<Runtime>,
    cluster: SandboxCluster,
    policies: watch::Sender<Arc<Policies>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    address: SocketAddr,
}

impl World {
    /// Starts one with two governed namespaces and no clones. `rules` are those of both policies.
    pub(crate) fn start(rules: &str) -> Self {
        Self::fast(rules, 1)
    }

    /// The same, where so many seconds pass in one.
    pub(crate) fn fast(rules: &str, speed: u32) -> Self {
        let begin = Timestamp::now();
        let clock = SandboxClock::fast(begin, speed);
        let cluster = SandboxCluster::new(Arc::new(Mutex::new(Sandbox::new(1, begin))), "daemon", clock.clone(), 1);
        for namespace in [STAGING, PRODUCTION] {
            cluster.world().create_namespace(namespace, &BTreeMap::new()).unwrap();
        }
        cluster.world().create_definition(DEFINITION, "browser").unwrap();
        let (policies, receive) = watch::channel(Arc::new(load(rules)));
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let address = runtime.block_on(serve(&cluster, clock, receive, &wake, &stop));
        let handle = cluster.clone();
        runtime.spawn(async move {
            let mut platform = Platform::new(1);
            loop {
                platform.step(&mut handle.world());
                tokio::time::sleep(STEP).await;
            }
        });
        let world = Self { runtime: Some(runtime), cluster, policies, wake, stop, address };
        crate::until_served(&world.page());
        world
    }

    /// Where the page is.
    pub(crate) fn page(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Other rules come into force.
    pub(crate) fn govern(&self, rules: &str) {
        self.policies.send_replace(Arc::new(load(rules)));
        self.wake.notify_one();
    }

    /// Somebody makes a clone that lives that many seconds.
    pub(crate) fn arrive(&self, namespace: &str, name: &str, seconds: u32, dedicated: bool) {
        let mut spec = json!({"ttlSeconds": seconds});
        if dedicated {
            spec["useDedicatedDatabase"] = Value::Bool(true);
        }
        let owner = BTreeMap::from([(names::OWNER.to_owned(), "ada@example.com".to_owned())]);
        self.cluster.world().create_clone(namespace, name, spec, &owner).unwrap();
    }

    /// Somebody annotates a clone.
    pub(crate) fn annotate(&self, namespace: &str, name: &str, key: &str, value: &str) {
        self.cluster.world().annotate_clone(&(namespace.to_owned(), name.to_owned()), key, Some(value)).unwrap();
    }

    /// Somebody deletes KRO's definition: nothing can be seen through any more.
    pub(crate) fn lose_definition(&self) {
        self.cluster.world().remove(Kind::Definition, &(String::new(), DEFINITION.to_owned())).unwrap();
    }

    /// Somebody tears a clone out past KRO: what it had stays behind.
    pub(crate) fn tear_out(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut world = self.cluster.world();
        world.remove(Kind::Clone, &key).unwrap();
        world.strip_finalizers(Kind::Clone, &key).unwrap();
    }

    /// `clonewarden pause`.
    pub(crate) fn pause(&self, reason: &str) {
        let runtime = self.runtime.as_ref().unwrap();
        runtime.block_on(async {
            // The daemon may write its state in between.
            for _ in 0..5 {
                let mut read = state::load(&self.cluster).await.unwrap();
                read.state.pause(Pause::new(Timestamp::now(), reason, "ada"));
                if state::save(&self.cluster, &read.state, read.version.as_deref()).await.is_ok() {
                    return;
                }
            }
            panic!("the state could not be written");
        });
        self.wake.notify_one();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

fn load(rules: &str) -> Policies {
    let policy = |name: &str, namespace: &str| {
        let rules = rules.replace('\n', "\n  ");
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: {name}}}\nspec:\n  namespaces: {{names: [{namespace}]}}\n  {rules}\n"
        )
    };
    let files = [("staging.yaml", policy("staging", STAGING)), ("production.yaml", policy("production", PRODUCTION))];
    load_files(files.map(|(name, text)| (name.to_owned(), text.into_bytes())).into()).unwrap_or_else(|problems| panic!("{problems}"))
}

async fn serve(
    cluster: &SandboxCluster,
    clock: SandboxClock,
    policies: watch::Receiver<Arc<Policies>>,
    wake: &Arc<Notify>,
    stop: &CancellationToken,
) -> SocketAddr {
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let shared: Arc<dyn Cluster> = Arc::new(cluster.clone());
    let cloud = SandboxCloud::new(cluster, Arc::clone(&clock), &[ack::REGION], 1);
    let journal = Arc::new(Journal::to(std::io::sink()));
    let vitals = Vitals::default();
    let (_files, broken) = watch::channel(false);
    let shown = Shown {
        clock: Arc::clone(&clock),
        cluster: Arc::clone(&shared),
        vitals: vitals.clone(),
        policies: policies.clone(),
        broken,
        clone_metrics: 100,
        journal: Arc::clone(&journal),
        reviewer: None,
        page_token_always: false,
    };
    let shell = Shell::start(SocketAddr::from(([127, 0, 0, 1], 0)), shown, stop.clone()).await.unwrap();
    let address = shell.address();
    let engine = Engine {
        secrets: Arc::new(cluster.clone()),
        cloud: Arc::new(cloud),
        hosts: Arc::new(NoHosts),
        sweep_every: Duration::from_secs(2),
        sweep: Arc::default(),
        cluster: shared,
        clock,
        address: String::new(),
        identity: "browser".to_owned(),
        cluster_id: Some(Arc::from("browser")),
        policies,
        planner: plan::plan,
        wake: Arc::clone(wake),
        journal,
        watcher: shell.watcher(),
        vitals,
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        engine.run(stop).await;
        shell.end().await;
    });
    address
}
