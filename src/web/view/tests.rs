//! What is shown of worlds: names that bite, ten thousand clones, one namespace of several, reasons that are the decisions' own.

use super::{Filter, Look, Standing, View, clones};
use crate::{
    model::{
        Child, Evidence, Kind, Snapshot, Source, WordPressClone,
        journal::{Line, Told, Whose},
        names,
        orphan::OrphanRecord,
        state::{Brake, Pause, Trip},
    },
    plan::{Plan, plan, render},
    policy::{Policies, load_files},
    web::html::Page,
};
use askama::Template;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

const POLICY: &str = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec:\n  mode: enforce\n  namespaces: {names: [a, b]}\n  ttl: {minimum: 1m}\n  limits: {clones: 20}\n  quota: {requests.cpu: 4}\n";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_770_300_000 + seconds).unwrap()
}

struct World {
    snapshot: Snapshot,
    policies: Policies,
}

impl World {
    fn new() -> Self {
        let policies = load_files(vec![("p.yaml".to_owned(), POLICY.into())]).unwrap();
        let mut snapshot = Snapshot { watched_since: Some(at(-9_000)), ..Snapshot::default() };
        for kind in Kind::ALL {
            snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(at(0)));
        }
        snapshot.evidence.insert(Source::Time, Evidence::complete(at(0)));
        for namespace in ["a", "b"] {
            snapshot.namespaces.insert(namespace.to_owned(), Default::default());
            snapshot.state.enforced_since.insert(namespace.to_owned(), at(-1_000_000));
        }
        Self { snapshot, policies }
    }

    /// A clone that was made so long ago, and is announced to end then.
    fn clone(&mut self, namespace: &str, name: &str, ends: i64, annotations: Value) -> &mut Self {
        let mut all = json!({names::EXPIRES_AT: at(ends), names::ANNOUNCED_AT: at(-100)});
        for (key, value) in annotations.as_object().unwrap() {
            all[key] = value.clone();
        }
        let object = json!({
            "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-{namespace}-{name}"), "resourceVersion": "1",
                         "creationTimestamp": at(-200), "annotations": all},
            "spec": {"cloneId": name, "ttlSeconds": ends + 200, "sourcePassword": "hunter2", "sourceUrl": "https://u:hunter2@example.com"},
            "status": {"state": "ACTIVE"},
        });
        self.snapshot.clones.push(Arc::new(WordPressClone::read(&object).unwrap()));
        self.snapshot.clones.sort_by(|one, other| one.meta.path().cmp(other.meta.path()));
        self
    }

    fn plan(&self) -> Plan {
        plan(&self.snapshot, &self.policies, at(0))
    }

    fn view(&self, only: Option<&str>, filter: &Filter) -> View {
        let standing = Standing { acts: true, ..Standing::default() };
        Look::new((&self.snapshot, &self.plan(), &self.policies), &standing, only, filter).view()
    }
}

fn all() -> Filter {
    Filter { limit: clones::USUAL, ..Filter::default() }
}

fn names(view: &View) -> Vec<&str> {
    view.clones.items.iter().map(|clone| clone.name.as_str()).collect()
}

fn html(view: &View, filter: &Filter) -> String {
    Page { view, filter, only: None, now: at(0) }.render().unwrap()
}

