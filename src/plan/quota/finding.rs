//! What may be amiss with what bounds a namespace, as data: the reasons of [`super`]'s decisions.

use crate::model::{Kind, names};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Why something is done about a `ResourceQuota` or a `LimitRange`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is not there: what it is to say.
    Missing(Kind, Arc<BTreeMap<String, String>>),
    /// It says something else than the policy.
    Drifted(Kind, Vec<Difference>),
    /// It carries what cannot be changed, so that it has to be made anew.
    Unchangeable(Kind, &'static str),
    /// This policy wanted it and does not any more.
    NotWanted(Arc<str>),
    /// It has our name and is not ours.
    Foreign,
    /// It is ours by its label, but the policy it was made for is not in this set.
    Stray(Option<Box<str>>),
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about: a resource, or a part of the object.
    pub field: Box<str>,
    /// What stands there, if anything does.
    pub is: Option<Box<str>>,
    /// What should stand there, if anything should.
    pub wanted: Option<Box<str>>,
}

impl Finding {
    /// The code: CamelCase, each with a line in the docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(Kind::LimitRange, _) => "LimitRangeMissing",
            Self::Missing(..) => "QuotaMissing",
            Self::Drifted(Kind::LimitRange, _) | Self::Unchangeable(Kind::LimitRange, _) => "LimitRangeDrifted",
            Self::Drifted(..) | Self::Unchangeable(..) => "QuotaDrifted",
            Self::NotWanted(_) => "QuotaNotWanted",
            Self::Foreign => "QuotaForeign",
            Self::Stray(_) => "QuotaStray",
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Missing(_, wanted) => {
                let wanted: Vec<String> = wanted.iter().map(|(field, quantity)| format!("`{field}` {quantity}")).collect();
                format!("is not there, and the policy wants {}", wanted.join(", "))
            }
            Self::Drifted(_, differences) => {
                let each: Vec<String> = differences.iter().map(Difference::words).collect();
                format!("is not what the policy says: {}", each.join(", "))
            }
            Self::Unchangeable(_, what) => format!("has `{what}`, which the API server does not let anybody change: it is deleted and made anew"),
            Self::NotWanted(policy) => format!("policy `{policy}` does not want it here any more"),
            Self::Foreign => format!(
                "has our name and is not ours (no label `{}: {}`): it is left alone, and the policy does not bound this namespace",
                names::MANAGED_BY,
                names::OURSELVES
            ),
            Self::Stray(Some(policy)) => {
                format!("was made for policy `{policy}`, which is not in this set: it is left alone; delete it if nobody wants it")
            }
            Self::Stray(None) => "does not say for which policy it was made: it is left alone; delete it if nobody wants it".to_owned(),
        }
    }

    /// What is behind the sentence.
    #[must_use]
    pub fn facts(&self) -> Map<String, Value> {
        let fact = |key: &str, value: Value| Map::from_iter([(key.to_owned(), value)]);
        match self {
            Self::Missing(_, wanted) => fact("wanted", json!(wanted)),
            Self::Drifted(_, differences) => {
                let one = |difference: &Difference| (difference.field.to_string(), json!({"is": difference.is, "wanted": difference.wanted}));
                fact("differs", Value::Object(differences.iter().map(one).collect()))
            }
            Self::Unchangeable(_, what) => fact("unchangeable", json!(what)),
            Self::NotWanted(policy) => fact("madeFor", json!(policy)),
            Self::Foreign => Map::new(),
            Self::Stray(policy) => fact("madeFor", json!(policy)),
        }
    }
}

impl Difference {
    fn words(&self) -> String {
        match (&self.is, &self.wanted) {
            (Some(is), Some(wanted)) => format!("`{}` is {is} instead of {wanted}", self.field),
            (Some(is), None) => format!("`{}` is {is} and should not be there", self.field),
            (None, Some(wanted)) => format!("`{}` is missing and should be {wanted}", self.field),
            (None, None) => format!("`{}`", self.field),
        }
    }
}
