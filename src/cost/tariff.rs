//! What a clone costs *here*: the price book, applied to the nodes that were seen, the hosts that clones share, and the number of
//! clones that the platform is there for.
//!
//! A clone's rate does not depend on which other clones live: its share of a host is one schema of as many as the host may have, its
//! share of the nodes is what its Pod asks for, its part of the fixed costs is one of as many as the policies allow. So it is known
//! before the clone is let in, it stays what it was, and what nobody takes is left as *unallocated*: shares and what is left are the
//! whole, always.

use super::{
    book::{PriceBook, Table},
    rates::{HOURS_A_MONTH, Part, Rate},
};
use crate::model::{Database, Node, Quantity};
use rust_decimal::Decimal;
use std::{collections::BTreeMap, sync::Arc};

/// The storage of a dedicated database, GiB. Source: `allocatedStorage` in `deploy/kro/wordpress-clone.yaml`.
const STORAGE_GIB: Decimal = Decimal::from_parts(20, 0, 0, false, 0);
/// The type of that storage. Source: `storageType` there.
const STORAGE_TYPE: &str = "gp3";

/// What rates are made from.
#[derive(Debug, Clone, Default)]
pub struct Tariff {
    book: Arc<PriceBook>,
    /// The region whose prices count.
    region: Option<Arc<str>>,
    compute: Compute,
    needs: Needs,
    hosts: BTreeMap<Arc<str>, SharedHost>,
    /// What the platform costs, USD an hour.
    fixed: Rate,
    /// Over how many clones that is spread; `None`: over none.
    slots: Option<u32>,
    /// What is not known that it should be made of, in words. What is missing is not free: nothing is counted by such a tariff.
    pub lack: Option<String>,
}

/// What the Pod of one clone asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// CPU.
    pub cpu: Quantity,
    /// Memory.
    pub memory: Quantity,
}

impl Needs {
    /// Out of what a definition says, under the names that a quota has for it.
    #[must_use]
    pub fn of(needs: &BTreeMap<String, Quantity>) -> Self {
        let of = |name: &str| needs.get(name).copied().unwrap_or_default();
        Self { cpu: of("requests.cpu"), memory: of("requests.memory") }
    }
}

/// What the nodes cost, USD an hour. Half of a node's price is for its CPU, half for its memory: so the shares of Pods that fit never
/// come to more than the node, whatever they ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compute {
    /// All nodes with a price.
    pub total: Decimal,
    /// Of that, those of spare capacity.
    pub spot: Decimal,
    /// CPU of the nodes with a price.
    cpu: Quantity,
    /// Memory of the nodes with a price.
    memory: Quantity,
    /// Instance types that have no price, and nodes that say none.
    pub unpriced: Vec<String>,
}

impl Compute {
    fn of(book: &PriceBook, region: Option<&str>, nodes: &[Arc<Node>]) -> Self {
        let mut compute = Self::default();
        for node in nodes {
            let table = if node.spot { Table::Ec2Spot } else { Table::Ec2 };
            let known = node.instance_type.as_deref().and_then(|class| book.usd(node.region.as_deref().or(region)?, table, class));
            match known {
                // One that just joins does not say yet what there is of it to share.
                Some(_) if node.cpu == Quantity::default() || node.memory == Quantity::default() => {}
                Some(usd) => {
                    compute.total = compute.total.saturating_add(usd);
                    compute.spot = compute.spot.saturating_add(if node.spot { usd } else { Decimal::ZERO });
                    compute.cpu = compute.cpu.and(node.cpu);
                    compute.memory = compute.memory.and(node.memory);
                }
                None => {
                    let named =
                        node.instance_type.as_deref().map_or_else(|| format!("node {}", node.name), |class| format!("{} {class}", table.word()));
                    if !compute.unpriced.contains(&named) {
                        compute.unpriced.push(named);
                    }
                }
            }
        }
        compute
    }

    /// What a Pod costs that asks for this, USD an hour; `None`: no node has a price.
    #[must_use]
    pub fn share(&self, needs: Needs) -> Option<Decimal> {
        let half = self.total.checked_div(Decimal::TWO)?;
        let of = |asked: Quantity, all: Quantity| half.checked_mul(asked.part_of(all)?);
        (!self.total.is_zero()).then(|| of(needs.cpu, self.cpu)?.checked_add(of(needs.memory, self.memory)?))?
    }
}

