//! The price book: `prices/rds.yaml`, dated and with its sources, as it was when this was built.

use crate::model::{cloud::CloudResource, evidence::CloudList};
use rust_decimal::Decimal;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::OnceLock};

/// The price book that is built in.
const BOOK: &str = include_str!("../../prices/rds.yaml");
/// The hours of a month by which AWS turns monthly prices into hourly ones.
const HOURS_A_MONTH: u32 = 730;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Book {
    #[expect(dead_code, reason = "for people; `clonewarden prices` will show it")]
    as_of: String,
    #[expect(dead_code, reason = "for people; `clonewarden prices` will show it")]
    region: String,
    classes: BTreeMap<String, Decimal>,
    acu: Decimal,
    storage: Decimal,
    snapshot: Decimal,
}

fn book() -> Option<&'static Book> {
    static READ: OnceLock<Option<Book>> = OnceLock::new();
    READ.get_or_init(|| serde_saphyr::from_str(BOOK).ok()).as_ref()
}

/// What a resource costs, in USD an hour, rounded to a hundredth of a cent; `None` where the book has no price for it. An Aurora
/// Serverless v2 cluster counts at its least capacity, a snapshot at the whole size of its database: AWS bills what is stored,
/// which it does not tell.
#[must_use]
pub fn per_hour(resource: &CloudResource) -> Option<Decimal> {
    let book = book()?;
    let size = &resource.size;
    let stored = |price: Decimal| size.storage_gib.and_then(|gib| Decimal::from(gib).checked_mul(price)?.checked_div(HOURS_A_MONTH.into()));
    let cost = match resource.list {
        CloudList::Instances if size.class.as_deref() == Some("db.serverless") => Decimal::ZERO,
        CloudList::Instances => {
            let one = book.classes.get(size.class.as_deref()?)?.checked_add(stored(book.storage).unwrap_or_default())?;
            if size.multi_az { one.checked_add(one)? } else { one }
        }
        CloudList::Clusters => Decimal::new(size.least_milli_acu?.into(), 3).checked_mul(book.acu)?,
        CloudList::Snapshots | CloudList::ClusterSnapshots => stored(book.snapshot)?,
    };
    Some(cost.round_dp(6).normalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resource(list: CloudList, more: &serde_json::Value) -> CloudResource {
        let mut object = json!({
            "DBInstanceIdentifier": "x", "DBInstanceArn": "arn:aws:rds:us-east-1:1:db:x", "DBClusterIdentifier": "x",
            "DBClusterArn": "arn:aws:rds:us-east-1:1:cluster:x", "DBSnapshotIdentifier": "x", "DBSnapshotArn": "arn:aws:rds:us-east-1:1:snapshot:x",
        });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        CloudResource::read(list, &object).unwrap()
    }

    #[test]
    fn the_book_reads_and_prices_what_the_original_design_uses() {
        let cost = |list, more| per_hour(&resource(list, &more)).map(|cost| cost.to_string());
        let small = json!({"DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20});
        // 0.017 + 20 × 0.115 / 730.
        assert_eq!(cost(CloudList::Instances, small).as_deref(), Some("0.020151"));
        let serverless = json!({"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4.0}});
        assert_eq!(cost(CloudList::Clusters, serverless).as_deref(), Some("0.06"));
        assert_eq!(cost(CloudList::Instances, json!({"DBInstanceClass": "db.serverless"})).as_deref(), Some("0"));
        assert_eq!(cost(CloudList::Snapshots, json!({"AllocatedStorage": 20})).as_deref(), Some("0.002603"));
        assert_eq!(cost(CloudList::Instances, json!({"DBInstanceClass": "db.unheard-of"})), None);
    }
}
