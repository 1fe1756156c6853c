//! `policy lint`: every code in every form, exit codes, and that what machines are to read is what they can read.
//!
//! The folders in `tests/policies` are one a code: files, and in `problems.txt` what is said of them. `lint/` here holds one set with
//! what each form makes of it. No run writes any of them; a change that is meant is looked at and copied in by hand.

use super::{POLICY, Place, Ran};
use clonewarden::policy::Code;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn lint_in(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
    Ran::from(command.args(["policy", "lint"]).args(args).current_dir(folder).env_clear().output().unwrap())
}

/// A folder for a code that no file in Git can show.
fn made(code: Code) -> Option<Place> {
    let place = Place::new();
    match code {
        Code::TooLarge => place.write("policies/staging.yaml", "#".repeat((1 << 20) + 1)),
        Code::Unreadable => std::os::unix::fs::symlink("nowhere.yaml", place.0.join("policies/broken.yaml")).unwrap(),
        _ => return None,
    }
    Some(place)
}

/// What is told of a set of this code, and what the golden says; paths without the folder.
fn text(code: Code) -> (Ran, String, String) {
    let name = code.as_str();
    let (ran, folder, golden) = match made(code) {
        Some(place) => {
            let golden = match code {
                Code::TooLarge => {
                    "error[too-large]: the file is larger than 1 MiB\n--> staging.yaml\n = help: policies fit into a ConfigMap; split the file or move it out of this folder"
                }
                _ => "error[unreadable]: the file cannot be read: No such file or directory (os error 2)\n--> broken.yaml",
            };
            (place.run(&["policy", "lint", "policies"]), "policies", golden.to_owned())
        }
        None => {
            let all = repository().join("tests/policies");
            let golden =
                fs::read_to_string(all.join(name).join("problems.txt")).unwrap_or_else(|_| format!("there is no tests/policies/{name}/problems.txt"));
            (lint_in(&all, &[name]), name, golden)
        }
    };
    let told = ran.err.rsplit_once("\n\n").unwrap().0;
    let told = told
        .replace(&format!("--> {folder}/"), "--> ")
        .replace(&format!("::: {folder}/"), "::: ")
        .replace(&format!("--> {folder}\n"), "--> policies\n");
    (ran, told, golden)
}

#[test]
fn every_code_has_a_folder_and_is_told_there_as_its_golden_says() {
    for code in Code::ALL {
        let (ran, told, golden) = text(code);
        assert_eq!(told.trim_end(), golden.trim_end(), "{code}");
        assert!(told.contains(&format!("{}[{code}]: ", code.severity())), "{code}: {told}");
        let errors = told.contains("error[");
        assert_eq!((ran.code, ran.out.is_empty()), (Some(i32::from(errors)), errors), "{code}");
    }
}

#[test]
fn every_form_says_the_same() {
    for code in Code::ALL {
        let made = made(code);
        let (folder, name) = match &made {
            Some(place) => (place.0.clone(), "policies"),
            None => (repository().join("tests/policies"), code.as_str()),
        };
        let run = |form: &str| {
            let ran = lint_in(&folder, &[name, "-o", form]);
            assert_eq!((ran.code, ran.err.as_str()), (Some(i32::from(!code.is_warning())), ""), "{code} {form}");
            ran.out
        };
        let report: Value = serde_json::from_str(&run("json")).unwrap();
        let log: Value = serde_json::from_str(&run("sarif")).unwrap();
        let commands = run("github");
        let problems = report["problems"].as_array().unwrap();
        assert!(problems.iter().any(|problem| problem["code"] == code.as_str() && problem["severity"] == code.severity()), "{code}: {report}");
        is_sarif(&log);
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert_eq!((results.len(), commands.lines().count()), (problems.len(), problems.len()), "{code}");
        for ((problem, result), command) in problems.iter().zip(results).zip(commands.lines()) {
            let region = &result["locations"][0]["physicalLocation"]["region"];
            assert_eq!((&problem["code"], &problem["severity"]), (&result["ruleId"], &result["level"]));
            // A problem of a whole file stands at its first line, since some readers refuse a log without.
            assert_eq!((problem["line"].as_u64().unwrap_or(1), &problem["column"]), (region["startLine"].as_u64().unwrap(), &region["startColumn"]));
            assert!(command.starts_with(&format!("::{} file={name}", code_of(problem).severity())), "{command}");
            if let (Some(line), Some(column)) = (problem["line"].as_u64(), problem["column"].as_u64()) {
                assert!(command.contains(&format!(",line={line},endLine={line},col={column},")), "{command}");
            }
        }
    }
}

fn code_of(problem: &Value) -> Code {
    Code::named(problem["code"].as_str().unwrap()).unwrap()
}

