//! What somebody who may see one namespace is told of what lies in others: nothing.
//!
//! Contract: whatever is shown passes here if it may name something else than what it is about: another object's claim, what a source or an
//! API answered, what a person wrote about the whole cluster. Whoever may not see all is told the code, the dates and the numbers, and that
//! there is more. A sentence is shown to them only if its code is one of [`OWN`], so that a new code is kept back until somebody has looked.

use super::{Look, Why, namespace_of};
use crate::{
    model::{journal::Line, orphan::status::StatusEvidence},
    plan::{Decision, Reason},
};
use serde_json::{Map, json};

/// The codes whose sentence and facts are about the thing itself, its clone, its namespace or its policy, and name nothing else.
const OWN: &[&str] = &[
    "Announced",
    "BrakeOn",
    "Broken",
    "BudgetExceeded",
    "BudgetNear",
    "Busy",
    "ClockUntrusted",
    "CloneEnded",
    "ClusterIdUnknown",
    "Collapsed",
    "CopiedLabels",
    "CredentialsHeld",
    "CredentialsMissing",
    "DefinitionGone",
    "Deleted",
    "Expired",
    "ExpiresSoon",
    "ExpiryUnreadable",
    "GoesWithJob",
    "GraceAnnounced",
    "Idle",
    "InheritedTags",
    "Kept",
    "KeptPastCeiling",
    "LimitRangeDrifted",
    "LimitRangeMissing",
    "Living",
    "NamesakeLives",
    "NoOrphan",
    "NoPolicy",
    "OverLimit",
    "OwnerGone",
    "PolicyConflict",
    "PricesOld",
    "PricesUnknown",
    "Protected",
    "QuotaDrifted",
    "QuotaForeign",
    "QuotaMissing",
    "QuotaNotWanted",
    "QuotaStray",
    "RegionNotSwept",
    "Restored",
    "SchemaMissing",
    "SnapshotExpired",
    "SnapshotImpossible",
    "SnapshotOurs",
    "StuckDeleting",
    "TagsGone",
    "Terminating",
    "Unclaimed",
    "Unpriced",
    "UnreadableObject",
    "UnreadableValue",
    "UsageCounted",
    "Vetoed",
    "WouldAnnounce",
];
/// What is said where more is known than may be told.
const MORE: &str = "more is known, and told to whoever may see all namespaces: it may name what lies in others";

impl<'a> Look<'a> {
    /// Whether something in this namespace (`None`: it is in none) may be seen. Who may see one namespace sees that alone.
    pub(super) fn may_see(&self, namespace: Option<&str>) -> bool {
        self.only.is_none_or(|only| namespace == Some(only))
    }

    /// The decisions that may be seen: both what they are about and whose it was.
    pub(super) fn decisions(&self) -> impl Iterator<Item = &'a Decision> {
        self.plan.decisions.iter().filter(|decision| {
            let place = decision.target.meta().map(|meta| meta.namespace()).filter(|namespace| !namespace.is_empty());
            self.may_see(namespace_of(decision)) && place.is_none_or(|place| self.may_see(Some(place)))
        })
    }

    /// Whether a line of the journal may be seen.
    pub(super) fn may_see_line(&self, line: &Line) -> bool {
        let whose = line.clone.as_ref().and_then(|whose| whose.namespace.as_deref());
        let both = [whose.unwrap_or_default(), line.target("namespace")];
        let mut said = both.into_iter().filter(|namespace| !namespace.is_empty()).peekable();
        if said.peek().is_none() { self.may_see(None) } else { said.all(|namespace| self.may_see(Some(namespace))) }
    }

    /// Why, as far as it may be told.
    pub(super) fn why(&self, decision: &Decision) -> Why {
        let reason = &decision.reason;
        let code = reason.code();
        match reason {
            _ if self.may_hear(code) => Why { code: code.to_owned(), message: reason.message(self.now()), facts: reason.facts() },
            Reason::EvidenceMissing(source, _) => {
                let facts = Map::from_iter([("source".to_owned(), json!(source))]);
                Why { code: code.to_owned(), message: format!("nothing is decided without `{source}`, which is not known well enough"), facts }
            }
            _ => Why { code: code.to_owned(), message: MORE.to_owned(), facts: Map::new() },
        }
    }

    /// A sentence of this code, if there is one, as far as it may be told.
    pub(super) fn sentence(&self, code: &str, message: &str) -> String {
        if message.is_empty() || self.may_hear(code) { message.to_owned() } else { MORE.to_owned() }
    }

    /// What a source, an API or a person has said, which may be about anything.
    pub(super) fn words(&self, said: Option<String>) -> Option<String> {
        said.map(|said| if self.only.is_none() { said } else { MORE.to_owned() })
    }

    /// What a verdict stands on, as far as it may be told.
    pub(super) fn grounds(&self, evidence: &[StatusEvidence]) -> Vec<StatusEvidence> {
        evidence.iter().map(|known| StatusEvidence { reason: self.words(known.reason.clone()), ..known.clone() }).collect()
    }

    fn may_hear(&self, code: &str) -> bool {
        self.only.is_none() || OWN.contains(&code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_is_told_to_all_is_one() {
        let reasons = include_str!("../../../docs/reasons.md");
        for code in OWN {
            assert!(reasons.contains(&format!("| `{code}` |")), "{code}");
        }
    }
}
