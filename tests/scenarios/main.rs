//! Golden scenarios: exported files and policies in, the rendered plan out.
//!
//! Each folder here is one scenario. `about` says which guarantee it protects, `args` how the command is called, `policies/` and
//! `from/` are what it reads, and `expected.json` (or `.txt`) is what it must print, byte for byte. A run never writes them.
//! To take in a change that is meant, look at the difference, hold it against the rules of the design, and then write it:
//!
//! ```text
//! cd tests/scenarios/NAME && clonewarden $(cat args) --policies policies --from from > expected.json
//! ```

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what a test cannot set up must fail it")]

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn scenarios() -> Vec<PathBuf> {
    let folders = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut folders: Vec<PathBuf> = folders.collect();
    folders.sort();
    folders
}

/// What a scenario must print: the one file of the two that is there.
fn expected(folder: &Path) -> (PathBuf, String) {
    let found: Vec<PathBuf> = ["expected.json", "expected.txt"].iter().map(|name| folder.join(name)).filter(|path| path.exists()).collect();
    assert_eq!(found.len(), 1, "{} needs either expected.json or expected.txt", folder.display());
    (found[0].clone(), fs::read_to_string(&found[0]).unwrap())
}

/// Why a scenario does not hold, if it does not.
fn fault(folder: &Path) -> Option<String> {
    let name = folder.file_name().unwrap().to_string_lossy();
    let args = fs::read_to_string(folder.join("args")).unwrap();
    // Only what is in the folder may decide: no variable of the machine, no terminal.
    let run = Command::new(env!("CARGO_BIN_EXE_clonewarden"))
        .args(args.split_whitespace())
        .args(["--policies", "policies", "--from", "from"])
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap();
    let (printed, said) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap());
    if run.status.code() != Some(0) {
        return Some(format!("{name}: exit code {:?}\n{said}", run.status.code()));
    }
    let (path, wanted) = expected(folder);
    if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str::<serde_json::Value>(&printed).unwrap();
    }
    (printed != wanted).then(|| format!("{name}: differs from {} (- wanted, + printed)\n{}", path.display(), difference(&wanted, &printed)))
}

/// The lines that differ, each with its number: what both begin and end with is left out.
fn difference(wanted: &str, printed: &str) -> String {
    let (wanted, printed): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), printed.lines().collect());
    let same = wanted.iter().zip(&printed).take_while(|(one, other)| one == other).count();
    let tail = wanted.iter().rev().zip(printed.iter().rev()).take_while(|(one, other)| one == other).count();
    let tail = tail.min(wanted.len() - same).min(printed.len() - same);
    let mut out = String::new();
    for (sign, lines) in [('-', &wanted), ('+', &printed)] {
        for (number, line) in lines.iter().enumerate().take(lines.len() - tail).skip(same) {
            writeln!(out, "  {sign}{:>4} {line}", number + 1).unwrap();
        }
    }
    out
}

#[test]
fn every_scenario_prints_what_is_expected() {
    let all = scenarios();
    assert!(all.len() >= 50, "only {} scenarios were found", all.len());
    let faults: Vec<String> = all.iter().filter_map(|folder| fault(folder)).collect();
    assert!(faults.is_empty(), "{} of {} scenarios do not hold\n\n{}", faults.len(), all.len(), faults.join("\n\n"));
}

#[test]
fn every_scenario_says_which_guarantee_it_protects() {
    for folder in scenarios() {
        let about = fs::read_to_string(folder.join("about")).unwrap();
        assert!(about.split_whitespace().count() >= 8, "{}", folder.display());
        for part in ["policies", "from"] {
            assert!(folder.join(part).is_dir(), "{} has no {part}", folder.display());
        }
    }
}

/// Codes that need a daemon which watches and remembers: files cannot show them.
const NEED_A_DAEMON: [&str; 41] = [
    "AccountChanged",
    "BudgetExceeded",
    "BudgetNear",
    "Busy",
    "ClaimsForeign",
    "ClockUntrusted",
    "CloneEnded",
    "ClusterIdShared",
    "Collapsed",
    "CopiedLabels",
    "CredentialsHeld",
    "CredentialsKeyChanged",
    "CredentialsKeyLost",
    "CredentialsKeyMissing",
    "CredentialsKeyUnread",
    "CredentialsKeyUnusable",
    "Deleted",
    "ExpiryUnreadable",
    "GoesWithJob",
    "HostNotGoverned",
    "Idle",
    "MemberNotOurs",
    "Protected",
    "RegionNotSwept",
    "RowDisagrees",
    "SchemaForeign",
    "SchemaMissing",
    "SnapshotExpired",
    "SnapshotImpossible",
    "SnapshotOurs",
    "StillNeeded",
    "StuckDeleting",
    "TagsGone",
    "Unclaimed",
    "Unpriced",
    "UsageCounted",
    "UseNotCounted",
    "UseNoted",
    "Vetoed",
    "WaitsForCluster",
    "WaitsForMembers",
];

#[test]
fn every_reason_that_files_can_show_is_shown_by_a_scenario() {
    let documented = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reasons.md")).unwrap();
    let codes: BTreeSet<&str> = documented.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(codes.len() > 20, "{codes:?}");
    let all: String = scenarios().iter().map(|folder| expected(folder).1).collect();
    for code in codes.iter().filter(|code| !NEED_A_DAEMON.contains(code)) {
        assert!(all.contains(&format!("\"code\": \"{code}\"")), "no scenario shows {code}");
    }
    for code in NEED_A_DAEMON {
        assert!(codes.contains(code) && !all.contains(code), "{code}");
    }
}
