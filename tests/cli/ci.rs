//! What a repository with policies runs: the hooks for pre-commit and the workflow for GitHub, line by line, on a real repository.

use super::{
    CLONE, POLICY, Place, Ran,
    diff::{commit, git},
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, process::Command};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(repository().join(path)).unwrap()).unwrap()
}

/// Puts `bin/NAME` there, and says what PATH is then.
pub(super) fn on_path(place: &Place, programs: &[(&str, &str)]) -> String {
    for (name, script) in programs {
        place.write(&format!("bin/{name}"), script);
        let mut permissions = fs::metadata(place.0.join("bin").join(name)).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(place.0.join("bin").join(name), permissions).unwrap();
    }
    format!("{}:/usr/local/bin:/usr/bin:/bin", place.0.join("bin").display())
}

/// The program under test, as a script that can stand anywhere.
pub(super) fn clonewarden() -> String {
    format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_clonewarden"))
}

/// What pre-commit itself makes of the file is in `tests/platform/tests/hooks.rs`.
#[test]
fn the_hooks_run_on_the_shipped_policies_and_find_what_is_wrong() {
    let hooks = yaml(".pre-commit-hooks.yaml");
    let hooks = hooks.as_array().unwrap();
    assert_eq!(hooks.iter().map(|hook| hook["id"].as_str().unwrap()).collect::<Vec<_>>(), ["clonewarden-policy-lint", "clonewarden-policy-test"]);
    let place = Place::new();
    place.write("policies/staging.yaml", POLICY.replace("enforce", "enforced"));
    for hook in hooks {
        let args = hook["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
        let mut words: Vec<&str> = hook["entry"].as_str().unwrap().split(' ').collect();
        assert_eq!((words.remove(0), &hook["pass_filenames"], &hook["language"]), ("clonewarden", &Value::Bool(false), &"system".into()));
        let words: Vec<&str> = words.into_iter().chain(args).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
        let ran = Ran::from(command.args(&words).current_dir(repository()).env_clear().output().unwrap());
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        let ran = place.run(&words);
        assert!(ran.code != Some(0) && ran.err.contains("policies/staging.yaml:4:"), "{words:?}: {ran:?}");
    }
}

/// A stand-in for GitHub's command: it notes what it is asked, and knows of these comments.
const GH: &str = "#!/bin/sh\necho \"$@\" >> \"$RUNNER_TEMP/asked\"\ncase \"$*\" in *--paginate*) cat \"$RUNNER_TEMP/comments\";; esac\n";

#[test]
fn the_workflow_says_what_merging_would_do() {
    let place = Place::new();
    let origin = place.0.join("forge/ada/policies");
    fs::create_dir_all(&origin).unwrap();
    git(&place, &["init", "--quiet", "--initial-branch", "main"]);
    place.write(".gitignore", "/bin\n/forge\n/from\n/runner\n/work\n");
    let test = "apiVersion: clonewarden.io/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec: {now: 2026-02-05T16:30:22Z, create: [{name: wordpress-staging/a, expect: {admitted: true}}]}\n";
    place.write("policies/staging_test.yaml", test);
    commit(&place, "first");
    git(&place, &["checkout", "--quiet", "-b", "shorter"]);
    place.write("policies/staging.yaml", POLICY.replace("}}", "}, ttl: {default: 1h, maximum: 1h}}"));
    commit(&place, "shorter");
    // Meanwhile the branch moves on; the merge is what is looked at.
    git(&place, &["checkout", "--quiet", "main"]);
    place.write("README.md", "words");
    commit(&place, "meanwhile");
    git(&place, &["merge", "--quiet", "--no-ff", "--message", "merge", "shorter"]);
    let merge = git(&place, &["rev-parse", "HEAD"]);
    git(&place, &["clone", "--quiet", "--bare", ".", &origin.display().to_string()]);
    place.write("from/wordpressclones.yaml", CLONE);

    let path = on_path(&place, &[("gh", GH)]);
    let binary = clonewarden();
    place.write("forge/clonewarden", &binary);
    place.write("runner/comments", "");
    let sum = Command::new("sha256sum").arg(place.0.join("forge/clonewarden")).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let at = |path: &str| place.0.join(path).display().to_string();
    let mut env = BTreeMap::from([
        ("PATH", path),
        ("HOME", at("runner")),
        ("RUNNER_TEMP", at("runner")),
        ("GITHUB_PATH", at("runner/path")),
        ("GITHUB_STEP_SUMMARY", at("runner/summary.md")),
        ("GITHUB_SERVER_URL", format!("file://{}", at("forge"))),
        ("GITHUB_REPOSITORY", "ada/policies".to_owned()),
        ("GITHUB_SHA", merge),
        ("CLONEWARDEN_URL", format!("file://{}", at("forge/clonewarden"))),
        ("CLONEWARDEN_SHA256", sum.split(' ').next().unwrap().to_owned()),
        // Here the cluster is files.
        ("CLONEWARDEN_FROM", at("from")),
        ("CLONEWARDEN_NOW", "2026-02-05T16:00:00Z".to_owned()),
        ("TOKEN", "t".to_owned()),
        ("NUMBER", "7".to_owned()),
    ]);
    let workflow = yaml("deploy/ci/github-policies.yaml");
    let step = |job: &str, name: &str, env: &BTreeMap<&str, String>| {
        let work = place.0.join("work").join(job);
        fs::create_dir_all(&work).unwrap();
        let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["name"] == name).unwrap();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"].as_str().unwrap()]);
        Ran::from(command.current_dir(work).env_clear().envs(env).output().unwrap())
    };
    let names = |job: &str| -> Vec<String> {
        workflow["jobs"][job]["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names("check").len(), names("diff").len()), (4, 4));
    // Another binary than the one that was meant is not run.
    let other = BTreeMap::from_iter(env.clone().into_iter().chain([("CLONEWARDEN_SHA256", "0".repeat(64))]));
    assert_ne!(step("check", "fetch clonewarden", &other).code, Some(0));
    for job in ["check", "diff"] {
        for name in names(job) {
            let ran = step(job, &name, &env);
            assert_eq!(ran.code, Some(0), "{job}, {name}: {ran:?}");
            if name == "fetch clonewarden" {
                let added = fs::read_to_string(place.0.join("runner/path")).unwrap();
                env.insert("PATH", format!("{}:{}", added.lines().last().unwrap(), env["PATH"]));
            }
        }
    }
    let read = |file: &str| fs::read_to_string(place.0.join("runner").join(file)).unwrap();
    let summary = read("summary.md");
    assert!(summary.starts_with("## Policies: ") && summary.contains("newly reaped (1)"), "{summary}");
    assert_eq!(read("comment.md"), format!("<!-- clonewarden policy diff -->\n{summary}"));
    let asked = read("asked");
    assert!(asked.contains("--method POST repos/ada/policies/issues/7/comments --field body=@"), "{asked}");
    // The next time it is the same comment.
    place.write("runner/comments", "41\n42\n");
    assert_eq!(step("diff", "comment", &env).code, Some(0));
    assert!(read("asked").contains("--method PATCH repos/ada/policies/issues/comments/41 "), "{}", read("asked"));
    // What does not lint ends the job, beside the line.
    fs::write(place.0.join("work/check/policies/staging.yaml"), POLICY.replace("enforce", "enforced")).unwrap();
    let ran = step("check", "lint", &env);
    assert!(ran.code == Some(1) && ran.out.starts_with("::error file=policies/staging.yaml,line=4"), "{ran:?}");
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    assert_eq!(workflow["jobs"]["check"]["permissions"], serde_json::json!({"contents": "read"}));
}
