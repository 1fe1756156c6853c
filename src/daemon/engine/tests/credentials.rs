//! A clone's Secret, through the whole loop: made once, by whoever holds the lease, and never over another.

use super::*;
use crate::model::names::KEY_SECRET;

const NAME: &str = "clone-1";

impl Scene {
    fn create(&self, namespace: &str) -> String {
        let made = self.cluster.world().create_clone(namespace, NAME, json!({}), &BTreeMap::new()).unwrap();
        json::text(&made, "/metadata/uid").to_owned()
    }

    /// Owner and contents of every Secret of a clone, by name.
    fn secrets(&self) -> BTreeMap<String, Arc<Value>> {
        self.cluster.world().clone_secrets().map(|(_, name, secret)| (name.to_owned(), secret)).collect()
    }

    fn recorded(&self) -> Option<String> {
        let world = self.cluster.world();
        let clone = world.get(Kind::Clone, OURS, NAME)?;
        json::entry(clone, "annotations", names::CREDENTIALS).map(str::to_owned)
    }

    fn keys_made(&self) -> usize {
        self.cluster.world().history().iter().filter(|write| write.verb == Verb::Secret && write.name == KEY_SECRET).count()
    }

    /// The process dies, and the next one comes when the lease is free.
    async fn die_and_return(&mut self) {
        let now = self.clock.now();
        self.cluster.kill();
        self.task.abort();
        let world = self.cluster.world_shared();
        self.clock = SandboxClock::new(now);
        self.cluster = SandboxCluster::new(world, "next", self.clock.clone(), 2);
        self.start();
        self.pass(15).await;
    }
}

fn secret_of(uid: &str) -> String {
    names::secret_name(NAME, uid)
}

