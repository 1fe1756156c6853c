//! One key, one clone: a creation that is sent again with the same `Idempotency-Key` gives the clone that it made.
//!
//! There is no memory but the cluster. The key decides the clone's name (where the body says none), together with the namespace and
//! the authenticated user, so that two who send it at once ask for the same object, and the API server makes one. An annotation on
//! the clone says which key and which body it was made by, both as hashes.
//!
//! Contract: neither key nor password stands anywhere. The hash of the body leaves the password out but for whether there is one:
//! whoever may list clones could else try out passwords against it.

use crate::{
    lifecycle::create::Wish,
    model::{WordPressClone, meta, names},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The longest key.
pub(super) const LONGEST: usize = 255;
/// The form of a key, as the document says it.
pub(super) const FORM: &str = "^[!-~]{1,255}$";
/// Which form the annotation has.
const VERSION: &str = "v1";

/// A key, of a caller, for a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    user: String,
    key: String,
    body: String,
    /// The name of a clone that was made by this key alone.
    pub(super) name: String,
}

/// What a clone that is there has to do with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// It was made by this key and this body.
    Same,
    /// It was made by this key, with another body.
    OtherBody,
    /// It is another one's.
    Foreign,
}

impl Claim {
    /// What `user` claims with `key`.
    pub(super) fn new(user: &str, namespace: &str, key: &str, wish: &Wish) -> Self {
        let Wish { name, source_url, source_username, source_password, ttl, critical, annotations: _ } = wish;
        let ttl = ttl.map(|ttl| ttl.as_secs().to_string());
        let password = source_password.as_ref().map(|_| "given");
        let body = [
            Some(namespace),
            name.as_deref(),
            Some(source_url.as_str()),
            source_username.as_deref(),
            password,
            ttl.as_deref(),
            critical.then_some("critical"),
        ];
        let whose = [Some(user), Some(namespace), Some(key)];
        let made = digest("clonewarden idempotency name", &whose);
        Self {
            user: user.to_owned(),
            key: digest("clonewarden idempotency key", &whose),
            body: digest("clonewarden idempotency body", &body),
            name: format!("clone-{}", made.get(..20).unwrap_or(&made)),
        }
    }

    /// What stands on the clone.
    pub(super) fn annotation(&self) -> (&'static str, String) {
        (names::IDEMPOTENCY, format!("{VERSION}.{}.{}", self.key, self.body))
    }

    /// What a clone has to do with it. Somebody else's clone is foreign, whatever stands on it.
    pub(super) fn compare(&self, clone: &WordPressClone, object: &Value) -> Match {
        if clone.owner.as_ref().is_some_and(|owner| **owner != *self.user) {
            return Match::Foreign;
        }
        let said = meta::entry(object, "annotations", names::IDEMPOTENCY).and_then(Value::as_str).unwrap_or_default();
        let mut parts = said.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(VERSION), Some(key), Some(body), None) if key == self.key => {
                if body == self.body {
                    Match::Same
                } else {
                    Match::OtherBody
                }
            }
            _ => Match::Foreign,
        }
    }
}

/// 32 hexadecimal digits. Each part goes in with its length, so that no two lists meet.
fn digest(domain: &str, parts: &[Option<&str>]) -> String {
    let mut digest = Sha256::new_with_prefix(domain);
    for part in parts {
        match part {
            Some(part) => {
                digest.update([1]);
                digest.update(part.len().to_be_bytes());
                digest.update(part);
            }
            None => digest.update([0]),
        }
    }
    let bytes: [u8; 32] = digest.finalize().into();
    bytes.iter().take(16).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::create::fit;
    use serde_json::json;
    use zeroize::Zeroizing;

    fn wish(url: &str, password: Option<&str>) -> Wish {
        Wish { source_url: url.to_owned(), source_password: password.map(|text| Zeroizing::new(text.to_owned())), ..Wish::default() }
    }

    fn object(claim: &Claim, owner: Option<&str>) -> Value {
        let (key, value) = claim.annotation();
        let mut object = json!({"metadata": {"namespace": "a", "name": claim.name, "uid": "u", "creationTimestamp": "2026-02-05T14:30:22Z",
                                             "annotations": {key: value}}});
        if let Some(owner) = owner {
            object["metadata"]["annotations"][names::OWNER] = json!(owner);
        }
        object
    }

    fn compare(claim: &Claim, object: &Value) -> Match {
        claim.compare(&WordPressClone::read(object).unwrap(), object)
    }

    #[test]
    fn the_same_key_is_the_same_name_for_the_same_caller_alone() {
        let claim = |user, namespace, key| Claim::new(user, namespace, key, &wish("https://a", None)).name;
        assert_eq!(claim("ada", "n", "k"), claim("ada", "n", "k"));
        let names = [claim("ada", "n", "k"), claim("bob", "n", "k"), claim("ada", "m", "k"), claim("ada", "n", "l"), claim("adan", "", "k")];
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| fit(name).is_ok()), "{names:?}");
    }

    #[test]
    fn a_clone_is_told_by_key_and_body() {
        let claim = Claim::new("ada", "a", "k", &wish("https://a", None));
        assert_eq!(compare(&claim, &object(&claim, None)), Match::Same);
        assert_eq!(compare(&claim, &object(&claim, Some("ada"))), Match::Same);
        assert_eq!(compare(&claim, &object(&claim, Some("bob"))), Match::Foreign, "whoever wrote that on it, it is bob's");
        let other = Claim::new("ada", "a", "k", &wish("https://b", None));
        assert_eq!(compare(&other, &object(&claim, None)), Match::OtherBody);
        assert_eq!(compare(&Claim::new("ada", "a", "l", &wish("https://a", None)), &object(&claim, None)), Match::Foreign);
        let mut odd = object(&claim, None);
        odd["metadata"]["annotations"] = json!({});
        assert_eq!(compare(&claim, &odd), Match::Foreign);
    }

    #[test]
    fn what_stands_on_a_clone_says_nothing_of_key_or_password() {
        let of = |password| Claim::new("ada", "a", "key-1", &wish("https://a", password)).annotation().1;
        assert!(!of(Some("hunter2")).contains("hunter2") && !of(None).contains("key-1"));
        assert_eq!(of(Some("hunter2")), of(Some("hunter3")), "nobody can try passwords against it");
        assert_ne!(of(Some("hunter2")), of(None));
    }
}
