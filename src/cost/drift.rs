//! How far what was reckoned is from what was billed.

use crate::model::{bill::Bill, month::UsageRecord};
use rust_decimal::Decimal;
use std::sync::Arc;

/// By which share of what was billed (`actual`) the estimate is above it: 0.1 is ten percent too much, -1 is all of it missing.
/// Rounded to six places. `None` where nothing was billed, or less than nothing: there is no share of that.
#[must_use]
pub fn drift(estimate: Decimal, actual: Decimal) -> Option<Decimal> {
    if actual <= Decimal::ZERO {
        return None;
    }
    let ratio = estimate.checked_sub(actual)?.checked_div(actual)?;
    Some(ratio.round_dp(6).normalize())
}

/// The same of each namespace and month that both are known of: what was reckoned for databases and their storage, which is what
/// carries the tag in AWS. The bill ends before the ledger does, so of this month the estimate counts by the part of it that is
/// billed. Where the ledger ends before the bill there is none.
pub fn drifts<'a>(bill: &Bill, usages: &'a [Arc<UsageRecord>]) -> impl Iterator<Item = (String, &'a str, Decimal)> {
    usages.iter().filter_map(|record| {
        let month = record.month.to_string();
        let (actual, billed) = bill.of_namespace(&month, &record.namespace)?;
        let (costs, counted) = (record.status.accrued?, record.status.accrued_through?);
        let estimate = costs.databases.checked_add(costs.storage)?;
        let seconds = |until: jiff::Timestamp| until.duration_since(record.month.start()).as_secs();
        let (of_bill, of_ledger) = (seconds(billed), seconds(counted));
        if of_bill > of_ledger || of_bill <= 0 {
            return None;
        }
        let estimate = estimate.checked_mul(of_bill.into())?.checked_div(of_ledger.into())?;
        Some((month, record.namespace.as_str(), drift(estimate, actual)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        bill::{BilledDay, BilledLine},
        month::{Costs, UsageStatus},
    };
    use proptest::prelude::*;

    fn of(estimate: &str, actual: &str) -> Option<String> {
        drift(estimate.parse().unwrap(), actual.parse().unwrap()).map(|ratio| ratio.to_string())
    }

    #[test]
    fn drift_is_the_share_of_what_was_billed() {
        assert_eq!(of("11", "10").as_deref(), Some("0.1"));
        assert_eq!(of("10", "10").as_deref(), Some("0"));
        assert_eq!(of("0", "10").as_deref(), Some("-1"));
        assert_eq!(of("1", "3").as_deref(), Some("-0.666667"));
        assert_eq!((of("1", "0"), of("1", "-2"), of("0", "0")), (None, None, None));
    }

    /// A bill of a dollar a day for `a`, from the first of November until the tenth.
    fn bill() -> Bill {
        let day = |day: i8| BilledDay {
            date: jiff::civil::date(2026, 11, day),
            estimated: false,
            lines: vec![BilledLine { service: "RDS".to_owned(), namespace: "a".to_owned(), usd: Decimal::ONE }],
        };
        Bill::of("2026-11-11T06:00:00Z".parse().unwrap(), &(1..=10).map(day).collect::<Vec<_>>(), None)
    }

    fn drifted(namespace: &str, month: &str, through: Option<&str>, usd: i64) -> Vec<String> {
        let object = serde_json::json!({
            "metadata": {"name": format!("{namespace}-{month}"), "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": {"namespace": namespace, "month": month},
        });
        let mut record = UsageRecord::read(&object).unwrap();
        let (databases, other) = (Decimal::new(usd * 75, 2), Decimal::from(1_000));
        let accrued = Costs::of(databases, Decimal::from(usd) - databases, other, other);
        record.status = UsageStatus { accrued: Some(accrued), accrued_through: through.map(|at| at.parse().unwrap()), ..UsageStatus::default() };
        drifts(&bill(), &[Arc::new(record)]).map(|(month, namespace, ratio)| format!("{month} {namespace} {ratio}")).collect()
    }

    #[test]
    fn the_estimate_counts_by_the_days_that_are_billed() {
        assert_eq!(drifted("a", "2026-11", Some("2026-11-11T00:00:00Z"), 12), ["2026-11 a 0.2"]);
        assert_eq!(drifted("a", "2026-11", Some("2026-11-21T00:00:00Z"), 24), ["2026-11 a 0.2"], "twice as long, twice as much");
        for (namespace, month, through) in [
            ("a", "2026-11", Some("2026-11-10T23:59:59Z")),
            ("a", "2026-11", None),
            ("a", "2026-10", Some("2026-11-01T00:00:00Z")),
            ("b", "2026-11", Some("2026-11-11T00:00:00Z")),
        ] {
            assert_eq!(drifted(namespace, month, through, 12), Vec::<String>::new(), "{namespace} {month} {through:?}");
        }
    }

    #[test]
    fn what_cannot_be_reckoned_is_not_made_up() {
        assert_eq!(drift(Decimal::MAX, "0.0000000001".parse().unwrap()), None);
        assert_eq!(drift(Decimal::MIN, Decimal::MAX), None);
    }

    proptest! {
        #[test]
        fn drift_leads_back_to_the_estimate(estimate in 0_i64..100_000_000, actual in 1_i64..100_000_000) {
            let (estimate, actual) = (Decimal::new(estimate, 4), Decimal::new(actual, 4));
            let back = actual + actual * drift(estimate, actual).unwrap();
            prop_assert!((back - estimate).abs() <= actual * Decimal::new(1, 6), "{back} {estimate}");
        }
    }
}
