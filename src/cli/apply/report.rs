//! What became of each decision that was approved: as a table for people, or as a document.

use crate::{
    approve::{Entry, Outcome},
    cli::{Failure, output::printable},
    model::{approval::Approved, journal::Cost},
    plan::{Decision, Target},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write;

/// One decision of the document.
pub(super) struct Row {
    pub(super) entry: Entry,
    pub(super) outcome: Outcome,
    /// Why it ended so, or why it was carried out.
    pub(super) why: String,
}

impl Row {
    /// As it is kept of what was approved.
    pub(super) fn approved(&self, decision: &Decision, cost: Option<Cost>) -> Approved {
        let owner = match &decision.target {
            Target::Clone(clone) => clone.owner.as_deref().map(str::to_owned),
            _ => None,
        };
        let aim = &self.entry.aim;
        Approved {
            id: self.entry.id.clone(),
            action: self.entry.action.word().to_owned(),
            kind: aim.kind.clone(),
            namespace: aim.namespace.clone(),
            name: aim.name.clone(),
            uid: aim.uid.clone(),
            owner,
            policy: self.entry.policy.clone(),
            code: self.entry.code.clone(),
            // What has no price is a list of any length.
            cost: cost.map(|cost| Cost { unpriced: Vec::new(), ..cost }),
            outcome: None,
        }
    }
}

/// What became of all of them.
pub(super) struct Report {
    /// When they were judged anew.
    pub(super) at: Timestamp,
    /// Who had them carried out, as the API server calls that person.
    pub(super) by: String,
    /// When the plan was made.
    pub(super) plan: Timestamp,
    pub(super) revision: String,
    pub(super) dry_run: bool,
    /// By which it is found in the journal; `None`: nothing was carried out.
    pub(super) approval: Option<String>,
    pub(super) rows: Vec<Row>,
    /// Why the command does not end with 0.
    pub(super) failure: Option<Failure>,
}

impl Report {
    /// One line a decision, but for those that keep something: nobody asks about them.
    pub(super) fn table(&self, colours: bool) -> String {
        let mut out = String::new();
        let told = || self.rows.iter().filter(|row| row.outcome != Outcome::Nothing);
        let cells = |row: &Row| [printable(&name(row)), row.entry.action.word().to_owned(), row.outcome.word().to_owned()];
        let heading = ["WHAT", "ACTION", "OUTCOME"].map(str::to_owned);
        let mut widths = heading.clone().map(|cell| cell.len());
        for row in told() {
            for (width, cell) in widths.iter_mut().zip(cells(row)) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let [first, second, third] = widths;
        let mut line = |cells: [String; 3], why: &str, colour: &str| {
            let [what, action, outcome] = cells;
            let outcome = paint(&format!("{outcome:third$}"), colour, colours);
            let _ = writeln!(out, "{}", format!("{what:first$}  {action:second$}  {outcome}  {why}").trim_end());
        };
        if told().next().is_some() {
            line(heading, "WHY", "2");
        }
        for row in told() {
            line(cells(row), &printable(&row.why), colour(row.outcome));
        }
        if told().next().is_some() {
            out.push('\n');
        }
        let counts: Vec<String> = self.counts().into_iter().map(|(outcome, count)| format!("{count} {}", outcome.word())).collect();
        let counts = if counts.is_empty() { "no decision is left in the document".to_owned() } else { counts.join(", ") };
        let by = printable(&self.by);
        let _ = match &self.approval {
            Some(id) => writeln!(out, "{counts}; approved by {by}, in the journal as {id}"),
            None if self.dry_run => writeln!(out, "{counts}; a dry run: nothing was written"),
            None => writeln!(out, "{counts}; nothing was carried out"),
        };
        out
    }

    /// The same for programs.
    pub(super) fn document(&self) -> Value {
        let decision = |row: &Row| {
            let aim = &row.entry.aim;
            let mut target = json!({"kind": aim.kind, "display": aim.to_string()});
            for (field, text) in [("namespace", &aim.namespace), ("name", &aim.name), ("uid", &aim.uid)] {
                if let (Some(text), Some(target)) = (text, target.as_object_mut()) {
                    target.insert(field.to_owned(), json!(text));
                }
            }
            json!({
                "id": row.entry.id,
                "action": row.entry.action.word(),
                "code": row.entry.code,
                "target": target,
                "outcome": row.outcome.word(),
                "message": row.why,
            })
        };
        let counts: serde_json::Map<String, Value> =
            self.counts().into_iter().map(|(outcome, count)| (outcome.word().to_owned(), json!(count))).collect();
        let mut document = json!({
            "apiVersion": "clonewarden.io/v1alpha1",
            "kind": "Applied",
            "at": self.at,
            "by": self.by,
            "plan": self.plan,
            "policyRevision": self.revision,
            "dryRun": self.dry_run,
        });
        if let Some(fields) = document.as_object_mut() {
            fields.extend(self.approval.as_ref().map(|id| ("approval".to_owned(), json!(id))));
            fields.insert("counts".to_owned(), Value::Object(counts));
            fields.insert("decisions".to_owned(), self.rows.iter().map(decision).collect());
        }
        document
    }
}

fn name(row: &Row) -> String {
    let aim = &row.entry.aim;
    if aim.kind == crate::model::names::CLONE_KIND { aim.to_string() } else { format!("{} {aim}", aim.kind) }
}

fn colour(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done | Outcome::WouldApply => "32",
        Outcome::Gone | Outcome::Otherwise | Outcome::NotForApply => "33",
        Outcome::Nothing => "",
        _ => "31",
    }
}

fn paint(text: &str, colour: &str, colours: bool) -> String {
    if colours && !colour.is_empty() { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}
