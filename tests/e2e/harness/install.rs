//! An installation of clonewarden: a namespace with its account under the RBAC it ships with, a policy folder, and whatever
//! processes a scene starts.

use super::{
    api::{self, Api},
    audit::{self, Deed},
    aws::Aws,
    daemon::{self, Daemon},
    stage::{CLONEWARDEN, CLUSTER_ID, Stage, manifests},
    wait::until,
};
use anyhow::{Context, Result, bail, ensure};
use clonewarden::model::names;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The name of everything in `deploy/base/rbac.yaml`.
const NAME: &str = "clonewarden";
/// The account that `deploy/base/guard.yaml` is about.
const SHIPPED: &str = "system:serviceaccount:clonewarden:clonewarden";
/// The ConfigMap that every namespace has.
const PROBE: &str = "kube-root-ca.crt";
/// RBAC is in force once the API server's own caches have it.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(40);

/// One installation.
pub(crate) struct Install {
    pub(crate) stage: Arc<Stage>,
    /// Where lease and state are.
    pub(crate) namespace: String,
    /// The daemon's credentials.
    pub(crate) kubeconfig: PathBuf,
    /// The daemon's name to the API server.
    pub(crate) user: String,
    folder: PathBuf,
    started: AtomicUsize,
}

impl Install {
    /// Installs clonewarden for a scene, in `cw-<scene>`, with a key for credentials. A daemon makes none of its own where clones live
    /// by another one's, as those of the scenes beside it do.
    pub(crate) async fn new(stage: &Arc<Stage>, scene: &str) -> Result<Self> {
        let install = Self::without_key(stage, scene).await?;
        let key = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": names::KEY_SECRET},
            "stringData": {names::KEY_ENTRY: format!("brought by hand for {scene:.<12.12}")},
        });
        stage.admin.create(&format!("/api/v1/namespaces/{}/secrets", install.namespace), &key).await?;
        Ok(install)
    }

    /// The same without a key.
    pub(crate) async fn without_key(stage: &Arc<Stage>, scene: &str) -> Result<Self> {
        let folder = stage.folder(scene)?;
        fs::create_dir(folder.join("policies"))?;
        let namespace = format!("cw-{scene}");
        let user = format!("system:serviceaccount:{namespace}:{NAME}");
        let mut documents: Vec<Value> = manifests("base/rbac.yaml")?.into_iter().filter_map(|object| render(object, &namespace)).collect();
        documents.extend(manifests("base/guard.yaml")?.into_iter().map(|object| guard(object, &namespace, &user)));
        stage.apply(&json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string()).await?;
        let of = namespace.clone();
        let kubeconfig = stage.parts(move |platform| platform.kubeconfig_for_service_account(&of, NAME)).await?;
        let account = Api::by(&kubeconfig).await?;
        let state = format!("/api/v1/namespaces/{namespace}/configmaps/clonewarden-state");
        until("the account has its rights", IN_FORCE_WITHIN, async || {
            account.list("/apis/kro.run/v1alpha1/wordpressclones").await?;
            account.find(&state).await
        })
        .await?;
        // RBAC lets it delete this ConfigMap, which is no clone's; a dry run does nothing.
        let probe = format!("/api/v1/namespaces/{namespace}/configmaps/{PROBE}?dryRun=All");
        until("the guard is in force", IN_FORCE_WITHIN, async || match account.delete(&probe).await {
            Ok(()) => bail!("it is not"),
            Err(error) if api::is_forbidden(&error) && format!("{error:#}").contains("clonewarden-guard") => Ok(()),
            Err(error) => Err(error),
        })
        .await?;
        Ok(Self { stage: Arc::clone(stage), namespace, kubeconfig, user, folder, started: AtomicUsize::new(0) })
    }

    /// The policy folder.
    pub(crate) fn policies(&self) -> PathBuf {
        self.folder.join("policies")
    }

    /// Writes a policy for these namespaces; `rules` is the rest of its spec. One that is there is replaced at once, as a
    /// mounted ConfigMap is.
    pub(crate) fn govern(&self, policy: &str, namespaces: &[&str], rules: &str) -> Result<()> {
        let text = format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: {policy}}}\nspec:\n  namespaces: {{names: [{}]}}\n{}\n",
            namespaces.join(", "),
            rules.lines().map(|line| format!("  {}", line.trim())).collect::<Vec<_>>().join("\n"),
        );
        let new = self.folder.join(format!("{policy}.new"));
        fs::write(&new, text)?;
        fs::rename(new, self.policies().join(format!("{policy}.yaml")))?;
        Ok(())
    }

    /// Writes the policy file of a shared host.
    pub(crate) fn share(&self, host: &str) -> Result<()> {
        Ok(fs::write(self.policies().join("hosts.yaml"), host)?)
    }

    /// A file of this scene.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts a daemon. It is not waited for.
    pub(crate) fn start(&self) -> Result<Daemon> {
        self.start_with(&["--cluster-id", CLUSTER_ID])
    }

    /// Starts a daemon that follows this folder.
    pub(crate) fn start_on(&self, policies: &Path) -> Result<Daemon> {
        self.start_with(&["--cluster-id", CLUSTER_ID, "--policies", &policies.to_string_lossy()])
    }

    /// Starts a daemon with these flags beside those that it needs.
    pub(crate) fn start_with(&self, flags: &[&str]) -> Result<Daemon> {
        self.spawn(self.command(&self.kubeconfig), flags)
    }

    fn spawn(&self, mut command: Command, flags: &[&str]) -> Result<Daemon> {
        let name = format!("daemon-{}", self.started.fetch_add(1, Ordering::Relaxed));
        command.arg("run").args(flags);
        if !flags.contains(&"--policies") {
            command.arg("--policies").arg(self.policies());
        }
        command.arg("--journal").arg(self.file(&format!("{name}.journal")));
        Daemon::start(command, &name, self.file(&format!("{name}.log")), self.file(&format!("{name}.journal")), None)
    }

    /// Starts a daemon that governs databases in these regions of AWS, and sweeps them every second.
    pub(crate) fn start_with_aws(&self, aws: &Aws, regions: &str) -> Result<Daemon> {
        self.start_with_aws_and(aws, &["--cluster-id", CLUSTER_ID, "--aws-regions", regions, "--sweep-every", "1s"])
    }

    /// Starts a daemon with credentials for AWS and these flags.
    pub(crate) fn start_with_aws_and(&self, aws: &Aws, flags: &[&str]) -> Result<Daemon> {
        self.spawn(self.command_with_aws(aws), flags)
    }

    /// `clonewarden` with credentials for AWS.
    pub(crate) fn command_with_aws(&self, aws: &Aws) -> Command {
        let mut command = self.command(&self.kubeconfig);
        command.env("AWS_ENDPOINT_URL", &aws.url).env("AWS_ACCESS_KEY_ID", "testing").env("AWS_SECRET_ACCESS_KEY", "testing");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// Starts a daemon that answers reviews too, with these flags beside those that it needs.
    pub(crate) fn start_with_webhook(&self, flags: &[&str]) -> Result<Daemon> {
        let webhook = daemon::free_address()?;
        let name = format!("daemon-{}", self.started.fetch_add(1, Ordering::Relaxed));
        let mut command = self.command(&self.kubeconfig);
        command.args(["run", "--cluster-id", CLUSTER_ID, "--webhook-names", "127.0.0.1"]).args(flags).arg("--policies").arg(self.policies());
        command.arg("--webhook-listen").arg(webhook.to_string()).arg("--webhook-configuration").arg(&self.namespace);
        command.arg("--journal").arg(self.file(&format!("{name}.journal")));
        Daemon::start(command, &name, self.file(&format!("{name}.log")), self.file(&format!("{name}.journal")), Some(webhook))
    }

    /// Starts a daemon and waits until it acts.
    pub(crate) async fn start_leader(&self) -> Result<Daemon> {
        let daemon = self.start()?;
        daemon.until_leading().await?;
        Ok(daemon)
    }

    /// The plan that the daemon would make now, by its account.
    pub(crate) async fn plan(&self) -> Result<Value> {
        let policies = self.policies().to_string_lossy().into_owned();
        let out = self.run(&self.kubeconfig, &["plan", "--policies", &policies, "--cluster-id", CLUSTER_ID, "-o", "json"]).await?;
        serde_json::from_str(&out).with_context(|| format!("`plan -o json` printed something else: {out}"))
    }

    /// What the policies in that folder, in the place of those in force, would do to the cluster as it lives.
    pub(crate) async fn diff(&self, new: &Path) -> Result<Value> {
        let (old, new) = (self.policies().to_string_lossy().into_owned(), new.to_string_lossy().into_owned());
        let out = self.run(&self.kubeconfig, &["policy", "diff", &old, &new, "--cluster-id", CLUSTER_ID, "-o", "json"]).await?;
        serde_json::from_str(&out).with_context(|| format!("`policy diff -o json` printed something else: {out}"))
    }

    /// The revision of the policies as they stand in the folder.
    pub(crate) async fn revision(&self) -> Result<String> {
        Ok(self.plan().await?["policyRevision"].as_str().context("the plan names no revision")?.to_owned())
    }

    /// What `explain` says about a clone.
    pub(crate) async fn explain(&self, clone: &str) -> Result<String> {
        let policies = self.policies().to_string_lossy().into_owned();
        self.run(&self.kubeconfig, &["explain", clone, "--policies", &policies, "--cluster-id", CLUSTER_ID]).await
    }

    /// A command of a person with an admin's rights.
    pub(crate) async fn person(&self, args: &[&str]) -> Result<String> {
        self.run(&self.stage.platform.kubeconfig(), args).await
    }

    async fn run(&self, kubeconfig: &Path, args: &[&str]) -> Result<String> {
        let mut command = self.command(kubeconfig);
        command.args(args);
        let said = args.join(" ");
        let output = tokio::task::spawn_blocking(move || command.output()).await?.with_context(|| format!("cannot run {CLONEWARDEN}"))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`clonewarden {said}` failed ({}): {}", output.status, stderr.trim_end());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// `clonewarden` in this installation, with these credentials and nothing of this process's own settings.
    fn command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(CLONEWARDEN);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("KUBECONFIG", kubeconfig).env("CLONEWARDEN_NAMESPACE", &self.namespace);
        command
    }

    /// What this installation's daemons asked of the API server.
    pub(crate) async fn deeds(&self) -> Result<Vec<Deed>> {
        audit::deeds(&self.stage.platform.audit_log(), &self.user).await
    }

    /// The deletes of clones that the API server carried out for this installation's daemons, in that order. Of a daemon that
    /// was killed before the answer, the last try counts, unless it was tried anew. Anything else that they deleted but their
    /// own objects (`Orphan`s, and what bounds a namespace) is an error.
    pub(crate) async fn deleted(&self) -> Result<Vec<Deed>> {
        let mut deletes = self.deeds().await?;
        deletes.retain(|deed| deed.verb.starts_with("delete") && (deed.done() || deed.cut_off()) && !is_own(deed));
        if let Some(other) = deletes.iter().find(|deed| deed.verb != "delete" || deed.resource != "wordpressclones" || deed.name.is_empty()) {
            bail!("{} did `{}` on {}", self.user, other.verb, other.object());
        }
        let later = |at: usize, deed: &Deed| deletes.iter().skip(at + 1).any(|next| next.object() == deed.object());
        Ok(deletes.iter().enumerate().filter(|(at, deed)| deed.done() || !later(*at, deed)).map(|(_, deed)| deed.clone()).collect())
    }

    /// Waits until exactly these clones (`namespace/name`) were deleted, each once.
    pub(crate) async fn until_deleted_exactly(&self, expected: &[String]) -> Result<Vec<Deed>> {
        let mut expected = expected.to_vec();
        expected.sort();
        until("the audit log has exactly the expected deletes", Duration::from_secs(30), async || {
            let deleted = self.deleted().await?;
            let mut names: Vec<_> = deleted.iter().map(|deed| format!("{}/{}", deed.namespace, deed.name)).collect();
            names.sort();
            ensure!(names == expected, "deleted: {names:?}; expected: {expected:?}");
            Ok(deleted)
        })
        .await
    }
}

