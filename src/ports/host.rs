//! Shared database hosts as far as the daemon uses them: what is looked at, and the three things that are done there.

use crate::{
    model::{
        schema::{HostFacts, LedgerRow, SchemaOrder},
        usage::{HostUse, Memory},
    },
    policy,
};
use futures::future::BoxFuture;

/// Why something on a database host was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The files with user and password, or the CA bundle, cannot be used.
    #[error("{0}")]
    Credentials(String),
    /// The server does not let the user in, or does not allow it, in the server's words.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// No answer, or not in time. What was asked may have happened all the same.
    #[error("no answer: {0}")]
    Unavailable(String),
    /// It takes no writes: a reader of a cluster, or somebody made it read-only.
    #[error("it is read-only: {0}")]
    ReadOnly(String),
    /// It has no room left: the disk is full, or too many are connected.
    #[error("it is full: {0}")]
    Full(String),
    /// What has this name is not ours: a row says otherwise, or there is none. Nothing was touched.
    #[error("not ours: {0}")]
    Foreign(String),
    /// There is nothing of that name, and no row.
    #[error("not found")]
    NotFound,
    /// Something else uses it at the moment.
    #[error("busy: {0}")]
    Busy(String),
    /// Another answer, which will not get better by itself.
    #[error("refused ({code}): {message}")]
    Refused {
        /// The server's code.
        code: u16,
        /// The server's words.
        message: String,
    },
}

impl HostError {
    /// Whether it says something of the host and not of one schema: nothing else will work there either.
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        matches!(self, Self::Credentials(_) | Self::Forbidden(_) | Self::Unavailable(_) | Self::ReadOnly(_) | Self::Full(_))
    }
}

/// Every shared host that is governed. Each call has timeouts of its own, and one host is asked one thing at a time.
pub trait DatabaseHost: Send + Sync + 'static {
    /// One look at everything that bears on clones' schemas. It is whole, or it is an error; it changes nothing.
    fn look<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostFacts, HostError>>;

    /// What the host has counted of the use of clones' schemas, by their names, and what is remembered of it. It is whole, or it is an
    /// error. It counts only if it has just been seen to count a write of our own, which changes nothing.
    fn usage<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostUse, HostError>>;

    /// Writes down what had been counted, by the names of the schemas: all of it or nothing.
    fn note_use<'a>(&'a self, host: &'a policy::DatabaseHost, memories: &'a [(String, Memory)]) -> BoxFuture<'a, Result<(), HostError>>;

    /// Makes schema, user and rights of a clone, and the row that says so before all of them. What a cut-off attempt has left is
    /// gone on with.
    fn make_schema<'a>(&'a self, host: &'a policy::DatabaseHost, order: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>>;

    /// Drops schema and user of a clone that is gone, after the row has been read again under a lock and says what was judged. What a
    /// cut-off attempt has left is gone on with.
    fn drop_schema<'a>(&'a self, host: &'a policy::DatabaseHost, name: &'a str, judged: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>>;
}

/// No database host is governed.
pub struct NoHosts;

impl DatabaseHost for NoHosts {
    fn look<'a>(&'a self, _: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        none()
    }

    fn usage<'a>(&'a self, _: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostUse, HostError>> {
        none()
    }

    fn note_use<'a>(&'a self, _: &'a policy::DatabaseHost, _: &'a [(String, Memory)]) -> BoxFuture<'a, Result<(), HostError>> {
        none()
    }

    fn make_schema<'a>(&'a self, _: &'a policy::DatabaseHost, _: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>> {
        none()
    }

    fn drop_schema<'a>(&'a self, _: &'a policy::DatabaseHost, _: &'a str, _: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>> {
        none()
    }
}

fn none<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, HostError>> {
    Box::pin(std::future::ready(Err(HostError::Unavailable("no database host is governed here".to_owned()))))
}
