//! Whatever the store does, nothing is counted twice, and what may be lost is known.

use super::*;
use crate::{
    export::{
        cloudwatch::tests::sum,
        tests::{Hands, at, policies},
    },
    ports::Said,
};
use futures::{FutureExt, future::BoxFuture};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::sync::watch;

/// How the store answers a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Takes,
    Refuses,
    /// It takes it, and nobody hears so.
    TakesUnheard,
    Loses,
    Hangs,
    Panics,
}

#[derive(Default)]
struct Store {
    answers: Mutex<VecDeque<Answer>>,
    taken: Mutex<Vec<Datum>>,
    asked: AtomicU64,
}

impl FigureStore for Store {
    fn put<'a>(&'a self, figures: &'a [Datum]) -> BoxFuture<'a, Result<(), PutError>> {
        async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Takes);
            if matches!(answer, Answer::Takes | Answer::TakesUnheard) {
                self.taken.lock().unwrap().extend_from_slice(figures);
            }
            match answer {
                Answer::Takes => Ok(()),
                Answer::Refuses => Err(PutError::NotTaken { why: "throttled", message: "slow down".to_owned() }),
                Answer::TakesUnheard | Answer::Loses => Err(PutError::Unknown("the connection broke".to_owned())),
                Answer::Hangs => std::future::pending().await,
                Answer::Panics => panic!("a bug in the adapter"),
            }
        }
        .boxed()
    }
}

struct Scene {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    shipping: Arc<Shipping>,
    leads: Arc<AtomicBool>,
    dropped: AtomicU64,
}

const COUNTER: &str = "clonewarden_events_dropped_total";

