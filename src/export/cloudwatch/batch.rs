//! Figures in requests: of each at most as many, and as large, as `PutMetricData` takes.

use super::ledger::Item;
use crate::ports::{Datum, Said};

/// The most figures of a request.
const FIGURES: usize = 1_000;
/// The most bytes of a request before they are compressed. AWS takes 1 MB; the rest is for what [`size`] does not know of.
const BYTES: usize = 900_000;

/// Cuts figures into requests, in their order.
#[must_use]
pub fn batches(items: Vec<Item>) -> Vec<Vec<Item>> {
    let (mut all, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    for item in items {
        let size = size(&item.datum);
        if batch.len() >= FIGURES || !batch.is_empty() && bytes.saturating_add(size) > BYTES {
            all.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        batch.push(item);
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    all
}

/// At least as many bytes as a figure takes in CBOR: the texts with their lengths (at most nine bytes), the numbers (nine bytes each), and
/// the names of the fields (less than 128 bytes for a figure, 32 for a label).
pub(super) fn size(datum: &Datum) -> usize {
    let labels: usize = datum.id.labels.iter().map(|(name, value)| name.len() + value.len() + 50).sum();
    let numbers = match &datum.said {
        Said::One(_) => 9,
        Said::Spread(values) => values.len().saturating_mul(18),
    };
    200_usize.saturating_add(datum.id.name.len()).saturating_add(labels).saturating_add(numbers)
}
