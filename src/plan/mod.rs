//! `plan(&snapshot, &policies, now) -> Plan`: everything that is decided, by a pure function.
//!
//! The plan is a fold over the clones: each gets exactly one of keep, warn, delete, hold from [`lifetime`], unless something
//! that the verdict needs is not known ([`ground`]). Beside it stand what is judged over many objects: limits, orphans, the
//! brake, populations, and the diagnosis of clones that are stuck or broken. The plan also says what must be remembered
//! before it is carried out ([`Plan::state`]) and when to look again.

pub mod accrual;
pub mod admit;
mod billing;
pub mod brake;
pub mod credentials;
pub mod decision;
mod diagnosis;
mod doubt;
mod ground;
mod idle;
pub mod lifetime;
mod limits;
pub mod money;
pub mod orphans;
mod population;
#[cfg(test)]
mod promises;
pub mod quota;
pub mod reason;
pub mod render;
mod roster;
mod schemas;
#[cfg(test)]
mod tests;
pub mod witness;
pub mod working;

pub use decision::{Action, Because, BlockedBy, Decision, NobodyLives, Plan, Target, Work, Write};
pub use reason::Reason;

use crate::model::{Reading, Snapshot, WordPressClone, snapshot::Origin};
use crate::policy::{ClonePolicy, Mode, Policies};
use ground::{Ground, Standing};
use idle::Idle;
use jiff::{SignedDuration, Timestamp};
use lifetime::{Cause, Enforced, Lifetime, Step};
use std::sync::Arc;

/// How a plan is made; tests put a planted bug in its place.
pub type Planner = fn(&Snapshot, &Policies, Timestamp) -> Plan;

