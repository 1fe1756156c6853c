//! What lines say, made from real plans.

use super::*;
use crate::{
    cost::{
        accrual::seconds,
        tariff::{Needs, Tariff},
    },
    model::{Child, Kind, Source, WordPressClone, evidence::Evidence, snapshot::Departure},
    plan::{self, Action, Target},
    policy::load_files,
};
use serde_json::json;

const POLICY: &str = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {mode: enforce, namespaces: {names: [n]}}\n";
const NOW: &str = "2026-02-05T16:30:22Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A clone with a database of its own, and two hours to live.
fn object(deleted: bool) -> Value {
    let mut object = json!({"metadata": {"namespace": "n", "name": "c", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-02-05T14:30:22Z",
        "annotations": {"clonewarden.io/expires-at": NOW, "clonewarden.io/announced-at": "2026-02-05T14:40:00Z", "clonewarden.io/owner": "ada@example.com"}},
        "spec": {"cloneId": "c", "ttlSeconds": 7200, "useDedicatedDatabase": true, "sourcePassword": "hunter2"}});
    if deleted {
        object["metadata"]["deletionTimestamp"] = json!(NOW);
    }
    object
}

fn world(clones: &[Value], now: Timestamp) -> Snapshot {
    let clones = clones.iter().map(|clone| Arc::new(WordPressClone::read(clone).unwrap())).collect();
    let mut snapshot = Snapshot { clones, ..Snapshot::default() };
    snapshot.state.enforced_since.insert("n".to_owned(), at("2026-02-05T14:00:00Z"));
    let kinds = Kind::ALL.map(Source::Objects);
    kinds.into_iter().chain([Source::Time]).for_each(|source| snapshot.evidence.insert(source, Evidence::complete(now)));
    snapshot
}

fn planned(snapshot: &Snapshot, now: Timestamp) -> (Plan, Policies) {
    let policies = load_files(vec![("p.yaml".to_owned(), POLICY.into())]).unwrap();
    let mut plan = plan::plan(snapshot, &policies, now);
    plan.tariff = Arc::new(Tariff::new(Arc::clone(&policies.prices), Some("us-east-1".into()), &[], Needs::default()));
    (plan, policies)
}

fn verdict(plan: &Plan) -> &Decision {
    plan.decisions.iter().find(|decision| matches!(decision.target, Target::Clone(_)) && decision.action != Action::Alert).unwrap()
}

#[test]
fn an_end_says_what_it_rests_on_what_it_cost_and_what_it_saves() {
    let now = at(NOW);
    let (plan, policies) = planned(&world(&[object(false)], now), now);
    let decision = verdict(&plan);
    assert_eq!(decision.action, Action::Delete);
    let line = json!(tell::acted(decision, &plan, &policies, now, &Ending::Done));
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    let expected = [
        "time",
        "event",
        "version",
        "policyRevision",
        "id",
        "action",
        "effective",
        "policy",
        "target",
        "reason",
        "evidence",
        "clone",
        "cost",
        "outcome",
    ];
    assert_eq!(keys, expected.iter().collect::<Vec<_>>());
    let sources: Vec<&Value> = line["evidence"].as_array().unwrap().iter().map(|one| &one["source"]).collect();
    assert_eq!(sources, ["clones", "time", "definitions"]);
    assert_eq!(line["clone"], json!({"namespace": "n", "name": "c", "uid": "u", "owner": "ada@example.com", "dedicated": true}));
    // The ledger's own figures: so much a second, until the ceiling, a day after its creation.
    let per_second = accrual_rate(&plan, decision);
    let saved = (per_second * rust_decimal::Decimal::from(seconds(now, at("2026-02-06T14:30:22Z")))).round_dp(4).normalize();
    assert_eq!(line["cost"]["saved"], json!(saved.to_string()));
    assert_eq!(line["cost"]["instead"], json!("2026-02-06T14:30:22Z"));
    assert_eq!(line["cost"]["accrued"], json!((per_second * rust_decimal::Decimal::from(7_200)).round_dp(4).normalize().to_string()));
    assert_eq!(line["cost"]["unpriced"], json!(["nodes"]), "what has no price is named, and is no zero");
    // What did not come about saves nothing.
    let failed = json!(tell::acted(decision, &plan, &policies, now, &Ending::Failed("é".repeat(3_000))));
    assert_eq!((failed["cost"].get("saved"), failed["outcome"].as_str(), &failed["id"]), (None, Some("failed"), &line["id"]));
    assert_eq!(failed["detail"].as_str().unwrap().chars().count(), 2_001);
    assert!(!line.to_string().contains("hunter2"));
}

fn accrual_rate(plan: &Plan, decision: &Decision) -> rust_decimal::Decimal {
    let Target::Clone(clone) = &decision.target else { panic!("no clone") };
    crate::plan::accrual::Rates::of(&plan.tariff).of_database(&clone.database).per_second.total
}

