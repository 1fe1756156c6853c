//! The real task over a cluster in memory: single faults by script, and then all of them at once.

use super::*;
use crate::{
    observe::mirror::Mirror,
    plan::admit::{Operation, Request},
    policy::load_files,
    ports::Clock,
    rng::Rng,
    sandbox::{
        clock::SandboxClock,
        cluster::SandboxCluster,
        faults::{Call, Fate, Levels},
        world::World,
    },
};
use serde_json::json;
use tokio::{sync::Notify, task::JoinSet, time::timeout};

const NAMESPACE: &str = "staging";

/// The cluster that replicas share.
struct Site {
    world: Arc<Mutex<World>>,
    clock: SandboxClock,
    policies: watch::Sender<Arc<Policies>>,
    cap: usize,
}

/// One replica that believes that it holds the lease, whatever others believe.
struct Replica {
    cluster: SandboxCluster,
    store: Arc<Store>,
    desk: Desk,
    task: tokio::task::JoinHandle<()>,
    _mirror: Mirror,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    fn new(cap: usize) -> Self {
        let begin = "2026-02-05T14:30:22Z".parse().unwrap();
        let text = format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec: {{mode: enforce, namespaces: {{names: [{NAMESPACE}]}}, limits: {{clones: {cap}}}}}\n"
        );
        let policies = load_files(vec![("p.yaml".into(), text.into())]).unwrap_or_else(|problems| panic!("{problems}"));
        let world = Arc::new(Mutex::new(World::new(1, begin)));
        let site = Self { world, clock: SandboxClock::new(begin), policies: watch::channel(Arc::new(policies)).0, cap };
        let _ = site.handle("setup", 0).world().create_namespace(NAMESPACE, &BTreeMap::new()).unwrap();
        site
    }

    fn handle(&self, id: &str, seed: u64) -> SandboxCluster {
        SandboxCluster::new(Arc::clone(&self.world), id, self.clock.clone(), seed)
    }

    fn replica(&self, id: &str, seed: u64) -> Replica {
        let cluster = self.handle(id, seed);
        let (shared, clock): (Arc<dyn Cluster>, Arc<dyn Clock>) = (Arc::new(cluster.clone()), Arc::new(self.clock.clone()));
        let store = Arc::new(Store::default());
        let mirror = Mirror::start(&shared, &clock, &store, &Arc::new(Notify::new()));
        let tools = Tools {
            cluster: shared,
            fence: Fence::open(),
            store: Arc::clone(&store),
            policies: self.policies.subscribe(),
            identity: id.to_owned(),
            random,
            keys: Arc::default(),
        };
        let (desk, task) = open(tools);
        Replica { cluster, store, desk, task, _mirror: mirror }
    }

    fn living(&self) -> usize {
        self.handle("look", 0).world().objects(Kind::Clone).count()
    }

    /// What the API server does once both webhooks have let a clone in.
    fn store(&self, verdict: &Verdict, name: &str) {
        let reservation = verdict.patch.iter().find(|change| change["path"].as_str().is_some_and(|path| path.ends_with("reservation")));
        let reservation = reservation.and_then(|change| change["value"].as_str()).unwrap().to_owned();
        let annotations = [(names::RESERVATION.to_owned(), reservation), (names::OWNER.to_owned(), "ada".to_owned())].into();
        let _ = self.handle("api", 0).world().create_clone(NAMESPACE, name, json!({"ttlSeconds": 7_200}), &annotations);
        assert!(self.living() <= self.cap, "{} clones are there and {} are allowed", self.living(), self.cap);
    }
}

