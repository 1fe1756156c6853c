//! What waits behind a brake, and what was promised, survives everything that happens between two plans. Each test feeds the
//! state of one plan into the next, as the daemon does.

use super::{Action, BlockedBy, Plan, Reason, plan};
use crate::model::{Evidence, Kind, Reading, Snapshot, Source, Span, WordPressClone, names};
use crate::policy::{BrakeRules, ClonePolicy, Limits, Mode, Namespaces, OrphanRules, Overflow, Policies, Ttl};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::sync::Arc;

const BIRTH: i64 = 1_770_000_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(BIRTH + minutes * 60).unwrap()
}

/// A clone of one hour with what is announced on it: the end, and when that was said.
fn clone_of(name: &str, announced: Option<(Timestamp, Timestamp)>) -> WordPressClone {
    let mut object = json!({
        "metadata": {"namespace": "n", "name": name, "uid": format!("uid-{name}"), "resourceVersion": "1", "creationTimestamp": at(0), "annotations": {}},
        "spec": {"ttlSeconds": 3_600},
    });
    if let Some((end, said)) = announced {
        object["metadata"]["annotations"] = json!({names::EXPIRES_AT: end, names::ANNOUNCED_AT: said});
    }
    WordPressClone::read(&object).unwrap()
}

fn policies(name: &str, mode: Mode) -> Policies {
    let policy = ClonePolicy {
        name: name.into(),
        file: "test.yaml".into(),
        line: 1,
        lines: Default::default(),
        mode,
        namespaces: Namespaces::Names(vec!["n".into()]),
        ttl: Ttl { minimum: Span::minutes(1), ..Ttl::default() },
        idle: None,
        limits: Limits::default(),
        quota: Default::default(),
        limit_range: None,
        databases: Vec::new(),
        budget: None,
        orphans: OrphanRules::default(),
        brake: BrakeRules::default(),
    };
    Policies { revision: "sha256:test".into(), policies: vec![Arc::new(policy)], hosts: Vec::new(), prices: crate::policy::prices::built_in() }
}

fn world(now: Timestamp, clones: Vec<WordPressClone>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for kind in Kind::ALL {
        snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(now));
    }
    snapshot.evidence.insert(Source::Time, Evidence::complete(now));
    snapshot.state.enforced_since.insert("n".into(), at(0));
    snapshot.clones = clones.into_iter().map(Arc::new).collect();
    snapshot
}

/// 25 of 60 clones whose end was announced later than it was: more than the 20 that may go.
fn braked(now: Timestamp) -> Snapshot {
    let late = |number: usize| (number < 25).then(|| (at(90), at(1)));
    let mut clones: Vec<WordPressClone> = (0..60).map(|number| clone_of(&format!("c{number:02}"), late(number))).collect();
    for clone in clones.iter_mut().skip(25) {
        clone.keep = Reading::Value(true);
    }
    world(now, clones)
}

fn waiting(plan: &Plan) -> usize {
    plan.state.brakes.values().filter_map(|brake| brake.tripped.as_ref()).map(|trip| trip.waiting.len()).sum()
}

fn going(plan: &Plan) -> usize {
    plan.decisions.iter().filter(|decision| decision.action == Action::Delete && decision.effective()).count()
}

#[test]
fn a_plan_that_cannot_judge_lets_nothing_slip_past_the_brake() {
    let policies = policies("staging", Mode::Enforce);
    let mut snapshot = braked(at(100));
    let first = plan(&snapshot, &policies, at(100));
    assert_eq!((waiting(&first), going(&first)), (25, 0));
    snapshot.state = first.state;
    // Ten are extended: fifteen wait, fewer than would trip it anew.
    snapshot.clones.iter_mut().take(10).for_each(|clone| Arc::make_mut(clone).extend_until = Reading::Value(at(600)));
    snapshot.state = plan(&snapshot, &policies, at(100)).state;
    for blind in [Source::Time, Source::Objects(Kind::Clone)] {
        let mut lacking = snapshot.clone();
        lacking.evidence.insert(blind.clone(), Evidence::incomplete(at(101), "gone"));
        let held = plan(&lacking, &policies, at(101));
        snapshot.state = held.state;
        let again = plan(&snapshot, &policies, at(102));
        assert_eq!((waiting(&again), going(&again)), (15, 0), "{blind}");
    }
    // Nor does a moment of audit, or another name for the policy.
    snapshot.state = plan(&snapshot, &self::policies("staging", Mode::Audit), at(102)).state;
    let renamed = plan(&snapshot, &self::policies("staging-eu", Mode::Enforce), at(102));
    assert_eq!(going(&renamed), 0);
    assert_eq!(renamed.state.brakes.keys().collect::<Vec<_>>(), ["staging-eu"]);
}

