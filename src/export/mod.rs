//! What the daemon tells about itself: metrics, and objects in the cluster.

mod billing;
mod capacity;
pub mod cloudwatch;
pub mod dashboards;
mod figures;
mod hosts;
mod lateness;
pub mod metrics;
mod money;
pub mod objects;
mod present;
mod process;
pub mod registry;
mod unit;

pub(crate) use figures::governed;

#[cfg(test)]
pub(crate) mod tests;
