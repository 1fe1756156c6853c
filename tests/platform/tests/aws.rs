//! The AWS endpoint behaves as AWS where the daemon's safety depends on it, and goes wrong in the ways that it is told.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by a panic, and so do its helpers")]

#[path = "common/aws.rs"]
mod aws;
mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws::{Answer, Aws, REGION};
use clonewarden_platform::Platform;
use common::wait;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(20);
/// Nothing changes by itself while a test looks at it: where it is to go on, the test moves AWS' time.
const SLOW: f64 = 1000.0;

/// One test at a time: there is one account.
static ALONE: Mutex<()> = Mutex::new(());

/// An empty account in which each state lasts until the test moves on.
fn account() -> (MutexGuard<'static, ()>, Aws) {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let aws = Aws::of(&Platform::attach().unwrap());
    aws.control("reset", &json!({}));
    aws.control("timing", &json!({"creating": SLOW, "backingUp": SLOW, "deleting": SLOW, "snapshot": SLOW}));
    (alone, aws)
}

/// As much of AWS' time as one state lasts, and a little.
fn pass(aws: &Aws) {
    aws.control("shift", &json!({"seconds": SLOW + 1.0}));
}

fn instance(aws: &Aws, name: &str, more: &[(&str, &str)]) -> Answer {
    let own = [("DBInstanceIdentifier", name), ("DBInstanceClass", "db.t3.micro"), ("Engine", "mysql"), ("DBSubnetGroupName", "clones")];
    aws.ok("CreateDBInstance", &[&own, more].concat())
}

fn cluster(aws: &Aws, name: &str, more: &[(&str, &str)]) -> Answer {
    let own = [("DBClusterIdentifier", name), ("Engine", "aurora-mysql"), ("MasterUsername", "wordpress"), ("MasterUserPassword", "a-password")];
    aws.ok("CreateDBCluster", &[&own, more].concat())
}

fn described(aws: &Aws, name: &str) -> Answer {
    aws.ok("DescribeDBInstances", &[("DBInstanceIdentifier", name)])
}

fn status(aws: &Aws, name: &str) -> String {
    described(aws, name).one("DBInstanceStatus").to_owned()
}

fn cluster_status(aws: &Aws, name: &str) -> String {
    aws.ok("DescribeDBClusters", &[("DBClusterIdentifier", name)]).one("Status").to_owned()
}

