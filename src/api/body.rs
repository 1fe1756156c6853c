//! What callers send and are answered. The OpenAPI document is made of these types, so that it cannot say anything else.
//!
//! Contract: an unknown or repeated field is refused by its name, and so is whatever the document does not allow. An error quotes
//! nothing of a password.

use crate::{
    lifecycle::{
        Summary,
        create::{Wish, fit},
        extend::HowFar,
        summary::Moment,
    },
    model::{Span, ceil_to_second},
};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// A name that Kubernetes gives namespaces.
pub(super) const NAMESPACE: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
/// A name that a clone can have which is made here.
pub(super) const NAME: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";
/// Where a site may be.
const URL: &str = "^https?://[!-~]+$";
/// How much of a URL there may be.
const URL_LENGTH: usize = 2_048;
/// How long a clone may be wanted, or by how much an end be moved, as a text.
pub(super) const DURATION: &str = "^([1-9][0-9]{0,4}[smh]|[1-9][0-9]{0,2}[dw])$";
/// The longest user name or password of a source, in characters.
const CREDENTIAL: usize = 256;

/// A clone that is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "CreateClone")]
pub(super) struct Create {
    /// Where it is to be.
    #[schemars(regex(pattern = NAMESPACE))]
    pub(super) namespace: String,
    /// Its name; not said: `clone-YYYYMMDD-HHMMSS`, or one that the Idempotency-Key decides.
    #[schemars(regex(pattern = NAME), length(min = 1, max = 50))]
    #[serde(default)]
    pub(super) name: Option<String>,
    /// The site to clone.
    #[schemars(regex(pattern = URL), length(max = 2048))]
    pub(super) source_url: String,
    /// Who logs in at the source.
    #[schemars(length(max = 256))]
    #[serde(default)]
    pub(super) source_username: Option<String>,
    /// With which password. It is sealed at admission where a policy enforces, and never told again.
    #[serde(default)]
    pub(super) source_password: Option<SourcePassword>,
    /// How long it is wanted, such as `90m`; the policy of its namespace has the last word.
    #[schemars(regex(pattern = DURATION))]
    #[serde(default)]
    pub(super) ttl: Option<String>,
    /// Policies may give a critical clone a database of its own.
    #[serde(default)]
    pub(super) critical: bool,
}

/// The password of a source. It is never printed.
pub(super) struct SourcePassword(Zeroizing<String>);

impl<'de> Deserialize<'de> for SourcePassword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The parser's own words quote what they do not like.
        match Value::deserialize(deserializer).map_err(|_| serde::de::Error::custom("`sourcePassword` is not a text"))? {
            Value::String(text) => Ok(Self(Zeroizing::new(text))),
            _ => Err(serde::de::Error::custom("`sourcePassword` is not a text")),
        }
    }
}

impl JsonSchema for SourcePassword {
    fn schema_name() -> Cow<'static, str> {
        "SourcePassword".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": CREDENTIAL, "format": "password"})
    }
}

impl Create {
    /// What is asked for, or which field is wrong.
    pub(super) fn wish(self) -> Result<(String, Wish), String> {
        let Self { namespace, name, source_url, source_username, source_password, ttl, critical } = self;
        if !is_namespace(&namespace) {
            return Err("`namespace` is no name of a namespace: write lower case letters, digits and hyphens, at most 63".to_owned());
        }
        let name = name.map(|name| fit(&name)).transpose().map_err(|why| format!("`name` cannot be a clone's: {why}"))?;
        let site = source_url.strip_prefix("https://").or_else(|| source_url.strip_prefix("http://"));
        let printable = |site: &str| !site.is_empty() && site.bytes().all(|byte| byte.is_ascii_graphic());
        if !site.is_some_and(printable) || source_url.len() > URL_LENGTH {
            return Err(format!("`sourceUrl` is no address: write `https://…`, without spaces, at most {URL_LENGTH} characters"));
        }
        if source_username.as_ref().is_some_and(|username| username.chars().count() > CREDENTIAL) {
            return Err(format!("`sourceUsername` has more than {CREDENTIAL} characters"));
        }
        let source_password = source_password.map(|SourcePassword(password)| password);
        if source_password.as_ref().is_some_and(|password| password.is_empty() || password.chars().count() > CREDENTIAL) {
            return Err(format!("`sourcePassword` has none or more than {CREDENTIAL} characters; leave it out where there is none"));
        }
        let ttl = ttl.map(|ttl| duration("ttl", &ttl)).transpose()?;
        Ok((namespace, Wish { name, source_url, source_username, source_password, ttl, critical, annotations: Vec::new() }))
    }
}

