//! **What a person has approved is weighed here**: a plan that somebody read, against the plan that is made now.
//!
//! Pure. A decision of the document is carried out only if the plan made anew holds the very same one: the same id, which is a digest of
//! uid, action, reason and end. What the daemon may not do by itself, in audit or behind a brake, a person may have done; what is held for
//! want of knowledge nobody may, and what has to be asked of AWS or of a database host is left to whoever has the credentials.

mod document;
#[cfg(test)]
mod tests;

pub use document::{Aim, Document, Entry, Fault, LARGEST};

use crate::{
    model::{Kind, Snapshot, Source},
    plan::{Action, BlockedBy, Decision, Plan, Reason, Target, Work},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// How far ahead of our clock a document may be dated: each is held to 30 s of the API server's.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// What becomes of a decision that was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The API server has accepted it.
    Done,
    /// It would have been carried out, in a dry run.
    WouldApply,
    /// What it is about is gone already, or is on its way out.
    Gone,
    /// It is judged otherwise now.
    Otherwise,
    /// The API server forbids it to whoever asked.
    Forbidden,
    /// The object changed after it had been judged anew.
    Conflict,
    /// It did not work.
    Failed,
    /// It was not tried: writes were paused meanwhile, the clock is not trusted any more, or the daemon has yet to see what is so.
    NotTried,
    /// It is not for a person to have carried out.
    NotForApply,
    /// There is nothing to do.
    Nothing,
}

impl Outcome {
    /// The word in `-o json` and in the journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::WouldApply => "wouldApply",
            Self::Gone => "gone",
            Self::Otherwise => "otherwise",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::NotTried => "notTried",
            Self::NotForApply => "notForApply",
            Self::Nothing => "nothing",
        }
    }

    /// Whether what could have been carried out was not.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Forbidden | Self::Conflict | Self::Failed | Self::NotTried)
    }
}

/// What is to be done about one decision of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is carried out.
    Apply(Box<Decision>),
    /// It is not, and why.
    Settled(Outcome, String),
}

/// Refuses a document for its age, by our clock.
///
/// # Errors
/// In words for people.
pub fn dated(document: &Document, now: Timestamp, oldest: SignedDuration) -> Result<(), String> {
    let age = now.duration_since(document.now);
    let told = |length| crate::model::duration::roughly(length);
    if age > oldest {
        return Err(format!("was made at {}, {} ago, and may be {} old at most (`--max-age`)", document.now, told(age), told(oldest)));
    }
    if -age > SKEW {
        return Err(format!("is dated {}, which is {} ahead of the clock here", document.now, told(-age)));
    }
    Ok(())
}

/// Says of each decision of the document, in its order, what is to be done about it.
///
/// # Errors
/// A decision that was edited in what its id does not tell, and how.
pub fn weigh<'d>(document: &'d Document, plan: &Plan, snapshot: &Snapshot) -> Result<Vec<Fate>, (&'d Entry, String)> {
    let fresh = Fresh::of(plan, snapshot);
    document.entries.iter().map(|entry| fresh.weigh(entry)).collect()
}

/// The plan that is made now, by id and by what it is about.
struct Fresh<'p> {
    plan: &'p Plan,
    snapshot: &'p Snapshot,
    by_id: HashMap<String, &'p Decision>,
    /// The verdict on each thing; an alert where there is nothing else.
    verdicts: HashMap<String, &'p Decision>,
}

impl<'p> Fresh<'p> {
    fn of(plan: &'p Plan, snapshot: &'p Snapshot) -> Self {
        let mut verdicts: HashMap<_, &Decision> = HashMap::with_capacity(plan.decisions.len());
        for decision in &plan.decisions {
            let known = verdicts.entry(about(decision.target.kind(), &decision.target.key())).or_insert(decision);
            if known.action == Action::Alert {
                *known = decision;
            }
        }
        Self { plan, snapshot, by_id: plan.decisions.iter().map(|decision| (decision.id(), decision)).collect(), verdicts }
    }

