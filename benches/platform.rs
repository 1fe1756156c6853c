//! The daemon on a real API server: how late it is, how fast, how hungry, and how big.
//!
//! ```text
//! cargo run -p clonewarden-platform -- run -- cargo bench --bench platform
//! ```
//!
//! The clones are bare custom resources: no RGD, so KRO does nothing and what is measured is the daemon, the API server and
//! etcd. All of them share this machine with the bench, so times are only worth something on one where nothing else runs: the
//! last column says how much of the CPU went to others. Ratios are taken within one run. Announcements are written together
//! with the clones, as an earlier daemon would have left them; nothing waits for 10,000 of them to be made.
//! `CLONEWARDEN_BENCH_SCENES=storm,expiry,idle,admission,sweep` measures only those.

#![expect(clippy::indexing_slicing, reason = "a bench fails by a panic")]

#[path = "platform/cluster.rs"]
mod cluster;
#[path = "platform/daemon.rs"]
mod daemon;
#[path = "platform/machine.rs"]
mod machine;
#[path = "platform/reviews.rs"]
mod reviews;
#[path = "platform/sweeps.rs"]
mod sweeps;
#[path = "platform/table.rs"]
mod table;

use anyhow::{Context, Result, ensure};
use clonewarden_platform::Platform;
use cluster::{Cluster, Deletes, LIVE, Made, STORM, UNGOVERNED};
use daemon::{Daemon, Reading};
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use machine::Machine;
use reviews::{Reviewer, Took};
use std::{path::PathBuf, time::Duration};
use sweeps::{INSTANCES, Sky};
use table::{Table, millis, ratio};
use tokio::time::sleep;

/// How many clones end at the same second, and how many a bare client deletes beside them.
const AT_ONCE: usize = 5_000;
/// How many clones end one after the other, and within how many seconds.
const SPREAD: (usize, i64) = (200, 20);
/// How many objects each clone has where they have any.
const CHILDREN: usize = 6;
/// For how many seconds clones are created.
const CREATING: usize = 10;
/// How long an idle daemon is looked at.
const IDLE: Duration = Duration::from_secs(60);
/// How long it is left alone before.
const SETTLE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> Result<()> {
    let platform = Platform::attach().context(
        "this bench needs the real parts; start them and it with\n  cargo run -p clonewarden-platform -- run -- cargo bench --bench platform",
    )?;
    let folder = platform.dir().join("bench");
    std::fs::create_dir_all(folder.join("policies"))?;
    std::fs::write(folder.join("policies/bench.yaml"), cluster::policy())?;
    let cluster = Cluster::set(&platform).await?;
    let machine = Machine::new(&platform)?;
    let mut bench = Bench { platform, cluster, machine, folder, table: Table::default(), started: 0 };
    let outcome = bench.run().await;
    bench.table.print();
    outcome
}

struct Bench {
    platform: Platform,
    cluster: Cluster,
    machine: Machine,
    folder: PathBuf,
    table: Table,
    started: usize,
}

impl Bench {
    async fn run(&mut self) -> Result<()> {
        let chosen = std::env::var("CLONEWARDEN_BENCH_SCENES").unwrap_or_else(|_| "storm,expiry,idle,admission,sweep".to_owned());
        let chosen = |scene: &str| chosen.split(',').any(|one| one.trim() == scene);
        // Its first leader decides since when the namespaces are enforced: announcements count from then on.
        self.daemon(0).await?.stop().await?;
        if chosen("sweep") {
            self.sweep().await?;
        }
        if chosen("idle") {
            self.idle("no clones", 0).await?;
        }
        if chosen("storm") {
            self.storm().await?;
        }
        let mut clones = Vec::new();
        for (count, named) in [(1_000, "1,000 clones"), (10_000, "10,000 clones")] {
            let more = count - clones.len();
            clones.extend(self.cluster.create(LIVE, "life", more, |_| far()).await?);
            if chosen("idle") {
                self.idle(named, count).await?;
            }
            if chosen("expiry") {
                self.expiry(named, count).await?;
            }
        }
        if chosen("admission") {
            self.admission(clones.len()).await?;
        }
        if chosen("idle") {
            self.cluster.create_children(&clones, CHILDREN).await?;
            self.idle("10,000 clones, 60,000 ConfigMaps", clones.len()).await?;
        }
        Ok(())
    }

    /// A new daemon that holds the lease and sees this many clones in the namespaces that it governs.
    async fn daemon(&mut self, clones: usize) -> Result<Daemon> {
        self.started += 1;
        let daemon = Daemon::start(&self.platform, &self.folder, self.started, None)?;
        daemon.until_leading(clones).await?;
        Ok(daemon)
    }

