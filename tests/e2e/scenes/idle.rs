//! Clones on a shared host that nobody uses, on a real MariaDB: what its performance schema counts and what is never believed; then with
//! the daemon: one clone that a client uses lives, one that nobody uses is announced and ends, one to which somebody comes back does
//! not; a daemon that is killed remembers, and a server that restarts or stops counting ends nothing.

use crate::harness::{
    clones::{Clones, Seen},
    daemon::Daemon,
    install::Install,
    mariadb,
    stage::{CLUSTER_ID, Stage},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::{
    model::{
        credentials::SecretText,
        names,
        schema::{LedgerRow, SchemaOrder, schema_name},
        usage::{HostUse, Memory, Unused, Use},
    },
    ports::{DatabaseHost, HostError},
};
use clonewarden_platform::{MariaDb, Platform};
use jiff::{SignedDuration, Timestamp};
use mysql_async::{Conn, prelude::Queryable};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

const NAMESPACE: &str = "idle";
const AFTER: SignedDuration = SignedDuration::from_secs(12);
const GRACE: SignedDuration = SignedDuration::from_secs(12);
const RULES: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 2h, warnings: [], grace: 12s}\nidle: {after: 12s}\n\
                     orphans: {soak: 3s, observations: 2}";
const SOON: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a-password_of-the-form-0123456789";

struct Ground {
    stage: Arc<Stage>,
    install: Install,
    clones: Clones,
    mariadb: MariaDb,
}

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "idle").await?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let ground = Ground { mariadb: mariadb::server()?, stage, install, clones };
    ground.counters().await.context("what is counted")?;
    ground.install.share(&mariadb::document(&ground.mariadb, 50))?;
    ground.install.govern("idle", &[NAMESPACE], RULES)?;
    let daemon = ground.start().await?;
    let figures = ground.lives(&daemon).await.context("one that is used and one that is not")?;
    let daemon = ground.remembered(daemon).await.context("a daemon that is killed")?;
    ground.restarted(&daemon).await.context("a server that restarts")?;
    ground.uncounted(&daemon).await.context("a server that does not count")?;
    for clone in ground.clones.all().await? {
        ground.clones.delete(clone.name()).await?;
    }
    daemon.until_metric(SOON, "clonewarden_host_schemas", &[("host", "shared"), ("state", "ready")], 0.0).await?;
    let left = ground.mariadb.sql("SELECT COUNT(*) FROM clonewarden.uses")?;
    ensure!(left.trim() == "0", "what is remembered of schemas that are gone: {left}");
    daemon.stop().await?;
    ground.clones.clear().await?;
    Ok(figures)
}

fn order(number: u32) -> SchemaOrder {
    let uid = format!("{number:08x}-d9cb-469f-a165-70867728950e");
    let row = LedgerRow {
        cluster: "counters".to_owned(),
        uid: uid.clone(),
        namespace: NAMESPACE.to_owned(),
        clone: "counted".to_owned(),
        state: None,
        made: Timestamp::UNIX_EPOCH,
    };
    SchemaOrder { name: schema_name(&uid).unwrap_or_default(), row, password: SecretText::new(PASSWORD.to_owned()), connections: 5 }
}

impl Ground {
    async fn usage(&self) -> Result<HostUse, HostError> {
        mariadb::adapter(&self.mariadb).usage(&mariadb::host(&self.mariadb, self.mariadb.port)).await
    }

    async fn use_of(&self, name: &str) -> Result<Use> {
        let said = self.usage().await?;
        ensure!(said.uncounted.is_none(), "it does not count: {said:?}");
        Ok(said.uses.get(name).cloned().unwrap_or_default())
    }

    /// Why it is not believed.
    async fn disbelief(&self) -> Result<String> {
        self.usage().await?.uncounted.context("it is believed")
    }

