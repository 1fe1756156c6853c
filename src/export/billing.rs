//! What AWS has billed in numbers: a series for each service and each namespace that the bill names, which bounds them, in each of two
//! months.

use super::metrics::Series;
use crate::model::bill::Bill;
use rust_decimal::prelude::ToPrimitive;

/// What stands for what no namespace stands on. No namespace can be called so.
const UNTAGGED: &str = "_untagged";

/// Everything that is said of a bill.
#[derive(Default)]
pub(super) struct BillFigures<'a> {
    pub(super) services: Series<'a, 2>,
    pub(super) namespaces: Series<'a, 2>,
}

impl<'a> BillFigures<'a> {
    pub(super) fn of(bill: Option<&'a Bill>) -> Self {
        let mut figures = Self::default();
        for (name, month) in bill.iter().flat_map(|bill| &bill.months) {
            for (service, usd) in &month.services {
                figures.services.insert([name, service], usd.to_f64().unwrap_or_default());
            }
            for (namespace, usd) in &month.namespaces {
                figures.namespaces.insert([name, namespace], usd.to_f64().unwrap_or_default());
            }
            figures.namespaces.insert([name, UNTAGGED], month.untagged.to_f64().unwrap_or_default());
        }
        figures
    }
}
