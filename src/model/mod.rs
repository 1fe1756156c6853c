//! The vocabulary: plain data about clones, what they own, and what is known about it.
//!
//! Contract: nothing here does I/O, reads a clock or draws a random number. Objects arrive as JSON from whoever read them
//! (a watch, a file, the sandbox) and leave as small structs that hold only what a decision reads.

pub mod approval;
pub mod autoscaler;
pub mod bill;
pub mod child;
pub mod clone;
pub mod cloud;
pub mod credentials;
pub mod database;
pub mod duration;
pub mod evidence;
pub mod journal;
pub mod kind;
pub mod marks;
pub mod meta;
pub mod month;
pub mod names;
pub mod node;
pub mod occupancy;
pub mod orphan;
pub mod quantity;
pub mod quota;
pub mod requests;
pub mod schema;
mod shared;
pub mod snapshot;
pub mod state;
pub mod usage;

pub use child::{Child, Health};
pub use clone::{CloneState, Reading, WordPressClone};
pub use database::Database;
pub use duration::Span;
pub use evidence::{Evidence, EvidenceSet, Source};
pub use kind::Kind;
pub use meta::{Meta, Unreadable};
pub use month::Month;
pub use node::Node;
pub use quantity::Quantity;
pub use quota::Quota;
pub use schema::Schema;
pub use snapshot::Snapshot;
pub use state::State;

use jiff::Timestamp;

/// Rounds up to a whole second, the resolution in which dates are announced. Dates at the end of time stay as they are.
#[must_use]
pub fn ceil_to_second(time: Timestamp) -> Timestamp {
    let whole = time.as_second();
    let up = if time.subsec_nanosecond() > 0 { whole.saturating_add(1) } else { whole };
    Timestamp::from_second(up).unwrap_or(time)
}

/// `time + span`, or the end of time where that overflows: a far end must never wrap into an early one.
#[must_use]
pub fn later(time: Timestamp, span: jiff::SignedDuration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}
