//! `deploy/kro` on the real KRO: both variants are accepted, a clone of each kind gets exactly what it should, and goes
//! with everything.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`. One test, because the two
//! variants are the same kind in the same cluster. ACK is stopped: what it would report is written by hand (`ack.rs` shows
//! what it really does).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test fails by a panic, and so do its helpers")]

mod common;
#[path = "common/definition.rs"]
mod definition;

use std::fs;

use clonewarden_platform::Platform;
use common::wait;
use definition::{WITHIN, active, clone, create, define, deploy, get, gone, namespace, rendered, undefine};
use serde_json::{Value, json};

const DBINSTANCE: &str = "dbinstance.rds.services.k8s.aws";
const DBCLUSTER: &str = "dbcluster.rds.services.k8s.aws";

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap()
}

/// Waits until KRO has made exactly these for the clone, besides what every clone has.
fn children(platform: &Platform, clone: &Value, more: &[&str]) {
    let (namespace, name) = (clone["metadata"]["namespace"].as_str().unwrap(), clone["metadata"]["name"].as_str().unwrap());
    let mut expected = vec![format!("job.batch/{name}-job"), format!("service/{name}-svc"), format!("ingress.networking.k8s.io/{name}-ingress")];
    expected.extend(more.iter().map(|child| (*child).to_owned()));
    expected.sort_unstable();
    let label = format!("kro.run/instance-id={}", uid(clone));
    wait("exactly these children are there", WITHIN, || {
        let kinds = format!("jobs,services,ingresses,configmaps,{DBINSTANCE},{DBCLUSTER}");
        let there = platform.kubectl(&["get", &kinds, "-n", namespace, "-l", &label, "--output=name"]).unwrap();
        let mut there: Vec<_> = there.lines().collect();
        there.sort_unstable();
        if there == expected { Ok(()) } else { Err(format!("{there:?}, not {expected:?}")) }
    });
}

/// Says of a database what ACK would say.
fn report(platform: &Platform, namespace: &str, kind: &str, name: &str, mut status: Value) {
    let arn = format!("arn:aws:rds:us-east-1:123456789012:{name}");
    status["ackResourceMetadata"] = json!({"arn": arn, "ownerAccountID": "123456789012", "region": "us-east-1"});
    let patch = json!({"status": status}).to_string();
    platform.kubectl(&["patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", "--patch", &patch]).unwrap();
}

fn tags(clone: &Value) -> Value {
    json!([
        {"key": "CloneId", "value": clone["metadata"]["name"]},
        {"key": "CloneUid", "value": clone["metadata"]["uid"]},
        {"key": "Namespace", "value": clone["metadata"]["namespace"]},
        {"key": "Cluster", "value": "REPLACE-CLUSTER-ID"},
    ])
}

/// The Job asks for this ConfigMap, which names this host.
fn connects_to(platform: &Platform, clone: &Value, config: &str, host: &str) {
    let (namespace, name) = (clone["metadata"]["namespace"].as_str().unwrap(), clone["metadata"]["name"].as_str().unwrap());
    let job = get(platform, &["job", &format!("{name}-job"), "-n", namespace]);
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"], config);
    let (config, _) = wait("the ConfigMap is there", WITHIN, || {
        platform.kubectl(&["get", "configmap", config, "-n", namespace, "--output=json"]).map_err(|error| error.to_string())
    });
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["data"]["WORDPRESS_DB_HOST"], host);
}

