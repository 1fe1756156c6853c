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

/// A clone that lives, and then what it left behind.
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
    /// At which rate its database costs something that it left behind.
    pub(super) left: Option<usize>,
}

/// What happens.
#[derive(Debug)]
pub(super) enum What {
    /// An announced end has come.
    End(Box<Living>),
    /// Its people delete it.
    Deleted(Box<Living>),
    /// What a clone left behind goes.
    Vacated(Box<Living>),
    /// Somebody comes again.
    Again(Box<Visit>),
}

/// Something that is to happen. Small: each is moved about in the heap, again and again.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) at: i64,
    /// Among what happens at one moment; with [`AGAIN`] for those who come again.
    order: u64,
    pub(super) what: What,
}

/// After everything else at that moment: no queue is pushed to so often.
const AGAIN: u64 = 1 << 63;

impl Due {
    fn key(&self) -> (i64, u64) {
        (self.at, self.order)
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
        let order = if matches!(what, What::Again(_)) { self.pushed | AGAIN } else { self.pushed };
        self.heap.push(Reverse(Due { at, order, what }));
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
            What::Vacated(_) | What::Again(_) => None,
        })
    }
}
