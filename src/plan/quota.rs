//! What bounds a governed namespace: a `ResourceQuota` and a `LimitRange` under our name, as the policy says them.
//!
//! Made where the namespace is known to exist, repaired where they have drifted, deleted where nobody wants them any more. What
//! is not ours is never written, whatever it says; where it is not known whose a namespace is, or what is there, nothing is
//! done. They bound what Pods may use. Clones are not counted by them: `count/` quotas go wrong as soon as any CRD breaks.

mod finding;
#[cfg(test)]
mod tests;

pub use finding::{Difference, Finding};

use super::{
    Action, BlockedBy, Decision, Draft, Reason, Target, Work,
    ground::{Ground, Standing},
};
use crate::model::{
    Kind, Quantity, Quota, Snapshot, Source, names,
    quota::{Beyond, object},
};
use crate::policy::{ClonePolicy, LimitRange, Mode};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What an object says, by field.
type Values = BTreeMap<String, String>;

/// Compares every namespace that is there with what its policy wants.
pub(super) fn keep(snapshot: &Snapshot, ground: &Ground<'_>, draft: &mut Draft) {
    let nobody_asks = ground.policies.policies.iter().all(|policy| policy.quota.is_empty() && policy.limit_range.is_none());
    // Nothing can be made in a namespace that may not be there, and nobody's is only what is known to be.
    if (nobody_asks && snapshot.quotas.is_empty()) || snapshot.evidence.lack(&Source::Objects(Kind::Namespace), draft.now).is_some() {
        return;
    }
    for kind in Kind::QUOTAS {
        if snapshot.evidence.lack(&Source::Objects(kind), draft.now).is_some() {
            continue;
        }
        let there: BTreeMap<&str, &Arc<Quota>> =
            snapshot.quotas.iter().filter(|quota| quota.kind == kind).map(|quota| (quota.meta.namespace(), quota)).collect();
        // One that cannot be read is there: it is held, and nothing is made beside it.
        let unreadable: BTreeSet<&str> =
            snapshot.unreadable.iter().filter(|object| object.kind == kind).map(|object| object.namespace.as_str()).collect();
        for namespace in snapshot.namespaces.keys().filter(|name| !snapshot.leaving.contains(*name) && !unreadable.contains(name.as_str())) {
            let found = there.get(namespace.as_str()).copied();
            match ground.standing(namespace) {
                Some(Standing::Governed(policy, _)) => governed(kind, namespace, policy, found, draft),
                None => found.into_iter().for_each(|quota| ungoverned(quota, ground, draft)),
                Some(Standing::Conflict(..) | Standing::Unknown(_)) => {}
            }
        }
    }
}

fn governed(kind: Kind, namespace: &str, policy: &Arc<ClonePolicy>, found: Option<&Arc<Quota>>, draft: &mut Draft) {
    let wanted = wanted(kind, policy);
    let (action, target, finding, apply) = match (wanted, found) {
        (None, None) => return,
        (None, Some(quota)) if !quota.ours => return,
        (Some(_), Some(quota)) if !quota.ours => {
            return draft.alert(Some(&policy.name), Target::Quota(Arc::clone(quota)), Reason::Quota(Finding::Foreign));
        }
        // Somebody deletes it: what comes next is decided when it is gone.
        (_, Some(quota)) if quota.meta.terminating.is_some() => return,
        (None, Some(quota)) => (Action::Delete, Target::Quota(Arc::clone(quota)), Finding::NotWanted(Arc::clone(&policy.name)), None),
        (Some(values), None) => {
            let object = object(kind, namespace, &policy.name, &values);
            (Action::Create, Target::Absent(kind, Arc::from(namespace)), Finding::Missing(kind, Arc::new(values)), Some(object))
        }
        (Some(values), Some(quota)) => match (differences(quota, policy, &values), quota.beyond) {
            (_, Some(Beyond::Scopes)) => (Action::Delete, Target::Quota(Arc::clone(quota)), Finding::Unchangeable(kind, Beyond::Scopes.word()), None),
            (differences, _) if differences.is_empty() => return,
            (differences, _) => {
                let object = object(kind, namespace, &policy.name, &values);
                (Action::Update, Target::Quota(Arc::clone(quota)), Finding::Drifted(kind, differences), Some(object))
            }
        },
    };
    let blocked_by = (policy.mode == Mode::Audit).then_some(BlockedBy::Audit);
    let decision = Decision::new(action, Some(&policy.name), target, Reason::Quota(finding));
    draft.decisions.push(Decision { blocked_by, work: apply.map(Arc::new).map(Work::Apply), ..decision });
}

