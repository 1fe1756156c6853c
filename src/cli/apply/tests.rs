//! The command over a cluster in memory: whatever goes wrong between two calls, nothing goes that was not approved, and nothing before
//! it is written down who approved it.

mod since;

use super::*;
use crate::{
    act::state,
    daemon::lease,
    model::{Kind, names, state::Pause},
    plan::{Action, render},
    policy::load_files,
    ports::LeaseRecord,
    sandbox::{
        clock::SandboxClock,
        cluster::SandboxCluster,
        faults::{Call, Fate as Meets},
        history::{Actor, Verb},
        world::World,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Mutex;

const AUDIT: &str = "mode: audit\n  ttl: {minimum: 1s, default: 1h, maximum: 1h, warnings: [], grace: 10s}";
const ENFORCE: &str = "mode: enforce\n  ttl: {minimum: 1s, default: 1h, maximum: 1h, warnings: [], grace: 10s}";

fn policies(rules: &str) -> Arc<Policies> {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: staging}}\nspec:\n  namespaces: {{names: [staging]}}\n  {rules}\n"
    );
    Arc::new(load_files(vec![("staging.yaml".to_owned(), text.into_bytes())]).unwrap_or_else(|problems| panic!("{problems}")))
}

struct Scene {
    /// As a daemon sees it.
    cluster: SandboxCluster,
    /// As the person does who applies.
    person: SandboxCluster,
    clock: SandboxClock,
    policies: Arc<Policies>,
}

impl Scene {
    /// A cluster with these clones, which live for a minute each, and no daemon.
    fn bare(rules: &str, clones: &[&str]) -> Self {
        let begin = "2026-02-05T14:30:22Z".parse().unwrap();
        let clock = SandboxClock::new(begin);
        let world = Arc::new(Mutex::new(World::new(1, begin)));
        let cluster = SandboxCluster::new(Arc::clone(&world), "daemon", clock.clone(), 1);
        let person = SandboxCluster::new(world, "person", clock.clone(), 2);
        cluster.world().create_namespace("staging", &BTreeMap::new()).unwrap();
        for name in clones {
            cluster.world().create_clone("staging", name, json!({"ttlSeconds": 60}), &BTreeMap::new()).unwrap();
        }
        Self { cluster, person, clock, policies: policies(rules) }
    }

    /// The same, and a daemon has acted there by these policies.
    async fn with(rules: &str, clones: &[&str]) -> Self {
        let scene = Self::bare(rules, clones);
        let since = rules.contains("enforce").then(|| ("staging".to_owned(), scene.now()));
        let policies = Some(scene.policies.revision.hash.to_string());
        state::save(&scene.cluster, &State { enforced_since: since.into_iter().collect(), policies, ..State::default() }, None).await.unwrap();
        approvals::make(&scene.cluster).await.unwrap();
        scene.held_by("daemon").await;
        scene
    }

