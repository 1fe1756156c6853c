//! `docs/install.md`, as somebody new would go through it: every block of commands on that page, in its order, by kustomize and then by Helm. The
//! daemon runs by the Deployment that ships, under the rights, the guard, the policies and the webhooks that ship.
//!
//! The upgrade goes on under load: creations that never stop, with lives of seconds. None is refused, and each clone is deleted once.
//!
//! The last of all scenes: it ends with the uninstallation, which takes our kinds away from everybody.

use crate::harness::{
    api::Api,
    audit,
    clones::Clones,
    daemon::Daemon,
    kubelet::Kubelet,
    orphans::strip,
    stage::{CLONEWARDEN, Stage},
    wait::until,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const NAMESPACE: &str = "wordpress-staging";
const DAEMON: &str = "system:serviceaccount:clonewarden:clonewarden";
const USAGES: &str = "/apis/clonewarden.io/v1alpha1/cloneusages";
const ORPHANS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/orphans.clonewarden.io";
const KEY: &str = "/api/v1/namespaces/clonewarden/secrets/clonewarden-key";
const WITHIN: Duration = Duration::from_secs(60);
/// How often a clone is made while the replicas are rolled.
const EVERY: Duration = Duration::from_millis(400);
/// The numbers of somebody's own, so that lives end while the scene plays.
const OWN: &str = "apiVersion: clonewarden.io/v1alpha1
kind: ClonePolicy
metadata: {name: staging}
spec:
  mode: enforce
  namespaces: {names: [wordpress-staging]}
  ttl: {default: 1h, minimum: 5s, maximum: 24h, warnings: [], grace: 5s}
  limits: {clones: 200}
";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    nobody_was_here(&stage.admin).await?;
    let newcomer = Newcomer::arrive(&stage)?;
    let kubelet = Kubelet::start(&stage, newcomer.folder.join("pods"))?;
    let mut page = Page::read()?;

    newcomer.follow(page.take("1. Look, with nothing installed")?).await?;
    newcomer.follow(page.take("2. The definition and the policies")?).await?;
    let clones = Clones { api: stage.admin.clone(), namespace: NAMESPACE.to_owned() };
    let begun = Instant::now();
    let outcome = newcomer.follow(page.take("3. Install, in audit")?).await;
    // Why no Pod runs says more than that none does.
    kubelet.daemons()?;
    outcome?;
    let installed = begun.elapsed();
    one_acts(&kubelet).await?;
    newcomer.follow(page.take("4. Read what it would do")?).await?;
    ensure!(clones.one("first").await?.expires_at().is_none(), "in audit nothing is written on a clone");
    one_policy(&newcomer, &kubelet).await?;
    fails_open(&stage, true).await?;

    let mut blocks = page.take("5. From audit to enforce")?;
    proves(&newcomer, &kubelet, &blocks.remove(0)).await?;
    newcomer.follow(blocks).await?;
    fails_open(&stage, false).await?;
    clones.until_announced(&["first"]).await?;
    newcomer.follow(page.take("6. Stop it, now")?).await?;

    fs::write(newcomer.folder.join("policies/staging.yaml"), OWN)?;
    newcomer.run("kubectl apply -k deploy/overlays/mine").await?;
    until_in_force(&stage).await?;
    let rolled = upgrade(&stage, &newcomer, &kubelet, &clones, page.take("7. Upgrade")?).await?;

    let [leave, for_good] = <[String; 2]>::try_from(page.take("8. Uninstall")?).map_err(|blocks| anyhow!("{} blocks to leave", blocks.len()))?;
    newcomer.run(&leave).await?;
    gone(&stage, false).await?;
    for path in [ORPHANS, KEY] {
        stage.admin.get(path).await.context("what is remembered stays")?;
    }
    newcomer.run(&for_good).await?;
    gone(&stage, true).await?;
    clones.one("first").await?;
    ensure!(fs::read_to_string(newcomer.folder.join("records.yaml"))?.contains("kind: CloneUsage"), "the records were not kept");
    clones.create("free", Some(60), &json!({})).await?;

    by_helm(&stage, &newcomer, &kubelet, page.take("With Helm instead")?).await?;
    clones.one("first").await?;
    page.is_done()?;
    clones.clear().await?;
    Ok(format!("installed and ready in {:.1} s; {rolled}", installed.as_secs_f64()))
}