/// In a namespace that no policy governs. The policy that wanted it has let the namespace go if it is in this set; if it is
/// not, it may have been renamed or taken out, and it may as well be another installation's.
fn ungoverned(quota: &Arc<Quota>, ground: &Ground<'_>, draft: &mut Draft) {
    if !quota.ours || quota.meta.terminating.is_some() {
        return;
    }
    let target = Target::Quota(Arc::clone(quota));
    match ground.policies.policies.iter().find(|policy| Some(policy.name.as_ref()) == quota.policy.as_deref()) {
        Some(policy) => {
            let blocked_by = (policy.mode == Mode::Audit).then_some(BlockedBy::Audit);
            let reason = Reason::Quota(Finding::NotWanted(Arc::clone(&policy.name)));
            draft.decisions.push(Decision { blocked_by, ..Decision::new(Action::Delete, Some(&policy.name), target, reason) });
        }
        None => draft.alert(None, target, Reason::Quota(Finding::Stray(quota.policy.clone()))),
    }
}

/// What a policy wants an object of this kind to say.
fn wanted(kind: Kind, policy: &ClonePolicy) -> Option<Values> {
    match kind {
        Kind::LimitRange => policy.limit_range.as_ref().map(completed),
        _ if policy.quota.is_empty() => None,
        _ => Some(policy.quota.iter().map(|(resource, hard)| (resource.clone(), hard.text.clone())).collect()),
    }
}

/// A `LimitRange` as the API server completes it. Left to the server, what it adds would look like drift for ever.
fn completed(range: &LimitRange) -> Values {
    let mut default = range.default.clone();
    fill(&mut default, &range.max);
    let mut request = range.default_request.clone();
    fill(&mut request, &default);
    fill(&mut request, &range.min);
    let parts = [("default", &default), ("defaultRequest", &request), ("max", &range.max), ("min", &range.min)];
    parts.iter().flat_map(|(part, values)| values.iter().map(move |(resource, quantity)| (format!("{part}.{resource}"), quantity.clone()))).collect()
}

fn fill(values: &mut Values, from: &Values) {
    for (resource, quantity) in from {
        values.entry(resource.clone()).or_insert_with(|| quantity.clone());
    }
}

/// What differs, by value and not by text: the API server writes quantities in its own way.
fn differences(quota: &Quota, policy: &ClonePolicy, wanted: &Values) -> Vec<Difference> {
    let text = |value: &String| value.as_str().into();
    let fields: BTreeSet<&String> = wanted.keys().chain(quota.values.keys()).collect();
    let values = fields.into_iter().filter_map(|field| {
        let (is, wanted) = (quota.values.get(field), wanted.get(field));
        let same = matches!((is, wanted), (Some(is), Some(wanted)) if Quantity::same(is, wanted));
        (!same).then(|| Difference { field: field.as_str().into(), is: is.map(text), wanted: wanted.map(text) })
    });
    let mut differences: Vec<Difference> = values.collect();
    differences.extend(quota.beyond.map(|beyond| Difference { field: beyond.word().into(), is: Some("set".into()), wanted: None }));
    if quota.policy.as_deref() != Some(policy.name.as_ref()) {
        differences.push(Difference { field: names::POLICY.into(), is: quota.policy.clone(), wanted: Some(policy.name.as_ref().into()) });
    }
    differences
}
