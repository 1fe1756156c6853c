//! Values of the chart that meet what it makes itself: they join it, or are refused by a sentence that says what to do.

use std::fs;

use serde_json::{Value, json};

use crate::tree::{Tree, objects, shipped};

const NAMES: &str = "CLONEWARDEN_WEBHOOK_NAMES";

fn container(documents: &str) -> Value {
    objects(documents)["Deployment clonewarden/clonewarden"]["spec"]["template"]["spec"]["containers"][0].clone()
}

fn variable(container: &Value, name: &str) -> Value {
    let found: Vec<_> = container["env"].as_array().unwrap().iter().filter(|one| one["name"] == name).collect();
    assert!(found.len() < 2, "{name} is there {} times", found.len());
    found.first().map(|one| one["value"].clone()).unwrap_or_default()
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn resources_go_over_those_of_the_base_one_by_one() {
    let tree = Tree::new("deploy-resources");
    let of = |set: &str| container(&tree.template("clonewarden", &["--set", set]))["resources"].clone();
    let base = of("replicas=2");
    for (set, pointer, value) in [
        ("resources.limits.memory=1Gi", "/limits/memory", "1Gi"),
        ("resources.requests.cpu=1", "/requests/cpu", "1"),
        ("resources.limits.cpu=2", "/limits/cpu", "2"),
    ] {
        let mut wanted = base.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        wanted.pointer_mut(parent).unwrap()[field] = if value.ends_with("Gi") { json!(value) } else { json!(value.parse::<u8>().unwrap()) };
        assert_eq!(of(set), wanted, "{set}");
    }
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn names_that_are_asked_for_stand_beside_the_one_of_the_api() {
    let tree = Tree::new("deploy-names");
    let of = |set: &str| variable(&container(&tree.template("clonewarden", &["--set", set])), NAMES);
    assert_eq!(of("api.enabled=true"), "clonewarden-api.clonewarden.svc");
    assert_eq!(of("settings.webhook-names=clones.example.com"), "clones.example.com");
    assert_eq!(of("api.enabled=true,settings.webhook-names=clones.example.com"), "clonewarden-api.clonewarden.svc,clones.example.com");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn no_variable_of_somebodys_takes_the_place_of_one_of_ours() {
    let tree = Tree::new("deploy-variables");
    let try_out = |set: &str| {
        let output = tree.helm(&["template", "clonewarden", "deploy/chart", "--namespace", "clonewarden", "--set", set]);
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let env = |name: &str| format!("extraEnv[0].name={name},extraEnv[0].value=x");
    let (chart, already) = ("is for the chart to say; take it out", "is said already, by the chart, by `settings`, or twice here");
    for (set, name, said) in [
        (env("POD_NAME"), "POD_NAME", already),
        (env("POD_IP"), "POD_IP", already),
        (env("CLONEWARDEN_LOG_FORMAT"), "CLONEWARDEN_LOG_FORMAT", already),
        (env("CLONEWARDEN_AWS_REGIONS") + ",settings.aws-regions=us-east-1", "CLONEWARDEN_AWS_REGIONS", already),
        (env(NAMES) + ",api.enabled=true", NAMES, already),
        (env("A") + ",extraEnv[1].name=A,extraEnv[1].value=y", "A", already),
        (env("CLONEWARDEN_POLICIES"), "CLONEWARDEN_POLICIES", chart),
        (env("CLONEWARDEN_WEBHOOK_LISTEN"), "CLONEWARDEN_WEBHOOK_LISTEN", chart),
        (env("CLONEWARDEN_LISTEN"), "CLONEWARDEN_LISTEN", chart),
        (env("CLONEWARDEN_NAMESPACE"), "CLONEWARDEN_NAMESPACE", chart),
        (env("CLONEWARDEN_API_LISTEN") + ",api.enabled=true", "CLONEWARDEN_API_LISTEN", chart),
    ] {
        let (taken, error) = try_out(&set);
        assert!(!taken && error.contains(&format!("extraEnv: {name} {said}")), "{set}: {error}");
    }
    // Whatever is nobody's yet is taken: a setting whose value a Secret holds, or a name that only ends like one of ours.
    for name in ["CLONEWARDEN_OTLP_ENDPOINT", "HTTPS_PROXY", "NAMESPACE"] {
        let (taken, documents) = try_out(&env(name));
        assert!(taken, "{name}: {documents}");
        assert_eq!(variable(&container(&documents), name), "x");
    }
}

/// Helm says after an installation where policies and release disagree, by the names of the files.
#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn notes_name_the_files_whose_mode_is_another() {
    let tree = Tree::new("deploy-modes");
    let values = shipped("one-cluster");
    let notes = |mode: &str| {
        let set = format!("mode={mode}");
        let fixed = ["install", "clonewarden", "deploy/chart", "--namespace", "clonewarden", "--dry-run=client", "--set", &set];
        let said = tree.helm_ok(&[&fixed[..], &values.iter().map(String::as_str).collect::<Vec<_>>()].concat());
        let (_, notes) = said.split_once("NOTES:").unwrap();
        notes.split_once("NOTE: a policy of ").map(|(_, note)| note.split_once(" says ").unwrap().0.to_owned())
    };
    assert_eq!((notes("audit"), notes("enforce").as_deref()), (None, Some("`production.yaml`, `staging.yaml`")));
    // Whichever document of the file it is in; one without a mode is in audit.
    let file = tree.path("policies/staging.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let (first, rest) = text.split_once("\n---\n").unwrap();
    fs::write(&file, format!("{rest}\n---\n{}", first.replace("mode: audit", "mode: enforce"))).unwrap();
    assert_eq!((notes("audit").as_deref(), notes("enforce").as_deref()), (Some("`staging.yaml`"), Some("`production.yaml`")));
    let production = tree.path("policies/production.yaml");
    fs::write(&production, fs::read_to_string(&production).unwrap().replace("mode: audit", "")).unwrap();
    assert_eq!(notes("enforce").as_deref(), Some("`production.yaml`"));
}
