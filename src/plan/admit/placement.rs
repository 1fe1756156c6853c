//! Which database a clone gets: the first rule that matches decides, once, and says why.
//!
//! What the clone asks for is an input to the rules, not an order. A rule that cannot be evaluated falls to the safe and cheap
//! side: the first shared rule from there on, else a shared database; never a dedicated one by mistake.

use super::{Refusal, count::Count};
use crate::{
    model::database::{self, Database, USUAL_CLASS},
    policy::{ClonePolicy, DatabaseHost, DatabaseRule, Placement, Policies, select::Facts},
};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::{borrow::Cow, fmt, sync::Arc};

/// What was chosen, and why.
#[derive(Debug, Clone)]
pub(super) struct Choice<'p> {
    pub(super) database: Database,
    why: Why<'p>,
    /// What the caller should know.
    pub(super) warnings: Vec<String>,
    /// The rule that chose, if one did.
    pub(super) rule: Option<&'p str>,
    /// Whether the budget does not bear what was chosen, or was to be.
    pub(super) over_budget: bool,
}

/// Why, not yet in words: a simulation asks a million times and reads none of them.
#[derive(Debug, Clone)]
enum Why<'p> {
    Said(Cow<'static, str>),
    /// By this rule, on the shared host of this name.
    On(Named<'p>, &'p str),
    /// By this rule, on its own.
    Alone(Named<'p>),
}

/// A rule as people are told of it.
#[derive(Debug, Clone, Copy)]
struct Named<'p> {
    rule: &'p str,
    policy: &'p str,
}

