//! Databases of clones, all the way: KRO makes the objects, ACK the databases behind the AWS endpoint. What a clone's own
//! objects say about a database is not what AWS says, and that is shown here.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`. One test, because there is one
//! kind and one account.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by a panic, and so do its helpers"
)]

#[path = "common/aws.rs"]
mod aws;
mod common;
#[path = "common/definition.rs"]
mod definition;

use aws::{Answer, Aws};
use clonewarden_platform::Platform;
use common::wait;
use definition::{WITHIN, active, clone, create, define, get, gone, namespace, rendered, undefine};
use serde_json::{Value, json};

const NAMESPACE: &str = "databases";
/// Longer than any step of KRO and ACK: a state is seen, and not just missed.
const SLOW: f64 = 1000.0;

/// Makes what nobody but the daemon makes: without it ACK has no password, and so no database appears.
fn password(platform: &Platform, clone: &Value) {
    let (name, uid) = (clone["metadata"]["name"].as_str().unwrap(), clone["metadata"]["uid"].as_str().unwrap());
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": format!("{name}-{}-secret", &uid[..8]), "namespace": NAMESPACE},
        "stringData": {"db-password": "not-a-secret-here", "username": "admin", "password": "not-a-secret-here"},
    });
    create(platform, &secret);
}

/// Waits until a describe of one resource succeeds and says this.
fn says(aws: &Aws, action: &str, name: (&str, &str), status: (&str, &str)) -> Answer {
    let (answer, took) = wait("AWS says so", WITHIN, || {
        let answer = aws.call(action, &[name]);
        if answer.all(status.0).first() == Some(&status.1) { Ok(answer) } else { Err(answer.body) }
    });
    println!("{name:?} is {} after {:.1} s", status.1, took.as_secs_f64());
    answer
}

/// Every tag that tells whose it is: the clone's own, and those that ACK adds.
fn is_tagged(answer: &Answer, clone: &Value, object: &str) {
    let tags = answer.tags();
    let (name, uid) = (clone["metadata"]["name"].as_str().unwrap(), clone["metadata"]["uid"].as_str().unwrap());
    for tag in [
        format!("CloneId={name}"),
        format!("CloneUid={uid}"),
        format!("Namespace={NAMESPACE}"),
        "Cluster=test".to_owned(),
        format!("services.k8s.aws/namespace={NAMESPACE}"),
        format!("services.k8s.aws/resource-name={object}"),
        "app.kubernetes.io/managed-by=kro".to_owned(),
    ] {
        assert!(tags.contains(&tag), "{tag} is not in {tags:?}");
    }
    assert!(tags.iter().any(|tag| tag.starts_with("services.k8s.aws/controller-version=rds-v")), "{tags:?}");
}

/// Brings the next state about, and has ACK look at once: by itself it does so every 30 s.
fn pass(platform: &Platform, aws: &Aws) {
    aws.control("shift", &json!({"seconds": SLOW + 1.0}));
    platform.restart("ack").unwrap();
}

fn reported(platform: &Platform, kind: &str, name: &str, field: &str, status: &str) {
    let (_, took) = wait("the object says so", WITHIN, || {
        let object = platform.kubectl(&["get", kind, name, "-n", NAMESPACE, "--output=json"]).map_err(|error| error.to_string())?;
        let object: Value = serde_json::from_str(&object).unwrap();
        if object["status"][field] == status { Ok(()) } else { Err(object["status"].to_string()) }
    });
    println!("{kind}/{name} says {status} after {:.1} s", took.as_secs_f64());
}

fn delete(platform: &Platform, name: &str) {
    platform.kubectl(&["delete", "wordpressclone", name, "-n", NAMESPACE, "--wait=false"]).unwrap();
}

