//! The shared database hosts of the demo: each that the policies name has a server of its own in memory.

use crate::{
    model::{
        schema::{HostFacts, LedgerRow, SchemaOrder},
        usage::{HostUse, Memory},
    },
    policy,
    ports::{DatabaseHost, HostError, NoHosts},
    sandbox::{cluster::SandboxCluster, hosts::SandboxHosts},
};
use futures::future::BoxFuture;
use std::{collections::BTreeMap, sync::Arc};

/// The hosts by their names.
pub(super) struct Hosts(BTreeMap<String, SandboxHosts>);

impl Hosts {
    /// Empty servers for these hosts.
    pub(super) fn new(cluster: &SandboxCluster, hosts: &[policy::DatabaseHost]) -> Self {
        let of = |host: &policy::DatabaseHost| (host.name.clone(), SandboxHosts::new(cluster, &Arc::default(), 1));
        Self(hosts.iter().map(of).collect())
    }

    fn at(&self, host: &policy::DatabaseHost) -> &dyn DatabaseHost {
        match self.0.get(&host.name) {
            Some(server) => server,
            None => &NoHosts,
        }
    }
}

impl DatabaseHost for Hosts {
    fn look<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        self.at(host).look(host)
    }

    fn usage<'a>(&'a self, host: &'a policy::DatabaseHost) -> BoxFuture<'a, Result<HostUse, HostError>> {
        self.at(host).usage(host)
    }

    fn note_use<'a>(&'a self, host: &'a policy::DatabaseHost, memories: &'a [(String, Memory)]) -> BoxFuture<'a, Result<(), HostError>> {
        self.at(host).note_use(host, memories)
    }

    fn make_schema<'a>(&'a self, host: &'a policy::DatabaseHost, order: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>> {
        self.at(host).make_schema(host, order)
    }

    fn drop_schema<'a>(&'a self, host: &'a policy::DatabaseHost, name: &'a str, judged: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>> {
        self.at(host).drop_schema(host, name, judged)
    }
}
