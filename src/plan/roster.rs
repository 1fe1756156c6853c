//! Finds living clones by UID: for every child there is in the cluster, with every plan.
//!
//! Contract: two UIDs are the same only if they are so letter by letter. The short hash merely says where to look; no label can
//! be chosen so that looking takes long, since only UIDs that the API server gave are looked through.

use crate::model::{WordPressClone, meta::short_hash};
use std::{
    cell::Cell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

/// The clones of a snapshot by their UIDs.
pub(super) struct Roster<'a> {
    clones: &'a [Arc<WordPressClone>],
    by_uid: HashMap<Uid<'a>, usize, BuildHasherDefault<Spread>>,
    /// Where the last one was found. Children come in the order of their clones, mostly: it is this one again, or the next.
    last: Cell<usize>,
}

impl<'a> Roster<'a> {
    pub(super) fn of(clones: &'a [Arc<WordPressClone>]) -> Self {
        let mut by_uid = HashMap::with_capacity_and_hasher(clones.len(), BuildHasherDefault::default());
        by_uid.extend(clones.iter().enumerate().map(|(place, clone)| (Uid { hash: clone.meta.uid_hash, text: &clone.meta.uid }, place)));
        Self { clones, by_uid, last: Cell::new(0) }
    }

    /// The place in the snapshot of the clone with this UID.
    pub(super) fn place(&self, uid: &str) -> Option<usize> {
        let last = self.last.get();
        let near = [last, last.saturating_add(1)];
        let near = near.into_iter().find(|place| self.clones.get(*place).is_some_and(|clone| clone.meta.uid.as_ref() == uid));
        let place = near.or_else(|| self.by_uid.get(&Uid { hash: short_hash(uid), text: uid }).copied())?;
        self.last.set(place);
        Some(place)
    }
}

/// A UID with its short hash.
struct Uid<'a> {
    hash: u32,
    text: &'a str,
}

impl PartialEq for Uid<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Uid<'_> {}

impl Hash for Uid<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.hash);
    }
}

/// Spreads a hash of 32 bits over 64.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, hash: u32) {
        self.0 = (self.0 ^ u64::from(hash)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn clones(uids: &[String]) -> Vec<Arc<WordPressClone>> {
        let clone = |uid: &String| json!({"metadata": {"namespace": "n", "name": uid, "uid": uid, "creationTimestamp": "2026-02-05T14:30:22Z"}});
        uids.iter().map(|uid| Arc::new(WordPressClone::read(&clone(uid)).unwrap())).collect()
    }

    #[test]
    fn each_is_found_in_any_order_and_nobody_else() {
        let uids: Vec<String> = (0..1_000).map(|number| format!("uid-{number}")).collect();
        let clones = clones(&uids);
        let roster = Roster::of(&clones);
        let forwards = 0..uids.len();
        for place in forwards.clone().chain(forwards.clone().rev()).chain(forwards.map(|place| place * 7 % uids.len())) {
            assert_eq!(roster.place(&uids[place]), Some(place));
            assert_eq!(roster.place("uid-1000"), None);
            assert_eq!(roster.place(""), None);
        }
        assert_eq!(Roster::of(&[]).place("uid-1"), None);
    }

    #[test]
    fn the_same_hash_is_not_the_same_uid() {
        // FNV-1a, 32 bits, cannot tell these two apart.
        let (one, other) = ("costarring", "liquid");
        assert_eq!(short_hash(one), short_hash(other));
        let clones = clones(&[one.to_owned()]);
        let roster = Roster::of(&clones);
        assert_eq!((roster.place(one), roster.place(other)), (Some(0), None));
    }
}
