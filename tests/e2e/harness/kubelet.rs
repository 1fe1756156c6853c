//! What a node and the network do for the Pods of clonewarden's own Deployment, since neither is real here: the process runs by the arguments,
//! variables and mounts of the Pod, is called ready when its probe says so, is behind the Service while it is, is started anew when it ends, and is ended as a kubelet ends one.
//!
//! Only addresses and places of files are others than in the Pod: all of them share this machine.

use super::{
    api::Api,
    daemon::{self, Daemon},
    mount::Mount,
    stage::{CLONEWARDEN, Stage},
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpStream, UnixListener, UnixStream},
    task::JoinHandle,
};

const NAMESPACE: &str = "clonewarden";
const PODS: &str = "/api/v1/namespaces/clonewarden/pods";
/// How often Pods are looked at.
const EVERY: Duration = Duration::from_millis(200);
/// How long the Service goes on sending to a Pod that is being deleted: the news has to travel.
const NEWS_TRAVELS: Duration = Duration::from_secs(2);

/// One Pod that runs.
struct Running {
    daemon: Arc<Daemon>,
    _mounts: Vec<Mount>,
    ready: bool,
    /// Since when it is being deleted.
    leaving: Option<Instant>,
    told: bool,
}

type Pods = Arc<Mutex<BTreeMap<String, Running>>>;

/// Runs the Pods until it is dropped.
pub(crate) struct Kubelet {
    pods: Pods,
    wrong: Arc<Mutex<Option<String>>>,
    tasks: [JoinHandle<()>; 2],
}

impl Kubelet {
    pub(crate) fn start(stage: &Arc<Stage>, folder: PathBuf) -> Result<Self> {
        let (pods, wrong) = (Pods::default(), Arc::<Mutex<Option<String>>>::default());
        let node = Node { stage: Arc::clone(stage), folder, pods: Arc::clone(&pods) };
        let said = Arc::clone(&wrong);
        let running = tokio::spawn(async move {
            loop {
                if let Err(error) = node.look().await {
                    said.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(format!("{error:#}"));
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        let socket = stage.platform.services();
        let listener = UnixListener::bind(&socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        let (api, behind) = (stage.admin.clone(), Arc::clone(&pods));
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection that fails is the API server's to report.
                tokio::spawn(serve(client, api.clone(), Arc::clone(&behind)));
            }
        });
        Ok(Self { pods, wrong, tasks: [running, serving] })
    }

    /// The daemons of the Pods that run, by name.
    pub(crate) fn daemons(&self) -> Result<BTreeMap<String, Arc<Daemon>>> {
        if let Some(wrong) = &*self.wrong.lock().unwrap_or_else(PoisonError::into_inner) {
            bail!("the Pods of clonewarden cannot be run: {wrong}");
        }
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(pods.iter().map(|(name, pod)| (name.clone(), Arc::clone(&pod.daemon))).collect())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Node {
    stage: Arc<Stage>,
    folder: PathBuf,
    pods: Pods,
}

impl Node {
    /// Brings what runs closer to what the API server says.
    async fn look(&self) -> Result<()> {
        let pods = self.stage.admin.list(&format!("{PODS}?labelSelector=app.kubernetes.io%2Fname%3Dclonewarden")).await?;
        let there = |name: &str| pods.iter().any(|pod| pod["metadata"]["name"] == name);
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| there(name));
        for pod in pods.iter() {
            let name = pod["metadata"]["name"].as_str().context("a Pod has a name")?;
            let known = self.pods.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name);
            let leaves = pod["metadata"]["deletionTimestamp"].is_string();
            match (known, leaves) {
                (false, false) if pod["spec"]["nodeName"].is_string() => {
                    if let Some(running) = self.begin(name, pod).await? {
                        self.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), running);
                    }
                }
                (false, true) => self.forget(name).await?,
                (false, false) => {}
                (true, false) => self.probe(name, pod).await?,
                (true, true) => self.end(name, pod).await?,
            }
        }
        Ok(())
    }

