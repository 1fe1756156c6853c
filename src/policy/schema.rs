//! The JSON Schema of the policy files and their tests, for editors: made from the types that read them, so that it cannot say anything else.
//!
//! Contract: it refuses nothing that the loader takes. What takes more than one field to know, `policy lint` says.

use super::format::{API_VERSION, HostSpec, Metadata, PolicySpec, PriceSpec};
use super::lint::{TEST_KIND, TestSpec};
use super::scalar::{Entries, Leaf, List, Read};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};
use std::borrow::Cow;

/// The schema of one document, whichever kind it is of (JSON Schema, draft 7, which editors understand best).
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let policy = document::<PolicySpec>("ClonePolicy", "How the clones of some namespaces live, and what may be deleted.", &mut generator);
    let host = document::<HostSpec>("DatabaseHost", "An RDS instance or Aurora cluster that several clones live on.", &mut generator);
    let prices = document::<PriceSpec>("PriceBook", "What AWS asks for in a region, where it is not what is built in.", &mut generator);
    let test =
        document::<TestSpec>(TEST_KIND, "A world, and what the policies beside it are to make of it; in a file `*_test.yaml`.", &mut generator);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "clonewarden policy files",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"kind": {"enum": ["ClonePolicy", "DatabaseHost", "PriceBook", TEST_KIND]}},
        // By the kind, not `oneOf`: an editor then complains of the field that is wrong, not of the whole document.
        "allOf": [
            {"if": {"properties": {"kind": {"const": "ClonePolicy"}}}, "then": policy},
            {"if": {"properties": {"kind": {"const": "DatabaseHost"}}}, "then": host},
            {"if": {"properties": {"kind": {"const": "PriceBook"}}}, "then": prices},
            {"if": {"properties": {"kind": {"const": TEST_KIND}}}, "then": test},
        ],
        "definitions": generator.definitions(),
    })
}

fn document<T: JsonSchema>(kind: &str, description: &str, generator: &mut SchemaGenerator) -> Value {
    let (metadata, spec): (Schema, Schema) = (generator.subschema_for::<Metadata>(), generator.subschema_for::<T>());
    json!({
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": metadata,
            "spec": spec,
        },
    })
}

impl<T: Read> JsonSchema for Leaf<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Leaf".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

impl<T: Read> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "List".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": T::schema()})
    }
}

impl<T: Read> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Entries".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": T::schema()})
    }
}
