//! Clones on a shared host, with the daemon: each gets a schema and a user that a client can log in as with the password from the
//! clone's Secret, and nowhere else; all leave, whether the daemon sees them go, is away, or is killed in the middle; and what is
//! called alike stays.

use crate::harness::{
    clones::{Clones, Seen},
    daemon::Daemon,
    install::Install,
    mariadb,
    orphans::{forget, until_orphan},
    stage::{CLUSTER_ID, Stage},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::{
    model::{
        credentials::SecretText,
        names,
        schema::{LedgerRow, RowState, Schema, SchemaOrder, schema_name},
    },
    ports::DatabaseHost,
};
use clonewarden_platform::{MariaDb, Platform};
use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const NAMESPACE: &str = "schemas";
const RULES: &str = "ttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}\norphans: {soak: 3s, observations: 2}";
/// A look, a plan and a handful of statements, beside whatever else two cores do.
const SOON: Duration = Duration::from_secs(40);

struct Ground {
    stage: Arc<Stage>,
    install: Install,
    clones: Clones,
    mariadb: MariaDb,
}

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "schemas").await?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let ground = Ground { mariadb: mariadb::server()?, stage, install, clones };
    forget(&ground.stage.admin).await?;
    let mariadb = &ground.mariadb;
    ground.install.share(&mariadb::document(mariadb, 50))?;
    ground.audit().await.context("in audit")?;
    let bystanders = ground.bystanders().await?;
    ground.install.govern("schemas", &[NAMESPACE], &format!("mode: enforce\n{RULES}"))?;
    let daemon = ground.start().await?;
    ground.logins(&daemon).await.context("what a clone's user may")?;
    ground.host_down(&daemon).await.context("a host that is down")?;
    ground.ends(&daemon).await.context("clones that end")?;
    let daemon = ground.left_behind(daemon).await.context("a clone that ends while the daemon is away")?;
    let (daemon, kills) = ground.killed(daemon).await.context("a daemon that is killed")?;
    daemon.until_metric(SOON, "clonewarden_host_schemas", &[("host", "shared"), ("state", "ready")], 0.0).await?;
    daemon.stop().await?;
    let left: Vec<_> = ground.schemas().await?.into_values().collect();
    ensure!(left == bystanders, "what is left is not what was not ours: {left:?}\nbut: {bystanders:?}");
    ensure!(mariadb.sql("SELECT COUNT(*) FROM wp_somebodys.t")?.trim() == "1", "what somebody wrote is gone");
    mariadb.sql("DROP DATABASE wp_somebodys; DROP USER wp_somebodys")?;
    let theirs = elsewhere();
    mariadb::adapter(mariadb).drop_schema(&mariadb::host(mariadb, mariadb.port), &theirs.name, &theirs.row).await?;
    ground.clones.clear().await?;
    forget(&ground.stage.admin).await?;
    Ok(format!("killed {kills} times"))
}

/// The schema of another cluster on the same host.
fn elsewhere() -> SchemaOrder {
    let uid = "eeeeeeee-d9cb-469f-a165-70867728950e".to_owned();
    let name = schema_name(&uid).unwrap_or_default();
    let row = LedgerRow {
        cluster: "elsewhere".to_owned(),
        uid,
        namespace: NAMESPACE.to_owned(),
        clone: "theirs".to_owned(),
        state: None,
        made: Timestamp::UNIX_EPOCH,
    };
    SchemaOrder { name, row, password: SecretText::new("a-password_of-the-form-0123456789".to_owned()), connections: 2 }
}

impl Ground {
    async fn start(&self) -> Result<Daemon> {
        let ca = self.mariadb.ca.display().to_string();
        let daemon = self.install.start_with(&["--cluster-id", CLUSTER_ID, "--database-ca", &ca, "--sweep-every", "1s"])?;
        daemon.until_leading().await?;
        Ok(daemon)
    }

    async fn create(&self, name: &str) -> Result<Seen> {
        let host = format!("127.0.0.1:{}", self.mariadb.port);
        self.clones.create_with(name, Some(3600), &json!({}), &json!({"sharedDatabase": {"host": host}})).await
    }

