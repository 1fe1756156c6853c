//! A ConfigMap mounted as the kubelet mounts one: no node of the platform is real, so nobody else does.
//!
//! The files of a version lie in a folder of their own, and one link is turned to it once they are all there. They are written slowly
//! here, so that whoever reads past the link meets half of them.

use super::api::Api;
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::task::JoinHandle;

/// How often the ConfigMap is looked at.
const EVERY: Duration = Duration::from_millis(300);
/// How long the half of a file lies there alone.
const WRITES: Duration = Duration::from_millis(500);

/// A mount that follows its ConfigMap until it is dropped.
pub(crate) struct Mount {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Mount {
    /// Mounts the ConfigMap `name` at `path`, which must be an empty folder.
    pub(crate) async fn new(api: &Api, namespace: &str, name: &str, path: &Path) -> Result<Self> {
        let of = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        let first = api.get(&of).await?;
        swap(path, &first).await?;
        let (api, path) = (api.clone(), path.to_owned());
        let at = path.clone();
        let task = tokio::spawn(async move {
            let mut seen = first["metadata"]["resourceVersion"].clone();
            loop {
                tokio::time::sleep(EVERY).await;
                let Ok(now) = api.get(&of).await else { continue };
                if now["metadata"]["resourceVersion"] != seen && swap(&path, &now).await.is_ok() {
                    seen = now["metadata"]["resourceVersion"].clone();
                }
            }
        });
        Ok(Self { path: at, task })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn swap(path: &Path, map: &Value) -> Result<()> {
    let version = format!("..{}", map["metadata"]["resourceVersion"].as_str().context("a ConfigMap has a version")?);
    fs::create_dir(path.join(&version))?;
    let data = map["data"].as_object().into_iter().flatten();
    for (name, text) in data {
        let (text, file) = (text.as_str().unwrap_or_default(), path.join(&version).join(name));
        fs::write(&file, text.get(..text.len().div_euclid(2)).unwrap_or_default())?;
        tokio::time::sleep(WRITES).await;
        fs::write(&file, text)?;
    }
    symlink(&version, path.join("..data_tmp"))?;
    fs::rename(path.join("..data_tmp"), path.join("..data"))?;
    for name in map["data"].as_object().into_iter().flatten().map(|(name, _)| name) {
        if fs::symlink_metadata(path.join(name)).is_err() {
            symlink(Path::new("..data").join(name), path.join(name))?;
        }
    }
    Ok(())
}
