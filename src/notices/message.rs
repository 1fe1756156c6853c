//! What is sent at once: one notice, or many as one.
//!
//! Contract: pure. A digest counts everything that is in it and shows [`FIRST`] of it, the most urgent first; however much goes in, what is
//! remembered of it is bounded.

use super::notice::{Notice, Severity};
use std::{collections::BTreeMap, sync::Arc};

/// How many notices a digest tells whole.
pub(super) const FIRST: usize = 10;
/// How many codes a digest counts apart; what else there is stands under `other`.
const CODES: usize = 40;
/// How many ids a digest remembers: as many as a desk does.
const IDS: usize = super::desk::REMEMBERED;

/// What is sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message {
    /// How many notices are in it.
    pub(crate) count: u64,
    /// How many of each severity.
    pub(crate) severities: BTreeMap<Severity, u64>,
    /// How many of each code.
    pub(crate) codes: BTreeMap<String, u64>,
    /// The first of them: the most urgent, and of those that are equally urgent the oldest.
    pub(crate) first: Vec<Arc<Notice>>,
    ids: Vec<String>,
}

impl Message {
    /// This one alone.
    pub(super) fn of(notice: Arc<Notice>) -> Self {
        let mut message = Self::default();
        message.add(notice);
        message
    }

    /// These as one message, if there is anything in them.
    pub(super) fn merged(messages: impl IntoIterator<Item = Self>) -> Option<Self> {
        let all = messages.into_iter().reduce(|mut all, message| {
            all.join(message);
            all
        });
        all.filter(|all| all.count > 0)
    }

    /// The one that is in it, if there is no other: then it is no digest.
    pub(crate) fn alone(&self) -> Option<&Arc<Notice>> {
        self.first.first().filter(|_| self.count == 1)
    }

    /// The ids of what is in it.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// What is critical of that which it tells whole.
    pub(super) fn criticals(&self) -> impl Iterator<Item = &Arc<Notice>> {
        self.first.iter().filter(|notice| notice.severity == Severity::Critical)
    }

    /// How many are critical.
    pub(super) fn critical(&self) -> u64 {
        self.severities.get(&Severity::Critical).copied().unwrap_or_default()
    }

    /// Puts a notice in.
    pub(super) fn add(&mut self, notice: Arc<Notice>) {
        self.count = self.count.saturating_add(1);
        raise(&mut self.severities, notice.severity, 1);
        self.count_code(&notice.code, 1);
        if self.ids.len() < IDS {
            self.ids.push(notice.id.clone());
        }
        self.show(notice);
    }

    /// How urgent the most urgent is.
    pub(crate) fn severity(&self) -> Severity {
        self.severities.last_key_value().map(|(severity, _)| *severity).unwrap_or_default()
    }

    /// How many it counts without telling them, and how many of those are critical.
    pub(crate) fn left_out(&self) -> (u64, u64) {
        (self.count.saturating_sub(self.first.len() as u64), self.critical().saturating_sub(self.criticals().count() as u64))
    }

    fn join(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        other.severities.into_iter().for_each(|(severity, count)| raise(&mut self.severities, severity, count));
        other.codes.iter().for_each(|(code, count)| self.count_code(code, *count));
        let room = IDS.saturating_sub(self.ids.len());
        self.ids.extend(other.ids.into_iter().take(room));
        other.first.into_iter().for_each(|notice| self.show(notice));
    }

    fn count_code(&mut self, code: &str, count: u64) {
        let known = self.codes.contains_key(code) || self.codes.len() < CODES;
        raise(&mut self.codes, if known { code.to_owned() } else { "other".to_owned() }, count);
    }

    fn show(&mut self, notice: Arc<Notice>) {
        let place = self.first.partition_point(|shown| shown.severity >= notice.severity);
        self.first.insert(place, notice);
        self.first.truncate(FIRST);
    }
}

/// Raises a count.
pub(super) fn raise<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, by: u64) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(by);
}

#[cfg(test)]
mod tests {
    use super::{super::notice::tests::line, *};

    fn notice(severity: Severity, name: &str) -> Arc<Notice> {
        let notice = Notice::of(&line("acted", "delete", Some("done"), "Expired", name, "ada")).unwrap();
        Arc::new(Notice { severity, id: name.to_owned(), ..notice })
    }

    #[test]
    fn the_most_urgent_stand_first_however_late_they_come() {
        let mut digest = Message::default();
        for number in 0..30 {
            digest.add(notice(Severity::Info, &format!("info-{number}")));
        }
        digest.add(notice(Severity::Warning, "warning"));
        for number in 0..2 {
            digest.add(notice(Severity::Critical, &format!("critical-{number}")));
        }
        let shown: Vec<&str> = digest.first.iter().map(|notice| notice.id.as_str()).collect();
        assert_eq!((shown.len(), shown.split_at(4).0), (FIRST, ["critical-0", "critical-1", "warning", "info-0"].as_slice()));
        assert_eq!((digest.count, digest.left_out(), digest.severity()), (33, (23, 0), Severity::Critical));
        let more = (0..15).map(|number| Message::of(notice(Severity::Critical, &format!("more-{number}"))));
        let all = Message::merged([digest].into_iter().chain(more)).unwrap();
        assert_eq!((all.count, all.ids().count(), all.criticals().count()), (48, 48, FIRST));
        assert_eq!((all.left_out(), all.codes["Expired"], all.severities[&Severity::Info]), ((38, 7), 48, 30));
    }

    #[test]
    fn one_alone_is_no_digest_and_none_is_no_message() {
        assert!(Message::merged([]).is_none() && Message::merged([Message::default()]).is_none());
        assert!(Message::merged([Message::of(notice(Severity::Info, "a")), Message::default()]).unwrap().alone().is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let mut digest = Message::default();
        for number in 0..(IDS + 10) {
            let code = number.to_string();
            let one = Notice { code, ..(*notice(Severity::Info, "a")).clone() };
            digest.add(Arc::new(one));
        }
        assert!(digest.codes.len() <= CODES + 1 && digest.first.len() == FIRST && digest.ids.len() == IDS);
    }
}
