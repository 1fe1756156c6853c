//! `deploy/base/webhooks.yaml` and `deploy/base/admission-policy.yaml` on the real API server, with the daemon down: what is refused,
//! what goes through all the same, and in which words.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`. One test, because both files are
//! about the whole cluster. The files are taken as they are shipped; only names of namespaces are replaced, and the
//! webhooks' Service by an address where nothing listens.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic, and so do its helpers")]

mod common;
#[path = "common/definition.rs"]
mod definition;

use std::fs;
use std::process::{Command, Stdio};

use clonewarden_platform::Platform;
use common::wait;
use definition::{WITHIN, active, clone, create, define, deploy, gone, namespace, rendered, undefine};
use serde_json::{Value, json};

/// The two namespaces that the files name, and those that they are about here.
const GOVERNED: [(&str, &str); 2] = [("wordpress-staging", "governed"), ("wordpress-production", "governed-too")];
const ELSEWHERE: &str = "elsewhere";
const DAEMON: &str = "--as=system:serviceaccount:clonewarden:clonewarden";
const DRY_RUN: &str = "--dry-run=server";

/// The documents of a file in `deploy`, for the namespaces of this test.
fn shipped(platform: &Platform, file: &str) -> Vec<Value> {
    let mut text = fs::read_to_string(deploy(file)).unwrap();
    for (theirs, ours) in GOVERNED {
        assert!(text.contains(theirs), "{file} no longer names {theirs}");
        text = text.replace(theirs, ours);
    }
    let json = platform.kubectl_with_input(&["create", "--dry-run=client", "--output=json", "--filename=-"], &text).unwrap();
    serde_json::Deserializer::from_str(&json).into_iter().map(Result::unwrap).collect()
}

fn apply(platform: &Platform, document: &Value) {
    platform.kubectl_with_input(&["apply", "--filename=-"], &document.to_string()).unwrap();
}

/// What somebody tries on clones, and what must be said about it: nothing where it is to pass.
struct Attempt {
    what: &'static str,
    args: Vec<&'static str>,
    input: String,
    refused: Option<&'static str>,
}

impl Attempt {
    fn create(what: &'static str, document: &Value, refused: Option<&'static str>) -> Self {
        Self { what, args: vec!["create", "--filename=-"], input: document.to_string(), refused }
    }

    fn update(what: &'static str, name: &'static str, patch: &'static str, refused: Option<&'static str>) -> Self {
        let form = if patch.starts_with('[') { "--type=json" } else { "--type=merge" };
        let args = vec!["patch", "wordpressclone", name, "--namespace=governed", form, "--patch", patch];
        Self { what, args, input: String::new(), refused }
    }

    fn also(mut self, more: &'static str) -> Self {
        self.args.push(more);
        self
    }

    /// Whether it passed, and everything that was said, warnings too.
    fn make(&self, platform: &Platform, more: &[&str]) -> (bool, String) {
        let mut child = Command::new(platform.program("kubectl"))
            .args(&self.args)
            .args(more)
            .env("KUBECONFIG", platform.kubeconfig())
            .env("KUBECACHEDIR", platform.dir().join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), self.input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }

    /// Makes it and compares.
    fn check(&self, platform: &Platform, more: &[&str]) {
        let (passed, said) = self.make(platform, more);
        match self.refused {
            None => assert!(passed, "{} {more:?} must pass: {said}", self.what),
            Some(because) => {
                assert!(!passed && said.contains(because), "{} {more:?} must be refused with `{because}`: passed: {passed}; {said}", self.what)
            }
        }
    }
}

/// Makes all of them, several at a time: most of what one takes is the start of kubectl.
fn check_all(platform: &Platform, attempts: &[Attempt], more: &[&str]) {
    std::thread::scope(|scope| {
        for some in attempts.chunks(attempts.len().div_ceil(4)) {
            scope.spawn(move || some.iter().for_each(|attempt| attempt.check(platform, more)));
        }
    });
}

/// Waits until the API server acts on what was just applied or deleted: its own caches come after the answer.
fn in_force(platform: &Platform, probe: &Attempt) {
    let (_, took) = wait("the configuration is in force", WITHIN, || {
        let (passed, said) = probe.make(platform, &[DRY_RUN]);
        let as_expected = probe.refused.map_or(passed, |because| !passed && said.contains(because));
        if as_expected { Ok(()) } else { Err(said) }
    });
    println!("{}: in force after {:.1} s", probe.what, took.as_secs_f64());
}

