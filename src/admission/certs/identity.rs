//! One certificate in use: what serves, what forwards, and what others have to trust.

use super::{
    names::PEER_NAME,
    x509::{self, Flaw},
};
use jiff::Timestamp;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
    sign::CertifiedKey,
};
use std::{fmt, sync::Arc};

/// The one protocol over TLS. The server speaks no HTTP/2, so it must not be agreed on.
const PROTOCOL: &[u8] = b"http/1.1";

/// Everything that TLS needs, made of one certificate, its key and the CAs that are trusted.
#[derive(Clone)]
pub struct Identity {
    /// For the webhook. A client may show a certificate and need not: the API server shows none, another replica does. One that
    /// shows a certificate of another CA is refused.
    pub server: Arc<ServerConfig>,
    /// For callers of the HTTP API, who are asked for no certificate.
    pub callers: Arc<ServerConfig>,
    /// For a forward to another replica, which is to be asked for under [`PEER_NAME`]. It trusts our own CAs and nobody else; that
    /// of an identity for callers trusts nobody at all.
    pub client: Arc<ClientConfig>,
    /// The CAs that have to be trusted, newest first: what belongs into `caBundle`. PEM.
    pub ca_bundle: String,
    /// When the certificate ends.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("not_after", &self.not_after).field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes an identity of PEM texts: the trusted CAs, the certificate with its chain, and its private key.
    ///
    /// # Errors
    /// A part does not parse, the key is another certificate's, or the certificate does not verify at `now` under one of the
    /// CAs as a server and as a client with the name [`PEER_NAME`].
    pub fn from_pem(ca: &[u8], certificate: &[u8], key: &[u8], now: Timestamp) -> Result<Self, Flaw> {
        let cas = x509::certificates(ca, super::CA)?;
        let chain = x509::certificates(certificate, super::CERTIFICATE)?;
        let key = x509::keys(key).into_iter().next().ok_or_else(|| Flaw::new("`tls.key` holds no private key in PEM"))?;
        let provider = Arc::new(ring::default_provider());
        fits(&chain, &key, &provider)?;
        x509::vouching(&chain, &cas, now)?;
        let first = chain.first().ok_or_else(|| Flaw::missing(super::CERTIFICATE))?;
        let not_after = x509::validity(first).map_or(now, |dates| dates.to);
        let fingerprint = x509::fingerprint(first);
        let ca_bundle = x509::encode("CERTIFICATE", cas.iter().map(AsRef::as_ref));

        let mut roots = RootCertStore::empty();
        for ca in cas {
            roots.add(ca).map_err(|_| Flaw::new("`ca.crt` holds something that is no CA certificate"))?;
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).allow_unauthenticated().build();
        let verifier = verifier.map_err(|_| Flaw::new("`ca.crt` holds no CA that clients can be verified by"))?;
        let unusable = |error: rustls::Error| Flaw::new(format!("the certificate cannot be used: {error}"));
        let callers = for_anybody(&chain, &key, &provider)?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(unusable)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { server: Arc::new(server), callers, client: Arc::new(client), ca_bundle, not_after, fingerprint })
    }

    /// Makes an identity for callers of the HTTP API, who know us by whatever name they use and judge it themselves. No client is
    /// asked for a certificate.
    ///
    /// # Errors
    /// A part does not parse, the key is another certificate's, or the certificate is not valid at `now`.
    pub fn for_callers(certificate: &[u8], key: &[u8], now: Timestamp) -> Result<Self, Flaw> {
        let chain = x509::certificates(certificate, super::CERTIFICATE)?;
        let key = x509::keys(key).into_iter().next().ok_or_else(|| Flaw::new("`tls.key` holds no private key in PEM"))?;
        let provider = Arc::new(ring::default_provider());
        fits(&chain, &key, &provider)?;
        let first = chain.first().ok_or_else(|| Flaw::missing(super::CERTIFICATE))?;
        // A date that cannot be read is the callers' to judge.
        let dates = x509::validity(first);
        if dates.is_some_and(|dates| !dates.holds(now)) {
            return Err(Flaw::new("the certificate in `tls.crt` is not valid now"));
        }
        let (not_after, fingerprint) = (dates.map_or(now, |dates| dates.to), x509::fingerprint(first));
        let callers = for_anybody(&chain, &key, &provider)?;
        let unusable = |error: rustls::Error| Flaw::new(format!("the certificate cannot be used: {error}"));
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(unusable)?;
        let client = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Ok(Self { server: Arc::clone(&callers), callers, client: Arc::new(client), ca_bundle: String::new(), not_after, fingerprint })
    }
}

/// A server that asks nobody for a certificate.
fn for_anybody(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>, provider: &Arc<CryptoProvider>) -> Result<Arc<ServerConfig>, Flaw> {
    let unusable = |error: rustls::Error| Flaw::new(format!("the certificate cannot be used: {error}"));
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions().map_err(unusable)?;
    let mut server = builder.with_no_client_auth().with_single_cert(chain.to_vec(), key.clone_key()).map_err(unusable)?;
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(server))
}

/// Whether a client is another replica, by the certificates that it showed in a handshake with [`Identity::server`]. That a CA
/// of ours signed them is not enough: the CA behind a mounted Secret may sign for others too.
#[must_use]
pub fn is_peer(shown: Option<&[CertificateDer<'_>]>) -> bool {
    let (Some(first), Ok(peer)) = (shown.and_then(<[_]>::first), ServerName::try_from(PEER_NAME)) else { return false };
    x509::is_named(first, &peer)
}

/// Whether the key is the one of the certificate.
pub(super) fn fits(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>, provider: &CryptoProvider) -> Result<(), Flaw> {
    let key = provider.key_provider.load_private_key(key.clone_key());
    let key = key.map_err(|_| Flaw::new("`tls.key` is no key that can be used; it must be RSA, ECDSA (P-256, P-384) or Ed25519"))?;
    match CertifiedKey::new(chain.to_vec(), key).keys_match() {
        Ok(()) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Flaw::new("`tls.key` is not the key of the certificate in `tls.crt`")),
        Err(_) => Err(Flaw::new("`tls.crt` is not an X.509 certificate")),
    }
}
