//! How far a file has been read, on standard error, where somebody sees it.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// It is drawn no more often than that.
const EVERY: Duration = Duration::from_millis(100);
const CELLS: u64 = 30;

/// A bar, if standard error is a terminal and the length of the file is known.
pub(super) struct Bar {
    whole: u64,
    read: u64,
    lines: u64,
    drawn: Instant,
    visible: bool,
}

impl Bar {
    pub(super) fn of(whole: Option<u64>) -> Self {
        let visible = whole.is_some_and(|whole| whole > 0) && io::stderr().is_terminal();
        Self { whole: whole.unwrap_or_default(), read: 0, lines: 0, drawn: Instant::now(), visible }
    }

    /// So many bytes more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.read = self.read.saturating_add(bytes);
        self.lines = self.lines.saturating_add(1);
        // Looking at the clock for every line would take longer than the line.
        if self.visible && self.lines.is_multiple_of(1_024) && self.drawn.elapsed() >= EVERY {
            self.drawn = Instant::now();
            let _ = write!(io::stderr().lock(), "\r{}", picture(self.read, self.whole, self.lines));
        }
    }

    /// It makes room for words.
    pub(super) fn clear(&mut self) {
        if self.visible {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}

fn picture(read: u64, whole: u64, lines: u64) -> String {
    let share = |of: u64| read.min(whole).saturating_mul(of).checked_div(whole).unwrap_or(of);
    let full = usize::try_from(share(CELLS)).unwrap_or_default();
    let all = usize::try_from(CELLS).unwrap_or_default();
    format!("[{}{}] {:>3} %  {lines} lines", "#".repeat(full), " ".repeat(all.saturating_sub(full)), share(100))
}

#[cfg(test)]
mod tests {
    use super::picture;

    #[test]
    fn a_bar_is_as_full_as_the_file_is_read() {
        assert_eq!(picture(0, 10, 0), "[                              ]   0 %  0 lines");
        assert_eq!(picture(5, 10, 7), "[###############               ]  50 %  7 lines");
        assert_eq!(picture(11, 10, 9), "[##############################] 100 %  9 lines");
    }
}
