//! A plan is read, approved and carried out by people with an approver's rights alone: audit in its two steps, and what the brake holds
//! back. Only what nobody touched in between goes; the daemon itself does nothing, and its journal says who approved.

use crate::harness::{
    audit,
    clones::{Clones, Seen},
    daemon::Daemon,
    install::{Install, verdict},
    stage::{CLONEWARDEN, CLUSTER_ID, Stage, manifests},
    wait::{until, until_past},
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(40);
const AUDITED: &str = "approve";
const BRAKED: &str = "approve-brake";
const TTL: &str = "ttl: {minimum: 5s, default: 1h, maximum: 2h, warnings: [], grace: 5s}";
/// Overdue before a daemon is there: their ends are surprises.
const LATE: [&str; 2] = ["late-1", "late-2"];
const CLONES: [&str; 5] = ["changed", "kept", "made-anew", "snoozed", "untouched"];

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "approve").await?;
    install.govern("approve", &[AUDITED], &format!("mode: audit\n{TTL}"))?;
    install.govern("approve-brake", &[BRAKED], &format!("mode: enforce\n{TTL}\nbrake: {{deletes: 1}}"))?;
    let audited = Clones::in_new_namespace(&stage.admin, AUDITED).await?;
    let braked = Clones::in_new_namespace(&stage.admin, BRAKED).await?;
    let mut seen = Vec::new();
    for name in CLONES {
        seen.push(audited.create(name, Some(5), &json!({})).await?);
    }
    let mut late = Vec::new();
    for name in LATE {
        late.push(braked.create(name, Some(5), &json!({})).await?);
    }
    let [approver, looker, nobody] = people(&stage, &install).await?;
    // While KRO brings them up, it changes them: that would be a conflict, and rightly so.
    audited.until_settled(&seen).await?;
    braked.until_settled(&late).await?;
    for clone in &late {
        until_past(clone.created()?.checked_add(SignedDuration::from_secs(6))?).await;
    }
    let daemon = install.start_leader().await?;

    announced(&audited, &approver).await?;
    let second = until("all of them could go, but for audit", SOON, async || {
        let plan = approver.plan("second.json").await?;
        for name in CLONES {
            let verdict = verdict(&plan, AUDITED, name)?;
            ensure!(verdict == ("delete".into(), "Expired".into(), "audit".into()), "{name} is {verdict:?}");
        }
        // What is not approved is taken out.
        approver.keep_of("second.json", plan, AUDITED)
    })
    .await?;
    refused(&install, &audited, &approver, &nobody, &second).await?;
    let forbidden = looker.run(&["apply", &second, "-o", "json"]).await?;
    ensure!(forbidden.code == 1 && forbidden.outcome(AUDITED, "untouched")? == "forbidden", "{forbidden:?}");
    ensure!(forbidden.out.contains("cannot delete resource"), "it does not say it in the words of RBAC: {forbidden:?}");
    ensure!(audited.all().await?.iter().all(|clone| !clone.is_terminating()), "something went");

    only_the_untouched_goes(&stage, &audited, &approver, &second).await?;
    behind_the_brake(&braked, &daemon, &approver).await?;
    said_who(&install, &daemon, &approver, &looker).await?;
    daemon.stop().await?;
    for clones in [&audited, &braked] {
        clones.clear().await?;
    }
    Ok(String::new())
}

