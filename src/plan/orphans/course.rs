//! How far an orphan has come: a pure step from what its `Orphan` object says to what it should say now.
//!
//! ```text
//!            no policy, audit          enforce                        soaked and seen often enough
//! first sight ────► Marked ────────────► Soaking ─────────────────────► Due ──► Deleting ──► Deleted
//!                      a doubt or a veto: Held, and the soak starts anew when that is over
//! ```
//!
//! A soak counts only while nothing speaks against the verdict, and never from before the `Orphan` was made, nor from before its
//! namespace was enforced: both are dates of the server, not of a clock that may have been wrong.

use super::super::doubt::Doubt;
use crate::model::{
    cloud::CloudResource,
    later,
    orphan::{
        OrphanRecord,
        status::{Condition, ConditionStatus, FinalSnapshot, OrphanPhase, OrphanStatus, Soak, StatusEvidence, StatusReason},
    },
};
use crate::policy::{Mode, OrphanRules};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use std::sync::Arc;

/// What is written on an `Orphan`, and how the thing that it is about goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The object as it is; `None`: it is made now.
    pub record: Option<Arc<OrphanRecord>>,
    /// What it should say.
    pub status: OrphanStatus,
    /// Whether it says something else as yet.
    pub news: bool,
    /// The clone that it was made for.
    pub owner: DeadOwner,
    /// Of an object that stands for a database: that database, as the last sweep saw it.
    pub database: Option<Arc<CloudResource>>,
    /// Of an instance in an Aurora cluster: that cluster, as the last sweep saw it. It must not go while that has to stay.
    pub home: Option<Arc<CloudResource>>,
    /// How it goes, where it goes now.
    pub parting: Option<Parting>,
}

impl Course {
    /// Whether it only says that the same has been seen once more: no news for anybody.
    #[must_use]
    pub fn is_refresh(&self) -> bool {
        let code = |status: &OrphanStatus| status.reason.as_ref().map(|reason| reason.code.clone());
        let before = self.record.as_ref().and_then(|record| record.status.as_deref());
        self.parting.is_none() && before.is_some_and(|before| before.phase == self.status.phase && code(before) == code(&self.status))
    }
}

impl Course {
    /// What the `Orphan` says once AWS alone has told that somebody restored what it is about. It is held by that from then on,
    /// whatever becomes of what told it.
    #[must_use]
    pub fn restored(&self, why: &str) -> OrphanStatus {
        let before = self.record.as_ref().and_then(|record| record.status.as_deref());
        let mut status = OrphanStatus { final_snapshot: before.and_then(|before| before.final_snapshot.clone()), ..self.status.clone() };
        status.soak = None;
        status.deletes_at = None;
        status.reason = Some(StatusReason { code: Doubt::Restored.code().to_owned(), message: why.to_owned() });
        status.phase = Some(OrphanPhase::Held);
        status
    }
}

/// The clone that something was made for, and that is not in the live set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadOwner {
    /// Its UID.
    pub uid: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name, if that is known.
    pub name: Option<Box<str>>,
}

/// How a thing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parting {
    /// The final snapshot that is to be taken.
    pub snapshot: Option<String>,
    /// The object in the cluster has to be told to have that taken, before it is deleted.
    pub tell_ack: bool,
}

/// One look at a thing that is judged.
pub(super) struct Sight<'a> {
    /// What its `Orphan` says, if there is one.
    pub(super) record: Option<&'a Arc<OrphanRecord>>,
    /// What speaks against the verdict.
    pub(super) doubt: Option<Doubt>,
    /// Why it would be an orphan.
    pub(super) reason: StatusReason,
    /// The policy's rules for orphans and its mode, if a policy is known.
    pub(super) rules: Option<(OrphanRules, Mode)>,
    /// Since when its namespace has been enforced, where that is known.
    pub(super) enforced_since: Option<Timestamp>,
    /// When what the verdict stands on was seen.
    pub(super) seen_at: Timestamp,
    /// Whether every look counts (a sweep), or one in a while (a watch, which looks all the time).
    pub(super) sweeps: bool,
    /// What the verdict stands on.
    pub(super) evidence: Vec<StatusEvidence>,
    /// USD an hour.
    pub(super) cost: Option<Decimal>,
    pub(super) now: Timestamp,
}

/// What comes of it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) status: OrphanStatus,
    /// Soak and observations are over: it may go.
    pub(super) due: bool,
    /// When something changes by itself.
    pub(super) wake: Option<Timestamp>,
}

