//! The dashboards that ship, read by Grafana's own types as strictly as they can.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clonewarden_platform::Platform;

/// What is wrong with these files; empty: nothing.
fn read(platform: &Platform, files: &[PathBuf]) -> String {
    let output = Command::new(platform.program("grafana")).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{output:?}");
    said
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn grafanas_own_types_have_every_field_of_every_dashboard() {
    let platform = Platform::attach().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboards/grafana");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 6, "{files:?}");
    assert_eq!(read(&platform, &files), "");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn a_field_that_is_wrong_missing_or_unknown_is_seen() {
    let platform = Platform::attach().unwrap();
    let good = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboards/grafana/overview.json")).unwrap();
    let file = std::env::temp_dir().join(format!("clonewarden-dashboard-{}.json", std::process::id()));
    for (from, to) in [
        ("\"schemaVersion\": 39", "\"schemaVersion\": \"39\""),
        ("\"graphMode\"", "\"graphMood\""),
        ("\"gridPos\"", "\"place\""),
        ("\"instant\": true", "\"instantly\": true"),
        ("\"fillOpacity\": 40", "\"fillOpacity\": \"40\""),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&file, good.replace(from, to)).unwrap();
        assert!(!read(&platform, std::slice::from_ref(&file)).is_empty(), "{to}");
    }
    fs::remove_file(file).unwrap();
}
