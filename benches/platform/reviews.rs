//! The webhook under load: creations at a fixed rate, each as the API server makes it: mutate, validate, store.

use anyhow::{Context, Result, ensure};
use axum::body::{Body, to_bytes};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clonewarden_platform::Platform;
use http::{Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The largest answer that is read.
const LARGEST: usize = 1 << 20;

/// Speaks to a webhook as the API server does, by the CA in its Secret.
#[derive(Clone)]
pub(super) struct Reviewer {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    address: SocketAddr,
}

/// What one creation took, in seconds.
pub(super) struct Took {
    pub(super) mutate: f64,
    pub(super) validate: f64,
}

impl Reviewer {
    /// Waits until the daemon has made its certificate, and shows it.
    pub(super) async fn new(platform: &Platform, address: SocketAddr) -> Result<Self> {
        let mut left = 30;
        loop {
            let one = match Self::by_secret(platform, address) {
                Ok(reviewer) => reviewer.create(super::cluster::bare_clone("first"), true).await.map(|_| reviewer),
                Err(error) => Err(error),
            };
            match one {
                Ok(reviewer) => return Ok(reviewer),
                Err(error) if left == 0 => return Err(error.context("the webhook does not answer")),
                Err(_) => left -= 1,
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn by_secret(platform: &Platform, address: SocketAddr) -> Result<Self> {
        let bundle = platform.kubectl(&["get", "secret", "clonewarden-webhook", "--namespace", "default", "-o", "jsonpath={.data.ca\\.crt}"])?;
        let bundle = STANDARD.decode(bundle.trim()).context("the CA bundle is not base64")?;
        let mut roots = RootCertStore::empty();
        for ca in CertificateDer::pem_slice_iter(&bundle) {
            roots.add(ca?)?;
        }
        ensure!(!roots.is_empty(), "the Secret holds no CA yet");
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().wrap_connector(tcp);
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(tls), address })
    }

    /// Both reviews of one creation; returns the object as it would be stored.
    pub(super) async fn create(&self, mut object: Value, dry: bool) -> Result<(Value, Took)> {
        let begun = Instant::now();
        let answer = self.ask("mutate", &object, dry).await?;
        let mutate = begun.elapsed().as_secs_f64();
        let patch = answer["response"]["patch"].as_str().with_context(|| format!("not let in: {answer}"))?;
        let patch: Vec<Value> = serde_json::from_slice(&STANDARD.decode(patch)?)?;
        for change in patch.iter().filter(|change| change["op"] == "add") {
            let (parent, key) = change["path"].as_str().and_then(|path| path.rsplit_once('/')).context("a change without a path")?;
            let fields = object.pointer_mut(parent).and_then(Value::as_object_mut).context("a change of what is not there")?;
            fields.insert(key.replace("~1", "/"), change["value"].clone());
        }
        let begun = Instant::now();
        let answer = self.ask("validate", &object, dry).await?;
        ensure!(answer["response"]["allowed"] == true, "not let in: {answer}");
        Ok((object, Took { mutate, validate: begun.elapsed().as_secs_f64() }))
    }

    async fn ask(&self, phase: &str, object: &Value, dry: bool) -> Result<Value> {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "bench", "operation": "CREATE", "resource": {"group": "kro.run", "version": "v1alpha1", "resource": "wordpressclones"},
                "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"], "userInfo": {"username": "someone"}, "object": object, "dryRun": dry,
            },
        });
        let uri = format!("https://{}/{phase}?timeout=10s", self.address);
        let request = Request::builder().method(Method::POST).uri(uri).header(http::header::CONTENT_TYPE, "application/json");
        let answer = self.client.request(request.body(Body::from(review.to_string()))?).await?;
        ensure!(answer.status().is_success(), "{phase}: {}", answer.status());
        Ok(serde_json::from_slice(&to_bytes(Body::new(answer.into_body()), LARGEST).await?)?)
    }
}

/// When the `number`th of so many a second is due.
pub(super) fn due(begun: Instant, number: usize, a_second: usize) -> Instant {
    begun + Duration::from_secs_f64(number as f64 / a_second as f64)
}
