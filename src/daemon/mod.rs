//! Wiring: settings, lease, schedule, HTTP, shutdown. Nothing here decides what happens to a clone.

mod approvals;
pub(crate) mod autoscalers;
pub mod billing;
mod edit;
pub mod engine;
mod guard;
pub mod health;
pub mod http;
pub mod lease;
mod looking;
mod polling;
pub mod reload;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod shell;
pub mod shipping;
pub mod warden;
