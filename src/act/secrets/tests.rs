use super::*;
use crate::{
    model::{Kind, credentials::SecretText},
    observe::kube::fake::{Answer, Fake, failure},
    ports::{HookKind, Pin, Secrets, Vault},
};

const SECRET: &str = "/api/v1/namespaces/ours/secrets";
const HOOKS: &str = "/apis/admissionregistration.k8s.io/v1";

fn secret(version: &str) -> Answer {
    Answer::Json(200, json!({"metadata": {"resourceVersion": version}, "type": "Opaque", "data": {"tls.key": "aHVudGVyMg=="}}))
}

#[tokio::test]
async fn a_secret_is_read_and_swapped_by_version_and_never_shown() {
    let absent = json!({"name": "s", "kind": "secrets"});
    let (cluster, fake) = Fake::new([
        failure(404, "NotFound", "secrets \"s\" not found", absent),
        Answer::Text(404, "404 page not found\n"),
        secret("1"),
        secret("2"),
        secret("3"),
        failure(409, "Conflict", "modified", json!({})),
        Answer::Json(200, json!({"metadata": {"resourceVersion": "4"}, "data": {"tls.key": "hunter2 is no base64!"}})),
    ]);
    assert_eq!(cluster.read_secret("s").await, Ok(None));
    assert_eq!(cluster.read_secret("s").await, Err(ApiError::NotFound), "a path that leads nowhere is not an absent Secret");
    let found = cluster.read_secret("s").await.unwrap().unwrap();
    assert_eq!((found.resource_version.as_str(), found.data["tls.key"].as_slice()), ("1", b"hunter2".as_slice()));
    let shown = format!("{found:?}");
    assert!(shown.contains("tls.key") && !shown.contains("hunter2") && !shown.contains("104"), "{shown}");

    let data = BTreeMap::from([("tls.key".to_owned(), b"hunter2".to_vec())]);
    assert_eq!(cluster.write_secret("s", data.clone(), None).await.unwrap().resource_version, "2");
    assert_eq!(cluster.write_secret("s", data.clone(), Some("2")).await.unwrap().resource_version, "3");
    assert!(matches!(cluster.write_secret("s", data.clone(), Some("2")).await, Err(ApiError::Conflict(_))));
    assert!(matches!(cluster.write_secret("s", data, Some("")).await, Err(ApiError::Refused { code: 0, .. })));
    let error = cluster.read_secret("s").await.unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");

    let lines: Vec<_> = fake.lines().into_iter().map(|line| line.replace("?timeout=3000ms&fieldManager=clonewarden", "")).collect();
    let (get, put) = (format!("GET {SECRET}/s"), format!("PUT {SECRET}/s"));
    assert_eq!(lines, [get.clone(), get.clone(), get.clone(), format!("POST {SECRET}"), put.clone(), put, get]);
    let body = &fake.asked()[4].body;
    assert_eq!((&body["type"], &body["data"]), (&json!("Opaque"), &json!({"tls.key": "aHVudGVyMg=="})));
    assert_eq!((&body["metadata"]["namespace"], &body["metadata"]["resourceVersion"]), (&json!("ours"), &json!("2")));
    let call = Call::write("update", "secrets", String::new(), Body::Json(body.clone()), WRITE);
    assert!(!format!("{call:?}").contains("aHVudGVyMg"), "{call:?}");
}

