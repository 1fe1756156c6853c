//! Makes certificates: a CA of our own, and what it signs. ECDSA P-256 throughout.
//!
//! The name of a CA holds the digest of its public key. So no two CAs have the same name, whatever the clock says, and all that
//! is needed to sign in the name of a CA is its key: no certificate is taken apart to find out how it is called.

use super::{
    names::Names,
    x509::{self, Flaw, Validity},
};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::{net::IpAddr, time::Duration};
use webpki::EndEntityCert;

/// How long a CA lasts. Nobody outside trusts it, and it is replaced long before; it only must not end unnoticed.
pub(super) const CA_LIFE: SignedDuration = SignedDuration::from_hours(5 * 365 * 24);
/// How long a serving certificate lasts: renewed after 60 days, which leaves a month in which a broken renewal is noticed.
pub(super) const SERVING_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long ago a new certificate begins: another machine's clock may be behind ours.
pub(super) const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// A certificate that was just made, and its key.
pub(super) struct Issued {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// Makes a CA.
pub(super) fn ca(now: Timestamp) -> Result<Issued, Flaw> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let dates = Validity { from: minus(now, BACKDATED), to: plus(now, CA_LIFE) };
    let certificate = dated(ca_params(&key), dates).self_signed(&key).map_err(failed)?;
    Ok(Issued { certificate: certificate.der().clone(), key: private(&key) })
}

/// Makes a serving certificate, signed by the CA with this key. It never outlasts its CA.
pub(super) fn serving(ca: &PrivateKeyDer<'static>, ca_dates: Validity, names: &Names, now: Timestamp) -> Result<Issued, Flaw> {
    let ca = pair(ca).ok_or_else(|| Flaw::new("the key of the CA is not one of ours"))?;
    let ca = Issuer::new(ca_params(&ca), ca);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "clonewarden");
    params.subject_alt_names = names.iter().map(alternative).collect::<Result<_, _>>()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let dates = Validity { from: minus(now, BACKDATED).max(ca_dates.from), to: plus(now, SERVING_LIFE).min(ca_dates.to) };
    let certificate = dated(params, dates).signed_by(&key, &ca).map_err(failed)?;
    Ok(Issued { certificate: certificate.der().clone(), key: private(&key) })
}

/// Whether with this key we can sign in the name of this CA: the key is the CA's, and the CA was made here.
pub(super) fn is_ours(ca: &CertificateDer<'_>, key: &PrivateKeyDer<'static>) -> bool {
    let (Ok(certificate), Some(key)) = (EndEntityCert::try_from(ca), pair(key)) else { return false };
    let same_key = certificate.subject_public_key_info().as_ref() == key.subject_public_key_info();
    same_key && certificate.subject().ends_with(ca_name(&key).as_bytes())
}

fn ca_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, ca_name(key));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn ca_name(key: &KeyPair) -> String {
    let digest = x509::fingerprint(&key.subject_public_key_info());
    format!("clonewarden webhook CA {}", digest.get(..16).unwrap_or_default())
}

fn pair(key: &PrivateKeyDer<'static>) -> Option<KeyPair> {
    let PrivateKeyDer::Pkcs8(key) = key else { return None };
    KeyPair::from_pkcs8_der_and_sign_algo(key, &PKCS_ECDSA_P256_SHA256).ok()
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

fn alternative(name: &ServerName<'static>) -> Result<SanType, Flaw> {
    match name {
        ServerName::IpAddress(address) => Ok(SanType::IpAddress(IpAddr::from(*address))),
        name => Ok(SanType::DnsName(name.to_str().into_owned().try_into().map_err(failed)?)),
    }
}

/// A day in the future that no calendar knows is the last one that it knows.
fn plus(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}

fn minus(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.checked_sub(time).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH)
}

/// Sets the dates. The generator has a calendar of its own; whole seconds since 1970 are understood by both.
fn dated(mut params: CertificateParams, dates: Validity) -> CertificateParams {
    let since = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default());
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since(dates.from);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since(dates.to);
    params
}

fn failed(error: rcgen::Error) -> Flaw {
    Flaw::new(format!("a certificate could not be made: {error}"))
}
