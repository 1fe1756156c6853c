//! **Figures for CloudWatch**: from the one registry, in the form and within the bounds of `PutMetricData`.
//!
//! ```text
//! gather() ──► readings (chosen, in order) ──► ledger: what is new since it was delivered ──► batches ──► FigureStore
//!          └─► signals (one for each alert)           ▲            given back if not taken ◄──────────────┘
//! ```
//!
//! Contract: everything here but `sdk.rs` is pure. What a counter has grown by is sent at most once: it counts as delivered from right
//! before it is sent, and is given back only if it was certainly not taken. So nothing is counted twice, and what may be lost is
//! counted (`clonewarden_cloudwatch_datums_total{outcome="unknown"}`). Nothing waits in a queue: what could not be delivered is in
//! the next difference. docs/cloudwatch.md says what is sent.

mod batch;
mod ledger;
mod readings;
mod sdk;
pub mod signals;
mod tally;
#[cfg(test)]
pub(crate) mod tests;

pub use batch::batches;
pub use ledger::{Due, Item, Ledger};
pub use readings::{Amount, CHOSEN, Reading, Readings, read};
pub use sdk::CloudWatch;
pub use tally::{Tallied, Tally};

/// What a series costs an hour, in USD: $0.30 a month for each of the first 10,000, billed by the hour in which it is sent; the list price of
/// <https://aws.amazon.com/cloudwatch/pricing/> for US East (N. Virginia). Other regions differ. A month has 730 hours.
pub const SERIES_HOUR: f64 = 0.30 / 730.0;
/// What a request costs, in USD: $0.01 for a thousand, by the same list.
pub const REQUEST: f64 = 0.01 / 1_000.0;
/// The most series that `--cloudwatch-series` takes: from there on AWS' price is another.
pub const MOST_SERIES: usize = 10_000;
