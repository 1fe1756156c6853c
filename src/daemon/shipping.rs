//! The task that sends figures to CloudWatch while we hold the lease.
//!
//! Contract: nothing else depends on it. It holds no lock that a decision needs, only reads what a scrape reads, and waits for AWS alone;
//! where it dies it is started again, and the process goes on. While nothing gets through, nothing piles up: the next difference has
//! what could not be delivered.

use super::{engine::Vitals, settings::Figures};
use crate::{
    export::{
        cloudwatch::{CloudWatch, Due, Item, Ledger, Readings, Tally, batches, read},
        registry::Metrics,
    },
    ports::{Clock, Datum, FigureStore, PutError},
    rng::Rng,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tracing::{error, info, warn};

/// The longest wait after failures, where figures are not sent less often anyway.
const LONGEST: Duration = Duration::from_secs(300);
/// How long it is waited before a task that has died is started again.
const AFTER_DEATH: Duration = Duration::from_secs(60);
/// How often a standby looks whether it has become the holder.
const STANDBY: Duration = Duration::from_secs(5);
/// How long the last figures of a process may take.
const LAST: Duration = Duration::from_secs(3);
/// How long one request may take, whatever the adapter makes of it.
const REQUEST: Duration = Duration::from_secs(30);

/// Figures that are being sent.
pub struct Shipment {
    shipping: Arc<Shipping>,
    task: JoinHandle<()>,
}

/// Begins to send what `metrics` has.
pub async fn start(figures: &Figures, metrics: &Arc<Metrics>, clock: &Arc<dyn Clock>, vitals: &Vitals) -> Shipment {
    let store = Arc::new(CloudWatch::connect(&figures.region, &figures.namespace).await);
    let fence = vitals.fence.clone();
    let shipping = Arc::new(Shipping::new(store, Arc::clone(metrics), Arc::clone(clock), move || fence.holds(), figures.every, figures.series));
    info!(namespace = figures.namespace, region = &*figures.region, "Sending figures to CloudWatch.");
    Shipment { task: tokio::spawn(Arc::clone(&shipping).run()), shipping }
}

impl Shipment {
    /// Ends it; where there is time, with what was counted last.
    pub async fn end(self, in_peace: bool) {
        if in_peace && self.shipping.led.load(Ordering::Relaxed) {
            self.shipping.last().await;
        }
        self.task.abort();
    }
}

/// What it works with.
pub struct Shipping {
    store: Arc<dyn FigureStore>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    leads: Box<dyn Fn() -> bool + Send + Sync>,
    every: Duration,
    tally: Arc<Tally>,
    ledger: Mutex<Ledger>,
    /// Whether this process has been the holder of the lease.
    led: AtomicBool,
    /// One sends at a time; at the end nobody else any more.
    alone: tokio::sync::Mutex<()>,
}

impl Shipping {
    /// Sends what `metrics` has, `every` so often while `leads` says so, at most so many series an hour.
    pub fn new(
        store: Arc<dyn FigureStore>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        leads: impl Fn() -> bool + Send + Sync + 'static,
        every: Duration,
        series: usize,
    ) -> Self {
        let tally = Arc::<Tally>::default();
        tally.succeeded(clock.now());
        let shown = Arc::clone(&tally);
        metrics.before_gathering(move |metrics| metrics.cloudwatch(&shown.now()));
        Self {
            store,
            metrics,
            clock,
            leads: Box::new(leads),
            every,
            tally,
            ledger: Mutex::new(Ledger::new(series)),
            led: AtomicBool::new(false),
            alone: tokio::sync::Mutex::default(),
        }
    }

    /// Runs until the process ends, whatever becomes of the task.
    pub async fn run(self: Arc<Self>) {
        // It goes with us, too, when we are broken off.
        let mut tasks = JoinSet::new();
        loop {
            tasks.spawn(Arc::clone(&self).ship());
            let died = tasks.join_next().await;
            error!(?died, "What sends figures to CloudWatch has died: this is a bug. It is started again; everything else goes on.");
            self.tally.restarted();
            self.clock.sleep(AFTER_DEATH).await;
        }
    }

    async fn ship(self: Arc<Self>) {
        let (mut failures, mut random) = (0_u32, Rng::new(self.clock.now().as_millisecond().unsigned_abs()));
        loop {
            let (begun, failed) = (Instant::now(), failures > 0);
            match self.once().await {
                Ok(()) if failed => {
                    info!("CloudWatch takes figures again.");
                    failures = 0;
                }
                Ok(()) => {}
                Err(why) => {
                    if !failed {
                        warn!(%why, "Figures do not get to CloudWatch; everything else goes on.");
                    }
                    failures = failures.saturating_add(1);
                }
            }
            // An alarm looks at every minute: none is to be left out since each round takes a moment.
            let next = wait(self.every, failures, &mut random).saturating_sub(begun.elapsed());
            // Who takes the lease says so soon: an alarm waits for it.
            let next = if self.led.load(Ordering::Relaxed) { next } else { next.min(STANDBY) };
            self.clock.sleep(next).await;
        }
    }

    /// Sends what is new, in as many requests as it takes. The first failure ends it.
    async fn once(&self) -> Result<(), PutError> {
        let _alone = self.alone.lock().await;
        // What is counted from here on is for the next time.
        let now = self.clock.now();
        let readings = self.gather().await?;
        if !(self.leads)() {
            // Who has led once and does no more is about to end: what is left is for `last`.
            if !self.led.load(Ordering::Relaxed) {
                self.ledger().pass(&readings);
                self.tally.succeeded(now);
            }
            return Ok(());
        }
        self.led.store(true, Ordering::Relaxed);
        self.tally.unfit(readings.unfit);
        let Due { items, left_out } = self.ledger().due(&readings, now);
        let sent = self.send(items).await;
        let series = self.ledger().series();
        self.tally.room(series, left_out);
        if sent.is_ok() {
            self.tally.succeeded(now);
        }
        sent
    }

    /// Sends what was counted since the last time, at the end of a process that was the holder of the lease.
    async fn last(&self) {
        let counted = async {
            // What is under way is waited for; it is never given up for this.
            let _alone = self.alone.lock().await;
            let readings = self.gather().await?;
            let items = self.ledger().due_last(&readings, self.clock.now()).items;
            self.send(items).await
        };
        match tokio::time::timeout(LAST, counted).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => warn!(%why, "The last figures did not get to CloudWatch."),
            Err(_) => warn!("Whether the last figures got to CloudWatch is not known: it did not answer in time."),
        }
    }

    async fn send(&self, items: Vec<Item>) -> Result<(), PutError> {
        for batch in batches(items) {
            let now = self.clock.now();
            // From here on they count as delivered: whatever ends this task, they are not sent twice.
            self.ledger().take(&batch, now);
            let figures: Vec<Datum> = batch.iter().map(|item| item.datum.clone()).collect();
            let answer = match tokio::time::timeout(REQUEST, self.store.put(&figures)).await {
                Ok(answer) => answer,
                Err(_) => Err(PutError::Unknown(format!("nothing within {REQUEST:?}"))),
            };
            let (outcome, became) = match &answer {
                Ok(()) => ("ok", "delivered"),
                Err(PutError::Unknown(_)) => ("unknown", "unknown"),
                Err(PutError::NotTaken { why, .. }) => {
                    self.ledger().give_back(&batch);
                    (*why, "given_back")
                }
            };
            self.tally.sent(now, outcome, became, batch.len());
            answer?;
        }
        Ok(())
    }

    /// Reads `/proc` and waits for a plan that is being counted, so not on a thread that others need.
    async fn gather(&self) -> Result<Readings, PutError> {
        let (metrics, now) = (Arc::clone(&self.metrics), self.clock.now());
        let gathered = tokio::task::spawn_blocking(move || read(&metrics.gather(), now)).await;
        gathered.map_err(|error| PutError::NotTaken { why: "unsent", message: format!("the metrics cannot be gathered: {error}") })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Twice as long after each failure, and a random part less, so that not everybody comes back at once.
fn wait(every: Duration, failures: u32, random: &mut Rng) -> Duration {
    if failures == 0 {
        return every;
    }
    let longest = every.saturating_mul(1_u32.checked_shl(failures.min(10)).unwrap_or(u32::MAX)).min(LONGEST.max(every));
    let half = longest / 2;
    half + Duration::from_millis(random.below(u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1)))
}

#[cfg(test)]
mod tests;
