//! What is to happen, in its order: by the time; at one moment what ends before those who come again; then as it was put in.

use super::trace::Arrival;
use crate::model::Database;
use jiff::Timestamp;
use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::Arc,
};

/// Somebody at the door.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) number: u64,
    pub(super) arrival: Arrival,
}

/// A clone that lives.
#[derive(Debug)]
pub(super) struct Living {
    pub(super) number: u64,
    pub(super) place: usize,
    pub(super) owner: Arc<str>,
    pub(super) name: Option<Arc<str>>,
    pub(super) database: Database,
    pub(super) rate: usize,
    pub(super) created: i64,
    /// Its end, as it is computed.
    pub(super) end: Timestamp,
    /// Its end, as it was announced.
    pub(super) announced: Timestamp,
}

/// What happens.
#[derive(Debug)]
pub(super) enum What {
    /// An announced end has come.
    End(Box<Living>),
    /// Its people delete it.
    Deleted(Box<Living>),
    /// What a clone left behind goes: where, and whether it costs something.
    Vacated(usize, Database, Option<usize>),
    /// Somebody comes again.
    Again(Box<Visit>),
}

/// Something that is to happen.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) at: i64,
    pub(super) again: bool,
    pub(super) order: u64,
    pub(super) what: What,
}

impl Due {
    fn key(&self) -> (i64, bool, u64) {
        (self.at, self.again, self.order)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Due>>,
    pushed: u64,
}

impl Queue {
    /// Something is to happen then.
    pub(super) fn push(&mut self, at: i64, what: What) {
        self.pushed = self.pushed.saturating_add(1);
        self.heap.push(Reverse(Due { at, again: matches!(what, What::Again(_)), order: self.pushed, what }));
    }

    /// What happens next, if it does by then.
    pub(super) fn pop(&mut self, until: i64) -> Option<Due> {
        self.heap.peek().filter(|Reverse(due)| due.at <= until)?;
        self.heap.pop().map(|Reverse(due)| due)
    }

    /// Everybody who lives.
    pub(super) fn living(&self) -> impl Iterator<Item = &Living> {
        self.heap.iter().filter_map(|Reverse(due)| match &due.what {
            What::End(living) | What::Deleted(living) => Some(living.as_ref()),
            What::Vacated(..) | What::Again(_) => None,
        })
    }
}
