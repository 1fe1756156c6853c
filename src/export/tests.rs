//! What the metrics say of whole plans, made by the real planner.

use super::{
    metrics::{Definition, TABLE, Type, Unit},
    registry::Metrics,
};
use crate::{
    act::{
        executor::Round,
        journal::{Ending, Tally},
    },
    daemon::warden::Watcher,
    model::{Evidence, Kind, Snapshot, Source, Span, WordPressClone, month::UsageRecord, names, snapshot::Departure, state::Trip},
    plan::{Action, plan},
    policy::{BrakeRules, ClonePolicy, Limits, Mode, Namespaces, OrphanRules, Policies, Ttl},
    ports::Clock,
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

const START: i64 = 1_770_000_000;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

/// A clock that stands until it is set.
pub(crate) struct Hands(pub(crate) Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

pub(crate) fn policy(name: &str, mode: Mode, namespaces: Namespaces) -> ClonePolicy {
    ClonePolicy {
        name: name.into(),
        file: String::new(),
        line: 1,
        lines: BTreeMap::new(),
        mode,
        namespaces,
        ttl: Ttl { warnings: vec![Span::minutes(10)], ..Ttl::default() },
        idle: None,
        limits: Limits { clones: Some(10), clones_per_owner: Some(2), ..Limits::default() },
        quota: BTreeMap::new(),
        limit_range: None,
        databases: Vec::new(),
        budget: None,
        orphans: OrphanRules::default(),
        brake: BrakeRules::default(),
    }
}

pub(crate) fn policies(policies: Vec<ClonePolicy>) -> Policies {
    Policies { revision: "sha256:one".into(), policies: policies.into_iter().map(Arc::new).collect(), hosts: Vec::new(), prices: Arc::default() }
}

struct World {
    clock: Arc<Hands>,
    policies: watch::Sender<Arc<Policies>>,
    metrics: Metrics,
    snapshot: Snapshot,
}

impl World {
    fn new(set: Policies, clones_at_most: usize) -> Self {
        let clock = Arc::new(Hands(Mutex::new(at(0))));
        let (policies, receiver) = watch::channel(Arc::new(set));
        let metrics = Metrics::new(Arc::clone(&clock) as Arc<dyn Clock>, receiver, clones_at_most).unwrap();
        Self { clock, policies, metrics, snapshot: Snapshot::default() }
    }

    fn enforced(names: &[&str]) -> Self {
        let names = Namespaces::Names(names.iter().map(|name| (*name).to_owned()).collect());
        Self::new(policies(vec![policy("staging", Mode::Enforce, names)]), 1_000)
    }

    fn clone(&mut self, namespace: &str, name: &str, created: i64, annotations: Value) -> &mut Self {
        let object = json!({
            "metadata": {
                "namespace": namespace, "name": name, "uid": format!("uid-{namespace}-{name}"), "resourceVersion": "1",
                "creationTimestamp": at(created), "annotations": annotations,
            },
            "spec": {"ttlSeconds": 3_600},
        });
        self.snapshot.clones.push(Arc::new(WordPressClone::read(&object).unwrap()));
        self
    }

    fn plan(&mut self, now: i64, round: Option<Round>) {
        *self.clock.0.lock().unwrap() = at(now);
        for kind in Kind::ALL {
            self.snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(at(now)));
        }
        self.snapshot.evidence.insert(Source::Time, Evidence::complete(at(now)));
        self.snapshot.clones.sort_by(|one, other| one.meta.path().cmp(other.meta.path()));
        for namespace in ["a", "b"] {
            self.snapshot.state.enforced_since.insert(namespace.into(), at(-1_000_000));
        }
        let plan = Arc::new(plan(&self.snapshot, &self.policies.borrow(), at(now)));
        self.metrics.planned(&Arc::new(self.snapshot.clone()), &plan, round.as_ref(), Duration::from_millis(3));
    }

    /// The value of a series as it stands in the text, labels included.
    fn value(&self, series: &str) -> Option<f64> {
        let text = self.metrics.render().unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        found.map(|value| value.parse().unwrap())
    }

    fn series(&self) -> usize {
        self.metrics.render().unwrap().lines().filter(|line| !line.starts_with('#')).count()
    }
}

fn announced(end: i64) -> Value {
    json!({names::EXPIRES_AT: at(end), names::ANNOUNCED_AT: at(0)})
}

#[test]
fn every_name_obeys_the_rules() {
    let snake = |text: &str| !text.is_empty() && text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_') && !text.contains("__");
    // What Prometheus itself defines keeps its name; what it or the deployment adds as labels must not be ours.
    let standard =
        ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds"];
    let reserved = ["le", "quantile", "job", "instance", "pod", "owner", "uid", "message", "reason"];
    let mut seen = BTreeSet::new();
    for Definition { name, kind, labels, unit, help, buckets } in TABLE {
        assert!(seen.insert(name), "{name} is there twice");
        assert!(name.starts_with("clonewarden_") || standard.contains(name), "{name}: prefix");
        assert!(snake(name), "{name}: snake case");
        let (stem, total) = name.strip_suffix("_total").map_or((*name, false), |stem| (stem, true));
        assert_eq!(total, *kind == Type::Counter, "{name}: `_total` is for counters, and for all of them");
        assert!(stem.ends_with(unit.suffix()), "{name}: unit {unit:?}");
        let said = |suffix: &str| stem.ends_with(suffix);
        assert_eq!(said("_seconds"), matches!(unit, Unit::Seconds | Unit::Timestamp), "{name}: unit {unit:?}");
        assert_eq!(said("_timestamp_seconds"), *unit == Unit::Timestamp, "{name}: unit {unit:?}");
        assert_eq!(said("_bytes"), *unit == Unit::Bytes, "{name}: unit {unit:?}");
        assert_eq!(said("_info"), *unit == Unit::Info, "{name}: unit {unit:?}");
        for reserved in ["_count", "_sum", "_bucket"] {
            assert!(!stem.ends_with(reserved), "{name}: `{reserved}` belongs to histograms");
        }
        assert!(help.ends_with('.') && help.chars().next().is_some_and(char::is_uppercase), "{name}: help is a sentence");
        assert!(!help.contains(['\n', '|']), "{name}: help fits into a table");
        assert!(labels.iter().all(|label| snake(label) && !reserved.contains(label)), "{name}: labels {labels:?}");
        assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len(), "{name}: labels {labels:?}");
        assert_eq!(!buckets.is_empty(), *kind == Type::Histogram, "{name}: buckets");
        assert!(buckets.is_sorted_by(|low, high| low < high), "{name}: buckets");
    }
}

