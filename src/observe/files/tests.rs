//! What a file is evidence of: by its name, by what is in it, and by what it was meant to hold.

use super::{
    collect::{Collection, kind_of},
    named::Named,
    parse::{self, Format},
};
use crate::model::{Kind, Snapshot, Source, evidence::CloudList};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};

fn now() -> Timestamp {
    "2026-02-05T16:30:22Z".parse().unwrap()
}

/// A folder with these files; their names decide what they are read as.
fn read(files: &[(&str, &str)]) -> (Snapshot, Vec<String>) {
    let mut collection = Collection::default();
    for (name, text) in files {
        let path = Path::new(name);
        let documents = parse::documents(Format::of(path).unwrap(), path, text.as_bytes()).unwrap();
        collection.file(name, &Named::after(path.file_stem().unwrap().to_str().unwrap()), documents);
    }
    assert_eq!(collection.contradictions, []);
    let snapshot = collection.snapshot(now());
    (snapshot, collection.notes)
}

/// Every source that was asked for, but time: which is complete, and which is not.
fn known(snapshot: &Snapshot) -> Vec<(String, bool)> {
    let sources = snapshot.evidence.iter().filter(|(source, _)| **source != Source::Time);
    sources.map(|(source, evidence)| (source.to_string(), evidence.complete)).collect()
}

#[track_caller]
fn evidence(name: &str, text: &str, wanted: &[(&str, bool)]) -> Vec<String> {
    let (snapshot, notes) = read(&[(name, text)]);
    let wanted: Vec<(String, bool)> = wanted.iter().map(|(source, complete)| ((*source).to_owned(), *complete)).collect();
    assert_eq!(known(&snapshot), wanted, "{name}: {text}; {notes:?}");
    notes
}

const LIST: &str = r#"{"apiVersion": "v1", "kind": "List", "items": []}"#;
const SECRET: &str = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}}"#;

