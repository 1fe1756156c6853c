//! What the daemon tells about itself: metrics, and objects in the cluster.

mod billing;
pub mod cloudwatch;
pub mod dashboards;
mod figures;
mod hosts;
mod lateness;
pub mod metrics;
mod money;
pub mod objects;
mod process;
pub mod registry;

#[cfg(test)]
pub(crate) mod tests;
