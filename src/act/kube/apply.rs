//! Makes a `ResourceQuota` or a `LimitRange` of ours be there as the plan wants it, and never touches another owner's.

use super::{patch_pinned, pinned, text};
use crate::{
    model::Kind,
    observe::kube::{Body, Call, Transport, WRITE, in_namespace, parse, refused},
    ports::{ApiError, Pin},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// Creates the object, or brings exactly the pinned one to say the same and, in its spec, nothing else.
pub(crate) async fn apply(api: &Transport, kind: Kind, object: &Value, pin: Option<&Pin>) -> Result<(), ApiError> {
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    if kind.only() != Some(name) {
        return Err(refused("only objects of our own name are made and changed"));
    }
    let Some(pin) = pin else {
        // By a plain create. An apply without force is no safe way to make something: onto an object of that name that somebody
        // made in between it merges whatever does not contradict, our label too, and with that it has taken the object over.
        let all = in_namespace("/api/v1", namespace, kind.plural(), None)?;
        api.ask(Call::write("create", kind.plural(), all, Body::Json(object.clone()), WRITE)).await?;
        return Ok(());
    };
    let path = pinned(pin)?;
    if (pin.kind, pin.namespace.as_str(), pin.name.as_str()) != (kind, namespace, name) {
        return Err(refused("onto another object than the one that was judged"));
    }
    let until = Instant::now() + WRITE;
    let mut wanted = object.clone();
    if let Some(metadata) = wanted.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("uid".to_owned(), json!(pin.uid));
        metadata.insert("resourceVersion".to_owned(), json!(pin.resource_version));
    }
    // By force: it is ours, and who has changed a field of it owns that field in the eyes of the server.
    let call = Call::write("patch", kind.plural(), path.clone(), Body::Apply(wanted), WRITE).query("force", "true");
    let applied: Value = match api.ask(call).await {
        Ok(answer) => parse(&answer)?,
        Err(problem) if problem.is_another_uid() => return Err(ApiError::Conflict("the object has another uid".to_owned())),
        Err(problem) => return Err(problem.into()),
    };
    // What others have added beside it stays through any apply, since they own it. It goes by a patch that is pinned to the
    // very answer: who is faster is a conflict, and judged anew.
    let Some(surplus) = object.get("spec").zip(applied.get("spec")).and_then(|(wanted, there)| surplus(wanted, there)) else { return Ok(()) };
    let (uid, version) = (text(&applied, "/metadata/uid"), text(&applied, "/metadata/resourceVersion"));
    let patch = json!({"metadata": {"uid": uid, "resourceVersion": version}, "spec": surplus});
    patch_pinned(api, kind, path, patch, until.saturating_duration_since(Instant::now())).await
}