/// The overlay that the comment in `kustomization.yaml` shows: it must reach every value that is to be replaced.
fn overlay_of_the_comment(platform: &Platform) {
    let text = fs::read_to_string(deploy("kro/kustomization.yaml")).unwrap();
    let comment: Vec<_> = text.lines().map_while(|line| line.strip_prefix('#')).collect();
    let patches = comment.iter().position(|line| line.trim() == "patches:").unwrap();
    let documents = rendered(platform, &comment[patches..].join("\n").replace("\n   ", "\n").replacen("   ", "", 1));
    assert_eq!(documents.matches("value: my-cluster").count(), 3, "{documents}");
    assert_eq!(documents.matches("dbSubnetGroupName: my-subnets").count(), 2, "{documents}");
    assert!(documents.contains("alb.example.com") && documents.contains("db.example.com"), "{documents}");
    let left: Vec<_> = documents.lines().filter(|line| line.contains("REPLACE")).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn refused(platform: &Platform, args: &[&str], input: &str, because: &str) {
    let error = platform.kubectl_with_input(args, input).unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

fn delete(platform: &Platform, namespace: &str, names: &[&str]) {
    platform.kubectl(&[&["delete", "wordpressclone", "-n", namespace, "--wait=false"], names].concat()).unwrap();
}

/// A shared clone, up to its running Pod.
fn shared(platform: &Platform, namespace: &str) -> Value {
    create(platform, &clone("shared", namespace, &json!({})));
    let alive = active(platform, namespace, "shared");
    let (_, took) = wait("its Pod runs", WITHIN, || {
        let pods = get(platform, &["pods", "-n", namespace, "-l", &format!("clonewarden.io/clone-uid={}", uid(&alive))]);
        if pods["items"][0]["status"]["phase"] == "Running" { Ok(()) } else { Err(pods.to_string()) }
    });
    println!("{namespace}: Pod Running {:.1} s later", took.as_secs_f64());

    children(platform, &alive, &["configmap/shared-db-shared"]);
    connects_to(platform, &alive, "shared-db-shared", "REPLACE-SHARED-DATABASE-HOST");
    let config = get(platform, &["configmap", "shared-db-shared", "-n", namespace]);
    let schema = format!("wp_{}", &uid(&alive).replace('-', "")[..28]);
    assert_eq!(config["data"]["WORDPRESS_DB_NAME"], schema);
    assert_eq!(config["data"]["WORDPRESS_DB_USER"], schema);
    assert_eq!(alive["status"]["credentialsSecretName"], format!("shared-{}-secret", &uid(&alive)[..8]));
    assert_eq!(alive["status"]["databaseMode"], "shared");
    let job = get(platform, &["job", "shared-job", "-n", namespace]);
    assert_eq!(job["spec"]["activeDeadlineSeconds"], Value::Null);
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], Value::Null);
    alive
}

/// A wish for serverless alone makes no database.
fn wishful(platform: &Platform, namespace: &str) {
    create(platform, &clone("wishful", namespace, &json!({"serverless": {"minACU": 0, "maxACU": 1}})));
    let alive = active(platform, namespace, "wishful");
    children(platform, &alive, &["configmap/wishful-db-shared"]);
    connects_to(platform, &alive, "wishful-db-shared", "REPLACE-SHARED-DATABASE-HOST");
    assert_eq!(alive["status"]["databaseMode"], "shared");
    assert_eq!(alive["status"]["databaseEndpoint"], Value::Null);
}

/// A dedicated clone: its DBInstance is named and tagged as the ownership rules want it.
fn dedicated(platform: &Platform, namespace: &str) {
    let wish = json!({"useDedicatedDatabase": true, "databaseSize": "db.t3.small"});
    create(platform, &clone("dedicated", namespace, &wish));
    let new = get(platform, &["wordpressclone", "dedicated", "-n", namespace]);
    children(platform, &new, &["dbinstance.rds.services.k8s.aws/dedicated-db"]);
    let database = get(platform, &[DBINSTANCE, "dedicated-db", "-n", namespace]);
    assert_eq!(database["spec"]["dbInstanceIdentifier"], format!("dedicated-{}", &uid(&new)[..8]));
    assert_eq!(database["spec"]["dbInstanceClass"], "db.t3.small");
    assert_eq!(database["spec"]["tags"], tags(&new));

    let status = json!({"dbInstanceStatus": "backing-up", "endpoint": {"address": "dedicated.example.com", "port": 3306}});
    report(platform, namespace, DBINSTANCE, "dedicated-db", status);
    let alive = active(platform, namespace, "dedicated");
    children(platform, &alive, &["dbinstance.rds.services.k8s.aws/dedicated-db", "configmap/dedicated-db-dedicated"]);
    connects_to(platform, &alive, "dedicated-db-dedicated", "dedicated.example.com");
    assert_eq!(alive["status"]["databaseMode"], "dedicated");
    assert_eq!(alive["status"]["databaseEndpoint"], "dedicated.example.com");
    assert_eq!(alive["status"]["databaseArn"], "arn:aws:rds:us-east-1:123456789012:dedicated-db");
    assert_eq!(alive["status"]["databaseStatus"], "backing-up");

    let flip = r#"{"spec":{"useDedicatedDatabase":false}}"#;
    refused(platform, &["patch", "wordpressclone", "dedicated", "-n", namespace, "--type=merge", "--patch", flip], "", "spec.useDedicatedDatabase");
}

