//! One set of policies on a world: what becomes of each clone, as the plan says it.

use super::{
    Brake,
    house::{self, Played},
};
use crate::{
    model::{Snapshot, WordPressClone},
    plan::{Action, Decision, Plan, Reason, Target, brake, plan},
    policy::{ClonePolicy, Mode, Policies},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// A set of policies, and what it makes of a world.
pub(super) struct Side<'a> {
    pub(super) policies: &'a Policies,
    pub(super) plan: Plan,
    /// For each clone of the snapshot, in its order, the place of the verdict in the plan; `None`: nobody judges it.
    verdicts: Vec<Option<usize>>,
    /// For each clone of the snapshot, in its order, what became of it as a newcomer.
    pub(super) played: Vec<Played>,
}

/// What becomes of one clone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate<'a> {
    /// The policy that governs it, if one does.
    pub(super) policy: Option<&'a Arc<ClonePolicy>>,
    decision: Option<&'a Decision>,
}

impl<'a> Side<'a> {
    pub(super) fn judge(snapshot: &Snapshot, policies: &'a Policies, now: Timestamp) -> Self {
        let plan = plan(snapshot, policies, now);
        let verdicts = verdicts(&snapshot.clones, &plan.decisions);
        let played = house::play(snapshot, policies, &plan.tariff, now);
        Self { policies, plan, verdicts, played }
    }

    pub(super) fn policy(&self, name: &str) -> Option<&Arc<ClonePolicy>> {
        self.policies.policies.iter().find(|policy| &*policy.name == name)
    }

    /// The fate of the clone at that place in the snapshot.
    pub(super) fn fate(&self, place: usize) -> Fate<'_> {
        let decision = self.verdicts.get(place).copied().flatten().and_then(|at| self.plan.decisions.get(at));
        Fate { policy: decision.and_then(|decision| self.policy(decision.policy.as_ref()?)), decision }
    }

    /// How many surprises each policy has, against its brake.
    pub(super) fn brakes(&self) -> BTreeMap<Arc<str>, Brake> {
        let fresh = |policy: &Arc<ClonePolicy>| {
            (Arc::clone(&policy.name), Brake { deletes: policy.brake.deletes, percent: policy.brake.percent, ..Brake::default() })
        };
        let mut brakes: BTreeMap<Arc<str>, Brake> = self.policies.policies.iter().map(fresh).collect();
        for place in 0..self.verdicts.len() {
            let fate = self.fate(place);
            let Some((policy, brake)) = fate.policy.and_then(|policy| Some((policy, brakes.get_mut(&policy.name)?))) else { continue };
            brake.clones = brake.clones.saturating_add(1);
            brake.surprises = brake.surprises.saturating_add(usize::from(policy.mode == Mode::Enforce && fate.is_surprise()));
        }
        for policy in &self.policies.policies {
            if let Some(brake) = brakes.get_mut(&policy.name) {
                // Those that come due together later than within the window of now are too many then.
                brake.over = brake.surprises > 0 && brake::exceeds(policy.brake, brake.surprises, brake.clones);
            }
        }
        for decision in &self.plan.decisions {
            if let (Target::Policy(name), Reason::BrakeOn(waiting, carried, _)) = (&decision.target, &decision.reason)
                && let Some(brake) = brakes.get_mut(name)
            {
                brake.over = true;
                brake.surprises = brake.surprises.max(waiting.saturating_add(*carried));
            }
        }
        brakes
    }
}

/// Verdicts stand in the order of clones, other decisions between them.
fn verdicts(clones: &[Arc<WordPressClone>], decisions: &[Decision]) -> Vec<Option<usize>> {
    let mut found = vec![None; clones.len()];
    let mut next = 0;
    for (at, decision) in decisions.iter().enumerate() {
        let Target::Clone(clone) = &decision.target else { continue };
        if !matches!(decision.action, Action::Keep | Action::Warn | Action::Delete | Action::Hold) {
            continue;
        }
        let rest = clones.get(next..).unwrap_or_default();
        let Some(place) = rest.iter().position(|known| Arc::ptr_eq(known, clone)).map(|ahead| next.saturating_add(ahead)) else { continue };
        if let Some(verdict) = found.get_mut(place) {
            *verdict = Some(at);
        }
        next = place.saturating_add(1);
    }
    found
}

impl<'a> Fate<'a> {
    pub(super) fn is(&self, action: Action) -> bool {
        self.decision.is_some_and(|decision| decision.action == action)
    }

    pub(super) fn reason(&self) -> Option<&'a Reason> {
        self.decision.map(|decision| &decision.reason)
    }

    /// The name of the policy that governs it.
    pub(super) fn policy_name(&self) -> Option<&'a Arc<str>> {
        self.policy.map(|policy| &policy.name)
    }

    /// Whether its policy only says what it would do.
    pub(super) fn is_said(&self) -> bool {
        self.policy.is_some_and(|policy| policy.mode == Mode::Audit)
    }

    /// The computed end; `None`: it has none, or that is not known.
    pub(super) fn end(&self) -> Option<Timestamp> {
        match self.reason()? {
            Reason::Kept(..) => None,
            reason => reason.life().map(|life| life.end),
        }
    }

    /// Where its end comes from.
    pub(super) fn cause(&self) -> &'static str {
        self.reason().and_then(Reason::life).map_or("", |life| life.cause.words())
    }

    /// When it goes, as far as that is or would be announced.
    pub(super) fn goes(&self, now: Timestamp) -> Option<Timestamp> {
        match self.reason()? {
            Reason::Expired(..) => Some(now),
            Reason::WouldAnnounce(_, at) => Some(*at),
            reason => reason.end(),
        }
    }

    /// 0: its end has not passed; 1: it has, and that is said; 2: it goes for it.
    pub(super) fn doom(&self, now: Timestamp) -> u8 {
        match self.end() {
            Some(end) if end <= now => {
                if self.is_said() {
                    1
                } else {
                    2
                }
            }
            _ => 0,
        }
    }

    fn is_surprise(&self) -> bool {
        match self.reason() {
            Some(Reason::GraceAnnounced(..) | Reason::LivingOn(..)) => true,
            Some(Reason::Expired(life, announced) | Reason::ExpiresSoon(life, announced, _)) => *announced > life.end,
            _ => false,
        }
    }
}
