//! What dead clones leave behind, in the cluster and in AWS, as the oracle knows it: whose everything is, what claims it, what is
//! marked and vetoed, and since when.
//!
//! Only facts are here, taken from what was written in the world and in AWS. What follows from them is in `custody`.

use crate::timeline::Timeline;
use clonewarden::{
    model::Kind,
    sandbox::{history::Write, world::World},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A clone, as long as it was there.
#[derive(Debug, Clone)]
pub(crate) struct Stay {
    pub(crate) path: String,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// What an object of ACK's said that it stands for, as long as it said so.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) kind: Kind,
    pub(crate) uid: String,
    pub(crate) path: String,
    pub(crate) identifier: String,
    pub(crate) arn: String,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// An `Orphan` object.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// The ARN or UID of what it is about.
    pub(crate) key: String,
    /// The kind of what it is about, and the identifier in AWS of that or of what it stands for.
    pub(crate) about: (String, String),
    pub(crate) resource_id: String,
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) keep: Timeline<bool>,
    pub(crate) release: Timeline<String>,
    /// How often what it is about was seen in its present soak.
    pub(crate) observations: i64,
    pub(crate) phase: String,
    /// Since when it says that what it is about goes.
    pub(crate) deleting: Option<i64>,
    /// Why it is an orphan, or held: a reason code.
    pub(crate) reason: String,
}

#[derive(Debug, Default)]
pub(crate) struct Estate {
    /// How much of AWS' history has been read.
    pub(crate) read: usize,
    pub(crate) refused: usize,
    pub(crate) clones: BTreeMap<String, Stay>,
    pub(crate) claims: Vec<Claim>,
    /// When a Pod lost its Job: until then it goes with that.
    pub(crate) freed: BTreeMap<String, i64>,
    pub(crate) marks: Vec<Mark>,
    /// The final snapshots that a daemon has asked for, by whichever way.
    pub(crate) asked: BTreeSet<String>,
    /// Whether the Orphans were lost with their CRD once, and with them which snapshots are ours.
    pub(crate) forgetful: bool,
    /// Whether the state says that another cluster uses our id.
    pub(crate) shared: Timeline<bool>,
    /// What a person has said to be another cluster's, by the state: it is held for good.
    pub(crate) accepted: BTreeSet<String>,
    /// How many databases and snapshots in AWS a daemon has deleted.
    pub(crate) deleted: usize,
}

pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn path(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

impl Estate {
    /// Takes note of a write in the cluster, whoever made it.
    pub(crate) fn learn(&mut self, write: &Write, at: i64) {
        match write.kind {
            Some(Kind::Clone) => self.learn_clone(write, at),
            Some(kind @ (Kind::DbInstance | Kind::DbCluster)) => self.learn_claim(kind, write, at),
            Some(Kind::Orphan) => self.learn_mark(write, at),
            Some(Kind::Pod) => {
                let owned = |pod: &Value| pod.pointer("/metadata/ownerReferences/0").is_some();
                if let (Some(before), Some(after)) = (write.before.as_deref(), write.after.as_deref())
                    && owned(before)
                    && !owned(after)
                {
                    self.freed.insert(text(after, "/metadata/uid").to_owned(), at);
                }
            }
            None => {
                let shared = write.after.as_deref().is_some_and(|state| text(state, "/state.json").contains("\"clusterIdShared\""));
                let state: Value = write.after.as_deref().and_then(|state| serde_json::from_str(text(state, "/state.json")).ok()).unwrap_or_default();
                self.accepted.extend(state["clusterIdAccepted"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
                if write.name == "clonewarden-state" && self.shared.now().copied().unwrap_or_default() != shared {
                    self.shared.set(at, shared);
                }
            }
            _ => {}
        }
    }

    fn learn_clone(&mut self, write: &Write, at: i64) {
        let Some(object) = write.after.as_deref().or(write.before.as_deref()) else { return };
        let uid = text(object, "/metadata/uid").to_owned();
        let stay = self.clones.entry(uid).or_insert_with(|| Stay { path: path(object), from: at, until: i64::MAX });
        if write.after.is_none() {
            stay.until = at;
        }
    }

    fn learn_claim(&mut self, kind: Kind, write: &Write, at: i64) {
        let Some(object) = write.after.as_deref().or(write.before.as_deref()) else { return };
        let field = if kind == Kind::DbCluster { "/spec/dbClusterIdentifier" } else { "/spec/dbInstanceIdentifier" };
        let claim = Claim {
            kind,
            uid: text(object, "/metadata/uid").to_owned(),
            path: path(object),
            identifier: text(object, field).to_owned(),
            arn: text(object, "/status/ackResourceMetadata/arn").to_owned(),
            from: at,
            until: i64::MAX,
        };
        let before = self.claims.iter_mut().rev().find(|before| before.uid == claim.uid && before.until == i64::MAX);
        let same = before.as_ref().is_some_and(|before| (&before.identifier, &before.arn) == (&claim.identifier, &claim.arn));
        if let (Some(before), true) = (before, !same || write.after.is_none()) {
            before.until = at;
        }
        if !same && write.after.is_some() {
            self.claims.push(claim);
        }
    }

    fn learn_mark(&mut self, write: &Write, at: i64) {
        let Some(object) = write.after.as_deref().or(write.before.as_deref()) else { return };
        let (arn, uid) = (text(object, "/spec/target/arn"), text(object, "/spec/target/uid"));
        let schema = format!("mysql/{}", text(object, "/spec/id"));
        let key = match text(object, "/spec/target/kind") {
            "Schema" => schema.as_str(),
            _ if arn.is_empty() => uid,
            _ => arn,
        };
        let known = self.marks.iter().rposition(|mark| mark.key == key && mark.until == i64::MAX);
        let index = known.unwrap_or_else(|| {
            let resource_id = text(object, "/spec/target/resourceId").to_owned();
            let about = (text(object, "/spec/target/kind").to_owned(), text(object, "/spec/target/id").to_owned());
            self.marks.push(Mark { key: key.to_owned(), about, resource_id, from: at, until: i64::MAX, ..Mark::default() });
            self.marks.len() - 1
        });
        let mark = &mut self.marks[index];
        if write.after.is_none() {
            mark.until = at;
            return;
        }
        let annotation = |key: &str| object["metadata"]["annotations"][key].as_str();
        mark.keep.set(at, annotation("clonewarden.io/keep").is_some_and(|keep| keep != "false"));
        mark.release.set(at, annotation("clonewarden.io/release").unwrap_or_default().to_owned());
        mark.observations = object.pointer("/status/soak/observations").and_then(Value::as_i64).unwrap_or_default();
        mark.phase = text(object, "/status/phase").to_owned();
        if mark.phase == "Deleting" {
            mark.deleting.get_or_insert(at);
        }
        mark.reason = text(object, "/status/reason/code").to_owned();
        let snapshot = text(object, "/status/finalSnapshot/id");
        if write.daemon().is_some() && !snapshot.is_empty() {
            self.asked.insert(snapshot.to_owned());
        }
    }

    /// A CRD went, and its objects with it: the history of writes does not tell.
    pub(crate) fn wiped(&mut self, kind: Kind, at: i64) {
        match kind {
            Kind::Clone => self.clones.values_mut().for_each(|stay| stay.until = stay.until.min(at)),
            Kind::Orphan => {
                self.forgetful = true;
                self.marks.iter_mut().for_each(|mark| mark.until = mark.until.min(at));
            }
            kind => self.claims.iter_mut().filter(|claim| claim.kind == kind).for_each(|claim| claim.until = claim.until.min(at)),
        }
    }

    /// Whether the clone of this UID was there at some moment of these.
    pub(crate) fn lived(&self, uid: &str, from: i64, to: i64) -> bool {
        self.clones.get(uid).is_some_and(|stay| stay.from <= to && stay.until >= from)
    }

    /// Whether a clone of this path was there all the time.
    pub(crate) fn namesake(&self, path: &str, from: i64, to: i64) -> bool {
        self.clones.values().any(|stay| stay.path == path && stay.from <= from && stay.until >= to)
    }

    /// When the clone of this UID went, if it did; one that never was, has always been gone.
    pub(crate) fn died(&self, uid: &str) -> Option<i64> {
        self.clones.get(uid).map_or(Some(i64::MIN), |stay| Some(stay.until).filter(|until| *until != i64::MAX))
    }

    /// The claims on something that stood all the time.
    pub(crate) fn claimed(&self, cluster: bool, identifier: &str, arn: &str, from: i64, to: i64) -> Option<&Claim> {
        self.claims.iter().find(|claim| {
            let same = (claim.kind == Kind::DbCluster) == cluster && (claim.identifier == identifier || claim.arn == arn);
            same && claim.from <= from && claim.until >= to
        })
    }

    /// Whether somebody keeps what this is about.
    pub(crate) fn kept(&self, key: &str) -> bool {
        self.mark(key).is_some_and(|mark| mark.keep.now().copied().unwrap_or_default())
    }

    /// The mark of something that is there, or was there last.
    pub(crate) fn mark(&self, key: &str) -> Option<&Mark> {
        self.marks.iter().rev().find(|mark| mark.key == key)
    }
}

/// The owner that KRO's labels name.
pub(crate) fn owner(kind: Kind, object: &Value) -> &str {
    let labels = &object["metadata"]["labels"];
    let ours = kind == Kind::Pod || labels["kro.run/instance-kind"] == "WordPressClone";
    let label = if kind == Kind::Pod { "clonewarden.io/clone-uid" } else { "kro.run/instance-id" };
    if ours { labels[label].as_str().unwrap_or_default() } else { "" }
}

/// Every child in the cluster, with its kind.
pub(crate) fn children(world: &World) -> impl Iterator<Item = (Kind, &Value)> {
    Kind::CHILDREN.into_iter().flat_map(|kind| world.objects(kind).map(move |object| (kind, object.as_ref())))
}
