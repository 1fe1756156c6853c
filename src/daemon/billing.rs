//! The task that asks for the bill while we hold the lease: no more often than was said, also across restarts and holders.
//!
//! Contract: a call is written down in `clonewarden-state`, by compare-and-swap, before it is sent. So a process that is killed in
//! between has spent it, and two processes never spend the same one. While the daemon is paused, or its state is not known,
//! nothing is asked: it could not be written down.

use super::{engine::Vitals, settings::Bills};
use crate::{
    act::state::StateError,
    model::bill::{self, Bill, Billing},
    observe::{
        LARGEST_SKEW,
        billing::{Purse, Unread, collect},
    },
    ports::{self, ApiError, BillQuestion, Clock, Cluster},
};
use futures::{FutureExt, future::BoxFuture};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;
use tracing::{info, warn};

/// How often it is looked whether we hold the lease by now, if no alarm comes.
const LOOK: Duration = Duration::from_secs(30);
/// How often a change to the state is tried that somebody else's comes before.
const TRIES: usize = 5;

/// What it works with.
pub struct Asking {
    /// Cost Explorer.
    pub billing: Arc<dyn ports::Billing>,
    /// The API server, for the state.
    pub cluster: Arc<dyn Cluster>,
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// What the engine shares.
    pub vitals: Vitals,
    /// How often, and for how much.
    pub bills: Bills,
    /// The account, if it was said; otherwise the one that was swept first.
    pub account: Option<Arc<str>>,
    /// Looks whether it is time: cron does.
    pub asked: Arc<Notify>,
    /// Wakes the loop when there is news.
    pub wake: Arc<Notify>,
}

impl Asking {
    /// Runs until the process ends.
    pub async fn run(self) {
        let every = self.bills.every.get();
        let look = LOOK.min(every.unsigned_abs());
        self.vitals.sweeps.expect_bills(every.unsigned_abs(), self.clock.now());
        loop {
            let (billing, now) = (self.vitals.keeper.state().map(|state| state.billing.unwrap_or_default()), self.clock.now());
            // With no call left the bill that was read is as good as it gets today: that is no failure.
            let may_ask = |billing: Billing| billing.is_due(now, every) && billing.has_left(today(now), self.bills.calls_per_day);
            if self.may_write() && self.knows_the_day(now) && billing.is_some_and(may_ask) {
                self.ask().await;
            }
            tokio::select! {
                biased;
                () = self.asked.notified() => {}
                () = self.clock.sleep(look) => {}
            }
        }
    }

    /// By another day's date there would be other calls left.
    fn knows_the_day(&self, now: Timestamp) -> bool {
        self.cluster.skew(now).is_some_and(|skew| skew.abs() <= LARGEST_SKEW)
    }

    fn may_write(&self) -> bool {
        self.vitals.fence.holds() && self.vitals.keeper.allows_writes()
    }

    /// Asks once, and writes down what came of it.
    async fn ask(&self) {
        let now = self.clock.now();
        let swept = || self.vitals.keeper.state().and_then(|state| state.aws_account).map(Arc::from);
        let Some(account) = self.account.clone().or_else(swept) else {
            // Soon a sweep will have said it; that nobody does is not to go unseen.
            let noted = self.note(|billing| billing.failed(now, "whose account it is is not known: no sweep of AWS has ended")).await;
            noted.unwrap_or_else(|error| info!(error, "That no bill is asked for could not be written down."));
            return;
        };
        if let Err(error) = self.note(|billing| billing.asked = Some(now)).await {
            info!(error, "The bill is not asked for: that could not be written down.");
            return;
        }
        let (from, until) = bill::span(today(now));
        let question = BillQuestion { from, until, tag: Arc::clone(&self.bills.tag), account };
        let told = collect(self.billing.as_ref(), &question, self, self.clock.as_ref()).await;
        let noted = match &told {
            Ok(days) => self.note(|billing| billing.read(Bill::of(now, days, billing.bill.as_deref()))).await,
            Err(unread) => {
                if matches!(unread, Unread::Cloud(_)) {
                    warn!(%unread, "The bill cannot be read; everything else goes on.");
                }
                self.note(|billing| billing.failed(now, &unread.to_string())).await
            }
        };
        if let Err(error) = noted {
            warn!(error, "What came of asking for the bill could not be written down.");
        }
        self.wake.notify_one();
    }

    /// Changes what is remembered of bills.
    async fn note<T>(&self, change: impl Fn(&mut Billing) -> T) -> Result<T, String> {
        for _ in 0..TRIES {
            if !self.may_write() {
                return Err("this process does not hold the lease, is paused, or does not know its state".to_owned());
            }
            let Some(base) = self.vitals.keeper.state() else { return Err("the state is not known".to_owned()) };
            let mut next = base.clone();
            let changed = change(next.billing.get_or_insert_default());
            match self.vitals.keeper.remember(self.cluster.as_ref(), &base, &next).await {
                Ok(()) => return Ok(changed),
                // A plan, or a person, was first. What they wrote stands, and this goes beside it.
                Err(StateError::Api(ApiError::Conflict(_))) => {
                    self.vitals.keeper.refresh(self.cluster.as_ref()).await;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("others write the state all the time".to_owned())
    }
}

impl Purse for Asking {
    fn spend(&self) -> BoxFuture<'_, Result<(), String>> {
        async {
            let (today, most) = (today(self.clock.now()), self.bills.calls_per_day);
            if self.note(|billing| billing.spend(today, most)).await? {
                return Ok(());
            }
            Err(format!("the {most} calls of {today} are spent (`--billing-calls-per-day`)"))
        }
        .boxed()
    }
}

fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests;
