//! `ClonePolicy`: whose clones, how long, how many, for how much.

use super::{Lint, idle, limit_range, reach, rules};
use crate::{
    model::{Quantity, Span},
    policy::{
        BrakeRules, Budget, ClonePolicy, Hard, Limits, Mode, Namespaces, OrphanRules, Ttl,
        code::Code,
        format::{self, Block},
        forms,
        problem::{Place, Problem},
        scalar::{At, Entries},
    },
};
use serde_saphyr::Location;
use std::{collections::BTreeMap, sync::Arc};

/// A policy with the places that matter beyond its own document.
pub(in crate::policy) struct ReadPolicy {
    pub(in crate::policy) policy: ClonePolicy,
    pub(in crate::policy) name: Place,
    pub(in crate::policy) namespaces: Vec<(String, Place)>,
    pub(in crate::policy) hosts: Vec<(String, Place)>,
    /// Where its selector stands, if it has one.
    pub(in crate::policy) selector: Option<Place>,
    /// Where `budget.monthly` stands, if it is said.
    pub(in crate::policy) monthly: Option<Place>,
    /// Where the names of its rules stand, in their order.
    pub(in crate::policy) rules: Vec<Place>,
}

/// Reads a policy; `None` if it has no name or no spec.
pub(in crate::policy) fn policy(lint: &mut Lint<'_>, document: format::Document<format::PolicySpec>) -> Option<ReadPolicy> {
    let (name, spec) = lint.head(document);
    let (spec, spec_place) = spec?;
    let mode = lint.take("mode", spec.mode).map_or(Mode::Audit, |mode| mode.value);
    let selector = spec.namespaces.as_ref().and_then(|block| Some(lint.block(block.value.selector.as_ref()?)));
    let (namespaces, named) = namespaces(lint, spec.namespaces, &spec_place);
    let ttl = ttl(lint, spec.ttl);
    let idle = idle::idle(lint, spec.idle, &ttl);
    let mut lines = BTreeMap::new();
    let limits = limits(lint, spec.limits, &mut lines);
    lines.extend(spec.quota.as_ref().map(|entries| ("quota", lint.place(entries.0.at).line)));
    lines.extend(spec.databases.as_ref().map(|rules| ("databases", lint.block(rules).line)));
    lines.extend(spec.budget.as_ref().map(|budget| ("budget", lint.block(budget).line)));
    let quota = quota(lint, spec.quota);
    let limit_range = limit_range::limit_range(lint, spec.limit_range);
    let before = lint.count();
    let rules::Rules { rules: databases, places: rules, hosts } = rules::rules(lint, spec.databases);
    // Which rule is reached is known only once nothing is wrong with any of them.
    if lint.count() == before {
        reach::check(lint, &databases, &rules, &limits, &ttl);
    }
    let monthly = spec.budget.as_ref().and_then(|block| block.value.monthly.0.as_ref()).map(|monthly| lint.place(monthly.at));
    let budget = budget(lint, spec.budget);
    let orphans = orphans(lint, spec.orphans);
    let brake = brake(lint, spec.brake);
    let (name, place) = name?;
    let (file, line) = (place.file.to_string(), place.line);
    let name = Arc::from(name);
    let policy = ClonePolicy { name, file, line, lines, mode, namespaces, ttl, idle, limits, quota, limit_range, databases, budget, orphans, brake };
    Some(ReadPolicy { policy, name: place, namespaces: named, hosts, selector, monthly, rules })
}

