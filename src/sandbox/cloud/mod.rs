//! AWS in memory: what RDS holds, how it behaves, what people do there, and a daemon's handle on it.
//!
//! ```text
//! people ──► World.aws: Aws ◄── ACK (a part of the platform)
//!                 ▲
//!  daemon ─► SandboxCloud (its faults, its clock)
//! ```
//!
//! [`Aws`](aws::Aws) is the truth and belongs to the world. It keeps RDS' rules: an identifier is taken until what had it is gone, a
//! deletion that was accepted takes minutes, protection is refused, and nothing can be said about which of two resources of one
//! identifier is meant. A [`SandboxCloud`](handle::SandboxCloud) is one process' way there; it dies with the process'
//! [`SandboxCluster`](super::cluster::SandboxCluster).

pub mod aws;
pub mod faults;
pub mod handle;
mod life;
mod look;
pub mod people;
pub mod thing;

#[cfg(test)]
mod tests;
