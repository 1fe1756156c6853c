//! Makes the Python environments that the AWS endpoint (`aws/server.py`) and some tests run in: into the cache, once.
//!
//! A virtual environment knows its own path, so it cannot be made aside and renamed as what Go builds is: it is made in
//! its place, and a file that is written last says that it is whole. Its name covers the requirements and the Python that
//! it was made with; all versions are pinned, and only wheels are taken, so nothing is compiled and nothing drifts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::compile::note;
use crate::pins;

/// One environment: a folder with a `requirements.txt`, whose name is also that in the table of what is built, and of the cache entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Environment(pub(crate) &'static str);

/// The AWS endpoint.
pub(crate) const AWS: Environment = Environment("aws");
/// What tries the HTTP API against its own document.
pub(crate) const SCHEMATHESIS: Environment = Environment("schemathesis");
/// What reads the hooks for repositories with policies.
pub(crate) const PRE_COMMIT: Environment = Environment("pre-commit");
/// What looks for what shuts people out of the page. Of the package nothing runs: it carries the script that the browser is given.
pub(crate) const AXE: Environment = Environment("axe");
/// What reads the alarms for CloudWatch.
pub(crate) const CFN_LINT: Environment = Environment("cfn-lint");
/// All of them.
pub(crate) const ALL: [Environment; 5] = [AWS, SCHEMATHESIS, PRE_COMMIT, AXE, CFN_LINT];

/// Everything that decides what a virtual environment is good for.
const WHICH_PYTHON: &str = "import sys, sysconfig; print(sys.version, sys.base_prefix, sysconfig.get_platform())";
const WHOLE: &str = "whole";

impl Environment {
    /// The folder with its sources.
    pub(crate) fn sources(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.0)
    }

    fn requirements(self) -> PathBuf {
        self.sources().join("requirements.txt")
    }

    /// Where it is or will be.
    pub(crate) fn place(self, cache: &Path) -> Result<PathBuf> {
        let path = self.requirements();
        let wanted = fs::read(&path).with_context(|| format!("cannot read {}: it is committed, so restore it from Git", path.display()))?;
        let python = run(self, python(Path::new("python3")).args(["-c", WHICH_PYTHON]), "asking python3 for its version")?;
        let key = pins::hash(&[("requirements".to_owned(), wanted), ("python".to_owned(), python)]);
        Ok(cache.join(format!("{}-{key}", self.0)))
    }

    /// Makes it. The caller holds the lock of the cache.
    pub(crate) fn make(self, place: &Path) -> Result<Duration> {
        let start = Instant::now();
        note(&format!("installing the Python packages of {} ...", self.0));
        if place.exists() {
            // Left by a run that was killed; the lock says nobody is at it now.
            fs::remove_dir_all(place).with_context(|| format!("cannot clear {}", place.display()))?;
        }
        let what = "making a virtual environment (on Debian: install python3-venv)";
        run(self, python(Path::new("python3")).args(["-m", "venv"]).arg(place), what)?;
        let mut pip = python(&place.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"]);
        pip.arg("--requirement").arg(self.requirements());
        run(self, &mut pip, "installing what its requirements.txt in tests/platform names (Python 3.11 or newer is needed)")?;
        fs::write(place.join(WHOLE), b"").with_context(|| format!("cannot write into {}", place.display()))?;
        let took = start.elapsed();
        note(&format!("installed the Python packages of {} in {:.1} s", self.0, took.as_secs_f64()));
        Ok(took)
    }
}

/// Whether the environment there can be used.
pub(crate) fn is_whole(place: &Path) -> bool {
    place.join(WHOLE).is_file()
}

fn python(program: &Path) -> Command {
    let mut command = Command::new(program);
    // The user's own modules must not decide what is installed.
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").stdin(Stdio::null());
    command
}

fn run(environment: Environment, command: &mut Command, what: &str) -> Result<Vec<u8>> {
    let name = environment.0;
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{name} runs in Python and `python3` is not in PATH: install it (on Debian python3 and python3-venv) and run this again")
        }
        Err(error) => return Err(error).with_context(|| format!("{name}: {what}: cannot run it")),
    };
    if output.status.success() {
        return Ok(output.stdout);
    }
    // Python's venv writes what is missing to stdout.
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = said.lines().collect();
    let last = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n");
    bail!("{name}: {what} failed ({}):\n{last}\ncorrect the cause above and run `clonewarden-platform build` again", output.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned_to_one_version() {
        for environment in ALL {
            let text = fs::read_to_string(environment.requirements()).unwrap();
            let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(!lines.is_empty(), "{text}");
            for line in lines {
                let pinned =
                    line.split_once("==").is_some_and(|(name, version)| !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()));
                assert!(pinned, "{line}");
            }
        }
    }

    #[test]
    fn what_a_killed_run_left_is_not_whole() {
        let place = std::env::temp_dir().join(format!("clonewarden-python-{}", std::process::id()));
        fs::create_dir_all(place.join("bin")).unwrap();
        assert!(!is_whole(&place));
        fs::write(place.join(WHOLE), b"").unwrap();
        assert!(is_whole(&place));
        fs::remove_dir_all(&place).unwrap();
    }
}
