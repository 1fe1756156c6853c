//! Finds what dead clones left behind, and says how each of it goes: objects in the cluster, databases and snapshots in AWS whose
//! owner is not in the live set.
//!
//! ```text
//! children   what carries KRO's labels; ACK's objects stand for databases in AWS
//! databases  instances and Aurora clusters in AWS that no object stands for
//! snapshots  final snapshots of ours whose date has passed
//! farewell   whether a database can go now, and with which snapshot
//! course     from what an `Orphan` says to what it should say: mark, soak, due
//! schemas    schemas on shared hosts
//! history    `Orphan`s of what is no orphan any more, or gone
//! sky        what the sweeps know
//! ```
//!
//! Absence is judged only against a live set that is complete, and ownership is what labels, tags and derived identifiers prove
//! together. What is decided here is proved once more by the executor, right before.

mod children;
mod course;
mod databases;
mod farewell;
mod history;
mod schemas;
mod sky;
mod snapshots;
#[cfg(test)]
mod tests;
mod vetoes;

pub use course::{Course, DeadOwner, Parting};
pub use history::GONE;

use super::{
    Action, Decision, Draft, Reason, Target, Work,
    doubt::Doubt,
    ground::{Ground, LiveSet, Standing},
    lifetime::Enforced,
    population::Collapsed,
};
use crate::cost::rates;
use crate::model::{
    Child, Kind, Snapshot, Source, State,
    cloud::CloudResource,
    later,
    orphan::{
        OrphanRecord,
        status::{FinalSnapshot, StatusEvidence, StatusReason},
    },
    snapshot::Origin,
};
use crate::policy::{ClonePolicy, Mode, OrphanRules};
use course::Sight;
use jiff::{SignedDuration, Timestamp};
use sky::Sky;
use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// How long the children of a clone that was just seen to go may take to follow before they are looked at.
const FOLLOW_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// Adds what is decided about everything whose clone is gone.
pub(super) fn find<'a>(snapshot: &'a Snapshot, ground: &Ground<'a>, collapsed: &Collapsed, state: &mut State, draft: &mut Draft) {
    let owned = snapshot.children.iter().any(|child| child.owner.is_some());
    let swept = snapshot.evidence.iter().any(|(source, _)| matches!(source, Source::Cloud(..)));
    if !owned && !swept && snapshot.cloud.is_empty() && snapshot.hosts.is_empty() && snapshot.orphans.is_empty() {
        return;
    }
    let source = Source::Objects(Kind::Clone);
    let live = match ground.live_set() {
        Err(lack) => return hold_source(source.clone(), Reason::EvidenceMissing(source, lack), draft),
        // The alert has the numbers; the hold says that nothing is judged.
        Ok(_) if collapsed.clones() => {
            return hold_source(source.clone(), Reason::EvidenceMissing(source, "most of them vanished all at once".to_owned()), draft);
        }
        Ok(live) => live,
    };
    // What is dated ahead was dated by a clock that was wrong: it has had its time, or the soak gives it more.
    let past = |gone: &Timestamp| *gone <= draft.now;
    let mut search = Search {
        snapshot,
        ground,
        live,
        sky: Sky::survey(snapshot, collapsed, draft.now),
        known: snapshot.orphans.iter().map(|record| (record.key.as_str(), record)).collect(),
        departed: last(snapshot.departed.iter().map(|gone| (gone.uid.as_ref(), gone.gone)).filter(|(_, gone)| past(gone))),
        released: last(snapshot.released.iter().map(|(id, gone)| (id.as_ref(), *gone)).filter(|(_, gone)| past(gone))),
        vetoed: vetoes::vetoed(snapshot),
        kept_pods: vetoes::kept_pods(snapshot),
        restored: vetoes::restored(snapshot),
        judged: HashSet::new(),
        ready: Vec::new(),
        jobs: OnceCell::new(),
    };
    search.sky_is_ours(state, draft);
    search.children(&[Kind::Job, Kind::Service, Kind::Ingress, Kind::ConfigMap, Kind::Pod], draft);
    // An Aurora cluster before its instances: they go only if it does.
    search.children(&[Kind::DbCluster], draft);
    search.clusters(draft);
    search.children(&[Kind::DbInstance], draft);
    search.instances(draft);
    search.snapshots(draft);
    search.schemas(state, draft);
    search.history(draft);
}

