//! One scene a file; `main.rs` has them in a table.

pub(crate) mod admission;
pub(crate) mod adrift;
pub(crate) mod backlog;
pub(crate) mod certificates;
pub(crate) mod crash;
pub(crate) mod credentials;
pub(crate) mod databases;
pub(crate) mod deaths;
pub(crate) mod definition;
pub(crate) mod expiry;
pub(crate) mod failover;
pub(crate) mod hosts;
pub(crate) mod leaks;
pub(crate) mod messages;
pub(crate) mod orphans;
pub(crate) mod outage;
pub(crate) mod pause;
pub(crate) mod people;
pub(crate) mod placement;
pub(crate) mod quota;
pub(crate) mod rebirth;
pub(crate) mod regions;
pub(crate) mod rights;
pub(crate) mod schemas;
pub(crate) mod secrecy;
pub(crate) mod snooze;
