//! `docs/policies.md` is the page of whoever writes policies: each of its commands is run here, and each of its files is read.
//!
//! Examples of whole policies are linted in `src/policy/tests/pages.rs`, those of tests are run in `check.rs`, conditions are compiled in
//! `src/policy/select/tests.rs`.

use super::{
    CLONE, POLICY, Place, Ran,
    ci::{clonewarden, on_path},
    diff::{commit, git},
};
use serde_json::Value;
use std::{ffi::OsString, fs, path::Path, process::Command};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(repository().join("docs/policies.md")).unwrap()
}

/// Every block of the page in its order: its language, and its text without what it is indented by.
fn blocks() -> Vec<(String, String)> {
    let page = page();
    let mut lines = page.lines();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let inner = lines.by_ref().take_while(|line| line.trim() != "```");
        let text: String = inner.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect();
        blocks.push((language.to_owned(), text));
    }
    blocks
}

#[test]
fn every_command_runs() {
    let place = Place::new();
    for file in fs::read_dir(repository().join("policies")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        place.write(&format!("policies/{name}"), &text);
        if !name.ends_with("_test.yaml") && name.ends_with(".yaml") {
            place.write(&format!("proposal/{name}"), text.replace("clones: 10\n", "clones: 8\n"));
        }
    }
    place.write("look/wordpressclones.yaml", CLONE);
    let trace = ["simulate", "make-trace", "--per-hour", "5", "--for", "1d", "--namespaces", "wordpress-staging", "-o", "load.jsonl", "--seed", "1"];
    assert_eq!(place.run(&trace).code, Some(0));
    git(&place, &["init", "--quiet", "--initial-branch", "main"]);
    commit(&place, "first");
    // A cluster is files here, and what is sent to one goes nowhere.
    let path = on_path(&place, &[("clonewarden", &clonewarden()), ("kubectl", "#!/bin/sh\nexit 0\n")]);
    let mut ran = 0;
    for (_, script) in blocks().into_iter().filter(|(language, _)| language == "sh") {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script]).current_dir(&place.0).env_clear().env("PATH", &path);
        command.env("HOME", &place.0).env("GIT_CONFIG_NOSYSTEM", "1").env("CLONEWARDEN_FROM", "look").env("CLONEWARDEN_NOW", "2026-02-05T16:00:00Z");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.com");
        }
        let output = Ran::from(command.output().unwrap());
        assert_eq!(output.code, Some(0), "{script}{output:?}");
        if script.contains("policy diff main policies\n") {
            assert!(output.out.contains("audit → enforce"), "{output:?}");
        }
        ran += 1;
    }
    assert!(ran >= 9, "{ran}");
    assert!(fs::read_to_string(place.0.join("comment.md")).unwrap().starts_with("## Policies: "));
}

#[test]
fn every_command_within_a_sentence_is_one_that_there_is() {
    let page = page();
    let spans: Vec<&str> = page.split('`').filter(|span| span.starts_with("clonewarden ") && !span.contains('\n')).collect();
    assert!(spans.len() >= 7, "{spans:?}");
    for span in spans {
        let words = span.split(" > ").next().unwrap().split(' ').map(OsString::from);
        assert!(clonewarden::cli::parse(words).is_ok(), "{span}");
    }
}

#[test]
fn every_file_is_read() {
    let blocks = blocks();
    let yaml: Vec<&str> = blocks.iter().filter(|(language, _)| language == "yaml").map(|(_, text)| text.as_str()).collect();
    let book = *yaml.iter().find(|text| text.contains("kind: PriceBook")).unwrap();
    let hooks: Value = serde_saphyr::from_str(&fs::read_to_string(repository().join(".pre-commit-hooks.yaml")).unwrap()).unwrap();
    let place = Place::new();
    for text in yaml {
        let file = match text {
            // These have tests of their own.
            whole if whole.starts_with("apiVersion: ") => continue,
            hint if hint.starts_with("# yaml-language-server") => format!("{hint}{POLICY}"),
            idle if idle.starts_with("idle:") => POLICY.replace("}}\n", &format!("}}, {}}}\n", idle.trim_end())),
            fixed if fixed.starts_with("  fixed:") => format!("{POLICY}---\n{book}{fixed}"),
            config if config.starts_with("repos:") => {
                let config: Value = serde_saphyr::from_str(config).unwrap();
                for hook in config["repos"][0]["hooks"].as_array().unwrap() {
                    assert!(hooks.as_array().unwrap().iter().any(|known| known["id"] == hook["id"] && known["args"] == hook["args"]), "{hook}");
                }
                continue;
            }
            other => panic!("nothing tries this:\n{other}"),
        };
        place.write("policies/staging.yaml", &file);
        let ran = place.run(&["policy", "lint", "policies", "--strict"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{file}");
    }
    for (language, text) in &blocks {
        match language.as_str() {
            "text" if text.starts_with("error[") => {
                let ttl = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata:\n  name: staging\nspec:\n  namespaces:\n    names: [n]\n  ttl:\n    maxmium: 12h\n";
                place.write("policies/staging.yaml", ttl);
                let ran = place.run(&["policy", "lint", "policies"]);
                assert!(ran.code == Some(1) && ran.err.contains(text.trim_end()), "{}", ran.err);
            }
            "text" => assert!(text.starts_with("ok "), "nothing tries this:\n{text}"),
            "sh" | "yaml" | "cel" => {}
            other => panic!("nothing tries what is written in `{other}`:\n{text}"),
        }
    }
}

#[test]
fn help_and_version_are_data() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "{help:?}");
    for command in ["plan", "apply", "explain", "clone", "journal", "policy", "pause", "resume", "brake", "crds", "dashboards", "run", "demo"] {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command} is not in {}", help.out);
    }
    assert!(place.run(&["--version"]).out.starts_with("clonewarden "));
}
