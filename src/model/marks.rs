//! What is written on a clone for placement rules to look at: its labels and the annotations of others.
//!
//! Contract: no verdict on a life reads it; it is there so that a clone can be played again as a newcomer under other policies. Thousands
//! of clones look the same, and hold one copy. What one clone can make us hold is bounded: [`Marks::cut`] says where that was felt.

use super::{names, shared::Pool};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// So many bytes of labels and annotations are kept of a clone.
const LARGEST: usize = 4_096;
/// kubectl keeps a copy of the whole object in here, password and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Ours say what became of a clone, not what it is.
const OURS: &str = "clonewarden.io/";

static KNOWN: LazyLock<Mutex<Pool<Marks>>> = LazyLock::new(Mutex::default);

/// Labels and annotations of a clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    /// Every label that is a text.
    pub labels: BTreeMap<String, String>,
    /// Every annotation that is a text, but for ours and kubectl's copy of the object.
    pub annotations: BTreeMap<String, String>,
    /// Whether there were more than is kept of one clone.
    pub cut: bool,
    /// Whether a placement rule chose its database, as far as the clone says: what was asked for is not known then.
    pub placed: bool,
}

impl Marks {
    /// Reads them from the API server's JSON.
    #[must_use]
    pub fn read(object: &Value) -> Arc<Self> {
        let mut room = LARGEST;
        let mut cut = false;
        let mut take = |map: &str, wanted: fn(&str) -> bool| -> BTreeMap<String, String> {
            let all = object.get("metadata").and_then(|metadata| metadata.get(map)).and_then(Value::as_object);
            let texts = all.into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?)));
            let kept = texts.filter(|(key, _)| wanted(key)).filter(|(key, value)| match room.checked_sub(key.len().saturating_add(value.len())) {
                Some(rest) => {
                    room = rest;
                    true
                }
                None => {
                    cut = true;
                    false
                }
            });
            kept.map(|(key, value)| (key.clone(), value.to_owned())).collect()
        };
        let labels = take("labels", |_| true);
        let annotations = take("annotations", |key| key != LAST_APPLIED && !key.starts_with(OURS));
        let reason = super::meta::entry(object, "annotations", names::PLACEMENT_REASON).and_then(Value::as_str);
        // As the webhook writes it: `shared on ‹host›: rule ‹name› of policy ‹name›`, or that no rule matches.
        let placed = reason.is_some_and(|reason| reason.contains("rule `"));
        let marks = Self { labels, annotations, cut, placed };
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&marks, || Arc::new(marks.clone()))
    }
}

/// The address of the site to clone, without user name and password; `None`: it says none, or one that is longer than any.
#[must_use]
pub(crate) fn source_url(object: &Value) -> Option<Box<str>> {
    let url = object.pointer("/spec/sourceUrl").and_then(Value::as_str).filter(|url| url.len() <= 1_024)?;
    let Some((scheme, rest)) = url.split_once("://") else { return Some(url.into()) };
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..host).and_then(|authority| authority.rfind('@')) {
        Some(at) => Some(format!("{scheme}://{}", rest.get(at.saturating_add(1)..).unwrap_or_default()).into()),
        None => Some(url.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clones_that_look_the_same_hold_one_copy_and_a_huge_one_is_cut() {
        let read = |labels: Value, annotations: Value| Marks::read(&json!({"metadata": {"labels": labels, "annotations": annotations}}));
        let annotations = json!({"team": "web", LAST_APPLIED: "secret", "clonewarden.io/keep": "true"});
        let (one, other) = (read(json!({"a": "b", "n": 1}), annotations.clone()), read(json!({"a": "b"}), annotations));
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!((one.labels.len(), one.annotations.keys().map(String::as_str).collect::<Vec<_>>(), one.cut), (1, vec!["team"], false));
        let huge = read(json!({"a": "b"}), json!({"blob": "x".repeat(LARGEST), "c": "d"}));
        assert!(huge.cut && huge.labels.len() == 1 && huge.annotations.len() == 1);
        assert_eq!(*Marks::read(&json!("no object")), Marks::default());
    }

    #[test]
    fn whose_database_a_rule_chose_is_told_from_whose_it_did_not() {
        let placed = |reason: &str| Marks::read(&json!({"metadata": {"annotations": {names::PLACEMENT_REASON: reason}}})).placed;
        assert!(placed("dedicated `db.t3.micro`: rule `critical` of policy `staging`"));
        assert!(placed("shared on `one`: rule `everyone` of policy `staging`"));
        assert!(!placed("dedicated: no rule matches, and the clone asks for it"));
    }

    #[test]
    fn an_address_is_kept_without_who_may_look_at_it() {
        let url = |url: &str| source_url(&json!({"spec": {"sourceUrl": url}})).map(String::from);
        assert_eq!(url("https://ada:hunter2@shop.example.com/a@b").as_deref(), Some("https://shop.example.com/a@b"));
        assert_eq!(url("https://ada:hun@ter2@shop.example.com").as_deref(), Some("https://shop.example.com"));
        assert_eq!(url("https://shop.example.com/?mail=a@b").as_deref(), Some("https://shop.example.com/?mail=a@b"));
        assert_eq!(url(&"x".repeat(2_000)), None);
    }
}