    /// Sweeps over a large account, all of it somebody else's, between two halves of a bare client's reading.
    async fn sweep(&mut self) -> Result<()> {
        let sky = Sky::filled(&self.platform).await?;
        let first = sky.read_bare().await?;
        self.started += 1;
        let daemon = Daemon::start(&self.platform, &self.folder, self.started, Some(sky.address()))?;
        daemon.until_leading(0).await?;
        // The first sweep warms the connection and fills the store; the second is like all that follow.
        let (at, _) = sky.until_swept(&daemon, 0.0, 0).await?;
        let (called, cpu, load) = (sky.called().await?, daemon.cpu()?, self.machine.look(&daemon)?);
        let (_, asked) = sky.until_swept(&daemon, at, called).await?;
        let cpu = daemon.cpu()? - cpu;
        let others = self.machine.others_since(&load, &daemon)?;
        let (now, most) = daemon.memory()?;
        daemon.stop().await?;
        let second = sky.read_bare().await?;
        let bare = (first + second).as_secs_f64() / 2.0;
        let named = format!("sweep of {INSTANCES} instances");
        self.table.row(&format!("{named}: describe calls"), &format!("{} of instances, {} in all", asked.instances, asked.all), "50", others);
        self.table.row(&format!("{named}: instances, daemon / bare client"), &ratio(asked.took / bare), "", others);
        self.table.row(&format!("{named}: time"), &format!("{:.1} s for the instances, the bare client {bare:.1} s", asked.took), "", others);
        self.table.row(&format!("{named}: CPU of the daemon"), &format!("{cpu:.2} s, with all else that it does"), "Cloud Custodian 3.6 s", others);
        self.table.row(&format!("{named}: memory"), &format!("{now:.1} MiB resident, at most {most:.1} MiB"), "Cloud Custodian 161 MB", others);
        Ok(())
    }

    /// Clones that end one after the other: from the announced end until the API server had accepted the delete.
    async fn expiry(&mut self, named: &str, live: usize) -> Result<()> {
        let (count, seconds) = SPREAD;
        let daemon = self.daemon(live).await?;
        let first = Timestamp::now() + SignedDuration::from_secs(15);
        let per_second = count / usize::try_from(seconds)?;
        let end = |number: usize| first + SignedDuration::from_secs(i64::try_from(number / per_second).unwrap_or_default());
        self.cluster.create(LIVE, "spread", count, end).await?;
        ensure!(Timestamp::now() < first, "the clones were not there in time: this machine is too busy to measure anything");
        let load = self.machine.look(&daemon)?;
        sleep_until(first + SignedDuration::from_secs(seconds + 2)).await;
        let late = daemon.until_deleted(LIVE, count).await?;
        let others = self.machine.others_since(&load, &daemon)?;
        let at = |share: f64| late[((late.len() - 1) as f64 * share).round() as usize];
        let figure = format!("p50 {}, p99 {}, max {}", millis(at(0.5)), millis(at(0.99)), millis(at(1.0)));
        let aim = if live <= 1_000 { "p99 ≤ 250 ms" } else { "" };
        self.table.row(&format!("end → DELETE accepted, {count} over {seconds} s, {named}"), &figure, aim, others);
        daemon.stop().await
    }

