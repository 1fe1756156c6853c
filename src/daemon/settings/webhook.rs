//! Whether and where the admission webhook is served, and where other replicas find it.

use super::Check;
use std::{net::SocketAddr, path::PathBuf};

/// Where and how the admission webhook is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where other replicas reach it.
    pub advertise: SocketAddr,
    /// A folder with a mounted certificate; `None`: clonewarden makes its own.
    pub certs: Option<PathBuf>,
    /// Further names and addresses of its own certificate.
    pub names: Vec<String>,
    /// The name of the webhook configurations.
    pub configuration: String,
}

/// The flags, from wherever they were said.
pub(super) struct Wanted {
    pub(super) listen: Option<String>,
    pub(super) advertise: Option<String>,
    pub(super) certs: Option<String>,
    pub(super) names: Option<String>,
    pub(super) configuration: Option<String>,
}

impl Wanted {
    pub(super) fn settle(self, check: &mut Check) -> Option<Webhook> {
        let said = self.advertise.is_some() || self.certs.is_some() || self.names.is_some() || self.configuration.is_some();
        let Some(listen) = self.listen else {
            check.that(!said, || "--webhook-…: without --webhook-listen there is no webhook to be set up".to_owned());
            return None;
        };
        let listen: SocketAddr = check.parse("--webhook-listen", Some(listen), "", "an address and a port such as 0.0.0.0:9443")?;
        let own = || std::env::var("POD_IP").ok().and_then(|ip| ip.parse().ok()).map_or(listen, |ip| SocketAddr::new(ip, listen.port()));
        let advertise = match self.advertise {
            Some(text) => check.parse("--webhook-advertise", Some(text), "", "an address and a port such as 10.1.2.3:9443")?,
            None => own(),
        };
        check.that(!advertise.ip().is_unspecified(), || {
            format!("--webhook-advertise: no other replica can reach `{advertise}`; set POD_IP (fieldRef status.podIP), or say this one's address")
        });
        let certs = check.folder("--webhook-certs", self.certs);
        let names = self.names.unwrap_or_default();
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some(Webhook { listen, advertise, certs, names, configuration: self.configuration.unwrap_or_else(|| "clonewarden".to_owned()) })
    }
}
