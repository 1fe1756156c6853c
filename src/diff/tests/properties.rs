//! What holds of any two sets of policies, and of any house of newcomers.

use super::*;
use crate::plan::admit::{self, Operation, Request, Residents, Town};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Policies for two namespaces, of which each has one, or both have the first.
fn sets() -> impl Strategy<Value = Policies> {
    let rest = (
        prop_oneof![Just(""), Just("ttl: {default: 1h, maximum: 1h}"), Just("ttl: {default: 3h, maximum: 4h, grace: 30m}")],
        prop_oneof![
            Just(""),
            Just("limits: {clones: 2}"),
            Just("limits: {clonesPerOwner: 1, overflow: reap-newest}"),
            Just("limits: {dedicatedDatabases: 1}")
        ],
        prop_oneof![
            Just(""),
            Just("databases: [{name: all, use: shared, hosts: [two, one]}]"),
            Just("databases: [{name: c, when: \"clone.labels['critical'] == 'true'\", use: dedicated, classes: [db.t3.small]}]"),
            Just(
                "databases: [{name: w, when: clone.spec.useDedicatedDatabase, use: dedicated, serverless: {minACU: 0.5, maxACU: 2}}, {name: all, use: shared, hosts: [one]}]"
            ),
            Just("databases: [{name: h, when: \"hosts['two'].free > 0 && clone.spec.ttlSeconds > 4000\", use: shared, hosts: [two]}]"),
        ],
        prop_oneof![
            Just(""),
            Just("brake: {deletes: 1}"),
            Just("budget: {monthly: \"0.10\", atLimit: deny}"),
            Just("budget: {monthly: \"0.10\", atLimit: share}")
        ],
    );
    let rest = rest.prop_map(|(ttl, limits, databases, more)| {
        [ttl, limits, databases, more].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    });
    let mode = || prop_oneof![Just("audit"), Just("enforce")];
    (mode(), mode(), any::<bool>(), rest.clone(), rest).prop_map(|(mode, other, both, one, two)| {
        if both { set(&[("p", mode, "\"m\", \"n\"", &one)]) } else { set(&[("p", mode, "n", &one), ("q", other, "m", &two)]) }
    })
}

fn worlds() -> impl Strategy<Value = Vec<Value>> {
    let announced = proptest::option::weighted(0.4, -30_i64..120);
    let one = (any::<bool>(), 0_i64..300, proptest::option::of(0_i64..20_000), any::<bool>(), any::<bool>(), any::<bool>(), announced, 0..3_u8);
    proptest::collection::vec(one, 0..12).prop_map(|all| {
        let objects = all.into_iter().enumerate().map(|(number, (here, minutes, ttl, own, critical, placed, announced, owner))| {
            let mut annotations = json!({names::OWNER: format!("o-{owner}")});
            if placed {
                annotations[names::PLACEMENT_REASON] = json!("shared on `one`: rule `all` of policy `p`");
            }
            if let Some(end) = announced {
                annotations[names::EXPIRES_AT] = json!(now() + SignedDuration::from_mins(end));
                annotations[names::ANNOUNCED_AT] = json!(now() - SignedDuration::from_mins(minutes));
            }
            let labels = if critical { json!({"critical": "true"}) } else { json!({}) };
            let spec = ttl.map_or(json!({}), |ttl| json!({"ttlSeconds": ttl}));
            let mut object = clone(
                &format!("{}/c-{number:02}", if here { "n" } else { "m" }),
                minutes,
                &spec,
                &json!({"labels": labels, "annotations": annotations}),
            );
            object["spec"]["useDedicatedDatabase"] = json!(own);
            object
        });
        objects.collect()
    })
}

/// What is on both sides of a mirror, over all policies.
type Mirrored = (Vec<End>, Vec<Shift>, Vec<Denied>, Vec<(Arc<str>, String, String)>, Vec<(Arc<str>, Change<usize>)>);

