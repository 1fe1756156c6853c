//! What became of the notices for one receiver, and what of it the receiver has not been told yet.
//!
//! Contract: whatever is taken in is counted once as sent, failed, dropped or repeated; what is lost is told in the next message that gets
//! through, the critical ones by what they said.

use super::{
    message::{Message, raise},
    notice::Severity,
};
use std::collections::{BTreeMap, VecDeque};

/// How many lost critical notices a message tells of; the journal has all of them.
const REMEMBERED: usize = 10;

/// What became of the notices for one receiver.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: u64,
    failed: u64,
    dropped: u64,
    /// How many had been told.
    pub(super) repeated: u64,
    /// How often what tells the receiver has died.
    pub(super) restarts: u64,
    lost: BTreeMap<Severity, u64>,
    /// How many of those that are lost have been told of.
    told: u64,
    /// Critical ones that are lost, each with how many were lost up to it.
    critical: VecDeque<(u64, String)>,
}

/// What was lost and has not been told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// How many.
    pub(super) count: u64,
    /// What the last critical ones of them said.
    pub(super) critical: Vec<String>,
    pub(super) up_to: u64,
}

impl Counts {
    /// The receiver has taken it, and what it told of what was lost.
    pub(super) fn sent(&mut self, message: &Message, told: &Lost) {
        self.sent = self.sent.saturating_add(message.count);
        self.told = self.told.max(told.up_to);
        self.critical.retain(|(place, _)| *place > self.told);
    }

    /// The receiver did not take it, and it is given up.
    pub(super) fn failed(&mut self, message: &Message) {
        self.failed = self.failed.saturating_add(message.count);
        self.lose(message);
    }

    /// It came after the last message.
    pub(super) fn dropped(&mut self, message: &Message) {
        self.dropped = self.dropped.saturating_add(message.count);
        self.lose(message);
    }

    /// What was lost and has not been told of.
    pub(super) fn lost(&self) -> Lost {
        let up_to = self.failed.saturating_add(self.dropped);
        Lost { count: up_to.saturating_sub(self.told), critical: self.critical.iter().map(|(_, text)| text.clone()).collect(), up_to }
    }

    /// How many had which outcome.
    pub(super) fn outcomes(&self) -> [(&'static str, u64); 4] {
        [("sent", self.sent), ("failed", self.failed), ("dropped", self.dropped), ("repeated", self.repeated)]
    }

    /// How many were lost, by how urgent they were.
    pub(super) fn lost_by_severity(&self) -> [(&'static str, u64); 3] {
        let lost = |severity: Severity| (severity.word(), self.lost.get(&severity).copied().unwrap_or_default());
        [Severity::Info, Severity::Warning, Severity::Critical].map(lost)
    }

    fn lose(&mut self, message: &Message) {
        message.severities.iter().for_each(|(severity, count)| raise(&mut self.lost, *severity, *count));
        let place = self.failed.saturating_add(self.dropped);
        self.critical.extend(message.criticals().map(|notice| (place, notice.text())));
        self.critical.drain(..self.critical.len().saturating_sub(REMEMBERED));
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::notice::{Notice, tests::line},
        *,
    };
    use std::sync::Arc;

    fn one(severity: Severity, name: &str) -> Message {
        let notice = Notice::of(&line("decided", "alert", None, "BrakeOn", name, "ada")).unwrap();
        Message::of(Arc::new(Notice { severity, ..notice }))
    }

    #[test]
    fn what_is_lost_is_told_until_a_message_that_tells_it_is_taken() {
        let mut counts = Counts::default();
        counts.dropped(&one(Severity::Info, "a"));
        counts.failed(&one(Severity::Critical, "b"));
        let first = counts.lost();
        assert_eq!((first.count, first.critical.len()), (2, 1));
        assert!(first.critical[0].contains("staging/b"), "{first:?}");
        counts.dropped(&one(Severity::Critical, "c"));
        counts.sent(&one(Severity::Info, "d"), &first);
        let second = counts.lost();
        assert_eq!(second.count, 1);
        assert!(second.critical.len() == 1 && second.critical[0].contains("staging/c"), "{second:?}");
        counts.sent(&one(Severity::Info, "e"), &second);
        assert_eq!((counts.lost().count, counts.lost().critical), (0, Vec::new()));
        assert_eq!(counts.outcomes(), [("sent", 2), ("failed", 1), ("dropped", 2), ("repeated", 0)]);
        assert_eq!(counts.lost_by_severity(), [("info", 1), ("warning", 0), ("critical", 2)]);
    }

    #[test]
    fn what_is_remembered_of_it_is_bounded() {
        let mut counts = Counts::default();
        for number in 0..50 {
            counts.dropped(&one(Severity::Critical, &number.to_string()));
        }
        let lost = counts.lost();
        assert_eq!((lost.count, lost.critical.len()), (50, REMEMBERED));
        assert!(lost.critical[REMEMBERED - 1].contains("staging/49"));
    }
}
