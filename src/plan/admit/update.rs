//! A change of a clone: what only the daemon writes is put back, what is decided once stays, dates must parse.

use super::{Refusal, Request, Town, Verdict, budget, census::Census, create, edit::Edit, shape};
use crate::{
    model::{Reading, WordPressClone, clone, names},
    plan::lifetime::{self, Cause},
    policy::{AtLimit, ClonePolicy},
};
use jiff::Timestamp;
use serde_json::Value;

/// Annotations that are the daemon's word. An end announced by somebody else would be an end that nobody was warned of.
const DAEMONS: [&str; 7] =
    [names::EXPIRES_AT, names::ANNOUNCED_AT, names::UNUSED_SINCE, names::WARNED, names::RESERVATION, names::CREDENTIALS, names::PLACEMENT_REASON];

pub(super) fn mutate(request: &Request, town: Town<'_>, policy: &ClonePolicy) -> Result<Verdict, Refusal> {
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
    warnings.extend(beyond(edit.object(), &request.old, policy));
    within_budget(edit.object(), request, town, policy, &mut warnings)?;
    Ok(Verdict { patch: edit.into_patch(), warnings, ..Verdict::default() })
}

/// Weighs the time by which a clone is to live longer, as a new one is weighed, but for the promise: of two that are made longer at the
/// same moment neither sees the other.
fn within_budget(object: &Value, request: &Request, town: Town<'_>, policy: &ClonePolicy, warnings: &mut Vec<String>) -> Result<(), Refusal> {
    let Some(at_limit) = policy.budget.as_ref().map(|budget| budget.at_limit) else { return Ok(()) };
    let (Ok(clone), Ok(old)) = (WordPressClone::read(object), WordPressClone::read(&request.old)) else { return Ok(()) };
    // Itself included: what it costs already is spent like all the rest.
    let census = Census::around(town.residents, town.claims.values(), &request.namespace, "");
    // A keep is a wall against deletion: money never takes it away.
    let kept = is_kept(request);
    let over = match budget::longer(&clone, &old, policy, &census) {
        Err(_) if kept => return Ok(()),
        over => over?,
    };
    match over {
        Some(over) if at_limit == AtLimit::Deny && !kept => Err(Refusal::BudgetSpent(Box::new(over))),
        over => {
            warnings.extend(over.map(|over| over.to_string()));
            Ok(())
        }
    }
}

/// Whether a change may have to be weighed against a budget, for which everybody who lives there has to be counted.
#[must_use]
pub fn may_live_longer(request: &Request, policy: &ClonePolicy) -> bool {
    let said = |object: &Value| {
        let annotation = |key| crate::model::meta::entry(object, "annotations", key).cloned();
        (object.pointer("/spec/ttlSeconds").cloned(), annotation(names::EXTEND_UNTIL), annotation(names::KEEP))
    };
    policy.budget.is_some() && said(&request.object) != said(&request.old)
}

/// Whether the clone is to be kept after the change.
#[must_use]
pub fn is_kept(request: &Request) -> bool {
    clone::read_keep(crate::model::meta::entry(&request.object, "annotations", names::KEEP)) == Reading::Value(true)
}

/// What stands around the date in the warning of an extension past the ceiling; [`ceiling_of`] reads it there.
const BEYOND: [&str; 2] = ["` is past the ceiling: the clone lives until ", " (`ttl.maximum`, "];

/// The warning that somebody has extended a clone further than it may live.
fn beyond(object: &Value, old: &Value, policy: &ClonePolicy) -> Option<String> {
    let said = |object| crate::model::meta::entry(object, "annotations", names::EXTEND_UNTIL);
    // Nobody is told again who changes something else.
    said(object).filter(|said_now| Some(*said_now) != said(old))?;
    let life = lifetime::lifetime(&WordPressClone::read(object).ok()?, &policy.ttl);
    let [before, after] = BEYOND;
    let place = policy.place_of("ttl.maximum");
    (life.cause == Cause::ExtendedToCeiling).then(|| format!("`{}{before}{}{after}{place})", names::EXTEND_UNTIL, life.ceiling))
}

/// The ceiling that such a warning names, in either mode of the policy; `None` for any other warning.
#[must_use]
pub fn ceiling_of(warning: &str) -> Option<Timestamp> {
    let [before, after] = BEYOND;
    let (head, rest) = warning.split_once(before)?;
    let (date, _) = rest.split_once(after)?;
    date.parse().ok().filter(|_| head.ends_with(names::EXTEND_UNTIL))
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
