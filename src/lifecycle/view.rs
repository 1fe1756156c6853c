//! What is known of one clone by what was heard so far.

use super::follow::{self, Lasts, News};
use crate::{
    model::{Child, Kind, WordPressClone},
    observe::kube::person::{Scope, Subject},
    plan::working::{Sight, State, Told},
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What has become of the clone that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// It is there.
    Here(Box<WordPressClone>, Box<Told>),
    /// It is gone.
    Gone,
    /// It is gone, and there is another one of its name, with this UID.
    Another(String),
}

/// One clone and what it was expanded into, as it is seen.
#[derive(Debug)]
pub(crate) struct View {
    uid: String,
    pub(crate) fate: Fate,
    children: BTreeMap<(Kind, String), Child>,
    /// The kinds that are not seen, and why.
    pub(crate) unseen: BTreeMap<Kind, String>,
    /// Those of them for which a right is missing.
    denied: BTreeSet<Kind>,
    /// Those that nothing was heard of yet.
    silent: BTreeSet<Subject>,
    /// Why each Job was refused a Pod the last time, by its UID.
    refusals: BTreeMap<String, String>,
    /// Why that cannot be seen.
    pub(crate) refusals_unseen: Option<String>,
    secret_awaited: bool,
}

/// What has to be looked at to tell whether a clone works. A clone on a shared host has no database object.
pub(crate) fn needed(clone: &WordPressClone) -> Vec<Scope> {
    let (namespace, uid) = (clone.meta.namespace(), clone.meta.uid.as_ref());
    let databases = [Kind::DbInstance, Kind::DbCluster].into_iter().filter(|_| clone.database.is_dedicated());
    let kinds = [Kind::Job, Kind::Pod].into_iter().chain(databases).map(|kind| follow::children(kind, namespace, uid));
    [follow::clone_itself(namespace, clone.meta.name()), follow::refusals(namespace)].into_iter().chain(kinds).collect()
}

/// What has to be looked at to tell whether everything of a clone is gone.
pub(crate) fn everything(clone: &WordPressClone) -> Vec<Scope> {
    let (namespace, uid) = (clone.meta.namespace(), clone.meta.uid.as_ref());
    let of_databases = |kind: &Kind| matches!(kind, Kind::DbInstance | Kind::DbCluster);
    let kinds = Kind::CHILDREN.into_iter().filter(|kind| clone.database.is_dedicated() || !of_databases(kind));
    let children = kinds.map(|kind| follow::children(kind, namespace, uid));
    std::iter::once(follow::clone_itself(namespace, clone.meta.name())).chain(children).collect()
}

impl View {
    pub(crate) fn new(clone: &WordPressClone, told: &Told, scopes: &[Scope], secret_awaited: bool) -> Self {
        Self {
            uid: clone.meta.uid.to_string(),
            fate: Fate::Here(Box::new(clone.clone()), Box::new(told.clone())),
            children: BTreeMap::new(),
            unseen: BTreeMap::new(),
            denied: BTreeSet::new(),
            silent: scopes.iter().map(|scope| scope.subject).collect(),
            refusals: BTreeMap::new(),
            refusals_unseen: None,
            secret_awaited,
        }
    }

