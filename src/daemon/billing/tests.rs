//! The bill is asked for by one process at a time, and no more often than was said, whoever is killed when.

use super::*;
use crate::{
    act::state,
    daemon::lease::Fence,
    model::{State, bill::BilledDay, state::Pause},
    ports::{BillPage, CloudError},
    sandbox::{clock::SandboxClock, cluster::SandboxCluster, world::World},
};
use std::sync::Mutex;

const BEGIN: &str = "2026-11-28T01:00:00Z";

/// Cost Explorer: every bill has two pages. It notes when it was asked.
struct Explorer {
    clock: SandboxClock,
    asked: Mutex<Vec<Timestamp>>,
    refuses: Mutex<Option<CloudError>>,
}

impl ports::Billing for Explorer {
    fn page<'a>(&'a self, question: &'a BillQuestion, token: Option<&'a str>) -> BoxFuture<'a, Result<BillPage, CloudError>> {
        self.asked.lock().unwrap().push(self.clock.now());
        let refuses = self.refuses.lock().unwrap().clone();
        async move {
            if let Some(error) = refuses {
                return Err(error);
            }
            let days = question.from.series(jiff::Span::new().days(1)).take_while(|day| *day < question.until);
            let days = days.filter(|day| (day.day() % 2 == 0) == token.is_none());
            let days = days.map(|date| BilledDay { date, estimated: true, lines: Vec::new() }).collect();
            Ok(BillPage { days, next: token.is_none().then(|| "more".to_owned()) })
        }
        .boxed()
    }
}

struct Site {
    world: Arc<Mutex<World>>,
    clock: SandboxClock,
    explorer: Arc<Explorer>,
    started: u64,
}

impl Site {
    fn new() -> Self {
        let begin = BEGIN.parse().unwrap();
        let clock = SandboxClock::new(begin);
        let explorer = Explorer { clock: clock.clone(), asked: Mutex::default(), refuses: Mutex::default() };
        Self { world: Arc::new(Mutex::new(World::new(1, begin))), clock, explorer: Arc::new(explorer), started: 0 }
    }

    fn cluster(&self) -> SandboxCluster {
        SandboxCluster::new(Arc::clone(&self.world), "daemon", self.clock.clone(), self.started)
    }

    /// A process that may spend so many calls a day, with what keeps its state fresh.
    fn start(&mut self, calls_per_day: u32) -> (Vitals, [tokio::task::JoinHandle<()>; 2]) {
        self.started += 1;
        let cluster: Arc<dyn Cluster> = Arc::new(self.cluster());
        let mut vitals = Vitals::default();
        vitals.fence = Fence::open();
        let asking = Asking {
            billing: Arc::clone(&self.explorer) as Arc<dyn ports::Billing>,
            cluster: Arc::clone(&cluster),
            clock: Arc::new(self.clock.clone()),
            vitals: vitals.clone(),
            bills: Bills { calls_per_day, every: crate::model::Span::hours(1), tag: Arc::from("Namespace") },
            account: Some(Arc::from("123456789012")),
            asked: Arc::default(),
            wake: Arc::default(),
        };
        let (keeper, clock) = (Arc::clone(&vitals.keeper), self.clock.clone());
        let polling = async move {
            loop {
                keeper.refresh(cluster.as_ref()).await;
                clock.sleep(Duration::from_secs(1)).await;
            }
        };
        (vitals, [tokio::spawn(polling), tokio::spawn(asking.run())])
    }

    fn asked(&self) -> usize {
        self.explorer.asked.lock().unwrap().len()
    }

    async fn remembered(&self) -> Billing {
        state::load(&self.cluster()).await.unwrap().state.billing.unwrap_or_default()
    }
}

