//! Starts and ends processes so that none outlives the supervisor, not even one that is killed with -9.
//!
//! Each child is started through `setpriv --pdeathsig KILL`: the kernel kills it when its parent *thread* ends, so
//! every child must be started from the main thread of the supervisor. Each child leads a process group of its own:
//! a Ctrl-C in the terminal reaches the supervisor alone, which then ends the parts in order.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A command that dies with the thread that starts it.
fn tethered(argv: &[String]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(argv).process_group(0);
    command
}

fn spawn(mut command: Command, what: &str) -> Result<Child> {
    match command.spawn() {
        Ok(child) => Ok(child),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("`setpriv` is not in PATH and {what} is started through it: install util-linux")
        }
        Err(error) => Err(error).with_context(|| format!("cannot start {what}")),
    }
}

/// Starts a part: nothing of this process's environment but PATH, output appended to its log.
pub(crate) fn start_part(name: &str, argv: &[String], env: &BTreeMap<String, String>, log: &Path) -> Result<Child> {
    let out = OpenOptions::new().create(true).append(true).open(log).with_context(|| format!("cannot open the log of {name}, {}", log.display()))?;
    let mut command = tethered(argv);
    command.env_clear().envs(env).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    spawn(command, name)
}

/// A command of the user, with this process's environment, input and output, and its whole process group.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    guard: Child,
}

impl Guarded {
    /// Starts it. What it starts in turn (a test binary under cargo) is not a child of ours and would survive a
    /// supervisor killed with -9; so a guard waits for the end of a pipe that only the supervisor holds, then kills
    /// the whole group.
    pub(crate) fn start(argv: &[String], env: &BTreeMap<String, String>) -> Result<Self> {
        let mut command = tethered(argv);
        command.envs(env);
        let name = argv.first().map_or("nothing", String::as_str);
        let mut child = spawn(command, name)?;
        let guard = Command::new("/bin/sh")
            .args(["-c", "read -r _ || :; kill -s KILL -- \"-$1\"", "guard", &child.id().to_string()])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { child, guard }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error).with_context(|| format!("cannot start /bin/sh, the guard of {name}"))
            }
        }
    }

    /// Its exit status, once it has ended.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks the group to end.
    pub(crate) fn ask_to_end(&self) {
        send("TERM", &format!("-{}", self.child.id()));
    }

    /// Ends whatever is left of the group, and the guard.
    pub(crate) fn finish(mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        send("KILL", &format!("-{}", self.child.id()));
        let _ = self.child.wait();
    }
}

/// SIGTERM, and SIGKILL for what has not ended after `patience`. Returns whether it ended by itself.
pub(crate) fn stop(child: &mut Child, patience: Duration) -> io::Result<bool> {
    if child.try_wait()?.is_some() {
        return Ok(true);
    }
    send("TERM", &child.id().to_string());
    let start = Instant::now();
    while start.elapsed() < patience {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

/// Sends a signal by the shell's own `kill`: the standard library only knows SIGKILL, and a system call would be
/// unsafe code. A target that has just ended is no error.
pub(crate) fn send(signal: &str, target: &str) {
    let _ = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$1\" -- \"$2\"", "kill", signal, target])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// The exit code a shell would give: 128 + signal for what a signal ended.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn an_exit_code_and_a_signal_are_told_as_a_shell_would() {
        let env = BTreeMap::new();
        for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143)] {
            let mut guarded = Guarded::start(&sh(script), &env).unwrap();
            let status = guarded.child.wait().unwrap();
            guarded.finish();
            assert_eq!(exit_code(status), code, "{script}");
        }
    }

    #[test]
    fn what_ignores_the_request_is_killed() {
        let dir = std::env::temp_dir().join(format!("clonewarden-process-{}.log", std::process::id()));
        let mut child = start_part("deaf", &sh("trap '' TERM; echo up; while :; do sleep 0.01; done"), &BTreeMap::new(), &dir).unwrap();
        while !std::fs::read_to_string(&dir).unwrap_or_default().contains("up") {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!stop(&mut child, Duration::from_millis(50)).unwrap());
        std::fs::remove_file(dir).unwrap();
    }
}