#[tokio::test]
async fn every_webhook_is_told_and_nothing_else_is_touched() {
    let hooks = json!([
        {"name": "a", "clientConfig": {"service": {"name": "clonewarden"}}},
        {"name": "b", "clientConfig": {"url": "https://127.0.0.1", "caBundle": "b2xk"}},
    ]);
    let absent = json!({"name": "c", "group": "admissionregistration.k8s.io", "kind": "validatingwebhookconfigurations"});
    let (cluster, fake) = Fake::new([
        Answer::Json(200, json!({"metadata": {"resourceVersion": "7"}, "webhooks": hooks})),
        failure(404, "NotFound", "not found", absent),
        Answer::Json(200, json!({})),
        failure(409, "Conflict", "modified", json!({})),
        Answer::Text(403, "forbidden"),
    ]);
    let seen = cluster.ca_bundles("c").await.unwrap();
    let one =
        HookBundles { kind: HookKind::Mutating, name: "c".to_owned(), resource_version: "7".to_owned(), bundles: vec![Vec::new(), b"old".to_vec()] };
    assert_eq!(seen, std::slice::from_ref(&one));
    assert_eq!(cluster.patch_ca_bundle(&one, b"new").await, Ok(()));
    assert!(matches!(cluster.patch_ca_bundle(&one, b"new").await, Err(ApiError::Conflict(_))));
    assert!(matches!(cluster.ca_bundles("c").await, Err(ApiError::Forbidden(_))), "not allowed is not absent");
    assert!(matches!(
        cluster.patch_ca_bundle(&HookBundles { resource_version: String::new(), ..one }, b"new").await,
        Err(ApiError::Refused { code: 0, .. })
    ));

    let asked = fake.asked();
    assert_eq!(asked[0].line, format!("GET {HOOKS}/mutatingwebhookconfigurations/c"));
    assert_eq!(asked[1].line, format!("GET {HOOKS}/validatingwebhookconfigurations/c"));
    assert_eq!(asked[2].line, format!("PATCH {HOOKS}/mutatingwebhookconfigurations/c?timeout=3000ms&fieldManager=clonewarden"));
    assert_eq!(asked[2].content, "application/json-patch+json");
    let expected = json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "bmV3"},
        {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "bmV3"},
    ]);
    assert_eq!(asked[2].body, expected);
}

#[tokio::test]
async fn the_secret_of_a_clone_is_created_and_nothing_else() {
    let (cluster, fake) = Fake::new([
        Answer::Json(201, json!({"metadata": {}})),
        failure(409, "AlreadyExists", "secrets \"c-secret\" already exists", json!({})),
        failure(409, "Conflict", "Operation cannot be fulfilled on resourcequotas", json!({})),
        failure(403, "Forbidden", "exceeded quota", json!({})),
    ]);
    let owner = Pin { kind: Kind::Clone, namespace: "theirs".into(), name: "c".into(), uid: "u1".into(), resource_version: "7".into() };
    let data = BTreeMap::from([("password", SecretText::new("hunter2".to_owned()))]);
    let secret = CloneSecret { owner, name: "c-secret".to_owned(), data };
    assert!(!format!("{secret:?}").contains("hunter2"));
    assert_eq!(cluster.make_secret(&secret).await, Ok(()));
    assert_eq!(cluster.make_secret(&secret).await, Ok(()), "one that is there was made for this very clone");
    assert!(matches!(cluster.make_secret(&secret).await, Err(ApiError::Conflict(_))), "a quota's conflict says nothing of the Secret");
    assert!(matches!(cluster.make_secret(&secret).await, Err(ApiError::Forbidden(_))));
    let ownerless = CloneSecret { owner: Pin { uid: String::new(), ..secret.owner.clone() }, ..secret };
    assert!(matches!(cluster.make_secret(&ownerless).await, Err(ApiError::Refused { code: 0, .. })), "it would stay for ever");
    let asked = fake.asked();
    assert!(asked.len() == 4 && asked.iter().all(|asked| asked.line.starts_with("POST /api/v1/namespaces/theirs/secrets")));
    assert_eq!(
        asked[0].body,
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"password": "aHVudGVyMg=="},
            "metadata": {
                "name": "c-secret", "namespace": "theirs", "labels": {"app.kubernetes.io/managed-by": "clonewarden"},
                "ownerReferences": [{"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "name": "c", "uid": "u1"}],
            },
        })
    );
}