/// An approver with the rights that ship, one who may look and say so but delete nothing, and one without rights.
async fn people(stage: &Arc<Stage>, install: &Install) -> Result<[Person; 3]> {
    let home = &install.namespace;
    let mut objects = manifests("approvers.yaml")?;
    for object in objects.iter_mut().filter(|object| object["kind"] == "Role") {
        object["metadata"]["namespace"] = json!(home);
    }
    let accounts = ["approver", "looker", "nobody"];
    objects.extend(accounts.map(|name| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": home}})));
    let mut bind = |kind: &str, role: (&str, &str), namespace: Option<&str>, people: &[&str]| {
        let subjects: Vec<Value> = people.iter().map(|name| json!({"kind": "ServiceAccount", "name": name, "namespace": home})).collect();
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": format!("{home}-{}", role.1), "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1}, "subjects": subjects,
        }));
    };
    bind("ClusterRoleBinding", ("ClusterRole", "clonewarden-lookers"), None, &["approver", "looker"]);
    bind("RoleBinding", ("Role", "clonewarden-approvals"), Some(home), &["approver", "looker"]);
    for namespace in [AUDITED, BRAKED] {
        bind("RoleBinding", ("ClusterRole", "clonewarden-approvers"), Some(namespace), &["approver"]);
    }
    stage.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).await?;
    let person = async |name: &'static str| {
        let of = home.clone();
        let kubeconfig = stage.parts(move |platform| platform.kubeconfig_for_service_account(&of, name)).await?;
        anyhow::Ok(Person {
            kubeconfig,
            user: format!("system:serviceaccount:{home}:{name}"),
            namespace: home.clone(),
            folder: install.file(""),
            policies: install.policies(),
        })
    };
    let people = [person(accounts[0]).await?, person(accounts[1]).await?, person(accounts[2]).await?];
    for person in people.iter().take(2) {
        until("they have their rights", SOON, async || {
            let plan = person.run(&["plan"]).await?;
            ensure!(!plan.err.contains("could not be listed"), "{plan:?}");
            plan.done().map(drop)
        })
        .await?;
    }
    Ok(people)
}

/// The first step of audit: an end is announced because an approver wants it, and the daemon does nothing about it.
async fn announced(clones: &Clones, approver: &Person) -> Result<()> {
    let plan = until("their ends have passed", SOON, async || {
        let plan = approver.plan("first.json").await?;
        for name in CLONES {
            let verdict = verdict(&plan, AUDITED, name)?;
            ensure!(verdict == ("warn".into(), "WouldAnnounce".into(), "audit".into()), "{name} is {verdict:?}");
        }
        Ok(approver.file("first.json"))
    })
    .await?;
    let dry = approver.run(&["apply", &plan, "--dry-run"]).await?;
    ensure!(dry.done()?.contains("a dry run: nothing was written"), "{dry:?}");
    ensure!(clones.all().await?.iter().all(|clone| clone.announcement().is_empty()), "a dry run has announced something");
    let applied = approver.run(&["apply", &plan, "-o", "json"]).await?;
    applied.done()?;
    let mut last = Timestamp::now();
    for name in CLONES {
        ensure!(applied.outcome(AUDITED, name)? == "done", "{name}: {applied:?}");
        let clone = clones.one(name).await?;
        let (end, said) = (clone.expires_at().context("it is not announced")?, clone.annotation(names::ANNOUNCED_AT).context("no date")?.parse()?);
        ensure!(end.duration_since(said) >= SignedDuration::from_secs(5), "{name} was given no grace: {said} to {end}");
        last = last.max(end);
    }
    until_past(last).await;
    Ok(())
}

/// Paused, too old, by other policies, or by somebody without rights: nothing is done.
async fn refused(install: &Install, clones: &Clones, approver: &Person, nobody: &Person, plan: &str) -> Result<()> {
    install.person(&["pause", "--reason", "an outage is looked into"]).await?;
    let paused = approver.run(&["apply", plan]).await?;
    ensure!(paused.code == 1 && paused.err.contains("an outage is looked into") && paused.out.is_empty(), "{paused:?}");
    // Who may approve may not lift a pause, nor let go what a brake holds.
    for command in [&["resume"][..], &["brake", "release", "approve-brake", "--reason", "mine"]] {
        let tried = approver.run(command).await?;
        ensure!(tried.code == 1 && (tried.err.contains("forbidden") || tried.err.contains("nothing is held")), "{command:?}: {tried:?}");
    }
    install.person(&["resume"]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let old = approver.run(&["apply", plan, "--max-age", "1s"]).await?;
    ensure!(old.code == 2 && old.err.contains("--max-age"), "{old:?}");
    let policies = approver.file("other");
    std::fs::create_dir(&policies)?;
    std::fs::write(
        Path::new(&policies).join("p.yaml"),
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [p]}}\n",
    )?;
    let other = approver.run(&["apply", plan, "--policies", &policies]).await?;
    ensure!(other.code == 2 && other.err.matches("sha256:").count() == 2, "{other:?}");
    let without = nobody.run(&["apply", plan]).await?;
    ensure!(without.code == 1 && without.out.is_empty() && without.err.contains("forbidden"), "{without:?}");
    let all = clones.all().await?;
    ensure!(all.len() == CLONES.len() && !all.iter().any(Seen::is_terminating), "something went: {all:?}");
    Ok(())
}