    fn weigh<'d>(&self, entry: &'d Entry) -> Result<Fate, (&'d Entry, String)> {
        let settled = |outcome, why: String| Ok(Fate::Settled(outcome, why));
        if entry.action == Action::Keep {
            return settled(Outcome::Nothing, "it lives on: there is nothing to do".to_owned());
        }
        if let Some(why) = not_by_document(entry) {
            return settled(Outcome::NotForApply, why);
        }
        let Some(decision) = self.by_id.get(&entry.id) else { return Ok(self.not_there(entry)) };
        // The id says which object it is, and not how it is called: a person reads the name.
        if decision.target.display() != entry.aim.to_string() {
            return Err((
                entry,
                format!("the decision `{}` is about `{}`, and calls it `{}`: it was edited", entry.id, decision.target.display(), entry.aim),
            ));
        }
        if decision.policy.as_deref() != entry.policy.as_deref() {
            let by = decision.policy.as_deref().map_or_else(|| "no policy".to_owned(), |policy| format!("policy `{policy}`"));
            return settled(Outcome::Otherwise, format!("{by} decides about it now"));
        }
        if let Some(why) = unlike(entry, decision) {
            return settled(Outcome::Otherwise, why);
        }
        match for_apply(decision) {
            Ok(()) => match self.unseen_audit(decision) {
                Some(why) => settled(Outcome::NotTried, why),
                None => Ok(Fate::Apply(Box::new(carried(decision)))),
            },
            Err((outcome, why)) => settled(outcome, why.to_owned()),
        }
    }

    /// What is announced in audit must not count once it is enforced. That `enforce` was interrupted is the daemon's to note, and it has not
    /// seen it yet.
    fn unseen_audit(&self, decision: &Decision) -> Option<String> {
        let namespace = decision.target.meta().map(crate::model::Meta::namespace)?;
        let unseen = decision.blocked_by == Some(BlockedBy::Audit) && self.snapshot.state.enforced_since.contains_key(namespace);
        unseen.then(|| format!("the daemon has not seen yet that `{namespace}` is in audit; make a plan anew once it has"))
    }

    /// What there is to say of a decision that is not in the plan any more.
    fn not_there(&self, entry: &Entry) -> Fate {
        let key = entry.aim.key();
        match self.verdicts.get(&about(&entry.aim.kind, &key)) {
            Some(decision) if matches!(decision.reason, Reason::Terminating(_)) && entry.action == Action::Delete => {
                Fate::Settled(Outcome::Gone, decision.reason.message(self.plan.now))
            }
            Some(decision) => {
                let (action, code) = (decision.action.word(), decision.reason.code());
                Fate::Settled(Outcome::Otherwise, format!("it is {action} now, {code}: {}", decision.reason.message(self.plan.now)))
            }
            None => match self.lives(entry, &key) {
                Ok(false) => Fate::Settled(Outcome::Gone, self.namesake(entry).unwrap_or_else(|| "it is not there any more".to_owned())),
                Ok(true) => Fate::Settled(Outcome::Otherwise, "nothing is decided about it any more".to_owned()),
                Err(lack) => Fate::Settled(Outcome::Otherwise, format!("whether it is still there is not known: {lack}")),
            },
        }
    }

    /// Whether what a decision is about is there; what has no object is.
    fn lives(&self, entry: &Entry, key: &str) -> Result<bool, String> {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == entry.aim.kind).filter(|_| entry.aim.uid.is_some()) else {
            return Ok(true);
        };
        if let Some(lack) = self.snapshot.evidence.lack(&Source::Objects(kind), self.plan.now) {
            return Err(lack);
        }
        let snapshot = self.snapshot;
        let unreadable = snapshot.unreadable.iter().any(|object| object.kind == kind && object.uid.as_deref().is_none_or(|uid| uid == key));
        let mut metas: Box<dyn Iterator<Item = &crate::model::Meta>> = match kind {
            Kind::Clone => Box::new(snapshot.clones.iter().map(|clone| &clone.meta)),
            Kind::Orphan => Box::new(snapshot.orphans.iter().map(|orphan| &orphan.meta)),
            kind if Kind::QUOTAS.contains(&kind) => Box::new(snapshot.quotas.iter().map(|quota| &quota.meta)),
            kind if Kind::CHILDREN.contains(&kind) => Box::new(snapshot.children.iter().map(|child| &child.meta)),
            _ => return Ok(true),
        };
        Ok(unreadable || metas.any(|meta| meta.uid.as_ref() == key))
    }

    /// What stands where a clone stood that is gone.
    fn namesake(&self, entry: &Entry) -> Option<String> {
        let path = entry.aim.to_string();
        let there = self.snapshot.clones.iter().find(|clone| clone.meta.path().as_ref() == path).filter(|_| entry.aim.kind == Kind::Clone.name())?;
        Some(format!("it is gone; another of its name is there now (uid {}), and left alone", there.meta.uid))
    }
}

fn about(kind: &str, key: &str) -> String {
    format!("{kind} {key}")
}

