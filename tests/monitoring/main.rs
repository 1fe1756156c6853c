//! What is watched with: the alert rules, their tests and their pages, by Prometheus' own tool; the dashboards, by a real Prometheus.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "what a test cannot set up must fail it")]

mod cloudwatch;
mod dashboards;
mod live;
mod promql;

use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn rules() -> Vec<Value> {
    let groups = yaml("deploy/monitoring/rules.yaml")["groups"].as_array().cloned().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap()).collect()
}

fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).current_dir(file("deploy/monitoring")).output();
    let output = output.expect("cannot run `promtool`: apt-get install prometheus");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`promtool {}`: {said}", args.join(" "));
}

#[test]
fn prometheus_takes_the_rules_and_they_fire_when_they_should() {
    promtool(&["check", "rules", "rules.yaml"]);
    promtool(&["test", "rules", "rules_test.yaml"]);
}

#[test]
fn the_operator_is_given_the_same_alerts() {
    let (plain, given) = (read("deploy/monitoring/rules.yaml"), read("deploy/components/monitoring/rules.yaml"));
    let (_, plain) = plain.split_at(plain.find("\ngroups:\n").unwrap());
    let given = given.split_once("\nspec:").unwrap().1.replace("\n  ", "\n");
    assert!(plain == given, "deploy/components/monitoring/rules.yaml does not hold deploy/monitoring/rules.yaml; its first lines say how it is made");
}

#[test]
fn every_alert_has_a_page_and_is_seen_to_fire_and_not_to() {
    let pages = read("docs/runbooks.md");
    let tests = yaml("deploy/monitoring/rules_test.yaml")["tests"].as_array().cloned().unwrap();
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().expect("only alerts").to_owned();
        assert_eq!(rule["annotations"]["runbook"], format!("docs/runbooks.md#{}", name.to_lowercase()), "{name}");
        assert!(["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        let page = pages.split(&format!("\n## {name}\n")).nth(1).unwrap_or_else(|| panic!("{name} has no page"));
        let page = page.split("\n## ").next().unwrap();
        assert!(page.contains("- **Look**: ") && page.contains("- **Do**: "), "{name}: {page}");
        assert!(pages.contains(&format!("[{name}](#{})", name.to_lowercase())), "{name} is not in the list of pages");
        let test = tests.iter().find(|test| test["name"] == name.as_str()).unwrap_or_else(|| panic!("{name} has no test"));
        let looks = test["promql_expr_test"].as_array().unwrap();
        let fires = |look: &Value| look["exp_samples"].as_array().is_some_and(|samples| !samples.is_empty());
        assert!(looks.iter().any(fires) && !looks.iter().all(fires), "{name} must be seen to fire and not to");
        assert!(names.insert(name.clone()), "{name} stands there twice");
    }
    let paged: BTreeSet<String> = pages.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    assert_eq!(paged, names, "a page for each alert, and no other");
    assert_eq!(tests.len(), names.len());
}

#[test]
fn every_metric_in_a_rule_is_one_of_ours() {
    let documented = read("docs/metrics.md");
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("clonewarden_"));
        let mut any = false;
        for metric in words {
            any = true;
            assert!(documented.contains(&format!("\n| `{metric}` | ")), "{}: no metric is called {metric}", rule["alert"]);
        }
        assert!(any, "{expression}");
    }
}

#[test]
fn every_code_in_a_rule_is_one_of_ours() {
    let documented = read("docs/reasons.md");
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        let matchers = expression.split("code").skip(1).filter(|rest| rest.starts_with(['=', '!']));
        for matcher in matchers.filter_map(|rest| rest.split('"').nth(1)) {
            for code in matcher.split('|') {
                let known = match code.strip_suffix(".*") {
                    Some(begin) => documented.contains(&format!("\n| `{begin}")),
                    None => documented.contains(&format!("\n| `{code}` |")),
                };
                assert!(known, "{}: no reason is called {code}", rule["alert"]);
            }
        }
    }
}

/// The exporter's own names and types, as Prometheus' linter sees them in what the daemon really says.
#[test]
fn prometheus_finds_nothing_wrong_with_what_is_exported() {
    let said = live::scraped();
    assert!(said.lines().filter(|line| !line.starts_with('#')).count() > 100, "{said}");
    let mut linter = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let linter = linter.as_mut().expect("cannot run `promtool`: apt-get install prometheus");
    linter.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
    let mut found = String::new();
    linter.stdout.take().unwrap().read_to_string(&mut found).unwrap();
    linter.stderr.take().unwrap().read_to_string(&mut found).unwrap();
    assert!(linter.wait().unwrap().success() && found.is_empty(), "`promtool check metrics`: {found}");
}
