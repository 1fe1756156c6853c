//! The JSON Schema of policy files, by a validator: it must refuse nothing that the daemon takes, and show what a single field shows.

#![expect(clippy::unwrap_used, reason = "this is a test: what is not as it should be must fail it")]

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn schema() -> Value {
    serde_json::from_slice(&fs::read(repository().join("policies/schema.json")).unwrap()).unwrap()
}

/// The policy files of a folder, and their tests.
fn files_in(dir: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let yaml = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// What the schema has against the documents of a file, each with the place in the document.
fn refusals(text: &str) -> Vec<String> {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    // As YAML 1.2 and editors have it: `n` is a text.
    let options = serde_saphyr::options! { strict_booleans: true };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).unwrap();
    let told = documents.iter().flat_map(|document| validator.iter_errors(document));
    told.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn it_is_a_schema() {
    jsonschema::draft7::meta::validate(&schema()).unwrap();
}

#[test]
fn it_takes_every_file_that_the_loader_takes() {
    let scenarios = fs::read_dir(repository().join("tests/scenarios")).unwrap().map(|entry| entry.unwrap().path().join("policies"));
    let folders: Vec<PathBuf> = scenarios.filter(|dir| dir.is_dir()).chain([repository().join("policies")]).collect();
    assert!(folders.len() > 40, "{folders:?}");
    for (path, text) in folders.iter().flat_map(|dir| files_in(dir)) {
        assert_eq!(refusals(&text), [] as [&str; 0], "{}: {text}", path.display());
    }
}

#[test]
fn it_refuses_what_a_single_field_shows_to_be_wrong() {
    let wrong = ["bad-duration", "bad-value", "missing-field", "reserved-field", "unknown-field", "unknown-kind", "wrong-type"];
    for code in wrong {
        let files = files_in(&repository().join("tests/policies").join(code));
        assert!(files.iter().any(|(_, text)| !refusals(text).is_empty()), "{code} goes unnoticed");
    }
}

#[test]
fn a_test_that_says_what_there_is_not_is_refused() {
    let head = "apiVersion: clonewarden.io/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\n";
    assert_eq!(refusals(&format!("{head}spec: {{now: 2026-02-05T16:30:22Z, expect: [{{clone: a/b, action: none}}]}}\n")), [] as [&str; 0]);
    for wrong in
        ["{expect: []}", "{now: 2026-02-05T16:30:22Z, expect: [{clone: a/b, action: delte}]}", "{now: 2026-02-05T16:30:22Z, create: [{nmae: a/b}]}"]
    {
        assert!(!refusals(&format!("{head}spec: {wrong}\n")).is_empty(), "{wrong}");
    }
}

#[test]
fn an_editor_is_told_where_it_is_wrong_and_nothing_of_the_other_kind() {
    let text = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}, ttl: {defualt: 2h}}\n";
    let told = refusals(text);
    assert!(told.len() == 1 && told[0].starts_with("/spec/ttl: "), "{told:?}");
}
