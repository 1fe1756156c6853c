//! A plan as a document: JSON with the names that are a contract.

use super::{Decision, Plan, Target};
use crate::model::{Kind, month::object_name, schema};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The whole plan.
#[must_use]
pub fn document(plan: &Plan) -> Value {
    let evidence: Vec<Value> = plan
        .evidence
        .iter()
        .map(|(source, evidence)| {
            let mut entry = Map::from_iter([("source".to_owned(), json!(source))]);
            if let Value::Object(fields) = json!(evidence) {
                entry.extend(fields);
            }
            Value::Object(entry)
        })
        .collect();
    let mut document = Map::new();
    document.insert("apiVersion".into(), json!("clonewarden.io/v1alpha1"));
    document.insert("kind".into(), json!("Plan"));
    document.insert("now".into(), json!(plan.now));
    document.insert("policyRevision".into(), json!(plan.revision.hash));
    if let Some(commit) = &plan.revision.commit {
        document.insert("policyCommit".into(), json!(commit));
    }
    if !plan.applicable {
        document.insert("applicable".into(), json!(false));
    }
    document.insert("evidence".into(), Value::Array(evidence));
    document.insert("decisions".into(), plan.decisions.iter().map(|decision| self::decision(decision, plan.now)).collect());
    if let Some(next) = plan.next_wakeup {
        document.insert("nextWakeup".into(), json!(next));
    }
    Value::Object(document)
}

/// One decision.
#[must_use]
pub fn decision(decision: &Decision, now: Timestamp) -> Value {
    let mut out = Map::new();
    out.insert("id".into(), json!(decision.id()));
    out.insert("action".into(), json!(decision.action.word()));
    out.insert("effective".into(), json!(decision.effective()));
    if let Some(by) = decision.blocked_by {
        out.insert("blockedBy".into(), json!(by.word()));
    }
    if let Some(policy) = &decision.policy {
        out.insert("policy".into(), json!(policy));
    }
    out.insert("target".into(), target(&decision.target));
    let reason = &decision.reason;
    out.insert("reason".into(), json!({"code": reason.code(), "message": reason.message(now), "facts": reason.facts()}));
    Value::Object(out)
}

/// The target of a decision.
#[must_use]
pub fn target(target: &Target) -> Value {
    match target {
        Target::Clone(_) | Target::Child(_) | Target::Orphan(_) | Target::Quota(_) => {
            let kind = match target {
                Target::Clone(_) => Kind::Clone,
                Target::Child(child) => child.kind,
                Target::Quota(quota) => quota.kind,
                _ => Kind::Orphan,
            };
            let mut out = Map::from_iter([("apiVersion".to_owned(), json!(kind.api_version())), ("kind".to_owned(), json!(kind.name()))]);
            if let Some(meta) = target.meta() {
                if !meta.namespace().is_empty() {
                    out.insert("namespace".into(), json!(meta.namespace()));
                }
                out.insert("name".into(), json!(meta.name()));
                out.insert("uid".into(), json!(meta.uid));
                out.insert("resourceVersion".into(), json!(meta.resource_version));
            }
            Value::Object(out)
        }
        Target::Absent(kind, namespace) => json!({
            "apiVersion": kind.api_version(), "kind": kind.name(), "namespace": namespace, "name": crate::model::names::OURSELVES,
        }),
        Target::Usage(namespace, month) => json!({
            "apiVersion": Kind::Usage.api_version(), "kind": Kind::Usage.name(), "name": object_name(namespace, *month),
        }),
        Target::Secret(clone) => json!({
            "apiVersion": "v1", "kind": "Secret", "namespace": clone.meta.namespace(), "name": clone.secret_name(),
            "owner": {"kind": crate::model::names::CLONE_KIND, "name": clone.meta.name(), "uid": clone.meta.uid},
        }),
        Target::Cloud(resource) => json!({
            "kind": resource.kind(), "provider": "aws", "region": resource.region,
            "arn": resource.arn, "id": resource.id, "resourceId": resource.resource_id,
        }),
        Target::Schema(schema) => json!({"kind": schema::KIND, "provider": "mysql", "host": schema.host, "name": schema.name}),
        Target::Unreadable(object) => json!({
            "apiVersion": object.kind.api_version(), "kind": object.kind.name(),
            "namespace": object.namespace, "name": object.name, "uid": object.uid,
        }),
        Target::Source(source) => json!({"kind": "Source", "name": source}),
        Target::Namespace(name) => json!({"apiVersion": "v1", "kind": "Namespace", "name": name}),
        Target::Policy(name) => json!({"apiVersion": "clonewarden.io/v1alpha1", "kind": "ClonePolicy", "name": name}),
        Target::Definition(name) => json!({"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "name": name}),
    }
}
