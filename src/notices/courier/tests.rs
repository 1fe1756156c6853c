//! What lies in the bag, and what is left of it when the task dies.

use super::{
    super::{
        bag::LATE,
        config::Kind,
        desk::{Desk, Pace},
        notice::tests::line,
    },
    *,
};
use crate::rng::Rng;

/// What a delivery makes of a letter's body.
type Reaction = dyn Fn(&str) -> Answer + Send + Sync;

fn courier(reaction: Arc<Reaction>) -> Courier {
    let pace = Pace { window: Duration::from_secs(300), at_most: 20, repeat: Duration::from_secs(3_600) };
    Courier {
        receiver: Arc::new(Receiver::for_test("r", Kind::Webhook, None)),
        owners: Arc::default(),
        deliver: Box::new(move |letter| {
            let reaction = Arc::clone(&reaction);
            Box::pin(async move { reaction(&letter.body) })
        }),
        closing: watch::channel(None).1,
        patience: PATIENCE,
        bag: Mutex::new(Bag::new(Desk::new(pace), Rng::new(7))),
        more: Notify::new(),
    }
}

fn refusing() -> Courier {
    courier(Arc::new(|_: &str| Answer::Refused("no".to_owned(), String::new())))
}

fn notice(event: &str, action: &str, code: &str, name: &str) -> Arc<Notice> {
    Arc::new(Notice::of(&line(event, action, Some("done"), code, name, "ada")).unwrap())
}

#[tokio::test]
async fn many_critical_ones_that_are_tried_on_become_one_and_leave_room() {
    let (courier, now) = (refusing(), Instant::now());
    for number in 0..=LATE {
        let brake = notice("acted", "alert", "BrakeOn", &number.to_string());
        courier.bag().trying = Some(Errand::new(Message::of(brake), now));
        courier.settle(Answer::Refused("no".to_owned(), String::new()), now);
    }
    let bag = courier.bag();
    assert_eq!((bag.errands.len(), bag.late()), (1, LATE as u64 + 1));
    assert!(bag.errands[0].next > now && bag.rests.is_none(), "nothing else waits for it");
}

#[test]
fn a_receiver_is_never_asked_before_the_time_that_it_says_and_not_by_all_at_once() {
    let (courier, asked) = (refusing(), Duration::from_secs(40));
    let pauses: Vec<Duration> = (0..50).map(|_| courier.bag().pause(1, Some(asked), PATIENCE.first_pause)).collect();
    assert!(pauses.iter().all(|pause| *pause >= asked && *pause <= asked.mul_f64(1.25)), "{pauses:?}");
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
}

#[test]
fn a_bug_in_what_sorts_notices_ends_nothing_else_and_loses_none_in_silence() {
    // There is no such time: to come so far takes a bug.
    let pace = Pace { window: Duration::MAX, at_most: 0, repeat: Duration::from_secs(3_600) };
    let courier = Courier { bag: Mutex::new(Bag::new(Desk::new(pace), Rng::new(7))), ..refusing() };
    for _ in 0..2 {
        courier.take(notice("acted", "delete", "Expired", "a"));
    }
    courier.take(notice("acted", "alert", "BrakeOn", "brake"));
    let bag = courier.bag();
    assert_eq!((bag.counts.restarts, bag.counts.outcomes()[2], bag.counts.lost().count, bag.errands.len()), (2, ("dropped", 2), 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_courier_that_dies_is_started_again_and_loses_nothing_in_silence() {
    let (tries, (_open, closing)) = (Arc::new(Mutex::new(Vec::new())), watch::channel(None));
    let seen = Arc::clone(&tries);
    let reaction = move |body: &str| {
        let name = ["once", "next", "always", "brake"].into_iter().find(|name| body.contains(&format!("staging/{name} "))).unwrap();
        let tried = {
            let mut seen: MutexGuard<'_, Vec<&str>> = seen.lock().unwrap();
            seen.push(name);
            seen.iter().filter(|one| **one == name).count()
        };
        assert!(name != "always" && (name == "next" || tried > 1), "a bug in what delivers {name}");
        Answer::Taken(200, String::new())
    };
    let courier = Arc::new(Courier { closing, ..courier(Arc::new(reaction)) });
    let running = tokio::spawn(Arc::clone(&courier).run());
    for name in ["once", "next", "always"] {
        courier.take(notice("acted", "delete", "Expired", name));
    }
    courier.take(notice("acted", "alert", "BrakeOn", "brake"));
    let [mut sent, mut failed] = [0, 0];
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        [(_, sent), (_, failed), ..] = courier.bag().counts.outcomes();
        if sent + failed == 4 {
            break;
        }
    }
    assert_eq!((sent, failed), (3, 1), "what died once is tried again; what always does is counted as lost, like what is never taken");
    let tries = tries.lock().unwrap().clone();
    let count = |name: &str| tries.iter().filter(|one| **one == name).count();
    assert_eq!((count("brake"), count("once"), count("next"), count("always")), (2, 2, 1, TRIES as usize), "{tries:?}");
    let bag = courier.bag();
    assert_eq!((bag.counts.restarts, bag.counts.lost().count), (2 + u64::from(TRIES), 1));
    assert!(!running.is_finished());
    running.abort();
}