impl<'p> Named<'p> {
    fn new(rule: &'p DatabaseRule, policy: &'p ClonePolicy) -> Self {
        Self { rule: &rule.name, policy: &policy.name }
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}` of policy `{}`", self.rule, self.policy)
    }
}

impl Choice<'_> {
    /// For the annotation: which rule, and what it saw.
    pub(super) fn reason(&self) -> String {
        match (&self.why, &self.database) {
            (Why::Said(words), _) => words.clone().into_owned(),
            (Why::On(rule, host), _) => format!("shared on `{host}`: {rule}"),
            (Why::Alone(rule), Database::Dedicated(class)) => format!("dedicated `{class}`: {rule}"),
            (Why::Alone(rule), Database::Serverless(least, most)) => format!("serverless {least} to {most} ACU: {rule}"),
            (Why::Alone(rule), Database::Shared(_)) => format!("shared: {rule}"),
        }
    }
}

/// Chooses the database of a new clone.
pub(super) fn choose<'p>(
    clone: &Value,
    facts: &Facts,
    policy: &'p ClonePolicy,
    policies: &'p Policies,
    census: &impl Count,
) -> Result<Choice<'p>, Refusal> {
    ruled(facts, policy).settle(Wish::of(clone), policy, policies, census)
}

/// What the conditions say: a function of the facts, and of nothing that lives.
#[derive(Debug, Clone)]
pub(super) enum Ruled {
    /// This rule decides, after these warnings.
    By(usize, Vec<String>),
    /// One could not be evaluated, and no shared rule comes after it: for this reason, after these warnings.
    Unsure(String, Vec<String>),
    /// None matches.
    Nothing,
}

/// Which rule decides.
pub(super) fn ruled(facts: &Facts, policy: &ClonePolicy) -> Ruled {
    let mut warnings = Vec::new();
    let mut unsure = None;
    for (number, rule) in policy.databases.iter().enumerate() {
        let shared = matches!(rule.placement, Placement::Shared { .. });
        if unsure.is_some() {
            // What was not understood may have been meant to stop here: only a shared rule may still decide.
            if shared {
                return Ruled::By(number, warnings);
            }
            continue;
        }
        match rule.when.as_ref().map_or(Ok(true), |when| when.holds(facts)) {
            Ok(false) => {}
            Ok(true) => return Ruled::By(number, warnings),
            Err(problem) => {
                warnings.push(format!("{} cannot be evaluated ({problem}); a shared database is taken", Named::new(rule, policy)));
                unsure = Some(rule);
                if shared {
                    return Ruled::By(number, warnings);
                }
            }
        }
    }
    match unsure {
        Some(rule) => Ruled::Unsure(format!("shared: {} could not be evaluated", Named::new(rule, policy)), warnings),
        None => Ruled::Nothing,
    }
}

impl Ruled {
    /// The database, on a host that has room.
    pub(super) fn settle<'p>(
        &self,
        wish: Wish<'_>,
        policy: &'p ClonePolicy,
        policies: &'p Policies,
        census: &impl Count,
    ) -> Result<Choice<'p>, Refusal> {
        match self {
            Self::By(number, warnings) => {
                let Some(rule) = policy.databases.get(*number) else { return Ok(wish.unruled()) };
                let choice = apply(rule, wish, policy, policies, census)?;
                let warnings = warnings.iter().cloned().chain(choice.warnings).collect();
                Ok(Choice { warnings, ..choice })
            }
            Self::Unsure(reason, warnings) => Ok(Choice {
                database: Database::Shared(None),
                why: Why::Said(reason.clone().into()),
                warnings: warnings.clone(),
                rule: None,
                over_budget: false,
            }),
            Self::Nothing => Ok(wish.unruled()),
        }
    }
}

/// What a clone asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish<'a> {
    pub(super) dedicated: bool,
    pub(super) class: Option<&'a str>,
    pub(super) capacity: Option<(Decimal, Decimal)>,
}

impl<'a> Wish<'a> {
    fn of(clone: &'a Value) -> Self {
        Self {
            dedicated: crate::model::clone::wants_dedicated(clone),
            class: clone.pointer("/spec/databaseSize").and_then(Value::as_str),
            capacity: database::capacity(clone),
        }
    }

    /// What is chosen where no rule has matched: as the clone says, else shared.
    fn unruled(self) -> Choice<'static> {
        let (database, reason) = match (self.dedicated, self.capacity) {
            (false, _) => (Database::Shared(None), "shared: no rule matches, and the clone asks for no database of its own"),
            (true, Some((least, most))) => (Database::Serverless(least, most), "serverless: no rule matches, and the clone asks for it"),
            (true, None) => (Database::Dedicated(self.class.unwrap_or(USUAL_CLASS).into()), "dedicated: no rule matches, and the clone asks for it"),
        };
        Choice { database, why: Why::Said(reason.into()), warnings: Vec::new(), rule: None, over_budget: false }
    }
}

fn apply<'p>(
    rule: &'p DatabaseRule,
    wish: Wish<'_>,
    policy: &'p ClonePolicy,
    policies: &'p Policies,
    census: &impl Count,
) -> Result<Choice<'p>, Refusal> {
    let said = Named::new(rule, policy);
    let mut warnings = Vec::new();
    let (database, why) = match &rule.placement {
        Placement::Shared { hosts } => {
            if wish.dedicated {
                warnings.push(format!("{said} gives this clone a shared database; `useDedicatedDatabase` was a wish"));
            }
            let host = room(rule, hosts, policy, policies, census)?;
            (Database::Shared(Some(Arc::clone(host.address()))), Why::On(said, &host.name))
        }
        Placement::Dedicated { classes } => {
            let wished = wish.class.and_then(|wished| classes.iter().find(|class| *class == wished));
            let class = wished.or(classes.first()).map_or(USUAL_CLASS, String::as_str);
            if let Some(other) = wish.class.filter(|wished| *wished != class) {
                warnings.push(format!("`{other}` is not among the classes of {said} ({}); it gets `{class}`", classes.join(", ")));
            }
            (Database::Dedicated(class.into()), Why::Alone(said))
        }
        Placement::Serverless { min_acu, max_acu } => (Database::Serverless(*min_acu, *max_acu), Why::Alone(said)),
    };
    Ok(Choice { database, why, warnings, rule: Some(&rule.name), over_budget: false })
}

/// The shared database that a clone gets in place of one of its own: by the first rule that shares, whatever its condition says.
pub(super) fn shared_instead<'p>(
    choice: &Choice<'p>,
    policy: &'p ClonePolicy,
    policies: &'p Policies,
    census: &impl Count,
) -> Result<Choice<'p>, Refusal> {
    let because = format!("the budget does not bear `{}`", choice.reason());
    let shares = policy.databases.iter().find_map(|rule| match &rule.placement {
        Placement::Shared { hosts } => Some((rule, hosts)),
        _ => None,
    });
    let Some((rule, hosts)) = shares else {
        let why = Why::Said(format!("shared: {because}").into());
        return Ok(Choice { database: Database::Shared(None), why, over_budget: true, ..choice.clone() });
    };
    let host = room(rule, hosts, policy, policies, census)?;
    let why = Why::Said(format!("shared on `{}`: {because}", host.name).into());
    Ok(Choice { database: Database::Shared(Some(Arc::clone(host.address()))), why, over_budget: true, ..choice.clone() })
}

/// The first host with room, and of those the first that answers. Where none has any the clone is refused: a dedicated database would cost what nobody asked for.
fn room<'p>(
    rule: &DatabaseRule,
    names: &[String],
    policy: &ClonePolicy,
    policies: &'p Policies,
    census: &impl Count,
) -> Result<&'p DatabaseHost, Refusal> {
    let hosts = names.iter().filter_map(|name| policies.hosts.iter().find(|host| host.name == *name));
    let (mut full, mut down) = (Vec::new(), None);
    for host in hosts {
        let address = host.address();
        let used = census.on_host(address);
        if used < super::as_count(host.schemas) {
            if !census.is_down(address) {
                return Ok(host);
            }
            down = down.or(Some(host));
            continue;
        }
        full.push(format!("`{}` has {used} of {}", host.name, host.schemas));
    }
    // It may be back before the clone needs it; and that the daemon cannot reach it does not say that the clone cannot.
    if let Some(host) = down {
        return Ok(host);
    }
    Err(Refusal::NoRoom { rule: format!("`{}`", rule.name), full: full.join(", "), place: policy.place_of("databases") })
}

/// Whether the host has room that a clone lives on which no rule has placed, where that is one of ours.
pub(super) fn check_room(address: Option<&str>, policy: &ClonePolicy, policies: &Policies, census: &impl Count) -> Result<(), Refusal> {
    let Some(host) = policies.hosts.iter().find(|host| Some(&**host.address()) == address) else { return Ok(()) };
    let used = census.on_host(host.address());
    if used < super::as_count(host.schemas) {
        return Ok(());
    }
    let full = format!("`{}` has {used} of {}", host.name, host.schemas);
    Err(Refusal::NoRoom { rule: "none, the platform's own host".to_owned(), full, place: policy.place_of("databases") })
}

/// What conditions may look at.
pub(super) fn facts(clone: &Value, owner: &str, namespace: &str, census: &impl Count, policy: &ClonePolicy, policies: &Policies) -> Facts {
    let metadata = |field: &str| clone.pointer(&format!("/metadata/{field}")).filter(|map| map.is_object()).cloned().unwrap_or_else(|| json!({}));
    // By name, and not the whole spec: it holds a password.
    let spec = ["ttlSeconds", "useDedicatedDatabase", "databaseSize", "sourceUrl", "serverless"];
    let spec: Map<String, Value> =
        spec.iter().filter_map(|field| Some(((*field).to_owned(), clone.pointer(&format!("/spec/{field}"))?.clone()))).collect();
    // kubectl keeps a copy of the whole object in here, password and all.
    let mut annotations = metadata("annotations");
    annotations.as_object_mut().map(|map| map.shift_remove("kubectl.kubernetes.io/last-applied-configuration"));
    let labels = census.labels().cloned().unwrap_or_default();
    let reads = |what: &str| policy.databases.iter().any(|rule| rule.when.as_ref().is_some_and(|when| when.text().contains(what)));
    let asked = reads("hosts");
    let hosts: Map<String, Value> = policies
        .hosts
        .iter()
        .filter(|_| asked)
        .map(|host| {
            let used = census.on_host(host.address());
            let free = super::as_count(host.schemas).saturating_sub(used);
            (host.name.clone(), json!({"schemas": host.schemas, "used": used, "free": free}))
        })
        .collect();
    let monthly = policy.budget.as_ref().map(|budget| budget.monthly);
    let monthly_number = monthly.and_then(|usd| f64::try_from(usd).ok()).unwrap_or_default();
    // Counting is only worth it where somebody asks.
    let counted = || census.purse(policy).and_then(|purse| f64::try_from(purse.spent.total()).ok());
    let used = if monthly.is_some() && reads("budget") { counted() } else { Some(0.0) };
    let left = used.map(|used| (monthly_number - used).max(0.0));
    Facts {
        clone: json!({
            "name": clone.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default(),
            "namespace": namespace,
            "labels": metadata("labels"),
            "annotations": annotations,
            "owner": owner,
            "spec": spec,
        }),
        namespace: json!({"name": namespace, "labels": labels}),
        budget: json!({"set": monthly.is_some(), "monthly": monthly_number, "used": used, "left": left}),
        hosts: Value::Object(hosts),
    }
}
