//! A `WordPressClone`, trimmed to what decides its fate.

use super::{
    credentials::SourcePassword,
    database::Database,
    kind::Kind,
    marks::{Marks, source_url},
    meta::{self, Meta, Unreadable},
    names,
    shared::shared,
};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// What a field said. "Not there" and "there, but nonsense" must never look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// The field is not there.
    Absent,
    /// The field says this.
    Value(T),
    /// The field is there and cannot be understood; the text as it stands.
    Unreadable(Box<str>),
}

impl<T> Reading<T> {
    /// The value, if it could be read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The text that could not be read.
    pub fn unreadable(&self) -> Option<&str> {
        match self {
            Self::Unreadable(text) => Some(text),
            _ => None,
        }
    }
}

/// KRO's word for the state of an instance. `Active` is its word, not ours: it does not say that the clone works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloneState {
    /// KRO has not said anything yet.
    Unknown,
    /// Children are still being made.
    InProgress,
    /// Every child was applied.
    Active,
    /// KRO could not apply something.
    Error,
    /// KRO is taking the children down.
    Deleting,
}

/// One clone, as the API server had it at `meta.resource_version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordPressClone {
    /// Which object it is.
    pub meta: Meta,
    /// `spec.ttlSeconds`: how long it was asked to live, in seconds from its creation.
    pub ttl: Reading<i64>,
    /// [`names::EXTEND_UNTIL`].
    pub extend_until: Reading<Timestamp>,
    /// [`names::KEEP`]: `true` is a wall.
    pub keep: Reading<bool>,
    /// [`names::EXPIRES_AT`], the announced end.
    pub expires_at: Reading<Timestamp>,
    /// [`names::ANNOUNCED_AT`].
    pub announced_at: Reading<Timestamp>,
    /// [`names::UNUSED_SINCE`].
    pub unused_since: Reading<Timestamp>,
    /// [`names::WARNED`].
    pub warned: Option<Box<str>>,
    /// [`names::OWNER`].
    pub owner: Option<Box<str>>,
    /// `spec.cloneId`, after which KRO names what it makes, where it is not the clone's name.
    pub clone_id: Option<Box<str>>,
    /// [`names::CREDENTIALS`]: the Secret that was made for it.
    pub credentials: Option<Box<str>>,
    /// `spec.sourcePassword`.
    pub source_password: Option<SourcePassword>,
    /// What it keeps its data in.
    pub database: Database,
    /// [`names::RESERVATION`]: which promise of a place it was let in on.
    pub reservation: Option<Box<str>>,
    /// `status.state`.
    pub state: CloneState,
    /// Why KRO's `Ready` condition is not true, if it says so.
    pub not_ready: Option<Box<str>>,
    /// Who still has to agree before the object goes.
    pub finalizers: Box<[Arc<str>]>,
    /// The ResourceGraphDefinition that KRO made it from.
    pub definition: Option<Arc<str>>,
    /// Its labels and annotations, as far as placement rules alone look at them.
    pub marks: Arc<Marks>,
    /// `spec.sourceUrl`, without user name and password.
    pub source_url: Option<Box<str>>,
}

impl WordPressClone {
    /// Reads a clone from the API server's JSON.
    ///
    /// # Errors
    /// Only where the object's identity or age cannot be read. A strange TTL, extension or keep is no error: it is read as
    /// [`Reading::Unreadable`] and keeps the clone alive.
    pub fn read(object: &Value) -> Result<Self, Unreadable> {
        let meta = Meta::read(Kind::Clone, object)?;
        let annotation = |key| meta::entry(object, "annotations", key);
        let text = |key| annotation(key).and_then(Value::as_str).map(Into::into);
        Ok(Self {
            ttl: read_ttl(object.get("spec")),
            extend_until: read_date(annotation(names::EXTEND_UNTIL)),
            keep: read_keep(annotation(names::KEEP)),
            expires_at: read_date(annotation(names::EXPIRES_AT)),
            announced_at: read_date(annotation(names::ANNOUNCED_AT)),
            unused_since: read_date(annotation(names::UNUSED_SINCE)),
            warned: text(names::WARNED),
            owner: text(names::OWNER),
            clone_id: spec_text(object, "cloneId").filter(|id| *id != meta.name()).map(Into::into),
            credentials: text(names::CREDENTIALS),
            source_password: spec_text(object, "sourcePassword").and_then(SourcePassword::read),
            database: Database::read(object),
            reservation: text(names::RESERVATION),
            state: read_state(object.pointer("/status/state")),
            not_ready: not_ready(object),
            finalizers: meta::finalizers(object),
            definition: meta::label(object, names::KRO_DEFINITION).map(shared),
            marks: Marks::read(object),
            source_url: source_url(object),
            meta,
        })
    }

