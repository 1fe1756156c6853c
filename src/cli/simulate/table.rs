//! What came of a trace, as a table: a column for each set of policies, and what is different.

use crate::{
    cli::output::printable,
    simulate::{
        Figures,
        report::{Outcome, a_month, length, moment},
    },
};
use rust_decimal::Decimal;
use std::{collections::BTreeSet, fmt::Write};

/// So many things without a price are named; `-o json` names them all.
const NAMED: usize = 20;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Count(u64),
    /// Seconds.
    Length(Option<i64>),
    /// USD.
    Money(Decimal),
    Hours(Decimal),
    Nothing,
}

struct Row {
    label: String,
    cells: Vec<Cell>,
}

/// The table.
pub(super) fn render(trace: &str, outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    if let Some(first) = outcomes.first() {
        let of = &first.figures;
        let lasts = length(of.until.saturating_sub(of.from));
        let _ = writeln!(
            out,
            "{}: {} arrivals in {lasts}, from {} on; every policy as under `enforce`\n",
            printable(trace),
            grouped(&of.arrivals.to_string()),
            moment(of.from)
        );
    }
    let rows = rows(outcomes);
    let mut head = vec![String::new()];
    head.extend(outcomes.iter().map(|outcome| printable(&outcome.folder)));
    if outcomes.len() == 2 {
        head.push("difference".to_owned());
    }
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut line = vec![printable(&row.label)];
            line.extend(row.cells.iter().map(said));
            if let [one, other] = row.cells.as_slice() {
                line.push(difference(one, other));
            }
            line
        })
        .collect();
    let width = |column: usize| std::iter::once(&head).chain(&lines).filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or_default()).collect();
    for line in std::iter::once(&head).chain(&lines) {
        let mut text = String::new();
        for (number, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if number == 0 { write!(text, "{cell:width$}") } else { write!(text, "  {cell:>width$}") };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    notes(outcomes, &mut out);
    out
}

fn rows(outcomes: &[Outcome]) -> Vec<Row> {
    let mut rows = Vec::new();
    let all = |of: &dyn Fn(&Figures) -> Cell| outcomes.iter().map(|outcome| of(&outcome.figures)).collect::<Vec<_>>();
    let mut row = |label: &str, of: &dyn Fn(&Figures) -> Cell| rows.push(Row { label: label.to_owned(), cells: all(of) });
    row("arrivals", &|of| Cell::Count(of.arrivals));
    if outcomes.iter().any(|outcome| outcome.figures.ungoverned > 0) {
        row("  to nobody's namespaces", &|of| Cell::Count(of.ungoverned));
    }
    row("admitted", &|of| Cell::Count(of.admitted));
    row("  with a warning", &|of| Cell::Count(of.warned));
    row("  after waiting", &|of| Cell::Count(of.waited()));
    row("    for, on average", &|of| Cell::Length(of.mean_wait()));
    row("    95 of 100 at most", &|of| Cell::Length(of.usual_wait()));
    row("    the longest", &|of| Cell::Length(of.waits.keys().next_back().copied()));
    row("turned away", &|of| Cell::Count(of.turned_away()));
    let codes: BTreeSet<(&str, &str)> = outcomes.iter().flat_map(|outcome| outcome.figures.denied.keys().copied()).collect();
    for key in codes {
        let (code, field) = key;
        let label = if field.is_empty() { format!("  {code}") } else { format!("  {code} ({field})") };
        row(&label, &|of| Cell::Count(of.denied.get(&key).map_or(0, |denied| denied.arrivals)));
        row("    tries", &|of| Cell::Count(of.denied.get(&key).map_or(0, |denied| denied.tries)));
    }
    row("ended by itself", &|of| Cell::Count(of.expired));
    row("deleted by people", &|of| Cell::Count(of.deleted));
    row("databases left behind", &|of| Cell::Count(of.orphans));
    row("clones at once, at most", &|of| Cell::Count(of.peak.into()));
    row("clone-hours", &|of| Cell::Hours(hours(of.clone_seconds)));
    let month = |part: fn(&Figures) -> Decimal| move |of: &Figures| Cell::Money(a_month(part(of), of));
    row("", &|_| Cell::Nothing);
    row("USD a month, what clones cost", &month(|of| of.costs.total));
    row("  databases, shares of hosts", &month(|of| of.costs.databases));
    row("  storage", &month(|of| of.costs.storage));
    row("  shares of the nodes", &month(|of| of.costs.compute));
    row("  parts of the fixed costs", &month(|of| of.costs.fixed));
    row("USD a month, left behind", &month(|of| of.orphan_costs.total));
    row("", &|_| Cell::Nothing);
    row("USD a month, the platform", &month(|of| of.bill.total()));
    row("  control plane, balancer", &month(|of| of.bill.fixed));
    row("  nodes", &month(|of| of.bill.nodes));
    let hosts: BTreeSet<&String> = outcomes.iter().flat_map(|outcome| outcome.figures.bill.hosts.keys()).collect();
    for host in hosts {
        row(&format!("  host {host}"), &|of| Cell::Money(of.bill.hosts.get(host).map_or(Decimal::ZERO, |usd| a_month(*usd, of))));
    }
    row("  databases of single clones", &month(|of| of.bill.databases));
    rows
}

fn notes(outcomes: &[Outcome], out: &mut String) {
    let unpriced: BTreeSet<&String> = outcomes.iter().flat_map(|outcome| &outcome.figures.unpriced).collect();
    if !unpriced.is_empty() {
        let names: Vec<String> = unpriced.iter().take(NAMED).map(|name| printable(name)).collect();
        let more = match unpriced.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {} more", grouped(&more.to_string())),
        };
        let _ = writeln!(out, "\nwithout a price, counted as nothing: {}{more}; see --nodes and --host", names.join(", "));
    }
}

