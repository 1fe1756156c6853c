//! What is written down of promised places: one ConfigMap, replaced whole by compare-and-swap.

use crate::{
    plan::admit::{Claim, Residents},
    ports::Stored,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the ConfigMap, in the daemon's namespace.
pub const NAME: &str = "clonewarden-reservations";
/// The key in it.
pub const KEY: &str = "ledger.json";

/// What the ledger says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Whose term it is.
    pub holder: String,
    /// How often it changed hands.
    pub term: u64,
    /// The promises, by reservation.
    pub claims: BTreeMap<Box<str>, Claim>,
}

impl Ledger {
    /// The next term: whoever wrote the last one can write no more.
    #[must_use]
    pub fn taken_over(self, holder: &str) -> Self {
        Self { holder: holder.to_owned(), term: self.term.saturating_add(1), claims: self.claims }
    }

    /// Lets go of promises whose clones are seen.
    pub fn settle(&mut self, residents: &Residents) {
        self.claims.retain(|reservation, claim| {
            let lives = residents.find(&claim.namespace, &claim.name);
            lives.and_then(|clone| clone.reservation.as_ref()) != Some(reservation)
        });
    }

    /// Reads it from the ConfigMap.
    ///
    /// # Errors
    /// Where that holds something else, in words for people.
    pub fn read(stored: &Stored) -> Result<Self, String> {
        let text = stored.data.get(KEY).ok_or_else(|| format!("ConfigMap `{NAME}` has no key `{KEY}`"))?;
        serde_json::from_str(text).map_err(|error| format!("ConfigMap `{NAME}`, key `{KEY}`, does not parse ({error})"))
    }
}
