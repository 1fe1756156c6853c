//! Who stands at the door: somebody on this machine, or somebody who has to show a token.
//!
//! Contract: a visit is local only if everything says so: both ends of the connection are loopback addresses, the request names this
//! machine as its host (a page of a stranger can make a browser connect to 127.0.0.1, but it then names the stranger's host), and nothing
//! says that it was forwarded. Everybody else shows a bearer token that the API server takes, of somebody who may list clones.

use super::permits::{Permit, Permits};
use crate::{daemon::http::Ends, observe::kube::callers::Token, ports::ApiError};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use std::{net::SocketAddr, sync::Arc};

/// What tells of a proxy, beside whatever begins with `x-forwarded`.
const FORWARDED: [&str; 4] = ["forwarded", "via", "x-real-ip", "x-envoy-external-address"];

/// What a visitor may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Everything.
    All,
    /// This namespace alone.
    Only(Arc<str>),
}

/// Why a visitor is turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// No token came with the request, or one that is none.
    NoToken,
    /// The API server does not know the token.
    Unknown,
    /// Its owner may not list clones: in this namespace, nor in all.
    Denied(Option<String>),
    /// The API server cannot be asked.
    Unasked,
    /// The API server refuses to be asked by us.
    MayNotAsk,
    /// This process shows itself to its own machine alone.
    LocalOnly,
}

