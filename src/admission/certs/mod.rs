//! Who this process is in TLS: to the API server that sends reviews, and to the other replicas, among which they are forwarded.
//!
//! Contract:
//! - An [`Identity`] is whole or there is none: certificate, key and CA bundle fit together and verify *now*, or the last good
//!   one stays in use and a person is told why. A process that has once had an identity never goes back to none.
//! - It comes from one of two places ([`Source`]): a Secret of our own, which the holder of the lease makes and renews, or a
//!   folder in which somebody else's (cert-manager's, say) is mounted. Both are followed without a restart.
//! - Every replica uses the same certificate, as server and as client. It always carries the name [`PEER_NAME`], which is what
//!   replicas verify each other by: their addresses change, and no certificate could name them.
//! - No key ever stands in a log, an error or a `Debug` output. Errors name the key of the Secret (`tls.crt`) and quote nothing.

mod bundle;
#[cfg(test)]
pub(crate) mod fake;
mod folder;
mod identity;
mod issue;
mod names;
mod rotation;
mod secret;
mod x509;

pub use self::{
    identity::{Identity, is_peer},
    names::{Names, PEER_NAME},
    secret::{CONFIGURATION, Own, SECRET},
    x509::Flaw,
};

use crate::ports::Clock;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};
use tokio::{sync::watch, task::JoinHandle};

/// The key of the CA bundle, as cert-manager calls it.
const CA: &str = "ca.crt";
/// The key of the certificate with its chain, as in every Secret of the type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
/// The key of its private key.
const KEY: &str = "tls.key";

/// What everybody who serves or forwards follows; `None`: there is no certificate yet.
pub type Identities = watch::Receiver<Option<Arc<Identity>>>;

/// Where the identity comes from.
pub enum Source {
    /// Our own Secret and our own CA.
    Own(Own),
    /// A folder with `ca.crt`, `tls.crt` and `tls.key`, in which a Secret is mounted. Nothing is written to Kubernetes.
    Folder(PathBuf),
    /// The same for the HTTP API, whose callers know us by any name and show no certificate: `ca.crt` is not read.
    Callers(PathBuf),
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Purpose {
    /// Reviews, and forwards among replicas.
    #[default]
    Webhook,
    /// Callers of the HTTP API.
    Callers,
}

impl Purpose {
    fn identity(self, Material { ca, certificate, key }: &Material, now: Timestamp) -> Result<Identity, Flaw> {
        match self {
            Self::Webhook => Identity::from_pem(ca, certificate, key, now),
            Self::Callers => Identity::for_callers(certificate, key, now),
        }
    }

    /// Whose certificate it is, for logs.
    fn whose(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Callers => "API",
        }
    }
}

/// Follows the source for ever. The task never ends by itself: that it did is a bug.
#[must_use]
pub fn start(source: Source, clock: Arc<dyn Clock>) -> (Identities, JoinHandle<()>) {
    let (sender, receiver) = watch::channel(None);
    let purpose = if matches!(source, Source::Callers(_)) { Purpose::Callers } else { Purpose::Webhook };
    let publisher = Publisher { sender, content: None, purpose };
    let task = match source {
        Source::Own(own) => tokio::spawn(secret::Custodian::new(own, clock, publisher).run()),
        Source::Folder(folder) | Source::Callers(folder) => tokio::spawn(folder::Follower::new(folder, clock, publisher).run()),
    };
    (receiver, task)
}

/// The three parts of an identity, as they are kept: PEM.
#[derive(Clone, PartialEq, Eq)]
struct Material {
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(…)")
    }
}

impl Material {
    /// Takes the parts out of what a Secret holds.
    fn of(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, Flaw> {
        let part = |name: &str| data.get(name).filter(|part| !part.is_empty()).cloned().ok_or_else(|| Flaw::missing(name));
        Ok(Self { ca: part(CA)?, certificate: part(CERTIFICATE)?, key: part(KEY)? })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [&self.ca, &self.certificate, &self.key] {
            // With its length, so that no two different triples are the same text.
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// Hands identities on: only good ones, and each only once.
struct Publisher {
    sender: watch::Sender<Option<Arc<Identity>>>,
    content: Option<[u8; 32]>,
    purpose: Purpose,
}

impl Publisher {
    /// Puts this identity in the place of the last one if it is good; `None`: it is the same one.
    fn offer(&mut self, material: &Material, now: Timestamp) -> Result<Option<Arc<Identity>>, Flaw> {
        let digest = material.digest();
        if self.content == Some(digest) {
            return Ok(None);
        }
        let identity = Arc::new(self.purpose.identity(material, now)?);
        self.content = Some(digest);
        self.sender.send_replace(Some(Arc::clone(&identity)));
        Ok(Some(identity))
    }

    /// Whether anything was ever handed on.
    fn has_any(&self) -> bool {
        self.content.is_some()
    }
}

/// What was said last on each subject: that it is still so is no news.
#[derive(Debug, Default)]
struct Told(BTreeMap<&'static str, String>);

impl Told {
    /// Whether this is new, and so has to be said.
    fn news(&mut self, subject: &'static str, text: &str) -> bool {
        self.0.insert(subject, text.to_owned()).as_deref() != Some(text)
    }

    /// It is no longer so.
    fn over(&mut self, subject: &'static str) {
        self.0.remove(subject);
    }
}

#[cfg(test)]
mod tests;
