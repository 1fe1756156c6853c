//! The only writer: carries out a plan, remembers, journals and notifies. Nothing here decides.

pub mod executor;
pub mod journal;
pub mod kube;
pub mod notify;
pub(crate) mod rds;
pub(crate) mod secrets;
pub mod state;
