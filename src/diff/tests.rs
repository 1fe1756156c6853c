//! Two sets of policies on one world: tables; what holds of any two is in `properties`.

mod properties;

use super::*;
use crate::{
    model::{Evidence, Kind, Source, names},
    observe::files,
    policy::load_files,
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::fmt::Write as _;

const HOSTS: &str = "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: one}\n\
                     spec: {endpoint: one.example, schemas: 4, costPerHour: \"0.40\"}\n---\n\
                     apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {name: two}\nspec: {endpoint: two.example, schemas: 2}\n";

fn now() -> Timestamp {
    "2026-02-05T16:00:00Z".parse().unwrap()
}

/// A set with a policy for each name, mode, namespace and rest of its `spec`.
fn set(policies: &[(&str, &str, &str, &str)]) -> Policies {
    let mut text = String::new();
    for (name, mode, namespace, rest) in policies {
        let _ = writeln!(
            text,
            "---\napiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: {name}}}\n\
             spec: {{mode: {mode}, namespaces: {{names: [{namespace}]}}{}{rest}}}",
            if rest.is_empty() { "" } else { ", " }
        );
    }
    load_files(vec![("hosts.yaml".into(), HOSTS.into()), ("p.yaml".into(), text.into())]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn one(rest: &str) -> Policies {
    set(&[("p", "enforce", "n", rest)])
}

/// A clone that was created so many minutes ago.
fn clone(path: &str, minutes: i64, spec: &Value, metadata: &Value) -> Value {
    let (namespace, name) = path.split_once('/').unwrap();
    let created = now() - SignedDuration::from_mins(minutes);
    let mut object = json!({
        "apiVersion": "kro.run/v1alpha1", "kind": names::CLONE_KIND,
        "metadata": {"namespace": namespace, "name": name, "uid": format!("u-{path}"), "resourceVersion": "1", "creationTimestamp": created},
        "spec": {"cloneId": name, "sourceUrl": "https://ada:hunter2@example.com"},
    });
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    object
}

fn young(path: &str) -> Value {
    clone(path, 60, &json!({"ttlSeconds": 7_200}), &json!({}))
}

fn world(objects: Vec<Value>) -> Snapshot {
    files::read_objects("given", objects, now(), None).unwrap().snapshot
}

/// The same, with a node in N. Virginia and a definition.
fn priced(mut objects: Vec<Value>) -> Snapshot {
    objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node", "uid": "node", "creationTimestamp": "2026-02-01T00:00:00Z",
        "labels": {"topology.kubernetes.io/region": "us-east-1", "node.kubernetes.io/instance-type": "t3.large"}},
        "status": {"allocatable": {"cpu": "2", "memory": "8Gi"}}}));
    let mut snapshot = world(objects);
    snapshot.evidence.insert(Source::Objects(Kind::Definition), Evidence::complete(now()));
    snapshot
}

/// The impact on the one policy that there is.
fn impact(snapshot: &Snapshot, old: &Policies, new: &Policies) -> Impact {
    let diff = diff(snapshot, old, new, now());
    assert!(diff.policies.len() < 2, "{:?}", diff.policies);
    diff.policies.into_iter().next().map(|policy| policy.impact).unwrap_or_default()
}

fn paths<T>(list: &[T], of: impl Fn(&T) -> &Arc<str>) -> Vec<&str> {
    list.iter().map(|item| &**of(item)).collect()
}

#[test]
fn sets_that_mean_the_same_are_the_same() {
    let snapshot = world(vec![young("n/a")]);
    let (short, long) = (one(""), one("ttl: {maximum: 1d, default: 120m}, brake: {deletes: 20}, orphans: {}"));
    assert_ne!(short.revision, long.revision);
    let diff = diff(&snapshot, &short, &long, now());
    assert!(diff.same && diff.policies.is_empty() && diff.notes.is_empty(), "{diff:?}");
    assert!(!super::diff(&snapshot, &short, &one("limits: {clones: 3}"), now()).same);
}

