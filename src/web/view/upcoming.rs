//! What will happen, soonest first, if nothing changes: ends of clones, warnings, and the ends of what clones left behind.

use super::{Look, Thing, Why, clones};
use crate::{
    model::{
        later,
        orphan::status::{count, moment},
    },
    plan::{Action, BlockedBy, Decision, Reason, Target, lifetime},
};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// How many are listed.
const LISTED: usize = 50;
/// How far ahead is looked: the longest life that policies usually allow.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// What will happen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Upcoming {
    /// How much of it lies within the next 24 hours.
    #[schemars(schema_with = "count")]
    pub(crate) total: usize,
    /// The next of them.
    pub(crate) items: Vec<Coming>,
}

/// Something that will happen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Coming {
    /// When; what is past is due now.
    #[schemars(schema_with = "moment")]
    pub(crate) at: Timestamp,
    /// What: `delete` or `warn`.
    #[schemars(extend("enum" = ["delete", "warn"]))]
    pub(crate) action: &'static str,
    /// To what.
    pub(crate) target: Thing,
    /// The policy that governs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// What holds it back, as things are: audit, brake or pause. Then it will not happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blocked_by: Option<&'static str>,
    /// Why.
    pub(crate) reason: Why,
}

impl Upcoming {
    pub(super) fn of(look: &Look<'_>) -> Self {
        let end = later(look.now(), AHEAD);
        let mut coming: Vec<(Timestamp, Action, &Decision)> = Vec::new();
        for decision in look.decisions().filter(|decision| !matches!(decision.action, Action::Alert | Action::Hold)) {
            let Some(at) = ends(decision) else { continue };
            if at <= end {
                coming.push((at, Action::Delete, decision));
            }
            let warning = look.policy(decision).filter(|_| matches!(decision.target, Target::Clone(_)) && look.blocked(decision).is_none());
            let warning = warning.and_then(|policy| lifetime::next_warning(at, &policy.ttl, look.now()));
            coming.extend(warning.filter(|at| *at <= end).map(|at| (at, Action::Warn, decision)));
        }
        let total = coming.len();
        coming.sort_by_key(|(at, ..)| *at);
        coming.truncate(LISTED);
        let shown = |(at, action, decision): (Timestamp, Action, &Decision)| Coming {
            at,
            action: action.word(),
            target: Thing::of(decision),
            policy: decision.policy.as_deref().map(str::to_owned),
            blocked_by: look.blocked(decision).map(BlockedBy::word),
            reason: look.why(decision),
        };
        Self { total, items: coming.into_iter().map(shown).collect() }
    }
}

/// When what a decision is about goes, if it does as things are.
fn ends(decision: &Decision) -> Option<Timestamp> {
    match (&decision.target, &decision.reason) {
        (Target::Clone(_), Reason::WouldAnnounce(_, at)) => Some(*at),
        (Target::Clone(clone), _) => clones::ends_at(clone, decision),
        _ => decision.course()?.status.deletes_at,
    }
}
