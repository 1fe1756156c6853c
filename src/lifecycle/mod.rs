//! What people and services do with clones, each with their own credentials: create, follow, wait, extend, delete. `clonewarden
//! clone …` ([`crate::cli`]) and the HTTP API ([`crate::api`]) are two mouths of it, so that they do and say the same.
//!
//! Contract: everything is asked by one [`Person`], and nothing here has any other rights. What is written is pinned by uid and
//! version to what was seen. What happens is learned by watches. A right that is missing is said, and never taken for "nothing
//! there". Nothing is printed and no spec is told on: it may hold a password.

pub(crate) mod amend;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod extend;
pub(crate) mod follow;
pub(crate) mod summary;
pub(crate) mod trouble;
pub(crate) mod view;
pub(crate) mod wait;

pub(crate) use self::{
    summary::Summary,
    trouble::{Cause, Trouble},
};

use crate::{
    model::{Kind, WordPressClone},
    observe::kube::person::Person,
    ports::Pin,
};
use jiff::Timestamp;
use serde_json::Value;

/// The present moment, to the second: nobody decides about fractions, and dates stay readable.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The clone of that name.
pub(crate) async fn existing(person: &Person, name: &str) -> Result<Value, Trouble> {
    let found = person.clone_named(name).await.map_err(|problem| Trouble::asked(name, format!("cannot get clone `{name}`"), problem))?;
    found.ok_or_else(|| Trouble::new(Cause::NoClone, name, format!("there is no clone `{name}` in `{}`", person.namespace())))
}

/// What a clone says, as far as it decides its fate.
pub(crate) fn read(object: &Value) -> Result<WordPressClone, Trouble> {
    WordPressClone::read(object).map_err(|unreadable| {
        let what = format!("the API server's answer about `{}` cannot be read: {}", unreadable.name, unreadable.problem);
        Trouble::new(Cause::Unreadable, &unreadable.name, what)
    })
}

/// Exactly what was seen.
pub(crate) fn pin(clone: &WordPressClone) -> Pin {
    Pin {
        kind: Kind::Clone,
        namespace: clone.meta.namespace().to_owned(),
        name: clone.meta.name().to_owned(),
        uid: clone.meta.uid.to_string(),
        resource_version: clone.meta.resource_version.to_string(),
    }
}

/// The failure of whoever finds another clone under the same name.
pub(crate) fn made_again(name: &str, before: &str, now: &str) -> Trouble {
    let what = format!("clone `{name}` (uid {before}) was deleted, and another one of that name was made (uid {now})");
    Trouble::new(Cause::MadeAgain, name, what)
}
