use super::*;
use crate::model::{Database, Evidence, Node, Snapshot, month::UsageStatus, orphan::status::ConditionStatus, snapshot::Departure};
use crate::plan::{Plan, plan};
use crate::policy::load_files;
use proptest::prelude::*;
use serde_json::json;

const NAMESPACE: &str = "shop";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn policies(budget: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec:\n  namespaces: {{names: [{NAMESPACE}]}}\n  \
         ttl: {{default: 2h, minimum: 1m, maximum: 90d}}\n  limits: {{clones: 10}}\n{budget}"
    );
    load_files(vec![("p.yaml".to_owned(), text.into())]).unwrap()
}

fn clone(name: &str, owner: &str, created: Timestamp, class: &str) -> Arc<WordPressClone> {
    Arc::new(
        WordPressClone::read(&json!({
            "metadata": {"namespace": NAMESPACE, "name": name, "uid": format!("uid-{name}"), "resourceVersion": "1", "creationTimestamp": created.to_string(),
                         "annotations": {"clonewarden.io/owner": owner}},
            "spec": {"useDedicatedDatabase": true, "databaseSize": class, "ttlSeconds": 7_776_000},
        }))
        .unwrap(),
    )
}

fn node() -> Arc<Node> {
    let labels = json!({"node.kubernetes.io/instance-type": "t3.large", "topology.kubernetes.io/region": "us-east-1"});
    let metadata = json!({"name": "n", "uid": "n", "creationTimestamp": "2026-02-01T00:00:00Z", "labels": labels});
    Arc::new(Node::read(&json!({"metadata": metadata, "status": {"allocatable": {"cpu": "2", "memory": "8Gi"}}})).unwrap())
}

/// A cluster in which everything is known.
fn world(now: Timestamp) -> Snapshot {
    let mut snapshot = Snapshot { nodes: vec![node()], watched_since: Some(time("2026-01-01T00:00:00Z")), ..Snapshot::default() };
    for kind in Kind::ALL {
        snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(now));
    }
    snapshot.evidence.insert(Source::Time, Evidence::complete(now));
    snapshot
}

fn at(snapshot: &Snapshot, now: Timestamp) -> Snapshot {
    Snapshot { evidence: world(now).evidence, ..snapshot.clone() }
}

/// What the plan writes into ledgers.
fn written(plan: &Plan) -> Vec<(String, Action, UsageStatus)> {
    let counted = plan.decisions.iter().filter_map(|decision| match (&decision.target, &decision.work) {
        (Target::Usage(namespace, month), Some(Work::Count(_, status))) => {
            Some((crate::model::month::object_name(namespace, *month), decision.action, (**status).clone()))
        }
        _ => None,
    });
    counted.collect()
}

fn said(plan: &Plan) -> Vec<&'static str> {
    plan.decisions.iter().filter(|decision| decision.action == Action::Alert).map(|decision| decision.reason.code()).collect()
}

/// Carries out what the plan writes, as the API server would.
fn store(snapshot: &mut Snapshot, plan: &Plan) {
    for (name, _, status) in written(plan) {
        let month: Month = name.rsplitn(3, '-').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("-").parse().unwrap();
        let object = json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": "2026-02-01T00:00:00Z"},
            "spec": {"namespace": NAMESPACE, "month": month.to_string()}, "status": status,
        });
        snapshot.usages.retain(|record| record.meta.name() != name);
        snapshot.usages.push(Arc::new(UsageRecord::read(&object).unwrap()));
    }
    snapshot.usages.sort_by(|one, other| one.meta.name().cmp(other.meta.name()));
}

fn total(snapshot: &Snapshot) -> Decimal {
    snapshot.usages.iter().map(|record| accrual::accrued(&record.status)).sum()
}

#[test]
fn a_ledger_begins_with_the_first_clone_and_goes_on_every_minute() {
    let (policies, born) = (policies(""), time("2026-02-05T10:00:00Z"));
    let mut snapshot = world(born);
    assert!(written(&plan(&snapshot, &policies, time("2026-02-05T10:00:05Z"))).is_empty(), "nobody lives");
    snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro")];
    let now = time("2026-02-05T10:00:40Z");
    let first = plan(&at(&snapshot, now), &policies, now);
    let [(name, action, status)] = &written(&first)[..] else { panic!("{:?}", written(&first)) };
    assert_eq!((name.as_str(), *action, status.accrued_through), ("shop-2026-02", Action::Create, Some(time("2026-02-05T10:00:30Z"))));
    assert_eq!((status.owners[0].owner.as_str(), status.owners[0].clone_seconds), ("ada", 30));
    store(&mut snapshot, &first);
    let now = time("2026-02-05T10:01:10Z");
    let wait = plan(&at(&snapshot, now), &policies, now);
    assert!(written(&wait).is_empty());
    assert_eq!(wait.next_wakeup, Some(time("2026-02-05T10:01:40Z")));
    let now = time("2026-02-05T10:01:40Z");
    let second = plan(&at(&snapshot, now), &policies, now);
    assert_eq!(written(&second)[0].1, Action::Update);
    assert_eq!(written(&second)[0].2.owners[0].clone_seconds, 90);
    assert!(written(&second)[0].2.unpriced.is_empty());
}

