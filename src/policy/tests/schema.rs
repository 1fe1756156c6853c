//! The JSON Schema in `policies/` is the one that is made, and says what each field is. What it takes and refuses is looked at in
//! `tests/platform/tests/schema.rs`, by a validator.

use super::*;
use crate::policy::schema::schema;
use serde_json::Value;

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
