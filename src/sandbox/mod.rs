//! A cluster in memory, for the demo, for tests and for the fault simulation.
//!
//! ```text
//! people ────────► World ◄──── Platform (KRO, ACK, Jobs)
//!                    ▲
//!  daemon A ─► SandboxCluster (its faults, its clock)
//!  daemon B ─► SandboxCluster (its faults, its clock)
//! ```
//!
//! The [`World`](world::World) is the truth: it behaves as the API server does (preconditions, finalizers, watches that expire)
//! and keeps a history of every write. A [`SandboxCluster`](cluster::SandboxCluster) is one daemon's handle on it; what goes
//! wrong on the way is drawn from a seed ([`Faults`](faults::Faults)). A [`SandboxClock`](clock::SandboxClock) runs on tokio's
//! time, so that a test can pause it. Nothing in here reads the wall clock or draws a number that the seed does not give.

pub mod ack;
mod children;
pub mod clock;
pub mod cloud;
pub mod cluster;
pub mod faults;
pub mod history;
pub mod hosts;
pub mod json;
pub mod people;
pub mod platform;
mod secrets;
mod store;
#[cfg(test)]
mod tests;
mod watch;
pub mod world;
