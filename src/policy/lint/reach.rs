//! Placement rules that never decide, and such that decide for what a limit refuses.
//!
//! Contract: no false alarm. A rule is reported only where another provably matches whenever it would; what takes more than the
//! form of the conditions to know goes unsaid.

use super::Lint;
use crate::policy::{
    DatabaseRule, Limits, Placement, Ttl,
    code::Code,
    problem::{Place, Problem},
    select::Condition,
};

/// Each rule is compared with all before it; with more rules than this only the first ones are.
const MOST_RULES: usize = 64;

/// Checks the rules, which stand at these places, each against those before it.
pub(super) fn check(lint: &mut Lint<'_>, rules: &[DatabaseRule], places: &[Place], limits: &Limits, ttl: &Ttl) {
    let bounds = (ttl.minimum.as_secs(), ttl.maximum.as_secs());
    for (number, (rule, place)) in rules.iter().zip(places).take(MOST_RULES).enumerate() {
        let before = rules.get(..number).unwrap_or_default();
        if rule.when.as_ref().is_some_and(Condition::is_never) {
            let problem = Problem::new(Code::UnreachableRule, place.clone(), format!("the condition of rule `{}` never holds", rule.name));
            lint.report(problem.help("write when it is to match, or take the rule out"));
        } else if rule.when.as_ref().is_some_and(|when| when.asks_for_no_life(bounds)) {
            let message = format!("rule `{}` asks for a life that no clone has: `ttl` allows {} to {}", rule.name, ttl.minimum, ttl.maximum);
            let problem = Problem::new(Code::UnreachableRule, place.clone(), message);
            lint.report(problem.help("by the time a rule is asked, `clone.spec.ttlSeconds` is between the two; compare it with something in there"));
        } else if let Some((first, at)) =
            before.iter().zip(places).find(|(first, _)| covers(first, rule)).filter(|_| !may_be_resorted_to(rule, before))
        {
            let message = format!("rule `{}` never decides: whatever it matches, rule `{}` before it matches too", rule.name, first.name);
            let problem = Problem::new(Code::UnreachableRule, place.clone(), message).related(at.clone(), "this one decides");
            lint.report(problem.help("the first rule that matches decides; put the narrower one first"));
        }
        if limits.dedicated_databases == Some(0) && !matches!(rule.placement, Placement::Shared { .. }) {
            let message = format!("rule `{}` gives a database of its own, and `limits.dedicatedDatabases` is 0", rule.name);
            let problem = Problem::new(Code::ForbiddenRule, place.clone(), message);
            lint.report(problem.help("every clone that it matches is refused; raise the limit, or take the rule out"));
        }
    }
}

/// Whether `first` matches whatever `rule` does.
fn covers(first: &DatabaseRule, rule: &DatabaseRule) -> bool {
    match (&first.when, &rule.when) {
        (None, _) => true,
        (Some(first), None) => first.is_always(),
        (Some(first), Some(rule)) => rule.implies(first),
    }
}

/// Whether the rule is taken where the condition of one before it cannot be evaluated: the first shared one from there on is.
fn may_be_resorted_to(rule: &DatabaseRule, before: &[DatabaseRule]) -> bool {
    let is_shared = |rule: &DatabaseRule| matches!(rule.placement, Placement::Shared { .. });
    is_shared(rule) && before.iter().rev().take_while(|rule| !is_shared(rule)).any(|rule| rule.when.is_some())
}
