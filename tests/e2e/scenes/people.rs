//! What people do with clones, by the real command with their own, narrow rights: create, wait, list, extend, keep, delete. Two
//! who create at once get two names; who waits is told within a second what is in the way; what may not be seen is said.

use crate::harness::{
    api::Api,
    clones::{Clones, Seen},
    daemon::Daemon,
    door::{self, Balancer},
    install::Install,
    stage::{CLONEWARDEN, Stage, manifests},
    wait::until,
};
use anyhow::{Context, Result, bail, ensure};
use clonewarden::model::names;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

/// Where a policy governs.
const GOVERNED: &str = "people";
/// Where none does, and no Pod may be.
const POOR: &str = "people-poor";
const SOURCE: &str = "--source-url=https://example.com";
/// What is in the way is told within a second of its being known.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// How long KRO, the controllers and kwok may take, with other scenes beside them.
const PLATFORM_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "people").await?;
    let rules = "mode: enforce\nttl: {minimum: 1m, default: 1h, maximum: 2h}\nlimits: {clonesPerOwner: 2}\n\
                 databases: [{name: critical, when: \"clone.labels['clonewarden.io/critical'] == 'true'\", use: dedicated, classes: [db.t3.micro]}]";
    install.govern(GOVERNED, &[GOVERNED], rules)?;
    let governed = Clones::in_new_namespace(&stage.admin, GOVERNED).await?;
    let poor = Clones::in_new_namespace(&stage.admin, POOR).await?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[GOVERNED]).await?;
    let outcome = live(&stage, &install, &balancer, &governed, &poor).await;
    door::unregister(&stage, &install).await?;
    for clones in [&governed, &poor] {
        clones.clear().await?;
    }
    outcome
}

async fn live(stage: &Arc<Stage>, install: &Install, balancer: &Balancer, governed: &Clones, poor: &Clones) -> Result<String> {
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    stage.admin.create(&format!("/api/v1/namespaces/{POOR}/resourcequotas"), &quota).await?;
    let [alice, bob, blind] = users(stage, install).await?;
    let daemon = install.start_with_webhook(&[])?;
    daemon.until_leading().await?;
    balancer.serve(&[daemon.webhook.context("it answers no reviews")?]);
    until("the webhook answers", PLATFORM_WITHIN, async || {
        alice.run(&["clone", "create", SOURCE, "-n", GOVERNED, "--dry-run=server"]).await?.done().map(drop)
    })
    .await?;

    let refused = refused_pods(stage, poor, &alice).await?;
    names_of_two(stage, poor, &alice, &bob).await?;
    own_database(governed, &bob).await?;
    let (clone, up) = created(governed, &alice).await?;
    sees(stage, &clone, &alice, &blind).await?;
    extended(governed, &clone, &alice, &daemon).await?;
    kept(governed, &clone, &alice).await?;
    let pulled = broken(stage, &clone, &alice).await?;
    gone(governed, &clone, &alice, &blind).await?;
    daemon.stop().await?;
    let told = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    Ok(format!("created and working in {:.1} s; told after {} and {}", up.as_secs_f64(), told(refused), told(pulled)))
}

/// Two people with the rights that ship, and a third who may not see Pods.
async fn users(stage: &Arc<Stage>, install: &Install) -> Result<[Person; 3]> {
    let role = manifests("people.yaml")?.into_iter().next().context("people.yaml is empty")?;
    let mut narrow = role.clone();
    narrow["metadata"]["name"] = json!("people-blind");
    let rules = narrow["rules"].as_array_mut().context("no rules")?;
    rules.retain(|rule| rule["resources"] != json!(["pods"]));
    let mut objects = vec![role, narrow];
    for namespace in [GOVERNED, POOR] {
        for (role, subject) in [
            ("clonewarden-people", json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice@example.com"})),
            ("clonewarden-people", json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob@example.com"})),
            ("people-blind", json!({"kind": "ServiceAccount", "name": "default", "namespace": GOVERNED})),
        ] {
            let name = format!("{role}-{}", subject["name"].as_str().unwrap_or_default().replace('@', "."));
            objects.push(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [subject],
            }));
        }
    }
    stage.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).await?;
    let person = |kubeconfig| Person { kubeconfig, home: install.file("home") };
    let user = |user: &'static str| stage.parts(move |platform| platform.kubeconfig_for_user(user));
    let blind = stage.parts(|platform| platform.kubeconfig_for_service_account(GOVERNED, "default")).await?;
    let people = [person(user("alice@example.com").await?), person(user("bob@example.com").await?), person(blind)];
    for person in &people {
        let api = Api::by(&person.kubeconfig).await?;
        until("they have their rights", PLATFORM_WITHIN, async || {
            api.list(&format!("/apis/kro.run/v1alpha1/namespaces/{POOR}/wordpressclones")).await
        })
        .await?;
    }
    Ok(people)
}

