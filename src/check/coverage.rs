//! Which rules, limits and budgets of a set have decided anything in any test.

use crate::{
    plan::admit::{Refusal, Verdict},
    policy::{ClonePolicy, Policies},
};
use std::collections::BTreeSet;

/// What has been hit so far.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    hit: BTreeSet<(String, String)>,
}

/// Something of a policy that can decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The policy.
    pub policy: String,
    /// `rule critical`, `limits.clones`, `budget`.
    pub what: String,
    /// `file:line`.
    pub place: String,
    /// Whether a test has hit it.
    pub hit: bool,
}

impl Coverage {
    /// Notes what an answer under this policy was decided by. A rule counts where a clone was let in by it or had no room, a limit where
    /// it refused one, a budget where it did not bear one.
    pub(super) fn saw(&mut self, policy: &ClonePolicy, verdict: &Verdict) {
        let mut hit = |what: String| {
            self.hit.insert((policy.name.to_string(), what));
        };
        if let Some(rule) = &verdict.rule {
            hit(format!("rule {rule}"));
        }
        if let Some(Refusal::LimitReached(reached)) = &verdict.refusal {
            hit(reached.field.to_owned());
        }
        if verdict.over_budget {
            hit("budget".to_owned());
        }
    }

    /// Everything that could be hit, policy by policy.
    #[must_use]
    pub fn items(&self, policies: &Policies) -> Vec<Item> {
        let mut items = Vec::new();
        for policy in &policies.policies {
            let mut add = |what: String, field: &str| {
                let hit = self.hit.contains(&(policy.name.to_string(), what.clone()));
                items.push(Item { policy: policy.name.to_string(), what, place: policy.place_of(field), hit });
            };
            policy.databases.iter().for_each(|rule| add(format!("rule {}", rule.name), "databases"));
            let limits = &policy.limits;
            let limits = [
                ("limits.clones", limits.clones),
                ("limits.dedicatedDatabases", limits.dedicated_databases),
                ("limits.clonesPerOwner", limits.clones_per_owner),
            ];
            limits.into_iter().filter(|(_, limit)| limit.is_some()).for_each(|(field, _)| add(field.to_owned(), field));
            if policy.budget.is_some() {
                add("budget".to_owned(), "budget");
            }
        }
        items
    }
}
