//! Makes the Secrets of clones, and the key behind them. Nothing that is in them is ever in an ending.

use super::{
    executor::{Executor, pin},
    journal::Ending,
    orphans,
};
use crate::{
    admission::seal::open,
    model::{
        Kind, WordPressClone,
        credentials::{Credentials, MasterKey, SecretText, SourcePassword},
        meta, names,
    },
    plan::{NobodyLives, Plan},
    ports::{ApiError, CloneSecret},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The entry of the Secret with the password of the site that was cloned.
const SOURCE_PASSWORD: &str = "source-password";

impl Executor {
    /// Makes the Secret of a clone, then writes on the clone that it was made: in that order, so that a crash between the two is a
    /// creation that finds the Secret there. `record`: the second at once; else it follows by the next plan.
    pub(super) async fn make_secret(&self, clone: &WordPressClone, record: bool, plan: &Plan) -> Ending {
        let key = match self.key(plan) {
            Ok(key) => key,
            Err(why) => return why,
        };
        let owner = pin(Kind::Clone, &clone.meta);
        let data = match contents(&key, clone) {
            Ok(data) => data,
            Err(why) => return Ending::Failed(why.to_owned()),
        };
        let secret = CloneSecret { owner, name: clone.secret_name(), data };
        if let Err(error) = self.tools.secrets.make_secret(&secret).await {
            return orphans::ending(Err(error));
        }
        if !record {
            return Ending::Begun;
        }
        // Nothing is written after the lease: that the Secret is there the next holder finds out.
        if !self.may_write() {
            return Ending::Stopped;
        }
        let changes = BTreeMap::from([(names::CREDENTIALS, Some(secret.name.clone()))]);
        orphans::ending(self.tools.cluster.annotate(&secret.owner, &changes).await)
    }

    /// The key, if it is the one that was judged. Under another, a clone's Secret and its user in MySQL could have two passwords.
    pub(super) fn key(&self, plan: &Plan) -> Result<MasterKey, Ending> {
        let unread = || Ending::Failed(format!("the Secret `{}` has not been read", names::KEY_SECRET));
        let key = self.tools.keys.key().ok_or_else(unread)?;
        if is_judged(&key, plan.state.credentials_key.as_deref()) {
            Ok(key)
        } else {
            Err(Ending::Conflict(format!("the Secret `{}` holds another key by now", names::KEY_SECRET)))
        }
    }

    /// Makes the key. Somebody may have been faster: then that one is the key.
    pub(super) async fn make_key(&self, proof: NobodyLives) -> Ending {
        if let Err(why) = self.prove(proof).await {
            return why;
        }
        if !self.may_write() {
            return Ending::Stopped;
        }
        let made = self.tools.keys.make(self.tools.secrets.as_ref()).await;
        self.tools.wake.notify_one();
        match made {
            Err(ApiError::NotFound) => Ending::Failed("the daemon's namespace is not there".to_owned()),
            made => orphans::ending(made),
        }
    }
}

impl Executor {
    /// Proves by a quorum read that no clone may have credentials from another key.
    async fn prove(&self, proof: NobodyLives) -> Result<(), Ending> {
        if proof == NobodyLives::Needless {
            return Ok(());
        }
        let mut next = None;
        loop {
            let page = match self.tools.cluster.list(Kind::Clone, next.take(), true).await {
                Ok(page) => page,
                Err(error) => return Err(Ending::Failed(format!("the clones could not be listed: {error}"))),
            };
            let counts = |clone: &Value| proof == NobodyLives::AtAll || meta::entry(clone, "annotations", names::CREDENTIALS).is_some();
            if page.items.iter().any(counts) {
                return Err(Ending::Conflict("a clone lives whose credentials may come from another key".to_owned()));
            }
            match page.next {
                Some(token) => next = Some(token),
                None => return Ok(()),
            }
        }
    }
}

/// Whether a key is the one of that fingerprint. Where none is known, the one that is there is it.
fn is_judged(key: &MasterKey, known: Option<&str>) -> bool {
    known.is_none_or(|known| known == key.fingerprint())
}

/// What the Secret of a clone holds.
fn contents(key: &MasterKey, clone: &WordPressClone) -> Result<BTreeMap<&'static str, SecretText>, &'static str> {
    let derived = Credentials::derive(key, &clone.meta.uid);
    let mut data: BTreeMap<_, _> = derived.entries().map(|(name, text)| (name, text.clone())).into();
    let place = (clone.meta.namespace(), clone.meta.name());
    let password = match &clone.source_password {
        None => return Ok(data),
        Some(SourcePassword::Plain(text)) => text.clone(),
        Some(SourcePassword::Sealed(sealed)) => open(key, place, sealed).ok_or(
            "`spec.sourcePassword` was sealed under another key, or for another clone: write the password itself into the clone's spec again",
        )?,
    };
    data.insert(SOURCE_PASSWORD, password);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_was_judged_is_used() {
        let key = |first: u8| MasterKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|place| first ^ u8::try_from(place).unwrap())).unwrap();
        let known = key(1).fingerprint();
        assert!(is_judged(&key(1), Some(&known)) && is_judged(&key(1), None));
        assert!(!is_judged(&key(2), Some(&known)), "somebody has put another one there since");
    }
}
