//! A plan for a person at a terminal: what is not known first, then one line a decision, then the counts.

use super::output::printable;
use crate::{
    model::{Kind, Source, duration::roughly},
    plan::{Action, Decision, Plan, Target},
    policy::Mode,
};
use jiff::Timestamp;
use std::fmt::Write;

/// Names longer than this do not push the other columns further to the right.
const WIDEST_NAME: usize = 56;

/// What stands around the decisions.
pub(super) struct Frame {
    /// Clones in namespaces that no policy governs.
    pub(super) ungoverned: usize,
    /// Since when every write is stopped, and why.
    pub(super) paused: Option<String>,
    /// The policies that decided.
    pub(super) policies: Vec<(String, Mode)>,
    pub(super) colours: bool,
    /// Longer lines are cut; `None`: never.
    pub(super) width: Option<usize>,
}

/// The whole plan.
pub(super) fn render(plan: &Plan, frame: &Frame) -> String {
    let mut out = String::new();
    head(plan, frame, &mut out);
    let alert = |decision: &&Decision| decision.action == Action::Alert;
    let clone = |decision: &&Decision| is_clone(&decision.target);
    let all = || plan.decisions.iter();
    section("CLONE", all().filter(clone).filter(|decision| !alert(decision)), |target| target.display(), plan, frame, &mut out);
    section("LEFT BEHIND AND OTHERS", all().filter(|decision| !clone(decision) && !alert(decision)), with_kind, plan, frame, &mut out);
    section("ALERTS", all().filter(alert), with_kind, plan, frame, &mut out);
    foot(plan, frame, &mut out);
    out
}

fn is_clone(target: &Target) -> bool {
    match target {
        Target::Clone(_) => true,
        Target::Unreadable(object) => object.kind == Kind::Clone,
        _ => false,
    }
}

fn with_kind(target: &Target) -> String {
    format!("{} {}", target.kind(), target.display())
}

fn head(plan: &Plan, frame: &Frame, out: &mut String) {
    let policies: Vec<String> =
        frame.policies.iter().map(|(name, mode)| format!("{name} ({})", if *mode == Mode::Audit { "audit" } else { "enforce" })).collect();
    let origin = if plan.applicable { "" } else { "; from files, nothing can be applied from it" };
    let _ = writeln!(out, "{}  policies: {}{origin}", plan.now, printable(&policies.join(", ")));
    if let Some(paused) = &frame.paused {
        let _ = writeln!(out, "{}", paint(&format!("paused {}", printable(paused)), RED, frame.colours));
    }
    let lacking = plan.evidence.iter().filter_map(|(source, evidence)| evidence.lack(plan.now).map(|lack| (source, lack)));
    for (source, lack) in lacking {
        let _ = writeln!(out, "{}", paint(&format!("not known: {source}: {}", printable(&lack)), YELLOW, frame.colours));
    }
    let unasked: Vec<&str> = Kind::ALL.into_iter().filter(|kind| plan.evidence.get(&Source::Objects(*kind)).is_none()).map(Kind::source).collect();
    if !unasked.is_empty() {
        let _ = writeln!(out, "{}", paint(&format!("not asked for: {}", unasked.join(", ")), DIM, frame.colours));
    }
}

fn section<'a>(
    title: &str,
    decisions: impl Iterator<Item = &'a Decision>,
    name: fn(&Target) -> String,
    plan: &Plan,
    frame: &Frame,
    out: &mut String,
) {
    let rows: Vec<[String; 4]> = decisions.map(|decision| row(decision, name, plan.now)).collect();
    if rows.is_empty() {
        return;
    }
    let heading = [title, "ACTION", "WHEN", "WHY"];
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(heading.get(column).map(|cell| cell.len())).max().unwrap_or_default()
    };
    let widths = [width(0).min(WIDEST_NAME), width(1), width(2)];
    out.push('\n');
    line(&heading.map(str::to_owned), widths, frame.width, DIM, frame.colours, out);
    for row in &rows {
        let [_, action, ..] = row;
        line(row, widths, frame.width, colour(action), frame.colours, out);
    }
}

