//! Posts something to a place outside of the cluster, over HTTPS: notifications and traces go out by it.
//!
//! Contract: one request a call, within a limit of time; no redirect is followed, since what the address holds may be a secret; of an
//! answer no more is read than [`ANSWER`]. An error never quotes the address.

use axum::body::{Body, Bytes, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use std::{fs, path::Path, sync::Arc, time::Duration};

/// How much of an answer is read: as much as tells a person what is wrong.
const ANSWER: usize = 16 << 10;
/// How long a machine may take to be reached.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the text of an answer is waited for: its status has said already what became of the request.
const TEXT: Duration = Duration::from_secs(1);
/// The longest that an answer may have us wait.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was taken: the status and the text that came with it.
    Taken(u16, String),
    /// It may be taken later: why not now, and from when on, if the answer says so.
    Later(String, Option<Duration>),
    /// It will not be taken as it is: why, and the text that came with it.
    Refused(String, String),
}

/// Connections to places outside.
#[derive(Clone)]
pub(crate) struct Poster(Client<HttpsConnector<HttpConnector>, Body>);

impl Poster {
    /// Trusts what this machine trusts; or, where a file is given, the certificates (PEM) in it and no others.
    ///
    /// # Errors
    /// There is no certificate to trust.
    pub(crate) fn new(ca: Option<&Path>) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let builder = HttpsConnectorBuilder::new();
        let builder = match ca {
            Some(file) => builder.with_tls_config(trusting(file)?),
            None => builder.with_native_roots().map_err(|error| format!("this machine has no certificates to trust: {error}"))?,
        };
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_max_idle_per_host(1);
        Ok(Self(client.build(builder.https_or_http().enable_http1().wrap_connector(tcp))))
    }

    /// Posts this once, and waits no longer than that for the answer.
    pub(crate) async fn post(&self, to: &Uri, headers: &HeaderMap, body: Bytes, within: Duration) -> Answer {
        self.ask(to, headers, body, within).await.0
    }

    /// The same, with the text that came with the answer, whatever it was.
    pub(crate) async fn ask(&self, to: &Uri, headers: &HeaderMap, body: Bytes, within: Duration) -> (Answer, String) {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = to.clone();
        *request.headers_mut() = headers.clone();
        match tokio::time::timeout(within, self.0.request(request)).await {
            Err(_) => (Answer::Later(format!("it did not answer within {} s", within.as_secs()), None), String::new()),
            Ok(Err(error)) => (Answer::Later(reasons(&error), None), String::new()),
            Ok(Ok(answer)) => {
                let (parts, body) = answer.into_parts();
                let text = tokio::time::timeout(TEXT, to_bytes(Body::new(body), ANSWER)).await;
                let text = text.ok().and_then(Result::ok).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
                (judge(parts.status, &parts.headers, text.clone()), text)
            }
        }
    }
}

fn judge(status: StatusCode, headers: &HeaderMap, text: String) -> Answer {
    let said = format!("it answers {status}");
    match status {
        _ if status.is_success() => Answer::Taken(status.as_u16(), text),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Answer::Later(said, wait(headers, Timestamp::now())),
        _ if status.is_server_error() => Answer::Later(said, wait(headers, Timestamp::now())),
        _ if status.is_redirection() => Answer::Refused(format!("{said}: redirects are not followed; give the address that it leads to"), text),
        _ => Answer::Refused(said, text),
    }
}

/// How long `Retry-After` has us wait: seconds, or until a date.
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// How long to wait before the next try: twice as long each time from `first` on, of which `chance` takes off up to a quarter, so that those
/// who failed together do not come again together.
#[must_use]
pub(crate) fn pause(tries: u32, first: Duration, longest: Duration, chance: u64) -> Duration {
    let full = first.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(longest);
    let part = u32::try_from(chance % 256).unwrap_or_default();
    full.saturating_sub(full.saturating_mul(part).checked_div(1_024).unwrap_or_default())
}

/// An address that something may be sent to: HTTPS, or plain HTTP to this very machine or where that was asked for.
///
/// # Errors
/// Why not; the address itself is not in it.
pub(crate) fn address(text: &str, insecure: bool) -> Result<Uri, String> {
    let address: Uri = text.trim().parse().map_err(|_| "it is no URL such as https://hooks.example.com/…".to_owned())?;
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match address.scheme_str() {
        _ if host.is_empty() => Err("it names no host".to_owned()),
        _ if address.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            Err("it holds a user or a password before the host; send them in a header instead".to_owned())
        }
        Some("https") => Ok(address),
        Some("http") if here || insecure => Ok(address),
        Some("http") => Err("it is not https, and what is sent could be read on the way".to_owned()),
        _ => Err("it does not begin with https://".to_owned()),
    }
}

fn trusting(file: &Path) -> Result<ClientConfig, String> {
    let shown = file.display();
    let text = fs::read(file).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let blocks = pem::parse_many(text).map_err(|error| format!("`{shown}` is not PEM: {error}"))?;
    let mut roots = RootCertStore::empty();
    for block in blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE") {
        roots.add(CertificateDer::from(block.into_contents())).map_err(|error| format!("a certificate in `{shown}` cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("there is no certificate in `{shown}`"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error with what caused it.
pub(crate) fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_safe_or_refused_without_being_quoted() {
        for good in ["https://hooks.example.com/T0/B0/secret", "http://127.0.0.1:9/x", "http://[::1]/x", "http://localhost/x", " https://a/b \n"] {
            assert!(address(good, false).is_ok(), "{good}");
        }
        assert!(address("http://relay.internal/secret", true).is_ok());
        for bad in
            ["http://relay.internal/secret", "https://ada:secret@a/b", "ftp://a/secret", "/secret", "", "https://", "http://127.0.0.1.evil/secret"]
        {
            let error = address(bad, false).unwrap_err();
            assert!(!error.contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn what_may_be_taken_later_is_told_from_what_never_will_be() {
        let judged = |status: u16, after: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, after.parse().unwrap())]);
            judge(StatusCode::from_u16(status).unwrap(), &headers, "text".to_owned())
        };
        assert_eq!(judged(204, ""), Answer::Taken(204, "text".to_owned()));
        assert!(matches!(judged(429, "7"), Answer::Later(_, Some(wait)) if wait == Duration::from_secs(7)));
        assert!(matches!(judged(503, "99999999"), Answer::Later(_, Some(LONGEST_WAIT))), "nobody has us wait for ever");
        assert!(matches!(judged(503, "soon"), Answer::Later(_, None)));
        for status in [301, 307, 400, 403, 404, 410] {
            assert!(matches!(judged(status, "7"), Answer::Refused(..)), "{status}");
        }
        let now: Timestamp = "2026-02-05T16:30:00Z".parse().unwrap();
        let until = |date: &str| wait(&HeaderMap::from_iter([(header::RETRY_AFTER, date.parse().unwrap())]), now);
        assert_eq!(until("Thu, 05 Feb 2026 16:30:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(until("Thu, 05 Feb 2026 16:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn pauses_grow_up_to_a_bound_and_differ() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        for (tries, full) in [(1, 1), (2, 2), (5, 16), (7, 60), (u32::MAX, 60)] {
            let full = Duration::from_secs(full);
            assert_eq!(pause(tries, first, longest, 0), full);
            let short = pause(tries, first, longest, u64::MAX);
            assert!(short < full && short > full.mul_f64(0.74), "{tries}: {short:?}");
        }
    }
}
