//! Tries policies on a trace before they are tried on people: who is let in, how long they live, what it costs.
//!
//! ```text
//! trace (a line an arrival) ──► Simulation ──► Figures ──► table, JSON, chart
//!    ▲            ▲               admit, lifetime: the rules themselves
//!  make        history
//! ```
//!
//! Contract: pure, like `plan`: no clock, no files, and all chance comes from a seed. What a simulation takes for granted is in
//! [`setting`], and is said in the report.

pub mod chart;
pub mod curve;
pub mod engine;
pub mod history;
pub mod make;
mod purse;
mod queue;
pub mod report;
pub mod setting;
pub mod tally;
#[cfg(test)]
mod tests;
mod town;
pub mod trace;

pub use engine::{Simulation, Watch};
pub use setting::Setting;
pub use tally::Figures;
pub use trace::Arrival;
