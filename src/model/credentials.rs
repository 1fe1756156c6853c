//! What a clone's Secret holds: everything in it is derived from the clone's UID, under a key that only the daemon has.
//!
//! Contract: pure. The same key and UID always give the same credentials, so nothing has to be read back, and a crash between the
//! Secret and the user in MySQL is harmless. One value tells nothing about another, nor about the key. Neither a key nor a secret
//! is ever printed: their `Debug` shows none of them, and their memory is wiped when they go.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The characters of a password: six bits each, so that no character is likelier than another. RDS refuses `/`, `"`, `@` and the
/// space, a shell and a DSN dislike more; these none of them minds.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What every password begins with: an upper-case letter, a lower-case one, a digit and another character, as MySQL's
/// `validate_password` and site plugins ask for. And never a hyphen, which a command line would take for an option.
const CLASSES: &str = "Cw1-";
/// How many characters are drawn behind [`CLASSES`]: 168 bits, 32 characters in all. RDS takes from 8 to 41.
const DRAWN: usize = 28;

/// The key that every clone's credentials are derived under: 32 random bytes.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

/// A secret text. It is shown to nobody who does not ask for it by [`Self::reveal`].
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretText(String);

/// How a sealed password begins. Behind it: nonce, ciphertext and tag.
pub const SEALED: &str = "sealed:v1:";

/// `spec.sourcePassword`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourcePassword {
    /// As admission left it: ciphertext, which may be read by anybody.
    Sealed(Box<str>),
    /// As somebody wrote it, where admission was not asked.
    Plain(SecretText),
}

impl SourcePassword {
    /// Reads the field; an empty one says nothing.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "" => None,
            text if text.starts_with(SEALED) => Some(Self::Sealed(text.into())),
            text => Some(Self::Plain(SecretText(text.to_owned()))),
        }
    }
}

/// What is known of the key, as a plan sees it: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeySight {
    /// Nobody asked: the snapshot was not made by a daemon.
    #[default]
    NotAsked,
    /// It could not be read yet, and why.
    Unread(Box<str>),
    /// There is no Secret with it.
    Absent,
    /// There is the Secret, and no key in it.
    Unusable,
    /// It is the one with this fingerprint.
    Held(Box<str>),
}

/// What a clone's Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Key `username`: whom to log in to the site as.
    pub username: SecretText,
    /// Key `password`: with which password.
    pub password: SecretText,
    /// Key `api-key`: for whoever speaks to the site's API.
    pub api_key: SecretText,
    /// Key `db-password`: of the clone's user in MySQL, be it the master user of its own database or the user of its schema on a
    /// shared host.
    pub db_password: SecretText,
}

