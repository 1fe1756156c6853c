//! **One figure for each alert**: what the alert's rule in `deploy/monitoring/rules.yaml` compares with its threshold, computed here,
//! since an alarm of CloudWatch can neither look over all namespaces nor tell how old something is.
//!
//! Contract: pure. Only the holder of the lease sends, so that `max by` over replicas is its own value. A figure whose metric is not
//! there is zero where that means *none*, and absent where it means *not known*. The thresholds are those of the rules: a test compares
//! them with `deploy/monitoring/cloudwatch-alarms.yaml`.

use super::readings::{Amount, Reading, fits};
use crate::ports::{Measure, SeriesId};
use jiff::Timestamp;
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;

/// What all of them are called. The label `alert` says which.
pub const NAME: &str = "clonewarden_signal";
/// The label.
pub const LABEL: &str = "alert";

/// Alerts that cannot be alarms, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("ClonewardenDown", "for CloudWatch a process that is gone and one without the lease look the same: ClonewardenNobodyActs says both"),
    ("ClonewardenPoliciesDiffer", "only the holder of the lease sends, so nothing can be compared"),
    ("ClonewardenNotificationsFailing", "whoever has these alarms told by CloudWatch need not be told by us as well"),
    ("ClonewardenCloudWatchSilent", "where nothing is sent, ClonewardenNobodyActs says so"),
];

/// Everything that was gathered, and when.
pub struct World<'a> {
    families: &'a [MetricFamily],
    now: Timestamp,
}

/// One of them.
pub struct Signal {
    /// The alert.
    pub alert: &'static str,
    /// Whether it counts since the start of the process; otherwise it is what is so.
    pub counts: bool,
    value: fn(&World<'_>) -> Option<f64>,
}

/// The loops that have to turn where clones are governed. A rule names the same.
pub const LOOPS: [&str; 5] = ["plan", "act", "lease", "state", "approvals"];
/// What is held for as long as somebody wants it, and is no alert. A rule names the same.
pub const WANTED: [&str; 10] =
    ["Vetoed", "Protected", "Restored", "InheritedTags", "Claimed", "Busy", "StillNeeded", "WaitsForMembers", "WaitsForCluster", "GoesWithJob"];

const fn level(alert: &'static str, value: fn(&World<'_>) -> Option<f64>) -> Signal {
    Signal { alert, counts: false, value }
}

const fn counted(alert: &'static str, value: fn(&World<'_>) -> Option<f64>) -> Signal {
    Signal { alert, counts: true, value }
}

