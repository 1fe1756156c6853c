//! `clonewarden apply` as far as it can be met without a cluster: what is refused of a document, and where it stands.

use super::{Place, Ran};
use std::{
    io::Write,
    process::{Command, Stdio},
};

const KUBECONFIG: &str = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: \"http://127.0.0.1:9\"}}], \
     contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}]}";

/// A plan as a cluster would have given it, made at that time.
fn plan(place: &Place, now: &str) -> String {
    let plan = place.plan(&["-o", "json"]).out;
    plan.replace("  \"applicable\": false,\n", "").replacen("\"now\": \"2026-02-05T16:00:00Z\"", &format!("\"now\": \"{now}\""), 1)
}

fn apply(place: &Place, args: &[&str]) -> Ran {
    Ran::from(command(place, args).output().unwrap())
}

fn command(place: &Place, args: &[&str]) -> Command {
    place.write("kubeconfig", KUBECONFIG);
    let mut command = place.command(&[&["apply", "--policies", "policies"], args].concat());
    command.env("KUBECONFIG", "kubeconfig");
    command
}

#[test]
fn a_plan_from_files_is_refused_with_its_line() {
    let place = Place::new();
    place.write("p.json", place.plan(&["-o", "json"]).out);
    apply(&place, &["p.json"]).refused(2, &["error: was made from files (`\"applicable\": false`)", "--> p.json:6:3", "help: ", "without `--from`"]);
}

#[test]
fn what_was_edited_is_refused_with_its_line() {
    let place = Place::new();
    let plan = plan(&place, "2026-02-05T16:00:00Z");
    let line = |words: &str| 1 + plan.lines().position(|line| line.contains(words)).unwrap();
    place.write("p.json", plan.replace("c0000001-", "c0000002-"));
    apply(&place, &["p.json"]).refused(2, &["WordPressClone `wordpress-staging/clone-1` was edited", &format!("--> p.json:{}:", line("\"id\""))]);
    place.write("p.json", plan.replace("\"policyRevision\"", "\"force\": true, \"policyRevision\""));
    apply(&place, &["p.json"]).refused(2, &["unknown field `force`", &format!("--> p.json:{}:", line("\"policyRevision\""))]);
    place.write("p.json", plan.chars().take(200).collect::<String>());
    apply(&place, &["p.json"]).refused(2, &["EOF while parsing", "--> p.json:"]);
    place.write("p.json", place.plan(&["-o", "yaml"]).out);
    apply(&place, &["p.json"]).refused(2, &["--> p.json:1:1", "`clonewarden plan -o json`"]);
    apply(&place, &["nowhere.json"]).refused(2, &["cannot read the plan `nowhere.json`", "caused by"]);
}

#[test]
fn other_policies_and_another_time_are_refused() {
    let place = Place::new();
    place.write("old.json", plan(&place, "2026-02-05T16:00:00Z"));
    place.write("new.json", plan(&place, "2999-02-05T16:00:00Z"));
    apply(&place, &["old.json"]).refused(2, &["`old.json` was made at 2026-02-05T16:00:00Z", "`--max-age`", "make a plan anew"]);
    apply(&place, &["new.json"]).refused(2, &["is dated 2999-02-05T16:00:00Z", "ahead of the clock here"]);
    let ran = apply(&place, &["old.json", "--max-age", "5200w"]);
    ran.refused(1, &["who approves is not known", "no answer: "]);
    place.write("policies/staging.yaml", super::POLICY.replace("enforce", "audit"));
    let ran = apply(&place, &["old.json", "--max-age", "5200w"]);
    ran.refused(2, &["`old.json` was made by other policies", "`policies` is revision sha256:"]);
    assert_eq!(ran.err.matches("sha256:").count(), 2, "{ran:?}");
    place.write("policies/staging.yaml", "kind: ClonePolicy\n");
    apply(&place, &["old.json"]).refused(2, &["policies/staging.yaml:"]);
}

#[test]
fn a_plan_can_come_by_a_pipe() {
    let place = Place::new();
    let mut child = command(&place, &["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(plan(&place, "2026-02-05T16:00:00Z").as_bytes()).unwrap();
    Ran::from(child.wait_with_output().unwrap()).refused(2, &["`-` was made at 2026-02-05T16:00:00Z"]);
}

#[test]
fn wrong_usage_exits_with_2() {
    let place = Place::new();
    place.run(&["apply"]).refused(2, &["<PLAN>", "--policies"]);
    place.run(&["apply", "p.json"]).refused(2, &["--policies"]);
    apply(&place, &["p.json", "--max-age", "soon"]).refused(2, &["--max-age"]);
    apply(&place, &["p.json", "--reason", " "]).refused(2, &["write something"]);
    apply(&place, &["p.json", "--from", "from"]).refused(2, &["--from"]);
    apply(&place, &["p.json", "-o", "yaml"]).refused(2, &["yaml", "json"]);
}