/// Decides everything about one snapshot.
#[must_use]
pub fn plan(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Plan {
    let mut state = snapshot.state.clone();
    let mut draft = Draft { decisions: Vec::with_capacity(snapshot.clones.len().saturating_add(16)), next: None, now };
    let ground = Ground::survey(snapshot, policies, now);
    ground.remember(&mut state);
    let collapsed = population::check(snapshot, &mut state, now, &mut draft);
    let overflow = limits::overflow(snapshot, &ground, &mut draft);
    let mut surprises = brake::Surprises::of(&snapshot.state);
    let mut withdrawn = Vec::new();
    let key = credentials::Key::of(snapshot, &ground, &mut state);
    let mut secrets = Vec::new();

    for (clone, standing) in ground.clones() {
        let Some(standing) = standing else { continue };
        let decision = match standing {
            Standing::Conflict(..) | Standing::Unknown(_) if clone.meta.terminating.is_some() => going(clone),
            Standing::Conflict(one, other) => hold(clone, Reason::PolicyConflict(Arc::clone(&one.name), Arc::clone(&other.name))),
            Standing::Unknown(lack) => hold(clone, Reason::EvidenceMissing(lack.0.clone(), lack.1.clone())),
            Standing::Governed(policy, enforced) => {
                let life = overflow.lifetime(clone).unwrap_or_else(|| lifetime::lifetime(clone, &policy.ttl));
                let decision = decide(clone, policy, *enforced, life, &ground, &mut draft);
                surprises.consider(&decision, policy, now);
                secrets.extend(key.secret(clone, policy, &decision));
                decision
            }
        };
        match (&decision.reason, &decision.work) {
            (Reason::Kept(..), Some(_)) => withdrawn.extend(clone.announced_at.value().map(|said| (clone.meta.uid.clone(), *said))),
            (Reason::PolicyConflict(..) | Reason::EvidenceMissing(..), _) => surprises.leave(&decision),
            _ => {}
        }
        draft.decisions.push(decision);
    }
    draft.decisions.append(&mut secrets);
    let key_is_usable = matches!(key, credentials::Key::Usable);
    draft.decisions.extend(key.decision());
    ground.hold_unreadable(&mut draft);
    diagnosis::diagnose(snapshot, &ground, &mut draft);
    let others = draft.decisions.len();
    orphans::find(snapshot, &ground, &collapsed, &mut state, &mut draft);
    for decision in draft.decisions.iter().skip(others) {
        let policy = decision.policy.as_ref().and_then(|name| policies.policies.iter().find(|policy| policy.name == *name));
        if let Some(policy) = policy {
            surprises.consider_orphan(decision, policy, now);
        }
    }
    brake::apply(&surprises, snapshot, &ground, &mut state, &mut draft);
    quota::keep(snapshot, &ground, &mut draft);
    schemas::keep(snapshot, &ground, key_is_usable, &mut draft);
    money::check_prices(snapshot, policies, &mut draft);
    billing::check(snapshot, &mut draft);
    let tariff = Arc::new(money::tariff(snapshot, policies, now));
    accrual::keep(snapshot, &ground, &tariff, &mut draft);
    idle::remember(&ground, &mut draft);

    let interrupted = snapshot.state.enforced_since.keys().filter(|namespace| !state.enforced_since.contains_key(*namespace)).cloned().collect();
    if snapshot.state.paused.is_some() {
        // Paused: nothing is written, so nothing may be remembered either; what would have been done is still shown.
        draft.block_all(BlockedBy::Pause);
        state = snapshot.state.clone();
    }
    Plan {
        now,
        revision: policies.revision.clone(),
        applicable: snapshot.origin == Origin::Live,
        evidence: snapshot.evidence.clone(),
        decisions: draft.decisions,
        next_wakeup: draft.next,
        state,
        interrupted,
        withdrawn,
        tariff,
    }
}

/// A plan that is being made.
struct Draft {
    decisions: Vec<Decision>,
    next: Option<Timestamp>,
    now: Timestamp,
}

impl Draft {
    /// Something changes by itself at `at`: look again then.
    fn wake_at(&mut self, at: Timestamp) {
        if at > self.now && self.next.is_none_or(|next| at < next) {
            self.next = Some(at);
        }
    }

    fn alert(&mut self, policy: Option<&Arc<str>>, target: Target, reason: Reason) {
        self.decisions.push(Decision::new(Action::Alert, policy, target, reason));
    }

    fn block_all(&mut self, by: BlockedBy) {
        for decision in &mut self.decisions {
            let writes = matches!(decision.action, Action::Warn | Action::Delete | Action::Mark | Action::Unmark | Action::Create | Action::Update);
            if writes && decision.blocked_by != Some(BlockedBy::Audit) {
                decision.blocked_by = Some(by);
            }
            decision.work = None;
        }
    }
}

fn hold(clone: &Arc<WordPressClone>, reason: Reason) -> Decision {
    Decision::new(Action::Hold, None, Target::Clone(Arc::clone(clone)), reason)
}

/// One that somebody has deleted already: nothing is left to decide, whoever governs it.
fn going(clone: &Arc<WordPressClone>) -> Decision {
    let since = clone.meta.terminating.unwrap_or(clone.meta.created);
    Decision::new(Action::Keep, None, Target::Clone(Arc::clone(clone)), Reason::Terminating(since))
}

/// The verdict on one clone under its policy.
fn decide(
    clone: &Arc<WordPressClone>,
    policy: &Arc<ClonePolicy>,
    enforced: Enforced,
    life: Lifetime,
    ground: &Ground<'_>,
    draft: &mut Draft,
) -> Decision {
    let now = draft.now;
    let decision = |action, reason| Decision::new(action, Some(&policy.name), Target::Clone(Arc::clone(clone)), reason);
    if let Some(since) = clone.meta.terminating {
        return decision(Action::Keep, Reason::Terminating(since));
    }
    for (field, text) in lifetime::unreadable(clone) {
        draft.alert(Some(&policy.name), Target::Clone(Arc::clone(clone)), Reason::UnreadableValue(field, text.into()));
    }
    let audit = policy.mode == Mode::Audit;
    let part = ground.kept_part(clone);
    if clone.keep == Reading::Value(true) || part.is_some() {
        if now >= life.ceiling {
            draft.alert(Some(&policy.name), Target::Clone(Arc::clone(clone)), Reason::KeptPastCeiling(life));
        } else {
            draft.wake_at(life.ceiling);
        }
        // A kept clone is promised no end: a lifted keep is a first sight.
        let work = (!audit && lifetime::says_an_end(clone)).then_some(Work::Annotate(Write::Withdraw));
        return decision(Action::Keep, Reason::Kept(life, part.filter(|_| clone.keep != Reading::Value(true)).map(Into::into))).with(work);
    }
    if let Some(reason) = ground.no_end(clone) {
        return decision(Action::Hold, reason);
    }
    let announced = lifetime::announcement(clone, enforced, now).filter(|_| !ground.is_withdrawn(clone));
    let (life, unused) = match ground.uses.judge(clone, policy, life, announced, now) {
        Idle::No => (life, None),
        Idle::Found(life, unused) => (life, Some(Work::Unused(unused))),
        Idle::Lost(_, source, lack) if announced.is_some_and(|end| end <= now) => {
            return decision(Action::Hold, Reason::EvidenceMissing(source, lack));
        }
        Idle::Lost(life, ..) => (life, None),
    };
    let step = lifetime::judge(life.end, announced, policy.ttl.grace.get(), now);
    if audit {
        return match step {
            Step::Delete { announced, .. } => decision(Action::Delete, Reason::Expired(life, announced)).with(unused).in_audit(),
            Step::Announce(at) if life.end <= now => {
                let write = announce(clone, policy, enforced, life, at, now);
                decision(Action::Warn, Reason::WouldAnnounce(life, at)).with(Work::Annotate(write)).in_audit()
            }
            Step::Announce(_) => {
                draft.wake_at(life.end);
                decision(Action::Keep, Reason::Living(life))
            }
            Step::Wait => {
                let at = announced.unwrap_or(life.end);
                draft.wake_at(at);
                decision(Action::Keep, if at > life.end { Reason::LivingOn(life, at) } else { Reason::Living(life) })
            }
        };
    }
    match step {
        Step::Delete { announced, .. } => decision(Action::Delete, Reason::Expired(life, announced)).with(unused),
        Step::Announce(at) => {
            draft.wake_at(at);
            let reason = if at > life.end { Reason::GraceAnnounced(life, at) } else { Reason::Announced(life, at, announced) };
            decision(Action::Warn, reason).with(Work::Annotate(announce(clone, policy, enforced, life, at, now)))
        }
        Step::Wait => {
            let at = announced.unwrap_or(life.end);
            draft.wake_at(at);
            if let Some(next) = lifetime::next_warning(at, &policy.ttl, now) {
                draft.wake_at(next);
            }
            match lifetime::warning_due(clone, at, &policy.ttl, now) {
                Some(before) => {
                    let reason = Reason::ExpiresSoon(life, at, before);
                    decision(Action::Warn, reason).with(Work::Annotate(Write::Warned(at, before)))
                }
                None if at > life.end => decision(Action::Keep, Reason::LivingOn(life, at)),
                None => decision(Action::Keep, Reason::Living(life)),
            }
        }
    }
}

/// What announces on a clone that it ends at `at`.
fn announce(clone: &WordPressClone, policy: &ClonePolicy, enforced: Enforced, life: Lifetime, at: Timestamp, now: Timestamp) -> Write {
    let because = match life.cause {
        Cause::Idle(since, _) => Because::Unused(since),
        _ if clone.unused_since == Reading::Absent => Because::Nothing,
        _ => Because::UsedAgain,
    };
    // Dates are whole seconds: a warning that falls due within one is given with the announcement.
    let warning = lifetime::warning_due(clone, at, &policy.ttl, crate::model::later(now, SignedDuration::from_secs(1)));
    // Never dated before what it has to come after to count: another holder's clock may have been ahead of ours.
    let said = match enforced {
        Enforced::Since(since) => now.max(clone.meta.created).max(since),
        Enforced::No | Enforced::Audited | Enforced::Always => now.max(clone.meta.created),
    };
    Write::Announce(at, said, warning, because)
}

impl Decision {
    /// The same, which nobody but a person has carried out: in audit mode nothing is announced and nothing goes by itself.
    fn in_audit(self) -> Self {
        Self { blocked_by: Some(BlockedBy::Audit), ..self }
    }

    /// Whether this is the end of a clone that was not announced as what it was computed to be, or of an orphan.
    #[must_use]
    pub fn is_surprise(&self) -> bool {
        match (self.action, &self.reason) {
            (Action::Delete, Reason::Expired(life, announced)) => *announced > life.end,
            // One that was asked for before is none a second time.
            (Action::Delete, Reason::OwnerGone(..) | Reason::SnapshotExpired(..)) => !self.was_asked_for(),
            _ => false,
        }
    }
}

impl Lifetime {
    /// The same life, brought to its end by a limit: what is over it may go as soon as that has been announced.
    fn over_limit(self) -> Self {
        Self { end: crate::model::ceil_to_second(self.created), cause: Cause::OverLimit, ..self }
    }
}
