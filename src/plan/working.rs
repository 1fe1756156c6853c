//! **Whether a clone works is decided here**, and what is in its way. KRO's `ACTIVE` says neither: a clone works when its Job
//! stands, a Pod of it is ready, its database has an address and its Secret was made.
//!
//! [`problems`] is what the daemon alerts about; [`Sight::state`] is the same and more, for somebody who waits for one clone. What
//! cannot be seen is never taken for something that is not there.

use crate::model::{Child, CloneState, Health, Kind, WordPressClone, later, names};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long a clone may take to come up before it counts as broken: the original design promises 5 minutes.
const UP_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// What is known of the Pods of one clone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pods {
    /// Nothing.
    Unknown,
    /// It has none.
    None,
    /// It has some, and none of them works.
    Sick,
    /// One of them works.
    Working,
}

impl Pods {
    /// The same, with one more Pod.
    pub(super) fn and(self, pod: &Child) -> Self {
        let works = pod.health == Health::Fine && pod.meta.terminating.is_none();
        if works || self == Self::Working { Self::Working } else { Self::Sick }
    }
}

/// What is wrong with a clone that lives; `sick` are those of its children that do not do their work.
pub(super) fn problems<'a>(clone: &WordPressClone, sick: impl Iterator<Item = &'a Child>, pods: Pods, now: Timestamp) -> Vec<String> {
    let mut problems = Vec::new();
    if clone.state == CloneState::Error {
        problems.push(clone.not_ready.as_deref().map_or_else(|| "KRO reports an error".to_owned(), |why| format!("KRO reports an error: {why}")));
    }
    for child in sick {
        let why = match &child.health {
            // A Pod that was evicted stays there while its successor runs.
            Health::Failed(_) if child.kind == Kind::Pod && pods == Pods::Working => continue,
            Health::Failed(why) => why,
            Health::Waiting(why) if later(child.meta.created, UP_WITHIN) <= now => why,
            Health::Waiting(_) | Health::Fine => continue,
        };
        problems.push(format!("{} `{}`: {why}", child.kind, child.meta.name()));
    }
    let grown = clone.state == CloneState::Active && later(clone.meta.created, UP_WITHIN) <= now;
    if problems.is_empty() && grown && pods == Pods::None {
        problems.push("KRO says ACTIVE, but it has no Pod".to_owned());
    }
    problems
}

/// What keeps a child from going.
#[must_use]
pub fn left(child: &Child) -> String {
    let held = child.finalizers.iter().map(|finalizer| format!("`{finalizer}`")).collect::<Vec<_>>().join(", ");
    let state = match (child.meta.terminating.is_some(), held.is_empty()) {
        (true, false) => format!("is held by its finalizers {held}"),
        (true, true) => "is on its way out".to_owned(),
        (false, _) => "is still there".to_owned(),
    };
    format!("{} `{}` {state}", child.kind, child.meta.name())
}

/// What a clone says about itself to those who use it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// `status.cloneUrl`: where its site is.
    pub url: Option<String>,
    /// The name of its Secret.
    pub secret: String,
    /// Whether the Secret was made, by [`names::CREDENTIALS`].
    pub has_secret: bool,
    /// `status.databaseEndpoint`: where its own database answers, if it has one.
    pub endpoint: Option<String>,
    /// `status.databaseMode`, else what its spec asks for: `shared`, `dedicated` or `serverless`.
    pub database: String,
}

impl Told {
    /// Reads a clone from the API server's JSON.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let id = text("/spec/cloneId").or_else(|| text("/metadata/name")).unwrap_or_default();
        let uid = text("/metadata/uid").unwrap_or_default();
        let asked = match (crate::model::clone::wants_dedicated(object), object.pointer("/spec/serverless").is_some_and(Value::is_object)) {
            (false, _) => "shared",
            (true, false) => "dedicated",
            (true, true) => "serverless",
        };
        Self {
            url: text("/status/cloneUrl"),
            secret: text("/status/credentialsSecretName").unwrap_or_else(|| format!("{}-secret", names::database_identifier(&id, &uid))),
            has_secret: crate::model::meta::entry(object, "annotations", names::CREDENTIALS).is_some(),
            endpoint: text("/status/databaseEndpoint"),
            database: text("/status/databaseMode").unwrap_or_else(|| asked.to_owned()),
        }
    }
}

/// One clone, and what somebody sees of it.
#[derive(Debug, Clone)]
pub struct Sight<'a> {
    /// The clone.
    pub clone: &'a WordPressClone,
    /// What it says about itself.
    pub told: &'a Told,
    /// What it was expanded into, as far as that is seen.
    pub children: Vec<&'a Child>,
    /// The kinds that are not seen, and why.
    pub unseen: &'a BTreeMap<Kind, String>,
    /// Why its Job was refused a Pod the last time, if it was.
    pub refused: Option<&'a str>,
    /// Whether somebody makes Secrets for the clones of its namespace.
    pub secret_awaited: bool,
}

/// How a clone is, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Everything that it needs is there and does its work.
    Works,
    /// It comes up; this is still missing.
    Starting(Vec<String>),
    /// It does not work, for these reasons, though it should by now.
    Broken {
        /// What is wrong.
        why: Vec<String>,
        /// Whether it stays so: nobody tries again.
        for_good: bool,
    },
    /// It is being deleted; this is left.
    Terminating(Vec<String>),
    /// Nothing speaks against it, but this cannot be seen.
    Unknown(Vec<String>),
}

