use super::{
    fake::{Answer, Fake, failure},
    *,
};
use crate::model::names;
use serde_json::json;
use std::time::Duration;

fn clone(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "a", "uid": "u", "resourceVersion": "7", "managedFields": [{"manager": "kubectl"}]}})
}

#[tokio::test]
async fn a_list_comes_in_pages_that_are_trimmed() {
    let strange = json!([null, 17, "text", {"metadata": "odd"}, clone("one")]);
    let (cluster, fake) = Fake::new([
        Answer::Json(200, json!({"kind": "WordPressCloneList", "metadata": {"resourceVersion": "9", "continue": "a+b/c="}, "items": strange})),
        Answer::Json(200, json!({"kind": "WordPressCloneList", "metadata": {"resourceVersion": "9"}, "items": []})),
    ]);
    let first = cluster.list(Kind::Clone, None, false).await.unwrap();
    assert_eq!((first.items.len(), first.next.as_deref(), first.resource_version.as_str()), (5, Some("a+b/c="), "9"));
    assert_eq!(first.items[4], json!({"metadata": {"name": "one", "namespace": "a", "uid": "u", "resourceVersion": "7"}}));
    let last = cluster.list(Kind::Clone, first.next, true).await.unwrap();
    assert_eq!((last.items.len(), last.next), (0, None));
    let path = "GET /apis/kro.run/v1alpha1/wordpressclones?limit=500";
    assert_eq!(fake.lines(), [path.to_owned(), format!("{path}&continue=a%2Bb%2Fc%3D")]);
}

#[tokio::test]
async fn kinds_of_which_metadata_suffices_are_asked_for_and_kept_so() {
    let whole = json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"big": "text"}});
    let (cluster, fake) = Fake::new([Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}, "items": [whole]}))]);
    let page = cluster.list(Kind::ConfigMap, None, true).await.unwrap();
    assert_eq!(page.items, [json!({"metadata": {"name": "c"}})]);
    let asked = &fake.asked()[0];
    assert_eq!(asked.accept, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json");
    assert_eq!(asked.line, "GET /api/v1/configmaps?limit=500&labelSelector=kro.run%2Finstance-kind%3DWordPressClone");

    // The API server's words where there is none.
    let none = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "9"}, "items": null});
    let (cluster, _) = Fake::new([Answer::Json(200, none)]);
    assert_eq!(cluster.list(Kind::Ingress, None, true).await.unwrap().items, [] as [Value; 0]);
}

#[tokio::test]
async fn kinds_of_one_name_are_asked_for_by_it() {
    let (cluster, fake) = Fake::new([Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}, "items": []})), Answer::Text(403, "")]);
    assert_eq!(cluster.list(Kind::ResourceQuota, None, true).await.unwrap().items, [] as [Value; 0]);
    let refused = futures::StreamExt::next(&mut cluster.watch(Kind::LimitRange, "9".to_owned())).await;
    assert!(matches!(refused, Some(Err(ApiError::Forbidden(_)))));
    let lines = fake.lines();
    // Without the name RBAC, which is narrowed to it, would refuse both.
    assert_eq!(lines[0], "GET /api/v1/resourcequotas?limit=500&fieldSelector=metadata.name%3Dclonewarden");
    assert!(
        lines[1].starts_with("GET /api/v1/limitranges?watch=true&") && lines[1].ends_with("&fieldSelector=metadata.name%3Dclonewarden"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_is_not_a_list_is_never_an_empty_one() {
    let broken = [
        Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}})),
        Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}, "items": null})),
        Answer::Json(200, json!({"metadata": {}, "items": []})),
        Answer::Json(200, json!({"items": []})),
        Answer::Text(200, "<html>please log in</html>"),
        Answer::Text(200, r#"{"metadata": {"resourceVersion": "9"}, "items": [{"#),
        Answer::Text(502, "<html>bad gateway</html>"),
        failure(429, "TooManyRequests", "slow down", json!(null)),
    ];
    let count = broken.len();
    let (cluster, _) = Fake::new(broken);
    for _ in 0..count {
        let error = cluster.list(Kind::Clone, None, true).await.unwrap_err();
        assert!(matches!(&error, ApiError::Unavailable(text) if !text.contains("html")), "{error:?}");
    }
    let requests: Vec<_> = cluster.requests().counts().into_iter().collect();
    let key = |outcome| Request { verb: "list", resource: "wordpressclones", outcome };
    // What cannot be read was answered all the same: the count is of requests.
    assert_eq!(requests, [(key("ok"), 6), (key("unavailable"), 2)]);
}

#[tokio::test]
async fn answers_that_are_no_success_keep_their_meaning() {
    let long = "x".repeat(1000);
    let (cluster, _) = Fake::new([
        failure(410, "Expired", "The provided continue parameter is too old", json!(null)),
        failure(403, "Forbidden", "no\nrights", json!({})),
        failure(400, "BadRequest", &long, json!({})),
        Answer::Text(404, "404 page not found\n"),
        Answer::Text(401, ""),
    ]);
    let mut errors = Vec::new();
    for _ in 0..5 {
        errors.push(cluster.list(Kind::Clone, None, true).await.unwrap_err());
    }
    let expected = [
        ApiError::Expired,
        ApiError::Forbidden("no rights".to_owned()),
        ApiError::Refused { code: 400, message: "x".repeat(300) },
        ApiError::NotFound,
        ApiError::Forbidden("401 Unauthorized".to_owned()),
    ];
    assert_eq!(errors, expected);
}

