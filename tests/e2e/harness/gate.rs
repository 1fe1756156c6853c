//! The loop in this process, on the real API server, with a gate before each delete: the test decides what happens between
//! plan and act, and the product needs no sleep for it.

use super::{api, install::Install};
use anyhow::{Context, Result, bail};
use clonewarden::{
    act::journal::Journal,
    daemon::{
        engine::{Ended, Engine, Vitals},
        run::SystemClock,
        warden::Nobody,
    },
    model::Kind,
    observe::kube::KubeCluster,
    plan, policy,
    ports::{ApiError, Cluster, LeaseRecord, NoCloud, NoHosts, Note, Page, Pin, Stored, WatchEvent},
};
use futures::{FutureExt as _, future::BoxFuture, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long a delete may take to come to the gate, or to come back from the API server.
const WITHIN: Duration = Duration::from_secs(60);

/// A delete that stands at the gate.
pub(crate) struct Held {
    /// What it is about.
    pub(crate) pin: Pin,
    go: oneshot::Sender<()>,
    came_back: oneshot::Receiver<Result<(), ApiError>>,
}

impl Held {
    /// Lets it go on to the API server and returns the answer.
    pub(crate) async fn let_go(self) -> Result<Result<(), ApiError>> {
        if self.go.send(()).is_err() {
            bail!("the delete was given up while it stood at the gate");
        }
        timeout(WITHIN, self.came_back).await.context("the API server did not answer")?.context("the delete was given up")
    }
}

/// The real cluster, with deletes handed to the test first.
struct Gated {
    real: KubeCluster,
    gate: mpsc::UnboundedSender<Held>,
}

impl Cluster for Gated {
    fn delete<'a>(&'a self, pin: &'a Pin) -> BoxFuture<'a, Result<(), ApiError>> {
        async move {
            let (go, gone_on) = oneshot::channel();
            let (back, came_back) = oneshot::channel();
            let stands = self.gate.send(Held { pin: pin.clone(), go, came_back }).is_ok();
            // Once the test has left, nothing is deleted any more.
            if !stands || gone_on.await.is_err() {
                return Err(ApiError::Unavailable("the gate is shut".to_owned()));
            }
            let answer = self.real.delete(pin).await;
            let _ = back.send(answer.clone());
            answer
        }
        .boxed()
    }

    fn list(&self, kind: Kind, page: Option<String>, quorum: bool) -> BoxFuture<'_, Result<Page, ApiError>> {
        self.real.list(kind, page, quorum)
    }

    fn watch(&self, kind: Kind, resource_version: String) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
        self.real.watch(kind, resource_version)
    }

    fn get<'a>(&'a self, kind: Kind, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Value>, ApiError>> {
        self.real.get(kind, namespace, name)
    }

    fn annotate<'a>(&'a self, pin: &'a Pin, changes: &'a BTreeMap<&'static str, Option<String>>) -> BoxFuture<'a, Result<(), ApiError>> {
        self.real.annotate(pin, changes)
    }

    fn create(&self, kind: Kind, object: Value) -> BoxFuture<'_, Result<(), ApiError>> {
        self.real.create(kind, object)
    }

    fn set_status<'a>(&'a self, pin: &'a Pin, status: &'a Value) -> BoxFuture<'a, Result<(), ApiError>> {
        self.real.set_status(pin, status)
    }

    fn apply<'a>(&'a self, kind: Kind, object: &'a Value, pin: Option<&'a Pin>) -> BoxFuture<'a, Result<(), ApiError>> {
        self.real.apply(kind, object, pin)
    }

    fn note<'a>(&'a self, note: &'a Note) -> BoxFuture<'a, Result<(), ApiError>> {
        self.real.note(note)
    }

    fn read_state<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>, ApiError>> {
        self.real.read_state(name)
    }

    fn write_state<'a>(&'a self, name: &'a str, data: BTreeMap<String, String>, version: Option<&'a str>) -> BoxFuture<'a, Result<Stored, ApiError>> {
        self.real.write_state(name, data, version)
    }

    fn read_lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<LeaseRecord>, ApiError>> {
        self.real.read_lease(name)
    }

    fn write_lease<'a>(&'a self, name: &'a str, record: &'a LeaseRecord) -> BoxFuture<'a, Result<LeaseRecord, ApiError>> {
        self.real.write_lease(name, record)
    }

    fn skew(&self, now: Timestamp) -> Option<SignedDuration> {
        self.real.skew(now)
    }
}

/// The product's loop behind a gate, under the daemon's account.
pub(crate) struct GatedLoop {
    stop: CancellationToken,
    engine: JoinHandle<Ended>,
    gate: mpsc::UnboundedReceiver<Held>,
    // While it lives the policies stay as they are.
    _policies: watch::Sender<Arc<policy::Policies>>,
}

impl GatedLoop {
    pub(crate) async fn start(install: &Install) -> Result<Self> {
        let (client, lease) = (api::client(&install.kubeconfig).await?, api::client(&install.kubeconfig).await?);
        let (gate, held) = mpsc::unbounded_channel();
        let loaded = policy::load_dir(&install.policies()).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let (sender, policies) = watch::channel(Arc::new(loaded));
        let secrets = KubeCluster::over(client.clone(), lease.clone(), install.namespace.clone());
        let engine = Engine {
            cluster: Arc::new(Gated { real: KubeCluster::over(client, lease, install.namespace.clone()), gate }),
            cloud: Arc::new(NoCloud),
            hosts: Arc::new(NoHosts),
            secrets: Arc::new(secrets),
            sweep_every: Duration::from_secs(300),
            sweep: Arc::default(),
            clock: Arc::new(SystemClock),
            address: String::new(),
            identity: format!("in-process-{}", install.namespace),
            cluster_id: None,
            policies,
            planner: plan::plan,
            wake: Arc::new(Notify::new()),
            journal: Arc::new(Journal::to(fs::File::create(install.file("loop.journal"))?)),
            watcher: Arc::new(Nobody),
            vitals: Vitals::default(),
        };
        let stop = CancellationToken::new();
        let engine = tokio::spawn(engine.run(stop.clone()));
        Ok(Self { stop, engine, gate: held, _policies: sender })
    }

    /// The next delete that comes to the gate.
    pub(crate) async fn next(&mut self) -> Result<Held> {
        tokio::select! {
            held = timeout(WITHIN, self.gate.recv()) => held.context("no delete came to the gate")?.context("the loop is gone"),
            ended = &mut self.engine => bail!("the loop ended by itself: {:?}", ended?),
        }
    }

    /// Whether a delete stands at the gate now.
    pub(crate) fn none_waits(&mut self) -> Result<()> {
        match self.gate.try_recv() {
            Ok(held) => bail!("a delete of {}/{} (uid {}) came to the gate", held.pin.namespace, held.pin.name, held.pin.uid),
            Err(_) => Ok(()),
        }
    }

    /// Stops the loop the way the daemon does.
    pub(crate) async fn end(self) -> Result<()> {
        self.stop.cancel();
        drop(self.gate);
        match timeout(WITHIN, self.engine).await.context("the loop did not end")?? {
            Ended::Stopped => Ok(()),
            other => bail!("the loop ended as {other:?}"),
        }
    }
}
