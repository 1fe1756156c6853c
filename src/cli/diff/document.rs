//! The whole difference as a document, for programs.

use super::sets::Set;
use crate::{
    diff::{Brake, Change, Cost, Denied, Diff, End, Impact, PolicyDiff, Shift},
    policy::Mode,
};
use serde_json::{Value, json};

pub(super) fn document(diff: &Diff, sets: &Change<Set>) -> Value {
    json!({
        "apiVersion": "clonewarden.io/v1alpha1",
        "kind": "PolicyDiff",
        "now": diff.now,
        "old": set(&sets.from),
        "new": set(&sets.to),
        "same": diff.same,
        "clones": diff.clones,
        "complete": diff.complete,
        "policies": diff.policies.iter().map(policy).collect::<Vec<_>>(),
        "hosts": diff.hosts.iter().map(|host| { let (name, change) = host.said(); json!({"name": name, "change": change}) }).collect::<Vec<_>>(),
        "pricesDiffer": diff.prices,
        "costPerMonth": cost(&diff.cost),
        "notes": diff.notes,
    })
}

fn set(set: &Set) -> Value {
    json!({"name": set.name, "folder": set.folder, "commit": set.commit, "policyRevision": set.policies.revision.hash})
}

fn policy(policy: &PolicyDiff) -> Value {
    let mode = |mode: Option<Mode>| mode.map(|mode| if mode == Mode::Audit { "audit" } else { "enforce" });
    let mut document = json!({
        "name": policy.name,
        "mode": {"from": mode(policy.mode.from), "to": mode(policy.mode.to)},
        "fields": policy.fields,
        "clones": {"from": policy.clones.from, "to": policy.clones.to},
        "costPerMonth": cost(&policy.cost),
    });
    if let (Some(fields), Value::Object(impact)) = (document.as_object_mut(), impact(&policy.impact)) {
        fields.extend(impact);
    }
    document
}

fn impact(impact: &Impact) -> Value {
    let ends = |ends: &[End]| -> Vec<Value> {
        ends.iter().map(|end| json!({"clone": end.clone, "end": end.end, "goes": end.goes, "cause": end.cause, "onlySaid": end.only_said})).collect()
    };
    let shifts = |shifts: &[Shift]| -> Vec<Value> {
        shifts.iter().map(|shift| json!({"clone": shift.clone, "from": shift.end.from, "to": shift.end.to, "cause": shift.cause})).collect()
    };
    let denied = |denied: &[Denied]| -> Vec<Value> {
        denied
            .iter()
            .map(|denied| json!({"clone": denied.clone, "code": denied.code, "message": denied.message, "onlySaid": denied.only_said}))
            .collect()
    };
    let handed_over = impact.handed_over.iter();
    let handed_over =
        handed_over.map(|over| json!({"namespace": over.namespace, "from": over.policy.from, "to": over.policy.to, "clones": over.clones}));
    let warned = impact.warned.iter();
    let warned = warned.map(|warned| json!({"clone": warned.clone, "code": warned.code, "end": warned.end, "onlySaid": warned.only_said}));
    let held = impact.held.iter().map(|held| json!({"clone": held.clone, "code": held.code, "message": held.message}));
    let moved = impact.moved.iter().map(|moved| json!({"clone": moved.clone, "from": moved.database.from, "to": moved.database.to}));
    let exceeded = impact.exceeded.iter();
    let exceeded = exceeded.map(
        |over| json!({"namespace": over.namespace, "limit": over.limit.field(), "of": over.limit.words(), "count": over.count, "allowed": over.allowed}),
    );
    json!({
        "handedOver": handed_over.collect::<Vec<_>>(),
        "reaped": ends(&impact.reaped),
        "spared": ends(&impact.spared),
        "sooner": shifts(&impact.sooner),
        "later": shifts(&impact.later),
        "warned": warned.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
        "denied": denied(&impact.denied),
        "admitted": denied(&impact.admitted),
        "moved": moved.collect::<Vec<_>>(),
        "limitsExceeded": exceeded.collect::<Vec<_>>(),
        "removed": impact.removed.iter().map(|(kind, name)| json!({"kind": kind, "name": name})).collect::<Vec<_>>(),
        "brake": impact.brake.map(|change| json!({"from": brake(change.from), "to": brake(change.to)})),
    })
}

fn brake(brake: Brake) -> Value {
    let Brake { surprises, clones, deletes, percent, over, loosened } = brake;
    json!({"surprises": surprises, "clones": clones, "deletes": deletes, "percent": percent, "over": over, "loosened": loosened})
}

fn cost(cost: &Cost) -> Value {
    json!({"from": cost.usd.from, "to": cost.usd.to, "unpriced": cost.unpriced})
}
