//! Which database a clone gets: the first rule that matches decides, once, and says why.
//!
//! What the clone asks for is an input to the rules, not an order. A rule that cannot be evaluated falls to the safe and cheap
//! side: the first shared rule from there on, else a shared database; never a dedicated one by mistake.

use super::{Refusal, count::Count};
use crate::{
    model::database::{self, Database, USUAL_CLASS},
    policy::{ClonePolicy, DatabaseHost, Placement, Policies, select::Facts},
};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) database: Database,
    /// For the annotation: which rule, and what it saw.
    pub(super) reason: String,
    /// What the caller should know.
    pub(super) warnings: Vec<String>,
    /// The rule that chose, if one did.
    pub(super) rule: Option<Box<str>>,
    /// Whether the budget does not bear what was chosen, or was to be.
    pub(super) over_budget: bool,
}

/// Chooses the database of a new clone.
pub(super) fn choose(clone: &Value, facts: &Facts, policy: &ClonePolicy, policies: &Policies, census: &impl Count) -> Result<Choice, Refusal> {
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
                warnings
                    .push(format!("rule `{}` of policy `{}` cannot be evaluated ({problem}); a shared database is taken", rule.name, policy.name));
                unsure = Some(rule);
                if shared {
                    return Ruled::By(number, warnings);
                }
            }
        }
    }
    match unsure {
        Some(rule) => Ruled::Unsure(format!("shared: rule `{}` of policy `{}` could not be evaluated", rule.name, policy.name), warnings),
        None => Ruled::Nothing,
    }
}

impl Ruled {
    /// The database, on a host that has room.
    pub(super) fn settle(self, wish: Wish, policy: &ClonePolicy, policies: &Policies, census: &impl Count) -> Result<Choice, Refusal> {
        match self {
            Self::By(number, mut warnings) => {
                let Some(rule) = policy.databases.get(number) else { return Ok(wish.unruled()) };
                let choice = apply(rule, &wish, policy, policies, census)?;
                warnings.extend(choice.warnings);
                Ok(Choice { warnings, ..choice })
            }
            Self::Unsure(reason, warnings) => Ok(Choice { database: Database::Shared(None), reason, warnings, rule: None, over_budget: false }),
            Self::Nothing => Ok(wish.unruled()),
        }
    }
}

/// What a clone asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    pub(super) dedicated: bool,
    pub(super) class: Option<String>,
    pub(super) capacity: Option<(Decimal, Decimal)>,
}

impl Wish {
    fn of(clone: &Value) -> Self {
        Self {
            dedicated: crate::model::clone::wants_dedicated(clone),
            class: clone.pointer("/spec/databaseSize").and_then(Value::as_str).map(str::to_owned),
            capacity: database::capacity(clone),
        }
    }

    /// What is chosen where no rule has matched: as the clone says, else shared.
    fn unruled(self) -> Choice {
        let (database, reason) = match (self.dedicated, self.capacity) {
            (false, _) => (Database::Shared(None), "shared: no rule matches, and the clone asks for no database of its own"),
            (true, Some((least, most))) => (Database::Serverless(least, most), "serverless: no rule matches, and the clone asks for it"),
            (true, None) => {
                (Database::Dedicated(self.class.as_deref().unwrap_or(USUAL_CLASS).into()), "dedicated: no rule matches, and the clone asks for it")
            }
        };
        Choice { database, reason: reason.to_owned(), warnings: Vec::new(), rule: None, over_budget: false }
    }
}