/// A host that clones share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedHost {
    /// The name of its `DatabaseHost`.
    pub name: Arc<str>,
    /// What it costs, USD an hour; `None`: nobody knows.
    pub per_hour: Option<Decimal>,
    /// For how many schemas it is there.
    pub schemas: u32,
}

impl Tariff {
    /// What clones cost by this book, in this region.
    #[must_use]
    pub fn new(book: Arc<PriceBook>, region: Option<Arc<str>>, nodes: &[Arc<Node>], needs: Needs) -> Self {
        let compute = Compute::of(&book, region.as_deref(), nodes);
        let mut fixed = Rate::default();
        for cost in region.iter().flat_map(|region| book.fixed(region)) {
            let usd = region.as_deref().and_then(|region| book.usd(region, cost.table, &cost.name)).and_then(|usd| usd.checked_mul(cost.count));
            fixed.add(Part::Fixed, usd, || format!("{} {}", cost.table.word(), cost.name));
        }
        if let Some(region) = region.as_deref().filter(|region| !book.knows(region)) {
            fixed.unpriced.push(format!("the fixed costs of region {region}"));
        }
        let slots = region.as_deref().and_then(|region| book.spread_over(region));
        Self { book, region, compute, needs, hosts: BTreeMap::new(), fixed, slots, lack: None }
    }

    /// The same, with a host of this address that clones share.
    #[must_use]
    pub fn with_host(mut self, address: &str, host: SharedHost) -> Self {
        self.hosts.insert(address.into(), host);
        self
    }

    /// The same, with the fixed costs spread over so many clones, unless the book says over how many.
    #[must_use]
    pub fn spread_over(mut self, slots: Option<u32>) -> Self {
        self.slots = self.slots.or(slots).filter(|slots| *slots > 0);
        self
    }

    /// The region whose prices count; `None`: nothing says which.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// What the nodes cost.
    #[must_use]
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// What the platform costs whether or not a clone lives.
    #[must_use]
    pub fn fixed(&self) -> &Rate {
        &self.fixed
    }