#[test]
fn each_form_is_what_its_golden_says() {
    let folder = repository().join("tests/cli/lint");
    for (form, golden) in [("json", "expected.json"), ("sarif", "expected.sarif"), ("github", "expected.github")] {
        let ran = lint_in(&folder, &["policies", "-o", form]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{form}");
        let golden = fs::read_to_string(folder.join(golden)).unwrap();
        assert!(ran.out.replace(env!("CARGO_PKG_VERSION"), "VERSION") == golden, "{form} is:\n{}", ran.out);
    }
}

/// What SARIF 2.1.0 (OASIS, section 3) demands of the objects that are written: the properties there are, those that must be, and values.
pub(super) fn is_sarif(log: &Value) {
    fn object(value: &Value, must: &[&str], may: &[&str]) {
        let properties = value.as_object().unwrap();
        assert!(must.iter().all(|name| properties.contains_key(*name)), "{value} lacks one of {must:?}");
        assert!(
            properties.keys().all(|name| must.contains(&name.as_str()) || may.contains(&name.as_str())),
            "{value} has none but {must:?} and {may:?}"
        );
    }
    fn message(value: &Value) {
        object(value, &["text"], &["markdown"]);
        assert!(value.as_object().unwrap().values().all(|text| !text.as_str().unwrap().is_empty()));
    }
    fn place(value: &Value) {
        object(value, &["artifactLocation", "region"], &[]);
        object(&value["artifactLocation"], &["uri"], &[]);
        let uri = value["artifactLocation"]["uri"].as_str().unwrap();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
        assert!(!uri.is_empty() && uri.bytes().all(plain), "{uri} is no reference");
        let region = &value["region"];
        object(region, &["startLine"], &["startColumn", "endColumn"]);
        let number = |name: &str| region.get(name).map_or(1, |number| number.as_u64().unwrap());
        assert!(number("startLine") >= 1 && number("startColumn") >= 1 && number("endColumn") >= number("startColumn"), "{region}");
    }
    object(log, &["version", "runs"], &["$schema"]);
    assert_eq!(log["version"], "2.1.0");
    for run in log["runs"].as_array().unwrap() {
        object(run, &["tool"], &["results", "columnKind"]);
        assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&run["columnKind"].as_str().unwrap()));
        object(&run["tool"], &["driver"], &[]);
        let driver = &run["tool"]["driver"];
        object(driver, &["name"], &["semanticVersion", "rules"]);
        let rules = driver["rules"].as_array().unwrap();
        let level = |value: &Value| assert!(["none", "note", "warning", "error"].contains(&value.as_str().unwrap()));
        let ids: BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), rules.len(), "rules are unique");
        for rule in rules {
            object(rule, &["id"], &["shortDescription", "help", "defaultConfiguration"]);
            message(&rule["shortDescription"]);
            message(&rule["help"]);
            level(&rule["defaultConfiguration"]["level"]);
        }
        for result in run["results"].as_array().unwrap() {
            object(result, &["message"], &["ruleId", "ruleIndex", "level", "locations", "relatedLocations"]);
            message(&result["message"]);
            level(&result["level"]);
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            for location in result["locations"].as_array().unwrap() {
                object(location, &["physicalLocation"], &[]);
                place(&location["physicalLocation"]);
            }
            let mut ids = BTreeSet::new();
            for location in result.get("relatedLocations").and_then(Value::as_array).into_iter().flatten() {
                object(location, &["id", "message", "physicalLocation"], &[]);
                assert!(ids.insert(location["id"].as_u64().unwrap()), "ids are unique within a result");
                message(&location["message"]);
                place(&location["physicalLocation"]);
            }
        }
    }
}

#[test]
fn a_clean_set_is_clean_in_every_form() {
    let place = Place::new();
    let ran = place.run(&["policy", "lint", "policies", "--strict"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let report: Value = serde_json::from_str(&place.run(&["policy", "lint", "policies", "-o", "json"]).out).unwrap();
    assert_eq!((&report["errors"], &report["warnings"], &report["policies"][0]), (&0.into(), &0.into(), &"staging".into()), "{report}");
    let log: Value = serde_json::from_str(&place.run(&["policy", "lint", "policies", "-o", "sarif"]).out).unwrap();
    is_sarif(&log);
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 0);
    assert_eq!(place.run(&["policy", "lint", "policies", "-o", "github"]).out, "");
}

#[test]
fn the_exit_code_says_how_bad_it_is() {
    let place = Place::new();
    place.write("policies/staging.yaml", POLICY.replace("}}", "}, ttl: {grace: 2d}}"));
    let warned = place.run(&["policy", "lint", "policies"]);
    assert_eq!(warned.code, Some(0), "{warned:?}");
    assert!(warned.out.contains("policy `staging`") && warned.err.contains("warning[grace-too-long]"), "{warned:?}");
    let strict = place.run(&["policy", "lint", "policies", "--strict"]);
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert!(strict.err.ends_with("1 warning; more about one: clonewarden policy lint --explain grace-too-long\n"), "{strict:?}");
    // A daemon, a plan and a simulation go by such a set all the same, and say nothing of it.
    let plan = place.plan(&[]);
    assert_eq!((plan.code, plan.err.as_str()), (Some(0), ""), "{plan:?}");
    for wrong in [&["nowhere"][..], &["policies", "-o", "xml"], &[], &["--explain", "no-such-code"], &["nowhere", "-o", "sarif"]] {
        let ran = place.run(&[&["policy", "lint"], wrong].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    }
}

#[test]
fn a_code_can_be_explained() {
    let ran = Place::new().run(&["policy", "lint", "--explain", "ttl-order"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.out.starts_with("ttl-order (error)\n\nIt is not `minimum`") && ran.out.contains("**What to do.**"), "{ran:?}");
}

/// Policies know no clock; who checks them does.
#[test]
fn a_figure_that_is_dated_ahead_of_today_is_refused() {
    let place = Place::new();
    let book = |date: &str| {
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: PriceBook\nmetadata: {{name: ours}}\nspec:\n  region: us-east-1\n  tables:\n  \
             - {{of: eks, asOf: {date}, source: \"https://example.com\", usd: {{control-plane: 0.1}}}}\n"
        )
    };
    place.write("policies/prices.yaml", book("2020-01-01"));
    assert_eq!(place.run(&["policy", "lint", "policies"]).code, Some(0));
    place.write("policies/prices.yaml", book("9000-01-01"));
    place.run(&["policy", "lint", "policies"]).refused(1, &["prices.yaml:7: `control-plane` is dated 9000-01-01, which lies ahead", "asOf"]);
}
