//! A schema on a shared database host, and the row in the ledger that says whose it is.
//!
//! Schema and user of a clone are both called `wp_` and the first 28 hexadecimal digits of its UID: never after its name, since a clone
//! that is made again must not meet the data of the one before. A name proves nothing; the row does, and both must agree.

use super::{credentials::SecretText, usage::Usage};
use jiff::Timestamp;
use std::sync::Arc;

/// The kind, as it stands in plans and on `Orphan`s.
pub const KIND: &str = "Schema";
/// What every schema of a clone is called like.
pub const PREFIX: &str = "wp_";
/// How many digits of the UID follow: with them a name has 31 characters of the 32 that MySQL allows a user.
const DIGITS: usize = 28;

/// The name of the schema, and of the user, of the clone that has this UID; `None` if that is no UID.
#[must_use]
pub fn schema_name(uid: &str) -> Option<String> {
    let digits: String = uid.chars().filter(|c| *c != '-').collect();
    let lower = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    digits.get(..DIGITS).filter(|_| lower).map(|digits| format!("{PREFIX}{digits}"))
}

/// Whether a name has the form of a clone's schema, and can stand in a statement as it is.
#[must_use]
pub fn is_schema_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// How far a schema has come, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowState {
    /// It is being made, or the making was cut off.
    Making,
    /// Schema, user and rights are there.
    Ready,
    /// It is being dropped, or the dropping was cut off.
    Dropping,
}

impl RowState {
    /// The word in the ledger.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Ready => "ready",
            Self::Dropping => "dropping",
        }
    }

    /// The state of that word; `None`: another release, or a person, wrote it.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Making, Self::Ready, Self::Dropping].into_iter().find(|state| state.word() == word)
    }
}

/// A row of the ledger on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// The id of the cluster that the clone lives in.
    pub cluster: String,
    /// The UID of the clone.
    pub uid: String,
    /// The namespace of the clone.
    pub namespace: String,
    /// The name of the clone.
    pub clone: String,
    /// How far it has come; `None`: it cannot be read.
    pub state: Option<RowState>,
    /// When it was written, by the daemon's clock.
    pub made: Timestamp,
}

/// What a host has under one name that is called like a clone's, or that a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The `DatabaseHost`.
    pub host: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its row in the ledger.
    pub row: Option<LedgerRow>,
    /// Whether there is a schema of that name.
    pub there: bool,
    /// Whether there is a user of that name.
    pub user: bool,
    /// Data and indexes, in bytes, as the server estimates them.
    pub bytes: u64,
    /// How many connections its user has.
    pub connections: u32,
    /// When something was last written to one of its tables, as far as the server remembers: it forgets when it restarts.
    pub last_write: Option<Timestamp>,
}

impl Schema {
    /// One of which there is nothing yet.
    #[must_use]
    pub fn absent(host: &Arc<str>, name: String) -> Self {
        Self { host: Arc::clone(host), name, row: None, there: false, user: false, bytes: 0, connections: 0, last_write: None }
    }

    /// The row, if it is one of this cluster's and agrees with the name.
    #[must_use]
    pub fn proven(&self, cluster: &str) -> Option<&LedgerRow> {
        self.row.as_ref().filter(|row| row.cluster == cluster && schema_name(&row.uid).as_deref() == Some(self.name.as_str()))
    }

    /// Whether there is nothing at all under its name.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.row.is_none() && !self.there && !self.user
    }

    /// What no other schema on any host has: `mysql/<host>/<name>`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("mysql/{}/{}", self.host, self.name)
    }
}

/// What one look at a host has shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    /// The server's own version.
    pub version: String,
    /// What is called like a clone's schema, and what the ledger has a row for, sorted by name.
    pub schemas: Vec<Arc<Schema>>,
    /// How many other schemas there are, besides the server's own and the ledger.
    pub others: usize,
    /// How many connections it has, of all users.
    pub connections: u32,
    /// How many it allows.
    pub max_connections: u32,
    /// What is known of the use of its schemas.
    pub usage: Usage,
}

/// What a host has room for, as far as the last look at it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostRoom {
    /// What is on it that is called like a clone's schema, or that a row is about.
    pub names: Vec<String>,
    /// Why nothing is known of it at present.
    pub lack: Option<String>,
}

/// What is to be made: a schema and its user for one clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaOrder {
    /// The name of both.
    pub name: String,
    /// What the ledger is to say.
    pub row: LedgerRow,
    /// The password of the user.
    pub password: SecretText,
    /// The most connections that the user may have at once.
    pub connections: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_called_after_the_uid_as_the_definition_derives_it() {
        let uid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let name = schema_name(uid).unwrap();
        assert_eq!(name, "wp_0f8fad5bd9cb469fa16570867728");
        assert_eq!(name.len(), 31);
        assert!(is_schema_name(&name));
        let definition = include_str!("../../deploy/kro/wordpress-clone.yaml");
        let derived = r#"${"wp_" + schema.metadata.uid.replace("-", "").substring(0, 28)}"#;
        assert_eq!(definition.matches(derived).count(), 2, "the Pod's user and schema are derived otherwise");
    }

    #[test]
    fn what_is_no_uid_has_no_schema() {
        for uid in
            ["", "clone-1", "0F8FAD5B-D9CB-469F-A165-70867728950E", "0f8fad5b-d9cb-469f-a165-70867728950", "0f8fad5b-d9cb-469f-a165-7086772895é"]
        {
            assert_eq!(schema_name(uid), None, "{uid}");
        }
        for name in ["wpX0f8fad5bd9cb469fa16570867728", "wp_0f8fad5bd9cb469fa1657086772", "wp_0f8fad5bd9cb469fa1657086772`", "wordpress"] {
            assert!(!is_schema_name(name), "{name}");
        }
    }

    #[test]
    fn a_row_proves_only_what_it_agrees_with() {
        let uid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let row = LedgerRow {
            cluster: "ours".to_owned(),
            uid: uid.to_owned(),
            namespace: "staging".to_owned(),
            clone: "a".to_owned(),
            state: Some(RowState::Ready),
            made: Timestamp::UNIX_EPOCH,
        };
        let schema = |name: &str, row: Option<LedgerRow>| Schema { row, ..Schema::absent(&Arc::from("h"), name.to_owned()) };
        let name = schema_name(uid).unwrap();
        assert!(schema(&name, Some(row.clone())).proven("ours").is_some());
        assert!(schema(&name, Some(row.clone())).proven("theirs").is_none());
        assert!(schema("wp_0f8fad5bd9cb469fa16570867729", Some(row)).proven("ours").is_none());
        assert!(schema(&name, None).proven("ours").is_none());
    }

    #[test]
    fn every_state_is_read_back() {
        for state in [RowState::Making, RowState::Ready, RowState::Dropping] {
            assert_eq!(RowState::of(state.word()), Some(state));
        }
        assert_eq!(RowState::of("READY"), None);
    }
}
