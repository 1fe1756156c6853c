//! Makes the Python environment that the AWS endpoint (`aws/server.py`) runs in: into the cache, once.
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

/// Name in the table of what is built, and of the cache entry.
pub(crate) const NAME: &str = "aws";
/// Everything that decides what a virtual environment is good for.
const WHICH_PYTHON: &str = "import sys, sysconfig; print(sys.version, sys.base_prefix, sysconfig.get_platform())";
const WHOLE: &str = "whole";

/// The folder with the server's sources.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("aws")
}

/// Where the environment is or will be.
pub(crate) fn place(cache: &Path) -> Result<PathBuf> {
    let path = requirements();
    let wanted = fs::read(&path).with_context(|| format!("cannot read {}: it is committed, so restore it from Git", path.display()))?;
    let python = run(python(Path::new("python3")).args(["-c", WHICH_PYTHON]), "asking python3 for its version")?;
    let key = pins::hash(&[("requirements".to_owned(), wanted), ("python".to_owned(), python)]);
    Ok(cache.join(format!("{NAME}-{key}")))
}

/// Whether the environment there can be used.
pub(crate) fn is_whole(place: &Path) -> bool {
    place.join(WHOLE).is_file()
}

/// Makes it. The caller holds the lock of the cache.
pub(crate) fn make(place: &Path) -> Result<Duration> {
    let start = Instant::now();
    note(&format!("installing the Python packages of {NAME} ..."));
    if place.exists() {
        // Left by a run that was killed; the lock says nobody is at it now.
        fs::remove_dir_all(place).with_context(|| format!("cannot clear {}", place.display()))?;
    }
    run(python(Path::new("python3")).args(["-m", "venv"]).arg(place), "making a virtual environment (on Debian: install python3-venv)")?;
    let mut pip = python(&place.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"]);
    pip.arg("--requirement").arg(requirements());
    run(&mut pip, "installing what tests/platform/aws/requirements.txt names (Python 3.11 or newer is needed)")?;
    fs::write(place.join(WHOLE), b"").with_context(|| format!("cannot write into {}", place.display()))?;
    let took = start.elapsed();
    note(&format!("installed the Python packages of {NAME} in {:.1} s", took.as_secs_f64()));
    Ok(took)
}

fn requirements() -> PathBuf {
    sources().join("requirements.txt")
}

fn python(program: &Path) -> Command {
    let mut command = Command::new(program);
    // The user's own modules must not decide what is installed.
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").stdin(Stdio::null());
    command
}

fn run(command: &mut Command, what: &str) -> Result<Vec<u8>> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{NAME} runs in Python and `python3` is not in PATH: install it (on Debian python3 and python3-venv) and run this again")
        }
        Err(error) => return Err(error).with_context(|| format!("{NAME}: {what}: cannot run it")),
    };
    if output.status.success() {
        return Ok(output.stdout);
    }
    // Python's venv writes what is missing to stdout.
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = said.lines().collect();
    let last = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n");
    bail!("{NAME}: {what} failed ({}):\n{last}\ncorrect the cause above and run `clonewarden-platform build` again", output.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned_to_one_version() {
        let text = fs::read_to_string(requirements()).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 4, "{text}");
        for line in lines {
            let pinned = line.split_once("==").is_some_and(|(name, version)| !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()));
            assert!(pinned, "{line}");
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