fn asked(name: &str) -> Request {
    Request {
        operation: Operation::Create,
        namespace: NAMESPACE.into(),
        name: name.into(),
        user: "ada".into(),
        dry_run: false,
        object: json!({"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"cloneId": name, "sourceUrl": "https://example.com"}}),
        old: Value::Null,
    }
}

/// The verdict of a review that was let in, or the code of why it was not.
async fn ask(replica: &Replica, name: &str) -> Result<Verdict, String> {
    match replica.desk.promise(asked(name)).await {
        Answer::Judged(verdict) => match &verdict.refusal {
            None => Ok(*verdict),
            Some(refusal) => Err(refusal.code().to_owned()),
        },
        Answer::NotHolder => Err("NotHolder".to_owned()),
        Answer::NotNow(why) => Err(why),
    }
}

async fn written(replica: &Replica) -> Ledger {
    let stored = Cluster::read_state(&replica.cluster, NAME).await.unwrap().unwrap();
    Ledger::read(&stored).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_promise_is_written_settled_by_sight_and_kept_by_the_clone() {
    let site = Site::new(1);
    let replica = site.replica("a", 1);
    let verdict = ask(&replica, "c1").await.unwrap();
    assert_eq!(written(&replica).await.claims.values().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["c1"]);
    assert_eq!(ask(&replica, "c2").await.unwrap_err(), "LimitReached");
    site.store(&verdict, "c1");
    sleep(Duration::from_secs(10)).await;
    assert_eq!((replica.desk.promised(), written(&replica).await.claims.len()), (0, 0), "what was seen is not kept");
    assert_eq!(ask(&replica, "c2").await.unwrap_err(), "LimitReached");
}

#[tokio::test(start_paused = true)]
async fn a_promise_of_which_nothing_came_lapses_and_not_before_its_time() {
    let site = Site::new(1);
    let replica = site.replica("a", 1);
    ask(&replica, "c1").await.unwrap();
    sleep(LAPSE - Duration::from_secs(1)).await;
    assert_eq!(ask(&replica, "c2").await.unwrap_err(), "LimitReached");
    sleep(Duration::from_secs(1) + 2 * TIDY).await;
    ask(&replica, "c2").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_holder_inherits_and_the_last_one_promises_no_more() {
    let site = Site::new(2);
    let (first, second) = (site.replica("a", 1), site.replica("b", 2));
    ask(&first, "c1").await.unwrap();
    ask(&second, "c2").await.unwrap();
    assert_eq!(written(&second).await.claims.len(), 2);
    // It still believes that it holds the lease; its next write says otherwise.
    assert_eq!(ask(&first, "c2").await.unwrap_err(), "NotHolder");
    assert_eq!(ask(&first, "c3").await.unwrap_err(), "LimitReached", "in a term of its own it has inherited both");
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_is_read_back_and_a_failed_write_takes_no_place() {
    let site = Site::new(1);
    let replica = site.replica("a", 1);
    sleep(Duration::from_secs(1)).await;
    replica.cluster.script(Call::WriteState, Fate::LostAnswer(Duration::from_secs(1)));
    ask(&replica, "c1").await.unwrap();
    assert_eq!(written(&replica).await.claims.len(), 1);

    let site = Site::new(1);
    let replica = site.replica("a", 1);
    sleep(Duration::from_secs(1)).await;
    for _ in 0..TRIES {
        replica.cluster.script(Call::WriteState, Fate::Refused(ApiError::Unavailable("500".into())));
    }
    assert!(ask(&replica, "c1").await.unwrap_err().contains("500"));
    assert_eq!(replica.desk.promised(), 0, "nothing can come of it");
    ask(&replica, "c2").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_has_given_up_is_promised_nothing() {
    let site = Site::new(1);
    let replica = site.replica("a", 1);
    sleep(Duration::from_secs(1)).await;
    replica.cluster.script(Call::WriteState, Fate::Slow(Duration::from_secs(2), Duration::ZERO));
    assert!(timeout(Duration::from_secs(1), ask(&replica, "c1")).await.is_err());
    sleep(Duration::from_secs(2)).await;
    ask(&replica, "c2").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deleted_ledger_is_written_anew_and_a_broken_one_lets_nobody_in() {
    let site = Site::new(2);
    let replica = site.replica("a", 1);
    ask(&replica, "c1").await.unwrap();
    replica.cluster.world().lose_state(NAME);
    ask(&replica, "c2").await.unwrap();
    assert_eq!(written(&replica).await.claims.len(), 2);
    let stored = Cluster::read_state(&replica.cluster, NAME).await.unwrap().unwrap();
    let broken = BTreeMap::from([(KEY.to_owned(), "{".to_owned())]);
    Cluster::write_state(&replica.cluster, NAME, broken, Some(&stored.resource_version)).await.unwrap();
    let next = site.replica("b", 2);
    assert!(ask(&next, "c3").await.unwrap_err().contains("does not parse"));
}

/// Two replicas that both believe that they hold the lease, on a cluster that is falling apart: whatever is lost, late, refused or
/// repeated, and whoever dies, there are never more clones than the cap; and in the end there is room again.
#[test]
fn the_cap_holds_on_a_cluster_that_is_falling_apart() {
    let mut stored = 0;
    for seed in 0..40 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        stored += runtime.block_on(fall_apart(seed));
    }
    assert!(stored > 200, "only {stored} clones came to be");
}

async fn fall_apart(seed: u64) -> usize {
    const CAP: usize = 3;
    let site = Arc::new(Site::new(CAP));
    let mut rng = Rng::new(seed);
    let mut replicas = [Arc::new(site.replica("a0", seed)), Arc::new(site.replica("b0", seed + 1_000))];
    let mut creations = JoinSet::new();
    for step in 0..150_u64 {
        for replica in &replicas {
            let quiet = rng.below(3) == 0;
            replica.cluster.set_faults(if quiet { Levels::NONE } else { Levels::ROUGH });
        }
        match rng.below(12) {
            0 => {
                // One dies, and another takes its place.
                let at = usize::try_from(rng.below(2)).unwrap();
                replicas[at].cluster.kill();
                replicas[at] = Arc::new(site.replica(&format!("r{step}"), seed * 7_919 + step));
            }
            1 | 2 => {
                let mut world = site.handle("person", 0);
                remove_one(&mut world, &mut rng);
            }
            _ => {
                let (site, replica) = (Arc::clone(&site), Arc::clone(&replicas[usize::try_from(rng.below(2)).unwrap()]));
                let name = format!("c{}", rng.below(8));
                let delay = Duration::from_millis(rng.below(18_000));
                creations.spawn(async move {
                    let answer = timeout(Duration::from_millis(14_500), ask(&replica, &name)).await;
                    drop(replica);
                    let Ok(Ok(verdict)) = answer else { return 0 };
                    // It has to pass the rest of the API server; some never do.
                    sleep(delay).await;
                    if delay.as_millis().is_multiple_of(5) {
                        return 0;
                    }
                    site.store(&verdict, &name);
                    1
                });
            }
        }
        sleep(Duration::from_millis(rng.below(3_000))).await;
    }
    let mut stored = 0;
    while let Some(one) = creations.join_next().await {
        stored += one.unwrap();
    }
    // Everything settles or lapses: as many as are missing get in.
    drop(replicas);
    let last = site.replica("last", seed + 2_000);
    sleep(LAPSE + 4 * TIDY * 8).await;
    for number in site.living()..CAP {
        let name = format!("late{number}");
        let verdict = ask(&last, &name).await.unwrap_or_else(|why| panic!("seed {seed}: no room for {name}: {why}"));
        site.store(&verdict, &name);
    }
    assert_eq!(site.living(), CAP, "seed {seed}");
    assert!(last.store.filled());
    stored
}

fn remove_one(handle: &mut SandboxCluster, rng: &mut Rng) {
    let mut world = handle.world();
    let there: Vec<String> = world.objects(Kind::Clone).filter_map(|clone| clone["metadata"]["name"].as_str().map(str::to_owned)).collect();
    let Some(name) = there.get(usize::try_from(rng.below(there.len().max(1) as u64)).unwrap()) else { return };
    let key = (NAMESPACE.to_owned(), name.clone());
    let _ = world.remove(Kind::Clone, &key);
    let _ = world.strip_finalizers(Kind::Clone, &key);
}