#[test]
fn the_documentation_is_the_table() {
    let written = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap_or_default();
    let generated = Metrics::documentation();
    if written != generated {
        let path = std::env::temp_dir().join("clonewarden-metrics.md");
        std::fs::write(&path, generated).unwrap();
        panic!("docs/metrics.md is not what the table says: look at {} and take it", path.display());
    }
}

#[test]
fn every_line_of_the_table_is_registered_and_said() {
    let mut world = World::enforced(&["a"]);
    world.clone("a", "c", 0, json!({}));
    world.plan(1, None);
    let gathered: BTreeSet<String> = world.metrics.gather().iter().map(|family| family.name().to_owned()).collect();
    let known: BTreeSet<String> = TABLE.iter().map(|line| line.name.to_owned()).collect();
    assert!(gathered.is_subset(&known), "{:?}", gathered.difference(&known));
    for always in ["clonewarden_leader", "clonewarden_actions_total", "clonewarden_policy_info", "clonewarden_build_info", "process_open_fds"] {
        assert!(gathered.contains(always), "{always}");
    }
}

#[test]
fn each_clone_is_in_one_state() {
    let mut world = World::enforced(&["a", "b"]);
    world
        .clone("a", "young", 0, announced(3_600))
        .clone("a", "near", -3_300, announced(300))
        .clone("a", "kept", -9_000, json!({names::KEEP: "true"}))
        .clone("a", "unannounced", -9_000, json!({}))
        .clone("b", "due", -9_000, announced(-5_400));
    world.plan(0, None);
    let state =
        |namespace: &str, state: &str| world.value(&format!("clonewarden_clones{{namespace=\"{namespace}\",policy=\"staging\",state=\"{state}\"}}"));
    assert_eq!(state("a", "living"), Some(1.0));
    assert_eq!(state("a", "expiring"), Some(2.0));
    assert_eq!(state("a", "kept"), Some(1.0));
    assert_eq!(state("a", "held"), Some(0.0));
    assert_eq!(state("b", "expiring"), Some(1.0));
    assert_eq!(world.value("clonewarden_announced_clones{policy=\"staging\"}"), Some(3.0));
    assert_eq!(world.value("clonewarden_overdue_clones{cause=\"due\",policy=\"staging\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_overdue_clones{cause=\"grace\",policy=\"staging\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_limit_allowed_clones{limit=\"clones\",namespace=\"a\",policy=\"staging\"}"), Some(10.0));
    assert_eq!(world.value("clonewarden_limit_used_clones{limit=\"clones\",namespace=\"a\",policy=\"staging\"}"), Some(4.0));
    assert_eq!(world.value("clonewarden_limit_allowed_clones{limit=\"dedicatedDatabases\",namespace=\"a\",policy=\"staging\"}"), None);
    let expires = world.value("clonewarden_clone_expires_timestamp_seconds{name=\"young\",namespace=\"a\"}");
    assert_eq!(expires, Some(f64::from(u32::try_from(START + 3_600).unwrap())));
    assert_eq!(world.value("clonewarden_clone_expires_timestamp_seconds{name=\"kept\",namespace=\"a\"}"), None);
}

