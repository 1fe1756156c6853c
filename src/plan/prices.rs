//! Whether the price book can be trusted where it is needed: what is too old or missing is said, since every cost is made of it.

use super::{Draft, Reason, Target};
use crate::model::{Snapshot, Source, later, names};
use crate::policy::Policies;
use jiff::{SignedDuration, tz::TimeZone};
use std::{collections::BTreeSet, sync::Arc};

/// How long a figure may stand. AWS changes prices rarely, and announces it.
const STANDS: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Looks at the book of each region in which a clone has, or had, a database.
pub(super) fn check(snapshot: &Snapshot, policies: &Policies, draft: &mut Draft) {
    let ours = snapshot.cloud.iter().filter(|found| found.tag(names::TAG_CLONE_UID).is_some());
    let regions: BTreeSet<&Arc<str>> = ours.map(|found| &found.region).collect();
    for region in regions {
        let reason = match policies.prices.oldest(region) {
            None => Reason::PricesUnknown(Arc::clone(region)),
            Some(figure) => match figure.as_of.to_zoned(TimeZone::UTC) {
                Ok(read) if later(read.timestamp(), STANDS) > draft.now => continue,
                _ => Reason::PricesOld(figure.as_of, Arc::clone(&figure.place)),
            },
        };
        draft.alert(None, Target::Source(Source::Prices(Arc::clone(region))), reason);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Snapshot, cloud::CloudResource, evidence::CloudList};
    use crate::plan::plan;
    use crate::policy::load_files;
    use jiff::Timestamp;
    use serde_json::json;
    use std::sync::Arc;

    fn said(region: &str, now: &str) -> Vec<String> {
        let text = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";
        let policies = load_files(vec![("p.yaml".to_owned(), text.into())]).unwrap();
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
}
