//! Planted bugs. The product knows nothing of them: each is a planner that errs, or a [`Cluster`] between the product and the
//! sandbox that does not do what it should. The oracle must catch every one.

use clonewarden::{
    plan::{Planner, plan},
    ports::Cluster,
    sandbox::cluster::SandboxCluster,
};
use std::sync::Arc;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing: the product as it is.
    None,
}

impl Bug {
    pub(crate) fn planner(self) -> Planner {
        plan
    }

    pub(crate) fn cluster(self, handle: SandboxCluster) -> Arc<dyn Cluster> {
        Arc::new(handle)
    }
}
