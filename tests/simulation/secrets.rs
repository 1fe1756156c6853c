//! What the oracle says about credentials: `S1` a Secret is made for a clone that is there, where a policy enforces, under its own
//! name; `S2` neither a Secret nor the key is ever written over, and no second key is made while a clone lives by the first; `S3` in
//! quiet time each has its own, says so, and nobody else has it.

use crate::{
    oracle::{Broken, Oracle, seconds},
    rules::{self, Rule},
};
use clonewarden::{
    model::Kind,
    sandbox::{history::Write, world::World},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The name of the Secret with the key.
const KEY: &str = "clonewarden-key";

/// What is known of Secrets.
#[derive(Debug, Default)]
pub(crate) struct Custody {
    /// Every Secret of a clone that was ever made, by its place: the UID it is for.
    made: BTreeMap<(String, String), String>,
    key_made: bool,
    /// Clones that went with their CRD: nobody wrote that they did.
    gone: BTreeSet<String>,
    /// A person has said that another key is all right.
    pub(crate) accepted: bool,
    /// Nobody can know any more which key there was; what clones say is left.
    pub(crate) forgotten: bool,
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// How the Secret of a clone is called: as the RGD says it.
fn name_of(clone: &Value) -> String {
    let id = clone["spec"]["cloneId"].as_str().unwrap_or(text(clone, "/metadata/name"));
    format!("{id}-{}-secret", text(clone, "/metadata/uid").get(..8).unwrap_or_default())
}

impl Oracle {
    /// Every clone went with its CRD.
    pub(crate) fn clones_wiped(&mut self) {
        let all: Vec<String> = self.living().map(|clone| text(clone, "/metadata/uid").to_owned()).collect();
        self.custody.gone.extend(all);
    }

    /// Judges a Secret that a daemon wrote.
    pub(crate) fn judge_secret(&mut self, daemon: &str, write: &Write) -> Result<(), (&'static str, String)> {
        if write.before.is_some() || write.after.is_none() {
            return Err(("S2", "it was there already".to_owned()));
        }
        if write.namespace.is_empty() && write.name == KEY {
            let living: Vec<&Arc<Value>> = self.living().filter(|clone| !self.custody.gone.contains(text(clone, "/metadata/uid"))).collect();
            let by_it = living.iter().filter(|clone| rules::annotation(clone, "credentials").is_some()).count();
            let made = living.iter().filter(|clone| self.custody.made.values().any(|uid| uid == text(clone, "/metadata/uid"))).count();
            let stake = if self.custody.forgotten { by_it } else { made };
            if self.custody.key_made && !self.custody.accepted && stake > 0 {
                return Err(("S2", format!("another key is made while {stake} clones live by the first")));
            }
            (self.custody.key_made, self.custody.accepted, self.custody.forgotten) = (true, false, false);
            return Ok(());
        }
        let owner = write.after.as_deref().map(|secret| text(secret, "/owner")).unwrap_or_default();
        let Some(clone) = self.form(owner) else { return Err(("S1", format!("nobody has the uid `{owner}`"))) };
        if text(clone, "/metadata/namespace") != write.namespace || name_of(clone) != write.name {
            return Err(("S1", format!("it is not called after its clone: {clone}")));
        }
        if !self.candidates(daemon, &write.namespace, seconds(write.issue.at)).iter().any(|rule| rule.enforce) {
            return Err(("S1", "no policy enforces anything there".to_owned()));
        }
        self.custody.made.insert((write.namespace.clone(), write.name.clone()), owner.to_owned());
        Ok(())
    }

    /// What a daemon says on a clone about its Secret.
    pub(crate) fn judge_recorded(&self, before: &Value, after: &Value) -> Result<(), (&'static str, String)> {
        let (was, is) = (rules::annotation(before, "credentials"), rules::annotation(after, "credentials"));
        if was == is {
            return Ok(());
        }
        let place = (text(after, "/metadata/namespace").to_owned(), is.unwrap_or_default().to_owned());
        if self.custody.made.get(&place).is_some_and(|uid| uid == text(after, "/metadata/uid")) {
            return Ok(());
        }
        Err(("S3", format!("it says {is:?}, and no such Secret was made for it")))
    }

    /// In quiet time.
    pub(crate) fn all_have_secrets(&self, world: &World, rules: &[Rule], since: i64) -> Result<(), Broken> {
        let broken = |what: String| Err(Broken { promise: "S3", what });
        let secrets: BTreeMap<(&str, &str), Arc<Value>> =
            world.clone_secrets().map(|(namespace, name, secret)| ((namespace, name), secret)).collect();
        let passwords: BTreeSet<&str> = secrets.values().map(|secret| text(secret, "/data/db-password")).collect();
        if passwords.len() != secrets.len() || passwords.contains("") {
            return broken("two clones have the same password, or one has none".to_owned());
        }
        for clone in world.objects(Kind::Clone) {
            let namespace = text(clone, "/metadata/namespace");
            let enforced = rules::governing(rules, namespace, self.env_of(namespace).as_deref()).is_some_and(|rule| rule.enforce);
            // One that is going needs none, nor one that nobody can date: that one is not touched.
            let Some(created) = rules::created(clone).filter(|_| enforced && clone["metadata"]["deletionTimestamp"].is_null()) else { continue };
            if created.max(since) + 90 > seconds(world.now()) {
                continue;
            }
            let name = name_of(clone);
            let Some(secret) = secrets.get(&(namespace, name.as_str())) else { return broken(format!("{namespace}/{name} is not there: {clone}")) };
            if text(secret, "/owner") != text(clone, "/metadata/uid") {
                return broken(format!("{namespace}/{name} is another clone's"));
            }
            if rules::annotation(clone, "credentials") != Some(name.as_str()) {
                return broken(format!("{namespace}/{name} is there, and its clone does not say so: {clone}"));
            }
        }
        Ok(())
    }
}
