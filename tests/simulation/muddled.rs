//! A [`DatabaseHost`] between the product and the sandbox that does not do what it should: see [`Bug`].

use crate::{bugs::Bug, hosted::is_foreign};
use clonewarden::{
    model::{
        schema::{HostFacts, LedgerRow, SchemaOrder},
        usage::{HostUse, Memory},
    },
    policy,
    ports::{DatabaseHost, HostError},
    sandbox::hosts::{SandboxHosts, Server},
};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};

pub(crate) struct Muddled {
    pub(crate) inner: SandboxHosts,
    pub(crate) server: Arc<Mutex<Server>>,
    pub(crate) bug: Bug,
}

impl Muddled {
    /// A schema that is not the one.
    fn another(&self, name: &str, foreign: bool) -> Option<String> {
        let server = self.server.lock().unwrap();
        server.schemas.iter().find(|other| *other != name && is_foreign(&server, other) == foreign).cloned()
    }
}

impl DatabaseHost for Muddled {
    fn look<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        self.inner.look(host)
    }

    fn usage<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostUse, HostError>> {
        self.inner.usage(host)
    }

    fn note_use<'a>(&'a self, host: &'a policy::DatabaseHost, memories: &'a [(String, Memory)]) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.note_use(host, memories)
    }

    fn make_schema<'a>(&'a self, host: &'a policy::DatabaseHost, order: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.make_schema(host, order)
    }

    fn drop_schema<'a>(&'a self, host: &'a policy::DatabaseHost, name: &'a str, judged: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async move {
            if self.bug == Bug::LeavesSchemas {
                return Ok(());
            }
            if let Some(another) = self.another(name, self.bug == Bug::DropsForeign) {
                self.inner.drop_anything(&another).await?;
            }
            self.inner.drop_schema(host, name, judged).await
        })
    }
}
