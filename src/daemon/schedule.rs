//! Cron as an alarm clock: a job only wakes the loop, which then looks at everything. UTC; a wake that comes late skips nothing.

use crate::model::Span;
use anyhow::Context;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler};

/// Has AWS swept and wakes the loop every `every`, at whole multiples of the hour (UTC), until the scheduler is dropped.
///
/// # Errors
/// When the scheduler cannot be started.
pub async fn start(every: Span, sweep: Arc<Notify>, wake: Arc<Notify>) -> anyhow::Result<JobScheduler> {
    let scheduler = JobScheduler::new().await.context("the scheduler cannot be made")?;
    let job = Job::new(cron(every), move |_, _| {
        sweep.notify_one();
        wake.notify_one();
    })
    .context("the sweep cannot be scheduled")?;
    scheduler.add(job).await.context("the sweep cannot be scheduled")?;
    scheduler.start().await.context("the scheduler cannot be started")?;
    Ok(scheduler)
}

/// Has it looked whether it is time to ask for the bill, every `every`, at whole multiples of the day (UTC).
///
/// # Errors
/// When that cannot be scheduled.
pub async fn add_billing(scheduler: &JobScheduler, every: Span, asked: Arc<Notify>) -> anyhow::Result<()> {
    let job = Job::new(cron(every), move |_, _| asked.notify_one()).context("asking for the bill cannot be scheduled")?;
    scheduler.add(job).await.context("asking for the bill cannot be scheduled")?;
    Ok(())
}

/// The cron expression (with seconds) for a divisor of the minute, of the hour or of the day.
fn cron(every: Span) -> String {
    match (every.as_secs() / 60, every.as_secs() % 60) {
        (60, _) => "0 0 * * * *".to_owned(),
        (1_440, _) => "0 0 0 * * *".to_owned(),
        (minutes @ 61.., _) => format!("0 0 */{} * * *", minutes / 60),
        (0, seconds) => format!("*/{seconds} * * * * *"),
        (minutes, _) => format!("0 */{minutes} * * * *"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divisor_of_the_hour_becomes_a_cron_expression() {
        assert_eq!(cron(Span::minutes(5)), "0 */5 * * * *");
        assert_eq!(cron(Span::hours(1)), "0 0 * * * *");
        assert_eq!(cron(Span::seconds(10)), "*/10 * * * * *");
        assert_eq!(cron(Span::hours(6)), "0 0 */6 * * *");
        assert_eq!(cron(Span::hours(24)), "0 0 0 * * *");
    }
}
