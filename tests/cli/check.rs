//! `policy test`: fixtures that hold and such that do not, what is said of them, and that nothing else reads them.

use super::{Place, Ran, lint::is_sarif};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

const HEAD: &str = "apiVersion: clonewarden.io/v1alpha1\nkind: PolicyTest\nmetadata: {name: life}\nspec:\n  now: 2026-02-05T16:30:22Z\n";

/// A folder with one policy and one test that says this.
fn place(spec: &str) -> Place {
    let place = Place::new();
    place.write("policies/staging_test.yaml", format!("{HEAD}{spec}"));
    place
}

fn test(place: &Place, more: &[&str]) -> Ran {
    place.run(&[&["policy", "test", "policies"], more].concat())
}

#[test]
fn the_shipped_policies_keep_what_their_tests_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
    let ran = Ran::from(command.args(["policy", "test", "policies"]).current_dir(root).env_clear().output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    let unhit: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("hit by no test")).collect();
    // Staging's rule gives everybody a shared database, so its limit of dedicated ones is never met.
    assert!(unhit.len() == 1 && unhit[0].contains("policy `staging`, limits.dedicatedDatabases"), "{unhit:?}");
}

#[test]
fn the_example_of_the_docs_does_what_the_page_says() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policies.md")).unwrap();
    let section = page.split_once("\n## Tests\n").unwrap().1.split_once("\n## ").unwrap().0;
    let blocks = |lang: &str| -> Vec<String> {
        section.split(&format!("```{lang}\n")).skip(1).map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
    };
    let (yaml, text) = (blocks("yaml"), blocks("text"));
    let place = Place::new();
    place.remove("policies/staging.yaml");
    place.write("policies/team.yaml", &yaml[0]);
    place.write("policies/team_test.yaml", &yaml[1]);
    let ran = test(&place, &["--strict"]);
    assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (Some(0), "", text[0].as_str()));
    let lint = place.run(&["policy", "lint", "policies", "--strict"]);
    assert_eq!((lint.code, lint.err.as_str()), (Some(0), ""));
}

#[test]
fn what_is_not_as_expected_is_shown_in_its_place_with_what_is_so() {
    let place = place(
        "  given:\n    clones:\n      - {name: wordpress-staging/a, age: 10m}\n  create:\n    - name: wordpress-staging/b\n      expect: {admitted: false, ttl: 3h}\n  expect:\n    \
         - {clone: wordpress-staging/a, action: delete, reason: Announced, end: 2026-02-05T18:00:00Z}\n    - {clone: wordpress-staging/c, action: keep}\n",
    );
    let ran = test(&place, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.starts_with("FAIL  staging_test.yaml:3  life  (3 expected)\n\n1 test, 1 failed"), "{}", ran.out);
    let golden = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/check/unmet.txt")).unwrap();
    assert!(ran.err == golden, "it is:\n{}", ran.err);
    // The same for machines.
    let report: Value = serde_json::from_str(&test(&place, &["-o", "json"]).out).unwrap();
    assert_eq!((&report["kind"], &report["errors"], &report["tests"][0]["passed"]), (&"PolicyTestReport".into(), &3.into(), &false.into()));
    let log: Value = serde_json::from_str(&test(&place, &["-o", "sarif"]).out).unwrap();
    is_sarif(&log);
    let commands = test(&place, &["-o", "github"]);
    assert!(commands.code == Some(1) && commands.out.starts_with("::error file=policies/staging_test.yaml,line="), "{commands:?}");
}

#[test]
fn a_delete_that_nobody_expects_fails_the_test() {
    let spec = "  given: {clones: [{name: wordpress-staging/a, age: 2h, announced: 2026-02-05T16:30:22Z}, {name: wordpress-staging/b, age: 1m}]}\n  \
                expect: [{clone: wordpress-staging/b, action: warn}]\n";
    let ran = test(&place(spec), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("WordPressClone `wordpress-staging/a` is deleted, and no expectation says so"), "{}", ran.err);
    let expected = spec.replace("expect: [", "expect: [{clone: wordpress-staging/a, action: delete}, ");
    assert_eq!(test(&place(&expected), &[]).code, Some(0));
}

#[test]
fn what_a_rule_looks_at_can_be_given_as_kubectl_writes_it() {
    let place = place(
        "  given:\n    objects:\n      - {apiVersion: v1, kind: Namespace, metadata: {name: web-1, uid: n1, creationTimestamp: 2026-02-01T00:00:00Z, labels: {team: web}}}\n      \
         - apiVersion: kro.run/v1alpha1\n        kind: WordPressClone\n        metadata: {namespace: web-1, name: odd, uid: c1, resourceVersion: \"1\", creationTimestamp: 2026-02-05T15:30:22Z}\n        \
         spec: {ttlSeconds: soon}\n  create:\n    - {name: web-1/new, expect: {admitted: true, ttl: 2h}}\n  expect:\n    - {clone: web-1/odd, action: warn, cause: unreadable}\n    \
         - {clone: web-1/odd, action: alert, reason: UnreadableValue}\n",
    );
    place.write(
        "policies/staging.yaml",
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: web}\nspec: {namespaces: {selector: {matchLabels: {team: web}}}}\n",
    );
    let ran = test(&place, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
}

