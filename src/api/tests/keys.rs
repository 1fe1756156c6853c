//! Idempotency keys: one key makes one clone, whatever goes wrong in between.

use super::*;
use std::collections::BTreeMap;

/// An API server that stores clones, and knows who has which token.
#[derive(Clone, Default)]
struct Stored(Arc<Mutex<BTreeMap<String, Value>>>);

impl Stored {
    fn answer(&self, asked: &Asked) -> Answer {
        let user = if asked.authorization.ends_with("bobs") { "bob" } else { "ada" };
        if asked.line.contains("/selfsubjectreviews") {
            return Answer::Json(201, json!({"status": {"userInfo": {"username": user}}}));
        }
        let mut stored = self.0.lock().unwrap();
        let name = asked.body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if asked.line.starts_with("POST /apis/kro.run/v1alpha1/namespaces/a/wordpressclones?") {
            if stored.contains_key(&name) {
                return failure(409, "AlreadyExists", "already exists", json!({}));
            }
            let mut annotations = asked.body["metadata"]["annotations"].clone();
            annotations[names::OWNER] = json!(user);
            stored.insert(name.clone(), clone(&name, annotations));
            return Answer::Json(201, stored[&name].clone());
        }
        if asked.line.starts_with("GET /apis/kro.run/v1alpha1/namespaces/a/wordpressclones?") && !asked.line.contains("watch=") {
            let one = asked.line.rsplit_once("metadata.name%3D").map(|(_, name)| name);
            let items: Vec<_> =
                stored.iter().filter(|(name, _)| one.is_none_or(|one| one == name.as_str())).map(|(_, object)| object.clone()).collect();
            return Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}, "items": items}));
        }
        let found = asked.line.strip_prefix("GET /apis/kro.run/v1alpha1/namespaces/a/wordpressclones/").and_then(|name| stored.get(name));
        found.map_or_else(|| world(asked), |found| Answer::Json(200, found.clone()))
    }

    fn serve(&self) -> (Desk, Router) {
        let stored = self.clone();
        let (desk, _) = desk(move |asked| stored.answer(asked));
        (desk.clone(), server::routes(desk, metrics()))
    }
}

fn body() -> Value {
    json!({"namespace": "a", "sourceUrl": "https://example.com", "sourcePassword": "hunter2"})
}

const KEY: (&str, &str) = ("idempotency-key", "order-17");

#[tokio::test]
async fn the_same_key_gives_the_same_clone() {
    let stored = Stored::default();
    let (_, router) = stored.serve();
    let first = post(&router, "/api/v1/clones", &[KEY], &body()).await;
    let again = post(&router, "/api/v1/clones", &[KEY], &body()).await;
    assert_eq!((first.status, again.status), (201, 200), "{first:?} {again:?}");
    assert_eq!((&first.body["name"], &first.body["uid"]), (&again.body["name"], &again.body["uid"]));
    assert_eq!(first.header("location"), again.header("location"));
    let mut other = body();
    other["ttl"] = json!("2h");
    post(&router, "/api/v1/clones", &[KEY], &other).await.problem(422, "KeyReused");
    let written = json!(*stored.0.lock().unwrap()).to_string();
    assert!(!written.contains("order-17"), "the key stands on the clone: {written}");
    // Without a key each is another one.
    assert_eq!(post(&router, "/api/v1/clones", &[], &body()).await.status, 201);
    assert_eq!(stored.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn many_at_once_make_one() {
    let stored = Stored::default();
    let (_, router) = stored.serve();
    let all = futures::future::join_all((0..20).map(|_| async { post(&router, "/api/v1/clones", &[KEY], &body()).await })).await;
    let made = all.iter().filter(|came| came.status == 201).count();
    assert!(made <= 1 && all.iter().all(|came| matches!(came.status, 200 | 201)), "{all:?}");
    assert!(all.iter().all(|came| came.body["name"] == all[0].body["name"]));
    assert_eq!(stored.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn somebody_else_s_key_is_another_one() {
    let stored = Stored::default();
    let (_, router) = stored.serve();
    let mut named = body();
    named["name"] = json!("mine");
    assert_eq!(post(&router, "/api/v1/clones", &[KEY], &named).await.status, 201);
    let bob = [("authorization", "Bearer bobs"), ("content-type", "application/json"), KEY];
    let came = send(&router, "POST /api/v1/clones", &bob, named.to_string()).await;
    assert!(!came.problem(409, "NameTaken").contains("ada"));
    let came = send(&router, "POST /api/v1/clones", &bob, body().to_string()).await;
    assert_eq!(came.status, 201);
    assert_eq!(stored.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_clone_that_is_gone_is_not_made_again() {
    let stored = Stored::default();
    let (desk, router) = stored.serve();
    let first = post(&router, "/api/v1/clones", &[KEY], &body()).await;
    let name = first.body["name"].as_str().unwrap().to_owned();
    stored.0.lock().unwrap().get_mut(&name).unwrap()["metadata"]["deletionTimestamp"] = json!(at(60));
    post(&router, "/api/v1/clones", &[KEY], &body()).await.problem(409, "KeySpent");
    let gone = stored.0.lock().unwrap().remove(&name).unwrap();
    let kind = crate::model::Kind::Clone;
    desk.store.apply(kind, &gone);
    desk.store.remove(kind, &gone, at(120));
    let came = post(&router, "/api/v1/clones", &[KEY], &body()).await;
    assert!(came.problem(409, "KeySpent").contains("was seen to go at"));
    assert_eq!(stored.0.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_and_a_full_house_does_not_hide_it() {
    let stored = Stored::default();
    let lossy = stored.clone();
    let (callers, _) = desk(move |asked| match lossy.answer(asked) {
        Answer::Json(201, object) if object.get("spec").is_some() => Answer::Text(504, ""),
        other => other,
    });
    let router = server::routes(callers, metrics());
    let came = post(&router, "/api/v1/clones", &[KEY], &body()).await;
    assert_eq!(came.status, 200, "it was made, and the answer was lost: {came:?}");
    // Admission refuses every further one: the one that is there is told all the same.
    let full = stored.clone();
    let (callers, _) = desk(move |asked| {
        let creation = asked.line.starts_with("POST") && asked.line.contains("/wordpressclones?");
        if creation { failure(403, "Forbidden", "denied the request: LimitReached: 1 of 1", json!({})) } else { full.answer(asked) }
    });
    let router = server::routes(callers, metrics());
    assert_eq!(post(&router, "/api/v1/clones", &[KEY], &body()).await.status, 200);
    post(&router, "/api/v1/clones", &[("idempotency-key", "other")], &body()).await.problem(403, "LimitReached");
}

#[tokio::test]
async fn without_knowing_who_asks_no_key_is_taken() {
    let (router, fake) = served(|_| failure(401, "Unauthorized", "Unauthorized", json!({})));
    post(&router, "/api/v1/clones", &[KEY], &body()).await.problem(401, "Unauthorized");
    assert_eq!(fake.lines().len(), 1, "{:?}", fake.lines());
}