    /// The hosts that clones share, by their addresses.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &SharedHost)> {
        self.hosts.iter().map(|(address, host)| (address.as_ref(), host))
    }

    /// What a clone costs that keeps its data there.
    ///
    /// Backups are free as far as they are no larger than the databases of a region (Amazon RDS pricing, "Backup Storage"), and those of
    /// a clone, kept for a day, are not.
    #[must_use]
    pub fn rate(&self, database: &Database) -> Rate {
        let mut rate = Rate::default();
        let usd = |table, name: &str| self.region.as_deref().and_then(|region| self.book.usd(region, table, name));
        match database {
            Database::Shared(address) => {
                let host = address.as_ref().and_then(|address| self.hosts.get(address));
                let share = host.and_then(|host| host.per_hour?.checked_div(host.schemas.into()));
                rate.add(Part::Host, share, || {
                    address.as_ref().map_or_else(|| "the platform's host".to_owned(), |address| format!("host {address}"))
                });
            }
            Database::Dedicated(class) => {
                rate.add(Part::Instance, usd(Table::RdsMysql, class), || format!("rds-mysql {class}"));
                let stored = usd(Table::RdsStorage, STORAGE_TYPE).and_then(|usd| usd.checked_mul(STORAGE_GIB)?.checked_div(HOURS_A_MONTH));
                rate.add(Part::Storage, stored, || format!("rds-storage {STORAGE_TYPE}"));
            }
            Database::Serverless(least, most) => {
                let unit = usd(Table::AuroraMysql, "acu");
                rate.add(Part::Capacity, unit.and_then(|usd| usd.checked_mul(*least)), || "aurora-mysql acu".to_owned());
                rate.beyond = unit.and_then(|usd| usd.checked_mul(most.saturating_sub(*least))).unwrap_or_default();
            }
        }
        rate.add(Part::Compute, self.compute.share(self.needs), || "nodes".to_owned());
        if let Some(slots) = self.slots {
            let part = self.fixed.per_hour().checked_div(slots.into());
            rate.add(Part::Fixed, part, || "fixed costs".to_owned());
        }
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::prices;
    use proptest::prelude::*;
    use serde_json::json;

    const HOST: &str = "db.example.com:3306";

    fn node(class: &str, spot: bool) -> Arc<Node> {
        let capacity = if spot { "SPOT" } else { "ON_DEMAND" };
        let labels = json!({"node.kubernetes.io/instance-type": class, "topology.kubernetes.io/region": "us-east-1", "eks.amazonaws.com/capacityType": capacity});
        let metadata = json!({"name": class, "uid": class, "creationTimestamp": "2026-02-05T14:30:22Z", "labels": labels});
        Arc::new(Node::read(&json!({"metadata": metadata, "status": {"allocatable": {"cpu": "2", "memory": "8Gi"}}})).unwrap())
    }

    fn needs() -> Needs {
        Needs { cpu: Quantity::parse("250m").unwrap(), memory: Quantity::parse("512Mi").unwrap() }
    }

    fn tariff(nodes: &[Arc<Node>]) -> Tariff {
        let host = SharedHost { name: "staging".into(), per_hour: Some("0.034".parse().unwrap()), schemas: 40 };
        Tariff::new(prices::built_in(), Some("us-east-1".into()), nodes, needs()).with_host(HOST, host).spread_over(Some(110))
    }

    fn parts(rate: &Rate) -> Vec<(&'static str, String)> {
        rate.parts().iter().map(|(part, usd)| (part.word(), usd.round_dp(6).normalize().to_string())).collect()
    }

    #[test]
    fn each_kind_of_clone_costs_its_parts() {
        let tariff = tariff(&[node("t3.large", false), node("t3.large", true)]);
        // Of 0.0832 + 0.0274 half is for 4 cores and half for 16 GiB: 0.0553 × (0.25/4 + 0.5/16).
        let compute = ("compute", "0.005184".to_owned());
        // 0.10 for the control plane, 0.0225 + 0.008 for the balancer, over 110 clones.
        let fixed = ("fixed", "0.001186".to_owned());
        let shared = tariff.rate(&Database::Shared(Some(HOST.into())));
        assert_eq!(parts(&shared), [("host", "0.00085".to_owned()), compute.clone(), fixed.clone()]);
        let own = tariff.rate(&Database::Dedicated("db.t3.micro".into()));
        assert_eq!(parts(&own), [("instance", "0.017".to_owned()), ("storage", "0.003151".to_owned()), compute.clone(), fixed.clone()]);
        assert!(shared.unpriced.is_empty() && own.unpriced.is_empty());
        let serverless = tariff.rate(&Database::Serverless("0.5".parse().unwrap(), "4".parse().unwrap()));
        assert_eq!(parts(&serverless), [("capacity", "0.06".to_owned()), compute, fixed]);
        assert_eq!(serverless.at_most_per_hour() - serverless.per_hour(), "0.42".parse().unwrap(), "3.5 units more");
    }

    #[test]
    fn what_has_no_price_is_said_and_not_guessed() {
        let unknown = tariff(&[node("x9.huge", false)]);
        assert_eq!(unknown.compute().unpriced, ["ec2 x9.huge"]);
        let rate = unknown.rate(&Database::Dedicated("db.unheard-of".into()));
        assert_eq!(rate.unpriced, ["rds-mysql db.unheard-of", "nodes"]);
        assert_eq!(unknown.rate(&Database::Shared(None)).unpriced, ["the platform's host", "nodes"]);
        let nowhere = Tariff::new(prices::built_in(), None, &[], needs());
        assert_eq!(nowhere.rate(&Database::Dedicated("db.t3.micro".into())).per_hour(), Decimal::ZERO);
    }

    proptest! {
        /// As many clones as the nodes can run and the host can hold never come to more than both cost.
        #[test]
        fn the_shares_and_what_is_left_are_the_whole(count in 1u32..6, clones in 0u32..40, cpu in 10u64..2_000, memory in 16u64..8_000) {
            let nodes: Vec<_> = (0..count).map(|n| node("t3.large", n % 2 == 0)).collect();
            let needs = Needs { cpu: Quantity::parse(&format!("{cpu}m")).unwrap(), memory: Quantity::parse(&format!("{memory}Mi")).unwrap() };
            let tariff = Tariff { needs, ..tariff(&nodes) };
            let clones = clones.min(u32::try_from(u64::from(count) * (2_000 / cpu).min(8_192 / memory)).unwrap());
            let rate = tariff.rate(&Database::Shared(Some(HOST.into())));
            let all = |part| rate.parts().iter().filter(|(of, _)| *of == part).map(|(_, usd)| *usd).sum::<Decimal>() * Decimal::from(clones);
            let dust = Decimal::new(1, 20);
            prop_assert!(all(Part::Compute) <= tariff.compute().total + dust);
            prop_assert!(all(Part::Host) <= "0.034".parse::<Decimal>().unwrap() + dust);
            prop_assert!(all(Part::Fixed) <= tariff.fixed().per_hour() + dust);
        }
    }
}