/// Where no Pod may be, whoever waits is told why there is none, and when the clone is deleted in between.
async fn refused_pods(stage: &Stage, poor: &Clones, alice: &Person) -> Result<Duration> {
    let created = alice.run(&["clone", "create", "refused", SOURCE, "-n", POOR]).await?.done()?;
    ensure!(created == "wordpressclone.kro.run/refused created\n", "it says {created}");
    let events = format!("/api/v1/namespaces/{POOR}/events");
    let seen = until("the job controller says why", PLATFORM_WITHIN, async || {
        let events = stage.admin.list(&events).await?;
        ensure!(events.iter().any(|event| event["reason"] == "FailedCreate"), "{} Events say nothing", events.len());
        Ok(Instant::now())
    })
    .await?;
    let mut waits = alice.start(&["clone", "wait", "wordpressclone.kro.run/refused", "-n", POOR])?;
    waits.until_says("exceeded quota: none").await?;
    let told = seen.elapsed();
    stage.admin.delete(&poor.path("refused")).await?;
    let (code, last) = waits.ended().await?;
    ensure!(code == 1 && (last.contains("is being deleted") || last.contains("was deleted")), "exit {code}: {last}");
    Ok(told)
}

/// A critical clone gets a database of its own: it is waited for until that has an address, which it has not before the
/// daemon has made the Secret that its password is in; and its object is followed to its end.
async fn own_database(governed: &Clones, bob: &Person) -> Result<()> {
    bob.run(&["clone", "create", "own", SOURCE, "--critical", "-n", GOVERNED]).await?.done()?;
    let mut waits = bob.start(&["clone", "wait", "own", "--timeout=2m", "-n", GOVERNED])?;
    waits.until_says("DBInstance `own-db`").await?;
    let (code, last) = waits.ended().await?;
    ensure!(code == 0, "exit {code}: {last}");
    let database = governed.api.get(&governed.instance_path("own")).await?;
    ensure!(database["status"]["endpoint"]["address"].is_string(), "it is said to work, and its database is {}", database["status"]);
    let list = bob.run(&["clone", "list", "-n", GOVERNED]).await?.done()?;
    ensure!(list.lines().any(|line| ["own ", "works", "dedicated"].iter().all(|word| line.contains(word))), "the list says\n{list}");
    let gone = bob.run(&["clone", "delete", "own", "--wait", "--timeout=2m", "-n", GOVERNED]).await?;
    ensure!(gone.done()?.contains("own is gone") && gone.err.contains("AWS may take some minutes more"), "{gone:?}");
    ensure!(governed.api.find(&governed.instance_path("own")).await?.is_none(), "it says that it is gone, and its database object is there");
    Ok(())
}