#[test]
fn a_clone_that_went_is_counted_to_its_end_and_what_its_end_saved_is_said() {
    let (policies, born) = (policies(""), time("2026-02-05T10:00:00Z"));
    let mut snapshot = world(born);
    snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro")];
    let now = time("2026-02-05T10:01:00Z");
    let plan_a = plan(&at(&snapshot, now), &policies, now);
    store(&mut snapshot, &plan_a);
    let gone = snapshot.clones.remove(0);
    let reaped = Some(Reaped { why: "expired", instead: time("2026-02-05T11:01:30Z") });
    let departed = Departure {
        owner: gone.owner.clone(),
        database: gone.database.clone(),
        reaped,
        ..Departure::new(&gone.meta.uid, NAMESPACE, born, time("2026-02-05T10:01:30Z"))
    };
    snapshot.departed = vec![departed];
    let now = time("2026-02-05T10:02:00Z");
    let plan_b = plan(&at(&snapshot, now), &policies, now);
    let status = &written(&plan_b)[0].2;
    assert_eq!((status.owners[0].clone_seconds, status.owners[0].live, status.estimated), (90, 0, None));
    assert_eq!(status.clones.map(|clones| (clones.live, clones.created, clones.ended)), Some((0, 1, 1)));
    assert_eq!(status.savings.iter().map(|saving| (saving.reason.as_str(), saving.reaped)).collect::<Vec<_>>(), [("expired", 1)]);
    // By a clock that was wrong nobody knows when it went: half of the time since the last checkpoint is estimated.
    let mut ahead = snapshot.clone();
    ahead.departed[0].gone = time("2026-02-05T12:01:30Z");
    let guessed = plan(&at(&ahead, now), &policies, now);
    assert!(written(&guessed)[0].2.estimated.is_some() && written(&guessed)[0].2.owners[0].clone_seconds == 80);
    // An hour that it would have lived on, at 0.020151 for the database, and its part of the fixed costs (a tenth of 0.1305).
    assert_eq!(status.saved.unwrap().round_dp(3).to_string(), "0.033");
}

#[test]
fn what_is_not_known_is_not_counted_and_nothing_is_written_while_paused() {
    let (policies, born) = (policies(""), time("2026-02-05T10:00:00Z"));
    let now = time("2026-02-05T10:01:00Z");
    let mut snapshot = world(now);
    snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro")];
    for source in [Source::Objects(Kind::Clone), Source::Objects(Kind::Usage), Source::Time] {
        let mut blind = snapshot.clone();
        blind.evidence.insert(source, Evidence::incomplete(now, "cut"));
        assert!(written(&plan(&blind, &policies, now)).is_empty());
    }
    let mut odd = snapshot.clone();
    let unreadable =
        json!({"metadata": {"name": "shop-2026-02", "uid": "u", "creationTimestamp": "2026-02-01T00:00:00Z"}, "spec": {"namespace": NAMESPACE}});
    odd.unreadable = vec![UsageRecord::read(&unreadable).unwrap_err()];
    assert!(written(&plan(&odd, &policies, now)).is_empty(), "what stands there must not be lost");
    snapshot.state.paused = Some(crate::model::state::Pause::new(now, "", ""));
    assert!(written(&plan(&snapshot, &policies, now)).is_empty());
}

#[test]
fn a_month_is_counted_to_its_end_before_the_next_begins() {
    let (policies, born) = (policies(""), time("2026-02-20T00:00:00Z"));
    let mut snapshot = world(born);
    snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro")];
    for now in ["2026-02-28T23:59:30Z", "2026-03-01T00:00:20Z", "2026-03-01T00:00:21Z"] {
        let now = time(now);
        let plan = plan(&at(&snapshot, now), &policies, now);
        store(&mut snapshot, &plan);
    }
    let through: Vec<_> = snapshot.usages.iter().map(|record| (record.meta.name(), record.status.accrued_through.unwrap().to_string())).collect();
    assert_eq!(through, [("shop-2026-02", "2026-03-01T00:00:00Z".to_owned()), ("shop-2026-03", "2026-03-01T00:00:11Z".to_owned())]);
    let seconds: u64 = snapshot.usages.iter().flat_map(|record| &record.status.owners).map(|owner| owner.clone_seconds).sum();
    assert_eq!(seconds, accrual::seconds(born, time("2026-03-01T00:00:11Z")));
    // A daemon that was away for months counts each of them.
    let mut away = Snapshot { usages: snapshot.usages[..1].to_vec(), ..snapshot.clone() };
    for _ in 0..4 {
        let now = time("2026-05-02T00:00:10Z");
        let plan = plan(&at(&away, now), &policies, now);
        store(&mut away, &plan);
    }
    let months: Vec<_> = away.usages.iter().map(|record| record.month.to_string()).collect();
    assert_eq!(months, ["2026-02", "2026-03", "2026-04", "2026-05"]);
    let seconds: u64 = away.usages.iter().flat_map(|record| &record.status.owners).map(|owner| owner.clone_seconds).sum();
    assert_eq!(seconds, accrual::seconds(born, time("2026-05-02T00:00:00Z")));
}

