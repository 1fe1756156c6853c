//! **The dashboards for CloudWatch**: a table of widgets, and the body that `put-dashboard` takes, made from it.
//!
//! Contract: the labels in a search are those of the metric's line in the table of metrics, so that a widget can ask only for what is
//! sent; a test also holds each metric against the list of those that are. Where it is sent to is said by whoever prints it.

use crate::export::{cloudwatch::signals, metrics::TABLE};
use serde_json::{Value, json};

/// The width of the grid.
const COLUMNS: u32 = 24;
/// How high each widget is.
const HEIGHT: u32 = 6;
/// What a point stands for, in seconds.
const PERIOD: u32 = 60;

/// Where the figures are.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The namespace that they are sent to.
    pub namespace: &'a str,
    /// The region.
    pub region: &'a str,
}

/// One dashboard.
#[derive(Debug, Clone, Copy)]
pub struct Board {
    /// What it is called by on the command line and in the name of its file.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// From left to right and top to bottom.
    pub widgets: &'static [Widget],
}

/// One widget.
#[derive(Debug, Clone, Copy)]
pub struct Widget {
    /// What it shows.
    pub title: &'static str,
    /// How wide it is, of 24 columns.
    pub width: u32,
    /// How it shows it.
    pub view: View,
    /// What it asks for.
    pub asks: &'static [Ask],
}

/// How a widget shows its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The newest values, large.
    Number,
    /// Lines over time.
    Lines,
    /// Areas over time that add up.
    Stack,
}

/// What a widget asks for.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    /// The figure of an alert.
    Signal(&'static str),
    /// Every series of a metric, each called by one of its labels.
    Each {
        /// The metric.
        metric: &'static str,
        /// What of a minute: `Maximum`, `Sum`, `p99`, `SampleCount`.
        stat: &'static str,
        /// The label; empty: the metric has none.
        by: &'static str,
        /// Only series with this value of a label; an empty label: all.
        only: (&'static str, &'static str),
    },
    /// The sum over every series of a metric.
    Sum {
        /// The metric.
        metric: &'static str,
        /// What of a minute.
        stat: &'static str,
        /// What it is called.
        label: &'static str,
    },
}

const fn each(metric: &'static str, stat: &'static str, by: &'static str) -> Ask {
    Ask::Each { metric, stat, by, only: ("", "") }
}

const fn sum(metric: &'static str, stat: &'static str, label: &'static str) -> Ask {
    Ask::Sum { metric, stat, label }
}

/// All of them.
pub const BOARDS: &[Board] = &[
    Board {
        name: "overview",
        about: "Is all well, and if not, where to look. What to do about an alarm: docs/runbooks.md.",
        widgets: &[
            Widget {
                title: "acts, paused, brake, silent for (s), behind (s)",
                width: 24,
                view: View::Number,
                asks: &[
                    Ask::Signal("ClonewardenNobodyActs"),
                    Ask::Signal("ClonewardenPaused"),
                    Ask::Signal("ClonewardenBrakeOn"),
                    Ask::Signal("ClonewardenSilent"),
                    Ask::Signal("ClonewardenReaperBehind"),
                ],
            },
            Widget { title: "clones by state", width: 12, view: View::Stack, asks: &[each("clonewarden_clones", "Maximum", "state")] },
            Widget {
                title: "overdue, by what lets them live",
                width: 12,
                view: View::Stack,
                asks: &[each("clonewarden_overdue_clones", "Maximum", "cause")],
            },
            Widget {
                title: "carried out a minute",
                width: 8,
                view: View::Lines,
                asks: &[Ask::Each { metric: "clonewarden_actions_total", stat: "Sum", by: "action", only: ("outcome", "done") }],
            },
            Widget {
                title: "failed a minute",
                width: 8,
                view: View::Lines,
                asks: &[Ask::Each { metric: "clonewarden_actions_total", stat: "Sum", by: "action", only: ("outcome", "failed") }],
            },
            Widget {
                title: "how late ends are (s, p99)",
                width: 8,
                view: View::Lines,
                asks: &[each("clonewarden_expiry_lateness_seconds", "p99", "")],
            },
            Widget { title: "held, by why", width: 12, view: View::Stack, asks: &[each("clonewarden_holds", "Maximum", "code")] },
            Widget {
                title: "orphans, by how far they have come",
                width: 12,
                view: View::Stack,
                asks: &[each("clonewarden_orphans", "Maximum", "phase")],
            },
            Widget { title: "planning (s, p99)", width: 8, view: View::Lines, asks: &[each("clonewarden_plan_duration_seconds", "p99", "")] },
            Widget { title: "reviews a minute", width: 8, view: View::Lines, asks: &[each("clonewarden_admission_reviews_total", "Sum", "outcome")] },
            Widget { title: "memory (bytes)", width: 8, view: View::Lines, asks: &[each("process_resident_memory_bytes", "Maximum", "")] },
        ],
    },
    Board {
        name: "cost",
        about: "What clones and orphans cost, by the price book, in USD.",
        widgets: &[
            Widget {
                title: "used of the fullest budget, orphans (USD an hour)",
                width: 24,
                view: View::Number,
                asks: &[Ask::Signal("ClonewardenBudgetNear"), Ask::Signal("ClonewardenOrphanCost"), Ask::Signal("ClonewardenCostDrift")],
            },
            Widget {
                title: "USD an hour, by namespace and part",
                width: 12,
                view: View::Stack,
                asks: &[each("clonewarden_cost_usd_per_hour", "Maximum", "namespace")],
            },
            Widget {
                title: "this month, by namespace and part",
                width: 12,
                view: View::Stack,
                asks: &[each("clonewarden_cost_accrued_usd", "Maximum", "namespace")],
            },
            Widget {
                title: "this month",
                width: 12,
                view: View::Lines,
                asks: &[
                    sum("clonewarden_cost_accrued_usd", "Maximum", "accrued"),
                    sum("clonewarden_cost_forecast_usd", "Maximum", "forecast"),
                    sum("clonewarden_budget_usd", "Maximum", "budgets"),
                    sum("clonewarden_saved_usd", "Maximum", "saved by reaping"),
                ],
            },
            Widget {
                title: "orphans, USD an hour",
                width: 12,
                view: View::Stack,
                asks: &[each("clonewarden_orphans_cost_usd_per_hour", "Maximum", "phase")],
            },
        ],
    },
];

