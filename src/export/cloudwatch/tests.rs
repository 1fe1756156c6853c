//! What is sent, of whatever was gathered.

use super::{
    Amount, CHOSEN, Item, Ledger, Reading, Readings, batch, batches, read,
    signals::{LEFT_OUT, SIGNALS},
};
use crate::{
    export::metrics::{TABLE, Type, Unit},
    ports::{Datum, Measure, Said, SeriesId},
};
use jiff::Timestamp;
use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry};
use std::collections::BTreeSet;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + seconds).unwrap()
}

fn id(name: &str, labels: &[(&str, &str)]) -> SeriesId {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    SeriesId { name: name.to_owned(), labels }
}

fn one(name: &str, amount: Amount) -> Reading {
    Reading { id: id(name, &[]), measure: Measure::Count, amount }
}

fn readings(series: Vec<Reading>) -> Readings {
    Readings { series, unfit: 0 }
}

fn total(total: f64) -> Readings {
    readings(vec![one("c", Amount::Total(total))])
}

fn said(items: &[Item]) -> Vec<(String, Said)> {
    items.iter().map(|item| (item.datum.id.to_string(), item.datum.said.clone())).collect()
}

fn grown(ledger: &mut Ledger, stands_at: f64) -> Option<f64> {
    let items = ledger.due(&total(stands_at), at(0)).items;
    match said(&items).as_slice() {
        [] => None,
        [(_, Said::One(grown))] => Some(*grown),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_counter_is_sent_by_what_it_has_grown_since_it_was_delivered() {
    let mut ledger = Ledger::new(10);
    assert_eq!(grown(&mut ledger, 0.0), None, "a counter that never moved costs nothing");
    assert_eq!(grown(&mut ledger, 3.0), Some(3.0));
    assert_eq!(grown(&mut ledger, 5.0), Some(5.0), "what was only gathered was not delivered");
    let items = ledger.due(&total(5.0), at(0)).items;
    ledger.take(&items, at(0));
    assert_eq!(grown(&mut ledger, 5.0), None);
    let items = ledger.due(&total(7.0), at(0)).items;
    ledger.take(&items, at(0));
    assert_eq!(grown(&mut ledger, 9.0), Some(2.0), "while it is under way it counts as delivered");
    ledger.give_back(&items);
    assert_eq!(grown(&mut ledger, 9.0), Some(4.0), "what was not taken is in the next difference, once");
    assert_eq!(grown(&mut ledger, 1.0), Some(1.0), "a counter that began anew");
    ledger.pass(&total(20.0));
    assert_eq!(grown(&mut ledger, 21.0), Some(1.0), "what a standby counted is not sent");
}

#[test]
fn what_an_alarm_counts_has_its_place_before_it_counts_anything() {
    let signal = |stands_at| readings(vec![one("clonewarden_signal", Amount::Total(stands_at)), one("c", Amount::Total(1.0))]);
    let mut ledger = Ledger::new(1);
    let minute = |ledger: &mut Ledger, seconds, stands_at| {
        let items = ledger.due(&signal(stands_at), at(seconds)).items;
        ledger.take(&items, at(seconds));
        said(&items)
    };
    let sent = |grown| vec![("clonewarden_signal{}".to_owned(), Said::One(grown))];
    assert_eq!(minute(&mut ledger, 0, 0.0), sent(0.0));
    assert_eq!(minute(&mut ledger, 60, 0.0), [], "once an hour is enough");
    assert_eq!(minute(&mut ledger, 120, 2.0), sent(2.0), "there is room for it");
    assert_eq!(minute(&mut ledger, 3_720, 2.0), sent(0.0), "in the next hour, too");
}

#[test]
fn a_series_that_is_missing_for_a_moment_is_not_new() {
    let mut ledger = Ledger::new(10);
    let items = ledger.due(&total(5.0), at(0)).items;
    ledger.take(&items, at(0));
    assert!(ledger.due(&Readings::default(), at(1)).items.is_empty());
    assert_eq!(grown(&mut ledger, 6.0), Some(1.0));
}

#[test]
fn a_histogram_is_sent_by_the_values_that_are_new() {
    let mut ledger = Ledger::new(10);
    let at_first = readings(vec![one("h", Amount::Buckets(vec![(1.0, 2), (5.0, 0), (10.0, 1)]))]);
    let items = ledger.due(&at_first, at(0)).items;
    assert_eq!(said(&items), [("h{}".to_owned(), Said::Spread(vec![(1.0, 2), (10.0, 1)]))]);
    ledger.take(&items, at(0));
    assert!(ledger.due(&at_first, at(0)).items.is_empty());
    let later = readings(vec![one("h", Amount::Buckets(vec![(1.0, 2), (5.0, 4), (10.0, 2)]))]);
    assert_eq!(said(&ledger.due(&later, at(0)).items), [("h{}".to_owned(), Said::Spread(vec![(5.0, 4), (10.0, 1)]))]);
    ledger.give_back(&items);
    assert_eq!(said(&ledger.due(&later, at(0)).items), [("h{}".to_owned(), Said::Spread(vec![(1.0, 2), (5.0, 4), (10.0, 2)]))]);
}

#[test]
fn levels_are_only_the_newest_and_the_last_message_has_none() {
    let mut ledger = Ledger::new(10);
    let both = readings(vec![one("g", Amount::Level(4.0)), one("c", Amount::Total(1.0))]);
    let items = ledger.due(&both, at(0)).items;
    ledger.take(&items, at(0));
    ledger.give_back(&items);
    assert_eq!(said(&ledger.due(&both, at(60)).items), [("g{}".to_owned(), Said::One(4.0)), ("c{}".to_owned(), Said::One(1.0))]);
    assert_eq!(said(&ledger.due_last(&both, at(60)).items), [("c{}".to_owned(), Said::One(1.0))]);
}

#[test]
fn no_more_series_than_allowed_are_sent_in_an_hour_and_the_first_ones_first() {
    let mut ledger = Ledger::new(2);
    let of = |names: &[&str]| readings(names.iter().map(|name| one(name, Amount::Level(1.0))).collect());
    let send = |ledger: &mut Ledger, names: &[&str], seconds: i64| {
        let due = ledger.due(&of(names), at(seconds));
        ledger.take(&due.items, at(seconds));
        let names: Vec<String> = due.items.iter().map(|item| item.datum.id.name.clone()).collect();
        (names.join(""), due.left_out, ledger.series())
    };
    let begin = 3_600 - at(0).as_second() % 3_600;
    assert_eq!(send(&mut ledger, &["b", "c", "d"], begin), ("bc".to_owned(), 1, 2));
    assert_eq!(send(&mut ledger, &["a", "b", "c", "d"], begin + 60), ("bc".to_owned(), 2, 2), "AWS has billed these already");
    assert_eq!(send(&mut ledger, &["a", "d"], begin + 120), (String::new(), 2, 2), "also when they are gone");
    assert_eq!(send(&mut ledger, &["a", "b", "c"], begin + 3_600), ("ab".to_owned(), 1, 2), "in the next hour the order decides");
}

#[test]
fn what_cloudwatch_does_not_take_is_left_out_and_counted() {
    let registry = Registry::new();
    let clones = GaugeVec::new(Opts::new("clonewarden_clones", "x"), &["namespace", "policy", "state"]).unwrap();
    registry.register(Box::new(clones.clone())).unwrap();
    for (namespace, value) in [("a", 1.0), ("", 2.0), ("é", 1.0), ("a\u{7}", 1.0), ("  ", 1.0), (&"x".repeat(1_025), 1.0), ("nan", f64::NAN)] {
        clones.with_label_values(&[namespace, "p", "living"]).set(value);
    }
    clones.with_label_values(&["infinite", "p", "living"]).set(f64::INFINITY);
    clones.with_label_values(&["large", "p", "living"]).set(1e300);
    let readings = read(&registry.gather(), at(0));
    let seen: Vec<String> = readings.series.iter().filter(|one| one.id.name == "clonewarden_clones").map(|one| one.id.to_string()).collect();
    assert_eq!(seen, ["clonewarden_clones{namespace=-,policy=p,state=living}", "clonewarden_clones{namespace=a,policy=p,state=living}"]);
    assert_eq!(readings.unfit, 7);
}

#[test]
fn values_above_the_last_bound_count_with_it() {
    let registry = Registry::new();
    let options = HistogramOpts::new("clonewarden_plan_duration_seconds", "x").buckets(vec![1.0, 2.0]);
    let took = HistogramVec::new(options, &[]).unwrap();
    let done = CounterVec::new(Opts::new("clonewarden_events_dropped_total", "x"), &[]).unwrap();
    registry.register(Box::new(took.clone())).unwrap();
    registry.register(Box::new(done.clone())).unwrap();
    done.with_label_values::<&str>(&[]).inc();
    for value in [0.5, 1.0, 1.5, 99.0] {
        took.with_label_values::<&str>(&[]).observe(value);
    }
    let readings = read(&registry.gather(), at(0)).series;
    let of = |name: &str| readings.iter().find(|one| one.id.name == name).unwrap();
    assert_eq!(of("clonewarden_plan_duration_seconds").amount, Amount::Buckets(vec![(1.0, 2), (2.0, 2)]));
    assert_eq!(of("clonewarden_plan_duration_seconds").measure, Measure::Seconds);
    assert_eq!(of("clonewarden_events_dropped_total").amount, Amount::Total(1.0));
}

#[test]
fn a_request_is_never_larger_than_aws_takes() {
    let item = |label: String| {
        let series = Reading { id: id("g", &[("namespace", &label)]), measure: Measure::Count, amount: Amount::Level(1.0) };
        Ledger::new(1).due(&readings(vec![series]), at(0)).items.remove(0)
    };
    let sizes = |items: Vec<Item>| batches(items).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes((0..2_001).map(|number| item(number.to_string())).collect()), [1_000, 1_000, 1]);
    let large: Vec<Item> = (0..1_000).map(|number| item(format!("{number:01024}"))).collect();
    let cut = batches(large);
    assert!(cut.len() > 1, "a thousand long ones are more than 1 MB");
    for batch in &cut {
        assert!(batch.iter().map(|item| batch::size(&item.datum)).sum::<usize>() <= 900_000);
    }
    assert_eq!(cut.iter().map(Vec::len).sum::<usize>(), 1_000);
    assert!(batches(Vec::new()).is_empty());
}

#[test]
fn every_histogram_fits_into_one_figure() {
    for line in TABLE.iter().filter(|line| line.kind == Type::Histogram) {
        assert!(line.buckets.len() <= 150, "{}", line.name);
    }
}

#[test]
fn what_is_chosen_is_there_and_has_no_series_for_each_clone() {
    let mut names = BTreeSet::new();
    for name in CHOSEN {
        let line = TABLE.iter().find(|line| line.name == *name).unwrap_or_else(|| panic!("no metric is called {name}"));
        assert!(names.insert(name), "{name} is there twice");
        assert!(!line.labels.contains(&"name") && line.labels.len() <= 30, "{name}");
        assert!(!matches!(line.unit, Unit::Timestamp | Unit::Info), "{name} says nothing to an alarm or a graph");
    }
}

#[test]
fn every_signal_is_there_once() {
    let alerts: BTreeSet<&str> = SIGNALS.iter().map(|signal| signal.alert).chain(LEFT_OUT.iter().map(|(alert, _)| *alert)).collect();
    assert_eq!(alerts.len(), SIGNALS.len() + LEFT_OUT.len());
}

#[test]
fn signals_are_what_the_rules_compare() {
    let registry = Registry::new();
    let gauge = |name: &str, labels: &[&str], series: &[(&[&str], f64)]| {
        let made = GaugeVec::new(Opts::new(name, "x"), labels).unwrap();
        registry.register(Box::new(made.clone())).unwrap();
        series.iter().for_each(|(values, value)| made.with_label_values(values).set(*value));
    };
    let now = at(0).as_second() as f64;
    gauge("clonewarden_leader", &[], &[(&[], 1.0)]);
    let loops: [(&[&str], f64); 4] = [(&["plan"], now - 30.0), (&["act"], now - 70.0), (&["sweep/us-east-1"], now - 900.0), (&["mirror/Job"], 0.0)];
    gauge("clonewarden_loop_last_success_timestamp_seconds", &["loop"], &loops);
    gauge("clonewarden_evidence_complete", &["source"], &[(&["clones"], 1.0), (&["databases"], 0.0), (&["jobs"], 0.0), (&["billing"], 0.0)]);
    gauge("clonewarden_evidence_absent", &["source"], &[(&["databases"], 1.0), (&["jobs"], 0.0)]);
    let overdue: [(&[&str], f64); 3] = [(&["p", "due"], 20.0), (&["q", "held"], 950.0), (&["q", "grace"], 9_999.0)];
    gauge("clonewarden_overdue_oldest_seconds", &["policy", "cause"], &overdue);
    let held: [(&[&str], f64); 4] =
        [(&["Vetoed", "Clone", "p"], 9.0), (&["X", "Source", ""], 8.0), (&["AccountChanged", "Instance", ""], 2.0), (&["X", "Clone", "p"], 3.0)];
    gauge("clonewarden_holds", &["code", "kind", "policy"], &held);
    let decided: [(&[&str], f64); 3] =
        [(&["alert", "KeptPastCeiling", "p"], 4.0), (&["alert", "Collapsed", ""], 1.0), (&["delete", "StuckTerminating", "p"], 7.0)];
    gauge("clonewarden_decisions", &["action", "code", "policy"], &decided);
    let used: [(&[&str], f64); 3] = [(&["a", "p", "clones"], 9.0), (&["b", "p", "clones"], 5.0), (&["a", "p", "clonesPerOwner"], 2.0)];
    gauge("clonewarden_limit_used_clones", &["namespace", "policy", "limit"], &used);
    let allowed: [(&[&str], f64); 3] = [(&["a", "p", "clones"], 10.0), (&["b", "p", "clones"], 0.0), (&["a", "p", "clonesPerOwner"], 2.0)];
    gauge("clonewarden_limit_allowed_clones", &["namespace", "policy", "limit"], &allowed);
    gauge("clonewarden_cost_accrued_usd", &["namespace", "part"], &[(&["a", "databases"], 50.0), (&["a", "fixed"], 10.0), (&["b", "fixed"], 900.0)]);
    gauge("clonewarden_cost_committed_usd", &["namespace"], &[(&["a"], 30.0)]);
    gauge("clonewarden_budget_usd", &["namespace", "policy"], &[(&["a", "p"], 100.0)]);
    gauge("clonewarden_cost_drift_ratio", &["month", "namespace"], &[(&["m", "a"], 0.1), (&["m", "b"], -0.5)]);
    gauge("clonewarden_host_schemas", &["host", "state"], &[(&["h", "ready"], 8.0), (&["h", "making"], 1.0)]);
    gauge("clonewarden_host_schemas_allowed", &["host"], &[(&["h"], 10.0)]);
    gauge("clonewarden_orphans_cost_usd_per_hour", &["kind", "phase"], &[(&["i", "Due"], 0.25), (&["s", "Held"], 0.5)]);
    let orphans: [(&[&str], f64); 3] = [(&["i", "Marked", "false"], 2.0), (&["i", "Deleted", "false"], 5.0), (&["s", "Due", "true"], 7.0)];
    gauge("clonewarden_orphans", &["kind", "phase", "policy_known"], &orphans);
    gauge("clonewarden_webhook_certificate_expires_timestamp_seconds", &[], &[(&[], now + 500.0)]);
    gauge("clonewarden_guarded", &["rule"], &[(&["deletions"], 1.0), (&["secrets"], 0.0)]);
    gauge("clonewarden_clones_ungoverned", &[], &[(&[], 3.0)]);

    let readings = read(&registry.gather(), at(0)).series;
    let value = |alert: &str| {
        let found = readings.iter().find(|one| one.id == id("clonewarden_signal", &[("alert", alert)]));
        found.map(|one| match one.amount {
            Amount::Level(value) | Amount::Total(value) => value,
            Amount::Buckets(_) => panic!("{alert}"),
        })
    };
    for (alert, expected) in [
        ("ClonewardenNobodyActs", 1.0),
        ("ClonewardenSilent", 70.0),
        ("ClonewardenSweepSilent", 900.0),
        ("ClonewardenEvidenceMissing", 1.0),
        ("ClonewardenReaperBehind", 950.0),
        ("ClonewardenHoldLasting", 3.0),
        ("ClonewardenPopulationLost", 2.0),
        ("ClonewardenKeptPastCeiling", 4.0),
        ("ClonewardenStuckTerminating", 0.0),
        ("ClonewardenCapNear", 0.9),
        ("ClonewardenHostFull", 0.9),
        ("ClonewardenBudgetNear", 0.9),
        ("ClonewardenCostDrift", 0.5),
        ("ClonewardenOrphanCost", 0.75),
        ("ClonewardenOrphanWithoutPolicy", 2.0),
        ("ClonewardenCertificateEnding", 500.0),
        ("ClonewardenUnguarded", 0.0),
        ("ClonewardenClonesUngoverned", 3.0),
        ("ClonewardenBrakeOn", 0.0),
    ] {
        let seen = value(alert).unwrap_or_else(|| panic!("{alert} is not sent"));
        assert!((seen - expected).abs() < 1e-6, "{alert}: {seen}, not {expected}");
    }
    assert_eq!(value("ClonewardenPaused"), None, "what is not known is not zero");
    let empty = read(&[], at(0)).series;
    for unknown in ["ClonewardenCertificateEnding", "ClonewardenUnguarded", "ClonewardenSilent", "ClonewardenNobodyActs"] {
        assert!(empty.iter().all(|one| one.id != id("clonewarden_signal", &[("alert", unknown)])), "{unknown}");
    }
}

/// For tests of whoever sends them: what is in figures, by series.
pub(crate) fn sum(figures: &[Datum], name: &str) -> f64 {
    let of = figures.iter().filter(|one| one.id.name == name);
    of.map(|one| match &one.said {
        Said::One(value) => *value,
        Said::Spread(values) => values.iter().map(|(_, count)| *count as f64).sum(),
    })
    .sum()
}
