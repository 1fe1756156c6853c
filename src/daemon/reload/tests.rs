//! A real folder, and the API server in memory.

use super::*;
use crate::{
    act::journal::tests::Said,
    daemon::edit::Edits,
    model::{State, state::Pause},
    sandbox::{clock::SandboxClock, cluster::SandboxCluster, world::World},
};
use jiff::Timestamp;
use std::{fs, os::unix::fs::symlink, sync::Mutex};

fn policy(maximum: &str) -> String {
    format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec: {{namespaces: {{names: [n]}}, ttl: {{maximum: {maximum}}}}}\n"
    )
}

struct Scene {
    following: Following,
    known: Known,
    cluster: Arc<SandboxCluster>,
    in_force: watch::Receiver<Arc<Policies>>,
    broken: watch::Receiver<bool>,
    said: Said,
}

impl Scene {
    /// A holder of the lease that follows a folder with this file in it.
    async fn begin(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("clonewarden-reload-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("p.yaml"), text).unwrap();
        let now = "2026-02-05T16:00:00Z".parse().unwrap();
        let truth = SandboxClock::new(now);
        let cluster = Arc::new(SandboxCluster::new(Arc::new(Mutex::new(World::new(1, now))), "one", truth.clone(), 1));
        Self::over(path, cluster, Arc::new(truth)).await.unwrap()
    }

    /// What a process that starts now makes of the folder.
    async fn over(path: PathBuf, cluster: Arc<SandboxCluster>, clock: Arc<dyn Clock>) -> Result<Self, Problems> {
        let Start { read: Read { folder, policies }, problems } = Start::with(read(&path), cluster.as_ref()).await?;
        let (set, in_force) = watch::channel(Arc::new(policies));
        let (set_broken, broken) = watch::channel(problems.is_some());
        let said = Said::default();
        let keeper = Arc::new(Keeper::default());
        keeper.refresh(cluster.as_ref()).await;
        let following = Following {
            path,
            clock,
            cluster: Arc::clone(&cluster) as Arc<dyn Cluster>,
            fence: Fence::open(),
            keeper,
            policies: set,
            broken: set_broken,
            journal: Arc::new(Journal::to(said.clone())),
            wake: Arc::default(),
        };
        let known = Known::at_start(folder, problems);
        Ok(Self { following, known, cluster, in_force, broken, said })
    }

    async fn restart(&self) -> Result<Self, Problems> {
        Self::over(self.following.path.clone(), Arc::clone(&self.cluster), Arc::clone(&self.following.clock)).await
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.following.path.join(name), text).unwrap();
    }

    async fn look(&mut self) {
        self.following.say_how_it_started(&mut self.known);
        self.following.look(&mut self.known).await;
        self.act().await;
        self.following.keep(&mut self.known).await;
    }

    /// What the loop remembers before it acts by the policies in force.
    async fn act(&self) {
        let base = self.following.keeper.state().unwrap();
        let next = State { policies: Some(self.in_force.borrow().revision.hash.to_string()), ..base.clone() };
        self.following.keeper.remember(self.cluster.as_ref(), &base, &next).await.unwrap();
    }

    /// The longest life that the set in force allows, in hours.
    fn maximum(&self) -> i64 {
        self.in_force.borrow().policies[0].ttl.maximum.get().as_hours()
    }

    fn kept(&self) -> Option<String> {
        Some(self.cluster.world().state(policies::NAME)?.data["p.yaml"].clone())
    }

