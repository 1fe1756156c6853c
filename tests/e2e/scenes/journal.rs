//! The journal on a real cluster: clones go while it cannot be written, and no line of them is missing afterwards; each is followed until
//! nothing of it is left; files are put aside; and `clonewarden journal` finds all of it.

use crate::harness::{
    clones::Clones,
    daemon::Daemon,
    install::Install,
    stage::{CLUSTER_ID, Stage},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::Arc,
    time::Duration,
};

const NAMESPACE: &str = "journal";
const CLONES: usize = 16;
/// By then all are up, and their ends announced.
const TTL: u32 = 40;
const SIZE: u64 = 64 << 10;
const FILES: usize = 3;
/// KRO, the controllers and the collector of what has no owner take their time.
const GONE_WITHIN: Duration = Duration::from_secs(90);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, NAMESPACE).await?;
    install.govern(NAMESPACE, &[NAMESPACE], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [20s], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let daemon = install.start_with(&["--cluster-id", CLUSTER_ID, "--journal-size", "64Ki", "--journal-files", "3", "--journal-stdout"])?;
    daemon.until_leading().await?;
    let names: Vec<String> = (0..CLONES).map(|number| format!("clone-{number}")).collect();
    for name in &names {
        clones.create(name, Some(TTL), &json!({})).await?;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    clones.until_announced(&names).await?;

    // Somebody takes the file away, and leads what is written to another place.
    let (file, taken, victim) = (install.file("daemon-0.journal"), install.file("taken.journal"), install.file("victim"));
    fs::write(&victim, "")?;
    fs::rename(&file, &taken)?;
    symlink(&victim, &file)?;
    clones.until_gone(&names).await?;
    let failures = count(&daemon, "clonewarden_journal_failures_total", &[("output", "file"), ("what", "write")]).await?;
    ensure!(failures > 0.5, "no failure was counted");
    ensure!(fs::metadata(&victim)?.len() == 0, "it was written through a link");
    fs::remove_file(&file)?;

    let (file, taken) = (text(&file)?, text(&taken)?);
    let ask = async |more: &[&str]| -> Result<Vec<Value>> {
        let out = install.person(&[&["journal", &taken, &file, "-o", "json"], more].concat()).await?;
        out.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))).collect()
    };
    let gone = until("every clone is followed to its end", GONE_WITHIN, async || {
        let gone = ask(&["--event", "gone"]).await?;
        ensure!(gone.len() == CLONES, "{} of {CLONES} are", gone.len());
        Ok(gone)
    })
    .await?;
    let ended = ask(&["--action", "delete", "--outcome", "done", "--reason", "expired", "--namespace", NAMESPACE]).await?;
    ensure!(ended.len() == CLONES, "{} of {CLONES} ends are in the journal", ended.len());
    let mut slowest = 0;
    for line in &gone {
        let end = ended.iter().find(|end| end["target"]["uid"] == line["target"]["uid"]).context("it did not end")?;
        ensure!(end["id"] == line["id"], "another decision: {end} and {line}");
        let rests = |line: &Value, source: &str| {
            line["evidence"].as_array().is_some_and(|all| all.iter().any(|one| one["source"] == source && one["complete"] == true))
        };
        ensure!(rests(end, "clones") && rests(end, "time"), "its end rests on {}", end["evidence"]);
        ensure!(["clones", "jobs", "pods"].iter().all(|source| rests(line, source)), "that it is gone rests on {}", line["evidence"]);
        slowest = slowest.max(line["facts"]["tookSeconds"].as_u64().context("no time")?);
    }
    let life = ask(&["--clone", &format!("{NAMESPACE}/clone-7")]).await?;
    ensure!(life.iter().all(|line| line["clone"]["name"] == "clone-7"), "it says {life:?}");
    ensure!(life.iter().any(|line| line["reason"]["code"] == "Announced"), "nothing of its announcement");
    ensure!(ask(&["--owner", "nobody"]).await?.is_empty(), "nobody owns one");
    let table = install.person(&["journal", &file, "--event", "gone", "--limit", "1"]).await?;
    ensure!(table.starts_with("TIME ") && table.ends_with(" lines\n"), "the table: {table}");

    // Standard output has it, too, among the lines of the log.
    let log = text(&install.file("daemon-0.log"))?;
    let among = install.person(&["journal", &log, "-o", "json", "--event", "gone"]).await?;
    ensure!(among.lines().count() == CLONES, "its log has {} of {CLONES}", among.lines().count());

    let lost = count(&daemon, "clonewarden_journal_lines_total", &[("outcome", "lost")]).await?;
    ensure!(lost < 0.5, "{lost} lines are lost");
    daemon.stop().await?;
    let kept = kept(Path::new(&file))?;
    ensure!(kept > 1, "nothing was put aside");
    clones.clear().await?;
    Ok(format!("{CLONES} ends, none missing; the last one was gone with everything {slowest} s after it was deleted; {kept} files"))
}

async fn count(daemon: &Daemon, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    Ok(daemon.metrics().await?.sum(name, labels))
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path that is no text")?.to_owned())
}

/// How many files there are of a journal, each as small and as closed as it should be.
fn kept(file: &Path) -> Result<usize> {
    let name = file.file_name().and_then(|name| name.to_str()).context("no name")?;
    let mut count = 0;
    for entry in fs::read_dir(file.parent().context("no folder")?)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(name) {
            let metadata = entry.metadata()?;
            ensure!(metadata.permissions().mode() & 0o137 == 0, "others may read {:?}", entry.file_name());
            ensure!(metadata.len() <= SIZE, "{:?} has {} bytes", entry.file_name(), metadata.len());
            count += 1;
        }
    }
    ensure!(count <= FILES, "{count} files");
    Ok(count)
}
