//! What is written of the command line elsewhere is what the binary says: `docs/cli.md`, and the settings of the chart.

use super::Place;
use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

fn repository(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The names under `Commands:` in a help.
fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A long explanation goes on in lines that are indented further.
    lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' '))).map(|line| line.split(' ').next().unwrap()).collect()
}

/// A section for a command, and one for each command in it.
fn describe(place: &Place, words: &[&str], page: &mut String) {
    let ran = place.run(&[words, &["--help"]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{words:?}");
    let lines: Vec<_> = ran.out.lines().map(str::trim_end).collect();
    let heading = [&["clonewarden"], words].concat().join(" ");
    writeln!(page, "\n## {heading}\n\n```text\n{}\n```", lines.join("\n")).unwrap();
    for command in commands(&ran.out) {
        describe(place, &[words, &[command]].concat(), page);
    }
}

/// After a change of the flags: what this prints is the page from its first heading of the second order on. Read it, and copy it.
#[test]
fn the_page_of_the_command_line_is_what_the_binary_says() {
    let mut page = String::new();
    describe(&Place::new(), &[], &mut page);
    let written = repository("docs/cli.md");
    let (_, written) = written.split_once("\n\n").unwrap();
    let (_, written) = written.split_at(written.find("\n## ").unwrap());
    assert!(written == page, "docs/cli.md is not what the binary says, which is:\n{page}");
    assert!(page.matches("\n## ").count() > 30, "{page}");
}

/// The chart takes every setting of `run` but those that it makes by itself.
#[test]
fn the_chart_knows_every_setting() {
    let itself = ["api-listen", "config", "help", "listen", "namespace", "policies", "webhook-advertise", "webhook-configuration", "webhook-listen"];
    let help = Place::new().run(&["run", "--help"]).out;
    let flags = help.lines().filter_map(|line| line.trim_start().split("--").nth(1).filter(|_| line.trim_start().starts_with('-')));
    let mut flags: BTreeSet<_> = flags.map(|flag| flag.split([' ', '[', '=']).next().unwrap()).collect();
    for flag in itself {
        assert!(flags.remove(flag), "`run` has no --{flag}: {flags:?}");
    }
    let schema: serde_json::Value = serde_json::from_str(&repository("deploy/chart/values.schema.json")).unwrap();
    let settings = schema["properties"]["settings"]["properties"].as_object().unwrap();
    assert_eq!(settings.keys().map(String::as_str).collect::<BTreeSet<_>>(), flags, "left: deploy/chart/values.schema.json");
}
