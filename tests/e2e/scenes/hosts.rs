//! The adapter of shared hosts on a real MariaDB: rights of each user, what is not ours, a wire that is cut at every message, and
//! a server that is closed, wrong, read-only, full, frozen or gone.

use crate::harness::{
    mariadb::{self, Cut, Wire},
    stage::Stage,
};
use anyhow::{Context, Result, bail, ensure};
use clonewarden::{
    model::{
        credentials::SecretText,
        schema::{HostFacts, LedgerRow, RowState, Schema, SchemaOrder, schema_name},
    },
    observe::schemas::MySqlHosts,
    policy::{DatabaseHost as Host, Endpoint},
    ports::{DatabaseHost, HostError},
};
use clonewarden_platform::{MariaDb, Platform};
use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

const PASSWORD: &str = "a-password_of-the-form-0123456789";

/// One server, as the scene sees it.
struct Ground {
    mariadb: MariaDb,
    hosts: MySqlHosts,
    host: Host,
}

pub(crate) async fn play(_: Arc<Stage>) -> Result<String> {
    let mariadb = mariadb::server()?;
    let ground = Ground { hosts: mariadb::adapter(&mariadb), host: mariadb::host(&mariadb, mariadb.port), mariadb };
    ground.rights().await.context("rights")?;
    ground.not_ours().await.context("what is not ours")?;
    let messages = ground.cut().await.context("a wire that is cut")?;
    ground.connections().await.context("open connections")?;
    ground.trouble().await.context("a server in trouble")?;
    let left = ground.look().await?;
    ensure!(left.schemas.is_empty(), "this is left: {left:?}");
    Ok(format!("cut at each of {messages} messages, before and after"))
}

fn uid(number: u32) -> String {
    format!("{number:08x}-d9cb-469f-a165-70867728950e")
}

fn name(number: u32) -> String {
    schema_name(&uid(number)).unwrap_or_default()
}

fn order(number: u32, cluster: &str, connections: u32) -> SchemaOrder {
    let row = LedgerRow {
        cluster: cluster.to_owned(),
        uid: uid(number),
        namespace: "staging".to_owned(),
        clone: format!("clone-{number}"),
        state: None,
        made: Timestamp::UNIX_EPOCH,
    };
    SchemaOrder { name: name(number), row, password: SecretText::new(PASSWORD.to_owned()), connections }
}

impl Ground {
    async fn look(&self) -> Result<HostFacts> {
        Ok(self.hosts.look(&self.host).await?)
    }

    async fn find(&self, name: &str) -> Result<Option<Schema>> {
        Ok(self.look().await?.schemas.into_iter().find(|schema| schema.name == name).map(Arc::unwrap_or_clone))
    }

    async fn make(&self, order: &SchemaOrder) -> Result<(), HostError> {
        self.hosts.make_schema(&self.host, order).await
    }

    async fn drop(&self, order: &SchemaOrder) -> Result<(), HostError> {
        self.hosts.drop_schema(&self.host, &order.name, &order.row).await
    }

