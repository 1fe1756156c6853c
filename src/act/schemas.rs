//! What is changed on a shared database host: a schema and a user for a clone that lives, what is remembered of their use, and their end.
//!
//! ```text
//! make   lock ► row says `making` ► schema ► user, password, limit ► rights ► row says `ready`
//! drop   lock ► row read again ► row says `dropping` ► user let in no more ► connections ► schema ► user ► use ► row
//! ```
//!
//! The user outlives the schema: MySQL (from 8.0.22 on) drops no user while a view or a trigger names it as its definer (4006), and
//! those are in its schema.
//!
//! The row is the first thing that is made and the last that goes, so whatever a crash leaves is found by it, and each step may be
//! repeated. What has no row of ours is not touched, whatever it is called: not even to make room for what a row is about to say.

use crate::{
    model::{
        schema::{LedgerRow, RowState, SchemaOrder, is_schema_name, schema_name},
        usage::Memory,
    },
    observe::schemas::{COLUMNS, Columns, LEDGER, NO_LEDGER, Session, row},
    ports::HostError,
};
use mysql_async::{Params, Value};
use std::time::Duration;

/// What the user of a clone may do in its schema, and nowhere else: what WordPress and the import of a dump need.
pub(crate) const RIGHTS: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES, \
                                 CREATE VIEW, SHOW VIEW, TRIGGER";
/// How long, in seconds, somebody else's lock on a name is waited for.
const LOCK: u8 = 5;
/// How often connections are looked for that are to be closed, and how long in between.
const CLOSING: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(100);

