//! The pure core, from the daemon's own sources: what reads bytes that others wrote, and what decides.
//!
//! Contract: nothing is copied and nothing is left out of a module. The core calls no Kubernetes and no tokio, so it builds without
//! them. Through the `clonewarden` package the first build took 10 minutes instead of 5.

#[path = "../src/approve/mod.rs"]
pub mod approve;
#[path = "../src/cost/mod.rs"]
pub mod cost;
#[path = "../src/model/mod.rs"]
pub mod model;
#[path = "../src/plan/mod.rs"]
pub mod plan;
#[path = "../src/policy/mod.rs"]
pub mod policy;
#[path = "../src/rng.rs"]
pub mod rng;
#[path = "../src/simulate/mod.rs"]
pub mod simulate;

/// The webhook's wire format alone: the server around it is not pure.
#[path = "../src/admission"]
pub mod admission {
    pub mod review;
}
