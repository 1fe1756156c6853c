//! Services whose insides nobody plays are answered by the AWS endpoint with what a test has said.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, and so do its helpers")]

#[path = "common/aws.rs"]
#[expect(dead_code, reason = "the tests of RDS need more of it")]
mod aws;

use aws::{Aws, REGION};
use clonewarden_platform::Platform;
use serde_json::{Value, json};

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn other_services_say_what_a_test_has_said_and_fail_in_their_own_form() {
    let aws = Aws::of(&Platform::attach().unwrap());
    aws.control("reset", &json!({}));
    let ask = |body: &str| {
        let target = "AWSInsightsIndexService.GetCostAndUsage";
        let headers = format!(
            "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {target}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=testing/20260101/{REGION}/ce/aws4_request, SignedHeaders=host, Signature=x\r\n"
        );
        aws.send("POST", "/", &headers, body).unwrap()
    };
    let pages = json!([{"match": "\"two\"", "answer": {"page": 2}}, {"answer": {"page": 1}}]);
    aws.control("static", &json!({"AWSInsightsIndexService.GetCostAndUsage": pages}));
    assert_eq!((ask("{}").body.as_str(), ask("{}").body.as_str()), (r#"{"page": 1}"#, r#"{"page": 1}"#), "as often as it is asked");
    assert_eq!(ask(r#"{"NextPageToken":"two"}"#).body, r#"{"page": 2}"#);
    aws.control("faults", &json!([{"op": "GetCostAndUsage", "code": "LimitExceededException"}]));
    let refused = ask("{}");
    let said: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!((refused.status, &said["__type"]), (400, &json!("LimitExceededException")));
    let calls = aws.calls(0);
    let asked: Vec<&Value> = calls.iter().filter(|call| call["op"] == "GetCostAndUsage").collect();
    assert_eq!((asked.len(), &asked[2]["parameters"]), (4, &json!({"NextPageToken": "two"})));
    aws.control("reset", &json!({}));
    assert_ne!(ask("{}").body, r#"{"page": 1}"#);
}