    fn events(&self) -> Vec<String> {
        let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
        self.said.text().lines().map(event).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.following.path);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_folder_counts_once_it_was_read_twice() {
    let mut scene = Scene::begin("plain", &policy("8h")).await;
    scene.look().await;
    scene.write("p.yaml", &policy("4h"));
    scene.look().await;
    assert_eq!(scene.maximum(), 8, "somebody may be writing there");
    // Half of a file may well be a set that loads.
    scene.write("p.yaml", &policy("6h"));
    scene.look().await;
    assert_eq!(scene.maximum(), 8);
    scene.look().await;
    assert_eq!((scene.maximum(), scene.events()), (6, vec!["policiesChanged".to_owned()]));
    assert_eq!(scene.kept(), Some(policy("6h")));
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_is_said_once_and_changes_nothing_also_for_a_process_that_starts_then() {
    let mut scene = Scene::begin("broken", &policy("8h")).await;
    scene.look().await;
    scene.write("p.yaml", &policy("yes"));
    for _ in 0..4 {
        scene.look().await;
    }
    assert_eq!((scene.maximum(), *scene.broken.borrow(), scene.events()), (8, true, vec!["policiesBroken".to_owned()]));
    assert_eq!(scene.kept(), Some(policy("8h")));
    let mut next = scene.restart().await.expect("the last good set is kept");
    assert_eq!((next.maximum(), *next.broken.borrow()), (8, true));
    assert_eq!(next.in_force.borrow().revision, scene.in_force.borrow().revision);
    next.look().await;
    next.look().await;
    assert_eq!(next.events(), ["policiesBroken"], "who acts by the last good set since its start says so, once");
    assert!(next.said.text().contains("p.yaml:4:"), "{}", next.said.text());
    next.write("p.yaml", &policy("8h"));
    next.look().await;
    assert_eq!((*next.broken.borrow(), next.events()), (false, vec!["policiesBroken".to_owned(), "policiesMended".to_owned()]));
    std::mem::forget(scene);
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_started_with_a_broken_folder_says_so_when_it_takes_over() {
    let mut scene = Scene::begin("takes-over", &policy("8h")).await;
    scene.look().await;
    scene.write("p.yaml", &policy("yes"));
    let mut next = scene.restart().await.unwrap();
    let lease = std::mem::take(&mut next.following.fence);
    next.look().await;
    assert_eq!(next.events(), Vec::<String>::new());
    next.following.fence = lease;
    next.look().await;
    next.look().await;
    assert_eq!(next.events(), ["policiesBroken"]);
    // Who finds it mended before has nothing to tell of.
    let mut late = scene.restart().await.unwrap();
    let lease = std::mem::take(&mut late.following.fence);
    late.write("p.yaml", &policy("8h"));
    late.look().await;
    late.following.fence = lease;
    late.look().await;
    assert_eq!(late.events(), ["policiesMended"]);
    std::mem::forget((scene, next));
}

#[tokio::test(start_paused = true)]
async fn without_a_good_set_a_broken_folder_is_an_error() {
    let scene = Scene::begin("never", &policy("8h")).await;
    scene.write("p.yaml", &policy("yes"));
    let problems = scene.restart().await.err().expect("nothing was kept").to_string();
    assert!(problems.contains("p.yaml:4"), "{problems}");
}

/// Otherwise a restart would end by an older set what the newer one let live.
#[tokio::test(start_paused = true)]
async fn what_is_kept_is_nothing_if_others_were_acted_by_since() {
    let mut scene = Scene::begin("older", &policy("8h")).await;
    scene.look().await;
    // A ConfigMap cannot hold a file of that name.
    scene.write("the policy.yaml", &policy("20h"));
    fs::remove_file(scene.following.path.join("p.yaml")).unwrap();
    scene.look().await;
    scene.look().await;
    assert_eq!((scene.maximum(), scene.kept()), (20, Some(policy("8h"))));
    scene.write("the policy.yaml", "broken");
    assert!(scene.restart().await.is_err(), "the older one is no answer");
}

#[tokio::test(start_paused = true)]
async fn while_everything_is_paused_nobody_knows_what_was_in_force_last() {
    let mut scene = Scene::begin("paused", &policy("8h")).await;
    scene.look().await;
    scene.write("p.yaml", "broken");
    assert_eq!(scene.restart().await.unwrap().maximum(), 8);
    fs::create_dir_all(&scene.following.path).unwrap();
    scene.write("p.yaml", "broken");
    let base = scene.following.keeper.state().unwrap();
    let paused = Pause::new(Timestamp::UNIX_EPOCH, "", "");
    let mut next = base.clone();
    next.pause(paused);
    scene.following.keeper.remember(scene.cluster.as_ref(), &base, &next).await.unwrap();
    assert!(scene.restart().await.is_err());
    // Nor once it is over, until a process has acted by what it has.
    let resumed = State { paused: None, ..next.clone() };
    scene.following.keeper.remember(scene.cluster.as_ref(), &next, &resumed).await.unwrap();
    assert!(scene.restart().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acted_by_yet_is_not_kept() {
    let mut scene = Scene::begin("later", &policy("8h")).await;
    scene.look().await;
    scene.write("p.yaml", &policy("4h"));
    for _ in 0..2 {
        scene.following.look(&mut scene.known).await;
        scene.following.keep(&mut scene.known).await;
    }
    assert_eq!((scene.maximum(), scene.kept()), (4, Some(policy("8h"))));
    let acted_by = Folder::of_files(vec![("p.yaml".to_owned(), policy("8h").into())]).load().unwrap().revision.hash;
    let present = Arc::clone(&scene.in_force.borrow());
    let before = Edits::default().before(Some(&acted_by), &present, scene.cluster.as_ref()).await;
    assert_eq!(before.unwrap().policies[0].ttl.maximum.get().as_hours(), 8, "an edit that comes with a restart is weighed against them");
}

/// The kubelet turns the link first, and makes and takes away the links to single files after it.
#[tokio::test(start_paused = true)]
async fn a_mount_is_what_its_link_leads_to() {
    let scene = Scene::begin("links", &policy("8h")).await;
    let path = &scene.following.path;
    let other = policy("8h").replace("name: p", "name: q").replace("[n]", "[m]");
    fs::create_dir(path.join("..1")).unwrap();
    fs::write(path.join("..1/p.yaml"), policy("8h")).unwrap();
    fs::write(path.join("..1/new.yaml"), other).unwrap();
    symlink("..1", path.join("..data")).unwrap();
    symlink("..data/gone.yaml", path.join("gone.yaml")).unwrap();
    assert_eq!(read(path).unwrap().policies.policies.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_cannot_be_read_is_none() {
    let scene = Scene::begin("commit", &policy("8h")).await;
    let commit = || read(&scene.following.path).unwrap().policies.revision.commit;
    symlink("nowhere", scene.following.path.join("COMMIT")).unwrap();
    assert_eq!(commit(), None);
    fs::remove_file(scene.following.path.join("COMMIT")).unwrap();
    scene.write("COMMIT", "$(rm -rf /)\n");
    assert_eq!(commit(), None);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_keeps_nothing() {
    let mut scene = Scene::begin("standby", &policy("8h")).await;
    scene.following.fence.close();
    scene.look().await;
    assert_eq!(scene.kept(), None);
}

#[tokio::test(start_paused = true)]
async fn a_mounted_config_map_is_followed_at_once_and_as_a_whole() {
    let mut scene = Scene::begin("mount", &policy("8h")).await;
    let path = scene.following.path.clone();
    fs::remove_file(path.join("p.yaml")).unwrap();
    let turn = |revision: &str, text: &str, commit: &str| {
        fs::create_dir(path.join(revision)).unwrap();
        fs::write(path.join(revision).join("p.yaml"), text).unwrap();
        fs::write(path.join(revision).join("COMMIT"), commit).unwrap();
        let _ = fs::remove_file(path.join("..tmp"));
        symlink(revision, path.join("..tmp")).unwrap();
        fs::rename(path.join("..tmp"), path.join("..data")).unwrap();
    };
    turn("..1", &policy("8h"), "0123abc\n");
    symlink("..data/p.yaml", path.join("p.yaml")).unwrap();
    symlink("..data/COMMIT", path.join("COMMIT")).unwrap();
    scene.look().await;
    let first = scene.in_force.borrow().revision.clone();
    assert_eq!((first.commit.as_deref(), first.to_string().ends_with("(commit 0123abc)")), (Some("0123abc"), true));
    turn("..2", &policy("4h"), "4567def");
    scene.look().await;
    assert_eq!((scene.maximum(), scene.in_force.borrow().revision.commit.as_deref()), (4, Some("4567def")));
    assert_eq!(scene.cluster.world().state(policies::NAME).unwrap().data["COMMIT"], "4567def");
}