/// Whether the visitor is on this machine.
pub(super) fn is_local(ends: Ends, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let named = host.is_some_and(is_this_machine) && hosts.next().is_none();
    let aimed = uri.authority().is_none_or(|authority| is_this_machine(authority.as_str()));
    let forwarded = headers.keys().any(|name| FORWARDED.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded"));
    is_loopback(ends.peer) && is_loopback(ends.local) && named && aimed && !forwarded
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether a `Host` names this machine, with a port or without.
fn is_this_machine(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, "")) => (name, None),
            Some((name, port)) => (name, Some(port.strip_prefix(':').unwrap_or("no port"))),
            None => return false,
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let bracketed = host.starts_with('[');
    let known = if bracketed { name == "::1" } else { name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" };
    known && port.is_none_or(is_port)
}

/// What the visitor may see, or why nothing.
pub(super) async fn admit(permits: Option<&Permits>, ends: Ends, uri: &Uri, headers: &HeaderMap, namespace: Option<&str>) -> Result<Entry, Refused> {
    if is_local(ends, uri, headers) {
        return Ok(Entry::All);
    }
    let permits = permits.ok_or(Refused::LocalOnly)?;
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let token = shown.next().and_then(|value| Token::read(value.as_bytes())).filter(|_| shown.next().is_none());
    let token = token.ok_or(Refused::NoToken)?;
    // Nothing is asked about a namespace that cannot be one.
    let namespace = namespace.filter(|name| is_namespace(name));
    match permits.of(&token, namespace).await {
        Ok(Permit::All) => Ok(Entry::All),
        Ok(Permit::Only(namespace)) => Ok(Entry::Only(namespace)),
        Ok(Permit::Nobody) => Err(Refused::Unknown),
        Ok(Permit::Denied) => Err(Refused::Denied(namespace.map(str::to_owned))),
        Err(ApiError::Forbidden(_)) => Err(Refused::MayNotAsk),
        Err(_) => Err(Refused::Unasked),
    }
}

fn is_namespace(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') && !name.ends_with('-')
}

impl Refused {
    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::Denied(_) | Self::LocalOnly => StatusCode::FORBIDDEN,
            Self::Unasked | Self::MayNotAsk => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// In a few words.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::NoToken => "a token is needed",
            Self::Unknown => "the token is not known",
            Self::Denied(_) => "a right is missing",
            Self::Unasked | Self::MayNotAsk => "nobody can be asked whether you may",
            Self::LocalOnly => "only this machine may look",
        }
    }

    /// What failed, why, and what to do.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::NoToken => "this is shown to whoever is on the daemon's own machine, or brings `Authorization: Bearer` with a token of somebody \
                              who may list clones"
                .to_owned(),
            Self::Unknown => "the API server does not take this token: it may be mistyped or expired, or be another cluster's".to_owned(),
            Self::Denied(None) => "the token's owner may not `list` `wordpressclones.kro.run` in all namespaces: bind a ClusterRole that allows \
                                   it, or ask for one namespace with `?namespace=NAME`"
                .to_owned(),
            Self::Denied(Some(namespace)) => {
                format!("the token's owner may not `list` `wordpressclones.kro.run` in the namespace `{namespace}`: bind a Role there that allows it")
            }
            Self::Unasked => "the API server does not say whose token this is: nothing is shown until it does; try again".to_owned(),
            Self::MayNotAsk => "the daemon may not create TokenReviews or SubjectAccessReviews: apply the present deploy/base/rbac.yaml".to_owned(),
            Self::LocalOnly => "this process shows itself on its own machine alone: open it by http://127.0.0.1 and its port".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::permits::tests::Book;

    fn ends(peer: &str, local: &str) -> Ends {
        Ends { peer: peer.parse().unwrap(), local: local.parse().unwrap() }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn local_is_what_is_local_in_every_way() {
        let (here, root) = (ends("127.0.0.1:9", "127.0.0.1:8080"), Uri::from_static("/"));
        for host in ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "[::1]"] {
            assert!(is_local(here, &root, &headers(&[("host", host)])), "{host}");
        }
        assert!(is_local(ends("[::1]:9", "[::1]:8080"), &root, &headers(&[("host", "[::1]:8080")])));
        assert!(is_local(ends("[::ffff:127.0.0.1]:9", "[::ffff:127.0.0.1]:8080"), &root, &headers(&[("host", "localhost")])));
        // A name that a stranger's DNS turns to 127.0.0.1, and what only looks like ours.
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "evil.example:8080",
            "127.0.0.2",
            "0.0.0.0",
            "::1",
            "[::1]evil",
            "[::1",
            "localhost:",
            "localhost:80:80",
            "",
        ] {
            assert!(!is_local(here, &root, &headers(&[("host", host)])), "{host}");
        }
        assert!(!is_local(here, &root, &headers(&[])), "no host at all");
        assert!(!is_local(here, &root, &headers(&[("host", "localhost"), ("host", "localhost")])), "two of them");
        assert!(!is_local(here, &Uri::from_static("http://evil.example/"), &headers(&[("host", "localhost")])));
        for end in [ends("10.0.0.7:9", "127.0.0.1:8080"), ends("127.0.0.1:9", "10.0.0.7:8080"), ends("10.0.0.7:9", "10.0.0.7:8080")] {
            assert!(!is_local(end, &root, &headers(&[("host", "localhost")])), "{end:?}");
        }
        for forwarded in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via", "x-real-ip"] {
            assert!(!is_local(here, &root, &headers(&[("host", "localhost"), (forwarded, "127.0.0.1")])), "{forwarded}");
        }
    }

    #[tokio::test]
    async fn everybody_else_shows_a_token_of_somebody_who_may() {
        let permits = Permits::new(Arc::new(Book::default()));
        let (away, root) = (ends("10.0.0.7:9", "10.0.0.8:8080"), Uri::from_static("/"));
        let refused = Err::<Entry, Refused>;
        for (authorization, namespace, expected) in [
            (vec![], None, refused(Refused::NoToken)),
            (vec!["Basic YWxs"], None, refused(Refused::NoToken)),
            (vec!["Bearer "], None, refused(Refused::NoToken)),
            (vec!["Bearer all", "Bearer all"], None, refused(Refused::NoToken)),
            (vec!["Bearer stranger"], None, refused(Refused::Unknown)),
            (vec!["Bearer none"], None, refused(Refused::Denied(None))),
            (vec!["Bearer none"], Some("a"), refused(Refused::Denied(Some("a".to_owned())))),
            (vec!["Bearer one"], Some("../b"), refused(Refused::Denied(None))),
            (vec!["Bearer down"], None, refused(Refused::Unasked)),
            (vec!["Bearer unasked"], None, refused(Refused::MayNotAsk)),
            (vec!["Bearer one"], Some("a"), Ok(Entry::Only("a".into()))),
            (vec!["Bearer all"], Some("a"), Ok(Entry::All)),
            (vec!["bearer all"], None, Ok(Entry::All)),
        ] {
            let pairs: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).chain([("host", "localhost")]).collect();
            assert_eq!(admit(Some(&permits), away, &root, &headers(&pairs), namespace).await, expected, "{authorization:?} {namespace:?}");
        }
        let bearer = headers(&[("authorization", "Bearer all")]);
        assert_eq!(admit(None, away, &root, &bearer, None).await, Err(Refused::LocalOnly), "there is nobody to ask");
        let here = ends("127.0.0.1:9", "127.0.0.1:8080");
        assert_eq!(admit(None, here, &root, &headers(&[("host", "localhost")]), None).await, Ok(Entry::All));
    }
}
