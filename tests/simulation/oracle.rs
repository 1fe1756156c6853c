//! The oracle: reads what was written in the world and says which promise was broken. It knows the truth, and it shares no code
//! with the part of the product that decides.
//!
//! Every promise of the design that could be broken by a write has a check here, named `I1` to `I9`. What a daemon cannot know
//! at once it is given a fixed time to learn; what it could never have heard (a lost watch event) is not held against it.

mod lives;

use crate::{
    estate::{Estate, text},
    rules::{self, Rule},
    secrets::Custody,
    timeline::Timeline,
};
use clonewarden::{
    model::Kind,
    sandbox::{
        cluster::Deafness,
        history::{Actor, Verb, Write},
        world::World,
    },
};
use jiff::Timestamp;
use lives::said;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How far a trusted clock may be from the API server's, with the second that a `Date` cannot tell.
pub(crate) const SKEW: i64 = 31;
/// How old a plan, with its policies and its knowledge of `pause`, may be when it is still being carried out.
pub(crate) const LAG: i64 = 20;
/// How long a watch may take to tell something, errors and new lists included.
pub(crate) const WATCH_LAG: i64 = 60;
/// How long a namespace must have been out of `enforce` for a daemon that works to have noticed without doubt.
const NOTICED: i64 = 120;

/// A broken promise.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) promise: &'static str,
    pub(crate) what: String,
}

/// What a daemon is in the oracle's eyes.
#[derive(Debug, Default)]
pub(crate) struct Known {
    rules: Timeline<Arc<Vec<Rule>>>,
    deaf: Vec<Deafness>,
    /// Since when it runs.
    since: i64,
}

/// The time in which a namespace was out of `enforce`.
#[derive(Debug, Default, Clone, Copy)]
struct Break {
    lasted: i64,
    /// The last moment of a break that was long enough to have been noticed.
    noticed: Option<i64>,
}

/// When a clone was there.
#[derive(Debug)]
struct Stay {
    uid: String,
    from: i64,
    until: i64,
    /// Its end was a surprise.
    surprise: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    read: usize,
    seen: i64,
    daemons: BTreeMap<String, Known>,
    env: BTreeMap<String, Timeline<Option<String>>>,
    definition: Timeline<bool>,
    paused: Timeline<bool>,
    breaks: BTreeMap<String, Break>,
    stays: BTreeMap<String, Vec<Stay>>,
    surprises: BTreeMap<&'static str, Vec<i64>>,
    released: BTreeSet<String>,
    /// The present form of every clone, by its UID.
    forms: BTreeMap<String, Arc<Value>>,
    /// Clones that wait behind a brake, as they were when they came to wait.
    waiting: BTreeMap<String, String>,
    /// What dead clones leave behind.
    pub(crate) estate: Estate,
    /// Since when each resource in AWS has been protected, by its number.
    pub(crate) protected_since: BTreeMap<u64, i64>,
    /// Whether the rules for orphans are such that what dead clones leave behind comes to its end within the story.
    pub(crate) inherits: bool,
    /// What is known of Secrets.
    pub(crate) custody: Custody,
    pub(crate) deleted: usize,
    pub(crate) surprised: usize,
    /// How many schemas were dropped: so many of them have been judged.
    pub(crate) dropped: usize,
}

/// Seconds, as the oracle counts.
pub(crate) fn seconds(moment: Timestamp) -> i64 {
    moment.as_second()
}

impl Oracle {
    /// An oracle that has seen nothing yet.
    pub(crate) fn new() -> Self {
        let mut oracle = Self::default();
        oracle.definition.set(i64::MIN, false);
        oracle.paused.set(i64::MIN, false);
        oracle
    }

    /// A daemon has loaded these rules.
    pub(crate) fn loads(&mut self, daemon: &str, at: i64, rules: &Arc<Vec<Rule>>) {
        let known = self.daemons.entry(daemon.to_owned()).or_insert_with(|| Known { since: at, ..Known::default() });
        known.rules.set(at, Arc::clone(rules));
        // Under other rules it may be no surprise any more.
        self.waiting.clear();
    }

    /// What a daemon cannot have heard.
    pub(crate) fn deaf(&mut self, daemon: &str, deaf: Vec<Deafness>) {
        self.daemons.entry(daemon.to_owned()).or_default().deaf = deaf;
    }

    /// Somebody lost the ConfigMap, and with it the brake's memory and the pause.
    pub(crate) fn state_lost(&mut self, at: i64) {
        self.surprises.clear();
        self.waiting.clear();
        self.paused.set(at, false);
        self.custody.forgotten = true;
    }