    /// The name of the Secret that KRO expects its credentials in.
    #[must_use]
    pub fn secret_name(&self) -> String {
        names::secret_name(self.clone_id.as_deref().unwrap_or(self.meta.name()), &self.meta.uid)
    }

    /// Whether its Secret was made, as far as the clone says: of this very clone, and under the name that it has by now.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        let id = self.clone_id.as_deref().unwrap_or(self.meta.name());
        let rest = |said: &'_ str| -> Option<bool> {
            let uid = said.strip_suffix("-secret")?.strip_prefix(id)?.strip_prefix('-')?;
            Some(uid == self.meta.uid.get(..8).unwrap_or(&self.meta.uid))
        };
        // As `secret_name` makes it, without making it: this is asked of every clone in every plan.
        self.credentials.as_deref().and_then(rest).unwrap_or_default()
    }
}

fn spec_text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("spec")?.get(field)?.as_str()
}

/// `spec.useDedicatedDatabase`.
pub(crate) fn wants_dedicated(object: &Value) -> bool {
    object.pointer("/spec/useDedicatedDatabase").and_then(Value::as_bool).unwrap_or_default()
}

/// The address of the shared host that an object names, if that is where its database is.
pub(crate) fn shared_host(object: &Value) -> Option<String> {
    let host = object.pointer("/spec/sharedDatabase/host").and_then(Value::as_str).filter(|host| !host.is_empty())?;
    (!wants_dedicated(object)).then(|| host_address(host, None))
}

/// `host:port`, the one form in which two addresses can be compared: in lower case, without the dot of the root, and with MySQL's
/// port where it says none.
#[must_use]
pub fn host_address(host: &str, port: Option<u16>) -> String {
    // An IPv6 address has colons of its own, and none of them stands before a port.
    let bracketed = host.parse::<std::net::Ipv6Addr>().map(|address| format!("[{address}]"));
    let host = bracketed.as_deref().unwrap_or(host);
    let (name, said) = match host.rsplit_once(':') {
        Some((name, said)) => said.parse::<u16>().map_or((host, None), |said| (name, Some(said))),
        None => (host, None),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    format!("{name}:{}", port.or(said).unwrap_or(3306))
}

/// A TTL is a positive integer. Everything else that is said (zero, a string, a fraction, `null`) is unreadable.
pub(crate) fn read_ttl(spec: Option<&Value>) -> Reading<i64> {
    match spec {
        None | Some(Value::Null) => Reading::Absent,
        Some(Value::Object(spec)) => match spec.get("ttlSeconds") {
            None => Reading::Absent,
            // An integer too large for us is one all the same: the policy's maximum bounds it.
            Some(Value::Number(number)) if number.is_u64() && number.as_i64().is_none() => Reading::Value(i64::MAX),
            Some(value) => match value.as_i64().filter(|seconds| *seconds > 0) {
                Some(seconds) => Reading::Value(seconds),
                None => Reading::Unreadable(said(value)),
            },
        },
        Some(other) => Reading::Unreadable(said(other)),
    }
}

/// What a field says, as far as it may be told: a structure may hold what is nobody's business.
fn said(value: &Value) -> Box<str> {
    match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        scalar => scalar.to_string().chars().take(40).collect::<String>().into(),
    }
}

/// A date is RFC 3339 with an offset; zone names and local times are refused, they have ended clones hours early elsewhere.
pub(crate) fn read_date(value: Option<&Value>) -> Reading<Timestamp> {
    let Some(value) = value else { return Reading::Absent };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.parse::<Timestamp>() {
        Ok(date) if !text.contains('[') => Reading::Value(date),
        _ => Reading::Unreadable(text.into()),
    }
}

pub(crate) fn read_keep(value: Option<&Value>) -> Reading<bool> {
    let Some(value) = value else { return Reading::Absent };
    match value.as_str() {
        Some("true") => Reading::Value(true),
        Some("false") => Reading::Value(false),
        Some(text) => Reading::Unreadable(text.into()),
        None => Reading::Unreadable(value.to_string().into()),
    }
}

