//! Hands a review on to the holder of the lease, with mutual TLS: both ends show a certificate of clonewarden's own CA.

use super::{
    certs::{Identity, PEER_NAME},
    review::Phase,
};
use axum::body::{Body, Bytes, to_bytes};
use http::{Method, Request, StatusCode, header};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The most that a review and its answer may be. The API server takes objects of 3 MiB, and a review of a change holds two.
pub(super) const LARGEST: usize = 8 << 20;
/// How long the holder's machine may take to be reached.
const CONNECT: Duration = Duration::from_secs(1);

/// Why a review could not be handed on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The holder could not be reached, or broke off.
    #[error("the holder at `{address}` cannot be reached: {reason}")]
    Unreachable {
        /// Its address.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// It says nothing.
    #[error("the holder at `{0}` does not answer")]
    Silent(String),
    /// It answered, but is not the holder (any more).
    #[error("`{0}` does not hold the lease")]
    NotHolder(String),
}

type Connections = Client<HttpsConnector<HttpConnector>, Body>;

/// Connections to the holder, made anew when the certificate changes.
#[derive(Default)]
pub struct Forwarder(Mutex<Option<(Arc<Identity>, Connections)>>);

impl Forwarder {
    /// Hands on a review; the answer is the holder's, as it stands.
    ///
    /// # Errors
    /// Where the holder cannot be reached, or is none: the caller looks who it is by now, and tries again.
    pub async fn forward(&self, identity: &Arc<Identity>, address: &str, phase: Phase, review: Bytes) -> Result<Bytes, ForwardError> {
        let unreachable = |reason: String| ForwardError::Unreachable { address: address.to_owned(), reason };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("https://{address}/peer/{}", phase.word()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(review))
            .map_err(|error| unreachable(error.to_string()))?;
        let answer = self.client(identity).map_err(unreachable)?.request(request).await.map_err(|error| unreachable(crate::post::reasons(&error)))?;
        match answer.status() {
            StatusCode::OK => to_bytes(Body::new(answer.into_body()), LARGEST).await.map_err(|error| unreachable(error.to_string())),
            StatusCode::SERVICE_UNAVAILABLE => Err(ForwardError::NotHolder(address.to_owned())),
            other => Err(unreachable(format!("it answers {other}"))),
        }
    }

    fn client(&self, identity: &Arc<Identity>) -> Result<Connections, String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = known.as_ref().filter(|(by, _)| Arc::ptr_eq(by, identity)) {
            return Ok(client.clone());
        }
        let name = PEER_NAME.try_into().map_err(|_| "the name of peers is none".to_owned())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let mut config = (*identity.client).clone();
        // The connector says itself what it speaks.
        config.alpn_protocols.clear();
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .with_server_name_resolver(FixedServerNameResolver::new(name))
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).build(tls);
        *known = Some((Arc::clone(identity), client.clone()));
        Ok(client)
    }
}
