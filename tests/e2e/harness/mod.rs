//! What scenes are made with: the cluster as its people see it, installations of clonewarden, and looking at both.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod aws;
pub(crate) mod clones;
pub(crate) mod daemon;
pub(crate) mod door;
pub(crate) mod gate;
pub(crate) mod hook;
pub(crate) mod install;
pub(crate) mod kubelet;
pub(crate) mod mariadb;
pub(crate) mod metrics;
pub(crate) mod mount;
pub(crate) mod orphans;
pub(crate) mod prometheus;
pub(crate) mod service;
pub(crate) mod stage;
pub(crate) mod tried;
pub(crate) mod wait;
