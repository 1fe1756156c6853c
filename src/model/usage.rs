//! Whether somebody uses the schema of a clone: what its host has counted, and what is remembered of that.
//!
//! A [`Memory`] is a fact: when that date came, this and no more had been counted. It never becomes wrong, whoever writes it down and
//! however late. Nothing has used the schema since, if and only if the host still says exactly the same: a lower number, another
//! server, a server that has started anew, or no number at all are use. Nothing here guesses in the other direction.

use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// What a look has shown of the use of a host's schemas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Usage {
    /// No policy wants to know.
    #[default]
    NotAsked,
    /// It could not be read, and why. It may be another time.
    Unread(String),
    /// At that time, by our clock, after all of it had been read.
    Read(Timestamp, HostUse),
}

/// What a host says of the use of its schemas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostUse {
    /// It does not count what its users do, or not all of it, and why.
    pub uncounted: Option<String>,
    /// What is known of each, by the name of the schema.
    pub uses: BTreeMap<String, Use>,
}

impl Usage {
    /// All of it had been read by then.
    #[must_use]
    pub fn read(said: HostUse, at: Timestamp) -> Self {
        Self::Read(whole_millisecond(at), said)
    }

    /// What has been counted, and when it was read; `None` where not everything is.
    #[must_use]
    pub fn counted(&self) -> Option<(Timestamp, &BTreeMap<String, Use>)> {
        match self {
            Self::Read(at, HostUse { uncounted: None, uses }) => Some((*at, uses)),
            _ => None,
        }
    }

    /// Takes in what has been written down since.
    pub fn remember(&mut self, memories: &[(String, Memory)]) {
        let Self::Read(_, said) = self else { return };
        for (name, memory) in memories {
            said.uses.get_mut(name).into_iter().for_each(|known| known.memory = Some(memory.clone()));
        }
    }
}

/// What is known of the use of one schema.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Use {
    /// What the server has counted of its user, with which server that is and since when it runs; `None`: it has counted nothing.
    pub mark: Option<Box<str>>,
    /// Something is being done there at the moment, or could be without being counted.
    pub busy: bool,
    /// When something was last written to one of its tables, whoever did it, as far as the server remembers: it forgets when it restarts.
    pub written: Option<Timestamp>,
    /// What was written down last.
    pub memory: Option<Memory>,
}

/// What had been counted when this date came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The UID of the clone.
    pub uid: String,
    /// What had been counted of its user; empty: nobody could tell, and nothing equals that.
    pub mark: Box<str>,
    /// No use of all that was counted came later (whole milliseconds).
    pub used: Timestamp,
}

impl Use {
    /// Since when nothing has used it, as was found `at` that time; `None`: it is in use, or may be.
    #[must_use]
    pub fn unused_since(&self, uid: &str, at: Timestamp) -> Option<Timestamp> {
        let memory = self.memory.as_ref().filter(|memory| memory.uid == uid && self.mark.as_ref() == Some(&memory.mark))?;
        let last = self.written.map_or(memory.used, |written| written.max(memory.used));
        // A date that lies ahead was written down by a clock that was wrong.
        (!self.busy && last <= at).then_some(last)
    }

    /// What has to be written down of what was found `at` that time, if it is not yet.
    #[must_use]
    pub fn to_remember(&self, uid: &str, at: Timestamp) -> Option<Memory> {
        let used = self.unused_since(uid, at).unwrap_or(at);
        let memory = Memory { uid: uid.to_owned(), mark: self.mark.clone()?, used: whole_millisecond(used) };
        (self.memory.as_ref() != Some(&memory)).then_some(memory)
    }

    /// What has to be written down where its host was found not to count `at` that time, if it is not yet: once it counts again, its
    /// numbers may be those of before although it was used in between.
    #[must_use]
    pub fn to_forget(&self, at: Timestamp) -> Option<Memory> {
        let memory = self.memory.as_ref().filter(|memory| !memory.mark.is_empty())?;
        Some(Memory { uid: memory.uid.clone(), mark: "".into(), used: at })
    }

    /// Whether nothing has used it since it was judged.
    #[must_use]
    pub fn is_still(&self, judged: &Unused) -> bool {
        !self.busy && self.mark.as_ref() == Some(&judged.mark) && self.written.is_none_or(|written| written <= judged.since)
    }
}

/// A schema that nothing has used: what has to be so still when its clone goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// The `DatabaseHost`.
    pub host: Arc<str>,
    /// The name of the schema.
    pub schema: String,
    /// What had been counted of its user.
    pub mark: Box<str>,
    /// Since when nothing has used it.
    pub since: Timestamp,
}