#[test]
fn the_oldest_overdue_goes_on_ageing_while_the_loop_stands_still() {
    let mut world = World::enforced(&["a"]);
    world.clone("a", "due", -9_000, announced(-60));
    world.plan(0, None);
    let oldest = "clonewarden_overdue_oldest_seconds{cause=\"due\",policy=\"staging\"}";
    assert_eq!(world.value(oldest), Some(60.0), "counted from the announced end, which is the later one");
    *world.clock.0.lock().unwrap() = at(600);
    assert_eq!(world.value(oldest), Some(660.0));
    assert_eq!(world.value("clonewarden_evidence_age_seconds{source=\"clones\"}"), Some(600.0));
}

#[test]
fn what_audit_and_holds_let_live_is_overdue_too() {
    let names = Namespaces::Names(vec!["a".into()]);
    let mut world = World::new(policies(vec![policy("staging", Mode::Audit, names)]), 0);
    world.clone("a", "old", -9_000, json!({}));
    world.plan(0, None);
    assert_eq!(world.value("clonewarden_overdue_clones{cause=\"audit\",policy=\"staging\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_overdue_oldest_seconds{cause=\"audit\",policy=\"staging\"}"), Some(5_400.0));
    assert_eq!(world.value("clonewarden_decisions{action=\"warn\",blocked_by=\"audit\",code=\"WouldAnnounce\",policy=\"staging\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_clone_series_left_out"), Some(0.0), "off is not left out");

    let mut world = World::enforced(&["a"]);
    world.clone("a", "old", -9_000, announced(-60));
    world.plan(0, None);
    world.snapshot.evidence.insert(Source::Time, Evidence::incomplete(at(1), "unknown"));
    let held = Arc::new(plan(&world.snapshot, &world.policies.borrow(), at(1)));
    world.metrics.planned(&Arc::new(world.snapshot.clone()), &held, None, Duration::ZERO);
    assert_eq!(world.value("clonewarden_overdue_clones{cause=\"held\",policy=\"staging\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_overdue_clones{cause=\"due\",policy=\"staging\"}"), None, "the set of the plan before has gone");
    assert_eq!(world.value("clonewarden_holds{code=\"ClockUntrusted\",kind=\"WordPressClone\",policy=\"staging\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_evidence_complete{source=\"time\"}"), Some(0.0));
}

#[test]
fn brake_and_pause_are_flags() {
    let mut world = World::enforced(&["a"]);
    world.clone("a", "c", 0, json!({}));
    world.plan(0, None);
    assert_eq!(world.value("clonewarden_brake_on{policy=\"staging\"}"), Some(0.0));
    assert_eq!(world.value("clonewarden_paused"), Some(0.0));
    let trip = Trip { since: at(0), waiting: BTreeMap::from([("u".to_owned(), "a/x".to_owned()), ("v".to_owned(), "a/y".to_owned())]) };
    world.snapshot.state.brakes.entry("staging".into()).or_default().tripped = Some(trip);
    world.snapshot.state.paused = Some(crate::model::state::Pause::new(at(0), "test", ""));
    world.plan(1, None);
    assert_eq!(world.value("clonewarden_brake_on{policy=\"staging\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_brake_waiting_clones{policy=\"staging\"}"), Some(2.0));
    assert_eq!(world.value("clonewarden_paused"), Some(1.0));
}