#[test]
fn a_shorter_life_reaps_what_is_past_it_and_moves_the_others() {
    let snapshot = world(vec![
        clone("n/old", 90, &json!({"ttlSeconds": 7_200}), &json!({})),
        clone("n/young", 10, &json!({"ttlSeconds": 7_200}), &json!({})),
        clone("n/short", 10, &json!({"ttlSeconds": 1_800}), &json!({})),
        clone("n/kept", 90, &json!({}), &json!({"annotations": {names::KEEP: "true"}})),
    ]);
    let (long, short) = (one(""), one("ttl: {default: 1h, maximum: 1h}"));
    let found = impact(&snapshot, &long, &short);
    assert_eq!(paths(&found.sooner, |shift| &shift.clone), ["n/old", "n/young"]);
    assert_eq!(
        found.sooner[0].end,
        Change { from: Some("2026-02-05T16:30:00Z".parse().unwrap()), to: Some("2026-02-05T15:30:00Z".parse().unwrap()) }
    );
    let [reaped] = found.reaped.as_slice() else { panic!("{:?}", found.reaped) };
    assert_eq!((&*reaped.clone, reaped.goes, reaped.only_said), ("n/old", Some("2026-02-05T16:10:00Z".parse().unwrap()), false));
    assert_eq!(found.later, []);
    let back = impact(&snapshot, &short, &long);
    assert_eq!((paths(&back.later, |shift| &shift.clone), paths(&back.spared, |end| &end.clone)), (vec!["n/old", "n/young"], vec!["n/old"]));
    // Under audit the same is only said.
    let audit = |rest| set(&[("p", "audit", "n", rest)]);
    let said = impact(&snapshot, &audit(""), &audit("ttl: {default: 1h, maximum: 1h}"));
    assert!(said.reaped.len() == 1 && said.reaped[0].only_said, "{said:?}");
}

#[test]
fn the_flip_to_enforce_reaps_the_backlog_or_stops_at_the_brake() {
    let backlog = |count: usize| world((0..count).map(|number| clone(&format!("n/c-{number:02}"), 300, &json!({}), &json!({}))).collect());
    let (audit, enforce) = (set(&[("p", "audit", "n", "")]), one(""));
    let few = diff(&backlog(5), &audit, &enforce, now());
    let row = &few.policies[0];
    assert_eq!((row.mode, row.fields.as_slice()), (Change { from: Some(Mode::Audit), to: Some(Mode::Enforce) }, ["mode"].as_slice()));
    assert_eq!((row.impact.reaped.len(), row.impact.warned.len(), row.impact.sooner.len()), (5, 0, 0), "they were told before, and their ends stay");
    assert_eq!(row.impact.brake.map(|brake| (brake.from.surprises, brake.to.surprises, brake.to.over)), Some((0, 5, false)));
    let many = impact(&backlog(21), &audit, &enforce);
    assert_eq!(many.brake.map(|brake| brake.to), Some(Brake { surprises: 21, clones: 21, deletes: 20, percent: 50, over: true, loosened: false }));
    // 6 of 11 are more than a half of at least 10.
    let mut objects: Vec<Value> = (0..6).map(|number| clone(&format!("n/c-{number}"), 300, &json!({}), &json!({}))).collect();
    objects.extend((0..5).map(|number| young(&format!("n/d-{number}"))));
    assert_eq!(impact(&world(objects), &audit, &enforce).brake.map(|brake| brake.to.over), Some(true));
    let back = impact(&backlog(5), &enforce, &audit);
    assert_eq!((back.spared.len(), back.reaped.len()), (5, 0));
}