impl MasterKey {
    /// Takes 32 bytes for a key; `None`: there are not 32, or they are all the same, which nothing random is.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key: [u8; 32] = bytes.try_into().ok()?;
        let first = key.first()?;
        key.iter().any(|byte| byte != first).then_some(Self(key))
    }

    /// The bytes, to be kept in our own Secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What tells this key from another and nothing else about it: 16 hexadecimal digits, fit to be shown.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(self.mac("fingerprint", "").iter().take(8))
    }

    /// The key that a source's password is sealed under while it stands in a clone's spec.
    #[must_use]
    pub fn sealing_key(&self) -> Zeroizing<[u8; 32]> {
        self.mac("seal", "")
    }

    /// HMAC-SHA-256 of a UID for one purpose.
    fn mac(&self, purpose: &str, uid: &str) -> Zeroizing<[u8; 32]> {
        // HMAC fills a short key up with zeros to the block of its hash: so does this, and no length is left that could be wrong.
        let mut block = Zeroizing::new([0_u8; 64]);
        block.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
        for part in ["clonewarden", purpose, uid] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl SecretText {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: only for the one place that it is meant for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl Credentials {
    /// The credentials of the clone with this UID.
    #[must_use]
    pub fn derive(key: &MasterKey, uid: &str) -> Self {
        Self {
            // Nobody's name, and another for each clone: who knows one does not know the next.
            username: SecretText(format!("clone-{}", hex(key.mac("username", uid).iter().take(6)))),
            password: password(key, "password", uid),
            api_key: SecretText(hex(key.mac("api-key", uid).iter())),
            db_password: db_password(key, uid),
        }
    }

    /// The keys of the Secret, and what stands under them.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, &SecretText); 4] {
        [("username", &self.username), ("password", &self.password), ("api-key", &self.api_key), ("db-password", &self.db_password)]
    }
}

/// The password of a clone's user in MySQL, on a database of its own and on a shared host alike: the RGD's Job reads it from the same
/// key of the same Secret.
#[must_use]
pub fn db_password(key: &MasterKey, uid: &str) -> SecretText {
    password(key, "db-password", uid)
}

fn password(key: &MasterKey, purpose: &str, uid: &str) -> SecretText {
    let mac = key.mac(purpose, uid);
    let drawn = mac.iter().take(DRAWN).filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
    SecretText(CLASSES.chars().chain(drawn.map(|byte| char::from(*byte))).collect())
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const UID: &str = "7f0c1f7e-58a6-4c0f-9a54-1c2d3e4f5a6b";

    fn key(first: u8) -> MasterKey {
        MasterKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|place| first.wrapping_add(u8::try_from(place).unwrap()))).unwrap()
    }

    #[test]
    fn a_key_is_32_bytes_and_nothing_that_somebody_forgot_to_fill() {
        assert!(MasterKey::from_bytes(&[]).is_none() && MasterKey::from_bytes(&[1; 31]).is_none());
        assert!(MasterKey::from_bytes(&[0; 32]).is_none() && MasterKey::from_bytes(&[7; 32]).is_none());
        assert!(MasterKey::from_bytes(&[[0; 32], [1; 32]].concat()).is_none());
    }

    /// The values that clones have in clusters that run: derived anew they must be the same in every later version. Computed by
    /// another implementation: `printf 'clonewarden\0PURPOSE\0UID\0' | openssl dgst -sha256 -mac hmac -macopt hexkey:000102…1f`.
    #[test]
    fn what_was_derived_once_is_derived_for_ever() {
        let derived = Credentials::derive(&key(0), UID);
        let values = derived.entries().map(|(name, text)| (name, text.reveal().to_owned()));
        let expected = [
            ("username", "clone-9ebbe725a33e"),
            ("password", "Cw1-UGJLfEyX3MwM-hmauGFu3INhU8yd"),
            ("api-key", "49fd223748828b20b7e8aea0639445583491a9de6b37e79de1af785b6caee6a7"),
            ("db-password", "Cw1-2HkJm_PkIo6vBBTvosi05WQ13Fnn"),
        ];
        assert_eq!(values, expected.map(|(name, text)| (name, text.to_owned())));
        assert_eq!(key(0).fingerprint(), "e063ce5ae5f1856c");
    }

    #[test]
    fn nothing_secret_is_ever_printed() {
        let key = key(0x41);
        let derived = Credentials::derive(&key, UID);
        let shown = format!("{key:?} {key:#?} {derived:?} {derived:#?}");
        for (name, text) in derived.entries() {
            assert!(!shown.contains(text.reveal()), "{name}");
        }
        // Neither as text ("ABC…") nor as a list of numbers.
        assert!(!shown.contains("ABC") && !shown.contains("66"), "{shown}");
        assert!(!shown.contains(&key.fingerprint()));
    }

    #[test]
    fn the_password_of_the_schema_is_the_one_in_the_secret() {
        assert_eq!(db_password(&key(3), UID), Credentials::derive(&key(3), UID).db_password);
    }

    proptest! {
        #[test]
        fn every_value_is_one_that_takes_part(bytes in any::<[u8; 32]>(), uid in "[0-9a-f-]{0,40}") {
            let Some(key) = MasterKey::from_bytes(&bytes) else { return Ok(()) };
            let Credentials { username, password, api_key, db_password } = Credentials::derive(&key, &uid);
            for password in [password.reveal(), db_password.reveal()] {
                // RDS: 8 to 41 printable ASCII characters without / " @ and the space; MySQL at most 32 for a replication user.
                prop_assert!((8..=32).contains(&password.len()));
                prop_assert!(password.bytes().all(|byte| byte.is_ascii_graphic() && !b"/\"@'\\`$".contains(&byte)));
                prop_assert!(password.bytes().any(|byte| byte.is_ascii_uppercase()) && password.bytes().any(|byte| byte.is_ascii_lowercase()));
                prop_assert!(password.bytes().any(|byte| byte.is_ascii_digit()) && password.bytes().any(|byte| byte.is_ascii_punctuation()));
                prop_assert!(!password.starts_with('-'));
            }
            prop_assert!(username.reveal().len() <= 60 && username.reveal().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(api_key.reveal().len() == 64 && api_key.reveal().bytes().all(|byte| byte.is_ascii_hexdigit()));
        }

        #[test]
        fn no_two_values_are_alike(bytes in any::<[u8; 32]>(), one in "[0-9a-f-]{8,36}", other in "[0-9a-f-]{8,36}") {
            let Some(key) = MasterKey::from_bytes(&bytes) else { return Ok(()) };
            prop_assume!(one != other);
            let mut others = bytes;
            others[31] ^= 1;
            let mut seen = BTreeSet::new();
            let sets = [(&key, &one), (&key, &other)].map(|(key, uid)| Credentials::derive(key, uid));
            let foreign = MasterKey::from_bytes(&others).map(|key| Credentials::derive(&key, &one));
            for (_, text) in sets.iter().chain(&foreign).flat_map(Credentials::entries) {
                prop_assert!(seen.insert(text.reveal().to_owned()), "{} twice", text.reveal());
            }
        }
    }
}