    /// A user gets into its own schema, and nowhere else; look-alikes least of all.
    async fn rights(&self) -> Result<()> {
        let (one, other) = (order(1, "ours", 2), order(2, "ours", 2));
        self.make(&one).await?;
        self.make(&other).await?;
        self.make(&one).await.context("made again")?;
        let like = one.name.replace('_', "X");
        self.mariadb.sql(&format!("CREATE DATABASE `{like}`; CREATE TABLE `{like}`.t (a INT); CREATE TABLE `{}`.t (a INT)", other.name))?;
        let mut client = mariadb::client(&self.mariadb, &one.name, PASSWORD).await?;
        client.query_drop(format!("CREATE TABLE `{0}`.t (a INT); INSERT INTO `{0}`.t VALUES (1)", one.name)).await?;
        for refused in [
            format!("SELECT * FROM `{like}`.t"),
            format!("CREATE TABLE `{like}`.u (a INT)"),
            format!("DROP DATABASE `{like}`"),
            format!("SELECT * FROM `{}`.t", other.name),
            format!("DROP DATABASE `{}`", other.name),
            "SELECT * FROM clonewarden.schemas".to_owned(),
            "SELECT * FROM mysql.user".to_owned(),
            format!("GRANT SELECT ON `{0}`.* TO '{0}'@'%'", one.name),
            "CREATE USER wp_else".to_owned(),
        ] {
            ensure!(client.query_drop(&refused).await.is_err(), "its user may: {refused}");
        }
        let second = mariadb::client(&self.mariadb, &one.name, PASSWORD).await?;
        ensure!(mariadb::client(&self.mariadb, &one.name, PASSWORD).await.is_err(), "a third connection is let in");
        ensure!(mariadb::client(&self.mariadb, &one.name, "another-password").await.is_err(), "any password will do");
        let found = self.find(&one.name).await?.context("it is not seen")?;
        ensure!(found.there && found.user && found.bytes > 0 && found.connections == 2, "it is seen as {found:?}");
        ensure!(found.row.as_ref().is_some_and(|row| row.state == Some(RowState::Ready) && row.uid == one.row.uid), "{found:?}");
        ensure!(found.last_write.is_some(), "nothing was written, it says");
        second.disconnect().await?;
        self.drop(&one).await?;
        ensure!(self.find(&one.name).await?.is_none(), "something is left of it");
        ensure!(self.drop(&one).await == Err(HostError::NotFound), "it can be dropped twice");
        ensure!(self.mariadb.sql(&format!("SELECT COUNT(*) FROM `{like}`.t"))?.trim() == "0", "the look-alike is gone");
        ensure!(self.find(&other.name).await?.is_some_and(|found| found.there), "the other's is gone");
        self.drop(&other).await?;
        self.mariadb.sql(&format!("DROP DATABASE `{like}`"))?;
        Ok(())
    }

    /// A schema without a row, a user without one, and a row of another cluster.
    async fn not_ours(&self) -> Result<()> {
        let foreign = |answer: Result<(), HostError>, what: &str| match answer {
            Err(HostError::Foreign(_)) => Ok(()),
            other => bail!("{what}: {other:?}"),
        };
        let (schema, user, theirs) = (order(3, "ours", 2), order(4, "ours", 2), order(5, "theirs", 2));
        self.mariadb.sql(&format!("CREATE DATABASE {0}; CREATE TABLE {0}.t (a INT); CREATE USER {1}", schema.name, user.name))?;
        self.make(&theirs).await?;
        let ours = order(5, "ours", 2);
        for (order, what) in [(&schema, "a foreign schema"), (&user, "a foreign user"), (&ours, "another cluster's")] {
            foreign(self.make(order).await, what)?;
            foreign(self.drop(order).await, what)?;
        }
        // The name of another clone, in a row of ours.
        let crossed = SchemaOrder { name: theirs.name.clone(), ..order(6, "ours", 2) };
        foreign(self.drop(&crossed).await, "a name that is not derived from the UID")?;
        ensure!(matches!(self.make(&crossed).await, Err(HostError::Refused { code: 0, .. })), "it is made under any name");
        ensure!(self.mariadb.sql(&format!("SELECT COUNT(*) FROM {}.t", schema.name))?.trim() == "0", "the foreign schema is gone");
        let found = self.find(&theirs.name).await?.context("another cluster's is gone")?;
        ensure!(found.there && found.user && found.proven("ours").is_none() && found.proven("theirs").is_some(), "{found:?}");
        ensure!(self.find(&schema.name).await?.is_some_and(|found| found.there && found.row.is_none()), "a foreign one is not seen");
        self.mariadb.sql(&format!("DROP DATABASE {}; DROP USER {}", schema.name, user.name))?;
        self.drop(&theirs).await?;
        Ok(())
    }

