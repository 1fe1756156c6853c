//! Lines of a journal as rows for a person. They are printed as they come, so that columns have the width that most need.

use crate::{
    cli::{
        output::printable,
        table::{DIM, colour, cut, noun, paint},
    },
    cost::dollars,
    model::{duration::roughly, journal::Line, names},
};
use jiff::SignedDuration;
use rust_decimal::Decimal;
use serde_json::Value;

/// The columns, and how wide they are where what stands in them is not wider; the last one ends with its text.
const COLUMNS: [(&str, usize); 6] = [("TIME", 20), ("WHAT", 14), ("OUTCOME", 8), ("TARGET", 32), ("OWNER", 18), ("WHY", 0)];

/// Rows and sums.
pub(super) struct Table {
    colours: bool,
    width: Option<usize>,
    headed: bool,
    lines: usize,
    clones: usize,
    others: usize,
    saved: Decimal,
}

impl Table {
    pub(super) fn new(colours: bool, width: Option<usize>) -> Self {
        Self { colours, width, headed: false, lines: 0, clones: 0, others: 0, saved: Decimal::ZERO }
    }

    /// The heading, once.
    pub(super) fn heading(&mut self) -> Option<String> {
        let first = !std::mem::replace(&mut self.headed, true);
        first.then(|| paint(&columns(&COLUMNS.map(|(name, _)| name.to_owned())), DIM, self.colours))
    }

    /// One row, which also counts for the sums.
    pub(super) fn row(&mut self, line: &Line) -> String {
        self.lines = self.lines.saturating_add(1);
        if line.ended() {
            let count = if line.target("kind") == names::CLONE_KIND { &mut self.clones } else { &mut self.others };
            *count = count.saturating_add(1);
            let saved = line.cost.as_ref().and_then(|cost| cost.saved).unwrap_or_default();
            self.saved = self.saved.saturating_add(saved);
        }
        let what = match (&line.action, &line.blocked_by) {
            (Some(action), Some(by)) => format!("{action} [{by}]"),
            (Some(action), None) => action.clone(),
            (None, _) => line.event.clone(),
        };
        let or_dash = |text: Option<&str>| printable(text.filter(|text| !text.is_empty()).unwrap_or("-"));
        let cells = [
            format!("{:.0}", line.time),
            printable(&what),
            or_dash(line.outcome.as_deref()),
            or_dash(Some(&target(line))),
            or_dash(line.clone.as_ref().and_then(|clone| clone.owner.as_deref())),
            printable(&why(line)),
        ];
        let row = columns(&cells);
        let row = self.width.map_or_else(|| row.clone(), |width| cut(&row, width));
        paint(&row, colour(&what), self.colours)
    }

    /// The sums; nothing where there is no row.
    pub(super) fn foot(&self) -> Option<String> {
        let mut parts = vec![format!("{} {}", self.lines, noun(self.lines, "line"))];
        for (count, one) in [(self.clones, "clone"), (self.others, "other thing")] {
            parts.extend((count > 0).then(|| format!("{count} {} ended", noun(count, one))));
        }
        parts.extend((!self.saved.is_zero()).then(|| format!("saved {}", dollars(self.saved))));
        (self.lines > 0).then(|| parts.join(", "))
    }
}

fn columns(cells: &[String; 6]) -> String {
    let padded: Vec<String> = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| format!("{cell:width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

/// What a line is about: a clone by its path, anything else with its kind.
fn target(line: &Line) -> String {
    let (kind, namespace) = (line.target("kind"), line.target("namespace"));
    let name = ["name", "id"].into_iter().map(|field| line.target(field)).find(|name| !name.is_empty()).unwrap_or_default();
    let host = line.target("host");
    let path = [namespace, host, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    if kind == names::CLONE_KIND || path.is_empty() { path } else { format!("{kind} {path}") }
}

/// Why, what came of it, and the money.
fn why(line: &Line) -> String {
    let mut parts: Vec<String> = Vec::new();
    match &line.reason {
        Some(reason) => parts.push(format!("{}: {}", reason.code, reason.message)),
        None if line.event == "gone" => parts.extend(took(line)),
        None => parts.extend(line.facts.iter().map(|(key, value)| format!("{key} {}", plain(value)))),
    }
    parts.extend(line.detail.clone());
    if let Some(cost) = &line.cost {
        let alone = cost.accrued.is_none() && cost.saved.is_none();
        parts.extend(cost.per_hour.filter(|_| alone).map(|usd| format!("costs {} an hour", dollars(usd))));
        parts.extend(cost.accrued.map(|usd| format!("cost {}", dollars(usd))));
        parts.extend(cost.saved.map(|usd| format!("saved {}", dollars(usd))));
        parts.extend((!cost.unpriced.is_empty()).then(|| format!("no price of {}", cost.unpriced.join(", "))));
    }
    parts.join("; ")
}

fn took(line: &Line) -> Option<String> {
    let seconds = line.facts.get("tookSeconds").and_then(Value::as_i64)?;
    Some(format!("gone with everything that was its own, {} after it was deleted", roughly(SignedDuration::from_secs(seconds))))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
