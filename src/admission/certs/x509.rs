//! Reads PEM and X.509. Nothing is parsed here: names, keys, signatures and dates are read by rustls's own verifier, so that
//! there is one reader of certificates in this process, the one that decides about connections.

use super::names::PEER_NAME;
use jiff::Timestamp;
use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, time::Duration};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// What is wrong with a certificate, a key or a name. It quotes nothing of what it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Flaw(String);

impl Flaw {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn missing(part: &str) -> Self {
        Self(format!("`{part}` is missing"))
    }
}

/// From when to when a certificate is valid, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Validity {
    pub(super) fn holds(self, now: Timestamp) -> bool {
        self.from <= now && now <= self.to
    }
}

/// All certificates of a PEM text; there is at least one.
pub(super) fn certificates(pem: &[u8], part: &str) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    // The parser's own words quote the line that it does not like.
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| Flaw(format!("`{part}` is not PEM")))?;
    if found.is_empty() { Err(Flaw(format!("`{part}` holds no certificate"))) } else { Ok(found) }
}

/// All private keys of a PEM text, as far as they can be read.
pub(super) fn keys(pem: &[u8]) -> Vec<PrivateKeyDer<'static>> {
    PrivateKeyDer::pem_slice_iter(pem).map_while(Result::ok).collect()
}

/// The PEM text of certificates or keys of one kind.
pub(super) fn encode<'a>(kind: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    parts.into_iter().map(|part| pem::encode_config(&Pem::new(kind, part), config)).collect()
}

/// SHA-256 in hexadecimal: of a certificate, what `openssl x509 -fingerprint -sha256` says.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The dates of a certificate, of a CA or not. The verifier looks at them before anything else, and says which one it missed:
/// no certificate is valid both at the beginning and at the end of time.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let missed = |moment| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(moment));
        certificate.verify_for_usage(&[], &[], &[], at, KeyUsage::server_auth(), None, None).err()
    };
    let Some(webpki::Error::CertExpired { not_after, .. }) = missed(u64::MAX) else { return None };
    let from = match missed(0) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => moment(not_before),
        _ => Timestamp::UNIX_EPOCH,
    };
    Some(Validity { from, to: moment(not_after) })
}

/// Which of these CAs vouches for a chain at this moment: for its first certificate as a server and as a client, under the
/// name that every replica expects.
pub(super) fn vouching(chain: &[CertificateDer<'_>], cas: &[CertificateDer<'_>], now: Timestamp) -> Result<usize, Flaw> {
    let mut why = Flaw::new("`tls.crt` is signed by no CA in `ca.crt`");
    for (index, ca) in cas.iter().enumerate() {
        match signed(chain, ca, now) {
            // To the verifier a trusted CA has no dates. The API server sees that differently, and so does every other client.
            Ok(()) => match validity(ca) {
                Some(dates) if dates.holds(now) => return Ok(index),
                Some(dates) => why = Flaw(format!("the CA of `tls.crt` is valid from {} to {} only", dates.from, dates.to)),
                None => why = Flaw::new("the CA of `tls.crt` cannot be read"),
            },
            Err(webpki::Error::UnknownIssuer) => {}
            Err(error) => why = Flaw(explain(&error)),
        }
    }
    Err(why)
}

/// Whether this CA has signed the chain and it is good for all that we use it for.
fn signed(chain: &[CertificateDer<'_>], ca: &CertificateDer<'_>, now: Timestamp) -> Result<(), webpki::Error> {
    let (first, rest) = chain.split_first().ok_or(webpki::Error::UnknownIssuer)?;
    let certificate = EndEntityCert::try_from(first)?;
    let anchors: [TrustAnchor<'_>; 1] = [anchor_from_trusted_cert(ca)?];
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default()));
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        certificate.verify_for_usage(algorithms(), &anchors, rest, now, usage, None, None)?;
    }
    let peer = ServerName::try_from(PEER_NAME).map_err(|_| webpki::Error::MalformedDnsIdentifier)?;
    certificate.verify_is_valid_for_subject_name(&peer)
}

/// Whether a certificate is good for this name.
pub(super) fn is_named(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    EndEntityCert::try_from(certificate).is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok())
}

fn algorithms() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    rustls::crypto::ring::default_provider().signature_verification_algorithms.all
}

fn moment(at: UnixTime) -> Timestamp {
    // `99991231235959Z`, "never", is a day later than what a Timestamp can say.
    i64::try_from(at.as_secs()).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(Timestamp::MAX)
}

fn explain(error: &webpki::Error) -> String {
    use webpki::Error;
    match error {
        Error::CertExpired { not_after, .. } => format!("`tls.crt` has ended at {}", moment(*not_after)),
        Error::CertNotValidYet { not_before, .. } => {
            format!("`tls.crt` begins only at {}; if that is past, this machine's clock is wrong", moment(*not_before))
        }
        Error::CertNotValidForName(_) => format!("`tls.crt` lacks the DNS name `{PEER_NAME}`, by which replicas know each other"),
        Error::RequiredEkuNotFoundContext(_) => "`tls.crt` is not for both server and client authentication".to_owned(),
        Error::InvalidSignatureForPublicKey => "`tls.crt` is signed by another key than the CA of that name in `ca.crt`".to_owned(),
        Error::CaUsedAsEndEntity => "`tls.crt` begins with a CA; the certificate itself must stand first".to_owned(),
        _ => "`tls.crt` or its CA is not a certificate that can be verified".to_owned(),
    }
}
