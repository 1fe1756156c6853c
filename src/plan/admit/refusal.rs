//! Why a request is refused: what, how many of how many, where that is said, and what to do next.

use super::budget::Overspent;
use std::fmt;

/// Why a clone is not made, or not changed in that way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The object has no spec: KRO makes such ghosts of clones that are gone.
    NoSpec,
    /// The API server was to make up a name.
    GeneratedName,
    /// `spec.cloneId` is another than the object's name.
    NameMismatch {
        /// `metadata.name`.
        name: String,
        /// `spec.cloneId`, as far as it is one.
        clone_id: String,
    },
    /// A value that cannot be understood.
    BadValue {
        /// Which field.
        field: &'static str,
        /// What it says.
        said: String,
        /// What it should look like.
        wanted: &'static str,
    },
    /// Something that is decided once.
    Immutable {
        /// Which field.
        field: &'static str,
    },
    /// A limit of the policy is reached.
    LimitReached(Box<Reached>),
    /// No shared host has room.
    NoRoom {
        /// The rule that chose.
        rule: String,
        /// Each host with how full it is.
        full: String,
        /// `file:line`.
        place: String,
    },
    /// The namespace's quota cannot run one more clone.
    QuotaFull(Box<Exhausted>),
    /// The month's budget does not bear one more clone.
    BudgetSpent(Box<Overspent>),
    /// A budget denies what it does not bear, and what this clone costs is not known.
    Unpriced {
        /// What has no price.
        what: String,
        /// `file:line`.
        place: String,
    },
    /// Two policies govern the namespace.
    Conflict {
        /// The namespace.
        namespace: String,
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// The mutating webhook did not see this clone.
    NotReviewed,
    /// The object is not what the mutating webhook promised a place to.
    Altered {
        /// Which field.
        field: &'static str,
    },
    /// A password stands in the spec as plain text, after the mutating webhook.
    NotSealed,
    /// A sealed password that was not sealed for this clone.
    ForeignSeal,
    /// Nobody can judge it now.
    NotNow(String),
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Which one, for people: `clones`, `clones of ada`.
    pub what: String,
    /// The field of the policy.
    pub field: &'static str,
    /// The namespace.
    pub namespace: String,
    /// How many there are.
    pub used: usize,
    /// How many there may be.
    pub most: u32,
    /// How many of those are being deleted already.
    pub leaving: usize,
    /// `file:line`.
    pub place: String,
}

/// A quota that is exhausted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The resource.
    pub resource: String,
    /// What one clone needs of it.
    pub needs: String,
    /// What the quota gives.
    pub hard: String,
    /// What other Pods use of it.
    pub others: Option<String>,
    /// How many clones fit.
    pub fit: usize,
    /// The namespace.
    pub namespace: String,
    /// `file:line`.
    pub place: String,
}

impl Refusal {
    /// Every code.
    pub const CODES: [&str; 16] = [
        "NoSpec",
        "GeneratedName",
        "NameMismatch",
        "BadValue",
        "Immutable",
        "LimitReached",
        "NoRoom",
        "QuotaFull",
        "BudgetSpent",
        "Unpriced",
        "PolicyConflict",
        "NotReviewed",
        "Altered",
        "NotSealed",
        "ForeignSeal",
        "NotNow",
    ];

