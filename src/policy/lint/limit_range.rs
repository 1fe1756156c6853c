//! `limitRange`: what a container gets that says nothing else, and what it may say.

use super::Lint;
use crate::{
    model::Quantity,
    policy::{
        LimitRange,
        code::Code,
        format::{self, Block},
        forms,
        scalar::{At, Entries, Leaf},
    },
};
use serde_saphyr::Location;
use std::collections::BTreeMap;

/// What a LimitRange knows of containers.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// One part: for each resource the quantity and where it stands.
type Part = BTreeMap<String, (String, Location)>;

/// Reads the part; `None` if the policy does not say it.
pub(super) fn limit_range(lint: &mut Lint<'_>, block: Block<format::LimitRange>) -> Option<LimitRange> {
    let block = block?;
    let format::LimitRange { default, default_request, max, min } = block.value;
    if [&default, &default_request, &max, &min].into_iter().all(Option::is_none) {
        let problem = lint.problem(Code::MissingField, block.referenced, "`limitRange` says nothing");
        lint.report(problem.help("write at least one of `default`, `defaultRequest`, `max` and `min`"));
    }
    let parts = [
        ("min", part(lint, "min", min)),
        ("defaultRequest", part(lint, "defaultRequest", default_request)),
        ("default", part(lint, "default", default)),
        ("max", part(lint, "max", max)),
    ];
    for resource in RESOURCES {
        let said = parts.iter().filter_map(|(name, part)| Some((*name, part.get(resource)?)));
        let said: Vec<(&str, &(String, Location))> = said.collect();
        for (low, high) in said.iter().zip(said.iter().skip(1)) {
            order(lint, resource, *low, *high);
        }
    }
    let [min, default_request, default, max] = parts.map(|(_, part)| part.into_iter().map(|(key, (quantity, _))| (key, quantity)).collect());
    Some(LimitRange { default, default_request, max, min })
}

fn part(lint: &mut Lint<'_>, name: &str, entries: Option<Entries<format::Quantity>>) -> Part {
    let mut part = Part::new();
    let Some(Entries(entries)) = entries else { return part };
    if entries.value.is_empty() {
        let problem = lint.problem(Code::MissingField, entries.at, format!("`limitRange.{name}` is empty"));
        lint.report(problem.help("write a resource such as `cpu: 500m`, or take the line out"));
    }
    for (resource, leaf) in entries.value {
        let Some(resource) = lint.take(&format!("limitRange.{name}"), resource) else { continue };
        if !RESOURCES.contains(&resource.value.as_str()) {
            let message = format!("`{}` is not a resource that containers are limited by", resource.value);
            let help = match forms::nearest(&resource.value, RESOURCES) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "use `cpu`, `memory` or `ephemeral-storage`".to_owned(),
            };
            lint.report(lint.problem(Code::BadName, resource.at, message).help(help));
        }
        let Some(quantity) = quantity(lint, &format!("limitRange.{name}.{}", resource.value), leaf) else { continue };
        part.insert(resource.value, (quantity.value, quantity.at));
    }
    part
}

/// Reports where `low` is more than `high`. What is no quantity has been reported.
fn order(lint: &mut Lint<'_>, resource: &str, low: (&str, &(String, Location)), high: (&str, &(String, Location))) {
    let ((low, (less, low_at)), (high, (more, high_at))) = (low, high);
    let (Some(low_value), Some(high_value)) = (Quantity::parse(less), Quantity::parse(more)) else { return };
    if low_value > high_value {
        let message = format!("`{low}` of {resource}, `{less}`, is more than `{high}`, `{more}`");
        let problem = lint.problem(Code::Contradiction, *low_at, message).related(lint.place(*high_at), high);
        lint.report(problem.help("it must be `min` ≤ `defaultRequest` ≤ `default` ≤ `max`"));
    }
}

/// A quantity; also with problems it is given back.
pub(super) fn quantity(lint: &mut Lint<'_>, path: &str, leaf: Leaf<format::Quantity>) -> Option<At<String>> {
    let At { value: format::Quantity(value), at } = lint.take(path, leaf)?;
    if Quantity::parse(&value).is_none() {
        let problem = lint.problem(Code::BadQuantity, at, format!("`{value}` is not a quantity"));
        lint.report(problem.help("write it as `4`, `250m`, `512Mi` or `8Gi`, and not below zero"));
    }
    Some(At { value, at })
}
