//! A line of the journal in words, for whoever reads it in a table or a message: what it is about, and why. Nothing is said that the
//! line does not hold.

use crate::{
    cost::dollars,
    model::{duration::roughly, journal::Line, names},
};
use jiff::SignedDuration;
use serde_json::Value;

/// What a line is about: a clone by its path, anything else with its kind.
pub(crate) fn target(line: &Line) -> String {
    let (kind, namespace) = (line.target("kind"), line.target("namespace"));
    let name = ["name", "id"].into_iter().map(|field| line.target(field)).find(|name| !name.is_empty()).unwrap_or_default();
    let host = line.target("host");
    let path = [namespace, host, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    if kind == names::CLONE_KIND || path.is_empty() { path } else { format!("{kind} {path}") }
}

/// Why, what came of it, and the money.
pub(crate) fn why(line: &Line) -> String {
    let mut parts: Vec<String> = Vec::new();
    match &line.reason {
        Some(reason) => parts.push(format!("{}: {}", reason.code, reason.message)),
        None if line.event == "gone" => parts.extend(took(line)),
        None => parts.extend(line.facts.iter().map(|(key, value)| format!("{key} {}", plain(value)))),
    }
    parts.extend(line.detail.clone());
    if let Some(cost) = &line.cost {
        let alone = cost.accrued.is_none() && cost.saved.is_none();
        parts.extend(cost.per_hour.filter(|_| alone).map(|usd| format!("costs {} an hour", dollars(usd))));
        parts.extend(cost.accrued.map(|usd| format!("cost {}", dollars(usd))));
        parts.extend(cost.saved.map(|usd| format!("saved {}", dollars(usd))));
        parts.extend((!cost.unpriced.is_empty()).then(|| format!("no price of {}", cost.unpriced.join(", "))));
    }
    parts.join("; ")
}

fn took(line: &Line) -> Option<String> {
    let seconds = line.facts.get("tookSeconds").and_then(Value::as_i64)?;
    Some(format!("gone with everything that was its own, {} after it was deleted", roughly(SignedDuration::from_secs(seconds))))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
