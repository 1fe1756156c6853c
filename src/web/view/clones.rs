//! The clones, what is due first first: how each is, what it has, when it ends and why, and what it costs.

use super::{Filter, Look, Why};
use crate::{
    lifecycle::summary::Moment,
    model::{
        Child, Database, Kind, Source, WordPressClone,
        journal::Cost,
        orphan::status::{count, moment},
    },
    plan::{
        Action, BlockedBy, Decision, Reason, Target, accrual,
        working::{Sight, State, Told},
    },
    policy::Mode,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// How many clones are shown where nobody says how many.
pub(crate) const USUAL: usize = 200;
/// How many may be asked for at once.
pub(crate) const MOST: usize = 1_000;

/// The clones.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Clones {
    /// How many governed clones may be seen.
    #[schemars(schema_with = "count")]
    pub(crate) total: usize,
    /// How many of them are what was asked for.
    #[schemars(schema_with = "count")]
    pub(crate) matching: usize,
    /// `after` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// Those that are shown.
    pub(crate) items: Vec<Clone>,
}

/// One clone.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CloneShown")]
pub(crate) struct Clone {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its UID: a clone made again under its name has another.
    pub(crate) uid: String,
    /// Whose it is, once admission has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// The policy that governs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// How it is: `works`, `starting`, `broken`, `terminating` or `unknown` (nothing speaks against it, but not everything is seen).
    #[schemars(extend("enum" = State::WORDS))]
    pub(crate) state: &'static str,
    /// What is missing, wrong, left or not seen.
    pub(crate) state_why: Vec<String>,
    /// What it keeps its data in.
    pub(crate) database: DatabaseShown,
    /// When it was created.
    #[schemars(schema_with = "moment")]
    pub(crate) created_at: Timestamp,
    /// When it ends, as things are; missing: it is kept, it is on its way out already, or nothing is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) ends_at: Option<Timestamp>,
    /// The end that is announced on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) announced_end: Option<Timestamp>,
    /// Somebody keeps it: nothing ends it.
    pub(crate) kept: bool,
    /// What it costs, by the prices of now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Cost>,
    /// The verdict: `keep`, `warn`, `delete` or `hold`.
    pub(crate) verdict: &'static str,
    /// Why the daemon does not end it although its policy would: audit, brake or pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blocked_by: Option<&'static str>,
    /// Why that is the verdict.
    pub(crate) reason: Why,
    /// What a person should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) alerts: Vec<Why>,
}

/// What a clone keeps its data in.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Database")]
pub(crate) struct DatabaseShown {
    /// `shared`, `dedicated` or `serverless`.
    #[schemars(extend("enum" = ["shared", "dedicated", "serverless"]))]
    pub(crate) kind: &'static str,
    /// The shared host, the instance class, or the range of capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// Where a clone stands among the others: by when it ends, then by its name.
type Place<'a> = (i64, &'a str);

struct Row<'a> {
    place: Place<'a>,
    decision: &'a Decision,
    clone: &'a Arc<WordPressClone>,
}

impl Clones {
    pub(super) fn of(look: &Look<'_>) -> Self {
        let rows = look.decisions().filter_map(|decision| match &decision.target {
            Target::Clone(clone) if decision.action != Action::Alert => {
                Some(Row { place: (due(clone, decision), clone.meta.path()), decision, clone })
            }
            _ => None,
        });
        let mut rows: Vec<Row<'_>> = rows.collect();
        let total = rows.len();
        let wanted = Wanted::of(look.filter);
        rows.retain(|row| wanted.takes(row));
        let matching = rows.len();
        if let Some((due, path)) = look.filter.after.as_deref().and_then(place) {
            rows.retain(|row| row.place > (due, path));
        }
        rows.sort_unstable_by(|one, other| one.place.cmp(&other.place));
        let limit = look.filter.limit.clamp(1, MOST);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| format!("{}:{}", row.place.0, row.place.1));
        let around = Around::of(look, &rows);
        Self { total, matching, next, items: rows.iter().map(|row| row.shown(look, &around)).collect() }
    }
}

/// When a clone ends, as things are.
pub(super) fn ends_at(clone: &WordPressClone, decision: &Decision) -> Option<Timestamp> {
    match (decision.action, &decision.reason) {
        (_, Reason::Kept(..) | Reason::Terminating(_)) => None,
        (Action::Hold, _) => clone.expires_at.value().copied(),
        (_, reason) => reason.end(),
    }
}

/// What is on its way out comes first, what has no end last.
fn due(clone: &WordPressClone, decision: &Decision) -> i64 {
    match ends_at(clone, decision) {
        Some(end) => end.as_millisecond(),
        None if clone.meta.terminating.is_some() => i64::MIN,
        None => i64::MAX,
    }
}

/// Reads what stands in `after`.
fn place(text: &str) -> Option<Place<'_>> {
    let (due, path) = text.split_once(':')?;
    Some((due.parse().ok()?, path))
}

/// Which clones are asked for.
struct Wanted<'a> {
    namespace: Option<&'a str>,
    owner: Option<&'a str>,
    text: Option<String>,
}

impl<'a> Wanted<'a> {
    fn of(filter: &'a Filter) -> Self {
        Self { namespace: filter.namespace.as_deref(), owner: filter.owner.as_deref(), text: filter.text.as_deref().map(str::to_lowercase) }
    }

