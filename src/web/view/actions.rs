//! What this process did last, as its journal tells it.

use super::{Look, Thing};
use crate::model::{
    journal::Line,
    orphan::status::{count, moment, money},
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

/// How many are listed.
const LISTED: usize = 100;

/// What this process did last.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Actions {
    /// Whether this process acts. One that stands by does nothing of its own accord; the journal of the one that acts has it.
    pub(crate) acting: bool,
    /// How many are told here; the journal keeps all of them.
    #[schemars(schema_with = "count")]
    pub(crate) total: usize,
    /// The newest first.
    pub(crate) items: Vec<Deed>,
}

/// Something that was done, or happened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deed {
    /// When.
    #[schemars(schema_with = "moment")]
    pub(crate) at: Timestamp,
    /// What happened, as in the journal: acted, applied, gone, leaseAcquired, …
    pub(crate) event: String,
    /// What was decided: delete, warn, mark, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    /// About what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Thing>,
    /// The reason code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// Why, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// How it ended: done, begun, gone, conflict or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<String>,
    /// What was answered, where it did not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// What that saved, USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub(crate) saved: Option<Decimal>,
}

impl Actions {
    pub(super) fn of(look: &Look<'_>) -> Self {
        let deeds = look.standing.deeds.iter().filter(|line| look.may_see_line(line));
        let items: Vec<Deed> = deeds.take(LISTED).map(|line| Deed::of(look, line)).collect();
        Self { acting: look.standing.acts, total: items.len(), items }
    }
}

fn namespace(line: &Line) -> Option<&str> {
    let whose = line.clone.as_ref().and_then(|whose| whose.namespace.as_deref());
    whose.or_else(|| Some(line.target("namespace")).filter(|namespace| !namespace.is_empty()))
}

impl Deed {
    fn of(look: &Look<'_>, line: &Line) -> Self {
        let (kind, name) = (line.target("kind"), [line.target("id"), line.target("name"), line.target("host")]);
        let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let path = match line.target("namespace") {
            "" => name.to_owned(),
            namespace => format!("{namespace}/{name}"),
        };
        let target = Thing { kind: kind.to_owned(), name: path, namespace: namespace(line).map(str::to_owned) };
        Self {
            at: line.time,
            event: line.event.clone(),
            action: line.action.clone(),
            target: (!kind.is_empty()).then_some(target),
            code: line.reason.as_ref().map(|reason| reason.code.clone()),
            message: line.reason.as_ref().map(|reason| look.sentence(&reason.code, &reason.message)),
            outcome: line.outcome.clone(),
            detail: look.words(line.detail.clone()),
            saved: line.cost.as_ref().and_then(|cost| cost.saved),
        }
    }
}