    /// Creations at a fixed rate, as the API server makes them: both reviews, then the object is stored. First as dry runs, which
    /// shows what judging takes, then for real, with the write of the ledger; at the higher rate API server, daemon and bench
    /// together are all that two cores can do.
    async fn admission(&mut self, live: usize) -> Result<()> {
        let daemon = self.daemon(live).await?;
        let reviewer = Reviewer::new(&self.platform, daemon.webhook()).await?;
        for (what, a_second, dry) in [("dry runs", 250, true), ("for real", 100, false), ("for real", 250, false)] {
            let load = self.machine.look(&daemon)?;
            let cpu = daemon.cpu()?;
            let begun = std::time::Instant::now();
            let (reviewer, cluster) = (&reviewer, &self.cluster);
            let creations = futures::stream::iter(0..a_second * CREATING).map(|number| async move {
                tokio::time::sleep_until(reviews::due(begun, number, a_second).into()).await;
                let (object, took) = reviewer.create(cluster::bare_clone(&format!("asked-{a_second}-{number}")), dry).await?;
                if !dry {
                    cluster.store(object).await?;
                }
                anyhow::Ok(took)
            });
            let took: Vec<Took> = creations.buffer_unordered(256).try_collect().await?;
            let each = (daemon.cpu()? - cpu) / (2 * took.len()) as f64;
            let others = self.machine.others_since(&load, &daemon)?;
            let figure = |of: fn(&Took) -> f64| {
                let mut all: Vec<f64> = took.iter().map(of).collect();
                all.sort_by(f64::total_cmp);
                let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize] * 1e3;
                format!("p50 {:.1} ms, p99 {:.1} ms", at(0.5), at(0.99))
            };
            let rate = format!("admission, {live} live clones, {} reviews a second, {what}", 2 * a_second);
            self.table.row(&format!("{rate}: mutate"), &figure(|took| took.mutate), if dry { "p99 ≤ 5 ms" } else { "p99 ≤ 50 ms" }, others);
            self.table.row(&format!("{rate}: validate"), &figure(|took| took.validate), "p99 ≤ 5 ms", others);
            self.table.row(&format!("{rate}: CPU of a review, with all else that the daemon does"), &format!("{:.2} ms", each * 1e3), "", others);
        }
        daemon.stop().await
    }

    /// Clones that all end at the same second, between two halves of a bare client's deletes.
    async fn storm(&mut self) -> Result<()> {
        let bare = self.cluster.create(UNGOVERNED, "bare", AT_ONCE, |_| far()).await?;
        let (before, after) = bare.split_at(AT_ONCE / 2);
        let end = Timestamp::now() + SignedDuration::from_secs(45);
        self.cluster.create(STORM, "storm", AT_ONCE, |_| end).await?;
        let first = self.bare(before).await?;
        let daemon = self.daemon(AT_ONCE).await?;
        ensure!(
            Timestamp::now() + SignedDuration::from_secs(2) < end,
            "the clones were not there in time: this machine is too busy to measure anything"
        );
        let mark = self.cluster.audit_mark()?;
        sleep_until(end).await;
        let load = self.machine.look(&daemon)?;
        let cpu = daemon.cpu()?;
        let late = daemon.until_deleted(STORM, AT_ONCE).await?;
        let cpu = daemon.cpu()? - cpu;
        let others = self.machine.others_since(&load, &daemon)?;
        let storm = self.cluster.deletes_since(mark, STORM)?;
        ensure!(storm.count == AT_ONCE, "the API server accepted {} deletes", storm.count);
        daemon.stop().await?;
        let second = self.bare(after).await?;

        let bare_rate = AT_ONCE as f64 / (first.seconds() + second.seconds());
        let bare_cpu = first.cpu + second.cpu;
        let each = |cpu: f64| cpu / AT_ONCE as f64 * 1e3;
        self.table.row(
            &format!("storm: {AT_ONCE} ends at one second, the daemon"),
            &format!("{:.0} a second, {:.2} ms of its CPU each", storm.rate(), each(cpu)),
            "",
            others,
        );
        let halves =
            format!("{bare_rate:.0} a second ({:.0} before, {:.0} after), {:.2} ms of its CPU each", first.rate(), second.rate(), each(bare_cpu));
        self.table.row("storm: a bare client, 64 in flight, no watch", &halves, "", first.others.max(second.others));
        self.table.row("storm: daemon / bare client", &ratio(storm.rate() / bare_rate), "≥ 90 %", others);
        let last = late.last().copied().unwrap_or_default();
        let begun = storm.first.duration_since(end).as_secs_f64();
        self.table.row("storm: lateness of the last", &format!("{last:.2} s; the first was sent after {}", millis(begun)), "", others);
        Ok(())
    }

    async fn bare(&mut self, clones: &[Made]) -> Result<Bare> {
        let mark = self.cluster.audit_mark()?;
        let load = self.machine.look_alone()?;
        let cpu = machine::own_cpu()?;
        self.cluster.delete(UNGOVERNED, clones).await?;
        let cpu = machine::own_cpu()? - cpu;
        let others = self.machine.others_since_alone(&load)?;
        let deletes = self.cluster.deletes_since(mark, UNGOVERNED)?;
        ensure!(deletes.count == clones.len(), "the API server accepted {} deletes", deletes.count);
        Ok(Bare { deletes, cpu, others })
    }

    /// A daemon that has just read the world and has nothing to do.
    async fn idle(&mut self, named: &str, clones: usize) -> Result<()> {
        let daemon = self.daemon(clones).await?;
        sleep(SETTLE).await;
        let load = self.machine.look(&daemon)?;
        let before = daemon.reading().await?;
        sleep(IDLE).await;
        let after = daemon.reading().await?;
        let others = self.machine.others_since(&load, &daemon)?;
        let hours = IDLE.as_secs_f64() / 3_600.0;
        let asked = |of: fn(&Reading) -> f64| (of(&after) - of(&before)) / hours;
        self.table.row(&format!("idle, {named}: CPU"), &format!("{:.0} s an hour", asked(|reading| reading.cpu)), "", others);
        let requests = format!("{:.0} an hour, and {:.0} for watches and lists", asked(|reading| reading.requests), asked(|reading| reading.watches));
        self.table.row(&format!("idle, {named}: requests"), &requests, "the same for any number", others);
        let (now, most) = daemon.memory()?;
        let aim = match named {
            "10,000 clones" => "≤ 40 MiB",
            "10,000 clones, 60,000 ConfigMaps" => "≤ 100 MiB",
            _ => "",
        };
        self.table.row(&format!("idle, {named}: memory"), &format!("{now:.1} MiB resident, at most {most:.1} MiB"), aim, others);
        daemon.stop().await
    }
}

/// What a bare client did.
struct Bare {
    deletes: Deletes,
    cpu: f64,
    others: f64,
}

impl std::ops::Deref for Bare {
    type Target = Deletes;

    fn deref(&self) -> &Deletes {
        &self.deletes
    }
}

/// An end that no scene lives to see.
fn far() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(13)
}

async fn sleep_until(moment: Timestamp) {
    sleep(Duration::try_from(moment.duration_since(Timestamp::now())).unwrap_or_default()).await;
}
