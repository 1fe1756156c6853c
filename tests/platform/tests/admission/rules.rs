//! The rules that the API server keeps by itself: what they refuse and in which words, and what they let through.

use clonewarden_platform::Platform;
use serde_json::{Value, json};

use crate::common::wait;
use crate::definition::{WITHIN, clone};
use crate::{Attempt, DAEMON, DRY_RUN, ELSEWHERE, apply, bare, check_all, in_force, shipped, with_metadata};

const SPEC: &str = "a clone needs a spec: write at least cloneId, sourceUrl and ttlSeconds";
const GENERATED: &str = "a clone cannot have a generated name, because spec.cloneId must be the same";
const SAME: &str = "spec.cloneId must be the same as metadata.name: change one of the two";
const TTL: &str = "spec.ttlSeconds must be a whole number of seconds from 1 to 86400";
const MANY: &str = "a clone cannot have more than 512 annotations: take some away";
const OWNER: &str = "the annotation clonewarden.io/owner cannot be set, changed or taken away once a clone is made";

/// New clones under the policy, and its words for those that it refuses.
fn creations() -> Vec<Attempt> {
    let new = |more: Value| clone("new", "governed", &more);
    let create = Attempt::create;
    let generated = {
        let mut document = with_metadata(new(json!({})), json!({"generateName": "new-"}));
        document["metadata"].as_object_mut().unwrap().remove("name");
        document
    };
    let annotated = |count: usize| {
        let annotations: serde_json::Map<_, _> = (0..count).map(|number| (format!("example.com/{number}"), json!(""))).collect();
        with_metadata(new(json!({})), json!({"annotations": annotations}))
    };
    vec![
        create("a shared clone", &new(json!({})), None),
        create("a serverless clone", &new(json!({"useDedicatedDatabase": true, "serverless": {"minACU": 0, "maxACU": 1}})), None),
        create("a clone with an owner", &with_metadata(new(json!({})), json!({"annotations": {"clonewarden.io/owner": "alice@example.com"}})), None),
        create("all the annotations that there may be", &annotated(512), None),
        create("one more", &annotated(513), Some(MANY)),
        create("the longest TTL", &new(json!({"ttlSeconds": 86_400})), None),
        create("a longer TTL", &new(json!({"ttlSeconds": 86_401})), Some(TTL)),
        create("no TTL", &new(json!({"ttlSeconds": null})), Some(TTL)),
        // KRO's own schema speaks first here.
        create("a TTL of nothing", &new(json!({"ttlSeconds": 0})), Some("spec.ttlSeconds")),
        create("no spec", &bare("new"), Some(SPEC)),
        create("another cloneId", &new(json!({"cloneId": "other"})), Some(SAME)),
        create("a generated name", &generated, Some(GENERATED)),
        create("no TTL in the other namespace", &clone("new", "governed-too", &json!({"ttlSeconds": null})), Some(TTL)),
        create("no TTL elsewhere", &clone("new", ELSEWHERE, &json!({"ttlSeconds": null})), None),
    ]
}

