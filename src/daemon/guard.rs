//! The task that looks whether the API server narrows what this daemon may do, and has it said by the metrics and the log.
//!
//! Contract: it stands before nothing and changes nothing. RBAC alone would let the daemon delete what is no clone's; that the rules which
//! forbid it are missing, or are about another account, is seen nowhere else.

use crate::{
    export::registry::Metrics,
    ports::{Clock, Guard, Guarded},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tracing::{debug, info, warn};

/// How often it is tried. Each time is two refusals in the API server's audit log.
const EVERY: Duration = Duration::from_mins(10);

/// Tries the guards and has the metrics say what came of it, until it is dropped.
pub(crate) async fn watch(cluster: Arc<dyn Guarded>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) {
    let seen: Arc<Mutex<[Option<bool>; Guard::ALL.len()]>> = Arc::default();
    let said = Arc::clone(&seen);
    metrics.before_gathering(move |metrics| {
        let seen = *said.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.guarded(Guard::ALL.into_iter().zip(seen));
    });
    // The metrics keep what they call; they are not ours to keep alive.
    drop(metrics);
    let mut before = [None; Guard::ALL.len()];
    loop {
        let mut now = [None; Guard::ALL.len()];
        for ((guard, now), before) in Guard::ALL.into_iter().zip(&mut now).zip(before) {
            *now = cluster.guarded(guard).await.unwrap_or_else(|error| {
                debug!(%error, guard = guard.word(), "Whether there is a guard is not known.");
                None
            });
            tell(guard, before, *now);
        }
        before = now;
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
        clock.sleep(EVERY).await;
    }
}

fn tell(guard: Guard, before: Option<bool>, now: Option<bool>) {
    match now {
        Some(false) if before != now => warn!(
            guard = guard.word(),
            "The API server does not narrow what this daemon may do as it should. Apply deploy/base/guard.yaml of this version; it must name this daemon's account."
        ),
        Some(true) if before == Some(false) => info!(guard = guard.word(), "The guard is in force again."),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{export::tests::policies, ports::ApiError, sandbox::clock::SandboxClock};
    use futures::{FutureExt, future::BoxFuture};
    use std::collections::VecDeque;

    /// Answers, one after the other, for all guards.
    struct Prepared(Mutex<VecDeque<Result<Option<bool>, ApiError>>>);

    impl Guarded for Prepared {
        fn guarded(&self, _: Guard) -> BoxFuture<'_, Result<Option<bool>, ApiError>> {
            let next = self.0.lock().unwrap().pop_front();
            async move {
                match next {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_of_the_guards_is_said_and_nothing_else() {
        let clock = Arc::new(SandboxClock::new("2026-02-05T14:30:22Z".parse().unwrap()));
        let (_keep, policies) = tokio::sync::watch::channel(Arc::new(policies(Vec::new())));
        let metrics = Arc::new(Metrics::new(Arc::clone(&clock) as Arc<dyn Clock>, policies, 0).unwrap());
        let unavailable = || Err(ApiError::Unavailable("no answer".to_owned()));
        let answers = [Ok(Some(true)), Ok(Some(false)), Ok(Some(false)), unavailable(), Ok(None), Ok(Some(true))];
        let guards = Arc::new(Prepared(Mutex::new(answers.into())));
        tokio::spawn(watch(guards, clock, Arc::clone(&metrics)));
        let mut seen = Vec::new();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let text = metrics.render().unwrap();
            let of = |rule| text.lines().find_map(|line| line.strip_prefix(&format!("clonewarden_guarded{{rule=\"{rule}\"}} ")).map(str::to_owned));
            seen.push((of("deletions"), of("secrets")));
            tokio::time::sleep(EVERY).await;
        }
        let said = |value: &str| Some(value.to_owned());
        assert_eq!(seen, [(said("1"), said("0")), (said("0"), None), (None, said("1"))]);
    }
}
