//! `deploy/iam-policy.json` allows what is called, and nothing but that.

use serde_json::Value;
use std::collections::BTreeSet;

/// What is allowed although no code here calls it: AWS asks for it in the course of other calls.
const BESIDES: [&str; 3] = ["ListTagsForResource", "CreateDBSnapshot", "CreateDBClusterSnapshot"];

/// What Cost Explorer asks for.
const BILLING: [&str; 1] = ["ce:GetCostAndUsage"];

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        other => panic!("{other}"),
    }
}

/// Every operation that is named where something is sent.
fn called() -> BTreeSet<String> {
    let sources = [include_str!("../table.rs"), include_str!("../../../act/rds.rs")];
    let names = sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    let verbs = ["Describe", "Delete", "AddTags"];
    let operation = |name: &&str| verbs.iter().any(|verb| name.starts_with(verb)) && !name.ends_with("Result");
    names.filter(operation).map(str::to_owned).collect()
}

#[test]
fn the_policy_for_iam_allows_what_is_called_and_no_more() {
    let policy: Value = serde_json::from_str(include_str!("../../../../deploy/iam-policy.json")).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    let mut allowed = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow");
        let condition = statement.pointer("/Condition/StringEquals/aws:ResourceTag~1Cluster").and_then(Value::as_str);
        let resources = texts(&statement["Resource"]);
        for action in texts(&statement["Action"]) {
            if BILLING.contains(&action) {
                assert_eq!(resources, ["*"], "{action}");
                continue;
            }
            if action == "cloudwatch:PutMetricData" {
                // It knows no resources; the namespace is all that binds it.
                assert_eq!(statement["Condition"], serde_json::json!({"StringEquals": {"cloudwatch:namespace": "Clonewarden"}}));
                continue;
            }
            let action = action.strip_prefix("rds:").unwrap();
            allowed.insert(action.to_owned());
            let reads = action.starts_with("Describe") || action.starts_with("List");
            assert_eq!(reads, resources == ["*"], "{action}");
            // Either what it is about carries our cluster id, or it is a snapshot of a name that only the daemon gives.
            let final_snapshots = resources.iter().all(|arn| arn.ends_with("snapshot:*-????????-final-20????????????"));
            assert!(reads || condition == Some("REPLACE-CLUSTER-ID") || final_snapshots, "{action}");
            let deletes_snapshot = action.starts_with("Delete") && action.contains("Snapshot");
            assert!(!deletes_snapshot || condition.is_some(), "{action}");
            assert!(reads || resources.iter().all(|arn| arn.starts_with("arn:aws:rds:*:REPLACE-ACCOUNT-ID:")), "{action}");
        }
    }
    let needed: BTreeSet<String> = called().into_iter().chain(BESIDES.map(str::to_owned)).collect();
    assert_eq!(allowed, needed);
}

#[test]
fn placeholders_are_no_ids() {
    assert!(!crate::model::names::is_cluster_id("REPLACE-CLUSTER-ID"));
}