/// Between the plan and its execution clones are changed, kept, snoozed and made anew.
async fn only_the_untouched_goes(stage: &Stage, clones: &Clones, approver: &Person, plan: &str) -> Result<()> {
    clones.set_ttl("changed", 3_600).await?;
    clones.annotate("kept", names::KEEP, "true").await?;
    let later = Timestamp::from_second(Timestamp::now().as_second())?.checked_add(SignedDuration::from_mins(30))?;
    clones.annotate("snoozed", names::EXTEND_UNTIL, &later.to_string()).await?;
    clones.delete("made-anew").await?;
    let anew = clones.create("made-anew", Some(3_600), &json!({})).await?;

    let applied = approver.run(&["apply", plan, "-o", "json", "--reason", "looked through"]).await?;
    applied.done()?;
    for (name, outcome) in [("changed", "otherwise"), ("kept", "otherwise"), ("snoozed", "otherwise"), ("made-anew", "gone"), ("untouched", "done")] {
        ensure!(applied.outcome(AUDITED, name)? == outcome, "{name} is not {outcome}: {applied:?}");
    }
    clones.until_gone(&["untouched"]).await?;
    let left = clones.all().await?;
    ensure!(left.len() == 4 && !left.iter().any(Seen::is_terminating), "not the other four are left: {left:?}");
    ensure!(clones.one("made-anew").await?.uid() == anew.uid(), "the new one is gone");
    let deeds = audit::deeds(&stage.platform.audit_log(), &approver.user).await?;
    let deleted: Vec<_> = deeds.iter().filter(|deed| deed.verb == "delete" && deed.done()).map(|deed| deed.name.as_str()).collect();
    ensure!(deleted == ["untouched"], "the approver deleted {deleted:?}");
    Ok(())
}

/// What the brake holds back goes by an approver's word, and the daemon goes on as if it had been let go.
async fn behind_the_brake(clones: &Clones, daemon: &Daemon, approver: &Person) -> Result<()> {
    daemon.until_metric(SOON, "clonewarden_brake_on", &[("policy", "approve-brake")], 1.0).await?;
    let plan = until("both wait behind the brake", SOON, async || {
        let plan = approver.plan("braked.json").await?;
        for name in LATE {
            let verdict = verdict(&plan, BRAKED, name)?;
            ensure!(verdict == ("delete".into(), "Expired".into(), "brake".into()), "{name} is {verdict:?}");
        }
        Ok(approver.file("braked.json"))
    })
    .await?;
    let applied = approver.run(&["apply", &plan]).await?;
    ensure!(applied.done()?.contains("brake release approve-brake"), "it does not say how else: {applied:?}");
    clones.until_gone(&LATE).await?;
    daemon.until_metric(SOON, "clonewarden_brake_on", &[("policy", "approve-brake")], 0.0).await
}

