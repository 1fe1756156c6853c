//! What the tree has for repositories with policies, by the tools that will read it: pre-commit and actionlint.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`. What the hooks and the workflow do when they run is
//! in `tests/cli/ci.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, and so do its helpers")]

use clonewarden_platform::Platform;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder for one test, gone when it is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id())));
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(command: &mut Command) -> String {
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn git(folder: &Path, args: &[&str]) -> String {
    run(Command::new("git").args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]).args(args).current_dir(folder))
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn pre_commit_runs_the_hooks_where_policies_change() {
    let pre_commit = Platform::attach().unwrap().pre_commit().unwrap();
    run(Command::new(&pre_commit).arg("validate-manifest").arg(repository().join(".pre-commit-hooks.yaml")));

    let folder = Folder::new("hooks");
    folder.write("hooks/.pre-commit-hooks.yaml", &fs::read_to_string(repository().join(".pre-commit-hooks.yaml")).unwrap());
    let hooks = folder.0.join("hooks");
    git(&hooks, &["init", "--quiet"]);
    git(&hooks, &["add", "--all"]);
    git(&hooks, &["commit", "--quiet", "--message", "hooks"]);
    let revision = git(&hooks, &["rev-parse", "HEAD"]);
    folder.write("bin/clonewarden", "#!/bin/sh\necho \"$@\" >> \"$NOTED\"\n");
    fs::set_permissions(folder.0.join("bin/clonewarden"), fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "repos:\n- repo: {}\n  rev: {}\n  hooks:\n  - id: clonewarden-policy-lint\n  - {{id: clonewarden-policy-test, args: [elsewhere], files: ^elsewhere/}}\n",
        hooks.display(),
        revision.trim()
    );
    folder.write("work/.pre-commit-config.yaml", &config);
    folder.write("work/elsewhere/staging.yaml", "a: b\n");
    folder.write("work/README.md", "words\n");
    let work = folder.0.join("work");
    git(&work, &["init", "--quiet"]);
    git(&work, &["add", "--all"]);
    let noted = |files: &[&str]| {
        let path = format!("{}:{}", folder.0.join("bin").display(), std::env::var("PATH").unwrap());
        let (home, note) = (folder.0.join("home"), folder.0.join("noted"));
        let mut command = Command::new(&pre_commit);
        command.args(["run", "--files"]).args(files).current_dir(&work);
        run(command.env("PATH", path).env("PRE_COMMIT_HOME", home).env("NOTED", &note));
        let noted = fs::read_to_string(&note).unwrap_or_default();
        let _ = fs::remove_file(note);
        noted
    };
    assert_eq!(noted(&["README.md"]), "");
    assert_eq!(noted(&["elsewhere/staging.yaml"]), "policy lint --strict policies\npolicy test elsewhere\n");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn actionlint_finds_nothing_in_the_workflows() {
    let actionlint = Platform::attach().unwrap().program("actionlint");
    let folder = Folder::new("workflow");
    folder.write("config.yaml", "self-hosted-runner: {labels: [REPLACE-LABEL]}\n");
    let lint = |file: &Path| {
        let mut command = Command::new(&actionlint);
        command.args(["-no-color", "-shellcheck=", "-pyflakes=", "-config-file"]).arg(folder.0.join("config.yaml")).arg(file);
        command.output().unwrap()
    };
    let workflows: Vec<_> = fs::read_dir(repository().join("deploy/ci")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(workflows.len(), 2);
    for workflow in workflows {
        let found = lint(&workflow);
        assert!(found.status.success(), "{}{}", String::from_utf8_lossy(&found.stdout), String::from_utf8_lossy(&found.stderr));
        // It does look.
        folder.write("wrong.yaml", &fs::read_to_string(&workflow).unwrap().replace("contents: read", "contents: reed"));
        assert!(!lint(&folder.0.join("wrong.yaml")).status.success());
    }
}