/// A serverless clone: the cluster, then its instance, then the ConfigMap that the Pod waits for.
fn serverless(platform: &Platform, namespace: &str) {
    let wish = json!({"useDedicatedDatabase": true, "serverless": {"minACU": 0.5, "maxACU": 4}});
    create(platform, &clone("serverless", namespace, &wish));
    let new = get(platform, &["wordpressclone", "serverless", "-n", namespace]);
    let (cluster, instance) = ("dbcluster.rds.services.k8s.aws/serverless-db", "dbinstance.rds.services.k8s.aws/serverless-db-writer");
    let identifier = format!("serverless-{}", &uid(&new)[..8]);
    children(platform, &new, &[cluster]);
    let made = get(platform, &[DBCLUSTER, "serverless-db", "-n", namespace]);
    assert_eq!(made["spec"]["dbClusterIdentifier"], identifier);
    assert_eq!(made["spec"]["engine"], "aurora-mysql");
    assert_eq!(made["spec"]["serverlessV2ScalingConfiguration"], json!({"minCapacity": 0.5, "maxCapacity": 4}));
    assert_eq!(made["spec"]["masterUserPassword"], json!({"name": format!("{identifier}-secret"), "key": "db-password"}));
    assert_eq!(made["spec"]["deletionProtection"], false);
    assert_eq!(made["spec"]["tags"], tags(&new));

    let status = json!({"status": "creating", "endpoint": "serverless.cluster-x.example.com"});
    report(platform, namespace, DBCLUSTER, "serverless-db", status);
    children(platform, &new, &[cluster, instance]);
    let made = get(platform, &[DBINSTANCE, "serverless-db-writer", "-n", namespace]);
    assert_eq!(made["spec"]["dbInstanceIdentifier"], identifier);
    assert_eq!(made["spec"]["dbClusterIdentifier"], identifier);
    assert_eq!(made["spec"]["dbInstanceClass"], "db.serverless");
    assert_eq!(made["spec"]["tags"], tags(&new));

    let status = json!({"dbInstanceStatus": "available", "endpoint": {"address": "writer.example.com", "port": 3306}});
    report(platform, namespace, DBINSTANCE, "serverless-db-writer", status);
    let alive = active(platform, namespace, "serverless");
    children(platform, &alive, &[cluster, instance, "configmap/serverless-db-serverless"]);
    connects_to(platform, &alive, "serverless-db-serverless", "serverless.cluster-x.example.com");
    assert_eq!(alive["status"]["databaseMode"], "serverless");
    assert_eq!(alive["status"]["databaseEndpoint"], "serverless.cluster-x.example.com");
    assert_eq!(alive["status"]["databaseArn"], "arn:aws:rds:us-east-1:123456789012:serverless-db");
    assert_eq!(alive["status"]["databaseStatus"], "creating");
}

