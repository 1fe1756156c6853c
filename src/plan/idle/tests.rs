//! What is decided about clones that nothing uses: a table of worlds, each with the decision that it must lead to. The hostile ones try
//! to end a clone that is used.

use crate::model::{
    Evidence, Kind, Reading, Snapshot, Source, WordPressClone,
    credentials::KeySight,
    names,
    schema::{HostFacts, LedgerRow, RowState, Schema, schema_name},
    usage::{HostUse, Memory, Usage, Use},
};
use crate::plan::{Action, BlockedBy, Decision, Plan, Target, Work, Write, lifetime::warned_text, plan};
use crate::policy::{Policies, load_files};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const OTHER: &str = "1f8fad5b-d9cb-469f-a165-70867728950e";

/// A world where everything is as it should be but for this.
type World<'w> = (&'static str, &'w dyn Fn(&mut Snapshot));

/// It was made at 10:00, lives a day, and was used last at 13:00.
fn now() -> Timestamp {
    at("16:00:00")
}

fn at(time: &str) -> Timestamp {
    format!("2026-02-05T{time}Z").parse().unwrap()
}

fn policies_with(spec: &str, host: &str) -> Policies {
    let text = format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: h}}\nspec: {{endpoint: db.example.com, schemas: 50{host}}}\n---\n\
         apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec: {{namespaces: {{names: [n]}}, ttl: {{default: 24h}}{spec}}}\n"
    );
    load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap()
}

fn policies(mode: &str) -> Policies {
    policies_with(&format!(", idle: {{after: 2h}}, mode: {mode}"), ", credentialsDir: /etc/h")
}

fn object(uid: &str) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": format!("clone-{uid}"), "uid": uid, "resourceVersion": "7", "creationTimestamp": at("10:00:00"),
                     "annotations": {names::EXPIRES_AT: "2026-02-06T10:00:00Z", names::ANNOUNCED_AT: at("10:00:01")}},
        "spec": {"sharedDatabase": {"host": "db.example.com"}},
    })
}

fn edit(snapshot: &mut Snapshot, change: impl FnOnce(&mut WordPressClone)) {
    change(Arc::make_mut(&mut snapshot.clones[0]));
}

/// An end stands announced because nothing used it.
fn announced(snapshot: &mut Snapshot, end: &str) {
    edit(snapshot, |clone| {
        clone.expires_at = Reading::Value(at(end));
        clone.announced_at = Reading::Value(at("15:30:00"));
        clone.unused_since = Reading::Value(at("13:00:00"));
        clone.warned = Some(warned_text(at(end), SignedDuration::from_mins(10)).into());
    });
}

fn schema(uid: &str) -> Schema {
    let row = LedgerRow {
        cluster: "c1".to_owned(),
        uid: uid.to_owned(),
        namespace: "n".to_owned(),
        clone: "clone-1".to_owned(),
        state: Some(RowState::Ready),
        made: at("10:00:00"),
    };
    Schema { row: Some(row), there: true, user: true, ..Schema::absent(&Arc::from("h"), schema_name(uid).unwrap()) }
}

fn unused(uid: &str) -> Use {
    let memory = Memory { uid: uid.to_owned(), mark: "s 7".into(), used: at("13:00:00") };
    Use { mark: Some("s 7".into()), memory: Some(memory), ..Use::default() }
}

fn host() -> Source {
    Source::Host(Arc::from("h"))
}

