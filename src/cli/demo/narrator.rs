//! Tells the demo: what happens in the world, and every verdict of the daemon that changes, with its reason.

use crate::{
    act::{executor::Round, journal::Ending},
    daemon::warden::Watcher,
    model::Snapshot,
    plan::{Action, Decision, Plan, Target},
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Prints what is worth telling, and passes everything on to whoever measures.
pub(super) struct Narrator {
    measured: Arc<dyn Watcher>,
    colours: bool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    verdicts: HashMap<String, String>,
    holding: Option<String>,
    deleted: usize,
    removed: usize,
    marked: usize,
    taken_back: usize,
    held: usize,
}

impl Narrator {
    pub(super) fn new(measured: Arc<dyn Watcher>, colours: bool) -> Self {
        Self { measured, colours, told: Mutex::default() }
    }

    pub(super) fn say(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// Something that people or the platform did.
    pub(super) fn scene(&self, at: Timestamp, text: &str) {
        let (bold, plain) = if self.colours { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        self.say(&format!("\n{bold}{}  {text}{plain}", clock(at)));
    }

    fn verdict(&self, at: Timestamp, word: &str, what: &str, why: &str) {
        let colour = match word {
            "delete" => "\u{1b}[31m",
            "hold" | "ALERT" | "mark" => "\u{1b}[35m",
            "warn" => "\u{1b}[33m",
            _ => "\u{1b}[32m",
        };
        let (colour, plain) = if self.colours { (colour, "\u{1b}[0m") } else { ("", "") };
        self.say(&format!("{}    {colour}{word:<7}{plain} {what:<34} {why}", clock(at)));
    }

    /// What the demo showed, in numbers.
    pub(super) fn summary(&self) -> String {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Told { deleted, removed, marked, taken_back, held, .. } = &*told;
        format!(
            "\nIn all: {deleted} clones deleted, {marked} orphans marked and {removed} of them removed, {held} time(s) everything was held, {taken_back} judgements taken back.
The verdicts above are the very plan that was carried out. Next: `clonewarden plan --policies policies --from DIR`
shows the same for your own cluster, read-only, from what kubectl exports."
        )
    }
}

impl Watcher for Narrator {
    fn planned(&self, snapshot: &Arc<Snapshot>, plan: &Arc<Plan>, round: Option<&Round>, took: Duration) {
        self.measured.planned(snapshot, plan, round, took);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let endings = round.into_iter().flat_map(|round| &round.endings);
        told.taken_back += endings.filter(|(_, ending)| matches!(ending, Ending::Conflict(_))).count();
        self.tell_holds(plan, &mut told);
        for decision in plan.decisions.iter().filter(|decision| decision.action != Action::Hold) {
            let key = format!("{}{}", decision.target.key(), if decision.action == Action::Alert { decision.reason.code() } else { "" });
            let verdict = format!("{:?}{}{:?}", decision.action, decision.reason.code(), decision.blocked_by);
            if told.verdicts.insert(key, verdict.clone()).as_ref() != Some(&verdict) && worth_telling(decision) {
                match (decision.action, decision.effective(), &decision.target) {
                    (Action::Mark, true, _) => told.marked += 1,
                    (Action::Delete, true, Target::Clone(_)) => told.deleted += 1,
                    (Action::Delete, true, Target::Child(_) | Target::Cloud(_)) => told.removed += 1,
                    _ => {}
                }
                let blocked = decision.blocked_by.map(|by| format!(" [not done: {}]", by.word())).unwrap_or_default();
                let word = if decision.action == Action::Alert { "ALERT" } else { decision.action.word() };
                let why = format!("{}: {}{blocked}", decision.reason.code(), decision.reason.message(plan.now));
                self.verdict(plan.now, word, &format!("{} {}", short(&decision.target), decision.target.display()), &why);
            }
        }
    }
}

impl Narrator {
    /// Holds come for everything at once: they are told together, when they begin and when they end.
    fn tell_holds(&self, plan: &Plan, told: &mut Told) {
        let held: Vec<&Decision> = plan.decisions.iter().filter(|decision| decision.action == Action::Hold).collect();
        let now = held.first().map(|decision| decision.reason.code().to_owned());
        if now == told.holding {
            return;
        }
        match held.first() {
            Some(first) => {
                told.held += 1;
                let why = format!("{}: {}", first.reason.code(), first.reason.message(plan.now));
                let clone = |decision: &&Decision| matches!(decision.target, Target::Clone(_)) && decision.action != Action::Alert;
                let what = match held.iter().copied().filter(clone).count() {
                    0 => format!("{} {}", short(&first.target), first.target.display()),
                    held => format!("{held} of {} clones", plan.decisions.iter().filter(clone).count()),
                };
                self.verdict(plan.now, "hold", &what, &why);
            }
            None => self.verdict(plan.now, "go on", "nothing is held any more", "what was missing is back"),
        }
        told.holding = now;
    }
}

fn worth_telling(decision: &Decision) -> bool {
    !matches!((decision.action, decision.reason.code()), (Action::Keep, "Living") | (_, "Announced"))
}

fn short(target: &Target) -> &'static str {
    match target {
        Target::Clone(_) => "clone",
        other => other.kind(),
    }
}

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}
