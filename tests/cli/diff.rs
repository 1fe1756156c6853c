//! `policy diff`: its three forms, folders and Git revisions, exit codes, and that nothing of what users write means anything in a comment.
//!
//! `diff/` holds two sets, a cluster, and what each form says of them. No run writes any of that; a change that is meant is looked at and
//! copied in by hand.

use super::{CLONE, POLICY, Place, Ran};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const NOW: &str = "2026-02-05T16:00:00Z";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/diff")
}

fn golden(output: &str, file: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
    command.args(["policy", "diff", "old", "new", "--from", "from", "--now", NOW, "-o", output]).current_dir(folder()).env_clear();
    let ran = Ran::from(command.output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let golden = fs::read_to_string(folder().join(file)).unwrap_or_default();
    assert!(ran.out == golden, "{file} is another one; it is:\n{}", ran.out);
    ran.out
}

#[test]
fn people_get_a_table() {
    golden("table", "table.txt");
}

#[test]
fn a_pull_request_gets_markdown() {
    let text = golden("markdown", "comment.md");
    assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
}

#[test]
fn programs_get_all_of_it() {
    let document: Value = serde_json::from_str(&golden("json", "document.json")).unwrap();
    assert_eq!(document["policies"][0]["reaped"].as_array().map(Vec::len), Some(23), "also what the other forms cut");
}

/// A place that is the top of a repository of its own, with `POLICY` in its one commit.
fn repository() -> Place {
    let place = Place::new();
    git(&place, &["init", "--quiet", "--initial-branch", "main"]);
    commit(&place, "first");
    place
}

/// Runs git there, as somebody.
pub(super) fn git(place: &Place, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]).args(args).current_dir(&place.0);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits everything that is there.
pub(super) fn commit(place: &Place, message: &str) {
    git(place, &["add", "--all"]);
    git(place, &["commit", "--quiet", "--message", message]);
}

/// `policy diff` over the cluster of the place; a repository is not looked for above it.
fn diff(place: &Place, args: &[&str]) -> Ran {
    diff_in(place, ".", args)
}

fn diff_in(place: &Place, folder: &str, args: &[&str]) -> Ran {
    let from = place.0.join("from").display().to_string();
    let mut command = place.command(&["policy", "diff", "--from", &from, "--now", NOW]);
    command.args(args).current_dir(place.0.join(folder)).env("GIT_CEILING_DIRECTORIES", place.0.parent().unwrap());
    Ran::from(command.output().unwrap())
}

fn shorter() -> String {
    POLICY.replace("}}", "}, ttl: {default: 1h, maximum: 1h}}")
}

#[test]
fn revisions_are_read_through_git() {
    let place = repository();
    let first = git(&place, &["rev-parse", "HEAD"]);
    place.write("policies/staging.yaml", shorter());
    place.write("policies/staging_test.yaml", "not: read");
    place.write("policies/more/staging.yaml", "not: read");
    // What is not committed yet against what is.
    let reaped = |ran: &Ran| {
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        let policy = &document["policies"][0];
        assert_eq!((&policy["name"], &policy["reaped"][0]["clone"]), (&"staging".into(), &"wordpress-staging/clone-1".into()), "{ran:?}");
        document
    };
    let document = reaped(&diff(&place, &["main", "policies", "-o", "json"]));
    assert_eq!((document["old"]["commit"].as_str(), document["old"]["folder"].as_str()), (Some(first.as_str()), Some("policies")));
    assert_eq!(document["new"]["commit"], Value::Null);
    commit(&place, "second");
    let document = reaped(&diff(&place, &["HEAD~1", "HEAD", "-o", "json"]));
    // The revision of the set is that of the folder, wherever it is read from.
    let lint = place.run(&["policy", "lint", "policies"]);
    assert!(lint.out.contains(document["new"]["policyRevision"].as_str().unwrap()), "{lint:?}");
    reaped(&diff(&place, &["HEAD^{/first}:policies/", "main:./policies", "-o", "json"]));
    reaped(&diff(&place, &[&format!("{first}:policies"), "HEAD", "-o", "json"]));
    // From below, and from outside of the folder.
    reaped(&diff_in(&place, "policies", &["HEAD~1", ".", "-o", "json"]));
    reaped(&diff_in(&place, "from", &["HEAD~1", "../policies", "-o", "json"]));
    let shown = diff(&place, &["HEAD~1", "main"]);
    assert!(shown.out.starts_with(&format!("old  HEAD~1  (commit {first:.12}, sha256:")), "{}", shown.out);
    // An annotated tag is its commit.
    git(&place, &["tag", "--annotate", "--message", "one", "v1", &first]);
    let document = reaped(&diff(&place, &["v1", "HEAD", "-o", "json"]));
    assert_eq!(document["old"]["commit"].as_str(), Some(first.as_str()));
}