    fn takes(&self, row: &Row<'_>) -> bool {
        let clone = row.clone;
        self.namespace.is_none_or(|namespace| namespace == clone.meta.namespace())
            && self.owner.is_none_or(|owner| clone.owner.as_deref() == Some(owner))
            && self.text.as_deref().is_none_or(|text| {
                let database = DatabaseShown::of(&clone.database, &HashMap::new());
                let texts = [
                    clone.meta.path(),
                    clone.owner.as_deref().unwrap_or_default(),
                    row.decision.policy.as_deref().unwrap_or_default(),
                    database.kind,
                    database.detail.as_deref().unwrap_or_default(),
                    row.decision.action.word(),
                    row.decision.reason.code(),
                    &clone.meta.uid,
                ];
                texts.iter().any(|said| said.to_lowercase().contains(text))
            })
    }
}

/// What is known around the clones that are shown.
struct Around<'a> {
    children: HashMap<&'a str, Vec<&'a Child>>,
    alerts: HashMap<&'a str, Vec<&'a Decision>>,
    unseen: BTreeMap<Kind, String>,
    /// The names of the shared hosts, by their addresses.
    hosts: HashMap<&'a str, &'a str>,
}

impl<'a> Around<'a> {
    fn of(look: &Look<'a>, rows: &[Row<'a>]) -> Self {
        let mut children: HashMap<&str, Vec<&Child>> = rows.iter().map(|row| (row.clone.meta.uid.as_ref(), Vec::new())).collect();
        for child in &look.snapshot.children {
            if let Some(theirs) = child.owner.as_ref().and_then(|owner| children.get_mut(&*owner.uid)) {
                theirs.push(child);
            }
        }
        let mut alerts: HashMap<&str, Vec<&Decision>> = HashMap::new();
        for decision in look.plan.decisions.iter().filter(|decision| decision.action == Action::Alert) {
            if let Target::Clone(clone) = &decision.target {
                alerts.entry(&clone.meta.uid).or_default().push(decision);
            }
        }
        let kinds = [Kind::Clone, Kind::Job, Kind::Pod, Kind::DbInstance, Kind::DbCluster];
        let lack = |kind: Kind| {
            let lack = look.words(look.plan.evidence.lack(&Source::Objects(kind), look.now()))?;
            Some((kind, format!("{}: {lack}", kind.source())))
        };
        let hosts = look.policies.hosts.iter().map(|host| (host.address().as_ref(), host.name.as_str())).collect();
        Self { children, alerts, unseen: kinds.into_iter().filter_map(lack).collect(), hosts }
    }

    fn state(&self, look: &Look<'_>, clone: &WordPressClone, decision: &Decision) -> State {
        let told = Told { secret: clone.secret_name(), has_secret: clone.has_credentials(), ..Told::default() };
        let children = self.children.get(&*clone.meta.uid).cloned().unwrap_or_default();
        let secret_awaited = look.policy(decision).is_some_and(|policy| policy.mode == Mode::Enforce);
        Sight { clone, told: &told, children, unseen: &self.unseen, refused: None, secret_awaited }.state(look.now())
    }
}

impl<'a> Row<'a> {
    fn shown(&self, look: &Look<'a>, around: &Around<'a>) -> Clone {
        let (clone, decision, now) = (self.clone, self.decision, look.now());
        let state = around.state(look, clone, decision);
        let alerts = around.alerts.get(&*clone.meta.uid).into_iter().flatten().filter(|alert| !matches!(alert.reason, Reason::Broken(_)));
        Clone {
            namespace: clone.meta.namespace().to_owned(),
            name: clone.meta.name().to_owned(),
            uid: clone.meta.uid.to_string(),
            owner: clone.owner.as_deref().map(str::to_owned),
            policy: decision.policy.as_deref().map(str::to_owned),
            state: state.word(),
            state_why: state.why().to_vec(),
            database: DatabaseShown::of(&clone.database, &around.hosts),
            created_at: clone.meta.created,
            ends_at: ends_at(clone, decision),
            announced_end: clone.announced_at.value().and(clone.expires_at.value()).copied(),
            kept: matches!(decision.reason, Reason::Kept(..)),
            cost: look.tariff_known().then(|| accrual::spent(&look.rates.of_database(&clone.database), clone.meta.created, now)).flatten(),
            verdict: decision.action.word(),
            blocked_by: look.blocked(decision).filter(|_| decision.action != Action::Hold).map(BlockedBy::word),
            reason: look.why(decision),
            alerts: alerts.map(|alert| look.why(alert)).collect(),
        }
    }
}

impl Look<'_> {
    /// By half a tariff nothing is counted.
    fn tariff_known(&self) -> bool {
        self.plan.tariff.lack.is_none()
    }
}

impl DatabaseShown {
    fn of(database: &Database, hosts: &HashMap<&str, &str>) -> Self {
        match database {
            Database::Shared(host) => {
                let named = host.as_deref().map(|address| hosts.get(address).map_or(address, |name| *name));
                Self { kind: "shared", detail: named.map(str::to_owned) }
            }
            Database::Dedicated(class) => Self { kind: "dedicated", detail: Some(class.to_string()) },
            Database::Serverless(least, most) => Self { kind: "serverless", detail: Some(format!("{least} to {most} ACU")) },
        }
    }
}
