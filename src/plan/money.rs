//! What things cost here, as far as the snapshot tells, and whether the figures behind it can be trusted.

use super::{Draft, Reason, Target};
use crate::cost::{
    dollars, rates,
    tariff::{Needs, SharedHost, Tariff},
};
use crate::model::{Kind, Node, Quantity, Snapshot, Source, cloud::CloudResource, evidence::CloudList, later, names};
use crate::policy::{DatabaseHost, Namespaces, Policies, RdsHost};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How long a figure may stand. AWS changes prices rarely, and announces it.
const STANDS: SignedDuration = SignedDuration::from_hours(400 * 24);

/// What was found about money.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// What a namespace's clones cost is counted up to then.
    Counted(Timestamp),
    /// A figure of the price book was read too long ago: when, and where it stands.
    PricesOld(Date, Arc<str>),
    /// There are no prices of this region.
    PricesUnknown(Arc<str>),
    /// So much of a budget is spent or committed: USD, the budget, and the percent from which that is said.
    BudgetNear(Decimal, Decimal, u32),
    /// More than the budget is spent or committed: USD, and the budget.
    BudgetExceeded(Decimal, Decimal),
    /// Since then AWS has not told what it bills, and why.
    BillingUnread(Timestamp, Box<str>),
    /// Nothing is counted, since that is not known.
    NotCounted(String),
    /// What clones cost is counted without these, whose prices are not known.
    Unpriced(Vec<String>),
}

impl Finding {
    /// The code: CamelCase, each with a line in the docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Counted(_) => "UsageCounted",
            Self::PricesOld(..) => "PricesOld",
            Self::PricesUnknown(_) => "PricesUnknown",
            Self::BudgetNear(..) => "BudgetNear",
            Self::BudgetExceeded(..) => "BudgetExceeded",
            Self::BillingUnread(..) => "BillingUnread",
            Self::NotCounted(_) => "CostsNotCounted",
            Self::Unpriced(_) => "Unpriced",
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Counted(through) => format!("what its clones cost is counted up to {through}"),
            Self::PricesOld(date, place) => format!(
                "costs are reckoned by a price of {date} ({place}): look it up again, and write a `PriceBook` beside the policies or take a newer release"
            ),
            Self::PricesUnknown(region) => {
                format!("what clones cost in `{region}` is not known: write a `PriceBook` with `region: {region}` beside the policies")
            }
            Self::BudgetNear(used, monthly, percent) => {
                let (used, monthly) = (dollars(*used), dollars(*monthly));
                format!("{used} of the month's {monthly} are spent or committed, which is {percent} % or more")
            }
            Self::BudgetExceeded(used, monthly) => {
                let (used, monthly) = (dollars(*used), dollars(*monthly));
                format!("{used} are spent or committed, and the month's budget is {monthly}: end clones, shorten their lives, or raise the budget")
            }
            Self::BillingUnread(since, why) => format!("what AWS bills could not be read since {since:.0}: {why}"),
            Self::NotCounted(lack) => {
                format!(
                    "what clones cost is not counted until this is known ({lack}): apply the present deploy/base/rbac.yaml and deploy/base/crds if that is why"
                )
            }
            Self::Unpriced(what) => format!(
                "costs are counted without what has no price ({}): write it in a `PriceBook` beside the policies, or say `costPerHour` of the host",
                what.join(", ")
            ),
        }
    }

    /// The numbers and dates behind the sentence.
    pub(super) fn facts(&self, put: &mut dyn FnMut(&str, Value)) {
        match self {
            Self::Counted(through) => put("through", json!(through)),
            Self::PricesOld(date, place) => {
                put("asOf", json!(date));
                put("place", json!(place));
            }
            Self::PricesUnknown(region) => put("region", json!(region)),
            Self::BudgetNear(used, monthly, percent) => {
                put("used", json!(used));
                put("monthly", json!(monthly));
                put("warnAt", json!(percent));
            }
            Self::BudgetExceeded(used, monthly) => {
                put("used", json!(used));
                put("monthly", json!(monthly));
            }
            Self::BillingUnread(since, why) => {
                put("since", json!(since));
                put("why", json!(why));
            }
            Self::NotCounted(lack) => put("lack", json!(lack)),
            Self::Unpriced(what) => put("unpriced", json!(what)),
        }
    }
}

