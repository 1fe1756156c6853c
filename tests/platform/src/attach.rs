//! A test's view of the running platform.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::control;
use crate::kubeconfig::{self, file_name, token_of, write_private};
use crate::mariadb::MariaDb;
use crate::pins;
use crate::python;
use crate::record::PartRecord;
use crate::site;

/// The platform that this process runs under. Cheap to make; holds nothing open; may be used from many tests at once.
#[derive(Debug, Clone)]
pub struct Platform {
    dir: PathBuf,
}

impl Platform {
    /// Attaches to the platform named by `CLONEWARDEN_PLATFORM`.
    ///
    /// # Errors
    /// When the variable is not set or names no running platform: a test must fail then, not pass unseen.
    pub fn attach() -> Result<Self> {
        let dir =
            std::env::var_os("CLONEWARDEN_PLATFORM").context("CLONEWARDEN_PLATFORM is not set: run this under `clonewarden-platform run -- CMD`")?;
        let platform = Self { dir: PathBuf::from(dir) };
        platform.parts()?;
        Ok(platform)
    }

    /// The run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every long-running part as it is now.
    ///
    /// # Errors
    /// When `parts.json` cannot be read.
    pub fn parts(&self) -> Result<Vec<PartRecord>> {
        let path = self.dir.join("parts.json");
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}: is the platform running?", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not a list of parts", path.display()))
    }

    /// The part called `name` as it is now.
    ///
    /// # Errors
    /// When there is none.
    pub fn part(&self, name: &str) -> Result<PartRecord> {
        let parts = self.parts()?;
        let names: Vec<_> = parts.iter().map(|part| part.name.clone()).collect();
        parts.into_iter().find(|part| part.name == name).with_context(|| format!("no part is called `{name}`: there are {}", names.join(", ")))
    }

    /// Path of a built program, such as `kubectl`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    /// Path of schemathesis, which tries an HTTP API against its own OpenAPI document.
    ///
    /// # Errors
    /// When it was not installed.
    pub fn schemathesis(&self) -> Result<PathBuf> {
        installed(python::SCHEMATHESIS, "schemathesis")
    }

    /// Path of cfn-lint, which reads templates for CloudFormation.
    ///
    /// # Errors
    /// When it was not installed.
    pub fn cfn_lint(&self) -> Result<PathBuf> {
        installed(python::CFN_LINT, "cfn-lint")
    }

    /// Path of pre-commit, which reads the hooks that the tree has for other repositories.
    ///
    /// # Errors
    /// When it was not installed.
    pub fn pre_commit(&self) -> Result<PathBuf> {
        installed(python::PRE_COMMIT, "pre-commit")
    }

    /// A folder of files that were copied for a pin, such as `crds`.
    ///
    /// # Errors
    /// When nothing is pinned under that name, or it was not built.
    pub fn copied(&self, pin: &str, folder: &str) -> Result<PathBuf> {
        let place = pins::files_of(pin, folder)?;
        if !place.is_dir() {
            bail!("{} is not there: run `clonewarden-platform build`", place.display());
        }
        Ok(place)
    }

    /// The cluster admin's kubeconfig (`system:masters`).
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfigs").join("admin")
    }

    /// The kubeconfig of a fixed user: `alice@example.com` and `bob@example.com` have no rights but those a test binds.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn kubeconfig_for_user(&self, user: &str) -> Result<PathBuf> {
        let path = self.dir.join("tokens.csv");
        let tokens = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        token_of(&tokens, user)?;
        Ok(self.dir.join("kubeconfigs").join(file_name(user)))
    }

    /// Writes a kubeconfig with a new token, good for a day, of a ServiceAccount that exists.
    ///
    /// # Errors
    /// When there is no such ServiceAccount or the file cannot be written.
    pub fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", name, "--namespace", namespace, "--duration=24h"])?;
        self.kubeconfig_for_token(&format!("system:serviceaccount:{namespace}:{name}"), token.trim())
    }

    /// Writes a kubeconfig with `token`; `user` only names the entry and the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_for_token(&self, user: &str, token: &str) -> Result<PathBuf> {
        let text = kubeconfig::text(&self.api_url()?, &self.ca(), user, token);
        let path = self.dir.join("kubeconfigs").join(file_name(user));
        write_private(&path, text.as_bytes())?;
        Ok(path)
    }

    /// The API server's port.
    ///
    /// # Errors
    /// When `parts.json` does not say it.
    pub fn api_port(&self) -> Result<u16> {
        self.part("kube-apiserver")?.port.context("parts.json gives kube-apiserver no port")
    }

    /// The API server's address.
    ///
    /// # Errors
    /// As [`Platform::api_port`].
    pub fn api_url(&self) -> Result<String> {
        Ok(format!("https://127.0.0.1:{}", self.api_port()?))
    }

    /// The address of the AWS endpoint: every service and region of one account, and the control API under `/control/`
    /// (see `aws/control.py`).
    ///
    /// # Errors
    /// When `parts.json` does not say it.
    pub fn aws_endpoint(&self) -> Result<String> {
        let port = self.part("aws")?.port.context("parts.json gives aws no port")?;
        Ok(format!("http://127.0.0.1:{port}"))
    }

    /// The server that plays the shared database hosts.
    ///
    /// # Errors
    /// When `parts.json` does not say its port.
    pub fn mariadb(&self) -> Result<MariaDb> {
        MariaDb::attach(self)
    }

    /// The certificate that the API server is to be trusted by.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("apiserver").join("apiserver.crt")
    }

    /// The socket by which the API server reaches Services (HTTP CONNECT): whoever listens there plays the network of the cluster.
    #[must_use]
    pub fn services(&self) -> PathBuf {
        self.dir.join(site::SERVICES)
    }

    /// A part's log so far.
    ///
    /// # Errors
    /// When there is no such part or no log.
    pub fn log(&self, part: &str) -> Result<String> {
        let path = self.part(part)?.log;
        let bytes = fs::read(&path).with_context(|| format!("cannot read the log of {part}, {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The API server's audit log: one JSON event a line, Metadata level, every user's every request once.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    /// The events of the audit log so far. A last line that is still being written is left out.
    ///
    /// # Errors
    /// When it cannot be read or a whole line is not JSON.
    pub fn audit_events(&self) -> Result<Vec<Value>> {
        let path = self.audit_log();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{}: not JSON: {line}", path.display()))).collect()
    }

    /// Kills a part with SIGKILL; returns when it is gone.
    ///
    /// # Errors
    /// When there is no such part or the supervisor has ended.
    pub fn kill(&self, part: &str) -> Result<()> {
        control::ask(&self.dir, "kill", part)
    }

    /// Ends a part with SIGTERM (SIGKILL after 5 s); returns when it is gone.
    ///
    /// # Errors
    /// As [`Platform::kill`].
    pub fn stop(&self, part: &str) -> Result<()> {
        control::ask(&self.dir, "stop", part)
    }

    /// Stops a part if it runs, starts it with the same arguments on the same port, and returns when it is ready.
    ///
    /// # Errors
    /// As [`Platform::kill`], and when it does not get ready.
    pub fn restart(&self, part: &str) -> Result<()> {
        control::ask(&self.dir, "restart", part)
    }

    /// Stops a part where it stands, by SIGSTOP: it keeps its connections and answers nobody.
    ///
    /// # Errors
    /// As [`Platform::kill`], and when it does not run.
    pub fn freeze(&self, part: &str) -> Result<()> {
        control::ask(&self.dir, "freeze", part)
    }

    /// Lets a frozen part go on.
    ///
    /// # Errors
    /// As [`Platform::freeze`].
    pub fn thaw(&self, part: &str) -> Result<()> {
        control::ask(&self.dir, "thaw", part)
    }

    /// Runs kubectl as cluster admin and returns what it printed.
    ///
    /// # Errors
    /// When it fails; the message has its own words.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with_input(args, "")
    }

    /// Runs kubectl with `input` on its stdin, as for `apply -f -`.
    ///
    /// # Errors
    /// As [`Platform::kubectl`].
    pub fn kubectl_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        let program = self.program("kubectl");
        let mut child = Command::new(&program)
            .args(args)
            .env("KUBECONFIG", self.kubeconfig())
            .env("KUBECACHEDIR", self.dir.join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A kubectl that fails early closes its stdin; its own message says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("`kubectl {}` failed ({}): {}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`kubectl {}` printed something that is not text", args.join(" ")))
    }
}

