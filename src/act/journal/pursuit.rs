//! Follows every clone that is on its way out until it is gone with everything that was its own, and tells how long that took.
//!
//! Contract: gone is what was looked for and not found, once the clone itself had gone. What nobody looks for (a region that is not swept,
//! a host without credentials) is not waited for, and the line names what was looked at. Nothing of this outlives the process: a clone whose
//! object went while another one held the lease gets no such line.

use super::tell;
use crate::{
    model::{
        Kind, Snapshot, Source, WordPressClone,
        cloud::CloudResource,
        evidence::CloudList,
        journal::{Cost, Line},
        names,
        orphan::status::StatusEvidence,
        schema::schema_name,
    },
    plan::{
        Action, Decision, Plan, Reason, Target,
        accrual::{self, Rates},
        render,
    },
    policy::Policies,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// How many are followed at once; more than any storm that the brake lets through. Whoever comes after them goes untold.
const MOST: usize = 10_000;
/// How often is looked at most. It is news for people, and goes through every child.
const EVERY: SignedDuration = SignedDuration::from_secs(5);

/// The clones that are followed, by their UIDs.
#[derive(Default)]
pub(super) struct Pursuit {
    going: HashMap<Box<str>, Going>,
    looked: Option<Timestamp>,
}

struct Going {
    clone: Arc<WordPressClone>,
    /// When it was deleted.
    since: Timestamp,
    /// When its object was seen to be gone.
    gone: Option<Timestamp>,
    /// The decision that ended it, if it was one of ours; and its policy.
    asked: (Option<String>, Option<String>),
}

impl Pursuit {
    /// Follows the clone that was just ended.
    pub(super) fn acted(&mut self, decision: &Decision, line: &Line) {
        let Target::Clone(clone) = &decision.target else { return };
        if decision.action == Action::Delete && line.ended() && self.going.len() < MOST {
            let asked = (line.id.clone(), line.policy.clone());
            self.going.insert(clone.meta.uid.clone(), Going { clone: Arc::clone(clone), since: line.time, gone: None, asked });
        }
    }

    /// A line for each that is gone by now, as far as this snapshot shows.
    pub(super) fn look(&mut self, snapshot: &Snapshot, plan: &Plan, policies: &Policies) -> Vec<Line> {
        let now = plan.now;
        // Others end clones, too, and another process may have before this one. Those that no policy governs are not in the plan.
        for decision in &plan.decisions {
            if let (Target::Clone(clone), Reason::Terminating(since)) = (&decision.target, &decision.reason)
                && self.going.len() < MOST
                && !self.going.contains_key(&clone.meta.uid)
            {
                let asked = decision.policy.as_deref().map(|policy| (None, Some(policy.to_owned())));
                let going = Going { clone: Arc::clone(clone), since: *since, gone: None, asked: asked.unwrap_or_default() };
                self.going.insert(clone.meta.uid.clone(), going);
            }
        }
        let soon = self.looked.is_some_and(|looked| now >= looked && now.duration_since(looked) < EVERY);
        if self.going.is_empty() || soon || snapshot.evidence.lack(&Source::Objects(Kind::Clone), now).is_some() {
            return Vec::new();
        }
        self.looked = Some(now);
        let there: HashSet<&str> = snapshot.clones.iter().map(|clone| clone.meta.uid.as_ref()).collect();
        let unreadable: HashSet<&str> = snapshot.unreadable.iter().filter_map(|object| object.uid.as_deref()).collect();
        let is_there = |uid: &str| there.contains(uid) || unreadable.contains(uid);
        for (uid, going) in self.going.iter_mut().filter(|(uid, going)| going.gone.is_none() && !is_there(uid)) {
            let seen = snapshot.departed.iter().rev().find(|gone| gone.uid == *uid).map(|gone| gone.gone);
            going.gone = Some(seen.unwrap_or(now));
        }
        let left = self.left(snapshot);
        let gone: Vec<Box<str>> = self
            .going
            .iter()
            .filter(|(uid, going)| going.gone.is_some_and(|_| !left.contains(uid.as_ref())))
            .filter(|(_, going)| sources(going, snapshot, policies).iter().all(|source| looked_since(going, source, snapshot, now)))
            .map(|(uid, _)| uid.clone())
            .collect();
        let mut lines: Vec<Line> = gone.iter().filter_map(|uid| self.going.remove(uid)).map(|going| tell(&going, snapshot, plan, policies)).collect();
        lines.sort_by(|one, other| (one.target("namespace"), one.target("name")).cmp(&(other.target("namespace"), other.target("name"))));
        lines
    }

    /// The UIDs of which something is left.
    fn left<'s>(&self, snapshot: &'s Snapshot) -> HashSet<&'s str> {
        if self.going.values().all(|going| going.gone.is_none()) {
            return HashSet::new();
        }
        let followed = |uid: &&str| self.going.get(*uid).is_some_and(|going| going.gone.is_some());
        let children = snapshot.children.iter().filter_map(|child| child.owner.as_ref()).map(|owner| owner.uid.as_ref());
        let databases = snapshot.cloud.iter().filter(|found| found.is_database()).filter_map(|found| uid_of(found));
        let rows = snapshot.hosts.values().flat_map(|host| &host.schemas).filter_map(|schema| schema.row.as_ref()).map(|row| row.uid.as_str());
        children.chain(databases).chain(rows).filter(followed).collect()
    }
}

