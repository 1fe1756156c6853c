use super::*;
use crate::policy::prices;
use serde_json::{Value, json};

/// An entry as AWS writes it, shortened.
fn entry(attributes: &Value, unit: &str, usd: &str) -> Value {
    json!({
        "product": {"productFamily": "x", "sku": "7W4AGMWBF5SDTMHV", "attributes": attributes},
        "serviceCode": "x", "version": "20261101", "publicationDate": "2026-11-01T00:00:00Z",
        "terms": {
            "OnDemand": {"7W4AGMWBF5SDTMHV.JRTCKXETXF": {"sku": "7W4AGMWBF5SDTMHV", "termAttributes": {}, "priceDimensions": {
                "7W4AGMWBF5SDTMHV.JRTCKXETXF.6YS6EN2CT7": {
                    "unit": unit, "beginRange": "0", "endRange": "Inf", "appliesTo": [], "description": "x", "pricePerUnit": {"USD": usd}
                }
            }}},
            "Reserved": {"7W4AGMWBF5SDTMHV.38NPMPTW36": {"priceDimensions": {"x": {"unit": "Quantity", "pricePerUnit": {"USD": "99"}}}}}
        }
    })
}

fn read(value: &Value) -> Product {
    Product::read(&value.to_string()).unwrap()
}

fn micro(usage: &str, usd: &str) -> Product {
    let attributes = json!({
        "regionCode": "eu-west-1", "instanceType": "db.t3.micro", "databaseEngine": "MySQL", "deploymentOption": "Single-AZ", "usagetype": usage,
    });
    read(&entry(&attributes, "Hrs", usd))
}

fn of_micro() -> Lookup {
    Lookup::of("eu-west-1", Table::RdsMysql, "db.t3.micro").unwrap()
}

#[test]
fn every_figure_of_the_book_but_spare_capacity_is_looked_up_in_its_region() {
    for (region, table, name, _) in prices::built_in().figures() {
        let lookup = Lookup::of(region, table, name);
        assert_eq!(lookup.is_none(), table == Table::Ec2Spot, "{} {name}", table.word());
        assert!(lookup.is_none_or(|lookup| lookup.query.filters.contains(&("regionCode", region.to_owned()))), "{name}");
    }
    assert_eq!(Lookup::of("r", Table::Eks, "nodes"), None);
    assert_eq!(Lookup::of("r", Table::RdsStorage, "io2"), None);
}

#[test]
fn a_price_is_found_with_and_without_a_region_before_its_usage() {
    for usage in ["EU-InstanceUsage:db.t3.micro", "InstanceUsage:db.t3.micro", "USW2-InstanceUsage:db.t3.mic"] {
        assert_eq!(of_micro().price(&[micro(usage, "0.0180000000")]).unwrap().to_string(), "0.018", "{usage}");
    }
}

#[test]
fn what_is_merely_like_it_is_not_it() {
    let none = "the price list has no such product";
    for usage in ["EU-InstanceUsageIOOptimized:db.t3.micro", "Multi-AZUsage:db.t3.micro", "Mirror-InstanceUsage:db.t3.micro", "XInstanceUsage:x", ""]
    {
        assert_eq!(of_micro().price(&[micro(usage, "0.018")]).unwrap_err(), none, "{usage}");
    }
    for (key, other) in
        [("regionCode", "eu-west-2"), ("instanceType", "db.t3.small"), ("databaseEngine", "MariaDB"), ("deploymentOption", "Multi-AZ")]
    {
        let mut attributes = json!({
            "regionCode": "eu-west-1", "instanceType": "db.t3.micro", "databaseEngine": "MySQL", "deploymentOption": "Single-AZ",
            "usagetype": "EU-InstanceUsage:db.t3.micro",
        });
        attributes[key] = json!(other);
        assert_eq!(of_micro().price(&[read(&entry(&attributes, "Hrs", "0.018"))]).unwrap_err(), none, "{key}");
    }
    let balancer = Lookup::of("us-east-1", Table::Alb, "load-balancer").unwrap();
    let attributes = |usage: &str| json!({"regionCode": "us-east-1", "operation": "LoadBalancing:Application", "usagetype": usage});
    let products = ["LoadBalancerUsage", "TS-LoadBalancerUsage", "LCUUsage"].map(|usage| read(&entry(&attributes(usage), "Hrs", "0.0225")));
    assert_eq!(balancer.price(&products[1..]).unwrap_err(), none);
    assert_eq!(balancer.price(&products).unwrap().to_string(), "0.0225");
}