/// Makes what the order says, or whatever of it is missing.
pub(crate) async fn make(session: &mut Session, order: &SchemaOrder) -> Result<(), HostError> {
    let name = order.name.as_str();
    // They are written into statements as they are.
    let password = order.password.reveal();
    let plain = password.len() >= 16 && password.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !is_schema_name(name) || schema_name(&order.row.uid).as_deref() != Some(name) || !plain {
        return Err(HostError::Refused { code: 0, message: "name, UID or password have another form than a clone's".to_owned() });
    }
    session.keep_secret(&order.password);
    lock(session, name).await?;
    let before = read(session, name).await?;
    match &before {
        Some(there) => {
            ours(there, &order.row)?;
            say(session, name, &order.row, RowState::Making).await?;
        }
        None => {
            if let Some(what) = anything(session, name).await? {
                return Err(HostError::Foreign(format!("there is a {what} `{name}` already, and no row in `{LEDGER}.schemas` says whose it is")));
            }
            create_ledger(session).await?;
            let row = &order.row;
            let values = (name, &row.cluster, &row.uid, &row.namespace, &row.clone, RowState::Making.word(), row.made.as_millisecond());
            session.run_with(&format!("INSERT INTO {LEDGER}.schemas ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"), values).await?;
        }
    }
    let (account, limit) = (format!("'{name}'@'%'"), order.connections);
    session.run(&format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4")).await?;
    session.run(&format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}' WITH MAX_USER_CONNECTIONS {limit}")).await?;
    if before.is_some() {
        // It may be there, and as a drop that was cut off has left it.
        session.run(&format!("ALTER USER {account} WITH MAX_USER_CONNECTIONS {limit} ACCOUNT UNLOCK")).await?;
        // Where the server keeps a history of passwords (`password_history`), it refuses the one that the user has (3638).
        session.run_unless(&format!("ALTER USER {account} IDENTIFIED BY '{password}'"), &[3638]).await?;
    }
    // In the name of a schema `_` stands for any character here: unescaped, it would give rights on look-alikes.
    session.run(&format!("GRANT {RIGHTS} ON `{}`.* TO {account}", name.replace('_', "\\_"))).await?;
    say(session, name, &order.row, RowState::Ready).await
}

/// Drops what the row is about that was judged, or whatever is left of it.
pub(crate) async fn drop(session: &mut Session, name: &str, judged: &LedgerRow) -> Result<(), HostError> {
    if !is_schema_name(name) || schema_name(&judged.uid).as_deref() != Some(name) {
        return Err(HostError::Foreign(format!("`{name}` is not what the schema of the clone {} is called", judged.uid)));
    }
    lock(session, name).await?;
    let Some(there) = read(session, name).await? else {
        return Err(match anything(session, name).await? {
            Some(what) => HostError::Foreign(format!("the {what} `{name}` has no row any more")),
            None => HostError::NotFound,
        });
    };
    ours(&there, judged)?;
    say(session, name, judged, RowState::Dropping).await?;
    // First, so that nobody comes in again.
    session.run(&format!("ALTER USER IF EXISTS '{name}'@'%' ACCOUNT LOCK")).await?;
    close_connections(session, name).await?;
    session.run(&format!("DROP DATABASE IF EXISTS `{name}`")).await?;
    session.run(&format!("DROP USER IF EXISTS '{name}'@'%'")).await?;
    session.run_unless(&format!("DELETE FROM {LEDGER}.uses WHERE name = '{name}'"), &NO_LEDGER).await?;
    session.run_with(&format!("DELETE FROM {LEDGER}.schemas WHERE name = ? AND cluster = ? AND uid = ?"), (name, &judged.cluster, &judged.uid)).await
}

/// Writes down what the host has counted. Each line is a fact of its date, so it does not matter in which turn two of them come.
pub(crate) async fn note_use(session: &mut Session, memories: &[(String, Memory)]) -> Result<(), HostError> {
    if memories.is_empty() {
        return Ok(());
    }
    let places = vec!["(?, ?, ?, ?)"; memories.len()].join(", ");
    let note = format!("REPLACE INTO {LEDGER}.uses (name, uid, mark, used) VALUES {places}");
    let values = || -> Params {
        let line = |(name, memory): &(String, Memory)| -> [Value; 4] {
            [name.as_str().into(), memory.uid.as_str().into(), memory.mark.as_ref().into(), memory.used.as_millisecond().into()]
        };
        Params::Positional(memories.iter().flat_map(line).collect())
    };
    match session.run_with(&note, values()).await {
        Err(HostError::Refused { code, .. }) if NO_LEDGER.contains(&code) => {
            create_uses(session).await?;
            session.run_with(&note, values()).await?;
        }
        noted => noted?,
    }
    // What a schema that is gone left here, if it was dropped between two looks of another process.
    session.run(&format!("DELETE FROM {LEDGER}.uses WHERE name NOT IN (SELECT name FROM {LEDGER}.schemas)")).await
}

/// Until the connection ends nobody else makes or drops what has this name.
async fn lock(session: &mut Session, name: &str) -> Result<(), HostError> {
    if got_lock(session, name).await? || end_hold(session, name).await? && got_lock(session, name).await? {
        return Ok(());
    }
    Err(HostError::Busy(format!("somebody else is at work on `{name}`")))
}

async fn got_lock(session: &mut Session, name: &str) -> Result<bool, HostError> {
    let got: Vec<Option<i64>> = session.rows(&format!("SELECT GET_LOCK('{LEDGER}/{name}', {LOCK})")).await?;
    Ok(got.first() == Some(&Some(1)))
}

/// Any user may take a lock of any name. No clone's has business with ours: a connection that holds it ends, else a clone could keep its
/// schema for as long as it likes, or another from getting one.
async fn end_hold(session: &mut Session, name: &str) -> Result<bool, HostError> {
    let holder: Vec<Option<u64>> = session.rows(&format!("SELECT IS_USED_LOCK('{LEDGER}/{name}')")).await?;
    let Some(Some(id)) = holder.first() else { return Ok(true) };
    let users: Vec<String> = session.rows_with("SELECT user FROM information_schema.processlist WHERE id = ?", (id,)).await?;
    let of_clone = users.first().is_some_and(|user| is_schema_name(user));
    if of_clone {
        kill(session, *id).await?;
    }
    Ok(of_clone)
}

async fn read(session: &mut Session, name: &str) -> Result<Option<LedgerRow>, HostError> {
    let rows: Vec<Columns> = session.rows_unless(&format!("SELECT {COLUMNS} FROM {LEDGER}.schemas WHERE name = '{name}'"), &NO_LEDGER).await?;
    Ok(rows.into_iter().map(row).find(|(found, _)| found == name).map(|(_, row)| row))
}

/// The row is of the very clone that was judged.
fn ours(there: &LedgerRow, judged: &LedgerRow) -> Result<(), HostError> {
    if there.cluster == judged.cluster && there.uid == judged.uid {
        return Ok(());
    }
    Err(HostError::Foreign(format!("its row says cluster `{}`, clone {}", there.cluster, there.uid)))
}

async fn say(session: &mut Session, name: &str, row: &LedgerRow, state: RowState) -> Result<(), HostError> {
    let values = (state.word(), name, &row.cluster, &row.uid);
    session.run_with(&format!("UPDATE {LEDGER}.schemas SET state = ? WHERE name = ? AND cluster = ? AND uid = ?"), values).await
}

/// What there is of that name: it is looked for before a row is written that would claim it.
async fn anything(session: &mut Session, name: &str) -> Result<Option<&'static str>, HostError> {
    let schemas: Vec<String> = session.rows_with("SELECT schema_name FROM information_schema.schemata WHERE schema_name = ?", (name,)).await?;
    if !schemas.is_empty() {
        return Ok(Some("schema"));
    }
    let users: Vec<String> = session.rows_with("SELECT user FROM mysql.user WHERE user = ?", (name,)).await?;
    Ok((!users.is_empty()).then_some("user"))
}