/// Whether a request is about an object that clonewarden keeps for itself.
fn is_own(deed: &Deed) -> bool {
    match deed.resource.as_str() {
        "orphans" => true,
        "resourcequotas" | "limitranges" => deed.name == NAME,
        _ => false,
    }
}

/// The shipped manifest for another namespace than the one it names; the ClusterRole is there already.
fn render(mut object: Value, namespace: &str) -> Option<Value> {
    match object["kind"].as_str() {
        Some("ClusterRole") => return None,
        Some("Namespace" | "ClusterRoleBinding") => object["metadata"]["name"] = json!(namespace),
        _ => object["metadata"]["namespace"] = json!(namespace),
    }
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        subject["namespace"] = json!(namespace);
    }
    Some(object)
}

/// The shipped guard for another account than the one it names.
fn guard(mut object: Value, namespace: &str, user: &str) -> Value {
    let name = format!("{}-{namespace}", object["metadata"]["name"].as_str().unwrap_or_default());
    object["metadata"]["name"] = json!(name);
    if object["spec"].get("policyName").is_some() {
        object["spec"]["policyName"] = json!(name);
    }
    for condition in object["spec"]["matchConditions"].as_array_mut().into_iter().flatten() {
        condition["expression"] = json!(condition["expression"].as_str().unwrap_or_default().replace(SHIPPED, user));
    }
    object
}

/// The decisions of a plan about a clone: the verdict first, then the alerts.
pub(crate) fn decisions<'a>(plan: &'a Value, namespace: &str, name: &str) -> Vec<&'a Value> {
    let about = |decision: &&Value| {
        let target = &decision["target"];
        target["kind"] == "WordPressClone" && target["namespace"] == namespace && target["name"] == name
    };
    let mut found: Vec<_> = plan["decisions"].as_array().into_iter().flatten().filter(about).collect();
    found.sort_by_key(|decision| decision["action"] == "alert");
    found
}

/// The verdict of a plan on a clone: action, code and what blocks it.
pub(crate) fn verdict(plan: &Value, namespace: &str, name: &str) -> Result<(String, String, String)> {
    let found = decisions(plan, namespace, name);
    let verdict = found.first().filter(|decision| decision["action"] != "alert");
    let verdict = verdict.with_context(|| format!("the plan has no verdict on {namespace}/{name}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&verdict["action"]), text(&verdict["reason"]["code"]), text(&verdict["blockedBy"])))
}
