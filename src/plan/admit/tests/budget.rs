//! A budget bears what it bears, counted like places.

use super::*;
use crate::{
    cost::tariff::{Needs, SharedHost, Tariff},
    model::{Database, snapshot::Departure},
    plan::{accrual::Rates, admit::budget::Money},
    policy::prices,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// Long before the end of the month.
fn now() -> Timestamp {
    "2026-02-05T14:30:30Z".parse().unwrap()
}

fn tariff() -> Tariff {
    let host = |name: &str, usd: &str, schemas| SharedHost { name: name.into(), per_hour: Some(usd.parse().unwrap()), schemas };
    Tariff::new(prices::built_in(), Some("us-east-1".into()), &[], Needs::default())
        .with_host("one.example:3306", host("one", "0.02", 2))
        .with_host("two.example:3307", host("two", "0.01", 1))
}

fn money(departed: Vec<Departure>) -> Option<Arc<Money>> {
    Some(Arc::new(Money { at: now(), tariff: Arc::new(tariff()), usages: Vec::new(), unreadable: Vec::new(), departed }))
}

fn town(clones: Vec<Arc<WordPressClone>>) -> Residents {
    Residents { money: money(Vec::new()), ..residents(clones) }
}

fn dedicated(name: &str, class: &str, hours: i64) -> Request {
    create(object(name, json!({"useDedicatedDatabase": true, "databaseSize": class, "ttlSeconds": hours * 3_600})))
}

fn budget(monthly: &str, at_limit: &str) -> Policies {
    policies(&format!("  ttl: {{minimum: 30m, maximum: 24h}}\n  budget: {{monthly: {monthly}, warnAt: 80, atLimit: {at_limit}}}\n"))
}

#[test]
fn a_clone_that_a_budget_does_not_bear_is_told_the_sum_and_what_would_fit() {
    // An hour of db.t3.micro with its 20 GiB costs 0.020151.
    let (small, policies) = (dedicated("c", "db.t3.micro", 10), budget("0.25", "deny"));
    let first = ask(&small, &policies, &town(Vec::new()));
    assert_eq!((message(&first), first.claim.as_ref().unwrap().usd.round_dp(4).to_string()), (String::new(), "0.2015".to_owned()));
    assert_eq!(first.warnings, ["with this clone $0.20 of the month's $0.25 are spent or committed (81 %)"]);
    // It was created 8 s ago.
    let there = town(vec![living(patched(&small, &first), "u1")]);
    let second = ask(&dedicated("d", "db.t3.micro", 10), &policies, &there);
    assert_eq!(
        message(&second),
        "the month's budget of `wordpress-staging` is $0.25 (staging.yaml:8, `budget.monthly`): $0.00 accrued, $0.20 committed and $0.20 for this clone \
         (10h) are $0.40; what would fit: a life of 2h24m"
    );
    assert_eq!(second.refusal.as_ref().map(Refusal::code), Some("BudgetSpent"));
    let fits = ask(&dedicated("d", "db.t3.micro", 2), &policies, &there);
    assert_eq!(message(&fits), "");
    let huge = message(&ask(&dedicated("d", "db.m5.large", 10), &policies, &there));
    assert!(huge.ends_with("what would fit: a life of 30m") || huge.ends_with("or raise the budget"), "{huge}");
}

#[test]
fn a_budget_warns_or_shares_where_it_does_not_deny() {
    let big = dedicated("c", "db.m5.large", 24);
    let warned = ask(&big, &budget("1", "warn"), &town(Vec::new()));
    assert!(warned.refusal.is_none() && warned.warnings.iter().any(|said| said.contains("are $4.1")), "{:?}", warned.warnings);
    let rules = "  ttl: {minimum: 30m, maximum: 24h}\n  budget: {monthly: 1, atLimit: share}\n  databases:\n  - {name: big, when: \"clone.spec.databaseSize == 'db.m5.large'\", \
                 use: dedicated, classes: [db.m5.large]}\n  - {name: rest, use: shared, hosts: [two, one]}\n";
    let shared = ask(&big, &policies(rules), &town(Vec::new()));
    let stored = patched(&big, &shared);
    assert_eq!((&stored["spec"]["useDedicatedDatabase"], &stored["spec"]["sharedDatabase"]["host"]), (&json!(false), &json!("two.example:3307")));
    assert_eq!(
        stored["metadata"]["annotations"][names::PLACEMENT_REASON],
        "shared on `two`: the budget does not bear `dedicated `db.m5.large`: rule `big` of policy `staging``"
    );
    assert_eq!(shared.claim.unwrap().usd.round_dp(2).to_string(), "0.24");
    let audit = policies_in("audit", "  budget: {monthly: 1, atLimit: deny}\n");
    let said = ask(&big, &audit, &town(Vec::new()));
    assert!(
        said.refusal.is_none() && said.claim.is_none() && said.warnings[0].starts_with("clonewarden (audit): would refuse this: the month's budget")
    );
}

#[test]
fn a_serverless_database_counts_with_the_top_of_its_range() {
    let request = create(object("c", json!({"useDedicatedDatabase": true, "serverless": {"minACU": 0.5, "maxACU": 4}, "ttlSeconds": 7_200})));
    let verdict = ask(&request, &budget("100", "deny"), &town(Vec::new()));
    assert_eq!(verdict.claim.unwrap().usd.round_dp(4).to_string(), "0.9600");
}

#[test]
fn who_is_gone_has_spent_and_who_is_promised_will() {
    let policies = budget("0.41", "deny");
    let request = dedicated("c", "db.t3.micro", 10);
    let promised = ask(&dedicated("d", "db.t3.micro", 10), &policies, &town(Vec::new())).claim.unwrap();
    let mut claims: BTreeMap<Box<str>, Claim> = [("r-0".into(), promised)].into();
    let town = |departed| Residents { money: money(departed), ..Residents::default() };
    let ask = |town: &Residents, claims: &BTreeMap<Box<str>, Claim>| {
        message(&mutate(&request, Town { policies: &policies, residents: town, claims }, "r-1"))
    };
    assert_eq!(ask(&town(Vec::new()), &claims), "");
    let gone = Departure {
        database: Database::Dedicated("db.t3.micro".into()),
        ..Departure::new("u", NAMESPACE, now().checked_sub(SignedDuration::from_hours(2)).unwrap(), now())
    };
    assert!(ask(&town(vec![gone]), &claims).contains("$0.04 accrued, $0.20 committed"), "two hours of it");
    claims.clear();
    // Nobody knows what clones cost before the first plan is made.
    let blind = ask(&Residents::default(), &claims);
    assert!(blind.contains("what clones cost, or have cost, is not known"), "{blind}");
}

#[test]
fn rules_may_look_at_what_is_spent() {
    let rules = "  ttl: {minimum: 30m, maximum: 24h}\n  budget: {monthly: 1}\n  databases:\n  - {name: while-there-is-money, when: \"budget.left > 0.9\", use: dedicated, \
                 classes: [db.t3.micro]}\n  - {name: rest, use: shared, hosts: [one]}\n";
    let policies = policies(rules);
    let first = dedicated("c", "db.t3.micro", 10);
    let verdict = ask(&first, &policies, &town(Vec::new()));
    let stored = patched(&first, &verdict);
    assert_eq!(stored["spec"]["useDedicatedDatabase"], true);
    let second = dedicated("d", "db.t3.micro", 10);
    let verdict = ask(&second, &policies, &town(vec![living(stored, "u1")]));
    assert_eq!(patched(&second, &verdict)["spec"]["useDedicatedDatabase"], false);
}

proptest! {
    /// However creations, sights and ends come, what was let in never costs more than the budget.
    #[test]
    fn a_budget_is_never_exceeded(steps in prop::collection::vec((0u8..6, 0u8..6, 1i64..24), 1..60)) {
        let policies = budget("1.00", "deny");
        let rates_of = tariff();
        let rates = Rates::of(&rates_of);
        let (mut claims, mut seen, mut gone) = (BTreeMap::<Box<str>, Claim>::new(), Vec::<Arc<WordPressClone>>::new(), Vec::<Departure>::new());
        let mut waiting: Vec<(Box<str>, Value)> = Vec::new();
        for (step, (what, name, hours)) in steps.into_iter().enumerate() {
            match what {
                0..=2 => {
                    let request = dedicated(&format!("c{name}"), if hours % 2 == 0 { "db.t3.small" } else { "db.t3.micro" }, hours);
                    let taken = waiting.iter().any(|(_, object)| object["metadata"]["name"] == request.name.as_str());
                    let town = Residents { money: money(gone.clone()), ..residents(seen.clone()) };
                    let reservation: Box<str> = format!("r{step}").into();
                    let verdict = mutate(&request, Town { policies: &policies, residents: &town, claims: &claims }, &reservation);
                    if let Some(claim) = verdict.claim.clone().filter(|_| !taken && seen.iter().all(|clone| clone.meta.name() != request.name)) {
                        claims.insert(reservation.clone(), claim);
                        waiting.push((reservation, patched(&request, &verdict)));
                    }
                }
                3..=4 if !waiting.is_empty() => {
                    let (reservation, object) = waiting.remove(usize::from(name) % waiting.len());
                    seen.push(living(object, &format!("u{step}")));
                    claims.remove(&reservation);
                }
                _ if !seen.is_empty() => {
                    let clone = seen.remove(usize::from(name) % seen.len());
                    gone.push(Departure { database: clone.database.clone(), ..Departure::new(&clone.meta.uid, NAMESPACE, clone.meta.created, now()) });
                }
                _ => {}
            }
            let full = |database: &Database, seconds: i64| rates.of_database(database).at_most * Decimal::from(seconds);
            let lives: Decimal = seen.iter().map(|clone| full(&clone.database, *clone.ttl.value().unwrap())).sum();
            let past: Decimal = gone.iter().map(|gone| full(&gone.database, now().as_second() - gone.created.as_second())).sum();
            let promised: Decimal = waiting.iter().map(|(_, object)| full(&Database::read(object), object["spec"]["ttlSeconds"].as_i64().unwrap())).sum();
            prop_assert!(lives + past + promised <= Decimal::ONE, "{lives} + {past} + {promised}");
        }
    }
}

#[test]
fn what_is_not_known_is_not_let_in_where_a_budget_denies() {
    let (request, policies) = (dedicated("c", "db.t3.micro", 1), budget("5", "deny"));
    let unlisted = Residents { unlisted: [Kind::Usage].into(), ..town(Vec::new()) };
    let unreadable = Money { unreadable: vec![format!("{NAMESPACE}-2026-02")], ..(*money(Vec::new()).unwrap()).clone() };
    let unreadable = Residents { money: Some(Arc::new(unreadable)), ..Residents::default() };
    for town in [unlisted, unreadable] {
        assert_eq!(ask(&request, &policies, &town).refusal.as_ref().map(Refusal::code), Some("NotNow"));
        assert!(ask(&request, &budget("5", "warn"), &town).refusal.is_none());
    }
    let dear = ask(&dedicated("c", "db.r5.24xlarge", 1), &policies, &town(Vec::new()));
    assert_eq!(dear.refusal.as_ref().map(Refusal::code), Some("Unpriced"));
    assert!(message(&dear).starts_with("what `db.r5.24xlarge` costs is not known, and the budget (staging.yaml:8)"), "{}", message(&dear));
}

#[test]
fn a_clone_that_is_kept_or_extended_from_the_beginning_counts_with_that() {
    let policies = budget("1", "deny");
    let with = |key: &str, value: &str| {
        let mut request = dedicated("c", "db.t3.micro", 1);
        request.object["metadata"]["annotations"] = json!({key: value});
        let verdict = ask(&request, &policies, &town(Vec::new()));
        verdict.claim.map(|claim| claim.usd.round_dp(2).to_string()).ok_or_else(|| verdict.refusal.unwrap().code())
    };
    assert_eq!(with(names::KEEP, "false").as_deref(), Ok("0.02"));
    assert_eq!(with(names::KEEP, "true"), Err("BudgetSpent"), "for the rest of the month it costs $11");
    assert_eq!(with(names::EXTEND_UNTIL, "2026-02-06T02:30:30Z").as_deref(), Ok("0.24"), "twelve hours");
    assert_eq!(with(names::EXTEND_UNTIL, "2026-02-20T02:30:30Z").as_deref(), Ok("0.48"), "no longer than the policy allows");
}

#[test]
fn a_clone_that_is_to_live_longer_is_weighed_like_a_new_one_and_a_keep_is_never_refused() {
    let (first, deny) = (dedicated("c", "db.t3.micro", 2), budget("0.25", "deny"));
    let mut stored = patched(&first, &ask(&first, &deny, &town(Vec::new())));
    let there = town(vec![living(stored.clone(), "u1")]);
    stored["metadata"]["uid"] = json!("u1");
    stored["metadata"]["resourceVersion"] = json!("1");
    stored["metadata"]["creationTimestamp"] = json!("2026-02-05T14:30:22Z");
    let lasting = |hours: i64| update(stored.clone(), |object| object["spec"]["ttlSeconds"] = json!(hours * 3_600));
    assert_eq!(message(&ask(&lasting(12), &deny, &there)), "", "$0.24 of $0.25");
    assert_eq!(
        message(&ask(&lasting(20), &deny, &there)),
        "the month's budget of `wordpress-staging` is $0.25 (staging.yaml:8, `budget.monthly`): $0.00 accrued, $0.04 committed and $0.36 for this clone \
         (20h) are $0.40; what would fit: a life of 12h24m"
    );
    let warned = ask(&lasting(20), &budget("0.25", "warn"), &there);
    assert!(warned.refusal.is_none() && warned.warnings.iter().any(|said| said.contains("are $0.40")), "{:?}", warned.warnings);
    let with = |key: &str, value: &str| update(stored.clone(), |object| object["metadata"]["annotations"][key] = json!(value));
    assert_eq!(ask(&with(names::EXTEND_UNTIL, "2026-02-06T14:00:00Z"), &deny, &there).refusal.map(|refusal| refusal.code()), Some("BudgetSpent"));
    let kept = ask(&with(names::KEEP, "true"), &deny, &there);
    assert!(kept.refusal.is_none() && kept.warnings.iter().any(|said| said.contains("are $11.")), "{:?}", kept.warnings);
    // With nothing left a clone may live as long as before, and shorter, and be changed otherwise.
    let spent = budget("0.01", "deny");
    for change in [lasting(2), lasting(1), with("team", "shop")] {
        assert_eq!(message(&ask(&change, &spent, &there)), "");
    }
    let unknown = Residents { money: None, ..there };
    assert_eq!(ask(&lasting(20), &deny, &unknown).refusal.map(|refusal| refusal.code()), Some("NotNow"));
    for change in [lasting(1), with(names::KEEP, "true"), with("team", "shop")] {
        assert_eq!(message(&ask(&change, &deny, &unknown)), "");
    }
}

#[test]
fn a_condition_on_a_budget_of_which_nothing_is_known_takes_the_cheap_side() {
    let rules = "  budget: {monthly: 1, atLimit: share}\n  databases:\n  - {name: while-there-is-money, when: \"budget.left > 0.5\", use: dedicated, \
                 classes: [db.t3.micro]}\n  - {name: rest, use: shared, hosts: [one]}\n";
    let request = dedicated("c", "db.t3.micro", 1);
    let verdict = ask(&request, &policies(rules), &Residents { money: None, ..town(Vec::new()) });
    assert_eq!(patched(&request, &verdict)["spec"]["useDedicatedDatabase"], false);
    assert!(verdict.warnings.iter().any(|said| said.contains("cannot be evaluated")), "{:?}", verdict.warnings);
}

#[test]
fn two_tries_of_one_name_cost_once() {
    let policies = budget("0.25", "deny");
    let promise = |name: &str, usd: &str| Claim { namespace: NAMESPACE.into(), name: name.into(), usd: usd.parse().unwrap(), ..Claim::default() };
    let asked = |claims: &[Claim]| {
        let claims = claims.iter().enumerate().map(|(number, claim)| (number.to_string().into(), claim.clone())).collect();
        let town = Town { policies: &policies, residents: &town(Vec::new()), claims: &claims };
        mutate(&dedicated("d", "db.t3.micro", 2), town, "r-9").refusal.map(|refusal| refusal.code())
    };
    assert_eq!(asked(&[promise("c", "0.10"), promise("c", "0.20"), promise("c", "0.15"), promise("d", "0.2")]), None);
    assert_eq!(asked(&[promise("c", "0.10"), promise("c", "0.22")]), Some("BudgetSpent"));
}

#[test]
fn what_another_webhook_makes_dearer_is_not_what_was_promised() {
    let (policies, request) = (budget("5", "deny"), dedicated("c", "db.t3.micro", 2));
    let verdict = ask(&request, &policies, &town(Vec::new()));
    let claims = BTreeMap::from([("r-1".into(), verdict.claim.clone().unwrap())]);
    let confirm = |field: &str, value: Value| {
        let mut object = patched(&request, &verdict);
        // As it is sealed.
        object["spec"].as_object_mut().unwrap().remove("sourcePassword");
        object["spec"][field] = value;
        let light = Residents::default();
        validate(&create(object), Town { policies: &policies, residents: &light, claims: &claims }).refusal.map(|refusal| refusal.code())
    };
    assert_eq!(confirm("ttlSeconds", json!(7_200)), None);
    assert_eq!(confirm("ttlSeconds", json!(3_600)), None);
    assert_eq!(confirm("ttlSeconds", json!(86_400)), Some("Altered"));
    assert_eq!(confirm("databaseSize", json!("db.m5.large")), Some("Altered"));
    assert_eq!(confirm("serverless", json!({"minACU": 0.5, "maxACU": 64})), Some("Altered"));
}
