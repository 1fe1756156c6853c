//! The daemon itself: whether it acts, by which policies, and how well it knows the world.

use super::{Look, mode, namespaces};
use crate::{
    lifecycle::summary::Moment,
    model::{
        Source,
        orphan::status::{count, moment, money},
    },
    plan::{Action, Reason, Target},
    policy::Governing,
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

/// The daemon itself.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    /// When this was decided.
    #[schemars(schema_with = "moment")]
    pub(crate) planned_at: Timestamp,
    /// When everything is looked at again, if nothing happens before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) next_look: Option<Timestamp>,
    /// `acting`: this process holds the lease. `standby`: another one acts, and this one sees the same.
    #[schemars(extend("enum" = ["acting", "standby"]))]
    pub(crate) role: &'static str,
    /// Why this process can write nothing for now, if that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// Set while every write is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paused: Option<Paused>,
    /// The brakes that are on.
    pub(crate) brakes: Vec<BrakeOn>,
    /// Whether time can be trusted: nothing ends by a clock that is wrong.
    pub(crate) clock: Clock,
    /// The policies.
    pub(crate) policies: PolicySet,
    /// The sources of evidence, those that lack something first.
    pub(crate) evidence: Vec<Known>,
    /// The numbers.
    pub(crate) counts: Counts,
}

/// Who stopped every write.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Paused {
    /// Since when.
    #[schemars(schema_with = "moment")]
    pub(crate) since: Timestamp,
    /// In whose words.
    pub(crate) reason: String,
    /// By whom, as far as known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) by: String,
}

/// A brake that is on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrakeOn {
    /// The policy.
    pub(crate) policy: String,
    /// Since when.
    #[schemars(schema_with = "moment")]
    pub(crate) since: Timestamp,
    /// How many ends wait for a person.
    #[schemars(schema_with = "count")]
    pub(crate) waiting: usize,
}

/// Whether time can be trusted.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Clock {
    /// Whether it can.
    pub(crate) trusted: bool,
    /// If not, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lack: Option<String>,
}

/// The policies that decide.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicySet {
    /// `sha256:` of the files.
    pub(crate) revision: String,
    /// Their Git commit, where that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
    /// The files as they stand cannot be loaded: these are the last good ones.
    pub(crate) broken: bool,
    /// Each of them.
    pub(crate) items: Vec<PolicyMode>,
}

/// One policy.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyMode {
    /// Its name.
    pub(crate) name: String,
    /// `audit`: it only says what it would do. `enforce`: it does it.
    #[schemars(extend("enum" = ["audit", "enforce"]))]
    pub(crate) mode: &'static str,
}

/// How well a source of evidence is known.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    /// The source, such as clones or rds/us-east-1.
    pub(crate) source: String,
    /// Whether it suffices to decide by.
    pub(crate) suffices: bool,
    /// When it was last known to be so.
    #[schemars(schema_with = "moment")]
    pub(crate) observed_at: Timestamp,
    /// Why it does not suffice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lack: Option<String>,
}

/// How much there is.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// Clones that a policy governs.
    #[schemars(schema_with = "count")]
    pub(crate) clones: usize,
    /// Clones that no policy governs: nothing is decided about them.
    #[schemars(schema_with = "count")]
    pub(crate) ungoverned: usize,
    /// Clones that are kept by their annotation.
    #[schemars(schema_with = "count")]
    pub(crate) kept: usize,
    /// Clones that nothing ends until more is known.
    #[schemars(schema_with = "count")]
    pub(crate) held: usize,
    /// Clones that do not work.
    #[schemars(schema_with = "count")]
    pub(crate) broken: usize,
    /// Clones that were deleted and are on their way out.
    #[schemars(schema_with = "count")]
    pub(crate) terminating: usize,
    /// Clones with a database of their own.
    #[schemars(schema_with = "count")]
    pub(crate) dedicated: usize,
    /// Findings that a person should look at.
    #[schemars(schema_with = "count")]
    pub(crate) alerts: usize,
    /// What the clones cost, USD an hour, as the ledgers of this month say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) per_hour: Option<Decimal>,
    /// What reaping saved this month, USD, as the ledgers say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) saved: Option<Decimal>,
}

