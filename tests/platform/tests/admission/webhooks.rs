//! The webhooks while nobody answers them: what each of the four is asked about, and what goes through unasked.

use clonewarden_platform::Platform;
use serde_json::{Value, json};

use crate::definition::clone;
use crate::{Attempt, DAEMON, DRY_RUN, ELSEWHERE, apply, check_all, in_force, shipped};

/// Every update that a webhook may or may not see; `asked` is what is said where it does, and `keep` what is said to a `keep` alone.
fn updates(asked: Option<&'static str>, keep: Option<&'static str>) -> Vec<Attempt> {
    let update = Attempt::update;
    vec![
        update("KRO's finalizer", "plain", r#"{"metadata":{"finalizers":["kro.run/finalizer"]}}"#, None),
        update(
            "KRO's labels and annotations",
            "plain",
            r#"{"metadata":{"labels":{"kro.run/owned":"true"},"annotations":{"applyset.kubernetes.io/tooling":"kro/v0.9.3"}}}"#,
            None,
        ),
        update("KRO's status", "plain", r#"{"status":{"state":"ACTIVE"}}"#, None).also("--subresource=status"),
        update("a backup's annotation", "worn", r#"{"metadata":{"annotations":{"backup.example.com/done":"yes"}}}"#, None),
        update("a key that only begins like ours", "worn", r#"{"metadata":{"labels":{"clonewarden.io.example.com/critical":"no"}}}"#, None),
        update("a finalizer where there is no spec", "bare", r#"{"metadata":{"finalizers":["example.com/held"]}}"#, None),
        update("a first annotation of ours", "plain", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"}}}"#, keep),
        update("a first label of ours", "plain", r#"{"metadata":{"labels":{"clonewarden.io/critical":"true"}}}"#, asked),
        update("a keep beside other annotations", "worn", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"}}}"#, keep),
        update("a keep by others than its maker", "worn", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"}}}"#, keep)
            .also("--as=somebody")
            .also("--as-group=system:masters"),
        update(
            "a keep and a finalizer",
            "plain",
            r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"},"finalizers":["a.example.com/b"]}}"#,
            keep,
        ),
        update("a keep that says no", "plain", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"false"}}}"#, asked),
        update("a keep that nobody can read", "plain", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"True"}}}"#, asked),
        update("a keep that is lifted", "kept", r#"{"metadata":{"annotations":{"clonewarden.io/keep":null}}}"#, asked),
        update(
            "a keep where one is, and an extension",
            "kept",
            r#"{"metadata":{"annotations":{"clonewarden.io/extend-until":"2031-01-01T00:00:00Z"}}}"#,
            asked,
        ),
        update(
            "a keep and a first extension",
            "plain",
            r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true","clonewarden.io/extend-until":"2031-01-01T00:00:00Z"}}}"#,
            asked,
        ),
        update(
            "a keep and another extension",
            "worn",
            r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true","clonewarden.io/extend-until":"2031-01-01T00:00:00Z"}}}"#,
            asked,
        ),
        update(
            "a keep and no extension any more",
            "worn",
            r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true","clonewarden.io/extend-until":null}}}"#,
            asked,
        ),
        update(
            "a keep and an annotation of somebody's",
            "worn",
            r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true","example.com/a":"b"}}}"#,
            asked,
        ),
        update(
            "a keep and a label",
            "plain",
            r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"},"labels":{"clonewarden.io/critical":"true"}}}"#,
            asked,
        ),
        update("a keep and no label any more", "worn", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"},"labels":null}}"#, asked),
        update("a keep and another TTL", "plain", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"}},"spec":{"ttlSeconds":3600}}"#, asked),
        update(
            "a keep that is there already",
            "kept",
            r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"},"labels":{"team":"blue"}}}"#,
            None,
        ),
        update("a changed annotation", "worn", r#"{"metadata":{"annotations":{"clonewarden.io/extend-until":"2031-01-01T00:00:00Z"}}}"#, asked),
        update("an annotation taken away", "worn", r#"{"metadata":{"annotations":{"clonewarden.io/extend-until":null}}}"#, asked),
        update("every annotation taken away", "worn", r#"{"metadata":{"annotations":null}}"#, asked),
        update("a changed label", "worn", r#"{"metadata":{"labels":{"clonewarden.io/critical":"false"}}}"#, asked),
        update("every label taken away", "worn", r#"{"metadata":{"labels":null}}"#, asked),
        update("another TTL", "plain", r#"{"spec":{"ttlSeconds":3600}}"#, asked),
        update("a spec where there was none", "bare", r#"{"spec":{"cloneId":"bare","sourceUrl":"https://example.com","ttlSeconds":3600}}"#, asked),
        update("a spec taken away", "plain", r#"[{"op":"remove","path":"/spec"}]"#, asked),
        update("a keep where there is no spec", "bare", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"}}}"#, keep),
        update("a keep on one that is being deleted", "going", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"}}}"#, None),
        update("the last finalizer of one that is being deleted", "going", r#"{"metadata":{"finalizers":null}}"#, None),
        update(
            "an announcement of the daemon's",
            "plain",
            r#"{"metadata":{"annotations":{"clonewarden.io/expires-at":"2030-01-01T00:00:00Z"}}}"#,
            None,
        )
        .also(DAEMON),
    ]
}

/// Points webhooks at a port where nothing listens: a daemon that is down.
fn unreachable(document: &Value) -> Value {
    let mut document = document.clone();
    for webhook in document["webhooks"].as_array_mut().unwrap() {
        assert_eq!(webhook["clientConfig"]["caBundle"], Value::Null, "the daemon puts it in");
        let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap();
        webhook["clientConfig"] = json!({"url": format!("https://127.0.0.1:1{path}")});
    }
    document
}

/// The same with one of its webhooks failing, and the others not.
fn failing(document: &Value, which: usize) -> Value {
    let mut document = unreachable(document);
    for (place, webhook) in document["webhooks"].as_array_mut().unwrap().iter_mut().enumerate() {
        webhook["failurePolicy"] = json!(if place == which { "Fail" } else { "Ignore" });
    }
    document
}

/// Each webhook by itself, with the daemon down; leaves both in force.
pub(crate) fn webhooks(platform: &Platform) {
    let configurations = shipped(platform, "base/webhooks.yaml");
    assert_eq!(configurations.len(), 2);
    // As it is shipped.
    for document in &configurations {
        platform.kubectl_with_input(&["create", DRY_RUN, "--filename=-"], &document.to_string()).unwrap();
    }
    for place in [0, 1] {
        for field in ["matchConditions", "namespaceSelector", "rules", "failurePolicy", "timeoutSeconds", "matchPolicy"] {
            assert_eq!(
                configurations[0]["webhooks"][place][field], configurations[1]["webhooks"][place][field],
                "both are asked about the same: {field}"
            );
        }
    }

    for configuration in &configurations {
        let kind = configuration["kind"].as_str().unwrap();
        let [asked, keep] = if kind == "MutatingWebhookConfiguration" {
            ["mutate.clonewarden.io", "mutate-keep.clonewarden.io"]
        } else {
            ["validate.clonewarden.io", "validate-keep.clonewarden.io"]
        };
        let new = Attempt::create("a new clone", &clone("new", "governed", &json!({})), Some(asked));
        apply(platform, &unreachable(configuration));
        in_force(platform, &new);
        let mut attempts = updates(Some(asked), None);
        attempts.push(Attempt::create("a new clone in the other namespace", &clone("new", "governed-too", &json!({})), Some(asked)));
        attempts.push(Attempt::create("a new clone elsewhere", &clone("new", ELSEWHERE, &json!({})), None));
        check_all(platform, &attempts, &[DRY_RUN]);
        // What passes is asked about all the same, and nothing else is by that webhook.
        apply(platform, &failing(configuration, 1));
        let kept =
            Attempt::update("a keep that is asked about", "plain", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"}}}"#, Some(keep));
        in_force(platform, &kept);
        let mut attempts = updates(None, Some(keep));
        // KRO's own schema has a word to say about this one.
        attempts.retain(|attempt| attempt.what != "a spec taken away");
        check_all(platform, &attempts, &[DRY_RUN]);
        platform.kubectl(&["delete", kind, "clonewarden"]).unwrap();
        in_force(platform, &Attempt { refused: None, ..new });
    }
    for configuration in &configurations {
        apply(platform, &unreachable(configuration));
    }
    in_force(platform, &Attempt::create("both webhooks", &clone("new", "governed", &json!({})), Some("mutate.clonewarden.io")));
}