fn read_state(value: Option<&Value>) -> CloneState {
    match value.and_then(Value::as_str) {
        Some("IN_PROGRESS") => CloneState::InProgress,
        Some("ACTIVE") => CloneState::Active,
        Some("ERROR" | "FAILED") => CloneState::Error,
        Some("DELETING") => CloneState::Deleting,
        _ => CloneState::Unknown,
    }
}

/// The message of a `Ready` condition that is not true.
pub(crate) fn not_ready(object: &Value) -> Option<Box<str>> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let ready = conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some("Ready"))?;
    if ready.get("status").and_then(Value::as_str) == Some("True") {
        return None;
    }
    let said = |key| ready.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(said("message").or_else(|| said("reason")).unwrap_or("not ready").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn clone_with(spec: &Value, annotations: &Value) -> WordPressClone {
        WordPressClone::read(&json!({
            "metadata": {"namespace": "wordpress-staging", "name": "clone-1", "uid": "u-1", "resourceVersion": "7",
                         "creationTimestamp": "2026-02-05T14:30:22Z", "annotations": annotations},
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_ttl_is_a_positive_integer_and_nothing_else() {
        assert_eq!(clone_with(&json!({}), &json!({})).ttl, Reading::Absent);
        assert_eq!(clone_with(&json!({"ttlSeconds": 7200}), &json!({})).ttl, Reading::Value(7200));
        assert_eq!(clone_with(&json!({"ttlSeconds": u64::MAX}), &json!({})).ttl, Reading::Value(i64::MAX));
        for odd in [json!(0), json!(-1), json!("7200"), json!(7200.5), json!(1e300), json!(null), json!(true)] {
            assert_eq!(clone_with(&json!({"ttlSeconds": odd}), &json!({})).ttl, Reading::Unreadable(odd.to_string().into()), "{odd}");
        }
        assert!(clone_with(&json!("no spec"), &json!({})).ttl.unreadable().is_some());
        // A structure may hold a password: it is not repeated.
        assert_eq!(clone_with(&json!({"ttlSeconds": {"sourcePassword": "hunter2"}}), &json!({})).ttl, Reading::Unreadable("an object".into()));
        assert_eq!(clone_with(&json!(["hunter2"]), &json!({})).ttl, Reading::Unreadable("a list".into()));
    }

    #[test]
    fn a_date_has_an_offset_and_no_zone_name() {
        let read = |text: &str| clone_with(&json!({}), &json!({names::EXTEND_UNTIL: text})).extend_until;
        assert!(read("2026-02-05T16:30:22Z").value().is_some());
        assert!(read("2026-02-05T16:30:22+02:00").value().is_some());
        for odd in ["2026-02-05", "2026-02-05T16:30:22", "2026-02-05T16:30:22 PST", "2026-02-05T16:30:22+01:00[Europe/Berlin]", "tomorrow", ""] {
            assert!(read(odd).unreadable().is_some(), "{odd}");
        }
    }

    #[test]
    fn keep_is_true_or_false_or_unreadable() {
        let read = |text: &str| clone_with(&json!({}), &json!({names::KEEP: text})).keep;
        assert_eq!(read("true"), Reading::Value(true));
        assert_eq!(read("false"), Reading::Value(false));
        for odd in ["True", "yes", "1", ""] {
            assert!(read(odd).unreadable().is_some(), "{odd}");
        }
    }

    #[test]
    fn an_object_without_identity_or_age_is_unreadable_and_says_which_part() {
        let whole = json!({"metadata": {"namespace": "n", "name": "c", "uid": "u", "creationTimestamp": "2026-02-05T14:30:22Z"}});
        assert!(WordPressClone::read(&whole).is_ok());
        for part in ["namespace", "name", "uid", "creationTimestamp"] {
            let mut broken = whole.clone();
            broken["metadata"].as_object_mut().unwrap().remove(part);
            assert!(WordPressClone::read(&broken).unwrap_err().problem.contains(part), "{part}");
        }
    }

    #[test]
    fn two_addresses_of_version_6_are_two_hosts() {
        assert_eq!(host_address("FD00::1", Some(3306)), "[fd00::1]:3306");
        assert_ne!(host_address("fd00::1", Some(3306)), host_address("fd00::2", Some(3306)));
        for as_clones_say_it in ["fd00::1", "[fd00::1]", "[fd00::1]:3306"] {
            assert_eq!(host_address(as_clones_say_it, None), "[fd00::1]:3306", "{as_clones_say_it}");
        }
        assert_eq!(host_address("DB.example.com.:3307", None), "db.example.com:3307");
    }
}
