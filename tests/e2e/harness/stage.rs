//! What all scenes share: the running parts, the definitions that clones and clonewarden need, and an admin's view.

use super::{api::Api, aws::SUBNETS};
use anyhow::{Context, Result, ensure};
use clonewarden_platform::Platform;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The binary under test.
pub(crate) const CLONEWARDEN: &str = env!("CARGO_BIN_EXE_clonewarden");
/// How this cluster is called in AWS: the RGD's literal, and every daemon's `--cluster-id`.
pub(crate) const CLUSTER_ID: &str = "e2e";
/// How long KRO may take to accept the RGD.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);

/// The parts, set up once.
pub(crate) struct Stage {
    pub(crate) platform: Platform,
    /// The cluster as its admin sees it. No daemon ever gets these rights.
    pub(crate) admin: Api,
    /// Where scenes keep policies, journals and logs; it stays if the suite fails.
    folder: PathBuf,
}

impl Stage {
    /// Attaches to the running parts and installs what is there once in a cluster.
    pub(crate) async fn set() -> Result<Self> {
        let platform = Platform::attach().context(
            "these tests need the real parts; start them and the tests with\n  cargo run -p clonewarden-platform -- run -- cargo test --test e2e -- --nocapture",
        )?;
        clonewarden::observe::kube::install_tls();
        let folder = platform.dir().join("scenes");
        fs::create_dir_all(&folder)?;
        let stage = Self { admin: Api::by(&platform.kubeconfig()).await?, platform, folder };
        let crds = std::process::Command::new(CLONEWARDEN).arg("crds").output().context("cannot run `clonewarden crds`")?;
        ensure!(crds.status.success(), "`clonewarden crds` failed: {}", String::from_utf8_lossy(&crds.stderr));
        stage.apply(&String::from_utf8(crds.stdout)?).await?;
        stage.kubectl(&["wait", "--for=condition=Established", "crd/orphans.clonewarden.io", "--timeout=30s"]).await?;
        let orphans = "/apis/clonewarden.io/v1alpha1/orphans";
        super::wait::until("the API server has a store for orphans", ACCEPTED_WITHIN, || stage.admin.list(orphans)).await?;
        stage.apply_definition().await?;
        // The rights are the same for all installations; who gets them differs.
        let rules = manifests("base/rbac.yaml")?.into_iter().filter(|object| object["kind"] == "ClusterRole");
        for rule in rules {
            stage.apply(&rule.to_string()).await?;
        }
        Ok(stage)
    }

    /// Applies the RGD as it ships, with its placeholders replaced, and waits until KRO serves clones.
    pub(crate) async fn apply_definition(&self) -> Result<()> {
        for file in ["kro/wordpress-clone.yaml", "kro/rbac.yaml"] {
            let path = deploy(file);
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            self.apply(&text.replace("REPLACE-CLUSTER-ID", CLUSTER_ID).replace("REPLACE-SUBNET-GROUP", SUBNETS)).await?;
        }
        super::wait::until("KRO accepts the RGD", ACCEPTED_WITHIN, async || {
            let definition = self.admin.get("/apis/kro.run/v1alpha1/resourcegraphdefinitions/wordpress-clone").await?;
            let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
            let ready = definition["status"]["conditions"].as_array().is_some_and(|conditions| conditions.iter().any(ready));
            ensure!(ready && definition["status"]["state"] == "Active", "its status is {}", definition["status"]);
            Ok(())
        })
        .await
    }

    /// Brings back what a scene that failed may have taken away.
    pub(crate) async fn restore(&self) -> Result<()> {
        let down = self
            .parts(|platform| Ok(platform.parts()?.into_iter().filter(|part| part.pid.is_none()).map(|part| part.name).collect::<Vec<_>>()))
            .await?;
        for part in down {
            self.parts(move |platform| platform.restart(&part)).await?;
        }
        super::orphans::forget(&self.admin).await?;
        self.apply_definition().await?;
        // Clones that live by another daemon's credentials keep the next one from making a key.
        self.kubectl(&["delete", "wordpressclones", "--all", "--all-namespaces", "--wait=false"]).await?;
        Ok(())
    }

    /// A new folder for a scene.
    pub(crate) fn folder(&self, scene: &str) -> Result<PathBuf> {
        let folder = self.folder.join(scene);
        fs::create_dir(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(folder)
    }

    /// Runs kubectl as admin.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with(args, "").await
    }

    /// Applies documents as admin.
    pub(crate) async fn apply(&self, documents: &str) -> Result<()> {
        self.kubectl_with(&["apply", "--filename=-"], documents).await?;
        Ok(())
    }

    async fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let (platform, input) = (self.platform.clone(), input.to_owned());
        // Others wait on this thread's runtime meanwhile.
        tokio::task::spawn_blocking(move || platform.kubectl_with_input(&args.iter().map(String::as_str).collect::<Vec<_>>(), &input)).await?
    }

    /// Does something with the parts, which takes its time.
    pub(crate) async fn parts<T: Send + 'static>(&self, work: impl FnOnce(&Platform) -> Result<T> + Send + 'static) -> Result<T> {
        let platform = self.platform.clone();
        tokio::task::spawn_blocking(move || work(&platform)).await?
    }
}

/// A file that ships.
fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// The documents of a file that ships.
pub(crate) fn manifests(file: &str) -> Result<Vec<Value>> {
    let path = deploy(file);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("{} does not parse", path.display()))
}