/// The merge patch that takes away what is there and not wanted. Lists are owned as a whole, so none is looked into.
fn surplus(wanted: &Value, there: &Value) -> Option<Value> {
    let (wanted, there) = wanted.as_object().zip(there.as_object())?;
    let mut patch = Map::new();
    for (key, value) in there {
        match wanted.get(key) {
            None => drop(patch.insert(key.clone(), Value::Null)),
            Some(wanted) => patch.extend(surplus(wanted, value).map(|deeper| (key.clone(), deeper))),
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::quota,
        observe::kube::fake::{Answer, Fake, failure},
        ports::Cluster,
    };
    use std::collections::BTreeMap;

    fn wanted() -> Value {
        quota::object(Kind::ResourceQuota, "a", "staging", &BTreeMap::from([("pods".to_owned(), "10".to_owned())]))
    }

    fn pin() -> Pin {
        Pin { kind: Kind::ResourceQuota, namespace: "a".into(), name: "clonewarden".into(), uid: "u1".into(), resource_version: "7".into() }
    }

    fn answer(hard: &Value) -> Answer {
        Answer::Json(200, json!({"metadata": {"name": "clonewarden", "uid": "u1", "resourceVersion": "8"}, "spec": {"hard": hard}}))
    }

    const PATH: &str = "/api/v1/namespaces/a/resourcequotas/clonewarden";

    #[tokio::test]
    async fn what_is_missing_is_created_and_never_merged_into_what_is_there() {
        let exists = failure(409, "AlreadyExists", "resourcequotas \"clonewarden\" already exists", json!({}));
        let (cluster, fake) = Fake::new([Answer::Json(201, json!({})), exists]);
        assert_eq!(cluster.apply(Kind::ResourceQuota, &wanted(), None).await, Ok(()));
        assert!(matches!(cluster.apply(Kind::ResourceQuota, &wanted(), None).await, Err(ApiError::Conflict(_))));
        let asked = fake.asked();
        assert_eq!(asked.len(), 2, "a conflict is not followed by anything");
        assert_eq!(asked[0].line, "POST /api/v1/namespaces/a/resourcequotas?timeout=3000ms&fieldManager=clonewarden");
        assert_eq!(asked[0].body, wanted());
    }

    #[tokio::test]
    async fn what_has_drifted_is_applied_by_force_onto_what_was_judged() {
        let uid = json!({"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid", "message": "field is immutable"}]});
        let (cluster, fake) = Fake::new([
            answer(&json!({"pods": "10"})),
            failure(409, "Conflict", "the object has been modified", json!({})),
            failure(422, "Invalid", "metadata.uid: field is immutable", uid),
            failure(403, "Forbidden", "no", json!({})),
        ]);
        assert_eq!(cluster.apply(Kind::ResourceQuota, &wanted(), Some(&pin())).await, Ok(()));
        assert!(matches!(cluster.apply(Kind::ResourceQuota, &wanted(), Some(&pin())).await, Err(ApiError::Conflict(_))));
        assert!(matches!(cluster.apply(Kind::ResourceQuota, &wanted(), Some(&pin())).await, Err(ApiError::Conflict(_))));
        assert!(matches!(cluster.apply(Kind::ResourceQuota, &wanted(), Some(&pin())).await, Err(ApiError::Forbidden(_))));
        let asked = &fake.asked()[0];
        assert_eq!(
            (asked.line.as_str(), asked.content.as_str()),
            (format!("PATCH {PATH}?timeout=3000ms&fieldManager=clonewarden&force=true").as_str(), "application/apply-patch+yaml",)
        );
        let mut sent = wanted();
        sent["metadata"]["uid"] = json!("u1");
        sent["metadata"]["resourceVersion"] = json!("7");
        assert_eq!(asked.body, sent);
    }

    #[tokio::test]
    async fn what_others_added_is_taken_away_from_the_very_answer() {
        let (cluster, fake) = Fake::new([answer(&json!({"pods": "10", "services": "3"})), Answer::Json(200, json!({}))]);
        assert_eq!(cluster.apply(Kind::ResourceQuota, &wanted(), Some(&pin())).await, Ok(()));
        let asked = &fake.asked()[1];
        // Both together take no longer than one write may.
        assert!(asked.line.starts_with(&format!("PATCH {PATH}?timeout=")) && !asked.line.contains("force"), "{}", asked.line);
        assert_eq!(asked.content, "application/merge-patch+json");
        assert_eq!(asked.body, json!({"metadata": {"uid": "u1", "resourceVersion": "8"}, "spec": {"hard": {"services": null}}}));
    }

    #[tokio::test]
    async fn what_is_not_ours_by_name_or_not_what_was_judged_is_not_sent() {
        let (cluster, fake) = Fake::new([]);
        let mut other = wanted();
        other["metadata"]["name"] = json!("compute");
        let elsewhere = Pin { namespace: "b".into(), ..pin() };
        let half = Pin { resource_version: String::new(), ..pin() };
        for (kind, object, pin) in [
            (Kind::ResourceQuota, &other, None),
            (Kind::Clone, &wanted(), None),
            (Kind::LimitRange, &wanted(), Some(&pin())),
            (Kind::ResourceQuota, &wanted(), Some(&elsewhere)),
            (Kind::ResourceQuota, &wanted(), Some(&half)),
        ] {
            assert!(matches!(cluster.apply(kind, object, pin).await, Err(ApiError::Refused { code: 0, .. })), "{kind} {pin:?}");
        }
        assert!(fake.asked().is_empty());
    }

    #[test]
    fn the_surplus_is_what_nobody_wants() {
        let wanted = json!({"hard": {"pods": "1"}, "limits": [{"type": "Container"}]});
        assert_eq!(surplus(&wanted, &wanted), None);
        let there = json!({"hard": {"pods": "2", "services": "1"}, "limits": [{"type": "Pod"}], "scopeSelector": {}});
        assert_eq!(surplus(&wanted, &there), Some(json!({"hard": {"services": null}, "scopeSelector": null})));
    }
}
