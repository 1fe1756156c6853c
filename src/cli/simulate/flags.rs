//! The flags that say what a simulation takes for granted.

use crate::{
    cli::{Failure, output::printable},
    model::{Node, Quantity, Span, child::Definition},
    policy::Policies,
    simulate::{
        Setting,
        setting::{Host, Retry},
    },
};
use anyhow::{Context, anyhow};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

/// The definition of clones that is shipped.
const SHIPPED: &str = include_str!("../../../deploy/kro/wordpress-clone.yaml");
/// What instances have: type, CPU, memory in GiB. Source: <https://aws.amazon.com/ec2/instance-types/>, for the types of `prices/`.
const SIZES: [(&str, u64, u64); 9] = [
    ("t3.medium", 2, 4),
    ("t3.large", 2, 8),
    ("t3.xlarge", 4, 16),
    ("t3.2xlarge", 8, 32),
    ("t3a.large", 2, 8),
    ("t4g.large", 2, 8),
    ("m5.large", 2, 8),
    ("m6i.large", 2, 8),
    ("c5.large", 2, 4),
];
/// An Aurora Serverless v2 cluster has no more capacity units: <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.how-it-works.html>.
const MOST_ACU: Decimal = Decimal::from_parts(256, 0, 0, false, 0);
/// Who comes more often than that tells nothing new, and the simulation does not end.
const MOST_TRIES: i64 = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    /// Somebody who is turned away comes again after so long …
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    retry_every: Span,
    /// … until so much time has passed since they came first
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    patience: Span,
    /// Nobody who is turned away comes again
    #[arg(long, conflicts_with_all = ["retry_every", "patience"])]
    no_retry: bool,
    /// Of a hundred clones with databases of their own, so many leave the database behind, which costs until `orphans.soak` is over
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = per_mille)]
    orphans: u16,
    /// The number that says which do
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The region whose prices count
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// The nodes that clones run on, as TYPE:COUNT, of spare capacity as TYPE:COUNT:spot; none: what they cost is not counted
    #[arg(long, value_name = "TYPE:COUNT[:spot]", value_parser = nodes)]
    nodes: Vec<(String, u32, bool)>,
    /// What a shared host is, where its policy does not say what it costs: NAME=CLASS of an RDS instance, or NAME=1.5ACU, its capacity on average
    #[arg(long = "host", value_name = "NAME=CLASS|NAME=nACU", value_parser = host)]
    hosts: Vec<(String, Host)>,
    /// The labels of a namespace, for policies that select by them: NAMESPACE:KEY=VALUE[,KEY=VALUE…]
    #[arg(long, value_name = "NAMESPACE:KEY=VALUE,…", value_parser = labels)]
    namespace_labels: Vec<(String, BTreeMap<String, String>)>,
    /// The ResourceGraphDefinition of clones, which says what their Pods ask for; default: the one that is shipped
    #[arg(long, value_name = "FILE")]
    pub(super) definition: Option<PathBuf>,
}

impl Flags {
    pub(super) fn read(&self, sets: &[Policies]) -> Result<Setting, Failure> {
        let known = |name: &String| sets.iter().any(|policies| policies.hosts.iter().any(|host| host.name == *name));
        if let Some((name, _)) = self.hosts.iter().find(|(name, _)| !known(name)) {
            return Err(Failure::input(anyhow!("--host {name}: no policy file has a DatabaseHost of that name")));
        }
        if let Some(policies) = sets.iter().find(|policies| !policies.prices.knows(&self.region)) {
            let known: Vec<&str> = policies.prices.regions().collect();
            let help = "write a `PriceBook` with that region beside the policies";
            let region = printable(&self.region);
            return Err(Failure::input(anyhow!("--region {region}: prices are known of {}; {help}", known.join(", "))));
        }
        if !self.no_retry && self.patience.as_secs().checked_div(self.retry_every.as_secs()).is_none_or(|tries| tries > MOST_TRIES) {
            let help = format!("that is more than {MOST_TRIES} tries for one who waits; let them come less often, or for a shorter time");
            return Err(Failure::input(anyhow!("--retry-every {} --patience {}: {help}", self.retry_every, self.patience)));
        }
        let retry = (!self.no_retry).then_some(Retry { every: self.retry_every, patience: self.patience });
        let setting = Setting {
            namespaces: self.namespace_labels.iter().cloned().collect(),
            retry,
            orphans: self.orphans,
            seed: self.seed,
            region: self.region.as_str().into(),
            nodes: self.nodes.iter().flat_map(|(class, count, spot)| (0..*count).map(|_| Arc::new(node(class, *spot)))).collect(),
            hosts: self.hosts.iter().cloned().collect(),
            ..Setting::default()
        };
        Ok(setting.defined(&self.definition()?))
    }

    fn definition(&self) -> Result<Definition, Failure> {
        let (name, text) = match &self.definition {
            Some(path) => {
                let name = path.display().to_string();
                let text = fs::read_to_string(path).with_context(|| format!("`{name}` cannot be read")).map_err(Failure::input)?;
                (name, text)
            }
            None => ("the definition that is shipped".to_owned(), SHIPPED.to_owned()),
        };
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(|| format!("`{name}` is no YAML")).map_err(Failure::input)?;
        let definitions = documents.into_iter().filter_map(|mut object| {
            // One that was never applied has neither.
            for (key, value) in [("uid", "unknown"), ("creationTimestamp", "1970-01-01T00:00:00Z")] {
                object.get_mut("metadata")?.as_object_mut()?.entry(key).or_insert_with(|| json!(value));
            }
            Definition::read(&object).ok()
        });
        let help = "give the ResourceGraphDefinition that makes WordPressClones";
        definitions.into_iter().find(|definition| definition.makes_clones).ok_or_else(|| Failure::input(anyhow!("`{name}`: {help}")))
    }