/// Clones on one host that nothing has used since 13:00, as a look at 15:59 says.
fn world_of(uids: &[&str]) -> Snapshot {
    let uses = uids.iter().map(|uid| (schema_name(uid).unwrap(), unused(uid))).collect();
    let facts = HostFacts {
        schemas: uids.iter().map(|uid| Arc::new(schema(uid))).collect(),
        usage: Usage::read(HostUse { uncounted: None, uses }, at("15:59:01")),
        ..HostFacts::default()
    };
    let mut snapshot = Snapshot {
        cluster_id: Some(Arc::from("c1")),
        hosts: [(Arc::from("h"), Arc::new(facts))].into(),
        key: KeySight::Held("0123456789abcdef".into()),
        clones: uids.iter().map(|uid| Arc::new(WordPressClone::read(&object(uid)).unwrap())).collect(),
        ..Snapshot::default()
    };
    for kind in Kind::ALL {
        snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(now()));
    }
    snapshot.evidence.insert(Source::Time, Evidence::complete(now()));
    snapshot.evidence.insert(host(), Evidence::complete(at("15:59:00")));
    snapshot.namespaces.insert("n".to_owned(), BTreeMap::new());
    snapshot.state.enforced_since.insert("n".to_owned(), at("09:00:00"));
    snapshot
}

fn world() -> Snapshot {
    world_of(&[UID])
}

fn facts(snapshot: &mut Snapshot) -> &mut HostFacts {
    Arc::make_mut(snapshot.hosts.get_mut("h").unwrap())
}

fn said(snapshot: &mut Snapshot) -> &mut HostUse {
    let Usage::Read(_, said) = &mut facts(snapshot).usage else { panic!("it was read") };
    said
}

fn its(snapshot: &mut Snapshot) -> &mut Use {
    said(snapshot).uses.get_mut(&schema_name(UID).unwrap()).unwrap()
}

fn its_schema(snapshot: &mut Snapshot) -> &mut Schema {
    Arc::make_mut(&mut facts(snapshot).schemas[0])
}

/// The verdict on the first clone.
fn verdict(plan: &Plan) -> &Decision {
    let on_it = |decision: &&Decision| matches!(&decision.target, Target::Clone(_)) && decision.action != Action::Alert;
    plan.decisions.iter().find(on_it).unwrap()
}

fn told(plan: &Plan) -> String {
    let decision = verdict(plan);
    let blocked = decision.blocked_by.map(|by| format!(" [{}]", by.word())).unwrap_or_default();
    let end = decision.reason.end().map(|end| format!(" {}", end.strftime("%d %H:%M"))).unwrap_or_default();
    format!("{} {}{end}{blocked}", decision.action.word(), decision.reason.code())
}

fn of(changes: &[&dyn Fn(&mut Snapshot)]) -> String {
    let mut snapshot = world();
    changes.iter().for_each(|change| change(&mut snapshot));
    told(&plan(&snapshot, &policies("enforce"), now()))
}

#[test]
fn one_that_nothing_uses_is_announced_with_grace_and_goes_when_that_is_over() {
    let first = plan(&world(), &policies("enforce"), now());
    assert_eq!(told(&first), "warn GraceAnnounced 05 16:10");
    let Some(Write::Announce(end, ..)) = verdict(&first).write() else { panic!("it is written down") };
    assert_eq!(end, at("16:10:00"));
    let written = verdict(&first).write().unwrap().annotations();
    assert_eq!(written.get(names::UNUSED_SINCE), Some(&Some("2026-02-05T13:00:00Z".to_owned())));
    let message = verdict(&first).reason.message(now());
    assert!(message.starts_with("nothing has used its database since 2026-02-05T13:00:00Z (for 3h, and `idle.after` is 2h)"), "{message}");
    assert_eq!(verdict(&first).reason.facts()["cause"], "idle");
    assert_eq!(of(&[&|it| announced(it, "16:00:01")]), "keep Living 05 16:00", "what was announced stands");
    let mut due = world();
    announced(&mut due, "16:00:00");
    let last = plan(&due, &policies("enforce"), now());
    assert_eq!(told(&last), "delete Idle 05 16:00");
    let Some(Work::Unused(judged)) = &verdict(&last).work else { panic!("it is proved before") };
    assert_eq!((judged.mark.as_ref(), judged.since, judged.schema.as_str()), ("s 7", at("13:00:00"), schema_name(UID).unwrap().as_str()));
    assert!(verdict(&last).is_surprise(), "the brake counts it");
}

