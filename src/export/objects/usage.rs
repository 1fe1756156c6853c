//! `CloneUsage`: the durable ledger of one namespace and month. It outlives its namespace.

#![expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]

use crate::model::month::UsageStatus;
use kube::CustomResource;
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
    status = "UsageStatus",
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