impl Head {
    pub(super) fn of(look: &Look<'_>) -> Self {
        let (plan, state) = (look.plan, &look.plan.state);
        let lack = plan.evidence.lack(&Source::Time, plan.now);
        let is_shown = |policy: &str| look.only.is_none_or(|only| governs(look, policy, only));
        let brakes = state.brakes.iter().filter(|(policy, _)| is_shown(policy)).filter_map(|(policy, brake)| {
            let trip = brake.tripped.as_ref()?;
            let waiting = trip.waiting.values().filter(|path| look.may_see(path.split_once('/').map(|(namespace, _)| namespace)));
            Some(BrakeOn { policy: policy.clone(), since: trip.since, waiting: waiting.count() })
        });
        let policies = look.policies.policies.iter().filter(|policy| is_shown(&policy.name));
        let mut evidence: Vec<Known> = plan
            .evidence
            .iter()
            .map(|(source, evidence)| {
                let lack = look.words(evidence.lack(plan.now));
                Known { source: source.to_string(), suffices: lack.is_none(), observed_at: evidence.observed_at, lack }
            })
            .collect();
        evidence.sort_by_key(|known| known.suffices);
        Self {
            planned_at: plan.now,
            next_look: plan.next_wakeup,
            role: if look.standing.acts { "acting" } else { "standby" },
            trouble: look.words(look.standing.trouble.clone()),
            paused: state.paused.as_ref().map(|pause| Paused {
                since: pause.since,
                reason: look.words(Some(pause.reason.clone())).unwrap_or_default(),
                by: if look.only.is_none() { pause.by.clone() } else { String::new() },
            }),
            brakes: brakes.collect(),
            clock: Clock { trusted: lack.is_none(), lack },
            policies: PolicySet {
                revision: plan.revision.hash.to_string(),
                commit: plan.revision.commit.as_deref().map(str::to_owned),
                broken: look.standing.policies_broken,
                items: policies.map(|policy| PolicyMode { name: policy.name.to_string(), mode: mode(policy) }).collect(),
            },
            evidence,
            counts: Counts::of(look),
        }
    }
}

fn governs(look: &Look<'_>, policy: &str, namespace: &str) -> bool {
    match look.policies.governing(namespace, look.snapshot.namespaces.get(namespace)) {
        Governing::Nobody => false,
        Governing::Policy(one) => *one.name == *policy,
        Governing::Conflict(one, other) => *one.name == *policy || *other.name == *policy,
    }
}

impl Counts {
    fn of(look: &Look<'_>) -> Self {
        let mut counts = Self::default();
        let add = |count: &mut usize| *count = count.saturating_add(1);
        for decision in look.decisions() {
            match (&decision.target, decision.action, &decision.reason) {
                (Target::Clone(_), Action::Alert, Reason::Broken(_)) => {
                    add(&mut counts.broken);
                    add(&mut counts.alerts);
                }
                (_, Action::Alert, _) => add(&mut counts.alerts),
                (Target::Clone(clone), action, reason) => {
                    add(&mut counts.clones);
                    if clone.database.is_dedicated() {
                        add(&mut counts.dedicated);
                    }
                    match (action, reason) {
                        (_, Reason::Kept(..)) => add(&mut counts.kept),
                        (_, Reason::Terminating(_)) => add(&mut counts.terminating),
                        (Action::Hold, _) => add(&mut counts.held),
                        _ => {}
                    }
                }
                (Target::Unreadable(object), Action::Hold, _) if object.kind == crate::model::Kind::Clone => {
                    add(&mut counts.clones);
                    add(&mut counts.held);
                }
                _ => {}
            }
        }
        let there = look.snapshot.clones.iter().filter(|clone| look.may_see(Some(clone.meta.namespace()))).count();
        let unreadable = look.snapshot.unreadable.iter().filter(|object| object.kind == crate::model::Kind::Clone);
        let there = there.saturating_add(unreadable.filter(|object| look.may_see(Some(&object.namespace))).count());
        counts.ungoverned = there.saturating_sub(counts.clones);
        let ledgers = namespaces::ledgers(look);
        let per_hour = ledgers.values().flat_map(|ledger| &ledger.status.owners).map(|owner| owner.per_hour.total);
        counts.per_hour = per_hour.reduce(Decimal::saturating_add).map(|usd| usd.round_dp(4).normalize());
        counts.saved = ledgers.values().filter_map(|ledger| ledger.status.saved).reduce(Decimal::saturating_add);
        counts
    }
}