    /// Cut at every message, before the server has it and after: whatever is left has a row, and is gone on with.
    async fn cut(&self) -> Result<u32> {
        let mut messages = 0;
        for at in 1.. {
            let mut whole = true;
            for cut in [Cut::Before, Cut::After] {
                let order = order(7, "ours", 2);
                let wire = Wire::to(self.mariadb.port, at, cut).await?;
                let host = Host { endpoint: Endpoint::new("127.0.0.1", wire.address.port()), ..self.host.clone() };
                let made = self.hosts.make_schema(&host, &order).await;
                whole &= made.is_ok() && wire.sent() < at;
                if let Some(left) = self.find(&order.name).await? {
                    ensure!(left.row.is_some(), "cut {cut:?} message {at} of the making, it is left without a row: {left:?}");
                    // Its clone may be gone by then: what is half made can be dropped.
                    if at % 2 == 0 {
                        self.drop(&order).await.with_context(|| format!("half made, cut {cut:?} message {at}"))?;
                        ensure!(self.find(&order.name).await?.is_none(), "cut {cut:?} message {at}, something is left");
                    }
                }
                self.make(&order).await.with_context(|| format!("made anew, cut {cut:?} message {at}"))?;
                mariadb::client(&self.mariadb, &order.name, PASSWORD).await?.disconnect().await?;
                let wire = Wire::to(self.mariadb.port, at, cut).await?;
                let host = Host { endpoint: Endpoint::new("127.0.0.1", wire.address.port()), ..self.host.clone() };
                let dropped = self.hosts.drop_schema(&host, &order.name, &order.row).await;
                whole &= dropped.is_ok() && wire.sent() < at;
                if let Some(left) = self.find(&order.name).await? {
                    ensure!(left.row.is_some(), "cut {cut:?} message {at} of the dropping, it is left without a row: {left:?}");
                    // MySQL drops no user that is the definer of a view or a trigger, and they are in the schema.
                    ensure!(left.user || !left.there, "cut {cut:?} message {at}, the schema outlives its user: {left:?}");
                    self.drop(&order).await.with_context(|| format!("dropped again, cut {cut:?} message {at}"))?;
                }
                ensure!(self.find(&order.name).await?.is_none(), "cut {cut:?} message {at}, something is left");
            }
            if whole {
                break;
            }
            messages = at;
        }
        ensure!(messages > 15, "only {messages} messages were sent");
        Ok(messages)
    }

    /// What a Pod has open does not keep a schema, on MariaDB and as RDS has it.
    async fn connections(&self) -> Result<()> {
        let order = order(8, "ours", 5);
        for rds in [false, true] {
            self.make(&order).await?;
            let mut open = mariadb::client(&self.mariadb, &order.name, PASSWORD).await?;
            // Any user may take any lock, and a clone keeps nothing by it.
            open.query_drop(format!("SELECT GET_LOCK('clonewarden/{}', 0)", order.name)).await?;
            self.make(&order).await.context("made again, while its user holds our lock")?;
            ensure!(open.query_drop("SELECT 1").await.is_err(), "its connection holds our lock");
            let mut open = mariadb::client(&self.mariadb, &order.name, PASSWORD).await?;
            open.query_drop(format!("SELECT GET_LOCK('clonewarden/{}', 0)", order.name)).await?;
            let table = format!("`{}`.t", order.name);
            open.query_drop(format!("CREATE TABLE {table} (a INT)")).await?;
            // It holds a lock on the table that a DROP waits for.
            open.query_drop(format!("START TRANSACTION; INSERT INTO {table} VALUES (1)")).await?;
            if rds {
                self.mariadb.sql(
                    "REVOKE CONNECTION ADMIN ON *.* FROM clonewarden@'%';
                     CREATE DEFINER=root@'127.0.0.1' PROCEDURE mysql.rds_kill(IN thread BIGINT) SQL SECURITY DEFINER KILL thread;
                     GRANT EXECUTE ON PROCEDURE mysql.rds_kill TO clonewarden@'%'",
                )?;
            }
            let dropped = self.drop(&order).await;
            if rds {
                self.mariadb.sql("GRANT CONNECTION ADMIN ON *.* TO clonewarden@'%'; DROP PROCEDURE mysql.rds_kill")?;
            }
            dropped.with_context(|| format!("rds_kill: {rds}"))?;
            ensure!(open.query_drop("SELECT 1").await.is_err(), "its connection lives on");
            ensure!(self.find(&order.name).await?.is_none(), "it is still there");
        }
        Ok(())
    }