    /// The CamelCase code, for metrics and documentation.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSpec => "NoSpec",
            Self::GeneratedName => "GeneratedName",
            Self::NameMismatch { .. } => "NameMismatch",
            Self::BadValue { .. } => "BadValue",
            Self::Immutable { .. } => "Immutable",
            Self::LimitReached(_) => "LimitReached",
            Self::NoRoom { .. } => "NoRoom",
            Self::QuotaFull(_) => "QuotaFull",
            Self::BudgetSpent(_) => "BudgetSpent",
            Self::Unpriced { .. } => "Unpriced",
            Self::Conflict { .. } => "PolicyConflict",
            Self::NotReviewed => "NotReviewed",
            Self::Altered { .. } => "Altered",
            Self::NotSealed => "NotSealed",
            Self::ForeignSeal => "ForeignSeal",
            Self::NotNow(_) => "NotNow",
        }
    }

    /// The HTTP status that goes with it: 422 for what is wrong with the object, 429 and 503 for what passes, 403 otherwise.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NoSpec | Self::GeneratedName | Self::NameMismatch { .. } | Self::BadValue { .. } | Self::Immutable { .. } | Self::ForeignSeal => {
                422
            }
            Self::NotNow(_) => 503,
            _ => 403,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpec => f.write_str("the clone has no `spec`; give at least `cloneId` and `sourceUrl`"),
            Self::GeneratedName => f.write_str("`metadata.generateName` is not for clones, whose name is also their `cloneId`; set `metadata.name`"),
            Self::NameMismatch { name, clone_id } => {
                write!(f, "`spec.cloneId` is `{clone_id}` and `metadata.name` is `{name}`; make them the same, the children are named after it")
            }
            Self::BadValue { field, said, wanted } => write!(f, "`{field}` says `{said}`; write {wanted}"),
            Self::Immutable { field } => {
                write!(f, "`{field}` is decided when a clone is created and never changed, not even from unset to set; create another clone for that")
            }
            Self::LimitReached(reached) => {
                let Reached { what, field, namespace, used, most, leaving, place } = reached.as_ref();
                write!(f, "{used} of {most} {what} are in `{namespace}` ({place}, `{field}`)")?;
                match leaving {
                    0 => f.write_str("; delete one, or wait for the next to end"),
                    1 => f.write_str("; one of them is being deleted, try again when it is gone"),
                    many => write!(f, "; {many} of them are being deleted, try again when one is gone"),
                }
            }
            Self::NoRoom { rule, full, place } => {
                write!(f, "no host has room (rule {rule}): {full} ({place}); delete a clone that lives there, or add a host to the rule")
            }
            Self::QuotaFull(exhausted) => {
                let Exhausted { resource, needs, hard, others, fit, namespace, place } = exhausted.as_ref();
                write!(f, "the quota of `{namespace}` has {hard} of `{resource}`")?;
                if let Some(others) = others {
                    write!(f, ", of which other Pods use {others}")?;
                }
                write!(f, "; at {needs} a clone that is {fit}, and so many are there ({place}); delete one, or raise the quota")
            }
            Self::BudgetSpent(over) => over.fmt(f),
            Self::Unpriced { what, place } => write!(
                f,
                "what `{what}` costs is not known, and the budget ({place}) denies what it does not bear; choose something that `clonewarden prices` \
                 names, or write its price in a PriceBook beside the policies"
            ),
            Self::Conflict { namespace, one, other } => {
                write!(f, "the policies `{one}` and `{other}` both govern `{namespace}`; whoever keeps them has to take it out of one")
            }
            Self::NotReviewed => f.write_str(
                "no place was promised to this clone: its policy changed this very moment (try again), or the MutatingWebhookConfiguration of \
                 clonewarden is missing or did not select it (install deploy/base/webhooks.yaml whole)",
            ),
            Self::Altered { field } => {
                write!(f, "another webhook changed `{field}` after clonewarden had decided it; let that webhook leave WordPressClones alone")
            }
            Self::NotSealed => f.write_str(
                "`spec.sourcePassword` would be stored as plain text: the MutatingWebhookConfiguration of clonewarden is missing or did not select \
                 this clone (install deploy/base/webhooks.yaml whole), or another webhook wrote the password after it",
            ),
            Self::ForeignSeal => f.write_str(
                "`spec.sourcePassword` is sealed, and not for this clone under the present key: a sealed password cannot be copied; give the password \
                 itself",
            ),
            Self::NotNow(why) => write!(f, "this cannot be judged now ({why}); try again in a few seconds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_docs_with_what_to_do() {
        let page = include_str!("../../../docs/admission.md");
        for code in Refusal::CODES {
            assert!(page.contains(&format!("| `{code}` |")), "{code}");
        }
        assert!(Refusal::CODES.contains(&Refusal::NoSpec.code()) && Refusal::CODES.contains(&Refusal::NotNow(String::new()).code()));
    }
}
