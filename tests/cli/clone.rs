//! `clonewarden clone …` as far as it can be met without a cluster: usage, what would be sent, and what is said where nobody answers.

use super::{Place, Ran};
use std::process::Command;

const KUBECONFIG: &str = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: \"http://127.0.0.1:9\"}}], \
     contexts: [{name: a, context: {cluster: a, user: a, namespace: wordpress-staging}}, {name: b, context: {cluster: a, user: a}}], \
     users: [{name: a, user: {}}]}";

fn clone(place: &Place, args: &[&str]) -> Ran {
    place.write("kubeconfig", KUBECONFIG);
    let mut command = place.command(&[&["clone"], args].concat());
    Ran::from(command.env("KUBECONFIG", "kubeconfig").output().unwrap())
}

#[test]
fn wrong_usage_exits_with_2() {
    let place = Place::new();
    clone(&place, &["create"]).refused(2, &["--source-url"]);
    clone(&place, &["create", "--source-url", "https://example.com", "--ttl", "90"]).refused(2, &["--ttl", "the unit is missing"]);
    clone(&place, &["create", "Clone_1", "--source-url", "https://example.com"]).refused(2, &["Clone_1", "lower case letters"]);
    let long = "x".repeat(51);
    clone(&place, &["create", &long, "--source-url", "https://example.com"]).refused(2, &["51 characters"]);
    clone(&place, &["create", "--source-url", "x", "--wait", "--dry-run=server"]).refused(2, &["--wait", "--dry-run"]);
    clone(&place, &["create", "--source-url", "x", "--timeout", "5m"]).refused(2, &["--wait"]);
    clone(&place, &["extend", "clone-1"]).refused(2, &["--by", "--until"]);
    clone(&place, &["extend", "clone-1", "--by", "2h", "--until", "2026-02-05T18:00:00Z"]).refused(2, &["cannot be used with"]);
    clone(&place, &["extend", "clone-1", "--until", "tomorrow"]).refused(2, &["RFC 3339"]);
    clone(&place, &["wait", "wordpress-staging/clone-1"]).refused(2, &["its namespace with `-n`"]);
    clone(&place, &["list", "-A", "-n", "a"]).refused(2, &["cannot be used with"]);
    clone(&place, &["list", "-o", "wide"]).refused(2, &["wide", "name"]);
}

#[test]
fn what_would_be_sent_is_shown_without_a_cluster() {
    let place = Place::new();
    let ran = clone(&place, &["create", "--source-url", "https://example.com", "--ttl", "90m", "--critical", "--dry-run=client"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let object: serde_json::Value = serde_saphyr::from_str(&ran.out).unwrap();
    let name = object["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("clone-2") && name.len() == "clone-20260205-143022".len(), "{name}");
    assert_eq!((object["metadata"]["namespace"].as_str(), &object["spec"]["cloneId"]), (Some("wordpress-staging"), &object["metadata"]["name"]));
    assert_eq!((object["spec"]["ttlSeconds"].as_u64(), object["spec"].get("useDedicatedDatabase")), (Some(5_400), None));
    let named = clone(&place, &["create", "mine", "--source-url", "https://example.com", "--dry-run=client", "-o", "name", "-n", "other"]);
    assert_eq!(named.out, "wordpressclone.kro.run/mine\n");
    let other = clone(&place, &["create", "mine", "--source-url", "https://example.com", "--dry-run=client", "-o", "json", "--context", "b"]);
    let other: serde_json::Value = serde_json::from_str(&other.out).unwrap();
    assert_eq!(other["metadata"]["namespace"], "default", "a context without a namespace");
}

#[test]
fn where_nobody_answers_that_is_a_failure_and_no_empty_list() {
    let place = Place::new();
    clone(&place, &["list"]).refused(1, &["error: cannot list clones: no answer: "]);
    clone(&place, &["wait", "clone-1"]).refused(1, &["cannot get clone `clone-1`: no answer: "]);
    clone(&place, &["create", "--source-url", "x"]).refused(1, &["may have been made all the same"]);
    clone(&place, &["list", "--context", "nowhere"]).refused(2, &["no cluster to ask", "nowhere"]);
}

/// kubectl finds its plugins by their name, and passes on what comes after it.
#[test]
fn under_the_name_of_a_plugin_it_is_one() {
    let place = Place::new();
    let link = place.0.join("kubectl-clonewarden");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_clonewarden"), &link).unwrap();
    let run = |args: &[&str]| Ran::from(Command::new(&link).args(args).current_dir(&place.0).env_clear().output().unwrap());
    run(&["clone", "wait"]).refused(2, &["Usage: kubectl clonewarden clone wait"]);
    run(&["clone", "wiat"]).refused(2, &["wiat", "Usage: kubectl clonewarden clone"]);
    let help = run(&["clone", "--help"]);
    assert!(help.out.contains("Usage: kubectl clonewarden clone <COMMAND>"), "{help:?}");
    for command in ["create", "wait", "list", "extend", "keep", "delete"] {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command} is not in {}", help.out);
    }
    assert!(place.run(&["clone", "--help"]).out.contains("Usage: clonewarden clone <COMMAND>"));
    assert_eq!(run(&["crds"]).out, place.run(&["crds"]).out, "all of it is there");
}