#[test]
fn what_was_announced_before_the_flip_does_not_count_after_it() {
    let said = json!({"annotations": {names::EXPIRES_AT: "2026-02-05T13:00:00Z", names::ANNOUNCED_AT: "2026-02-05T11:30:00Z"}});
    let snapshot = world((0..21).map(|number| clone(&format!("n/c-{number:02}"), 300, &json!({}), &said)).collect());
    let (audit, enforce) = (set(&[("p", "audit", "n", "")]), one(""));
    let found = impact(&snapshot, &audit, &enforce);
    assert_eq!(found.brake.map(|brake| (brake.to.surprises, brake.to.over)), Some((21, true)));
    assert!(found.reaped.iter().all(|end| end.goes == Some("2026-02-05T16:10:00Z".parse().unwrap())), "{:?}", found.reaped);
    // Where it was enforced all along, it counts.
    let shorter = impact(&snapshot, &enforce, &one("limits: {clones: 30}"));
    assert_eq!(shorter.reaped, []);
}

#[test]
fn an_edit_does_not_loosen_the_brake_that_it_would_meet_unsaid() {
    let snapshot = world((0..21).map(|number| clone(&format!("n/c-{number:02}"), 90, &json!({}), &json!({}))).collect());
    let loose = one("ttl: {default: 1h, maximum: 1h}, brake: {deletes: 1000, percent: 100}");
    let brake = impact(&snapshot, &one(""), &loose).brake.unwrap();
    assert_eq!((brake.to.surprises, brake.to.over, brake.to.loosened), (21, false, true));
}

#[test]
fn what_is_not_known_is_not_nothing() {
    let mut snapshot = world(vec![young("n/a")]);
    let (old, new) = (one(""), one("limits: {clones: 9}"));
    assert!(diff(&snapshot, &old, &new, now()).complete);
    snapshot.evidence.insert(Source::Objects(Kind::Clone), Evidence::incomplete(now(), "a page of a longer list"));
    snapshot.clones.clear();
    let found = diff(&snapshot, &old, &new, now());
    assert!(found.touches_nobody() && !found.complete);
}

#[test]
fn a_namespace_that_changes_hands_stands_under_both() {
    let snapshot = world(vec![young("m/a"), young("n/a"), young("n/b")]);
    let old = set(&[("mine", "enforce", "m", ""), ("yours", "enforce", "n", "")]);
    let new = set(&[("mine", "enforce", "\"m\", \"n\"", "ttl: {maximum: 90m, default: 1h, warnings: []}")]);
    let found = diff(&snapshot, &old, &new, now());
    let [mine, yours] = found.policies.as_slice() else { panic!("{:?}", found.policies) };
    let handover = Handover { namespace: "n".into(), policy: Change { from: Some("yours".into()), to: Some("mine".into()) }, clones: 2 };
    assert_eq!((&mine.impact.handed_over, &yours.impact.handed_over), (&vec![handover.clone()], &vec![handover]));
    assert_eq!((mine.clones, yours.clones), (Change { from: 1, to: 3 }, Change { from: 2, to: 0 }));
    assert_eq!((yours.mode.from, yours.mode.to), (Some(Mode::Enforce), None));
    assert_eq!(paths(&mine.impact.sooner, |shift| &shift.clone), ["m/a", "n/a", "n/b"]);
    // Nobody's, and back.
    let freed = diff(&snapshot, &old, &set(&[("mine", "enforce", "m", "")]), now());
    assert_eq!(freed.policies[0].impact.handed_over[0].policy, Change { from: Some("yours".into()), to: None });
    assert_eq!(paths(&freed.policies[0].impact.later, |shift| &shift.clone), ["n/a", "n/b"]);
    assert!(freed.policies[0].impact.later.iter().all(|shift| shift.end.to.is_none()));
}

#[test]
fn selectors_that_come_to_meet_hold_their_clones() {
    let mut snapshot = world(vec![
        young("n/a"),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "uid": "n",
        "creationTimestamp": "2026-02-01T00:00:00Z", "labels": {"team": "web"}}}),
    ]);
    snapshot.evidence.insert(Source::Objects(Kind::Namespace), Evidence::complete(now()));
    let policy = |name: &str, whom: &str| {
        let text = format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: {name}}}\nspec: {{mode: enforce, namespaces: {whom}}}\n"
        );
        (format!("{name}.yaml"), text.into_bytes())
    };
    let old = load_files(vec![policy("p", "{names: [n]}")]).unwrap();
    let new = load_files(vec![policy("p", "{names: [n]}"), policy("q", "{selector: {matchLabels: {team: web}}}")]).unwrap();
    let found = diff(&snapshot, &old, &new, now());
    let row = found.policies.iter().find(|row| &*row.name == "p").unwrap();
    assert_eq!(row.impact.held.iter().map(|held| held.code).collect::<Vec<_>>(), ["PolicyConflict"]);
    assert_eq!(row.impact.denied.iter().map(|denied| denied.code).collect::<Vec<_>>(), ["PolicyConflict"]);
}

