//! The last lines of what was done, for whoever looks on.
//!
//! Contract: bounded, in memory alone, and gone with the process: the journal's files are what is kept. Adding a line costs a push;
//! that a verdict has changed is no deed and is not kept here.

use crate::model::journal::Line;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// How many are remembered: a screen or two of them.
const KEPT: usize = 200;

#[derive(Default)]
pub(super) struct Recent(Mutex<Deeds>);

#[derive(Default)]
struct Deeds {
    lines: VecDeque<Arc<Line>>,
    total: u64,
}

impl Recent {
    /// Remembers a line that says that something was done.
    pub(super) fn add(&self, line: Line) {
        if line.event == "decided" {
            return;
        }
        let mut deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if deeds.lines.len() >= KEPT {
            deeds.lines.pop_back();
        }
        deeds.lines.push_front(Arc::new(line));
        deeds.total = deeds.total.saturating_add(1);
    }

    /// The newest first, and how many there have been.
    pub(super) fn last(&self) -> (Vec<Arc<Line>>, u64) {
        let deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (deeds.lines.iter().cloned().collect(), deeds.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn the_newest_deeds_are_kept_and_verdicts_are_none() {
        let recent = Recent::default();
        for number in 0..KEPT + 5 {
            recent.add(Line::new(&format!("acted{number}"), Timestamp::UNIX_EPOCH));
            recent.add(Line::new("decided", Timestamp::UNIX_EPOCH));
        }
        let (lines, total) = recent.last();
        assert_eq!((lines.len(), total), (KEPT, 205));
        assert_eq!((lines[0].event.as_str(), lines[KEPT - 1].event.as_str()), ("acted204", "acted5"));
    }
}
