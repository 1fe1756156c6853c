//! CloudWatch on the AWS endpoint, as today's SDKs speak it and as strict as AWS; and the alarms that ship, read by cfn-lint and taken by it.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by a panic, and so do its helpers")]

#[path = "common/aws.rs"]
#[expect(dead_code, reason = "the tests of RDS need more of it")]
mod aws;
#[path = "common/cbor.rs"]
mod cbor;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws::{Answer, Aws, REGION};
use clonewarden_platform::Platform;
use serde_json::{Value, json};

/// One test at a time: there is one account.
static ALONE: Mutex<()> = Mutex::new(());

fn account() -> (MutexGuard<'static, ()>, Aws) {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let aws = Aws::of(&Platform::attach().unwrap());
    aws.control("reset", &json!({}));
    (alone, aws)
}

fn call(aws: &Aws, operation: &str, parameters: &Value) -> Answer {
    let headers = format!(
        "Content-Type: application/cbor\r\nsmithy-protocol: rpc-v2-cbor\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=testing/20260101/{REGION}/monitoring/aws4_request, SignedHeaders=host, Signature=x\r\n"
    );
    aws.send_bytes("POST", &format!("/service/GraniteServiceVersion20100801/operation/{operation}"), &headers, &cbor::encoded(parameters)).unwrap()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn datum(more: &Value) -> Value {
    let mut datum = json!({"MetricName": "clones", "Value": 2.0, "Unit": "Count", "Dimensions": [{"Name": "namespace", "Value": "a"}]});
    for (field, value) in more.as_object().unwrap() {
        datum[field] = value.clone();
    }
    datum.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    datum
}

fn put(aws: &Aws, data: &[Value]) -> Answer {
    call(aws, "PutMetricData", &json!({"Namespace": "Clonewarden", "MetricData": data}))
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn what_is_put_can_be_read_back_as_it_was_sent() {
    let (_alone, aws) = account();
    let spread = datum(&json!({"Value": null, "Values": [1.0, 5.0], "Counts": [3.0, 1.0]}));
    let answer = put(&aws, &[datum(&json!({})), spread]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let figures: Vec<Value> = serde_json::from_str(&aws.send("GET", "/control/figures", "", "").unwrap().body).unwrap();
    assert_eq!(figures[0]["dimensions"], json!({"namespace": "a"}));
    assert_eq!((&figures[0]["values"], &figures[1]["values"]), (&json!([[2.0, 1]]), &json!([[1.0, 3.0], [5.0, 1.0]])));
    assert!(call(&aws, "ListMetrics", &json!({})).body.contains("clones"), "moto has it, too");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn what_aws_refuses_is_refused_whole() {
    let (_alone, aws) = account();
    let dimension = |value: &str| json!({"Dimensions": [{"Name": "namespace", "Value": value}]});
    let many: Vec<Value> = (0..31).map(|number| json!({"Name": format!("d{number}"), "Value": "x"})).collect();
    let values: Vec<f64> = (0..151).map(f64::from).collect();
    for (more, code) in [
        (json!({"Values": [1.0]}), "InvalidParameterCombination"),
        (json!({"StatisticValues": {"Sum": 1.0}}), "InvalidParameterCombination"),
        (json!({"Value": null}), "InvalidParameterCombination"),
        (json!({"Value": null, "Values": values}), "InvalidParameterValue"),
        (json!({"Value": null, "Values": [1.0], "Counts": [1.0, 2.0]}), "InvalidParameterValue"),
        (json!({"Value": 1e300}), "InvalidParameterValue"),
        (dimension(""), "InvalidParameterValue"),
        (dimension(" "), "InvalidParameterValue"),
        (dimension("\u{7}"), "InvalidParameterValue"),
        (dimension("é"), "InvalidParameterValue"),
        (dimension(&"x".repeat(1_025)), "InvalidParameterValue"),
        (json!({"Dimensions": many}), "InvalidParameterValue"),
        (json!({"Timestamp": now() - 15.0 * 86_400.0}), "InvalidParameterValue"),
        (json!({"Timestamp": now() + 3.0 * 3_600.0}), "InvalidParameterValue"),
    ] {
        let answer = put(&aws, &[datum(&json!({})), datum(&more)]);
        assert!(answer.status == 400 && answer.body.contains(code), "{more}: {} {}", answer.status, answer.body);
    }
    let thousand = vec![datum(&json!({})); 1_001];
    assert_eq!(put(&aws, &thousand).status, 400);
    let large: Vec<Value> = (0..1_000).map(|number| datum(&dimension(&format!("{number:01024}")))).collect();
    assert!(put(&aws, &large).body.contains("RequestEntityTooLarge"));
    assert_eq!(aws.send("GET", "/control/figures", "", "").unwrap().body, "[]", "nothing of it was taken");
    aws.control("faults", &json!([{"op": "PutMetricData", "code": "Throttling"}]));
    let answer = put(&aws, &[datum(&json!({}))]);
    assert!(answer.status == 400 && answer.body.contains("Throttling"), "{}", answer.body);
}

fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/monitoring/cloudwatch-alarms.yaml")
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn cloudformations_own_rules_take_the_alarms() {
    let lint = |path: &Path| Command::new(Platform::attach().unwrap().cfn_lint().unwrap()).arg(path).output().unwrap();
    let output = lint(&template());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let bad = std::env::temp_dir().join(format!("clonewarden-alarms-{}.yaml", std::process::id()));
    let good = std::fs::read_to_string(template()).unwrap();
    for (from, to) in
        [("Threshold: 180", "Threshold: many"), ("TreatMissingData: breaching", "TreatMissingData: alarm"), ("Ref: InfoTopic", "Ref: NoTopic")]
    {
        std::fs::write(&bad, good.replacen(from, to, 1)).unwrap();
        assert!(!lint(&bad).status.success(), "{to}");
    }
    std::fs::remove_file(bad).unwrap();
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn cloudwatch_takes_every_alarm() {
    let (_alone, aws) = account();
    let template: Value = serde_saphyr::from_str(&std::fs::read_to_string(template()).unwrap()).unwrap();
    let alarms = template["Resources"].as_object().unwrap();
    for (name, alarm) in alarms {
        let mut parameters = alarm["Properties"].clone();
        parameters["Namespace"] = "Clonewarden".into();
        parameters["AlarmDescription"] = parameters["AlarmDescription"]["Fn::Sub"].clone();
        parameters["Threshold"] = json!(parameters["Threshold"].as_f64().unwrap());
        parameters.as_object_mut().unwrap().retain(|field, _| !field.ends_with("Actions"));
        let answer = call(&aws, "PutMetricAlarm", &parameters);
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    let described = call(&aws, "DescribeAlarms", &json!({})).body;
    assert!(alarms.len() >= 28 && alarms.keys().all(|name| described.contains(name)), "{described}");
}
