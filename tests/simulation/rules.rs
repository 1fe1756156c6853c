//! The rules once more, in whole seconds, as the oracle understands them. Written from the design, not from the product: the
//! two have nothing in common but the names of the fields that people write.

use serde_json::Value;

/// Whose clones a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of this namespace.
    Name(&'static str),
    /// Those of namespaces with `env` = this.
    Label(&'static str),
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    pub(crate) enforce: bool,
    pub(crate) default: i64,
    pub(crate) minimum: i64,
    pub(crate) maximum: i64,
    pub(crate) grace: i64,
    pub(crate) deletes: usize,
    pub(crate) percent: usize,
    pub(crate) per: i64,
    /// How long something must have been an orphan, and how often it must have been seen.
    pub(crate) soak: i64,
    pub(crate) observations: i64,
    pub(crate) final_snapshot: bool,
    pub(crate) kept_for: i64,
}

/// The one rule that governs a namespace with this `env`; none if there is none, or if two meet.
pub(crate) fn governing<'a>(rules: &'a [Rule], namespace: &str, env: Option<&str>) -> Option<&'a Rule> {
    let mut ours = rules.iter().filter(|rule| match rule.scope {
        Scope::Name(name) => name == namespace,
        Scope::Label(value) => env == Some(value),
    });
    let first = ours.next()?;
    ours.next().is_none().then_some(first)
}

/// What a clone said, and what follows from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) created: i64,
    /// When it ends: E.
    pub(crate) end: i64,
    /// Something that it says cannot be read.
    pub(crate) unreadable: bool,
}

/// The life of a clone under a rule; `None` where nobody can say how old it is.
pub(crate) fn life(clone: &Value, rule: &Rule) -> Option<Life> {
    let created = clone["metadata"]["creationTimestamp"].as_str().and_then(moment)?;
    let ceiling = created.saturating_add(rule.maximum);
    let spec = &clone["spec"];
    let mut unreadable = !matches!(annotation(clone, "keep"), None | Some("true" | "false"));
    let asked = match &spec["ttlSeconds"] {
        Value::Null if spec.is_null() || (spec.is_object() && spec.get("ttlSeconds").is_none()) => rule.default,
        Value::Number(number) if number.as_u64().is_some_and(|seconds| seconds > 0) => number.as_i64().unwrap_or(i64::MAX),
        _ => {
            unreadable = true;
            rule.default
        }
    };
    let mut end = created.saturating_add(asked.clamp(rule.minimum, rule.maximum));
    match annotation(clone, "extend-until").map(moment_up) {
        None => {}
        Some(None) => unreadable = true,
        Some(Some(until)) => end = end.max(until.min(ceiling)),
    }
    Some(Life { created, end: if unreadable { ceiling } else { end }, unreadable })
}

/// When it was made, if anybody can say.
pub(crate) fn created(clone: &Value) -> Option<i64> {
    clone["metadata"]["creationTimestamp"].as_str().and_then(moment)
}

/// The announced end and when it was announced, where both can be read.
pub(crate) fn announced(clone: &Value) -> Option<(i64, i64)> {
    Some((annotation(clone, "expires-at").and_then(moment)?, annotation(clone, "announced-at").and_then(moment)?))
}

/// One of our annotations.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][format!("clonewarden.io/{key}")].as_str()
}

/// A date with an offset and without the name of a zone, in whole seconds, rounded down.
fn moment(text: &str) -> Option<i64> {
    parsed(text).map(jiff::Timestamp::as_second)
}

/// The same, rounded up.
fn moment_up(text: &str) -> Option<i64> {
    parsed(text).map(|date| date.as_second() + i64::from(date.subsec_nanosecond() > 0))
}

fn parsed(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok().filter(|_| !text.contains('['))
}