#[test]
fn ten_thousand_clones_are_not_ten_thousand_series() {
    let wide = policy("wide", Mode::Enforce, Namespaces::Selector(BTreeMap::new()));
    let mut world = World::new(policies(vec![wide]), 1_000);
    for number in 0..10_000 {
        let namespace = format!("n{number}");
        world.snapshot.namespaces.insert(namespace.clone(), BTreeMap::new());
        world.clone(&namespace, "c", number, json!({names::OWNER: format!("owner-{number}")}));
    }
    world.plan(20_000, None);
    assert!(world.series() < 3_000, "{} series", world.series());
    assert_eq!(world.value("clonewarden_clone_series_left_out"), Some(10_000.0));
    assert_eq!(world.value("clonewarden_merged_namespaces"), Some(9_800.0));
    assert_eq!(world.value("clonewarden_clones{namespace=\"_other\",policy=\"wide\",state=\"expiring\"}"), Some(9_800.0));

    // With few enough each has its own, and those of yesterday are gone.
    world.snapshot.clones.truncate(1_000);
    world.plan(20_001, None);
    let text = world.metrics.render().unwrap();
    assert_eq!(text.matches("clonewarden_clone_expires_timestamp_seconds{").count(), 1_000);
    assert_eq!(world.value("clonewarden_clone_series_left_out"), Some(0.0));
    world.snapshot.clones.truncate(1);
    world.plan(20_002, None);
    assert_eq!(world.metrics.render().unwrap().matches("clonewarden_clone_expires_timestamp_seconds{").count(), 1);
}

#[test]
fn namespaces_whose_ledger_outlives_them_have_no_more_series_than_others() {
    let wide = policy("wide", Mode::Enforce, Namespaces::Selector(BTreeMap::new()));
    let mut world = World::new(policies(vec![wide]), 1_000);
    for number in 0..1_000 {
        let (name, uid) = (format!("n{number}-2026-02"), format!("u{number}"));
        let object = json!({
            "metadata": {"name": name, "uid": uid, "resourceVersion": "1", "creationTimestamp": at(0)},
            "spec": {"namespace": format!("n{number}"), "month": "2026-02"},
            "status": {"estimated": "1", "budget": {"policy": "wide", "monthly": "100"}},
        });
        world.snapshot.usages.push(Arc::new(UsageRecord::read(&object).unwrap()));
    }
    world.plan(60, None);
    assert!(world.series() < 3_000, "{} series", world.series());
    assert_eq!(world.value("clonewarden_cost_estimated_usd{namespace=\"_other\"}"), Some(800.0));
    // One that is governed and empty at the moment comes before them, by whatever letter it begins.
    world.snapshot.namespaces.insert("zebra".into(), BTreeMap::new());
    world.plan(120, None);
    assert_eq!(world.value("clonewarden_limit_allowed_clones{limit=\"clones\",namespace=\"zebra\",policy=\"wide\"}"), Some(10.0));
    assert_eq!(world.value("clonewarden_budget_usd{namespace=\"_other\",policy=\"wide\"}"), None, "800 budgets are not one");
}

#[test]
fn nothing_that_people_write_becomes_a_label() {
    let mut world = World::enforced(&["a"]);
    let said = json!({names::OWNER: "someone@example.org", names::KEEP: "hunter2", names::EXTEND_UNTIL: "hunter2", names::WARNED: "hunter2"});
    world.clone("a", "c", -9_000, said);
    world.snapshot.evidence.insert(Source::Objects(Kind::Pod), Evidence::incomplete(at(0), "hunter2"));
    world.plan(0, None);
    let text = world.metrics.render().unwrap();
    assert!(!text.contains("hunter2") && !text.contains("someone"), "{text}");
}

#[test]
fn a_reload_replaces_the_policies() {
    let world = World::enforced(&["a"]);
    assert_eq!(world.value("clonewarden_policy_info{commit=\"\",mode=\"enforce\",policy=\"staging\",revision=\"sha256:one\"}"), Some(1.0));
    let renamed = Policies { revision: "sha256:two".into(), ..policies(vec![policy("other", Mode::Audit, Namespaces::Names(vec![]))]) };
    world.policies.send_replace(Arc::new(renamed));
    assert_eq!(world.value("clonewarden_policy_info{commit=\"\",mode=\"audit\",policy=\"other\",revision=\"sha256:two\"}"), Some(1.0));
    assert_eq!(world.metrics.render().unwrap().matches("clonewarden_policy_info{").count(), 1);
}