/// All of them.
pub const SIGNALS: &[Signal] = &[
    level("ClonewardenNobodyActs", |world| world.max("clonewarden_leader", |_| true)),
    level("ClonewardenSilent", |world| world.oldest(|name| LOOPS.contains(&name))),
    level("ClonewardenSweepSilent", |world| Some(world.oldest(|name| name.starts_with("sweep/")).unwrap_or(0.0))),
    level("ClonewardenEvidenceMissing", |world| {
        let absent = world.by("clonewarden_evidence_absent", &["source"], |_| true);
        let missing = |(key, complete): (&Vec<String>, &f64)| *complete == 0.0 && absent.get(key) != Some(&1.0) && *key != ["billing"];
        let sources = world.by("clonewarden_evidence_complete", &["source"], |_| true);
        Some(count(sources.iter().filter(|one| missing(*one)).count()))
    }),
    counted("ClonewardenActionsFailing", |world| Some(world.sum("clonewarden_actions_total", |of| of("outcome") == "failed"))),
    counted("ClonewardenJournalFailing", |world| Some(world.sum("clonewarden_journal_failures_total", |_| true))),
    level("ClonewardenNoticesLate", |world| world.max_or_none("clonewarden_notices_late", |_| true)),
    counted("ClonewardenNoticesLost", |world| Some(world.sum("clonewarden_notices_lost_total", |of| of("severity") != "info"))),
    level("ClonewardenPaused", |world| world.max("clonewarden_paused", |_| true)),
    level("ClonewardenPolicyBroken", |world| world.max("clonewarden_policy_load_failed", |_| true)),
    level("ClonewardenCertificateEnding", |world| {
        world.max("clonewarden_webhook_certificate_expires_timestamp_seconds", |_| true).map(|ends| ends - world.seconds())
    }),
    level("ClonewardenUnguarded", |world| world.each("clonewarden_guarded", |_| true).map(|(_, guarded)| guarded).reduce(f64::min)),
    level("ClonewardenCredentialsKey", |world| world.alerts(|code| code.starts_with("CredentialsKey"))),
    level("ClonewardenReaperBehind", |world| world.max_or_none("clonewarden_overdue_oldest_seconds", |of| matches!(of("cause"), "due" | "held"))),
    level("ClonewardenBrakeOn", |world| world.max_or_none("clonewarden_brake_on", |_| true)),
    level("ClonewardenHoldLasting", |world| world.max_or_none("clonewarden_holds", |of| of("kind") != "Source" && !WANTED.contains(&of("code")))),
    level("ClonewardenPopulationLost", |world| {
        let held = world.max_or_none("clonewarden_holds", |of| matches!(of("code"), "DefinitionGone" | "ClusterIdShared" | "AccountChanged"));
        Some(held?.max(world.alerts(|code| code == "Collapsed")?))
    }),
    level("ClonewardenDefinitionNotReady", |world| world.alerts(|code| code == "DefinitionNotReady")),
    level("ClonewardenStuckTerminating", |world| world.alerts(|code| code == "StuckTerminating")),
    level("ClonewardenClonesBroken", |world| {
        let broken = world.by("clonewarden_clones", &["namespace", "policy"], |of| of("state") == "broken");
        Some(largest(broken.values().copied()).unwrap_or(0.0))
    }),
    level("ClonewardenKeptPastCeiling", |world| world.alerts(|code| code == "KeptPastCeiling")),
    level("ClonewardenClonesUngoverned", |world| world.max("clonewarden_clones_ungoverned", |_| true)),
    level("ClonewardenCapNear", |world| {
        let labels = ["namespace", "policy", "limit"];
        let shared = |of: &dyn Fn(&str) -> String| of("limit") != "clonesPerOwner";
        let used = world.by("clonewarden_limit_used_clones", &labels, |of| shared(&|name| of(name).to_owned()));
        let allowed = world.by("clonewarden_limit_allowed_clones", &labels, |of| shared(&|name| of(name).to_owned()));
        Some(share(&used, &allowed))
    }),
    level("ClonewardenHostFull", |world| {
        let (used, room) = (world.sum_by("clonewarden_host_schemas", "host"), world.sum_by("clonewarden_host_schemas_allowed", "host"));
        Some(share(&used, &room))
    }),
    level("ClonewardenOrphanOld", |world| {
        world.max_or_none("clonewarden_orphans_oldest_age_seconds", |of| !matches!(of("phase"), "Held" | "Marked"))
    }),
    level("ClonewardenOrphanCost", |world| Some(world.sum("clonewarden_orphans_cost_usd_per_hour", |_| true))),
    level("ClonewardenOrphanWithoutPolicy", |world| {
        Some(world.sum("clonewarden_orphans", |of| of("policy_known") == "false" && of("phase") != "Deleted"))
    }),
    level("ClonewardenBudgetNear", |world| Some(world.used_of_budget())),
    level("ClonewardenBudgetExceeded", |world| Some(world.used_of_budget())),
    level("ClonewardenCostsNotCounted", |world| {
        world.alerts(|code| matches!(code, "CostsNotCounted" | "PricesUnknown" | "Unpriced" | "PricesOld" | "BillingUnread"))
    }),
    level("ClonewardenCostDrift", |world| {
        let drifts = world.by("clonewarden_cost_drift_ratio", &["namespace", "month"], |_| true);
        Some(largest(drifts.values().map(|drift| drift.abs())).unwrap_or(0.0))
    }),
    level("ClonewardenCloudWatchLimited", |world| world.max_or_none("clonewarden_cloudwatch_series_left_out", |_| true)),
];

/// Reads all of them.
pub(super) fn read(families: &[MetricFamily], now: Timestamp) -> Vec<Reading> {
    let world = World { families, now };
    let one = |signal: &Signal| {
        let value = (signal.value)(&world).filter(|value| fits(*value))?;
        let id = SeriesId { name: NAME.to_owned(), labels: vec![(LABEL.to_owned(), signal.alert.to_owned())] };
        Some(Reading { id, measure: Measure::Other, amount: if signal.counts { Amount::Total(value) } else { Amount::Level(value) } })
    };
    SIGNALS.iter().filter_map(one).collect()
}

