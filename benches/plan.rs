//! A whole plan over many clones: how long it takes and how much memory the world it reads takes.
//!
//! Every fifth clone has just been created (its end is to be announced), the others wait for an announced end.

use clonewarden::{
    model::{Child, Evidence, Kind, Snapshot, Source, WordPressClone, names},
    plan,
    policy::{BrakeRules, ClonePolicy, Limits, Mode, Namespaces, OrphanRules, Policies, Ttl},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{hint::black_box, sync::Arc, time::Instant};

const REPEATS: usize = 21;

fn main() {
    println!("{:>9} {:>9} {:>12} {:>12} {:>10}", "clones", "children", "p50 ms", "worst ms", "RSS MiB");
    for (clones, children) in [(1_000, 0), (10_000, 0), (10_000, 60_000), (100_000, 0)] {
        let now: Timestamp = "2026-02-05T16:30:22Z".parse().expect("a date");
        let snapshot = world(clones, children, now);
        let policies = policies();
        let mut times: Vec<f64> = (0..REPEATS)
            .map(|_| {
                let begun = Instant::now();
                black_box(plan::plan(black_box(&snapshot), black_box(&policies), now));
                begun.elapsed().as_secs_f64() * 1_000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{clones:>9} {children:>9} {:>12.2} {:>12.2} {:>10.1}", times[REPEATS / 2], times[REPEATS - 1], rss_mib());
    }
}

fn policies() -> Policies {
    let policy = |name: &str| {
        Arc::new(ClonePolicy {
            name: name.into(),
            file: "bench.yaml".into(),
            line: 1,
            mode: Mode::Enforce,
            namespaces: Namespaces::Names(vec![format!("wordpress-{name}")]),
            ttl: Ttl::default(),
            limits: Limits { clones: Some(1_000_000), ..Limits::default() },
            quota: Default::default(),
            databases: Vec::new(),
            budget: None,
            orphans: OrphanRules::default(),
            brake: BrakeRules::default(),
        })
    };
    Policies { revision: "sha256:bench".into(), policies: vec![policy("production"), policy("staging")], hosts: Vec::new() }
}

fn world(clones: usize, children: usize, now: Timestamp) -> Snapshot {
    let mut snapshot = Snapshot { cluster_id: Some("bench".into()), ..Snapshot::default() };
    for kind in Kind::ALL {
        snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(now));
    }
    snapshot.evidence.insert(Source::Time, Evidence::complete(now));
    for namespace in ["wordpress-production", "wordpress-staging"] {
        snapshot.namespaces.insert(namespace.into(), Default::default());
        snapshot.state.enforced_since.insert(namespace.into(), now - SignedDuration::from_hours(100));
    }
    let created = now - SignedDuration::from_mins(30);
    snapshot.clones = (0..clones)
        .map(|number| {
            let namespace = if number < clones / 2 { "wordpress-production" } else { "wordpress-staging" };
            let mut object = json!({
                "metadata": {
                    "namespace": namespace, "name": format!("clone-{number:07}"), "uid": uid(number), "resourceVersion": number.to_string(),
                    "creationTimestamp": created, "labels": {names::KRO_DEFINITION: "wordpress-clone"}, "finalizers": [names::KRO_FINALIZER],
                },
                "spec": {"ttlSeconds": 7_200},
                "status": {"state": "ACTIVE"},
            });
            if number % 5 != 0 {
                let end = (created + SignedDuration::from_hours(2)).to_string();
                object["metadata"]["annotations"] = json!({names::EXPIRES_AT: end, names::ANNOUNCED_AT: created.to_string()});
            }
            Arc::new(WordPressClone::read(&object).expect("a clone"))
        })
        .collect();
    let per_clone = [Kind::Job, Kind::Service, Kind::Ingress, Kind::ConfigMap, Kind::Pod, Kind::ConfigMap];
    snapshot.children = (0..children).map(|number| Arc::new(child(number, clones, per_clone[number * per_clone.len() / children.max(1)], created))).collect();
    snapshot.definitions.push(
        clonewarden::model::child::Definition::read(&json!({
            "metadata": {"name": "wordpress-clone", "uid": "rgd", "creationTimestamp": created},
            "spec": {"schema": {"kind": "WordPressClone"}},
        }))
        .expect("a definition"),
    );
    snapshot
}

fn child(number: usize, clones: usize, kind: Kind, created: Timestamp) -> Child {
    let owner = number % clones;
    let object = json!({
        "metadata": {
            "namespace": if owner < clones / 2 { "wordpress-production" } else { "wordpress-staging" }, "name": format!("clone-{owner:07}-{number}"),
            "uid": uid(number + 10_000_000), "resourceVersion": "1", "creationTimestamp": created,
            "labels": {
                names::KRO_INSTANCE_ID: uid(owner), names::KRO_INSTANCE_KIND: "WordPressClone", names::KRO_INSTANCE_NAME: format!("clone-{owner:07}"),
                names::CLONE_UID: uid(owner),
            },
        },
        "status": {"phase": "Running"},
    });
    Child::read(kind, &object).expect("a child").expect("ours")
}

fn uid(number: usize) -> String {
    format!("{:08x}-1111-4222-8333-{number:012x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

fn rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1_024.0
}