#[test]
fn rounds_are_counted_and_lateness_is_measured() {
    let mut world = World::enforced(&["a"]);
    let (done, failed) = (|| (Action::Delete, Ending::Done), || (Action::Delete, Ending::Failed("down".into())));
    world.clone("a", "one", -9_000, announced(-2)).clone("a", "two", -9_000, announced(-2));
    // One of the two was accepted; the round does not say which.
    world.plan(0, Some(Round { endings: vec![done(), failed()], ..Round::default() }));
    assert_eq!(world.value("clonewarden_actions_total{action=\"delete\",outcome=\"done\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_actions_total{action=\"delete\",outcome=\"failed\"}"), Some(1.0));
    assert_eq!(world.value("clonewarden_expiry_lateness_seconds_count"), None);
    // `one` was: it is gone now. `two` is accepted in this round, three seconds late.
    world.snapshot.clones.retain(|clone| clone.meta.name() == "two");
    world.snapshot.departed.push(Departure::new("uid-a-one", "a", at(-9_000), at(0)));
    world.plan(1, Some(Round { endings: vec![done()], ..Round::default() }));
    assert_eq!(world.value("clonewarden_expiry_lateness_seconds_count"), Some(2.0));
    assert_eq!(world.value("clonewarden_expiry_lateness_seconds_sum"), Some(5.0));
    // The watch is slow: the plan still asks, nothing is done again, nothing is counted again.
    world.plan(2, Some(Round::default()));
    assert_eq!(world.value("clonewarden_expiry_lateness_seconds_count"), Some(2.0));
    assert_eq!(world.value("clonewarden_plan_duration_seconds_count"), Some(3.0));
}

#[test]
fn a_plan_that_could_not_be_remembered_is_no_success() {
    let mut world = World::enforced(&["a"]);
    let success = "clonewarden_loop_last_success_timestamp_seconds{loop=\"plan\"}";
    let started = world.value(success).unwrap();
    assert!(started > 0.0, "what has never been done since the start has been waited for since then, not since 1970");
    world.plan(5, Some(Round { forgotten: true, ..Round::default() }));
    assert_eq!(world.value(success), Some(started));
    world.plan(6, None);
    assert_eq!(world.value(success), Some(f64::from(u32::try_from(START + 6).unwrap())));
    assert_eq!(
        world.value("clonewarden_loop_last_success_timestamp_seconds{loop=\"mirror/pods\"}"),
        Some(f64::from(u32::try_from(START + 6).unwrap()))
    );
}

#[test]
fn what_others_count_is_asked_for_when_it_is_gathered() {
    let world = World::enforced(&["a"]);
    world.metrics.before_gathering(|metrics| {
        metrics.leader(true);
        metrics.policies_broken(true);
        metrics.events_dropped(7);
        metrics.journal(&Tally { output: "file", written: 9, lost: 1, failures: 3, rotation_failures: 2 });
        metrics.api_requests("list", "pods", "ok", 1 << 40);
        metrics.aws_requests("DescribeDBInstances", "cut", 2);
        metrics.clock_skew(Some(SignedDuration::from_millis(-1_500)));
    });
    for _ in 0..2 {
        assert_eq!(world.value("clonewarden_leader"), Some(1.0));
        assert_eq!(world.value("clonewarden_policy_load_failed"), Some(1.0));
        assert_eq!(world.value("clonewarden_events_dropped_total"), Some(7.0));
        assert_eq!(world.value("clonewarden_journal_lines_total{outcome=\"lost\",output=\"file\"}"), Some(1.0));
        assert_eq!(world.value("clonewarden_journal_failures_total{output=\"file\",what=\"rotate\"}"), Some(2.0));
        assert_eq!(world.value("clonewarden_api_requests_total{outcome=\"ok\",resource=\"pods\",verb=\"list\"}"), Some(1_099_511_627_776.0));
        assert_eq!(world.value("clonewarden_aws_requests_total{operation=\"DescribeDBInstances\",outcome=\"cut\"}"), Some(2.0));
        assert_eq!(world.value("clonewarden_clock_skew_seconds"), Some(-1.5));
    }
    world.metrics.before_gathering(|metrics| metrics.clock_skew(None));
    assert_eq!(world.value("clonewarden_clock_skew_seconds"), None);
}