#[test]
fn what_is_due_first_comes_first_and_every_reason_is_the_decisions() {
    let mut world = World::new();
    world.clone("a", "late", 5_000, json!({})).clone("b", "soon", 900, json!({names::OWNER: "ada@example.com"}));
    world.clone("a", "kept", 700, json!({names::KEEP: "true"})).clone("a", "odd", 3_000, json!({names::EXTEND_UNTIL: "next tuesday"}));
    let view = world.view(None, &all());
    assert_eq!(names(&view), ["soon", "late", "odd", "kept"]);
    let document = render::document(&world.plan());
    for clone in &view.clones.items {
        let decisions = document["decisions"].as_array().unwrap();
        let decided = decisions.iter().find(|decision| decision["target"]["uid"] == clone.uid && decision["action"] == clone.verdict).unwrap();
        assert_eq!(serde_json::to_value(&clone.reason).unwrap(), decided["reason"], "{}", clone.name);
    }
    let [soon, _, odd, kept] = &view.clones.items[..] else { panic!("{view:?}") };
    assert_eq!((soon.ends_at, soon.announced_end, soon.owner.as_deref()), (Some(at(900)), Some(at(900)), Some("ada@example.com")));
    assert_eq!((kept.kept, kept.ends_at), (true, None), "nothing ends what is kept");
    assert_eq!(odd.alerts[0].code, "UnreadableValue");
    assert_eq!((view.head.counts.clones, view.head.counts.kept, view.head.role), (4, 1, "acting"));
    let next: Vec<_> = view.upcoming.items.iter().filter(|coming| coming.action == "delete").map(|coming| coming.target.name.as_str()).collect();
    assert_eq!(next.first(), Some(&"b/soon"));
    assert!(!next.contains(&"a/kept"), "{next:?}");
    let bound = &view.namespaces.items[0].limits[0];
    assert_eq!((view.namespaces.items[0].name.as_str(), bound.used.as_deref(), bound.percent), ("a", Some("3"), Some(15)));
}

#[test]
fn what_is_held_and_what_is_held_back_says_why() {
    let mut world = World::new();
    world.clone("a", "due", -10, json!({}));
    world.snapshot.evidence.insert(Source::Time, Evidence::incomplete(at(0), "no answer carried a date"));
    let view = world.view(None, &all());
    assert_eq!((view.holds[0].code.as_str(), view.holds[0].action, view.holds[0].count), ("ClockUntrusted", "hold", 1));
    assert!(!view.head.clock.trusted && view.clones.items[0].verdict == "hold");
    assert!(view.upcoming.items.is_empty(), "what is held comes no nearer: {:?}", view.upcoming);
    let mut world = World::new();
    world.clone("a", "due", -10, json!({}));
    world.snapshot.state.paused = Some(Pause::new(at(-60), "an <b>outage</b>", "ada"));
    let view = world.view(None, &all());
    // The quota that would be made is held back, too; an end is told of first.
    assert_eq!((view.holds[0].blocked_by, view.holds[0].code.as_str(), view.holds[0].action), (Some("pause"), "Expired", "delete"));
    assert_eq!((view.clones.items[0].blocked_by, view.upcoming.items[0].blocked_by), (Some("pause"), Some("pause")));
    let page = html(&view, &all());
    assert!(page.contains("id=\"banner-paused\"") && page.contains("an &lt;b&gt;outage&lt;/b&gt;"), "{page}");
}

#[test]
fn orphans_are_shown_with_what_they_stand_on_and_gone_ones_are_not() {
    let mut world = World::new();
    let child = |name: &str| {
        let labels = json!({names::KRO_INSTANCE_ID: "uid-gone", names::KRO_INSTANCE_KIND: "WordPressClone", names::KRO_INSTANCE_NAME: "gone"});
        let object = json!({"metadata": {"namespace": "a", "name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": at(-7_000), "labels": labels}});
        Arc::new(Child::read(Kind::Job, &object).unwrap().unwrap())
    };
    world.snapshot.children.push(child("gone-job"));
    let record = |name: &str, phase: &str| {
        let object = json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": at(-600)},
            "spec": {"id": name, "target": {"kind": "DBInstance", "provider": "aws", "region": "eu-west-1", "arn": format!("arn:aws:rds:eu-west-1:1:db:{name}"), "id": name},
                     "owner": {"uid": "uid-gone", "namespace": "b"}, "policy": "p"},
            "status": {"phase": phase, "observations": 4, "firstSeen": at(-600), "costPerHour": "0.017", "deletesAt": at(60)},
        });
        Arc::new(OrphanRecord::read(&object).unwrap())
    };
    world.snapshot.orphans = vec![record("left-db", "Soaking"), record("went-db", "Deleted")];
    let view = world.view(None, &all());
    let shown: Vec<_> = view.orphans.items.iter().map(|orphan| (orphan.kind.as_str(), orphan.id.as_str(), orphan.place.as_str())).collect();
    assert_eq!(shown, [("DBInstance", "left-db", "eu-west-1"), ("Job", "a/gone-job", "cluster")], "{view:?}");
    let [database, job] = &view.orphans.items[..] else { panic!("{view:?}") };
    assert_eq!((database.observations, database.deletes_at), (4, Some(at(60))));
    assert_eq!((job.clone.as_deref(), job.reason.code.as_str(), job.namespace.as_deref()), (Some("gone"), "OwnerGone", Some("a")));
    assert!(!job.evidence.is_empty() && job.first_seen.is_some());
    assert_eq!(view.orphans.per_hour.unwrap().to_string(), "0.017");
    assert_eq!(world.view(Some("a"), &all()).orphans.items.len(), 1, "whoever may see one namespace sees what was left in it");
}