    /// When each clone of a namespace was there.
    pub(crate) fn stays_in(&self, namespace: &str) -> impl Iterator<Item = (i64, i64)> {
        self.stays.get(namespace).into_iter().flatten().map(|stay| (stay.from, stay.until))
    }

    /// The present form of a clone that was ever there.
    pub(crate) fn form(&self, uid: &str) -> Option<&Arc<Value>> {
        self.forms.get(uid)
    }

    /// The clones that are there.
    pub(crate) fn living(&self) -> impl Iterator<Item = &Arc<Value>> {
        let there = self.stays.values().flatten().filter(|stay| stay.until == i64::MAX);
        there.filter_map(|stay| self.forms.get(&stay.uid))
    }

    /// Reads what has been written since. `acting`: the daemon that holds the lease, works and hears everything, if there is one.
    pub(crate) fn catch_up(&mut self, world: &World, acting: Option<&str>) -> Result<(), Broken> {
        loop {
            self.catch_up_in_aws(world, self.read)?;
            let Some(write) = world.history().get(self.read) else { break };
            self.read += 1;
            self.judge(write)?;
            self.learn(write);
            self.estate.learn(write, seconds(write.at));
        }
        self.judge_gone(world)?;
        let now = seconds(world.now());
        self.watch_breaks(now, acting);
        self.seen = now;
        Ok(())
    }

    /// Reads what was done in AWS by requests that were sent before the world had more than so many writes.
    fn catch_up_in_aws(&mut self, world: &World, writes: usize) -> Result<(), Broken> {
        while let Some(write) = world.aws.history().get(self.estate.read).filter(|write| write.issue.writes <= writes) {
            self.estate.read += 1;
            self.judge_cloud(write)?;
            if let Some(thing) = &write.after
                && thing.seen.protected == Some(true)
            {
                self.protected_since.entry(thing.serial).or_insert(seconds(write.at));
            } else if let Some(thing) = write.thing() {
                self.protected_since.remove(&thing.serial);
            }
        }
        while let Some(write) = world.aws.refused().get(self.estate.refused).filter(|write| write.issue.writes <= writes) {
            self.estate.refused += 1;
            self.judge_refused(write)?;
        }
        Ok(())
    }

    /// Whether nothing could be written for as long as a plan may be carried out.
    pub(crate) fn paused_throughout(&self, sent: i64) -> bool {
        self.paused.within(sent - LAG, sent).all(|paused| *paused)
    }

    /// The last moment at which a namespace was known to be out of `enforce`.
    pub(crate) fn noticed(&self, namespace: &str) -> Option<i64> {
        self.breaks.get(namespace).and_then(|pause| pause.noticed)
    }

    /// The label by which a namespace is governed at present.
    pub(crate) fn env_of(&self, namespace: &str) -> Option<String> {
        self.env.get(namespace).and_then(Timeline::now).cloned().flatten()
    }

    /// The moment since which a daemon may not have heard of a kind.
    pub(crate) fn heard_of(&self, daemon: &str, kind: Kind, now: i64) -> i64 {
        self.daemons.get(daemon).map_or(now, |known| self.heard(known, kind, now))
    }

    /// Whether a daemon may have missed something in a quiet time.
    pub(crate) fn is_deaf(&self, daemon: &str, since: i64) -> bool {
        let missed = |known: &Known| known.deaf.iter().any(|deaf| deaf.until.is_none_or(|until| seconds(until) > since + WATCH_LAG));
        self.daemons.get(daemon).is_some_and(missed)
    }

    /// Since when a daemon runs.
    pub(crate) fn runs_since(&self, daemon: &str) -> i64 {
        self.daemons.get(daemon).map_or(i64::MIN, |known| known.since)
    }

    /// How long each namespace has been out of `enforce` in the eyes of a daemon that acts.
    fn watch_breaks(&mut self, now: i64, acting: Option<&str>) {
        let paused = self.paused.within(self.seen, now).any(|paused| *paused);
        let rules = acting.and_then(|daemon| self.daemons.get(daemon)).filter(|_| !paused);
        for (namespace, env) in &self.env {
            let out = rules.is_some_and(|known| {
                let mut sets = known.rules.within(self.seen, now);
                sets.all(|rules| {
                    env.within(self.seen, now).all(|env| !rules::governing(rules, namespace, env.as_deref()).is_some_and(|rule| rule.enforce))
                })
            });
            let pause = self.breaks.entry(namespace.clone()).or_default();
            pause.lasted = if out { pause.lasted + now - self.seen } else { 0 };
            if pause.lasted >= NOTICED {
                pause.noticed = Some(now);
            }
        }
    }

