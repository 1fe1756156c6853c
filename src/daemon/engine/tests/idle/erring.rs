//! Ways to a host that do not see what they should.

use super::*;
use crate::{
    model::{
        schema::{HostFacts, LedgerRow, SchemaOrder},
        usage::{HostUse, Memory},
    },
    policy,
    ports::{DatabaseHost, HostError},
    sandbox::hosts::SandboxHosts,
};
use futures::future::BoxFuture;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// What a host counts is read once and never again.
    ReadsOnce,
    /// A server that has started anew is taken for the one before.
    ForgetsRestarts,
    /// That a host does not count is not noticed.
    BelievesAnyHost,
    /// Statements that run are not looked for.
    OverlooksRunning,
    /// Nothing is ever counted.
    SeesNothing,
    /// Right before a clone goes the host is not asked, but what the last look has shown is said again.
    ProvesNothing,
}

/// A way to the host that does not see what it should.
pub(super) struct Erring {
    inner: SandboxHosts,
    bug: Bug,
    first: Mutex<Option<HostUse>>,
    /// Whether what is asked next is part of a look, and what the last one has shown.
    looks: Mutex<(bool, Option<HostUse>)>,
}

impl Erring {
    pub(super) fn new(inner: SandboxHosts, bug: Bug) -> Self {
        Self { inner, bug, first: Mutex::default(), looks: Mutex::default() }
    }

    fn see(&self, mut said: HostUse) -> HostUse {
        match self.bug {
            Bug::None | Bug::ProvesNothing => {}
            Bug::ReadsOnce => {
                let mut first = self.first.lock().unwrap();
                let first = first.get_or_insert_with(HostUse::default);
                for (name, known) in &mut said.uses {
                    let before = first.uses.entry(name.clone()).or_insert_with(|| known.clone());
                    known.mark = before.mark.clone().or_else(|| known.mark.clone());
                    before.mark.clone_from(&known.mark);
                    known.busy = false;
                }
            }
            Bug::ForgetsRestarts => said.uses.values_mut().for_each(|known| {
                known.mark = known.mark.take().map(|mark| mark.split(' ').next_back().unwrap_or_default().into());
            }),
            Bug::BelievesAnyHost => said.uncounted = None,
            Bug::OverlooksRunning => said.uses.values_mut().for_each(|known| known.busy = false),
            Bug::SeesNothing => said.uses.values_mut().for_each(|known| known.mark = None),
        }
        said
    }
}

impl DatabaseHost for Erring {
    fn look<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        self.looks.lock().unwrap().0 = true;
        self.inner.look(host)
    }

    fn usage<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostUse, HostError>> {
        Box::pin(async move {
            let (looks, last) = self.looks.lock().unwrap().clone();
            if let (Bug::ProvesNothing, false, Some(last)) = (self.bug, looks, last) {
                return Ok(last);
            }
            let said = self.inner.usage(host).await.map(|said| self.see(said));
            *self.looks.lock().unwrap() = (false, said.as_ref().ok().cloned());
            said
        })
    }

    fn note_use<'a>(&'a self, host: &'a policy::DatabaseHost, memories: &'a [(String, Memory)]) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.note_use(host, memories)
    }

    fn make_schema<'a>(&'a self, host: &'a policy::DatabaseHost, order: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.make_schema(host, order)
    }

    fn drop_schema<'a>(&'a self, host: &'a policy::DatabaseHost, name: &'a str, judged: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.drop_schema(host, name, judged)
    }
}
