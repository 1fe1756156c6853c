//! That a fixture's world is the one that the cluster would show, and that it is judged as there.

use super::{Expectation, Outcome, Wanted, coverage::Coverage, run, world};
use crate::{
    observe::files,
    plan::plan,
    policy::{Policies, fixture::Fixtures, fixture::PolicyTest, load_files},
};
use serde_json::{Value, json};

fn policies(spec: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: staging}}\nspec:\n  namespaces: {{names: [staging]}}\n{spec}---\n\
         apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: mysql}}\nspec: {{endpoint: mysql.example, schemas: 2}}\n"
    );
    load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn test(spec: &str) -> PolicyTest {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  now: 2026-02-05T16:30:22Z\n{spec}  expect: [{{clone: staging/x, action: none}}]\n"
    );
    let mut fixtures = Fixtures::of_files(vec![("p_test.yaml".to_owned(), text.into_bytes())]).unwrap_or_else(|problems| panic!("{problems}"));
    fixtures.tests.remove(0)
}

fn ran(spec: &str, policies: &Policies) -> (Outcome, Coverage) {
    let mut coverage = Coverage::default();
    (run(&test(spec), policies, &mut coverage), coverage)
}

#[test]
fn a_clone_in_short_is_the_clone_that_kubectl_would_write() {
    let test = test(
        "  given:\n    clones:\n      - name: staging/a\n        age: 2h\n        ttl: 3h\n        owner: ada\n        announced: 2026-02-05T17:30:22Z\n        host: mysql\n        \
         labels: {team: web}\n        annotations: {clonewarden.io/keep: \"true\"}\n",
    );
    let object: Value = json!({
        "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone",
        "metadata": {
            "namespace": "staging", "name": "a", "uid": "00000001-0000-4000-8000-000000000001", "resourceVersion": "1",
            "creationTimestamp": "2026-02-05T14:30:22Z", "labels": {"team": "web"},
            "annotations": {
                "clonewarden.io/keep": "true", "clonewarden.io/owner": "ada",
                "clonewarden.io/expires-at": "2026-02-05T17:30:22Z", "clonewarden.io/announced-at": "2026-02-05T14:30:22Z",
            },
        },
        "spec": {"cloneId": "a", "sourceUrl": "https://example.com", "ttlSeconds": 10_800, "sharedDatabase": {"host": "mysql.example:3306"}},
    });
    let written = files::read_objects("x", vec![object], test.now, None).unwrap().snapshot;
    assert_eq!(world::snapshot(&test, &policies("")).unwrap().clones, written.clones);
}

#[test]
fn what_is_given_as_an_object_is_judged_as_a_plan_from_files_judges_it() {
    let scenario = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/table");
    let policies = crate::policy::load_dir(&scenario.join("policies")).unwrap();
    let clones = std::fs::read_to_string(scenario.join("from/wordpressclones.yaml")).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&clones).unwrap();
    let now = "2026-02-05T16:30:22Z".parse().unwrap();
    let test = PolicyTest { objects: objects.into_iter().map(|object| (object, test("").place)).collect(), ..test("") };
    let from_test = plan(&world::snapshot(&test, &policies).unwrap(), &policies, now);
    let from_files = plan(&files::read_dir(&scenario.join("from"), Some(now), None).unwrap().snapshot, &policies, now);
    let judged = |plan: &crate::plan::Plan| {
        let clones = plan.decisions.iter().filter(|decision| decision.target.kind() == "WordPressClone");
        clones.map(|decision| format!("{} {} {}", decision.target.display(), decision.action.word(), decision.reason.code())).collect::<Vec<_>>()
    };
    assert!(judged(&from_test).len() >= 5, "{:?}", judged(&from_test));
    assert_eq!(judged(&from_test), judged(&from_files));
}

#[test]
fn what_is_not_known_is_no_ground_for_an_end() {
    let due = "  given:\n    clones: [{name: staging/due, age: 2h, announced: 2026-02-05T16:30:22Z}]\n";
    let (whole, _) = ran(due, &policies(""));
    assert!(whole.problems[0].message.contains("`staging/due` is deleted"), "{whole:?}");
    let (unknown, _) = ran(&format!("{due}    unknown: [time]\n"), &policies(""));
    assert_eq!(unknown.problems, []);
}

