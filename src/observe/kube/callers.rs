//! The API server for callers of the HTTP API: each asks with the token that came with the request, and with nothing else.
//!
//! Contract: the client has none of the daemon's credentials, neither token nor certificate nor plugin, and nothing is asked
//! without a caller's token. Of what a caller sends nothing but the token goes on: no impersonation, no header. A token is never
//! printed, and its header is marked as sensitive.

use super::{call::Transport, config, person::Person};
use ::kube::Client;
use http::HeaderValue;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The longest token: that of a service account has 1 to 2 KiB.
const LONGEST: usize = 16 * 1_024;

/// A caller's bearer token.
#[derive(Clone)]
pub(crate) struct Token {
    header: HeaderValue,
    /// By which callers are told apart in memory.
    print: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Reads the value of an `Authorization` header: `Bearer`, and a token as RFC 6750 writes it. Anything else is none.
    pub(crate) fn read(authorization: &[u8]) -> Option<Self> {
        let (scheme, rest) = authorization.split_at_checked(7)?;
        let token = rest.trim_ascii_start();
        let plain = token.trim_ascii_end();
        let body = plain.iter().position(|byte| *byte == b'=').unwrap_or(plain.len());
        let (body, padding) = plain.split_at_checked(body)?;
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
        let well = scheme.eq_ignore_ascii_case(b"bearer ") && !body.is_empty() && plain.len() <= LONGEST;
        if !well || !body.iter().all(allowed) || !padding.iter().all(|byte| *byte == b'=') {
            return None;
        }
        let whole = Zeroizing::new([b"Bearer ".as_slice(), plain].concat());
        let mut header = HeaderValue::from_bytes(&whole).ok()?;
        header.set_sensitive(true);
        Some(Self { header, print: Sha256::digest(plain).into() })
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The token itself: only for the API server.
    pub(crate) fn reveal(&self) -> &str {
        self.header.to_str().ok().and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default()
    }

    /// A hash of it, to tell callers apart. It is kept in memory alone.
    pub(crate) fn print(&self) -> [u8; 32] {
        self.print
    }
}

/// The API server, for whoever brings a token.
#[derive(Debug, Clone)]
pub(crate) struct Callers(Transport);

impl Callers {
    /// Finds the API server as the daemon itself does, and leaves the daemon's credentials behind. Nothing is sent yet.
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        let config = config::stranger(config::load(None).await?);
        Ok(Self::over(config::client(&config)?))
    }

    /// Uses a client that was made elsewhere. It must have no credentials.
    pub(crate) fn over(client: Client) -> Self {
        Self(Transport::new(client))
    }

    /// Whoever has this token, in a namespace.
    pub(crate) fn person(&self, token: &Token, namespace: &str) -> Person {
        Person::by(self.0.clone().bearing(token.clone()), namespace.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written_and_nothing_else_is_one() {
        for good in ["Bearer abc", "bearer a.b-c_d~e+f/g==", "BEARER  abc ", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.x-y_z"] {
            assert!(Token::read(good.as_bytes()).is_some(), "{good}");
        }
        let long = format!("Bearer {}", "x".repeat(LONGEST + 1));
        for bad in
            ["", "Bearer", "Bearer ", "Bearer   ", "Basic abc", "Bearer a b", "Bearer a,b", "Bearer =", "Bearer a=b", "Bearer \u{e9}", "abc", &long]
        {
            assert!(Token::read(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Token::read(b"Bearer a\r\nImpersonate-User: admin").is_none());
    }

    #[test]
    fn a_token_is_not_printed_and_two_are_told_apart() {
        let (one, other) = (Token::read(b"Bearer hunter2").unwrap(), Token::read(b"bearer hunter3").unwrap());
        assert!(!format!("{one:?} {:?}", one.header()).contains("hunter2"));
        assert_ne!(one.print(), other.print());
        assert_eq!(one.header().as_bytes(), b"Bearer hunter2");
    }
}
