//! What is admitted: tables of requests.

mod budget;
mod ceiling;
mod exact;
mod room;

use super::*;
use crate::{
    model::{Kind, WordPressClone, names},
    policy::load_files,
};
use serde_json::json;

const NAMESPACE: &str = "wordpress-staging";

fn policies(rules: &str) -> Policies {
    policies_in("enforce", rules)
}

fn policies_in(mode: &str, rules: &str) -> Policies {
    let hosts = "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: one}\nspec: {endpoint: one.example, schemas: 2}\n---\n\
                 apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: two}\nspec: {endpoint: two.example, port: 3307, schemas: 1}\n";
    let policy = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: staging}}\nspec:\n  mode: {mode}\n  namespaces: {{names: [{NAMESPACE}]}}\n{rules}"
    );
    load_files(vec![("hosts.yaml".into(), hosts.into()), ("staging.yaml".into(), policy.into())]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn object(name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"cloneId": name, "sourceUrl": "https://example.com", "sourcePassword": "hunter2"}});
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

fn create(object: Value) -> Request {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Request { operation: Operation::Create, namespace: NAMESPACE.into(), name, user: "ada".into(), dry_run: false, object, old: Value::Null }
}

fn update(old: Value, change: impl FnOnce(&mut Value)) -> Request {
    let mut object = old.clone();
    change(&mut object);
    Request { operation: Operation::Update, old, ..create(object) }
}

/// What is stored after a request was admitted.
fn patched(request: &Request, verdict: &Verdict) -> Value {
    let mut object = request.object.clone();
    for change in &verdict.patch {
        let path = change["path"].as_str().unwrap();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        let fields = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match change["op"].as_str().unwrap() {
            "add" => drop(fields.insert(key, change["value"].clone())),
            "remove" => drop(fields.remove(&key).unwrap()),
            other => panic!("{other}"),
        }
    }
    object
}

fn ask(request: &Request, policies: &Policies, residents: &Residents) -> Verdict {
    mutate(request, Town { policies, residents, claims: &BTreeMap::new() }, "r-1")
}

fn alone(request: &Request, policies: &Policies) -> Verdict {
    ask(request, policies, &Residents::default())
}

/// A clone that lives, as the store would hold it.
fn living(mut stored: Value, uid: &str) -> Arc<WordPressClone> {
    stored["metadata"]["uid"] = json!(uid);
    stored["metadata"]["resourceVersion"] = json!("1");
    stored["metadata"]["creationTimestamp"] = json!("2026-02-05T14:30:22Z");
    Arc::new(WordPressClone::read(&stored).unwrap())
}

fn residents(mut clones: Vec<Arc<WordPressClone>>) -> Residents {
    clones.sort_by(|one, other| one.meta.path().cmp(other.meta.path()));
    Residents { clones, ..Residents::default() }
}

