//! Files of a Git revision, read through `git` itself: no checkout, no library that would have to know every form of a repository.
//!
//! Contract: git is only asked (`rev-parse`, `ls-tree`, `cat-file`), never told; what it is asked never begins with `-`.

use anyhow::{Context, anyhow, bail};
use std::{
    ffi::OsStr,
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
};

/// A folder of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    /// The id of the commit, where the revision is one.
    pub(super) commit: Option<String>,
    /// The id of the folder.
    id: String,
}

/// One file of a folder.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: String,
    /// Whether it is a link: what it leads to is not in it.
    pub(super) link: bool,
    id: String,
}

/// `REV:PATH` as git takes it apart: at the first colon that stands in no braces.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    let mut depth = 0_usize;
    for (at, sign) in text.char_indices() {
        match sign {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => return (text.get(..at).unwrap_or_default(), text.get(at.saturating_add(1)..)),
            _ => {}
        }
    }
    (text, None)
}

/// Where a folder stands below the top of its repository.
pub(super) fn prefix(folder: &Path) -> anyhow::Result<String> {
    let prefix = text(&asked(folder, ["rev-parse", "--show-prefix"])?)?;
    Ok(prefix.trim_end_matches('/').to_owned())
}

/// Finds a folder in a revision, in the repository around `at`.
pub(super) fn tree(at: &Path, revision: &str, path: &str) -> anyhow::Result<Tree> {
    text(&asked(at, ["rev-parse", "--git-dir"])?)?;
    let named = |what: &str| -> anyhow::Result<Option<String>> {
        let output = git(at, ["rev-parse", "--verify", "--quiet", what])?;
        output.status.success().then(|| text(&output)).transpose()
    };
    let commit = named(&format!("{revision}^{{commit}}"))?;
    let root = match &commit {
        Some(commit) => commit.clone(),
        None => named(&format!("{revision}^{{tree}}"))?.ok_or_else(|| {
            anyhow!("there is no folder and no Git revision `{revision}` here; in a shallow clone it may have to be fetched first (`git fetch`)")
        })?,
    };
    let path = path.trim_end_matches('/');
    let id = named(&format!("{root}:{path}"))?.ok_or_else(|| anyhow!("revision `{revision}` has no folder `{path}`"))?;
    let kind = text(&asked(at, ["cat-file", "-t", &id])?)?;
    if kind != "tree" {
        bail!("`{path}` of revision `{revision}` is no folder");
    }
    Ok(Tree { commit, id })
}

/// The files of a folder for whose names that is so, in their order.
pub(super) fn entries(at: &Path, tree: &Tree, wanted: fn(&str) -> bool) -> anyhow::Result<Vec<Entry>> {
    // Without `--full-tree` git leaves out what does not stand where we stand.
    let listed = asked(at, ["ls-tree", "-z", "--full-tree", &tree.id])?.stdout;
    let mut entries = Vec::new();
    for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let line = String::from_utf8_lossy(line);
        let odd = || anyhow!("git lists a file in a way that is not understood: `{line}`");
        let (about, name) = line.split_once('\t').ok_or_else(odd)?;
        let mut about = about.split(' ');
        let (mode, kind, id) = (about.next().ok_or_else(odd)?, about.next().ok_or_else(odd)?, about.next().ok_or_else(odd)?);
        if kind == "blob" && wanted(name) {
            if name.contains('\u{fffd}') {
                bail!("the name of the file `{name}` is not UTF-8: rename it");
            }
            entries.push(Entry { name: name.to_owned(), link: mode == "120000", id: id.to_owned() });
        }
    }
    Ok(entries)
}

/// The bytes of a file, and of a large one a little more than `most`.
pub(super) fn bytes(at: &Path, entry: &Entry, most: usize) -> anyhow::Result<Vec<u8>> {
    let mut child = command(at, ["cat-file", "blob", &entry.id]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(missing)?;
    let mut bytes = Vec::new();
    if let Some(out) = child.stdout.take() {
        let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        out.take(most).read_to_end(&mut bytes).with_context(|| format!("cannot read `{}` from git", entry.name))?;
    }
    let status = child.wait().context("cannot wait for git")?;
    // Whoever does not read all of it stops it.
    if !status.success() && bytes.len() <= most {
        bail!("git cannot read `{}`: the repository is damaged, or that file was never fetched", entry.name);
    }
    Ok(bytes)
}

/// What makes `git` look into another repository than that of the folder it runs in.
const ELSEWHERE: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_NAMESPACE",
];

fn command<S: AsRef<OsStr>>(at: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("git");
    // A hook is told which repository it is of. What is asked here is that of the folder.
    ELSEWHERE.iter().for_each(|variable| {
        command.env_remove(variable);
    });
    command.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_NO_LAZY_FETCH", "1");
    command.arg("--no-pager").args(args).current_dir(at).env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
    command
}

fn git<'a>(at: &Path, args: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Output> {
    command(at, args).output().map_err(missing)
}

/// The same, where it has to succeed.
fn asked<'a>(at: &Path, args: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Output> {
    let output = git(at, args)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().trim_start_matches("fatal: ");
        bail!("git says: {}", crate::cli::output::printable(said));
    }
    Ok(output)
}

fn missing(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => anyhow!("there is no `git` here to read a revision with; install it, or name a folder"),
        _ => anyhow!(error).context("cannot run `git`"),
    }
}

fn text(output: &Output) -> anyhow::Result<String> {
    Ok(std::str::from_utf8(&output.stdout).context("git answers what is not UTF-8")?.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_revision_is_taken_apart_as_git_does() {
        for (text, revision, path) in [
            ("main", "main", None),
            ("HEAD~1:policies", "HEAD~1", Some("policies")),
            ("v1:", "v1", Some("")),
            ("main@{2026-02-05 16:30}:deploy/policies", "main@{2026-02-05 16:30}", Some("deploy/policies")),
            ("HEAD^{/fix: limits}", "HEAD^{/fix: limits}", None),
            (":policies", "", Some("policies")),
        ] {
            assert_eq!(split(text), (revision, path), "{text}");
        }
    }
}
