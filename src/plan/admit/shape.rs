//! What a clone must look like, whatever the policy says.

use super::Refusal;
use crate::model::{Reading, clone, names};
use serde_json::Value;

/// Fields that are decided on creation: flipping one would destroy a database or make one that nobody counted.
pub(super) const DECIDED_ONCE: [(&str, &str); 5] = [
    ("spec.cloneId", "/spec/cloneId"),
    ("spec.useDedicatedDatabase", "/spec/useDedicatedDatabase"),
    ("spec.databaseSize", "/spec/databaseSize"),
    ("spec.serverless", "/spec/serverless"),
    ("spec.sharedDatabase.host", "/spec/sharedDatabase/host"),
];

/// Its name, and that it says anything at all.
pub(super) fn identity(object: &Value) -> Result<(), Refusal> {
    if object.get("spec").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty) {
        return Err(Refusal::NoSpec);
    }
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let generated = object.pointer("/metadata/generateName").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() || !generated.is_empty() {
        return Err(Refusal::GeneratedName);
    }
    let clone_id = object.pointer("/spec/cloneId");
    if clone_id.and_then(Value::as_str) != Some(name) {
        let clone_id = clone_id.map(said).unwrap_or_else(|| "nothing".to_owned());
        return Err(Refusal::NameMismatch { name: name.to_owned(), clone_id });
    }
    Ok(())
}

/// The values that decide about its life. `old`: what cannot be read and stood there before is not refused, or nobody could
/// change anything else on that clone.
pub(super) fn values(object: &Value, old: &Value) -> Result<(), Refusal> {
    let ttl = |object: &Value| clone::read_ttl(object.get("spec"));
    if let Reading::Unreadable(text) = ttl(object)
        && ttl(old) != Reading::Unreadable(text.clone())
    {
        return Err(Refusal::BadValue { field: "spec.ttlSeconds", said: text.into(), wanted: "a whole number of seconds from 1 up" });
    }
    for (key, wanted) in [(names::EXTEND_UNTIL, "a date with an offset such as `2026-02-05T18:00:00Z`"), (names::KEEP, "\"true\" or \"false\"")] {
        let entry = |object| crate::model::meta::entry(object, "annotations", key).cloned();
        let (new, before) = (entry(object), entry(old));
        if new == before {
            continue;
        }
        let unreadable = match key {
            names::KEEP => clone::read_keep(new.as_ref()).unreadable().map(str::to_owned),
            _ => clone::read_date(new.as_ref()).unreadable().map(str::to_owned),
        };
        if let Some(said) = unreadable {
            return Err(Refusal::BadValue { field: key, said: said.chars().take(60).collect(), wanted });
        }
    }
    Ok(())
}

/// What a value says, as far as it may be told.
fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| "no text".to_owned(), |text| text.chars().take(60).collect())
}
