//! The figures beside the aims.

#[derive(Default)]
pub(super) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// Adds a figure, and prints it at once: a run takes minutes.
    pub(super) fn row(&mut self, what: &str, figure: &str, aim: &str, others: f64) {
        let others = format!("{:.0} %", others * 100.0);
        eprintln!("{what}: {figure} (others took {others} of the CPU)");
        self.rows.push([what.to_owned(), figure.to_owned(), aim.to_owned(), others]);
    }

    pub(super) fn print(&self) {
        let head = ["what", "figure", "aim", "CPU of others"].map(str::to_owned);
        let width = |column: usize| self.rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2)];
        println!();
        for [what, figure, aim, others] in [&head].into_iter().chain(&self.rows) {
            println!("{what:<0$}  {figure:<1$}  {aim:<2$}  {others}", widths[0], widths[1], widths[2]);
        }
    }
}

pub(super) fn millis(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}

pub(super) fn ratio(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}
