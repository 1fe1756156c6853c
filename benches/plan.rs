//! A whole plan over many clones, and the look at the store before it: how long they take, wall clock and CPU, and how much
//! memory the world takes that they read.
//!
//! Steady state, as in almost every plan of a daemon's life: the ends are announced, what the plan before wanted remembered is
//! remembered, and clones with children are ACTIVE and have a Pod. In the last rows every fifth clone has just been created and
//! its end is to be announced. A plan is timed until it is dropped. Each row is a process of its own. Then two sets of policies on one world:
//! what a daemon says when its policies change. The last lines are `/metrics` over 10,000 clones, beside what the text format takes alone.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a bench fails by a panic")]

use clonewarden::{
    daemon::{run::SystemClock, warden::Watcher},
    diff,
    export::registry::Metrics,
    model::{Evidence, Kind, Snapshot, Source, Span, names},
    observe::store::{Store, Trimmed},
    plan,
    policy::{BrakeRules, ClonePolicy, DatabaseRule, Limits, Mode, Namespaces, OrphanRules, Placement, Policies, Ttl},
};
use jiff::{SignedDuration, Timestamp};
use prometheus::TextEncoder;
use serde_json::{Value, json};
use std::{
    fs,
    hint::black_box,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

const REPEATS: u32 = 41;
/// Says to a process which row it is.
const ROW: &str = "CLONEWARDEN_BENCH_ROW";
/// Says that it is the line about two sets of policies.
const DIFF: &str = "diff";
/// Says that it is the lines about `/metrics`.
const METRICS: &str = "metrics";
/// The kinds of the children, in the order in which a clone gets them: one that has any has a Pod.
const CHILDREN: [Kind; 6] = [Kind::Pod, Kind::Job, Kind::Service, Kind::Ingress, Kind::ConfigMap, Kind::ConfigMap];

/// One row.
#[derive(Clone, Copy)]
struct Case {
    clones: usize,
    children_of_each: usize,
    /// The end of one clone in so many is to be announced; 0: of none.
    one_in: usize,
    aim: &'static str,
}

const fn case(clones: usize, children_of_each: usize, one_in: usize, aim: &'static str) -> Case {
    Case { clones, children_of_each, one_in, aim }
}

const CASES: [Case; 7] = [
    case(1_000, 0, 0, ""),
    case(10_000, 0, 0, ""),
    case(10_000, 6, 0, ""),
    case(100_000, 0, 0, "plan ≤ 25 ms"),
    case(100_000, 1, 0, ""),
    case(10_000, 0, 5, ""),
    case(100_000, 0, 5, ""),
];

fn main() {
    if std::env::var(ROW).is_ok_and(|row| row == DIFF) {
        return compare();
    }
    if std::env::var(ROW).is_ok_and(|row| row == METRICS) {
        return scrape();
    }
    if let Some(row) = std::env::var(ROW).ok().and_then(|row| row.parse::<usize>().ok()) {
        return measure(CASES[row]);
    }
    println!(
        "{:>7} {:>8} {:>11} {:>11} {:>8} {:>8} {:>11} {:>8} {:>8}  aim",
        "clones", "children", "to announce", "plan p50 ms", "worst", "CPU ms", "look p50 ms", "CPU ms", "RSS MiB"
    );
    let own = std::env::current_exe().expect("the path of this bench");
    for row in (0..CASES.len()).map(|row| row.to_string()).chain([DIFF.to_owned(), METRICS.to_owned()]) {
        let status = Command::new(&own).env(ROW, &row).status().expect("a process");
        assert!(status.success(), "row {row}: {status}");
    }
}

/// A change of policies that moves every end, refuses most clones and places all of them elsewhere.
fn compare() {
    let now: Timestamp = "2026-02-05T16:30:22Z".parse().expect("a date");
    let case = case(5_000, 0, 0, "");
    let mut snapshot = look(&world(case, now), now);
    let old = policies();
    snapshot.state = plan::plan(&snapshot, &old, now).state;
    let own = |policy: &Arc<ClonePolicy>| {
        let when = clonewarden::policy::Condition::compile("!('team' in clone.labels) || clone.owner == 'ada'").ok();
        let placement = Placement::Dedicated { classes: vec!["db.t3.micro".to_owned()] };
        let ttl = Ttl { default: Span::minutes(20), maximum: Span::minutes(20), warnings: Vec::new(), ..Ttl::default() };
        let limits = Limits { clones: Some(500), ..Limits::default() };
        Arc::new(ClonePolicy { ttl, limits, databases: vec![DatabaseRule { name: "own".to_owned(), when, placement }], ..policy.as_ref().clone() })
    };
    let new = Policies { policies: old.policies.iter().map(own).collect(), ..old.clone() };
    let reaped: usize = diff::diff(&snapshot, &old, &new, now).policies.iter().map(|policy| policy.impact.reaped.len()).sum();
    assert_eq!(reaped, case.clones);
    let diffs = Timed::of(|| drop(black_box(diff::diff(black_box(&snapshot), &old, &new, now))));
    println!("two sets of policies on {} clones: p50 {:.2} ms, worst {:.2}, CPU {:.2}  aim: 50", case.clones, diffs.p50, diffs.worst, diffs.cpu);
}

/// What Prometheus gets of 10,000 clones that work: by default no clone has a series of its own then, and with `--clone-metrics 10000` each.
fn scrape() {
    let now: Timestamp = "2026-02-05T16:30:22Z".parse().expect("a date");
    let snapshot = Arc::new(look(&world(case(10_000, CHILDREN.len(), 0, ""), now), now));
    let policies = policies();
    let plan = Arc::new(plan::plan(&snapshot, &policies, now));
    let (_policies, receiver) = watch::channel(Arc::new(policies));
    for (at_most, aim) in [(1_000, "aim: 10"), (10_000, "")] {
        let metrics = Metrics::new(Arc::new(SystemClock), receiver.clone(), at_most).expect("metrics");
        let told = Timed::of(|| metrics.planned(&snapshot, &plan, None, Duration::ZERO));
        let scrapes = Timed::of(|| drop(black_box(metrics.render().expect("a page"))));
        let families = metrics.gather();
        let floor = Timed::of(|| drop(black_box(TextEncoder::new().encode_to_string(black_box(&families)).expect("a page"))));
        let series: usize = families.iter().map(|family| family.get_metric().len()).sum();
        println!(
            "/metrics over 10000 clones, {series} series: p50 {:.2} ms, worst {:.2}, CPU {:.2}; {:.1} times the text alone ({:.2} ms); a plan told: {:.2} ms  {aim}",
            scrapes.p50,
            scrapes.worst,
            scrapes.cpu,
            scrapes.p50 / floor.p50,
            floor.p50,
            told.p50
        );
    }
}

fn measure(case: Case) {
    let now: Timestamp = "2026-02-05T16:30:22Z".parse().expect("a date");
    let store = world(case, now);
    let policies = policies();
    let resident = rss_mib();
    let mut snapshot = look(&store, now);
    let first = plan::plan(&snapshot, &policies, now);
    let alerts = first.decisions.iter().filter(|decision| decision.action == plan::Action::Alert).count();
    assert_eq!((first.decisions.len(), alerts), (case.clones, 0), "one decision a clone, and nothing wrong");
    snapshot.state = first.state;
    let plans = Timed::of(|| drop(black_box(plan::plan(black_box(&snapshot), black_box(&policies), now))));
    let looks = Timed::of(|| drop(black_box(store.snapshot(now))));
    let share = 100_usize.checked_div(case.one_in).unwrap_or_default();
    println!(
        "{:>7} {:>8} {share:>9} % {:>11.2} {:>8.2} {:>8.2} {:>11.2} {:>8.2} {resident:>8.1}  {}",
        case.clones,
        case.clones * case.children_of_each,
        plans.p50,
        plans.worst,
        plans.cpu,
        looks.p50,
        looks.cpu,
        case.aim
    );
}

/// How long something takes, in milliseconds.
struct Timed {
    p50: f64,
    worst: f64,
    /// CPU time, on average.
    cpu: f64,
}

impl Timed {
    fn of(mut work: impl FnMut()) -> Self {
        let before = cpu_millis();
        let mut times: Vec<f64> = (0..REPEATS)
            .map(|_| {
                let begun = Instant::now();
                work();
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let cpu = (cpu_millis() - before) / f64::from(REPEATS);
        times.sort_by(f64::total_cmp);
        Self { p50: times[times.len() / 2], worst: times[times.len() - 1], cpu }
    }
}

/// The world as the daemon sees it.
fn look(store: &Store, now: Timestamp) -> Snapshot {
    let mut snapshot = store.snapshot(now);
    snapshot.cluster_id = Some("bench".into());
    snapshot.evidence.insert(Source::Time, Evidence::complete(now));
    for namespace in ["wordpress-production", "wordpress-staging"] {
        snapshot.state.enforced_since.insert(namespace.into(), now - SignedDuration::from_hours(100));
    }
    snapshot
}

fn policies() -> Policies {
    let policy = |name: &str| {
        Arc::new(ClonePolicy {
            name: name.into(),
            file: "bench.yaml".into(),
            line: 1,
            lines: std::collections::BTreeMap::new(),
            mode: Mode::Enforce,
            namespaces: Namespaces::Names(vec![format!("wordpress-{name}")]),
            ttl: Ttl::default(),
            idle: None,
            limits: Limits { clones: Some(1_000_000), ..Limits::default() },
            quota: Default::default(),
            limit_range: None,
            databases: Vec::new(),
            budget: None,
            orphans: OrphanRules::default(),
            brake: BrakeRules::default(),
        })
    };
    Policies {
        revision: "sha256:bench".into(),
        policies: vec![policy("production"), policy("staging")],
        hosts: Vec::new(),
        prices: clonewarden::policy::prices::built_in(),
    }
}

/// A store that has listed everything, in the order in which the API server lists it.
fn world(case: Case, now: Timestamp) -> Store {
    let store = Store::default();
    let created = now - SignedDuration::from_mins(30);
    let metadata = |name: &str| json!({"metadata": {"name": name, "uid": name, "creationTimestamp": created}});
    for kind in Kind::ALL {
        let objects: Vec<Trimmed> = match kind {
            Kind::Clone => (0..case.clones).map(|number| Trimmed::read(kind, &clone(number, case, created))).collect(),
            Kind::Namespace => ["wordpress-production", "wordpress-staging"].map(|name| Trimmed::read(kind, &metadata(name))).into(),
            Kind::Definition => {
                let mut definition = metadata("wordpress-clone");
                definition["spec"] = json!({"schema": {"kind": names::CLONE_KIND}});
                vec![Trimmed::read(kind, &definition)]
            }
            _ => {
                let theirs = CHILDREN.iter().take(case.children_of_each).enumerate().filter(|(_, of)| **of == kind);
                let all = (0..case.clones).flat_map(|owner| theirs.clone().map(move |(number, _)| (owner, number)));
                all.map(|(owner, number)| Trimmed::read(kind, &child(owner, number, case, created))).collect()
            }
        };
        store.replace(kind, objects, now);
    }
    store
}

fn namespace(number: usize, case: Case) -> &'static str {
    if number < case.clones / 2 { "wordpress-production" } else { "wordpress-staging" }
}

fn clone(number: usize, case: Case, created: Timestamp) -> Value {
    let mut object = json!({
        "metadata": {
            "namespace": namespace(number, case), "name": format!("clone-{number:07}"), "uid": uid(number), "resourceVersion": number.to_string(),
            "creationTimestamp": created, "labels": {names::KRO_DEFINITION: "wordpress-clone"}, "finalizers": [names::KRO_FINALIZER],
            "annotations": {names::CREDENTIALS: secret(number)},
        },
        "spec": {"ttlSeconds": 7_200},
    });
    if case.children_of_each > 0 {
        object["status"] = json!({"state": "ACTIVE"});
    }
    if case.one_in == 0 || !number.is_multiple_of(case.one_in) {
        let end = (created + SignedDuration::from_hours(2)).to_string();
        object["metadata"]["annotations"][names::EXPIRES_AT] = json!(end);
        object["metadata"]["annotations"][names::ANNOUNCED_AT] = json!(created);
    }
    object
}

fn child(owner: usize, number: usize, case: Case, created: Timestamp) -> Value {
    json!({
        "metadata": {
            "namespace": namespace(owner, case), "name": format!("clone-{owner:07}-{number}"), "uid": uid(10_000_000 + owner * CHILDREN.len() + number),
            "resourceVersion": (owner + number).to_string(), "creationTimestamp": created,
            "labels": {
                names::KRO_INSTANCE_ID: uid(owner), names::KRO_INSTANCE_KIND: names::CLONE_KIND, names::KRO_INSTANCE_NAME: format!("clone-{owner:07}"),
                names::CLONE_UID: uid(owner),
            },
        },
        "status": {"phase": "Running"},
    })
}

/// The Secret that was made for it.
fn secret(number: usize) -> String {
    format!("clone-{number:07}-{}-secret", uid(number).split('-').next().unwrap_or_default())
}

fn uid(number: usize) -> String {
    format!("{:08x}-1111-4222-8333-{number:012x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

/// CPU time of this thread so far.
fn cpu_millis() -> f64 {
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default() / 1e6
}

fn rss_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1_024.0
}