#[test]
fn who_came_last_is_refused_and_audit_only_says_so() {
    let at = |name: &str, minutes: i64, owner: &str| clone(&format!("n/{name}"), minutes, &json!({}), &json!({"annotations": {names::OWNER: owner}}));
    let snapshot = world(vec![at("a", 10, "ada"), at("b", 30, "ada"), at("c", 20, "bob")]);
    let found = impact(&snapshot, &one(""), &one("limits: {clones: 2}"));
    let [denied] = found.denied.as_slice() else { panic!("{:?}", found.denied) };
    assert_eq!((&*denied.clone, denied.code, denied.only_said), ("n/a", "LimitReached", false));
    assert!(denied.message.contains("2 of 2 clones") && denied.message.contains("p.yaml:"), "{}", denied.message);
    assert_eq!(found.exceeded, [Exceeded { namespace: "n".into(), limit: Limit::Clones, count: 3, allowed: 2 }]);
    let owners = impact(&snapshot, &one(""), &one("limits: {clonesPerOwner: 1}"));
    assert_eq!(paths(&owners.denied, |denied| &denied.clone), ["n/a"], "ada had b before");
    let audit = |rest| set(&[("p", "audit", "n", rest)]);
    let said = impact(&snapshot, &audit(""), &audit("limits: {clones: 1}"));
    assert_eq!(said.denied.iter().map(|denied| (&*denied.clone, denied.only_said)).collect::<Vec<_>>(), [("n/a", true), ("n/c", true)]);
    let flipped = impact(&snapshot, &audit("limits: {clones: 1}"), &one("limits: {clones: 1}"));
    assert_eq!(flipped.denied.iter().map(|denied| (&*denied.clone, denied.only_said)).collect::<Vec<_>>(), [("n/a", false), ("n/c", false)]);
    assert_eq!(paths(&impact(&snapshot, &one("limits: {clones: 1}"), &one("")).admitted, |denied| &denied.clone), ["n/a", "n/c"]);
    // Whoever nobody owns is nobody's.
    let nobodys = world(vec![young("n/a"), young("n/b")]);
    assert_eq!(impact(&nobodys, &one(""), &one("limits: {clonesPerOwner: 1}")).denied, []);
}