#[test]
fn an_empty_list_is_evidence_of_what_the_file_is_named_after() {
    evidence("jobs.json", LIST, &[("jobs", true)]);
    evidence("wordpressclones.kro.run.yaml", "{kind: List, items: []}", &[("clones", true)]);
    evidence("x.json", r#"{"apiVersion": "batch/v1", "kind": "JobList", "metadata": {}, "items": null}"#, &[("jobs", true)]);
    assert!(evidence("x.json", LIST, &[])[0].contains("name it after its kind"));
}

#[test]
fn one_object_is_evidence_of_its_kind() {
    evidence("x.yaml", "{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: n}}", &[("jobs", true)]);
    // A clone that is served in another version lives all the same.
    assert_eq!(kind_of(Some("kro.run/v1"), "WordPressClone"), Some(Kind::Clone));
    assert_eq!(kind_of(Some("serving.knative.dev/v1"), "Service"), None);
    assert_eq!(kind_of(None, "Ingress"), Some(Kind::Ingress));
}

#[test]
fn a_name_is_no_evidence_against_the_content() {
    assert!(evidence("jobs.json", SECRET, &[])[0].contains("holds no Job"));
    evidence("jobs.json", r#"{"kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod"}]}"#, &[("pods", true)]);
    evidence("dbinstances.json", r#"{"DBInstances": []}"#, &[("rds/unknown", true)]);
    evidence("db-instances.json", LIST, &[("dbinstances", true)]);
}

#[test]
fn what_a_failed_command_left_is_no_empty_list() {
    evidence("jobs.yaml", "", &[("jobs", false)]);
    evidence("db-instances.yaml", "# nothing\n", &[("rds/unknown", false)]);
    evidence("jobs.yaml", "error: You must be logged in to the server\n", &[("jobs", false)]);
    evidence("jobs.yaml", "No resources found\n", &[("jobs", false)]);
    evidence("jobs.json", r#"{"kind": "Status", "status": "Failure", "message": "forbidden"}"#, &[("jobs", false)]);
    evidence("db-instances-us-east-1.json", "{}", &[("rds/us-east-1", false)]);
    assert!(evidence("x.yaml", "replicas: 1\n", &[])[0].contains("neither"));
}

#[test]
fn one_page_makes_the_whole_list_incomplete() {
    evidence("x.json", r#"{"apiVersion": "v1", "kind": "PodList", "metadata": {"continue": "abc"}, "items": []}"#, &[("pods", false)]);
    evidence("jobs.json", r#"{"kind": "List", "metadata": {"remainingItemCount": 2}, "items": []}"#, &[("jobs", false)]);
    evidence("x.json", r#"{"DBSnapshots": [], "Marker": "abc"}"#, &[("rds/unknown/snapshots", false)]);
    evidence("x.json", r#"{"DBClusters": [], "NextToken": "abc"}"#, &[("rds/unknown/clusters", false)]);
    evidence("x.json", r#"{"DBInstances": [], "Marker": null, "NextToken": ""}"#, &[("rds/unknown", true)]);
    let (snapshot, _) = read(&[("jobs.json", LIST), ("more.json", r#"{"kind": "JobList", "metadata": {"continue": "abc"}, "items": []}"#)]);
    assert_eq!(known(&snapshot), [("jobs".to_owned(), false)], "a whole list beside a page does not make the page whole");
}

#[test]
fn a_bare_array_is_read_by_what_is_in_it() {
    let instance = r#"[{"DBInstanceIdentifier": "x", "DBInstanceArn": "arn:aws:rds:eu-west-1:1:db:x"}]"#;
    evidence("x.json", instance, &[("rds/eu-west-1", true)]);
    evidence("db-instances.json", "[]", &[("rds/unknown", true)]);
    evidence("db-instances.json", r#"[{"DBInstanceIdentifier": "x"}]"#, &[("rds/unknown", false)]);
    evidence("jobs.json", "[]", &[("jobs", true)]);
    evidence("x.json", r#"[{"apiVersion": "v1", "kind": "Pod"}]"#, &[("pods", true)]);
}

#[test]
fn what_cannot_be_read_is_kept_as_such() {
    let (snapshot, _) =
        read(&[("wordpressclones.json", r#"{"kind": "List", "items": [7, {"metadata": {"name": "c", "namespace": "n", "uid": "u"}}]}"#)]);
    let problems: Vec<&str> = snapshot.unreadable.iter().map(|object| object.problem.as_str()).collect();
    assert_eq!(problems, ["metadata.name is missing", "metadata.creationTimestamp is missing"]);
    assert!(snapshot.unreadable.iter().all(|object| object.kind == Kind::Clone));
}

#[test]
fn an_answer_of_two_regions_is_evidence_of_both() {
    let (snapshot, _) = read(&[(
        "x.json",
        r#"{"DBInstances": [{"DBInstanceIdentifier": "a", "DBInstanceArn": "arn:aws:rds:us-east-1:1:db:a"},
                            {"DBInstanceIdentifier": "b", "DBInstanceArn": "arn:aws-cn:rds:cn-north-1:1:db:b"}]}"#,
    )]);
    assert_eq!(known(&snapshot), [("rds/cn-north-1".to_owned(), true), ("rds/us-east-1".to_owned(), true)]);
    assert!(snapshot.evidence.get(&Source::Cloud(Arc::from("us-east-1"), CloudList::Instances)).is_some());
}

/// Any JSON, made of the words that mean something here.
fn documents() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "",
        "List",
        "Job",
        "JobList",
        "WordPressClone",
        "Status",
        "v1",
        "batch/v1",
        "kro.run/v1alpha1",
        "2026-02-05T14:30:22Z",
        "x",
    ]);
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), word.prop_map(Value::from)];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let key = prop::sample::select(vec![
            "kind",
            "apiVersion",
            "items",
            "metadata",
            "name",
            "namespace",
            "uid",
            "creationTimestamp",
            "labels",
            "annotations",
            "continue",
            "DBInstances",
            "DBClusters",
            "DBInstanceArn",
            "DBInstanceIdentifier",
            "TagList",
            "Marker",
            "spec",
            "status",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_parses_is_taken_in(all in prop::collection::vec((prop::sample::select(vec!["jobs", "wordpressclones", "db-instances", "x"]), documents()), 0..4)) {
        let mut collection = Collection::default();
        for (name, document) in all {
            collection.file(name, &Named::after(name), vec![document, json!({"kind": "List", "items": []})]);
        }
        let snapshot = collection.snapshot(now());
        let paths: Vec<_> = snapshot.clones.iter().map(|clone| Arc::clone(clone.meta.path())).collect();
        prop_assert!(paths.is_sorted());
    }
}
