//! What a difference says in words: the lists of a policy's impact, for the table and for Markdown alike.
//!
//! Contract: nothing is escaped here; a [`Line`] keeps what comes from users apart from our own words.

use crate::{
    cost::dollars,
    diff::{Brake, Change, Cost, Denied, Diff, End, Impact, PolicyDiff, Shift},
    policy::Mode,
};
use jiff::Timestamp;
use rust_decimal::Decimal;

/// One line of a list.
pub(super) struct Line {
    /// What it is about: `namespace/name`.
    pub(super) about: String,
    /// Our own words.
    pub(super) words: String,
    /// Words in which texts of users may stand.
    pub(super) told: Option<String>,
}

/// A list.
pub(super) struct Section {
    pub(super) title: &'static str,
    /// How many there are in all.
    pub(super) count: usize,
    /// The first of them.
    pub(super) lines: Vec<Line>,
}

/// The lists of a policy that are not empty, of each the first so many.
pub(super) fn sections(impact: &Impact, most: usize) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut put = |title: &'static str, count: usize, lines: &mut dyn Iterator<Item = Line>| {
        if count > 0 {
            sections.push(Section { title, count, lines: lines.take(most).collect() });
        }
    };
    let line = |about: &str, words: String| Line { about: about.to_owned(), words, told: None };
    let told = |about: &str, words: String, told: &str| Line { about: about.to_owned(), words, told: Some(told.to_owned()) };
    let handed = impact.handed_over.iter().map(|over| {
        let clones = if over.clones == 1 { "1 clone".to_owned() } else { format!("{} clones", over.clones) };
        let whose = |policy: &Option<_>| policy.as_ref().map_or_else(|| "nobody".to_owned(), |name: &std::sync::Arc<str>| name.to_string());
        told(&over.namespace, format!("{clones}, from policy to policy:"), &format!("{} → {}", whose(&over.policy.from), whose(&over.policy.to)))
    });
    put("namespaces that change hands", impact.handed_over.len(), &mut handed.into_iter());
    put("newly reaped", impact.reaped.len(), &mut impact.reaped.iter().map(|end| line(&end.clone, ended(end))));
    put("reaped no more", impact.spared.len(), &mut impact.spared.iter().map(|end| line(&end.clone, format!("its end was {}", end.end))));
    put("ends come nearer", impact.sooner.len(), &mut impact.sooner.iter().map(|shift| line(&shift.clone, shifted(shift))));
    put("ends move away", impact.later.len(), &mut impact.later.iter().map(|shift| line(&shift.clone, shifted(shift))));
    let warned = impact.warned.iter().map(|warned| {
        let end = warned.end.map_or_else(String::new, |end| format!(" for {end}"));
        line(&warned.clone, format!("{}{end}{}", warned.code, only(warned.only_said)))
    });
    put("newly warned", impact.warned.len(), &mut warned.into_iter());
    put("newly held", impact.held.len(), &mut impact.held.iter().map(|held| told(&held.clone, held.code.to_owned(), &held.message)));
    let refused = |denied: &Denied| told(&denied.clone, format!("{}{}", denied.code, only(denied.only_said)), &denied.message);
    put("newly refused, were it created again", impact.denied.len(), &mut impact.denied.iter().map(refused));
    let let_in = |denied: &Denied| told(&denied.clone, denied.code.to_owned(), &denied.message);
    put("refused no more, were it created again", impact.admitted.len(), &mut impact.admitted.iter().map(let_in));
    let moved = impact.moved.iter().map(|moved| told(&moved.clone, String::new(), &format!("{} → {}", moved.database.from, moved.database.to)));
    put("placed elsewhere, were it created again; its own database stays where it is", impact.moved.len(), &mut moved.into_iter());
    let exceeded =
        impact.exceeded.iter().map(|over| told(&over.namespace, format!("{}, and {} are allowed:", over.count, over.allowed), &over.limit.words()));
    put("limits newly exceeded", impact.exceeded.len(), &mut exceeded.into_iter());
    put("removed beside clones", impact.removed.len(), &mut impact.removed.iter().map(|(kind, name)| line(name, (*kind).to_owned())));
    sections
}

fn only(said: bool) -> &'static str {
    if said { " (audit: only said)" } else { "" }
}

fn ended(end: &End) -> String {
    let goes = match (end.goes, end.only_said) {
        (Some(at), false) => format!("goes at {at}"),
        (Some(at), true) => format!("would go at {at} (audit: only said)"),
        (None, _) => "is not announced".to_owned(),
    };
    format!("its end {} has passed ({}): it {goes}", end.end, end.cause)
}

fn shifted(shift: &Shift) -> String {
    let said = |end: Option<Timestamp>| end.map_or_else(|| "none".to_owned(), |end| end.to_string());
    let cause = if shift.cause.is_empty() { String::new() } else { format!(": {}", shift.cause) };
    format!("{} → {}{cause}", said(shift.end.from), said(shift.end.to))
}

/// `audit → enforce`, `enforce`, `new, audit`, `gone`.
pub(super) fn mode(mode: Change<Option<Mode>>) -> String {
    let word = |mode: Mode| if mode == Mode::Audit { "audit" } else { "enforce" };
    match (mode.from, mode.to) {
        (Some(from), Some(to)) if from == to => word(to).to_owned(),
        (Some(from), Some(to)) => format!("{} → {}", word(from), word(to)),
        (None, Some(to)) => format!("new, {}", word(to)),
        (Some(_), None) => "gone".to_owned(),
        (None, None) => String::new(),
    }
}