#[test]
fn the_next_one_like_this_gets_another_database() {
    let rule = |rule: &str, class: &str| {
        format!("databases: [{{name: r, {rule}, use: dedicated, classes: [{class}]}}, {{name: all, use: shared, hosts: [one]}}]")
    };
    let critical = "when: \"clone.labels['critical'] == 'true'\"";
    let placed = "dedicated `db.t3.micro`: rule `r` of policy `p`";
    let own = json!({"useDedicatedDatabase": true, "databaseSize": "db.t3.micro"});
    let snapshot = world(vec![
        clone("n/asks", 10, &own, &json!({})),
        clone("n/critical", 20, &own, &json!({"labels": {"critical": "true"}, "annotations": {names::PLACEMENT_REASON: placed}})),
        clone("n/plain", 30, &json!({}), &json!({})),
    ]);
    let moves = |old: &str, new: &str| {
        let found = impact(&snapshot, &one(old), &one(new));
        let words = |moved: &Moved| format!("{}: {} → {}", moved.clone, moved.database.from, moved.database.to);
        found.moved.iter().map(words).collect::<Vec<_>>()
    };
    let micro = rule(critical, "db.t3.micro");
    assert_eq!(moves(&micro, &rule(critical, "db.t3.small, db.t3.micro")), ["n/critical: dedicated db.t3.micro → dedicated db.t3.small"]);
    // Whose database a rule chose asked for none, as far as anybody knows; whoever asks for one gets it where no rule speaks.
    assert_eq!(
        moves(&micro, ""),
        [
            "n/asks: shared on one → dedicated db.t3.micro",
            "n/critical: dedicated db.t3.micro → shared on the platform's host",
            "n/plain: shared on one → shared on the platform's host"
        ]
    );
    let wish = rule("when: clone.spec.useDedicatedDatabase", "db.t3.micro");
    assert_eq!(moves("", &wish).iter().filter(|line| line.contains("dedicated")).count(), 1, "{:?}", moves("", &wish));
    let source = rule("when: \"clone.spec.sourceUrl == 'https://example.com'\"", "db.t3.micro");
    assert_eq!(moves(&rule(critical, "db.t3.micro"), &source).len(), 2, "user names and passwords are not looked at");
    // A host of the same name at another address.
    let elsewhere = load_files(vec![
        ("hosts.yaml".into(), HOSTS.replace("one.example", "other.example").into()),
        ("p.yaml".into(), "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {mode: enforce, namespaces: {names: [n]}, databases: [{name: all, use: shared, hosts: [one]}]}\n".into()),
    ])
    .unwrap();
    let found = diff(&snapshot, &one("databases: [{name: all, use: shared, hosts: [one]}]"), &elsewhere, now());
    assert_eq!(found.hosts, [Altered::Changed("one".to_owned())]);
    assert_eq!(found.policies[0].impact.moved[0].database.to, "shared on one (other.example:3306)");
}

#[test]
fn a_month_costs_what_as_many_lives_cost() {
    let share = "databases: [{name: all, use: shared, hosts: [one]}]";
    let own = "databases: [{name: all, use: dedicated, classes: [db.t3.micro]}]";
    let snapshot = priced(vec![young("n/a"), young("n/b")]);
    let cost = |snapshot: &Snapshot, old: &str, new: &str| diff(snapshot, &one(old), &one(new), now()).cost;
    let month = |usd: &str| Some(usd.parse::<Decimal>().unwrap());
    // Half as long a life, half the clones: 0.40 / 4 schemas, two clones, 730 hours.
    let shorter = cost(&snapshot, share, &format!("ttl: {{default: 1h, maximum: 1h}}, {share}"));
    assert_eq!((shorter.usd, shorter.unpriced), (Change { from: month("146"), to: month("73") }, Vec::new()));
    // 0.017 for the instance and 20 GiB of storage.
    let dearer = cost(&snapshot, own, share);
    assert_eq!(dearer.usd, Change { from: month("29.42"), to: month("146") });
    // Two is a host without a price: that is said, and not counted as nothing in silence.
    let unknown = cost(&snapshot, share, "databases: [{name: all, use: shared, hosts: [two]}]");
    assert_eq!((unknown.usd.to, unknown.unpriced.iter().any(|what| what == "host two.example:3306")), (None, true), "{unknown:?}");
    // Whoever is turned away costs nothing.
    assert_eq!(cost(&snapshot, share, &format!("limits: {{clones: 1}}, {share}")).usd.to, month("73"));
    // Without nodes nobody knows.
    let found = diff(&world(vec![young("n/a")]), &one(share), &one(own), now());
    assert_eq!(found.cost, Cost::default());
    assert!(found.notes.iter().any(|note| note.starts_with("what clones cost is not known: nodes")), "{:?}", found.notes);
    // What audit let live for five hours lives for two.
    let backlog = priced(vec![clone("n/old", 300, &json!({"ttlSeconds": 7_200, "useDedicatedDatabase": true}), &json!({}))]);
    let flip = diff(&backlog, &set(&[("p", "audit", "n", "")]), &one(""), now()).cost.usd;
    assert_eq!(flip, Change { from: month("14.71"), to: month("5.884") });
}
