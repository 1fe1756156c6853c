//! `simulate`: traces that are made, tried and taken out of a journal.

use super::Place;
use std::fs;

const TRACE: &str = r#"{"at":"2026-02-05T08:00:00Z","namespace":"wordpress-staging","owner":"ada","ttl":"2h"}
{"at":"2026-02-05T08:30:00Z","namespace":"wordpress-staging","owner":"ada","ttl":"4h","labels":{"clonewarden.io/critical":"true"}}

{"at":"2026-02-05T08:45:00Z","namespace":"wordpress-staging","owner":"eve"}
{"at":"2026-02-05T09:00:00Z","namespace":"wordpress-staging","owner":"eve","ttl":"3h","uses":"90m"}
{"at":"2026-02-05T09:00:00Z","namespace":"nobodys","owner":"eve"}
"#;

const TIGHT: &str = "apiVersion: clonewarden.io/v1alpha1
kind: ClonePolicy
metadata: {name: staging}
spec:
  namespaces: {names: [wordpress-staging]}
  limits: {clones: 2}
  databases:
    - {name: critical, when: \"clone.labels['clonewarden.io/critical'] == 'true'\", use: dedicated, classes: [db.t3.micro]}
    - {name: everyone-else, use: shared, hosts: [small]}
---
apiVersion: clonewarden.io/v1alpha1
kind: DatabaseHost
metadata: {name: small}
spec: {endpoint: small.example.com, schemas: 10}
";

fn place() -> Place {
    let place = Place::new();
    place.write("trace.jsonl", TRACE);
    place.write("tight/staging.yaml", TIGHT);
    place
}

const RUN: [&str; 12] = [
    "simulate",
    "--trace",
    "trace.jsonl",
    "--policies",
    "policies",
    "--against",
    "tight",
    "--nodes",
    "t3.large:2:spot",
    "--host",
    "small=db.t3.small",
    "--patience=90m",
];

#[test]
fn two_sets_of_policies_stand_side_by_side() {
    let ran = place().run(&RUN);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.out, include_str!("simulate/table.txt"), "{}", ran.out);
}