    /// What is taken for granted, for the report.
    pub(super) fn document(&self, setting: &Setting) -> Value {
        let needs: BTreeMap<&str, String> = setting.needs.iter().map(|(name, amount)| (name.as_str(), amount.to_string())).collect();
        let nodes: Vec<Value> = self.nodes.iter().map(|(class, count, spot)| json!({"type": class, "count": count, "spot": spot})).collect();
        let hosts: BTreeMap<&str, String> = self
            .hosts
            .iter()
            .map(|(name, host)| match host {
                Host::Instance(class) => (name.as_str(), class.clone()),
                Host::Capacity(units) => (name.as_str(), format!("{units}ACU")),
            })
            .collect();
        json!({
            "mode": "enforce",
            "retry": setting.retry.map(|retry| json!({"every": retry.every, "patience": retry.patience})),
            "orphansPerMille": setting.orphans,
            "seed": setting.seed,
            "region": setting.region,
            "nodes": nodes,
            "hosts": hosts,
            "needs": needs,
        })
    }
}

fn node(class: &str, spot: bool) -> Node {
    let (cpu, memory) = SIZES.iter().find(|(known, ..)| *known == class).map_or((0, 0), |(_, cpu, memory)| (*cpu, *memory));
    let gib = Quantity::parse(&format!("{memory}Gi")).unwrap_or_default();
    Node {
        name: class.into(),
        instance_type: Some(class.into()),
        region: None,
        spot,
        cpu: Quantity::whole(cpu),
        memory: gib,
        pods: Quantity::default(),
    }
}

fn nodes(text: &str) -> Result<(String, u32, bool), String> {
    let mut parts = text.split(':');
    let class = parts.next().unwrap_or_default();
    let count = parts.next().map_or(Some(1), |count| count.parse().ok().filter(|count| (1..=10_000).contains(count)));
    let spot = parts.next();
    if !SIZES.iter().any(|(known, ..)| *known == class) {
        let known: Vec<&str> = SIZES.iter().map(|(known, ..)| *known).collect();
        return Err(format!("there is no size of `{class}` here; those of {} are known", known.join(", ")));
    }
    match (count, spot, parts.next()) {
        (Some(count), None | Some("spot"), None) => Ok((class.to_owned(), count, spot.is_some())),
        _ => Err("write it as `t3.large:2` or `t3.large:2:spot`".to_owned()),
    }
}

fn host(text: &str) -> Result<(String, Host), String> {
    let help = "write it as `staging-mysql=db.t3.small` or `production-aurora=0.5ACU`";
    let (name, what) = text.split_once('=').filter(|(name, what)| !name.is_empty() && !what.is_empty()).ok_or(help)?;
    let host = match what.strip_suffix("ACU") {
        Some(units) => match units.parse::<Decimal>() {
            Ok(units) if units.is_sign_negative() || units > MOST_ACU => return Err(format!("a cluster has between 0 and {MOST_ACU} ACU")),
            Ok(units) => Host::Capacity(units),
            Err(_) => return Err(help.to_owned()),
        },
        None if what.starts_with("db.") => Host::Instance(what.to_owned()),
        None => return Err(help.to_owned()),
    };
    Ok((name.to_owned(), host))
}

fn labels(text: &str) -> Result<(String, BTreeMap<String, String>), String> {
    let help = "write it as `wordpress-qa:team=web,tier=staging`";
    let (namespace, labels) = text.split_once(':').filter(|(namespace, _)| !namespace.is_empty()).ok_or(help)?;
    let labels = labels.split(',').map(|label| label.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())));
    Ok((namespace.to_owned(), labels.collect::<Option<_>>().ok_or(help)?))
}

/// A percentage with one place.
pub(super) fn per_mille(text: &str) -> Result<u16, String> {
    let help = "is not a percentage from 0 to 100, with one place at most";
    let number: Decimal = text.parse().map_err(|_| help.to_owned())?;
    let mille = number.saturating_mul(Decimal::TEN).normalize();
    u16::try_from(mille).ok().filter(|mille| Decimal::from(*mille) == number * Decimal::TEN && *mille <= 1_000).ok_or_else(|| help.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cost::book::Table, policy::prices};

    #[test]
    fn every_instance_type_with_a_price_has_a_size() {
        for (_, table, name, _) in prices::built_in().figures() {
            if matches!(table, Table::Ec2 | Table::Ec2Spot) {
                assert!(nodes(name).is_ok(), "{name} has none");
                assert!(node(name, false).memory > Quantity::default());
            }
        }
    }

    #[test]
    fn a_cluster_has_as_much_capacity_as_there_is() {
        assert_eq!(host("a=0.5ACU"), Ok(("a".to_owned(), Host::Capacity(Decimal::new(5, 1)))));
        assert!(host("a=256ACU").is_ok());
        for odd in ["a=256.5ACU", "a=-1ACU", "a=99999999999999999999999999ACU"] {
            assert_eq!(host(odd), Err("a cluster has between 0 and 256 ACU".to_owned()), "{odd}");
        }
        assert!(host("a=1e26ACU").is_err());
    }
}