#[test]
fn a_page_of_a_longer_list_is_no_answer() {
    let place = repository();
    place.write("page/wordpressclones.yaml", "apiVersion: v1\nkind: List\nmetadata: {continue: more}\nitems: []\n");
    place.write("shorter/staging.yaml", shorter());
    for form in ["table", "markdown"] {
        let ran = place.run(&["policy", "diff", "policies", "shorter", "--from", "page", "-o", form]);
        assert!(ran.code == Some(0) && ran.out.contains("NOT KNOWN") && !ran.out.contains("no clone to which"), "{ran:?}");
    }
}

#[test]
fn what_a_hook_says_of_its_repository_leads_nowhere_else() {
    let (place, other) = (repository(), Place::new());
    git(&other, &["init", "--quiet", "--initial-branch", "main"]);
    other.write("policies/other.yaml", "kind: none");
    commit(&other, "other");
    let mut command = place.command(&["policy", "diff", "main", "policies", "--from", "from", "--now", NOW, "--exit-code"]);
    let ran = Ran::from(command.env("GIT_DIR", other.0.join(".git")).output().unwrap());
    assert!(ran.code == Some(0) && ran.out.contains("no difference"), "{ran:?}");
}

#[test]
fn a_folder_that_is_called_like_a_revision_is_the_folder() {
    let place = repository();
    place.write("main/staging.yaml", shorter());
    let ran = diff(&place, &["policies", "main", "-o", "json"]);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&document["new"]["commit"], &document["policies"][0]["reaped"][0]["end"]), (&Value::Null, &"2026-02-05T15:30:22Z".into()));
    // A colon asks for the revision all the same.
    let ran = diff(&place, &["policies", "main:policies", "--exit-code"]);
    assert!(ran.code == Some(0) && ran.out.contains("no difference: the files are the same"), "{ran:?}");
}

#[test]
fn what_cannot_be_read_is_said_with_its_side() {
    let place = repository();
    for (args, said) in [
        (&["nowhere", "policies"][..], &["the old policies, `nowhere`", "no folder and no Git revision `nowhere`"][..]),
        (&["policies", "main:nowhere"], &["the new policies", "revision `main` has no folder `nowhere`"]),
        (&["policies", "main:policies/staging.yaml"], &["`policies/staging.yaml` of revision `main` is no folder"]),
        (&["policies", ":policies"], &["names no revision before the colon", "main:policies"]),
        (&["policies", ""], &["neither a folder nor a Git revision"]),
        (&["--", "--upload-pack=x", "policies"], &["`--upload-pack=x` is neither a folder nor a Git revision"]),
        (&["policies", "--output=x"], &["--output"]),
        (&["policies"], &["NEW"]),
    ] {
        diff(&place, args).refused(2, said);
    }
    let bare = Place::new();
    diff(&bare, &["main", "policies"]).refused(2, &["the old policies", "git says: not a git repository"]);
    let mut command = place.command(&["policy", "diff", "main", "policies", "--from", "from"]);
    Ran::from(command.env("PATH", "/nowhere").output().unwrap()).refused(2, &["there is no `git` here", "name a folder"]);
    std::os::unix::fs::symlink("staging.yaml", place.0.join("policies/other.yaml")).unwrap();
    commit(&place, "a link");
    diff(&place, &["HEAD~1", "HEAD"]).refused(2, &["the new policies, `HEAD`", "`other.yaml` is a link"]);
}

#[test]
fn a_set_that_does_not_load_is_shown_as_lint_shows_it() {
    let place = repository();
    place.write("policies/staging.yaml", POLICY.replace("enforce", "enforced"));
    commit(&place, "broken");
    let said = &["policies/staging.yaml:4:", "bad-value", "did you mean `enforce`?"];
    for (args, side, place_said) in [
        (["HEAD~1", "policies"], "the new policies, `policies`, do not load", "--> policies/staging.yaml:4:"),
        (["HEAD", "HEAD~1"], "the old policies, `HEAD`, do not load", "--> HEAD:policies/staging.yaml:4:"),
    ] {
        let ran = diff(&place, &args);
        ran.refused(2, said);
        assert!(ran.err.contains(side) && ran.err.contains(place_said), "{}", ran.err);
    }
    place.write("policies/staging.yaml", "#".repeat((1 << 20) + 5));
    commit(&place, "large");
    diff(&place, &["HEAD~2", "HEAD"]).refused(2, &["too-large"]);
}