fn mirrored(diff: &Diff, turned: bool) -> Mirrored {
    let all = || diff.policies.iter().map(|policy| &policy.impact);
    fn gather<'a, T: Clone + 'a>(lists: impl Iterator<Item = &'a Vec<T>>, path: impl Fn(&T) -> Arc<str>) -> Vec<T> {
        let mut all: Vec<T> = lists.flatten().cloned().collect();
        all.sort_by_key(path);
        all
    }
    let turn = |change: Change<usize>| if turned { Change { from: change.to, to: change.from } } else { change };
    let ends = gather(all().map(|impact| if turned { &impact.spared } else { &impact.reaped }), |end| Arc::clone(&end.clone));
    // When it goes depends on what counts as announced, and that on what is in force before.
    let ends = ends.into_iter().map(|end| End { goes: None, ..end }).collect();
    let shifts = gather(all().map(|impact| if turned { &impact.later } else { &impact.sooner }), |shift| Arc::clone(&shift.clone));
    let shifts = shifts.into_iter().map(|shift| Shift {
        end: if turned { Change { from: shift.end.to, to: shift.end.from } } else { shift.end },
        cause: "",
        ..shift
    });
    let denied = gather(all().map(|impact| if turned { &impact.admitted } else { &impact.denied }), |denied| Arc::clone(&denied.clone));
    let moved = gather(all().map(|impact| &impact.moved), |moved| Arc::clone(&moved.clone));
    let moved = moved.into_iter().map(
        |Moved { clone, database }| {
            if turned { (clone, database.to, database.from) } else { (clone, database.from, database.to) }
        },
    );
    let counts = diff.policies.iter().map(|policy| (Arc::clone(&policy.name), turn(policy.clones)));
    (ends, shifts.collect(), denied, moved.collect(), counts.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_set_differs_from_itself_in_nothing_and_the_other_way_round_is_the_mirror(objects in worlds(), old in sets(), new in sets()) {
        let snapshot = if objects.is_empty() { Snapshot::default() } else { priced(objects) };
        let itself = diff(&snapshot, &old, &old.clone(), now());
        prop_assert!(itself.same && itself.policies.is_empty());
        let (there, back) = (diff(&snapshot, &old, &new, now()), diff(&snapshot, &new, &old, now()));
        prop_assert_eq!(there.same, back.same);
        prop_assert_eq!(mirrored(&there, false), mirrored(&back, true));
        prop_assert_eq!(mirrored(&there, true), mirrored(&back, false));
        // What is looked at once more, unlike, is the same as what the plan says of each set alone.
        let reaped: usize = there.policies.iter().map(|policy| policy.impact.reaped.len()).sum();
        let after = crate::plan::plan(&snapshot, &new, now());
        let passed = after.decisions.iter().filter(|decision| decision.target.kind() == names::CLONE_KIND && decision.reason.end().is_some());
        prop_assert!(reaped <= passed.count());
    }

    /// Newcomers are answered as the webhook answers them, one after the other, each let in taking up room.
    #[test]
    fn an_empty_house_answers_as_the_webhook_does(objects in worlds(), policies in sets()) {
        prop_assume!(!objects.is_empty());
        let mut objects = objects;
        // What was asked for where a rule chose is another question.
        objects.iter_mut().for_each(|object| drop(object["metadata"]["annotations"].as_object_mut().unwrap().remove(names::PLACEMENT_REASON)));
        let snapshot = priced(objects);
        let tariff = crate::plan::plan(&snapshot, &policies, now()).tariff;
        let played = house::play(&snapshot, &policies, &tariff, now());
        let money = admit::budget::Money { at: now(), tariff, usages: Vec::new(), unreadable: Vec::new(), departed: Vec::new() };
        let residents = Residents { money: Some(Arc::new(money)), ..Residents::default() };
        let mut order: Vec<usize> = (0..snapshot.clones.len()).collect();
        order.sort_by_key(|at| (snapshot.clones[*at].meta.created, snapshot.clones[*at].meta.uid.clone()));
        let mut claims = BTreeMap::new();
        for at in order {
            let (clone, played) = (&snapshot.clones[at], &played[at]);
            let governing = policies.governing(clone.meta.namespace(), None);
            let crate::policy::Governing::Policy(policy) = governing else { continue };
            if policy.mode == Mode::Audit || clone.ttl.unreadable().is_some() {
                // In audit everybody is let in.
                if let Some(database) = &played.database {
                    let claim = claim(clone, database);
                    claims.insert(clone.meta.name().into(), claim);
                }
                continue;
            }
            let mut spec = json!({"cloneId": clone.meta.name(), "useDedicatedDatabase": clone.database.is_dedicated()});
            if let Some(seconds) = clone.ttl.value() {
                spec["ttlSeconds"] = json!(seconds);
            }
            let metadata = json!({"namespace": clone.meta.namespace(), "name": clone.meta.name(), "labels": clone.marks.labels});
            let request = Request {
                operation: Operation::Create,
                namespace: clone.meta.namespace().to_owned(),
                name: clone.meta.name().to_owned(),
                user: clone.owner.as_deref().unwrap().to_owned(),
                dry_run: false,
                object: json!({"metadata": metadata, "spec": spec}),
                old: Value::Null,
            };
            let verdict = admit::mutate(&request, Town { policies: &policies, residents: &residents, claims: &claims }, clone.meta.name());
            prop_assert_eq!(verdict.refusal.as_ref(), played.refusal.as_deref());
            if let Some(claim) = verdict.claim {
                let database = played.database.as_ref().unwrap();
                prop_assert_eq!((claim.dedicated, claim.host.as_deref()), (database.is_dedicated(), database.host().map(AsRef::as_ref)));
                claims.insert(clone.meta.name().into(), claim);
            }
        }
    }
}

fn claim(clone: &crate::model::WordPressClone, database: &crate::model::Database) -> admit::Claim {
    admit::Claim {
        namespace: clone.meta.namespace().to_owned(),
        name: clone.meta.name().to_owned(),
        owner: clone.owner.as_deref().unwrap_or_default().to_owned(),
        dedicated: database.is_dedicated(),
        host: database.host().map(ToString::to_string),
        ..admit::Claim::default()
    }
}