fn uid_of(found: &CloudResource) -> Option<&str> {
    found.tag(names::TAG_CLONE_UID)
}

/// Where what was a clone's own is looked for.
fn sources(going: &Going, snapshot: &Snapshot, policies: &Policies) -> Vec<Source> {
    let database = &going.clone.database;
    let asked = snapshot.evidence.iter().map(|(source, _)| source);
    let host = database.host().and_then(|address| policies.hosts.iter().find(|host| **host.address() == **address)).map(|host| host.name.as_str());
    asked
        .filter(|source| match source {
            Source::Objects(kind) => *kind == Kind::Clone || Kind::CHILDREN.contains(kind),
            Source::Cloud(_, CloudList::Instances | CloudList::Clusters) => database.is_dedicated(),
            Source::Host(name) => host == Some(&**name),
            _ => false,
        })
        .cloned()
        .collect()
}

/// Whether a source was looked at, whole, since the clone was gone. One that the API server does not serve has nothing of it.
fn looked_since(going: &Going, source: &Source, snapshot: &Snapshot, now: Timestamp) -> bool {
    let Some(evidence) = snapshot.evidence.get(source) else { return false };
    let nothing = match source {
        // A schema without its row has nothing but the name that tells whose it was.
        Source::Host(host) => schema_name(&going.clone.meta.uid)
            .is_none_or(|name| snapshot.hosts.get(host).is_some_and(|facts| facts.schemas.iter().all(|schema| schema.name != name))),
        _ => true,
    };
    // A watch is always up to date; a sweep and a look are as old as they are.
    let since = matches!(source, Source::Objects(_)) || going.gone.is_some_and(|gone| evidence.observed_at >= gone);
    evidence.absent || (nothing && since && evidence.lack(now).is_none())
}

fn tell(going: &Going, snapshot: &Snapshot, plan: &Plan, policies: &Policies) -> Line {
    let Going { clone, since, gone, asked } = going;
    let gone = gone.unwrap_or(plan.now);
    let told = sources(going, snapshot, policies).into_iter().filter_map(|source| {
        let known = snapshot.evidence.get(&source).filter(|known| !known.absent)?;
        Some(StatusEvidence { source: source.to_string(), complete: known.complete, observed_at: known.observed_at, reason: known.reason.clone() })
    });
    let whole = |length: SignedDuration| json!(length.as_secs().max(0));
    let facts = [("deletedAt", json!(since)), ("objectGoneAt", json!(gone)), ("tookSeconds", whole(plan.now.duration_since(*since)))];
    let target = match render::target(&Target::Clone(Arc::clone(clone))) {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    Line {
        id: asked.0.clone(),
        policy: asked.1.clone(),
        target,
        evidence: told.collect(),
        clone: Some(tell::living(clone)),
        cost: cost(clone, gone, plan),
        facts: facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        ..Line::new("gone", plan.now)
    }
}

/// What it has cost until its object was gone, as the ledger counts.
fn cost(clone: &WordPressClone, gone: Timestamp, plan: &Plan) -> Option<Cost> {
    let tariff = Some(&plan.tariff).filter(|tariff| tariff.lack.is_none())?;
    accrual::spent(&Rates::of(tariff).of_database(&clone.database), clone.meta.created, gone)
}
