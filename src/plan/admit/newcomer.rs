//! A newcomer that is judged without the webhook's JSON around it: what a simulation asks, a million times, and a comparison of policies.
//!
//! Contract: the rules are those of the webhook, function by function, in its order; and so is the answer, on the same count. That is
//! a property test of the simulation's.

use super::{Claim, Count, Refusal, create, placement};
use crate::{
    model::{Database, Reading},
    policy::{ClonePolicy, Policies},
};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// What somebody asks for, as far as anything looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Who asks.
    pub owner: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// The site that is to be cloned, if it is known.
    pub source_url: Option<&'a str>,
    /// How long it is to live, in seconds, if it says so.
    pub ttl: Option<i64>,
    /// Whether it is to have a database of its own, if it says so.
    pub dedicated: Option<bool>,
    /// Of which class, if it says so.
    pub class: Option<&'a str>,
    /// With which least and most capacity (ACU), if it says so.
    pub capacity: Option<(Decimal, Decimal)>,
}

/// What the conditions of a policy say of a newcomer. It depends on what they look at alone
/// ([`Condition::reads`](crate::policy::Condition::reads)), so it can be kept.
#[derive(Debug, Clone)]
pub struct Rule(placement::Ruled);

/// What a newcomer is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its database.
    pub database: Database,
    /// The address of the shared host that it lives on, the platform's own included.
    pub host: Option<Arc<str>>,
    /// What it will cost in this month at most, USD, if a budget counts that.
    pub usd: Decimal,
    /// How long it is to live, in seconds.
    pub lives: i64,
    /// What the caller is told.
    pub warnings: Vec<String>,
}

impl Newcomer<'_> {
    /// The object that the API server would be sent.
    #[must_use]
    pub fn object(&self) -> Value {
        let mut spec = Map::from_iter([("cloneId".to_owned(), json!(self.name))]);
        spec.extend(self.ttl.map(|seconds| ("ttlSeconds".to_owned(), json!(seconds))));
        spec.extend(self.dedicated.map(|wish| ("useDedicatedDatabase".to_owned(), json!(wish))));
        spec.extend(self.class.map(|class| ("databaseSize".to_owned(), json!(class))));
        let units = |units: Decimal| units.to_f64();
        spec.extend(self.capacity.map(|(least, most)| ("serverless".to_owned(), json!({"minACU": units(least), "maxACU": units(most)}))));
        spec.extend(self.source_url.map(|url| ("sourceUrl".to_owned(), json!(url))));
        let mut metadata = Map::from_iter([("namespace".to_owned(), json!(self.namespace)), ("name".to_owned(), json!(self.name))]);
        metadata.insert("labels".to_owned(), json!(self.labels));
        if !self.annotations.is_empty() {
            metadata.insert("annotations".to_owned(), json!(self.annotations));
        }
        json!({"apiVersion": "kro.run/v1alpha1", "kind": crate::model::names::CLONE_KIND, "metadata": metadata, "spec": spec})
    }

    /// What the conditions of its policy say.
    #[must_use]
    pub fn rule(&self, policy: &ClonePolicy, policies: &Policies, count: &impl Count) -> Rule {
        let introduced = create::introduced(&self.object(), self.owner, policy, &mut Vec::new());
        let facts = placement::facts(introduced.object(), self.owner, self.namespace, count, policy, policies);
        Rule(placement::ruled(&facts, policy))
    }

    /// Whether it is let in, and what it is given.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit(&self, rule: &Rule, policy: &ClonePolicy, policies: &Policies, count: &impl Count) -> Result<Asked, Refusal> {
        let said = self.ttl.map_or(Reading::Absent, Reading::Value);
        let (bounded, warning) = create::bounded(&said, &policy.ttl, &policy.name);
        let mut warnings: Vec<String> = warning.into_iter().collect();
        let wish = placement::Wish { dedicated: self.dedicated.unwrap_or_default(), class: self.class, capacity: self.capacity };
        let choice = rule.0.settle(wish, policy, policies, count)?;
        let lives = create::lives(&bounded.map_or(said, Reading::Value), &policy.ttl);
        let (choice, usd) = create::within_budget(choice, lives, policy, policies, count, &mut warnings)?;
        warnings.extend(choice.warnings);
        let host = match &choice.database {
            Database::Shared(Some(chosen)) => Some(Arc::clone(chosen)),
            Database::Shared(None) => {
                let host = count.host();
                placement::check_room(host.as_deref(), policy, policies, count)?;
                host.map(Arc::from)
            }
            Database::Dedicated(_) | Database::Serverless(..) => None,
        };
        create::limits(self.owner, choice.database.is_dedicated(), policy, count, &mut warnings)?;
        create::quota(policy, count, self.namespace)?;
        Ok(Asked { database: choice.database, host, usd, lives: lives.as_secs(), warnings })
    }

    /// What it takes up, given that.
    #[must_use]
    pub fn claim(&self, asked: &Asked) -> Claim {
        Claim {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            owner: self.owner.to_owned(),
            dedicated: asked.database.is_dedicated(),
            host: asked.host.as_deref().map(str::to_owned),
            class: create::class(&asked.database),
            usd: asked.usd,
            lives: (!asked.usd.is_zero()).then_some(asked.lives),
        }
    }
}