    /// Takes note of what changed in the world, whoever changed it.
    fn learn(&mut self, write: &Write) {
        let at = seconds(write.at);
        if let (Some(Kind::Clone), Some(form)) = (write.kind, &write.after) {
            self.forms.insert(text(form, "/metadata/uid").to_owned(), Arc::clone(form));
        }
        match (write.verb, write.kind) {
            (_, Some(Kind::Definition)) => self.definition.set(at, write.after.is_some()),
            (_, Some(Kind::Namespace)) => {
                let env = write.after.as_deref().and_then(|object| object["metadata"]["labels"]["env"].as_str().map(str::to_owned));
                self.env.entry(write.name.clone()).or_default().set(at, env);
                self.waiting.clear();
            }
            (Verb::Create, Some(Kind::Clone)) => {
                let uid = write.after.as_deref().map(|object| text(object, "/metadata/uid").to_owned()).unwrap_or_default();
                self.stays.entry(write.namespace.clone()).or_default().push(Stay { uid, from: at, until: i64::MAX, surprise: false });
            }
            (_, Some(Kind::Clone)) if write.after.is_none() => {
                let uid = write.before.as_deref().map(|object| text(object, "/metadata/uid")).unwrap_or_default();
                for stay in self.stays.entry(write.namespace.clone()).or_default().iter_mut().filter(|stay| stay.uid == uid) {
                    stay.until = at;
                }
            }
            (Verb::State, _) if write.name == "clonewarden-state" => {
                let state = |data: &Option<Arc<Value>>| {
                    data.as_deref().and_then(|data| serde_json::from_str::<Value>(text(data, "/state.json")).ok()).unwrap_or_default()
                };
                let after = state(&write.after);
                if self.paused.now().copied().unwrap_or_default() != after["paused"].is_object() {
                    self.paused.set(at, after["paused"].is_object());
                }
                let brakes = after["brakes"].as_object().into_iter().flat_map(|brakes| brakes.values());
                for uid in brakes.filter_map(|brake| brake["tripped"]["waiting"].as_object()).flat_map(|waiting| waiting.keys()) {
                    if let (Some(form), false) = (self.forms.get(uid), self.waiting.contains_key(uid)) {
                        self.waiting.insert(uid.clone(), said(form));
                    }
                }
                if write.issue.by == Actor::Person {
                    self.custody.accepted = after["credentialsKeyAccepted"] == true;
                    let brakes = after["brakes"].as_object().into_iter().flat_map(|brakes| brakes.values());
                    let released = brakes.filter_map(|brake| brake["released"].as_array()).flatten();
                    self.released.extend(released.filter_map(Value::as_str).map(str::to_owned));
                }
            }
            _ => {}
        }
    }

    /// Judges one write, if a daemon made it.
    fn judge(&mut self, write: &Write) -> Result<(), Broken> {
        let Some(daemon) = write.daemon() else { return Ok(()) };
        let broken = |promise, what: String| {
            let place = format!("{:?} {}/{}", write.kind.map_or("", Kind::name), write.namespace, write.name);
            Err(Broken { promise, what: format!("{} at {}: {:?} of {place}: {what}", daemon, write.at, write.verb) })
        };
        if write.verb == Verb::Lease {
            return Ok(());
        }
        let holder = write.issue.lease.as_ref();
        if !holder.is_some_and(|lease| lease.held_by(daemon, write.issue.at)) {
            return broken("I7", format!("the lease is not its own: {:?}", holder.map(|lease| (&lease.record.holder, lease.written))));
        }
        let sent = seconds(write.issue.at);
        if self.paused_throughout(sent) && write.verb != Verb::Note {
            return broken("I2", "everything is paused".to_owned());
        }
        match (write.verb, write.kind) {
            (Verb::Note, _) => Ok(()),
            (Verb::State, _) if write.name == "clonewarden-state" => self.judge_state(write).or_else(|what| broken("I2", what)),
            (Verb::State, _) if write.name == "clonewarden-approvals" => Ok(()),
            (Verb::Delete, Some(Kind::Clone)) => match self.judge_delete(daemon, write) {
                Ok(()) => Ok(()),
                Err((promise, what)) => broken(promise, what),
            },
            (Verb::Change, Some(Kind::Clone)) => match self.judge_annotation(daemon, write) {
                Ok(()) => Ok(()),
                Err((promise, what)) => broken(promise, what),
            },
            (Verb::Create | Verb::Change | Verb::Delete, Some(Kind::Orphan)) => Ok(()),
            (Verb::Create | Verb::Change, Some(Kind::Usage)) => self.judge_ledger(write).or_else(|what| broken("M1", what)),
            (Verb::Secret, _) => self.judge_secret(daemon, write).or_else(|(promise, what)| broken(promise, what)),
            (Verb::Delete | Verb::Change, Some(kind)) if Kind::CHILDREN.contains(&kind) => {
                self.judge_child(daemon, kind, write).or_else(|(promise, what)| broken(promise, what))
            }
            _ => broken("I8", "it has no business there".to_owned()),
        }
    }

