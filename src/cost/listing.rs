//! Which product of AWS' price list a figure of the price book is, and what it costs by it.
//!
//! Contract: a figure is found only where exactly one price fits it. Nothing is taken for it that is merely like it: another
//! engine, another kind of storage, a price that begins with the thousandth hour, a price of nothing.

use super::book::Table;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A question to the price list: the service, and what must be so of a product, which AWS itself filters by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Query {
    /// AWS' code of the service.
    pub service: &'static str,
    /// Attribute and value.
    pub filters: Vec<(&'static str, String)>,
}

/// How to find a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What to ask.
    pub query: Query,
    /// The usage type without the region before it and without what stands behind a colon that says a size (`2xl`).
    usage: &'static str,
    /// The engines that will do, the best first; empty: there are none to be told apart.
    engines: &'static [&'static str],
    /// What one costs that much, as AWS says it, in small letters.
    units: &'static [&'static str],
}

/// Hours, as different services say them.
const HOURS: &[&str] = &["hrs", "hours", "hour", "hr"];
const ACU_HOURS: &[&str] = &["acu-hr", "acu-hrs", "acu-hour", "acu-hours", "hrs", "hours"];
const LCU_HOURS: &[&str] = &["lcu-hrs", "lcu-hr", "lcu-hour", "lcu-hours", "hrs"];
const MONTHS: &[&str] = &["gb-mo", "gb-month", "gib-mo", "gib-month"];
const MYSQL: &[&str] = &["MySQL", "Any"];
const AURORA: &[&str] = &["Aurora MySQL", "Any"];

impl Lookup {
    /// How to find a figure of a region; `None`: it is not in the price list.
    #[must_use]
    pub fn of(region: &str, table: Table, name: &str) -> Option<Self> {
        let own = |value: &str| value.to_owned();
        let (service, filters, usage, engines, units): (_, Vec<(&'static str, String)>, _, _, _) = match (table, name) {
            (Table::Ec2, _) => {
                let fixed = [("operatingSystem", "Linux"), ("tenancy", "Shared"), ("preInstalledSw", "NA"), ("capacitystatus", "Used")];
                let fixed = fixed.into_iter().map(|(key, value)| (key, own(value)));
                ("AmazonEC2", fixed.chain([("instanceType", own(name))]).collect(), "BoxUsage", &[] as &[_], HOURS)
            }
            (Table::RdsMysql, _) => {
                let filters = vec![("instanceType", own(name)), ("databaseEngine", own("MySQL")), ("deploymentOption", own("Single-AZ"))];
                ("AmazonRDS", filters, "InstanceUsage", MYSQL, HOURS)
            }
            (Table::AuroraMysql, "acu") => ("AmazonRDS", vec![("productFamily", own("ServerlessV2"))], "Aurora:ServerlessV2Usage", AURORA, ACU_HOURS),
            (Table::AuroraMysql, _) => {
                let filters = vec![("instanceType", own(name)), ("databaseEngine", own("Aurora MySQL"))];
                ("AmazonRDS", filters, "InstanceUsage", AURORA, HOURS)
            }
            (Table::RdsStorage, _) => {
                let usage = match name {
                    "gp3" => "RDS:GP3-Storage",
                    "gp2" => "RDS:GP2-Storage",
                    _ => return None,
                };
                let filters = vec![("productFamily", own("Database Storage")), ("deploymentOption", own("Single-AZ"))];
                ("AmazonRDS", filters, usage, MYSQL, MONTHS)
            }
            (Table::RdsBackup, _) => {
                let (usage, engines) = match name {
                    "rds" => ("RDS:ChargedBackupUsage", MYSQL),
                    "aurora" => ("Aurora:BackupUsage", AURORA),
                    _ => return None,
                };
                ("AmazonRDS", vec![("productFamily", own("Storage Snapshot"))], usage, engines, MONTHS)
            }
            (Table::Eks, "control-plane") => ("AmazonEKS", Vec::new(), "AmazonEKS-Hours:perCluster", &[] as &[_], HOURS),
            (Table::Alb, "load-balancer") => ("AWSELB", balancer(), "LoadBalancerUsage", &[] as &[_], HOURS),
            (Table::Alb, "lcu") => ("AWSELB", balancer(), "LCUUsage", &[] as &[_], LCU_HOURS),
            // What spare capacity costs is no list: it changes by the hour, and by the zone.
            (Table::Ec2Spot | Table::Eks | Table::Alb, _) => return None,
        };
        let filters = [("regionCode", region.to_owned())].into_iter().chain(filters).collect();
        Some(Self { query: Query { service, filters }, usage, engines, units })
    }

    /// What it costs by these products.
    ///
    /// # Errors
    /// Why no price can be told, in words.
    pub fn price(&self, products: &[Product]) -> Result<Decimal, String> {
        let fitting: Vec<&Product> = products.iter().filter(|product| self.fits(product)).collect();
        if fitting.is_empty() {
            return Err("the price list has no such product".to_owned());
        }
        let best = self.engines.iter().find(|engine| fitting.iter().any(|product| product.attribute("databaseEngine") == **engine));
        let chosen = fitting.iter().filter(|product| best.is_none_or(|engine| product.attribute("databaseEngine") == *engine));
        let prices: BTreeSet<Decimal> = chosen.flat_map(|product| product.prices(self.units)).collect();
        let mut prices = prices.into_iter();
        match (prices.next(), prices.next()) {
            (Some(price), None) if price > Decimal::ZERO => Ok(price),
            (Some(_), None) => Err("the price list says that it costs nothing".to_owned()),
            (Some(one), Some(other)) => Err(format!("the price list has several prices of it, such as {one} and {other}")),
            (None, _) => Err(format!("the price list has no on-demand price of it per {}", self.units.first().unwrap_or(&""))),
        }
    }

    fn fits(&self, product: &Product) -> bool {
        let usage = product.attribute("usagetype");
        // A size behind the colon is abbreviated in ways of its own; the instance type is what the query asked for.
        let usage = if self.usage.contains(':') { usage } else { usage.split_once(':').map_or(usage, |(usage, _)| usage) };
        let region_first = usage.strip_suffix(self.usage).is_some_and(|region| region.is_empty() || is_region_prefix(region));
        let engine = self.engines.is_empty() || self.engines.contains(&product.attribute("databaseEngine"));
        let asked = self.query.filters.iter().all(|(key, value)| *key == "productFamily" || product.attribute(key) == value);
        region_first && engine && asked
    }
}

fn balancer() -> Vec<(&'static str, String)> {
    vec![("productFamily", "Load Balancer-Application".to_owned()), ("operation", "LoadBalancing:Application".to_owned())]
}

/// What stands before a usage type for its region: `USE1-`, `EU-`, `APN2-`.
fn is_region_prefix(text: &str) -> bool {
    let Some(code) = text.strip_suffix('-') else { return false };
    (2..=5).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) && code != "TS"
}