fn namespaces(lint: &mut Lint<'_>, block: Block<format::Namespaces>, parent: &Place) -> (Namespaces, Vec<(String, Place)>) {
    let nobody = || (Namespaces::Names(Vec::new()), Vec::new());
    let Some(block) = block else {
        lint.missing("namespaces", parent);
        return nobody();
    };
    let here = lint.block(&block);
    let named = block.value.names.0.is_some();
    let names = lint.take_list("namespaces.names", block.value.names, Some("namespace"));
    let selector = block.value.selector;
    if named && selector.is_some() {
        let problem = Problem::new(Code::Contradiction, here, "`names` and `selector` exclude each other");
        lint.report(problem.help("keep the one that says which namespaces are meant"));
        return nobody();
    }
    if let Some(selector) = selector {
        let here = lint.block(&selector);
        let Some(labels) = selector.value.match_labels else {
            lint.missing("namespaces.selector.matchLabels", &here);
            return nobody();
        };
        return (Namespaces::Selector(match_labels(lint, labels)), Vec::new());
    }
    if !named {
        let problem = Problem::new(Code::MissingField, here, "`namespaces` says neither `names` nor `selector`");
        lint.report(problem.help("write `names: [wordpress-staging]` or `selector: {matchLabels: {team: web}}`"));
        return nobody();
    }
    let Some(names) = names else { return nobody() };
    let names: Vec<At<String>> = names.into_iter().map(|name| lint.label("the name of a namespace", name)).collect();
    lint.unique("namespace", &names);
    let places = names.iter().map(|name| (name.value.clone(), lint.place(name.at))).collect();
    (Namespaces::Names(names.into_iter().map(|name| name.value).collect()), places)
}

fn match_labels(lint: &mut Lint<'_>, Entries(entries): Entries<String>) -> BTreeMap<String, String> {
    if entries.value.is_empty() {
        let problem = lint.problem(Code::MissingField, entries.at, "`matchLabels` is empty");
        lint.report(problem.help("an empty selector would match every namespace; name the labels that mark yours"));
    }
    let mut labels = BTreeMap::new();
    for (key, value) in entries.value {
        let key = lint.take("matchLabels", key);
        let value = lint.take("matchLabels", value);
        let (Some(key), Some(value)) = (key, value) else { continue };
        if !forms::is_qualified(&key.value) {
            lint.report(lint.problem(Code::BadName, key.at, format!("`{}` is not the key of a label", key.value)));
        }
        if !forms::is_label_value(&value.value) {
            lint.report(lint.problem(Code::BadValue, value.at, format!("`{}` cannot be the value of a label", value.value)));
        }
        labels.insert(key.value, value.value);
    }
    labels
}

/// A span with its place, or the value that holds where none is said.
fn or(said: Option<&At<Span>>, otherwise: Span) -> (Span, Option<Location>) {
    said.map_or((otherwise, None), |said| (said.value, Some(said.at)))
}

fn ttl(lint: &mut Lint<'_>, block: Block<format::Ttl>) -> Ttl {
    let usual = Ttl::default();
    let Some(block) = block else { return usual };
    let written = block.value;
    let before = lint.count();
    let maximum = lint.take("ttl.maximum", written.maximum);
    let default = lint.take("ttl.default", written.default);
    let minimum = lint.take("ttl.minimum", written.minimum);
    // With one of the three unreadable, an order would be judged by values that nobody wrote.
    let comparable = lint.count() == before;
    let (maximum, maximum_at) = or(maximum.as_ref(), usual.maximum);
    let (default, default_at) = or(default.as_ref(), usual.default.min(maximum));
    let (minimum, minimum_at) = or(minimum.as_ref(), usual.minimum.min(maximum));
    if comparable {
        order(lint, ("minimum", minimum, minimum_at), ("maximum", maximum, maximum_at));
        order(lint, ("default", default, default_at), ("maximum", maximum, maximum_at));
        // Where the minimum is above the maximum, that has been said and the default cannot be right.
        if minimum <= maximum {
            order(lint, ("minimum", minimum, minimum_at), ("default", default, default_at));
        }
    }
    let said = written.warnings.0.is_some();
    let mut warnings = Vec::new();
    for warning in lint.take_list("ttl.warnings", written.warnings, None).into_iter().flatten() {
        if comparable && warning.value > maximum {
            let message = format!("the warning `{}` before the end is longer than `maximum`, `{maximum}`", warning.value);
            let problem = lint.problem(Code::TtlOrder, warning.at, message);
            lint.report(problem.help("no clone lives that long; take the warning out or raise `maximum`"));
        } else if comparable && warning.value >= default {
            let message =
                format!("the warning `{}` before the end is given as soon as a clone with the default life, `{default}`, is made", warning.value);
            let problem = lint.problem(Code::WarningAtBirth, warning.at, message);
            lint.report(problem.help("a warning that everybody gets at once says nothing; make it shorter than `default`"));
        }
        warnings.push(warning.value);
    }
    if !said {
        warnings = usual.warnings.into_iter().filter(|warning| *warning < maximum).collect();
    }
    warnings.sort_unstable_by(|a, b| b.cmp(a));
    warnings.dedup();
    let grace = lint.take("ttl.grace", written.grace);
    if let Some(long) = grace.as_ref().filter(|grace| comparable && grace.value > maximum) {
        let message = format!("`grace`, `{}`, is longer than `maximum`, `{maximum}`", long.value);
        let problem = lint.problem(Code::GraceTooLong, long.at, message);
        let problem = problem.help("an end that comes due unannounced is put off by all of it, so `maximum` cannot be kept; make it shorter");
        let problem = maximum_at.into_iter().fold(problem, |problem, at| problem.related(lint.place(at), "maximum"));
        lint.report(problem);
    }
    let grace = grace.map_or(usual.grace, |grace| grace.value);
    Ttl { default, minimum, maximum, warnings, grace }
}