#[test]
fn what_lives_takes_up_room_and_so_does_who_was_let_in() {
    let room = policies("  databases: [{name: all, use: shared, hosts: [mysql]}]\n");
    let (outcome, coverage) = ran(
        "  given: {clones: [{name: staging/a, age: 1m, host: mysql}]}\n  create:\n    - {name: staging/b, expect: {admitted: true, host: mysql}}\n    \
         - {name: staging/c, expect: {refusal: NoRoom, rule: all}}\n",
        &room,
    );
    assert_eq!(outcome, Outcome { expectations: 3, problems: Vec::new() });
    assert!(coverage.items(&room).iter().all(|item| item.hit && item.what == "rule all"));
}

#[test]
fn the_platforms_own_host_is_nobodys_rule() {
    let (outcome, coverage) =
        ran("  create: [{name: staging/b, expect: {admitted: true, database: shared}}]\n", &policies("  limits: {clones: 2}\n"));
    assert_eq!(outcome.problems, []);
    let items = coverage.items(&policies("  limits: {clones: 2}\n"));
    assert_eq!(
        items.iter().map(|item| (item.what.as_str(), item.hit, item.place.as_str())).collect::<Vec<_>>(),
        [("limits.clones", false, "p.yaml:6")]
    );
}

#[test]
fn a_database_that_aws_shows_can_be_given_and_is_found_to_be_left_behind() {
    let given = "  given:\n    clusterId: prod-eu\n    region: us-east-1\n    objects:\n      - DBInstances:\n          - DBInstanceIdentifier: clone-2-c0000002\n            \
                 DBInstanceArn: arn:aws:rds:us-east-1:123456789012:db:clone-2-c0000002\n            DbiResourceId: db-2\n            DBInstanceClass: db.t3.micro\n            \
                 Engine: mysql\n            DBInstanceStatus: available\n            InstanceCreateTime: 2026-02-05T12:03:11Z\n            TagList:\n              \
                 - {Key: CloneId, Value: clone-2}\n              - {Key: CloneUid, Value: c0000002-0000-4000-8000-000000000002}\n              \
                 - {Key: Namespace, Value: staging}\n              - {Key: Cluster, Value: prod-eu}\n";
    let found = |action: &str, more: &str| {
        let mut test = test(&format!("{given}{more}"));
        let wanted = [("action", action), ("reason", "OwnerGone")];
        let wanted = wanted.map(|(field, value)| Wanted { field, value: value.to_owned(), place: test.place.clone() });
        test.expectations = vec![Expectation {
            kind: "DBInstance".to_owned(),
            name: "clone-2-c0000002".to_owned(),
            place: test.place.clone(),
            wanted: wanted.into(),
        }];
        run(&test, &policies(""), &mut Coverage::default()).problems
    };
    assert_eq!(found("mark", ""), []);
    // Where the sweep has failed, what it shows is no ground for anything.
    assert!(!found("mark", "    unknown: [rds/us-east-1]\n").is_empty());
}

/// An odd date of an extension keeps a clone to its ceiling; then it goes, and beside that somebody is told.
#[test]
fn who_expects_an_alert_has_not_expected_the_delete_beside_it() {
    let given =
        "  given:\n    clones: [{name: staging/x, age: 25h, announced: 2026-02-05T16:30:22Z, annotations: {clonewarden.io/extend-until: soon}}]\n";
    let with = |actions: &[&str]| {
        let mut test = test(given);
        let place = test.place.clone();
        let about = |action: &&str| Expectation {
            kind: "WordPressClone".to_owned(),
            name: "staging/x".to_owned(),
            place: place.clone(),
            wanted: vec![Wanted { field: "action", value: (*action).to_owned(), place: place.clone() }],
        };
        test.expectations = actions.iter().map(about).collect();
        run(&test, &policies(""), &mut Coverage::default()).problems
    };
    let unexpected = with(&["alert"]);
    assert!(unexpected.len() == 1 && unexpected[0].message.contains("is deleted"), "{unexpected:?}");
    assert_eq!(with(&["alert", "delete"]), []);
    assert_eq!(with(&["keep"]).len(), 1);
}