#[test]
fn whatever_is_not_known_to_be_unused_is_used() {
    let late = |it: &mut Snapshot| its(it).memory.as_mut().unwrap().used = at("13:59:01");
    let worlds: [World<'_>; 21] = [
        ("more was counted", &|it| its(it).mark = Some("s 8".into())),
        ("less was counted: it was reset", &|it| its(it).mark = Some("s 0".into())),
        ("another server says the same number", &|it| its(it).mark = Some("t 7".into())),
        ("nothing is counted of its user", &|it| its(it).mark = None),
        ("a statement runs", &|it| its(it).busy = true),
        ("first sight", &|it| its(it).memory = None),
        ("what is remembered is of another clone", &|it| its(it).memory.as_mut().unwrap().uid = OTHER.to_owned()),
        ("it was forgotten, since its host did not count", &|it| its(it).memory.as_mut().unwrap().mark = "".into()),
        ("it was written down by a clock that went ahead", &|it| its(it).memory.as_mut().unwrap().used = at("16:30:00")),
        ("somebody else writes there", &|it| its(it).written = Some(at("15:00:00"))),
        ("nobody says anything of its schema", &|it| said(it).uses.clear()),
        ("the host does not count", &|it| said(it).uncounted = Some("why".to_owned())),
        ("its row is of another cluster", &|it| its_schema(it).row.as_mut().unwrap().cluster = "c2".to_owned()),
        ("its row is of another clone", &|it| its_schema(it).row.as_mut().unwrap().uid = OTHER.to_owned()),
        ("its schema is being made", &|it| its_schema(it).row.as_mut().unwrap().state = Some(RowState::Making)),
        ("its user is missing", &|it| its_schema(it).user = false),
        ("it was used a moment too late before the look", &late),
        ("somebody has extended it", &|it| edit(it, |clone| clone.extend_until = Reading::Value(at("16:00:01")))),
        ("it lives on another host", &|it| {
            edit(it, |clone| clone.database = crate::model::Database::Shared(Some(Arc::from("other.example.com:3306"))))
        }),
        ("it has a database of its own", &|it| edit(it, |clone| clone.database = crate::model::Database::Dedicated(Arc::from("db.t3.micro")))),
        ("it is too young", &|it| edit(it, |clone| clone.meta.created = at("15:44:01"))),
    ];
    for (name, change) in worlds {
        // Never announced for that.
        let plain = of(&[change]);
        assert!(!plain.contains("Grace") && !plain.contains("Idle"), "{name}: {plain}");
        for end in ["16:00:00", "15:50:00", "16:05:00"] {
            // What was announced is taken back, even if it has passed.
            let mut snapshot = world();
            announced(&mut snapshot, end);
            change(&mut snapshot);
            let plan = plan(&snapshot, &policies("enforce"), now());
            let told = told(&plan);
            assert!(told.starts_with("warn Announced 06 "), "{name}, announced for {end}: {told}");
            let written = verdict(&plan).write().unwrap().annotations();
            assert_eq!(written.get(names::UNUSED_SINCE), Some(&None), "{name}: what it says of it is taken away");
        }
    }
}

#[test]
fn walls_hold_and_bad_input_keeps() {
    let keep = |it: &mut Snapshot| edit(it, |clone| clone.keep = Reading::Value(true));
    assert_eq!(of(&[&|it| announced(it, "16:00:00"), &keep]), "keep Kept 06 10:00");
    for odd in [
        (&|clone: &mut WordPressClone| clone.keep = Reading::Unreadable("yes".into())) as &dyn Fn(&mut WordPressClone),
        &|clone| clone.ttl = Reading::Unreadable("2h".into()),
        &|clone| clone.extend_until = Reading::Unreadable("tomorrow".into()),
    ] {
        assert_eq!(of(&[&|it| announced(it, "16:00:00"), &|it| edit(it, odd)]), "warn Announced 06 10:00");
    }
    // An extension that has passed is none.
    let extended = |it: &mut Snapshot| edit(it, |clone| clone.extend_until = Reading::Value(at("15:00:00")));
    assert_eq!(of(&[&extended]), "warn GraceAnnounced 05 16:10");
}