    /// Nothing begins before everything that is mounted is there.
    async fn begin(&self, name: &str, pod: &Value) -> Result<Option<Running>> {
        let container = &pod["spec"]["containers"][0];
        let account = pod["spec"]["serviceAccountName"].as_str().context("a Pod has an account")?.to_owned();
        let kubeconfig = self.stage.parts(move |platform| platform.kubeconfig_for_service_account(NAMESPACE, &account)).await?;
        let folder = self.folder.join(name);
        let mut command = Command::new(CLONEWARDEN);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // What a Pod finds in the folder of its account.
        command.env("KUBECONFIG", kubeconfig).env("CLONEWARDEN_NAMESPACE", NAMESPACE);
        let journal = folder.join("journal");
        command.env("CLONEWARDEN_JOURNAL", &journal);
        for variable in container["env"].as_array().into_iter().flatten() {
            let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.name") => name,
                Some("status.podIP") => "127.0.0.1",
                Some(other) => bail!("what is {other} here?"),
                None => variable["value"].as_str().unwrap_or_default(),
            };
            command.env(variable["name"].as_str().context("a variable has a name")?, value);
        }
        let (mut mounts, mut places) = (Vec::new(), Vec::new());
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let (volume, at) = (mount["name"].as_str().unwrap_or_default(), mount["mountPath"].as_str().unwrap_or_default());
            let place = folder.join(volume);
            let _ = fs::remove_dir_all(&place);
            fs::create_dir_all(&place)?;
            let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
            let volume = volumes.into_iter().find(|of| of["name"] == volume).with_context(|| format!("no volume `{volume}`"))?;
            if let Some(map) = volume["configMap"]["name"].as_str() {
                if self.stage.admin.find(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{map}")).await?.is_none() {
                    return Ok(None);
                }
                mounts.push(Mount::new(&self.stage.admin, NAMESPACE, map, &place).await?);
            } else {
                // The token of the account: the kubeconfig above.
                let token = volume["projected"].is_object();
                ensure!(token || volume["secret"]["optional"] == true, "a volume that is nowhere: {volume}");
            }
            places.push((at.to_owned(), place));
        }
        let webhook = daemon::free_address()?;
        for argument in container["args"].as_array().context("a container with arguments")? {
            let argument = argument.as_str().unwrap_or_default();
            let place = places.iter().find_map(|(at, place)| Some(place.join(argument.strip_prefix(at.as_str())?.trim_start_matches('/'))));
            match place {
                Some(place) => command.arg(place),
                None if argument == "0.0.0.0:9443" => command.arg(webhook.to_string()),
                None => command.arg(argument),
            };
        }
        let daemon = Daemon::start(command, name, folder.join("log"), journal, Some(webhook))?;
        Ok(Some(Running { daemon: Arc::new(daemon), _mounts: mounts, ready: false, leaving: None, told: false }))
    }

    /// Asks the readiness probe until it says yes, and tells the API server.
    async fn probe(&self, name: &str, pod: &Value) -> Result<()> {
        let (daemon, ready) = self.of(name, |running| (Arc::clone(&running.daemon), running.ready))?;
        let path = pod.pointer("/spec/containers/0/readinessProbe/httpGet/path").and_then(Value::as_str).context("a probe asks a path")?;
        if daemon.ended()?.is_some() {
            // As a daemon does that has lost its lease: it is started anew.
            self.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
            return Ok(());
        }
        if ready || daemon.page(path).await.map_or(0, |(status, _)| status) != 200 {
            return Ok(());
        }
        let condition = |kind: &str| json!({"type": kind, "status": "True"});
        let container = &pod["spec"]["containers"][0];
        let runs = json!({"name": container["name"], "image": container["image"], "imageID": "", "ready": true, "restartCount": 0, "started": true,
            "state": {"running": {"startedAt": pod["metadata"]["creationTimestamp"]}}});
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
        let status = json!({"status": {"phase": "Running", "conditions": conditions, "containerStatuses": [runs]}});
        self.stage.admin.patch(&format!("{PODS}/{name}/status"), &status).await?;
        self.of(name, |running| running.ready = true)
    }

    /// Its hook first, then SIGTERM, then it is gone.
    async fn end(&self, name: &str, pod: &Value) -> Result<()> {
        let (daemon, since, told) =
            self.of(name, |running| (Arc::clone(&running.daemon), *running.leaving.get_or_insert_with(Instant::now), running.told))?;
        let hook = pod.pointer("/spec/containers/0/lifecycle/preStop/sleep/seconds").and_then(Value::as_u64).unwrap_or_default();
        if !told && since.elapsed() >= Duration::from_secs(hook) {
            daemon.terminate()?;
            self.of(name, |running| running.told = true)?;
        } else if daemon.ended()?.is_some() && since.elapsed() >= NEWS_TRAVELS {
            self.forget(name).await?;
        }
        Ok(())
    }

    async fn forget(&self, name: &str) -> Result<()> {
        // One that was never begun may be gone by itself.
        if self.stage.admin.find(&format!("{PODS}/{name}")).await?.is_some() {
            self.stage.admin.delete(&format!("{PODS}/{name}?gracePeriodSeconds=0")).await?;
        }
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    fn of<T>(&self, name: &str, see: impl FnOnce(&mut Running) -> T) -> Result<T> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(see(pods.get_mut(name).with_context(|| format!("{name} does not run"))?))
    }
}

/// One connection of the API server's to a Service.
async fn serve(mut client: UnixStream, api: Api, pods: Pods) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split(' ').nth(1).context("a CONNECT names a target")?.to_owned();
    let Some(mut backend) = connect(&target, &api, &pods).await? else {
        client.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await?;
        return Ok(());
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut backend).await?;
    Ok(())
}

/// The Service is asked for by its address, and sends to a Pod that it selects by the name of a port.
async fn connect(target: &str, api: &Api, pods: &Pods) -> Result<Option<TcpStream>> {
    let services = api.list(&format!("/api/v1/namespaces/{NAMESPACE}/services")).await?;
    let is = |service: &Value| {
        let port = &service["spec"]["ports"][0];
        port["targetPort"] == "webhook" && format!("{}:{}", service["spec"]["clusterIP"].as_str().unwrap_or_default(), port["port"]) == target
    };
    if !services.iter().any(is) {
        return Ok(None);
    }
    let behind: Vec<SocketAddr> = {
        let pods = pods.lock().unwrap_or_else(PoisonError::into_inner);
        let there = |pod: &&Running| pod.ready && pod.leaving.is_none_or(|since| since.elapsed() < NEWS_TRAVELS);
        pods.values().filter(there).filter_map(|pod| pod.daemon.webhook).collect()
    };
    // As kube-proxy: one of them, and no second try.
    let one = usize::try_from(jiff::Timestamp::now().as_microsecond())? % behind.len().max(1);
    match behind.get(one) {
        Some(address) => Ok(Some(TcpStream::connect(address).await?)),
        None => Ok(None),
    }
}
