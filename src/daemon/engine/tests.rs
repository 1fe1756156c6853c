//! The whole loop over a cluster in memory, for what is neither a clone's life (see `tests/simulation`) nor decided by one plan:
//! that what bounds a namespace is kept, and another owner's object never touched.

use super::*;
use crate::{
    act::journal::tests::Said,
    daemon::warden::Nobody,
    model::{Kind, names},
    policy::load_files,
    ports::{NoCloud, NoHosts},
    sandbox::{
        clock::SandboxClock,
        cluster::SandboxCluster,
        faults::{Call, Fate, Levels},
        history::{Actor, Verb},
        json,
        world::World,
    },
};
use serde_json::Value;

const QUOTA: &str = "quota: {requests.cpu: 4, pods: 20}";
const BOTH: &str = "quota: {requests.cpu: 4, pods: 20}\n  limitRange: {default: {cpu: 500m}}";
const OURS: &str = "staging";
const THEIRS: &str = "theirs";

mod credentials;
mod idle;
mod schemas;
mod site;

fn policies(mode: &str, rest: &str) -> Arc<Policies> {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec:\n  mode: {mode}\n  namespaces: {{names: [{OURS}, {THEIRS}]}}\n  {rest}\n"
    );
    Arc::new(load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap_or_else(|problems| panic!("{problems}")))
}

/// A running daemon, and the cluster it runs on.
struct Scene {
    cluster: SandboxCluster,
    clock: SandboxClock,
    policies: watch::Sender<Arc<Policies>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Ended>,
    started: usize,
    said: Said,
}

impl Scene {
    fn begin(policies: Arc<Policies>) -> Self {
        let begin = "2026-02-05T14:30:22Z".parse().unwrap();
        let clock = SandboxClock::new(begin);
        let cluster = SandboxCluster::new(Arc::new(Mutex::new(World::new(1, begin))), "daemon", clock.clone(), 1);
        for namespace in [OURS, THEIRS, "elsewhere"] {
            cluster.world().create_namespace(namespace, &BTreeMap::new()).unwrap();
        }
        let (policies, _) = watch::channel(policies);
        let task = tokio::spawn(async { Ended::Stopped });
        let mut scene =
            Self { cluster, clock, policies, wake: Arc::default(), stop: CancellationToken::new(), task, started: 0, said: Said::default() };
        scene.start();
        scene
    }

    fn start(&mut self) {
        self.started += 1;
        let engine = Engine {
            cluster: Arc::new(self.cluster.clone()),
            cloud: Arc::new(NoCloud),
            hosts: Arc::new(NoHosts),
            secrets: Arc::new(self.cluster.clone()),
            sweep_every: std::time::Duration::from_secs(300),
            sweep: Arc::default(),
            clock: Arc::new(self.clock.clone()),
            address: String::new(),
            identity: format!("daemon-{}", self.started),
            cluster_id: None,
            policies: self.policies.subscribe(),
            planner: crate::plan::plan,
            wake: Arc::clone(&self.wake),
            journal: Arc::new(Journal::to(self.said.clone())),
            watcher: Arc::new(Nobody),
            vitals: Vitals::default(),
        };
        self.task = tokio::spawn(engine.run(self.stop.clone()));
    }

    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn load(&self, policies: Arc<Policies>) {
        self.policies.send_replace(policies);
        self.wake.notify_one();
    }

    fn find(&self, kind: Kind, namespace: &str) -> Option<Arc<Value>> {
        self.cluster.world().get(kind, namespace, names::OURSELVES).cloned()
    }

    fn hard(&self) -> Value {
        self.find(Kind::ResourceQuota, OURS).map(|quota| quota["spec"]["hard"].clone()).unwrap_or_default()
    }

    /// Somebody changes a quota.
    fn edit(&self, namespace: &str, edit: impl FnOnce(&mut Value)) {
        let mut world = self.cluster.world();
        let issue = world.issue(Actor::Person);
        world.change(&issue, Kind::ResourceQuota, (namespace, names::OURSELVES), None, edit).unwrap();
    }

    /// Somebody else makes a quota of our name.
    fn make_theirs(&self, namespace: &str, labels: Value) -> Arc<Value> {
        let mut world = self.cluster.world();
        let issue = world.issue(Actor::Person);
        let object = json!({"metadata": {"namespace": namespace, "name": names::OURSELVES, "labels": labels}, "spec": {"hard": {"services": "50"}}});
        world.create(&issue, Kind::ResourceQuota, object).unwrap()
    }

    /// What the daemon did with quotas: verb and namespace.
    fn writes(&self) -> Vec<(Verb, String)> {
        let world = self.cluster.world();
        let ours = world.history().iter().filter(|write| write.daemon().is_some() && write.kind.is_some_and(|kind| Kind::QUOTAS.contains(&kind)));
        ours.map(|write| (write.verb, write.namespace.clone())).collect()
    }

