//! Builds what is pinned into the cache, once, and says how long each part took.
//!
//! An entry appears by a rename of a finished folder, under a lock: a build that is killed leaves nothing that looks
//! built, and two runs at once build each part once. Nothing here changes the pins (`-mod=readonly`).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::pins::{self, BUILD_FLAGS, Copied, PINS, Pin};
use crate::python;

/// Where a built part came from and what it cost.
#[derive(Debug)]
pub(crate) struct Built {
    /// Name of the pin.
    pub(crate) name: &'static str,
    /// How it was had.
    pub(crate) how: How,
    /// The binary, where the pin has one.
    pub(crate) program: Option<PathBuf>,
    /// Folder with the copied files (inside it, `Copied::into`).
    pub(crate) folder: PathBuf,
}

/// How a part was had.
#[derive(Debug)]
pub(crate) enum How {
    /// From `KUBEBUILDER_ASSETS`.
    Assets,
    /// It was in the cache.
    Cached,
    /// Built now.
    Now(Duration),
}

/// Builds whatever is missing and returns every pin's place, in the order of `PINS`.
pub(crate) fn all() -> Result<Vec<Built>> {
    let go = pins::go_folder();
    let cache = pins::cache_root()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make the cache folder {}", cache.display()))?;
    let mut lock = None;
    let mut all: Vec<_> = PINS
        .iter()
        .map(|pin| {
            if let Some(program) = from_assets(pin)? {
                return Ok(Built { name: pin.name, how: How::Assets, program: Some(program), folder: PathBuf::new() });
            }
            let folder = cache.join(pin.cache_key(&go)?);
            let mut how = How::Cached;
            if !folder.is_dir() {
                take_lock(&mut lock, &cache)?;
                // Somebody may have built it while this run waited for the lock.
                if !folder.is_dir() {
                    how = How::Now(build(pin, &go, &folder)?);
                }
            }
            Ok(Built { name: pin.name, how, program: pin.package.map(|_| folder.join(pin.name)), folder })
        })
        .collect::<Result<_>>()?;
    for environment in python::ALL {
        let folder = environment.place(&cache)?;
        let mut how = How::Cached;
        if !python::is_whole(&folder) {
            take_lock(&mut lock, &cache)?;
            if !python::is_whole(&folder) {
                how = How::Now(environment.make(&folder)?);
            }
        }
        // No program to be linked: a Python that is started by another name does not know its environment.
        all.push(Built { name: environment.0, how, program: None, folder });
    }
    Ok(all)
}

/// The table that `build` prints.
pub(crate) fn table(built: &[Built]) -> String {
    let mut out = String::from("part                      seconds  place\n");
    for part in built {
        let (seconds, place) = match &part.how {
            How::Assets => ("assets".to_owned(), part.program.clone().unwrap_or_default()),
            How::Cached => ("cached".to_owned(), part.folder.clone()),
            How::Now(took) => (format!("{:.1}", took.as_secs_f64()), part.folder.clone()),
        };
        out.push_str(&format!("{:<24} {seconds:>8}  {}\n", part.name, place.display()));
    }
    out
}

fn from_assets(pin: &Pin) -> Result<Option<PathBuf>> {
    let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| pin.in_assets && !value.is_empty()) else {
        return Ok(None);
    };
    let program = Path::new(&assets).join(pin.name);
    if !program.is_file() {
        bail!("KUBEBUILDER_ASSETS is set, but {} is not there: put it there, or unset the variable to build it", program.display());
    }
    Ok(Some(program))
}

/// Takes the lock of the cache, if this run does not have it yet.
fn take_lock(lock: &mut Option<File>, cache: &Path) -> Result<()> {
    if lock.is_some() {
        return Ok(());
    }
    let path = cache.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot open the lock {}", path.display()))?;
    if file.try_lock().is_err() {
        note(&format!("another run is building: waiting for {}", path.display()));
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    *lock = Some(file);
    Ok(())
}

fn build(pin: &Pin, go: &Path, folder: &Path) -> Result<Duration> {
    let start = Instant::now();
    note(&format!("building {} ...", pin.name));
    let mut unfinished = folder.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    if unfinished.exists() {
        // Left by a build that was killed; the lock says nobody is at it now.
        fs::remove_dir_all(&unfinished).with_context(|| format!("cannot clear {}", unfinished.display()))?;
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot make {}", unfinished.display()))?;
    let source = go.join(pin.folder);
    if let Some(package) = pin.package {
        let mut command = go_command(&source, "build");
        command.args(BUILD_FLAGS).arg("-ldflags").arg(pin.link_flags());
        command.arg("-o").arg(unfinished.join(pin.name)).arg(package);
        run(command, pin.name)?;
    }
    for copied in pin.copied {
        copy_files(copied, &source, &unfinished, pin.name)?;
    }
    fs::rename(&unfinished, folder).with_context(|| format!("cannot move the built {} to {}", pin.name, folder.display()))?;
    let took = start.elapsed();
    note(&format!("built {} in {:.1} s", pin.name, took.as_secs_f64()));
    Ok(took)
}

fn copy_files(copied: &Copied, source: &Path, to: &Path, part: &str) -> Result<()> {
    let mut command = go_command(source, "mod");
    command.args(["download", "-json", copied.module]);
    let answer = run(command, part)?;
    let answer: serde_json::Value =
        serde_json::from_slice(&answer).with_context(|| format!("`go mod download -json {}` for {part} did not answer JSON", copied.module))?;
    let module = answer
        .get("Dir")
        .and_then(serde_json::Value::as_str)
        .with_context(|| format!("`go mod download -json {}` for {part} named no folder: {answer}", copied.module))?;
    let into = to.join(copied.into);
    fs::create_dir_all(&into)?;
    for from in copied.from {
        let from = Path::new(module).join(from);
        let files = if from.is_dir() { yaml_files(&from)? } else { vec![from] };
        for file in files {
            let name = file.file_name().unwrap_or_default();
            // Read and written, not copied: the module cache is read-only and a copy would keep that.
            let bytes =
                fs::read(&file).with_context(|| format!("{part}: the pinned module has no {}; correct `copied` in pins.rs", file.display()))?;
            fs::write(into.join(name), bytes)?;
        }
    }
    Ok(())
}

/// The `*.yaml` files of a folder, sorted.
pub(crate) fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn go_command(folder: &Path, verb: &str) -> Command {
    let mut command = Command::new("go");
    // The user's GOFLAGS or workspace must not decide what a pin means.
    command.arg(verb).current_dir(folder).env("GOFLAGS", "-mod=readonly").env("GOWORK", "off").env("CGO_ENABLED", "0");
    command.stdin(Stdio::null());
    command
}

fn run(mut command: Command, part: &str) -> Result<Vec<u8>> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "{part} is built with Go and `go` is not in PATH: install the Go release that the go.mod files under \
             tests/platform/go name (or a newer one) and run this again"
        ),
        Err(error) => return Err(error).with_context(|| format!("cannot run go for {part}")),
    };
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("go: downloading")).collect();
    let last = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n");
    bail!(
        "building {part} failed ({}):\n{last}\nnothing was cached for it; correct the cause above (pins: \
         tests/platform/go) and run `clonewarden-platform build` again",
        output.status
    )
}

/// A line of progress on stderr. A closed stderr is no reason to stop.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "platform: {line}");
}
