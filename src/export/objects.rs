//! The objects that the daemon writes for people and for itself: [`Orphan`] and [`CloneUsage`], and their CRDs.
//!
//! Contract: both are cluster-scoped, so that they outlive the namespace that they tell of. `spec` says what the object is
//! about and never changes; `status` is the daemon's. Money is USD as a decimal string: a float would lose cents. What is on
//! them is written by the daemon; the annotations `clonewarden.io/keep` and `clonewarden.io/release` on an `Orphan` are for people.
//!
//! The schemas are generated from these types: a field that is not here is pruned by the API server.

#![expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]

mod usage;

pub use usage::{CloneUsage, CloneUsageSpec};

pub use crate::model::orphan::status::{Condition, ConditionStatus, FinalSnapshot, OrphanPhase, OrphanStatus, Soak, StatusEvidence, StatusReason};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
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

/// The CRDs of our own kinds, each with the name of the file under `deploy/base/crds` that holds it.
///
/// # Errors
/// When one of them cannot be written as YAML.
pub fn crds() -> Result<Vec<(&'static str, String)>, serde_saphyr::SerializeError> {
    let header = "# Written by `clonewarden crds`: change the types, not this file.\n";
    let yaml = |mut crd: CustomResourceDefinition| {
        // With a kind everything goes that is remembered by it, vetoes and all: neither an uninstallation nor Argo CD takes it away.
        crd.metadata.labels = Some([("clonewarden.io/stays".to_owned(), "true".to_owned())].into());
        crd.metadata.annotations = Some([("argocd.argoproj.io/sync-options".to_owned(), "Prune=false,Delete=false".to_owned())].into());
        serde_saphyr::to_string(&crd).map(|text| format!("{header}{text}"))
    };
    Ok(vec![("orphans.yaml", yaml(Orphan::crd())?), ("cloneusages.yaml", yaml(CloneUsage::crd())?)])
}
