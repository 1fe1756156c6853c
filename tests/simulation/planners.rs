//! Planners that err: see [`Bug`](crate::bugs::Bug).

use clonewarden::{
    model::{Reading, Snapshot, WordPressClone},
    plan::{Action, BlockedBy, Decision, Plan, Reason, Target, Work, plan},
    policy::{ClonePolicy, Mode, Policies},
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

pub(crate) fn secret_in_audit(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut plan = plan(snapshot, policies, now);
    for decision in &mut plan.decisions {
        if matches!(decision.target, Target::Secret(_)) && decision.blocked_by == Some(BlockedBy::Audit) {
            (decision.blocked_by, decision.work) = (None, Some(Work::Secret(false)));
        }
    }
    plan
}

pub(crate) fn counts_twice(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered_work(snapshot, policies, now, |work| {
        if let Work::Count(before, status) = work {
            for owner in &mut status.owners {
                let before = before.iter().flat_map(|record| &record.status.owners).find(|known| known.owner == owner.owner);
                owner.clone_seconds += owner.clone_seconds - before.map_or(0, |known| known.clone_seconds);
            }
        }
    })
}

pub(crate) fn remakes_key(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.state.credentials_key_accepted = true;
    plan(&snapshot, policies, now)
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

/// The right plan, with something else to write.
fn tampered_work(snapshot: &Snapshot, policies: &Policies, now: Timestamp, tamper: impl Fn(&mut Work)) -> Plan {
    tampered(snapshot, policies, now, |decision| decision.work.iter_mut().for_each(&tamper))
}

/// The right plan, with decisions that were changed afterwards.
fn tampered(snapshot: &Snapshot, policies: &Policies, now: Timestamp, tamper: impl Fn(&mut Decision)) -> Plan {
    let mut plan = plan(snapshot, policies, now);
    plan.decisions.iter_mut().for_each(tamper);
    plan
}

pub(crate) fn early(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if let Reason::Living(life) = decision.reason
            && life.end.duration_since(now) < SignedDuration::from_secs(90)
        {
            decision.action = Action::Delete;
        }
    })
}

pub(crate) fn overlooks_keep(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_clones(snapshot, policies, now, |clone| clone.keep = Reading::Absent)
}

pub(crate) fn unannounced(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if matches!(decision.reason, Reason::GraceAnnounced(..)) {
            decision.action = Action::Delete;
        }
    })
}

pub(crate) fn trusts_old_announcement(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    for namespace in snapshot.namespaces.keys() {
        snapshot.state.enforced_since.insert(namespace.clone(), Timestamp::UNIX_EPOCH);
    }
    plan(&snapshot, policies, now)
}

pub(crate) fn acts_in_audit(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_policies(snapshot, policies, now, |policy| policy.mode = Mode::Enforce)
}

pub(crate) fn ignores_definition(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.state.definitions.clear();
    let mut plan = with_clones(&snapshot, policies, now, |clone| clone.definition = None);
    plan.state.definitions.clear();
    plan
}

pub(crate) fn no_grace(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_policies(snapshot, policies, now, |policy| policy.ttl.grace = clonewarden::model::Span::seconds(1))
}

pub(crate) fn brake_forgets(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.state.brakes.clear();
    // What is due next is not counted either: one goes at a time.
    let mut seen = false;
    let mut plan = with_policies(&snapshot, policies, now, |policy| policy.brake.per = clonewarden::model::Span::seconds(1));
    plan.decisions.retain(|decision| !decision.is_surprise() || !std::mem::replace(&mut seen, true));
    plan.state.brakes.clear();
    plan
}

pub(crate) fn brake_fails(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if decision.is_surprise() && decision.blocked_by == Some(BlockedBy::Brake) {
            decision.blocked_by = None;
        }
    })
}

pub(crate) fn never_acts(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if decision.action == Action::Delete && decision.target.key().ends_with(['0', '1', '2', '3']) {
            decision.action = Action::Keep;
        }
    })
}

pub(crate) fn misreads(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
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

pub(crate) fn no_soak(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    with_policies(snapshot, policies, now, |policy| {
        policy.orphans.soak = clonewarden::model::Span::seconds(1);
        policy.orphans.observations = 1;
    })
}

/// Right in everything but schemas.
pub(crate) fn schemas_do_not_soak(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let schema = |decision: &Decision| matches!(decision.target, Target::Schema(_));
    let mut right = plan(snapshot, policies, now);
    right.decisions.retain(|decision| !schema(decision));
    right.decisions.extend(no_soak(snapshot, policies, now).decisions.into_iter().filter(schema));
    right
}

pub(crate) fn ignores_veto(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.orphans.iter_mut().for_each(|orphan| Arc::make_mut(orphan).keep = false);
    plan(&snapshot, policies, now)
}

pub(crate) fn ignores_claims(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut snapshot = snapshot.clone();
    snapshot.children.retain(|child| child.database.is_none());
    plan(&snapshot, policies, now)
}

pub(crate) fn leaves_aws(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if decision.action == Action::Delete && matches!(decision.target, Target::Cloud(_)) {
            decision.action = Action::Keep;
        }
    })
}

pub(crate) fn makes_no_schema(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut plan = plan(snapshot, policies, now);
    plan.decisions.retain(|decision| !(decision.action == Action::Create && matches!(decision.target, Target::Schema(_))));
    plan
}

pub(crate) fn drops_in_audit(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    tampered(snapshot, policies, now, |decision| {
        if decision.action == Action::Delete && matches!(decision.target, Target::Schema(_)) && decision.blocked_by == Some(BlockedBy::Audit) {
            decision.blocked_by = None;
        }
    })
}
