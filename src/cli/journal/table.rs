//! Lines of a journal as rows for a person. They are printed as they come, so that columns have the width that most need.

use crate::{
    act::journal::words::{target, why},
    cli::{
        output::printable,
        table::{DIM, colour, cut, noun, paint},
    },
    cost::dollars,
    model::{journal::Line, names},
};
use rust_decimal::Decimal;

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