fn row(decision: &Decision, name: fn(&Target) -> String, now: Timestamp) -> [String; 4] {
    let action = decision.blocked_by.map_or_else(|| decision.action.word().to_owned(), |by| format!("{} [{}]", decision.action.word(), by.word()));
    let when = decision.reason.end().map_or_else(|| "-".to_owned(), |end| relative(end, now));
    let why = format!("{}: {}", decision.reason.code(), decision.reason.message(now));
    [printable(&name(&decision.target)), action, when, printable(&why)]
}

/// One line. The colour begins after the name, so that columns stay columns.
fn line(cells: &[String; 4], widths: [usize; 3], limit: Option<usize>, colour: &str, colours: bool, out: &mut String) {
    let [name, action, when, why] = cells;
    let [first, second, third] = widths;
    let left = format!("{name:first$}  ");
    let middle = format!("{action:second$}");
    let rest = format!("  {when:third$}  {why}");
    let used = left.chars().count().saturating_add(middle.chars().count());
    let rest = limit.map_or_else(|| rest.clone(), |limit| cut(&rest, limit.saturating_sub(used)));
    let _ = writeln!(out, "{left}{}{}", paint(&middle, colour, colours), rest.trim_end());
}

pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// `in 1h30m`, `2m ago`, `now`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now);
    if left.is_zero() {
        "now".to_owned()
    } else if left.is_positive() {
        format!("in {}", roughly(left))
    } else {
        format!("{} ago", roughly(-left))
    }
}

fn foot(plan: &Plan, frame: &Frame, out: &mut String) {
    let clones = plan.decisions.iter().filter(|decision| is_clone(&decision.target) && decision.action != Action::Alert);
    let others = plan.decisions.iter().filter(|decision| !is_clone(&decision.target) || decision.action == Action::Alert);
    let (clones, others) = (counts(clones), counts(others));
    let total: usize = clones.iter().map(|(.., count, _)| count).sum();
    let mut parts = vec![format!("{total} {}{}", noun(total, "clone"), listed(&clones))];
    if frame.ungoverned > 0 {
        parts.push(format!("{} more that no policy governs", frame.ungoverned));
    }
    if !others.is_empty() {
        parts.push(format!("beside them{}", listed(&others)));
    }
    let _ = writeln!(out, "\n{}", parts.join("; "));
    if let Some(next) = plan.next_wakeup {
        let _ = writeln!(out, "next change by itself: {next} ({})", relative(next, plan.now));
    }
}

/// How many decisions of each action there are, and how many of those are held back.
fn counts<'a>(decisions: impl Iterator<Item = &'a Decision>) -> Vec<(Action, usize, usize)> {
    let mut counts: std::collections::BTreeMap<Action, (usize, usize)> = std::collections::BTreeMap::new();
    for decision in decisions {
        let (all, blocked) = counts.entry(decision.action).or_default();
        *all = all.saturating_add(1);
        *blocked = blocked.saturating_add(usize::from(!decision.effective()));
    }
    counts.into_iter().map(|(action, (all, blocked))| (action, all, blocked)).collect()
}

fn listed(counts: &[(Action, usize, usize)]) -> String {
    let each: Vec<String> = counts
        .iter()
        .map(|(action, count, blocked)| match blocked {
            0 => format!("{count} {}", action.word()),
            blocked => format!("{count} {} ({blocked} held back)", action.word()),
        })
        .collect();
    if each.is_empty() { String::new() } else { format!(": {}", each.join(", ")) }
}

pub(super) fn noun(count: usize, one: &str) -> String {
    if count == 1 { one.to_owned() } else { format!("{one}s") }
}

pub(super) const DIM: &str = "2";
const RED: &str = "31";
const YELLOW: &str = "33";
const CYAN: &str = "36";

pub(super) fn colour(action: &str) -> &'static str {
    match action.split(' ').next() {
        Some("delete" | "alert") => RED,
        Some("hold" | "warn") => YELLOW,
        Some("mark" | "unmark" | "create" | "update") => CYAN,
        _ => "",
    }
}

pub(super) fn paint(text: &str, colour: &str, colours: bool) -> String {
    if colours && !colour.is_empty() { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}
