//! The real parts that end-to-end tests need: built, pinned, started on 127.0.0.1, and gone afterwards.
//!
//! The binary `clonewarden-platform` builds and supervises them; a test that runs under
//! `clonewarden-platform run -- CMD` attaches to them with [`Platform::attach`].
//!
//! ```text
//!   pins     what is built             parts    what runs, in which order
//!   compile  builds it into a cache    site     the run's folder, ports, keys, kubeconfigs
//!   python   installs what is Python
//!   mariadb  the server that plays the shared database hosts
//!   process  starts and ends processes ready    looks whether a part is ready
//!   supervise the one loop             control  the socket by which a test kills and restarts parts
//! ```
//!
//! What can be relied on: every part listens on 127.0.0.1 alone; a restarted part has the same arguments and the same
//! port; every part, restarted or not, is a child of the supervisor and dies with it, whichever way it dies.

mod attach;
mod compile;
mod control;
mod kubeconfig;
mod mariadb;
mod parts;
mod pins;
mod process;
mod python;
mod ready;
mod record;
mod run;
mod site;
mod supervise;

pub use attach::{Platform, axe, operator_crds};
pub use mariadb::MariaDb;
pub use record::PartRecord;
pub use run::main_with;