/// A product of the price list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    attributes: BTreeMap<String, String>,
    on_demand: Vec<Dimension>,
}

/// A price: for how much, and from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dimension {
    unit: String,
    begin: String,
    usd: Decimal,
}

impl Product {
    /// Reads one entry of `PriceList`: a document in a string.
    ///
    /// # Errors
    /// What is wrong with it. A field that is missing is not a price of nothing.
    pub fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Entry {
            product: Head,
            terms: Terms,
        }
        #[derive(Deserialize)]
        struct Head {
            sku: String,
            attributes: BTreeMap<String, String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Terms {
            /// What is sold in other ways only has none.
            #[serde(default)]
            on_demand: BTreeMap<String, Term>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Term {
            price_dimensions: BTreeMap<String, Price>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Price {
            unit: String,
            begin_range: String,
            price_per_unit: BTreeMap<String, String>,
        }
        let entry: Entry = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let sku = &entry.product.sku;
        let prices = entry.terms.on_demand.into_values().flat_map(|term| term.price_dimensions.into_values());
        let dimension = |price: Price| {
            let usd = price.price_per_unit.get("USD").ok_or_else(|| format!("a price of `{sku}` is not in USD"))?;
            let usd: Decimal = usd.parse().map_err(|_| format!("`{usd}`, a price of `{sku}`, is no amount"))?;
            Ok::<_, String>(Dimension { unit: price.unit, begin: price.begin_range, usd: usd.normalize() })
        };
        let on_demand = prices.map(dimension).collect::<Result<_, _>>()?;
        Ok(Self { attributes: entry.product.attributes, on_demand })
    }

    fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// What the first one costs on demand.
    fn prices(&self, units: &[&str]) -> impl Iterator<Item = Decimal> {
        let first = |dimension: &&Dimension| dimension.begin == "0" && units.contains(&dimension.unit.to_lowercase().as_str());
        self.on_demand.iter().filter(first).map(|dimension| dimension.usd)
    }
}

#[cfg(test)]
mod tests;
