//! clonewarden: governs the life and the cost of ephemeral clones in a Kubernetes cluster.
//!
//! ```text
//! observe ──► Snapshot ──► plan(&snapshot, &policies, now) ──► Plan ──► act
//! ```
//!
//! Three kinds of code: **pure** ([`model`], [`policy`], [`plan`]) decides, **observe / act** read and write through the
//! traits in [`ports`], and the **daemon** wires them. A clone's fate is decided in `plan::lifetime`.

pub mod act;
pub mod admission;
pub mod api;
pub mod approve;
pub mod check;
pub mod cli;
pub mod cost;
pub mod daemon;
pub mod diff;
pub mod export;
pub(crate) mod lifecycle;
pub mod model;
pub(crate) mod notices;
pub mod observe;
pub mod plan;
pub mod policy;
pub mod ports;
pub(crate) mod post;
pub mod rng;
pub mod sandbox;
pub mod simulate;
pub mod traces;
pub mod web;
