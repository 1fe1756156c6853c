use super::*;
use crate::{
    observe::kube::fake::{Answer, Fake, Then, failure},
    ports::Cluster,
};
use serde_json::json;

fn frame(event: &str, name: &str) -> String {
    let object = json!({"kind": "Job", "metadata": {"name": name, "resourceVersion": "8", "managedFields": []}, "spec": {"é": "ü\n"}});
    format!("{}\n", json!({"type": event, "object": object}))
}

fn bookmark(version: &str) -> String {
    format!("{}\n", json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}))
}

async fn watched(kind: Kind, pieces: Vec<Vec<u8>>, then: Then) -> Vec<Result<WatchEvent, ApiError>> {
    let (cluster, _) = Fake::new([Answer::Pieces(pieces, then)]);
    cluster.watch(kind, "7".to_owned()).collect().await
}

fn unavailable(event: Option<&Result<WatchEvent, ApiError>>, words: &str) -> bool {
    matches!(event, Some(Err(ApiError::Unavailable(text))) if text.contains(words))
}

#[tokio::test]
async fn frames_are_read_wherever_their_chunks_are_cut() {
    let text = [frame("ADDED", "a"), "\n".to_owned(), frame("MODIFIED", "b"), frame("DELETED", "c"), bookmark("99")].concat();
    let lean = |name: &str| json!({"kind": "Job", "metadata": {"name": name, "resourceVersion": "8"}, "spec": {"é": "ü\n"}});
    let expected = [
        Ok(WatchEvent::Applied(lean("a"))),
        Ok(WatchEvent::Applied(lean("b"))),
        Ok(WatchEvent::Deleted(lean("c"))),
        Ok(WatchEvent::Bookmark("99".to_owned())),
    ];
    for size in [1, 2, 3, 7, 64, text.len()] {
        let pieces = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        assert_eq!(watched(Kind::Job, pieces, Then::End).await, expected, "chunks of {size}");
    }
}

#[tokio::test]
async fn a_watch_says_what_it_wants() {
    let (cluster, fake) = Fake::new([Answer::Pieces(vec![frame("ADDED", "a").into_bytes()], Then::End)]);
    let events: Vec<_> = cluster.watch(Kind::Service, "7".to_owned()).collect().await;
    assert_eq!(events, [Ok(WatchEvent::Applied(json!({"metadata": {"name": "a", "resourceVersion": "8"}})))]);
    let asked = &fake.asked()[0];
    let wanted = "watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=7&labelSelector=kro.run%2Finstance-kind%3DWordPressClone";
    assert_eq!(asked.line, format!("GET /api/v1/services?{wanted}"));
    assert_eq!(asked.accept, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");
}

#[tokio::test]
async fn a_frame_of_some_mebibytes_is_read_and_one_without_end_is_not() {
    let long = json!({"type": "ADDED", "object": {"metadata": {"name": "x".repeat(3_000_000)}}});
    let pieces: Vec<_> = format!("{long}\n").into_bytes().chunks(16_384).map(<[u8]>::to_vec).collect();
    assert!(matches!(watched(Kind::Job, pieces, Then::End).await.as_slice(), [Ok(WatchEvent::Applied(_))]));
    let endless = vec![vec![b'x'; 1 << 20]; 40];
    let events = watched(Kind::Job, endless, Then::Silence).await;
    assert!(unavailable(events.first(), "without end") && events.len() == 1, "{events:?}");
}

#[tokio::test]
async fn garbage_is_an_error_and_the_end() {
    let status = |code: u16| format!("{}\n", json!({"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "too old"}}));
    let cases = [
        ("secret=hunter2\n".to_owned(), "cannot be read"),
        ("{\"type\":\"ADDED\"}\n".to_owned(), "cannot be read"),
        ("{\"type\":\"PARTY\",\"object\":{}}\n".to_owned(), "unknown type"),
        (bookmark(""), "resourceVersion"),
        ("{\"type\":\"ERROR\",\"object\":17}\n".to_owned(), "cannot be read"),
        (status(500), "too old"),
        ("{\"type\":\"ADDED\",\"object\":{\"meta".to_owned(), "within a frame"),
    ];
    for (text, words) in cases {
        let events = watched(Kind::Job, vec![[frame("ADDED", "a"), text.clone(), frame("ADDED", "b")].concat().into_bytes()], Then::End).await;
        // The cut frame is completed by what follows, to garbage.
        let words = if words == "within a frame" { "cannot be read" } else { words };
        assert!(events.len() == 2 && unavailable(events.get(1), words), "{text}: {events:?}");
        assert!(!format!("{events:?}").contains("hunter2"));
    }
    let events = watched(Kind::Job, vec![b"{\"type\":\"ADDED\",\"object\":{\"meta".to_vec()], Then::End).await;
    assert!(events.len() == 1 && unavailable(events.first(), "within a frame"), "{events:?}");
    let events = watched(Kind::Job, vec![frame("ADDED", "a").into_bytes()], Then::Cut).await;
    assert!(events.len() == 2 && unavailable(events.get(1), "unexpected"), "{events:?}");
    assert_eq!(watched(Kind::Job, vec![status(410).into_bytes()], Then::Silence).await, [Err(ApiError::Expired)]);
}

#[tokio::test]
async fn a_watch_that_cannot_begin_says_why_and_is_counted() {
    let (cluster, _) = Fake::new([failure(410, "Expired", "too old resource version", json!({})), Answer::Text(404, "404 page not found\n")]);
    assert_eq!(cluster.watch(Kind::Job, "7".to_owned()).collect::<Vec<_>>().await, [Err(ApiError::Expired)]);
    assert_eq!(cluster.watch(Kind::Clone, "7".to_owned()).collect::<Vec<_>>().await, [Err(ApiError::NotFound)]);
    for version in ["", "0"] {
        assert_eq!(cluster.watch(Kind::Clone, version.to_owned()).collect::<Vec<_>>().await, [Err(ApiError::Expired)]);
    }
    let counts: Vec<_> = cluster.requests().counts().into_iter().map(|(key, count)| (key.resource, key.outcome, count)).collect();
    assert_eq!(counts, [("jobs", "expired", 1), ("wordpressclones", "not_found", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_silent_ends() {
    let start = tokio::time::Instant::now();
    let events = watched(Kind::Job, vec![bookmark("9").into_bytes()], Then::Silence).await;
    assert!(events.len() == 2 && unavailable(events.get(1), "nothing for 310s"), "{events:?}");
    assert_eq!(start.elapsed().as_secs(), SILENCE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_said_nothing_at_all_is_not_believed() {
    let mute = watched(Kind::Job, vec![], Then::EndAfter(LENGTH)).await;
    assert_eq!(mute, [Err(ApiError::Expired)]);
    assert_eq!(watched(Kind::Job, vec![], Then::EndAfter(Duration::from_secs(60))).await, []);
    let alive = watched(Kind::Job, vec![bookmark("9").into_bytes()], Then::EndAfter(LENGTH)).await;
    assert_eq!(alive, [Ok(WatchEvent::Bookmark("9".to_owned()))]);
}