#[tokio::test(start_paused = true)]
async fn a_clone_has_its_secret_within_a_second_and_each_its_own() {
    let scene = Scene::begin(policies("enforce", ""));
    scene.pass(10).await;
    let first = scene.create(OURS);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let secrets = scene.secrets();
    let secret = &secrets[&secret_of(&first)];
    assert_eq!(secret["owner"], json!(first));
    let keys: Vec<&String> = secret["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["api-key", "db-password", "password", "username"]);
    scene.pass(2).await;
    assert_eq!(scene.recorded(), Some(secret_of(&first)));

    // One of the same name in another namespace, and one made again: others.
    let second = scene.create(THEIRS);
    scene.create("elsewhere");
    scene.cluster.world().remove(Kind::Clone, &(OURS.to_owned(), NAME.to_owned())).unwrap();
    let third = scene.create(OURS);
    scene.pass(3).await;
    let all = scene.secrets();
    let named: BTreeMap<&str, &Value> = [&first, &second, &third].map(|uid| (uid.as_str(), &all[&secret_of(uid)]["data"]["db-password"])).into();
    assert_eq!((all.len(), named.len()), (3, 3));
    assert!(named[first.as_str()] != named[third.as_str()] && named[second.as_str()] != named[third.as_str()]);
    assert_eq!(scene.keys_made(), 1);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn in_audit_neither_secret_nor_key_is_made() {
    let scene = Scene::begin(policies("audit", ""));
    scene.create(OURS);
    scene.pass(60).await;
    assert_eq!((scene.secrets().len(), scene.keys_made(), scene.recorded()), (0, 0, None));
    scene.load(policies("enforce", ""));
    scene.pass(10).await;
    assert_eq!((scene.secrets().len(), scene.keys_made()), (1, 1));
    scene.end().await;
}

/// Killed before and after each of its calls from the moment a clone comes: the next process ends what this one began, and what it
/// makes is the same.
#[tokio::test(start_paused = true)]
async fn killed_between_any_two_steps_the_next_one_finishes() {
    let mut halfway = 0;
    for calls in 0..12 {
        for effect in [false, true] {
            let mut scene = Scene::begin(policies("enforce", ""));
            scene.pass(10).await;
            scene.cluster.crash_after(calls, effect);
            let uid = scene.create(OURS);
            scene.pass(3).await;
            let before = scene.secrets().get(&secret_of(&uid)).cloned();
            halfway += usize::from(before.is_some() && scene.recorded().is_none());
            scene.die_and_return().await;
            assert_eq!(scene.recorded(), Some(secret_of(&uid)), "after {calls} calls ({effect})");
            let after = scene.secrets().get(&secret_of(&uid)).cloned().unwrap();
            assert!(before.is_none_or(|before| before == after), "after {calls} calls ({effect})");
            assert_eq!(scene.keys_made(), 1);
            scene.end().await;
        }
    }
    assert!(halfway > 0, "no kill came between Secret and annotation");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_lost_is_never_made_again_while_a_clone_lives() {
    let mut scene = Scene::begin(policies("enforce", ""));
    scene.create(OURS);
    scene.pass(10).await;
    scene.cluster.world().lose_secret(KEY_SECRET);
    scene.pass(10).await;
    let late = scene.create(THEIRS);
    scene.pass(60).await;
    scene.die_and_return().await;
    scene.pass(60).await;
    assert_eq!((scene.keys_made(), scene.secrets().contains_key(&secret_of(&late))), (1, false));
    let state = scene.cluster.world().state("clonewarden-state").unwrap();
    assert!(state.data["state.json"].contains("credentialsKeyLost"));
    for namespace in [OURS, THEIRS] {
        scene.cluster.world().remove(Kind::Clone, &(namespace.to_owned(), NAME.to_owned())).unwrap();
    }
    scene.pass(60).await;
    assert_eq!(scene.keys_made(), 2, "nobody lives by the old one any more");
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn two_that_make_the_key_at_once_use_the_same() {
    let scene = Scene::begin(policies("audit", ""));
    scene.pass(10).await;
    scene.cluster.script(Call::WriteSecret, Fate::Slow(Duration::from_secs(1), Duration::ZERO));
    scene.load(policies("enforce", ""));
    scene.pass(1).await;
    let other = SandboxCluster::new(scene.cluster.world_shared(), "other", scene.clock.clone(), 3);
    let theirs = crate::act::keyring::Keyring::default();
    theirs.make(&other).await.unwrap();
    let uid = scene.create(OURS);
    scene.pass(10).await;
    let expected = crate::model::credentials::db_password(&theirs.key().unwrap(), &uid);
    assert_eq!(scene.secrets()[&secret_of(&uid)]["data"]["db-password"], json!(expected.reveal()));
    assert_eq!(scene.keys_made(), 1);
    scene.end().await;
}

/// A whole life, with a secret wherever one can be: in the spec, in what the API server answers, in Secrets, in the key.
#[tokio::test(start_paused = true)]
async fn a_life_is_journaled_to_its_end_and_no_secret_is() {
    let scene = Scene::begin(policies("enforce", "ttl: {minimum: 1m, default: 1h, maximum: 1h, warnings: [10m], grace: 1m}"));
    let person = "correct-horse-battery-staple";
    let spec = json!({"sourcePassword": person, "sourceUsername": "ada", "ttlSeconds": 1_800});
    let made =
        scene.cluster.world().create_clone(OURS, NAME, spec, &BTreeMap::from([(names::OWNER.to_owned(), "ada@example.com".to_owned())])).unwrap();
    let uid = json::text(&made, "/metadata/uid").to_owned();
    scene.cluster.script(Call::MakeSecret, Fate::Refused(crate::ports::ApiError::Unavailable("the quota is full".to_owned())));
    scene.pass(20).await;
    let mut secrets: Vec<String> = vec![person.to_owned()];
    let made = scene.secrets()[&secret_of(&uid)]["data"].clone();
    secrets.extend(made.as_object().unwrap().iter().filter(|(key, _)| *key != "username").map(|(_, value)| value.as_str().unwrap().to_owned()));
    scene.pass(3_700).await;
    assert!(scene.cluster.world().get(Kind::Clone, OURS, NAME).is_none(), "it lives");
    let text = scene.said.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |line: &&Value| line["clone"]["uid"] == json!(uid);
    let life: Vec<String> = lines
        .iter()
        .filter(told)
        .map(|line| {
            let word = |field: &str| line[field].as_str().unwrap_or("-").to_owned();
            format!("{} {} {} {}", word("event"), word("action"), line["reason"]["code"].as_str().unwrap_or("-"), word("outcome"))
        })
        .collect();
    for expected in [
        "acted create CredentialsMissing failed",
        "acted create CredentialsMissing done",
        "acted warn Announced done",
        "acted delete Expired done",
        "gone - - -",
    ] {
        assert!(life.iter().any(|line| line == expected), "{expected}: {life:#?}");
    }
    assert!(lines.iter().filter(told).all(|line| line["clone"]["owner"] == "ada@example.com"));
    let ids = |event: &str, action: &str| {
        lines.iter().find(|line| line["event"] == event && line["action"].as_str().unwrap_or_default() == action).unwrap()["id"].clone()
    };
    assert_eq!(ids("acted", "delete"), ids("gone", ""));
    assert_eq!(secrets.len(), 5, "{:?}", made.as_object().unwrap().keys());
    for secret in &secrets {
        assert!(secret.len() > 8 && !text.contains(secret.as_str()), "`{secret}` is in the journal");
    }
    scene.end().await;
}
