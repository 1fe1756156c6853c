//! One daemon process: started, looked at over HTTP, and ended the ways processes end.

use super::{
    metrics::{self, Metrics},
    wait::until,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

/// A standby takes over at the latest 8 s after it last saw the lease move, and it looks once a second.
const LEADS_WITHIN: Duration = Duration::from_secs(25);
/// How long a daemon may take to end when it is told to.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A running daemon; it is killed when this is dropped.
pub(crate) struct Daemon {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// Where it answers reviews, if it does.
    pub(crate) webhook: Option<SocketAddr>,
    child: Mutex<Child>,
    log: PathBuf,
    journal: PathBuf,
}

impl Daemon {
    /// Starts `command`, which is a `clonewarden run` that lacks only where to listen.
    pub(crate) fn start(mut command: Command, name: &str, log: PathBuf, journal: PathBuf, webhook: Option<SocketAddr>) -> Result<Self> {
        let address = free_address()?;
        let out = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.arg("--listen").arg(address.to_string()).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), address, webhook, child: Mutex::new(child), log, journal })
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    /// Fails if it has ended, with the end of its log.
    fn lives(&self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended ({status}); its log ends:\n{}", self.name, tail(&self.log)),
        }
    }

    pub(crate) async fn metrics(&self) -> Result<Metrics> {
        self.lives()?;
        Metrics::read(self.address).await
    }

    /// Whether it says that it acts.
    pub(crate) async fn leads(&self) -> Result<bool> {
        Ok(self.metrics().await?.sum("clonewarden_leader", &[]) > 0.5)
    }

    /// The status of one of its pages.
    pub(crate) async fn page(&self, path: &str) -> Result<(u16, String)> {
        self.lives()?;
        metrics::get(self.address, path).await
    }

    /// The same, asked for from elsewhere: by a name that is not this machine's, with these lines in the head of the request.
    pub(crate) async fn page_from_elsewhere(&self, path: &str, head: &str) -> Result<(u16, String)> {
        self.lives()?;
        metrics::get_with(self.address, path, &format!("Host: clonewarden.example\r\n{head}")).await
    }

    /// Waits until its caches are filled, whether it holds the lease or not.
    pub(crate) async fn until_ready(&self) -> Result<()> {
        until(&format!("{} is ready", self.name), LEADS_WITHIN, async || match self.page("/readyz").await? {
            (200, _) => Ok(()),
            (status, said) => bail!("/readyz: {status}: {said}"),
        })
        .await
        .with_context(|| format!("its log ends:\n{}", tail(&self.log)))
    }

    /// Waits until it acts.
    pub(crate) async fn until_leading(&self) -> Result<()> {
        self.until_ready().await?;
        until(&format!("{} holds the lease", self.name), LEADS_WITHIN, async || {
            ensure!(self.leads().await?, "it says that it does not");
            Ok(())
        })
        .await
        .with_context(|| format!("its log ends:\n{}", tail(&self.log)))
    }

    /// Waits until a metric has this value.
    pub(crate) async fn until_metric(&self, within: Duration, name: &str, labels: &[(&str, &str)], value: f64) -> Result<()> {
        until(&format!("{}: {name}{labels:?} is {value}", self.name), within, async || {
            let metrics = self.metrics().await?;
            let is = metrics.sum(name, labels);
            ensure!((is - value).abs() < 1e-9, "it is {is}; {}", metrics.family(name));
            Ok(())
        })
        .await
    }

    /// Waits until it has made another plan than the present one, and says when that was.
    pub(crate) async fn until_planned_after(&self, moment: jiff::Timestamp) -> Result<()> {
        until(&format!("{} plans again", self.name), Duration::from_secs(70), async || {
            let metrics = self.metrics().await?;
            let at = metrics.sum("clonewarden_loop_last_success_timestamp_seconds", &[("loop", "plan")]);
            ensure!(at > moment.as_millisecond() as f64 / 1e3, "the last plan is of {at}");
            Ok(())
        })
        .await
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&self) -> Result<()> {
        let mut child = self.child();
        child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and returns at once.
    pub(crate) fn terminate(&self) -> Result<()> {
        let pid = self.child().id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().context("cannot run `kill`")?;
        ensure!(sent.success(), "`kill -TERM {pid}` failed");
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn until_ended(&self) -> Result<ExitStatus> {
        until(&format!("{} ends", self.name), ENDS_WITHIN, async || self.ended()?.context("it still runs")).await
    }

    /// Ends it the way Kubernetes does; it must go along with that.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.terminate()?;
        let status = self.until_ended().await?;
        ensure!(status.success(), "{} ended with {status} at SIGTERM; its log ends:\n{}", self.name, tail(&self.log));
        Ok(())
    }

    /// Everything that it has said so far, in its log and its journal.
    pub(crate) fn said(&self) -> Result<String> {
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        Ok(read(&self.log)? + &read(&self.journal)?)
    }

    /// The whole lines of its journal so far.
    pub(crate) fn journal(&self) -> Result<Vec<Value>> {
        let text = match fs::read_to_string(&self.journal) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.journal.display())),
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{}: not JSON: {line}", self.journal.display()))).collect()
    }

    /// The clones (by name) that it says it deleted.
    pub(crate) fn deleted(&self) -> Result<Vec<String>> {
        let deleted = |line: &Value| line["event"] == "acted" && line["action"] == "delete" && line["outcome"] == "done";
        let name = |line: &Value| line["target"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(self.journal()?.iter().filter(|line| deleted(line)).map(name).collect())
    }

    /// Waits until it says that it deleted exactly these. It says so once it has the answer, and by then the clone may be gone.
    pub(crate) async fn until_says_deleted(&self, names: &[&str]) -> Result<()> {
        let mut wanted: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        wanted.sort();
        until(&format!("{} says what it deleted", self.name), ENDS_WITHIN, async || {
            let mut said = self.deleted()?;
            said.sort();
            ensure!(said == wanted, "it says {said:?}, not {wanted:?}");
            Ok(())
        })
        .await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The end of a log, for messages.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines.iter().rev().take(15).rev().map(|line| format!("  {line}\n")).collect()
}

/// An address to listen on. The ports lie above the platform's and below those that the kernel gives to outgoing connections,
/// so nobody else takes one between this look and the daemon's start.
pub(crate) fn free_address() -> Result<SocketAddr> {
    const FIRST: u16 = 30_050;
    const COUNT: u16 = 2_600;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % u32::from(COUNT))?;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from(([127, 0, 0, 1], FIRST + (begin.wrapping_add(step)) % COUNT));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port from {FIRST} on")
}
