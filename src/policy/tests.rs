//! Whole sets of files: what bad ones are told (goldens in `tests/policies`), what good ones mean, and that nothing panics.
//!
//! Each folder of `tests/policies` is a set of files with what is wrong with it in `problems.txt`. No run ever writes there. When
//! a message is to change, the test prints the new text whole: read it, then copy it into the file by hand.

mod pages;
mod properties;
mod schema;

use super::*;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_in(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let yaml = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

fn load_text(text: &str) -> Result<Policies, Problems> {
    load_files(vec![("policy.yaml".to_owned(), text.as_bytes().to_vec())])
}

/// The only policy of a text whose `spec` has these lines besides its namespaces.
fn policy(spec: &str) -> Arc<ClonePolicy> {
    let head = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec:\n  namespaces: {names: [n]}\n";
    let set = load_text(&format!("{head}{spec}\n")).unwrap_or_else(|problems| panic!("{problems}"));
    Arc::clone(&set.policies[0])
}

fn codes(problems: &Problems) -> Vec<Code> {
    problems.iter().map(|problem| problem.code).collect()
}

/// A folder of this test alone; gone with the guard.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("clonewarden-policy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SMALL: &str = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";

#[test]
fn one_file_is_what_a_folder_with_nothing_else_would_be() {
    let folder = Folder::new("one-file");
    for (name, text) in [("p.yaml", SMALL), ("broken.yaml", "kind: {"), ("COMMIT", "abc123\n")] {
        fs::write(folder.0.join(name), text).unwrap();
    }
    assert!(load_dir(&folder.0).is_err());
    let one = load_dir(&folder.0.join("p.yaml")).unwrap();
    assert_eq!((one.revision.hash, one.policies.len()), (load_files(vec![("p.yaml".to_owned(), SMALL.into())]).unwrap().revision.hash, 1));
    assert_eq!(one.revision.commit.as_deref(), Some("abc123"));
    let broken = load_dir(&folder.0.join("broken.yaml")).unwrap_err().to_string();
    assert!(broken.contains(&format!("{}/broken.yaml:1", folder.0.display())), "{broken}");
}

#[test]
fn bad_files_are_told_what_the_goldens_say() {
    let mut different = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut cases: Vec<PathBuf> = fs::read_dir(repository().join("tests/policies")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let problems = lint_files(files_in(case)).problems;
        assert!(problems.count() > 0, "{name}");
        seen.extend(codes(&problems));
        let got = format!("{problems}\n");
        let golden = fs::read_to_string(case.join("problems.txt")).unwrap_or_default();
        if got != golden {
            let (at, (want, have)) = first_difference(&golden, &got);
            different.push(format!(
                "tests/policies/{name}/problems.txt differs from line {at}:\n- {want}\n+ {have}\n\
                 if the new text is right, copy all of it into that file by hand:\n{got}<end of tests/policies/{name}/problems.txt>"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
    // What needs no text of its own is tested below: a file that cannot be read, and one that is too large.
    for code in Code::ALL.into_iter().filter(|code| ![Code::Unreadable, Code::TooLarge].contains(code)) {
        assert!(seen.contains(&code), "no golden shows `{code}`");
    }
}

fn first_difference<'a>(golden: &'a str, got: &'a str) -> (usize, (&'a str, &'a str)) {
    let mut lines = (1..).zip(golden.lines().map(Some).chain(std::iter::repeat(None)).zip(got.lines().map(Some).chain(std::iter::repeat(None))));
    let found = lines.find(|(_, (want, have))| want != have || want.is_none()).unwrap();
    (found.0, (found.1.0.unwrap_or("<end>"), found.1.1.unwrap_or("<end>")))
}

#[test]
fn the_policies_of_this_repository_load() {
    let set = load_dir(&repository().join("policies")).unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<&str> = set.policies.iter().map(|policy| &*policy.name).collect();
    assert_eq!(names, ["production", "staging"]);
    assert!(set.policies.iter().all(|policy| policy.mode == Mode::Audit), "what people copy must not delete");
    let budgets: Decimal = set.policies.iter().map(|policy| policy.budget.as_ref().unwrap().monthly).sum();
    assert!(budgets < Decimal::from(250));
    assert_eq!(set.policies[1].limits.clones, Some(10));
    assert_eq!(set.policies[0].quota["requests.memory"].text, "32Gi");
    assert_eq!(set.hosts[0].rds, Some(RdsHost::Cluster("production-aurora".to_owned())));
}

#[test]
fn the_example_of_the_contract_means_what_it_says() {
    let set = load_text(
        r#"
apiVersion: clonewarden.io/v1alpha1
kind: ClonePolicy
metadata: {name: staging}
spec:
  mode: enforce
  namespaces: {selector: {matchLabels: {team: web}}}
  ttl: {default: 3h, minimum: 20m, maximum: 2d, warnings: [10m, 2h, 600s], grace: 5m}
  limits: {clones: 10, dedicatedDatabases: 0, clonesPerOwner: 3, overflow: reap-newest}
  quota: {requests.cpu: 4, requests.memory: 8Gi}
  databases:
    - {name: critical, when: "true", use: dedicated, classes: [db.t3.micro, db.t3.small]}
    - {name: bursty, when: "false", use: dedicated, serverless: {minACU: 0.5, maxACU: 4}}
    - {name: everyone-else, use: shared, hosts: [staging-mysql]}
  budget: {monthly: 100.10, warnAt: 70, atLimit: deny}
  orphans: {soak: 2h, observations: 5, finalSnapshot: false, snapshotsKeptFor: 2w}
  brake: {deletes: 0, percent: 100, per: 1h}
---
apiVersion: clonewarden.io/v1alpha1
kind: DatabaseHost
metadata: {name: staging-mysql}
spec: {endpoint: staging.x.us-east-1.rds.amazonaws.com, schemas: 40, rds: {instance: staging-mysql}}
"#,
    );
    let set = set.unwrap_or_else(|problems| panic!("{problems}"));
    let policy = &set.policies[0];
    assert_eq!((policy.mode, policy.line, policy.file.as_str()), (Mode::Enforce, 4, "policy.yaml"));
    assert_eq!(policy.namespaces, Namespaces::Selector([("team".to_owned(), "web".to_owned())].into()));
    let warnings = vec![Span::hours(2), Span::minutes(10)];
    let ttl = Ttl { default: Span::hours(3), minimum: Span::minutes(20), maximum: Span::hours(48), warnings, grace: Span::minutes(5) };
    assert_eq!(policy.ttl, ttl);
    assert_eq!(policy.limits.overflow, Overflow::ReapNewest);
    assert_eq!(policy.quota["requests.cpu"].text, "4");
    assert_eq!(policy.databases[1].placement, Placement::Serverless { min_acu: Decimal::new(5, 1), max_acu: Decimal::from(4) });
    let budget = policy.budget.as_ref().unwrap();
    assert_eq!((budget.monthly, budget.warn_at, budget.at_limit), (Decimal::new(10010, 2), 70, AtLimit::Deny));
    assert_eq!(policy.orphans.snapshots_kept_for, Span::hours(24 * 14));
    assert_eq!(policy.brake, BrakeRules { deletes: 0, percent: 100, per: Span::hours(1) });
    assert_eq!((set.hosts[0].endpoint.port(), set.hosts[0].schemas, set.hosts[0].line), (3306, 40, 21));
}

#[test]
fn what_is_not_said_is_the_default() {
    let policy = policy("");
    assert_eq!((policy.mode, policy.ttl.clone(), policy.limits), (Mode::Audit, Ttl::default(), Limits::default()));
    assert_eq!((policy.orphans, policy.brake), (OrphanRules::default(), BrakeRules::default()));
    assert!(policy.budget.is_none() && policy.databases.is_empty() && policy.quota.is_empty() && policy.idle.is_none());
}

#[test]
fn a_policy_says_when_a_clone_is_idle() {
    let policy = policy("  idle: {after: 10m}");
    assert_eq!(policy.idle.map(|rule| rule.after), Some(Span::minutes(10)), "as long as the grace");
    assert_eq!(self::policy("  ttl: {maximum: 2h}\n  idle: {after: 119m}").idle.map(|rule| rule.after), Some(Span::minutes(119)));
    assert_eq!(self::policy("  idle:").idle, None);
}

#[test]
fn a_part_with_nothing_below_it_is_not_said() {
    let policy = policy("  ttl:\n    # default: 2h\n  limits:\n  quota:\n  databases:\n  budget:\n  orphans: ~\n  brake: {}");
    assert_eq!((policy.ttl.clone(), policy.limits), (Ttl::default(), Limits::default()));
}

#[test]
fn defaults_stay_below_a_short_maximum() {
    for (maximum, default, minimum, warnings) in [
        ("90m", Span::minutes(90), Span::minutes(15), vec![Span::hours(1), Span::minutes(10)]),
        ("1h", Span::hours(1), Span::minutes(15), vec![Span::minutes(10)]),
        ("10m", Span::minutes(10), Span::minutes(10), vec![]),
    ] {
        let ttl = policy(&format!("  ttl: {{maximum: {maximum}}}")).ttl.clone();
        assert_eq!((ttl.default, ttl.minimum, ttl.warnings), (default, minimum, warnings), "{maximum}");
    }
    assert!(policy("  ttl: {warnings: []}").ttl.warnings.is_empty());
    assert_eq!(policy("  ttl: {maximum: 1h, warnings: [1h]}").ttl.warnings, [Span::hours(1)]);
}

#[test]
fn line_ends_marks_and_markers_change_nothing() {
    let plain = load_text(SMALL).unwrap();
    for text in [
        SMALL.replace('\n', "\r\n"),
        format!("\u{feff}{SMALL}"),
        format!("---\n{SMALL}...\n---\n# nothing\n--- \n~\n"),
        format!("%YAML 1.2\n---\n{SMALL}"),
        SMALL.replace("[n]", "[n]\t").trim_end().to_owned(),
    ] {
        let set = load_text(&text).unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
        assert_eq!(set.policies[0].ttl, plain.policies[0].ttl, "{text:?}");
        assert_ne!(set.revision, plain.revision);
    }
}

#[test]
fn an_anchor_may_be_used_again() {
    let policy = policy("  ttl: {default: &short 1h, minimum: *short}\n  orphans: {soak: *short}");
    assert_eq!((policy.ttl.minimum, policy.orphans.soak), (Span::hours(1), Span::hours(1)));
}

#[test]
fn the_revision_is_that_of_names_and_bytes() {
    let file = |name: &str, extra: &str| (name.to_owned(), format!("{SMALL}{extra}").into_bytes());
    let empty = |name: &str| (name.to_owned(), Vec::new());
    let revision = |files| load_files(files).unwrap().revision.hash;
    let one = revision(vec![file("a.yaml", ""), empty("b.yaml")]);
    assert!(one.starts_with("sha256:") && one.len() == 7 + 64);
    assert_eq!(one, revision(vec![empty("b.yaml"), file("a.yaml", "")]), "the order of listing does not matter");
    assert_ne!(one, revision(vec![file("a.yaml", "#"), empty("b.yaml")]));
    assert_ne!(one, revision(vec![file("a.yaml", ""), empty("c.yaml")]));
    assert_ne!(one, revision(vec![file("a.yaml", "")]));
    // What is a comment at the end of one file is not the beginning of the next.
    assert_ne!(revision(vec![file("a.yaml", "#b.yaml"), empty("c.yaml")]), revision(vec![file("a.yaml", "#"), empty("b.yamlc.yaml")]));
}

#[test]
fn a_folder_is_read_as_a_mount_shows_it() {
    let folder = Folder::new("mount");
    let data = folder.0.join("..2026_02_05");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("staging.yaml"), SMALL).unwrap();
    std::os::unix::fs::symlink("..2026_02_05", folder.0.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/staging.yaml", folder.0.join("staging.yaml")).unwrap();
    fs::write(folder.0.join("staging_test.yaml"), "not: a policy").unwrap();
    fs::write(folder.0.join(".hidden.yaml"), "not: a policy").unwrap();
    fs::write(folder.0.join("README.md"), "words").unwrap();
    fs::create_dir(folder.0.join("more.yaml")).unwrap();
    fs::create_dir(folder.0.join("below")).unwrap();
    fs::write(folder.0.join("below/other.yaml"), "not: a policy").unwrap();
    let set = load_dir(&folder.0).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(set.policies[0].file, "staging.yaml");
    assert_eq!(set.revision, load_files(vec![("staging.yaml".to_owned(), SMALL.into())]).unwrap().revision);
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = Folder::new("unreadable");
    let problems = load_dir(&folder.0).unwrap_err();
    assert_eq!(codes(&problems), [Code::NoPolicy]);
    assert!(problems.render(false).contains(&folder.0.display().to_string()));

    std::os::unix::fs::symlink("nowhere", folder.0.join("gone.yml")).unwrap();
    fs::write(folder.0.join("ok.yaml"), SMALL).unwrap();
    let problems = load_dir(&folder.0).unwrap_err();
    assert_eq!(codes(&problems), [Code::Unreadable], "and the policies beside it do not load without it");
    assert_eq!(&*problems.iter().next().unwrap().place.file, "gone.yml");

    let problems = load_dir(&folder.0.join("no-such-folder")).unwrap_err();
    assert_eq!(codes(&problems), [Code::Unreadable]);
}

#[test]
fn a_file_that_is_too_large_is_not_parsed() {
    let large = format!("{SMALL}# {}", "x".repeat(1 << 20)).into_bytes();
    let problems = load_files(vec![("large.yaml".to_owned(), large)]).unwrap_err();
    assert_eq!(codes(&problems), [Code::TooLarge]);
}

#[test]
fn thousands_of_problems_are_counted_not_shown() {
    let names: String = (0..5_000).map(|number| format!("Bad_{number}, ")).collect();
    let problems = load_text(&SMALL.replace("[n]", &format!("[{names}]"))).unwrap_err();
    assert_eq!((problems.iter().count(), problems.count()), (100, 5_000));
    assert!(problems.render(false).ends_with("… and 4900 more problems"));
    assert_eq!(codes(&load_text(&"---\na: 1\n".repeat(600)).unwrap_err()).len(), 100);
}

#[test]
fn numbers_beyond_every_type_are_bad_values() {
    for number in ["99999999999999999999999999999999999", "170141183460469231731687303715884105727", "1e300", "-5", "0.00000000000000000000000000001"]
    {
        let problems =
            load_text(&format!("{}  budget: {{monthly: {number}}}\n", SMALL.replace("{namespaces: {names: [n]}}", "\n  namespaces: {names: [n]}\n")));
        assert_eq!(codes(&problems.expect_err(number)), [Code::BadValue], "{number}");
    }
}

#[test]
fn colour_is_the_callers_choice() {
    let problems = load_text("kind: ClonePolicy").unwrap_err();
    assert!(problems.render(true).contains('\u{1b}') && !problems.render(false).contains('\u{1b}'));
}

#[test]
fn a_missing_host_is_not_reported_where_it_may_be_in_a_broken_document() {
    let spec = "  databases: [{name: a, use: shared, hosts: [mysql]}]";
    let good = format!("{}{spec}\n", SMALL.replace("{namespaces: {names: [n]}}", "\n  namespaces: {names: [n]}\n"));
    assert_eq!(codes(&load_text(&good).unwrap_err()), [Code::UnknownHost]);
    assert_eq!(codes(&load_text(&format!("{good}---\nkind: \"\n")).unwrap_err()), [Code::Syntax]);
    let host = "---\napiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: mysql}\nspec: {endpiont: x}\n";
    assert_eq!(codes(&load_text(&format!("{good}{host}")).unwrap_err()), [Code::UnknownField]);
}