    /// The same, whose ends were announced by a daemon all along, and have passed.
    async fn due(clones: &[&str]) -> Self {
        let scene = Self::with(ENFORCE, clones).await;
        let (said, end) = (scene.now(), scene.now() + SignedDuration::from_secs(60));
        for name in clones {
            scene.annotate(name, names::EXPIRES_AT, &end.to_string());
            scene.annotate(name, names::ANNOUNCED_AT, &said.to_string());
        }
        scene.pass(61).await;
        scene
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn annotate(&self, name: &str, key: &str, value: &str) {
        self.cluster.world().annotate_clone(&("staging".to_owned(), name.to_owned()), key, Some(value)).unwrap();
    }

    async fn document(&self) -> Document {
        let now = self.now();
        let snapshot = live::look(&self.cluster, Some("c1"), now).await.unwrap();
        let document = render::document(&plan(&snapshot, &self.policies, now));
        Document::read(document.to_string().as_bytes()).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    async fn asked(&self) -> Asked {
        let document = self.document().await;
        Asked {
            document,
            policies: Arc::clone(&self.policies),
            reason: None,
            dry_run: false,
            cluster_id: Some("c1".to_owned()),
            name: "p.json".into(),
        }
    }

    async fn apply(&self, asked: &Asked) -> Result<Report, Failure> {
        carry_out(Arc::new(self.person.clone()), Arc::new(self.clock.clone()), "anna@example.com".to_owned(), asked).await
    }

    fn living(&self) -> Vec<String> {
        let world = self.cluster.world();
        let name = |clone: &Arc<Value>| clone["metadata"]["name"].as_str().unwrap().to_owned();
        world.objects(Kind::Clone).filter(|clone| clone["metadata"].get("deletionTimestamp").is_none()).map(name).collect()
    }

    async fn approvals(&self) -> Vec<Approval> {
        approvals::load(&self.cluster).await.unwrap().unwrap_or_default().approvals
    }

    async fn state(&self) -> State {
        state::load(&self.cluster).await.unwrap().state
    }

    /// A daemon takes the lease, or gives it back.
    async fn held_by(&self, holder: &str) {
        let version = self.cluster.read_lease(lease::NAME).await.unwrap().map(|lease| lease.resource_version).unwrap_or_default();
        let (now, duration) = (Some(self.now()), Duration::from_secs(8));
        let (holder, address) = (holder.to_owned(), String::new());
        let record = LeaseRecord { resource_version: version, holder, duration, acquired: now, renewed: now, transitions: 0, address };
        self.cluster.write_lease(lease::NAME, &record).await.unwrap();
    }

    /// Somebody changes the state: the daemon, or an operator.
    async fn remember(&self, edit: impl FnOnce(&mut State)) {
        let mut read = state::load(&self.cluster).await.unwrap();
        edit(&mut read.state);
        state::save(&self.cluster, &read.state, read.version.as_deref()).await.unwrap();
    }
}

fn outcomes(report: &Report) -> Vec<(String, Outcome)> {
    // The Secrets of clones are always the daemon's.
    let told = report.rows.iter().filter(|row| row.entry.aim.kind != "Secret");
    told.map(|row| (row.entry.aim.to_string(), row.outcome)).collect()
}

#[tokio::test(start_paused = true)]
async fn exactly_what_was_approved_goes_and_who_approved_is_written_down() {
    let scene = Scene::due(&["one", "two", "three"]).await;
    let before = scene.state().await;
    let mut asked = scene.asked().await;
    asked.document.entries.retain(|entry| entry.aim.to_string() != "staging/two");
    asked.reason = Some("looked through".to_owned());
    let report = scene.apply(&asked).await.unwrap();
    assert_eq!(outcomes(&report), [("staging/one".to_owned(), Outcome::Done), ("staging/three".to_owned(), Outcome::Done)]);
    assert!(report.failure.is_none());
    assert_eq!(scene.living(), ["two"]);
    let approvals = scene.approvals().await;
    let ids: Vec<&String> = asked.document.entries.iter().map(|entry| &entry.id).collect();
    assert_eq!((approvals.len(), approvals[0].by.as_str(), approvals[0].count), (1, "anna@example.com", 2));
    assert_eq!(
        (approvals[0].reason.as_deref(), approvals[0].decisions.iter().map(|decision| &decision.id).collect::<Vec<_>>()),
        (Some("looked through"), ids)
    );
    assert!(approvals[0].decisions.iter().all(|decision| decision.outcome.as_deref() == Some("done") && decision.uid.is_some()));
    assert_eq!(approvals[0].ended.as_ref().unwrap().outcomes, BTreeMap::from([("done".to_owned(), 2)]));
    assert_eq!(report.document()["approval"], json!(approvals[0].id));
    let told = report.table(false);
    assert!(told.contains("staging/one    delete  done     Expired: "), "{told}");
    assert!(told.contains("2 done; approved by anna@example.com"), "{told}");
    assert_eq!(scene.state().await, before, "brakes and promises are the daemon's");
    // Once more, all of it is gone.
    let again = scene.apply(&asked).await.unwrap();
    assert!(again.rows.iter().all(|row| row.outcome == Outcome::Gone) && again.failure.is_none() && again.approval.is_none());
    assert_eq!(scene.approvals().await.len(), 1, "nothing was carried out, and nothing is written");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_writes_nothing() {
    let scene = Scene::due(&["one"]).await;
    let mut asked = scene.asked().await;
    asked.dry_run = true;
    let report = scene.apply(&asked).await.unwrap();
    assert_eq!(outcomes(&report), [("staging/one".to_owned(), Outcome::WouldApply)]);
    let world = scene.cluster.world();
    assert!(world.history().iter().all(|write| write.daemon().is_none_or(|by| by != "person")));
}

#[tokio::test(start_paused = true)]
async fn audit_is_carried_out_in_two_steps() {
    let scene = Scene::with(AUDIT, &["one"]).await;
    scene.pass(61).await;
    let asked = scene.asked().await;
    assert_eq!(outcomes(&scene.apply(&asked).await.unwrap()), [("staging/one".to_owned(), Outcome::Done)]);
    assert_eq!(scene.living(), ["one"]);
    let waiting = scene.asked().await;
    assert_eq!(outcomes(&scene.apply(&waiting).await.unwrap()), [("staging/one".to_owned(), Outcome::Nothing)]);
    scene.pass(11).await;
    assert_eq!(scene.asked().await.document.entries[0].blocked_by.as_deref(), Some("audit"));
    assert_eq!(outcomes(&scene.apply(&asked).await.unwrap()), [("staging/one".to_owned(), Outcome::Otherwise)]);
    assert_eq!(scene.living(), ["one"], "to announce was approved, not to delete");
    let second = scene.asked().await;
    assert_eq!(outcomes(&scene.apply(&second).await.unwrap()), [("staging/one".to_owned(), Outcome::Done)]);
    assert!(scene.living().is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_it_is_paused_nothing_is_done() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    let pause = Pause::new(scene.now(), "an outage", "bert");
    scene.remember(|state| state.paused = Some(pause)).await;
    let failure = scene.apply(&asked).await.err().unwrap();
    assert_eq!(failure.code, 1);
    assert!(failure.to_string().contains("by bert: an outage"), "{failure}");
    assert_eq!((scene.living().len(), scene.approvals().await.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn where_no_daemon_keeps_its_state_nothing_is_done() {
    let scene = Scene::bare(AUDIT, &["one"]);
    scene.pass(61).await;
    let asked = scene.asked().await;
    let failure = scene.apply(&asked).await.err().unwrap();
    assert!(failure.code == 2 && failure.to_string().contains("--namespace"), "{failure}");
    let history: Vec<_> = scene.cluster.world().history().iter().map(|write| write.verb).collect();
    assert_eq!(history, [Verb::Create, Verb::Create], "a namespace and a clone were made, and nothing else was written");
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_refuses_is_told_in_its_words() {
    let scene = Scene::due(&["one", "three", "two"]).await;
    let asked = scene.asked().await;
    scene.person.script(Call::Delete, Meets::Refused(ApiError::Forbidden("anna cannot delete `one`".to_owned())));
    scene.person.script(Call::Delete, Meets::Refused(ApiError::Conflict("the object has been modified".to_owned())));
    scene.person.script(Call::Delete, Meets::LostAnswer(Duration::from_secs(3)));
    let report = scene.apply(&asked).await.unwrap();
    let told: Vec<(Outcome, &str)> = report.rows.iter().map(|row| (row.outcome, row.why.as_str())).collect();
    assert_eq!(told[0], (Outcome::Forbidden, "anna cannot delete `one`"));
    assert_eq!((told[1].0, told[2].0), (Outcome::Conflict, Outcome::Failed), "{told:?}");
    assert_eq!(report.failure.as_ref().map(|failure| failure.code), Some(1));
    assert_eq!(scene.living(), ["one", "three"], "the answer was lost, the deletion was not");
    let ended = scene.approvals().await.remove(0).ended.unwrap();
    assert_eq!(ended.outcomes.keys().collect::<Vec<_>>(), ["conflict", "failed", "forbidden"]);
}

#[tokio::test(start_paused = true)]
async fn an_approval_whose_write_was_not_answered_is_written_once() {
    for fate in
        [Meets::LostAnswer(Duration::from_secs(3)), Meets::LostRequest(Duration::from_secs(3)), Meets::Refused(ApiError::Conflict("busy".into()))]
    {
        let scene = Scene::due(&["one"]).await;
        let asked = scene.asked().await;
        scene.person.script(Call::WriteState, fate);
        assert_eq!(outcomes(&scene.apply(&asked).await.unwrap()), [("staging/one".to_owned(), Outcome::Done)]);
        let approvals = scene.approvals().await;
        assert!(approvals.len() == 1 && approvals[0].ended.is_some(), "{approvals:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_word_on_who_approved_nothing_goes() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    scene.person.script(Call::WriteState, Meets::Refused(ApiError::Forbidden("anna cannot update configmaps".to_owned())));
    let failure = scene.apply(&asked).await.err().unwrap();
    assert!(failure.code == 1 && failure.to_string().contains("anna cannot update configmaps"), "{failure}");
    assert_eq!(scene.living(), ["one"]);
}

/// Whoever changes a clone between any two calls wins, and a process that dies there leaves nothing that was not approved.
#[tokio::test(start_paused = true)]
async fn whatever_happens_in_between_only_the_approved_goes() {
    for (calls, effect) in (0..40).flat_map(|calls| [(calls, false), (calls, true)]) {
        let scene = Scene::due(&["approved", "not-approved"]).await;
        let mut asked = scene.asked().await;
        asked.document.entries.retain(|entry| entry.aim.to_string() == "staging/approved");
        scene.person.crash_after(calls, effect);
        let applied = tokio::time::timeout(Duration::from_secs(60), scene.apply(&asked)).await;
        let history: Vec<_> = {
            let world = scene.cluster.world();
            let deletes = world.history().iter().filter(|write| write.verb == Verb::Delete && write.kind == Some(Kind::Clone));
            deletes.map(|write| write.name.clone()).collect()
        };
        assert!(history.is_empty() || history == ["approved"], "{calls}: {history:?}");
        let approvals = scene.approvals().await;
        assert!(history.is_empty() || approvals.len() == 1, "{calls}: gone, and nobody is said to have approved it");
        if applied.is_ok() {
            assert!(calls > 15 && approvals[0].ended.is_some(), "{calls}");
        }
    }
}

/// What a dead clone left goes by the same steps and proofs as by the daemon: marked, soaked, proved again; past a brake that holds it.
#[tokio::test(start_paused = true)]
async fn what_a_dead_clone_left_is_proved_again() {
    let rules = format!("{ENFORCE}\n  orphans: {{soak: 1m, observations: 2}}\n  brake: {{deletes: 1}}");
    let scene = Scene::with(&rules, &[]).await;
    for name in ["left-1", "left-2"] {
        let labels = json!({
            names::KRO_INSTANCE_ID: "00000000-0000-4000-8000-000000000001", names::KRO_INSTANCE_NAME: "dead",
            names::KRO_INSTANCE_NAMESPACE: "staging", names::KRO_INSTANCE_GROUP: names::CLONE_GROUP, names::KRO_INSTANCE_KIND: names::CLONE_KIND,
        });
        let metadata = json!({"namespace": "staging", "name": name, "labels": labels, "managedFields": [{"manager": names::KRO_APPLIER}]});
        let mut world = scene.cluster.world();
        let issue = world.issue(Actor::Platform);
        world.create(&issue, Kind::Service, json!({"metadata": metadata})).unwrap();
    }
    let about = |asked: &Asked, name: &str| asked.document.entries.iter().find(|entry| entry.aim.name.as_deref() == Some(name)).unwrap().clone();
    let mut asked = scene.asked().await;
    assert_eq!(about(&asked, "left-1").action, Action::Mark);
    while about(&asked, "left-1").action == Action::Mark {
        assert!(scene.now() < asked.document.now + SignedDuration::from_mins(10));
        let report = scene.apply(&asked).await.unwrap();
        assert!(report.failure.is_none(), "{}", report.table(false));
        scene.pass(40).await;
        asked = scene.asked().await;
    }
    let left = about(&asked, "left-1");
    assert_eq!((left.action, left.blocked_by.as_deref()), (Action::Delete, Some("brake")));
    asked.document.entries = vec![left];
    assert_eq!(outcomes(&scene.apply(&asked).await.unwrap()), [("staging/left-1".to_owned(), Outcome::Done)]);
    let world = scene.cluster.world();
    let left: Vec<&str> = world.objects(Kind::Service).map(|service| service["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(left, ["left-2"]);
}

/// Every outcome in one report, as a table and as a document.
#[tokio::test(start_paused = true)]
async fn the_report_is_printed_as_it_is_kept() {
    let all = ["conflict", "done", "extended", "failed", "forbidden", "gone", "lives"];
    let scene = Scene::due(&all[..6]).await;
    let created = scene.cluster.world().create_clone("staging", "lives", json!({"ttlSeconds": 3_000}), &BTreeMap::new());
    created.unwrap();
    scene.annotate("lives", names::EXPIRES_AT, "2026-02-05T15:21:23Z");
    scene.annotate("lives", names::ANNOUNCED_AT, "2026-02-05T14:31:23Z");
    let asked = scene.asked().await;
    scene.annotate("extended", names::EXTEND_UNTIL, "2026-02-05T15:30:00Z");
    scene.cluster.world().remove(Kind::Clone, &("staging".to_owned(), "gone".to_owned())).unwrap();
    scene.person.script(Call::Delete, Meets::Refused(ApiError::Conflict("the object has been modified".to_owned())));
    scene.person.script(Call::Delete, Meets::Through);
    scene.person.script(Call::Delete, Meets::Refused(ApiError::Unavailable("503".to_owned())));
    scene.person.script(Call::Delete, Meets::Refused(ApiError::Forbidden("wordpressclones.kro.run \"forbidden\" is forbidden".to_owned())));
    let report = scene.apply(&asked).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/apply");
    let kept = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let plain = |text: String| text.replace(report.approval.as_deref().unwrap(), "ID-OF-THE-APPROVAL");
    let (table, document) = (plain(report.table(false)), plain(super::super::plan::json(&report.document()).unwrap()));
    assert!(table == kept("table.txt"), "{table}");
    assert!(document == kept("document.json"), "{document}");
}