    fn judge_state(&self, write: &Write) -> Result<(), String> {
        let pause = |data: &Option<Arc<Value>>| data.as_deref().is_some_and(|data| text(data, "/state.json").contains("\"paused\""));
        if pause(&write.before) == pause(&write.after) { Ok(()) } else { Err("only a person pauses and resumes".to_owned()) }
    }

    /// The rules under which a daemon may have judged this object: those that it had, with the labels that it may have known.
    pub(crate) fn candidates(&self, daemon: &str, namespace: &str, sent: i64) -> Vec<&Rule> {
        let Some(known) = self.daemons.get(daemon) else { return Vec::new() };
        let heard = self.heard(known, Kind::Namespace, sent);
        let Some(env) = self.env.get(namespace) else { return Vec::new() };
        let mut found: Vec<&Rule> = Vec::new();
        for rules in known.rules.within(sent - LAG, sent) {
            for env in env.within(heard, sent) {
                found.extend(rules::governing(rules, namespace, env.as_deref()));
            }
        }
        found.dedup();
        found
    }

    /// The moment since which a daemon may not have heard of a kind.
    fn heard(&self, known: &Known, kind: Kind, now: i64) -> i64 {
        let ours = known.deaf.iter().filter(|deaf| deaf.kind == kind);
        let missed = ours.filter(|deaf| deaf.until.is_none_or(|until| seconds(until) >= now - WATCH_LAG)).map(|deaf| seconds(deaf.from));
        missed.min().unwrap_or(now).min(now) - WATCH_LAG
    }

    /// At the end of a quiet time: who should be gone is gone. `since`: when it began.
    pub(crate) fn at_rest(&self, world: &World, rules: &[Rule], since: i64) -> Result<(), Broken> {
        let now = seconds(world.now());
        for clone in world.objects(Kind::Clone) {
            let namespace = text(clone, "/metadata/namespace");
            let env = self.env.get(namespace).and_then(Timeline::now).cloned().flatten();
            let Some(rule) = rules::governing(rules, namespace, env.as_deref()).filter(|rule| rule.enforce) else { continue };
            let terminating = !clone["metadata"]["deletionTimestamp"].is_null();
            if terminating || rules::annotation(clone, "keep") == Some("true") {
                continue;
            }
            let Some(life) = rules::life(clone, rule) else { continue };
            let settled = since + 60;
            if life.end.max(settled + rule.grace) + 45 <= now {
                let what = format!("{namespace}/{} lives {} s past its end: {clone}", text(clone, "/metadata/name"), now - life.end);
                return Err(Broken { promise: "I6", what });
            }
        }
        let blind = |known: &Known| {
            known.deaf.iter().any(|deaf| deaf.kind == Kind::Clone && deaf.until.is_none_or(|until| seconds(until) > since + WATCH_LAG))
        };
        let holder = world.lease("clonewarden").map(|lease| lease.holder).unwrap_or_default();
        if !self.daemons.get(&holder).is_some_and(blind) {
            self.all_have_secrets(world, rules, since)?;
        }
        // What the holder never heard is not held against it: the list that is made anew once an hour tells it.
        if self.inherits && !self.is_deaf(&holder, since) {
            self.nothing_leaks(world, rules, since)?;
        }
        // Nor is a mark of which it never heard.
        let deaf = |known: &Known| known.deaf.iter().any(|deaf| deaf.kind == Kind::Orphan && deaf.until.is_none());
        if self.daemons.get(&holder).is_some_and(deaf) {
            return Ok(());
        }
        let living: BTreeSet<&str> = world.objects(Kind::Clone).map(|clone| text(clone, "/metadata/uid")).collect();
        // One that somebody keeps stays, lest the veto be forgotten.
        let kept = |orphan: &Value| rules::annotation(orphan, "keep").is_some_and(|keep| keep != "false");
        let false_mark = world.objects(Kind::Orphan).find(|orphan| living.contains(text(orphan, "/spec/owner/uid")) && !kept(orphan));
        match false_mark {
            Some(orphan) => Err(Broken { promise: "I6", what: format!("marked as an orphan though its clone lives: {orphan}") }),
            None => Ok(()),
        }
    }
}
