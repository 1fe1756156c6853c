//! What IAM is to allow: `deploy/aws` and the policies for it, against what the daemon calls and how it is installed.
//!
//! That the policy has exactly the calls of RDS is tested beside that code (`src/observe/rds/tests/rights.rs`); here it is each call of
//! every other service, the conditions, and who may take the role.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::definition::deploy;

const ACCOUNT: &str = "system:serviceaccount:clonewarden:clonewarden";
/// The SDK's crates besides that of RDS, and what each service is called in a policy.
const SERVICES: [(&str, &str); 4] = [("costexplorer", "ce"), ("cloudwatch", "cloudwatch"), ("pricing", "pricing"), ("sts", "sts")];

fn read(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(deploy(file)).unwrap()).unwrap()
}

fn statement<'a>(policy: &'a Value, sid: &str) -> &'a Value {
    policy["Statement"].as_array().unwrap().iter().find(|statement| statement["Sid"] == sid).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_str().map_or_else(|| value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect(), |one| vec![one])
}

/// The sources that ship, without their tests.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "fake.rs" {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// What is called of the services besides RDS: in the SDK each operation is a method that is called after it, in snake case.
fn called() -> BTreeSet<String> {
    let mut all = Vec::new();
    sources(&deploy("../src"), &mut all);
    let mut found = BTreeSet::new();
    for text in &all {
        for (_, prefix) in SERVICES.into_iter().filter(|(name, _)| text.contains(&format!("aws_sdk_{name}::"))) {
            for method in text.split('.').skip(1).filter_map(|rest| rest.split_once("()").map(|(method, _)| method)) {
                let verb = ["get_", "put_", "list_", "describe_", "create_", "delete_", "send_"].iter().any(|verb| method.starts_with(verb));
                if verb && method.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                    let words = method.split('_').map(|word| word.split_at(1)).map(|(first, rest)| first.to_ascii_uppercase() + rest);
                    found.insert(format!("{prefix}:{}", words.collect::<String>()));
                }
            }
        }
    }
    found
}

#[test]
fn every_call_has_its_right_and_every_right_its_call() {
    let (daemon, prices) = (read("iam-policy.json"), read("iam-policy-prices.json"));
    let statements = [&daemon, &prices].into_iter().flat_map(|policy| policy["Statement"].as_array().unwrap());
    let allowed: BTreeSet<String> = statements.flat_map(|statement| texts(&statement["Action"])).map(str::to_owned).collect();
    let elsewhere = |action: &&String| !action.starts_with("rds:");
    let called: BTreeSet<String> = called().into_iter().filter(|call| call != "sts:GetCallerIdentity").collect();
    assert_eq!(called.len(), 3, "{called:?}");
    assert_eq!(allowed.iter().filter(elsewhere).cloned().collect::<BTreeSet<_>>(), called);
    assert!(allowed.iter().all(|action| !action.contains('*')), "{allowed:?}");
}

#[test]
fn what_deletes_and_tags_is_bound_to_this_cluster() {
    let policy = read("iam-policy.json");
    let ours = json!("REPLACE-CLUSTER-ID");
    let carried = json!({"aws:ResourceTag/Cluster": ours});
    // What carries a veto AWS itself does not let go.
    let vetoed = json!({"aws:ResourceTag/clonewarden.io/keep": "true"});
    let snapshots = json!({"StringEquals": carried, "StringNotEquals": vetoed});
    assert_eq!(statement(&policy, "DeleteFinalSnapshotsOfThisCluster")["Condition"], snapshots);
    // Others may write that tag, too: what a clone had carries its uid besides.
    let databases = json!({"StringEquals": carried, "StringNotEquals": vetoed, "Null": {"aws:ResourceTag/CloneUid": "false"}});
    assert_eq!(statement(&policy, "DeleteDatabasesOfThisCluster")["Condition"], databases);
    let deletes = |statement: &&Value| texts(&statement["Action"]).iter().any(|action| action.starts_with("rds:Delete"));
    for statement in policy["Statement"].as_array().unwrap().iter().filter(deletes) {
        // On a cluster's final snapshot AWS asks for the cluster's own right; no database is among these resources.
        let snapshots = texts(&statement["Resource"]).iter().all(|arn| arn.ends_with("snapshot:*-????????-final-20????????????"));
        assert!(snapshots || statement.get("Condition").is_some(), "{statement}");
    }
    let tags = statement(&policy, "TagFinalSnapshots");
    assert_eq!(texts(&tags["Action"]), ["rds:AddTagsToResource"]);
    let condition = &tags["Condition"];
    let expected = json!({"aws:ResourceTag/Cluster": ours, "aws:RequestTag/Cluster": ours});
    assert_eq!(condition["StringEqualsIfExists"], expected, "another cluster's snapshot must not become ours");
    let keys = texts(&condition["ForAllValues:StringLike"]["aws:TagKeys"]);
    let names = fs::read_to_string(deploy("../src/model/names.rs")).unwrap();
    let written = names.lines().filter(|line| line.starts_with("pub const TAG_")).map(|line| line.split('"').nth(1).unwrap());
    let mut count = 0;
    for key in written {
        count += 1;
        assert!(keys.iter().any(|one| one.strip_suffix('*').map_or(*one == key, |start| key.starts_with(start))), "{key} may not be written");
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn the_role_is_for_the_daemon_alone() {
    let irsa = read("aws/trust-irsa.json");
    let [statement] = irsa["Statement"].as_array().unwrap().as_slice() else { panic!("{irsa}") };
    assert_eq!(statement["Action"], "sts:AssumeRoleWithWebIdentity");
    let provider = statement["Principal"]["Federated"].as_str().unwrap().split_once("oidc-provider/").unwrap().1;
    let expected = json!({"StringEquals": {format!("{provider}:sub"): ACCOUNT, format!("{provider}:aud"): "sts.amazonaws.com"}});
    assert_eq!(statement["Condition"], expected);

    let pods = read("aws/trust-pod-identity.json");
    let [statement] = pods["Statement"].as_array().unwrap().as_slice() else { panic!("{pods}") };
    assert_eq!(statement["Principal"], json!({"Service": "pods.eks.amazonaws.com"}));
    assert_eq!(texts(&statement["Action"]), ["sts:AssumeRole", "sts:TagSession"]);
    let condition = &statement["Condition"]["StringEquals"];
    // The name of a cluster is another one's in the next region.
    assert_eq!(condition["aws:RequestTag/eks-cluster-arn"], "arn:aws:eks:REPLACE-REGION:REPLACE-ACCOUNT-ID:cluster/REPLACE-EKS-CLUSTER");
    assert_eq!(condition["aws:SourceAccount"], "REPLACE-ACCOUNT-ID");
    assert_eq!(condition["aws:RequestTag/kubernetes-namespace"], "clonewarden");
    assert_eq!(condition["aws:RequestTag/kubernetes-service-account"], "clonewarden");
}
