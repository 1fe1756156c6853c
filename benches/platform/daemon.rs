//! One release daemon as a child process, and what it says of itself.

use super::machine;
use anyhow::{Context, Result, bail, ensure};
use clonewarden_platform::Platform;
use jiff::Timestamp;
use serde_json::Value;
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

const WITHIN: Duration = Duration::from_secs(60);
const TURN: Duration = Duration::from_millis(100);

/// A running daemon; it is killed when this is dropped.
pub(super) struct Daemon {
    child: Child,
    address: SocketAddr,
    webhook: SocketAddr,
    journal: PathBuf,
    log: PathBuf,
}

/// What `/metrics` says of the process so far.
pub(super) struct Reading {
    /// Seconds of CPU.
    pub(super) cpu: f64,
    /// Requests to the API server, without those that `watches` counts.
    pub(super) requests: f64,
    /// Watches, which the server ends every few minutes, and lists: each kind is listed anew once an hour, by pages of 500.
    pub(super) watches: f64,
    clones: f64,
    leads: bool,
}

impl Daemon {
    /// Starts it; nobody waits for it yet.
    pub(super) fn start(platform: &Platform, folder: &Path, number: usize, aws: Option<&str>) -> Result<Self> {
        let free = || anyhow::Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?);
        let (address, webhook) = (free()?, free()?);
        let file = |kind: &str| folder.join(format!("daemon-{number}.{kind}"));
        let (log, journal) = (file("log"), file("journal"));
        let out = fs::File::create(&log)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
        command.arg("run");
        if let Some(aws) = aws {
            command.args(["--aws-regions", "us-east-1", "--sweep-every", "1m"]);
            command.env("AWS_ENDPOINT_URL", format!("http://{aws}")).env("AWS_EC2_METADATA_DISABLED", "true");
            command.env("AWS_ACCESS_KEY_ID", "bench").env("AWS_SECRET_ACCESS_KEY", "bench").env_remove("AWS_CA_BUNDLE");
        }
        let child = command
            .args(["--cluster-id", "bench", "--namespace", "default", "--listen", &address.to_string()])
            .args(["--webhook-listen", &webhook.to_string(), "--webhook-names", "127.0.0.1"])
            .arg("--policies")
            .arg(folder.join("policies"))
            .arg("--journal")
            .arg(&journal)
            .env("KUBECONFIG", platform.kubeconfig())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("cannot start clonewarden")?;
        Ok(Self { child, address, webhook, journal, log })
    }

    /// Where it answers reviews.
    pub(super) fn webhook(&self) -> SocketAddr {
        self.webhook
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Seconds of CPU so far.
    pub(super) fn cpu(&self) -> Result<f64> {
        machine::cpu_of(self.pid())
    }

    /// What is resident, and what was at most, in MiB.
    pub(super) fn memory(&self) -> Result<(f64, f64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let field = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1_024.0)
        };
        field("VmRSS:").zip(field("VmHWM:")).context("no memory in /proc")
    }

    /// Waits until it holds the lease and has planned over so many clones.
    pub(super) async fn until_leading(&self, clones: usize) -> Result<()> {
        let until = Instant::now() + WITHIN;
        loop {
            match self.reading().await {
                Ok(reading) if reading.leads && reading.clones as usize >= clones => return Ok(()),
                Ok(reading) if Instant::now() > until => {
                    bail!("it leads: {}, clones: {}; its log is {}", reading.leads, reading.clones, self.log.display())
                }
                Err(error) if Instant::now() > until => return Err(error),
                _ => sleep(TURN).await,
            }
        }
    }

    /// When the last complete sweep of a region began, in seconds since 1970; 0: none has ended.
    pub(super) async fn swept(&self, region: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let series = format!("clonewarden_loop_last_success_timestamp_seconds{{loop=\"sweep/{region}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        Ok(value.and_then(|value| value.parse().ok()).unwrap_or_default())
    }

    /// What it says of itself now.
    pub(super) async fn reading(&self) -> Result<Reading> {
        let text = self.metrics().await?;
        let sum = |name: &str, with: &dyn Fn(&str) -> bool| -> f64 {
            let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
            let of = samples.filter(|(series, _)| series.split('{').next() == Some(name) && with(series));
            of.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
        };
        let watch = |series: &str| series.contains("verb=\"watch\"") || series.contains("verb=\"list\"");
        Ok(Reading {
            cpu: sum("process_cpu_seconds_total", &|_| true),
            requests: sum("clonewarden_api_requests_total", &|series| !watch(series)),
            watches: sum("clonewarden_api_requests_total", &watch),
            clones: sum("clonewarden_clones", &|_| true),
            leads: sum("clonewarden_leader", &|_| true) > 0.5,
        })
    }

    async fn metrics(&self) -> Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        // HTTP/1.0: the answer ends with the connection.
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: bench\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    /// Waits until it has deleted so many clones of a namespace; how late each was, in seconds, sorted.
    pub(super) async fn until_deleted(&self, namespace: &str, count: usize) -> Result<Vec<f64>> {
        let until = Instant::now() + WITHIN;
        loop {
            let mut late = self.lateness(namespace)?;
            if late.len() >= count {
                ensure!(late.len() == count, "{} deletes instead of {count}", late.len());
                late.sort_by(f64::total_cmp);
                return Ok(late);
            }
            ensure!(Instant::now() < until, "{} of {count} are deleted; the log is {}", late.len(), self.log.display());
            // Not often: reading the journal takes the CPU that is being measured.
            sleep(Duration::from_secs(2)).await;
        }
    }

    /// From the announced end to the moment of the journal's line, for every delete that was accepted.
    fn lateness(&self, namespace: &str) -> Result<Vec<f64>> {
        let text = fs::read_to_string(&self.journal)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut late = Vec::new();
        for line in whole.lines().filter(|line| line.contains("\"delete\"") && line.contains("\"acted\"")) {
            let line: Value = serde_json::from_str(line)?;
            if line["target"]["namespace"] != namespace || line["outcome"] != "done" {
                continue;
            }
            let date = |pointer: &str| -> Result<Timestamp> {
                let text = line.pointer(pointer).and_then(Value::as_str).with_context(|| format!("a journal line without {pointer}: {line}"))?;
                Ok(text.parse()?)
            };
            late.push(date("/time")?.duration_since(date("/reason/facts/announcedEnd")?).as_secs_f64());
        }
        Ok(late)
    }

    /// Ends it the way Kubernetes does, so that the next one need not wait for the lease.
    pub(super) async fn stop(mut self) -> Result<()> {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        ensure!(sent.success(), "the daemon could not be told to end");
        let until = Instant::now() + WITHIN;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the daemon ended with {status}; its log is {}", self.log.display());
                return Ok(());
            }
            sleep(TURN).await;
        }
        bail!("the daemon does not end")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
