//! What is decided about what bounds a namespace: a table of worlds, each with the one decision it must lead to, or none.

use super::super::{Decision, Work, plan};
use crate::model::{Evidence, Kind, Meta, Quota, Snapshot, Source, Unreadable, quota};
use crate::policy::{Policies, load_files};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const BOTH: &str = "  quota: {requests.cpu: 4, requests.memory: 8Gi}\n  limitRange: {default: {cpu: 500m}}\n";
const QUOTA: &str = "  quota: {requests.cpu: 4, requests.memory: 8Gi}\n";

fn now() -> Timestamp {
    "2026-02-05T16:30:22Z".parse().unwrap()
}

fn policies(mode: &str, namespaces: &str, rest: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: staging}}\nspec:\n  mode: {mode}\n  namespaces: {namespaces}\n{rest}"
    );
    load_files(vec![("staging.yaml".to_owned(), text.into_bytes())]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn enforced(rest: &str) -> Policies {
    policies("enforce", "{names: [n]}", rest)
}

/// A namespace `n` and everything known.
fn world(quotas: Vec<Quota>) -> Snapshot {
    let mut snapshot = Snapshot { quotas: quotas.into_iter().map(Arc::new).collect(), ..Snapshot::default() };
    for kind in Kind::ALL {
        snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(now()));
    }
    snapshot.evidence.insert(Source::Time, Evidence::complete(now()));
    snapshot.namespaces.insert("n".to_owned(), BTreeMap::new());
    snapshot
}

/// Ours, made for the policy `staging`, with this `hard`; `edit` makes something else of it.
fn hard(values: &Value, edit: impl FnOnce(&mut Value)) -> Quota {
    let mut object = quota::object(Kind::ResourceQuota, "n", "staging", &BTreeMap::new());
    object["metadata"]["uid"] = json!("u1");
    object["metadata"]["resourceVersion"] = json!("7");
    object["metadata"]["creationTimestamp"] = json!("2026-02-05T16:00:00Z");
    object["spec"]["hard"] = values.clone();
    edit(&mut object);
    Quota::read(Kind::ResourceQuota, &object).unwrap().unwrap()
}

fn as_wanted() -> Quota {
    hard(&json!({"requests.cpu": "4000m", "requests.memory": "8192Mi"}), |_| {})
}

/// Action, code and what blocks it, of every decision.
fn told(snapshot: &Snapshot, policies: &Policies) -> Vec<String> {
    let words = |decision: &Decision| {
        let blocked = decision.blocked_by.map(|by| format!(" [{}]", by.word())).unwrap_or_default();
        format!("{} {} {}{blocked}", decision.action.word(), decision.target.display(), decision.reason.code())
    };
    plan(snapshot, policies, now()).decisions.iter().map(words).collect()
}