impl Sight<'_> {
    /// The next step.
    pub(super) fn step(&self) -> Step {
        let before = self.record.and_then(|record| record.status.as_deref());
        let mut status = before.cloned().unwrap_or_else(|| OrphanStatus { first_seen: Some(self.now), ..OrphanStatus::default() });
        // A look that is dated ahead was dated by a clock that was wrong: to wait for it would be to leak for as long.
        let next_look = status.last_seen.filter(|last| *last <= self.now).map(|last| later(last, self.spacing()));
        let sighted = status.last_seen != Some(self.seen_at) && next_look.is_none_or(|next| self.seen_at >= next);
        if sighted {
            status.last_seen = Some(self.seen_at);
            status.observations = status.observations.saturating_add(1);
            status.cost_per_hour = self.cost;
            status.evidence.clone_from(&self.evidence);
        }
        let mut wake = None;
        let phase = match (&self.doubt, self.rules) {
            (Some(doubt), _) => {
                status.soak = None;
                status.reason = Some(StatusReason { code: doubt.code().to_owned(), message: doubt.message() });
                // What was asked for stays so until it is gone, however long that takes.
                let asked = before.and_then(|before| before.phase) == Some(OrphanPhase::Deleting);
                if asked && matches!(doubt, Doubt::StuckDeleting(_)) { OrphanPhase::Deleting } else { OrphanPhase::Held }
            }
            (None, None | Some((_, Mode::Audit))) => {
                status.soak = None;
                status.reason = Some(self.reason.clone());
                OrphanPhase::Marked
            }
            (None, Some((rules, Mode::Enforce))) => {
                status.reason = Some(self.reason.clone());
                let soak = self.soak(status.soak.take(), rules, sighted);
                let until = later(soak.since, rules.soak.get());
                let soaked = self.now >= until && soak.observations >= rules.observations;
                if self.now < until {
                    wake = Some(until);
                } else if !soaked && !self.sweeps {
                    wake = status.last_seen.map(|last| later(last, self.spacing()));
                }
                status.deletes_at = Some(until);
                status.soak = Some(soak);
                let asked = before.and_then(|before| before.phase) == Some(OrphanPhase::Deleting);
                match (soaked, asked) {
                    (false, _) => OrphanPhase::Soaking,
                    (true, false) => OrphanPhase::Due,
                    (true, true) => OrphanPhase::Deleting,
                }
            }
        };
        let due = matches!(phase, OrphanPhase::Due | OrphanPhase::Deleting);
        if !due && phase != OrphanPhase::Soaking {
            status.deletes_at = None;
        }
        status.phase = Some(phase);
        Step { status, due, wake }
    }

    /// How far apart looks must be to count.
    fn spacing(&self) -> SignedDuration {
        match self.rules {
            Some((rules, _)) if !self.sweeps => {
                rules.soak.get().checked_div(i32::try_from(rules.observations.max(1)).unwrap_or(i32::MAX)).unwrap_or_default()
            }
            _ => SignedDuration::ZERO,
        }
    }

    /// The soak that runs: the one before goes on unless it began too early to count.
    fn soak(&self, before: Option<Soak>, rules: OrphanRules, sighted: bool) -> Soak {
        let made = self.record.map(|record| record.meta.created);
        let earliest = made.into_iter().chain(self.enforced_since).max().unwrap_or(Timestamp::MIN);
        let valid = |soak: &Soak| soak.since >= earliest && soak.since <= self.now.max(earliest);
        let (duration, observations_needed) = (rules.soak.to_string(), rules.observations);
        match before.filter(valid) {
            Some(soak) => Soak { observations: soak.observations.saturating_add(u32::from(sighted)), duration, observations_needed, ..soak },
            None => Soak { since: self.now.max(earliest), observations: 1, duration, observations_needed },
        }
    }
}

/// Notes that it is held although its time has come, and why; the soak stands.
pub(super) fn hold_back(status: &mut OrphanStatus, doubt: &Doubt) {
    status.reason = Some(StatusReason { code: doubt.code().to_owned(), message: doubt.message() });
    status.phase = Some(if doubt.needs_a_person() { OrphanPhase::Held } else { OrphanPhase::Due });
}

/// Notes that its deletion is about to be asked for, and with which farewell.
pub(super) fn part(status: &mut OrphanStatus, snapshot: Option<FinalSnapshot>) {
    status.final_snapshot = snapshot;
    status.phase = Some(OrphanPhase::Deleting);
}

/// Notes that it is gone.
pub(super) fn close(status: &mut OrphanStatus, now: Timestamp) {
    status.deleted_at = Some(now);
    status.deletes_at = None;
    status.cost_per_hour = None;
    status.soak = None;
    status.reason = Some(StatusReason { code: "Deleted".to_owned(), message: "is gone".to_owned() });
    status.phase = Some(OrphanPhase::Deleted);
}

/// Brings the conditions to what the phase says. Each is dated when it changes.
pub(super) fn seal(status: &mut OrphanStatus, now: Timestamp) {
    let reason = status.reason.clone().unwrap_or_default();
    let due = matches!(status.phase, Some(OrphanPhase::Due | OrphanPhase::Deleting | OrphanPhase::Deleted));
    let held = status.phase == Some(OrphanPhase::Held);
    if !matches!(status.phase, Some(OrphanPhase::Due | OrphanPhase::Deleting)) {
        status.refuse(None, now);
    }
    let snapshotted = status.final_snapshot.is_some();
    for (kind, holds) in [("Due", due), ("Held", held), ("Snapshotted", snapshotted)] {
        let holds = if holds { ConditionStatus::True } else { ConditionStatus::False };
        match status.conditions.iter_mut().find(|condition| condition.r#type == kind) {
            Some(there) => {
                if there.status != holds {
                    there.last_transition_time = Some(now);
                }
                there.status = holds;
                there.reason.clone_from(&reason.code);
                there.message.clone_from(&reason.message);
            }
            None => status.conditions.push(Condition {
                r#type: kind.to_owned(),
                status: holds,
                reason: reason.code.clone(),
                message: reason.message.clone(),
                last_transition_time: Some(now),
                observed_generation: None,
            }),
        }
    }
}