    /// Takes in something that was learned.
    pub(crate) fn hear(&mut self, news: News) {
        match news {
            News::Listed(subject, objects) => {
                self.silent.remove(&subject);
                match subject {
                    Subject::Refusals => {
                        self.refusals_unseen = None;
                        objects.iter().for_each(|event| self.refused(event));
                    }
                    Subject::Objects(Kind::Clone) => match objects.first() {
                        Some(object) => self.met(object),
                        None => self.fate = Fate::Gone,
                    },
                    Subject::Objects(kind) => {
                        self.unseen.remove(&kind);
                        self.children.retain(|(of, _), _| *of != kind);
                        objects.iter().for_each(|object| self.child(kind, object));
                    }
                }
            }
            News::Applied(Subject::Refusals, event) => self.refused(&event),
            News::Applied(Subject::Objects(Kind::Clone), object) => self.met(&object),
            News::Applied(Subject::Objects(kind), object) => self.child(kind, &object),
            News::Gone(Subject::Refusals, _) => {}
            News::Gone(Subject::Objects(Kind::Clone), object) => {
                if text(&object, "/metadata/uid") == self.uid && matches!(self.fate, Fate::Here(..)) {
                    self.fate = Fate::Gone;
                }
            }
            News::Gone(Subject::Objects(kind), object) => drop(self.children.remove(&(kind, text(&object, "/metadata/uid").to_owned()))),
            News::Unseen(subject, why, lasts) => {
                self.silent.remove(&subject);
                match subject {
                    Subject::Refusals => self.refusals_unseen = Some(why),
                    Subject::Objects(kind) => {
                        self.unseen.insert(kind, why);
                        self.denied.extend((lasts == Lasts::ForGood).then_some(kind));
                    }
                }
            }
        }
    }

    /// The clone of that name, or another one.
    fn met(&mut self, object: &Value) {
        self.unseen.remove(&Kind::Clone);
        let uid = text(object, "/metadata/uid");
        if uid != self.uid {
            self.fate = Fate::Another(uid.to_owned());
        } else if let Ok(clone) = WordPressClone::read(object) {
            self.fate = Fate::Here(Box::new(clone), Box::new(Told::read(object)));
        }
    }

    fn child(&mut self, kind: Kind, object: &Value) {
        if let Ok(Some(child)) = Child::read(kind, object)
            && child.owner.as_ref().is_some_and(|owner| *owner.uid == *self.uid)
        {
            self.children.insert((kind, child.meta.uid.to_string()), child);
        }
    }

    fn refused(&mut self, event: &Value) {
        self.refusals.insert(text(event, "/involvedObject/uid").to_owned(), text(event, "/message").to_owned());
    }

    /// Whether what is not seen never will be, for want of rights.
    pub(crate) fn is_blind(&self) -> bool {
        self.unseen.keys().all(|kind| self.denied.contains(kind))
    }

    /// Whether each kind has been heard of.
    pub(crate) fn is_complete(&self) -> bool {
        self.silent.is_empty()
    }

    /// What is there of what the clone was expanded into.
    pub(crate) fn left(&self) -> impl Iterator<Item = &Child> {
        self.children.values()
    }