/// When each went last.
fn last<'s>(gone: impl Iterator<Item = (&'s str, Timestamp)>) -> HashMap<&'s str, Timestamp> {
    let mut last = HashMap::with_capacity(gone.size_hint().0);
    for (what, at) in gone {
        last.entry(what).and_modify(|before| *before = at.max(*before)).or_insert(at);
    }
    last
}

fn hold_source(source: Source, reason: Reason, draft: &mut Draft) {
    draft.decisions.push(Decision::new(Action::Hold, None, Target::Source(source), reason));
}

struct Search<'a, 'g> {
    snapshot: &'a Snapshot,
    ground: &'g Ground<'a>,
    live: LiveSet<'a, 'g>,
    sky: Sky<'a>,
    known: HashMap<&'a str, &'a Arc<OrphanRecord>>,
    /// When the clones went that were seen to go, by their UIDs.
    departed: HashMap<&'a str, Timestamp>,
    /// When the objects went that stood for a database, by its identifier.
    released: HashMap<&'a str, Timestamp>,
    /// The kinds and identifiers of databases that somebody vetoed, on whichever `Orphan`, by a tag, or on the object that stands for one:
    /// each of these may be gone, and the others still say it.
    vetoed: HashSet<(&'a str, &'a str)>,
    /// The same of those that were seen to be restored.
    restored: HashSet<(&'a str, &'a str)>,
    /// The UIDs of the clones of which a Pod carries a veto.
    kept_pods: HashSet<&'a str>,
    /// The keys of what has been judged, whatever came of it.
    judged: HashSet<String>,
    /// The Aurora clusters that go now, or as soon as their instances have.
    ready: Vec<Arc<CloudResource>>,
    /// The path of each Job by the UID of its clone, once somebody asks.
    jobs: OnceCell<HashMap<&'a str, &'a str>>,
}

/// Something whose owner is gone.
struct Case<'c> {
    target: Target,
    owner: DeadOwner,
    /// What speaks against judging it.
    doubt: Option<Doubt>,
    /// Of a snapshot of ours: until when it was to be kept.
    kept_until: Option<Timestamp>,
    /// The policy that it names itself, for when its namespace is gone.
    policy: Option<&'c str>,
}

impl Case<'_> {
    fn of(resource: &Arc<CloudResource>, owner: DeadOwner, doubt: Option<Doubt>) -> Self {
        Self { target: Target::Cloud(Arc::clone(resource)), owner, doubt, kept_until: None, policy: None }
    }

    fn reason(&self, recorded: bool) -> Reason {
        self.kept_until.map_or_else(|| Reason::OwnerGone(self.owner.uid.clone(), recorded), |at| Reason::SnapshotExpired(at, recorded))
    }

    /// What the verdict stands on.
    fn sources(&self) -> Vec<Source> {
        let list = match &self.target {
            Target::Child(child) => Source::Objects(child.kind),
            Target::Cloud(resource) => Source::Cloud(Arc::clone(&resource.region), resource.list),
            Target::Schema(schema) => Source::Host(Arc::clone(&schema.host)),
            _ => return Vec::new(),
        };
        vec![Source::Objects(Kind::Clone), list]
    }
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It does not go now.
    Stays,
    /// It goes now.
    Goes,
    /// It would, but for this.
    Waits,
}