#[test]
fn what_is_called_like_its_namespace_is_named_once() {
    let mut world = World::new();
    world.clone("b", "b", 5_000, json!({names::EXTEND_UNTIL: "odd"})).clone("b", "other", 5_000, json!({names::EXTEND_UNTIL: "odd"}));
    let page = html(&world.view(None, &all()), &all());
    let alerts = page.split("id=\"alerts\"").nth(1).and_then(|rest| rest.split("</section>").next()).unwrap();
    let named: Vec<_> = alerts.split("<span class=\"name\">").skip(1).map(|one| one.split("</span> <code>").next().unwrap()).collect();
    assert_eq!(named.len(), 2, "{alerts}");
    assert_eq!(named.iter().map(|one| one.matches(">b</span>").count()).collect::<Vec<_>>(), [1, 1], "{named:?}");
}

#[test]
fn who_may_see_one_namespace_sees_that_alone() {
    let mut world = World::new();
    world.clone("a", "mine", 5_000, json!({})).clone("b", "theirs", 900, json!({names::EXTEND_UNTIL: "odd"}));
    let view = world.view(Some("a"), &all());
    assert_eq!((names(&view), view.clones.total, view.namespaces.total, view.head.counts.alerts), (vec!["mine"], 1, 1, 0));
    let text = serde_json::to_string(&view).unwrap();
    assert!(!text.contains("theirs") && !text.contains("\"b\""), "{text}");
    let filter = Filter { namespace: Some("b".to_owned()), ..all() };
    assert!(world.view(Some("a"), &filter).clones.items.is_empty(), "a filter opens nothing");
}

