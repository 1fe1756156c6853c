//! The page at `/` and the same as JSON under `/view/v1`: what the daemon sees, will do, holds and did. Read-only.
//!
//! ```text
//! loop ──► Gallery (the last plan, by pointer) ──► Look ──► View ──► JSON, or the page
//!                                                            ▲ on request, on a thread of its own
//! ```
//!
//! Contract: nothing here stands before a decision or a write; looking costs the loop nothing. Everything shown is the plan's own.
//! Whoever is not on this machine shows a token ([`door`]). How much is shown, made and remembered at a time is bounded.

mod assets;
mod door;
mod html;
mod openapi;
mod pages;
mod permits;
mod query;
mod seen;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod view;

pub use openapi::text as openapi;
pub use seen::Gallery;

use crate::{
    act::journal::Journal,
    daemon::{engine::Vitals, health::Health},
    export::registry::Metrics,
    ports::{Clock, Reviewer},
};
use axum::Router;
use door::Door;
use permits::Permits;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// How many views are made at a time: one may take as long as it takes to go through all clones.
const AT_ONCE: usize = 2;

/// What the page shares with the rest of the process.
pub struct Shared {
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// What the engine shares.
    pub vitals: Vitals,
    /// Whether the policy files as they stand can be loaded.
    pub broken: watch::Receiver<bool>,
    /// What has been done.
    pub journal: Arc<Journal>,
    /// Whether the process knows what it needs.
    pub health: Arc<Health>,
    /// The last plan.
    pub gallery: Arc<Gallery>,
    /// Who can be asked whether somebody may look; `None`: nobody but this machine may.
    pub reviewer: Option<Arc<dyn Reviewer>>,
    /// Even this machine has to show a token.
    pub token_always: bool,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What the handlers work with.
struct Desk {
    shared: Shared,
    door: Door,
    making: Arc<Semaphore>,
    /// Tells this process from the one before it, which numbered its plans from 0, too.
    run: String,
}

/// The routes of the page.
pub fn routes(shared: Shared) -> Router {
    let door = Door { permits: shared.reviewer.clone().map(Permits::new), token_always: shared.token_always };
    let run = crate::admission::reservations::random();
    pages::routes(Arc::new(Desk { shared, door, making: Arc::new(Semaphore::new(AT_ONCE)), run }))
}
