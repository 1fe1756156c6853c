//! Who stands at the door: somebody on this machine, or somebody who has to show a token.
//!
//! Contract: who is on this machine, as far as can be told ([`local`](crate::daemon::http::local)), sees everything, unless the daemon was
//! told that even that is not to be relied on. Everybody else shows a bearer token that the API server takes, of somebody who may list clones.

use super::permits::{Permit, Permits};
use crate::{
    daemon::http::local::{Ends, is_local},
    observe::kube::callers::Token,
    ports::ApiError,
};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use std::sync::Arc;

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

/// Who lets in.
pub(super) struct Door {
    /// Who can be asked whose a token is; `None`: nobody but this machine is let in.
    pub(super) permits: Option<Permits>,
    /// Even this machine shows a token: what forwards connections to it may say nothing of that.
    pub(super) token_always: bool,
}

impl Door {
    /// What the visitor may see, or why nothing.
    pub(super) async fn admit(&self, ends: Ends, uri: &Uri, headers: &HeaderMap, namespace: Option<&str>) -> Result<Entry, Refused> {
        if !self.token_always && is_local(ends, uri, headers) {
            return Ok(Entry::All);
        }
        let permits = self.permits.as_ref().ok_or(Refused::LocalOnly)?;
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
            Self::NoToken => "this is shown to whoever is on the daemon's own machine (where it was not told to ask even there), or brings \
                              `Authorization: Bearer` with a token of somebody who may list clones"
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
    use crate::{
        daemon::http::local::tests::{ends, headers},
        web::permits::tests::Book,
    };

    #[tokio::test]
    async fn everybody_else_shows_a_token_of_somebody_who_may() {
        let door = |permits, token_always| Door { permits, token_always };
        let asking = || Some(Permits::new(Arc::new(Book::default())));
        let open = door(asking(), false);
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
            assert_eq!(open.admit(away, &root, &headers(&pairs), namespace).await, expected, "{authorization:?} {namespace:?}");
        }
        let bearer = headers(&[("authorization", "Bearer all")]);
        assert_eq!(door(None, false).admit(away, &root, &bearer, None).await, Err(Refused::LocalOnly), "there is nobody to ask");
        let (here, plain) = (ends("127.0.0.1:9", "127.0.0.1:8080"), headers(&[("host", "localhost")]));
        assert_eq!(door(None, false).admit(here, &root, &plain, None).await, Ok(Entry::All));
        // What ends TLS on this machine and knows no HTTP hands on whatever host a stranger names.
        let strict = door(asking(), true);
        assert_eq!(strict.admit(here, &root, &plain, None).await, Err(Refused::NoToken));
        let bearer = headers(&[("host", "localhost"), ("authorization", "Bearer all")]);
        assert_eq!(strict.admit(here, &root, &bearer, None).await, Ok(Entry::All));
    }
}
