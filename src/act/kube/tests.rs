use super::*;
use crate::{
    observe::kube::fake::{Answer, Fake, failure},
    ports::Cluster,
};

fn pin() -> Pin {
    Pin { kind: Kind::Clone, namespace: "a".into(), name: "one".into(), uid: "u1".into(), resource_version: "7".into() }
}

const CLONE: &str = "/apis/kro.run/v1alpha1/namespaces/a/wordpressclones/one?timeout=3000ms&fieldManager=clonewarden";

#[tokio::test]
async fn a_delete_names_what_was_judged() {
    let (cluster, fake) = Fake::new([
        Answer::Json(200, json!({"kind": "Status"})),
        failure(409, "Conflict", "the UID in the precondition (u1) does not match", json!({})),
        Answer::Text(404, "404 page not found\n"),
    ]);
    assert_eq!(cluster.delete(&pin()).await, Ok(()));
    assert!(matches!(cluster.delete(&pin()).await, Err(ApiError::Conflict(_))));
    assert_eq!(cluster.delete(&pin()).await, Err(ApiError::NotFound));
    let asked = &fake.asked()[0];
    assert_eq!(asked.line, format!("DELETE {CLONE}"));
    assert_eq!(asked.body["preconditions"], json!({"uid": "u1", "resourceVersion": "7"}));
    assert_eq!(asked.body["propagationPolicy"], "Background");
}

#[tokio::test]
async fn a_job_goes_after_its_pods() {
    let (cluster, fake) = Fake::new([Answer::Json(200, json!({}))]);
    assert_eq!(cluster.delete(&Pin { kind: Kind::Job, ..pin() }).await, Ok(()));
    assert_eq!(fake.asked()[0].body["propagationPolicy"], "Foreground");
}

#[tokio::test]
async fn half_a_pin_is_not_sent() {
    let (cluster, fake) = Fake::new([]);
    let halves = [
        Pin { uid: String::new(), ..pin() },
        Pin { resource_version: String::new(), ..pin() },
        Pin { name: String::new(), ..pin() },
        Pin { namespace: String::new(), ..pin() },
    ];
    for half in halves {
        assert!(matches!(cluster.delete(&half).await, Err(ApiError::Refused { code: 0, .. })), "{half:?}");
        assert!(matches!(cluster.annotate(&half, &BTreeMap::new()).await, Err(ApiError::Refused { code: 0, .. })), "{half:?}");
    }
    assert!(matches!(cluster.write_state("s", BTreeMap::new(), Some("")).await, Err(ApiError::Refused { code: 0, .. })));
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn annotations_are_patched_on_what_was_judged() {
    let changes = BTreeMap::from([("clonewarden.io/expires-at", Some("2026-02-05T17:00:00Z".to_owned())), ("clonewarden.io/warned", None)]);
    let uid = json!({"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid", "message": "field is immutable"}]});
    let schema = json!({"causes": [{"reason": "FieldValueInvalid", "field": "spec.ttlSeconds", "message": "must be an integer"}]});
    let (cluster, fake) = Fake::new([
        Answer::Json(200, json!({})),
        failure(422, "Invalid", "metadata.uid: field is immutable", uid),
        failure(422, "Invalid", "spec.ttlSeconds: must be an integer", schema),
    ]);
    assert_eq!(cluster.annotate(&pin(), &changes).await, Ok(()));
    assert!(matches!(cluster.annotate(&pin(), &changes).await, Err(ApiError::Conflict(_))));
    assert!(matches!(cluster.annotate(&pin(), &changes).await, Err(ApiError::Refused { code: 422, .. })));
    let asked = &fake.asked()[0];
    assert_eq!((asked.line.as_str(), asked.content.as_str()), (format!("PATCH {CLONE}").as_str(), "application/merge-patch+json"));
    let annotations = json!({"clonewarden.io/expires-at": "2026-02-05T17:00:00Z", "clonewarden.io/warned": null});
    assert_eq!(asked.body, json!({"metadata": {"uid": "u1", "resourceVersion": "7", "annotations": annotations}}));
}