type Bound<'a> = (&'a str, Span, Option<Location>);

/// Reports where `low` is above `high`, at the one that is written; at least one is, since the defaults fit each other.
fn order(lint: &mut Lint<'_>, low: Bound<'_>, high: Bound<'_>) {
    let ((low, low_span, low_at), (high, high_span, high_at)) = (low, high);
    if low_span <= high_span {
        return;
    }
    let unsaid = |at: Option<Location>| if at.is_none() { " that holds where none is said" } else { "" };
    let message = format!("`{low}`, `{low_span}`{}, is longer than `{high}`, `{high_span}`{}", unsaid(low_at), unsaid(high_at));
    let at = low_at.or(high_at).unwrap_or(Location::UNKNOWN);
    let mut problem = lint.problem(Code::TtlOrder, at, message).help(match (low_at, high_at) {
        (Some(_), Some(_)) => "it must be `minimum` ≤ `default` ≤ `maximum`".to_owned(),
        (_, None) => format!("say `{high}` too: it must be `minimum` ≤ `default` ≤ `maximum`"),
        (None, _) => format!("say `{low}` too: it must be `minimum` ≤ `default` ≤ `maximum`"),
    });
    if let (Some(_), Some(high_at)) = (low_at, high_at) {
        let place = lint.place(high_at);
        problem = problem.related(place, high);
    }
    lint.report(problem);
}

fn limits(lint: &mut Lint<'_>, block: Block<format::Limits>, lines: &mut BTreeMap<&'static str, u64>) -> Limits {
    let Some(block) = block else { return Limits::default() };
    let clones = lint.take("limits.clones", block.value.clones);
    let dedicated = lint.take("limits.dedicatedDatabases", block.value.dedicated_databases);
    let per_owner = lint.take("limits.clonesPerOwner", block.value.clones_per_owner);
    let overflow = lint.take("limits.overflow", block.value.overflow);
    if let (Some(clones), Some(dedicated)) = (&clones, &dedicated)
        && dedicated.value > clones.value
    {
        let message = format!("`dedicatedDatabases`, {}, is more than `clones`, {}", dedicated.value, clones.value);
        let problem = lint.problem(Code::Contradiction, dedicated.at, message).related(lint.place(clones.at), "clones");
        lint.report(problem.help("a clone has one database at most; lower it to the number of clones or leave it out"));
    }
    for (field, said) in [("limits.clones", &clones), ("limits.dedicatedDatabases", &dedicated), ("limits.clonesPerOwner", &per_owner)] {
        lines.extend(said.as_ref().map(|said| (field, lint.place(said.at).line)));
    }
    Limits {
        clones: clones.map(|number| number.value),
        dedicated_databases: dedicated.map(|number| number.value),
        clones_per_owner: per_owner.map(|number| number.value),
        overflow: overflow.map(|choice| choice.value).unwrap_or_default(),
    }
}

