//! What happens to `spec.sourcePassword`: under `enforce` it is stored sealed, wherever it stands in the object. Sealing takes a key and
//! randomness, which are not here: whoever has them is asked for the sealed text, and for whether one that comes sealed opens.

use super::{Operation, Refusal, Request, Verdict};
use crate::model::{credentials::SEALED, meta, names};
use serde_json::{Value, json};

const POINTER: &str = "/spec/sourcePassword";

/// Whoever can seal a text for one clone, and open it again.
pub trait Sealing {
    /// The sealed form of a text.
    ///
    /// # Errors
    /// Why it cannot be sealed now.
    fn seal(&self, namespace: &str, name: &str, text: &str) -> Result<String, String>;

    /// Whether a sealed text opens for this clone.
    ///
    /// # Errors
    /// Why that cannot be said now.
    fn opens(&self, namespace: &str, name: &str, sealed: &str) -> Result<bool, String>;
}

/// The password that an object states; none if it is empty.
fn stated(object: &Value) -> Option<&str> {
    object.pointer(POINTER)?.as_str().filter(|text| !text.is_empty())
}

fn is_sealed(text: &str) -> bool {
    text.starts_with(SEALED)
}

/// What `kubectl apply` wrote down of the object.
fn last_applied(object: &Value) -> Option<&str> {
    meta::entry(object, "annotations", names::LAST_APPLIED)?.as_str()
}

/// Whether a password would be stored as plain text that was not stored before.
pub(super) fn is_plain(request: &Request) -> bool {
    let new = stated(&request.object).filter(|text| !is_sealed(text) && stated(&request.old) != Some(text));
    let applied = last_applied(&request.object).filter(|text| last_applied(&request.old) != Some(text));
    let applied = applied.and_then(|text| serde_json::from_str::<Value>(text).ok());
    new.is_some() || applied.as_ref().and_then(stated).is_some_and(|text| !is_sealed(text))
}

impl Verdict {
    /// Seals what has to be sealed: the password in the spec, and the one that `kubectl apply` noted down. What cannot be sealed is
    /// refused rather than stored; but one that stood there before keeps nobody from changing something else.
    #[must_use]
    pub fn sealed(mut self, request: &Request, sealing: &dyn Sealing) -> Self {
        if !self.seals || self.refusal.is_some() {
            return self;
        }
        match operations(request, sealing) {
            Ok(operations) => {
                if request.operation == Operation::Update && stated(&request.object) != stated(&request.old) && !operations.is_empty() {
                    let made = "`spec.sourcePassword` goes into the clone's Secret when that is made; one that is made is not changed";
                    self.warnings.push(made.to_owned());
                }
                self.patch.extend(operations);
                self
            }
            Err(refusal) => Self::refused(refusal),
        }
    }
}