/// How far the end of a clone is to be moved: by how much, or until when.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ExtendClone")]
pub(super) enum Extend {
    /// By how much from its present end on, such as `2h`.
    By(#[schemars(regex(pattern = DURATION))] String),
    /// Until when: RFC 3339, with an offset.
    Until(#[schemars(with = "Moment")] String),
}

impl Extend {
    pub(super) fn how_far(&self) -> Result<HowFar, String> {
        match self {
            Self::By(text) => duration("by", text).map(HowFar::By),
            Self::Until(text) => {
                let moment = text.parse::<Timestamp>().ok().filter(|_| !text.contains('['));
                let moment = moment.ok_or("`until` is no RFC 3339 date with an offset: write it as 2026-02-05T18:00:00Z")?;
                Ok(HowFar::Until(ceil_to_second(moment)))
            }
        }
    }
}

/// The one form of durations that the document allows; others that mean the same would be a second one to explain.
fn duration(field: &str, text: &str) -> Result<Span, String> {
    let bad = || format!("`{field}` is not a duration: write a number and a unit, such as `90m`, `2h` or `7d`");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let longest = match unit {
        "s" | "m" | "h" => 5,
        "d" | "w" => 3,
        _ => return Err(bad()),
    };
    let well = number.len() <= longest && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| well).ok_or_else(bad)
}

/// Whether a namespace can be called so.
pub(super) fn is_namespace(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(inner) && text.bytes().next_back().is_some_and(inner);
    ends && text.len() <= 63 && text.bytes().all(|byte| inner(byte) || byte == b'-')
}

/// A clone, as far as its caller may know of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Clone")]
pub(super) struct Answer {
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// Whether it works: the state is `works`.
    pub(super) ready: bool,
    /// Beyond this its policy never extends it; null: that is not known.
    #[schemars(with = "Option<Moment>")]
    pub(super) ceiling: Option<Timestamp>,
    #[serde(flatten)]
    pub(super) credentials: Credentials,
    /// What is not in this answer, and why.
    pub(super) notes: Vec<String>,
    /// What the API server warned of.
    pub(super) warnings: Vec<String>,
}

/// What is in the clone's Secret. A field is left out while there is no Secret, and where the caller may not read it.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credentials {
    /// Who logs in to WordPress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<String>,
    /// With which password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<String>,
    /// The key for its API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) api_key: Option<String>,
}

/// What became of an extension.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extension {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// The new end, as far as the policy grants it.
    #[schemars(with = "Moment")]
    pub(super) expires_at: Timestamp,
    /// What was asked for.
    #[schemars(with = "Moment")]
    pub(super) asked_for: Timestamp,
    /// The longest that its policy allows; null: no policy governs it.
    #[schemars(with = "Option<Moment>")]
    pub(super) ceiling: Option<Timestamp>,
    /// Whether the daemon has announced the new end: `yes`; `notYet`, it counts all the same; `kept`, since somebody keeps the clone
    /// nothing ends it; `audit`, its policy ends nothing.
    #[schemars(extend("enum" = ["yes", "notYet", "kept", "audit"]))]
    pub(super) announced: &'static str,
    /// What the API server warned of.
    pub(super) warnings: Vec<String>,
}

/// A clone that is being deleted.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deletion {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Its UID.
    pub(super) uid: String,
    /// `terminating`; a GET says what is left, and 404 when it is gone.
    #[schemars(extend("const" = "terminating"))]
    pub(super) state: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::create::LONGEST;
    use serde_json::json;

    fn wish(body: Value) -> Result<(String, Wish), String> {
        serde_json::from_str::<Create>(&body.to_string()).map_err(|error| error.to_string())?.wish()
    }

    #[test]
    fn a_whole_body_is_a_wish() {
        let body = json!({"namespace": "a", "name": "c-1", "sourceUrl": "https://example.com", "sourceUsername": "ada",
                          "sourcePassword": "hunter2", "ttl": "90m", "critical": true});
        let (namespace, wish) = wish(body).unwrap();
        assert_eq!((namespace.as_str(), wish.name.as_deref(), wish.ttl, wish.critical), ("a", Some("c-1"), Some(Span::minutes(90)), true));
        assert_eq!(wish.manifest("c-1", "a")["spec"]["sourcePassword"], "hunter2");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_is_quoted() {
        let with = |field: &str, value: Value| {
            let mut body = json!({"namespace": "a", "sourceUrl": "https://example.com"});
            body[field] = value;
            wish(body).err().unwrap_or_default()
        };
        for (field, value) in [
            ("namespace", json!("A")),
            ("namespace", json!("a\n")),
            ("name", json!("a--b")),
            ("name", json!("x".repeat(51))),
            ("sourceUrl", json!("ftp://x")),
            ("sourceUrl", json!("https://a b")),
            ("sourceUsername", json!("x".repeat(257))),
            ("sourcePassword", json!("")),
            ("sourcePassword", json!(["hunter2"])),
            ("ttl", json!("90")),
            ("ttl", json!("1h30m")),
            ("ttl", json!("0m")),
            ("ttl", json!("9999w")),
            ("keep", json!(true)),
        ] {
            let said = with(field, value.clone());
            assert!(said.contains(&format!("`{field}`")) && !said.contains("hunter2"), "{field} {value}: {said}");
        }
        assert!(with("sourcePassword", json!({"hunter2": 1})).contains("not a text"));
        let twice = r#"{"namespace": "a", "namespace": "b", "sourceUrl": "https://example.com"}"#;
        assert!(serde_json::from_str::<Create>(twice).err().unwrap().to_string().contains("duplicate field `namespace`"));
    }

    #[test]
    fn the_bounds_of_the_document_are_those_of_the_code() {
        let schema = schemars::schema_for!(Create).to_value();
        assert_eq!(schema["properties"]["name"]["maxLength"], LONGEST);
        assert_eq!(schema["properties"]["sourceUrl"]["maxLength"], URL_LENGTH);
        assert_eq!(schema["properties"]["sourceUsername"]["maxLength"], CREDENTIAL);
    }

    #[test]
    fn an_end_is_moved_by_one_way_or_the_other() {
        let far = |body: Value| serde_json::from_value::<Extend>(body).map_err(|error| error.to_string()).and_then(|extend| extend.how_far());
        assert_eq!(far(json!({"by": "2h"})).unwrap(), HowFar::By(Span::hours(2)));
        assert!(matches!(far(json!({"until": "2026-02-05T18:00:00+01:00"})), Ok(HowFar::Until(_))));
        for odd in [json!({}), json!({"by": "2h", "until": "2026-02-05T18:00:00Z"}), json!({"until": "tomorrow"}), json!({"for": "2h"}), json!("by")]
        {
            assert!(far(odd.clone()).is_err(), "{odd}");
        }
    }
}