#[test]
fn a_budget_is_told_when_it_is_near_its_end_and_when_it_is_over() {
    let born = time("2026-02-05T10:00:00Z");
    let now = time("2026-02-05T10:01:00Z");
    let codes = |monthly: &str, class: &str| {
        let policies = policies(&format!("  budget: {{monthly: \"{monthly}\", warnAt: 80}}\n"));
        let mut snapshot = world(now);
        snapshot.clones = vec![clone("a", "ada", born, class)];
        let counted = plan(&snapshot, &policies, now);
        store(&mut snapshot, &counted);
        let plan = plan(&snapshot, &policies, now);
        said(&plan)
    };
    // 566 hours are left of the month, at 0.033 each: $18.79.
    assert_eq!(codes("100", "db.t3.micro"), Vec::<&str>::new());
    assert_eq!(codes("20", "db.t3.micro"), ["BudgetNear"]);
    assert_eq!(codes("10", "db.t3.micro"), ["BudgetExceeded"]);
    assert_eq!(codes("100", "db.unheard-of"), ["Unpriced"]);
}

proptest! {
    /// However often it is looked, and whenever a daemon is killed between plan and write, a clone's seconds are counted once.
    #[test]
    fn each_second_is_counted_once(looks in prop::collection::vec((1i64..400, any::<bool>()), 1..20)) {
        let (policies, born) = (policies(""), time("2026-02-28T23:50:00Z"));
        let mut snapshot = world(born);
        snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro"), clone("b", "bob", born, "db.t3.small")];
        let mut now = born;
        // What was before the first ledger was made, in a month before, is nobody's to know.
        for (step, written) in [(30, true)].into_iter().chain(looks).chain([(400, true), (1, true), (1, true)]) {
            now = later(now, SignedDuration::from_secs(step));
            let plan = plan(&at(&snapshot, now), &policies, now);
            if written {
                store(&mut snapshot, &plan);
            }
        }
        let through = snapshot.usages.iter().filter_map(|record| record.status.accrued_through).max().unwrap();
        let rates = crate::plan::money::tariff(&world(now), &policies, now);
        let rates = Rates::of(&rates);
        let per_second = ["db.t3.micro", "db.t3.small"].map(|class| rates.of_database(&Database::Dedicated(class.into())).per_second.total);
        let lived = Decimal::from(accrual::seconds(born, through));
        prop_assert_eq!(total(&snapshot), (per_second[0] + per_second[1]) * lived);
        prop_assert!(snapshot.usages.iter().all(|record| record.status.estimated.is_none()));
    }
}

#[test]
fn a_clone_that_came_and_went_before_there_was_a_ledger_is_counted() {
    let (policies, born) = (policies(""), time("2026-02-05T10:00:00Z"));
    let mut snapshot = world(born);
    let gone = clone("a", "ada", born, "db.t3.micro");
    let departed = Departure::new(&gone.meta.uid, NAMESPACE, born, time("2026-02-05T10:00:05Z"));
    snapshot.departed = vec![Departure { owner: gone.owner.clone(), database: gone.database.clone(), ..departed }];
    let now = time("2026-02-05T10:00:30Z");
    let first = plan(&at(&snapshot, now), &policies, now);
    assert_eq!(written(&first)[0].2.owners.iter().map(|owner| (owner.owner.as_str(), owner.clone_seconds)).collect::<Vec<_>>(), [("ada", 5)]);
    store(&mut snapshot, &first);
    let now = time("2026-02-05T10:02:00Z");
    assert!(written(&plan(&at(&snapshot, now), &policies, now)).is_empty(), "nothing is left to be counted");
}

