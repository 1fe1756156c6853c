//! Whether a visitor is on this machine, and whether a stranger's page has sent one here.
//!
//! Contract: a visit is local only if everything says so: both ends of the connection are loopback addresses, the request names this
//! machine as its host, and nothing says that it was forwarded. What forwards connections and says nothing (a TLS proxy on this machine that
//! knows no HTTP) cannot be told from this machine: whoever runs one says `--page-token-always`.

use axum::http::{HeaderMap, Uri, header};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What tells of a proxy, beside whatever begins with one of [`FAMILIES`].
const FORWARDED: [&str; 10] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-remote-addr",
    "true-client-ip",
    "client-ip",
];
/// Headers of proxies that have many.
const FAMILIES: [&str; 4] = ["x-forwarded", "x-envoy-", "cf-", "fastly-"];

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// Who asks.
    pub(crate) peer: SocketAddr,
    /// Which of our addresses was asked; one that is nobody's where that is not known.
    pub(crate) local: SocketAddr,
}

/// Whether the visitor is on this machine.
pub(crate) fn is_local(ends: Ends, uri: &Uri, headers: &HeaderMap) -> bool {
    let forwarded = headers.keys().any(|name| {
        let name = name.as_str();
        FORWARDED.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
    });
    is_loopback(ends.peer) && is_loopback(ends.local) && names(uri, headers, is_this_machine) && !forwarded
}

/// Whether a page of a stranger may have sent a browser on this machine here. Such a page can have its own name lead to 127.0.0.1, but the
/// browser then names the stranger's host; an address, or the name of this machine, nobody can have lead elsewhere.
pub(crate) fn is_lured(ends: Ends, uri: &Uri, headers: &HeaderMap) -> bool {
    is_loopback(ends.peer) && !names(uri, headers, |host| is_this_machine(host) || is_address(host))
}

/// Whether everything in which a request names its host passes; it has to name it, and once.
fn names(uri: &Uri, headers: &HeaderMap, passes: impl Fn(&str) -> bool) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = hosts.next().and_then(|host| host.to_str().ok()).is_some_and(&passes);
    named && hosts.next().is_none() && uri.authority().is_none_or(|authority| passes(authority.as_str()))
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether a `Host` names this machine, with a port or without.
fn is_this_machine(host: &str) -> bool {
    match split(host) {
        Some((name, true)) => name == "::1",
        Some((name, false)) => name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1",
        None => false,
    }
}

/// Whether a `Host` is an address.
fn is_address(host: &str) -> bool {
    match split(host) {
        Some((name, true)) => name.parse::<Ipv6Addr>().is_ok(),
        Some((name, false)) => name.parse::<IpAddr>().is_ok(),
        None => false,
    }
}

/// A `Host` without its port, and whether it stands in brackets; `None`: it is none.
fn split(host: &str) -> Option<(&str, bool)> {
    let (name, port, bracketed) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (name, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) }, true)
        }
        None => host.split_once(':').map_or((host, None, false), |(name, port)| (name, Some(port), false)),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.is_none_or(is_port).then_some((name, bracketed))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn ends(peer: &str, local: &str) -> Ends {
        Ends { peer: peer.parse().unwrap(), local: local.parse().unwrap() }
    }

    pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    /// A name that a stranger's DNS turns to 127.0.0.1, and what only looks like ours.
    const STRANGERS: [&str; 11] = [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "evil.example:8080",
        "127.1",
        "::1",
        "[::1]evil",
        "[::1",
        "localhost:",
        "localhost:80:80",
        "",
    ];

    #[test]
    fn local_is_what_is_local_in_every_way() {
        let (here, root) = (ends("127.0.0.1:9", "127.0.0.1:8080"), Uri::from_static("/"));
        for host in ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "[::1]"] {
            assert!(is_local(here, &root, &headers(&[("host", host)])), "{host}");
        }
        assert!(is_local(ends("[::1]:9", "[::1]:8080"), &root, &headers(&[("host", "[::1]:8080")])));
        assert!(is_local(ends("[::ffff:127.0.0.1]:9", "[::ffff:127.0.0.1]:8080"), &root, &headers(&[("host", "localhost")])));
        for host in STRANGERS.into_iter().chain(["127.0.0.2", "0.0.0.0", "10.0.0.7"]) {
            assert!(!is_local(here, &root, &headers(&[("host", host)])), "{host}");
        }
        assert!(!is_local(here, &root, &headers(&[])), "no host at all");
        assert!(!is_local(here, &root, &headers(&[("host", "localhost"), ("host", "localhost")])), "two of them");
        assert!(!is_local(here, &Uri::from_static("http://evil.example/"), &headers(&[("host", "localhost")])));
        for end in [ends("10.0.0.7:9", "127.0.0.1:8080"), ends("127.0.0.1:9", "10.0.0.7:8080"), ends("10.0.0.7:9", "10.0.0.7:8080")] {
            assert!(!is_local(end, &root, &headers(&[("host", "localhost")])), "{end:?}");
        }
        for forwarded in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-client-cert",
            "via",
            "x-real-ip",
            "x-envoy-external-address",
            "x-original-forwarded-for",
            "cf-connecting-ip",
            "true-client-ip",
        ] {
            assert!(!is_local(here, &root, &headers(&[("host", "localhost"), (forwarded, "127.0.0.1")])), "{forwarded}");
        }
    }

    #[test]
    fn a_strangers_name_on_this_machine_is_a_lure_and_an_address_is_none() {
        let (here, root) = (ends("127.0.0.1:9", "127.0.0.1:8080"), Uri::from_static("/metrics"));
        for host in STRANGERS.iter().filter(|host| **host != "::1") {
            assert!(is_lured(here, &root, &headers(&[("host", host)])), "{host}");
        }
        assert!(is_lured(here, &root, &headers(&[])), "every browser names a host");
        assert!(is_lured(here, &Uri::from_static("http://evil.example/metrics"), &headers(&[("host", "localhost")])));
        // What proxies on this machine hand on: the address that a scraper has asked.
        for host in ["localhost:8080", "127.0.0.1", "10.0.0.7:8443", "[fd00::7]:8443", "0.0.0.0"] {
            assert!(!is_lured(here, &root, &headers(&[("host", host)])), "{host}");
        }
        let away = ends("10.0.0.7:9", "10.0.0.8:8080");
        assert!(!is_lured(away, &root, &headers(&[("host", "clonewarden.clonewarden.svc:8080")])), "a scraper elsewhere");
    }
}
