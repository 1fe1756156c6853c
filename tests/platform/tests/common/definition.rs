//! `deploy/kro` on the platform, for the tests that need its kind, and clones of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clonewarden_platform::Platform;
use serde_json::{Value, json};

use crate::common::wait;

pub(crate) const WITHIN: Duration = Duration::from_secs(30);
/// Every kind that a clone can be made of, and what these make themselves.
const CHILDREN: &str = "jobs,pods,services,ingresses,configmaps,dbinstances.rds.services.k8s.aws,dbclusters.rds.services.k8s.aws";

/// A file or folder in `deploy`.
pub(crate) fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

pub(crate) fn get(platform: &Platform, args: &[&str]) -> Value {
    let out = platform.kubectl(&[&["get", "--output=json"], args].concat()).unwrap();
    serde_json::from_str(&out).unwrap()
}

/// The documents of an overlay: `more` is the rest of its kustomization. kustomize wants an overlay beside the folders it
/// builds on, so they are copied.
pub(crate) fn rendered(platform: &Platform, more: &str) -> String {
    let root = std::env::temp_dir().join(format!("clonewarden-rgd-{}", std::process::id()));
    for folder in ["kro", "kro/shared-only"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for file in ["wordpress-clone.yaml", "rbac.yaml", "kustomization.yaml", "shared-only/kustomization.yaml"] {
        fs::copy(deploy("kro").join(file), root.join("kro").join(file)).unwrap();
    }
    fs::create_dir_all(root.join("mine")).unwrap();
    fs::write(root.join("mine/kustomization.yaml"), format!("resources: [../kro]\n{more}\n")).unwrap();
    let out = platform.kubectl(&["kustomize", &root.join("mine").to_string_lossy()]).unwrap();
    fs::remove_dir_all(&root).unwrap();
    out
}

/// Applies the definition, and returns the order of its nodes once KRO serves it.
pub(crate) fn define(platform: &Platform, documents: &str) -> Vec<String> {
    platform.kubectl_with_input(&["apply", "--filename=-"], documents).unwrap();
    let (rgd, took) = wait("the RGD is Active and Ready", WITHIN, || {
        let rgd = get(platform, &["rgd", "wordpress-clone"]);
        let ready = rgd["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
        if rgd["status"]["state"] == "Active" && ready { Ok(rgd) } else { Err(rgd["status"].to_string()) }
    });
    println!("RGD Active and Ready after {:.1} s", took.as_secs_f64());
    let order = rgd["status"]["topologicalOrder"].as_array().unwrap();
    order.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Takes the definition away, and its kind, which KRO leaves.
pub(crate) fn undefine(platform: &Platform) {
    platform.kubectl(&["delete", "rgd", "wordpress-clone", "--timeout=30s"]).unwrap();
    platform.kubectl(&["delete", "crd", "wordpressclones.kro.run", "--timeout=30s"]).unwrap();
}

/// Makes a namespace that Pods can be made in.
pub(crate) fn namespace(platform: &Platform, name: &str) {
    platform.kubectl(&["create", "namespace", name]).unwrap();
    wait("the namespace has its account", WITHIN, || platform.kubectl(&["get", "sa", "default", "-n", name]).map_err(|e| e.to_string()));
}

/// The document of a clone; `more` is put into its spec, and a null takes a field out.
pub(crate) fn clone(name: &str, namespace: &str, more: &Value) -> Value {
    let mut spec = json!({"cloneId": name, "sourceUrl": "https://example.com", "ttlSeconds": 7200});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    json!({"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

pub(crate) fn create(platform: &Platform, document: &Value) {
    platform.kubectl_with_input(&["create", "--filename=-"], &document.to_string()).unwrap();
}

/// Returns the clone once KRO calls it ACTIVE.
pub(crate) fn active(platform: &Platform, namespace: &str, name: &str) -> Value {
    let (alive, took) = wait("the clone is ACTIVE", WITHIN, || {
        let clone = get(platform, &["wordpressclone", name, "-n", namespace]);
        if clone["status"]["state"] == "ACTIVE" { Ok(clone) } else { Err(clone["status"].to_string()) }
    });
    println!("{namespace}/{name}: ACTIVE after {:.1} s", took.as_secs_f64());
    alive
}

/// Returns when the namespace has no clone and nothing of one.
pub(crate) fn gone(platform: &Platform, namespace: &str) {
    let (_, took) = wait("the clones and every child are gone", WITHIN, || {
        let left = platform.kubectl(&["get", &format!("wordpressclones,{CHILDREN}"), "-n", namespace, "--output=name"]).unwrap();
        let left: Vec<_> = left.lines().filter(|name| !name.contains("kube-root-ca.crt")).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join(" ")) }
    });
    println!("{namespace}: all gone after {:.1} s", took.as_secs_f64());
}
