//! What the API server says to it, with the kinds of Argo CD, Karpenter and ACK; and what KRO makes of clones on spot nodes.
//!
//! One test, because ACK is stopped in the most of it: only the databases are to be made in AWS.

use std::fs;

use clonewarden_platform::Platform;
use serde_json::{Value, json};

use crate::common::wait;
use crate::definition::{WITHIN, active, clone, create, define, deploy, get, gone, namespace, undefine};

const STRICTLY: [&str; 5] = ["apply", "--server-side", "--validate=strict", "--warnings-as-errors", "--filename=-"];
/// The label by which Argo CD told its own before version 3, and the annotation by which it does now.
const LABEL: &str = "app.kubernetes.io/instance";
const ANNOTATION: &str = "argocd.argoproj.io/tracking-id";

/// The kinds of others that the platform has no part of.
fn kinds(platform: &Platform, verb: &[&str]) {
    for pin in ["argo-cd", "karpenter"] {
        let folder = platform.copied(pin, "crds").unwrap();
        platform.kubectl(&[verb, &["--filename", &folder.to_string_lossy()]].concat()).unwrap();
    }
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_api_server_takes_all_of_it_and_clones_go_to_spot_nodes() {
    let platform = Platform::attach().unwrap();
    platform.stop("ack").unwrap();
    kinds(&platform, &["apply", "--server-side"]);
    for kind in ["applications.argoproj.io", "appprojects.argoproj.io", "nodepools.karpenter.sh", "ec2nodeclasses.karpenter.k8s.aws"] {
        platform.kubectl(&["wait", "crd", kind, "--for=condition=Established", "--timeout=30s"]).unwrap();
    }
    platform.kubectl(&["create", "namespace", "argocd"]).unwrap();
    taken(&platform);
    on_spot_nodes(&platform);
    kinds(&platform, &["delete"]);
    platform.restart("ack").unwrap();
    crate::databases::made(&platform);
}

fn taken(platform: &Platform) {
    let (documents, objects) = crate::rendered(platform, ".");
    let said = platform.kubectl_with_input(&STRICTLY, &documents).unwrap();
    assert_eq!(said.lines().count(), objects.len(), "{said}");
    // The Application for the daemon itself, which docs/gitops.md shows.
    platform.kubectl_with_input(&[&STRICTLY[..], &["--dry-run=server"]].concat(), &crate::example()).unwrap();
    // It does look: no kind takes a field that it does not know.
    let mut kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 11, "{kinds:?}");
    for kind in kinds {
        let mut odd = objects.iter().find(|object| object["kind"] == kind).unwrap().clone();
        let place = if kind == "ConfigMap" { &mut odd } else { &mut odd["spec"] };
        place["surprise"] = true.into();
        refused(platform, &odd, "surprise");
    }
    let changed = |kind: &str, pointer: &str, value: Value| {
        let mut object = objects.iter().find(|object| object["kind"] == kind).unwrap().clone();
        *object.pointer_mut(pointer).unwrap() = value;
        object
    };
    refused(platform, &changed("NodePool", "/spec/disruption/consolidationPolicy", json!("WhenCheap")), "consolidationPolicy");
    refused(platform, &changed("EC2NodeClass", "/spec/amiSelectorTerms", json!([])), "amiSelectorTerms");
    refused(platform, &changed("NetworkPolicy", "/spec/podSelector", json!({"matchLabels": {"a": "-"}})), "podSelector");
    platform.kubectl_with_input(&["delete", "--filename=-", "--timeout=60s"], &documents).unwrap();
    platform.kubectl(&["delete", "namespace", "argocd", "--timeout=60s"]).unwrap();
}

fn refused(platform: &Platform, object: &Value, said: &str) {
    let error = platform.kubectl_with_input(&STRICTLY, &object.to_string()).unwrap_err().to_string();
    assert!(error.contains(said), "{}: {error}", object["kind"]);
}

/// The component, taken at its word, on the definition that ships.
fn on_spot_nodes(platform: &Platform) {
    let component = fs::read_to_string(deploy("estate/spot/kustomization.yaml")).unwrap();
    let patches = component.split_once("\npatches:").unwrap().1;
    define(platform, &crate::definition::rendered(platform, &format!("patches:{patches}")));
    namespace(platform, "estate");
    let mut document = clone("tracked", "estate", &json!({}));
    document["metadata"]["labels"] = json!({LABEL: "wordpress-staging"});
    document["metadata"]["annotations"] = json!({ANNOTATION: "wordpress-staging:kro.run/WordPressClone:estate/tracked"});
    create(platform, &document);
    let alive = active(platform, "estate", "tracked");

    let (pod, _) = wait("its Pod waits for such a node", WITHIN, || {
        let pods = get(platform, &["pods", "-n", "estate", "-l", "app=wordpress-clone"]);
        pods["items"].as_array().unwrap().first().cloned().ok_or_else(|| pods.to_string())
    });
    assert_eq!(pod["spec"]["nodeSelector"], json!({"workload": "wordpress-clones"}));
    let (_, objects) = crate::rendered(platform, "nodes");
    let pool = objects.iter().find(|object| object["kind"] == "NodePool").unwrap();
    let (taint, tolerations) = (&pool["spec"]["template"]["spec"]["taints"][0], pod["spec"]["tolerations"].as_array().unwrap());
    let tolerated = |one: &Value| ["key", "value", "effect"].iter().all(|field| one[field] == taint[field]);
    assert!(tolerations.iter().any(tolerated), "{taint}: {tolerations:?}");
    assert_eq!(pool["spec"]["template"]["metadata"]["labels"], pod["spec"]["nodeSelector"]);
    assert_eq!(pod["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"], "true");

    // KRO hands nothing of it on: not even a clone that Argo CD made takes its children into an Application.
    let label = format!("kro.run/instance-id={}", alive["metadata"]["uid"].as_str().unwrap());
    let children = get(platform, &["jobs,services,ingresses,configmaps", "-n", "estate", "-l", &label]);
    let children = children["items"].as_array().unwrap();
    assert_eq!(children.len(), 4);
    for child in children {
        assert!(child["metadata"]["labels"].get(LABEL).is_none(), "{child}");
        assert!(child["metadata"]["annotations"].get(ANNOTATION).is_none(), "{child}");
    }
    platform.kubectl(&["delete", "wordpressclone", "tracked", "-n", "estate", "--wait=false"]).unwrap();
    gone(platform, "estate");
    platform.kubectl(&["delete", "namespace", "estate", "--timeout=60s"]).unwrap();
    undefine(platform);
}