fn quota(lint: &mut Lint<'_>, entries: Option<Entries<format::Quantity>>) -> BTreeMap<String, Hard> {
    let mut quota = BTreeMap::new();
    for (resource, quantity) in entries.into_iter().flat_map(|Entries(entries)| entries.value) {
        let Some(resource) = lint.take("quota", resource) else { continue };
        if resource.value.starts_with("count/") {
            let message = format!("`{}` counts objects, which a quota gets wrong when any CRD is broken", resource.value);
            let problem = lint.problem(Code::BadName, resource.at, message);
            lint.report(problem.help("use `limits` for clones, and resources such as `requests.cpu` or `pods` here"));
        } else if !forms::is_resource(&resource.value) {
            let message = format!("`{}` is not the name of a resource", resource.value);
            lint.report(lint.problem(Code::BadName, resource.at, message).help("use names such as `requests.cpu`, `limits.memory` or `pods`"));
        }
        let Some(quantity) = limit_range::quantity(lint, &format!("quota.{}", resource.value), quantity) else { continue };
        // What is none has been reported.
        if let Some(amount) = Quantity::parse(&quantity.value) {
            quota.insert(resource.value, Hard { text: quantity.value, amount });
        }
    }
    quota
}

fn budget(lint: &mut Lint<'_>, block: Block<format::Budget>) -> Option<Budget> {
    let block = block?;
    let here = lint.block(&block);
    let monthly = lint.need("budget.monthly", block.value.monthly, &here);
    if let Some(monthly) = &monthly {
        lint.plain(monthly);
    }
    if let Some(monthly) = monthly.as_ref().filter(|monthly| monthly.value <= rust_decimal::Decimal::ZERO) {
        let message = format!("`budget.monthly` must be more than zero, not {}", monthly.value);
        let problem = lint.problem(Code::BadValue, monthly.at, message);
        lint.report(problem.help("to allow no clone at all write `limits: {clones: 0}`; to have no budget take `budget` out"));
    }
    let warn_at = lint.take("budget.warnAt", block.value.warn_at).map_or(80, |number| lint.within("budget.warnAt", number, 1..=100));
    let at_limit = lint.take("budget.atLimit", block.value.at_limit).map(|choice| choice.value).unwrap_or_default();
    Some(Budget { monthly: monthly?.value, warn_at, at_limit })
}

fn orphans(lint: &mut Lint<'_>, block: Block<format::Orphans>) -> OrphanRules {
    let usual = OrphanRules::default();
    let Some(block) = block else { return usual };
    let observations = lint.take("orphans.observations", block.value.observations);
    OrphanRules {
        soak: lint.take("orphans.soak", block.value.soak).map_or(usual.soak, |span| span.value),
        observations: observations.map_or(usual.observations, |number| lint.within("orphans.observations", number, 1..=u32::MAX)),
        final_snapshot: lint.take("orphans.finalSnapshot", block.value.final_snapshot).map_or(usual.final_snapshot, |said| said.value),
        snapshots_kept_for: lint.take("orphans.snapshotsKeptFor", block.value.snapshots_kept_for).map_or(usual.snapshots_kept_for, |span| span.value),
    }
}

fn brake(lint: &mut Lint<'_>, block: Block<format::Brake>) -> BrakeRules {
    let usual = BrakeRules::default();
    let Some(block) = block else { return usual };
    let percent = lint.take("brake.percent", block.value.percent);
    BrakeRules {
        deletes: lint.take("brake.deletes", block.value.deletes).map_or(usual.deletes, |number| number.value),
        percent: percent.map_or(usual.percent, |number| lint.within("brake.percent", number, 1..=100)),
        per: lint.take("brake.per", block.value.per).map_or(usual.per, |span| span.value),
    }
}
