//! How the policy files are written: `ClonePolicy` and `DatabaseHost` of `clonewarden.io/v1alpha1`.
//!
//! Contract: these types mirror the files and nothing else. Every field may be missing here and every value knows its place;
//! what must be there, and what goes with what, is `lint`'s business, which makes the semantic types out of these.

use super::{
    AtLimit, Mode, Overflow,
    scalar::{Choice, Entries, Leaf, List, Mismatch, Read, Scalar},
};
use crate::model::Span;
use rust_decimal::Decimal;
use serde::{Deserialize, de::IgnoredAny};
use serde_saphyr::Spanned;

/// The version of the files.
pub(super) const API_VERSION: &str = "clonewarden.io/v1alpha1";

/// A part with fields of its own; `part:` with nothing below it is the same as no such line.
pub(super) type Block<T> = Option<Spanned<T>>;

/// What every document has, read first to tell the kinds apart.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Header {
    pub(super) api_version: Leaf<String>,
    pub(super) kind: Leaf<String>,
    pub(super) metadata: Block<HeaderMetadata>,
}

/// The name, whatever else stands there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HeaderMetadata {
    pub(super) name: Leaf<String>,
}

/// A whole document of a known kind.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document<T> {
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    pub(super) metadata: Block<Metadata>,
    pub(super) spec: Block<T>,
}

impl<T> Default for Document<T> {
    fn default() -> Self {
        Self { _api_version: IgnoredAny, _kind: IgnoredAny, metadata: None, spec: None }
    }
}

/// `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: Leaf<String>,
}

/// `spec` of a `ClonePolicy`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PolicySpec {
    pub(super) mode: Leaf<Mode>,
    pub(super) namespaces: Block<Namespaces>,
    pub(super) ttl: Block<Ttl>,
    pub(super) limits: Block<Limits>,
    pub(super) quota: Option<Entries<Quantity>>,
    pub(super) limit_range: Block<LimitRange>,
    pub(super) databases: Block<Vec<Spanned<Rule>>>,
    pub(super) budget: Block<Budget>,
    pub(super) orphans: Block<Orphans>,
    pub(super) brake: Block<Brake>,
}

/// `spec.namespaces`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Namespaces {
    pub(super) names: List<String>,
    pub(super) selector: Block<Selector>,
}

/// `spec.namespaces.selector`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Selector {
    pub(super) match_labels: Option<Entries<String>>,
}

/// `spec.ttl`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Ttl {
    pub(super) default: Leaf<Span>,
    pub(super) minimum: Leaf<Span>,
    pub(super) maximum: Leaf<Span>,
    pub(super) warnings: List<Span>,
    pub(super) grace: Leaf<Span>,
}

/// `spec.limits`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Limits {
    pub(super) clones: Leaf<u32>,
    pub(super) dedicated_databases: Leaf<u32>,
    pub(super) clones_per_owner: Leaf<u32>,
    pub(super) overflow: Leaf<Overflow>,
}

/// `spec.limitRange`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LimitRange {
    pub(super) default: Option<Entries<Quantity>>,
    pub(super) default_request: Option<Entries<Quantity>>,
    pub(super) max: Option<Entries<Quantity>>,
    pub(super) min: Option<Entries<Quantity>>,
}

/// One of `spec.databases`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) name: Leaf<String>,
    pub(super) when: Leaf<String>,
    #[serde(rename = "use")]
    pub(super) outcome: Leaf<Use>,
    pub(super) hosts: List<String>,
    pub(super) classes: List<String>,
    pub(super) serverless: Block<Serverless>,
}

/// `use` of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A schema on a host.
    Shared,
    /// A database of its own.
    Dedicated,
}

/// `serverless` of a rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Serverless {
    #[serde(rename = "minACU")]
    pub(super) min_acu: Leaf<Decimal>,
    #[serde(rename = "maxACU")]
    pub(super) max_acu: Leaf<Decimal>,
}

/// `spec.budget`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Budget {
    pub(super) monthly: Leaf<Decimal>,
    pub(super) warn_at: Leaf<u32>,
    pub(super) at_limit: Leaf<AtLimit>,
}

/// `spec.orphans`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Orphans {
    pub(super) soak: Leaf<Span>,
    pub(super) observations: Leaf<u32>,
    pub(super) final_snapshot: Leaf<bool>,
    pub(super) snapshots_kept_for: Leaf<Span>,
}

/// `spec.brake`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Brake {
    pub(super) deletes: Leaf<u32>,
    pub(super) percent: Leaf<u32>,
    pub(super) per: Leaf<Span>,
}

/// `spec` of a `DatabaseHost`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HostSpec {
    pub(super) endpoint: Leaf<String>,
    pub(super) port: Leaf<u32>,
    pub(super) schemas: Leaf<u32>,
    pub(super) credentials_dir: Leaf<String>,
    pub(super) rds: Block<Rds>,
}

/// `spec.rds` of a `DatabaseHost`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rds {
    pub(super) instance: Leaf<String>,
    pub(super) cluster: Leaf<String>,
}

/// A quantity; Kubernetes takes a plain number too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quantity(pub(super) String);

impl Read for Quantity {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        match scalar {
            Scalar::Text(text) | Scalar::Number(text) => Ok(Self(text)),
            Scalar::Whole(number) => Ok(Self(number.to_string())),
            other => Err(Mismatch::Type("a quantity such as `4`, `250m` or `8Gi`", other, None)),
        }
    }
}

impl Choice for Mode {
    const WORDS: &'static [(&'static str, Self)] = &[("audit", Self::Audit), ("enforce", Self::Enforce)];
}

impl Choice for Overflow {
    const WORDS: &'static [(&'static str, Self)] = &[("report", Self::Report), ("reap-newest", Self::ReapNewest)];
}

impl Choice for AtLimit {
    const WORDS: &'static [(&'static str, Self)] = &[("warn", Self::Warn), ("share", Self::Share), ("deny", Self::Deny)];
}

impl Choice for Use {
    const WORDS: &'static [(&'static str, Self)] = &[("shared", Self::Shared), ("dedicated", Self::Dedicated)];
}
