//! **The dashboards for Grafana**: what each shows stands in a compact table, one file a dashboard. The JSON under
//! `dashboards/grafana` is made from it (`grafana.rs`), and a test holds the two equal.
//!
//! Contract: every replica exports its plan, so a query about what is so takes any one of them (`max by`), and one about what was
//! done sums over all. What is missing is never shown as zero: [`ask_or_zero`] gives a zero only while a daemon is scraped.
//! `uid`s never change, since people link to them.

mod capacity;
mod clones;
pub mod cloudwatch;
mod cost;
mod databases;
mod grafana;
mod health;
mod overview;

use serde_json::Value;

/// What a number is that nothing else says to be zero, while a daemon is scraped; without one there is none.
pub const ZERO: &str = " or 0 * max(clonewarden_leader)";

/// What panels about reviews need.
pub const WEBHOOK: &str = "the webhook (`--webhook-listen`)";
/// What panels about services need.
pub const SERVICE: &str = "the HTTP API (`--api-listen`)";
/// What panels about both need.
pub const WEBHOOK_OR_SERVICE: &str = "the webhook (`--webhook-listen`) or the HTTP API (`--api-listen`)";
/// What panels about requests to it need.
pub const API_SERVER: &str = "an API server (the demo has none)";
/// What panels about what AWS bills need.
const BILL: &str = "the bill (docs/billing.md)";

/// Every dashboard, the one to begin with first.
pub const ALL: &[Dashboard] =
    &[overview::DASHBOARD, clones::DASHBOARD, databases::DASHBOARD, cost::DASHBOARD, capacity::DASHBOARD, health::DASHBOARD];

/// The names of all of them, in the same order.
pub const NAMES: [&str; 6] = ["overview", "clones", "databases", "cost", "capacity", "health"];

/// One dashboard.
#[derive(Debug, Clone, Copy)]
pub struct Dashboard {
    /// What it is called by on the command line, in the name of its file and in its `uid`.
    pub name: &'static str,
    /// What people read.
    pub title: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// The labels that it can be narrowed down by.
    pub variables: &'static [Variable],
    /// Its panels, from top to bottom.
    pub rows: &'static [Row],
}

/// A label that a dashboard can be narrowed down by; its values are those of one metric.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The label, and the name of the variable.
    pub label: &'static str,
    /// The metric that has every value.
    pub metric: &'static str,
}

/// Panels under one heading. They are placed from left to right, 24 columns a line.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// How high each of its panels is, in Grafana's grid (30 pixels).
    pub height: u32,
    /// What stands under it.
    pub panels: &'static [Panel],
}

/// One panel.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// How it shows it.
    pub shape: Shape,
    /// What its values are.
    pub unit: Unit,
    /// How wide it is, of 24 columns.
    pub width: u32,
    /// What to make of it, for somebody who sees it for the first time.
    pub about: &'static str,
    /// Where its values come from. Of a table each is a column.
    pub queries: &'static [Query],
    /// From which value on which colour; green below.
    pub levels: &'static [(f64, &'static str)],
    /// Values that are words: value, word, colour.
    pub words: &'static [(&'static str, &'static str, &'static str)],
    /// What has to be switched on for it to show anything; empty: nothing.
    pub needs: &'static str,
    /// The alert whose page in `docs/runbooks.md` says what to do; empty: none.
    pub alert: &'static str,
}

/// A panel that others are made from: what they do not say.
const PANEL: Panel =
    Panel { title: "", shape: Shape::Lines, unit: Unit::Count, width: 8, about: "", queries: &[], levels: &[], words: &[], needs: "", alert: "" };

/// Where values come from.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// PromQL, with variables as Grafana puts them in.
    pub expression: &'static str,
    /// What each series is called, with labels as `{{label}}`; in a table the heading of the column.
    pub legend: &'static str,
    /// Whether no series means zero, as long as a daemon is scraped.
    pub or_zero: bool,
    /// What the column of a table is, where that is not the unit of its panel.
    pub unit: Option<Unit>,
}

/// A query whose every series shows.
const fn ask(expression: &'static str, legend: &'static str) -> Query {
    Query { expression, legend, or_zero: false, unit: None }
}

/// A query for one number, where no series means zero.
const fn ask_or_zero(expression: &'static str, legend: &'static str) -> Query {
    Query { expression, legend, or_zero: true, unit: None }
}

/// A query for a column of its own unit.
const fn column(expression: &'static str, legend: &'static str, unit: Unit) -> Query {
    Query { expression, legend, or_zero: false, unit: Some(unit) }
}

impl Query {
    /// The whole of it, as it stands in the JSON.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{}{}", self.expression, if self.or_zero { ZERO } else { "" })
    }
}

/// How a panel shows its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The present value, large.
    Stat,
    /// The present values, as bars up to 100 % or the largest.
    Bars,
    /// Values over time.
    Lines,
    /// Values over time that add up to a whole.
    Stack,
    /// Words over time.
    States,
    /// The present values, a line for each set of labels.
    Table,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Things a second.
    PerSecond,
    /// Seconds that pass.
    Seconds,
    /// A moment, in milliseconds since 1970, shown by how far it is away.
    FromNow,
    /// Bytes.
    Bytes,
    /// USD, or USD an hour where the title says so.
    Usd,
    /// A share: 1 is 100 %.
    Share,
}

impl Dashboard {
    /// What it is linked to by; it never changes.
    #[must_use]
    pub fn uid(&self) -> String {
        format!("clonewarden-{}", self.name)
    }

    /// The JSON that Grafana imports.
    #[must_use]
    pub fn json(&self) -> Value {
        grafana::dashboard(self)
    }

    /// Its panels, each once, in order.
    pub fn panels(&self) -> impl Iterator<Item = &'static Panel> {
        self.rows.iter().flat_map(|row| row.panels)
    }
}
