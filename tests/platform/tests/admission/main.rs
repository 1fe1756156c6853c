//! `deploy/base/webhooks.yaml` and `deploy/base/admission-policy.yaml` on the real API server, with the daemon down: what is refused,
//! what goes through all the same, and in which words.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`. One test, because both files are
//! about the whole cluster. The files are taken as they are shipped; only names of namespaces are replaced, and the
//! webhooks' Service by an address where nothing listens.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic, and so do its helpers")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/definition.rs"]
mod definition;
mod rules;
mod webhooks;

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
    rules::policy(&platform);
    webhooks::webhooks(&platform);
    kro_goes_on(&platform);

    undefine(&platform);
    platform.kubectl(&["delete", "--filename", &deploy("base/rbac.yaml").to_string_lossy(), "--wait=false"]).unwrap();
    platform.kubectl(&["delete", "namespace", "governed", "governed-too", ELSEWHERE, "--wait=false"]).unwrap();
}