impl<'a> Search<'a, '_> {
    /// Whether a clone was seen to go just now, so that what is left of it may still follow: it is looked at again then.
    fn follows(&self, uid: &str, draft: &mut Draft) -> bool {
        let until = self.departed.get(uid).map(|gone| later(*gone, FOLLOW_WITHIN)).filter(|until| *until > draft.now);
        until.inspect(|until| draft.wake_at(*until)).is_some()
    }

    /// Who governs what was left behind in a namespace: its policy, or the one that is remembered where the namespace is gone.
    fn governing(&self, namespace: &str, remembered: &[Option<&str>]) -> Option<(&'a Arc<ClonePolicy>, Option<Timestamp>, Mode)> {
        match self.ground.standing(namespace) {
            Some(Standing::Governed(policy, enforced)) => Some(match enforced {
                Enforced::Since(since) => (policy, Some(since), policy.mode),
                Enforced::Always => (policy, None, policy.mode),
                // In audit; or under `enforce`, and since when is not known: not yet.
                Enforced::Audited | Enforced::No => (policy, None, Mode::Audit),
            }),
            Some(Standing::Conflict(..) | Standing::Unknown(_)) => None,
            None => {
                let known = self.snapshot.evidence.lack(&Source::Objects(Kind::Namespace), self.ground.now).is_none();
                if !known || self.snapshot.namespaces.contains_key(namespace) {
                    return None;
                }
                let names = remembered.iter().flatten();
                let policy = names.filter_map(|name| self.ground.policies.policies.iter().find(|policy| policy.name.as_ref() == *name)).next()?;
                Some((policy, None, policy.mode))
            }
        }
    }

    /// Judges a case and says what is decided about it.
    fn conclude(&mut self, case: Case<'_>, draft: &mut Draft) -> Verdict {
        let key = case.target.key();
        let record = self.known.get(key.as_str()).copied();
        self.judged.insert(key);
        let remembered = [record.and_then(|record| record.policy.as_deref()), case.policy];
        let governing = self.governing(&case.owner.namespace, &remembered);
        let policy = governing.map(|(policy, ..)| &policy.name);
        let recorded = record.is_some_and(|record| record.status.is_some());
        let by_itself = matches!(&case.target, Target::Child(child) if self.keeps(child));
        let vetoed =
            by_itself || record.is_some_and(|record| record.keep) || self.vetoed.contains(&(case.target.kind(), farewell::identifier(&case.target)));
        let restored = is_another(&case.target, record) || self.restored.contains(&(case.target.kind(), farewell::identifier(&case.target)));
        let doubt = case.doubt.clone().or_else(|| restored.then_some(Doubt::Restored)).or_else(|| vetoed.then_some(Doubt::Vetoed));
        let mut decide = |action, reason| draft.decisions.push(Decision::new(action, policy, case.target.clone(), reason));
        if self.snapshot.origin == Origin::Files {
            match doubt {
                Some(doubt) => decide(Action::Hold, Reason::Doubtful(doubt)),
                None => decide(Action::Mark, case.reason(recorded)),
            }
            if governing.is_none() && case.doubt.is_none() {
                draft.alert(None, case.target, Reason::NoPolicy);
            }
            return Verdict::Stays;
        }
        if let Some(lack) = self.ground.clock_lack() {
            decide(Action::Hold, Reason::ClockUntrusted(lack.to_owned()));
            return Verdict::Stays;
        }
        let reason = case.reason(recorded);
        let sources = case.sources();
        let sweeps = matches!(case.target, Target::Cloud(_) | Target::Schema(_));
        let sight = Sight {
            record,
            doubt: doubt.clone(),
            reason: StatusReason { code: reason.code().to_owned(), message: reason.message(draft.now) },
            rules: governing.map(|(policy, _, mode)| (policy.orphans, mode)),
            enforced_since: governing.and_then(|(_, since, _)| since),
            // A sweep is one look, however often the watch over the clones is heard before the next one.
            seen_at: self.seen_at(if sweeps { sources.get(1..).unwrap_or_default() } else { &sources }),
            sweeps,
            evidence: self.evidence(&sources),
            cost: self.cost(&case.target),
            now: draft.now,
        };
        let mut step = sight.step();
        let mut verdict = Verdict::Stays;
        let mut parting = None;
        let vetoes = Source::Objects(Kind::Orphan);
        let (action, reason) = match (doubt, governing) {
            (Some(doubt), _) => (Action::Hold, Reason::Doubtful(doubt)),
            // A veto may have come on the Orphan of what would go along.
            (None, Some(_)) if step.due && self.snapshot.evidence.lack(&vetoes, draft.now).is_some() => {
                let lack = self.snapshot.evidence.lack(&vetoes, draft.now).unwrap_or_default();
                (Action::Hold, Reason::EvidenceMissing(vetoes, lack))
            }
            (None, Some((policy, ..))) if step.due => match self.parting(&case.target, policy.orphans, record.map(Arc::as_ref)) {
                Err(doubt) => {
                    course::hold_back(&mut step.status, &doubt);
                    verdict = if matches!(doubt, Doubt::WaitsForMembers(_)) { Verdict::Waits } else { Verdict::Stays };
                    (Action::Hold, Reason::Doubtful(doubt))
                }
                Ok(way) => {
                    let snapshot = way.snapshot.as_ref().map(|id| FinalSnapshot {
                        id: id.clone(),
                        of: farewell::identifier(&case.target).to_owned(),
                        expires_at: Some(crate::model::ceil_to_second(later(draft.now, policy.orphans.snapshots_kept_for.get()))),
                    });
                    course::part(&mut step.status, snapshot.map(|new| same_or(new, record)));
                    parting = Some(way);
                    verdict = Verdict::Goes;
                    (Action::Delete, reason)
                }
            },
            _ => (Action::Mark, reason),
        };
        if let Some(wake) = step.wake {
            draft.wake_at(wake);
        }
        course::seal(&mut step.status, draft.now);
        let kept = action != Action::Hold || record.is_some() || matches!(&reason, Reason::Doubtful(doubt) if doubt.is_recorded());
        let news = record.and_then(|record| record.status.as_deref()) != Some(&step.status);
        let database = match &case.target {
            Target::Child(child) => self.sky.claimed(child).cloned(),
            _ => None,
        };
        let itself = match &case.target {
            Target::Cloud(resource) => Some(resource),
            _ => database.as_ref(),
        };
        let home = itself.and_then(|instance| self.home(instance)).cloned();
        let course = Course { record: record.cloned(), status: step.status, news, owner: case.owner, database, home, parting };
        let decision = Decision::new(action, policy, case.target.clone(), reason).with(kept.then(|| Work::Record(Box::new(course))));
        if action == Action::Mark && governing.is_none() {
            draft.alert(None, case.target, Reason::NoPolicy);
        }
        draft.decisions.push(decision);
        verdict
    }

    /// How it goes, or why not now.
    fn parting(&self, target: &Target, rules: OrphanRules, record: Option<&OrphanRecord>) -> Result<Parting, Doubt> {
        let now = self.ground.now;
        match target {
            Target::Child(child) if child.kind == Kind::Pod => match self.job_of(child) {
                Some(job) => Err(Doubt::GoesWithJob(job.into())),
                None => Ok(Parting { snapshot: None, tell_ack: false }),
            },
            Target::Child(child) if child.database.is_some() => self.object_parting(child, rules, record, now),
            Target::Cloud(resource) if resource.is_database() => self.database_parting(resource, rules, record, now),
            _ => Ok(Parting { snapshot: None, tell_ack: false }),
        }
    }

    /// The Job of the clone that a Pod was made for. While it is there it makes another Pod for each that is deleted.
    fn job_of(&self, pod: &Child) -> Option<&'a str> {
        let jobs = || {
            let jobs = self.snapshot.children.iter().filter(|child| child.kind == Kind::Job);
            jobs.filter_map(|job| Some((job.owner.as_ref()?.uid.as_ref(), job.meta.path().as_ref()))).collect()
        };
        self.jobs.get_or_init(jobs).get(pod.owner.as_ref()?.uid.as_ref()).copied()
    }

    /// When the list that something was seen in was seen itself, but no later than what else the verdict stands on.
    fn seen_at(&self, sources: &[Source]) -> Timestamp {
        let seen = sources.iter().filter_map(|source| self.snapshot.evidence.get(source)).map(|evidence| evidence.observed_at);
        seen.min().unwrap_or(self.ground.now)
    }

    fn evidence(&self, sources: &[Source]) -> Vec<StatusEvidence> {
        let known = sources.iter().filter_map(|source| Some((source, self.snapshot.evidence.get(source)?)));
        known
            .map(|(source, evidence)| StatusEvidence {
                source: source.to_string(),
                complete: evidence.complete,
                observed_at: evidence.observed_at,
                reason: evidence.reason.clone(),
            })
            .collect()
    }

    fn cost(&self, target: &Target) -> Option<rust_decimal::Decimal> {
        let of = |resource: &CloudResource| Some(rates::of_resource(&self.ground.policies.prices, resource)?.per_hour());
        match target {
            Target::Cloud(resource) => of(resource),
            Target::Child(child) => self.sky.claimed(child).and_then(|resource| of(resource)),
            _ => None,
        }
    }
}

/// The final snapshot that was chosen before stands, with its date.
fn same_or(new: FinalSnapshot, record: Option<&Arc<OrphanRecord>>) -> FinalSnapshot {
    let before = record.and_then(|record| record.status.as_ref()?.final_snapshot.as_ref());
    before.filter(|before| before.id == new.id).cloned().unwrap_or(new)
}

/// An `Orphan` of the same ARN is about another resource: this one was made later, under the same identifier.
fn is_another(target: &Target, record: Option<&Arc<OrphanRecord>>) -> bool {
    let (Target::Cloud(resource), Some(record)) = (target, record) else { return false };
    resource.is_database() && record.resource_id.as_deref().is_some_and(|id| id != resource.resource_id)
}
