//! What is said at one moment, from what was gathered: the chosen metrics, in the order in which they matter.
//!
//! Contract: pure; the same metrics give the same readings in the same order. A label that CloudWatch cannot take leaves its series
//! out, and so does a value that is no number; both are counted. An empty label is sent as `-`, so that every series of a metric has
//! the same labels.

use super::signals;
use crate::{
    export::metrics::{TABLE, Unit},
    ports::{Measure, SeriesId},
};
use jiff::Timestamp;
use prometheus::proto::{Metric, MetricFamily, MetricType};

/// The metrics that are sent, those first that are the last to be left out. Not among them: what has a series for each clone, what
/// Prometheus alone can make something of (moments, informational labels), and what has many series and is no alert.
pub const CHOSEN: &[&str] = &[
    "clonewarden_leader",
    "clonewarden_paused",
    "clonewarden_clones",
    "clonewarden_overdue_clones",
    "clonewarden_orphans",
    "clonewarden_orphans_cost_usd_per_hour",
    "clonewarden_expiry_lateness_seconds",
    "clonewarden_plan_duration_seconds",
    "clonewarden_actions_total",
    "clonewarden_holds",
    "clonewarden_brake_waiting_clones",
    "clonewarden_cost_usd_per_hour",
    "clonewarden_cost_accrued_usd",
    "clonewarden_cost_committed_usd",
    "clonewarden_cost_forecast_usd",
    "clonewarden_budget_usd",
    "clonewarden_saved_usd",
    "clonewarden_cost_unallocated_usd_per_hour",
    "clonewarden_limit_used_clones",
    "clonewarden_limit_allowed_clones",
    "clonewarden_host_schemas",
    "clonewarden_host_schemas_allowed",
    "clonewarden_host_connections",
    "clonewarden_admission_reviews_total",
    "clonewarden_admission_review_duration_seconds",
    "clonewarden_aws_requests_total",
    "clonewarden_evidence_complete",
    "clonewarden_events_dropped_total",
    "clonewarden_journal_lines_total",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
];

/// What stands for an empty label.
const EMPTY: &str = "-";
/// The longest value of a label that CloudWatch takes.
const LONGEST: usize = 1_024;

/// What a series says at a moment, since the start of the process where it counts something.
#[derive(Debug, Clone, PartialEq)]
pub enum Amount {
    /// What is so.
    Level(f64),
    /// How much was counted.
    Total(f64),
    /// How many values fell between the bound before and this one; those above the last bound count with it.
    Buckets(Vec<(f64, u64)>),
}

/// One series at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What it is called.
    pub id: SeriesId,
    /// What it is measured in.
    pub measure: Measure,
    /// What it says.
    pub amount: Amount,
}

/// Everything that could be sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    /// The series, the most important first.
    pub series: Vec<Reading>,
    /// How many were left out since CloudWatch would refuse them.
    pub unfit: u64,
}

/// Reads what was gathered. `now` is for what an alert asks the age of.
#[must_use]
pub fn read(families: &[MetricFamily], now: Timestamp) -> Readings {
    let mut readings = Readings { series: signals::read(families, now), unfit: 0 };
    for name in CHOSEN {
        let Some((family, line)) = families.iter().find(|family| family.name() == *name).zip(TABLE.iter().find(|line| line.name == *name)) else {
            continue;
        };
        let mut series: Vec<Reading> = Vec::new();
        for metric in family.get_metric() {
            match (labels(metric), amount(family.get_field_type(), metric)) {
                (Some(labels), Some(amount)) => {
                    series.push(Reading { id: SeriesId { name: (*name).to_owned(), labels }, measure: measure(line.unit), amount });
                }
                _ => readings.unfit += 1,
            }
        }
        series.sort_by(|one, other| one.id.cmp(&other.id));
        readings.series.append(&mut series);
    }
    readings
}

/// Whether CloudWatch takes a number.
pub(super) fn fits(value: f64) -> bool {
    // 2^360; it takes neither NaN nor an infinity.
    value.is_finite() && value.abs() <= 2.0_f64.powi(360)
}

fn labels(metric: &Metric) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    for label in metric.get_label() {
        let value = if label.value().is_empty() { EMPTY } else { label.value() };
        let fits = value.len() <= LONGEST && value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !value.trim().is_empty();
        if !fits {
            return None;
        }
        labels.push((label.name().to_owned(), value.to_owned()));
    }
    labels.sort();
    Some(labels)
}

fn amount(kind: MetricType, metric: &Metric) -> Option<Amount> {
    match kind {
        MetricType::COUNTER => Some(metric.get_counter().get_value()).filter(|value| fits(*value)).map(Amount::Total),
        MetricType::GAUGE => Some(metric.get_gauge().get_value()).filter(|value| fits(*value)).map(Amount::Level),
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let (mut below, mut buckets) = (0, Vec::new());
            for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
                buckets.push((bucket.upper_bound(), bucket.cumulative_count().saturating_sub(below)));
                below = bucket.cumulative_count();
            }
            let last = buckets.last_mut()?;
            last.1 = last.1.saturating_add(histogram.get_sample_count().saturating_sub(below));
            Some(Amount::Buckets(buckets))
        }
        _ => None,
    }
}

fn measure(unit: Unit) -> Measure {
    match unit {
        Unit::Count => Measure::Count,
        Unit::Seconds => Measure::Seconds,
        Unit::Bytes => Measure::Bytes,
        Unit::Flag | Unit::Info | Unit::Timestamp | Unit::Usd | Unit::UsdPerHour | Unit::Ratio => Measure::Other,
    }
}