impl Board {
    /// The body that CloudWatch takes.
    #[must_use]
    pub fn json(&self, place: &Place<'_>) -> Value {
        let mut widgets = vec![json!({
            "type": "text", "x": 0, "y": 0, "width": COLUMNS, "height": 2,
            "properties": {"markdown": format!("**clonewarden: {}**\n\n{}", self.name, self.about)},
        })];
        let (mut x, mut y) = (0, 2);
        for widget in self.widgets {
            if x + widget.width > COLUMNS {
                (x, y) = (0, y + HEIGHT);
            }
            widgets.push(json!({"type": "metric", "x": x, "y": y, "width": widget.width, "height": HEIGHT, "properties": widget.properties(place)}));
            x += widget.width;
        }
        json!({"start": "-PT6H", "periodOverride": "inherit", "widgets": widgets})
    }
}

impl Widget {
    fn properties(&self, place: &Place<'_>) -> Value {
        let metrics: Vec<Value> = self.asks.iter().zip(1..).map(|(ask, number)| ask.metric(place, number)).collect();
        let mut properties = json!({
            "title": self.title,
            "region": place.region,
            "view": if self.view == View::Number { "singleValue" } else { "timeSeries" },
            "stacked": self.view == View::Stack,
            "period": PERIOD,
            "stat": "Maximum",
            "metrics": metrics,
        });
        if let Some(fields) = properties.as_object_mut().filter(|_| self.view != View::Number) {
            fields.insert("yAxis".to_owned(), json!({"left": {"min": 0}}));
        }
        properties
    }
}

impl Ask {
    /// What it asks for, if it is a metric of the table.
    #[must_use]
    pub fn of(&self) -> Option<&'static str> {
        match self {
            Self::Signal(_) => None,
            Self::Each { metric, .. } | Self::Sum { metric, .. } => Some(metric),
        }
    }

    fn metric(&self, place: &Place<'_>, number: u32) -> Value {
        let id = format!("q{number}");
        match self {
            Self::Signal(alert) => {
                let label = alert.strip_prefix("Clonewarden").unwrap_or(alert);
                json!([place.namespace, signals::NAME, signals::LABEL, alert, {"id": id, "label": label}])
            }
            Self::Each { metric, stat, by, only } => {
                let label = if by.is_empty() { String::new() } else { format!("${{PROP('Dim.{by}')}}") };
                json!([{"expression": search(place, metric, stat, *only), "id": id, "label": label}])
            }
            Self::Sum { metric, stat, label } => {
                json!([{"expression": format!("SUM({})", search(place, metric, stat, ("", ""))), "id": id, "label": label}])
            }
        }
    }
}

/// Every series of a metric.
fn search(place: &Place<'_>, metric: &str, stat: &str, only: (&str, &str)) -> String {
    let labels = TABLE.iter().find(|line| line.name == metric).map(|line| line.labels).unwrap_or_default();
    let schema: String = labels.iter().map(|label| format!(",{label}")).collect();
    let only = if only.0.is_empty() { String::new() } else { format!(" {}=\"{}\"", only.0, only.1) };
    format!("SEARCH('{{\"{}\"{schema}}} MetricName=\"{metric}\"{only}', '{stat}', {PERIOD})", place.namespace)
}