    /// The daemon wrote on nothing of theirs.
    fn theirs_was_left_alone(&self) {
        let world = self.cluster.world();
        let theirs = |object: &Option<Arc<Value>>| object.as_deref().is_some_and(|object| object["spec"]["hard"].get("services").is_some());
        let by_us = world.history().iter().filter(|write| write.daemon().is_some() && write.kind == Some(Kind::ResourceQuota));
        let touched = by_us.filter(|write| theirs(&write.before)).count();
        assert_eq!(touched, 0, "another owner's was written");
    }

    async fn end(self) {
        self.stop.cancel();
        assert_eq!(self.task.await.unwrap(), Ended::Stopped);
    }
}

fn wanted() -> Value {
    json!({"requests.cpu": "4", "pods": "20"})
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_made_repaired_and_taken_away() {
    let scene = Scene::begin(policies("audit", BOTH));
    scene.pass(30).await;
    assert_eq!(scene.writes(), [], "in audit nothing is made");

    scene.load(policies("enforce", BOTH));
    scene.pass(10).await;
    assert_eq!(scene.hard(), wanted());
    let made = |namespace: &str| (Verb::Create, namespace.to_owned());
    let mut writes = scene.writes();
    writes.sort();
    assert_eq!(writes, [made(OURS), made(OURS), made(THEIRS), made(THEIRS)], "each once, and nothing elsewhere");
    let quota = scene.find(Kind::ResourceQuota, OURS).unwrap();
    assert_eq!(json::entry(&quota, "labels", names::MANAGED_BY), Some(names::OURSELVES));
    assert_eq!(json::entry(&quota, "annotations", names::POLICY), Some("p"));

    // The same in the server's own words is no drift; what the controller counts is none either.
    scene.edit(OURS, |quota| {
        quota["spec"]["hard"]["requests.cpu"] = json!("4000m");
        quota["status"] = json!({"used": {"pods": "3"}});
    });
    scene.pass(120).await;
    assert_eq!(scene.writes().len(), 4);

    scene.edit(OURS, |quota| quota["spec"]["hard"] = json!({"requests.cpu": "400", "services": "5"}));
    scene.pass(5).await;
    assert_eq!(scene.hard(), wanted());
    scene.edit(OURS, |quota| quota["metadata"]["annotations"] = json!({"team": "web"}));
    scene.pass(5).await;
    let quota = scene.find(Kind::ResourceQuota, OURS).unwrap();
    assert_eq!(quota["metadata"]["annotations"], json!({"team": "web", names::POLICY: "p"}), "what others note on it stays");

    // Deleted as soon as it was made, and made anew at once.
    for _ in 0..3 {
        scene.cluster.world().remove(Kind::ResourceQuota, &(OURS.to_owned(), names::OURSELVES.to_owned())).unwrap();
        scene.pass(2).await;
        assert_eq!(scene.hard(), wanted());
    }
    scene.edit(OURS, |quota| quota["spec"]["scopes"] = json!(["BestEffort"]));
    scene.pass(5).await;
    assert_eq!(scene.find(Kind::ResourceQuota, OURS).unwrap()["spec"], json!({"hard": wanted()}), "what cannot be changed is made anew");

    scene.load(policies("enforce", QUOTA));
    scene.pass(5).await;
    assert_eq!((scene.find(Kind::LimitRange, OURS), scene.hard()), (None, wanted()));
    scene.load(policies("enforce", ""));
    scene.pass(5).await;
    assert_eq!(scene.find(Kind::ResourceQuota, OURS), None);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn another_owners_is_never_touched_whenever_it_comes() {
    for labels in [json!({}), json!({names::MANAGED_BY: "Helm"})] {
        let scene = Scene::begin(policies("audit", QUOTA));
        let theirs = scene.make_theirs(THEIRS, labels);
        scene.load(policies("enforce", QUOTA));
        scene.pass(30).await;
        assert_eq!(scene.hard(), wanted());
        scene.edit(THEIRS, |quota| quota["spec"]["hard"]["services"] = json!("60"));
        scene.pass(30).await;
        scene.load(policies("enforce", ""));
        scene.pass(30).await;
        let now = scene.find(Kind::ResourceQuota, THEIRS).unwrap();
        assert_eq!((&now["metadata"]["uid"], &now["spec"]), (&theirs["metadata"]["uid"], &json!({"hard": {"services": "60"}})));
        assert!(scene.writes().iter().all(|(_, namespace)| namespace != THEIRS), "{:?}", scene.writes());

        // Ours, until somebody takes our label off: then it is theirs.
        scene.load(policies("enforce", QUOTA));
        scene.pass(5).await;
        scene.edit(OURS, |quota| quota["metadata"]["labels"] = json!({}));
        scene.pass(5).await;
        let before = scene.writes().len();
        scene.edit(OURS, |quota| quota["spec"]["hard"] = json!({"pods": "1"}));
        scene.load(policies("enforce", ""));
        scene.pass(60).await;
        assert_eq!((scene.writes().len(), scene.hard()), (before, json!({"pods": "1"})));
        scene.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_between_the_plan_and_the_write_is_a_conflict() {
    let slowly = || Fate::Slow(Duration::from_secs(5), Duration::ZERO);
    let scene = Scene::begin(policies("audit", QUOTA));
    scene.pass(10).await;
    // Two creates are on the wire; what they are about to make is made by somebody else.
    scene.cluster.script(Call::Apply, slowly());
    scene.cluster.script(Call::Apply, slowly());
    scene.load(policies("enforce", QUOTA));
    scene.pass(2).await;
    let theirs = scene.make_theirs(THEIRS, json!({}));
    scene.pass(60).await;
    assert_eq!((scene.hard(), scene.find(Kind::ResourceQuota, THEIRS)), (wanted(), Some(theirs)));

    // A repair is on the wire; what it is about is deleted and made by somebody else, and by then says something else anyway.
    scene.cluster.script(Call::Apply, slowly());
    scene.edit(OURS, |quota| quota["spec"]["hard"] = json!({"pods": "1"}));
    scene.pass(2).await;
    scene.cluster.world().remove(Kind::ResourceQuota, &(OURS.to_owned(), names::OURSELVES.to_owned())).unwrap();
    let theirs = scene.make_theirs(OURS, json!({names::MANAGED_BY: "Helm"}));
    scene.pass(60).await;
    assert_eq!(scene.find(Kind::ResourceQuota, OURS), Some(theirs));
    scene.theirs_was_left_alone();
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn in_a_namespace_that_is_going_nothing_is_made() {
    let scene = Scene::begin(policies("enforce", QUOTA));
    scene.pass(10).await;
    {
        let mut world = scene.cluster.world();
        let issue = world.issue(Actor::Person);
        world.change(&issue, Kind::Namespace, ("", OURS), None, |namespace| json::add_finalizer(namespace, "kubernetes")).unwrap();
        world.remove(Kind::Namespace, &(String::new(), OURS.to_owned())).unwrap();
        world.remove(Kind::ResourceQuota, &(OURS.to_owned(), names::OURSELVES.to_owned())).unwrap();
    }
    let before = scene.writes().len();
    scene.pass(120).await;
    assert_eq!((scene.writes().len(), scene.find(Kind::ResourceQuota, OURS)), (before, None));
    scene.end().await;
}

/// Everything that goes wrong in the simulation, while people make and change what the daemon is about to write.
#[tokio::test(start_paused = true)]
async fn under_faults_it_comes_right_in_the_end_and_another_owners_stays() {
    let mut scene = Scene::begin(policies("enforce", BOTH));
    scene.pass(10).await;
    for round in 0..60_u64 {
        scene.cluster.set_faults(if round.is_multiple_of(2) { Levels::MILD } else { Levels::ROUGH });
        let path = |namespace: &str| (namespace.to_owned(), names::OURSELVES.to_owned());
        match round % 5 {
            // Ours, or nothing, stood there: what the daemon plans by then is to make one, or to change what is gone.
            0 => {
                drop(scene.cluster.world().remove(Kind::ResourceQuota, &path(THEIRS)));
                scene.make_theirs(THEIRS, json!({}));
            }
            1 => scene.edit(THEIRS, |quota| quota["spec"]["hard"] = json!({"services": "70"})),
            2 => drop(scene.cluster.world().remove(Kind::ResourceQuota, &path(OURS))),
            3 if scene.find(Kind::ResourceQuota, OURS).is_some() => {
                scene.edit(OURS, |quota| quota["spec"]["hard"]["pods"] = json!(round.to_string()));
            }
            _ => drop(scene.cluster.world().remove(Kind::ResourceQuota, &path(THEIRS))),
        }
        scene.pass(3 * (round % 4)).await;
        // A process that lost its lease has ended, as it should; the next one comes.
        if scene.task.is_finished() {
            scene.start();
        }
    }
    scene.theirs_was_left_alone();
    assert!(
        scene.writes().iter().any(|(verb, namespace)| (*verb, namespace.as_str()) == (Verb::Create, THEIRS)),
        "ours never stood where theirs came"
    );
    scene.cluster.set_faults(Levels::NONE);
    scene.pass(60).await;
    if scene.task.is_finished() {
        scene.start();
    }
    scene.pass(120).await;
    assert_eq!(scene.hard(), wanted());
    scene.end().await;
}