#[test]
fn only_a_policy_that_asks_for_it_and_a_host_that_is_ours() {
    for policies in [
        policies_with(", mode: enforce", ", credentialsDir: /etc/h"),
        policies_with(", idle: {after: 2h}, mode: enforce", ""),
        policies_with(", idle: {after: 4h}, mode: enforce", ", credentialsDir: /etc/h"),
    ] {
        assert_eq!(told(&plan(&world(), &policies, now())), "keep Living 06 10:00");
    }
    let audit = plan(&world(), &policies("audit"), now());
    assert_eq!(told(&audit), "warn WouldAnnounce 05 15:00 [audit]");
}

#[test]
fn what_cannot_be_told_ends_nothing_and_takes_nothing_back() {
    let stale = || Evidence::complete(at("15:30:00"));
    let worlds: [World<'_>; 6] = [
        ("a look failed", &|it| it.evidence.insert(host(), Evidence::incomplete(now(), "no answer"))),
        ("the last look is old", &|it| it.evidence.insert(host(), stale())),
        ("it was never looked at", &|it| {
            it.hosts.clear();
            it.evidence = world().evidence;
            it.evidence.insert(host(), Evidence::incomplete(now(), "no look at it has ended yet"));
        }),
        ("its use could not be read", &|it| facts(it).usage = Usage::Unread("no answer".to_owned())),
        ("its use was not asked for", &|it| facts(it).usage = Usage::NotAsked),
        ("our cluster id is in doubt", &|it| it.cluster_id = None),
    ];
    for (name, change) in worlds {
        assert_eq!(of(&[change]), "keep Living 06 10:00", "{name}: nothing is announced");
        let due = of(&[change, &|it| announced(it, "16:00:00")]);
        assert_eq!(due, "hold EvidenceMissing", "{name}: it is due");
        let ahead = of(&[change, &|it| announced(it, "16:05:00")]);
        assert_eq!(ahead, "keep Living 05 16:05", "{name}: it stands announced");
        // Its own end comes all the same, and with grace.
        let own = |it: &mut Snapshot| edit(it, |clone| clone.ttl = Reading::Value(5 * 3600));
        assert_eq!(of(&[change, &|it| announced(it, "14:30:00"), &own]), "warn GraceAnnounced 05 16:10", "{name}");
        // What somebody writes on a clone is no proof.
        let forged = |it: &mut Snapshot| edit(it, |clone| clone.unused_since = Reading::Value(at("10:00:00")));
        assert_eq!(of(&[change, &forged]), "keep Living 06 10:00", "{name}: forged");
        let mut snapshot = world();
        announced(&mut snapshot, "16:00:00");
        change(&mut snapshot);
        assert!(
            plan(&snapshot, &policies("enforce"), now()).decisions.iter().all(|decision| !matches!(decision.work, Some(Work::Note(_)))),
            "{name}"
        );
    }
}

#[test]
fn one_whose_own_end_is_near_ends_by_that() {
    let near = |it: &mut Snapshot| {
        edit(it, |clone| {
            clone.ttl = Reading::Value(6 * 3600 + 600);
            clone.expires_at = Reading::Value(at("16:10:00"));
        });
    };
    assert_eq!(of(&[&near]), "warn ExpiresSoon 05 16:10");
    let due = |it: &mut Snapshot| {
        edit(it, |clone| {
            clone.ttl = Reading::Value(6 * 3600);
            clone.expires_at = Reading::Value(at("16:00:00"));
        });
    };
    assert_eq!(of(&[&due]), "delete Expired 05 16:00");
    // An earlier end that was announced before is not moved by that.
    let soon = |it: &mut Snapshot| edit(it, |clone| clone.ttl = Reading::Value(6 * 3600 + 360));
    assert_eq!(of(&[&|it| announced(it, "16:05:00"), &soon]), "keep Living 05 16:05");
}

