//! What a line says of a decision: all of it out of the plan.

use super::Ending;
use crate::{
    model::{
        WordPressClone,
        approval::{Approval, Approved},
        journal::{Cost, Line, Told, Whose},
        names,
    },
    plan::{Action, Decision, Plan, Target, accrual, render, witness},
    policy::{Mode, Policies},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The most characters of an answer that a line repeats: enough for any that is written by people.
const DETAIL: usize = 2_000;

/// That it was carried out, or tried.
pub(super) fn acted(decision: &Decision, plan: &Plan, policies: &Policies, at: Timestamp, ending: &Ending) -> Line {
    let done = *ending == Ending::Done;
    Line { outcome: Some(ending.word().to_owned()), detail: ending.detail().map(shortened), ..line("acted", decision, plan, policies, at, done) }
}

/// That the verdict has changed.
pub(super) fn decided(decision: &Decision, plan: &Plan, policies: &Policies) -> Line {
    line("decided", decision, plan, policies, plan.now, false)
}

/// That a person had it carried out. What is known of it is what the person approved.
pub(super) fn applied(approval: &Approval, decision: &Approved, at: Timestamp) -> Line {
    let texts = [
        ("kind", Some(&decision.kind)),
        ("namespace", decision.namespace.as_ref()),
        ("name", decision.name.as_ref()),
        ("uid", decision.uid.as_ref()),
    ];
    let target = texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text?)))).collect();
    let clone = (decision.kind == names::CLONE_KIND).then(|| Whose {
        namespace: decision.namespace.clone(),
        name: decision.name.clone(),
        uid: decision.uid.clone(),
        owner: decision.owner.clone(),
        ..Whose::default()
    });
    let saved =
        |cost: &Cost| if decision.outcome.as_deref() == Some("done") { cost.clone() } else { Cost { saved: None, instead: None, ..cost.clone() } };
    let facts = [("approval", json!(approval.id)), ("by", json!(approval.by)), ("reason", json!(approval.reason)), ("plan", json!(approval.plan))];
    Line {
        policy_revision: Some(approval.policy_revision.clone()),
        id: Some(decision.id.clone()),
        action: Some(decision.action.clone()),
        policy: decision.policy.clone(),
        target,
        reason: (!decision.code.is_empty()).then(|| Told { code: decision.code.clone(), message: String::new(), facts: Map::new() }),
        cost: decision.cost.as_ref().map(saved),
        clone,
        outcome: decision.outcome.clone(),
        facts: facts.into_iter().filter(|(_, fact)| !fact.is_null()).map(|(key, fact)| (key.to_owned(), fact)).collect(),
        ..Line::new("applied", at)
    }
}

fn line(event: &str, decision: &Decision, plan: &Plan, policies: &Policies, at: Timestamp, done: bool) -> Line {
    let reason = &decision.reason;
    let facts = reason.facts();
    let ends = matches!(decision.action, Action::Delete | Action::Mark);
    Line {
        policy_revision: Some(plan.revision.hash.to_string()),
        policy_commit: plan.revision.commit.as_deref().map(str::to_owned),
        id: Some(decision.id()),
        action: Some(decision.action.word().to_owned()),
        effective: Some(decision.effective()),
        blocked_by: decision.blocked_by.map(|by| by.word().to_owned()),
        policy: decision.policy.as_deref().map(str::to_owned),
        target: target(decision),
        reason: Some(Told { code: reason.code().to_owned(), message: reason.message(at), facts }),
        evidence: witness::evidence(decision, plan, policies),
        clone: whose(decision).map(|whose| Whose { admitted: admitted(decision, plan, policies), ..whose }),
        cost: if ends { accrual::price(decision, plan, policies, at, done) } else { None },
        ..Line::new(event, at)
    }
}

/// The target, as in a plan.
fn target(decision: &Decision) -> serde_json::Map<String, Value> {
    match render::target(&decision.target) {
        Value::Object(target) => target,
        _ => serde_json::Map::new(),
    }
}

/// What is said of a clone that lives.
pub(super) fn living(clone: &WordPressClone) -> Whose {
    Whose {
        namespace: Some(clone.meta.namespace().to_owned()),
        name: Some(clone.meta.name().to_owned()),
        uid: Some(clone.meta.uid.to_string()),
        owner: clone.owner.as_deref().map(str::to_owned),
        admitted: None,
        dedicated: Some(clone.database.is_dedicated()),
    }
}

/// That admission let the clone in: what it was promised then stands on it, and where reviews are served and must succeed nobody else can
/// write that while its namespace is enforced. On a clone from before it is whatever its creator wrote there.
fn admitted(decision: &Decision, plan: &Plan, policies: &Policies) -> Option<bool> {
    let (Target::Clone(clone) | Target::Secret(clone)) = &decision.target else { return None };
    let since = plan.state.enforced_since.get(clone.meta.namespace())?;
    let enforced = policies.policies.iter().any(|policy| Some(&policy.name) == decision.policy.as_ref() && policy.mode == Mode::Enforce);
    (enforced && clone.reservation.is_some() && clone.meta.created >= *since).then_some(true)
}

/// The clone that a decision is about, or whose the target was, as far as the target says.
fn whose(decision: &Decision) -> Option<Whose> {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    if let Some(course) = decision.course() {
        let owner = &course.owner;
        return Some(Whose {
            namespace: text(&owner.namespace),
            name: owner.name.as_deref().and_then(text),
            uid: text(&owner.uid),
            ..Whose::default()
        });
    }
    match &decision.target {
        Target::Clone(clone) | Target::Secret(clone) => Some(living(clone)),
        Target::Child(child) => child.owner.as_ref().map(|owner| Whose {
            namespace: text(child.meta.namespace()),
            name: owner.name.as_deref().and_then(text),
            uid: text(&owner.uid),
            ..Whose::default()
        }),
        Target::Cloud(resource) => {
            let tag = |key| resource.tag(key).and_then(text);
            let whose = Whose { namespace: tag(names::TAG_NAMESPACE), uid: tag(names::TAG_CLONE_UID), ..Whose::default() };
            whose.uid.is_some().then_some(whose)
        }
        Target::Schema(schema) => {
            schema.row.as_ref().map(|row| Whose { namespace: text(&row.namespace), name: text(&row.clone), uid: text(&row.uid), ..Whose::default() })
        }
        Target::Orphan(record) => {
            let owner = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
            let whose = Whose { namespace: owner(&record.namespace), uid: owner(&record.owner), ..Whose::default() };
            whose.uid.is_some().then_some(whose)
        }
        _ => None,
    }
}

fn shortened(detail: &str) -> String {
    if detail.chars().nth(DETAIL).is_none() {
        return detail.to_owned();
    }
    detail.chars().take(DETAIL).chain(['…']).collect()
}
