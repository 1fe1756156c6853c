//! The only writer: carries out a plan, remembers, journals and notifies. Nothing here decides.

pub mod executor;
pub mod journal;
pub mod kube;
mod lane;
pub mod notify;
mod orphans;
mod proof;
pub(crate) mod rds;
pub(crate) mod secrets;
pub mod state;
mod tries;
