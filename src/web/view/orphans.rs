//! What clones left behind: the evidence, how long it soaks, when it goes, and what stands against that.

use super::{Look, namespace_of};
use crate::{
    lifecycle::summary::Moment,
    model::orphan::{
        OrphanRecord,
        status::{OrphanPhase, OrphanStatus, StatusEvidence, StatusReason, count, money},
    },
    plan::{Action, BlockedBy, Decision, Target},
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashSet;

/// How many are listed, those that go first first.
const LISTED: usize = 100;

/// What clones left behind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Orphans {
    /// How many there are, without those that are gone.
    #[schemars(schema_with = "count")]
    pub(crate) total: usize,
    /// What they cost, USD an hour, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) per_hour: Option<Decimal>,
    /// Those that go first, then the others.
    pub(crate) items: Vec<Orphan>,
}

/// Something that a clone left behind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OrphanShown")]
pub(crate) struct Orphan {
    /// What it is, such as Job, DBInstance or Schema.
    pub(crate) kind: String,
    /// How a person calls it: namespace/name, or its identifier.
    pub(crate) id: String,
    /// Where it is: a region of AWS, a shared host, or the cluster.
    pub(crate) place: String,
    /// The `Orphan` object that says so, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<String>,
    /// The namespace of the clone that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// That clone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clone: Option<String>,
    /// The policy that governs it; none: it is recorded and never deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// How far it has come: Marked, Soaking, Held, Due or Deleting.
    pub(crate) phase: &'static str,
    /// Why it is an orphan, or why it is held.
    pub(crate) reason: StatusReason,
    /// When it was first seen to be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) first_seen: Option<Timestamp>,
    /// When it was last seen to be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) last_seen: Option<Timestamp>,
    /// How often it was seen to be one.
    #[schemars(schema_with = "count")]
    pub(crate) observations: u32,
    /// How often it must be seen before it goes, where a soak runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "count")]
    pub(crate) observations_needed: Option<u32>,
    /// When it goes if nothing happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) deletes_at: Option<Timestamp>,
    /// What it costs, USD an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) cost_per_hour: Option<Decimal>,
    /// The final snapshot that is, or is to be, taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) final_snapshot: Option<String>,
    /// Somebody vetoed its end, by the annotation `clonewarden.io/keep`.
    pub(crate) vetoed: bool,
    /// The words of whoever refuses its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// What holds back its end: audit, brake or pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blocked_by: Option<&'static str>,
    /// What the verdict stands on.
    pub(crate) evidence: Vec<StatusEvidence>,
}

impl Orphans {
    pub(super) fn of(look: &Look<'_>) -> Self {
        let judged = look.decisions().filter_map(|decision| {
            let course = decision.course()?;
            let shown = Orphan::new(look, &course.status, course.record.as_deref())?;
            Some(shown.judged(decision, look))
        });
        // One that cannot be seen this time is what was written on it last; one that is unmarked now is none.
        let courses = look.plan.decisions.iter().filter_map(|decision| decision.course()?.record.as_ref());
        let unmarked = look.plan.decisions.iter().filter(|decision| decision.action == Action::Unmark).filter_map(|decision| decision.target.meta());
        let said: HashSet<&str> = courses.map(|record| record.meta.uid.as_ref()).chain(unmarked.map(|meta| meta.uid.as_ref())).collect();
        let unjudged = look.snapshot.orphans.iter().filter(|record| !said.contains(&*record.meta.uid) && look.may_see(record.namespace.as_deref()));
        let unjudged = unjudged.filter_map(|record| Orphan::new(look, record.status.as_deref()?, Some(record)));
        let mut items: Vec<Orphan> = judged.chain(unjudged).collect();
        items.sort_by_key(|orphan| (orphan.deletes_at.is_none(), orphan.deletes_at));
        let total = items.len();
        let per_hour = items.iter().filter_map(|orphan| orphan.cost_per_hour).reduce(Decimal::saturating_add).map(|usd| usd.round_dp(6).normalize());
        items.truncate(LISTED);
        Self { total, per_hour, items }
    }
}

impl Orphan {
    /// What its `Orphan` says; `None`: it is gone.
    fn new(look: &Look<'_>, status: &OrphanStatus, record: Option<&OrphanRecord>) -> Option<Self> {
        let phase = status.phase.filter(|phase| *phase != OrphanPhase::Deleted)?;
        let text = |of: fn(&OrphanRecord) -> Option<&str>| record.and_then(of).map(str::to_owned);
        let place = text(|record| record.region.as_deref()).or_else(|| text(|record| Some(record.schema()?.0)));
        Some(Self {
            kind: text(|record| Some(&record.kind)).unwrap_or_default(),
            id: text(|record| record.id.as_deref())
                .or_else(|| text(|record| Some(record.schema()?.1)))
                .or_else(|| text(|record| Some(record.meta.name())))
                .unwrap_or_default(),
            place: place.unwrap_or_else(|| "cluster".to_owned()),
            record: text(|record| Some(record.meta.name())),
            namespace: text(|record| record.namespace.as_deref()),
            clone: None,
            policy: text(|record| record.policy.as_deref()),
            phase: phase.word(),
            reason: status
                .reason
                .as_ref()
                .map(|told| StatusReason { message: look.sentence(&told.code, &told.message), ..told.clone() })
                .unwrap_or_default(),
            first_seen: status.first_seen,
            last_seen: status.last_seen,
            observations: status.observations,
            observations_needed: status.soak.as_ref().map(|soak| soak.observations_needed),
            deletes_at: status.deletes_at,
            cost_per_hour: status.cost_per_hour,
            final_snapshot: status.final_snapshot.as_ref().map(|snapshot| snapshot.id.clone()),
            vetoed: record.is_some_and(|record| record.keep),
            refused: look.words(status.refusal().map(str::to_owned)),
            blocked_by: None,
            evidence: look.grounds(&status.evidence),
        })
    }

    /// The same, as it was judged this time.
    fn judged(self, decision: &Decision, look: &Look<'_>) -> Self {
        let seen = !matches!(decision.target, Target::Orphan(_));
        let place = match &decision.target {
            Target::Cloud(resource) => Some(resource.region.to_string()),
            Target::Schema(schema) => Some(schema.host.to_string()),
            _ => None,
        };
        Self {
            kind: if seen { decision.target.kind().to_owned() } else { self.kind },
            id: if seen { decision.target.display() } else { self.id },
            place: place.unwrap_or(self.place),
            namespace: namespace_of(decision).map(str::to_owned).or(self.namespace),
            clone: decision.course().and_then(|course| course.owner.name.as_deref()).map(str::to_owned),
            policy: decision.policy.as_deref().map(str::to_owned).or(self.policy),
            blocked_by: look.blocked(decision).filter(|_| decision.action != Action::Hold).map(BlockedBy::word),
            ..self
        }
    }
}