impl State {
    /// Every word for a state.
    pub const WORDS: [&str; 5] = ["works", "starting", "broken", "terminating", "unknown"];

    /// One word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Starting(_) => "starting",
            Self::Broken { .. } => "broken",
            Self::Terminating(_) => "terminating",
            Self::Unknown(_) => "unknown",
        }
    }

    /// What is missing, wrong, left or not seen.
    #[must_use]
    pub fn why(&self) -> &[String] {
        match self {
            Self::Works => &[],
            Self::Starting(why) | Self::Broken { why, .. } | Self::Terminating(why) | Self::Unknown(why) => why,
        }
    }
}

/// What stands between a clone and its work.
#[derive(Default)]
struct Lacks {
    /// What is there and waits for something.
    waits: Vec<String>,
    /// What is not there.
    absent: Vec<String>,
    /// What cannot be seen.
    unseen: Vec<String>,
}

impl Sight<'_> {
    /// How the clone is.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> State {
        if self.clone.meta.terminating.is_some() {
            return State::Terminating(self.children.iter().copied().map(left).collect());
        }
        let living = || self.children.iter().copied().filter(|child| child.meta.terminating.is_none());
        let pods = if self.unseen.contains_key(&Kind::Pod) { Pods::Unknown } else { Pods::None };
        let pods = living().filter(|child| child.kind == Kind::Pod).fold(pods, Pods::and);
        let sick = living().filter(|child| child.health != Health::Fine);
        let mut wrong = problems(self.clone, sick, pods, now);
        let mut lacks = Lacks::default();
        self.job(pods, &mut lacks);
        self.database(&mut lacks);
        if self.secret_awaited && !self.told.has_secret {
            lacks.waits.push(format!("Secret `{}` is not made yet", self.told.secret));
        }
        if !matches!(self.clone.state, CloneState::Active | CloneState::Error) {
            // Where a child says what it waits for, KRO only says at length that it waits for that child.
            let why = self.clone.not_ready.as_deref().filter(|_| lacks.waits.is_empty()).map(|why| format!(": {why}"));
            lacks.absent.push(format!("KRO has not finished{}", why.unwrap_or_default()));
        }
        let Lacks { waits, absent, unseen } = lacks;
        let missing: Vec<String> = waits.into_iter().chain(absent).collect();
        if !wrong.is_empty() {
            wrong.extend(self.refused.filter(|_| pods == Pods::None).map(refused));
            // A Pod that failed has a successor, unless its Job gave up; a Job and ACK say so when they do.
            let for_good = living().any(|child| child.kind != Kind::Pod && matches!(child.health, Health::Failed(_)));
            return State::Broken { why: wrong, for_good };
        }
        match (missing.is_empty(), unseen.is_empty()) {
            (true, true) => State::Works,
            (true, false) => State::Unknown(unseen),
            (false, _) => State::Starting(missing.into_iter().chain(unseen).collect()),
        }
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Child> {
        self.children.iter().copied().filter(move |child| child.kind == kind)
    }

    fn job(&self, pods: Pods, lacks: &mut Lacks) {
        lacks.unseen.extend([Kind::Clone, Kind::Job, Kind::Pod].iter().filter_map(|kind| self.unseen.get(kind)).cloned());
        if !self.unseen.contains_key(&Kind::Job) && self.of(Kind::Job).next().is_none() {
            lacks.absent.push("it has no Job yet".to_owned());
        } else if pods == Pods::None {
            match self.refused {
                Some(why) => lacks.waits.push(refused(why)),
                None => lacks.absent.push("its Job has no Pod yet".to_owned()),
            }
        }
        if pods == Pods::Sick {
            lacks.waits.extend(self.of(Kind::Pod).filter_map(waits));
        }
    }

    /// A database of its own needs an address, as KRO sees it too. A schema on a shared host has no object in the cluster.
    fn database(&self, lacks: &mut Lacks) {
        if !self.clone.database.is_dedicated() {
            return;
        }
        let kinds = [Kind::DbInstance, Kind::DbCluster];
        let mut any = false;
        for database in kinds.into_iter().flat_map(|kind| self.of(kind)) {
            any = true;
            let Some(claim) = database.database.as_ref().filter(|claim| !claim.reachable) else {
                lacks.waits.extend(waits(database));
                continue;
            };
            let state = claim.status.as_deref().map_or_else(|| "AWS has not said anything yet".to_owned(), |status| format!("RDS says `{status}`"));
            lacks.waits.push(waits(database).unwrap_or_else(|| format!("{} `{}` has no address yet: {state}", database.kind, database.meta.name())));
        }
        if any {
            return;
        }
        let denied: Vec<String> = kinds.iter().filter_map(|kind| self.unseen.get(kind)).cloned().collect();
        match &self.told.endpoint {
            // KRO sees the object for whoever may not, and says the address.
            Some(_) if !denied.is_empty() => {}
            _ if denied.is_empty() => lacks.absent.push("it has no database yet".to_owned()),
            _ => lacks.unseen.extend(denied),
        }
    }
}

/// What a child waits for, if it does not do its work.
fn waits(child: &Child) -> Option<String> {
    if child.meta.terminating.is_some() {
        return Some(format!("{} `{}` is on its way out", child.kind, child.meta.name()));
    }
    match &child.health {
        Health::Fine => None,
        Health::Waiting(why) | Health::Failed(why) => Some(format!("{} `{}`: {why}", child.kind, child.meta.name())),
    }
}

fn refused(why: &str) -> String {
    format!("its Job is refused a Pod: {why}")
}

#[cfg(test)]
mod tests;
