//! The difference for the comment on a pull request.
//!
//! Contract: whatever comes from users stands within `<code>`, every sign of it that could mean anything written as a character reference:
//! it cannot end a cell, begin a line, carry a tag, a link or a picture, or call somebody. The whole fits into one comment.

use super::{sets::Set, words};
use crate::{
    cli::output::printable,
    diff::{Change, Diff, PolicyDiff},
};
use std::fmt::Write;

/// So much of a list is shown; `-o json` has all of it.
const SHOWN: usize = 20;
/// So many policies have a row.
const ROWS: usize = 50;
/// So many signs of a text of users are shown.
const LENGTH: usize = 300;
/// After so many bytes no more lists begin. GitHub takes 65,536 characters, and a list has less than 20,000 bytes.
const FULL: usize = 40_000;

pub(super) fn render(diff: &Diff, sets: &Change<Set>) -> String {
    let mut out = format!("## Policies: {} → {}\n\n", code(&sets.from.name), code(&sets.to.name));
    for (side, set) in [("old", &sets.from), ("new", &sets.to)] {
        let commit = set.commit.as_deref().map_or_else(String::new, |commit| format!("commit {}, ", code(commit.get(..12).unwrap_or(commit))));
        let _ = writeln!(out, "- {side}: {commit}revision {}", code(words::short(&set.policies.revision.hash)));
    }
    let clones = if diff.clones == 1 { "1 clone".to_owned() } else { format!("{} clones", diff.clones) };
    let _ = writeln!(out, "- at {}, {clones}", diff.now);
    if let Some(nothing) = words::nothing(diff) {
        let _ = writeln!(out, "\n**{nothing}.**");
    }
    if !diff.policies.is_empty() {
        out.push('\n');
        summary(diff, &mut out);
    }
    let unpriced = words::unpriced(diff);
    if !unpriced.is_empty() {
        let all: Vec<String> = unpriced.iter().map(|what| code(what)).collect();
        let _ = writeln!(out, "\n\\* without what has no price: {}", all.join(", "));
    }
    for policy in diff.policies.iter().take(ROWS) {
        said(policy, &mut out);
    }
    let hosts: Vec<String> = diff.hosts.iter().take(ROWS).map(|host| format!("{} {}", code(host.said().0), host.said().1)).collect();
    if !hosts.is_empty() {
        let _ = writeln!(out, "\nHosts: {}.", hosts.join(", "));
    }
    if diff.prices {
        let _ = writeln!(out, "\nPrices differ.");
    }
    for note in &diff.notes {
        let _ = writeln!(out, "\nNote: {}", code(note));
    }
    let left: usize = diff.policies.iter().take(ROWS).map(|policy| lists(policy, &mut out)).sum();
    if left > 0 || diff.policies.len() > ROWS {
        let _ = writeln!(out, "\nNot everything is shown: `clonewarden policy diff -o json` has all.");
    }
    out
}

fn summary(diff: &Diff, out: &mut String) {
    let _ = writeln!(out, "| policy | mode | clones | {} |", words::COLUMNS.join(" | "));
    let _ = writeln!(out, "|---|---|--:|{}", "--:|".repeat(words::COLUMNS.len()));
    let row = |first: [String; 3], figures: [String; 8], out: &mut String| {
        let cells: Vec<String> = first.into_iter().chain(figures.map(|cell| cell.replace('*', "\\*"))).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    for policy in diff.policies.iter().take(ROWS) {
        row([code(&policy.name), words::mode(policy.mode), words::counts(policy.clones)], words::figures(policy), out);
    }
    if diff.policies.len() > 1 {
        row(["**all**".to_owned(), String::new(), String::new()], words::all(diff), out);
    }
}

/// What is said of a policy beside its figures.
fn said(policy: &PolicyDiff, out: &mut String) {
    let name = code(&policy.name);
    if !policy.fields.is_empty() {
        let _ = writeln!(out, "\n{name} says something else: {}.", policy.fields.join(", "));
    }
    if let Some(flip) = words::flip(policy) {
        let _ = writeln!(out, "\n{name}: {flip}.");
    }
    if let Some(brake) = policy.impact.brake {
        let loud = if brake.to.over { "**" } else { "" };
        let _ = writeln!(out, "\n{name}: {loud}{}{loud}.", words::brake(&policy.name, brake));
    }
}

/// The lists of a policy, each to be opened. How many there was no room for.
fn lists(policy: &PolicyDiff, out: &mut String) -> usize {
    let mut left = 0_usize;
    for section in words::sections(&policy.impact, SHOWN) {
        if out.len() > FULL {
            left = left.saturating_add(1);
            continue;
        }
        let _ = writeln!(out, "\n<details><summary>{}: {} ({})</summary>\n", code(&policy.name), section.title, section.count);
        for line in &section.lines {
            let told = line.told.as_deref().map(|told| format!(" {}", code(told))).unwrap_or_default();
            let words = if line.words.is_empty() { String::new() } else { format!(" {}", line.words) };
            let _ = writeln!(out, "- {}:{words}{told}", code(&line.about));
        }
        let more = section.count.saturating_sub(section.lines.len());
        if more > 0 {
            let _ = writeln!(out, "- and {more} more");
        }
        out.push_str("\n</details>\n");
    }
    left
}

/// A text of users, as itself and nothing else.
fn code(text: &str) -> String {
    let mut out = String::from("<code>");
    let mut before = ' ';
    let printable = printable(text);
    let mut signs = printable.chars();
    for sign in signs.by_ref().take(LENGTH) {
        let plain = !sign.is_ascii() || sign.is_ascii_alphanumeric() || matches!(sign, ' ' | '-' | '/' | ',');
        // A dot is harmless, unless it makes an address: `www.`.
        if plain || sign == '.' && !matches!(before, 'w' | 'W') {
            out.push(sign);
        } else {
            let _ = write!(out, "&#{};", u32::from(sign));
        }
        before = sign;
    }
    if signs.next().is_some() {
        out.push('…');
    }
    out.push_str("</code>");
    out
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn nothing_of_a_text_means_anything() {
        assert_eq!(code("staging.yaml"), "<code>staging.yaml</code>");
        let hostile = "</code><script>|`*_[x](http://e.vil)![y](z) @team #1 www.e.vil <!-- \n# - 1. ~~a~~ \\ &amp; {{x}} $x$ :+1:";
        let safe = code(hostile);
        let inner = safe.strip_prefix("<code>").unwrap().strip_suffix("</code>").unwrap();
        let signs = inner.replace("&#", "").replace(';', "");
        assert!(!signs.contains(['<', '>', '|', '`', '*', '_', '[', ']', '(', ')', '!', '@', '#', '\n', '~', '\\', '&', '{', '$', ':']), "{inner}");
        assert!(!inner.to_lowercase().contains("www."), "{inner}");
        assert!(code(&"x".repeat(1_000)).len() < 330);
        assert!(code("a\u{202e}b\u{1b}[2J").contains("u&#123;202e&#125;"), "{}", code("a\u{202e}b"));
    }
}