/// Changes under the policy, likewise.
fn changes() -> Vec<Attempt> {
    let update = Attempt::update;
    vec![
        update(
            "a dedicated database afterwards",
            "plain",
            r#"{"spec":{"useDedicatedDatabase":true}}"#,
            Some("spec.useDedicatedDatabase cannot be set"),
        ),
        update("none after all", "worn", r#"{"spec":{"useDedicatedDatabase":null}}"#, Some("spec.useDedicatedDatabase cannot be set")),
        update("a size afterwards", "plain", r#"{"spec":{"databaseSize":"db.t3.micro"}}"#, Some("spec.databaseSize cannot be set")),
        update("no size after all", "worn", r#"{"spec":{"databaseSize":null}}"#, Some("spec.databaseSize cannot be set")),
        update("serverless afterwards", "plain", r#"{"spec":{"serverless":{"minACU":0,"maxACU":1}}}"#, Some("spec.serverless cannot be set")),
        update(
            "an instance after all",
            "worn",
            r#"{"spec":{"serverless":null,"databaseSize":null}}"#,
            Some(
                "spec.databaseSize, spec.serverless cannot be set, changed or taken out once a clone is made: make another clone, then delete this one",
            ),
        ),
        // What has a value on both sides KRO's `immutable` refuses first.
        update("another capacity", "worn", r#"{"spec":{"serverless":{"maxACU":8}}}"#, Some("spec.serverless")),
        update("another host", "plain", r#"{"spec":{"sharedDatabase":{"host":"mine.example.com"}}}"#, Some("spec.sharedDatabase.host")),
        update("another cloneId", "plain", r#"{"spec":{"cloneId":"other"}}"#, Some("spec.cloneId")),
        update("a spec taken away", "plain", r#"[{"op":"remove","path":"/spec"}]"#, Some(TTL)),
        update("a first owner", "plain", r#"{"metadata":{"annotations":{"clonewarden.io/owner":"bob@example.com"}}}"#, Some(OWNER)),
        update("another owner", "worn", r#"{"metadata":{"annotations":{"clonewarden.io/owner":"bob@example.com"}}}"#, Some(OWNER)),
        update("no owner", "worn", r#"{"metadata":{"annotations":{"clonewarden.io/owner":null}}}"#, Some(OWNER)),
        update("no annotation at all", "worn", r#"{"metadata":{"annotations":null}}"#, Some(OWNER)),
        update("a shorter TTL", "plain", r#"{"spec":{"ttlSeconds":3600}}"#, None),
        update("a TTL that is too long", "plain", r#"{"spec":{"ttlSeconds":86401}}"#, Some(TTL)),
        update("no TTL any more", "plain", r#"{"spec":{"ttlSeconds":null}}"#, Some(TTL)),
        update("a label where the TTL was too long before", "long", r#"{"metadata":{"labels":{"team":"blue"}}}"#, None),
        update("a TTL that is less too long", "long", r#"{"spec":{"ttlSeconds":100000}}"#, Some(TTL)),
        update("a keep", "worn", r#"{"metadata":{"annotations":{"clonewarden.io/keep":"true"}}}"#, None),
        update("KRO's finalizer", "plain", r#"{"metadata":{"finalizers":["kro.run/finalizer"]}}"#, None),
        update("KRO's finalizer where there is no spec", "bare", r#"{"metadata":{"finalizers":["kro.run/finalizer"]}}"#, None),
        update("an owner on one that is being deleted", "going", r#"{"metadata":{"annotations":{"clonewarden.io/owner":"bob@example.com"}}}"#, None),
        update("the last finalizer of one that is being deleted", "going", r#"{"metadata":{"finalizers":null}}"#, None),
        update("an owner by the daemon", "plain", r#"{"metadata":{"annotations":{"clonewarden.io/owner":"bob@example.com"}}}"#, None).also(DAEMON),
    ]
}

/// The policy as it is shipped warns; with `[Deny]` it refuses, by the same rules.
pub(crate) fn policy(platform: &Platform) {
    let documents = shipped(platform, "base/admission-policy.yaml");
    for document in &documents {
        apply(platform, document);
    }
    let longer = Attempt::create("a warning", &clone("new", "governed", &json!({"ttlSeconds": 86_401})), None);
    let (_, took) = wait("whoever breaks a rule is warned", WITHIN, || {
        let (passed, said) = longer.make(platform, &[DRY_RUN]);
        assert!(passed, "as it is shipped it refuses nothing: {said}");
        if said.contains("Warning: ") && said.contains(TTL) { Ok(()) } else { Err(said) }
    });
    println!("the policy warns after {:.1} s", took.as_secs_f64());

    let binding = documents.iter().find(|document| document["kind"] == "ValidatingAdmissionPolicyBinding").unwrap();
    let mut binding = binding.clone();
    binding["spec"]["validationActions"] = json!(["Deny"]);
    apply(platform, &binding);
    in_force(platform, &Attempt { what: "a refusal", refused: Some(TTL), ..longer });
    let mut attempts = creations();
    attempts.extend(changes());
    check_all(platform, &attempts, &[DRY_RUN]);
    // A real request is told the same.
    let mut refused = creations();
    refused.retain(|attempt| attempt.refused.is_some());
    check_all(platform, &refused, &[]);
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        platform.kubectl(&["delete", kind, "clonewarden"]).unwrap();
    }
    in_force(platform, &Attempt::create("no policy", &clone("new", "governed", &json!({"ttlSeconds": null})), None));
}
