//! The OpenAPI document of `/view/v1`, made of the types that are answered. It is kept in `deploy/view-openapi.json`, where a test holds
//! it to this.

use super::{
    pages::Problem,
    view::{View, clones},
};
use crate::api::openapi::{problems, reference};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Where it is served, to whoever asks.
pub(super) const PATH: &str = "/view/v1/openapi.json";

/// The document as it is served, kept and printed.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n");
    &TEXT
}

/// What is answered, by status, beside the good answers.
const PROBLEMS: [(&str, &str); 5] = [
    ("400", "The query cannot be understood."),
    ("401", "There is no usable token, or the API server does not take it."),
    ("403", "The token's owner may not list clones, in this namespace nor in all."),
    ("500", "The answer cannot be made; the log says why."),
    ("503", "Try again: no plan was made yet, the API server does not say whose token it is, or too much is asked for at once."),
];

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut give = settings.into_generator();
    let (view, clones) = (reference::<View>(&mut give), reference::<clones::Clones>(&mut give));
    let problem = reference::<Problem>(&mut give);
    let mut schemas: Map<String, Value> = give.take_definitions(false).into_iter().collect();
    schemas.sort_keys();
    let path = |id: &str, summary: &str, schema: &Value| {
        json!({
            "parameters": parameters(),
            "get": {
                "operationId": id,
                "summary": summary,
                "description": "What is asked for anew with the ETag of the last answer in If-None-Match costs next to nothing while nothing has changed.",
                "responses": responses(schema, &problem),
            },
        })
    };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "clonewarden: the page as JSON",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the daemon sees, will do, holds and did, as its page shows it. Read-only. On the daemon's own machine no token is asked for.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8080", "description": "By kubectl port-forward."}],
        "security": [{"token": []}, {}],
        "paths": {
            "/view/v1": path("getView", "See everything that the page shows", &view),
            "/view/v1/clones": path("listClones", "See clones, page by page", &clones),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token that the Kubernetes API server takes, of somebody who may list clones."},
            },
        },
    })
}

fn parameters() -> Value {
    let one = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema});
    let text = || json!({"type": "string", "maxLength": 600});
    json!([
        one("namespace", "Clones of this namespace only. Who may list clones in it alone sees it alone, and has to say it.", text()),
        one("owner", "Clones of this owner only.", text()),
        one("q", "Clones that hold this text in their name, owner, policy, database, verdict or reason code.", text()),
        one("limit", "How many clones at most.", json!({"type": "integer", "minimum": 1, "maximum": clones::MOST, "default": clones::USUAL})),
        one("after", "The clones after this place: `next` of the page before.", text()),
    ])
}

fn responses(schema: &Value, problem: &Value) -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let tag = json!({"ETag": text("The same as long as the same would be answered.")});
    let mut all = Map::new();
    all.insert("200".into(), json!({"description": "As it is.", "headers": tag, "content": {"application/json": {"schema": schema}}}));
    all.insert("304".into(), json!({"description": "Nothing has changed."}));
    all.extend(problems(&PROBLEMS, problem));
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::openapi::tests::references;

    #[test]
    fn the_document_in_the_tree_is_the_one_that_is_served() {
        let kept = include_str!("../../deploy/view-openapi.json");
        assert!(kept == text(), "deploy/view-openapi.json is another one: `clonewarden api view-openapi > deploy/view-openapi.json`");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_field_is_described() {
        let document = document();
        let found = references(&document);
        assert!(found > 20, "{found} references");
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            for (field, about) in schema["properties"].as_object().into_iter().flatten() {
                assert!(about.get("description").is_some(), "{name}.{field}");
            }
        }
    }
}