#[tokio::test]
async fn absence_is_only_what_the_server_says_of_this_very_object() {
    let about = |name: &str, group: &str, kind: &str| {
        let details = json!({"name": name, "group": group, "kind": kind});
        failure(404, "NotFound", &format!("{kind} {name:?} not found"), details)
    };
    let (cluster, fake) = Fake::new([
        about("one", names::CLONE_GROUP, "wordpressclones"),
        Answer::Text(404, "404 page not found\n"),
        about("two", names::CLONE_GROUP, "wordpressclones"),
        about("one", "", "namespaces"),
        failure(404, "NotFound", "the server could not find the requested resource", json!({})),
        Answer::Json(200, json!({"metadata": {"name": "two"}})),
        Answer::Json(200, json!({"kind": "Status", "status": "Success"})),
        Answer::Json(200, clone("one")),
    ]);
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(cluster.get(Kind::Clone, "a", "one").await);
    }
    assert_eq!(seen[0], Ok(None));
    assert!(seen[1..5].iter().all(|answer| *answer == Err(ApiError::NotFound)), "{seen:?}");
    assert!(seen[5..7].iter().all(|answer| matches!(answer, Err(ApiError::Unavailable(_)))), "{seen:?}");
    // They say who made it.
    assert!(seen[7].as_ref().unwrap().as_ref().unwrap()["metadata"].get("managedFields").is_some());
    assert_eq!(fake.lines()[0], "GET /apis/kro.run/v1alpha1/namespaces/a/wordpressclones/one");
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_not_sent() {
    let (cluster, fake) = Fake::new([]);
    for (namespace, name) in [("a", ""), ("", "one"), ("a", ".."), ("a", "."), ("a", "one/status"), ("a/..", "one"), ("a", "one?x=y"), ("a", "%2e")] {
        let answer = cluster.get(Kind::Clone, namespace, name).await;
        assert!(matches!(answer, Err(ApiError::Refused { code: 0, .. })), "{namespace:?}/{name:?}: {answer:?}");
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_ends_every_call() {
    let never = || Answer::After(Duration::from_hours(1));
    let (cluster, _) = Fake::new([never(), never(), never(), never()]);
    let pin = Pin { kind: Kind::Clone, namespace: "a".into(), name: "one".into(), uid: "u".into(), resource_version: "7".into() };
    let start = tokio::time::Instant::now();
    let mut before = Duration::ZERO;
    let mut took = || {
        let took = start.elapsed() - before;
        before = start.elapsed();
        // Timers are as fine as a millisecond.
        Duration::from_millis(u64::try_from(took.as_millis()).unwrap() / 100 * 100)
    };
    assert!(matches!(cluster.list(Kind::Clone, None, true).await, Err(ApiError::Unavailable(_))));
    assert_eq!(took(), call::READ);
    assert!(matches!(cluster.delete(&pin).await, Err(ApiError::Unavailable(_))));
    assert_eq!(took(), WRITE);
    assert!(matches!(cluster.read_lease("l").await, Err(ApiError::Unavailable(_))));
    assert_eq!(took(), LEASE);
    assert!(matches!(cluster.write_lease("l", &LeaseRecord::default()).await, Err(ApiError::Unavailable(_))));
    assert_eq!(took(), LEASE);
}

#[tokio::test]
async fn every_dated_answer_tells_the_time() {
    let (cluster, _) = Fake::new([Answer::Text(503, "from a proxy"), Answer::Text(404, "404 page not found\n")]);
    let now = "2026-02-05T16:35:00.5Z".parse().unwrap();
    let _ = cluster.get(Kind::Clone, "a", "one").await;
    assert_eq!(cluster.skew(now), None);
    let _ = cluster.get(Kind::Clone, "a", "one").await;
    let skew = cluster.skew(now).unwrap();
    assert!((SignedDuration::from_secs(299)..=SignedDuration::from_mins(5)).contains(&skew), "{skew}");
}

#[tokio::test]
async fn state_and_lease_are_read_and_their_absence_is() {
    let gone = |resource: &str, group: &str| failure(404, "NotFound", "not found", json!({"name": "n", "kind": resource, "group": group}));
    let lease = json!({"kind": "Lease", "metadata": {"name": "n", "resourceVersion": "5"}, "spec": {
        "holderIdentity": "pod-1", "leaseDurationSeconds": 8, "leaseTransitions": 3,
        "acquireTime": "2026-02-05T16:00:00.000000Z", "renewTime": "2026-02-05T16:30:00.123456Z"}});
    let (cluster, fake) = Fake::new([
        gone("configmaps", ""),
        Answer::Json(200, json!({"kind": "ConfigMap", "metadata": {"name": "n", "resourceVersion": "4"}})),
        gone("leases", "coordination.k8s.io"),
        Answer::Json(200, lease),
        Answer::Json(200, json!({"kind": "Status"})),
    ]);
    assert_eq!(cluster.read_state("n").await, Ok(None));
    assert_eq!(cluster.read_state("n").await, Ok(Some(Stored { resource_version: "4".to_owned(), data: BTreeMap::new() })));
    assert_eq!(cluster.read_lease("n").await, Ok(None));
    let record = cluster.read_lease("n").await.unwrap().unwrap();
    assert_eq!((record.holder.as_str(), record.duration, record.transitions), ("pod-1", Duration::from_secs(8), 3));
    assert_eq!(record.renewed, Some("2026-02-05T16:30:00.123456Z".parse().unwrap()));
    assert!(matches!(cluster.read_lease("n").await, Err(ApiError::Unavailable(_))), "no lease must not pass for a free one");
    assert_eq!(fake.lines()[0], "GET /api/v1/namespaces/ours/configmaps/n");
    assert_eq!(fake.lines()[2], "GET /apis/coordination.k8s.io/v1/namespaces/ours/leases/n");
}
