//! The OpenAPI document of the API, made of the types that it reads and writes. It is kept in `deploy/openapi.json`, where a test
//! holds it to this.

use super::{
    body::{Answer, Create, Deletion, Extend, Extension, NAMESPACE},
    idempotency, problem, query,
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Where it is served, to whoever asks.
pub const PATH: &str = "/api/v1/openapi.json";

/// The document as it is served, kept and printed.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n");
    &TEXT
}

/// What is answered, by status, beside the good answers.
const PROBLEMS: [(&str, &str); 12] = [
    ("400", "The request cannot be understood."),
    ("401", "There is no usable token, or the API server does not take it."),
    ("403", "RBAC does not allow it to this token, or admission refuses it."),
    ("404", "There is no such clone or namespace."),
    ("408", "The body did not come in time."),
    ("409", "What is there stands against it."),
    ("413", "The body is too large."),
    ("415", "The body is not JSON."),
    ("422", "The API server or admission does not take it, or the Idempotency-Key was used for another body."),
    ("429", "The API server has too much to do."),
    ("502", "The API server's answer cannot be read."),
    ("503", "Try again: the API server does not answer, or too much is asked at a time."),
];

fn document() -> Value {
    let mut take = SchemaSettings::draft2020_12().with(settle).into_generator();
    let mut give = SchemaSettings::draft2020_12().for_serialize().with(settle).into_generator();
    let (create, extend) = (reference::<Create>(&mut take), reference::<Extend>(&mut take));
    let (clone, extension) = (reference::<Answer>(&mut give), reference::<Extension>(&mut give));
    let (deletion, problem) = (reference::<Deletion>(&mut give), reference::<problem::Body>(&mut give));
    let mut schemas: Map<String, Value> = take.take_definitions(false).into_iter().collect();
    schemas.extend(give.take_definitions(false));
    schemas.sort_keys();

    let made = |what: &str, description: &str| {
        let location = json!({"description": "Where it is read.", "schema": {"type": "string"}});
        json!({what: {"description": description, "headers": {"Location": location}, "content": {"application/json": {"schema": clone}}}})
    };
    let good = |status: &str, description: &str, schema: &Value| json!({status: {"description": description, "content": {"application/json": {"schema": schema}}}});
    let clones = json!({
        "post": {
            "operationId": "createClone",
            "summary": "Ask for a clone",
            "description": "RBAC and admission judge the caller's token. With an Idempotency-Key it is one clone however often this is sent.",
            "parameters": [{
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "Makes it one creation: the same key, namespace and caller give the same clone, as long as it is there.",
                "schema": {"type": "string", "pattern": idempotency::FORM},
            }],
            "requestBody": {"required": true, "content": {"application/json": {"schema": create}}},
            "responses": responses(&[made("201", "It is made."), made("200", "It was made before by the same key.")], &problem),
        },
    });
    let one = json!({
        "parameters": place(),
        "get": {
            "operationId": "getClone",
            "summary": "See a clone, or wait until it works",
            "description": "With `wait` it is answered when the clone works, when it is known never to, or when the time is over; `ready` says which.",
            "parameters": [{
                "name": "wait", "in": "query", "required": false,
                "description": "How long is waited at most, up to 300s.",
                "schema": {"type": "string", "pattern": query::WAIT},
            }],
            "responses": responses(&[good("200", "The clone as it is.", &clone)], &problem),
        },
        "delete": {
            "operationId": "deleteClone",
            "summary": "Delete a clone",
            "description": "A clone that somebody keeps is not deleted. It is gone when a GET says 404.",
            "responses": responses(&[good("202", "It is being deleted.", &deletion)], &problem),
        },
    });
    let extended = json!({
        "parameters": place(),
        "post": {
            "operationId": "extendClone",
            "summary": "Move the end of a clone further away",
            "description": "As far as its policy allows; the answer says the new end and the ceiling.",
            "requestBody": {"required": true, "content": {"application/json": {"schema": extend}}},
            "responses": responses(&[good("200", "It lives until then.", &extension)], &problem),
        },
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "clonewarden: clones for services",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Creates ephemeral WordPress clones, waits for them, extends and deletes them, with the caller's own token for the Kubernetes API server.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "https://clonewarden.clonewarden.svc:8443", "description": "The Service in the cluster."}],
        "security": [{"token": []}],
        "paths": {
            "/api/v1/clones": clones,
            "/api/v1/clones/{namespace}/{name}": one,
            "/api/v1/clones/{namespace}/{name}/extend": extended,
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token that the Kubernetes API server takes: a service account's, for example."},
            },
        },
    })
}

fn settle(settings: &mut SchemaSettings) {
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
}

/// A reference to a type, which is among the definitions from then on.
pub(crate) fn reference<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// The parameters that say which clone is meant.
fn place() -> Value {
    let part = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema});
    json!([
        part("namespace", "Its namespace.", json!({"type": "string", "pattern": NAMESPACE})),
        part("name", "Its name.", json!({"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$"})),
    ])
}

fn responses(good: &[Value], problem: &Value) -> Value {
    let good = good.iter().flat_map(|answer| answer.as_object().cloned().unwrap_or_default());
    good.chain(problems(&PROBLEMS, problem)).collect::<Map<_, _>>().into()
}

/// Answers that are none, by status, each with what its headers say.
pub(crate) fn problems(told: &[(&str, &str)], problem: &Value) -> Map<String, Value> {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let answer = |(status, description): &(&str, &str)| {
        let headers = match *status {
            "401" => json!({"WWW-Authenticate": text("Bearer")}),
            "429" | "503" => json!({"Retry-After": text("After how many seconds it may be tried again.")}),
            _ => json!({}),
        };
        let answer = json!({"description": description, "headers": headers, "content": {problem::TYPE: {"schema": problem}}});
        ((*status).to_owned(), answer)
    };
    told.iter().map(answer).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn the_document_in_the_tree_is_the_one_that_is_served() {
        let kept = include_str!("../../deploy/openapi.json");
        assert!(kept == text(), "deploy/openapi.json is another one: `clonewarden api openapi > deploy/openapi.json`");
    }

    /// How many references there are in a document; each leads somewhere.
    pub(crate) fn references(document: &Value) -> usize {
        let mut open = vec![document];
        let mut found = 0;
        while let Some(value) = open.pop() {
            match value {
                Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                        found += 1;
                    }
                    open.extend(fields.values());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
        found
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let found = references(&document());
        assert!(found > 40, "{found} references");
    }
}
