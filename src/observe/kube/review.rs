//! The API server's word on who somebody is and what they may do: `TokenReview` and `SubjectAccessReview`. Both are created and
//! stored nowhere.
//!
//! Contract: what the API server does not clearly affirm is denied, and what it does not answer is an error. The token is in the body
//! of one request and in no message.

use super::{Body, Call, KubeCluster, parse};
use crate::{
    model::{Kind, names},
    ports::{ApiError, Asker, Reviewer},
};
use futures::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// How long one may take: somebody waits for the page, and a connection lasts 15 s.
const REVIEW: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Review<T> {
    status: T,
}

#[derive(Deserialize)]
struct TokenStatus {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize, Default)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    groups: Option<Vec<String>>,
    #[serde(default)]
    extra: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
struct AccessStatus {
    #[serde(default)]
    allowed: bool,
    #[serde(default)]
    denied: bool,
}

impl KubeCluster {
    async fn review<T: serde::de::DeserializeOwned>(&self, group: &str, kind: &str, plural: &'static str, spec: Value) -> Result<T, ApiError> {
        let review = json!({"apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec});
        let call = Call::write("create", plural, format!("/apis/{group}/v1/{plural}"), Body::Json(review), REVIEW);
        let Review { status } = parse(&self.api.ask(call).await?)?;
        Ok(status)
    }
}

impl Reviewer for KubeCluster {
    fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Asker>, ApiError>> {
        async move {
            let status: TokenStatus = self.review("authentication.k8s.io", "TokenReview", "tokenreviews", json!({"token": token})).await?;
            let User { username, uid, groups, extra } = status.user;
            let asker = Asker { username, uid, groups: groups.unwrap_or_default(), extra: extra.unwrap_or_default() };
            Ok(Some(asker).filter(|asker| status.authenticated && !asker.username.is_empty()))
        }
        .boxed()
    }

    fn may_list_clones<'a>(&'a self, who: &'a Asker, namespace: Option<&'a str>) -> BoxFuture<'a, Result<bool, ApiError>> {
        async move {
            let spec = json!({
                "user": who.username, "uid": who.uid, "groups": who.groups, "extra": who.extra,
                "resourceAttributes": {
                    "verb": "list", "group": names::CLONE_GROUP, "resource": Kind::Clone.plural(), "namespace": namespace.unwrap_or_default(),
                },
            });
            let status: AccessStatus = self.review("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", spec).await?;
            Ok(status.allowed && !status.denied)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Answer, Fake, failure};
    use super::*;

    fn asker() -> Asker {
        Asker {
            username: "ada".to_owned(),
            groups: vec!["dev".to_owned()],
            extra: [("scopes".to_owned(), vec!["a".to_owned()])].into(),
            ..Asker::default()
        }
    }

    #[tokio::test]
    async fn a_token_is_somebodys_only_where_the_api_server_says_so() {
        let user = json!({"username": "ada", "groups": ["dev"], "extra": {"scopes": ["a"]}});
        let (cluster, fake) = Fake::new([
            Answer::Json(201, json!({"status": {"authenticated": true, "user": user}})),
            Answer::Json(201, json!({"status": {"authenticated": false, "user": user, "error": "expired"}})),
            Answer::Json(201, json!({"status": {"user": user}})),
            Answer::Json(201, json!({"status": {"authenticated": true}})),
            Answer::Json(201, json!({"status": {"authenticated": "true"}})),
            failure(403, "Forbidden", "no", json!(null)),
        ]);
        assert_eq!(cluster.who("secret").await.unwrap(), Some(asker()));
        for _ in 0..3 {
            assert_eq!(cluster.who("secret").await.unwrap(), None);
        }
        assert!(matches!(cluster.who("secret").await, Err(ApiError::Unavailable(_))));
        assert!(matches!(cluster.who("secret").await, Err(ApiError::Forbidden(_))));
        assert!(fake.lines()[0].starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews?"), "{:?}", fake.lines());
        assert_eq!(fake.asked()[0].body["spec"], json!({"token": "secret"}));
        assert!(!fake.lines().concat().contains("secret"));
    }

    #[tokio::test]
    async fn a_right_is_there_only_where_it_is_allowed_and_not_denied() {
        let (cluster, fake) = Fake::new([
            Answer::Json(201, json!({"status": {"allowed": true}})),
            Answer::Json(201, json!({"status": {"allowed": true, "denied": true}})),
            Answer::Json(201, json!({"status": {}})),
            Answer::Json(201, json!({})),
        ]);
        assert!(cluster.may_list_clones(&asker(), None).await.unwrap());
        assert!(!cluster.may_list_clones(&asker(), Some("a")).await.unwrap());
        assert!(!cluster.may_list_clones(&asker(), None).await.unwrap());
        assert!(cluster.may_list_clones(&asker(), None).await.is_err(), "an answer without a status says nothing");
        let asked = fake.asked();
        let attributes = |namespace: &str| json!({"verb": "list", "group": "kro.run", "resource": "wordpressclones", "namespace": namespace});
        assert_eq!((&asked[0].body["spec"]["resourceAttributes"], &asked[1].body["spec"]["resourceAttributes"]), (&attributes(""), &attributes("a")));
        assert_eq!((&asked[0].body["spec"]["user"], &asked[0].body["spec"]["extra"]), (&json!("ada"), &json!({"scopes": ["a"]})));
    }
}
