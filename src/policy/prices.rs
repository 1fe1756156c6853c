//! The price book that is built in, and the one that a set of policies makes of it.

use super::load;
use crate::cost::book::PriceBook;
use std::sync::{Arc, OnceLock};

/// The files that are built in.
const FILES: [(&str, &str); 1] = [("prices/us-east-1.yaml", include_str!("../../prices/us-east-1.yaml"))];

/// The price book as it was when this was built.
#[must_use]
pub fn built_in() -> Arc<PriceBook> {
    static READ: OnceLock<Arc<PriceBook>> = OnceLock::new();
    Arc::clone(READ.get_or_init(|| {
        let files = FILES.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        // A test reads it; one that cannot be read is no reason for a daemon not to start.
        Arc::new(load::load_prices(files).unwrap_or_default())
    }))
}

/// That with the figures of these books in place of its own.
pub(super) fn overlaid(books: Vec<PriceBook>) -> Arc<PriceBook> {
    let mut book = built_in();
    for other in books {
        Arc::make_mut(&mut book).overlay(other);
    }
    book
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cost::book::Table, policy::load_files};

    #[test]
    fn the_book_that_is_built_in_can_be_read() {
        let files = FILES.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        let book = load::load_prices(files).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(book.usd("us-east-1", Table::Eks, "control-plane").map(|usd| usd.to_string()).as_deref(), Some("0.10"));
        assert!(book.figures().all(|(_, _, _, figure)| figure.place.starts_with("prices/")));
    }

    #[test]
    fn a_book_beside_the_policies_takes_the_place_of_single_figures() {
        let policy = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";
        let prices = "apiVersion: clonewarden.io/v1alpha1\nkind: PriceBook\nmetadata: {name: ours}\nspec:\n  region: us-east-1\n  tables:\n  \
                      - {of: rds-mysql, asOf: 2026-10-01, source: \"https://example.com/contract\", usd: {db.t3.micro: 0.012}}\n";
        let read = load_files(vec![("p.yaml".to_owned(), policy.into()), ("prices.yaml".to_owned(), prices.into())]).unwrap();
        let usd = |table, name| read.prices.usd("us-east-1", table, name).map(|usd| usd.to_string());
        assert_eq!(usd(Table::RdsMysql, "db.t3.micro").as_deref(), Some("0.012"));
        assert_eq!(usd(Table::RdsMysql, "db.t3.small").as_deref(), Some("0.034"), "the others stand");
        assert_eq!(read.prices.oldest("us-east-1").map(|figure| figure.place.as_ref()), Some("prices.yaml:7"));
    }
}
