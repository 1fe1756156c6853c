//! `clonewarden journal`: what was decided and done, out of the files or the standard output of the daemon.
//!
//! Contract: lines are read one after the other, and memory does not grow with them. What is no line of a journal is passed over: `kubectl
//! logs` mixes them with others. Exit codes: 0 also where nothing matches; 2 misuse, or a file that cannot be read.

mod filter;
mod source;
mod table;

use super::{Failure, output, plan};
use crate::model::journal::{Found, Line};
use anyhow::{Context, anyhow};
use filter::Filter;
use source::Source;
use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};
use table::Table;

/// How often files are looked at that are followed.
const EVERY: Duration = Duration::from_millis(250);

/// `journal`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The files of journals, each with those that were put aside beside it; `-`: standard input
    #[arg(value_name = "FILE", env = "CLONEWARDEN_JOURNAL", required_unless_present = "schema")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    filter: filter::Wanted,
    /// Only the last so many that match
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Go on with what is written from now on
    #[arg(long, short)]
    follow: bool,
    /// How to print the lines
    #[arg(long, short, env = "CLONEWARDEN_OUTPUT", value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Print the JSON Schema of a line and nothing else
    #[arg(long)]
    schema: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people: one row a line, and sums
    Table,
    /// The lines as they stand there
    Json,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.schema {
        return output::data(&plan::json(&serde_json::json!(schemars::schema_for!(Line)))?);
    }
    let filter = args.filter.settle(jiff::Timestamp::now()).map_err(Failure::input)?;
    let mut seen = HashSet::new();
    let mut feeds = Vec::new();
    for file in &args.files {
        feeds.push(Feed::new(Source::open(file, &mut seen).map_err(Failure::input)?));
    }
    let mut printer = Printer::new(args);
    let ended = follow(args, &filter, &mut feeds, &mut printer);
    match ended {
        Err(Stop::Reader(error)) => return Err(Failure::input(error)),
        // A reader that has seen enough is no failure.
        Err(Stop::Writer(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Err(Stop::Writer(error)) => return Err(Failure::failed(anyhow!(error).context("cannot write to standard output"))),
        Ok(()) => {}
    }
    let counts = feeds.iter().fold(Counts::default(), |sum, feed| sum.and(feed.counts));
    counts.tell(printer.matched);
    Ok(())
}

/// Reads to the end, or for ever.
fn follow(args: &Args, filter: &Filter, feeds: &mut [Feed], printer: &mut Printer) -> Result<(), Stop> {
    loop {
        for feed in &mut *feeds {
            feed.fill(args.follow).map_err(Stop::Reader)?;
        }
        // Of several journals the earlier line comes first.
        let first = feeds.iter_mut().filter(|feed| feed.ahead.is_some()).min_by_key(|feed| feed.ahead.as_ref().map(|(line, _)| line.time));
        match first.and_then(|feed| feed.ahead.take()) {
            Some((line, text)) if filter.takes(&line) => printer.print(&line, &text)?,
            Some(_) => {}
            None if args.follow && !feeds.iter().all(|feed| feed.source.is_over()) => {
                printer.flush()?;
                std::thread::sleep(EVERY);
            }
            None => return printer.end(),
        }
    }
}

/// Why reading and printing stopped.
enum Stop {
    Reader(anyhow::Error),
    Writer(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Writer(error)
    }
}

/// One journal, and the next line of it.
struct Feed {
    source: Source,
    ahead: Option<(Box<Line>, Vec<u8>)>,
    counts: Counts,
}

impl Feed {
    fn new(source: Source) -> Self {
        Self { source, ahead: None, counts: Counts::default() }
    }

    /// Sees to it that the next line is known, if there is one.
    fn fill(&mut self, follow: bool) -> anyhow::Result<()> {
        while self.ahead.is_none() {
            let name = self.source.name().to_owned();
            let Some(text) = self.source.next(follow).with_context(|| format!("{name} cannot be read on"))? else { return Ok(()) };
            let count = match Line::find(text) {
                Found::Line(line, text) => {
                    if line.version > crate::model::journal::VERSION {
                        self.counts.newer = self.counts.newer.saturating_add(1);
                    }
                    self.ahead = Some((line, text.to_vec()));
                    &mut self.counts.lines
                }
                Found::Newer => &mut self.counts.unread,
                Found::Broken => &mut self.counts.broken,
                Found::Other => &mut self.counts.others,
            };
            *count = count.saturating_add(1);
        }
        Ok(())
    }
}

/// What was read.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    lines: u64,
    newer: u64,
    unread: u64,
    broken: u64,
    others: u64,
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self {
            lines: self.lines.saturating_add(other.lines),
            newer: self.newer.saturating_add(other.newer),
            unread: self.unread.saturating_add(other.unread),
            broken: self.broken.saturating_add(other.broken),
            others: self.others.saturating_add(other.others),
        }
    }

    /// Says what is not in the answer.
    fn tell(self, matched: u64) {
        let lines = |count: u64| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
        if self.broken > 0 {
            output::note(&format!("{} passed over: cut by a crash, or damaged", lines(self.broken)));
        }
        if self.unread > 0 {
            output::note(&format!("{} passed over: written by a newer clonewarden; take that one to read them", lines(self.unread)));
        }
        if self.newer > 0 {
            output::note(&format!("{} written by a newer clonewarden: there may be more to them than is shown", lines(self.newer)));
        }
        if self.lines == 0 {
            output::note(&format!("there is no line of a journal (of {} in all)", lines(self.others.saturating_add(self.broken))));
        } else if matched == 0 {
            output::note(&format!("nothing matches (of {})", lines(self.lines)));
        }
    }
}

/// Prints what matches.
struct Printer {
    out: io::BufWriter<io::Stdout>,
    table: Option<Table>,
    /// The last ones, where only those are asked for and more may come.
    last: Option<(VecDeque<Vec<u8>>, usize)>,
    matched: u64,
}

impl Printer {
    fn new(args: &Args) -> Self {
        Self {
            out: io::BufWriter::new(io::stdout()),
            table: (args.output == Output::Table).then(|| Table::new(output::colours(), output::width())),
            last: args.limit.map(|limit| (VecDeque::new(), limit)),
            matched: 0,
        }
    }

    fn print(&mut self, line: &Line, text: &[u8]) -> io::Result<()> {
        self.matched = self.matched.saturating_add(1);
        let mut row = match &mut self.table {
            Some(table) => table.row(line).into_bytes(),
            // What is no text is no line of a journal.
            None => output::escaped(&String::from_utf8_lossy(text)).into_bytes(),
        };
        row.push(b'\n');
        match &mut self.last {
            Some((rows, limit)) => {
                rows.push_back(row);
                if rows.len() > *limit {
                    rows.pop_front();
                }
                Ok(())
            }
            None => self.write(&row),
        }
    }

    fn write(&mut self, row: &[u8]) -> io::Result<()> {
        if let Some(heading) = self.table.as_mut().and_then(Table::heading) {
            writeln!(self.out, "{heading}")?;
        }
        self.out.write_all(row)
    }

    /// Everything until now is to be seen, and what comes after it as it comes.
    fn flush(&mut self) -> io::Result<()> {
        for row in self.last.take().map(|(rows, _)| rows).unwrap_or_default() {
            self.write(&row)?;
        }
        self.out.flush()
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.flush()?;
        if let Some(foot) = self.table.as_ref().and_then(Table::foot) {
            writeln!(self.out, "\n{foot}")?;
        }
        Ok(self.out.flush()?)
    }
}