    async fn counters(&self) -> Result<()> {
        let (order, host, adapter) = (order(1), mariadb::host(&self.mariadb, self.mariadb.port), mariadb::adapter(&self.mariadb));
        let (name, uid) = (order.name.as_str(), order.row.uid.as_str());
        adapter.make_schema(&host, &order).await?;
        ensure!(self.use_of(name).await?.mark.is_none(), "a user who never came is counted");
        let mut client = mariadb::client(&self.mariadb, name, PASSWORD).await?;
        client.query_drop(format!("CREATE TABLE {name}.t (a INT); INSERT INTO {name}.t VALUES (1)")).await?;
        let first = self.use_of(name).await?;
        ensure!(first.mark.is_some() && !first.busy && first.memory.is_none(), "{first:?}");
        ensure!(first.written.is_some(), "who writes is not seen: {first:?}");
        for _ in 0..3 {
            ensure!(self.use_of(name).await?.mark == first.mark, "without use it is not the same");
        }
        // Remembered, it is unused; what was written is dated in whole seconds.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let now = Timestamp::now();
        let memory = first.to_remember(uid, now).context("there is nothing to remember")?;
        adapter.note_use(&host, &[(name.to_owned(), memory.clone())]).await?;
        adapter.note_use(&host, &[(name.to_owned(), memory.clone())]).await?;
        let unused = self.use_of(name).await?;
        ensure!(unused.memory.as_ref() == Some(&memory) && unused.unused_since(uid, Timestamp::now()).is_some(), "{unused:?}");
        let judged = Unused { host: Arc::from("shared"), schema: name.to_owned(), mark: memory.mark.clone(), since: now };
        ensure!(unused.is_still(&judged), "{unused:?}");
        // Every kind of use is seen.
        client.query_drop("SELECT 1").await?;
        let read = self.use_of(name).await?;
        ensure!(read.unused_since(uid, Timestamp::now()).is_none() && !read.is_still(&judged), "a statement on an open connection: {read:?}");
        client.ping().await?;
        let pinged = self.use_of(name).await?;
        ensure!(pinged.mark != read.mark, "a ping: {pinged:?}");
        mariadb::client(&self.mariadb, name, PASSWORD).await?.disconnect().await?;
        let came = self.use_of(name).await?;
        ensure!(came.mark != pinged.mark, "a connection that says nothing: {came:?}");
        client.exec_drop(format!("INSERT INTO {name}.t VALUES (?)"), (7,)).await?;
        let prepared = self.use_of(name).await?;
        ensure!(prepared.mark != came.mark, "a prepared statement: {prepared:?}");
        let sleeper = mariadb::client(&self.mariadb, name, PASSWORD).await?;
        let asleep = tokio::spawn(async move {
            let mut sleeper: Conn = sleeper;
            sleeper.query_drop("SELECT SLEEP(3)").await
        });
        until("a statement that runs is seen", SOON, async || {
            ensure!(self.use_of(name).await?.busy, "it is not");
            Ok(())
        })
        .await?;
        asleep.await??;
        // Somebody else writes there.
        let before = self.use_of(name).await?;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        self.mariadb.sql(&format!("INSERT INTO {name}.t VALUES (8)"))?;
        let after = self.use_of(name).await?;
        ensure!(after.mark == before.mark && after.written > before.written, "the owner of the host writes: {before:?}, then {after:?}");
        // A reset is no rest.
        self.mariadb.sql("TRUNCATE performance_schema.events_statements_summary_by_user_by_event_name")?;
        let reset = self.use_of(name).await?;
        ensure!(reset.mark != after.mark, "a reset: {reset:?}");
        self.mariadb.sql("TRUNCATE performance_schema.users")?;
        ensure!(self.use_of(name).await?.mark != reset.mark, "a reset of connections");
        self.disbelieved(name, &mut client).await.context("what is not believed")?;
        client.disconnect().await?;
        adapter.drop_schema(&host, name, &order.row).await?;
        ensure!(self.usage().await?.uses.get(name).is_none_or(|left| left.memory.is_none()), "what is remembered of it is left");
        Ok(())
    }

    /// Whatever is switched off, it is not believed that nobody comes.
    async fn disbelieved(&self, name: &str, client: &mut Conn) -> Result<()> {
        let schema = "performance_schema";
        for (off, on, why) in [
            (
                format!("UPDATE {schema}.setup_consumers SET ENABLED = 'NO' WHERE NAME = 'global_instrumentation'"),
                format!("UPDATE {schema}.setup_consumers SET ENABLED = 'YES' WHERE NAME = 'global_instrumentation'"),
                "it has not counted a write of ours",
            ),
            (
                format!("UPDATE {schema}.setup_consumers SET ENABLED = 'NO' WHERE NAME = 'thread_instrumentation'"),
                format!("UPDATE {schema}.setup_consumers SET ENABLED = 'YES' WHERE NAME = 'thread_instrumentation'"),
                "it has not counted a write of ours",
            ),
            (
                format!("UPDATE {schema}.setup_instruments SET ENABLED = 'NO' WHERE NAME = 'statement/sql/insert'"),
                format!("UPDATE {schema}.setup_instruments SET ENABLED = 'YES' WHERE NAME = 'statement/sql/insert'"),
                "`statement/sql/insert` is off",
            ),
            (
                format!("INSERT INTO {schema}.setup_actors (HOST, USER, ROLE, ENABLED, HISTORY) VALUES ('%', '{name}', '%', 'NO', 'NO')"),
                format!("DELETE FROM {schema}.setup_actors WHERE USER = '{name}'"),
                "not everybody is counted",
            ),
            (
                format!("REVOKE SELECT ON {schema}.* FROM clonewarden@'%'"),
                format!("GRANT SELECT ON {schema}.* TO clonewarden@'%'"),
                "the daemon's user needs `GRANT SELECT ON performance_schema.*`",
            ),
        ] {
            self.mariadb.sql(&off)?;
            let told = self.disbelief().await;
            self.mariadb.sql(&on)?;
            let told = told.with_context(|| off.clone())?;
            ensure!(told.starts_with(why), "{off}: {told}");
            self.use_of(name).await.with_context(|| on.clone())?;
        }
        // One connection alone is not counted: it may do anything.
        let id: Option<u64> = client.query_first("SELECT CONNECTION_ID()").await?;
        let id = id.context("no id")?;
        self.mariadb.sql(&format!("UPDATE {schema}.threads SET INSTRUMENTED = 'NO' WHERE PROCESSLIST_ID = {id}"))?;
        ensure!(self.use_of(name).await?.busy, "a connection that is not counted is not seen");
        self.mariadb.sql(&format!("UPDATE {schema}.threads SET INSTRUMENTED = 'YES' WHERE PROCESSLIST_ID = {id}"))?;
        // A server that takes no writes is read another time.
        self.mariadb.sql("SET GLOBAL read_only = 1")?;
        let refused = self.usage().await;
        self.mariadb.sql("SET GLOBAL read_only = 0")?;
        ensure!(matches!(refused, Err(HostError::ReadOnly(_))), "read-only: {refused:?}");
        Ok(())
    }