#[test]
fn the_document_has_the_same_figures_and_the_curve() {
    let place = place();
    let ran = place.run(&[RUN.as_slice(), &["-o", "json", "--chart", "chart.svg"]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let expected: serde_json::Value = serde_json::from_str(include_str!("simulate/document.json")).unwrap();
    assert_eq!(document["policies"][1], expected, "{}", document["policies"][1]);
    assert_eq!((&document["kind"], &document["assumed"]["mode"]), (&"Simulation".into(), &"enforce".into()));
    let chart = fs::read_to_string(place.0.join("chart.svg")).unwrap();
    assert!(chart.starts_with("<svg ") && chart.contains(">tight</text>"), "{chart}");
}

#[test]
fn a_trace_is_the_same_for_a_seed_and_can_be_simulated() {
    let place = place();
    let make = |seed: &str| place.run(&["simulate", "make-trace", "--per-hour", "5", "--for", "1d", "--seed", seed]);
    let (one, other) = (make("1"), make("2"));
    assert_eq!((one.code, one.out.lines().count() > 80), (Some(0), true), "{one:?}");
    assert!(one.out == make("1").out && one.out != other.out);
    assert!(one.err.starts_with("note: ") && one.err.ends_with(" arrivals\n"), "{}", one.err);
    place.write("made.jsonl", &one.out);
    let mut with_variables = place.command(&["simulate", "make-trace", "--per-hour", "5", "--for", "1d", "--seed", "1"]);
    let output = with_variables.env("CLONEWARDEN_POLICIES", "policies").env("CLONEWARDEN_OUTPUT", "yaml").output().unwrap();
    assert!(output.stdout == one.out.as_bytes(), "{output:?}");
    let ran = place.run(&["simulate", "--trace", "made.jsonl", "--policies", "policies", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["policies"][0]["arrivals"], one.out.lines().count());
}

#[test]
fn a_trace_is_taken_out_of_a_journal_with_what_is_not_known_said() {
    let place = place();
    let line = |code: &str, action: &str, outcome: &str, facts: &str, more: &str| {
        format!(
            "{{\"time\":\"2026-02-05T08:00:01Z\",\"event\":\"acted\",\"action\":\"{action}\",\"outcome\":\"{outcome}\",\"target\":{{\"kind\":\"WordPressClone\",\
             \"namespace\":\"wordpress-staging\",\"name\":\"clone-1\",\"uid\":\"u-1\"}},\"reason\":{{\"code\":\"{code}\",\"facts\":{facts}}}{more}}}\n"
        )
    };
    let life = r#"{"createdAt":"2026-02-05T08:00:00Z","expiresAt":"2026-02-05T11:00:00Z","cause":"requested"}"#;
    let owner = r#","clone":{"owner":"ada","dedicated":true}"#;
    let journal = "{\"time\":\"2026-02-05T08:00:00Z\",\"event\":\"leaseAcquired\",\"facts\":{}}\n".to_owned()
        + &line("Announced", "warn", "done", life, owner)
        + &line("Terminating", "keep", "", r#"{"since":"2026-02-05T09:30:00Z"}"#, owner)
        + &line("Announced", "warn", "done", &life.replace("requested", "default"), "").replace("u-1", "u-2").replace("clone-1", "clone-2");
    place.write("journal.jsonl", &journal);
    let ran = place.run(&["simulate", "trace-of", "journal.jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.out,
        "{\"at\":\"2026-02-05T08:00:00Z\",\"namespace\":\"wordpress-staging\",\"name\":\"clone-1\",\"owner\":\"ada\",\"ttl\":\"3h\",\"dedicated\":true,\"uses\":\"1h30m\"}\n\
         {\"at\":\"2026-02-05T08:00:00Z\",\"namespace\":\"wordpress-staging\",\"name\":\"clone-2\",\"owner\":\"unknown\"}\n"
    );
    for said in ["2 clones; 1 lines are about other things", "says nothing of labels", "does not say whose 1 of them were"] {
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    // In three files, and one line cut by a crash.
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    place.write("rotated.jsonl.2", lines[..2].concat() + "{\"time\":\"2026-02\n");
    place.write("rotated.jsonl.1", lines[2]);
    place.write("rotated.jsonl", lines[3]);
    let rotated = place.run(&["simulate", "trace-of", "rotated.jsonl"]);
    assert_eq!(rotated.out, ran.out, "{rotated:?}");
    assert!(rotated.err.contains("1 lines were cut by a crash"), "{}", rotated.err);
    place.write("journal.jsonl", &(journal.clone() + "{\n"));
    place.run(&["simulate", "trace-of", "journal.jsonl"]).refused(2, &["journal.jsonl:5: ", "one JSON object a line"]);
}

#[test]
fn bad_input_is_refused_with_its_place_and_what_to_do() {
    let place = place();
    let simulate = |more: &[&str]| place.run(&[["simulate", "--trace", "trace.jsonl", "--policies", "policies"].as_slice(), more].concat());
    place.run(&["simulate"]).refused(2, &["--trace"]);
    place.run(&["simulate", "--trace", "trace.jsonl"]).refused(2, &["--policies"]);
    place.run(&["simulate", "--trace", "none.jsonl", "--policies", "policies"]).refused(2, &["`none.jsonl` cannot be read"]);
    simulate(&["--nodes", "t3.nano:2"]).refused(2, &["t3.nano", "t3.large"]);
    simulate(&["--host", "small=db.t3.small"]).refused(2, &["--host small: no policy file has a DatabaseHost of that name"]);
    simulate(&["--orphans", "101"]).refused(2, &["percentage"]);
    simulate(&["--definition", "policies/staging.yaml"]).refused(2, &["policies/staging.yaml", "ResourceGraphDefinition"]);
    simulate(&["--retry-every", "5"]).refused(2, &["the unit is missing"]);
    place.run(&["simulate", "make-trace", "--ttl", "2h:x"]).refused(2, &["--ttl: `2h:x`", "weight"]);
    simulate(&["--region", "mars-1"]).refused(2, &["--region mars-1", "us-east-1", "`PriceBook`"]);
    simulate(&["--retry-every", "1s", "--patience", "520w"]).refused(2, &["more than 10000 tries"]);
    let sized = simulate(&["--nodes", "m6i.large:2", "--nodes", "c5.large", "--nodes", "t4g.large:1"]);
    assert_eq!(sized.code, Some(0), "{sized:?}");
    place.write("trace.jsonl", &(TRACE.to_owned() + "{\"at\":\"2026-02-05T07:00:00Z\",\"namespace\":\"n\",\"owner\":\"o\"}\n"));
    simulate(&[]).refused(2, &["trace.jsonl:7: ", "in the order of time; sort it by `at`"]);
    place.write("trace.jsonl", "{\"at\":\"2026-02-05T07:00:00Z\",\"namespace\":\"n\",\"ownr\":\"o\"}\n");
    simulate(&[]).refused(2, &["trace.jsonl:1:", "unknown field `ownr`", "write it as one of these, or take it out"]);
    place.write("trace.jsonl", "");
    simulate(&[]).refused(2, &["nobody comes in the trace `trace.jsonl`", "make-trace"]);
    place.write("policies/staging.yaml", "kind: ClonePolicy\n");
    simulate(&[]).refused(2, &["error", "staging.yaml"]);
}

#[test]
fn nothing_is_compared_with_itself_and_no_input_is_written_over() {
    let place = place();
    let simulate = |more: &[&str]| place.run(&[["simulate", "--trace", "trace.jsonl", "--policies", "policies"].as_slice(), more].concat());
    simulate(&["--against", "./policies/"]).refused(2, &["--policies policies --against ./policies/: they are one folder"]);
    std::os::unix::fs::symlink(place.0.join("trace.jsonl"), place.0.join("link.svg")).unwrap();
    for chart in ["trace.jsonl", "./trace.jsonl", "link.svg"] {
        simulate(&["--chart", chart]).refused(2, &[&format!("--chart {chart}: that is `trace.jsonl`, which is read")]);
    }
    for chart in ["policies/staging.yaml", "policies/new.yaml", "tight/staging.yaml"] {
        simulate(&["--against", "tight", "--chart", chart]).refused(2, &["that is a policy file of"]);
    }
    place.run(&["simulate", "make-trace", "-o", "policies/staging.yaml"]).refused(2, &["that may be a policy file"]);
    assert_eq!(fs::read_to_string(place.0.join("trace.jsonl")).unwrap(), TRACE);
    assert_eq!(fs::read_to_string(place.0.join("policies/staging.yaml")).unwrap(), super::POLICY);
    place.write("a/policies/staging.yaml", super::POLICY);
    place.write("b/policies/staging.yaml", super::POLICY);
    let ran = place.run(&["simulate", "--trace", "trace.jsonl", "--policies", "a/policies", "--against", "b/policies"]);
    assert!(ran.out.contains("a/policies  b/policies"), "{ran:?}");
}

#[test]
fn a_trace_of_nothing_is_refused() {
    let place = place();
    let of = |text: &str| {
        place.write("journal.jsonl", text);
        place.run(&["simulate", "trace-of", "journal.jsonl"])
    };
    of("").refused(2, &["`journal.jsonl` holds no line of a journal: it is empty"]);
    of("{}\n{}\n").refused(2, &["holds no line of a journal: its first line has neither `time` nor `event`"]);
    of(TRACE).refused(2, &["holds no line of a journal: it is a trace already"]);
    let make = |args: &[&str]| place.run(&[["simulate", "make-trace", "-o", "made.jsonl"].as_slice(), args].concat());
    make(&["--owners", "0"]).refused(2, &["--owners"]);
    make(&["--per-hour", "1e-300"]).refused(2, &["nobody comes"]);
    make(&["--start", "1969-12-31T00:00:00Z"]).refused(2, &["the dates of a trace are from 1970-01-01T00:00:00Z to 9987-"]);
    make(&["--start", "9987-01-01T00:00:00Z", "--for", "520w"]).refused(2, &["the dates of a trace are from"]);
    assert!(!place.0.join("made.jsonl").exists());
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_trace() {
    let place = place();
    place.write("trace.jsonl", format!("\u{feff}{TRACE}"));
    let ran = place.run(&RUN);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), include_str!("simulate/table.txt")), "{ran:?}");
}
