//! How much of the machine others took while something was measured.

use super::daemon::Daemon;
use anyhow::{Context, Result};
use clonewarden_platform::Platform;
use std::fs;

/// Clock ticks a second in `/proc`, on every Linux there is.
const TICKS: f64 = 100.0;

/// The CPU of this machine, and the processes that belong to the measurement.
pub(super) struct Machine {
    parts: Vec<u32>,
}

/// One look at it.
pub(super) struct Look {
    /// Everything that passed, idle or not, over all cores; what of it was busy or stolen; and what of that was ours.
    passed: f64,
    busy: f64,
    ours: f64,
}

impl Machine {
    /// The parts of the platform belong to the measurement.
    pub(super) fn new(platform: &Platform) -> Result<Self> {
        Ok(Self { parts: platform.parts()?.into_iter().filter_map(|part| part.pid).collect() })
    }

    pub(super) fn look(&self, daemon: &Daemon) -> Result<Look> {
        let mut look = self.look_alone()?;
        look.ours += daemon.cpu()?;
        Ok(look)
    }

    pub(super) fn look_alone(&self) -> Result<Look> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of the first two.
        let times: Vec<f64> =
            line.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse::<f64>().ok()).map(|ticks| ticks / TICKS).collect();
        let passed: f64 = times.iter().sum();
        let idle: f64 = times.iter().skip(3).take(2).sum();
        let parts: f64 = self.parts.iter().filter_map(|pid| cpu_of(*pid).ok()).sum();
        Ok(Look { passed, busy: passed - idle, ours: parts + own_cpu()? })
    }

    /// The share of the machine's CPU that others took since then.
    pub(super) fn others_since(&self, before: &Look, daemon: &Daemon) -> Result<f64> {
        Ok(share(before, &self.look(daemon)?))
    }

    pub(super) fn others_since_alone(&self, before: &Look) -> Result<f64> {
        Ok(share(before, &self.look_alone()?))
    }
}

fn share(before: &Look, after: &Look) -> f64 {
    let others = (after.busy - before.busy) - (after.ours - before.ours);
    (others / (after.passed - before.passed)).max(0.0)
}

/// Seconds of CPU that this process has used.
pub(super) fn own_cpu() -> Result<f64> {
    cpu_of(std::process::id())
}

/// Seconds of CPU that a process has used.
pub(super) fn cpu_of(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(") ").context("/proc/<pid>/stat is strange")?;
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / TICKS)
}