/// One instance for one clone.
fn dedicated(platform: &Platform, aws: &Aws) {
    create(platform, &clone("dedicated", NAMESPACE, &json!({"useDedicatedDatabase": true})));
    let new = get(platform, &["wordpressclone", "dedicated", "-n", NAMESPACE]);
    let identifier = format!("dedicated-{}", &new["metadata"]["uid"].as_str().unwrap()[..8]);
    let name = ("DBInstanceIdentifier", identifier.as_str());
    wait("ACK has asked whether it is there", WITHIN, || {
        if aws.calls(0).iter().any(|call| call["op"] == "DescribeDBInstances") { Ok(()) } else { Err("not yet".to_owned()) }
    });
    aws.refused("DescribeDBInstances", &[name], "DBInstanceNotFound");

    password(platform, &new);
    let creating = says(aws, "DescribeDBInstances", name, ("DBInstanceStatus", "creating"));
    is_tagged(&creating, &new, "dedicated-db");
    let resource = creating.one("DbiResourceId").to_owned();
    reported(platform, "dbinstance", "dedicated-db", "dbInstanceStatus", "creating");
    pass(platform, aws);
    pass(platform, aws);
    let available = says(aws, "DescribeDBInstances", name, ("DBInstanceStatus", "available"));
    is_tagged(&available, &new, "dedicated-db");
    reported(platform, "dbinstance", "dedicated-db", "dbInstanceStatus", "available");
    let alive = active(platform, NAMESPACE, "dedicated");
    assert_eq!(alive["status"]["databaseEndpoint"], available.one("Address"));
    assert_eq!(alive["status"]["databaseArn"], available.one("DBInstanceArn"));

    delete(platform, "dedicated");
    gone(platform, NAMESPACE);
    // No object of it is left in the cluster, and it still costs.
    let deleting = says(aws, "DescribeDBInstances", name, ("DBInstanceStatus", "deleting"));
    is_tagged(&deleting, &new, "dedicated-db");
    assert_eq!(deleting.one("DbiResourceId"), resource);
    aws.control("shift", &json!({"seconds": SLOW + 1.0}));
    aws.refused("DescribeDBInstances", &[name], "DBInstanceNotFound");
    assert!(aws.ok("DescribeDBSnapshots", &[]).all("DBSnapshot").is_empty(), "nor a backup");
}

/// A cluster and its writer for one clone.
fn serverless(platform: &Platform, aws: &Aws) {
    let wish = json!({"useDedicatedDatabase": true, "serverless": {"minACU": 0.5, "maxACU": 4}});
    create(platform, &clone("serverless", NAMESPACE, &wish));
    let new = get(platform, &["wordpressclone", "serverless", "-n", NAMESPACE]);
    password(platform, &new);
    let identifier = format!("serverless-{}", &new["metadata"]["uid"].as_str().unwrap()[..8]);
    let (cluster, instance) = (("DBClusterIdentifier", identifier.as_str()), ("DBInstanceIdentifier", identifier.as_str()));
    is_tagged(&says(aws, "DescribeDBClusters", cluster, ("Status", "creating")), &new, "serverless-db");
    // A cluster has its endpoint at once, so KRO goes on to its writer.
    let writer = says(aws, "DescribeDBInstances", instance, ("DBInstanceStatus", "creating"));
    is_tagged(&writer, &new, "serverless-db-writer");
    assert_eq!(writer.one("DBClusterIdentifier"), identifier);
    pass(platform, aws);
    pass(platform, aws);
    let there = says(aws, "DescribeDBClusters", cluster, ("Status", "available"));
    assert_eq!((there.one("MinCapacity"), there.one("IsClusterWriter")), ("0.5", "true"));
    reported(platform, "dbcluster", "serverless-db", "status", "available");
    reported(platform, "dbinstance", "serverless-db-writer", "dbInstanceStatus", "available");
    let alive = active(platform, NAMESPACE, "serverless");
    assert_eq!(alive["status"]["databaseEndpoint"], there.one("Endpoint"));

    delete(platform, "serverless");
    gone(platform, NAMESPACE);
    is_tagged(&says(aws, "DescribeDBClusters", cluster, ("Status", "deleting")), &new, "serverless-db");
    is_tagged(&says(aws, "DescribeDBInstances", instance, ("DBInstanceStatus", "deleting")), &new, "serverless-db-writer");
    aws.control("shift", &json!({"seconds": SLOW + 1.0}));
    aws.refused("DescribeDBClusters", &[cluster], "DBClusterNotFoundFault");
    aws.refused("DescribeDBInstances", &[instance], "DBInstanceNotFound");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn databases_of_clones_come_and_go_later_than_the_clones() {
    let platform = Platform::attach().unwrap();
    let aws = Aws::of(&platform);
    aws.control("reset", &json!({}));
    aws.control("timing", &json!({"creating": SLOW, "backingUp": SLOW, "deleting": SLOW}));
    let documents = rendered(&platform, "").replace("REPLACE-SUBNET-GROUP", "clones").replace("REPLACE-CLUSTER-ID", "test");
    define(&platform, &documents);
    namespace(&platform, NAMESPACE);

    dedicated(&platform, &aws);
    serverless(&platform, &aws);

    // ACK found nothing to put right in what it had made: an endpoint that answers too little would have it go on for ever.
    let calls = aws.calls(0);
    let changes: Vec<_> = calls.iter().filter(|call| call["op"].as_str().unwrap().starts_with("Modify")).collect();
    assert!(changes.is_empty(), "{changes:?}");
    assert!(calls.iter().any(|call| call["userAgent"].as_str().unwrap().starts_with("aws-controllers-k8s/rds")));
    undefine(&platform);
    platform.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).unwrap();
    aws.control("reset", &json!({}));
}