fn apply(rule: &crate::policy::DatabaseRule, wish: &Wish, policy: &ClonePolicy, policies: &Policies, census: &impl Count) -> Result<Choice, Refusal> {
    let said = format!("rule `{}` of policy `{}`", rule.name, policy.name);
    let mut warnings = Vec::new();
    let (database, outcome) = match &rule.placement {
        Placement::Shared { hosts } => {
            if wish.dedicated {
                warnings.push(format!("{said} gives this clone a shared database; `useDedicatedDatabase` was a wish"));
            }
            let host = room(rule, hosts, policy, policies, census)?;
            (Database::Shared(Some(host.address().into())), format!("shared on `{}`", host.name))
        }
        Placement::Dedicated { classes } => {
            let wished = wish.class.as_ref().filter(|class| classes.contains(class));
            let class = wished.or(classes.first()).cloned().unwrap_or_else(|| USUAL_CLASS.to_owned());
            if let Some(other) = wish.class.as_ref().filter(|wished| **wished != class) {
                warnings.push(format!("`{other}` is not among the classes of {said} ({}); it gets `{class}`", classes.join(", ")));
            }
            let outcome = format!("dedicated `{class}`");
            (Database::Dedicated(class.into()), outcome)
        }
        Placement::Serverless { min_acu, max_acu } => (Database::Serverless(*min_acu, *max_acu), format!("serverless {min_acu} to {max_acu} ACU")),
    };
    Ok(Choice { database, reason: format!("{outcome}: {said}"), warnings, rule: Some(rule.name.as_str().into()), over_budget: false })
}

/// The shared database that a clone gets in place of one of its own: by the first rule that shares, whatever its condition says.
pub(super) fn shared_instead(choice: &Choice, policy: &ClonePolicy, policies: &Policies, census: &impl Count) -> Result<Choice, Refusal> {
    let because = format!("the budget does not bear `{}`", choice.reason);
    let shares = policy.databases.iter().find_map(|rule| match &rule.placement {
        Placement::Shared { hosts } => Some((rule, hosts)),
        _ => None,
    });
    let Some((rule, hosts)) = shares else {
        let reason = format!("shared: {because}");
        return Ok(Choice { database: Database::Shared(None), reason, over_budget: true, ..choice.clone() });
    };
    let host = room(rule, hosts, policy, policies, census)?;
    let reason = format!("shared on `{}`: {because}", host.name);
    Ok(Choice { database: Database::Shared(Some(host.address().into())), reason, over_budget: true, ..choice.clone() })
}

/// The first host with room, and of those the first that answers. Where none has any the clone is refused: a dedicated database would cost what nobody asked for.
fn room<'p>(
    rule: &crate::policy::DatabaseRule,
    names: &[String],
    policy: &ClonePolicy,
    policies: &'p Policies,
    census: &impl Count,
) -> Result<&'p DatabaseHost, Refusal> {
    let hosts = names.iter().filter_map(|name| policies.hosts.iter().find(|host| host.name == *name));
    let (mut full, mut down) = (Vec::new(), None);
    for host in hosts {
        let address = host.address();
        let used = census.on_host(&address);
        if used < super::as_count(host.schemas) {
            if !census.is_down(&address) {
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
    let Some(host) = policies.hosts.iter().find(|host| Some(host.address().as_str()) == address) else { return Ok(()) };
    let used = census.on_host(&host.address());
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
            let used = census.on_host(&host.address());
            let free = super::as_count(host.schemas).saturating_sub(used);
            (host.name.clone(), json!({"schemas": host.schemas, "used": used, "free": free}))
        })
        .collect();
    let monthly = policy.budget.as_ref().map(|budget| budget.monthly);
    let monthly_number = monthly.and_then(|usd| f64::try_from(usd).ok()).unwrap_or_default();
    // Counting is only worth it where somebody asks.
    let counted = reads("budget").then(|| census.purse(policy).map(|purse| purse.spent.total())).flatten();
    let used = counted.filter(|_| monthly.is_some()).and_then(|usd| f64::try_from(usd).ok()).unwrap_or_default();
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
        budget: json!({"set": monthly.is_some(), "monthly": monthly_number, "used": used, "left": (monthly_number - used).max(0.0)}),
        hosts: Value::Object(hosts),
    }
}
