//! `deploy/` as kustomize and as a chart: both say the same, the API server takes all of it as it is, a linter has nothing against
//! it, and what is installed can be upgraded and taken away.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`. Nothing runs in the Pods here: the daemon in
//! its Deployment is for `tests/e2e/scenes/install.rs`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic, and so do its helpers")]

mod chart;
#[path = "../common/mod.rs"]
mod common;
mod live;
mod render;
mod tree;