/// What makes a decision another than the one that was read, though it says the same.
fn unlike(entry: &Entry, decision: &Decision) -> Option<String> {
    let version = decision.target.meta().map(|meta| meta.resource_version.as_ref());
    if matches!(decision.target, Target::Clone(_)) && entry.action == Action::Delete && entry.aim.resource_version.as_deref() != version {
        // It may have been kept or extended for a while, by somebody who counts on being told anew.
        return Some("somebody has changed it since the plan was made; look at it once more, in a plan made anew".to_owned());
    }
    let braked = decision.blocked_by == Some(BlockedBy::Brake) && entry.blocked_by.as_deref() != Some(BlockedBy::Brake.word());
    braked.then(|| "the brake is on by now, and was not when the plan was made".to_owned())
}

/// Why something is not for a person to have carried out, as far as the document itself tells.
fn not_by_document(entry: &Entry) -> Option<String> {
    let release = || {
        let policy = entry.policy.as_deref().filter(|_| entry.blocked_by.as_deref() == Some("brake"));
        policy.map(|policy| format!("; `clonewarden brake release {policy} --reason …` lets it go")).unwrap_or_default()
    };
    let database = [Kind::DbInstance, Kind::DbCluster].iter().any(|kind| kind.name() == entry.aim.kind);
    Some(match (entry.action, entry.aim.provider.as_deref(), entry.aim.kind.as_str()) {
        (Action::Hold, ..) => {
            "a `hold` is never carried out: it is judged anew once what it lacks is known; docs/reasons.md says what lets it go".to_owned()
        }
        (Action::Alert, ..) => match (entry.code.as_str(), entry.policy.as_deref(), entry.aim.name.as_deref()) {
            ("BrakeOn", Some(name), _) | ("Collapsed", _, Some(name)) => format!("`clonewarden brake release {name} --reason …` lets go what waits"),
            _ => "an alert is for a person to look at: there is nothing to carry out".to_owned(),
        },
        (_, Some("mysql"), _) => format!("schemas are the daemon's: it has the credentials of their hosts{}", release()),
        (_, Some(_), _) => format!("what is in AWS is the daemon's: it has the credentials, and asks AWS once more before{}", release()),
        (_, None, _) if database => format!("a database goes with it, which is the daemon's: it asks AWS once more before{}", release()),
        (Action::Warn, ..) if entry.code != "WouldAnnounce" => {
            "under `enforce` the daemon announces and warns by itself, and an end that anybody else announces is put back".to_owned()
        }
        (_, _, "Secret") => "the daemon makes the Secrets of clones: nobody else reads the key".to_owned(),
        (_, _, "CloneUsage") => "the daemon keeps the ledger by itself".to_owned(),
        (_, _, "Source" | "Namespace" | "ClonePolicy" | "ResourceGraphDefinition") => "there is no object to write on".to_owned(),
        _ => return None,
    })
}

/// Whether a decision can be carried out by the API server alone, with nothing but the rights of whoever asks; else why not.
fn for_apply(decision: &Decision) -> Result<(), (Outcome, &'static str)> {
    let no = |why| Err((Outcome::NotForApply, why));
    match (&decision.target, decision.action, &decision.work) {
        (Target::Clone(_), Action::Delete, Some(Work::Unused(_))) => {
            no("its host has to be asked once more whether nothing uses it, which the daemon does")
        }
        (Target::Clone(_), Action::Delete, None) => Ok(()),
        (Target::Clone(_), Action::Warn, Some(Work::Annotate(_))) => Ok(()),
        (Target::Child(child), Action::Delete | Action::Mark, Some(Work::Record(course)))
            if child.database.is_none() && course.database.is_none() && course.home.is_none() =>
        {
            if decision.action == Action::Mark && !course.news {
                Err((Outcome::Nothing, "its Orphan says so already"))
            } else {
                Ok(())
            }
        }
        (Target::Orphan(record), Action::Unmark, None) if !record.in_aws() && record.schema().is_none() => Ok(()),
        (Target::Quota(_), Action::Delete, None) => Ok(()),
        (Target::Quota(_), Action::Update, Some(Work::Apply(_))) | (Target::Absent(..), Action::Create, Some(Work::Apply(_))) => Ok(()),
        (Target::Child(_) | Target::Orphan(_), ..) => no("the daemon has to ask AWS or a database host once more before, and has the credentials"),
        _ => no("it is the daemon's"),
    }
}

/// The decision as it is carried out: a person has taken away what held it back.
fn carried(decision: &Decision) -> Decision {
    let reason = match &decision.reason {
        Reason::WouldAnnounce(life, at) => Reason::GraceAnnounced(*life, *at),
        reason => reason.clone(),
    };
    Decision { blocked_by: None, reason, ..decision.clone() }
}