/// What the flip of a mode does to those who are past their end.
pub(super) fn flip(policy: &PolicyDiff) -> Option<String> {
    if policy.mode != (Change { from: Some(Mode::Audit), to: Some(Mode::Enforce) }) {
        return None;
    }
    let goes = match policy.impact.brake {
        Some(brake) if brake.to.over => "they wait behind the brake",
        _ => "each is announced with the grace, and goes then",
    };
    Some(match policy.impact.reaped.len() {
        0 => "audit → enforce: no clone is past its end".to_owned(),
        1 => format!("audit → enforce: 1 clone of {} is past its end: {goes}", policy.clones.to),
        backlog => format!("audit → enforce: {backlog} clones of {} are past their end: {goes}", policy.clones.to),
    })
}

/// How the surprises stand against the brake.
pub(super) fn brake(name: &str, brake: Change<Brake>) -> String {
    let Brake { surprises, clones, deletes, percent, over, loosened } = brake.to;
    let surprises = if surprises == 1 { "1 surprise".to_owned() } else { format!("{surprises} surprises") };
    let counted = format!("{surprises} of {clones} clones (before: {}), {deletes} or {percent} % allowed", brake.from.surprises);
    match (brake.from.over, over) {
        (_, true) => format!("brake on: {counted}: none of them goes until `clonewarden brake release {name}`"),
        _ if loosened => format!(
            "brake LOOSENED: {counted}; by the old brake ({} or {} %) none of them would go, by the new one all do",
            brake.from.deletes, brake.from.percent
        ),
        (true, false) => format!("brake not on any more: {counted}"),
        (false, false) => format!("brake: {counted}"),
    }
}

/// `3 → 4`, `3`.
pub(super) fn counts(count: Change<usize>) -> String {
    if count.is_none() { count.to.to_string() } else { format!("{} → {}", count.from, count.to) }
}

/// `146.00 → 73.00`.
pub(super) fn cost(cost: &Cost) -> String {
    let said = |usd: Option<Decimal>| usd.map_or_else(|| "?".to_owned(), |usd| dollars(usd).trim_start_matches('$').to_owned());
    let some = if cost.unpriced.is_empty() { "" } else { " *" };
    if cost.usd.is_none() { format!("{}{some}", said(cost.usd.to)) } else { format!("{} → {}{some}", said(cost.usd.from), said(cost.usd.to)) }
}

/// The figures of a policy's row: what its columns are called, and what stands in them.
pub(super) const COLUMNS: [&str; 8] =
    ["newly reaped", "ends nearer", "ends later", "newly warned", "held", "newly refused", "placed elsewhere", "USD a month"];

/// The same, of one policy.
pub(super) fn figures(policy: &PolicyDiff) -> [String; 8] {
    let Impact { reaped, sooner, later, warned, held, denied, moved, .. } = &policy.impact;
    let counts = [reaped.len(), sooner.len(), later.len(), warned.len(), held.len(), denied.len(), moved.len()].map(|count| count.to_string());
    let [reaped, sooner, later, warned, held, denied, moved] = counts;
    [reaped, sooner, later, warned, held, denied, moved, cost(&policy.cost)]
}

/// The same, of all policies together.
pub(super) fn all(diff: &Diff) -> [String; 8] {
    let sum = |of: fn(&Impact) -> usize| diff.policies.iter().fold(0_usize, |sum, policy| sum.saturating_add(of(&policy.impact))).to_string();
    [
        sum(|impact| impact.reaped.len()),
        sum(|impact| impact.sooner.len()),
        sum(|impact| impact.later.len()),
        sum(|impact| impact.warned.len()),
        sum(|impact| impact.held.len()),
        sum(|impact| impact.denied.len()),
        sum(|impact| impact.moved.len()),
        cost(&diff.cost),
    ]
}

/// Every thing without a price.
pub(super) fn unpriced(diff: &Diff) -> Vec<&str> {
    let of_policies = diff.policies.iter().flat_map(|policy| &policy.cost.unpriced);
    let all: std::collections::BTreeSet<&str> = of_policies.chain(&diff.cost.unpriced).map(String::as_str).collect();
    all.into_iter().collect()
}

/// The one sentence where nothing is to be shown.
pub(super) fn nothing(diff: &Diff) -> Option<String> {
    if diff.same {
        let how = if diff.revisions.is_none() { "the files are the same" } else { "the files differ, and mean the same" };
        return Some(format!("no difference: {how}"));
    }
    if !diff.complete {
        return Some(match diff.touches_nobody() {
            true => "what this does is NOT KNOWN: not every clone could be read and judged, as the notes say".to_owned(),
            false => "this is NOT ALL: not every clone could be read and judged, as the notes say".to_owned(),
        });
    }
    diff.touches_nobody().then(|| match diff.clones {
        0 => "the policies differ; there is no clone to which that could do anything".to_owned(),
        1 => "the policies differ; that does nothing to the 1 clone there is".to_owned(),
        clones => format!("the policies differ; that does nothing to the {clones} clones there are"),
    })
}

/// `sha256:0123456789ab`.
pub(super) fn short(revision: &str) -> &str {
    revision.get(.."sha256:".len().saturating_add(12)).unwrap_or(revision)
}
