//! The commands of the binary: `build`, `up`, `run`.
//!
//! stdout belongs to the command that is run (and to `build`'s table and `up`'s instructions); progress and failures
//! go to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage; `run` passes on its command's.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::compile::{self, note};
use crate::process::{Guarded, exit_code};
use crate::site::Site;
use crate::supervise::Supervisor;

const USAGE: &str = "\
usage: clonewarden-platform build            build what is pinned, print what each part took
       clonewarden-platform up               build, start, and stay until Ctrl-C or SIGTERM
       clonewarden-platform run -- CMD ...   build, start, run CMD, end everything; exits as CMD did

CMD gets KUBECONFIG (cluster admin), CLONEWARDEN_PLATFORM (the run's folder: parts.json, logs/, audit.log,
kubeconfigs/), CLONEWARDEN_PLATFORM_BIN (the folder with kubectl and the rest) and CLONEWARDEN_PLATFORM_AWS (the address
of the AWS endpoint; no variable of AWS' own is set, so that nothing goes to AWS, or there, by accident).
KUBEBUILDER_ASSETS: a folder that has etcd, kube-apiserver and kubectl already.
";

/// How long CMD may take to end when the supervisor is told to stop.
const COMMAND_STOP_WITHIN: Duration = Duration::from_secs(10);
const TURN: Duration = Duration::from_millis(20);

/// Runs the command line and returns the exit code. Must be called on the main thread: every part dies with the
/// thread that called this.
#[must_use]
pub fn main_with(args: &[String]) -> u8 {
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["build"] => build(),
        ["up"] => up(),
        ["run", "--", _, ..] => run(args.get(2..).unwrap_or_default()),
        ["help" | "--help" | "-h"] => {
            print(USAGE);
            return 0;
        }
        _ => {
            let _ = io::stderr().write_all(USAGE.as_bytes());
            return 2;
        }
    };
    outcome.unwrap_or_else(|error| {
        note(&format!("{error:#}"));
        1
    })
}

fn build() -> Result<u8> {
    print(&compile::table(&compile::all()?));
    Ok(0)
}

fn up() -> Result<u8> {
    with_platform(|supervisor| {
        let dir = supervisor.site().dir().display().to_string();
        let aws = supervisor.site().aws_endpoint()?;
        print(&format!(
            "export KUBECONFIG={dir}/kubeconfigs/admin\nexport CLONEWARDEN_PLATFORM={dir}\nexport CLONEWARDEN_PLATFORM_BIN={dir}/bin\n\
             export CLONEWARDEN_PLATFORM_AWS={aws}\n\
             # {dir}/bin/kubectl get nodes; logs in {dir}/logs; Ctrl-C ends it\n"
        ));
        while !supervisor.told_to_stop() {
            supervisor.turn()?;
            std::thread::sleep(TURN);
        }
        Ok(0)
    })
}

fn run(command: &[String]) -> Result<u8> {
    with_platform(|supervisor| {
        let site = supervisor.site();
        let env = BTreeMap::from([
            ("KUBECONFIG".to_owned(), site.kubeconfig("admin")),
            ("CLONEWARDEN_PLATFORM".to_owned(), site.dir().to_string_lossy().into_owned()),
            ("CLONEWARDEN_PLATFORM_BIN".to_owned(), site.path("bin")),
            ("CLONEWARDEN_PLATFORM_AWS".to_owned(), site.aws_endpoint()?),
        ]);
        let mut guarded = Guarded::start(command, &env)?;
        let outcome = follow(supervisor, &mut guarded);
        guarded.finish();
        let code = outcome?;
        let lost = supervisor.lost();
        if code == 0 && !lost.is_empty() {
            note(&format!("the command succeeded, but {} ended by itself meanwhile: counted as a failure", lost.join(", ")));
            return Ok(1);
        }
        Ok(code)
    })
}

fn follow(supervisor: &mut Supervisor, command: &mut Guarded) -> Result<u8> {
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = command.try_wait().context("cannot wait for the command")? {
            // One that was told to stop has not succeeded, whatever it says.
            return Ok(if asked.is_some() { exit_code(status).max(1) } else { exit_code(status) });
        }
        match asked {
            None if supervisor.told_to_stop() => {
                note("told to stop: ending the command, then the parts");
                command.ask_to_end();
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > COMMAND_STOP_WITHIN => {
                note(&format!("the command did not end within {} s: killing it", COMMAND_STOP_WITHIN.as_secs()));
                return Ok(1);
            }
            _ => {}
        }
        supervisor.turn()?;
        std::thread::sleep(TURN);
    }
}

/// Builds and starts, does `work`, ends everything. The folder goes with a success and stays after a failure.
fn with_platform(work: impl FnOnce(&mut Supervisor) -> Result<u8>) -> Result<u8> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot listen for signals")?;
    }
    let built = compile::all()?;
    let site = Site::new(&built)?;
    let dir = site.dir().to_owned();
    let outcome = Supervisor::new(site, stop).and_then(|mut supervisor| {
        supervisor.start()?;
        let code = work(&mut supervisor);
        let ended = Instant::now();
        supervisor.shut_down()?;
        note(&format!("all parts ended in {:.1} s", ended.elapsed().as_secs_f64()));
        code
    });
    leave(&dir, matches!(outcome, Ok(0)))?;
    outcome
}

fn leave(dir: &Path, success: bool) -> Result<()> {
    if success {
        return fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()));
    }
    note(&format!("kept for a look: {dir}/logs (one file a part), {dir}/audit.log, {dir}/parts.json", dir = dir.display()));
    Ok(())
}

/// A closed stdout is no reason to leave parts behind.
fn print(text: &str) {
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
