//! The only writer: carries out a plan, remembers, journals and notifies. Nothing here decides.

pub mod approvals;
pub mod approved;
mod credentials;
pub mod executor;
mod hosts;
pub mod journal;
pub mod keyring;
pub mod kube;
mod lane;
pub mod notify;
mod orphans;
pub mod policies;
mod proof;
pub(crate) mod rds;
pub(crate) mod schemas;
pub(crate) mod secrets;
pub mod state;
mod tries;
