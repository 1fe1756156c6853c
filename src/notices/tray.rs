//! Notices on their way to one receiver's courier.
//!
//! Contract: whoever puts one in waits for nothing. There is room for [`ROOM`]; when it is full, what is less urgent makes room for what is
//! more urgent, and whatever finds no place is handed back, so that it is counted. What is most urgent is taken out first.

use super::notice::{Notice, Severity};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// How many notices may wait until the courier looks: it only sorts them, so that this many are a burst and not a slow receiver.
pub(super) const ROOM: usize = 1_024;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Tray {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    by_severity: BTreeMap<Severity, VecDeque<Arc<Notice>>>,
    count: usize,
    /// The courier has gone: nobody takes anything out any more.
    closed: bool,
}

impl Tray {
    /// Puts a notice in; what found no place comes back: this one, or an older and less urgent one.
    pub(super) fn put(&self, notice: Arc<Notice>) -> Option<Arc<Notice>> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Some(notice);
        }
        let mut out = None;
        if waiting.count >= ROOM {
            match waiting.less_urgent_than(notice.severity) {
                Some(older) => out = Some(older),
                None => return Some(notice),
            }
        }
        waiting.by_severity.entry(notice.severity).or_default().push_back(notice);
        waiting.count = waiting.count.saturating_add(1);
        drop(waiting);
        self.more.notify_one();
        out
    }

    /// The next one, as soon as there is one.
    pub(super) async fn next(&self) -> Arc<Notice> {
        loop {
            let more = self.more.notified();
            if let Some(notice) = self.waiting().most_urgent() {
                return notice;
            }
            more.await;
        }
    }

    /// All that wait, and there will be no more.
    pub(super) fn close(&self) -> Vec<Arc<Notice>> {
        let mut waiting = self.waiting();
        waiting.closed = true;
        std::iter::from_fn(|| waiting.most_urgent()).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn most_urgent(&mut self) -> Option<Arc<Notice>> {
        let notice = self.by_severity.values_mut().rev().find_map(VecDeque::pop_front)?;
        self.count = self.count.saturating_sub(1);
        Some(notice)
    }

    /// Takes out the oldest of the least urgent, if that is less urgent than this.
    fn less_urgent_than(&mut self, severity: Severity) -> Option<Arc<Notice>> {
        let notice = self.by_severity.range_mut(..severity).find_map(|(_, queue)| queue.pop_front())?;
        self.count = self.count.saturating_sub(1);
        Some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::notice::tests::line, *};

    fn notice(severity: Severity, name: &str) -> Arc<Notice> {
        let notice = Notice::of(&line("acted", "delete", Some("done"), "Expired", name, "ada")).unwrap();
        Arc::new(Notice { severity, id: name.to_owned(), ..notice })
    }

    #[tokio::test]
    async fn what_is_urgent_finds_room_and_is_taken_out_first() {
        let tray = Tray::default();
        for number in 0..ROOM {
            assert!(tray.put(notice(Severity::Info, &number.to_string())).is_none());
        }
        assert_eq!(tray.put(notice(Severity::Info, "late")).unwrap().id, "late", "there is no room for one that is as urgent as the rest");
        assert_eq!(tray.put(notice(Severity::Critical, "critical")).unwrap().id, "0", "the oldest of the least urgent makes room");
        assert_eq!(tray.put(notice(Severity::Warning, "warning")).unwrap().id, "1");
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(tray.next().await.id.clone());
        }
        assert_eq!(order, ["critical", "warning", "2"]);
    }

    #[test]
    fn critical_ones_push_out_no_critical_ones_and_what_comes_too_late_comes_back() {
        let tray = Tray::default();
        for number in 0..ROOM {
            tray.put(notice(Severity::Critical, &number.to_string()));
        }
        assert_eq!(tray.put(notice(Severity::Critical, "one more")).unwrap().id, "one more");
        assert_eq!(tray.close().len(), ROOM);
        assert_eq!(tray.put(notice(Severity::Critical, "after the end")).unwrap().id, "after the end");
    }
}
