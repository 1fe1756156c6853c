//! `spec.databases`: which database a clone gets.

use super::Lint;
use crate::policy::{
    Condition, DatabaseRule, Placement,
    code::Code,
    format::{self, Block, Use},
    forms,
    problem::{Place, Problem},
    scalar::{At, List},
    select::Broken,
};
use rust_decimal::Decimal;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// The most capacity that an Aurora Serverless v2 cluster can have.
const MOST_ACU: Decimal = Decimal::from_parts(256, 0, 0, false, 0);
/// Capacity comes in steps of this, 0.5.
const STEP_ACU: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// The rules of a policy.
pub(super) struct Rules {
    pub(super) rules: Vec<DatabaseRule>,
    /// Where the name of each stands.
    pub(super) places: Vec<Place>,
    /// Which hosts they name where.
    pub(super) hosts: Vec<(String, Place)>,
}

/// Reads the rules.
pub(super) fn rules(lint: &mut Lint<'_>, block: Block<Vec<Spanned<format::Rule>>>) -> Rules {
    let (mut rules, mut places, mut names, mut hosts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut compiled = BTreeMap::new();
    for rule in block.into_iter().flat_map(|block| block.value) {
        let here = lint.block(&rule);
        let name = lint.need("databases.name", rule.value.name.clone(), &here);
        let name = name.map(|name| lint.label("the name of a rule", name));
        names.extend(name.clone());
        let when = lint.take("databases.when", rule.value.when.clone());
        let when = when.and_then(|when| condition(lint, &when, &mut compiled, &mut hosts));
        let placement = placement(lint, rule.value, &here, &mut hosts);
        if let (Some(name), Some(placement)) = (name, placement) {
            places.push(lint.place(name.at));
            rules.push(DatabaseRule { name: name.value, when, placement });
        }
    }
    lint.unique("rule", &names);
    Rules { rules, places, hosts }
}

/// Compiles a `when`, each text once: an alias may repeat a long one a thousand times.
fn condition(
    lint: &mut Lint<'_>,
    when: &At<String>,
    compiled: &mut BTreeMap<String, Result<Condition, Broken>>,
    hosts: &mut Vec<(String, Place)>,
) -> Option<Condition> {
    if when.value.trim().is_empty() {
        let problem = lint.problem(Code::BadValue, when.at, "`when` is empty");
        lint.report(problem.help("take the line out: a rule without `when` always matches"));
        return None;
    }
    match compiled.entry(when.value.clone()).or_insert_with(|| Condition::compile(&when.value)) {
        Ok(condition) => {
            hosts.extend(condition.hosts().map(|(name, part)| (name.to_owned(), lint.place_in(when, part))));
            Some(condition.clone())
        }
        Err(broken) => {
            let place = lint.place_in(when, broken.at.clone());
            lint.report(Problem::new(Code::BadCondition, place, &broken.message).maybe_help(broken.help.as_ref()));
            None
        }
    }
}

fn placement(lint: &mut Lint<'_>, rule: format::Rule, here: &Place, hosts: &mut Vec<(String, Place)>) -> Option<Placement> {
    let outcome = lint.need("databases.use", rule.outcome, here)?;
    let at = lint.place(outcome.at);
    let contradiction = |message: &str| Problem::new(Code::Contradiction, at.clone(), message);
    let (said_hosts, said_classes) = (rule.hosts.0.is_some(), rule.classes.0.is_some());
    match outcome.value {
        Use::Shared => {
            if said_classes || rule.serverless.is_some() {
                let field = if said_classes { "classes" } else { "serverless" };
                lint.report(contradiction(&format!("`use: shared` does not go with `{field}`")).help("write `use: dedicated`, or name `hosts`"));
            } else if !said_hosts {
                lint.report(contradiction("`use: shared` needs `hosts`").help("name the `DatabaseHost`s: `hosts: [staging-mysql]`"));
            }
            shared(lint, rule.hosts, hosts)
        }
        Use::Dedicated => {
            if said_hosts {
                lint.report(contradiction("`use: dedicated` does not go with `hosts`").help("write `use: shared`, or name `classes`"));
            }
            match (said_classes, rule.serverless) {
                (true, None) => dedicated(lint, rule.classes),
                (false, Some(block)) => serverless(lint, block),
                (true, Some(_)) => {
                    let problem = contradiction("`classes` and `serverless` exclude each other");
                    lint.report(problem.help("split the rule in two if both are wanted"));
                    None
                }
                (false, None) if said_hosts => None,
                (false, None) => {
                    let problem = contradiction("`use: dedicated` needs `classes` or `serverless`");
                    lint.report(problem.help("write `classes: [db.t3.micro]` or `serverless: {minACU: 0.5, maxACU: 4}`"));
                    None
                }
            }
        }
    }
}

fn shared(lint: &mut Lint<'_>, list: List<String>, hosts: &mut Vec<(String, Place)>) -> Option<Placement> {
    let list = lint.take_list("databases.hosts", list, Some("`DatabaseHost`"))?;
    lint.unique("host", &list);
    hosts.extend(list.iter().map(|host| (host.value.clone(), lint.place(host.at))));
    Some(Placement::Shared { hosts: list.into_iter().map(|host| host.value).collect() })
}

fn dedicated(lint: &mut Lint<'_>, list: List<String>) -> Option<Placement> {
    let list = lint.take_list("databases.classes", list, Some("instance class such as `db.t3.micro`"))?;
    lint.unique("class", &list);
    for class in list.iter().filter(|class| !forms::is_instance_class(&class.value)) {
        let help = if class.value == "db.serverless" {
            "write `serverless: {minACU: 0.5, maxACU: 4}` in place of `classes`"
        } else {
            "write it as `db.t3.micro`"
        };
        let problem = lint.problem(Code::BadValue, class.at, format!("`{}` is not an instance class", class.value));
        lint.report(problem.help(help));
    }
    Some(Placement::Dedicated { classes: list.into_iter().map(|class| class.value).collect() })
}

fn serverless(lint: &mut Lint<'_>, block: Spanned<format::Serverless>) -> Option<Placement> {
    let here = lint.block(&block);
    let before = lint.count();
    let minimum = lint.need("serverless.minACU", block.value.min_acu, &here);
    let maximum = lint.need("serverless.maxACU", block.value.max_acu, &here);
    let minimum = minimum.map(|number| capacity(lint, "minACU", number, Decimal::ZERO));
    let maximum = maximum.map(|number| capacity(lint, "maxACU", number, Decimal::ONE));
    let (minimum, maximum) = (minimum?, maximum?);
    if lint.count() == before && minimum.value > maximum.value {
        let message = format!("`minACU`, {}, is more than `maxACU`, {}", minimum.value, maximum.value);
        let problem = lint.problem(Code::BadValue, minimum.at, message).related(lint.place(maximum.at), "maxACU");
        lint.report(problem);
    }
    Some(Placement::Serverless { min_acu: minimum.value, max_acu: maximum.value })
}

/// Reports a capacity that AWS would refuse.
fn capacity(lint: &mut Lint<'_>, field: &str, number: At<Decimal>, least: Decimal) -> At<Decimal> {
    let steps = number.value.checked_rem(STEP_ACU) == Some(Decimal::ZERO);
    if number.value < least || number.value > MOST_ACU || !steps {
        let message = format!("`{field}` must be between {least} and {MOST_ACU} in steps of {STEP_ACU}, not {}", number.value);
        lint.report(lint.problem(Code::BadValue, number.at, message));
    }
    number
}