#[test]
fn what_is_there_is_compared_with_what_is_wanted() {
    let none: [&str; 0] = [];
    let drifted = ["update n/clonewarden QuotaDrifted"];
    let gone = ["delete n/clonewarden QuotaNotWanted"];
    let same = json!({"requests.cpu": "4", "requests.memory": "8Gi"});
    let foreign = |object: &mut Value| object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    let unlabelled = |object: &mut Value| object["metadata"]["labels"] = json!(null);
    for (what, quota, policies, wanted) in [
        ("not there", None, enforced(QUOTA), &["create n/clonewarden QuotaMissing"][..]),
        ("not there, not wanted", None, enforced(""), &none[..]),
        ("the same in other words", Some(as_wanted()), enforced(QUOTA), &none[..]),
        ("more than wanted", Some(hard(&json!({"requests.cpu": "5", "requests.memory": "8Gi"}), |_| {})), enforced(QUOTA), &drifted[..]),
        ("something missing", Some(hard(&json!({"requests.cpu": "4"}), |_| {})), enforced(QUOTA), &drifted[..]),
        (
            "something beside it",
            Some(hard(&json!({"requests.cpu": "4", "requests.memory": "8Gi", "pods": "1"}), |_| {})),
            enforced(QUOTA),
            &drifted[..],
        ),
        ("nonsense", Some(hard(&json!({"requests.cpu": {}, "requests.memory": "8Gi"}), |_| {})), enforced(QUOTA), &drifted[..]),
        ("no spec", Some(hard(&json!(null), |object| object["spec"] = json!(null))), enforced(QUOTA), &drifted[..]),
        ("for another policy", Some(hard(&same, |object| object["metadata"]["annotations"] = json!({}))), enforced(QUOTA), &drifted[..]),
        ("a selector", Some(hard(&same, |object| object["spec"]["scopeSelector"] = json!({"matchExpressions": []}))), enforced(QUOTA), &drifted[..]),
        (
            "scopes",
            Some(hard(&same, |object| object["spec"]["scopes"] = json!(["BestEffort"]))),
            enforced(QUOTA),
            &["delete n/clonewarden QuotaDrifted"][..],
        ),
        ("no more wanted", Some(as_wanted()), enforced(""), &gone[..]),
        ("somebody else's", Some(hard(&json!({"pods": "1"}), foreign)), enforced(QUOTA), &["alert n/clonewarden QuotaForeign"][..]),
        ("somebody else's, the same", Some(hard(&same, unlabelled)), enforced(QUOTA), &["alert n/clonewarden QuotaForeign"][..]),
        ("somebody else's, none wanted", Some(hard(&same, foreign)), enforced(""), &none[..]),
        (
            "going",
            Some(hard(&json!({}), |object| object["metadata"]["deletionTimestamp"] = json!("2026-02-05T16:30:00Z"))),
            enforced(QUOTA),
            &none[..],
        ),
        ("audit, not there", None, policies("audit", "{names: [n]}", QUOTA), &["create n/clonewarden QuotaMissing [audit]"][..]),
        (
            "audit, drifted",
            Some(hard(&json!({}), |_| {})),
            policies("audit", "{names: [n]}", QUOTA),
            &["update n/clonewarden QuotaDrifted [audit]"][..],
        ),
        ("audit, not wanted", Some(as_wanted()), policies("audit", "{names: [n]}", ""), &["delete n/clonewarden QuotaNotWanted [audit]"][..]),
        ("let go", Some(as_wanted()), policies("enforce", "{names: [m]}", QUOTA), &gone[..]),
        ("let go in audit", Some(as_wanted()), policies("audit", "{names: [m]}", QUOTA), &["delete n/clonewarden QuotaNotWanted [audit]"][..]),
        ("let go, somebody else's", Some(hard(&same, foreign)), policies("enforce", "{names: [m]}", QUOTA), &none[..]),
        (
            "made for a policy that is not here",
            Some(hard(&same, |object| object["metadata"]["annotations"]["clonewarden.io/policy"] = json!("qa"))),
            policies("enforce", "{names: [m]}", QUOTA),
            &["alert n/clonewarden QuotaStray"][..],
        ),
        (
            "made for nobody knows whom",
            Some(hard(&same, |object| object["metadata"]["annotations"] = json!(null))),
            policies("enforce", "{names: [m]}", QUOTA),
            &["alert n/clonewarden QuotaStray"][..],
        ),
    ] {
        assert_eq!(told(&world(quota.into_iter().collect()), &policies), wanted, "{what}");
    }
}

#[test]
fn both_kinds_are_kept_each_by_itself() {
    let made = ["create n/clonewarden QuotaMissing", "create n/clonewarden LimitRangeMissing"];
    assert_eq!(told(&world(Vec::new()), &enforced(BOTH)), made);
    let plan = plan(&world(Vec::new()), &enforced(BOTH), now());
    assert_ne!(plan.decisions[0].target.key(), plan.decisions[1].target.key());
    assert_ne!(plan.decisions[0].id(), plan.decisions[1].id());
}

#[test]
fn what_is_not_known_is_left_alone() {
    let drifted = || vec![hard(&json!({}), |_| {})];
    for lacking in [Kind::Namespace, Kind::ResourceQuota] {
        for evidence in [Evidence::incomplete(now(), "partial"), Evidence::absent(now()), Evidence::complete("2026-02-05T16:00:00Z".parse().unwrap())]
        {
            let mut snapshot = world(drifted());
            snapshot.evidence.insert(Source::Objects(lacking), evidence);
            for policies in [enforced(QUOTA), enforced(""), policies("enforce", "{names: [m]}", QUOTA)] {
                assert_eq!(told(&snapshot, &policies), [] as [&str; 0], "{lacking}");
            }
        }
    }
    let nobody_asked = Snapshot { evidence: Default::default(), ..world(Vec::new()) };
    assert_eq!(told(&nobody_asked, &enforced(QUOTA)), [] as [&str; 0]);

    let mut leaving = world(Vec::new());
    leaving.leaving.insert("n".to_owned());
    assert_eq!(told(&leaving, &enforced(QUOTA)), [] as [&str; 0], "in a namespace that goes nothing can be made");
    assert_eq!(told(&world(Vec::new()), &policies("enforce", "{names: [m]}", QUOTA)), [] as [&str; 0], "a namespace that is not there");
    assert_eq!(told(&Snapshot { state: paused(), ..world(Vec::new()) }, &enforced(QUOTA)), ["create n/clonewarden QuotaMissing [pause]"]);
}