impl Scene {
    fn new(answers: &[Answer]) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Hands(Mutex::new(at(0))));
        let (_, policies) = watch::channel(Arc::new(policies(Vec::new())));
        let metrics = Arc::new(Metrics::new(Arc::clone(&clock), policies, 10).unwrap());
        let store = Arc::new(Store { answers: Mutex::new(answers.iter().copied().collect()), ..Store::default() });
        let leads = Arc::new(AtomicBool::new(true));
        let (asked, kept) = (Arc::clone(&leads), Arc::<Store>::clone(&store));
        let shipping = Shipping::new(kept, Arc::clone(&metrics), clock, move || asked.load(Ordering::Relaxed), Duration::from_secs(60), 200);
        Self { store, metrics, shipping: Arc::new(shipping), leads, dropped: AtomicU64::new(0) }
    }

    fn count(&self, more: u64) {
        self.metrics.events_dropped(self.dropped.fetch_add(more, Ordering::Relaxed) + more);
    }

    fn delivered(&self) -> f64 {
        sum(&self.store.taken.lock().unwrap(), COUNTER)
    }

    fn tallied(&self, outcome: &str) -> u64 {
        self.shipping.tally.now().requests.get(outcome).copied().unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_in_the_next_difference_once() {
    let scene = Scene::new(&[Answer::Refuses, Answer::Refuses, Answer::Takes, Answer::Takes]);
    for (more, delivered) in [(3, 0.0), (2, 0.0), (1, 6.0), (4, 10.0)] {
        scene.count(more);
        let _ = scene.shipping.once().await;
        assert_eq!(scene.delivered(), delivered);
    }
    assert_eq!((scene.tallied("throttled"), scene.tallied("ok")), (2, 2));
    let shown = scene.metrics.render().unwrap();
    assert!(shown.contains("clonewarden_cloudwatch_requests_total{outcome=\"throttled\"} 2"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_of_is_not_sent_again() {
    for (answer, delivered) in [(Answer::TakesUnheard, 5.0), (Answer::Loses, 2.0), (Answer::Hangs, 2.0)] {
        let scene = Scene::new(&[answer]);
        scene.count(3);
        assert!(matches!(scene.shipping.once().await, Err(PutError::Unknown(_))), "{answer:?}");
        scene.count(2);
        scene.shipping.once().await.unwrap();
        assert_eq!(scene.delivered(), delivered, "{answer:?}: never more than the 5 that were counted");
        assert_eq!(scene.tallied("unknown"), 1);
        assert!(scene.shipping.tally.now().datums["unknown"] > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_dies_is_started_again_and_repeats_nothing() {
    let scene = Scene::new(&[Answer::Takes, Answer::Panics]);
    scene.count(3);
    let running = tokio::spawn(Arc::clone(&scene.shipping).run());
    while scene.delivered() < 3.0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    scene.count(2);
    while scene.shipping.tally.now().restarts == 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    scene.count(4);
    while scene.delivered() < 7.0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(scene.delivered(), 7.0, "the 2 that were under way are lost, since nobody knows");
    assert!(!running.is_finished());
    assert!(scene.metrics.render().unwrap().contains("clonewarden_cloudwatch_restarts_total 1"));
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_standby_sends_nothing_and_begins_with_what_comes_after() {
    let scene = Scene::new(&[]);
    scene.leads.store(false, Ordering::Relaxed);
    scene.count(100);
    scene.shipping.once().await.unwrap();
    assert_eq!(scene.store.asked.load(Ordering::Relaxed), 0);
    scene.leads.store(true, Ordering::Relaxed);
    scene.count(5);
    scene.shipping.once().await.unwrap();
    assert_eq!(scene.delivered(), 5.0);
    scene.count(2);
    scene.shipping.last().await;
    assert_eq!(scene.delivered(), 7.0, "what was counted last goes at the end");
    let taken = scene.store.taken.lock().unwrap();
    assert!(taken.iter().any(|one| one.id.name == "clonewarden_leader" && one.said == Said::One(0.0)), "{taken:?}");
}

/// At the end of a process the lease goes before the last figures do.
#[tokio::test(start_paused = true)]
async fn what_was_counted_while_the_lease_went_is_not_lost() {
    let scene = Scene::new(&[]);
    scene.count(1);
    scene.shipping.once().await.unwrap();
    scene.count(3);
    scene.leads.store(false, Ordering::Relaxed);
    scene.shipping.once().await.unwrap();
    assert_eq!(scene.delivered(), 1.0, "who holds no lease sends no level");
    scene.shipping.last().await;
    assert_eq!(scene.delivered(), 4.0);
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_lease_says_so_within_seconds() {
    let scene = Scene::new(&[]);
    scene.leads.store(false, Ordering::Relaxed);
    let running = tokio::spawn(Arc::clone(&scene.shipping).run());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(scene.store.asked.load(Ordering::Relaxed), 0);
    scene.leads.store(true, Ordering::Relaxed);
    tokio::time::sleep(STANDBY.saturating_mul(2)).await;
    assert_eq!(scene.store.asked.load(Ordering::Relaxed), 1);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_does_not_hold_up_the_end() {
    let scene = Scene::new(&[Answer::Takes, Answer::Hangs]);
    scene.shipping.once().await.unwrap();
    scene.count(1);
    let begun = tokio::time::Instant::now();
    scene.shipping.last().await;
    assert!(begun.elapsed() <= LAST);
}

#[test]
fn it_waits_longer_after_each_failure_and_never_more_than_five_minutes() {
    let mut random = Rng::new(7);
    let minute = Duration::from_secs(60);
    assert_eq!(wait(minute, 0, &mut random), minute);
    for failures in 1..100 {
        let longest = minute.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST);
        let waits = wait(minute, failures, &mut random);
        assert!(waits >= longest / 2 && waits <= longest, "{failures}: {waits:?}");
    }
}

/// Random answers, a thousand times: what was taken, and what nobody knows of, are together what was counted.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_counted_twice_whatever_happens() {
    let mut random = Rng::new(1);
    for _ in 0..20 {
        let answers: Vec<Answer> =
            (0..50).map(|_| *random.pick(&[Answer::Takes, Answer::Refuses, Answer::TakesUnheard, Answer::Loses]).unwrap()).collect();
        let scene = Scene::new(&answers);
        let mut lost = 0.0;
        let mut pending = 0.0;
        for answer in &answers {
            let more = random.below(5);
            scene.count(more);
            pending += more as f64;
            let _ = scene.shipping.once().await;
            match answer {
                Answer::Refuses => {}
                Answer::Loses => {
                    lost += pending;
                    pending = 0.0;
                }
                _ => pending = 0.0,
            }
        }
        let counted = scene.dropped.load(Ordering::Relaxed) as f64;
        assert_eq!(scene.delivered() + lost + pending, counted);
    }
}
