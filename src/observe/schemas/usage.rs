//! What a host has counted of the use of clones' schemas, from its performance schema.
//!
//! Of each user: every statement that has ended, how long they took, and every connection, with which server that is and since when it
//! runs. All of it together is the mark that must stay the same. It is believed only of a server that has just been seen to count a
//! write and a read of our own, and of whose counting nothing is switched off or was lost.
//!
//! The order matters: a statement that begins while this is read either is still running when the connections are read, or has ended
//! after its mark was, and then the next mark is another.

use super::{LEDGER, NO_LEDGER, Session};
use crate::{
    model::{
        schema::is_schema_name,
        usage::{HostUse, Memory, Use},
    },
    ports::HostError,
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The statements of each user, from which ours are taken, too.
const STATEMENTS: &str = "performance_schema.events_statements_summary_by_user_by_event_name";
/// Whose names are called like a clone's.
const OURS: &str = "LIKE 'wp|_%' ESCAPE '|'";
/// What a server counts of what it could not count.
const LOST: [&str; 4] = [
    "Performance_schema_users_lost",
    "Performance_schema_accounts_lost",
    "Performance_schema_thread_instances_lost",
    "Performance_schema_statement_classes_lost",
];

/// A line of `uses`, as it comes.
type Line = (String, String, String, i64);

pub(super) async fn usage(session: &mut Session) -> Result<HostUse, HostError> {
    let memories: Vec<Line> = session.rows_unless(&format!("SELECT name, uid, mark, used FROM {LEDGER}.uses"), &NO_LEDGER).await?;
    let (on,): (bool,) = session.one("SELECT @@global.performance_schema").await?;
    let counted =
        if on { counted(session).await } else { Ok(Err("`performance_schema` is off, and only a restart of the server turns it on".to_owned())) };
    let (uncounted, mut uses) = match counted {
        Ok(Ok(uses)) => (None, uses),
        Ok(Err(why)) => (Some(why), BTreeMap::new()),
        Err(HostError::Forbidden(why)) => (Some(format!("the daemon's user needs `GRANT SELECT ON performance_schema.*`: {why}")), BTreeMap::new()),
        Err(error) => return Err(error),
    };
    for (name, uid, mark, used) in memories {
        let Ok(used) = Timestamp::from_millisecond(used) else { continue };
        uses.entry(name).or_default().memory = Some(Memory { uid, mark: mark.into(), used });
    }
    Ok(HostUse { uncounted, uses })
}

/// What is counted, or why not everything is.
async fn counted(session: &mut Session) -> Result<Result<BTreeMap<String, Use>, String>, HostError> {
    if let Some(why) = not_counted(session).await? {
        return Ok(Err(why));
    }
    // Both are reckoned from the beginning of the statement, so the difference is the same as long as the server runs.
    let (server, since): (String, i64) = session
        .one(
            "SELECT @@global.hostname, CAST(UNIX_TIMESTAMP() AS SIGNED) - CAST(variable_value AS SIGNED) FROM performance_schema.global_status \
             WHERE variable_name = 'Uptime'",
        )
        .await?;
    // MySQL answers from statistics that are up to a day old; MariaDB does not know the word.
    session.run_unless("SET SESSION information_schema_stats_expiry = 0", &[1193]).await?;
    let statements: Vec<(String, String, String)> = session
        .rows(&format!(
            "SELECT user, CAST(SUM(count_star) AS CHAR), CAST(SUM(sum_timer_wait) AS CHAR) FROM {STATEMENTS} WHERE user {OURS} GROUP BY user"
        ))
        .await?;
    let connections: Vec<(String, u64)> =
        session.rows(&format!("SELECT user, CAST(total_connections AS UNSIGNED) FROM performance_schema.users WHERE user {OURS}")).await?;
    let running: Vec<(Option<String>, Option<String>)> =
        session.rows("SELECT user, db FROM information_schema.processlist WHERE command <> 'Sleep'").await?;
    // Connections whose statements are not counted may run one between two looks: those that are switched off, and those that there was no
    // room for. One that has just been made is taken for such a one, and is use as well.
    let unseen: Vec<String> = session
        .rows(&format!(
            "SELECT processlist_user FROM performance_schema.threads WHERE instrumented <> 'YES' AND processlist_user {OURS} \
             UNION SELECT user FROM information_schema.processlist WHERE user {OURS} AND id NOT IN \
             (SELECT processlist_id FROM performance_schema.threads WHERE processlist_id IS NOT NULL)"
        ))
        .await?;
    let written: Vec<(String, Option<i64>)> = session
        .rows(&format!(
            "SELECT table_schema, CAST(MAX(UNIX_TIMESTAMP(update_time)) AS SIGNED) FROM information_schema.tables WHERE table_schema {OURS} \
             GROUP BY table_schema"
        ))
        .await?;

    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    let mut at = |name: &str, put: &mut dyn FnMut(&mut Use)| {
        if is_schema_name(name) {
            put(uses.entry(name.to_owned()).or_default());
        }
    };
    let connections: BTreeMap<String, u64> = connections.into_iter().collect();
    for (user, count, time) in &statements {
        // Of a user of whom only one of both is known too little is known.
        let Some(connected) = connections.get(user) else { continue };
        at(user, &mut |known| known.mark = Some(format!("{server}/{since} {count} {time} {connected}").into()));
    }
    for name in running.iter().flat_map(|(user, db)| [user, db]).flatten().chain(&unseen) {
        at(name, &mut |known| known.busy = true);
    }
    for (name, seconds) in &written {
        // Whole seconds, cut off.
        let last = seconds.and_then(|seconds| Timestamp::from_second(seconds.saturating_add(1)).ok());
        at(name, &mut |known| known.written = last);
    }
    Ok(Ok(uses))
}

/// Why the server does not count every use, if it does not.
async fn not_counted(session: &mut Session) -> Result<Option<String>, HostError> {
    let before = of_ourselves(session).await?;
    // A write that changes nothing. Without a ledger there is no schema of ours.
    session.run_unless(&format!("UPDATE {LEDGER}.schemas SET state = state WHERE name = ''"), &NO_LEDGER).await?;
    let after = of_ourselves(session).await?;
    if after.0 <= before.0 || after.1 <= before.1 {
        return Ok(Some("it has not counted a write of ours; see `performance_schema.setup_consumers` and `setup_instruments`".to_owned()));
    }
    let off: Vec<String> = session
        .rows(
            "SELECT name FROM performance_schema.setup_consumers WHERE name IN ('global_instrumentation', 'thread_instrumentation') AND enabled <> 'YES' \
             UNION ALL SELECT name FROM performance_schema.setup_instruments WHERE name LIKE 'statement/%' AND enabled <> 'YES'",
        )
        .await?;
    if let Some(first) = off.first() {
        return Ok(Some(format!("`{first}` is off in its performance schema{}", more(off.len()))));
    }
    let (everybody, some): (u64, u64) = session
        .one(
            "SELECT CAST(COUNT(IF(host = '%' AND user = '%' AND enabled = 'YES', 1, NULL)) AS UNSIGNED), \
             CAST(COUNT(IF(enabled <> 'YES', 1, NULL)) AS UNSIGNED) FROM performance_schema.setup_actors",
        )
        .await?;
    if everybody == 0 || some > 0 {
        return Ok(Some("not everybody is counted; see `performance_schema.setup_actors`".to_owned()));
    }
    let status: Vec<(String, String)> = session
        .rows(
            "SELECT variable_name, variable_value FROM performance_schema.global_status \
             WHERE variable_name LIKE 'Performance|_schema|_%lost' ESCAPE '|' OR variable_name = 'wsrep_cluster_size'",
        )
        .await?;
    let value = |name: &str| status.iter().find(|(named, _)| named.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.parse::<u64>().ok());
    // MySQL's own kind of cluster, which MariaDB does not know.
    let group = "SELECT CAST(COUNT(*) AS UNSIGNED) FROM performance_schema.replication_group_members WHERE member_state <> 'OFFLINE'";
    let group: Vec<u64> = session.rows_unless(group, &NO_LEDGER).await?;
    let members = value("wsrep_cluster_size").into_iter().chain(group).max().unwrap_or_default();
    if members > 1 {
        return Ok(Some(format!("it is one of {members} servers, and each counts for itself")));
    }
    let lost = LOST.into_iter().find(|name| value(name).is_none_or(|lost| lost > 0));
    Ok(lost.map(|name| match value(name) {
        Some(lost) => format!("it has lost what it should count: `{name}` is {lost}; make the table larger and restart it"),
        None => format!("it does not say what it has lost: there is no `{name}`"),
    }))
}

/// How many writes and reads of our own user it has counted.
async fn of_ourselves(session: &mut Session) -> Result<(u64, u64), HostError> {
    let counted = |event: &str| format!("CAST(COALESCE(SUM(IF(event_name = 'statement/sql/{event}', count_star, 0)), 0) AS UNSIGNED)");
    let (writes, reads) = (counted("update"), counted("select"));
    session.one(&format!("SELECT {writes}, {reads} FROM {STATEMENTS} WHERE user = SUBSTRING_INDEX(USER(), '@', 1)")).await
}

fn more(count: usize) -> String {
    if count > 1 { format!(", and {} more", count.saturating_sub(1)) } else { String::new() }
}
