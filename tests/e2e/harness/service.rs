//! A service that uses the HTTP API with a token of its own, the way any HTTP client does.

use anyhow::{Context, Result, ensure};
use http::{HeaderMap, Request};
use kube::{Client, Config, client::Body};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use std::net::SocketAddr;

/// Whoever has a token, or none.
#[derive(Clone)]
pub(crate) struct Service {
    client: Client,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Came {
    /// The body of an answer with this status.
    pub(crate) fn with(self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "{} and not {status}: {}", self.status, self.body);
        Ok(self.body)
    }

    /// What a problem with this status and code says.
    pub(crate) fn problem(self, status: u16, code: &str) -> Result<String> {
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is = self.status == status && self.body["code"] == code && kind == "application/problem+json";
        ensure!(is, "{} ({kind}) and not {status} {code}: {}", self.status, self.body);
        Ok(self.body["detail"].as_str().context("it says nothing")?.to_owned())
    }
}

impl Service {
    /// Somebody who trusts this CA (PEM) and has this token.
    pub(crate) fn new(api: SocketAddr, ca: &[u8], token: Option<&str>) -> Result<Self> {
        let mut config = Config::new(format!("https://{api}").parse()?);
        let cas = CertificateDer::pem_slice_iter(ca).map(|ca| ca.map(|ca| ca.to_vec()));
        config.root_cert = Some(cas.collect::<Result<_, _>>().context("this is no CA")?);
        config.default_retry = false;
        Ok(Self { client: Client::try_from(config)?, token: token.map(str::to_owned) })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Came> {
        self.send("GET", path, &[], None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Came> {
        self.send("DELETE", path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Came> {
        self.send("POST", path, headers, Some(body)).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Result<Came> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.header("content-type", "application/json").body(Body::from(bytes))?;
        let response = self.client.send(request).await.with_context(|| format!("{method} {path}"))?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect_bytes().await?;
        let body =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).with_context(|| format!("{method} {path}: not JSON"))? };
        Ok(Came { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}
