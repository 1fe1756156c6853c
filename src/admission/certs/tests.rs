use super::{bundle::Bundle, rotation::Step, *};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::slice;
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn names() -> Names {
    Names::new("ours", &["127.0.0.1".to_owned()]).unwrap()
}

/// A bundle as the first start makes it.
pub(super) fn fresh(now: Timestamp) -> Bundle {
    Bundle::default().after(Step::NewCa { serving_too: true }, &names(), now).unwrap().unwrap()
}

pub(super) fn identity(bundle: &Bundle, now: Timestamp) -> Result<Identity, Flaw> {
    let material = bundle.material().unwrap();
    Identity::from_pem(&material.ca, &material.certificate, &material.key, now)
}

#[test]
fn what_was_made_is_used() {
    let now = at("2026-02-05T16:30:00Z");
    let identity = identity(&fresh(now), now).unwrap();
    assert_eq!(identity.not_after, at("2026-05-06T16:30:00Z"));
    assert!(identity.ca_bundle.starts_with("-----BEGIN CERTIFICATE-----\n"), "{}", identity.ca_bundle);
    assert_eq!(identity.fingerprint.len(), 64);
    assert_eq!(identity.server.alpn_protocols, [b"http/1.1"]);
    let shown = format!("{identity:?}");
    assert!(shown.contains(&identity.fingerprint) && !shown.contains("BEGIN"), "{shown}");
}

#[test]
fn what_does_not_fit_together_is_refused_with_the_reason() {
    let now = at("2026-02-05T16:30:00Z");
    let (one, other) = (fresh(now).material().unwrap(), fresh(now).material().unwrap());
    let nameless = {
        let issued = issue::ca(now).unwrap();
        let ca = x509::encode("CERTIFICATE", [issued.certificate.as_ref()]);
        let key = x509::encode("PRIVATE KEY", [issued.key.secret_der()]);
        Material { ca: ca.clone().into_bytes(), certificate: ca.into_bytes(), key: key.into_bytes() }
    };
    let secret = String::from_utf8(one.key.clone()).unwrap().lines().nth(1).unwrap().to_owned();
    let text = |text: &str| text.as_bytes().to_vec();
    let broken_key = text(&String::from_utf8(one.key.clone()).unwrap().replace("-----END", "----END"));
    let cases = [
        ("`ca.crt` holds no certificate", Material { ca: text("nothing"), ..one.clone() }),
        ("`ca.crt` is not PEM", Material { ca: text("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), ..one.clone() }),
        ("`tls.crt` holds no certificate", Material { certificate: one.key.clone(), ..one.clone() }),
        ("`tls.key` holds no private key", Material { key: one.certificate.clone(), ..one.clone() }),
        ("`tls.key` holds no private key", Material { key: broken_key, ..one.clone() }),
        ("`tls.key` is not the key of", Material { key: other.key, ..one.clone() }),
        ("`tls.crt` is signed by no CA", Material { ca: other.ca, ..one.clone() }),
        ("begins with a CA", nameless),
    ];
    for (reason, Material { ca, certificate, key }) in cases {
        let flaw = Identity::from_pem(&ca, &certificate, &key, now).unwrap_err().to_string();
        assert!(flaw.contains(reason), "{reason}: {flaw}");
        assert!(!flaw.contains(&secret), "{flaw}");
    }
    let Material { ca, certificate, key } = one;
    let flaw = |now| Identity::from_pem(&ca, &certificate, &key, at(now)).unwrap_err().to_string();
    assert_eq!(flaw("2026-05-06T16:30:01Z"), "`tls.crt` has ended at 2026-05-06T16:30:00Z");
    assert!(flaw("2026-02-05T15:29:59Z").contains("begins only at 2026-02-05T15:30:00Z"));
}

#[test]
fn a_ca_that_has_ended_vouches_for_nothing() {
    let now = at("2026-02-05T16:30:00Z");
    let issued = issue::ca(now).unwrap();
    let dates = x509::validity(&issued.certificate).unwrap();
    // It outlasts its CA, as nothing that we make does.
    let beyond = x509::Validity { to: at("2040-01-01T00:00:00Z"), ..dates };
    let late = at("2031-02-01T00:00:00Z");
    let made = issue::serving(&issued.key, beyond, &names(), late).unwrap();
    assert_eq!(x509::vouching(slice::from_ref(&made.certificate), slice::from_ref(&issued.certificate), late), Ok(0));
    let flaw = x509::vouching(&[made.certificate], &[issued.certificate], at("2031-03-01T00:00:00Z")).unwrap_err();
    assert!(flaw.to_string().starts_with("the CA of `tls.crt` is valid from 2026-02-05T15:30:00Z to 2031-02-04"), "{flaw}");
}

#[test]
fn no_two_cas_are_alike_and_dates_and_names_are_as_wanted() {
    let now = at("2026-02-05T16:30:00.75Z");
    let (one, other) = (issue::ca(now).unwrap(), issue::ca(now).unwrap());
    let subject = |certificate: &CertificateDer<'_>| webpki::EndEntityCert::try_from(certificate).unwrap().subject().to_vec();
    assert_ne!(subject(&one.certificate), subject(&other.certificate));
    assert!(issue::is_ours(&one.certificate, &one.key) && !issue::is_ours(&one.certificate, &other.key));
    let dates = x509::validity(&one.certificate).unwrap();
    assert_eq!((dates.from, dates.to), (at("2026-02-05T15:30:00Z"), at("2031-02-04T16:30:00Z")));

    let serving = issue::serving(&one.key, dates, &names(), at("2031-01-31T00:00:00Z")).unwrap();
    assert_eq!(x509::validity(&serving.certificate).unwrap().to, dates.to, "it does not outlast its CA");
    for name in ["clonewarden.ours.svc", "clonewarden.ours.svc.cluster.local", "clonewarden.ours", PEER_NAME, "127.0.0.1"] {
        assert!(x509::is_named(&serving.certificate, &ServerName::try_from(name).unwrap()), "{name}");
    }
    assert!(!x509::is_named(&serving.certificate, &ServerName::try_from("clonewarden.theirs.svc").unwrap()));
    assert!(Names::new("ours", &["not a name".to_owned()]).unwrap_err().to_string().contains("`not a name`"));
}

/// Both ends of a handshake in memory: what the server saw of the client, and which protocol was agreed on.
async fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>, name: &str) -> Result<(bool, bool, Option<Vec<u8>>), String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    let (accepted, connected) = tokio::join!(TlsAcceptor::from(Arc::clone(server)).accept(far), connector.connect(name, near));
    let accepted = accepted.map_err(|error| format!("server: {error}"))?;
    connected.map_err(|error| format!("client: {error}"))?;
    let shown = accepted.get_ref().1.peer_certificates();
    Ok((shown.is_some(), is_peer(shown), accepted.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)))
}

