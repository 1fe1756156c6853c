//! `PriceBook`: what AWS asks for in a region.

use super::Lint;
use crate::{
    cost::book::{Figure, FixedCost, PriceBook, Table},
    policy::{
        code::Code,
        format,
        problem::{Place, Problem},
        scalar::{At, Leaf},
    },
};
use rust_decimal::Decimal;
use serde_saphyr::{Location, Spanned};
use std::{collections::BTreeMap, sync::Arc};

/// A price book with the places of its name and its region.
pub(in crate::policy) struct ReadPrices {
    pub(in crate::policy) book: PriceBook,
    pub(in crate::policy) name: (String, Place),
    pub(in crate::policy) region: (String, Place),
}

/// Reads a price book.
pub(in crate::policy) fn prices(lint: &mut Lint<'_>, document: format::Document<format::PriceSpec>) -> Option<ReadPrices> {
    let (name, spec) = lint.head(document);
    let (spec, here) = spec?;
    let region = lint.need("region", spec.region, &here).map(|region| lint.label("a region of AWS", region));
    let mut book = PriceBook::default();
    if spec.tables.is_none() {
        lint.missing("tables", &here);
    }
    let mut seen = BTreeMap::new();
    let place = region.as_ref().map_or_else(|| here.clone(), |region| lint.place(region.at));
    let region: Arc<str> = region.map(|region| region.value).unwrap_or_default().into();
    for table in spec.tables.into_iter().flat_map(|block| block.value) {
        for (of, name, figure) in figures(lint, table, &mut seen) {
            book.put(&region, of, name, figure);
        }
    }
    fixed(lint, spec.fixed, &region, &mut book);
    Some(ReadPrices { book, name: name?, region: (region.to_string(), place) })
}

fn fixed(lint: &mut Lint<'_>, block: format::Block<format::Fixed>, region: &Arc<str>, book: &mut PriceBook) {
    let Some(block) = block else { return };
    let here = lint.block(&block);
    if block.value.costs.is_none() {
        lint.missing("fixed.costs", &here);
    }
    let mut costs = Vec::new();
    for cost in block.value.costs.into_iter().flat_map(|block| block.value) {
        let here = lint.block(&cost);
        let table = lint.need("fixed.costs.of", cost.value.of, &here);
        let name = lint.need("fixed.costs.name", cost.value.name, &here);
        let count = lint.take("fixed.costs.count", cost.value.count);
        if let Some(odd) = count.as_ref().filter(|count| count.value.is_sign_negative()) {
            lint.report(lint.problem(Code::BadValue, odd.at, format!("there cannot be {} of something", odd.value)));
        }
        if let Some(monthly) = table.as_ref().filter(|table| table.value.unit() != "hour") {
            let message = format!("what is in `{}` has no price an hour", monthly.value.word());
            lint.report(lint.problem(Code::BadValue, monthly.at, message));
        }
        let (Some(table), Some(name)) = (table, name) else { continue };
        costs.push(FixedCost { table: table.value, name: name.value, count: count.map_or(Decimal::ONE, |count| count.value) });
    }
    let spread_over = lint.take("fixed.spreadOver", block.value.spread_over).map(|over| over.value);
    book.put_fixed(region, costs, spread_over);
}

fn figures(lint: &mut Lint<'_>, table: Spanned<format::PriceTable>, seen: &mut BTreeMap<(Table, String), Location>) -> Vec<(Table, String, Figure)> {
    let here = lint.block(&table);
    let of = lint.need("tables.of", table.value.of, &here);
    let as_of = lint.need("tables.asOf", table.value.as_of, &here);
    let source = lint.need("tables.source", table.value.source, &here);
    if let Some(odd) = source.as_ref().filter(|source| !source.value.starts_with("https://")) {
        let problem = lint.problem(Code::BadValue, odd.at, format!("`{}` is not an address", odd.value));
        lint.report(problem.help("say where the figures can be read: `https://…`"));
    }
    let Some(usd) = table.value.usd else {
        lint.missing("tables.usd", &here);
        return Vec::new();
    };
    if usd.0.value.is_empty() {
        lint.report(lint.problem(Code::MissingField, usd.0.at, "`tables.usd` is empty").help("name at least one price, or take the table out"));
    }
    let mut figures = Vec::new();
    for (name, price) in usd.0.value {
        let (Some(name), Some(price)) = (lint.take("tables.usd", name), price_of(lint, price)) else { continue };
        if !is_called(&name.value) {
            let problem = lint.problem(Code::BadName, name.at, format!("AWS calls nothing `{}`", name.value));
            lint.report(problem.help("use lower-case letters, digits, `.` and `-`, beginning with a letter or a digit"));
        }
        let (Some(of), Some(as_of), Some(source)) = (&of, &as_of, &source) else { continue };
        if let Some(first) = seen.insert((of.value, name.value.clone()), name.at) {
            let message = format!("the price of `{}` in `{}` is said twice", name.value, of.value.word());
            let first = lint.place(first);
            lint.report(lint.problem(Code::DuplicateName, name.at, message).related(first, "first said here"));
        }
        let at = lint.place(price.at);
        let place = Arc::from(format!("{}:{}", at.file, at.line));
        figures.push((of.value, name.value, Figure { usd: price.value, as_of: as_of.value, source: source.value.as_str().into(), place }));
    }
    figures
}

/// What something can be called in a price book.
fn is_called(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().next().is_some_and(plain) && name.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'-'))
}

/// Nothing of AWS costs more, USD an hour.
pub(super) const MOST_AN_HOUR: Decimal = Decimal::from_parts(1_000, 0, 0, false, 0);

/// A price: not negative, and not more than anything of AWS costs an hour.
fn price_of(lint: &mut Lint<'_>, price: Leaf<Decimal>) -> Option<At<Decimal>> {
    let price = lint.take("tables.usd", price)?;
    lint.plain(&price);
    if price.value.is_sign_negative() || price.value > MOST_AN_HOUR {
        let message = format!("a price must be between 0 and {MOST_AN_HOUR} USD, not {}", price.value);
        lint.report(Problem::new(Code::BadValue, lint.place(price.at), message));
    }
    if price.value.is_zero() {
        lint.report(lint.problem(Code::FreePrice, price.at, "it costs nothing").help("if its price is not known, take it out"));
    }
    Some(price)
}