/// What is to be written down on the host.
fn notes(plan: &Plan) -> Vec<Memory> {
    let of = |decision: &Decision| match &decision.work {
        Some(Work::Note(memories)) => memories.iter().map(|(_, memory)| memory.clone()).collect(),
        _ => Vec::new(),
    };
    plan.decisions.iter().flat_map(of).collect()
}

#[test]
fn what_was_counted_is_written_down_when_it_has_changed() {
    let noted = |mode: &str, change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = world();
        change(&mut snapshot);
        notes(&plan(&snapshot, &policies(mode), now())).into_iter().map(|note| (note.mark.to_string(), note.used)).collect::<Vec<_>>()
    };
    let used = |it: &mut Snapshot| its(it).mark = Some("s 8".into());
    assert_eq!(noted("enforce", &|_| {}), []);
    assert_eq!(noted("enforce", &used), [("s 8".to_owned(), at("15:59:01"))]);
    assert_eq!(noted("enforce", &|it| its(it).memory = None), [("s 7".to_owned(), at("15:59:01"))]);
    assert_eq!(noted("enforce", &|it| its(it).mark = None), []);
    assert_eq!(noted("audit", &used), [], "in audit nothing is written");
    let wrong = |it: &mut Snapshot| it.evidence.insert(Source::Time, Evidence::incomplete(now(), "unknown"));
    let wrong_clock = |it: &mut Snapshot| {
        used(it);
        wrong(it);
    };
    assert_eq!(noted("enforce", &wrong_clock), [], "a date by a wrong clock would stay");
    let going = |it: &mut Snapshot| {
        used(it);
        edit(it, |clone| clone.meta.terminating = Some(now()));
    };
    assert_eq!(noted("enforce", &going), []);
    let uncounted = |it: &mut Snapshot| said(it).uncounted = Some("why".to_owned());
    assert_eq!(noted("enforce", &uncounted), [(String::new(), at("15:59:01"))], "it may be used without being counted");
    let paused = |it: &mut Snapshot| {
        used(it);
        it.state.paused = Some(crate::model::state::Pause::new(now(), "why", "who"));
    };
    assert_eq!(noted("enforce", &paused), [], "paused nothing is written");
}

#[test]
fn a_host_that_does_not_count_is_told_where_it_matters() {
    let alerts = |policies: &Policies| {
        let mut snapshot = world();
        said(&mut snapshot).uncounted = Some("`performance_schema` is off".to_owned());
        let plan = plan(&snapshot, policies, now());
        let alerts = plan.decisions.iter().filter(|decision| decision.reason.code() == "UseNotCounted");
        alerts.map(|decision| (decision.target.display(), decision.reason.message(now()))).collect::<Vec<_>>()
    };
    let told = alerts(&policies("enforce"));
    assert_eq!(told, [("mysql/h".to_owned(), "no clone on it ends because nothing uses it: `performance_schema` is off".to_owned())]);
    assert_eq!(alerts(&policies("audit")).len(), 1);
    assert_eq!(alerts(&policies_with(", mode: enforce", ", credentialsDir: /etc/h")), []);
}

#[test]
fn many_at_once_wait_for_a_person() {
    let uids: Vec<String> = (0..21).map(|number| format!("{number:08x}-d9cb-469f-a165-70867728950e")).collect();
    let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
    let mut snapshot = world_of(&uids);
    for clone in &mut snapshot.clones {
        let clone = Arc::make_mut(clone);
        clone.expires_at = Reading::Value(at("16:00:00"));
        clone.unused_since = Reading::Value(at("13:00:00"));
    }
    let plan = plan(&snapshot, &policies("enforce"), now());
    let ends: Vec<_> = plan.decisions.iter().filter(|decision| decision.reason.code() == "Idle").collect();
    assert_eq!(ends.len(), 21);
    assert!(ends.iter().all(|decision| decision.blocked_by == Some(BlockedBy::Brake)));
}
