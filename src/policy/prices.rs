//! The price book that is built in, and the one that a set of policies makes of it.

use super::{load, problem::Problems};
use crate::cost::book::{Figure, PriceBook};
use jiff::civil::Date;
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

/// The book that is built in, with the figures of one file in place of its own.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn with_file(name: &str, text: &str) -> Result<Arc<PriceBook>, Problems> {
    load::load_prices(vec![(name.to_owned(), text.as_bytes().to_vec())]).map(|book| overlaid(vec![book]))
}

/// That with the figures of these books in place of its own.
pub(super) fn overlaid(books: Vec<PriceBook>) -> Arc<PriceBook> {
    let mut book = built_in();
    for other in books {
        Arc::make_mut(&mut book).overlay(other);
    }
    book
}

/// What somebody's own figures say that cannot be so: they were read on a day that lies ahead of `today` (UTC).
#[must_use]
pub fn ahead(book: &PriceBook, today: Date) -> Vec<String> {
    let ahead = own(book).filter(|(_, figure)| figure.as_of > today);
    ahead.map(|(name, figure)| format!("{}: `{name}` is dated {}, which lies ahead: today is {today}", figure.place, figure.as_of)).collect()
}

/// The figures that are not those of the book that is built in.
fn own(book: &PriceBook) -> impl Iterator<Item = (&str, &Figure)> {
    let built_in = built_in();
    book.figures()
        .filter(move |(region, table, name, figure)| built_in.figure(region, *table, name) != Some(*figure))
        .map(|(_, _, name, figure)| (name, figure))
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

    #[test]
    fn what_costs_nothing_or_is_dated_ahead_is_found_in_ones_own_figures() {
        let policy = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";
        let prices = "apiVersion: clonewarden.io/v1alpha1\nkind: PriceBook\nmetadata: {name: ours}\nspec:\n  region: us-east-1\n  tables:\n  \
                      - {of: rds-mysql, asOf: 2026-11-29, source: \"https://example.com/contract\", usd: {db.t3.micro: 0}}\n";
        let read = load_files(vec![("p.yaml".to_owned(), policy.into()), ("prices.yaml".to_owned(), prices.into())]).unwrap();
        let on = |today: &str| ahead(&read.prices, today.parse().unwrap());
        assert_eq!(on("2026-11-28"), ["prices.yaml:7: `db.t3.micro` is dated 2026-11-29, which lies ahead: today is 2026-11-28"]);
        assert!(on("2026-11-29").is_empty());
        assert!(ahead(&built_in(), "2020-01-01".parse().unwrap()).is_empty(), "what is built in is not somebody's");
    }
}
