//! The difference for a person at a terminal.

use super::{
    sets::Set,
    words::{self, Section},
};
use crate::{
    cli::output::printable,
    diff::{Change, Diff, PolicyDiff},
};
use std::fmt::Write;

/// So much of a list is shown; `-o json` has all of it.
const SHOWN: usize = 20;

pub(super) fn render(diff: &Diff, sets: &Change<Set>) -> String {
    let mut out = String::new();
    for (side, set) in [("old", &sets.from), ("new", &sets.to)] {
        let commit = set.commit.as_deref().map_or_else(String::new, |commit| format!("commit {}, ", commit.get(..12).unwrap_or(commit)));
        let _ = writeln!(out, "{side}  {}  ({commit}{})", printable(&set.name), words::short(&set.policies.revision.hash));
    }
    let clones = if diff.clones == 1 { "1 clone".to_owned() } else { format!("{} clones", diff.clones) };
    let _ = writeln!(out, "at   {}, {clones}", diff.now);
    if let Some(nothing) = words::nothing(diff) {
        let _ = writeln!(out, "\n{nothing}");
    }
    if !diff.policies.is_empty() {
        out.push('\n');
        summary(diff, &mut out);
    }
    let unpriced = words::unpriced(diff);
    if !unpriced.is_empty() {
        let _ = writeln!(out, "* without what has no price: {}", printable(&unpriced.join(", ")));
    }
    for policy in &diff.policies {
        details(policy, &mut out);
    }
    let hosts: Vec<String> = diff.hosts.iter().map(|host| format!("{} {}", printable(host.said().0), host.said().1)).collect();
    if !hosts.is_empty() {
        let _ = writeln!(out, "\nhosts: {}", hosts.join(", "));
    }
    if diff.prices {
        let _ = writeln!(out, "\nprices differ");
    }
    if !diff.notes.is_empty() {
        out.push('\n');
    }
    for note in &diff.notes {
        let _ = writeln!(out, "note: {}", printable(note));
    }
    out
}

fn summary(diff: &Diff, out: &mut String) {
    let mut rows: Vec<Vec<String>> =
        vec![["POLICY", "MODE", "CLONES"].into_iter().map(str::to_owned).chain(words::COLUMNS.map(str::to_uppercase)).collect()];
    for policy in &diff.policies {
        let first = [printable(&policy.name), words::mode(policy.mode), words::counts(policy.clones)];
        rows.push(first.into_iter().chain(words::figures(policy)).collect());
    }
    if diff.policies.len() > 1 {
        rows.push(["all".to_owned(), String::new(), String::new()].into_iter().chain(words::all(diff)).collect());
    }
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
}

fn details(policy: &PolicyDiff, out: &mut String) {
    let _ = writeln!(out, "\npolicy {}", printable(&policy.name));
    if !policy.fields.is_empty() {
        let _ = writeln!(out, "  says something else: {}", policy.fields.join(", "));
    }
    for line in words::flip(policy).into_iter().chain(policy.impact.brake.map(|brake| words::brake(&policy.name, brake))) {
        let _ = writeln!(out, "  {}", printable(&line));
    }
    for section in words::sections(&policy.impact, SHOWN) {
        list(&section, out);
    }
}

fn list(section: &Section, out: &mut String) {
    let _ = writeln!(out, "  {} ({})", section.title, section.count);
    for line in &section.lines {
        let rest = [line.words.as_str(), line.told.as_deref().unwrap_or_default()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let _ = writeln!(out, "    {}  {}", printable(&line.about), printable(&rest.join(" ")));
    }
    let more = section.count.saturating_sub(section.lines.len());
    if more > 0 {
        let _ = writeln!(out, "    and {more} more; -o json has all");
    }
}
