//! `AdmissionReview` v1: from the API server's bytes to a [`Request`], and from a [`Verdict`] to the bytes of the answer.
//!
//! Contract: total. Whatever comes in, something comes out that the API server understands; what cannot be read is an error and
//! no admission. Nothing of an object is quoted in an error: a spec may hold a password.

use crate::{
    model::{Kind, names},
    plan::admit::{Operation, Refusal, Request, Verdict},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

/// Which of the two webhooks asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The mutating one: it decides and promises.
    Mutate,
    /// The validating one: it checks that what comes is what was promised.
    Validate,
}

impl Phase {
    /// The word in paths and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// A review as it was read.
#[derive(Debug, Clone)]
pub struct Review {
    /// The id that the answer has to carry.
    pub uid: String,
    /// What is asked, if that is any of our business.
    pub request: Option<Request>,
}

/// Why a body is no review.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It does not parse as one.
    #[error("the body is no AdmissionReview (line {0}, column {1})")]
    Syntax(usize, usize),
    /// It asks nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// It is of another version.
    #[error("the AdmissionReview is of version `{0}`; set `admissionReviewVersions: [v1]` in the webhook configuration")]
    Version(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    api_version: String,
    request: Option<Asked>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    uid: String,
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    operation: String,
    #[serde(default)]
    user_info: User,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Deserialize, Default)]
struct Resource {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resource: String,
}

#[derive(Deserialize, Default)]
struct User {
    #[serde(default)]
    username: String,
}

/// How a review ended, and the code of its refusal, which is empty where there is none.
pub(crate) fn outcome_of(verdict: &Verdict) -> (&'static str, &'static str) {
    match (&verdict.refusal, verdict.audit) {
        (Some(refusal), _) => ("refused", refusal.code()),
        (None, true) => ("audit", ""),
        (None, false) => ("allowed", ""),
    }
}

/// Reads a review.
///
/// # Errors
/// Where it is none, or none of version v1.
pub fn read(body: &[u8]) -> Result<Review, Unreadable> {
    let wire: Wire = serde_json::from_slice(body).map_err(|error| Unreadable::Syntax(error.line(), error.column()))?;
    if wire.api_version != "admission.k8s.io/v1" {
        return Err(Unreadable::Version(wire.api_version.chars().take(60).collect()));
    }
    let asked = wire.request.ok_or(Unreadable::NoRequest)?;
    let operation = match asked.operation.as_str() {
        "CREATE" => Some(Operation::Create),
        "UPDATE" => Some(Operation::Update),
        _ => None,
    };
    let clones = asked.resource.group == names::CLONE_GROUP && asked.resource.resource == Kind::Clone.plural();
    let whole = asked.sub_resource.as_deref().unwrap_or_default().is_empty();
    let request = operation.filter(|_| clones && whole).map(|operation| {
        let text = |pointer: &str| asked.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        // On CREATE the request may leave the name to the object.
        let name = asked.name.filter(|name| !name.is_empty()).unwrap_or_else(|| text("/metadata/name"));
        let namespace = asked.namespace.filter(|namespace| !namespace.is_empty()).unwrap_or_else(|| text("/metadata/namespace"));
        Request {
            operation,
            namespace,
            name,
            user: asked.user_info.username,
            dry_run: asked.dry_run.unwrap_or_default(),
            object: asked.object,
            old: asked.old_object,
        }
    });
    Ok(Review { uid: asked.uid, request })
}

/// The answer to a review.
#[must_use]
pub fn answer(uid: &str, verdict: &Verdict) -> Value {
    let mut response = json!({"uid": uid, "allowed": verdict.refusal.is_none()});
    let Some(fields) = response.as_object_mut() else { return response };
    if let Some(refusal) = &verdict.refusal {
        fields.insert("status".to_owned(), status(refusal));
    } else if !verdict.patch.is_empty() {
        let patch = STANDARD.encode(Value::Array(verdict.patch.clone()).to_string());
        fields.insert("patchType".to_owned(), "JSONPatch".into());
        fields.insert("patch".to_owned(), patch.into());
    }
    if !verdict.warnings.is_empty() {
        fields.insert("warnings".to_owned(), verdict.warnings.iter().map(|warning| bounded(warning)).collect());
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

fn status(refusal: &Refusal) -> Value {
    let code = refusal.status();
    let reason = match code {
        422 => "Invalid",
        503 => "ServiceUnavailable",
        _ => "Forbidden",
    };
    json!({"code": code, "reason": reason, "message": format!("{}: {refusal}", refusal.code())})
}

/// kubectl cuts a warning off after 256 characters, the API server drops all of them after 4,096.
fn bounded(warning: &str) -> Value {
    const LONGEST: usize = 250;
    if warning.chars().count() <= LONGEST {
        return warning.into();
    }
    warning.chars().take(LONGEST - 1).chain(['…']).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(request: Value) -> Vec<u8> {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string().into_bytes()
    }

    #[test]
    fn a_review_is_read_and_what_is_not_ours_is_let_through() {
        let resource = json!({"group": "kro.run", "version": "v1alpha1", "resource": "wordpressclones"});
        let object = json!({"metadata": {"name": "clone-1", "namespace": "a"}});
        let asked =
            json!({"uid": "u", "resource": resource, "operation": "CREATE", "userInfo": {"username": "ada"}, "object": object, "dryRun": true});
        let read_one = |asked: &Value| read(&review(asked.clone())).unwrap();
        let request = read_one(&asked).request.unwrap();
        assert_eq!((request.namespace.as_str(), request.name.as_str(), request.user.as_str(), request.dry_run), ("a", "clone-1", "ada", true));
        for (field, other) in
            [("operation", json!("DELETE")), ("subResource", json!("status")), ("resource", json!({"group": "", "resource": "pods"}))]
        {
            let mut asked = asked.clone();
            asked[field] = other;
            assert!(read_one(&asked).request.is_none(), "{field}");
        }
    }

    #[test]
    fn what_is_no_review_is_an_error_that_quotes_nothing() {
        assert!(matches!(read(br#"{"request": {"object": "hunter2"#), Err(Unreadable::Syntax(..))));
        assert_eq!(read(br#"{"apiVersion": "admission.k8s.io/v1"}"#).unwrap_err(), Unreadable::NoRequest);
        assert!(
            read(br#"{"apiVersion": "admission.k8s.io/v1beta1", "request": {"uid": "u", "operation": "CREATE"}}"#)
                .unwrap_err()
                .to_string()
                .contains("v1beta1")
        );
    }

    #[test]
    fn an_answer_says_what_kubectl_prints() {
        let verdict = Verdict { refusal: Some(Refusal::NoSpec), warnings: vec!["é".repeat(300)], ..Verdict::default() };
        let answer = answer("u", &verdict);
        assert_eq!(answer.pointer("/response/allowed"), Some(&json!(false)));
        assert_eq!(answer.pointer("/response/status/code"), Some(&json!(422)));
        assert_eq!(answer.pointer("/response/warnings/0").unwrap().as_str().unwrap().chars().count(), 250);
        let verdict = Verdict { patch: vec![json!({"op": "add"})], ..Verdict::default() };
        let patch = super::answer("u", &verdict).pointer("/response/patch").unwrap().as_str().unwrap().to_owned();
        assert_eq!(STANDARD.decode(patch).unwrap(), br#"[{"op":"add"}]"#);
    }
}
