//! What a simulation takes for granted, since neither a trace nor a policy says it.

use crate::{
    cost::{
        book::Table,
        tariff::{Needs, Tariff},
    },
    model::{Node, Quantity, Span, child::Definition, clone::host_address, names},
    plan::money,
    policy::{Namespaces, Policies},
};
use rust_decimal::Decimal;
use std::{collections::BTreeMap, sync::Arc};

/// The world around.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What the Pod of one clone needs, under the names that a quota has for it.
    pub needs: BTreeMap<String, Quantity>,
    /// The address of the host where a clone lives whose host no rule chooses.
    pub host: Option<String>,
    /// The labels of namespaces.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// How somebody behaves who is turned away; `None`: they do not come again.
    pub retry: Option<Retry>,
    /// Of a thousand ends of clones with databases of their own, so many leave the database behind.
    pub orphans: u16,
    /// Where the numbers come from that say which.
    pub seed: u64,
    /// The region whose prices count.
    pub region: Arc<str>,
    /// The nodes that clones run on.
    pub nodes: Vec<Arc<Node>>,
    /// What shared hosts are, by name, where their policies do not say what they cost.
    pub hosts: BTreeMap<String, Host>,
}

/// How somebody behaves who is turned away: they come again every so often, until their patience is at an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How long until they come again.
    pub every: Span,
    /// For how long, in all.
    pub patience: Span,
}

/// What a shared host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An RDS instance of this class.
    Instance(String),
    /// An Aurora Serverless v2 cluster that has so many capacity units on average.
    Capacity(Decimal),
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            needs: BTreeMap::new(),
            host: None,
            namespaces: BTreeMap::new(),
            retry: None,
            orphans: 0,
            seed: 1,
            region: "us-east-1".into(),
            nodes: Vec::new(),
            hosts: BTreeMap::new(),
        }
    }
}

impl Setting {
    /// What the definition of clones says of each of them.
    #[must_use]
    pub fn defined(mut self, definition: &Definition) -> Self {
        self.needs = definition.needs.clone();
        // An empty default is none, and a placeholder no host.
        let host = definition.platform.get("sharedDatabase.host").filter(|host| !host.is_empty() && !names::is_placeholder(host));
        self.host = host.map(|host| host_address(host, None));
        self
    }

    /// What clones cost under these policies.
    #[must_use]
    pub fn tariff(&self, policies: &Policies) -> Tariff {
        let usd = |table, name: &str| policies.prices.usd(&self.region, table, name);
        money::assembled(policies, Some(Arc::clone(&self.region)), &self.nodes, Needs::of(&self.needs), self.slots(policies), |host| {
            match self.hosts.get(&host.name)? {
                Host::Instance(class) => usd(Table::RdsMysql, class),
                Host::Capacity(units) => usd(Table::AuroraMysql, "acu")?.checked_mul(*units),
            }
        })
    }

    /// Which part of the nodes the Pod of one clone takes: of their CPU or of their memory, whichever is more.
    #[must_use]
    pub fn part_of_nodes(&self) -> Decimal {
        let needs = Needs::of(&self.needs);
        let all = self.nodes.iter().fold(Needs::default(), |all, node| Needs { cpu: all.cpu.and(node.cpu), memory: all.memory.and(node.memory) });
        let part = |of: Quantity, all: Quantity| of.part_of(all).unwrap_or_default();
        part(needs.cpu, all.cpu).max(part(needs.memory, all.memory))
    }

    /// How many clones the policies allow, all namespaces together; `None`: one of them allows any number.
    fn slots(&self, policies: &Policies) -> Option<u32> {
        policies.policies.iter().try_fold(0_u32, |sum, policy| {
            let namespaces = match &policy.namespaces {
                Namespaces::Names(names) => names.len(),
                Namespaces::Selector(_) => self.namespaces.iter().filter(|(name, labels)| policy.namespaces.contains(name, Some(labels))).count(),
            };
            sum.checked_add(policy.limits.clones?.checked_mul(u32::try_from(namespaces).ok()?)?)
        })
    }
}