async fn hours(hours: u64) {
    tokio::time::sleep(Duration::from_secs(hours * 3_600 + 60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_day_costs_no_more_than_was_said_whoever_asks() {
    let mut site = Site::new();
    let (_, tasks) = site.start(5);
    hours(1).await;
    assert_eq!(site.asked(), 4, "two bills of two pages");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let (_, tasks) = site.start(5);
    hours(0).await;
    assert_eq!(site.asked(), 4, "the next process has the bill that was read");
    hours(20).await;
    assert_eq!(site.asked(), 5, "the second page of the third bill was not paid any more");
    let remembered = site.remembered().await;
    assert_eq!((remembered.calls, remembered.reason.as_deref()), (5, Some("the 5 calls of 2026-11-28 are spent (`--billing-calls-per-day`)")));
    assert!(remembered.bill.is_some(), "the last one stands");
    hours(3).await;
    assert!(site.asked() > 5 && site.remembered().await.reason.is_none(), "a new day");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_bill_that_took_the_last_call_is_good_for_the_day() {
    let mut site = Site::new();
    let (vitals, tasks) = site.start(2);
    hours(20).await;
    let remembered = site.remembered().await;
    assert_eq!((site.asked(), remembered.reason, remembered.lacking_since), (2, None, None));
    let mut snapshot = crate::model::Snapshot { state: vitals.keeper.state().unwrap(), ..crate::model::Snapshot::default() };
    vitals.sweeps.add_to(&mut snapshot);
    assert_eq!(snapshot.evidence.lack(&crate::model::Source::Billing, site.clock.now()), None);
    hours(4).await;
    assert_eq!(site.asked(), 4, "the next day has calls of its own");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn two_that_both_believe_to_hold_the_lease_never_spend_one_call_twice() {
    let mut site = Site::new();
    let (one, other) = (site.start(7), site.start(7));
    hours(12).await;
    assert_eq!(site.asked(), 7);
    for tasks in [one.1, other.1] {
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_daemon_asks_for_nothing() {
    let mut site = Site::new();
    let pause = Pause::new(BEGIN.parse().unwrap(), "look", "");
    let version = state::load(&site.cluster()).await.unwrap().version;
    let paused = state::save(&site.cluster(), &State { paused: Some(pause), ..State::default() }, version.as_deref()).await.unwrap();
    let (_, tasks) = site.start(10);
    hours(3).await;
    assert_eq!(site.asked(), 0);
    state::save(&site.cluster(), &State::default(), paused.version.as_deref()).await.unwrap();
    hours(0).await;
    assert_eq!(site.asked(), 2);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_remembered_with_its_reason_until_it_works_again() {
    let mut site = Site::new();
    *site.explorer.refuses.lock().unwrap() = Some(CloudError::Forbidden("AccessDeniedException: no".to_owned()));
    let (vitals, tasks) = site.start(10);
    hours(3).await;
    let remembered = site.remembered().await;
    assert_eq!(remembered.reason.as_deref(), Some("Cost Explorer: forbidden: AccessDeniedException: no"));
    assert_eq!(remembered.lacking_since.map(|since| since.strftime("%H").to_string()).as_deref(), Some("01"), "since the first time");
    let mut snapshot = crate::model::Snapshot { state: vitals.keeper.state().unwrap(), ..crate::model::Snapshot::default() };
    vitals.sweeps.add_to(&mut snapshot);
    let lack = snapshot.evidence.lack(&crate::model::Source::Billing, site.clock.now());
    assert!(lack.is_some_and(|lack| lack.contains("AccessDenied")) && snapshot.bill.is_none());
    *site.explorer.refuses.lock().unwrap() = None;
    hours(1).await;
    assert_eq!(site.remembered().await.lacking_since, None);
    snapshot.state = vitals.keeper.state().unwrap();
    vitals.sweeps.add_to(&mut snapshot);
    assert_eq!(snapshot.evidence.lack(&crate::model::Source::Billing, site.clock.now()), None);
    assert_eq!(snapshot.bill.unwrap().months.keys().collect::<Vec<_>>(), ["2026-11"]);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}
