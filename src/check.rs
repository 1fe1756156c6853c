//! `policy test`: what the policies make of the worlds in their fixtures, against what those expect.
//!
//! ```text
//! *_test.yaml ──► PolicyTest ──► world (Snapshot, Residents) ──► plan / mutate ──► is it as expected? ──► Problems
//!                                                                      └──► Coverage
//! ```
//!
//! Contract: pure but for the reading of files. What judges here is what judges in the daemon, function by function; nothing in here
//! knows a rule. A delete that no expectation names fails a test, whatever else it says.

pub mod coverage;
#[cfg(test)]
mod tests;
mod world;

use crate::{
    model::{Database, clone, duration::human},
    plan::{
        Action, Decision,
        admit::{self, Claim, Residents, Town, Verdict},
        plan,
    },
    policy::{
        ClonePolicy, Code, Governing, Mode, Policies,
        fixture::{Creation, Expectation, PolicyTest, Wanted},
        problem::{Place, Problem},
    },
};
use coverage::Coverage;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// What came of one test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many expectations there were.
    pub expectations: usize,
    /// Those that were not met, and what is wrong with the world.
    pub problems: Vec<Problem>,
}

/// What is so, by the field of a fixture that says it.
type Facts = BTreeMap<&'static str, String>;

/// Runs one test.
pub fn run(test: &PolicyTest, policies: &Policies, coverage: &mut Coverage) -> Outcome {
    let policies = under(policies, test.mode);
    let mut outcome = Outcome { expectations: test.expectations.len(), problems: Vec::new() };
    let snapshot = match world::snapshot(test, &policies) {
        Ok(snapshot) => snapshot,
        Err(problems) => return Outcome { problems, ..outcome },
    };
    let plan = plan(&snapshot, &policies, test.now);
    for expectation in &test.expectations {
        outcome.problems.extend(decided(expectation, &plan.decisions, test.now));
    }
    outcome.problems.extend(unannounced_deletes(test, &plan.decisions));
    let residents = world::residents(&snapshot, &policies, test.now);
    let mut claims = BTreeMap::new();
    for creation in &test.creations {
        outcome.expectations = outcome.expectations.saturating_add(usize::try_from(creation.count).unwrap_or(usize::MAX));
        let unmet = (1..=creation.count).find_map(|number| created(creation, number, &policies, &residents, &mut claims, coverage));
        outcome.problems.extend(unmet);
    }
    outcome
}

/// The same policies, as if all of them said this mode: a test is to hold before the flip and after it.
fn under(policies: &Policies, mode: Mode) -> Policies {
    let each = policies.policies.iter().map(|policy| Arc::new(ClonePolicy { mode, ..policy.as_ref().clone() }));
    Policies { policies: each.collect(), ..policies.clone() }
}

/// What is not as expected of what is decided about one thing.
fn decided(expectation: &Expectation, decisions: &[Decision], now: Timestamp) -> Option<Problem> {
    let about = |decision: &&Decision| decision.target.kind() == expectation.kind && decision.target.display() == expectation.name;
    let about: Vec<&Decision> = decisions.iter().filter(about).collect();
    let what = format!("{} `{}`", expectation.kind, expectation.name);
    let no = |wanted: &&Wanted| wanted.field == "action" && wanted.value == "none";
    if let Some(none) = expectation.wanted.iter().find(no) {
        let decision = about.first()?;
        let message = format!("about {what} `{}` is decided, not nothing", decision.action.word());
        return Some(unmet(none.place.clone(), message).help(told(decision, now)));
    }
    // Several things may be decided about one; the one that comes nearest is shown.
    let best = about.iter().map(|decision| (*decision, facts(decision, now)));
    let best = best.min_by_key(|(_, facts)| expectation.wanted.iter().filter(|wanted| !meets(wanted, facts)).count());
    match best {
        Some((decision, facts)) => difference(&what, &expectation.wanted, &facts).map(|problem| problem.help(told(decision, now))),
        None => {
            let problem = unmet(expectation.place.clone(), format!("nothing is decided about {what}"));
            Some(
                problem
                    .help("is it in the world, in a namespace that a policy governs, and called as a plan calls it? `action: none` expects nothing"),
            )
        }
    }
}

/// What is decided, and why, in one sentence.
fn told(decision: &Decision, now: Timestamp) -> String {
    format!("{}, {}: {}", decision.action.word(), decision.reason.code(), decision.reason.message(now))
}

fn facts(decision: &Decision, now: Timestamp) -> Facts {
    let mut facts = Facts::from([
        ("action", decision.action.word().to_owned()),
        ("reason", decision.reason.code().to_owned()),
        ("says", decision.reason.message(now)),
    ]);
    facts.extend(decision.reason.end().map(|end| ("end", end.to_string())));
    facts.extend(decision.reason.life().map(|life| ("cause", life.cause.word().to_owned())));
    facts.extend(decision.blocked_by.map(|by| ("blockedBy", by.word().to_owned())));
    facts
}