fn hours(seconds: u64) -> Decimal {
    // `{:.1}` of a decimal cuts off.
    Decimal::from(seconds).checked_div(Decimal::from(3_600)).unwrap_or_default().round_dp(1)
}

fn said(cell: &Cell) -> String {
    match cell {
        Cell::Count(count) => grouped(&count.to_string()),
        Cell::Length(Some(seconds)) => length(*seconds),
        Cell::Length(None) => "-".to_owned(),
        Cell::Money(usd) if *usd == Decimal::MAX => "beyond count".to_owned(),
        Cell::Money(usd) => grouped(&format!("{usd:.2}")),
        Cell::Hours(hours) => grouped(&format!("{hours:.1}")),
        Cell::Nothing => String::new(),
    }
}

fn difference(one: &Cell, other: &Cell) -> String {
    let sign = |negative: bool, text: String| if negative { format!("-{text}") } else { format!("+{text}") };
    match (one, other) {
        (Cell::Count(one), Cell::Count(other)) if one != other => sign(other < one, said(&Cell::Count(one.abs_diff(*other)))),
        (Cell::Length(Some(one)), Cell::Length(Some(other))) if one != other => {
            sign(other < one, length(other.saturating_sub(*one).saturating_abs()))
        }
        (Cell::Money(one), Cell::Money(other)) if *one == Decimal::MAX || *other == Decimal::MAX => String::new(),
        (Cell::Money(one), Cell::Money(other)) if one != other => sign(other < one, said(&Cell::Money(other.saturating_sub(*one).abs()))),
        (Cell::Hours(one), Cell::Hours(other)) if one != other => sign(other < one, said(&Cell::Hours(other.saturating_sub(*one).abs()))),
        _ => String::new(),
    }
}

/// Thousands apart: `1,234,567.89`.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_once('.').map_or((number, String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && whole.len().saturating_sub(at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_things_without_a_price_some_are_named() {
        let said = |count: usize| {
            let unpriced = (0..count).map(|number| format!("class {number:05}")).collect();
            let figures = Figures { unpriced, ..Figures::default() };
            let mut out = String::new();
            notes(&[Outcome { folder: "p".to_owned(), revision: String::new(), figures }], &mut out);
            out
        };
        assert!(said(20).contains("class 00019; see --nodes"), "{}", said(20));
        let many = said(30_000);
        assert!(many.contains("class 00019 and 29,980 more; see --nodes") && !many.contains("class 00020"), "{many}");
    }

    #[test]
    fn what_is_beyond_counting_is_not_nothing() {
        let figures = Figures { until: 3_600, ..Figures::default() };
        assert_eq!(said(&Cell::Money(a_month(Decimal::MAX, &figures))), "beyond count");
        assert_eq!(said(&Cell::Money(a_month(Decimal::ONE, &figures))), "730.00");
        assert_eq!(said(&Cell::Money(a_month(Decimal::ONE, &Figures::default()))), "0.00");
        assert_eq!(difference(&Cell::Money(Decimal::MAX), &Cell::Money(Decimal::ONE)), "");
    }

    #[test]
    fn numbers_are_grouped_and_differences_have_signs() {
        assert_eq!([grouped("7"), grouped("1234567"), grouped("123456.78")], ["7", "1,234,567", "123,456.78"]);
        assert_eq!(difference(&Cell::Count(5), &Cell::Count(2_000)), "+1,995");
        assert_eq!(difference(&Cell::Length(Some(600)), &Cell::Length(Some(300))), "-5m");
        assert_eq!(difference(&Cell::Length(None), &Cell::Length(Some(300))), "");
        assert_eq!(difference(&Cell::Money(Decimal::ONE), &Cell::Money(Decimal::TWO)), "+1.00");
        assert_eq!(difference(&Cell::Count(5), &Cell::Count(5)), "");
    }
}