/// The journal names who approved, and how it ended; the daemon itself has deleted nothing.
async fn said_who(install: &Install, daemon: &Daemon, approver: &Person, looker: &Person) -> Result<()> {
    until("the journal says who approved", SOON, async || {
        let journal = daemon.journal()?;
        let of = |event: &str, person: &Person, id: &str| {
            let by = person.user.clone();
            let lines = journal.iter().filter(|line| line["event"] == event && line["facts"]["by"] == by.as_str());
            lines.map(|line| line["facts"][id].to_string()).collect::<Vec<_>>()
        };
        for (person, times) in [(approver, 3), (looker, 1)] {
            let approved = of("approved", person, "id");
            ensure!(approved.len() == times, "{} approved {approved:?}", person.user);
            // A line for each decision.
            let ended: BTreeSet<String> = of("applied", person, "approval").into_iter().collect();
            ensure!(ended == approved.into_iter().collect(), "{} had carried out {ended:?}", person.user);
        }
        let of_clones = journal.iter().filter(|line| line["event"] == "applied" && line["outcome"] == "done" && line["action"] == "delete");
        ensure!(of_clones.clone().count() > 0 && of_clones.clone().all(|line| line["clone"]["uid"].is_string()), "no deletion has its clone");
        let second = journal.iter().find(|line| line["event"] == "approved" && line["facts"]["reason"] == "looked through");
        ensure!(second.is_some_and(|line| line["facts"]["count"] == 1), "{second:?}");
        Ok(())
    })
    .await?;
    let deleted = install.deleted().await?;
    ensure!(deleted.is_empty(), "the daemon deleted {deleted:?}");
    Ok(())
}

/// Somebody with a service account's rights, the policies, and a folder.
struct Person {
    kubeconfig: PathBuf,
    user: String,
    /// Where the daemon keeps its state.
    namespace: String,
    folder: PathBuf,
    policies: PathBuf,
}

impl Person {
    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    async fn run(&self, args: &[&str]) -> Result<Said> {
        let mut command = Command::new(CLONEWARDEN);
        command.args(args).env_clear().env("KUBECONFIG", &self.kubeconfig).env("CLONEWARDEN_NAMESPACE", &self.namespace);
        command.env("CLONEWARDEN_CLUSTER_ID", CLUSTER_ID).stdin(Stdio::null()).kill_on_drop(true);
        if !args.contains(&"--policies") {
            command.env("CLONEWARDEN_POLICIES", &self.policies);
        }
        let output = command.output().await.context("cannot run it")?;
        let text = |bytes| String::from_utf8(bytes).context("it printed something that is not text");
        Ok(Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout)?, err: text(output.stderr)? })
    }

    /// Leaves only the decisions about one namespace in a plan.
    fn keep_of(&self, file: &str, mut plan: Value, namespace: &str) -> Result<String> {
        plan["decisions"].as_array_mut().context("no decisions")?.retain(|decision| decision["target"]["namespace"] == namespace);
        std::fs::write(self.folder.join(file), plan.to_string())?;
        Ok(self.file(file))
    }

    /// Makes a plan and keeps it in a file, as a person does.
    async fn plan(&self, file: &str) -> Result<Value> {
        let plan = self.run(&["plan", "-o", "json"]).await?.done()?;
        std::fs::write(self.folder.join(file), &plan)?;
        Ok(serde_json::from_str(&plan)?)
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn done(&self) -> Result<String> {
        ensure!(self.code == 0, "it failed ({}): {}{}", self.code, self.err.trim_end(), self.out);
        Ok(self.out.clone())
    }

    /// What became of the decision about a clone.
    fn outcome(&self, namespace: &str, name: &str) -> Result<String> {
        let document: Value = serde_json::from_str(&self.out).with_context(|| format!("no document: {self:?}"))?;
        let about = |decision: &&Value| {
            let target = &decision["target"];
            target["kind"] == "WordPressClone" && target["namespace"] == namespace && target["name"] == name && decision["action"] != "alert"
        };
        let decision = document["decisions"].as_array().into_iter().flatten().find(about);
        Ok(decision.with_context(|| format!("nothing about {name}"))?["outcome"].as_str().unwrap_or_default().to_owned())
    }
}
