//! A Secret for every clone that is governed under `enforce`, and the key that its credentials are derived under.
//!
//! The Secret is made once and recorded on the clone; what stands recorded is not looked at again, since the daemon may not read
//! Secrets where clones live. The key is made when the first policy enforces. It is never made a second time, nor is another one
//! taken, while a clone lives whose credentials may come from the first: its database would not know the new passwords.

use super::{Action, BlockedBy, Decision, NobodyLives, Reason, Target, Work, ground::Ground};
use crate::model::{Kind, Snapshot, Source, State, WordPressClone, credentials::KeySight, names};
use crate::policy::{ClonePolicy, Mode};
use serde_json::{Value, json};
use std::sync::Arc;

/// Why a Secret or the key is made, or not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The clone has no Secret, as far as it says.
    Secret,
    /// The same, and it cannot be made: there is no key, or not the right one.
    Waits,
    /// There is no key, and none is missed.
    Key,
    /// The key is gone, and so many clones live.
    Lost(usize),
    /// There is another key than the one that so many clones live with.
    Changed(usize),
    /// What is there is no key.
    Unusable,
    /// It cannot be read.
    Unread(Box<str>),
}

impl Lack {
    /// The code: CamelCase, each with a line in the docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Secret => "CredentialsMissing",
            Self::Waits => "CredentialsHeld",
            Self::Key => "CredentialsKeyMissing",
            Self::Lost(_) => "CredentialsKeyLost",
            Self::Changed(_) => "CredentialsKeyChanged",
            Self::Unusable => "CredentialsKeyUnusable",
            Self::Unread(_) => "CredentialsKeyUnread",
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        let way_out = "restore it, or let another one be made for new clones: `clonewarden brake release credentials-key --reason …`";
        match self {
            Self::Secret => "is not recorded on its clone: it is made, with credentials derived from the clone's UID".to_owned(),
            Self::Waits => {
                "is not made while the key behind it is not the one that clones live with: see the alert about `credentials-key`".to_owned()
            }
            Self::Key => format!("is not there: the Secret `{}` is made with a random one", names::KEY_SECRET),
            Self::Lost(clones) => {
                format!("the Secret `{}` is gone and {clones} clones live whose credentials may come from it: {way_out}", names::KEY_SECRET)
            }
            Self::Changed(clones) => format!(
                "the Secret `{}` holds another key than before and {clones} clones live whose credentials may come from that: {way_out}",
                names::KEY_SECRET
            ),
            Self::Unusable => {
                format!(
                    "the Secret `{}` holds no key of 32 bytes under `{}`: restore it, or delete it if it was never used",
                    names::KEY_SECRET,
                    names::KEY_ENTRY
                )
            }
            Self::Unread(why) => format!("the Secret `{}` cannot be read, and no clone gets its own until it can: {why}", names::KEY_SECRET),
        }
    }

    pub(super) fn facts(&self, put: &mut impl FnMut(&str, Value)) {
        match self {
            Self::Lost(clones) | Self::Changed(clones) => put("clones", json!(clones)),
            Self::Unread(why) => put("lack", json!(why)),
            Self::Secret | Self::Waits | Self::Key | Self::Unusable => {}
        }
    }
}

/// What can be made under the key, as things are.
pub(super) enum Key {
    /// Secrets.
    Usable,
    /// The key itself, once this is proved; Secrets come when it is there.
    Missing(NobodyLives),
    /// Nothing yet: whether a clone has a Secret cannot be seen, and without clones nobody needs a key.
    Early,
    /// Nothing, and a person should look.
    Amiss(Lack),
}

