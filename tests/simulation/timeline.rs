//! What was the case when: values with the moments since which they hold.

/// A value over time, in seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline<T>(Vec<(i64, T)>);

impl<T> Timeline<T> {
    /// From `at` on it is this.
    pub(crate) fn set(&mut self, at: i64, value: T) {
        self.0.push((at, value));
    }

    /// What it is now.
    pub(crate) fn now(&self) -> Option<&T> {
        self.0.last().map(|(_, value)| value)
    }

    /// Every value that it had at some moment from `from` to `to`, both included; the latest first.
    pub(crate) fn within(&self, from: i64, to: i64) -> impl Iterator<Item = &T> {
        let mut ends = i64::MAX;
        self.0.iter().rev().filter_map(move |(since, value)| {
            let until = std::mem::replace(&mut ends, *since);
            (*since <= to && until >= from).then_some(value)
        })
    }
}

#[test]
fn a_window_sees_what_began_before_it_and_what_begins_in_it() {
    let mut line = Timeline::default();
    for (at, value) in [(0, 'a'), (10, 'b'), (20, 'c')] {
        line.set(at, value);
    }
    let within = |from, to| line.within(from, to).copied().collect::<String>();
    assert_eq!(within(5, 9), "a");
    assert_eq!(within(11, 19), "b");
    assert_eq!(within(5, 25), "cba");
    assert_eq!(line.now(), Some(&'c'));
}
