//! A simulation decides what a cluster would decide: the same trace through the webhook's own function and full plans, on objects as the
//! API server would hold them, gives the same answers and the same ends.

mod cluster;
mod load;

use super::{
    Arrival, Setting, Simulation, Watch,
    setting::{Host, Retry},
};
use crate::{
    model::{Quantity, Span, clone::host_address, names},
    plan::admit::{Asked, Newcomer},
    policy::{Policies, load_files},
};
use cluster::planned;
use jiff::Timestamp;
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::{collections::BTreeMap, sync::Arc};

/// 2026-01-31T22:00:00Z: two hours before a month begins.
const START: i64 = 1_769_896_800;
const SPACES: [&str; 2] = ["blue", "green"];
/// The host where those live whose host nobody chose; it is one of the policies'.
const PLATFORM: &str = "one.example";

/// What happened: the answer to a try, or an end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happened {
    Tried { at: i64, number: u64, answer: Result<(String, Vec<String>), String> },
    Ended { at: i64, number: u64, by_people: bool },
}

#[derive(Default)]
struct Log(Vec<Happened>);

impl Watch for Log {
    fn tried(&mut self, number: u64, at: i64, answer: Result<(&Newcomer<'_>, &Asked), &str>) {
        let answer = answer.map(|(newcomer, asked)| (format!("{:?}", newcomer.claim(asked)), asked.warnings.clone())).map_err(str::to_owned);
        self.0.push(Happened::Tried { at, number, answer });
    }

    fn ended(&mut self, number: u64, at: i64, by_people: bool) {
        self.0.push(Happened::Ended { at, number, by_people });
    }
}

fn simulated(policies: &Policies, setting: &Setting, arrivals: &[Arrival]) -> Vec<Happened> {
    let mut simulation = Simulation::watched(policies, setting, Log::default());
    arrivals.iter().for_each(|arrival| simulation.arrive(arrival));
    let (figures, Log(mut log)) = simulation.finish();
    assert_eq!(figures.admitted + figures.turned_away(), arrivals.len() as u64);
    assert_eq!(figures.expired + figures.deleted, figures.admitted, "everybody who came is gone");
    log.sort();
    log
}

fn policies(rules: &[String; 2]) -> Policies {
    let host = |name: &str, schemas: u32, more: &str| {
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: {name}}}\nspec: {{endpoint: {name}.example, schemas: {schemas}{more}}}\n---\n"
        )
    };
    let hosts = host("one", 3, ", credentialsDir: /one") + &host("two", 2, "");
    let policy = |(name, rules): (&str, &String)| {
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: {name}}}\nspec:\n  mode: enforce\n  namespaces: {{names: [{name}]}}\n{rules}---\n"
        )
    };
    let text = hosts + &SPACES.into_iter().zip(rules).map(policy).collect::<String>();
    load_files(vec![("all.yaml".to_owned(), text.into())]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The rules of one policy.
fn rules() -> impl Strategy<Value = String> {
    let ttl = prop_oneof![
        Just("  ttl: {minimum: 15m, default: 2h, maximum: 4h}\n"),
        Just("  ttl: {minimum: 1h, default: 1h, maximum: 1h, warnings: []}\n"),
        Just(""),
    ];
    let limits = prop_oneof![
        Just(""),
        Just("  limits: {clones: 3}\n"),
        Just("  limits: {clones: 4, dedicatedDatabases: 1, clonesPerOwner: 2, overflow: reap-newest}\n"),
        Just("  limits: {clonesPerOwner: 1}\n"),
        Just("  limits: {dedicatedDatabases: 0}\n"),
    ];
    let quota = prop_oneof![2 => Just(""), 1 => Just("  quota: {requests.cpu: \"1\"}\n"), 1 => Just("  quota: {cpu: \"2\", pods: \"3\"}\n")];
    let databases = prop_oneof![
        Just(""),
        Just("  databases:\n  - {name: all, use: shared, hosts: [two, one]}\n"),
        Just(
            "  databases:\n  - {name: critical, when: \"clone.labels['clonewarden.io/critical'] == 'true'\", use: dedicated, classes: [db.t3.micro, db.t3.small]}\n  - {name: rest, use: shared, hosts: [one]}\n"
        ),
        Just(
            "  databases:\n  - {name: room, when: \"hosts.one.free > 1 || clone.owner == 'ada'\", use: shared, hosts: [one]}\n  - {name: long, when: \"clone.spec.ttlSeconds >= 7200\", use: dedicated, serverless: {minACU: 0.5, maxACU: 2}}\n"
        ),
        Just(
            "  databases:\n  - {name: odd, when: \"1 / (size(clone.owner) - 3) > 0\", use: dedicated, classes: [db.t3.small]}\n  - {name: rest, when: \"clone.name.endsWith('1')\", use: shared, hosts: [two]}\n"
        ),
    ];
    let soak = prop_oneof![Just(""), Just("  orphans: {soak: 10m}\n")];
    let budget = prop_oneof![
        2 => Just(""),
        1 => Just("  budget: {monthly: \"0.15\", warnAt: 50, atLimit: deny}\n"),
        1 => Just("  budget: {monthly: \"0.1\", atLimit: share}\n"),
        1 => Just("  budget: {monthly: \"0.07\", atLimit: warn}\n"),
    ];
    (ttl, limits, quota, databases, soak, budget)
        .prop_map(|(ttl, limits, quota, databases, soak, budget)| [ttl, limits, quota, databases, soak, budget].concat())
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let one = (
        prop_oneof![3 => 0i64..1_200, 1 => Just(0), 1 => Just(3_600)],
        0..2_usize,
        proptest::option::weighted(0.2, 0..2_u8),
        prop_oneof![Just("ada"), Just("eve"), Just("robin")],
        proptest::option::of(prop_oneof![Just(600i64), Just(3_600), Just(7_200), Just(100_000)]),
        any::<bool>(),
        proptest::option::of(any::<bool>()),
        proptest::option::of(prop_oneof![Just("db.t3.small"), Just("db.m5.large")]),
        proptest::option::weighted(0.3, prop_oneof![Just(900i64), Just(3_600), Just(5_000)]),
    );
    proptest::collection::vec(one, 1..14).prop_map(|all| {
        let mut at = START;
        all.into_iter()
            .map(|(pause, space, name, owner, ttl, critical, dedicated, class, uses)| {
                at += pause;
                let labels = critical.then(|| (names::CRITICAL.to_owned(), "true".to_owned()));
                Arrival {
                    at: Timestamp::from_second(at).unwrap(),
                    namespace: SPACES[space].into(),
                    name: name.map(|name| format!("site-{name}").into()),
                    owner: owner.into(),
                    ttl: ttl.map(Span::seconds),
                    labels: Arc::new(labels.into_iter().collect()),
                    dedicated,
                    class: class.map(Into::into),
                    uses: uses.map(Span::seconds),
                }
            })
            .collect()
    })
}

fn setting(retry: bool) -> Setting {
    let needs = BTreeMap::from([("requests.cpu", "250m"), ("pods", "1")].map(|(name, amount)| (name.to_owned(), Quantity::parse(amount).unwrap())));
    let retry = retry.then(|| Retry { every: Span::minutes(7), patience: Span::minutes(30) });
    let hosts = BTreeMap::from([("one".to_owned(), Host::Instance("db.t3.small".to_owned())), ("two".to_owned(), Host::Capacity(Decimal::ONE))]);
    Setting { needs, host: Some(host_address(PLATFORM, None)), retry, hosts, ..Setting::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Who gets in, what they get, what they are told, when they end: as by the webhook and by full plans.
    #[test]
    fn a_simulation_decides_what_a_cluster_decides(blue in rules(), green in rules(), arrivals in arrivals(), retry in any::<bool>()) {
        let (policies, setting) = (policies(&[blue, green]), setting(retry));
        prop_assert_eq!(simulated(&policies, &setting, &arrivals), planned(&policies, &setting, &arrivals));
    }

    /// Money is conserved: what the curve comes to is what the clones and what they left behind have cost.
    #[test]
    fn the_curve_is_the_bill(blue in rules(), green in rules(), arrivals in arrivals(), orphans in 0u16..1_000) {
        let policies = policies(&[blue, green]);
        let setting = Setting { orphans, ..setting(true) };
        let mut simulation = Simulation::new(&policies, &setting);
        arrivals.iter().for_each(|arrival| simulation.arrive(arrival));
        let (figures, ()) = simulation.finish();
        prop_assert_eq!(super::report::area(&figures).normalize(), figures.costs.and(figures.orphan_costs).total.normalize());
        prop_assert_eq!(figures.curve.points.iter().map(|point| point.clone_seconds).sum::<u64>(), figures.clone_seconds);
    }
}