/// The name of every second to come is taken, so each of two people who create at once gets one with a number.
async fn names_of_two(stage: &Stage, poor: &Clones, alice: &Person, bob: &Person) -> Result<()> {
    let now = Timestamp::now();
    for second in 0..20 {
        let name = now.checked_add(SignedDuration::from_secs(second))?.strftime("clone-%Y%m%d-%H%M%S").to_string();
        // Nothing comes of a clone without a spec.
        let ghost = json!({"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"name": name}});
        stage.admin.create(&format!("/apis/kro.run/v1alpha1/namespaces/{POOR}/wordpressclones"), &ghost).await?;
    }
    let args = ["clone", "create", SOURCE, "-n", POOR, "-o", "name"];
    let (one, other) = tokio::try_join!(alice.run(&args), bob.run(&args))?;
    let (one, other) = (one.done()?, other.done()?);
    ensure!(one != other, "both got {one}");
    for name in [one.trim(), other.trim()] {
        let name = name.strip_prefix("wordpressclone.kro.run/").with_context(|| format!("`{name}` is no name"))?;
        let stored = poor.api.get(&poor.path(name)).await?;
        ensure!(stored["spec"]["cloneId"] == name, "{name} has the cloneId {}", stored["spec"]["cloneId"]);
        let parts: Vec<&str> = name.split('-').collect();
        ensure!(parts.len() == 4 && parts[0] == "clone" && ["2", "3"].contains(&parts[3]), "another form of name: {name}");
    }
    Ok(())
}

/// Created by a person, waited for, and working; more than the policy allows is refused in its words.
async fn created(governed: &Clones, alice: &Person) -> Result<(Seen, Duration)> {
    let begun = Instant::now();
    let said = alice.run(&["clone", "create", SOURCE, "--ttl=90m", "--wait", "--timeout=2m", "-o=json", "-n", GOVERNED]).await?;
    let document: Value = serde_json::from_str(&said.done()?)?;
    let took = begun.elapsed();
    ensure!(document["state"] == "works" && document["database"] == "shared", "it says {document}");
    ensure!(said.err.contains("starting: "), "nothing was told on the way: {}", said.err);
    let clone = governed.one(document["name"].as_str().unwrap_or_default()).await?;
    ensure!(clone.annotation(names::OWNER) == Some("alice@example.com"), "its owner is {:?}", clone.annotation(names::OWNER));
    let parts = governed.parts().await?;
    let up = parts.iter().filter(|part| part.clone == clone.uid() && part.up).map(|part| part.kind).collect::<Vec<_>>();
    ensure!(["Job", "Pod", "Service", "Ingress", "ConfigMap"].iter().all(|kind| up.contains(kind)), "it is said to work, with only {up:?}");

    alice.run(&["clone", "create", "second", SOURCE, "-n", GOVERNED]).await?.done()?;
    let third = alice.run(&["clone", "create", SOURCE, "-n", GOVERNED]).await?;
    let words = "denied the request: LimitReached: 2 of 2 clones of `alice@example.com` are in `people`";
    ensure!(third.code == 1 && third.out.is_empty() && third.err.contains(words), "the third: {third:?}");
    alice.run(&["clone", "delete", "second", "-n", GOVERNED]).await?.done()?;
    Ok((clone, took))
}

/// The list, also as a plugin of kubectl; what somebody may not see is not taken for nothing there.
async fn sees(stage: &Stage, clone: &Seen, alice: &Person, blind: &Person) -> Result<()> {
    let list = alice.run(&["clone", "list", "-n", GOVERNED]).await?.done()?;
    let line = list.lines().find(|line| line.contains(clone.name())).with_context(|| format!("it is not in:\n{list}"))?;
    ensure!(["works", "alice@example.com", "shared", "in 1h"].iter().all(|word| line.contains(word)), "its line is: {line}");
    let everywhere = alice.run(&["clone", "list", "-A"]).await?;
    ensure!(everywhere.code == 1 && everywhere.err.contains("cannot list clones: ") && everywhere.err.contains("forbidden"), "{everywhere:?}");

    std::fs::create_dir_all(&alice.home)?;
    let link = alice.home.join("kubectl-clonewarden");
    std::os::unix::fs::symlink(Path::new(CLONEWARDEN), &link)?;
    let kubectl = stage.platform.program("kubectl");
    let plugin = alice.said(&kubectl, &["clonewarden", "clone", "list", "-n", GOVERNED, "-o", "name"]).await?.done()?;
    ensure!(plugin.lines().any(|line| line == format!("wordpressclone.kro.run/{}", clone.name())), "the plugin says {plugin}");
    let usage = alice.said(&kubectl, &["clonewarden", "clone", "wait"]).await?;
    ensure!(usage.code == 2 && usage.err.contains("Usage: kubectl clonewarden clone wait"), "{usage:?}");

    let unseen = blind.run(&["clone", "wait", clone.name(), "-n", GOVERNED]).await?;
    ensure!(unseen.code == 1 && unseen.err.contains("may work or not: cannot list pods: "), "{unseen:?}");
    let list = blind.run(&["clone", "list", "-n", GOVERNED]).await?;
    ensure!(list.done()?.contains("unknown") && list.err.contains("cannot list pods: "), "{list:?}");
    Ok(())
}

/// An extension is announced; past the ceiling it is told where that is.
async fn extended(governed: &Clones, clone: &Seen, alice: &Person, daemon: &Daemon) -> Result<()> {
    let after = |minutes: i64| Ok::<_, anyhow::Error>(clone.created()?.checked_add(SignedDuration::from_mins(minutes))?.to_string());
    let (ceiling, longer) = (after(120)?, after(105)?);
    governed.until_announced(&[clone.name()]).await?;
    let more = alice.run(&["clone", "extend", clone.name(), "--by=15m", "-n", GOVERNED]).await?.done()?;
    ensure!(more.starts_with(&format!("{} lives until {longer} ", clone.name())) && more.contains(&format!("ceiling: {ceiling} ")), "it says {more}");
    let far = alice.run(&["clone", "extend", clone.name(), "--by=30d", "-n", GOVERNED]).await?;
    let said = far.done()?;
    ensure!(said.contains(&format!("lives until {ceiling} ")) && said.contains("which is past its ceiling"), "it says {said}");
    ensure!(!far.err.contains("Warning"), "what is said is said again: {}", far.err);
    let announced = governed.one(clone.name()).await?.expires_at().map(|end| end.to_string());
    ensure!(announced.as_deref() == Some(ceiling.as_str()), "it was not waited for: {announced:?}");
    daemon.page("/healthz").await.map(drop)
}

async fn kept(governed: &Clones, clone: &Seen, alice: &Person) -> Result<()> {
    alice.run(&["clone", "keep", clone.name(), "-n", GOVERNED]).await?.done()?;
    ensure!(governed.one(clone.name()).await?.annotation(names::KEEP) == Some("true"), "it is not kept");
    let deleted = alice.run(&["clone", "delete", clone.name(), "-n", GOVERNED]).await?;
    ensure!(deleted.code == 1 && deleted.err.contains("is kept"), "{deleted:?}");
    let list = alice.run(&["clone", "list", "-n", GOVERNED]).await?.done()?;
    ensure!(list.lines().any(|line| line.contains(clone.name()) && line.contains("kept")), "the list says\n{list}");
    alice.run(&["clone", "keep", clone.name(), "--off", "-n", GOVERNED]).await?.done()?;
    let now = governed.one(clone.name()).await?;
    ensure!(now.annotation(names::KEEP).is_none() && !now.is_terminating(), "it is still kept");
    Ok(())
}

/// A Pod that cannot pull its image is told of within a second; a Job that gave up ends the wait.
async fn broken(stage: &Stage, clone: &Seen, alice: &Person) -> Result<Duration> {
    let pods = stage.admin.list(&format!("/api/v1/namespaces/{GOVERNED}/pods?labelSelector={}={}", names::CLONE_UID, clone.uid())).await?;
    let pod = pods.first().and_then(|pod| pod["metadata"]["name"].as_str()).context("it has no Pod")?;
    let status = format!("/api/v1/namespaces/{GOVERNED}/pods/{pod}/status");
    let waiting = |reason: &str| {
        let state = json!({"waiting": {"reason": reason, "message": "as the kubelet says it"}});
        json!({"status": {"phase": "Pending", "containerStatuses": [
            {"name": "wordpress", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state},
        ]}})
    };
    stage.admin.patch(&status, &waiting("ContainerCreating")).await?;
    let mut waits = alice.start(&["clone", "wait", clone.name(), "-n", GOVERNED])?;
    waits.until_says("container waits: ContainerCreating").await?;
    stage.admin.patch(&status, &waiting("ImagePullBackOff")).await?;
    let known = Instant::now();
    waits.until_says("container waits: ImagePullBackOff: as the kubelet says it").await?;
    let told = known.elapsed();
    ensure!(told < TOLD_WITHIN, "it was told only after {told:?}");

    let job = format!("/apis/batch/v1/namespaces/{GOVERNED}/jobs/{}-job", clone.name());
    stage.admin.patch(&job, &json!({"spec": {"activeDeadlineSeconds": 1}})).await?;
    let (code, last) = waits.ended().await?;
    ensure!(code == 1 && last.contains("will not work: ") && last.contains("Job failed: "), "exit {code}: {last}");
    Ok(told)
}

/// A delete that is followed ends when nothing is left; who may not see everything is not told that it is.
async fn gone(governed: &Clones, clone: &Seen, alice: &Person, blind: &Person) -> Result<()> {
    let said = alice.run(&["clone", "delete", clone.name(), "--wait", "--timeout=2m", "-n", GOVERNED]).await?.done()?;
    ensure!(said.contains("is gone"), "it says {said}");
    let left: Vec<_> = governed.parts().await?.into_iter().filter(|part| part.clone == clone.uid()).map(|part| part.to_string()).collect();
    ensure!(left.is_empty(), "it says that it is gone, and there is {}", left.join(", "));
    ensure!(governed.find(clone.name()).await?.is_none_or(|there| there.uid() != clone.uid()), "the clone is still there");

    blind.run(&["clone", "create", "unseen", SOURCE, "-n", GOVERNED]).await?.done()?;
    let said = blind.run(&["clone", "delete", "unseen", "--wait", "--timeout=2m", "-n", GOVERNED]).await?;
    ensure!(said.code == 1 && said.out.is_empty() && said.err.contains("is not known: cannot list pods: "), "{said:?}");
    Ok(())
}

/// Somebody with a kubeconfig.
struct Person {
    kubeconfig: PathBuf,
    /// Where kubectl keeps its cache, and finds its plugin.
    home: PathBuf,
}

impl Person {
    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home).env("PATH", &self.home);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, args: &[&str]) -> Result<Said> {
        self.said(Path::new(CLONEWARDEN), args).await
    }

    async fn said(&self, program: &Path, args: &[&str]) -> Result<Said> {
        let output = self.command(program, args).output().await.with_context(|| format!("cannot run {}", program.display()))?;
        let text = |bytes| String::from_utf8(bytes).context("it printed something that is not text");
        Ok(Said { args: args.join(" "), code: output.status.code().unwrap_or(-1), out: text(output.stdout)?, err: text(output.stderr)? })
    }

    /// Starts a command that is listened to while it runs.
    fn start(&self, args: &[&str]) -> Result<Waiting> {
        let mut command = self.command(Path::new(CLONEWARDEN), args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot start it")?;
        let lines = BufReader::new(child.stderr.take().context("it has no standard error")?).lines();
        Ok(Waiting { child, lines, heard: Vec::new() })
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
struct Said {
    args: String,
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// What it printed, if it did what was asked.
    fn done(&self) -> Result<String> {
        ensure!(self.code == 0, "`{}` failed ({}): {}", self.args, self.code, self.err.trim_end());
        Ok(self.out.clone())
    }
}

/// A command that waits.
struct Waiting {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    heard: Vec<String>,
}

impl Waiting {
    async fn until_says(&mut self, words: &str) -> Result<()> {
        let heard = &mut self.heard;
        let listen = async {
            while let Some(line) = self.lines.next_line().await? {
                heard.push(line);
                if heard.last().is_some_and(|line| line.contains(words)) {
                    return Ok(());
                }
            }
            bail!("it ended")
        };
        let said = tokio::time::timeout(PLATFORM_WITHIN, listen).await.unwrap_or_else(|_| Err(anyhow::anyhow!("it said nothing of the kind")));
        said.with_context(|| format!("waiting for `{words}`; it said:\n{}", self.heard.join("\n")))
    }

    /// Its exit code and its last line.
    async fn ended(mut self) -> Result<(i32, String)> {
        let end = async {
            while let Some(line) = self.lines.next_line().await? {
                self.heard.push(line);
            }
            self.child.wait().await
        };
        let status = tokio::time::timeout(PLATFORM_WITHIN, end).await.context("it does not end")??;
        Ok((status.code().unwrap_or(-1), self.heard.pop().unwrap_or_default()))
    }
}
