//! KRO, ACK and the Job controller as a step function on the world: one step is what they do in about three seconds.
//!
//! They expand clones, have ACK make their databases in AWS, take deleted ones down one child at a time from the last to the first, and only then take the finalizer
//! off. Without a definition for clones KRO does nothing at all: clones hang, and their children stay.

use super::{
    ack::Ack,
    children::{self, FOREGROUND, Mode, Node},
    history::{Actor, Issue},
    json,
    world::World,
};
use crate::{
    model::{Kind, names},
    rng::Rng,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The controllers of the platform.
#[derive(Debug, Clone)]
pub struct Platform {
    rng: Rng,
    /// Jobs that go without their Pods, in thousandths: as KRO without the foreground finalizer.
    pub leave_pods: u16,
    /// Clones whose finalizer goes while their children are still there, in thousandths of the steps of a clone that is
    /// being taken down.
    pub leave_children: u16,
    /// ACK.
    pub ack: Ack,
    /// Steps in which a controller does nothing for an object, in thousandths.
    pub idle: u16,
    /// The last step found everything as it should be; this many changes ago.
    rested_at: Option<u64>,
    idled: bool,
}

impl Default for Platform {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Platform {
    /// A platform on which everything works.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), ack: Ack::new(seed ^ 0xac), leave_pods: 0, leave_children: 0, idle: 0, rested_at: None, idled: false }
    }

    /// One step of every controller. Where nothing has changed since a step that had nothing to do, there is nothing to do.
    pub fn step(&mut self, world: &mut World) {
        let before = world.changes();
        if self.rested_at == Some(before) {
            return;
        }
        self.idled = false;
        self.work(world);
        self.rested_at = (!self.idled && world.changes() == before).then_some(before);
    }

    fn work(&mut self, world: &mut World) {
        let issue = world.issue(Actor::Platform);
        world.collect_secrets(&issue);
        self.jobs(world, &issue);
        self.databases(world, &issue);
        let Some((definition, cluster)) = definition(world) else { return };
        if !world.served(Kind::Clone) {
            return;
        }
        let clones: Vec<Arc<Value>> = world.objects(Kind::Clone).cloned().collect();
        for clone in clones {
            if self.idles() {
                continue;
            }
            if json::terminating(&clone) {
                self.take_down(world, &issue, &clone);
            } else if json::has_finalizer(&clone, names::KRO_FINALIZER) {
                expand(world, &issue, &clone, &cluster);
            } else {
                adopt(world, &issue, &clone, &definition);
            }
        }
    }

    fn idles(&mut self) -> bool {
        let idles = self.rng.chance(self.idle);
        self.idled |= idles;
        idles
    }

    /// KRO takes one child down at a time, and waits until it is gone.
    fn take_down(&mut self, world: &mut World, issue: &Issue, clone: &Value) {
        if !json::has_finalizer(clone, names::KRO_FINALIZER) {
            return;
        }
        set_state(world, issue, clone, "DELETING");
        let (namespace, uid) = (json::text(clone, "/metadata/namespace"), json::text(clone, "/metadata/uid"));
        if !self.rng.chance(self.leave_children) {
            for node in Node::ALL.into_iter().rev() {
                let name = node.name(children::clone_id(clone));
                let Some(child) = world.get(node.kind(), namespace, &name).cloned() else { continue };
                if json::entry(&child, "labels", names::KRO_INSTANCE_ID) != Some(uid) {
                    continue;
                }
                if !json::terminating(&child) {
                    drop(world.delete(issue, node.kind(), (namespace, &name), None));
                }
                return;
            }
        }
        change(world, issue, Kind::Clone, clone, |object| json::drop_finalizer(object, names::KRO_FINALIZER));
    }

    /// The Job controller makes Pods, the kubelet runs them, and both go with the Job, or do not.
    fn jobs(&mut self, world: &mut World, issue: &Issue) {
        let jobs: Vec<Arc<Value>> = world.objects(Kind::Job).cloned().collect();
        for job in jobs {
            let (namespace, name) = (json::text(&job, "/metadata/namespace"), children::pod_name(&job));
            let name = name.as_str();
            let there = world.get(Kind::Pod, namespace, name).cloned();
            match there {
                None if !json::terminating(&job) => drop(world.create(issue, Kind::Pod, children::pod(&job))),
                Some(pod) if json::terminating(&job) => {
                    if !self.rng.chance(self.leave_pods) {
                        drop(world.delete(issue, Kind::Pod, (namespace, name), None));
                    } else {
                        change(world, issue, Kind::Pod, &pod, |pod| json::set(pod, &["metadata"], "ownerReferences", None));
                        change(world, issue, Kind::Job, &job, |job| json::drop_finalizer(job, FOREGROUND));
                    }
                }
                Some(pod) if json::text(&pod, "/status/phase") == "Pending" => {
                    change(world, issue, Kind::Pod, &pod, |pod| json::set(pod, &["status"], "phase", Some("Running".into())));
                }
                None => change(world, issue, Kind::Job, &job, |job| json::drop_finalizer(job, FOREGROUND)),
                Some(_) => {}
            }
        }
    }

    /// ACK looks at every database object, whosever it is.
    fn databases(&mut self, world: &mut World, issue: &Issue) {
        for kind in [Kind::DbCluster, Kind::DbInstance] {
            let databases: Vec<Arc<Value>> = world.objects(kind).cloned().collect();
            for database in databases {
                if !self.idles() {
                    self.idled |= self.ack.step(world, issue, kind, &database);
                }
            }
        }
    }
}

/// KRO's definition of what a clone is, if it is there: its name, and the cluster id that it writes into tags.
fn definition(world: &World) -> Option<(String, String)> {
    let ours = |object: &&Arc<Value>| json::text(object, "/spec/schema/kind") == names::CLONE_KIND && !json::terminating(object);
    let definition = world.objects(Kind::Definition).find(ours).filter(|_| world.served(Kind::Definition))?;
    let tags = definition.pointer("/spec/resources/0/template/spec/tags").and_then(Value::as_array);
    let cluster = tags.into_iter().flatten().find(|tag| json::text(tag, "/key") == names::TAG_CLUSTER);
    Some((json::text(definition, "/metadata/name").to_owned(), cluster.map(|tag| json::text(tag, "/value").to_owned()).unwrap_or_default()))
}

/// KRO sees a clone for the first time.
fn adopt(world: &mut World, issue: &Issue, clone: &Value, definition: &str) {
    change(world, issue, Kind::Clone, clone, |object| {
        json::add_finalizer(object, names::KRO_FINALIZER);
        json::set(object, &["metadata", "labels"], "kro.run/owned", Some("true".into()));
        json::set(object, &["metadata", "labels"], names::KRO_DEFINITION, Some(definition.into()));
        json::set(object, &["status"], "state", Some("IN_PROGRESS".into()));
    });
}

/// KRO makes every child that can be made, and says how far it is.
fn expand(world: &mut World, issue: &Issue, clone: &Value, cluster: &str) {
    let (namespace, uid) = (json::text(clone, "/metadata/namespace"), json::text(clone, "/metadata/uid"));
    let mode = Mode::of(clone);
    let mut state = "ACTIVE";
    let mut unready = Vec::new();
    for node in Node::ALL.into_iter().filter(|node| node.wanted(mode)) {
        let name = node.name(children::clone_id(clone));
        match world.get(node.kind(), namespace, &name) {
            // What an earlier clone of this name left behind is in the way; a real Job's template could not be changed.
            Some(child) if json::entry(child, "labels", names::KRO_INSTANCE_ID) != Some(uid) => {
                state = "ERROR";
                unready.push(node);
            }
            Some(child) if node.is_ready(child) => {}
            there => {
                if there.is_none() && node.waits_for().is_none_or(|other| !unready.contains(&other)) {
                    drop(world.create(issue, node.kind(), node.object(clone, cluster)));
                }
                state = if state == "ERROR" { state } else { "IN_PROGRESS" };
                unready.push(node);
            }
        }
    }
    set_state(world, issue, clone, state);
}

fn set_state(world: &mut World, issue: &Issue, clone: &Value, state: &str) {
    if json::text(clone, "/status/state") == state {
        return;
    }
    let ready = if state == "ACTIVE" { "True" } else { "False" };
    let status = json!({"state": state, "conditions": [{"type": "Ready", "status": ready, "reason": state}]});
    change(world, issue, Kind::Clone, clone, |object| json::set(object, &[], "status", Some(status)));
}

/// A change by a controller; what is not there any more need not be changed.
fn change(world: &mut World, issue: &Issue, kind: Kind, object: &Value, edit: impl FnOnce(&mut Value)) {
    let at = (json::text(object, "/metadata/namespace"), json::text(object, "/metadata/name"));
    drop(world.change(issue, kind, at, None, edit));
}