/// A world in which everything that can be said about another namespace is said, each time by another word that begins with `zebra`.
fn told_of() -> (World, Standing) {
    let mut world = World::new();
    world.policies = load_files(vec![("p.yaml".to_owned(), POLICY.replace("[a, b]", "[a, zebra]").into())]).unwrap();
    world.snapshot.namespaces = ["a", "zebra"].map(|name| (name.to_owned(), Default::default())).into();
    world.clone("a", "mine", 5_000, json!({})).clone("zebra", "zebra-clone", 900, json!({names::EXTEND_UNTIL: "zebra-value"}));
    world.snapshot.evidence.insert(Source::Objects(Kind::Pod), Evidence::incomplete(at(0), "pods is forbidden in the namespace \"zebra-pods\""));
    let state = &mut world.snapshot.state;
    state.paused = Some(Pause::new(at(-60), "zebra-pause burns", "zebra-person"));
    let waiting = [("uid-a-mine", "a/mine"), ("uid-zebra-1", "zebra/1"), ("uid-zebra-2", "zebra/2")];
    let waiting = waiting.map(|(uid, path)| (uid.to_owned(), path.to_owned())).into();
    state.brakes.insert("p".to_owned(), Brake { tripped: Some(Trip { since: at(-30), waiting }), ..Brake::default() });
    let record = |name: &str, namespace: &str, said: &str| {
        let object = json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": at(-600)},
            "spec": {"target": {"kind": "DBInstance", "provider": "aws", "region": "eu-west-1", "arn": format!("arn:aws:rds:eu-west-1:1:db:{name}"), "id": name},
                     "owner": {"uid": "uid-gone", "namespace": namespace}, "policy": "p"},
            "status": {"phase": "Held", "observations": 4, "firstSeen": at(-600), "costPerHour": "0.017",
                       "reason": {"code": "Claimed", "message": format!("`DBInstance zebra/{said}` in the cluster claims it")},
                       "evidence": [{"source": "pods", "complete": false, "observedAt": at(0), "reason": format!("zebra-lack of {said}")}],
                       "conditions": [{"type": "Refused", "status": "True", "reason": "Refused", "message": format!("zebra-refusal of {said}"), "lastTransitionTime": at(0)}]},
        });
        Arc::new(OrphanRecord::read(&object).unwrap())
    };
    world.snapshot.orphans = vec![record("left-in-a", "a", "claim"), record("zebra-left", "zebra", "theirs")];
    let line = |clone: Option<&str>, target: Value, code: &str, said: &str| {
        let mut line = Line::new("acted", at(-5));
        line.clone = clone.map(|namespace| Whose { namespace: Some(namespace.to_owned()), ..Whose::default() });
        line.target = target.as_object().unwrap().clone();
        line.reason = Some(Told { code: code.to_owned(), message: format!("because of {said}"), facts: Default::default() });
        line.detail = Some(format!("zebra-detail of {said}"));
        Arc::new(line)
    };
    let own = json!({"kind": "WordPressClone", "namespace": "a", "name": "went"});
    let deeds = vec![
        line(Some("a"), own.clone(), "EvidenceMissing", "zebra-evidence"),
        line(None, own, "Expired", "its end"),
        line(Some("a"), json!({"kind": "Job", "namespace": "zebra", "name": "zebra-job"}), "OwnerGone", "nothing"),
        line(Some("zebra"), json!({"kind": "DBInstance", "id": "zebra-base"}), "OwnerGone", "nothing"),
        line(None, json!({"kind": "Source", "name": "zebra-source"}), "BrakeOn", "nothing"),
    ];
    let trouble = Some("configmaps is forbidden in the namespace \"zebra-state\"".to_owned());
    (world, Standing { acts: true, deeds, trouble, ..Standing::default() })
}

#[test]
fn no_field_tells_of_what_lies_in_another_namespace() {
    let (world, standing) = told_of();
    let (made, filter) = (world.plan(), all());
    let look = |only| Look::new((&world.snapshot, &made, &world.policies), &standing, only, &filter);
    let whole = look(None).view();
    let text = serde_json::to_string(&whole).unwrap();
    for planted in [
        "zebra-clone",
        "zebra-value",
        "zebra-pods",
        "zebra-pause",
        "zebra-person",
        "zebra/claim",
        "zebra-lack",
        "zebra-refusal",
        "zebra-left",
        "zebra-evidence",
        "zebra-detail",
        "zebra-job",
        "zebra-base",
        "zebra-source",
        "zebra-state",
    ] {
        assert!(text.contains(planted), "whoever may see all is not told of {planted}: {text}");
    }
    let view = look(Some("a")).view();
    let page = Page { view: &view, filter: &filter, only: Some("a"), now: at(0) }.render().unwrap();
    for (what, text) in
        [("JSON", serde_json::to_string(&view).unwrap()), ("page", page), ("clones", serde_json::to_string(&look(Some("a")).clones()).unwrap())]
    {
        let leak = text.find("zebra").map(|place| text.get(place.saturating_sub(200)..).unwrap_or(&text).chars().take(300).collect::<String>());
        assert_eq!(leak, None, "{what}");
    }
    // What there is to know of their own is still there.
    assert_eq!((names(&view), view.orphans.items[0].id.as_str(), view.orphans.items[0].reason.code.as_str()), (vec!["mine"], "left-in-a", "Claimed"));
    assert_eq!((view.head.brakes[0].waiting, whole.head.brakes[0].waiting), (1, 3));
    assert!(view.head.paused.as_ref().unwrap().reason.starts_with("more is known"), "{:?}", view.head.paused);
    let deeds: Vec<_> = view.actions.items.iter().map(|deed| (deed.code.as_deref(), deed.message.as_deref().unwrap())).collect();
    assert!(
        matches!(deeds[..], [(Some("EvidenceMissing"), hidden), (Some("Expired"), "because of its end")] if hidden.starts_with("more is known")),
        "{deeds:?}"
    );
}