#[tokio::test]
async fn an_orphan_is_made_in_two_steps_and_half_of_one_is_completed() {
    let wanted = json!({"kind": "Orphan", "metadata": {"name": "o"}, "spec": {"id": "db"}, "status": {"observations": 1}});
    let made = |status: Value| {
        let mut made = json!({"kind": "Orphan", "metadata": {"name": "o", "uid": "u9", "resourceVersion": "3"}, "spec": {"id": "db"}});
        if !status.is_null() {
            made["status"] = status;
        }
        Answer::Json(200, made)
    };
    let exists = || failure(409, "AlreadyExists", "orphans \"o\" already exists", json!({}));
    let (cluster, fake) =
        Fake::new([made(json!(null)), made(json!(null)), exists(), made(json!(null)), made(json!(null)), exists(), made(json!({"observations": 4}))]);
    assert_eq!(cluster.create(Kind::Orphan, wanted.clone()).await, Ok(()));
    assert_eq!(cluster.create(Kind::Orphan, wanted.clone()).await, Ok(()));
    assert!(matches!(cluster.create(Kind::Orphan, wanted.clone()).await, Err(ApiError::Conflict(_))));
    assert!(matches!(cluster.create(Kind::Clone, wanted).await, Err(ApiError::Refused { code: 0, .. })));
    let methods: Vec<_> =
        fake.lines().iter().map(|line| line.split('?').next().unwrap().replace("/apis/clonewarden.io/v1alpha1/orphans", "")).collect();
    assert_eq!(methods, ["POST ", "PATCH /o/status", "POST ", "GET /o", "PATCH /o/status", "POST ", "GET /o"]);
    assert!(fake.asked()[0].body.get("status").is_none());
    assert_eq!(fake.asked()[1].body, json!({"metadata": {"uid": "u9", "resourceVersion": "3"}, "status": {"observations": 1}}));
}

#[tokio::test]
async fn an_event_stands_beside_its_object_and_is_written_once() {
    let note = |about| Note {
        name: "clone.abc".into(),
        about,
        event_type: EventType::Warning,
        reason: "Expired".into(),
        action: "Delete".into(),
        message: "é".repeat(1000),
        revision: "sha256:1f".into(),
        at: "2026-02-05T16:30:00.75Z".parse().unwrap(),
    };
    let orphan = Pin { kind: Kind::Orphan, namespace: String::new(), ..pin() };
    let (cluster, fake) = Fake::new([Answer::Json(201, json!({})), failure(409, "AlreadyExists", "exists", json!({})), Answer::Text(403, "")]);
    assert_eq!(cluster.note(&note(pin())).await, Ok(()));
    assert_eq!(cluster.note(&note(orphan)).await, Ok(()));
    assert!(matches!(cluster.note(&note(pin())).await, Err(ApiError::Forbidden(_))));
    let [first, second, _] = &fake.asked()[..] else { panic!("three requests") };
    assert!(first.line.starts_with("POST /api/v1/namespaces/a/events?"), "{}", first.line);
    assert_eq!(first.body["message"].as_str().unwrap().len(), 1024);
    assert_eq!(first.body["firstTimestamp"], "2026-02-05T16:30:00Z");
    assert_eq!(first.body["involvedObject"]["namespace"], "a");
    assert_eq!(first.body["metadata"]["annotations"], json!({"clonewarden.io/policy-revision": "sha256:1f"}));
    assert!(second.line.starts_with("POST /api/v1/namespaces/default/events?"), "{}", second.line);
    assert!(second.body["involvedObject"].get("namespace").is_none());
}

#[tokio::test]
async fn state_and_lease_are_swapped_by_version() {
    let map = |version: &str| Answer::Json(200, json!({"metadata": {"resourceVersion": version}, "data": {"k": "v"}}));
    let lease = json!({"metadata": {"resourceVersion": "12"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 8}});
    let (cluster, fake) =
        Fake::new([map("1"), map("2"), Answer::Json(200, lease.clone()), Answer::Json(200, lease), failure(409, "Conflict", "modified", json!({}))]);
    let data = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    assert_eq!(cluster.write_state("s", data.clone(), None).await.unwrap().resource_version, "1");
    assert_eq!(cluster.write_state("s", data.clone(), Some("1")).await, Ok(Stored { resource_version: "2".into(), data }));
    let at = Some("2026-02-05T16:30:00.5Z".parse().unwrap());
    let mut record = LeaseRecord { holder: "me".into(), duration: Duration::from_millis(7500), acquired: at, renewed: at, ..LeaseRecord::default() };
    record = cluster.write_lease("l", &record).await.unwrap();
    assert_eq!(record.resource_version, "12");
    record.holder.clear();
    assert!(cluster.write_lease("l", &record).await.is_ok());
    assert!(matches!(cluster.write_lease("l", &record).await, Err(ApiError::Conflict(_))));
    let asked = fake.asked();
    let methods: Vec<_> = asked.iter().map(|asked| asked.line.split('?').next().unwrap()).collect();
    let (maps, leases) = ("/api/v1/namespaces/ours/configmaps", "/apis/coordination.k8s.io/v1/namespaces/ours/leases");
    let put = format!("PUT {leases}/l");
    assert_eq!(methods, [format!("POST {maps}"), format!("PUT {maps}/s"), format!("POST {leases}"), put.clone(), put]);
    assert_eq!(asked[1].body["metadata"]["resourceVersion"], "1");
    let spec = json!({"holderIdentity": "me", "leaseDurationSeconds": 8, "leaseTransitions": 0,
        "acquireTime": "2026-02-05T16:30:00.500000Z", "renewTime": "2026-02-05T16:30:00.500000Z"});
    assert_eq!(asked[2].body["spec"], spec);
    assert!(asked[3].body["spec"].get("holderIdentity").is_none());
    assert!(asked[2].line.contains("timeout=1500ms"));
}