    async fn start(&self) -> Result<Daemon> {
        let ca = self.mariadb.ca.display().to_string();
        let daemon = self.install.start_with(&["--cluster-id", CLUSTER_ID, "--database-ca", &ca, "--sweep-every", "1s"])?;
        daemon.until_leading().await?;
        Ok(daemon)
    }

    /// A clone to which a client has come once, and the client.
    async fn visited(&self, name: &str) -> Result<(Seen, Conn)> {
        let host = format!("127.0.0.1:{}", self.mariadb.port);
        let clone = self.clones.create_with(name, Some(3600), &json!({}), &json!({"sharedDatabase": {"host": host}})).await?;
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}", names::secret_name(clone.name(), clone.uid()));
        let secret = until("the clone has its Secret", SOON, || self.stage.admin.get(&path)).await?;
        let encoded = secret["data"]["db-password"].as_str().context("no db-password")?;
        let password = String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)?)?;
        let name = clone.schema();
        let mut client = until("its user is let in", SOON, || mariadb::client(&self.mariadb, &name, &password)).await?;
        client.query_drop("SELECT 1").await?;
        Ok((clone, client))
    }

    /// Waits until the end of a clone is announced because nobody uses it.
    async fn until_unused(&self, name: &str) -> Result<Seen> {
        until(&format!("{name} is found unused"), SOON, async || {
            let clone = self.clones.one(name).await?;
            ensure!(clone.annotation(names::UNUSED_SINCE).is_some(), "it ends at {:?}", clone.expires_at());
            Ok(clone)
        })
        .await
    }

    /// Waits until that is taken back.
    async fn until_used(&self, name: &str) -> Result<()> {
        until(&format!("{name} is found used"), SOON, async || {
            let clone = self.clones.one(name).await?;
            let left = clone.expires_at().context("no end is announced")?.duration_since(Timestamp::now());
            let told = clone.annotation(names::UNUSED_SINCE).is_some();
            ensure!(!told && left > SignedDuration::from_mins(30), "unused: {told}, it ends in {left:?}");
            Ok(())
        })
        .await
    }

    /// When nothing had used a clone any more, as is announced.
    fn since(clone: &Seen) -> Result<Timestamp> {
        Ok(clone.annotation(names::UNUSED_SINCE).context("not announced")?.parse()?)
    }

    async fn lives(&self, daemon: &Daemon) -> Result<String> {
        let (_, mut busy) = self.visited("used").await?;
        let used: JoinHandle<mysql_async::Result<()>> = tokio::spawn(async move {
            loop {
                busy.query_drop("SELECT 1").await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let (_, mut back) = self.visited("back").await?;
        // One that stays connected and does nothing uses nothing.
        let (_, left) = self.visited("unused").await?;
        let last = Timestamp::now();
        self.until_unused("back").await?;
        back.query_drop("SELECT 1").await?;
        self.until_used("back").await.context("somebody comes back within the grace")?;
        let unused = self.until_unused("unused").await?;
        let (since, end) = (Self::since(&unused)?, unused.expires_at().context("no end")?);
        let announced: Timestamp = unused.annotation(names::ANNOUNCED_AT).context("announced-at")?.parse()?;
        ensure!(since <= last + SignedDuration::from_secs(3), "it was used at {last} at the latest, and it says {since}");
        ensure!(announced >= since + AFTER && end >= announced + GRACE, "since {since}, announced {announced}, end {end}");
        let story = self.install.explain(&format!("{NAMESPACE}/unused")).await?;
        ensure!(story.contains("nothing has used its database since") && story.contains("spec.idle.after: 12s"), "explain says:\n{story}");
        let listed = self.install.person(&["clone", "list", "-n", NAMESPACE]).await?;
        ensure!(listed.lines().any(|line| line.starts_with("unused ") && line.contains("(unused)")), "list says:\n{listed}");
        self.clones.until_gone(&["unused"]).await?;
        let gone = Timestamp::now();
        ensure!(gone >= end, "it went before its announced end");
        left.disconnect().await.ok();
        let journal = until("its journal says why", SOON, async || {
            let ended = |line: &Value| line["action"] == "delete" && line["target"]["name"] == "unused" && line["outcome"] == "done";
            daemon.journal()?.into_iter().find(ended).context("it does not")
        })
        .await?;
        ensure!(journal["reason"]["code"] == "Idle" && journal["policy"] == "idle", "its journal says {journal}");
        let told = self.clones.events().await?;
        let why = |event: &crate::harness::clones::Told| event.about == "unused" && event.message.contains("nothing has used its database since");
        ensure!(told.iter().any(why), "no Event says why");
        let lives = self.clones.one("used").await?;
        ensure!(lives.annotation(names::UNUSED_SINCE).is_none() && !lives.is_terminating(), "the one that is used is to end");
        ensure!(!used.is_finished(), "its client was thrown out");
        used.abort();
        self.clones.delete("used").await?;
        let figures = format!(
            "gone {:.1} s after its last use, after {} s and {} s of grace",
            gone.duration_since(last).as_secs_f64(),
            AFTER.as_secs(),
            GRACE.as_secs()
        );
        Ok(figures)
    }

    /// A process that is killed has written down what it saw.
    async fn remembered(&self, daemon: Daemon) -> Result<Daemon> {
        let (clone, client) = self.visited("remembered").await?;
        client.disconnect().await?;
        let name = clone.schema();
        until("its use is written down", SOON, async || {
            let known = self.use_of(&name).await?;
            ensure!(known.memory.as_ref().map(|memory| &memory.mark) == known.mark.as_ref() && known.mark.is_some(), "{known:?}");
            Ok(())
        })
        .await?;
        daemon.kill()?;
        let killed = Timestamp::now();
        let daemon = self.start().await?;
        let since = Self::since(&self.until_unused("remembered").await?)?;
        ensure!(since <= killed, "its clock began anew at {since}, after the process was killed at {killed}");
        Ok(daemon)
    }

    /// A server that starts anew has forgotten everybody: that is use.
    async fn restarted(&self, daemon: &Daemon) -> Result<()> {
        let (clone, client) = self.visited("restarted").await?;
        client.disconnect().await?;
        self.until_unused("restarted").await?;
        self.stage.parts(|platform: &Platform| platform.restart("mariadb")).await?;
        daemon.until_metric(SOON, "clonewarden_host_use_counted", &[("host", "shared")], 1.0).await?;
        self.until_used("restarted").await?;
        ensure!(self.use_of(&clone.schema()).await?.mark.is_none(), "the server has forgotten nobody");
        Ok(())
    }

    /// A server that does not count ends nobody, and that is said.
    async fn uncounted(&self, daemon: &Daemon) -> Result<()> {
        let (clone, client) = self.visited("uncounted").await?;
        client.disconnect().await?;
        self.until_unused("uncounted").await?;
        let switch = |to: &str| format!("UPDATE performance_schema.setup_consumers SET ENABLED = '{to}' WHERE NAME = 'global_instrumentation'");
        let alert = [("action", "alert"), ("code", "UseNotCounted")];
        self.mariadb.sql(&switch("NO"))?;
        daemon.until_metric(SOON, "clonewarden_host_use_counted", &[("host", "shared")], 0.0).await?;
        daemon.until_metric(SOON, "clonewarden_decisions", &alert, 1.0).await?;
        self.until_used("uncounted").await?;
        let name = clone.schema();
        until("what was remembered is forgotten", SOON, async || {
            let memory = self.usage().await?.uses.get(&name).and_then(|known| known.memory.clone());
            ensure!(memory.as_ref().is_some_and(|Memory { mark, .. }| mark.is_empty()), "{memory:?}");
            Ok(())
        })
        .await?;
        let counts_again = Timestamp::now();
        self.mariadb.sql(&switch("YES"))?;
        daemon.until_metric(SOON, "clonewarden_decisions", &alert, 0.0).await?;
        let since = Self::since(&self.until_unused("uncounted").await?)?;
        ensure!(since >= counts_again, "its clock went on from {since}, while the server did not count");
        Ok(())
    }
}
