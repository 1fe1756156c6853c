//! A service outside of the cluster that is posted to: it takes everything, or answers nothing at all.

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Uri},
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What was posted.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Such a service.
pub(crate) struct Hook {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Post>>>,
    task: JoinHandle<()>,
}

impl Hook {
    pub(crate) async fn start() -> Result<Self> {
        let got: Arc<Mutex<Vec<Post>>> = Arc::default();
        let taken = Arc::clone(&got);
        let take = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            taken.lock().unwrap_or_else(PoisonError::into_inner).push(Post { path: uri.path().to_owned(), headers, body });
            "{}"
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await.unwrap_or_default() });
        Ok(Self { url, got, task })
    }

    /// One that takes connections and says nothing.
    pub(crate) async fn silent() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(stream);
            }
        });
        Ok(Self { url, got: Arc::default(), task })
    }

    /// Everything so far.
    pub(crate) fn posts(&self) -> Vec<Post> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes its address, with this path, into a file.
    pub(crate) fn address_in(&self, file: &Path, path: &str) -> Result<()> {
        fs::write(file, format!("{}{path}\n", self.url)).with_context(|| format!("cannot write {}", file.display()))
    }

    /// That none of this stands in a text.
    pub(crate) fn ensure_absent(text: &str, secrets: &[&str]) -> Result<()> {
        for secret in secrets {
            ensure!(!text.contains(secret), "`{secret}` is in what it says");
        }
        Ok(())
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}
