//! The Kubernetes API in plain JSON, as one user. It shares nothing with the daemon's own adapter but the HTTP client.

use anyhow::{Context, Result, ensure};
use http::{Method, Request};
use kube::{
    Client, Config, Error,
    config::{KubeConfigOptions, Kubeconfig},
    core::WatchEvent,
};
use serde_json::Value;
use std::path::Path;

/// One user's view of the API server.
#[derive(Clone)]
pub(crate) struct Api(Client);

/// A client with the credentials of a kubeconfig. It sends everything once.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

impl Api {
    pub(crate) async fn by(kubeconfig: &Path) -> Result<Self> {
        Ok(Self(client(kubeconfig).await?))
    }

    /// The object there.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.find(path).await?.with_context(|| format!("{path}: there is none"))
    }

    /// The object there, if there is one.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.ask(Method::GET, path, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if code(&error) == Some(404) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("GET {path}")),
        }
    }

    /// Every object there. Lists here are short enough for one page.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut list = self.get(path).await?;
        ensure!(list["metadata"]["continue"].as_str().is_none_or(str::is_empty), "{path}: the list has a second page");
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            other => anyhow::bail!("{path}: not a list: {other}"),
        }
    }

    /// Creates an object, or says with which status code and words that was refused.
    pub(crate) async fn try_create(&self, path: &str, object: &Value) -> Result<std::result::Result<Value, (u16, String)>> {
        match self.ask(Method::POST, path, Some(("application/json", object))).await {
            Ok(made) => Ok(Ok(made)),
            Err(Error::Api(status)) => Ok(Err((status.code, status.message.clone()))),
            Err(error) => Err(error).with_context(|| format!("POST {path}")),
        }
    }

    /// What happens to the objects there from a version on, for as long as the server tells.
    pub(crate) async fn watch(&self, path: &str, version: &str) -> Result<impl futures::Stream<Item = Result<WatchEvent<Value>, Error>> + use<>> {
        let request = Request::builder().uri(format!("{path}?watch=1&resourceVersion={version}&timeoutSeconds=600")).body(Vec::new())?;
        Ok(self.0.request_events(request).await?)
    }

    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.ask(Method::POST, path, Some(("application/json", object))).await.with_context(|| format!("POST {path}"))
    }

    pub(crate) async fn replace(&self, path: &str, object: &Value) -> Result<Value> {
        self.ask(Method::PUT, path, Some(("application/json", object))).await.with_context(|| format!("PUT {path}"))
    }

    /// A JSON merge patch.
    pub(crate) async fn patch(&self, path: &str, change: &Value) -> Result<Value> {
        self.ask(Method::PATCH, path, Some(("application/merge-patch+json", change))).await.with_context(|| format!("PATCH {path}"))
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.ask(Method::DELETE, path, None).await.with_context(|| format!("DELETE {path}"))?;
        Ok(())
    }

    /// Deletes exactly this object, as it was read.
    pub(crate) async fn delete_exactly(&self, path: &str, object: &Value) -> Result<()> {
        let meta = &object["metadata"];
        let options = serde_json::json!({"preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}});
        self.ask(Method::DELETE, path, Some(("application/json", &options))).await.with_context(|| format!("DELETE {path}"))?;
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Value, Error> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some((content, _)) = body {
            request = request.header(http::header::CONTENT_TYPE, content);
        }
        let bytes = body.map(|(_, value)| value.to_string().into_bytes()).unwrap_or_default();
        self.0.request(request.body(bytes).map_err(Error::HttpError)?).await
    }
}

/// The status code of an answer that is an error.
fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Whether what was asked was refused for want of rights.
pub(crate) fn is_forbidden(error: &anyhow::Error) -> bool {
    has_code(error, 403)
}

/// Whether the object is not the one any more that was asked about.
pub(crate) fn is_conflict(error: &anyhow::Error) -> bool {
    has_code(error, 409)
}

fn has_code(error: &anyhow::Error, wanted: u16) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<Error>()).any(|error| code(error) == Some(wanted))
}