/// How the label of a name reads; empty where there is none.
type Of<'m> = dyn Fn(&str) -> &'m str + 'm;

impl World<'_> {
    fn seconds(&self) -> f64 {
        self.now.as_duration().as_secs_f64()
    }

    /// The value of each series of a metric that fits, with its labels.
    fn each<'m>(&'m self, name: &'m str, fits: impl Fn(&Of<'m>) -> bool + 'm) -> impl Iterator<Item = (&'m Metric, f64)> + 'm {
        let family = self.families.iter().find(move |family| family.name() == name);
        family
            .into_iter()
            .flat_map(move |family| {
                let counter = family.get_field_type() == MetricType::COUNTER;
                family
                    .get_metric()
                    .iter()
                    .map(move |metric| (metric, if counter { metric.get_counter().get_value() } else { metric.get_gauge().get_value() }))
            })
            .filter(move |(metric, _)| fits(&|label| of(metric, label)))
    }

    fn max<'m>(&'m self, name: &'m str, fits: impl Fn(&Of<'m>) -> bool + 'm) -> Option<f64> {
        largest(self.each(name, fits).map(|(_, value)| value))
    }

    /// Where no series means that there is none of it.
    fn max_or_none<'m>(&'m self, name: &'m str, fits: impl Fn(&Of<'m>) -> bool + 'm) -> Option<f64> {
        Some(self.max(name, fits).unwrap_or(0.0))
    }

    fn sum<'m>(&'m self, name: &'m str, fits: impl Fn(&Of<'m>) -> bool + 'm) -> f64 {
        self.each(name, fits).fold(0.0, |sum, (_, value)| sum + value)
    }

    /// The largest value for each set of labels.
    fn by<'m>(&'m self, name: &'m str, labels: &[&str], fits: impl Fn(&Of<'m>) -> bool + 'm) -> BTreeMap<Vec<String>, f64> {
        let mut all = BTreeMap::new();
        for (metric, value) in self.each(name, fits) {
            let key = labels.iter().map(|label| of(metric, label).to_owned()).collect();
            let known = all.entry(key).or_insert(value);
            *known = value.max(*known);
        }
        all
    }

    /// The sum for each value of a label.
    fn sum_by(&self, name: &str, label: &str) -> BTreeMap<Vec<String>, f64> {
        let mut all = BTreeMap::new();
        for (metric, value) in self.each(name, |_| true) {
            *all.entry(vec![of(metric, label).to_owned()]).or_insert(0.0) += value;
        }
        all
    }

    /// The most decisions of the plan that only say something, of one code and policy.
    fn alerts(&self, code: impl Fn(&str) -> bool) -> Option<f64> {
        self.max_or_none("clonewarden_decisions", move |of| of("action") == "alert" && code(of("code")))
    }

    fn oldest(&self, of_loop: impl Fn(&str) -> bool) -> Option<f64> {
        let ages = self.each("clonewarden_loop_last_success_timestamp_seconds", move |of| of_loop(of("loop")));
        largest(ages.map(|(_, at)| self.seconds() - at))
    }

    /// The largest share of a budget that is accrued or committed.
    fn used_of_budget(&self) -> f64 {
        let mut used = self.sum_by("clonewarden_cost_accrued_usd", "namespace");
        for (namespace, committed) in self.sum_by("clonewarden_cost_committed_usd", "namespace") {
            *used.entry(namespace).or_insert(0.0) += committed;
        }
        share(&used, &self.by("clonewarden_budget_usd", &["namespace"], |_| true))
    }
}

fn of<'m>(metric: &'m Metric, label: &str) -> &'m str {
    metric.get_label().iter().find(|pair| pair.name() == label).map_or("", |pair| pair.value())
}

fn largest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::max)
}

/// The largest part of a whole, of those that are not zero.
fn share(parts: &BTreeMap<Vec<String>, f64>, wholes: &BTreeMap<Vec<String>, f64>) -> f64 {
    let shares = parts.iter().filter_map(|(key, part)| Some(part / wholes.get(key).filter(|whole| **whole > 0.0)?));
    largest(shares).unwrap_or(0.0)
}

fn count(number: usize) -> f64 {
    crate::export::figures::number(number)
}