    async fn trouble(&self) -> Result<()> {
        let order = order(9, "ours", 2);
        self.make(&order).await?;
        self.mariadb.sql(&format!("CREATE TABLE {0}.t (a INT); INSERT INTO {0}.t VALUES (1), (2)", order.name))?;
        let said = |answer: Result<HostFacts, HostError>| answer.err().map(|error| error.to_string()).unwrap_or_default();
        // Credentials.
        let folder = std::env::temp_dir().join(format!("clonewarden-hosts-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let elsewhere = Host { credentials_dir: Some(folder.display().to_string()), ..self.host.clone() };
        let none = said(self.hosts.look(&elsewhere).await);
        ensure!(none.contains("/username` cannot be read"), "without files: {none}");
        fs::write(folder.join("username"), "clonewarden\n")?;
        fs::write(folder.join("password"), "wrong-password\n")?;
        let wrong = said(self.hosts.look(&elsewhere).await);
        ensure!(wrong.starts_with("forbidden: Access denied for user 'clonewarden'") && !wrong.contains("wrong-password"), "wrong password: {wrong}");
        // Rotated: the next connection has it.
        fs::copy(self.mariadb.credentials.join("password"), folder.join("password"))?;
        self.hosts.look(&elsewhere).await.context("with the right password")?;
        // Another certificate than the one that it is trusted by.
        let other = folder.join("other.pem");
        fs::write(&other, rcgen::generate_simple_self_signed(["localhost".to_owned()])?.cert.pem())?;
        let untrusted = said(MySqlHosts::new(other).look(&self.host).await);
        ensure!(untrusted.starts_with("no answer: TLS: ") && untrusted.contains("--database-ca"), "another CA: {untrusted}");
        let missing = said(MySqlHosts::new(folder.join("none.pem")).look(&self.host).await);
        ensure!(missing.contains("--database-ca"), "no CA: {missing}");
        fs::remove_dir_all(&folder)?;
        // Read-only.
        self.mariadb.sql("SET GLOBAL read_only = 1")?;
        let refused = (self.make(&order).await, self.drop(&order).await);
        self.hosts.look(&self.host).await.context("a look at a read-only server")?;
        self.mariadb.sql("SET GLOBAL read_only = 0")?;
        ensure!(matches!(refused, (Err(HostError::ReadOnly(_)), Err(HostError::ReadOnly(_)))), "read-only: {refused:?}");
        // Full, for us.
        self.mariadb.sql("ALTER USER clonewarden@'%' WITH MAX_USER_CONNECTIONS 1")?;
        let password = fs::read_to_string(self.mariadb.credentials.join("password"))?;
        let held = mariadb::client(&self.mariadb, "clonewarden", &password).await?;
        let full = self.hosts.look(&self.host).await;
        held.disconnect().await?;
        self.mariadb.sql("ALTER USER clonewarden@'%' WITH MAX_USER_CONNECTIONS 0")?;
        ensure!(matches!(full, Err(HostError::Full(_))), "full: {full:?}");
        // Somebody else is at work on the same name.
        let mut other = mariadb::client(&self.mariadb, "clonewarden", &password).await?;
        other.query_drop(format!("SELECT GET_LOCK('clonewarden/{}', 0)", order.name)).await?;
        let busy = self.drop(&order).await;
        other.disconnect().await?;
        ensure!(matches!(busy, Err(HostError::Busy(_))), "busy: {busy:?}");
        // Frozen, gone, back.
        let platform = Platform::attach()?;
        platform.freeze("mariadb")?;
        let begun = Instant::now();
        let frozen = said(self.hosts.look(&self.host).await);
        let took = begun.elapsed();
        platform.thaw("mariadb")?;
        ensure!(frozen == "no answer: waited 5 s to be let in", "frozen: {frozen}");
        ensure!(took < Duration::from_secs(8), "it took {took:?} to see that it is frozen");
        platform.kill("mariadb")?;
        let gone = said(self.hosts.look(&self.host).await);
        platform.restart("mariadb")?;
        ensure!(gone.starts_with("no answer: "), "gone: {gone}");
        ensure!(self.mariadb.sql(&format!("SELECT SUM(a) FROM {}.t", order.name))?.trim() == "3", "what was written is lost");
        ensure!(self.find(&order.name).await?.is_some_and(|found| found.proven("ours").is_some()), "its row is lost");
        self.drop(&order).await?;
        Ok(())
    }
}