/// What clones cost here. The region is that of the nodes, else the first in which AWS is swept; where neither is known nothing has a
/// price.
#[must_use]
pub fn tariff(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Tariff {
    let of_nodes = snapshot.nodes.iter().find_map(|node| node.region.clone());
    let swept =
        || snapshot.evidence.iter().find_map(|(source, _)| if let Source::Cloud(region, _) = source { Some(Arc::clone(region)) } else { None });
    let needs: BTreeMap<String, Quantity> =
        snapshot.definitions.iter().find(|definition| definition.makes_clones).map(|definition| definition.needs.clone()).unwrap_or_default();
    let region = of_nodes.or_else(swept);
    let in_aws = |host: &DatabaseHost| {
        let mut all = snapshot.cloud.iter().filter(|found| is_host(found, host));
        // Of two in as many regions nobody knows which it is.
        all.next().filter(|_| all.next().is_none())
    };
    let mut tariff = assembled(policies, region, &snapshot.nodes, Needs::of(&needs), slots(snapshot, policies), |host| {
        in_aws(host).and_then(|found| rates::of_resource(&policies.prices, found)).map(|rate| rate.per_hour())
    });
    let unseen = policies.hosts.iter().any(|host| host.rds.is_some() && host.cost_per_hour.is_none() && in_aws(host).is_none());
    let lists =
        snapshot.evidence.iter().filter(|(source, _)| unseen && matches!(source, Source::Cloud(_, CloudList::Instances | CloudList::Clusters)));
    let lists = lists.map(|(source, _)| source.clone()).chain([Kind::Node, Kind::Definition].map(Source::Objects));
    tariff.lack = lists.filter_map(|source| Some(format!("{source}: {}", snapshot.evidence.lack(&source, now)?))).next();
    tariff
}

/// What clones cost where these nodes run, on the hosts of these policies, each of which costs that much where its policy does not say.
#[must_use]
pub fn assembled(
    policies: &Policies,
    region: Option<Arc<str>>,
    nodes: &[Arc<Node>],
    needs: Needs,
    slots: Option<u32>,
    cost_of: impl Fn(&DatabaseHost) -> Option<Decimal>,
) -> Tariff {
    let tariff = Tariff::new(Arc::clone(&policies.prices), region, nodes, needs).spread_over(slots);
    policies.hosts.iter().fold(tariff, |tariff, host| {
        let per_hour = host.cost_per_hour.or_else(|| cost_of(host));
        tariff.with_host(host.address(), SharedHost { name: host.name.as_str().into(), per_hour, schemas: host.schemas })
    })
}

fn is_host(found: &CloudResource, host: &DatabaseHost) -> bool {
    // An endpoint of RDS says where it is; a name of one's own does not.
    let endpoint = host.endpoint.host().to_ascii_lowercase();
    let says = endpoint.strip_suffix(".rds.amazonaws.com").and_then(|rest| rest.rsplit('.').next());
    let elsewhere = says.is_some_and(|region| region != &*found.region);
    match &host.rds {
        _ if elsewhere => false,
        Some(RdsHost::Instance(id)) => found.kind() == "DBInstance" && found.id == *id,
        Some(RdsHost::Cluster(id)) => found.kind() == "DBCluster" && found.id == *id,
        None => false,
    }
}

/// How many clones the policies allow, all namespaces together; `None`: one of them allows any number.
fn slots(snapshot: &Snapshot, policies: &Policies) -> Option<u32> {
    let of = |policy: &Arc<crate::policy::ClonePolicy>| {
        let namespaces = match &policy.namespaces {
            Namespaces::Names(names) => names.len(),
            Namespaces::Selector(_) => snapshot.namespaces.iter().filter(|(name, labels)| policy.namespaces.contains(name, Some(*labels))).count(),
        };
        policy.limits.clones?.checked_mul(u32::try_from(namespaces).ok()?)
    };
    policies.policies.iter().try_fold(0_u32, |sum, policy| sum.checked_add(of(policy)?))
}

/// Looks at the book of each region in which a clone has, or had, a database, or whose nodes clones run on.
pub(super) fn check_prices(snapshot: &Snapshot, policies: &Policies, draft: &mut Draft) {
    let ours = snapshot.cloud.iter().filter(|found| found.tag(names::TAG_CLONE_UID).is_some());
    let nodes = snapshot.nodes.iter().filter_map(|node| node.region.as_ref());
    let regions: BTreeSet<&Arc<str>> = ours.map(|found| &found.region).chain(nodes).collect();
    for region in regions {
        let finding = match policies.prices.oldest(region) {
            None => Finding::PricesUnknown(Arc::clone(region)),
            Some(figure) => match figure.as_of.to_zoned(TimeZone::UTC) {
                Ok(read) if later(read.timestamp(), STANDS) > draft.now => continue,
                _ => Finding::PricesOld(figure.as_of, Arc::clone(&figure.place)),
            },
        };
        draft.alert(None, Target::Source(Source::Prices(Arc::clone(region))), Reason::Money(finding));
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Node, Snapshot, cloud::CloudResource, evidence::CloudList};
    use crate::plan::plan;
    use crate::policy::load_files;
    use jiff::Timestamp;
    use serde_json::json;
    use std::sync::Arc;

    const POLICY: &str = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";

    fn said(region: &str, now: &str) -> Vec<String> {
        let policies = load_files(vec![("p.yaml".to_owned(), POLICY.into())]).unwrap();
        let object = json!({
            "DBInstanceIdentifier": "c", "DBInstanceArn": format!("arn:aws:rds:{region}:1:db:c"), "DBInstanceStatus": "available",
            "TagList": [{"Key": "CloneUid", "Value": "u"}],
        });
        let snapshot = Snapshot { cloud: vec![Arc::new(CloudResource::read(CloudList::Instances, &object).unwrap())], ..Snapshot::default() };
        let plan = plan(&snapshot, &policies, now.parse::<Timestamp>().unwrap());
        let about = plan.decisions.iter().filter(|decision| decision.target.key().starts_with("prices/"));
        about.map(|decision| format!("{} {} {}", decision.action.word(), decision.target.display(), decision.reason.code())).collect()
    }

    #[test]
    fn a_book_that_is_missing_or_old_is_said() {
        assert_eq!(said("us-east-1", "2027-02-05T00:00:00Z"), Vec::<String>::new());
        assert_eq!(said("us-east-1", "2027-12-31T00:00:00Z"), ["alert prices/us-east-1 PricesOld"]);
        assert_eq!(said("eu-west-1", "2026-02-05T00:00:00Z"), ["alert prices/eu-west-1 PricesUnknown"]);
    }

    #[test]
    fn the_book_of_the_nodes_is_looked_at_too() {
        let policies = load_files(vec![(
            "p.yaml".to_owned(),
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n".into(),
        )])
        .unwrap();
        let node = json!({"metadata": {"name": "n", "uid": "n", "creationTimestamp": "2026-02-01T00:00:00Z",
            "labels": {"topology.kubernetes.io/region": "mars-1"}}, "status": {"allocatable": {"cpu": "2", "memory": "8Gi"}}});
        let snapshot = Snapshot { nodes: vec![Arc::new(Node::read(&node).unwrap())], ..Snapshot::default() };
        let plan = plan(&snapshot, &policies, "2026-02-05T00:00:00Z".parse().unwrap());
        assert!(plan.decisions.iter().any(|decision| decision.reason.code() == "PricesUnknown"), "{:?}", plan.decisions);
    }

    #[test]
    fn a_host_is_the_one_in_the_region_of_its_endpoint_and_of_two_nobody_knows() {
        let per_hour = |endpoint: &str| {
            let host = format!(
                "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: h}}\n\
                 spec: {{endpoint: {endpoint}, schemas: 2, rds: {{instance: h}}}}\n"
            );
            let policies = load_files(vec![("h.yaml".to_owned(), host.into()), ("p.yaml".to_owned(), POLICY.into())]).unwrap();
            let found = ["eu-west-1", "us-east-1"].map(|region| {
                let object = json!({"DBInstanceIdentifier": "h", "DBInstanceArn": format!("arn:aws:rds:{region}:1:db:h"), "DBInstanceClass": "db.t3.micro",
                    "DBInstanceStatus": "available", "Engine": "mysql", "AllocatedStorage": 20, "StorageType": "gp3"});
                Arc::new(CloudResource::read(CloudList::Instances, &object).unwrap())
            });
            let snapshot = Snapshot { cloud: found.into(), ..Snapshot::default() };
            let tariff = super::tariff(&snapshot, &policies, "2026-02-05T00:00:00Z".parse().unwrap());
            tariff.hosts().next().and_then(|(_, host)| host.per_hour)
        };
        assert!(per_hour("h.abc.us-east-1.rds.amazonaws.com").is_some());
        assert_eq!(per_hour("h.abc.eu-west-1.rds.amazonaws.com"), None, "that region has no prices");
        assert_eq!(per_hour("db.example.com"), None);
    }
}