#[test]
fn the_engine_itself_goes_before_any() {
    let storage = Lookup::of("us-east-1", Table::RdsStorage, "gp3").unwrap();
    let of = |engine: &str, usd: &str| {
        let attributes =
            json!({"regionCode": "us-east-1", "deploymentOption": "Single-AZ", "databaseEngine": engine, "usagetype": "RDS:GP3-Storage"});
        read(&entry(&attributes, "GB-Mo", usd))
    };
    assert_eq!(storage.price(&[of("Any", "0.2"), of("MySQL", "0.115"), of("Oracle", "0.3")]).unwrap().to_string(), "0.115");
    assert_eq!(storage.price(&[of("Any", "0.2")]).unwrap().to_string(), "0.2");
}

#[test]
fn two_prices_are_none_and_neither_is_nothing() {
    let usage = "EU-InstanceUsage:db.t3.micro";
    assert_eq!(of_micro().price(&[micro(usage, "0.018"), micro(usage, "0.0180")]).unwrap().to_string(), "0.018");
    assert!(of_micro().price(&[micro(usage, "0.018"), micro(usage, "0.019")]).unwrap_err().contains("several"));
    assert!(of_micro().price(&[micro(usage, "0.0000000000")]).unwrap_err().contains("nothing"));
    let months = json!({"regionCode": "eu-west-1", "instanceType": "db.t3.micro", "databaseEngine": "MySQL", "deploymentOption": "Single-AZ", "usagetype": usage});
    assert!(of_micro().price(&[read(&entry(&months, "GB-Mo", "1"))]).unwrap_err().contains("per hrs"));
    let mut later = entry(&months, "Hrs", "1");
    later["terms"]["OnDemand"]["7W4AGMWBF5SDTMHV.JRTCKXETXF"]["priceDimensions"]["7W4AGMWBF5SDTMHV.JRTCKXETXF.6YS6EN2CT7"]["beginRange"] =
        json!("1000");
    assert!(of_micro().price(&[read(&later)]).is_err());
}

#[test]
fn an_entry_that_is_cut_or_lacks_something_is_an_error() {
    let whole = entry(&json!({"usagetype": "x"}), "Hrs", "1");
    let text = whole.to_string();
    for at in 0..text.len() {
        assert!(Product::read(text.get(..at).unwrap()).is_err(), "cut at {at}");
    }
    let price = "/terms/OnDemand/7W4AGMWBF5SDTMHV.JRTCKXETXF/priceDimensions/7W4AGMWBF5SDTMHV.JRTCKXETXF.6YS6EN2CT7";
    for (at, field) in [
        ("", "product"),
        ("", "terms"),
        ("/product", "sku"),
        ("/product", "attributes"),
        ("/terms/OnDemand/7W4AGMWBF5SDTMHV.JRTCKXETXF", "priceDimensions"),
        (price, "unit"),
        (price, "beginRange"),
        (price, "pricePerUnit"),
    ] {
        let mut cut = whole.clone();
        cut.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(field).unwrap();
        assert!(Product::read(&cut.to_string()).is_err(), "{at}/{field}");
    }
    for wrong in [json!({"CNY": "1"}), json!({"USD": "much"}), json!({"USD": 1})] {
        let mut odd = whole.clone();
        odd.pointer_mut(price).unwrap()["pricePerUnit"] = wrong.clone();
        assert!(Product::read(&odd.to_string()).is_err(), "{wrong}");
    }
}
