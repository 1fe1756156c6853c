//! A change of a clone: what only the daemon writes is put back, what is decided once stays, dates must parse.

use super::{Refusal, Request, Verdict, create, edit::Edit, shape};
use crate::{model::names, policy::ClonePolicy};
use serde_json::Value;

/// Annotations that are the daemon's word. An end announced by somebody else would be an end that nobody was warned of.
const DAEMONS: [&str; 6] = [names::EXPIRES_AT, names::ANNOUNCED_AT, names::WARNED, names::RESERVATION, names::CREDENTIALS, names::PLACEMENT_REASON];

pub(super) fn mutate(request: &Request, policy: &ClonePolicy) -> Result<Verdict, Refusal> {
    shape::values(&request.object, &request.old)?;
    let mut edit = Edit::of(&request.object);
    let mut warnings = Vec::new();
    for key in DAEMONS {
        let entry = |object| crate::model::meta::entry(object, "annotations", key).cloned();
        let before = entry(&request.old);
        // Taken away, it only says that the Secret is to be made again: by creation, with what was in it.
        if key == names::CREDENTIALS && entry(&request.object).is_none() {
            continue;
        }
        if entry(&request.object) == before {
            continue;
        }
        match before {
            Some(value) => edit.set(&["metadata", "annotations", key], value),
            None => edit.unset(&["metadata", "annotations", key]),
        }
        warnings.push(format!("`{key}` is written by clonewarden alone; it stays as it was"));
    }
    if request.object.pointer("/spec/ttlSeconds") != request.old.pointer("/spec/ttlSeconds") {
        create::lifetime(&mut edit, &policy.ttl, &policy.name, &mut warnings);
    }
    Ok(Verdict { patch: edit.into_patch(), warnings, ..Verdict::default() })
}

pub(super) fn validate(request: &Request) -> Result<Verdict, Refusal> {
    shape::values(&request.object, &request.old)?;
    let said = |object: &Value, pointer| object.pointer(pointer).filter(|value| !value.is_null()).cloned();
    for (field, pointer) in shape::DECIDED_ONCE {
        if said(&request.object, pointer) != said(&request.old, pointer) {
            return Err(Refusal::Immutable { field });
        }
    }
    let owner = |object| super::annotation(object, names::OWNER).map(str::to_owned);
    // Whoever could change it could have as many clones as there are names.
    if owner(&request.object) != owner(&request.old) {
        return Err(Refusal::Immutable { field: names::OWNER });
    }
    Ok(Verdict::default())
}