/// The key of the clones' credentials is made only where no clone lives by another one. What earlier scenes have left is not waited for:
/// databases that AWS has forgotten meanwhile may keep it for long.
async fn nobody_was_here(api: &Api) -> Result<()> {
    const CLONES: &str = "/apis/kro.run/v1alpha1/wordpressclones";
    for clone in api.list(CLONES).await? {
        let text = |field: &str| clone["metadata"][field].as_str().unwrap_or_default().to_owned();
        let path = format!("/apis/kro.run/v1alpha1/namespaces/{}/wordpressclones/{}", text("namespace"), text("name"));
        if text("deletionTimestamp").is_empty() {
            api.delete(&path).await?;
        }
        // It may be gone by itself in between.
        let _ = strip(api, &path).await;
    }
    until("no clone is there", WITHIN, async || {
        let left = api.list(CLONES).await?.len();
        ensure!(left == 0, "{left} are");
        Ok(())
    })
    .await
}

/// The file that the page names has the revision that the daemon acts by, so `apply` takes a plan that was made with it.
async fn one_policy(newcomer: &Newcomer, kubelet: &Kubelet) -> Result<()> {
    newcomer.run("clonewarden plan --policies policies/staging.yaml -o json > plan.json").await?;
    let plan: Value = serde_json::from_str(&fs::read_to_string(newcomer.folder.join("plan.json"))?)?;
    let revision = plan["policyRevision"].as_str().context("no revision")?;
    for daemon in kubelet.daemons()?.into_values() {
        let said = daemon.metrics().await?.family("clonewarden_policy_info");
        ensure!(said.contains(revision), "{revision}, and the daemon acts by {said}");
    }
    Ok(())
}

/// Both replicas run, and one of them acts.
async fn one_acts(kubelet: &Kubelet) -> Result<Vec<Arc<Daemon>>> {
    until("two replicas, of which one acts", WITHIN, async || {
        let daemons: Vec<_> = kubelet.daemons()?.into_values().collect();
        let mut acting = 0;
        for daemon in &daemons {
            acting += usize::from(daemon.leads().await?);
        }
        ensure!(daemons.len() == 2 && acting == 1, "{} run, {acting} act", daemons.len());
        Ok(daemons)
    })
    .await
}

