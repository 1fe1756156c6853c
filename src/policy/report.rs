//! Problems for programs: JSON for pipelines, SARIF 2.1.0 for whatever shows findings in a pull request, and the workflow commands by
//! which GitHub puts them beside the line.
//!
//! Contract: nothing in here is said that the snippets for people do not say; columns are in characters, from 1.

use super::{
    Policies,
    code::Code,
    problem::{Place, Problem, Problems},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fmt::Write};

/// Everything as one document: `kind: LintReport`. `policies` is what was loaded, if it was.
#[must_use]
pub fn document(problems: &Problems, policies: Option<&Policies>) -> Value {
    let each: Vec<Value> = problems.iter().map(|problem| entry(problem, problems)).collect();
    let mut document = Map::new();
    document.insert("apiVersion".into(), json!("clonewarden.io/v1alpha1"));
    document.insert("kind".into(), json!("LintReport"));
    if let Some(policies) = policies {
        let names: Vec<&str> = policies.policies.iter().map(|policy| &*policy.name).collect();
        let hosts: Vec<&str> = policies.hosts.iter().map(|host| host.name.as_str()).collect();
        document.insert("policyRevision".into(), json!(policies.revision.hash));
        document.insert("policies".into(), json!(names));
        document.insert("hosts".into(), json!(hosts));
    }
    document.insert("errors".into(), json!(problems.errors()));
    document.insert("warnings".into(), json!(problems.warnings()));
    document.insert("omitted".into(), json!(problems.omitted()));
    document.insert("problems".into(), Value::Array(each));
    Value::Object(document)
}

/// One problem as a part of a document.
fn entry(problem: &Problem, problems: &Problems) -> Value {
    let mut entry = Map::new();
    entry.insert("code".into(), json!(problem.code.as_str()));
    entry.insert("severity".into(), json!(problem.code.severity()));
    put_place(&mut entry, &problem.place, problems);
    entry.insert("message".into(), json!(problem.message));
    entry.extend(problem.help.as_ref().map(|help| ("help".to_owned(), json!(help))));
    if !problem.related.is_empty() {
        let related = problem.related.iter().map(|(place, label)| {
            let mut other = Map::new();
            put_place(&mut other, place, problems);
            other.insert("message".into(), json!(label));
            Value::Object(other)
        });
        entry.insert("related".into(), related.collect());
    }
    Value::Object(entry)
}

fn put_place(entry: &mut Map<String, Value>, place: &Place, problems: &Problems) {
    entry.insert("file".into(), json!(problems.path(&place.file)));
    if let Some(region) = problems.region(place) {
        entry.insert("line".into(), json!(region.line));
        entry.insert("column".into(), json!(region.column));
        entry.insert("endColumn".into(), json!(region.end_column));
    }
}

/// Everything as a SARIF 2.1.0 log (OASIS). Only the codes that come up are rules of the run.
#[must_use]
pub fn sarif(problems: &Problems) -> Value {
    let codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect::<BTreeSet<_>>().into_iter().collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| {
            json!({
                "id": code.as_str(),
                "shortDescription": {"text": code.summary()},
                "help": {"text": format!("{} `clonewarden policy lint --explain {code}` says more.", code.summary()), "markdown": code.page()},
                "defaultConfiguration": {"level": code.severity()},
            })
        })
        .collect();
    let results: Vec<Value> = problems.iter().map(|problem| result(problem, &codes, problems)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "clonewarden", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(problem: &Problem, codes: &[Code], problems: &Problems) -> Value {
    let text = match &problem.help {
        Some(help) => format!("{}: {help}", problem.message),
        None => problem.message.clone(),
    };
    let mut result = Map::new();
    result.insert("ruleId".into(), json!(problem.code.as_str()));
    result.extend(codes.iter().position(|code| *code == problem.code).map(|index| ("ruleIndex".to_owned(), json!(index))));
    result.insert("level".into(), json!(problem.code.severity()));
    result.insert("message".into(), json!({"text": text}));
    result.insert("locations".into(), json!([{"physicalLocation": physical(&problem.place, problems)}]));
    if !problem.related.is_empty() {
        let related = problem
            .related
            .iter()
            .zip(1..)
            .map(|((place, label), id)| json!({"id": id, "message": {"text": label}, "physicalLocation": physical(place, problems)}));
        result.insert("relatedLocations".into(), related.collect());
    }
    Value::Object(result)
}

fn physical(place: &Place, problems: &Problems) -> Value {
    let artifact = json!({"uri": uri(&problems.path(&place.file))});
    match problems.region(place) {
        // The end is the column after the last character; what is empty is a point before it.
        Some(region) => json!({
            "artifactLocation": artifact,
            "region": {"startLine": region.line, "startColumn": region.column, "endColumn": region.end_column},
        }),
        // The file as a whole. Without a line some readers refuse the log.
        None => json!({"artifactLocation": artifact, "region": {"startLine": 1}}),
    }
}

/// A path as a reference to it (RFC 3986): relative ones stay relative, to the root of the repository.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut out = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Everything as workflow commands of GitHub Actions, one a line.
#[must_use]
pub fn github(problems: &Problems) -> String {
    let mut out = String::new();
    for problem in problems {
        let _ = write!(out, "::{} file={}", problem.code.severity(), property(&problems.path(&problem.place.file)));
        if let Some(region) = problems.region(&problem.place) {
            // GitHub's last column is one that belongs to it.
            let last = region.end_column.saturating_sub(1).max(region.column);
            let _ = write!(out, ",line={},endLine={},col={},endColumn={last}", region.line, region.line, region.column);
        }
        let help = problem.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
        let _ = writeln!(out, ",title={}::{}", property(problem.code.as_str()), data(&format!("{}{help}", problem.message)));
    }
    out
}

/// What stands after `::`, as the runner reads it back.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What stands before it: there `:` and `,` mean something too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runner_would_misread_is_escaped() {
        assert_eq!(property("a:b,c%d\r\n"), "a%3Ab%2Cc%25d%0D%0A");
        assert_eq!(data("100 %: a, b\nc::d"), "100 %25: a, b%0Ac::d");
    }

    #[test]
    fn paths_are_references() {
        assert_eq!(uri("./policies/a b#1.yaml"), "policies/a%20b%231.yaml");
        assert_eq!(uri("policies/ü%.yaml"), "policies/%C3%BC%25.yaml");
        assert_eq!(uri("/srv/policies/a.yaml"), "file:///srv/policies/a.yaml");
    }
}