/// What the schema alone refuses about `serverless`.
fn bounds(platform: &Platform, namespace: &str) {
    let narrower = r#"{"spec":{"serverless":{"maxACU":2}}}"#;
    refused(platform, &["patch", "wordpressclone", "serverless", "-n", namespace, "--type=merge", "--patch", narrower], "", "spec.serverless");
    for (range, because) in [
        (json!({"minACU": 4, "maxACU": 2}), "spec.serverless"),
        (json!({"minACU": 0.5}), "spec.serverless.maxACU"),
        (json!({"maxACU": 4}), "spec.serverless.minACU"),
        (json!({"minACU": 0.3, "maxACU": 4}), "spec.serverless.minACU"),
        (json!({"minACU": 0.5, "maxACU": 0.5}), "spec.serverless.maxACU"),
        (json!({"minACU": 0.5, "maxACU": 257}), "spec.serverless.maxACU"),
    ] {
        let document = clone("refused", namespace, &json!({"useDedicatedDatabase": true, "serverless": range}));
        refused(platform, &["create", "--filename=-"], &document.to_string(), because);
    }
}

/// The instance goes before its cluster: KRO leaves the cluster alone for as long as the instance is there.
fn ends_in_order(platform: &Platform, namespace: &str) {
    let hold = |finalizers: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{finalizers}}}}}"#);
        platform.kubectl(&["patch", DBINSTANCE, "serverless-db-writer", "-n", namespace, "--type=merge", "--patch", &patch]).unwrap();
    };
    hold(r#"["example.com/held"]"#);
    delete(platform, namespace, &["shared", "wishful", "dedicated", "serverless"]);
    // KRO asks anew at each of its turns: after three of them it would have gone on if it did not wait.
    wait("KRO has asked three times for the instance's end", WITHIN, || {
        let log = fs::read_to_string(platform.audit_log()).unwrap();
        let path = format!("/namespaces/{namespace}/dbinstances/serverless-db-writer");
        let asked = log.lines().filter(|line| line.contains(r#""verb":"delete""#) && line.contains(&path)).count();
        if asked >= 3 { Ok(()) } else { Err(format!("{asked} times")) }
    });
    let cluster = get(platform, &[DBCLUSTER, "serverless-db", "-n", namespace]);
    assert_eq!(cluster["metadata"]["deletionTimestamp"], Value::Null, "{cluster}");
    hold("null");
    gone(platform, namespace);
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn both_variants_are_accepted_and_clones_of_each_kind_come_and_go() {
    let platform = Platform::attach().unwrap();
    platform.stop("ack").unwrap();

    overlay_of_the_comment(&platform);
    let order = define(&platform, &rendered(&platform, ""));
    assert_eq!(
        order,
        [
            "rdsDatabase",
            "auroraCluster",
            "auroraInstance",
            "dbConfigDedicated",
            "dbConfigServerless",
            "dbConfigShared",
            "cloneJob",
            "cloneService",
            "cloneIngress",
        ]
    );
    namespace(&platform, "rgd-full");
    shared(&platform, "rgd-full");
    wishful(&platform, "rgd-full");
    dedicated(&platform, "rgd-full");
    serverless(&platform, "rgd-full");
    bounds(&platform, "rgd-full");
    ends_in_order(&platform, "rgd-full");

    // The other variant is another cluster's; here it has to wait until this one's kind is gone.
    undefine(&platform);
    let documents = rendered(&platform, "components: [../kro/shared-only]");
    assert!(!documents.contains("rds.services.k8s.aws"), "{documents}");
    assert_eq!(define(&platform, &documents), ["dbConfigShared", "cloneJob", "cloneService", "cloneIngress"]);
    namespace(&platform, "rgd-shared");
    let alive = shared(&platform, "rgd-shared");
    assert_eq!(alive["status"]["databaseEndpoint"], Value::Null);
    let wish = json!({"useDedicatedDatabase": true, "serverless": {"minACU": 0.5, "maxACU": 4}});
    let document = clone("refused", "rgd-shared", &wish).to_string();
    refused(&platform, &["create", "--filename=-"], &document, "spec.useDedicatedDatabase");
    delete(&platform, "rgd-shared", &["shared"]);
    gone(&platform, "rgd-shared");

    undefine(&platform);
    platform.kubectl(&["delete", "namespace", "rgd-full", "rgd-shared", "--wait=false"]).unwrap();
    platform.restart("ack").unwrap();
}
