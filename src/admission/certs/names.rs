//! The names that a certificate of ours must carry.

use super::x509::Flaw;
use rustls::pki_types::ServerName;

/// The name by which replicas verify each other. It is no address: `.internal` is reserved, so that nobody else can own it.
pub const PEER_NAME: &str = "peer.clonewarden.internal";
/// The Service through which the API server reaches the webhook.
const SERVICE: &str = "clonewarden";

/// Names and addresses under which the webhook is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<ServerName<'static>>);

impl Names {
    /// The names of the Service in this namespace, the name among replicas, and whatever else is wanted: DNS names and IP
    /// addresses, for a webhook that is registered by URL.
    ///
    /// # Errors
    /// One of them is neither a DNS name nor an IP address.
    pub fn new(namespace: &str, extra: &[String]) -> Result<Self, Flaw> {
        let service = ["", ".svc", ".svc.cluster.local"].map(|suffix| format!("{SERVICE}.{namespace}{suffix}"));
        let names = service.into_iter().chain([PEER_NAME.to_owned()]).chain(extra.iter().cloned());
        let names =
            names.map(|name| ServerName::try_from(name.clone()).map_err(|_| Flaw::new(format!("`{name}` is neither a DNS name nor an IP address"))));
        names.collect::<Result<_, _>>().map(Self)
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ServerName<'static>> {
        self.0.iter()
    }
}