#[test]
fn a_fixture_is_read_as_strictly_as_a_policy() {
    for (spec, said) in [
        ("  given: {clones: [{name: wordpress-staging/a, aeg: 1h}]}\n", &["staging_test.yaml:6:", "unknown-field", "did you mean `age`?"][..]),
        ("  given: {clones: [{name: a, age: 1h}]}\n", &["bad-name", "namespace/name"]),
        ("  given: {clones: [{name: wordpress-staging/a, age: 60}]}\n", &["bad-duration"]),
        ("  expect: [{clone: wordpress-staging/a, action: delte}]\n", &["bad-value", "did you mean `delete`?"]),
        ("  expect: [{kind: Job, clone: wordpress-staging/a}]\n", &["contradiction"]),
        ("  create: [{name: wordpress-staging/a}]\n", &["missing-field", "create.expect"]),
        ("  mode: enforce\n", &["missing-field", "expects nothing"]),
        ("  expect: [\n", &["syntax"]),
    ] {
        test(&place(spec), &[]).refused(2, said);
    }
    let other = place("");
    other.write("policies/staging_test.yaml", super::POLICY);
    test(&other, &[]).refused(2, &["unknown-kind", "kind: PolicyTest"]);
    other.remove("policies/staging_test.yaml");
    test(&other, &[]).refused(2, &["there is no test in `policies`"]);
    other.write("policies/staging.yaml", super::POLICY.replace("mode: enforce", "mode: enforced"));
    test(&other, &[]).refused(2, &["policies/staging.yaml:4:", "bad-value"]);
    other.run(&["policy", "test"]).refused(2, &["DIR"]);
}

#[test]
fn a_world_that_cannot_be_is_no_world() {
    for (spec, said) in [
        ("  given: {unknown: [clone]}\n  expect: [{clone: wordpress-staging/a, action: none}]\n", "there is no source `clone`"),
        (
            "  given: {clones: [{name: wordpress-staging/a, age: 1h, host: nowhere}]}\n  expect: [{clone: wordpress-staging/a}]\n",
            "there is no host `nowhere`",
        ),
        (
            "  given: {objects: [{kind: Secret, apiVersion: v1}]}\n  expect: [{clone: wordpress-staging/a, action: none}]\n",
            "of kind `Secret` ignored",
        ),
    ] {
        let ran = test(&place(spec), &[]);
        assert!(ran.code == Some(1) && ran.err.contains(said), "{said}: {ran:?}");
    }
}

#[test]
fn what_no_test_has_hit_is_said_and_strict_fails_on_it() {
    let place = place("  create: [{name: wordpress-staging/a, expect: {admitted: true}}]\n");
    place.write("policies/staging.yaml", super::POLICY.replace("}}", "}, limits: {clones: 1}, budget: {monthly: 5}}"));
    let ran = test(&place, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.contains("0 of 2 rules, limits and budgets hit\nhit by no test: staging.yaml:4  policy `staging`, limits.clones\n"),
        "{}",
        ran.out
    );
    assert_eq!(test(&place, &["--strict"]).code, Some(1));
    place.write(
        "policies/staging_test.yaml",
        format!(
            "{HEAD}  given: {{spent: {{wordpress-staging: 6}}}}\n  create: [{{name: wordpress-staging/a, expect: {{admitted: true, says: budget}}}}, \
             {{name: wordpress-staging/b, expect: {{refusal: LimitReached}}}}]\n"
        ),
    );
    let ran = test(&place, &["--strict"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
}

#[test]
fn nobody_else_reads_fixtures() {
    let place = Place::new();
    let before = place.run(&["policy", "lint", "policies"]);
    place.write("policies/staging_test.yaml", "{ this is: no [ YAML");
    assert_eq!(place.run(&["policy", "lint", "policies"]).out, before.out);
    assert_eq!(place.plan(&[]).code, Some(0));
}

#[test]
fn a_watched_folder_is_tested_again_when_a_file_changes() {
    let place = place("  create: [{name: wordpress-staging/a, expect: {ttl: 3h}}]\n");
    let mut child = place.command(&["policy", "test", "policies", "--watch"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = |begins: &str| lines.by_ref().map(Result::unwrap).find(|line| line.starts_with(begins)).unwrap();
    assert!(next("FAIL").contains("life"));
    place.write("policies/staging.yaml", super::POLICY.replace("}}", "}, ttl: {default: 3h}}"));
    // A file that is being written may be seen half, and is then reported; in the end it is whole.
    assert!(next("ok").contains("life"));
    child.kill().unwrap();
    child.wait().unwrap();
}