fn paused() -> crate::model::State {
    serde_json::from_value(json!({"paused": {"since": now().to_string(), "reason": "a look"}})).unwrap()
}

#[test]
fn where_two_policies_meet_nothing_is_done() {
    let text = |name: &str, rest: &str| {
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: {name}}}\nspec:\n  mode: enforce\n  namespaces: {{selector: {{matchLabels: {{{name}: \"1\"}}}}}}\n{rest}---\n"
        )
    };
    let set = load_files(vec![("both.yaml".to_owned(), (text("staging", QUOTA) + &text("qa", "")).into_bytes())]).unwrap();
    let mut snapshot = world(vec![hard(&json!({}), |_| {})]);
    let label = |name: &str| (name.to_owned(), "1".to_owned());
    snapshot.namespaces.insert("n".to_owned(), BTreeMap::from([label("staging"), label("qa")]));
    assert_eq!(told(&snapshot, &set), [] as [&str; 0]);
    snapshot.namespaces.insert("n".to_owned(), BTreeMap::from([label("staging")]));
    assert_eq!(told(&snapshot, &set), ["update n/clonewarden QuotaDrifted"]);
    snapshot.namespaces.insert("n".to_owned(), BTreeMap::new());
    assert_eq!(told(&snapshot, &set), ["delete n/clonewarden QuotaNotWanted"]);
}

#[test]
fn one_that_cannot_be_read_is_there() {
    let mut snapshot = world(Vec::new());
    let problem = "metadata.uid is missing".to_owned();
    let object = Unreadable { kind: Kind::ResourceQuota, namespace: "n".to_owned(), name: "clonewarden".to_owned(), uid: None, problem };
    snapshot.unreadable.push(object);
    assert_eq!(told(&snapshot, &enforced(QUOTA)), ["hold n/clonewarden UnreadableObject"]);
}

#[test]
fn a_limit_range_is_compared_as_the_server_completes_it() {
    let policies =
        enforced("  limitRange: {defaultRequest: {memory: 256Mi}, max: {cpu: \"2\", memory: 1Gi}, min: {cpu: 10m, ephemeral-storage: 1Gi}}\n");
    let plan = plan(&world(Vec::new()), &policies, now());
    let Some(Work::Apply(object)) = &plan.decisions[0].work else { panic!("nothing is applied") };
    let completed = json!([{
        "type": "Container",
        "default": {"cpu": "2", "memory": "1Gi"},
        "defaultRequest": {"cpu": "2", "ephemeral-storage": "1Gi", "memory": "256Mi"},
        "max": {"cpu": "2", "memory": "1Gi"},
        "min": {"cpu": "10m", "ephemeral-storage": "1Gi"},
    }]);
    assert_eq!(object["spec"]["limits"], completed);
    let mut there = Value::clone(object);
    there["metadata"]["uid"] = json!("u2");
    there["metadata"]["creationTimestamp"] = json!("2026-02-05T16:00:00Z");
    let quota = Quota::read(Kind::LimitRange, &there).unwrap().unwrap();
    assert_eq!(told(&world(vec![quota]), &policies), [] as [&str; 0]);
}

#[test]
fn what_is_sent_says_whose_it_is_and_pins_are_of_the_object() {
    let plan = plan(&world(vec![hard(&json!({"requests.cpu": "9", "pods": "3"}), |_| {})]), &enforced(QUOTA), now());
    let decision = &plan.decisions[0];
    let Some(Work::Apply(object)) = &decision.work else { panic!("{decision:?}") };
    assert_eq!(object["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "clonewarden"}));
    assert_eq!(object["metadata"]["annotations"], json!({"clonewarden.io/policy": "staging"}));
    assert_eq!(object["spec"], json!({"hard": {"requests.cpu": "4", "requests.memory": "8Gi"}}));
    let meta: &Meta = decision.target.meta().unwrap();
    assert_eq!((meta.uid.as_ref(), meta.resource_version.as_ref()), ("u1", "7"));
    let facts = json!({"differs": {
        "pods": {"is": "3", "wanted": null},
        "requests.cpu": {"is": "9", "wanted": "4"},
        "requests.memory": {"is": null, "wanted": "8Gi"},
    }});
    assert_eq!(Value::Object(decision.reason.facts()), facts);
}