fn text(length: u16) -> String {
    format!("VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL")
}

/// Beside the ledger, not in it: a ledger that is there already stays as it is, and no right to alter it is needed.
async fn create_uses(session: &mut Session) -> Result<(), HostError> {
    let (name, uid, mark) = (text(64), text(64), text(512));
    let columns = format!("name {name} PRIMARY KEY, uid {uid}, mark {mark}, used BIGINT NOT NULL");
    session.run(&format!("CREATE TABLE IF NOT EXISTS {LEDGER}.uses ({columns}) ENGINE = InnoDB")).await
}

/// The ledger, where this is the first schema of the host.
async fn create_ledger(session: &mut Session) -> Result<(), HostError> {
    session.run(&format!("CREATE DATABASE IF NOT EXISTS {LEDGER} CHARACTER SET utf8mb4")).await?;
    session
        .run(&format!(
            "CREATE TABLE IF NOT EXISTS {LEDGER}.schemas (name {} PRIMARY KEY, cluster {}, uid {}, namespace {}, clone {}, state {}, \
             made BIGINT NOT NULL) ENGINE = InnoDB",
            text(64),
            text(128),
            text(64),
            text(64),
            text(253),
            text(16),
        ))
        .await
}

/// Closes what its user had open. The user is let in no more, so none comes after the last.
async fn close_connections(session: &mut Session, name: &str) -> Result<(), HostError> {
    for _ in 0..CLOSING {
        let open: Vec<(u64, String)> = session.rows_with("SELECT id, user FROM information_schema.processlist WHERE user = ?", (name,)).await?;
        // The server compares without regard to case.
        let mut theirs = open.into_iter().filter(|(_, user)| user == name).peekable();
        if theirs.peek().is_none() {
            return Ok(());
        }
        for (id, _) in theirs {
            kill(session, id).await?;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Err(HostError::Busy(format!("the connections of `{name}` do not end")))
}

/// Ends one connection; one that has ended meanwhile (1094) is none. On RDS nobody may say `KILL` of another's, and there is a procedure.
async fn kill(session: &mut Session, id: u64) -> Result<(), HostError> {
    match session.run_unless(&format!("KILL {id}"), &[1094]).await {
        Err(HostError::Forbidden(why)) => match session.run_unless(&format!("CALL mysql.rds_kill({id})"), &[1094]).await {
            Err(HostError::Refused { .. }) => Err(HostError::Forbidden(why)),
            other => other,
        },
        other => other,
    }
}
