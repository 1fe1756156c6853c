//! What a set of files means, and its author hardly wanted: selectors that may meet, hosts that nobody uses, budgets for nobody.

use super::{
    AtLimit, Namespaces, Placement,
    code::Code,
    lint::{ReadHost, ReadPolicy},
    problem::{Place, Problem},
};
use crate::cost::{
    book::{PriceBook, Table},
    dollars,
};
use rust_decimal::Decimal;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The label that Kubernetes itself puts on every namespace: its name.
const NAME: &str = "kubernetes.io/metadata.name";
/// Each selector is compared with each; with more than this only the first ones are.
const MOST_SELECTORS: usize = 200;

/// Namespaces that two policies may come to mean: two selectors that one namespace can meet, or a selector that asks for a name which
/// another policy lists.
pub(super) fn overlaps(policies: &[ReadPolicy]) -> Vec<Problem> {
    let selectors = policies.iter().filter_map(|read| match &read.policy.namespaces {
        Namespaces::Selector(labels) if !labels.is_empty() => Some((read, labels, read.selector.as_ref()?)),
        Namespaces::Selector(_) | Namespaces::Names(_) => None,
    });
    let selectors: Vec<(&ReadPolicy, &BTreeMap<String, String>, &Place)> = selectors.take(MOST_SELECTORS).collect();
    let mut problems = Vec::new();
    for (number, (policy, labels, place)) in selectors.iter().enumerate() {
        let before = selectors.iter().take(number).find(|(_, others, _)| may_meet(labels, others));
        if let Some((other, _, at)) = before {
            let message = format!("policies `{}` and `{}` may come to select the same namespace", other.policy.name, policy.policy.name);
            let problem = Problem::new(Code::SelectorOverlap, (*place).clone(), message).related((*at).clone(), "the other selector");
            problems.push(problem.help("its clones would be held; ask for different values of one label in both"));
        }
        let Some(name) = labels.get(NAME) else { continue };
        let mut listed = policies.iter().flat_map(|read| read.namespaces.iter().map(move |(listed, at)| (read, listed, at)));
        if let Some((other, _, at)) = listed.find(|(_, listed, _)| *listed == name) {
            let message = format!("policy `{}` selects namespace `{name}`, which policy `{}` names", policy.policy.name, other.policy.name);
            let problem = Problem::new(Code::SelectorOverlap, (*place).clone(), message).related(at.clone(), "named here");
            problems.push(problem.help("its clones would be held; a namespace belongs to at most one policy"));
        }
    }
    problems
}

/// Whether one namespace can have the labels of both.
fn may_meet(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> bool {
    one.iter().all(|(key, value)| other.get(key).is_none_or(|wanted| wanted == value))
}

/// Hosts that no rule names.
pub(super) fn unused(policies: &[ReadPolicy], hosts: &[ReadHost]) -> Vec<Problem> {
    let named: BTreeSet<&str> = policies.iter().flat_map(|read| &read.hosts).map(|(name, _)| name.as_str()).collect();
    let unused = hosts.iter().filter(|read| !named.contains(read.host.name.as_str()));
    unused
        .map(|read| {
            let problem = Problem::new(Code::UnusedHost, read.name.clone(), format!("no rule puts a clone on host `{}`", read.host.name));
            problem.help("name it in the `hosts` of a rule under `databases`, or take it out")
        })
        .collect()
}

/// Budgets that do not bear one clone of a rule for its default life, even with nothing else counted than its database.
pub(super) fn small_budgets(policies: &[ReadPolicy], hosts: &[ReadHost], prices: &PriceBook) -> Vec<Problem> {
    let mut problems = Vec::new();
    for read in policies {
        let (Some(budget), Some(place)) = (&read.policy.budget, &read.monthly) else { continue };
        let hours = Decimal::from(read.policy.ttl.default.as_secs()).checked_div(Decimal::from(3_600)).unwrap_or_default();
        for (rule, at) in read.policy.databases.iter().zip(&read.rules) {
            let Some(costs) = cheapest(&rule.placement, hosts, prices).map(|usd| usd.saturating_mul(hours)) else { continue };
            if costs <= budget.monthly {
                continue;
            }
            let message = format!(
                "a month's budget of {} does not bear one clone: the database that rule `{}` gives costs {} in the default life, {}",
                dollars(budget.monthly),
                rule.name,
                dollars(costs),
                read.policy.ttl.default
            );
            let help = match budget.at_limit {
                AtLimit::Deny => "every such clone is refused; raise the budget, or give something cheaper",
                AtLimit::Share => "every such clone gets a shared database in its place; raise the budget, or take the rule out",
                AtLimit::Warn => "every such clone comes with a warning; raise the budget, or give something cheaper",
            };
            problems.push(Problem::new(Code::SmallBudget, place.clone(), message).related(at.clone(), "this rule").help(help));
        }
    }
    problems
}

/// The least that a clone's database may cost, USD an hour, wherever that is; `None`: nobody knows. A budget counts a serverless one at
/// the top of its range.
fn cheapest(placement: &Placement, hosts: &[ReadHost], prices: &PriceBook) -> Option<Decimal> {
    let regions: BTreeSet<Arc<str>> = prices.figures().map(|(region, ..)| Arc::from(region)).collect();
    let least = |table: Table, name: &str| regions.iter().filter_map(|region| prices.usd(region, table, name)).min();
    match placement {
        Placement::Shared { hosts: names } => {
            let share = |name: &String| {
                let host = &hosts.iter().find(|read| read.host.name == *name)?.host;
                host.cost_per_hour?.checked_div(host.schemas.into())
            };
            names.iter().map(share).collect::<Option<Vec<_>>>()?.into_iter().min()
        }
        Placement::Dedicated { classes } => classes.iter().map(|class| least(Table::RdsMysql, class)).collect::<Option<Vec<_>>>()?.into_iter().min(),
        Placement::Serverless { max_acu, .. } => least(Table::AuroraMysql, "acu")?.checked_mul(*max_acu),
    }
}