const TAGS: [(&str, &str); 2] = [("Tags.Tag.1.Key", "CloneId"), ("Tags.Tag.1.Value", "a")];

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn an_instance_takes_time_to_come_and_to_go() {
    let (_alone, aws) = account();
    let new = instance(&aws, "one", &TAGS);
    assert_eq!(new.one("DBInstanceStatus"), "creating");
    for absent in ["Endpoint", "InstanceCreateTime"] {
        assert!(new.all(absent).is_empty(), "{absent} is not known before it is there: {}", new.body);
    }
    let id = new.one("DbiResourceId").to_owned();
    let name = ("DBInstanceIdentifier", "one");
    aws.refused("ModifyDBInstance", &[name, ("DeletionProtection", "true")], "InvalidDBInstanceState");
    aws.refused("CreateDBSnapshot", &[name, ("DBSnapshotIdentifier", "early")], "InvalidDBInstanceState");
    aws.refused("DeleteDBInstance", &[name, ("FinalDBSnapshotIdentifier", "early")], "InvalidDBInstanceState");
    pass(&aws);
    assert_eq!(status(&aws, "one"), "backing-up");
    let backup = aws.ok("DescribeDBInstanceAutomatedBackups", &[name]);
    assert_eq!((backup.one("DBInstanceIdentifier"), backup.one("DbiResourceId")), ("one", id.as_str()));
    pass(&aws);
    let now = described(&aws, "one");
    assert_eq!((now.one("DBInstanceStatus"), now.one("DbiResourceId"), now.tags()), ("available", id.as_str(), vec!["CloneId=a".to_owned()]));
    assert!(now.one("Address").starts_with("one."), "{}", now.body);
    assert!(now.one("InstanceCreateTime").starts_with("20"), "{}", now.body);

    aws.refused("DeleteDBInstance", &[name], "InvalidParameterCombination");
    aws.refused("DeleteDBInstance", &[name, ("SkipFinalSnapshot", "true"), ("FinalDBSnapshotIdentifier", "both")], "InvalidParameterCombination");
    aws.ok("ModifyDBInstance", &[name, ("DeletionProtection", "true")]);
    aws.refused("DeleteDBInstance", &[name, ("SkipFinalSnapshot", "true")], "InvalidParameterCombination");
    aws.ok("ModifyDBInstance", &[name, ("DeletionProtection", "false")]);
    assert_eq!(aws.ok("DeleteDBInstance", &[name, ("SkipFinalSnapshot", "true")]).one("DBInstanceStatus"), "deleting");
    aws.refused("DeleteDBInstance", &[name, ("SkipFinalSnapshot", "true")], "InvalidDBInstanceState");
    aws.refused("CreateDBInstance", &[name, ("DBInstanceClass", "db.t3.micro"), ("Engine", "mysql")], "DBInstanceAlreadyExists");
    assert_eq!((status(&aws, "one").as_str(), described(&aws, "one").tags()), ("deleting", vec!["CloneId=a".to_owned()]));
    pass(&aws);
    aws.refused("DescribeDBInstances", &[name], "DBInstanceNotFound");
    assert!(aws.ok("DescribeDBInstanceAutomatedBackups", &[name]).all("DbiResourceId").is_empty(), "its backups went with it");
    let arn = format!("arn:aws:rds:{REGION}:123456789012:db:one");
    aws.refused("ListTagsForResource", &[("ResourceName", &arn)], "DBInstanceNotFound");

    assert_ne!(instance(&aws, "one", &[]).one("DbiResourceId"), id, "the same name, but another instance");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_default_states_pass_on_the_wall_clock() {
    let (_alone, aws) = account();
    aws.control("reset", &json!({}));
    instance(&aws, "one", &[]);
    let (_, took) = wait("it is available", WITHIN, || match status(&aws, "one").as_str() {
        "available" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert!(took > Duration::from_millis(500), "{took:?}");
    aws.control("timing", &json!({"creating": 0, "backingUp": 0}));
    assert_eq!(instance(&aws, "two", &[]).one("DBInstanceStatus"), "available", "a state of no length is left out");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn snapshots_remember_what_they_were_taken_of() {
    let (_alone, aws) = account();
    let id = instance(&aws, "one", &[&TAGS[..], &[("CopyTagsToSnapshot", "true")]].concat()).one("DbiResourceId").to_owned();
    instance(&aws, "two", &[&TAGS[..], &[("BackupRetentionPeriod", "0")]].concat());
    pass(&aws);
    assert_eq!(status(&aws, "two"), "available", "without backups there is nothing to wait for");
    pass(&aws);
    let automated = aws.ok("DescribeDBSnapshots", &[]);
    assert_eq!((automated.one("SnapshotType"), automated.one("Status"), automated.one("DbiResourceId")), ("automated", "available", id.as_str()));
    assert!(automated.one("DBSnapshotIdentifier").starts_with("rds:one-"), "{}", automated.body);
    let its_name = automated.one("DBSnapshotIdentifier").to_owned();
    aws.refused("DeleteDBSnapshot", &[("DBSnapshotIdentifier", &its_name)], "InvalidDBSnapshotState");

    aws.ok("CreateDBSnapshot", &[("DBInstanceIdentifier", "two"), ("DBSnapshotIdentifier", "by-hand")]);
    let by_hand = ("DBSnapshotIdentifier", "by-hand");
    assert_eq!(aws.ok("DescribeDBSnapshots", &[by_hand]).one("Status"), "creating");
    aws.refused("DeleteDBInstance", &[("DBInstanceIdentifier", "one"), ("FinalDBSnapshotIdentifier", "by-hand")], "DBSnapshotAlreadyExists");
    for (name, last) in [("one", "last-of-one"), ("two", "last-of-two")] {
        aws.ok("DeleteDBInstance", &[("DBInstanceIdentifier", name), ("FinalDBSnapshotIdentifier", last)]);
        assert_eq!(aws.ok("DescribeDBSnapshots", &[("DBSnapshotIdentifier", last)]).one("Status"), "creating");
    }
    pass(&aws);
    assert!(aws.ok("DescribeDBInstances", &[]).all("DBInstance").is_empty());
    let last = aws.ok("DescribeDBSnapshots", &[("DBSnapshotIdentifier", "last-of-one")]);
    assert_eq!((last.one("Status"), last.one("SnapshotType"), last.one("DbiResourceId")), ("available", "manual", id.as_str()));
    assert_eq!(last.tags(), ["CloneId=a"]);
    assert!(aws.ok("DescribeDBSnapshots", &[("DBSnapshotIdentifier", "last-of-two")]).tags().is_empty(), "it does not copy its tags");
    assert!(aws.ok("DescribeDBSnapshots", &[("SnapshotType", "automated")]).all("DBSnapshot").is_empty(), "backups go with the instance");
    assert_eq!(aws.ok("DescribeDBSnapshots", &[]).all("DBSnapshot").len(), 3);
    assert_eq!(aws.ok("DescribeDBSnapshots", &[("DbiResourceId", &id)]).one("DBSnapshotIdentifier"), "last-of-one");
    aws.ok("DeleteDBSnapshot", &[by_hand]);
    aws.refused("DescribeDBSnapshots", &[by_hand], "DBSnapshotNotFound");

    // Unless it is said that they are to stay.
    instance(&aws, "three", &[]);
    pass(&aws);
    pass(&aws);
    aws.ok("DeleteDBInstance", &[("DBInstanceIdentifier", "three"), ("SkipFinalSnapshot", "true"), ("DeleteAutomatedBackups", "false")]);
    pass(&aws);
    assert!(aws.ok("DescribeDBSnapshots", &[("SnapshotType", "automated")]).one("DBSnapshotIdentifier").starts_with("rds:three-"));
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn a_cluster_goes_after_its_members() {
    let (_alone, aws) = account();
    let name = ("DBClusterIdentifier", "many");
    let new = cluster(&aws, "many", &[&TAGS[..], &[("CopyTagsToSnapshot", "true")]].concat());
    let id = new.one("DbClusterResourceId").to_owned();
    assert!(new.one("Endpoint").starts_with("many.cluster-"), "a cluster has its endpoint at once: {}", new.body);
    let member = [name, ("DBInstanceIdentifier", "many-1"), ("DBInstanceClass", "db.serverless"), ("Engine", "aurora-mysql")];
    aws.ok("CreateDBInstance", &member);
    assert_eq!((cluster_status(&aws, "many").as_str(), cluster_status(&aws, "many").as_str()), ("creating", "creating"));
    aws.refused("CreateDBCluster", &[name, ("Engine", "aurora-mysql"), ("MasterUsername", "wordpress")], "DBClusterAlreadyExistsFault");
    pass(&aws);
    assert_eq!((cluster_status(&aws, "many").as_str(), status(&aws, "many-1").as_str()), ("backing-up", "available"));
    pass(&aws);
    let now = aws.ok("DescribeDBClusters", &[name]);
    assert_eq!((now.one("Status"), now.one("DbClusterResourceId"), now.tags()), ("available", id.as_str(), vec!["CloneId=a".to_owned()]));
    assert!(aws.ok("DescribeDBSnapshots", &[]).all("DBSnapshot").is_empty(), "a member's backups are its cluster's");
    let automated = aws.ok("DescribeDBClusterSnapshots", &[]);
    assert_eq!((automated.one("SnapshotType"), automated.one("DbClusterResourceId")), ("automated", id.as_str()));

    let (skip, last) = (("SkipFinalSnapshot", "true"), ("FinalDBSnapshotIdentifier", "last"));
    aws.refused("DeleteDBCluster", &[name], "InvalidParameterCombination");
    aws.refused("DeleteDBCluster", &[name, skip, last], "InvalidParameterCombination");
    aws.refused("DeleteDBCluster", &[name, skip], "InvalidDBClusterStateFault");
    aws.refused("DeleteDBInstance", &[("DBInstanceIdentifier", "many-1"), last], "InvalidParameterCombination");
    aws.refused("CreateDBSnapshot", &[("DBInstanceIdentifier", "many-1"), ("DBSnapshotIdentifier", "no")], "InvalidParameterValue");
    aws.control("rds", &json!({"region": REGION, "cluster": "many", "set": {"deletionProtection": true}}));
    aws.refused("DeleteDBCluster", &[name, skip], "InvalidParameterCombination");
    aws.control("rds", &json!({"region": REGION, "cluster": "many", "set": {"deletionProtection": false}}));
    // A member has no snapshot of its own that would have to be skipped.
    aws.ok("DeleteDBInstance", &[("DBInstanceIdentifier", "many-1")]);
    aws.ok("DeleteDBCluster", &[name, last]);
    aws.refused("DeleteDBCluster", &[name, skip], "InvalidDBClusterStateFault");
    aws.refused("CreateDBInstance", &[name, ("DBInstanceIdentifier", "many-2"), member[2], member[3]], "InvalidDBClusterStateFault");
    assert_eq!((cluster_status(&aws, "many").as_str(), status(&aws, "many-1").as_str()), ("deleting", "deleting"));
    pass(&aws);
    aws.refused("DescribeDBClusters", &[name], "DBClusterNotFoundFault");
    aws.refused("DescribeDBInstances", &[("DBInstanceIdentifier", "many-1")], "DBInstanceNotFound");
    let last = aws.ok("DescribeDBClusterSnapshots", &[]);
    assert_eq!((last.one("DBClusterSnapshotIdentifier"), last.one("Status"), last.one("DbClusterResourceId")), ("last", "available", id.as_str()));
    assert_eq!(last.tags(), ["CloneId=a"]);
    assert_ne!(cluster(&aws, "many", &[]).one("DbClusterResourceId"), id);
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn lists_come_in_pages() {
    let (_alone, aws) = account();
    let started = Instant::now();
    aws.control("bulk", &json!({"region": REGION, "count": 250, "prefix": "bulk", "tags": {"CloneUid": "uid-{n}", "Cluster": "test"}}));
    println!("250 instances in {:?}", started.elapsed());
    let list = "DescribeDBInstances";
    for wrong in [("MaxRecords", "19"), ("MaxRecords", "101"), ("Marker", "nonsense")] {
        for action in [list, "DescribeDBClusters", "DescribeDBSnapshots", "DescribeDBClusterSnapshots"] {
            aws.refused(action, &[wrong], "InvalidParameterValue");
        }
    }
    let mut pages = Vec::new();
    let (mut ids, mut resources) = (Vec::new(), Vec::new());
    let mut marker = None;
    loop {
        let mut parameters = Vec::new();
        if let Some(marker) = &marker {
            parameters.push(("Marker", String::as_str(marker)));
        }
        let page = aws.ok(list, &parameters);
        ids.extend(page.all("DBInstanceIdentifier").iter().map(ToString::to_string));
        resources.extend(page.all("DbiResourceId").iter().map(ToString::to_string));
        pages.push(page.all("DBInstance").len());
        match page.all("Marker").first() {
            Some(next) => marker = Some((*next).to_owned()),
            None => break,
        }
    }
    assert_eq!(pages, [100, 100, 50]);
    assert_eq!((ids[0].as_str(), ids[249].as_str()), ("bulk-0001", "bulk-0250"));
    assert_eq!(described(&aws, "bulk-0042").tags(), ["CloneUid=uid-0042", "Cluster=test"]);
    resources.sort_unstable();
    resources.dedup();
    assert_eq!(resources.len(), 250);
    // A marker of one list means nothing to another; and what went in between moves nothing.
    let first = aws.ok(list, &[("MaxRecords", "20")]);
    let marker = ("Marker", first.one("Marker"));
    aws.refused("DescribeDBClusters", &[marker], "InvalidParameterValue");
    aws.control("timing", &json!({"deleting": 0}));
    aws.ok("DeleteDBInstance", &[("DBInstanceIdentifier", "bulk-0003"), ("SkipFinalSnapshot", "true")]);
    assert_eq!(aws.ok(list, &[("MaxRecords", "20"), marker]).all("DBInstanceIdentifier")[0], "bulk-0021");
    let elsewhere = aws.try_call("eu-west-1", list, &[]).unwrap();
    assert!(elsewhere.all("DBInstance").is_empty(), "a region is a region");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn every_fault_happens_as_often_as_it_is_wished() {
    let (_alone, aws) = account();
    aws.control("bulk", &json!({"region": REGION, "count": 30, "prefix": "bulk", "tags": {"CloneId": "{n}"}}));
    let list = "DescribeDBInstances";
    let whole = aws.ok(list, &[("MaxRecords", "20")]);
    let marker = whole.one("Marker").to_owned();
    let fault = |fault: Value| aws.control("faults", &json!([fault]));
    let page = || aws.ok(list, &[("MaxRecords", "20")]);

    for (code, status) in [("Throttling", 400), ("ServiceUnavailable", 503), ("ExpiredToken", 403), ("InternalFailure", 500)] {
        fault(json!({"op": list, "code": code, "status": status, "times": 2}));
        assert_eq!(aws.call("DescribeDBClusters", &[]).status, 200, "another action");
        for _ in 0..2 {
            let answer = aws.call(list, &[]);
            assert_eq!((answer.status, answer.one("Code")), (status, code));
        }
        assert_eq!(aws.call(list, &[]).status, 200, "twice, and no more");
    }
    fault(json!({"op": list, "match": "bulk-0007", "code": "AccessDenied", "status": 403, "times": -1}));
    assert_eq!(status(&aws, "bulk-0008"), "available");
    for _ in 0..3 {
        assert_eq!(aws.call(list, &[("DBInstanceIdentifier", "bulk-0007")]).status, 403);
    }
    fault(json!({"op": list, "region": "eu-west-1", "code": "Throttling", "times": -1}));
    assert_eq!(aws.call(list, &[]).status, 200, "another region");
    assert_eq!(aws.try_call("eu-west-1", list, &[]).unwrap().one("Code"), "Throttling");
    fault(json!({"op": "GetCallerIdentity", "code": "ExpiredToken", "status": 403}));
    assert_eq!(aws.call("GetCallerIdentity", &[]).one("Code"), "ExpiredToken");
    assert_eq!(aws.ok("GetCallerIdentity", &[]).one("Account"), "123456789012");

    fault(json!({"op": list, "latencyMs": 300}));
    let started = Instant::now();
    page();
    assert!(started.elapsed() >= Duration::from_millis(300));
    fault(json!({"op": list, "truncate": 0.5}));
    assert_eq!(page().body.len(), whole.body.len() / 2);
    fault(json!({"op": list, "truncate": 100}));
    assert_eq!(page().body.len(), 100);
    fault(json!({"op": list, "dropTags": true}));
    let untagged = page();
    assert_eq!((untagged.all("DBInstance").len(), untagged.body.contains("TagList")), (20, false));
    fault(json!({"op": list, "shortPage": 3}));
    let short = page();
    assert_eq!((short.all("DBInstance").len(), short.one("Marker")), (17, marker.as_str()));
    fault(json!({"op": list, "dropMarker": true}));
    let unmarked = page();
    assert_eq!((unmarked.all("DBInstance").len(), unmarked.all("Marker").len()), (20, 0));
    fault(json!({"op": list, "repeatMarker": true}));
    page();
    let again = aws.ok(list, &[("MaxRecords", "20"), ("Marker", &marker)]);
    assert_eq!((again.all("DBInstance").len(), again.one("Marker")), (10, marker.as_str()));

    let delete = [("DBInstanceIdentifier", "bulk-0001"), ("SkipFinalSnapshot", "true")];
    fault(json!({"op": "DeleteDBInstance", "reset": true}));
    aws.try_call(REGION, "DeleteDBInstance", &delete).unwrap_err();
    assert_eq!(status(&aws, "bulk-0001"), "available", "it did not arrive");
    fault(json!({"op": "DeleteDBInstance", "lostAnswer": true}));
    aws.try_call(REGION, "DeleteDBInstance", &delete).unwrap_err();
    assert_eq!(status(&aws, "bulk-0001"), "deleting", "it did");

    let calls = aws.calls(0);
    let lost = &calls[calls.len() - 2];
    assert_eq!((&lost["op"], &lost["status"], &lost["fault"]), (&json!("DeleteDBInstance"), &Value::Null, &json!("lostAnswer")));
    assert_eq!(lost["parameters"], json!({"DBInstanceIdentifier": "bulk-0001", "SkipFinalSnapshot": "true"}));
    assert_eq!((&lost["region"], aws.calls(calls.len() - 1).len()), (&json!(REGION), 1));
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn time_moves_on_and_facts_are_set() {
    let (_alone, aws) = account();
    instance(&aws, "one", &TAGS);
    pass(&aws);
    pass(&aws);
    let set = |facts: Value| aws.control("rds", &json!({"region": REGION, "id": "one", "set": facts}));
    set(json!({"created": "2026-01-31T12:00:00Z"}));
    assert!(described(&aws, "one").one("InstanceCreateTime").starts_with("2026-01-31T12:00:00"));
    let before = aws.ok("GetCallerIdentity", &[]).date;
    aws.control("shift", &json!({"seconds": 86_400}));
    assert!(described(&aws, "one").one("InstanceCreateTime").starts_with("2026-01-30T12:00:00"));
    let snapshot = aws.ok("DescribeDBSnapshots", &[]);
    assert_ne!(snapshot.one("SnapshotCreateTime").get(..10), Some(date(&before).as_str()), "the snapshot is a day older, too");
    assert_eq!(date(&aws.ok("GetCallerIdentity", &[]).date), date(&before), "the clock stays");

    aws.control("date", &json!({"skewSeconds": 86_400 * 3}));
    assert_ne!(date(&aws.ok("GetCallerIdentity", &[]).date), date(&before));
    aws.control("date", &json!({"skewSeconds": 0}));

    set(json!({"status": "storage-full"}));
    aws.refused("DeleteDBInstance", &[("DBInstanceIdentifier", "one"), ("FinalDBSnapshotIdentifier", "last")], "InvalidDBInstanceState");
    set(json!({"tags": {"Owner": "nobody"}}));
    assert_eq!(described(&aws, "one").tags(), ["Owner=nobody"]);
    set(json!({"tags": {}}));
    assert_eq!(described(&aws, "one").body.matches("<TagList").count(), 1, "a list, and nothing in it");
    set(json!({"tags": null}));
    assert!(!described(&aws, "one").body.contains("TagList"), "no list");
    let snapshot = snapshot.one("DBSnapshotIdentifier");
    aws.control("rds", &json!({"region": REGION, "snapshot": snapshot, "set": {"status": "failed"}}));
    assert_eq!(aws.ok("DescribeDBSnapshots", &[]).one("Status"), "failed");
}

/// The day of a Date header, as RFC 3339 has it.
fn date(header: &str) -> String {
    let words: Vec<_> = header.split(' ').collect();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|month| *month == words[2]).unwrap() + 1;
    format!("{}-{month:02}-{}", words[3], words[1])
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn what_the_control_api_does_not_know_is_refused_in_words() {
    let (_alone, aws) = account();
    for (method, path, body, because) in [
        ("GET", "nothing", "", "no GET /control/nothing"),
        ("POST", "reset/more", "{}", "no POST /control/reset/more"),
        ("POST", "timing", "{", "not JSON"),
        ("POST", "timing", r#"{"creatign": 1}"#, "no `creatign`"),
        ("POST", "timing", r#"{"creating": "1"}"#, "`creating` cannot be '1'"),
        ("POST", "shift", "{}", "`seconds` is missing"),
        ("POST", "date", "[]", "object"),
        ("POST", "faults", "{}", "list"),
        ("POST", "faults", r#"[{"op": "X"}]"#, "this one has none"),
        ("POST", "faults", r#"[{"reset": true, "code": "X"}]"#, "this one has code, reset"),
        ("POST", "faults", r#"[{"reset": true, "tims": 2}]"#, "no `tims`"),
        ("POST", "static", "[]", "by target"),
        ("POST", "static", r#"{"X.Y": [{"answr": {}}]}"#, "not an `answer`"),
        ("POST", "rds", r#"{"region": "us-east-1", "set": {}}"#, "one of id, cluster"),
        ("POST", "rds", r#"{"region": "us-east-1", "id": "none", "set": {}}"#, "no id none"),
        ("POST", "rds", r#"{"region": "nowhere", "id": "none", "set": {}}"#, "no region nowhere"),
        ("POST", "bulk", r#"{"region": "us-east-1"}"#, "`count` is missing"),
        ("GET", "calls?since=x", "", "`since`"),
    ] {
        let answer = aws.send(method, &format!("/control/{path}"), "", body).unwrap();
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
        let said: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(said["error"].as_str().unwrap().contains(because), "{path} {body}: {said}");
    }
    // What moto cannot do is said, and not taken for an outage.
    let answer = aws.call("DescribeAccountAttributes", &[]);
    assert_eq!((answer.status, answer.one("Code")), (501, "NotImplemented"));
}
