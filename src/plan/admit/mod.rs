//! `mutate` and `validate`: what the API server is answered when somebody creates or changes a clone.
//!
//! ```text
//! CREATE ─► mutate   shape? ─► lifetime, owner ─► which database ─► is there room? ─► patch + Claim (a place, promised)
//!        └► validate shape? ─► is it what was promised?
//! UPDATE ─► mutate   what only the daemon writes is put back ─► lifetime
//!        └► validate dates that parse, choices that do not change
//! ```
//!
//! Pure: the same question about the same residents and promises has the same answer. In audit nothing is changed, refused or
//! promised: what would be is a warning.

pub mod budget;
mod census;
mod count;
mod create;
mod edit;
mod newcomer;
mod placement;
mod refusal;
mod seal;
mod shape;
#[cfg(test)]
mod tests;
mod update;

pub use census::{Claim, Residents, Tallied};
pub use count::{Count, Of, Purse};
pub use newcomer::{Asked, Newcomer, Rule};
pub use refusal::{Exhausted, Reached, Refusal};
pub use seal::Sealing;
pub use update::{ceiling_of, is_kept, may_live_longer};

use crate::policy::{ClonePolicy, Governing, Mode, Policies};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// What somebody wants to do to a clone, as far as it is judged.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whether the clone is to be made or changed.
    pub operation: Operation,
    /// Its namespace.
    pub namespace: String,
    /// Its name; empty where the API server is to make one up.
    pub name: String,
    /// Who asks: the authenticated user.
    pub user: String,
    /// Nothing will be stored: nothing may be promised.
    pub dry_run: bool,
    /// The object as it would be stored.
    pub object: Value,
    /// The object as it is; `null` where it is to be made.
    pub old: Value,
}

/// What is to be done to a clone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is to be made.
    Create,
    /// It is to be changed.
    Update,
}

/// What is known when a request is judged.
#[derive(Debug, Clone, Copy)]
pub struct Town<'a> {
    /// The policies in force.
    pub policies: &'a Policies,
    /// Who lives here.
    pub residents: &'a Residents,
    /// What was promised to whom, by reservation.
    pub claims: &'a BTreeMap<Box<str>, Claim>,
}

/// The answer to a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Why not, if not.
    pub refusal: Option<Refusal>,
    /// What the caller should know; kubectl prints each on a line.
    pub warnings: Vec<String>,
    /// What is changed on the object, as operations of RFC 6902.
    pub patch: Vec<Value>,
    /// The place that has to be promised before this is answered.
    pub claim: Option<Claim>,
    /// Whether the password of the source has to be sealed before this is answered; [`Sealing`] does.
    pub seals: bool,
    /// Whether the policy only says what it would do.
    pub audit: bool,
    /// The placement rule that decided, if one did.
    pub rule: Option<Box<str>>,
    /// Whether the budget does not bear it, whatever came of that.
    pub over_budget: bool,
}

impl Verdict {
    fn refused(refusal: Refusal) -> Self {
        // The platform's own host is nobody's rule.
        let rule = match &refusal {
            Refusal::NoRoom { rule, .. } => rule.strip_prefix('`').and_then(|rule| rule.strip_suffix('`')).map(Into::into),
            _ => None,
        };
        Self { over_budget: matches!(refusal, Refusal::BudgetSpent(_)), rule, refusal: Some(refusal), ..Self::default() }
    }

    /// What the policy's mode leaves of a verdict.
    fn under(self, mode: Mode) -> Self {
        if mode == Mode::Enforce {
            return self;
        }
        let refusal = self.refusal.map(|refusal| format!("clonewarden (audit): would refuse this: {refusal}"));
        let warnings = self.warnings.into_iter().map(|warning| format!("clonewarden (audit): would say: {warning}"));
        Self {
            warnings: refusal.into_iter().chain(warnings).collect(),
            audit: true,
            rule: self.rule,
            over_budget: self.over_budget,
            ..Self::default()
        }
    }
}

/// The answer of the mutating webhook. `reservation` is written on a clone that is promised a place: random, never used before.
#[must_use]
pub fn mutate(request: &Request, town: Town<'_>, reservation: &str) -> Verdict {
    governed(request, town, |policy| {
        let verdict = match request.operation {
            Operation::Create => create::mutate(request, town, policy, reservation),
            Operation::Update => update::mutate(request, town, policy),
        };
        Ok(Verdict { seals: true, ..verdict? })
    })
}

/// The answer of the validating webhook, about the object as it will be stored.
#[must_use]
pub fn validate(request: &Request, town: Town<'_>) -> Verdict {
    governed(request, town, |policy| {
        let verdict = match request.operation {
            Operation::Create => create::validate(request, town, policy),
            Operation::Update => update::validate(request),
        }?;
        // In audit it is not sealed, and that it would be is not worth a warning.
        let plain = policy.mode == Mode::Enforce && seal::is_plain(request);
        if plain && verdict.refusal.is_none() { Err(Refusal::NotSealed) } else { Ok(verdict) }
    })
}

/// Nobody's namespace is nobody's business, and two policies that have come to meet admit nobody.
fn governed(request: &Request, town: Town<'_>, judge: impl FnOnce(&Arc<ClonePolicy>) -> Result<Verdict, Refusal>) -> Verdict {
    match town.policies.governing(&request.namespace, town.residents.namespaces.get(&request.namespace)) {
        Governing::Nobody => Verdict::default(),
        Governing::Policy(policy) => judge(policy).unwrap_or_else(Verdict::refused).under(policy.mode),
        Governing::Conflict(one, other) if request.operation == Operation::Create => {
            let mode = if [one, other].iter().all(|policy| policy.mode == Mode::Audit) { Mode::Audit } else { Mode::Enforce };
            let conflict = Refusal::Conflict { namespace: request.namespace.clone(), one: one.name.to_string(), other: other.name.to_string() };
            Verdict::refused(conflict).under(mode)
        }
        // A change can end nothing there: it is held.
        Governing::Conflict(..) => Verdict::default(),
    }
}

/// A number of a policy as a count. A policy that allows more than can be counted allows everything.
fn as_count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The text of an annotation.
fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    crate::model::meta::entry(object, "annotations", key)?.as_str()
}
