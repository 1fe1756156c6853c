//! The objects that the daemon writes for people and for itself: [`Orphan`] and [`CloneUsage`], and their CRDs.
//!
//! Contract: both are cluster-scoped, so that they outlive the namespace that they tell of. `spec` says what the object is
//! about and never changes; `status` is the daemon's. Money is USD as a decimal string: a float would lose cents. What is on
//! them is written by the daemon; the annotations `clonewarden.io/keep` and `clonewarden.io/release` on an `Orphan` are for people.
//!
//! The schemas are generated from these types: a field that is not here is pruned by the API server.

#![expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]

use jiff::Timestamp;
use kube::{CustomResource, CustomResourceExt};
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Something that a clone left behind and that is judged to be nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "clonewarden.io",
    version = "v1alpha1",
    kind = "Orphan",
    plural = "orphans",
    shortname = "orph",
    category = "clonewarden",
    status = "OrphanStatus",
    doc = "Something that a clone left behind: an object in the cluster, a database in AWS, a schema on a shared host. It goes after it has stayed an orphan for the soak, unless somebody vetoes it with the annotation clonewarden.io/keep: \"true\".",
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.target.kind", description = "What it is."),
    printcolumn(name = "Id", type_ = "string", json_path = ".spec.id", description = "How a person calls it."),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "How far it has come."),
    printcolumn(name = "Cost/h", type_ = "string", json_path = ".status.costPerHour", description = "USD an hour."),
    printcolumn(name = "Deletes-At", type_ = "string", json_path = ".status.deletesAt", description = "When it goes if nothing happens."),
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy", priority = 1, description = "The policy that governs it."),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason.code", priority = 1, description = "Why it is an orphan."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct OrphanSpec {
    /// How a person calls it: namespace/name, or the identifier in AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What was left behind.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "what an Orphan is about never changes"}]))]
    pub target: OrphanTarget,
    /// Whose it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OrphanOwner>,
    /// The policy that governs it. Remembered, since its namespace may be gone; none: it is recorded and never deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// What was left behind: an object in the cluster (apiVersion, namespace, name, uid), something in AWS (provider, region, arn,
/// id, resourceId), or a schema on a shared host (provider, host, name).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanTarget {
    /// Its kind, such as Job, DBInstance or Schema.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// Group and version of an object in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The namespace of an object in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of an object in the cluster, or of a schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The uid of an object in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Where it is, if it is not in the cluster: aws or mysql.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The region in AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The ARN in AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// The identifier in AWS: a name, which may be used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The id that AWS gave to this very resource, such as DbiResourceId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The shared host that a schema is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// The clone that an orphan was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanOwner {
    /// The clone's uid.
    pub uid: String,
    /// The clone's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The clone's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How far an orphan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrphanPhase {
    /// It is recorded, and nothing more: no policy is known for it, or the policy is in audit mode.
    Marked,
    /// It has to stay an orphan for a while.
    Soaking,
    /// Something speaks against judging it, or somebody vetoed it.
    Held,
    /// It may go, once its absence of an owner has been proved anew.
    Due,
    /// Its deletion was asked for.
    Deleting,
}

/// What the daemon knows of an orphan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanStatus {
    /// How far it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<OrphanPhase>,
    /// Why it is an orphan, or why it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
    /// When it was first seen to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub first_seen: Option<Timestamp>,
    /// When it was last seen to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub last_seen: Option<Timestamp>,
    /// How often it was seen to be one, in all.
    #[serde(default)]
    #[schemars(schema_with = "count")]
    pub observations: u32,
    /// The soak that runs now. It starts anew when audit becomes enforce, and when this CRD was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Soak>,
    /// When it goes if nothing happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub deletes_at: Option<Timestamp>,
    /// What it costs, in USD an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub cost_per_hour: Option<Decimal>,
    /// The final snapshot, if one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_snapshot: Option<FinalSnapshot>,
    /// What the verdict stands on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["source"]))]
    pub evidence: Vec<StatusEvidence>,
    /// Conditions: Due, Held, Snapshotted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How long something has been an orphan without a break, against how long it must have been one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Soak {
    /// Since when it counts.
    #[schemars(schema_with = "moment")]
    pub since: Timestamp,
    /// How often it was seen since then.
    #[schemars(schema_with = "count")]
    pub observations: u32,
    /// How long it must last, such as 1h; as the policy said when it began.
    pub duration: String,
    /// How often it must have been seen; as the policy said when it began.
    #[schemars(schema_with = "count")]
    pub observations_needed: u32,
}

/// The snapshot that was taken before a database went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinalSnapshot {
    /// Its identifier in AWS.
    pub id: String,
    /// When it goes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub expires_at: Option<Timestamp>,
}

/// A reason code with its sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReason {
    /// The code, in CamelCase.
    pub code: String,
    /// The sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How well one source was known when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusEvidence {
    /// The source, such as clones or rds/us-east-1.
    pub source: String,
    /// Whether everything that is there was seen.
    pub complete: bool,
    /// When it was seen.
    #[schemars(schema_with = "moment")]
    pub observed_at: Timestamp,
    /// Why it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A condition, as everywhere in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[schemars(length(min = 1, max = 316))]
    pub r#type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in CamelCase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when it has this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub last_transition_time: Option<Timestamp>,
    /// The generation of the object that it was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// It is not known.
    Unknown,
}

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

/// A moment, RFC 3339.
fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// USD as a decimal string; a correction may be negative.
fn money(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 40, "pattern": r"^-?[0-9]+(\.[0-9]+)?$"})
}

/// A decimal string that is never negative.
fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 40, "pattern": r"^[0-9]+(\.[0-9]+)?$"})
}

/// A count. Kubernetes knows no unsigned formats.
fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}

/// The CRDs of our own kinds, each with the name of the file under `deploy/crds` that holds it.
///
/// # Errors
/// When one of them cannot be written as YAML.
pub fn crds() -> Result<Vec<(&'static str, String)>, serde_saphyr::SerializeError> {
    let header = "# Written by `clonewarden crds`: change the types, not this file.\n";
    let yaml = |crd| serde_saphyr::to_string(&crd).map(|text| format!("{header}{text}"));
    Ok(vec![("orphans.yaml", yaml(Orphan::crd())?), ("cloneusages.yaml", yaml(CloneUsage::crd())?)])
}
