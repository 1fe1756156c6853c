//! `clonewarden simulate trace-of`

use super::lines::Lines;
use crate::{
    act::journal::files::put_aside,
    cli::{Failure, output},
    model::journal::{Found, Line},
    simulate::{history::History, trace},
};
use anyhow::anyhow;
use std::{fmt::Write, path::PathBuf};

/// `simulate trace-of`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The journal of the daemon, with the files that were put aside beside it (`-`: standard input)
    #[arg(value_name = "JOURNAL")]
    journal: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut history = History::default();
    let (mut found, mut cut) = (": it is empty", 0_u64);
    // What cannot be listed is found to be missing when it is opened.
    let aside = put_aside(&args.journal).unwrap_or_default().into_iter().map(|(_, path)| path);
    for path in aside.rev().chain([args.journal.clone()]) {
        let mut lines = Lines::open(&path)?;
        while let Some(line) = lines.next()? {
            if history.others == 0 && !line.trim().is_empty() {
                found = what(line);
            }
            let is_cut = matches!(Line::find(line.as_bytes()), Found::Broken);
            match history.read(line) {
                Ok(()) => {}
                // A process has died in the middle of it.
                Err(_) if is_cut => cut = cut.saturating_add(1),
                Err(message) => return Err(lines.bad(&message)),
            }
        }
        lines.done();
    }
    if history.events == 0 {
        return Err(Failure::input(anyhow!("`{}` holds no line of a journal{found}", args.journal.display())));
    }
    let (unowned, others) = (history.unowned(), history.others);
    let arrivals = history.arrivals();
    let mut out = String::new();
    for arrival in &arrivals {
        let _ = writeln!(out, "{}", trace::write(arrival));
    }
    output::note(&format!("{} clones; {others} lines are about other things", arrivals.len()));
    if cut > 0 {
        output::note(&format!("{cut} lines were cut by a crash, or are damaged: they are passed over"));
    }
    output::note("a journal says nothing of labels, nor of who was refused: rules that look at labels find none");
    if unowned > 0 {
        output::note(&format!("it does not say whose {unowned} of them were: their owner is called `{}`", crate::simulate::history::UNKNOWN));
    }
    output::data(&out)
}

/// What a line is that is none of a journal.
fn what(line: &str) -> &'static str {
    match trace::Reader::default().read(line) {
        Ok(_) => ": it is a trace already",
        Err(_) => ": its first line has neither `time` nor `event`; a journal is what `run --journal` writes",
    }
}
