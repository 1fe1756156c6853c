//! The JSON Schema: what it must take, what it must not, and that the one in `policies/` is the one that is made.

use super::*;
use crate::policy::schema::schema;
use serde_json::Value;
use std::sync::OnceLock;

/// What the schema has against the documents of a file.
pub(super) fn refusals(text: &[u8]) -> Vec<String> {
    static VALIDATOR: OnceLock<jsonschema::Validator> = OnceLock::new();
    let validator = VALIDATOR.get_or_init(|| jsonschema::draft7::new(&schema()).unwrap());
    let text = String::from_utf8_lossy(text);
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, yaml::options()).unwrap();
    documents
        .iter()
        .flat_map(|document| validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect::<Vec<_>>())
        .collect()
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
    for (name, bytes) in folders.iter().flat_map(|dir| files_in(dir)) {
        assert_eq!(refusals(&bytes), [] as [&str; 0], "{name}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn it_refuses_what_a_single_field_shows_to_be_wrong() {
    let wrong = ["bad-duration", "bad-value", "missing-field", "reserved-field", "unknown-field", "unknown-kind", "wrong-type"];
    for code in wrong {
        let files = files_in(&repository().join("tests/policies").join(code));
        assert!(files.iter().any(|(_, bytes)| !refusals(bytes).is_empty()), "{code} goes unnoticed");
    }
}

#[test]
fn an_editor_is_told_where_it_is_wrong_and_nothing_of_the_other_kind() {
    let told = refusals(SMALL.replace("names: [n]}}", "names: [n]}, ttl: {defualt: 2h}}").as_bytes());
    assert!(told.len() == 1 && told[0].starts_with("/spec/ttl: "), "{told:?}");
}

#[test]
fn every_field_says_what_it_is() {
    let schema = schema();
    for (name, definition) in schema["definitions"].as_object().unwrap() {
        for (field, about) in definition["properties"].as_object().unwrap() {
            assert!(about["description"].as_str().is_some_and(|text| text.len() > 4), "{name}.{field} says nothing");
        }
    }
}

#[test]
fn the_one_beside_the_policies_is_up_to_date() {
    let committed: Value = serde_json::from_slice(&fs::read(repository().join("policies/schema.json")).unwrap()).unwrap();
    assert_eq!(committed, schema(), "run `clonewarden policy schema > policies/schema.json`");
    for (name, bytes) in files_in(&repository().join("policies")) {
        assert!(bytes.starts_with(b"# yaml-language-server: $schema=schema.json\n"), "{name} does not name the schema");
    }
}
