//! Wiring: settings, lease, schedule, HTTP, shutdown. Nothing here decides what happens to a clone.

pub mod engine;
pub mod lease;
pub mod warden;
