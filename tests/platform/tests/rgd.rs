//! `deploy/kro` on the real KRO: both variants are accepted, a clone comes up with its Pod and goes with everything.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`. One test, because the two
//! variants are the same kind in the same cluster.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test fails by a panic, and so do its helpers")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clonewarden_platform::Platform;
use common::wait;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(30);
const CHILDREN: &str = "jobs,pods,services,ingresses,configmaps,dbinstances.rds.services.k8s.aws";

fn kro_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kro")
}

fn get(platform: &Platform, args: &[&str]) -> Value {
    let out = platform.kubectl(&[&["get", "--output=json"], args].concat()).unwrap();
    serde_json::from_str(&out).unwrap()
}

/// The variant's documents. kustomize wants an overlay beside the folders it builds on, so they are copied.
fn rendered(platform: &Platform, components: &str) -> String {
    let root = std::env::temp_dir().join(format!("clonewarden-rgd-{}", std::process::id()));
    for folder in ["kro", "kro/shared-only"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for file in ["wordpress-clone.yaml", "rbac.yaml", "kustomization.yaml", "shared-only/kustomization.yaml"] {
        fs::copy(kro_folder().join(file), root.join("kro").join(file)).unwrap();
    }
    fs::create_dir_all(root.join("mine")).unwrap();
    fs::write(root.join("mine/kustomization.yaml"), format!("resources: [../kro]\ncomponents: [{components}]\n")).unwrap();
    let out = platform.kubectl(&["kustomize", &root.join("mine").to_string_lossy()]).unwrap();
    fs::remove_dir_all(&root).unwrap();
    out
}

fn apply_rgd(platform: &Platform, documents: &str) -> Vec<String> {
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

fn clone(name: &str, namespace: &str, more: &Value) -> String {
    let mut spec = json!({"cloneId": name, "sourceUrl": "https://example.com", "ttlSeconds": 7200});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"name": name, "namespace": namespace}, "spec": spec}).to_string()
}