#[test]
fn names_that_bite_are_shown_as_they_are() {
    let mut world = World::new();
    let long = "n".repeat(63);
    let owner = "</td><script>alert(1)</script>\u{202e}\u{0}evil";
    world.clone("a", &long, 5_000, json!({names::OWNER: owner})).clone(
        "a",
        "x",
        4_000,
        json!({names::EXTEND_UNTIL: "\"><img src=x onerror=alert(1)>\u{2066}"}),
    );
    let filter = Filter { text: Some("\"><b>".to_owned()), ..all() };
    let (view, nothing) = (world.view(None, &all()), world.view(None, &filter));
    let page = html(&view, &all()) + &html(&nothing, &filter);
    assert!(page.contains("&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;⟨U+202E⟩⟨U+0000⟩evil") && page.contains(&long), "{page}");
    assert!(page.contains("value=\"&quot;&gt;&lt;b&gt;\""), "the filter itself is text");
    for never in ["<script>alert", "<img src=x", "\u{202e}", "\u{2066}", "\u{0}", "hunter2"] {
        assert!(!page.contains(never), "{never:?}");
    }
    assert!(!serde_json::to_string(&view).unwrap().contains("hunter2"), "what a source asks for is nobody's business");
}

#[test]
fn ten_thousand_clones_make_a_page_that_is_bounded_and_can_be_paged_through() {
    let mut world = World::new();
    for number in 0..10_000 {
        let object = json!({
            "metadata": {"namespace": "a", "name": format!("c{number:05}"), "uid": format!("u{number:05}"), "resourceVersion": "1",
                         "creationTimestamp": at(-200 - i64::from(number % 50)), "annotations": {names::OWNER: format!("o{}", number % 7)}},
            "spec": {"ttlSeconds": 7_200},
        });
        world.snapshot.clones.push(Arc::new(WordPressClone::read(&object).unwrap()));
    }
    let made = world.plan();
    let standing = Standing::default();
    let ask = |filter: &Filter| Look::new((&world.snapshot, &made, &world.policies), &standing, None, filter).view();
    let begun = std::time::Instant::now();
    let view = ask(&all());
    let took = begun.elapsed();
    assert_eq!((view.clones.items.len(), view.clones.matching, view.clones.total), (200, 10_000, 10_000));
    let (page, json) = (html(&view, &all()), serde_json::to_string(&view).unwrap());
    assert!(page.len() < 1_000_000 && json.len() < 500_000, "{} and {} bytes", page.len(), json.len());
    assert!(took < std::time::Duration::from_secs(5), "a view took {took:?}, built for tests");
    let (mut seen, mut filter) = (std::collections::BTreeSet::new(), Filter { owner: Some("o3".to_owned()), limit: 500, ..all() });
    loop {
        let page = ask(&filter).clones;
        assert!(page.items.iter().all(|clone| seen.insert(clone.uid.clone())), "one comes twice");
        match page.next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len(), (0..10_000).filter(|number| number % 7 == 3).count(), "each comes once");
    let found = ask(&Filter { text: Some("C00017".to_owned()), ..all() });
    assert_eq!((names(&found), found.clones.matching), (vec!["c00017"], 1));
}
