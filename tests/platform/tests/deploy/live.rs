//! What the API server says to it: validated strictly, admitted under Pod security `restricted`, held to its rights; upgraded and taken
//! away by Helm.
//!
//! One test, because all of it is the one installation that a cluster has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clonewarden_platform::{Platform, operator_crds};
use serde_json::{Value, json};

use crate::common::wait;
use crate::tree::{OVERLAYS, Tree, shipped};

const WITHIN: Duration = Duration::from_secs(60);
const DAEMON: &str = "--as=system:serviceaccount:clonewarden:clonewarden";

fn get(platform: &Platform, args: &[&str]) -> Value {
    serde_json::from_str(&platform.kubectl(&[&["get", "--output=json"], args].concat()).unwrap()).unwrap()
}

/// Calls Pods of the Deployment ready, and takes those away that are deleted: kwok leaves them to the tests.
struct Kubelet {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Kubelet {
    fn start(platform: &Platform) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (platform, told) = (platform.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for pod in get(&platform, &["pods", "-n", "clonewarden"])["items"].as_array().unwrap() {
                    look_after(&platform, pod);
                }
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn look_after(platform: &Platform, pod: &Value) {
    let name = pod["metadata"]["name"].as_str().unwrap();
    // It may be gone by now, or changed: the next look sees what it is then.
    if pod["metadata"]["deletionTimestamp"].is_string() {
        let _ = platform.kubectl(&["delete", "pod", name, "-n", "clonewarden", "--grace-period=0", "--force"]);
    } else if pod["spec"]["nodeName"].is_string() && pod["status"]["phase"] != "Running" {
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(|kind| json!({"type": kind, "status": "True"}));
        let status = json!({"status": {"phase": "Running", "conditions": conditions}}).to_string();
        let _ = platform.kubectl(&["patch", "pod", name, "-n", "clonewarden", "--subresource=status", "--type=merge", "--patch", &status]);
    }
}

fn refused(platform: &Platform, args: &[&str], input: &str, said: &str) {
    let error = platform.kubectl_with_input(args, input).unwrap_err().to_string();
    assert!(error.contains(said), "{args:?}: {error}");
}

/// Everything is taken, with no warning, and no field that the API server does not know.
fn apply(platform: &Platform, documents: &str) {
    let strictly = ["apply", "--server-side", "--validate=strict", "--warnings-as-errors", "--filename=-"];
    platform.kubectl_with_input(&strictly, documents).unwrap();
}

/// Both replicas are admitted, and there may always be one less.
fn rolled_out(platform: &Platform) {
    platform.kubectl(&["rollout", "status", "deployment/clonewarden", "-n", "clonewarden", "--timeout=60s"]).unwrap();
    wait("two replicas on two nodes", WITHIN, || {
        let pods = get(platform, &["pods", "-n", "clonewarden", "-l", "app.kubernetes.io/name=clonewarden"]);
        let mut nodes: Vec<_> = pods["items"].as_array().unwrap().iter().map(|pod| pod["spec"]["nodeName"].to_string()).collect();
        let replicas = nodes.len();
        nodes.sort();
        nodes.dedup();
        if (replicas, nodes.len()) == (2, 2) { Ok(()) } else { Err(format!("{replicas} on {nodes:?}")) }
    });
    wait("a drain may take one", WITHIN, || {
        let budget = get(platform, &["pdb", "clonewarden", "-n", "clonewarden"]);
        if budget["status"]["disruptionsAllowed"] == 1 { Ok(()) } else { Err(budget["status"].to_string()) }
    });
}

/// The namespace takes no Pod that asks for more than the Deployment does.
fn held_to_restricted(platform: &Platform) {
    let deployment = get(platform, &["deployment", "clonewarden", "-n", "clonewarden"]);
    let pod = |spec: &Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried", "namespace": "clonewarden"}, "spec": spec});
    let create = ["create", "--dry-run=server", "--filename=-"];
    let spec = deployment["spec"]["template"]["spec"].clone();
    platform.kubectl_with_input(&create, &pod(&spec).to_string()).unwrap();
    for (pointer, field) in [("/containers/0", "securityContext"), ("/securityContext", "seccompProfile"), ("/securityContext", "runAsNonRoot")] {
        let mut without = spec.clone();
        assert!(without.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(field).is_some());
        refused(platform, &create, &pod(&without).to_string(), "violates PodSecurity \"restricted");
    }
}

/// Real requests of the daemon's account: what it needs is allowed, and what it does not is refused.
fn held_to_its_rights(platform: &Platform) {
    platform.kubectl(&[DAEMON, "get", "namespaces"]).unwrap();
    platform.kubectl(&[DAEMON, "get", "orphans"]).unwrap();
    for args in [
        &["get", "secrets", "--all-namespaces"][..],
        &["get", "secret", "other", "-n", "clonewarden"],
        &["delete", "node", "node-1"],
        &["create", "namespace", "more"],
        &["delete", "deployment", "clonewarden", "-n", "clonewarden"],
        &["delete", "mutatingwebhookconfiguration", "clonewarden"],
        &["create", "clusterrolebinding", "more", "--clusterrole=cluster-admin", "--serviceaccount=clonewarden:clonewarden"],
    ] {
        refused(platform, &[&[DAEMON], args].concat(), "", "is forbidden");
    }
    // RBAC would let it, and the guard does not.
    wait("the guard is in force", WITHIN, || {
        let tried = platform.kubectl(&[DAEMON, "delete", "configmap", "kube-root-ca.crt", "-n", "clonewarden", "--dry-run=server"]);
        let said = tried.unwrap_or_else(|error| error.to_string());
        if said.contains("deploy/base/guard.yaml") { Ok(()) } else { Err(said) }
    });
}

/// What the daemon would have written by now: the state, the authority that it is trusted by, and a record of its own.
fn as_if_it_had_run(platform: &Platform) {
    platform.kubectl(&[DAEMON, "create", "configmap", "clonewarden-state", "-n", "clonewarden", "--from-literal=a=b"]).unwrap();
    // Any certificate: the API server looks no closer before it asks.
    let certificate = "--output=jsonpath={.clusters[0].cluster.certificate-authority-data}";
    let certificate = platform.kubectl(&["config", "view", "--raw", "--flatten", certificate]).unwrap();
    for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        let authority = [0, 1].map(|place| json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": certificate}));
        let authority = json!(authority);
        platform.kubectl(&[DAEMON, "patch", kind, "clonewarden", "--type=json", "--patch", &authority.to_string()]).unwrap();
    }
}

/// A field of the four webhooks: of each configuration the one for everything, and the one for a `keep`.
fn of_webhooks(platform: &Platform, pointer: &str) -> Vec<Value> {
    let of = |kind: &str| get(platform, &[kind, "clonewarden"])["webhooks"].as_array().unwrap().clone();
    let all = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"].map(of).concat();
    all.iter().map(|webhook| webhook.pointer(pointer).cloned().unwrap_or_default()).collect()
}

fn authorities(platform: &Platform) -> Vec<Value> {
    of_webhooks(platform, "/clientConfig/caBundle")
}

/// What stays when everything else is taken away.
fn left(platform: &Platform) -> (String, usize) {
    let crds = platform.kubectl(&["get", "crd", "orphans.clonewarden.io", "cloneusages.clonewarden.io", "--output=name"]).unwrap();
    let usage = get(platform, &["crd", "cloneusages.clonewarden.io"])["metadata"]["uid"].to_string();
    (usage, crds.lines().count())
}

fn by_helm(platform: &Platform) {
    let tree = Tree::new("deploy-helm");
    let values = shipped("staging");
    let more = |verb: &'static str, more: &[&'static str]| {
        let fixed = [verb, "clonewarden", "deploy/chart", "--namespace", "clonewarden", "--set", "namespace.create=false"];
        tree.helm_ok(&[&fixed[..], &values.iter().map(String::as_str).collect::<Vec<_>>(), more].concat())
    };
    platform.kubectl(&["create", "namespace", "clonewarden"]).unwrap();
    platform.kubectl(&["label", "namespace", "clonewarden", "pod-security.kubernetes.io/enforce=restricted"]).unwrap();
    let notes = more("install", &[]);
    assert!(notes.contains("mode `audit`") && notes.contains("wordpress-staging"), "{notes}");
    rolled_out(platform);
    as_if_it_had_run(platform);
    let (before, authority) = (left(platform), authorities(platform));
    assert!(authority.iter().all(Value::is_string), "{authority:?}");

    more("upgrade", &["--set", "mode=enforce,settings.sweep-every=2m"]);
    rolled_out(platform);
    assert_eq!((left(platform), authorities(platform)), (before.clone(), authority), "an upgrade takes nothing of the daemon's away");
    assert_eq!(of_webhooks(platform, "/failurePolicy"), ["Fail", "Ignore", "Fail", "Ignore"], "a keep is never refused for want of an answer");

    tree.helm_ok(&["uninstall", "clonewarden", "--namespace", "clonewarden", "--wait"]);
    assert_eq!(left(platform), before, "the kinds stay");
    platform.kubectl(&["get", "configmap", "clonewarden-state", "-n", "clonewarden"]).unwrap();
    for gone in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration", "clusterrole", "validatingadmissionpolicy"] {
        refused(platform, &["get", gone, "clonewarden"], "", "not found");
    }
    // And again, over what stayed.
    more("install", &[]);
    tree.helm_ok(&["uninstall", "clonewarden", "--namespace", "clonewarden", "--wait"]);
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_api_server_takes_all_of_it_and_gives_it_back() {
    let platform = Platform::attach().unwrap();
    let tree = Tree::new("deploy-live");
    let crds = operator_crds().unwrap();
    platform.kubectl(&["create", "--filename", &crds.to_string_lossy()]).unwrap();
    platform.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]).unwrap();

    let kubelet = Kubelet::start(&platform);
    let overlays = OVERLAYS.map(|(overlay, _)| tree.kustomize(&tree.enforced(overlay)));
    for documents in &overlays {
        apply(&platform, documents);
        assert_eq!(of_webhooks(&platform, "/failurePolicy"), ["Fail", "Ignore", "Fail", "Ignore"]);
        rolled_out(&platform);
    }
    held_to_restricted(&platform);
    held_to_its_rights(&platform);
    platform.kubectl_with_input(&["delete", "--filename=-", "--timeout=60s"], overlays.last().unwrap()).unwrap();

    by_helm(&platform);
    kubelet.end();
    platform.kubectl(&["delete", "crd", "orphans.clonewarden.io", "cloneusages.clonewarden.io", "--timeout=30s"]).unwrap();
    platform.kubectl(&["delete", "--filename", &crds.to_string_lossy()]).unwrap();
    platform.kubectl(&["delete", "namespace", "clonewarden", "--wait=false"]).unwrap();
}