fn operations(request: &Request, sealing: &dyn Sealing) -> Result<Vec<Value>, Refusal> {
    let (namespace, name) = (request.namespace.as_str(), request.name.as_str());
    let (password, before) = (stated(&request.object), stated(&request.old));
    let mut operations = Vec::new();
    let sealed = match password {
        None => None,
        Some(text) if is_sealed(text) => {
            if Some(text) != before && !sealing.opens(namespace, name, text).map_err(Refusal::NotNow)? {
                return Err(Refusal::ForeignSeal);
            }
            Some(text.to_owned())
        }
        Some(text) => match sealing.seal(namespace, name, text) {
            Ok(sealed) => {
                operations.push(json!({"op": "replace", "path": POINTER, "value": sealed}));
                Some(sealed)
            }
            Err(_) if Some(text) == before => None,
            Err(why) => return Err(Refusal::NotNow(why)),
        },
    };
    if let Some(text) = last_applied(&request.object) {
        let path = format!("/metadata/annotations/{}", names::LAST_APPLIED.replace('/', "~1"));
        match (serde_json::from_str::<Value>(text), password) {
            (Ok(mut applied), _) => {
                if stated(&applied).is_some_and(|text| !is_sealed(text)) {
                    // kubectl compares it with what it applies next: there it finds the password changed, and sends it again.
                    if let Some(field) = applied.pointer_mut(POINTER) {
                        *field = json!(sealed.unwrap_or_default());
                    }
                    operations.push(json!({"op": "replace", "path": path, "value": format!("{applied}\n")}));
                }
            }
            (Err(_), Some(password)) if text.contains(password) => operations.push(json!({"op": "remove", "path": path})),
            (Err(_), _) => {}
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seals by writing the text backwards; or has no key.
    struct Backwards(bool);

    impl Sealing for Backwards {
        fn seal(&self, namespace: &str, name: &str, text: &str) -> Result<String, String> {
            let backwards: String = text.chars().rev().collect();
            if self.0 { Ok(format!("{SEALED}{namespace}/{name}/{backwards}")) } else { Err("there is no key".to_owned()) }
        }

        fn opens(&self, namespace: &str, name: &str, sealed: &str) -> Result<bool, String> {
            if self.0 { Ok(sealed.starts_with(&format!("{SEALED}{namespace}/{name}/"))) } else { Err("there is no key".to_owned()) }
        }
    }

    fn clone(password: &str, applied: Option<&str>) -> Value {
        let mut object = json!({"metadata": {"name": "c", "namespace": "n"}, "spec": {"cloneId": "c", "sourcePassword": password}});
        if let Some(applied) = applied {
            object["metadata"]["annotations"] = json!({names::LAST_APPLIED: applied});
        }
        object
    }

    fn request(old: Value, object: Value) -> Request {
        let operation = if old.is_null() { Operation::Create } else { Operation::Update };
        Request { operation, namespace: "n".into(), name: "c".into(), user: "ada".into(), dry_run: false, object, old }
    }

    fn judged(request: &Request, key: bool) -> Verdict {
        Verdict { seals: true, ..Verdict::default() }.sealed(request, &Backwards(key))
    }

    const SEALED_HERE: &str = "sealed:v1:n/c/2retnuh";

    #[test]
    fn the_password_is_sealed_wherever_it_stands() {
        let applied = clone("hunter2", None).to_string();
        let created = judged(&request(Value::Null, clone("hunter2", Some(&applied))), true);
        assert_eq!(created.patch[0], json!({"op": "replace", "path": "/spec/sourcePassword", "value": SEALED_HERE}));
        assert_eq!(created.patch[1]["path"], "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
        assert!(!json!(created.patch).to_string().contains("hunter2") && created.refusal.is_none(), "{created:?}");
        let kept: Value = serde_json::from_str(created.patch[1]["value"].as_str().unwrap()).unwrap();
        assert_eq!(kept, clone(SEALED_HERE, None));
        // What kubectl wrote may be no JSON, and hold it all the same.
        let broken = judged(&request(Value::Null, clone("hunter2", Some("{password: hunter2"))), true);
        assert_eq!(broken.patch[1]["op"], "remove");
        // Sealed in the spec, and applied once more from the file.
        let again = judged(&request(clone(SEALED_HERE, None), clone(SEALED_HERE, Some(&applied))), true);
        assert_eq!((again.patch.len(), json!(again.patch).to_string().contains("hunter2")), (1, false));
        for nothing in ["", SEALED_HERE] {
            let verdict = judged(&request(Value::Null, clone(nothing, None)), true);
            assert_eq!((verdict.patch.len(), verdict.refusal), (0, None), "{nothing}");
        }
    }

    #[test]
    fn without_the_key_none_is_stored_and_nobody_is_kept_from_the_rest() {
        let refused = judged(&request(Value::Null, clone("hunter2", None)), false);
        assert!(matches!(&refused.refusal, Some(Refusal::NotNow(why)) if !why.contains("hunter2")), "{refused:?}");
        let changed = judged(&request(clone("old", None), clone("hunter2", None)), false);
        assert!(matches!(changed.refusal, Some(Refusal::NotNow(_))));
        for same in ["hunter2", SEALED_HERE, ""] {
            let verdict = judged(&request(clone(same, None), clone(same, None)), false);
            assert_eq!((verdict.refusal, verdict.patch.len()), (None, 0), "{same}");
        }
    }

    #[test]
    fn a_sealed_password_cannot_be_copied() {
        let copied = judged(&request(Value::Null, clone("sealed:v1:n/other/x", None)), true);
        assert_eq!(copied.refusal, Some(Refusal::ForeignSeal));
        let unsure = judged(&request(Value::Null, clone("sealed:v1:n/other/x", None)), false);
        assert!(matches!(unsure.refusal, Some(Refusal::NotNow(_))));
    }

    #[test]
    fn what_is_left_plain_is_noticed_last() {
        let applied = clone("hunter2", None).to_string();
        for (what, request, plain) in [
            ("new", request(Value::Null, clone("hunter2", None)), true),
            ("changed", request(clone("old", None), clone("hunter2", None)), true),
            ("from before", request(clone("hunter2", None), clone("hunter2", None)), false),
            ("noted down", request(Value::Null, clone(SEALED_HERE, Some(&applied))), true),
            ("sealed", request(Value::Null, clone(SEALED_HERE, None)), false),
            ("none", request(Value::Null, clone("", None)), false),
        ] {
            assert_eq!(is_plain(&request), plain, "{what}");
        }
    }

    #[test]
    fn in_audit_and_where_it_is_refused_anyway_nothing_is_sealed() {
        let request = request(Value::Null, clone("hunter2", None));
        assert!(Verdict { audit: true, ..Verdict::default() }.sealed(&request, &Backwards(true)).patch.is_empty());
        let refused = Verdict { seals: true, ..Verdict::refused(Refusal::NoSpec) }.sealed(&request, &Backwards(false));
        assert_eq!(refused.refusal, Some(Refusal::NoSpec));
    }
}