    /// How the clone is, once enough was heard; `None` before, and when it is gone.
    pub(crate) fn state(&self, now: Timestamp) -> Option<State> {
        let Fate::Here(clone, told) = &self.fate else { return None };
        let job = self.children.values().filter(|child| child.kind == Kind::Job);
        let refused = job.filter_map(|job| self.refusals.get(job.meta.uid.as_ref())).next_back();
        let children = self.children.values().collect();
        let (unseen, secret_awaited) = (&self.unseen, self.secret_awaited);
        let sight = Sight { clone, told, children, unseen, refused: refused.map(String::as_str), secret_awaited };
        self.is_complete().then(|| sight.state(now))
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names;
    use serde_json::json;

    const CLONES: Subject = Subject::Objects(Kind::Clone);
    const JOBS: Subject = Subject::Objects(Kind::Job);
    const PODS: Subject = Subject::Objects(Kind::Pod);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_770_300_000 + seconds).unwrap()
    }

    fn clone(uid: &str) -> Value {
        json!({
            "metadata": {"namespace": "n", "name": "c", "uid": uid, "resourceVersion": "1", "creationTimestamp": at(0)},
            "spec": {"cloneId": "c"}, "status": {"state": "ACTIVE"},
        })
    }

    fn child(name: &str, of: &str, phase: &str) -> Value {
        let labels = json!({names::CLONE_UID: of, names::KRO_INSTANCE_ID: of, names::KRO_INSTANCE_KIND: "WordPressClone"});
        json!({"metadata": {"namespace": "n", "name": name, "uid": name, "creationTimestamp": at(0), "labels": labels}, "status": {"phase": phase}})
    }

    fn view() -> View {
        let object = clone("u");
        let clone = WordPressClone::read(&object).unwrap();
        View::new(&clone, &Told::read(&object), &needed(&clone), false)
    }

    /// A view that has heard of everything, and the clone works.
    fn works() -> View {
        let mut view = view();
        view.hear(News::Listed(CLONES, vec![clone("u")]));
        view.hear(News::Listed(Subject::Refusals, vec![]));
        view.hear(News::Listed(JOBS, vec![child("j", "u", "")]));
        assert_eq!(view.state(at(1)), None, "nothing was heard of the Pods");
        view.hear(News::Listed(PODS, vec![child("p", "u", "Running"), child("other", "x", "Failed")]));
        assert_eq!(view.state(at(1)), Some(State::Works));
        view
    }

    #[test]
    fn what_is_heard_is_what_is_known() {
        let mut view = works();
        view.hear(News::Gone(PODS, child("p", "u", "Running")));
        assert!(matches!(view.state(at(1)), Some(State::Starting(_))));
        view.hear(News::Applied(Subject::Refusals, json!({"involvedObject": {"uid": "other"}, "message": "not ours"})));
        view.hear(News::Applied(Subject::Refusals, json!({"involvedObject": {"uid": "j"}, "message": "exceeded quota: clonewarden"})));
        assert!(view.state(at(1)).unwrap().why()[0].ends_with("exceeded quota: clonewarden"));
        view.hear(News::Applied(PODS, child("p2", "u", "Running")));
        assert_eq!(view.state(at(1)), Some(State::Works));
    }

    #[test]
    fn what_is_lost_from_sight_is_not_known_until_it_is_listed_again() {
        let mut view = works();
        view.hear(News::Unseen(PODS, "cannot list pods: no".to_owned(), Lasts::ForNow));
        // What was seen last may have changed: the Pod that worked then is no proof.
        assert_eq!(view.state(at(1)), Some(State::Unknown(vec!["cannot list pods: no".to_owned()])));
        assert!(!view.is_blind());
        view.hear(News::Listed(PODS, vec![child("p", "u", "Running")]));
        assert_eq!(view.state(at(1)), Some(State::Works));
        view.hear(News::Listed(PODS, vec![]));
        assert!(matches!(view.state(at(1)), Some(State::Starting(_))));
    }

    #[test]
    fn a_clone_that_is_gone_is_told_from_its_namesake() {
        let mut view = works();
        view.hear(News::Gone(CLONES, clone("another")));
        assert!(matches!(view.fate, Fate::Here(..)));
        view.hear(News::Gone(CLONES, clone("u")));
        assert_eq!((&view.fate, view.state(at(1))), (&Fate::Gone, None));
        view.hear(News::Applied(CLONES, clone("v")));
        view.hear(News::Gone(CLONES, clone("v")));
        assert_eq!(view.fate, Fate::Another("v".to_owned()), "that there was another one stays true");
        let mut view = works();
        view.hear(News::Listed(CLONES, vec![clone("v")]));
        assert_eq!(view.fate, Fate::Another("v".to_owned()));
    }

    #[test]
    fn what_is_looked_at_follows_the_database() {
        let count = |dedicated: bool, of: fn(&WordPressClone) -> Vec<Scope>| {
            let mut object = clone("u");
            object["spec"]["useDedicatedDatabase"] = json!(dedicated);
            of(&WordPressClone::read(&object).unwrap()).len()
        };
        assert_eq!([count(false, needed), count(true, needed)], [4, 6]);
        assert_eq!([count(false, everything), count(true, everything)], [6, 8]);
    }
}
