//! `CloneUsage`: the durable ledger of one namespace and month. It outlives its namespace.

#![expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]

use super::{Condition, StatusEvidence, amount, count, moment, money};
use jiff::Timestamp;
use kube::CustomResource;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the clones of one namespace cost in one month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "clonewarden.io",
    version = "v1alpha1",
    kind = "CloneUsage",
    plural = "cloneusages",
    shortname = "cusage",
    category = "clonewarden",
    status = "CloneUsageStatus",
    doc = "What the clones of one namespace cost in one month (UTC). Named <namespace>-<yyyy-mm>; it outlives its namespace.",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.namespace"),
    printcolumn(name = "Month", type_ = "string", json_path = ".spec.month"),
    printcolumn(name = "Clones", type_ = "integer", json_path = ".status.clones.live", description = "Clones that live now."),
    printcolumn(name = "Accrued", type_ = "string", json_path = ".status.accrued.total", description = "USD so far."),
    printcolumn(name = "Forecast", type_ = "string", json_path = ".status.forecast", description = "USD by the end of the month."),
    printcolumn(name = "Budget", type_ = "string", json_path = ".status.budget.monthly", description = "USD allowed."),
    printcolumn(
        name = "Saved",
        type_ = "string",
        json_path = ".status.saved",
        priority = 1,
        description = "USD that reaped things would have cost."
    ),
    printcolumn(name = "Actual", type_ = "string", json_path = ".status.actual.amount", priority = 1, description = "USD by the bill."),
    printcolumn(name = "As-Of", type_ = "date", json_path = ".status.accruedThrough", description = "Up to when it is counted.")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "what a CloneUsage is about never changes"}]))]
pub struct CloneUsageSpec {
    /// The namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The month (UTC), such as 2026-02.
    #[schemars(length(max = 7), regex(pattern = r"^[0-9]{4}-(0[1-9]|1[0-2])$"))]
    pub month: String,
}

/// The ledger of one namespace and month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloneUsageStatus {
    /// Up to when everything is counted. What comes after it is added by the next checkpoint, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub accrued_through: Option<Timestamp>,
    /// How many clones there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clones: Option<CloneCounts>,
    /// How long clones lived in this month, together, in hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount")]
    pub clone_hours: Option<Decimal>,
    /// What they have cost, by the price book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accrued: Option<Costs>,
    /// What the clones that live now will still cost in this month if each lives to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub committed: Option<Decimal>,
    /// What the month will have cost when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub forecast: Option<Decimal>,
    /// What things that were reaped would have cost until they would otherwise have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub saved: Option<Decimal>,
    /// What the policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<UsageBudget>,
    /// What the bill says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<Actual>,
    /// The revision of the price book that counted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_book: Option<String>,
    /// What the figures stand on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["source"]))]
    pub evidence: Vec<StatusEvidence>,
    /// Conditions: WithinBudget, Reconciled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How many clones a namespace had in a month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloneCounts {
    /// Alive at the checkpoint.
    #[schemars(schema_with = "count")]
    pub live: u32,
    /// Created in the month.
    #[schemars(schema_with = "count")]
    pub created: u32,
    /// Ended in the month.
    #[schemars(schema_with = "count")]
    pub ended: u32,
    /// The most at one time.
    #[schemars(schema_with = "count")]
    pub peak: u32,
}

/// An amount of money with what it is made of, in USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Costs {
    /// All of it.
    #[schemars(schema_with = "money")]
    pub total: Decimal,
    /// Databases, and shares of hosts.
    #[schemars(schema_with = "money")]
    pub databases: Decimal,
    /// Storage.
    #[schemars(schema_with = "money")]
    pub storage: Decimal,
    /// Shares of the compute.
    #[schemars(schema_with = "money")]
    pub compute: Decimal,
    /// Parts of the fixed costs.
    #[schemars(schema_with = "money")]
    pub fixed: Decimal,
}

/// What a policy allows a namespace to cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageBudget {
    /// The policy that says so.
    pub policy: String,
    /// USD a month.
    #[schemars(schema_with = "money")]
    pub monthly: Decimal,
    /// How much of it is used or committed, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount")]
    pub used_percent: Option<Decimal>,
}

/// What a bill says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actual {
    /// USD.
    #[schemars(schema_with = "money")]
    pub amount: Decimal,
    /// Up to when the bill counts.
    #[schemars(schema_with = "moment")]
    pub as_of: Timestamp,
}
