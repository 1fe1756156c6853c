//! What is held or held back, and what a person should look at, each grouped by why.

use super::{Look, Thing};
use crate::{
    model::orphan::status::count,
    plan::{Action, BlockedBy, Decision},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many of a group are listed.
const LISTED: usize = 20;

/// Everything that is held for one reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    /// What was decided: hold, alert, or what is held back.
    pub(crate) action: &'static str,
    /// The reason code.
    pub(crate) code: String,
    /// What holds it back, if it was decided and is not done: audit, brake or pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blocked_by: Option<&'static str>,
    /// How many there are.
    #[schemars(schema_with = "count")]
    pub(crate) count: usize,
    /// The first of them.
    pub(crate) items: Vec<Held>,
}

/// One thing that is held.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Held {
    /// What it is.
    pub(crate) target: Thing,
    /// The policy that governs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// Why, in one sentence.
    pub(crate) message: String,
}

/// What is held, then what is decided but held back. The more there is, the sooner it is shown.
pub(super) fn holds(look: &Look<'_>) -> Vec<Group> {
    grouped(look, |decision| decision.action == Action::Hold || decision.blocked_by.is_some() && decision.action != Action::Keep)
}

/// What a person should look at.
pub(super) fn alerts(look: &Look<'_>) -> Vec<Group> {
    grouped(look, |decision| decision.action == Action::Alert)
}

fn grouped(look: &Look<'_>, is_one: impl Fn(&Decision) -> bool) -> Vec<Group> {
    let mut groups: BTreeMap<(Option<BlockedBy>, &'static str, Action), Group> = BTreeMap::new();
    for decision in look.decisions().filter(|decision| is_one(decision)) {
        let code = decision.reason.code();
        let group = groups.entry((decision.blocked_by, code, decision.action)).or_insert_with(|| Group {
            action: decision.action.word(),
            code: code.to_owned(),
            blocked_by: decision.blocked_by.map(BlockedBy::word),
            count: 0,
            items: Vec::new(),
        });
        group.count = group.count.saturating_add(1);
        if group.items.len() < LISTED {
            group.items.push(Held {
                target: Thing::of(decision),
                policy: decision.policy.as_deref().map(str::to_owned),
                message: look.why(decision).message,
            });
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    // An end is what people ask about first.
    groups.sort_by_key(|group| (group.blocked_by, group.action != Action::Delete.word(), usize::MAX.saturating_sub(group.count)));
    groups
}
