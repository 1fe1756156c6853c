//! The key that clones' credentials are derived under: read from our own Secret, made there once.
//!
//! Contract: the key leaves this process only into that Secret. It is used as long as the Secret holds it: a key that only we still
//! have would give passwords that nobody could derive after us.

use crate::{
    model::{
        credentials::{KeySight, MasterKey},
        names::{KEY_ENTRY, KEY_SECRET},
    },
    ports::{ApiError, Secrets},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// Draws random bytes; `false`: the operating system has none.
pub type Draw = Box<dyn Fn(&mut [u8]) -> bool + Send + Sync>;

/// The key, and what is known of it.
pub struct Keyring {
    held: Mutex<Held>,
    draw: Draw,
}

#[derive(Default)]
struct Held {
    key: Option<MasterKey>,
    /// `None`: it was never asked for.
    sight: Option<KeySight>,
}

impl Default for Keyring {
    fn default() -> Self {
        Self::drawing(Box::new(|bytes| rustls::crypto::ring::default_provider().secure_random.fill(bytes).is_ok()))
    }
}

impl Keyring {
    /// A keyring that has not looked yet, and draws new keys by `draw`.
    #[must_use]
    pub fn drawing(draw: Draw) -> Self {
        Self { held: Mutex::default(), draw }
    }

    /// The key, if the Secret held it when it was read last.
    #[must_use]
    pub fn key(&self) -> Option<MasterKey> {
        self.held().key.clone()
    }

    /// What is known of the key; `None`: it was never asked for.
    #[must_use]
    pub fn sight(&self) -> Option<KeySight> {
        self.held().sight.clone()
    }

    /// Draws random bytes; `false`: there are none.
    pub fn draw(&self, bytes: &mut [u8]) -> bool {
        (self.draw)(bytes)
    }

    /// Reads the Secret; whether it shows something else than before. While it cannot be read, what was read last holds.
    pub async fn refresh(&self, secrets: &dyn Secrets) -> bool {
        let read = secrets.read_secret(KEY_SECRET).await;
        let mut held = self.held();
        let (key, sight) = match read {
            Ok(None) => (None, KeySight::Absent),
            Ok(Some(stored)) => match stored.data.get(KEY_ENTRY).and_then(|bytes| MasterKey::from_bytes(bytes)) {
                Some(key) => {
                    let fingerprint = key.fingerprint();
                    (Some(key), KeySight::Held(fingerprint.into()))
                }
                None => (None, KeySight::Unusable),
            },
            Err(_) if !matches!(held.sight, None | Some(KeySight::Unread(_))) => return false,
            Err(error) => (None, KeySight::Unread(error.to_string().into())),
        };
        let sight = Some(sight);
        let changed = held.sight != sight;
        *held = Held { key, sight };
        changed
    }

    /// Makes the key: by creation only, so that one that is there is never replaced. What then stands there is read again.
    ///
    /// # Errors
    /// When the operating system has no randomness, or the API server does not take it.
    pub async fn make(&self, secrets: &dyn Secrets) -> Result<(), ApiError> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        if !self.draw(bytes.as_mut()) || MasterKey::from_bytes(bytes.as_ref()).is_none() {
            return Err(ApiError::Refused { code: 0, message: "the operating system has no randomness".to_owned() });
        }
        let made = secrets.write_secret(KEY_SECRET, BTreeMap::from([(KEY_ENTRY.to_owned(), bytes.to_vec())]), None).await;
        self.refresh(secrets).await;
        made.map(drop)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