    /// What is on the host, without what changes by itself.
    async fn schemas(&self) -> Result<BTreeMap<String, Schema>> {
        let facts = mariadb::adapter(&self.mariadb).look(&mariadb::host(&self.mariadb, self.mariadb.port)).await?;
        let still = |schema: Arc<Schema>| Schema { bytes: 0, connections: 0, last_write: None, ..Arc::unwrap_or_clone(schema) };
        Ok(facts.schemas.into_iter().map(|schema| (schema.name.clone(), still(schema))).collect())
    }

    async fn until_ready(&self, clones: &[Seen]) -> Result<()> {
        until("each has its schema", SOON, async || {
            let there = self.schemas().await?;
            for clone in clones {
                let found = there.get(&clone.schema()).with_context(|| format!("{} has none", clone.name()))?;
                let row = found.proven(CLUSTER_ID).with_context(|| format!("{}: {found:?}", clone.name()))?;
                ensure!(row.state == Some(RowState::Ready) && found.there && found.user, "{}: {found:?}", clone.name());
            }
            Ok(())
        })
        .await
    }

    async fn until_dropped(&self, clones: &[Seen]) -> Result<()> {
        until("their schemas are gone", SOON, async || {
            let there = self.schemas().await?;
            let left: Vec<_> = clones.iter().filter_map(|clone| there.get(&clone.schema())).collect();
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .await
    }

    /// The password that the Pod of a clone is given.
    async fn password(&self, clone: &Seen) -> Result<String> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}", names::secret_name(clone.name(), clone.uid()));
        let secret = until("the clone has its Secret", SOON, || self.stage.admin.get(&path)).await?;
        let encoded = secret["data"]["db-password"].as_str().context("no db-password")?;
        Ok(String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)?)?)
    }

    async fn audit(&self) -> Result<()> {
        self.install.govern("schemas", &[NAMESPACE], &format!("mode: audit\n{RULES}"))?;
        let daemon = self.start().await?;
        self.create("early").await?;
        let labels = [("action", "create"), ("code", "SchemaMissing"), ("blocked_by", "audit")];
        daemon.until_metric(SOON, "clonewarden_decisions", &labels, 1.0).await?;
        daemon.stop().await?;
        ensure!(self.schemas().await?.is_empty(), "in audit something was made: {:?}", self.schemas().await?);
        Ok(())
    }

    /// A schema and a user of somebody's, and a schema of another cluster.
    async fn bystanders(&self) -> Result<Vec<Schema>> {
        self.mariadb.sql(
            "CREATE DATABASE wp_somebodys; CREATE TABLE wp_somebodys.t (a INT); INSERT INTO wp_somebodys.t VALUES (1); CREATE USER wp_somebodys",
        )?;
        mariadb::adapter(&self.mariadb).make_schema(&mariadb::host(&self.mariadb, self.mariadb.port), &elsewhere()).await?;
        Ok(self.schemas().await?.into_values().collect())
    }

    async fn logins(&self, daemon: &Daemon) -> Result<()> {
        let clones = [self.clones.one("early").await?, self.create("one").await?, self.create("two").await?];
        self.until_ready(&clones).await?;
        daemon.until_metric(SOON, "clonewarden_host_schemas", &[("host", "shared"), ("state", "ready")], 3.0).await?;
        daemon.until_metric(SOON, "clonewarden_host_schemas", &[("host", "shared"), ("state", "elsewhere")], 1.0).await?;
        let like = clones[1].schema().replace('_', "X");
        self.mariadb.sql(&format!("CREATE DATABASE {like}; CREATE TABLE {like}.t (a INT)"))?;
        for clone in &clones {
            let told = until("KRO has made what its Pod is told by", SOON, async || {
                self.stage.admin.get(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{}-db-shared", clone.name())).await
            })
            .await?;
            let name = clone.schema();
            ensure!(
                told["data"]["WORDPRESS_DB_NAME"] == name.as_str() && told["data"]["WORDPRESS_DB_USER"] == name.as_str(),
                "its Pod is told {told}"
            );
            let mut client = mariadb::client(&self.mariadb, &name, &self.password(clone).await?).await?;
            client.query_drop(format!("CREATE TABLE {name}.t (a INT); INSERT INTO {name}.t VALUES (1)")).await?;
            let others = clones.iter().map(Seen::schema).filter(|other| *other != name);
            for other in others.chain([like.clone(), "wp_somebodys".to_owned(), "clonewarden".to_owned(), elsewhere().name]) {
                ensure!(client.query_drop(format!("USE `{other}`")).await.is_err(), "the user of {} gets into {other}", clone.name());
            }
            client.disconnect().await?;
        }
        self.mariadb.sql(&format!("DROP DATABASE {like}"))?;
        Ok(())
    }

    async fn host_down(&self, daemon: &Daemon) -> Result<()> {
        let source = [("source", "mysql/shared")];
        self.stage.parts(|platform: &Platform| platform.stop("mariadb")).await?;
        daemon.until_metric(SOON, "clonewarden_evidence_complete", &source, 0.0).await?;
        let late = self.create("late").await?;
        self.stage.parts(|platform: &Platform| platform.restart("mariadb")).await?;
        self.until_ready(std::slice::from_ref(&late)).await?;
        daemon.until_metric(SOON, "clonewarden_evidence_complete", &source, 1.0).await
    }

    /// Seen to go, a clone is followed by its schema, whoever is connected to it.
    async fn ends(&self, daemon: &Daemon) -> Result<()> {
        let gone = [self.clones.one("one").await?, self.clones.one("late").await?];
        let mut open = mariadb::client(&self.mariadb, &gone[0].schema(), &self.password(&gone[0]).await?).await?;
        open.query_drop(format!("START TRANSACTION; SELECT * FROM {}.t", gone[0].schema())).await?;
        for clone in &gone {
            self.clones.delete(clone.name()).await?;
        }
        self.clones.until_gone(&["one", "late"]).await?;
        self.until_dropped(&gone).await?;
        ensure!(open.query_drop("SELECT 1").await.is_err(), "its connection lives on");
        let two = self.clones.one("two").await?;
        self.until_ready(std::slice::from_ref(&two)).await?;
        let dropped = |line: &Value| line["action"] == "delete" && line["target"]["kind"] == "Schema" && line["outcome"] == "done";
        let journal = daemon.journal()?;
        let codes: Vec<_> = journal.iter().filter(|line| dropped(line)).map(|line| &line["reason"]["code"]).collect();
        ensure!(codes.len() == 2 && codes.iter().all(|code| **code == "CloneEnded"), "its journal says {codes:?}");
        Ok(())
    }

    async fn left_behind(&self, daemon: Daemon) -> Result<Daemon> {
        daemon.stop().await?;
        let two = self.clones.one("two").await?;
        self.clones.delete("two").await?;
        self.clones.until_gone(&["two"]).await?;
        let daemon = self.start().await?;
        until_orphan(&self.stage.admin, "Schema", &two.schema(), "Deleted").await?;
        self.until_dropped(std::slice::from_ref(&two)).await?;
        Ok(daemon)
    }

    /// Killed while schemas are made and while they are dropped, again and again.
    async fn killed(&self, mut daemon: Daemon) -> Result<(Daemon, usize)> {
        let mut kills = 0;
        let mut clones = vec![self.clones.one("early").await?];
        for round in 0..3 {
            for number in 0..4 {
                clones.push(self.create(&format!("k{round}{number}")).await?);
            }
            tokio::time::sleep(Duration::from_millis(60 * (round + 1))).await;
            daemon.kill()?;
            kills += 1;
            daemon = self.start().await?;
        }
        self.until_ready(&clones).await?;
        let names: Vec<&str> = clones.iter().map(Seen::name).collect();
        for some in names.chunks(names.len().div_ceil(2)) {
            for name in some {
                self.clones.delete(name).await?;
            }
            until("the first is dropped", SOON, async || {
                let there = self.schemas().await?;
                let gone = clones.iter().filter(|clone| some.contains(&clone.name())).any(|clone| !there.contains_key(&clone.schema()));
                ensure!(gone, "all are there");
                Ok(())
            })
            .await?;
            daemon.kill()?;
            kills += 1;
            daemon = self.start().await?;
            self.clones.until_gone(some).await?;
        }
        self.until_dropped(&clones).await?;
        Ok((daemon, kills))
    }
}
