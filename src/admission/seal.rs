//! Seals the password of a clone's source, and opens it again: ChaCha20-Poly1305 under a key of its own, derived from the one in our
//! Secret.
//!
//! Contract: a sealed text opens only for the clone of the namespace and name that it was sealed for. Whoever may read one clone
//! could otherwise make another with it, and find the password in that one's Secret.

use crate::{
    act::keyring::Keyring,
    model::{
        credentials::{MasterKey, SEALED, SecretText},
        names::KEY_SECRET,
    },
    plan::admit::Sealing,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

fn cipher(key: &MasterKey) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key.sealing_key().as_ref()).ok().map(LessSafeKey::new)
}

/// For whom: neither part may hold a `/`.
fn bound_to(namespace: &str, name: &str) -> Aad<String> {
    Aad::from(format!("clonewarden/{namespace}/{name}"))
}

/// Seals a text under a random nonce; `None`: the text is too long for the cipher.
fn seal(key: &MasterKey, nonce: [u8; NONCE_LEN], (namespace, name): (&str, &str), text: &str) -> Option<String> {
    let mut sealed = text.as_bytes().to_vec();
    cipher(key)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound_to(namespace, name), &mut sealed).ok()?;
    Some(format!("{SEALED}{}", URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())))
}

/// Opens a sealed text; `None`: it was sealed under another key, for another clone, or it is none.
pub(crate) fn open(key: &MasterKey, (namespace, name): (&str, &str), sealed: &str) -> Option<SecretText> {
    let mut bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(sealed.strip_prefix(SEALED)?).ok()?);
    let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let text = cipher(key)?.open_in_place(nonce, bound_to(namespace, name), rest).ok()?;
    std::str::from_utf8(text).ok().map(|text| SecretText::new(text.to_owned()))
}

impl Keyring {
    fn for_sealing(&self) -> Result<MasterKey, String> {
        self.key().ok_or_else(|| {
            format!("the Secret `{KEY_SECRET}` with the key that `spec.sourcePassword` is sealed under cannot be used, and the password is not stored as plain text")
        })
    }
}

impl Sealing for Keyring {
    fn seal(&self, namespace: &str, name: &str, text: &str) -> Result<String, String> {
        let key = self.for_sealing()?;
        let mut nonce = [0_u8; NONCE_LEN];
        let drawn = self.draw(&mut nonce);
        let sealed = drawn.then(|| seal(&key, nonce, (namespace, name), text)).flatten();
        sealed.ok_or_else(|| "`spec.sourcePassword` could not be sealed: the operating system has no randomness".to_owned())
    }

    fn opens(&self, namespace: &str, name: &str, sealed: &str) -> Result<bool, String> {
        Ok(open(&self.for_sealing()?, (namespace, name), sealed).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: (&str, &str) = ("n", "c");

    fn key(first: u8) -> MasterKey {
        MasterKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|place| first.wrapping_add(u8::try_from(place).unwrap()))).unwrap()
    }

    #[test]
    fn it_opens_for_whom_it_was_sealed_and_for_nobody_else() {
        let sealed = seal(&key(1), [7; NONCE_LEN], HERE, "hunter2").unwrap();
        assert!(sealed.starts_with(SEALED) && !sealed.contains("hunter2"));
        assert_eq!(open(&key(1), HERE, &sealed).unwrap().reveal(), "hunter2");
        for (key, place) in [(key(2), HERE), (key(1), ("n", "d")), (key(1), ("m", "c")), (key(1), ("nc", ""))] {
            assert!(open(&key, place, &sealed).is_none(), "{place:?}");
        }
        for nonsense in ["", "hunter2", SEALED, "sealed:v1:AAAA", "sealed:v1:%%%", &sealed.replace("v1", "v2")] {
            assert!(open(&key(1), HERE, nonsense).is_none(), "{nonsense}");
        }
    }

    #[test]
    fn the_same_password_never_looks_the_same() {
        let keys = Keyring::default();
        assert!(keys.seal("n", "c", "hunter2").unwrap_err().contains(KEY_SECRET), "there is no key yet");
        let one = seal(&key(1), [1; NONCE_LEN], HERE, "hunter2");
        assert_ne!(one, seal(&key(1), [2; NONCE_LEN], HERE, "hunter2"));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens_and_one_changed_character_spoils_it(text in any::<String>(), nonce in any::<[u8; NONCE_LEN]>(), at in any::<prop::sample::Index>()) {
            let sealed = seal(&key(3), nonce, HERE, &text).unwrap();
            let opened = open(&key(3), HERE, &sealed).unwrap();
            prop_assert_eq!(opened.reveal(), text.as_str());
            let mut spoilt = sealed.into_bytes();
            let at = at.index(spoilt.len());
            spoilt[at] = if spoilt[at] == b'A' { b'B' } else { b'A' };
            let opened = open(&key(3), HERE, std::str::from_utf8(&spoilt).unwrap());
            prop_assert!(opened.is_none());
        }
    }
}