#[test]
fn what_is_not_known_is_not_free() {
    let (policies, born) = (policies(""), time("2026-02-05T10:00:00Z"));
    let now = time("2026-02-05T10:01:00Z");
    let mut snapshot = world(now);
    snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro")];
    for kind in [Kind::Node, Kind::Definition, Kind::Usage] {
        let mut blind = snapshot.clone();
        blind.evidence.insert(Source::Objects(kind), Evidence::incomplete(now, "403"));
        let plan = plan(&blind, &policies, now);
        assert!(written(&plan).is_empty() && said(&plan) == ["CostsNotCounted"], "{kind}: {:?}", said(&plan));
    }
    // A host whose price only a sweep can tell.
    let host =
        "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: h}\nspec: {endpoint: h.example, schemas: 2, rds: {instance: h}}\n";
    let policy =
        format!("apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec: {{namespaces: {{names: [{NAMESPACE}]}}}}\n");
    let hosted = load_files(vec![("h.yaml".to_owned(), host.into()), ("p.yaml".to_owned(), policy.into())]).unwrap();
    let sweep = Source::Cloud("us-east-1".into(), crate::model::evidence::CloudList::Instances);
    snapshot.evidence.insert(sweep.clone(), Evidence::incomplete(now, "no sweep has ended yet"));
    assert!(written(&plan(&snapshot, &hosted, now)).is_empty());
    snapshot.evidence.insert(sweep, Evidence::complete(now));
    assert_eq!(written(&plan(&snapshot, &hosted, now)).len(), 1, "it is known not to be there");
}

#[test]
fn a_ledger_of_nobody_is_closed() {
    let (policies, born) = (policies(""), time("2026-02-05T10:00:00Z"));
    let mut snapshot = world(born);
    snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro")];
    let now = time("2026-02-05T10:01:00Z");
    let counted = plan(&at(&snapshot, now), &policies, now);
    store(&mut snapshot, &counted);
    let other = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [elsewhere]}}\n";
    let other = load_files(vec![("p.yaml".to_owned(), other.into())]).unwrap();
    let another = Policies { policies: Vec::new(), ..other.clone() };
    let later = time("2026-02-05T10:01:30Z");
    assert!(written(&plan(&at(&snapshot, later), &another, later)).is_empty(), "it may be another installation's");
    for (now, writes) in [("2026-02-05T10:01:30Z", 1), ("2026-02-05T10:03:00Z", 0)] {
        let now = time(now);
        let plan = plan(&at(&snapshot, now), &other, now);
        assert_eq!(written(&plan).len(), writes, "{now}");
        store(&mut snapshot, &plan);
    }
    let status = &snapshot.usages[0].status;
    assert_eq!((status.owners[0].clone_seconds, status.owners[0].live, status.committed), (80, 0, Some(Decimal::ZERO)));
}

#[test]
fn a_copy_is_no_ledger_and_one_that_cannot_be_read_is_passed_over() {
    let (policies, born) = (policies(""), time("2026-01-20T00:00:00Z"));
    let now = time("2026-03-05T00:00:00Z");
    let object = |name: &str, month: &str| {
        UsageRecord::read(&json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-02-01T00:00:00Z"},
            "spec": {"namespace": NAMESPACE, "month": month}, "status": {"accruedThrough": "2026-02-01T00:00:00Z"},
        }))
    };
    assert!(object("a-backup", "2026-01").unwrap_err().problem.contains("it should be called shop-2026-01"));
    let mut snapshot = world(now);
    snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro")];
    snapshot.usages = vec![Arc::new(object("shop-2026-01", "2026-01").unwrap())];
    snapshot.unreadable = vec![crate::model::Unreadable {
        kind: Kind::Usage,
        namespace: String::new(),
        name: "shop-2026-02".into(),
        uid: None,
        problem: String::new(),
    }];
    let plan = plan(&snapshot, &policies, now);
    assert_eq!(written(&plan)[0].0, "shop-2026-03");
}

#[test]
fn a_ledger_says_since_when_its_budget_is_exceeded() {
    let (policies, born) = (policies("  budget: {monthly: \"19\"}\n"), time("2026-02-05T10:00:00Z"));
    let mut snapshot = world(born);
    snapshot.clones = vec![clone("a", "ada", born, "db.t3.micro")];
    let mut said = Vec::new();
    for (now, clones) in [("2026-02-05T10:01:00Z", 1), ("2026-02-05T10:02:00Z", 1), ("2026-02-05T10:03:00Z", 2), ("2026-02-05T10:04:00Z", 2)] {
        let now = time(now);
        if clones > snapshot.clones.len() {
            snapshot.clones.push(clone("b", "ada", time("2026-02-05T10:02:30Z"), "db.t3.micro"));
        }
        let plan = plan(&at(&snapshot, now), &policies, now);
        store(&mut snapshot, &plan);
        let condition = &snapshot.usages[0].status.conditions[0];
        said.push((condition.status, condition.last_transition_time.unwrap().to_string()));
    }
    let (within, exceeded) = ("2026-02-05T10:00:50Z".to_owned(), "2026-02-05T10:02:50Z".to_owned());
    use ConditionStatus::{False, True};
    assert_eq!(said, [(True, within.clone()), (True, within), (False, exceeded.clone()), (False, exceeded)]);
}
