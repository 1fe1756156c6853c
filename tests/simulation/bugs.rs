//! Planted bugs. The product knows nothing of them: each is a planner that errs, or a [`Cluster`] between the product and the
//! sandbox that does not do what it should. The oracle must catch every one.

use crate::{bugged::Bugged, clouded::Clouded};
use clonewarden::{
    model::{Reading, Snapshot, WordPressClone},
    plan::{Action, Decision, Plan, Planner, Reason, Target, plan},
    policy::{ClonePolicy, Mode, Policies},
    ports::{Cloud, Cluster},
    sandbox::{cloud::handle::SandboxCloud, cluster::SandboxCluster},
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing: the product as it is.
    None,
    /// An announced end is carried out a minute and a half early.
    Early,
    /// A keep is not seen.
    OverlooksKeep,
    /// An end that has passed is carried out instead of announced.
    Unannounced,
    /// What was announced before the namespace was enforced (again) counts.
    TrustsOldAnnouncement,
    /// Audit is carried out like enforce.
    ActsInAudit,
    /// `pause` is not seen.
    IgnoresPause,
    /// A definition that is gone is not missed.
    IgnoresDefinition,
    /// The resourceVersion is left out of the preconditions.
    Unpinned,
    /// A delete that meets a conflict is repeated with the present resourceVersion.
    Forces,
    /// Late ends get a second of grace.
    NoGrace,
    /// The brake remembers nothing.
    BrakeForgets,
    /// The brake is on, and nobody obeys it.
    BrakeFails,
    /// Some clones are never deleted.
    NeverActs,
    /// The watch drops what it hears about clones.
    DeafWatch,
    /// Whatever the API server says, the lease is ours.
    TakesLease,
    /// A clone's Job is deleted first.
    Meddles,
    /// An annotation is written that belongs to somebody else.
    Scribbles,
    /// What cannot be read is taken for not said.
    Misreads,
    /// Our own clock is always trusted.
    TrustsClock,
    /// What was seen of databases in AWS once is believed for minutes, and nothing is described again.
    OldPicture,
    /// Whatever carries the tags of a dead clone's database is taken for it.
    TrustsTags,
    /// A list without the snapshots that others took is believed.
    EmptyListIsTruth,
    /// Orphans do not soak.
    NoSoak,
    /// Protection is not seen.
    DropsProtection,
    /// A veto on an `Orphan` is not seen.
    IgnoresVeto,
    /// ACK's objects are not seen.
    IgnoresClaims,
    /// No final snapshot is asked for.
    ForgetsSnapshot,
    /// ACK is told to take no final snapshot.
    TellsAckNothing,
    /// Final snapshots go at once.
    HastensSnapshots,
    /// Every snapshot is taken for ours.
    AnySnapshot,
    /// A deletion whose answer was lost counts as done.
    LostIsDone,
    /// What is in AWS is never deleted.
    LeavesAws,
}