#[test]
fn a_label_on_a_clone_is_a_memory_of_its_definition() {
    let policies = policies("staging", Mode::Enforce);
    let mut snapshot = world(at(60), vec![clone_of("c", Some((at(60), at(1))))]);
    snapshot.evidence.insert(Source::Objects(Kind::Definition), Evidence::incomplete(at(60), "forbidden"));
    assert_eq!(going(&plan(&snapshot, &policies, at(60))), 1, "nobody has ever seen a definition");
    Arc::make_mut(&mut snapshot.clones[0]).definition = Some("wordpress-clone".into());
    let held = plan(&snapshot, &policies, at(60));
    assert!(matches!(held.decisions[0].reason, Reason::EvidenceMissing(..)), "{:?}", held.decisions[0].reason);
}

#[test]
fn a_release_lets_exactly_those_go_whatever_comes_between() {
    let policies = policies("staging", Mode::Enforce);
    let mut snapshot = braked(at(100));
    snapshot.state = plan(&snapshot, &policies, at(100)).state;
    assert_eq!(snapshot.state.release_brake("staging"), Some(25));
    let mut blind = snapshot.clone();
    blind.evidence.insert(Source::Time, Evidence::incomplete(at(101), "unknown"));
    snapshot.state = plan(&blind, &policies, at(101)).state;
    assert_eq!(going(&plan(&snapshot, &policies, at(102))), 25);
}

#[test]
fn a_list_of_what_waits_stays_small_and_everything_waits_all_the_same() {
    let policies = policies("staging", Mode::Enforce);
    let late: Vec<WordPressClone> = (0..3_000).map(|number| clone_of(&format!("c{number:04}"), Some((at(90), at(1))))).collect();
    let plan = plan(&world(at(100), late), &policies, at(100));
    assert_eq!((waiting(&plan), going(&plan)), (1_000, 0));
    assert!(plan.decisions.iter().filter(|decision| decision.action == Action::Delete).all(|decision| decision.blocked_by == Some(BlockedBy::Brake)));
}

#[test]
fn a_keep_that_was_lifted_is_a_first_sight_even_if_nothing_could_be_written() {
    let policies = policies("staging", Mode::Enforce);
    let mut snapshot = world(at(30), vec![clone_of("c", Some((at(60), at(1))))]);
    Arc::make_mut(&mut snapshot.clones[0]).keep = Reading::Value(true);
    let kept = plan(&snapshot, &policies, at(30));
    assert_eq!(kept.withdrawn.len(), 1);
    Arc::make_mut(&mut snapshot.clones[0]).keep = Reading::Absent;
    snapshot.withdrawn = kept.withdrawn.into_iter().collect();
    let lifted = plan(&Snapshot { evidence: world(at(120), Vec::new()).evidence, ..snapshot }, &policies, at(120));
    assert!(matches!(lifted.decisions[0].reason, Reason::GraceAnnounced(..)), "{:?}", lifted.decisions[0].reason);
}

#[test]
fn an_interruption_of_enforce_is_told_also_when_it_can_be_written_down() {
    let snapshot = world(at(30), Vec::new());
    let plan = plan(&snapshot, &policies("staging", Mode::Audit), at(30));
    assert_eq!((plan.interrupted, plan.state.enforced_since.len()), (vec!["n".to_owned()], 0));
}

#[test]
fn a_clone_whose_own_end_has_come_makes_room_for_the_newest() {
    let mut policies = policies("staging", Mode::Enforce);
    let policy = Arc::make_mut(&mut policies.policies[0]);
    policy.limits = Limits { clones: Some(2), overflow: Overflow::ReapNewest, ..Limits::default() };
    let mut clones: Vec<WordPressClone> = ["a", "b", "c"].iter().map(|name| clone_of(name, Some((at(60), at(1))))).collect();
    clones[1].extend_until = Reading::Value(at(600));
    clones[2].extend_until = Reading::Value(at(600));
    let plan = plan(&world(at(61), clones), &policies, at(61));
    assert_eq!(going(&plan), 1);
    let soon = at(61) + SignedDuration::from_mins(11);
    assert!(
        plan.decisions.iter().filter(|decision| decision.action == Action::Warn).all(|decision| decision.reason.end().is_some_and(|end| end > soon))
    );
}