impl Key {
    /// Judges the key, and remembers it.
    pub(super) fn of(snapshot: &Snapshot, ground: &Ground<'_>, state: &mut State) -> Self {
        let enforced = ground.policies.policies.iter().any(|policy| policy.mode == Mode::Enforce);
        let seen = match &snapshot.key {
            _ if !enforced => return Self::Usable,
            KeySight::NotAsked => return Self::Usable,
            KeySight::Unread(why) => return Self::Amiss(Lack::Unread(why.clone())),
            KeySight::Held(seen) => Some(seen.as_ref()),
            KeySight::Absent | KeySight::Unusable => None,
        };
        let known = state.credentials_key.as_deref();
        // One that is there while nothing is remembered, be it that the state was lost, is the one.
        let fits = seen.is_some_and(|seen| known.is_none_or(|known| known == seen));
        let at_stake = if fits || state.credentials_key_accepted { 0 } else { at_stake(snapshot, ground, known.is_some()) };
        if at_stake > 0 {
            state.credentials_key_lost.get_or_insert(ground.now);
            return Self::Amiss(match &snapshot.key {
                KeySight::Absent => Lack::Lost(at_stake),
                KeySight::Unusable => Lack::Unusable,
                _ => Lack::Changed(at_stake),
            });
        }
        state.credentials_key_lost = None;
        match seen {
            Some(seen) => {
                state.credentials_key = Some(seen.to_owned());
                state.credentials_key_accepted = false;
                Self::Usable
            }
            None if snapshot.key == KeySight::Unusable => Self::Amiss(Lack::Unusable),
            None if state.credentials_key_accepted => Self::Missing(NobodyLives::Needless),
            None if state.credentials_key.is_some() => Self::Missing(NobodyLives::AtAll),
            None if snapshot.evidence.lack(&Source::Objects(Kind::Clone), ground.now).is_some() => Self::Early,
            None => Self::Missing(NobodyLives::WithSecret),
        }
    }

    /// What is to be done about the Secret of a clone, about which `verdict` has been decided.
    pub(super) fn secret(&self, clone: &Arc<WordPressClone>, policy: &ClonePolicy, verdict: &Decision) -> Option<Decision> {
        if clone.meta.terminating.is_some() || verdict.action == Action::Delete || clone.has_credentials() {
            return None;
        }
        let decision = |action, lack| Decision::new(action, Some(&policy.name), Target::Secret(Arc::clone(clone)), Reason::Credentials(lack));
        Some(match self {
            _ if policy.mode == Mode::Audit => Decision { blocked_by: Some(BlockedBy::Audit), ..decision(Action::Create, Lack::Secret) },
            // What is written on the clone for another reason changes its version: this is then recorded on the next one.
            Self::Usable => decision(Action::Create, Lack::Secret).with(Work::Secret(verdict.work.is_none())),
            Self::Missing(_) | Self::Early => decision(Action::Create, Lack::Secret),
            Self::Amiss(_) => decision(Action::Hold, Lack::Waits),
        })
    }

    /// What is to be done about the key itself.
    pub(super) fn decision(self) -> Option<Decision> {
        let decision = |action, lack| Decision::new(action, None, Target::Source(Source::Key), Reason::Credentials(lack));
        match self {
            Self::Usable | Self::Early => None,
            Self::Missing(proof) => Some(decision(Action::Create, Lack::Key).with(Work::Key(proof))),
            Self::Amiss(lack) => Some(decision(Action::Alert, lack)),
        }
    }
}

/// How many living clones may have credentials from a key that is not there any more. Once a key was used, a Secret may have been
/// made and not recorded; before, only those that say so can have one. What cannot be read lives, and what is not known does.
fn at_stake(snapshot: &Snapshot, ground: &Ground<'_>, used: bool) -> usize {
    let clones = snapshot.clones.iter().filter(|clone| used || clone.credentials.is_some()).count();
    // What one that cannot be read says is not known either.
    let unreadable = snapshot.unreadable.iter().filter(|object| object.kind == Kind::Clone).count();
    // While they never were served there was no key to be lost.
    let ever = used || snapshot.state.clones_served;
    let unknown = ever && snapshot.evidence.lack(&Source::Objects(Kind::Clone), ground.now).is_some();
    clones.saturating_add(unreadable).max(usize::from(unknown))
}

#[cfg(test)]
mod tests;