/// Dates are written down in milliseconds; rounded up, for a use must not seem earlier than it was.
fn whole_millisecond(time: Timestamp) -> Timestamp {
    let whole = time.as_millisecond();
    let up = if time.subsec_nanosecond() % 1_000_000 > 0 { whole.saturating_add(1) } else { whole };
    Timestamp::from_millisecond(up).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn memory(mark: &str, used: &str) -> Memory {
        Memory { uid: "u".to_owned(), mark: mark.into(), used: at(used) }
    }

    fn unused() -> Use {
        Use { mark: Some("s 7".into()), memory: Some(memory("s 7", "2026-02-05T14:00:00Z")), ..Use::default() }
    }

    #[test]
    fn unused_is_only_what_still_says_exactly_the_same() {
        let now = at("2026-02-05T16:00:00Z");
        let since = |known: &Use| known.unused_since("u", now);
        assert_eq!(since(&unused()), Some(at("2026-02-05T14:00:00Z")));
        for mark in ["s 8", "s 6", "s 0", "t 7", ""] {
            assert_eq!(since(&Use { mark: Some(mark.into()), ..unused() }), None, "{mark}");
        }
        assert_eq!(since(&Use { mark: None, ..unused() }), None, "a user of which nothing is counted is in use");
        assert_eq!(since(&Use { memory: None, ..unused() }), None, "at first sight it is in use");
        assert_eq!(since(&Use { busy: true, ..unused() }), None, "a statement that runs counts only when it ends");
        assert_eq!(unused().unused_since("another", now), None, "what is remembered of another clone says nothing");
        assert_eq!(unused().unused_since("u", at("2026-02-05T13:59:59Z")), None, "it was written down by a clock ahead of ours");
        assert_eq!(since(&Use { mark: None, memory: None, ..Use::default() }), None, "nothing twice is not the same");
    }

    #[test]
    fn whoever_writes_uses_it() {
        let now = at("2026-02-05T16:00:00Z");
        let written = |when: &str| Use { written: Some(at(when)), ..unused() };
        assert_eq!(written("2026-02-05T15:00:00Z").unused_since("u", now), Some(at("2026-02-05T15:00:00Z")));
        assert_eq!(written("2026-02-05T13:00:00Z").unused_since("u", now), Some(at("2026-02-05T14:00:00Z")));
        assert_eq!(written("2026-02-05T16:00:01Z").unused_since("u", now), None);
    }

    #[test]
    fn what_is_remembered_is_a_fact_that_is_written_once() {
        let now = at("2026-02-05T16:00:00.0000001Z");
        assert_eq!(unused().to_remember("u", now), None);
        let used = Use { mark: Some("s 8".into()), ..unused() };
        assert_eq!(used.to_remember("u", now), Some(memory("s 8", "2026-02-05T16:00:00.001Z")), "rounded up");
        let busy = Use { busy: true, ..unused() };
        assert_eq!(busy.to_remember("u", at("2026-02-05T16:00:00Z")), Some(memory("s 7", "2026-02-05T16:00:00Z")));
        assert_eq!(Use { mark: None, ..unused() }.to_remember("u", now), None, "there is nothing to tell it by");
        let mut usage = Usage::read(HostUse { uncounted: None, uses: BTreeMap::from([("w".to_owned(), used.clone())]) }, now);
        usage.remember(&[("w".to_owned(), used.to_remember("u", now).unwrap()), ("x".to_owned(), memory("s 1", "2026-02-05T14:00:00Z"))]);
        let (_, uses) = usage.counted().unwrap();
        assert_eq!(uses.len(), 1);
        assert_eq!(uses["w"].to_remember("u", now), None);
        let uncounted = Usage::read(HostUse { uncounted: Some("why".to_owned()), uses: uses.clone() }, now);
        assert_eq!(uncounted.counted(), None);
    }

    #[test]
    fn what_a_host_counts_again_is_not_compared_with_what_it_counted_before() {
        let now = at("2026-02-05T16:00:00Z");
        let forgotten = unused().to_forget(now).unwrap();
        assert_eq!(forgotten.mark.as_ref(), "");
        let again = Use { memory: Some(forgotten), ..unused() };
        assert_eq!((again.unused_since("u", now), again.to_forget(now)), (None, None));
        assert_eq!(again.to_remember("u", now), Some(memory("s 7", "2026-02-05T16:00:00Z")));
        assert_eq!(Use { memory: None, ..unused() }.to_forget(now), None);
    }

    #[test]
    fn what_was_judged_must_be_so_still() {
        let judged = Unused { host: Arc::from("h"), schema: "w".to_owned(), mark: "s 7".into(), since: at("2026-02-05T14:00:00Z") };
        assert!(unused().is_still(&judged));
        assert!(!Use { busy: true, ..unused() }.is_still(&judged));
        assert!(!Use { mark: None, ..unused() }.is_still(&judged));
        assert!(!Use { mark: Some("s 8".into()), ..unused() }.is_still(&judged));
        assert!(!Use { written: Some(at("2026-02-05T14:00:01Z")), ..unused() }.is_still(&judged));
    }
}
