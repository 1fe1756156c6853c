//! What bounds a namespace: a `ResourceQuota` or a `LimitRange` under our name, ours or somebody else's.

use super::{
    kind::Kind,
    meta::{Meta, Unreadable, entry, label},
    names,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One `ResourceQuota` or `LimitRange`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Which of the two.
    pub kind: Kind,
    /// Which object it is.
    pub meta: Meta,
    /// Its label says that we keep it.
    pub ours: bool,
    /// The policy that wanted it.
    pub policy: Option<Box<str>>,
    /// What it says: of a `ResourceQuota` its `hard`, of a `LimitRange` what it says of containers, as `default.cpu`.
    pub values: BTreeMap<String, String>,
    /// Something in its spec that no policy can say.
    pub beyond: Option<Beyond>,
    /// Of a `ResourceQuota`: what is used of it, as the controller last counted.
    pub used: BTreeMap<String, String>,
}

/// Something that no policy can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// The `scopes` of a `ResourceQuota`, which cannot be changed once they are there.
    Scopes,
    /// The `scopeSelector` of a `ResourceQuota`.
    ScopeSelector,
    /// In a `LimitRange`, limits for something else than containers, or a ratio.
    OtherLimits,
}

impl Beyond {
    /// What it is called.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Scopes => "scopes",
            Self::ScopeSelector => "scopeSelector",
            Self::OtherLimits => "other limits",
        }
    }
}

impl Quota {
    /// Reads an object; `None` if it has another name than ours.
    ///
    /// # Errors
    /// Where its identity or age cannot be read.
    pub fn read(kind: Kind, object: &Value) -> Result<Option<Self>, Unreadable> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        if name.is_some_and(|name| Some(name) != kind.only()) {
            return Ok(None);
        }
        let meta = Meta::read(kind, object)?;
        let (values, beyond) = match kind {
            Kind::LimitRange => limits(object),
            _ => (quantities(object.pointer("/spec/hard")), scopes(object)),
        };
        Ok(Some(Self {
            kind,
            meta,
            ours: label(object, names::MANAGED_BY) == Some(names::OURSELVES),
            policy: entry(object, "annotations", names::POLICY).and_then(Value::as_str).map(Into::into),
            values,
            beyond,
            used: quantities(object.pointer("/status/used")),
        }))
    }
}

fn scopes(object: &Value) -> Option<Beyond> {
    let said = |pointer| object.pointer(pointer).is_some_and(|value| !value.is_null() && *value != json!([]));
    if said("/spec/scopes") {
        return Some(Beyond::Scopes);
    }
    said("/spec/scopeSelector").then_some(Beyond::ScopeSelector)
}

fn limits(object: &Value) -> (BTreeMap<String, String>, Option<Beyond>) {
    let mut values = BTreeMap::new();
    let mut beyond = None;
    for (place, item) in object.pointer("/spec/limits").and_then(Value::as_array).into_iter().flatten().enumerate() {
        if place > 0 || item.get("type").and_then(Value::as_str) != Some("Container") {
            beyond = Some(Beyond::OtherLimits);
            continue;
        }
        for (part, quantities_of) in item.as_object().into_iter().flatten().filter(|(part, _)| *part != "type") {
            if !matches!(part.as_str(), "default" | "defaultRequest" | "max" | "min") {
                beyond = Some(Beyond::OtherLimits);
            }
            values.extend(quantities(Some(quantities_of)).into_iter().map(|(resource, quantity)| (format!("{part}.{resource}"), quantity)));
        }
    }
    (values, beyond)
}

/// A mapping from resources to quantities. Whoever wrote a file by hand may have written a number.
fn quantities(value: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value.and_then(Value::as_object).into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// The object that says this in a namespace, as it is sent. `values` are as in [`Quota::values`].
#[must_use]
pub fn object(kind: Kind, namespace: &str, policy: &str, values: &BTreeMap<String, String>) -> Value {
    let spec = match kind {
        Kind::LimitRange => {
            let mut item = Map::from_iter([("type".to_owned(), json!("Container"))]);
            for (key, quantity) in values {
                let (part, resource) = key.split_once('.').unwrap_or((key, ""));
                if let Some(part) = item.entry(part).or_insert_with(|| json!({})).as_object_mut() {
                    part.insert(resource.to_owned(), json!(quantity));
                }
            }
            json!({"limits": [item]})
        }
        _ => json!({"hard": values}),
    };
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name(),
        "metadata": {
            "name": names::OURSELVES,
            "namespace": namespace,
            "labels": {names::MANAGED_BY: names::OURSELVES},
            "annotations": {names::POLICY: policy},
        },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kind: Kind, spec: Value) -> Quota {
        let mut object = object(kind, "n", "staging", &BTreeMap::new());
        object["metadata"]["uid"] = json!("u");
        object["metadata"]["creationTimestamp"] = json!("2026-02-05T16:00:00Z");
        object["spec"] = spec;
        Quota::read(kind, &object).unwrap().unwrap()
    }

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        for (kind, values) in [
            (Kind::ResourceQuota, map(&[("requests.cpu", "4"), ("pods", "10")])),
            (Kind::LimitRange, map(&[("default.cpu", "1"), ("defaultRequest.memory", "512Mi"), ("max.ephemeral-storage", "1Gi")])),
        ] {
            let sent = object(kind, "n", "staging", &values);
            let read = with(kind, sent["spec"].clone());
            assert_eq!((read.values, read.beyond, read.ours, read.policy.as_deref()), (values, None, true, Some("staging")));
        }
    }

    #[test]
    fn what_no_policy_can_say_is_seen() {
        let quota = |spec| with(Kind::ResourceQuota, spec).beyond;
        assert_eq!(quota(json!({"hard": {}, "scopes": []})), None);
        assert_eq!(quota(json!({"hard": {}, "scopes": ["BestEffort"]})), Some(Beyond::Scopes));
        assert_eq!(quota(json!({"scopeSelector": {"matchExpressions": []}})), Some(Beyond::ScopeSelector));
        let range = |spec| with(Kind::LimitRange, spec).beyond;
        assert_eq!(range(json!({"limits": [{"type": "Container", "max": {"cpu": "1"}}]})), None);
        assert_eq!(range(json!({"limits": [{"type": "Pod", "max": {"cpu": "1"}}]})), Some(Beyond::OtherLimits));
        assert_eq!(range(json!({"limits": [{"type": "Container"}, {"type": "Container"}]})), Some(Beyond::OtherLimits));
        assert_eq!(range(json!({"limits": [{"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}]})), Some(Beyond::OtherLimits));
    }

    #[test]
    fn other_names_are_nobodys_business_and_other_labels_are_seen() {
        let mut theirs = json!({"metadata": {"namespace": "n", "name": "compute", "uid": "u", "creationTimestamp": "2026-02-05T16:00:00Z"}});
        assert_eq!(Quota::read(Kind::ResourceQuota, &theirs), Ok(None));
        theirs["metadata"]["name"] = json!(names::OURSELVES);
        let read = Quota::read(Kind::ResourceQuota, &theirs).unwrap().unwrap();
        assert!(!read.ours && read.values.is_empty() && read.policy.is_none());
        theirs["spec"] = json!({"hard": {"pods": 10, "requests.cpu": "4"}});
        assert_eq!(Quota::read(Kind::ResourceQuota, &theirs).unwrap().unwrap().values, map(&[("pods", "10"), ("requests.cpu", "4")]));
        theirs["metadata"]["uid"] = json!(null);
        assert!(Quota::read(Kind::ResourceQuota, &theirs).is_err(), "one that cannot be told apart is there all the same");
    }
}
