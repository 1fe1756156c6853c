//! schemathesis, which tries an HTTP API of the daemon against the API's own OpenAPI document.

use super::{install::Install, stage::Stage};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

/// How long one run may take in all. Each is told to try for less.
const WITHIN: Duration = Duration::from_secs(60);

/// An API that is tried.
pub(crate) struct Trial<'a> {
    pub(crate) stage: &'a Arc<Stage>,
    pub(crate) install: &'a Install,
    /// Scheme and address.
    pub(crate) url: String,
    /// By which its certificate is trusted, if it has one.
    pub(crate) ca: Option<&'a Path>,
    /// Whose rights are tried.
    pub(crate) token: &'a str,
    /// What else stands in the head of each request.
    pub(crate) head: Option<&'a str>,
}

impl Trial<'_> {
    /// Runs it on a document; whether it found nothing, and what it said. `here`: what is asked for is asked for in this namespace.
    pub(crate) async fn run(&self, document: &str, args: &[&str], here: Option<&str>) -> Result<(bool, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/platform/schemathesis");
        let mut command = tokio::process::Command::new(self.stage.parts(|platform| platform.schemathesis()).await?);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.install.file("home")).current_dir(self.install.file(""));
        if let Some(namespace) = here {
            command.env("SCHEMATHESIS_HOOKS", "here").env("PYTHONPATH", folder).env("PYTHONDONTWRITEBYTECODE", "1");
            command.env("CLONEWARDEN_NAMESPACE", namespace);
        }
        command.args(["--config-file", &format!("{folder}/schemathesis.toml"), "run", document, "--url", &self.url]).args(args);
        if let Some(ca) = self.ca {
            command.arg("--tls-verify").arg(ca);
        }
        command.arg("--header").arg(format!("Authorization: Bearer {}", self.token));
        if let Some(line) = self.head {
            command.args(["--header", line]);
        }
        command.args(["--seed", "17", "--request-timeout", "40", "--no-color", "--workers", "2", "--generation-database", "none"]);
        command.arg("--continue-on-failure").stdin(Stdio::null()).kill_on_drop(true);
        let ran = tokio::time::timeout(WITHIN, command.output()).await.context("schemathesis does not end")??;
        let said = format!("{}\n{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        Ok((ran.status.success(), said.replace(self.token, "TOKEN")))
    }

    /// The same, where nothing may be found; how many cases there were.
    pub(crate) async fn finds_nothing(&self, document: &str, args: &[&str], here: Option<&str>) -> Result<String> {
        let (good, said) = self.run(document, args, here).await?;
        ensure!(good, "schemathesis found something ({args:?}):\n{said}");
        Ok(said.lines().find(|line| line.contains("generated")).unwrap_or_default().trim().to_owned())
    }

    /// Where the document lies it says so, in a text that has this in it.
    pub(crate) async fn notices(&self, lie: &Value, what: &str) -> Result<()> {
        let file = self.install.file("lie.json");
        std::fs::write(&file, lie.to_string())?;
        let (good, said) = self.run(&file.to_string_lossy(), &["--mode", "positive", "--phases", "coverage"], None).await?;
        ensure!(!good && said.contains(what), "schemathesis does not notice a lie:\n{said}");
        Ok(())
    }
}