/// Deletes that no expectation is about.
fn unannounced_deletes<'a>(test: &'a PolicyTest, decisions: &'a [Decision]) -> impl Iterator<Item = Problem> + 'a {
    // An alert stands beside the verdict on a clone; who expects one has said nothing of that.
    let says = |wanted: &Wanted, decision: &Decision| match wanted.field {
        "action" => wanted.value != Action::Alert.word(),
        "reason" => wanted.value == decision.reason.code(),
        _ => false,
    };
    let expected = move |decision: &Decision| {
        let mut about = test.expectations.iter().filter(|known| known.kind == decision.target.kind() && known.name == decision.target.display());
        about.any(|known| known.wanted.iter().any(|wanted| says(wanted, decision)))
    };
    let deletes = decisions.iter().filter(|decision| decision.action == Action::Delete);
    deletes.filter(move |decision| !expected(decision)).map(|decision| {
        let what = format!("{} `{}`", decision.target.kind(), decision.target.display());
        let problem = unmet(test.place.clone(), format!("{what} is deleted, and no expectation says so"));
        problem.help(format!("if that is meant, expect it; {}", told(decision, test.now)))
    })
}

/// What is not as expected of the answer to one who makes a clone.
fn created(
    creation: &Creation,
    number: u32,
    policies: &Policies,
    residents: &Residents,
    claims: &mut BTreeMap<Box<str>, Claim>,
    coverage: &mut Coverage,
) -> Option<Problem> {
    let name = if creation.count == 1 { creation.name.clone() } else { format!("{}-{number}", creation.name) };
    let request = world::request(creation, &name);
    let reservation = format!("{}/{name}", creation.namespace);
    let verdict = admit::mutate(&request, Town { policies, residents, claims }, &reservation);
    if let Governing::Policy(policy) = policies.governing(&creation.namespace, residents.namespaces.get(&creation.namespace)) {
        coverage.saw(policy, &verdict);
    }
    let answer = answer(&request.object, &verdict, policies);
    claims.extend(verdict.claim.map(|claim| (reservation.clone().into(), claim)));
    let problem = difference(&format!("clone `{reservation}`"), &creation.wanted, &answer)?;
    Some(problem.help(answer.get("says").map_or("it is let in without a word", String::as_str)))
}

fn answer(object: &Value, verdict: &Verdict, policies: &Policies) -> Facts {
    let refusal = verdict.refusal.as_ref();
    let said: Vec<String> = refusal.map(ToString::to_string).into_iter().chain(verdict.warnings.iter().cloned()).collect();
    let mut facts = Facts::from([("admitted", refusal.is_none().to_string())]);
    if !said.is_empty() {
        facts.insert("says", said.join("; "));
    }
    facts.extend(refusal.map(|refusal| ("refusal", refusal.code().to_owned())));
    facts.extend(verdict.rule.as_ref().map(|rule| ("rule", rule.to_string())));
    if refusal.is_some() || verdict.audit {
        return facts;
    }
    let stored = world::patched(object, &verdict.patch);
    if let Some(seconds) = clone::read_ttl(stored.get("spec")).value() {
        facts.insert("ttl", human(SignedDuration::from_secs(*seconds)));
    }
    let (database, class, address) = match Database::read(&stored) {
        Database::Shared(address) => ("shared", None, address),
        Database::Dedicated(class) => ("dedicated", Some(class.to_string()), None),
        Database::Serverless(..) => ("serverless", None, None),
    };
    let host = address.and_then(|address| policies.hosts.iter().find(|host| **host.address() == *address));
    facts.insert("database", database.to_owned());
    facts.extend(class.map(|class| ("class", class)));
    facts.extend(host.map(|host| ("host", host.name.clone())));
    facts
}

fn meets(wanted: &Wanted, facts: &Facts) -> bool {
    let is = facts.get(wanted.field);
    if wanted.field == "says" { is.is_some_and(|said| said.contains(&wanted.value)) } else { is == Some(&wanted.value) }
}

/// The fields that are not as wanted, each in its place.
fn difference(what: &str, wanted: &[Wanted], facts: &Facts) -> Option<Problem> {
    let mut wrong = wanted.iter().filter(|wanted| !meets(wanted, facts));
    let first = wrong.next()?;
    let is = |field: &str| facts.get(field).map_or_else(|| "there is none".to_owned(), |is| format!("it is `{is}`"));
    let message = match (first.field, facts.get(first.field)) {
        ("says", Some(said)) => format!("what is said of {what} does not hold `{}`: {said}", first.value),
        ("says", None) => format!("nothing is said of {what}"),
        (field, Some(is)) => format!("`{field}` of {what} is `{is}`, not `{}`", first.value),
        (field, None) => format!("{what} has no `{field}`, and `{}` is expected", first.value),
    };
    Some(wrong.fold(unmet(first.place.clone(), message), |problem, wanted| problem.related(wanted.place.clone(), &is(wanted.field))))
}

fn unmet(place: Place, message: String) -> Problem {
    Problem::new(Code::UnmetExpectation, place, message)
}
