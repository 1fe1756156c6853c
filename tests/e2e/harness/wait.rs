//! Waiting for something that is to be seen, and for dates that a scene itself has set; never for time to pass.

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(100);

/// Looks until `look` succeeds. Its error says what was seen instead; the last one is told when the time is over.
pub(crate) async fn until<T, F: Future<Output = Result<T>>>(what: &str, within: Duration, look: impl Fn() -> F) -> Result<T> {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(instead) if begun.elapsed() >= within => {
                bail!("{what}: not within {} s; seen instead: {instead:#}", within.as_secs_f64())
            }
            Err(_) => tokio::time::sleep(EVERY).await,
        }
    }
}

/// Waits until a date has passed, and a second more: dates of the API are whole seconds.
pub(crate) async fn until_past(date: Timestamp) {
    let left = date.duration_since(Timestamp::now()).saturating_add(SignedDuration::from_secs(1));
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
}

/// Seconds, for sentences.
pub(crate) fn secs(time: SignedDuration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