fn with_metadata(mut document: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        document["metadata"][key] = value.clone();
    }
    document
}

fn bare(name: &str) -> Value {
    let mut document = clone(name, "governed", &json!({}));
    document.as_object_mut().unwrap().remove("spec");
    document
}

/// The clones that the attempts are about. KRO does not run meanwhile, so they are as they are made here.
fn prepare(platform: &Platform) {
    platform.stop("kro").unwrap();
    create(platform, &clone("plain", "governed", &json!({})));
    let worn = json!({
        "annotations": {"clonewarden.io/extend-until": "2030-01-01T00:00:00Z", "clonewarden.io/owner": "alice@example.com"},
        "labels": {"clonewarden.io/critical": "true"},
    });
    let database = json!({"useDedicatedDatabase": true, "databaseSize": "db.t3.small", "serverless": {"minACU": 0.5, "maxACU": 4}});
    create(platform, &with_metadata(clone("worn", "governed", &database), worn));
    create(platform, &with_metadata(clone("kept", "governed", &json!({})), json!({"annotations": {"clonewarden.io/keep": "true"}})));
    create(platform, &clone("long", "governed", &json!({"ttlSeconds": 200_000})));
    create(platform, &bare("bare"));
    create(platform, &with_metadata(bare("going"), json!({"finalizers": ["example.com/held"]})));
    platform.kubectl(&["delete", "wordpressclone", "going", "--namespace=governed", "--wait=false"]).unwrap();
}

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
fn webhooks(platform: &Platform) {
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

/// With both webhooks in force and the daemon down, KRO takes clones in and takes them down again.
fn kro_goes_on(platform: &Platform) {
    platform
        .kubectl(&["patch", "wordpressclone", "going", "--namespace=governed", "--type=merge", "--patch", r#"{"metadata":{"finalizers":null}}"#])
        .unwrap();
    platform.kubectl(&["delete", "wordpressclone", "bare", "worn", "kept", "--namespace=governed"]).unwrap();
    platform.restart("kro").unwrap();
    active(platform, "governed", "plain");
    active(platform, "governed", "long");
    platform.kubectl(&["delete", "wordpressclone", "plain", "long", "--namespace=governed", "--wait=false"]).unwrap();
    gone(platform, "governed");
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        platform.kubectl(&["delete", kind, "clonewarden"]).unwrap();
    }
    in_force(platform, &Attempt::create("no webhook", &clone("new", "governed", &json!({})), None));
}

const SPEC: &str = "a clone needs a spec: write at least cloneId, sourceUrl and ttlSeconds";
const GENERATED: &str = "a clone cannot have a generated name, because spec.cloneId must be the same";
const SAME: &str = "spec.cloneId must be the same as metadata.name: change one of the two";
const TTL: &str = "spec.ttlSeconds must be a whole number of seconds from 1 to 86400";
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
    vec![
        create("a shared clone", &new(json!({})), None),
        create("a serverless clone", &new(json!({"useDedicatedDatabase": true, "serverless": {"minACU": 0, "maxACU": 1}})), None),
        create("a clone with an owner", &with_metadata(new(json!({})), json!({"annotations": {"clonewarden.io/owner": "alice@example.com"}})), None),
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
fn policy(platform: &Platform) {
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

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_rules_stand_while_the_daemon_is_down_and_stand_in_nobodys_way() {
    let platform = Platform::attach().unwrap();
    define(&platform, &rendered(&platform, ""));
    platform.kubectl(&["apply", "--filename", &deploy("base/rbac.yaml").to_string_lossy()]).unwrap();
    for name in ["governed", "governed-too", ELSEWHERE] {
        namespace(&platform, name);
    }
    prepare(&platform);
    policy(&platform);
    webhooks(&platform);
    kro_goes_on(&platform);

    undefine(&platform);
    platform.kubectl(&["delete", "--filename", &deploy("base/rbac.yaml").to_string_lossy(), "--wait=false"]).unwrap();
    platform.kubectl(&["delete", "namespace", "governed", "governed-too", ELSEWHERE, "--wait=false"]).unwrap();
}