/// A shared clone from nothing to gone; returns it as it was while it lived.
fn up_and_down(platform: &Platform, namespace: &str) -> Value {
    platform.kubectl(&["create", "namespace", namespace]).unwrap();
    wait("the namespace has its account", WITHIN, || platform.kubectl(&["get", "sa", "default", "-n", namespace]).map_err(|e| e.to_string()));
    platform.kubectl_with_input(&["create", "--filename=-"], &clone("clone-1", namespace, &json!({}))).unwrap();
    let (alive, took) = wait("the clone is ACTIVE", WITHIN, || {
        let clone = get(platform, &["wordpressclone", "clone-1", "-n", namespace]);
        if clone["status"]["state"] == "ACTIVE" { Ok(clone) } else { Err(clone["status"].to_string()) }
    });
    println!("{namespace}: ACTIVE after {:.1} s", took.as_secs_f64());
    let uid = alive["metadata"]["uid"].as_str().unwrap();
    let (_, took) = wait("its Pod runs", WITHIN, || {
        let pods = get(platform, &["pods", "-n", namespace, "-l", &format!("clonewarden.io/clone-uid={uid}")]);
        if pods["items"][0]["status"]["phase"] == "Running" { Ok(()) } else { Err(pods.to_string()) }
    });
    println!("{namespace}: Pod Running {:.1} s later", took.as_secs_f64());

    let config = get(platform, &["configmap", "clone-1-db-shared", "-n", namespace]);
    let schema = format!("wp_{}", &uid.replace('-', "")[..28]);
    assert_eq!(config["data"]["WORDPRESS_DB_NAME"], schema);
    assert_eq!(config["data"]["WORDPRESS_DB_USER"], schema);
    assert_eq!(alive["status"]["credentialsSecretName"], format!("clone-1-{}-secret", &uid[..8]));
    assert_eq!(alive["status"]["databaseMode"], "shared");
    let job = get(platform, &["job", "clone-1-job", "-n", namespace]);
    assert_eq!(job["spec"]["activeDeadlineSeconds"], Value::Null);
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], Value::Null);

    platform.kubectl(&["delete", "wordpressclone", "clone-1", "-n", namespace, "--wait=false"]).unwrap();
    let (_, took) = wait("the clone and every child are gone", WITHIN, || {
        let left = platform.kubectl(&["get", &format!("wordpressclones,{CHILDREN}"), "-n", namespace, "--output=name"]).unwrap();
        let left: Vec<_> = left.lines().filter(|name| !name.contains("kube-root-ca.crt")).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join(" ")) }
    });
    println!("{namespace}: all gone after {:.1} s", took.as_secs_f64());
    alive
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn both_variants_are_accepted_and_a_shared_clone_comes_and_goes() {
    let platform = Platform::attach().unwrap();

    let order = apply_rgd(&platform, &rendered(&platform, ""));
    assert_eq!(order, ["rdsDatabase", "dbConfigDedicated", "dbConfigShared", "cloneJob", "cloneService", "cloneIngress"]);
    up_and_down(&platform, "rgd-full");

    // A dedicated clone gets its DBInstance object, named and tagged as the ownership rules want it.
    platform.kubectl_with_input(&["create", "--filename=-"], &clone("clone-2", "rgd-full", &json!({"useDedicatedDatabase": true}))).unwrap();
    let (database, _) = wait("the DBInstance object is there", WITHIN, || {
        let list = get(&platform, &["dbinstances.rds.services.k8s.aws", "-n", "rgd-full"]);
        list["items"].get(0).cloned().ok_or_else(|| "none".to_owned())
    });
    let uid = get(&platform, &["wordpressclone", "clone-2", "-n", "rgd-full"])["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(database["spec"]["dbInstanceIdentifier"], format!("clone-2-{}", &uid[..8]));
    assert_eq!(
        database["spec"]["tags"],
        json!([
            {"key": "CloneId", "value": "clone-2"},
            {"key": "CloneUid", "value": uid},
            {"key": "Namespace", "value": "rgd-full"},
            {"key": "Cluster", "value": "REPLACE-CLUSTER-ID"},
        ])
    );
    let refused = platform
        .kubectl(&["patch", "wordpressclone", "clone-2", "-n", "rgd-full", "--type=merge", "--patch", r#"{"spec":{"useDedicatedDatabase":false}}"#])
        .unwrap_err()
        .to_string();
    assert!(refused.contains("spec.useDedicatedDatabase"), "{refused}");
    platform.kubectl(&["delete", "wordpressclone", "clone-2", "-n", "rgd-full", "--timeout=30s"]).unwrap();

    // The other variant is another cluster's; here it has to wait until this one's kind is gone. KRO leaves the CRD.
    platform.kubectl(&["delete", "rgd", "wordpress-clone", "--timeout=30s"]).unwrap();
    platform.kubectl(&["delete", "crd", "wordpressclones.kro.run", "--timeout=30s"]).unwrap();
    let documents = rendered(&platform, "../kro/shared-only");
    assert!(!documents.contains("rds.services.k8s.aws"), "{documents}");
    assert_eq!(apply_rgd(&platform, &documents), ["dbConfigShared", "cloneJob", "cloneService", "cloneIngress"]);
    let alive = up_and_down(&platform, "rgd-shared");
    assert_eq!(alive["status"]["databaseEndpoint"], Value::Null);
    let refused = platform
        .kubectl_with_input(&["create", "--filename=-"], &clone("clone-3", "rgd-shared", &json!({"useDedicatedDatabase": true})))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("spec.useDedicatedDatabase"), "{refused}");

    platform.kubectl(&["delete", "rgd", "wordpress-clone", "--timeout=30s"]).unwrap();
    platform.kubectl(&["delete", "crd", "wordpressclones.kro.run", "--timeout=30s"]).unwrap();
    platform.kubectl(&["delete", "namespace", "rgd-full", "rgd-shared", "--wait=false"]).unwrap();
}
