//! One clone as it is told of: how it is, when it ends, whose it is, where its site is. The command line prints it, and the HTTP API
//! answers with it.

use crate::{
    model::{Reading, WordPressClone, orphan::status::moment},
    plan::working::{State, Told},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// One clone as it is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its UID: a clone made again under its name has another.
    pub(crate) uid: String,
    /// How it is: `works`, `starting`, `broken`, `terminating` or `unknown` (nothing speaks against it, but not everything is seen).
    #[schemars(extend("enum" = State::WORDS))]
    pub(crate) state: &'static str,
    /// What is missing, wrong, left or not seen.
    pub(crate) why: Vec<String>,
    /// When it was created.
    #[schemars(schema_with = "moment")]
    pub(crate) created_at: Timestamp,
    /// The announced end; null: none is announced.
    #[schemars(with = "Option<Moment>")]
    pub(crate) expires_at: Option<Timestamp>,
    /// Since when nothing has used its database, if that is why its end is so near.
    #[schemars(with = "Option<Moment>")]
    pub(crate) unused_since: Option<Timestamp>,
    /// Somebody keeps it: nothing ends it.
    pub(crate) kept: bool,
    /// Whose it is, once admission has said so.
    pub(crate) owner: Option<String>,
    /// `shared`, `dedicated` or `serverless`.
    pub(crate) database: String,
    /// Where its site is, once KRO has said so.
    pub(crate) url: Option<String>,
    /// The name of the Secret with its credentials.
    pub(crate) secret: String,
}

/// A date, as a schema.
pub(crate) struct Moment;

impl JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        moment(generator)
    }
}

impl Summary {
    pub(crate) fn new(clone: &WordPressClone, told: &Told, state: &State) -> Self {
        Self {
            namespace: clone.meta.namespace().to_owned(),
            name: clone.meta.name().to_owned(),
            uid: clone.meta.uid.to_string(),
            state: state.word(),
            why: state.why().to_vec(),
            created_at: clone.meta.created,
            expires_at: clone.expires_at.value().copied(),
            unused_since: clone.unused_since.value().copied(),
            kept: clone.keep == Reading::Value(true),
            owner: clone.owner.as_deref().map(str::to_owned),
            database: told.database.clone(),
            url: told.url.clone(),
            secret: told.secret.clone(),
        }
    }
}
