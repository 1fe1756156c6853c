//! A clock on tokio's time, so that paused time turns it. It can be wrong, jump, and run faster than life.

use crate::ports::Clock;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// `now` = where it was started + what tokio says has passed, times the speed, + its skew.
#[derive(Debug, Clone)]
pub struct SandboxClock {
    base: Timestamp,
    started: Instant,
    speed: u32,
    /// Shared by the clones of a clock: whoever turns one turns all of them.
    skew_millis: Arc<AtomicI64>,
    stopped: Arc<AtomicBool>,
}

impl SandboxClock {
    /// A true clock that says `base` now.
    #[must_use]
    pub fn new(base: Timestamp) -> Self {
        Self::fast(base, 1)
    }

    /// A true clock that says `base` now and runs so many times faster than tokio's. Sleeps are shorter by as much.
    #[must_use]
    pub fn fast(base: Timestamp, speed: u32) -> Self {
        Self { base, started: Instant::now(), speed: speed.max(1), skew_millis: Arc::default(), stopped: Arc::default() }
    }

    /// Another clock of the same world, which is ahead of the true one by `skew`.
    #[must_use]
    pub fn beside(&self, skew: SignedDuration) -> Self {
        let other = Self { skew_millis: Arc::default(), stopped: Arc::default(), ..self.clone() };
        other.set_skew(skew);
        other
    }

    /// From now on the clock is ahead of the true one by `skew`: it jumps.
    pub fn set_skew(&self, skew: SignedDuration) {
        self.skew_millis.store(i64::try_from(skew.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// The process that sleeps by this clock is dead: it never wakes up again.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// How far the clock is ahead of the true one.
    #[must_use]
    pub fn skew(&self) -> SignedDuration {
        SignedDuration::from_millis(self.skew_millis.load(Ordering::Relaxed))
    }

    /// How much time of this world has passed since that moment, by no clock that anybody can set.
    #[must_use]
    pub fn since(&self, moment: Instant) -> Duration {
        Instant::now().saturating_duration_since(moment).saturating_mul(self.speed)
    }

    /// How long tokio has to wait for so much time of this world.
    #[must_use]
    pub fn real(&self, time: Duration) -> Duration {
        time.checked_div(self.speed).unwrap_or(time)
    }
}

impl Clock for SandboxClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.since(self.started)).unwrap_or(SignedDuration::MAX);
        self.base.checked_add(passed).and_then(|now| now.checked_add(self.skew())).unwrap_or(Timestamp::MAX)
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let (sleep, stopped) = (tokio::time::sleep(self.real(time)), Arc::clone(&self.stopped));
        Box::pin(async move {
            sleep.await;
            if stopped.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Timestamp {
        "2026-02-05T14:30:22Z".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_with_tokio_and_jumps_when_told() {
        let clock = SandboxClock::new(base());
        let wrong = clock.beside(SignedDuration::from_secs(-45));
        clock.sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now().to_string(), "2026-02-05T14:31:52Z");
        assert_eq!(wrong.now().to_string(), "2026-02-05T14:31:07Z");
        wrong.set_skew(SignedDuration::from_hours(1));
        assert_eq!(wrong.now().to_string(), "2026-02-05T15:31:52Z");
        assert_eq!(clock.skew(), SignedDuration::ZERO, "each clock has a skew of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_wakes_up_by_one_that_is_stopped() {
        let clock = SandboxClock::new(base());
        let asleep = clock.sleep(Duration::from_secs(1));
        clock.stop();
        assert!(tokio::time::timeout(Duration::from_secs(60), asleep).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_one_says_more_and_sleeps_less() {
        let clock = SandboxClock::fast(base(), 120);
        let before = Instant::now();
        clock.sleep(Duration::from_secs(7_200)).await;
        assert_eq!(before.elapsed(), Duration::from_secs(60));
        assert_eq!(clock.now().to_string(), "2026-02-05T16:30:22Z");
    }
}
