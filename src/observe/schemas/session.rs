//! One connection to a database host: encrypted, with the credentials as they stand in their files now, and a limit to each statement.

use super::fault;
use crate::{model::credentials::SecretText, policy, ports::HostError};
use mysql_async::{
    Conn, Opts, OptsBuilder, Params, SslOpts,
    prelude::{FromRow, Queryable},
};
use std::{future::Future, path::Path, time::Duration};

/// How long it may take to be let in.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one statement may take. Dropping a schema of many tables takes the longest.
const STATEMENT: Duration = Duration::from_secs(10);
/// How long the end of a connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How much of a secret may be shown: so many characters every one of them begins with.
const SHOWN: usize = 4;

/// A connection.
pub(crate) struct Session {
    conn: Conn,
    /// What never may be in an error: the server repeats statements that it does not understand.
    secret: Option<SecretText>,
}

impl Session {
    /// Connects to a host, which has to prove by a certificate that it is what it is called.
    pub(crate) async fn open(host: &policy::DatabaseHost, ca: &Path) -> Result<Self, HostError> {
        let folder = host.credentials_dir.as_deref().unwrap_or_default();
        if folder.is_empty() {
            return Err(HostError::Credentials(format!("the DatabaseHost `{}` names no `credentialsDir`", host.name)));
        }
        let (user, password) = (read(Path::new(folder), "username").await?, read(Path::new(folder), "password").await?);
        let ca = tokio::fs::read(ca)
            .await
            .map_err(|error| HostError::Credentials(format!("the CA bundle `{}` (--database-ca) cannot be read: {error}", ca.display())))?;
        let tls = SslOpts::default().with_root_certs(vec![ca.into()]).with_disable_built_in_roots(true);
        let opts: Opts = OptsBuilder::default()
            .ip_or_hostname(host.endpoint.host())
            .tcp_port(host.endpoint.port())
            .user(Some(user))
            .pass(Some(password))
            .ssl_opts(tls)
            .prefer_socket(false)
            .stmt_cache_size(0)
            // Else it would ask for both.
            .max_allowed_packet(Some(16 << 20))
            .wait_timeout(Some(600))
            .into();
        let conn = limited(CONNECT, "to be let in", Conn::new(opts)).await?;
        let mut session = Self { conn, secret: None };
        // Nobody else's lock may hold a statement for longer than it may take.
        session.run("SET SESSION lock_wait_timeout = 8, SESSION innodb_lock_wait_timeout = 8").await?;
        Ok(session)
    }

    /// From now on this text stands in no error.
    pub(crate) fn keep_secret(&mut self, secret: &SecretText) {
        self.secret = Some(secret.clone());
    }

