//! The load of the original design under the policies that are shipped: ten clones in staging and up to a hundred in production at once, TTL
//! two hours, some of them critical; 15 at once on average, as its table of costs has it.

use crate::{
    model::{Node, Quantity, Span},
    policy::{Policies, load_files},
    simulate::{
        Arrival, Figures, Setting, Simulation,
        make::{Maker, Recipe, Shape},
        report::a_month,
        setting::{Host, Retry},
    },
};
use rust_decimal::Decimal;
use std::{collections::BTreeMap, sync::Arc};

fn shipped() -> Policies {
    let files =
        [("production.yaml", include_str!("../../../policies/production.yaml")), ("staging.yaml", include_str!("../../../policies/staging.yaml"))];
    load_files(files.map(|(name, text)| (name.to_owned(), text.into())).into()).unwrap()
}

/// What the design's optimised month has: two nodes of spare capacity, a small instance for staging, half a unit of Aurora.
fn setting() -> Setting {
    let needs = BTreeMap::from(
        [("requests.cpu", "250m"), ("requests.memory", "512Mi")].map(|(name, text)| (name.to_owned(), Quantity::parse(text).unwrap())),
    );
    let (cpu, memory) = (Quantity::whole(2), Quantity::parse("8Gi").unwrap());
    let node = || {
        Arc::new(Node { name: "n".into(), instance_type: Some("t3.large".into()), region: None, spot: true, cpu, memory, pods: Quantity::whole(35) })
    };
    let hosts = [("staging-mysql", Host::Instance("db.t3.small".into())), ("production-aurora", Host::Capacity("0.5".parse().unwrap()))];
    Setting {
        needs,
        nodes: vec![node(), node()],
        hosts: hosts.map(|(name, host)| (name.to_owned(), host)).into(),
        retry: Some(Retry { every: Span::minutes(5), patience: Span::hours(1) }),
        ..Setting::default()
    }
}

fn recipe(per_hour: f64, lasts: Span, start: &str) -> Recipe {
    Recipe {
        start: start.parse().unwrap(),
        lasts,
        most: 0,
        per_hour,
        shape: Shape::WorkingDay,
        namespaces: vec![("wordpress-production".into(), 10), ("wordpress-staging".into(), 1)],
        ttl: vec![(Some(Span::hours(2)), 1)],
        critical: 100,
        early: 0,
        owners: 40,
        seed: 1,
    }
}

fn simulated(arrivals: impl IntoIterator<Item = Arrival>) -> Figures {
    let (policies, setting) = (shipped(), setting());
    let mut simulation = Simulation::new(&policies, &setting);
    arrivals.into_iter().for_each(|arrival| simulation.arrive(&arrival));
    simulation.finish().0
}

#[test]
fn a_month_of_it_costs_less_than_250_dollars() {
    let mut arrivals: Vec<Arrival> = Maker::new(recipe(20.0, Span::hours(24 * 30), "2026-02-02T00:00:00Z")).collect();
    // Once a week a hundred come within an hour.
    for day in ["2026-02-04", "2026-02-11", "2026-02-18", "2026-02-25"] {
        arrivals.extend(Maker::new(recipe(110.0, Span::hours(1), &format!("{day}T10:00:00Z"))));
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    let figures = simulated(arrivals);
    let month = |usd: Decimal| a_month(usd, &figures);
    let living = Decimal::from(figures.clone_seconds) / Decimal::from(3_600) / figures.hours();
    assert!((14..18).contains(&u32::try_from(living.round()).unwrap()), "{living} at once on average");
    assert!((70..=110).contains(&figures.peak), "{} at most", figures.peak);
    let bill = &figures.bill;
    let parts = [
        // 73.00 for the control plane, 22.27 for the balancer.
        ("fixed", month(bill.fixed), 95, 96),
        // 40.00 for the two nodes, the rest for more of them by day.
        ("nodes", month(bill.nodes), 40, 65),
        ("staging", month(bill.hosts["staging-mysql"]), 24, 25),
        ("production", month(bill.hosts["production-aurora"]), 43, 44),
        // Critical ones, at $0.0202 an hour.
        ("databases", month(bill.databases), 10, 30),
    ];
    for (what, usd, least, most) in parts {
        assert!(usd >= least.into() && usd <= most.into(), "{what}: {usd}");
    }
    assert_eq!(parts.iter().map(|(_, usd, ..)| *usd).sum::<Decimal>().round(), month(bill.total()).round());
    assert!(month(bill.total()) < Decimal::from(250), "{}", month(bill.total()));
    assert!(figures.unpriced.is_empty(), "{:?}", figures.unpriced);
}

#[test]
fn a_hundred_at_once_do_not_fit_into_the_quota() {
    let at_once = Maker::new(Recipe {
        namespaces: vec![("wordpress-production".into(), 1)],
        shape: Shape::Steady,
        ..recipe(2_000.0, Span::minutes(6), "2026-02-04T10:00:00Z")
    });
    let figures = simulated(at_once.take(100));
    assert_eq!((figures.arrivals, figures.peak), (100, 64), "16 CPU are 64 clones");
    let quota = figures.denied[&("QuotaFull", "quota")];
    // They come again for an hour, and nobody has left by then.
    assert_eq!((quota.arrivals, quota.tries), (36, 36 * 13));
    assert_eq!((figures.admitted, figures.expired, figures.waited()), (64, 64, 0));
}