fn roots(bundle: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap));
    roots
}

/// A client that trusts this bundle and shows no certificate, as the API server is.
fn stranger(bundle: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    Arc::new(config.with_root_certificates(roots(bundle)).with_no_client_auth())
}

#[tokio::test]
async fn a_server_asks_for_a_certificate_and_needs_none() {
    let now = Timestamp::now();
    let ours = identity(&fresh(now), now).unwrap();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for name in ["clonewarden.ours.svc", "127.0.0.1"] {
            let seen = handshake(&ours.server, &stranger(&ours.ca_bundle, &[version]), name).await;
            assert_eq!(seen, Ok((false, false, None)), "{version:?} {name}");
        }
    }
    let seen = handshake(&ours.server, &ours.client, PEER_NAME).await;
    assert_eq!(seen, Ok((true, true, Some(b"http/1.1".to_vec()))));
    let theirs = fresh(now).material().unwrap();
    let chain = x509::certificates(&theirs.certificate, CERTIFICATE).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots(&ours.ca_bundle));
    let client = Arc::new(client.with_client_auth_cert(chain, x509::keys(&theirs.key).remove(0)).unwrap());
    let refused = handshake(&ours.server, &client, PEER_NAME).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "a certificate of another CA: {refused}");
    let theirs = Identity::from_pem(&theirs.ca, &theirs.certificate, &theirs.key, now).unwrap();
    assert!(handshake(&theirs.server, &ours.client, PEER_NAME).await.is_err(), "a server of another CA");
    assert!(handshake(&ours.server, &stranger(&ours.ca_bundle, rustls::ALL_VERSIONS), "clonewarden.theirs.svc").await.is_err());
}

#[tokio::test]
async fn a_client_of_the_same_ca_that_is_no_replica_is_no_peer() {
    let now = Timestamp::now();
    let (ca, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&ca).unwrap();
    let issuer = rcgen::Issuer::new(params, ca);
    let sign = |name: &str, key: &rcgen::KeyPair| rcgen::CertificateParams::new([name.to_owned()]).unwrap().signed_by(key, &issuer).unwrap();
    let pem = |kind, der: &[u8]| x509::encode(kind, [der]).into_bytes();
    let private = pem("PRIVATE KEY", &key.serialize_der());
    let (root, ours) = (pem("CERTIFICATE", root.der()), pem("CERTIFICATE", sign(PEER_NAME, &key).der()));
    // A CA for everybody, as cert-manager may have one: dates until the year 4096 are read as well.
    let ours = Identity::from_pem(&root, &ours, &private, now).unwrap();
    let theirs = sign("somebody.else", &key);
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots(&ours.ca_bundle));
    let client = client.with_client_auth_cert(vec![theirs.der().clone()], x509::keys(&private).remove(0)).unwrap();
    let seen = handshake(&ours.server, &Arc::new(client), PEER_NAME).await;
    assert_eq!(seen, Ok((true, false, None)));
    let flaw = Identity::from_pem(&root, &pem("CERTIFICATE", theirs.der()), &private, now).unwrap_err();
    assert!(flaw.to_string().contains("lacks the DNS name `peer.clonewarden.internal`"), "{flaw}");
}

#[test]
fn what_is_still_so_is_no_news() {
    let mut told = Told::default();
    assert!(told.news("a", "bad") && !told.news("a", "bad") && told.news("a", "worse") && told.news("b", "bad"));
    told.over("a");
    assert!(told.news("a", "worse"));
}