#[test]
fn what_nobody_knows_the_price_of_costs_nothing_in_no_line() {
    let now = at(NOW);
    let (mut plan, policies) = planned(&world(&[object(false)], now), now);
    plan.tariff = Arc::new(Tariff::new(Arc::clone(&policies.prices), None, &[], Needs::default()));
    let line = json!(tell::acted(verdict(&plan), &plan, &policies, now, &Ending::Done));
    assert_eq!((line["cost"].get("perHour"), line["cost"].get("saved"), line["cost"]["unpriced"].is_array()), (None, None, true));
    let mut half = Tariff::default();
    half.lack = Some("nodes: incomplete".to_owned());
    plan.tariff = Arc::new(half);
    assert_eq!(json!(tell::acted(verdict(&plan), &plan, &policies, now, &Ending::Done)).get("cost"), None);
}

/// Everything that the journal says of a clone that is deleted, then gone, and whose database takes longer.
#[test]
fn a_clone_is_followed_until_nothing_of_it_is_left() {
    let now = at(NOW);
    let later = |minutes: i64| now + jiff::SignedDuration::from_mins(minutes);
    let mut pursuit = Pursuit::default();
    let (plan, policies) = planned(&world(&[object(false)], now), now);
    let line = tell::acted(verdict(&plan), &plan, &policies, now, &Ending::Done);
    pursuit.acted(verdict(&plan), &line);
    let mut look = |snapshot: &Snapshot, minutes: i64| {
        let (plan, policies) = planned(snapshot, later(minutes));
        pursuit.look(snapshot, &plan, &policies)
    };
    let mut nobodys = object(true);
    (nobodys["metadata"]["namespace"], nobodys["metadata"]["uid"]) = (json!("m"), json!("v"));
    assert_eq!(look(&world(&[nobodys, object(true)], later(1)), 1), [], "it is on its way out");
    let database = json!({"metadata": {"namespace": "n", "name": "c-db", "uid": "d", "resourceVersion": "1", "creationTimestamp": "2026-02-05T14:30:22Z",
        "labels": {"kro.run/instance-id": "u", "kro.run/instance-kind": "WordPressClone", "kro.run/instance-name": "c"}},
        "spec": {"dbInstanceIdentifier": "c-u"}});
    let mut without = world(&[], later(2));
    without.children = vec![Arc::new(Child::read(Kind::DbInstance, &database).unwrap().unwrap())];
    without.departed = vec![Departure::new("u", "n", at("2026-02-05T14:30:22Z"), later(2))];
    assert_eq!(look(&without, 2), [], "its database is there");
    let mut unknown = world(&[], later(3));
    unknown.evidence.insert(Source::Objects(Kind::DbInstance), Evidence::incomplete(later(3), "a page was missing"));
    assert_eq!(look(&unknown, 3), [], "it may be there");
    let gone = look(&world(&[], later(7)), 7);
    let told = json!(gone);
    assert_eq!(gone.len(), 1, "one that no policy governs is not followed");
    assert_eq!((told[0]["event"].as_str(), &told[0]["id"], told[0]["policy"].as_str()), (Some("gone"), &json!(line.id), Some("p")));
    assert_eq!(told[0]["facts"], json!({"deletedAt": NOW, "objectGoneAt": later(2), "tookSeconds": 420}));
    assert_eq!((told[0].get("outcome"), told[0]["cost"].get("saved")), (None, None), "it is told once how it ended and what that saved");
    assert_eq!(look(&world(&[], later(8)), 8), [], "that is told once");
}

#[test]
fn that_admission_let_a_clone_in_is_said_only_where_nobody_else_can_have_written_it() {
    let now = at(NOW);
    let admitted = |reserved: bool, since: Option<&str>, policy: &str| {
        let mut clone = object(false);
        if reserved {
            clone["metadata"]["annotations"]["clonewarden.io/reservation"] = json!("r-1");
        }
        let (mut plan, _) = planned(&world(&[clone], now), now);
        plan.state.enforced_since = since.map(|since| ("n".to_owned(), at(since))).into_iter().collect();
        let policies = load_files(vec![("p.yaml".to_owned(), policy.into())]).unwrap();
        tell::acted(verdict(&plan), &plan, &policies, now, &Ending::Done).clone.unwrap().admitted
    };
    let before = Some("2026-02-05T14:30:22Z");
    assert_eq!(admitted(true, before, POLICY), Some(true));
    assert_eq!(admitted(false, before, POLICY), None, "it carries no promise");
    assert_eq!(admitted(true, Some("2026-02-05T14:30:23Z"), POLICY), None, "it was made in audit, when anybody could write that");
    assert_eq!(admitted(true, None, POLICY), None);
    assert_eq!(admitted(true, before, &POLICY.replace("enforce", "audit")), None);
}