/// Whether clones are let in while nobody answers, as the configurations stand; and the daemon is trusted by its own authority.
async fn fails_open(stage: &Stage, open: bool) -> Result<()> {
    for kind in ["mutating", "validating"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/clonewarden");
        until(&format!("{kind}: the daemon has put its authority in"), WITHIN, async || {
            let found = stage.admin.get(&path).await?;
            let policies: Vec<_> = found["webhooks"].as_array().into_iter().flatten().map(|webhook| &webhook["failurePolicy"]).collect();
            let trusts = |place: usize| found["webhooks"][place]["clientConfig"]["caBundle"].is_string();
            ensure!(trusts(0) && trusts(1), "there is none");
            ensure!(policies == [if open { "Ignore" } else { "Fail" }, "Ignore"], "{policies:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The page's proof that the API server reaches the daemon. It is none if it also succeeds where no replica runs.
async fn proves(newcomer: &Newcomer, kubelet: &Kubelet, block: &str) -> Result<()> {
    // The API server hears of the authority a moment after it is there.
    until("the API server asks the daemon", WITHIN, async || newcomer.run(block).await).await?;
    let before = reviews(kubelet).await?;
    newcomer.run(block).await?;
    ensure!(reviews(kubelet).await? > before, "nobody counted the review");
    newcomer.run("kubectl scale deployment -n clonewarden clonewarden --replicas=0").await?;
    until("no replica runs", WITHIN, async || {
        let left = kubelet.daemons()?.len();
        ensure!(left == 0, "{left} do");
        Ok(())
    })
    .await?;
    ensure!(newcomer.run(block).await.is_err(), "nobody answers, and the proof succeeds");
    newcomer.run("kubectl apply -k deploy/overlays/mine").await?;
    one_acts(kubelet).await?;
    until("the API server asks the daemon again", WITHIN, async || newcomer.run(block).await).await
}

/// How many reviews all replicas have counted.
async fn reviews(kubelet: &Kubelet) -> Result<f64> {
    let mut all = 0.0;
    for daemon in kubelet.daemons()?.into_values() {
        all += daemon.metrics().await?.sum("clonewarden_admission_reviews_total", &[]);
    }
    Ok(all)
}

/// The policy that was rolled out last is the one that reviews are judged by.
async fn until_in_force(stage: &Stage) -> Result<()> {
    let path = format!("/apis/kro.run/v1alpha1/namespaces/{NAMESPACE}/wordpressclones?dryRun=All");
    until("lives of seconds are taken as they are", WITHIN, async || match stage.admin.try_create(&path, &clone("dry")).await? {
        Ok(made) if made["spec"]["ttlSeconds"] == 5 => Ok(()),
        other => bail!("{other:?}"),
    })
    .await
}

fn clone(name: &str) -> Value {
    json!({
        "apiVersion": "kro.run/v1alpha1",
        "kind": "WordPressClone",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"cloneId": name, "sourceUrl": "https://example.com", "ttlSeconds": 5},
    })
}

/// The next version is applied while clones come and go.
async fn upgrade(stage: &Arc<Stage>, newcomer: &Newcomer, kubelet: &Kubelet, clones: &Clones, blocks: Vec<String>) -> Result<String> {
    let record = until("the daemon has a record of what clones cost", WITHIN, async || {
        stage.admin.list(USAGES).await?.into_iter().next().context("there is none")
    })
    .await?;
    let kind = stage.admin.get(ORPHANS).await?["metadata"]["uid"].clone();
    newcomer.check_out_the_next_version()?;
    let before: Vec<String> = kubelet.daemons()?.into_keys().collect();
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load(clones.clone(), Arc::clone(&stop)));
    let begun = Instant::now();
    newcomer.follow(blocks).await?;
    let took = begun.elapsed();
    // The old ones are on their way for as long as their hook says.
    until("only new replicas run", WITHIN, async || {
        let now = kubelet.daemons()?;
        ensure!(now.len() == 2 && before.iter().all(|old| !now.contains_key(old)), "{:?} run", now.keys());
        Ok(())
    })
    .await?;
    stop.store(true, Ordering::Relaxed);
    let made = load.await??;
    ensure!(made.len() >= 10, "only {} creations: that was no load", made.len());
    one_acts(kubelet).await?;

    clones.until_gone(&made.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    until("each was deleted once", WITHIN, async || {
        let deeds = audit::deeds(&stage.platform.audit_log(), DAEMON).await?;
        let mut times: BTreeMap<&str, usize> = made.iter().map(|name| (name.as_str(), 0)).collect();
        for deed in deeds.iter().filter(|deed| deed.verb == "delete" && deed.resource == "wordpressclones" && deed.done()) {
            *times.get_mut(deed.name.as_str()).with_context(|| format!("{} was deleted", deed.name))? += 1;
        }
        let otherwise: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
        ensure!(otherwise.is_empty(), "not once: {otherwise:?}");
        Ok(())
    })
    .await?;
    let now = stage.admin.get(ORPHANS).await?;
    ensure!(now["metadata"]["uid"] == kind, "the kind was made anew");
    ensure!(now["metadata"]["annotations"]["version"] == "next", "the kind is as it was");
    let kept = stage.admin.list(USAGES).await?.into_iter().any(|one| one["metadata"]["uid"] == record["metadata"]["uid"]);
    ensure!(kept, "the record is gone");
    Ok(format!("rolled in {:.1} s under {} creations, none refused, each deleted once", took.as_secs_f64(), made.len()))
}

/// Creates clones until it is told to stop; every one has to be let in.
async fn load(clones: Clones, stop: Arc<AtomicBool>) -> Result<Vec<String>> {
    let path = format!("/apis/kro.run/v1alpha1/namespaces/{NAMESPACE}/wordpressclones");
    let mut made = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let name = format!("load-{}", made.len());
        if let Err((code, said)) = clones.api.try_create(&path, &clone(&name)).await? {
            bail!("{name} was refused: {code}: {said}");
        }
        made.push(name);
        tokio::time::sleep(EVERY).await;
    }
    Ok(made)
}

/// Nothing that could be in anybody's way is left; by kustomize, nothing at all.
async fn gone(stage: &Stage, all: bool) -> Result<()> {
    let cluster = [
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/clonewarden",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/clonewarden",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/clonewarden",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/clonewarden-guard",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/clonewarden",
    ];
    let more = [ORPHANS, "/api/v1/namespaces/clonewarden"];
    for path in cluster.iter().chain(more.iter().filter(|_| all)) {
        until(&format!("{path} is gone"), WITHIN, async || {
            ensure!(stage.admin.find(path).await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Three blocks: install, upgrade, uninstall.
async fn by_helm(stage: &Arc<Stage>, newcomer: &Newcomer, kubelet: &Kubelet, blocks: Vec<String>) -> Result<()> {
    let [install, upgrade, uninstall] = <[String; 3]>::try_from(blocks).map_err(|blocks| anyhow!("{} blocks for Helm", blocks.len()))?;
    newcomer.run(&install).await?;
    one_acts(kubelet).await?;
    fails_open(stage, true).await?;
    newcomer.run(&upgrade).await?;
    one_acts(kubelet).await?;
    fails_open(stage, false).await?;
    until_in_force(stage).await?;
    newcomer.run(&uninstall).await?;
    gone(stage, false).await?;
    newcomer.run("kubectl delete namespace clonewarden --timeout=60s").await
}

/// The page, as blocks of commands under headings.
struct Page(Vec<(String, String)>);

impl Page {
    fn read() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/install.md");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (mut heading, mut blocks) = (String::new(), Vec::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(next) = line.strip_prefix("## ") {
                next.clone_into(&mut heading);
            } else if let Some(language) = line.strip_prefix("```") {
                ensure!(language == "sh", "nothing runs what is written in `{language}`");
                let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
                blocks.push((heading.clone(), block.join("\n")));
            }
        }
        Ok(Self(blocks))
    }

    /// The blocks under a heading, which come next on the page.
    fn take(&mut self, heading: &str) -> Result<Vec<String>> {
        let count = self.0.iter().take_while(|(of, _)| of == heading).count();
        ensure!(count > 0, "`{heading}` is not what comes next: {:?}", self.0.first());
        Ok(self.0.drain(..count).map(|(_, block)| block).collect())
    }

    fn is_done(&self) -> Result<()> {
        ensure!(self.0.is_empty(), "not run: {:?}", self.0);
        Ok(())
    }
}

/// Somebody with a checkout, the binary and an administrator's kubeconfig.
struct Newcomer {
    folder: PathBuf,
    path: String,
    kubeconfig: PathBuf,
}

impl Newcomer {
    fn arrive(stage: &Stage) -> Result<Self> {
        let folder = stage.folder("install")?;
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let copied =
            std::process::Command::new("cp").arg("-a").args([repository.join("deploy"), repository.join("policies")]).arg(&folder).status()?;
        ensure!(copied.success(), "the tree cannot be copied");
        fs::create_dir(folder.join("bin"))?;
        symlink(CLONEWARDEN, folder.join("bin/clonewarden"))?;
        for program in ["kubectl", "helm"] {
            symlink(stage.platform.program(program), folder.join("bin").join(program))?;
        }
        let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        Ok(Self { folder, path, kubeconfig: stage.platform.kubeconfig() })
    }

    /// Another image, and a kind that has changed.
    fn check_out_the_next_version(&self) -> Result<()> {
        for (file, from, to) in [
            ("deploy/base/deployment.yaml", "image: clonewarden:0.1.0", "image: clonewarden:0.2.0"),
            ("deploy/base/crds/orphans.yaml", "\n  annotations:\n", "\n  annotations:\n    version: next\n"),
        ] {
            let text = fs::read_to_string(self.folder.join(file))?;
            ensure!(text.contains(from), "{file} has no `{from}`");
            fs::write(self.folder.join(file), text.replacen(from, to, 1))?;
        }
        Ok(())
    }

    async fn follow(&self, blocks: Vec<String>) -> Result<()> {
        for block in blocks {
            self.run(&block).await?;
        }
        Ok(())
    }

    async fn run(&self, script: &str) -> Result<()> {
        let mut command = tokio::process::Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).current_dir(&self.folder).env_clear();
        command.env("PATH", &self.path).env("HOME", &self.folder).env("KUBECONFIG", &self.kubeconfig);
        let output = command.output().await.context("cannot run bash")?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "{}\n{script}\nsaid: {}", output.status, String::from_utf8_lossy(&said));
        Ok(())
    }
}