fn message(verdict: &Verdict) -> String {
    verdict.refusal.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_clone_gets_its_lifetime_its_owner_and_its_database() {
    let policies = policies("  databases:\n  - {name: all, use: shared, hosts: [two, one]}\n");
    let request = create(object("clone-1", json!({"databaseSize": "db.t3.micro"})));
    let stored = patched(&request, &alone(&request, &policies));
    let spec = &stored["spec"];
    assert_eq!((&spec["ttlSeconds"], &spec["useDedicatedDatabase"], spec.get("databaseSize")), (&json!(7200), &json!(false), None));
    assert_eq!(spec["sharedDatabase"]["host"], "two.example:3307");
    let annotations = &stored["metadata"]["annotations"];
    assert_eq!((&annotations[names::OWNER], &annotations[names::RESERVATION]), (&json!("ada"), &json!("r-1")));
    assert_eq!(annotations[names::PLACEMENT_REASON], "shared on `two`: rule `all` of policy `staging`");
}

#[test]
fn a_lifetime_is_held_between_the_bounds_and_what_is_none_is_refused() {
    let policies = policies("  ttl: {minimum: 1h, maximum: 4h}\n");
    for (asked, given, words) in [(7200, 7200, ""), (60, 3600, "raised from 60"), (90_000, 14_400, "lowered from 90000")] {
        let request = create(object("clone-1", json!({"ttlSeconds": asked})));
        let verdict = alone(&request, &policies);
        assert_eq!(patched(&request, &verdict)["spec"]["ttlSeconds"], given);
        assert!(verdict.warnings.iter().any(|warning| warning.contains(words)) || words.is_empty(), "{:?}", verdict.warnings);
    }
    for odd in [json!(0), json!(-5), json!("7200"), json!(7200.5)] {
        let verdict = alone(&create(object("clone-1", json!({"ttlSeconds": odd}))), &policies);
        assert_eq!(verdict.refusal.as_ref().map(Refusal::code), Some("BadValue"), "{odd}");
    }
}

#[test]
fn the_shape_of_a_clone_is_checked_and_no_value_is_quoted_that_may_be_secret() {
    let policies = policies("");
    let mut ghost = object("clone-1", json!({}));
    ghost.as_object_mut().unwrap().remove("spec");
    let mut generated = object("", json!({}));
    generated["metadata"]["generateName"] = json!("clone-");
    let mut keep = object("clone-1", json!({}));
    keep["metadata"]["annotations"] = json!({names::KEEP: "yes"});
    let mut date = object("clone-1", json!({}));
    date["metadata"]["annotations"] = json!({names::EXTEND_UNTIL: "tomorrow"});
    for (object, code) in [
        (ghost, "NoSpec"),
        (generated, "GeneratedName"),
        (object("clone-1", json!({"cloneId": "clone-2"})), "NameMismatch"),
        (object("clone-1", json!({"cloneId": {"a": "hunter2"}})), "NameMismatch"),
        (keep, "BadValue"),
        (date, "BadValue"),
    ] {
        let verdict = alone(&create(object), &policies);
        assert_eq!(verdict.refusal.as_ref().map(Refusal::code), Some(code), "{verdict:?}");
        assert!(!message(&verdict).contains("hunter2"));
    }
}

#[test]
fn in_audit_nothing_is_changed_refused_or_promised() {
    let mut policies = policies("  limits: {clones: 0}\n");
    Arc::make_mut(&mut policies.policies[0]).mode = Mode::Audit;
    let verdict = alone(&create(object("clone-1", json!({}))), &policies);
    assert!(verdict.refusal.is_none() && verdict.patch.is_empty() && verdict.claim.is_none() && verdict.audit);
    assert!(verdict.warnings[0].contains("would refuse this: 0 of 0 clones"), "{:?}", verdict.warnings);
    let town = Town { policies: &policies, residents: &Residents::default(), claims: &BTreeMap::new() };
    assert!(validate(&create(object("clone-1", json!({}))), town).warnings.is_empty(), "what was said is not said again");
}

#[test]
fn whom_no_policy_governs_is_let_through_and_whom_two_govern_is_not() {
    let policies = policies("");
    let elsewhere = Request { namespace: "elsewhere".into(), ..create(object("clone-1", json!({"ttlSeconds": -1}))) };
    assert_eq!(alone(&elsewhere, &policies), Verdict::default());
    let mut two = policies.clone();
    two.policies.push(Arc::new(ClonePolicy { name: "other".into(), ..(*policies.policies[0]).clone() }));
    let verdict = alone(&create(object("clone-1", json!({}))), &two);
    assert_eq!(verdict.refusal.as_ref().map(Refusal::code), Some("PolicyConflict"));
    assert!(alone(&update(object("clone-1", json!({})), |_| ()), &two).refusal.is_none());
}

#[test]
fn a_full_namespace_refuses_and_says_how_full_where_and_what_to_do() {
    let policies = policies("  limits: {clones: 2}\n");
    let mut going = object("clone-2", json!({}));
    going["metadata"]["deletionTimestamp"] = json!("2026-02-05T15:00:00Z");
    let full = residents(vec![living(object("clone-1", json!({})), "u1"), living(going, "u2")]);
    let verdict = ask(&create(object("clone-3", json!({}))), &policies, &full);
    assert_eq!(
        message(&verdict),
        "2 of 2 clones are in `wordpress-staging` (staging.yaml:7, `limits.clones`); one of them is being deleted, try again when it is gone"
    );
    // One whose name is taken will be refused by the API server; it takes no second place.
    assert!(ask(&create(object("clone-1", json!({}))), &policies, &full).refusal.is_none());
    let unreadable = Residents { unreadable: vec![format!("{NAMESPACE}/x"), "elsewhere/y".into()], ..residents(vec![full.clones[0].clone()]) };
    assert!(ask(&create(object("clone-3", json!({}))), &policies, &unreadable).refusal.is_some(), "what cannot be read is alive");
}

#[test]
fn a_promise_takes_a_place_and_two_tries_of_one_name_take_one() {
    let policies = policies("  limits: {clones: 2, clonesPerOwner: 2}\n");
    let promise =
        |name: &str| Claim { namespace: NAMESPACE.into(), name: name.into(), owner: "ada".into(), dedicated: false, host: None, ..Claim::default() };
    let nobody = Residents::default();
    let asked = |claims: &BTreeMap<Box<str>, Claim>| {
        mutate(&create(object("clone-3", json!({}))), Town { policies: &policies, residents: &nobody, claims }, "r-9")
            .refusal
            .map(|refusal| refusal.code())
    };
    let mut claims = BTreeMap::from([("r-1".into(), promise("clone-1")), ("r-2".into(), promise("clone-1")), ("r-3".into(), promise("clone-3"))]);
    assert_eq!(asked(&claims), None);
    claims.insert("r-4".into(), promise("clone-2"));
    assert_eq!(asked(&claims), Some("LimitReached"));
}

#[test]
fn limits_of_owners_and_of_databases_count_what_costs_money() {
    let policies = policies("  limits: {clonesPerOwner: 1, dedicatedDatabases: 1}\n");
    let mut hers = object("clone-1", json!({"useDedicatedDatabase": true}));
    hers["metadata"]["annotations"] = json!({names::OWNER: "eve"});
    let there = residents(vec![living(hers, "u1")]);
    let dedicated = create(object("clone-2", json!({"useDedicatedDatabase": true})));
    assert!(message(&ask(&dedicated, &policies, &there)).starts_with("1 of 1 dedicated databases"));
    assert!(ask(&create(object("clone-2", json!({}))), &policies, &there).refusal.is_none());
    assert!(
        message(&ask(&Request { user: "eve".into(), ..create(object("clone-2", json!({}))) }, &policies, &there))
            .starts_with("1 of 1 clones of `eve`")
    );
    // The clone is gone, its database is not.
    let left = json!({"metadata": {"namespace": NAMESPACE, "name": "clone-1-db", "uid": "d1", "creationTimestamp": "2026-02-05T14:30:22Z",
        "labels": {names::KRO_INSTANCE_ID: "u1", names::KRO_INSTANCE_KIND: "WordPressClone"}}});
    let database = crate::model::Child::read(Kind::DbInstance, &left).unwrap().unwrap();
    let left = Residents { databases: vec![Arc::new(database)], ..Residents::default() };
    assert!(ask(&dedicated, &policies, &left).refusal.is_some());
}

#[test]
fn the_original_designs_hundred_clones_are_sixty_four() {
    let shipped = include_str!("../../../policies/production.yaml").replace("mode: audit", "mode: enforce");
    let policies = load_files(vec![("production.yaml".into(), shipped.into())]).unwrap_or_else(|problems| panic!("{problems}"));
    let rgd: Value =
        serde_saphyr::from_multiple(include_str!("../../../deploy/kro/wordpress-clone.yaml")).map(|mut all: Vec<Value>| all.remove(0)).unwrap();
    let mut rgd = rgd;
    rgd["metadata"]["uid"] = json!("rgd");
    rgd["metadata"]["creationTimestamp"] = json!("2026-02-05T14:30:22Z");
    let needs = crate::model::child::Definition::read(&rgd).unwrap().needs;
    let stored = |number: usize| {
        let mut stored = object(&format!("c{number:03}"), json!({}));
        stored["metadata"]["namespace"] = json!("wordpress-production");
        living(stored, &format!("u{number}"))
    };
    let admitted = |there: usize, used: Option<&str>| {
        let mut town = Residents { needs: needs.clone(), ..residents((0..there).map(stored).collect()) };
        if let Some(used) = used {
            let quota = json!({"metadata": {"namespace": "wordpress-production", "name": "clonewarden", "uid": "q", "creationTimestamp": "2026-02-05T14:30:22Z"}, "status": {"used": {"requests.cpu": used}}});
            town.quotas = vec![Arc::new(crate::model::Quota::read(Kind::ResourceQuota, &quota).unwrap().unwrap())];
            town.pods = [("wordpress-production".to_owned(), there)].into();
        }
        let mut request = create(object("newcomer", json!({})));
        request.namespace = "wordpress-production".into();
        message(&ask(&request, &policies, &town))
    };
    assert_eq!(admitted(63, None), "");
    assert!(
        admitted(64, None)
            .starts_with("the quota of `wordpress-production` has 16 of `requests.cpu`; at 250m a clone that is 64, and so many are there")
    );
    // Two replicas of the service that stands beside the clones use half a CPU each.
    assert_eq!(admitted(59, Some("15750m")), "");
    assert!(admitted(60, Some("16")).contains("of which other Pods use 1; at 250m a clone that is 60"), "{}", admitted(60, Some("16")));
}

#[test]
fn rules_decide_and_a_wish_is_an_input() {
    let policies = policies(
        "  databases:\n  - {name: critical, when: \"clone.labels['clonewarden.io/critical'] == 'true'\", use: dedicated, classes: [db.t3.micro, db.t3.small]}\n\
         \x20 - {name: bursty, when: \"clone.owner == 'bursty'\", use: dedicated, serverless: {minACU: 0.5, maxACU: 4}}\n\
         \x20 - {name: rest, use: shared, hosts: [one]}\n",
    );
    let database = |object: Value, user: &str| {
        let request = Request { user: user.into(), ..create(object) };
        let verdict = alone(&request, &policies);
        let stored = patched(&request, &verdict);
        (
            stored["spec"]["useDedicatedDatabase"].clone(),
            stored["spec"]["databaseSize"].clone(),
            stored["spec"]["serverless"].clone(),
            verdict.warnings.len(),
        )
    };
    let mut critical = object("clone-1", json!({"databaseSize": "db.t3.small"}));
    critical["metadata"]["labels"] = json!({names::CRITICAL: "true"});
    assert_eq!(database(critical.clone(), "ada"), (json!(true), json!("db.t3.small"), Value::Null, 0));
    critical["spec"]["databaseSize"] = json!("db.r6g.16xlarge");
    assert_eq!(database(critical, "ada"), (json!(true), json!("db.t3.micro"), Value::Null, 1));
    let wish = object("clone-1", json!({"useDedicatedDatabase": true, "databaseSize": "db.t3.micro"}));
    assert_eq!(database(wish.clone(), "ada"), (json!(false), Value::Null, Value::Null, 1));
    assert_eq!(database(wish, "bursty"), (json!(true), Value::Null, json!({"minACU": 0.5, "maxACU": 4.0}), 0));
}

#[test]
fn a_rule_that_cannot_be_evaluated_never_makes_a_dedicated_database() {
    let broken = "int(clone.labels['n']) > 5";
    for (rules, host) in [
        (
            format!(
                "  - {{name: a, when: \"{broken}\", use: dedicated, classes: [db.t3.micro]}}\n  - {{name: b, use: dedicated, classes: [db.t3.micro]}}\n  - {{name: c, use: shared, hosts: [one]}}\n"
            ),
            Some("one.example:3306"),
        ),
        (format!("  - {{name: a, when: \"{broken}\", use: dedicated, classes: [db.t3.micro]}}\n"), None),
    ] {
        let policies = policies(&format!("  databases:\n{rules}"));
        let mut odd = object("clone-1", json!({"useDedicatedDatabase": true}));
        odd["metadata"]["labels"] = json!({"n": "five"});
        let request = create(odd);
        let verdict = alone(&request, &policies);
        let stored = patched(&request, &verdict);
        assert_eq!(
            (&stored["spec"]["useDedicatedDatabase"], stored.pointer("/spec/sharedDatabase/host").and_then(Value::as_str)),
            (&json!(false), host)
        );
        assert!(verdict.warnings[0].contains("cannot be evaluated"), "{:?}", verdict.warnings);
    }
}

#[test]
fn rooms_on_hosts_are_counted_over_all_namespaces() {
    let policies = policies("  databases:\n  - {name: all, use: shared, hosts: [two, one]}\n");
    let mut there = Vec::new();
    for (number, host) in ["two.example:3307", "one.example", "one.example:3306"].iter().enumerate() {
        let mut clone = object(&format!("c{number}"), json!({"sharedDatabase": {"host": host}}));
        clone["metadata"]["namespace"] = json!(format!("n{number}"));
        there.push(living(clone, &format!("u{number}")));
    }
    let request = create(object("clone-1", json!({})));
    let on = |there: &[Arc<WordPressClone>]| {
        let verdict = ask(&request, &policies, &residents(there.to_vec()));
        patched(&request, &verdict)["spec"]["sharedDatabase"]["host"].as_str().map_or_else(|| message(&verdict), str::to_owned)
    };
    assert_eq!(on(&there[..0]), "two.example:3307");
    assert_eq!(on(&there[..2]), "one.example:3306");
    assert_eq!(
        on(&there),
        "no host has room (rule `all`): `two` has 1 of 1, `one` has 2 of 2 (staging.yaml:8); delete a clone that lives there, or add a host to the rule"
    );
}

#[test]
fn a_validated_clone_is_the_one_that_was_promised_a_place() {
    let policies = policies("  limits: {clones: 5}\n");
    let request = create(object("clone-1", json!({})));
    let nobody = Residents::default();
    let verdict = alone(&request, &policies);
    let plain = patched(&request, &verdict);
    let mut stored = plain.clone();
    stored["spec"]["sourcePassword"] = json!("sealed:v1:AAAA");
    let claims = BTreeMap::from([("r-1".into(), verdict.claim.unwrap())]);
    let check = |object: Value, dry_run: bool| {
        validate(&Request { dry_run, ..create(object) }, Town { policies: &policies, residents: &nobody, claims: &claims })
            .refusal
            .map(|refusal| refusal.code())
    };
    assert_eq!(check(stored.clone(), false), None);
    assert_eq!(check(plain, false), Some("NotSealed"));
    let changed = |path: &str, value: Value| {
        let mut stored = stored.clone();
        *stored.pointer_mut(path).unwrap() = value;
        stored
    };
    assert_eq!(check(changed("/spec/useDedicatedDatabase", json!(true)), false), Some("Altered"));
    assert_eq!(check(changed("/metadata/annotations/clonewarden.io~1owner", json!("eve")), false), Some("Altered"));
    assert_eq!(check(changed("/metadata/annotations/clonewarden.io~1reservation", json!("r-2")), false), Some("NotReviewed"));
    assert_eq!(check(object("clone-1", json!({})), false), Some("NotReviewed"));
    let dry = Request { dry_run: true, ..request };
    assert!(alone(&dry, &policies).claim.is_none());
    assert_eq!(check(changed("/metadata/annotations/clonewarden.io~1reservation", json!("r-2")), true), None);
}

#[test]
fn only_the_daemon_says_when_a_clone_ends_and_nobody_moves_a_database() {
    let policies = policies("");
    let mut old = object("clone-1", json!({"ttlSeconds": 7200, "useDedicatedDatabase": false}));
    old["metadata"]["annotations"] = json!({names::EXPIRES_AT: "2026-02-05T16:30:22Z", names::OWNER: "ada"});
    let request = update(old.clone(), |object| {
        object["metadata"]["annotations"] = json!({names::ANNOUNCED_AT: "2026-02-05T14:30:22Z", names::OWNER: "ada", names::KEEP: "true"});
    });
    let verdict = alone(&request, &policies);
    assert_eq!(
        patched(&request, &verdict)["metadata"]["annotations"],
        json!({names::OWNER: "ada", names::KEEP: "true", names::EXPIRES_AT: "2026-02-05T16:30:22Z"})
    );
    assert_eq!(verdict.warnings.len(), 2);
    let nobody = Residents::default();
    let town = Town { policies: &policies, residents: &nobody, claims: &BTreeMap::new() };
    let refused = |change: &dyn Fn(&mut Value)| validate(&update(old.clone(), |object| change(object)), town).refusal.map(|refusal| refusal.code());
    assert_eq!(refused(&|object| object["spec"]["useDedicatedDatabase"] = json!(true)), Some("Immutable"));
    assert_eq!(refused(&|object| object["spec"]["serverless"] = json!({"minACU": 1, "maxACU": 128})), Some("Immutable"));
    assert_eq!(refused(&|object| object["spec"]["databaseSize"] = json!("db.r6g.16xlarge")), Some("Immutable"));
    assert_eq!(refused(&|object| object["metadata"]["annotations"][names::OWNER] = json!("eve")), Some("Immutable"));
    assert_eq!(refused(&|object| object["metadata"]["annotations"][names::EXTEND_UNTIL] = json!("soon")), Some("BadValue"));
    assert_eq!(refused(&|object| object["spec"]["ttlSeconds"] = json!(9000)), None);
    // What stood there before, unreadable as it is, does not keep anybody from changing something else.
    let mut odd = old.clone();
    odd["metadata"]["annotations"][names::KEEP] = json!("maybe");
    assert!(validate(&update(odd, |object| object["spec"]["ttlSeconds"] = json!(9000)), town).refusal.is_none());
}