#[test]
fn exit_codes_are_those_of_git_diff() {
    let place = Place::new();
    place.write("same/staging.yaml", format!("# a comment\n{}", POLICY.replace("}}", "}, ttl: {maximum: 1d}}")));
    place.write("new/staging.yaml", shorter());
    place.write("idle/staging.yaml", POLICY.replace("}}", "}, limits: {clones: 100}}"));
    for (new, code, said) in [
        ("same", 0, "no difference: the files differ, and mean the same"),
        ("policies", 0, "no difference: the files are the same"),
        ("new", 1, "newly reaped (1)"),
        ("idle", 1, "the policies differ; that does nothing to the 1 clone there is"),
    ] {
        assert_eq!(diff(&place, &["policies", new]).code, Some(0));
        for output in ["table", "markdown", "json"] {
            let ran = diff(&place, &["policies", new, "--exit-code", "-o", output]);
            assert_eq!((ran.code, ran.err.as_str()), (Some(code), ""), "{new}: {ran:?}");
            assert!(output == "json" || ran.out.contains(said), "{said}: {}", ran.out);
        }
    }
}

#[test]
fn without_a_cluster_the_way_to_files_is_shown() {
    let place = Place::new();
    let mut command = place.command(&["policy", "diff", "policies", "policies"]);
    let ran = Ran::from(command.env("KUBECONFIG", "/nowhere/config").env("HOME", &place.0).output().unwrap());
    ran.refused(2, &["no cluster to ask", "--from DIR"]);
}

/// Names come from files that anybody may have written, owners and classes from whoever creates a clone.
#[test]
fn nothing_of_what_users_write_means_anything_in_a_comment() {
    const HOSTILE: &str = "</code>\\n\\n# <img src=x onerror=y>|`**_[a](http://e.vil)_**` @org/team #1 www.e.vil \\e[2J\u{202e}";
    let place = Place::new();
    let clones: String = (0..30)
        .map(|number| {
            let clone = CLONE.replace("name: clone-1", &format!("name: \"{HOSTILE} {number}\"")).replace("c0000001", &format!("c{number:07}"));
            let clone = clone.replace("  namespace:", &format!("  annotations: {{clonewarden.io/owner: \"{HOSTILE}\"}}\n  namespace:"));
            let own = format!("ttlSeconds: 7200, useDedicatedDatabase: true, databaseSize: \"{HOSTILE}\"}}");
            format!("---\n{}", clone.replace("ttlSeconds: 7200}", &own))
        })
        .collect();
    place.write("from/wordpressclones.yaml", clones);
    let databases = "databases: [{name: all, use: dedicated, classes: [db.t3.micro]}]";
    place.write("new/staging.yaml", shorter().replace("}}\n", &format!("}}, limits: {{clonesPerOwner: 1}}, {databases}}}\n")));
    let ran = diff(&place, &["policies", "new", "-o", "markdown"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.out.contains("newly refused, were it created again (29)") && ran.out.contains("and 9 more"), "{}", ran.out);
    for sign in ["<img", "onerror=", "**_", "](", "@", "www.", "http:", "\u{1b}", "\u{202e}", " #1"] {
        assert!(!ran.out.contains(sign), "{sign}: {}", ran.out);
    }
    // Every tag is ours, every one that opens is closed on its line, and every line begins as ours do.
    for line in ran.out.lines() {
        assert_eq!(line.matches("<code>").count(), line.matches("</code>").count(), "{line}");
        let tags =
            line.replace("<code>", "").replace("</code>", "").replace("<details><summary>", "").replace("</summary>", "").replace("</details>", "");
        assert!(!tags.contains(['<', '>']), "{line}");
        assert!(line.is_empty() || ["## ", "- ", "| ", "|--", "<", "Note: ", "\\*"].iter().any(|begin| line.starts_with(begin)), "{line}");
    }
    assert!(ran.out.len() < 65_536, "{}", ran.out.len());
    // However much of it there is, a comment takes it.
    let longest = "&".repeat(60_000);
    let clones = fs::read_to_string(place.0.join("from/wordpressclones.yaml")).unwrap();
    let clones = clones.replace(&format!("clonewarden.io/owner: \"{HOSTILE}\""), &format!("clonewarden.io/owner: \"{longest}\""));
    place.write("from/wordpressclones.yaml", clones.replace(&format!("databaseSize: \"{HOSTILE}\""), &format!("databaseSize: \"{longest}\"")));
    let ran = diff(&place, &["policies", "new", "-o", "markdown"]);
    assert!(ran.code == Some(0) && ran.out.len() < 65_536 && ran.out.contains("Not everything is shown"), "{}", ran.out.len());
    assert_eq!(ran.out.matches("<details>").count(), ran.out.matches("</details>").count());
    let table = diff(&place, &["policies", "new"]);
    assert!(!table.out.contains(['\u{1b}', '\u{202e}']), "{}", table.out);
}
