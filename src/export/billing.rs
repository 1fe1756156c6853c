//! What AWS has billed in numbers.
//!
//! Contract: a series for each service that the bill names, and for each namespace that has series of its own, in each of two months.

use super::{
    figures::{OTHERS, Own, seconds},
    metrics::{Families, Series},
    money::add,
};
use crate::{cost, model::Snapshot};
use rust_decimal::{Decimal, prelude::ToPrimitive};

/// What stands for what no namespace stands on. No namespace can be called so.
const UNTAGGED: &str = "_untagged";

/// Replaces everything that tells of the bill.
pub(super) fn set(families: &Families, snapshot: &Snapshot, own: &Own<'_>) {
    families.billing_success.clear();
    families.cost_drift.clear();
    let (mut services, mut namespaces) = (Series::new(), Series::new());
    if let Some(bill) = &snapshot.bill {
        families.billing_success.set(&[], seconds(bill.asked_at));
        for (month, of) in &bill.months {
            services.extend(of.services.iter().map(|(service, usd)| ([month.as_str(), service.as_str()], number(*usd))));
            for (namespace, usd) in &of.namespaces {
                add(&mut namespaces, [month.as_str(), own.named(namespace)], *usd);
            }
            namespaces.insert([month, UNTAGGED], number(of.untagged));
        }
        // Of many together there is none.
        for (month, namespace, ratio) in cost::drifts(bill, &snapshot.usages).filter(|(_, namespace, _)| own.named(namespace) != OTHERS) {
            families.cost_drift.set(&[&month, namespace], number(ratio));
        }
    }
    families.billing_actual.replace(&services);
    families.billing_namespace.replace(&namespaces);
}

fn number(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or_default()
}