/// Path of axe-core, the script that finds in a page what shuts people out. It needs no platform that runs.
///
/// # Errors
/// When it was not installed.
pub fn axe() -> Result<PathBuf> {
    let library = whole(python::AXE)?.join("lib");
    // One folder, named after the version of Python.
    let folders = fs::read_dir(&library).with_context(|| format!("cannot read {}", library.display()))?;
    let script = folders.flatten().map(|folder| folder.path().join("site-packages/axe_playwright_python/axe.min.js")).find(|path| path.is_file());
    script.with_context(|| format!("there is no axe.min.js under {}: run `clonewarden-platform build`", library.display()))
}

/// Folder with the CRDs of Prometheus' operator that `deploy/` has objects of.
///
/// # Errors
/// When they were not copied.
pub fn operator_crds() -> Result<PathBuf> {
    let folder = pins::files_of(pins::OPERATOR, "crds")?;
    if !folder.is_dir() {
        bail!("{} is not there: run `clonewarden-platform build`", folder.display());
    }
    Ok(folder)
}

/// A program of a Python environment.
fn installed(environment: python::Environment, program: &str) -> Result<PathBuf> {
    Ok(whole(environment)?.join("bin").join(program))
}

/// A Python environment that is there.
fn whole(environment: python::Environment) -> Result<PathBuf> {
    let place = environment.place(&pins::cache_root()?)?;
    if !python::is_whole(&place) {
        bail!("{} is not whole: run `clonewarden-platform build`", place.display());
    }
    Ok(place)
}