    /// A statement that answers nothing.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), HostError> {
        self.run_unless(sql, &[]).await
    }

    /// The same; errors of these codes are none.
    pub(crate) async fn run_unless(&mut self, sql: &str, fine: &[u16]) -> Result<(), HostError> {
        let answer = limited(STATEMENT, "for an answer", self.conn.query_drop(sql)).await;
        fault::unless(answer, fine, ()).map_err(|error| self.scrub(error))
    }

    /// The same with values in the place of the question marks.
    pub(crate) async fn run_with(&mut self, sql: &str, values: impl Into<Params> + Send) -> Result<(), HostError> {
        Ok(limited(STATEMENT, "for an answer", self.conn.exec_drop(sql, values.into())).await?)
    }

    /// Every row of an answer.
    pub(crate) async fn rows<T: FromRow + Send + 'static>(&mut self, sql: &str) -> Result<Vec<T>, HostError> {
        self.rows_unless(sql, &[]).await
    }

    /// The same; where the server answers with one of these codes, there is none.
    pub(crate) async fn rows_unless<T: FromRow + Send + 'static>(&mut self, sql: &str, none: &[u16]) -> Result<Vec<T>, HostError> {
        let answer = limited(STATEMENT, "for an answer", self.conn.query_iter(sql)).await;
        let Some(mut rows) = fault::unless(answer.map(Some), none, None)? else { return Ok(Vec::new()) };
        let rows: Vec<mysql_async::Row> = limited(STATEMENT, "for the rest of an answer", rows.collect()).await?;
        rows.into_iter().map(read_row).collect()
    }

    /// The rows of an answer to a statement with values in the place of the question marks.
    pub(crate) async fn rows_with<T: FromRow + Send + 'static>(&mut self, sql: &str, values: impl Into<Params> + Send) -> Result<Vec<T>, HostError> {
        let rows: Vec<mysql_async::Row> = limited(STATEMENT, "for an answer", self.conn.exec(sql, values.into())).await?;
        rows.into_iter().map(read_row).collect()
    }

    /// The only row of an answer.
    pub(crate) async fn one<T: FromRow + Send + 'static>(&mut self, sql: &str) -> Result<T, HostError> {
        self.rows(sql).await?.pop().ok_or_else(|| HostError::Unavailable("an answer without a row".to_owned()))
    }

    /// Ends the connection; that it does not end is nobody's trouble.
    pub(crate) async fn end(self) {
        let _ = tokio::time::timeout(GOODBYE, self.conn.disconnect()).await;
    }

    fn scrub(&self, error: HostError) -> HostError {
        match (error, &self.secret) {
            (HostError::Refused { code, message }, Some(secret)) => HostError::Refused { code, message: without(&message, secret) },
            (other, _) => other,
        }
    }
}

/// A text without a secret, nor the beginning of it: the server cuts off what it repeats after 80 characters, wherever that is.
fn without(text: &str, secret: &SecretText) -> String {
    let secret = secret.reveal();
    let beginnings = (SHOWN + 1..=secret.len()).rev().filter_map(|length| secret.get(..length));
    beginnings.fold(text.to_owned(), |text, beginning| if text.contains(beginning) { text.replace(beginning, "…") } else { text })
}

/// A row of another form is an answer that is not whole.
fn read_row<T: FromRow>(row: mysql_async::Row) -> Result<T, HostError> {
    T::from_row_opt(row).map_err(|_| HostError::Unavailable("an answer of another form than asked for".to_owned()))
}

async fn limited<T>(limit: Duration, what: &str, work: impl Future<Output = mysql_async::Result<T>>) -> Result<T, fault::Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(fault::Fault::Late(format!("waited {} s {what}", limit.as_secs()))),
    }
}

/// One of the files with the credentials, without what an editor leaves at its end.
async fn read(folder: &Path, file: &str) -> Result<String, HostError> {
    let path = folder.join(file);
    let problem = |problem: String| HostError::Credentials(format!("`{}` {problem}", path.display()));
    let text = tokio::fs::read_to_string(&path).await.map_err(|error| problem(format!("cannot be read: {error}")))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { Err(problem("is empty".to_owned())) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_even_the_beginning_of_a_secret_is_shown() {
        let secret = SecretText::new("Cw1-2HkJm_PkIo6vBBTvosi05WQ13Fnn".to_owned());
        for (said, expected) in [
            ("near 'IDENTIFIED BY 'Cw1-2HkJm_PkIo6vBBTvosi05WQ13Fnn' WITH' at line 1", "near 'IDENTIFIED BY '…' WITH' at line 1"),
            // As MariaDB 10.11 says it of a word before the name of the user.
            (
                "near 'USR 'wp_0f8fad5bd9cb469fa16570867728'@'%' IDENTIFIED BY 'Cw1-2HkJm_PkIo6vBBTv...' at line 1",
                "near 'USR 'wp_0f8fad5bd9cb469fa16570867728'@'%' IDENTIFIED BY '…...' at line 1",
            ),
            ("near 'Cw1-2", "near '…"),
            ("near 'Cw1-", "near 'Cw1-"),
        ] {
            assert_eq!(without(said, &secret), expected);
        }
        assert_eq!(without("words", &SecretText::new(String::new())), "words");
    }
}