impl Bug {
    /// Every bug, and the promise that it breaks.
    pub(crate) const PLANTED: [(Self, &'static str); 32] = [
        (Self::Early, "I1"),
        (Self::OverlooksKeep, "I1"),
        (Self::Unannounced, "I1"),
        (Self::TrustsOldAnnouncement, "I1"),
        (Self::TrustsClock, "I1"),
        (Self::Forces, "I1"),
        (Self::ActsInAudit, "I2"),
        (Self::IgnoresPause, "I2"),
        (Self::IgnoresDefinition, "I2"),
        (Self::Unpinned, "I3"),
        (Self::NoGrace, "I4"),
        (Self::BrakeForgets, "I5"),
        (Self::BrakeFails, "I5"),
        (Self::NeverActs, "I6"),
        (Self::DeafWatch, "I6"),
        (Self::TakesLease, "I7"),
        (Self::Meddles, "I8"),
        (Self::Scribbles, "I8"),
        (Self::Misreads, "I9"),
        (Self::OldPicture, "A3"),
        (Self::TrustsTags, "A1"),
        (Self::EmptyListIsTruth, "A1"),
        (Self::NoSoak, "A2"),
        (Self::DropsProtection, "A3"),
        (Self::IgnoresVeto, "A3"),
        (Self::IgnoresClaims, "A4"),
        (Self::ForgetsSnapshot, "A5"),
        (Self::TellsAckNothing, "A5"),
        (Self::HastensSnapshots, "A6"),
        (Self::AnySnapshot, "A6"),
        (Self::LostIsDone, "A7"),
        (Self::LeavesAws, "A7"),
    ];

    /// Whether it shows only where there is AWS.
    pub(crate) fn is_in_aws(self) -> bool {
        Self::PLANTED.iter().any(|(bug, promise)| *bug == self && promise.starts_with('A'))
    }

    pub(crate) fn cloud(self, handle: SandboxCloud) -> Arc<dyn Cloud> {
        if self.is_in_aws() { Arc::new(Clouded::new(handle, self)) } else { Arc::new(handle) }
    }

    pub(crate) fn planner(self) -> Planner {
        match self {
            Self::Early => early,
            Self::OverlooksKeep => overlooks_keep,
            Self::Unannounced => unannounced,
            Self::TrustsOldAnnouncement => trusts_old_announcement,
            Self::ActsInAudit => acts_in_audit,
            Self::IgnoresDefinition => ignores_definition,
            Self::NoGrace => no_grace,
            Self::BrakeForgets => brake_forgets,
            Self::BrakeFails => brake_fails,
            Self::NeverActs => never_acts,
            Self::Misreads => misreads,
            Self::NoSoak => no_soak,
            Self::IgnoresVeto => ignores_veto,
            Self::IgnoresClaims => ignores_claims,
            Self::LeavesAws => leaves_aws,
            _ => plan,
        }
    }

    pub(crate) fn cluster(self, handle: SandboxCluster) -> Arc<dyn Cluster> {
        match self {
            Self::IgnoresPause
            | Self::Unpinned
            | Self::Forces
            | Self::DeafWatch
            | Self::TakesLease
            | Self::Meddles
            | Self::Scribbles
            | Self::TrustsClock
            | Self::IgnoresClaims
            | Self::IgnoresVeto
            | Self::TellsAckNothing => Arc::new(Bugged::new(handle, self)),
            _ => Arc::new(handle),
        }
    }
}

/// The plan over clones that were misread.
fn with_clones(snapshot: &Snapshot, policies: &Policies, now: Timestamp, misread: impl Fn(&mut WordPressClone)) -> Plan {
    let mut snapshot = snapshot.clone();
    for clone in &mut snapshot.clones {
        misread(Arc::make_mut(clone));
    }
    plan(&snapshot, policies, now)
}

/// The plan under policies that were misread.
fn with_policies(snapshot: &Snapshot, policies: &Policies, now: Timestamp, misread: impl Fn(&mut ClonePolicy)) -> Plan {
    let mut policies = policies.clone();
    for policy in &mut policies.policies {
        misread(Arc::make_mut(policy));
    }
    plan(snapshot, &policies, now)
}

/// The right plan, with decisions that were changed afterwards.
fn tampered(snapshot: &Snapshot, policies: &Policies, now: Timestamp, tamper: impl Fn(&mut Decision)) -> Plan {
    let mut plan = plan(snapshot, policies, now);
    plan.decisions.iter_mut().for_each(tamper);
    plan
}

fn early(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if let Reason::Living(life) = decision.reason
            && life.end.duration_since(now) < SignedDuration::from_secs(90)
        {
            decision.action = Action::Delete;
        }
    })
}

fn overlooks_keep(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_clones(snapshot, policies, now, |clone| clone.keep = Reading::Absent)
}

fn unannounced(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if matches!(decision.reason, Reason::GraceAnnounced(..)) {
            decision.action = Action::Delete;
        }
    })
}

fn trusts_old_announcement(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    for namespace in snapshot.namespaces.keys() {
        snapshot.state.enforced_since.insert(namespace.clone(), Timestamp::UNIX_EPOCH);
    }
    plan(&snapshot, policies, now)
}

fn acts_in_audit(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_policies(snapshot, policies, now, |policy| policy.mode = Mode::Enforce)
}

fn ignores_definition(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.state.definitions.clear();
    let mut plan = with_clones(&snapshot, policies, now, |clone| clone.definition = None);
    plan.state.definitions.clear();
    plan
}

fn no_grace(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_policies(snapshot, policies, now, |policy| policy.ttl.grace = clonewarden::model::Span::seconds(1))
}

fn brake_forgets(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.state.brakes.clear();
    // What is due next is not counted either: one goes at a time.
    let mut seen = false;
    let mut plan = with_policies(&snapshot, policies, now, |policy| policy.brake.per = clonewarden::model::Span::seconds(1));
    plan.decisions.retain(|decision| !decision.is_surprise() || !std::mem::replace(&mut seen, true));
    plan.state.brakes.clear();
    plan
}

fn brake_fails(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if decision.is_surprise() {
            decision.blocked_by = None;
        }
    })
}

fn never_acts(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if decision.action == Action::Delete && decision.target.key().ends_with(['0', '1', '2', '3']) {
            decision.action = Action::Keep;
        }
    })
}

fn misreads(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_clones(snapshot, policies, now, |clone| {
        if clone.ttl.unreadable().is_some() {
            clone.ttl = Reading::Absent;
        }
        if clone.extend_until.unreadable().is_some() {
            clone.extend_until = Reading::Absent;
        }
        if clone.keep.unreadable().is_some() {
            clone.keep = Reading::Absent;
        }
    })
}

fn no_soak(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_policies(snapshot, policies, now, |policy| {
        policy.orphans.soak = clonewarden::model::Span::seconds(1);
        policy.orphans.observations = 1;
    })
}

fn ignores_veto(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.orphans.iter_mut().for_each(|orphan| Arc::make_mut(orphan).keep = false);
    plan(&snapshot, policies, now)
}

fn ignores_claims(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.children.retain(|child| child.database.is_none());
    plan(&snapshot, policies, now)
}

fn leaves_aws(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if decision.action == Action::Delete && matches!(decision.target, Target::Cloud(_)) {
            decision.action = Action::Keep;
        }
    })
}
