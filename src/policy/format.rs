//! How the policy files are written: `ClonePolicy` and `DatabaseHost` of `clonewarden.io/v1alpha1`.
//!
//! Contract: these types mirror the files and nothing else. Every field may be missing here and every value knows its place;
//! what must be there, and what goes with what, is `lint`'s business, which makes the semantic types out of these.

use super::{
    AtLimit, Mode, Overflow,
    code::Code,
    scalar::{Choice, Entries, Leaf, List, Mismatch, Read, Scalar},
};
use crate::{cost::book::Table, model::Span};
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, json_schema};
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
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["name"]))]
pub(super) struct Metadata {
    /// The name; one of its kind in the folder.
    pub(super) name: Leaf<String>,
}

/// `spec` of a `ClonePolicy`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["namespaces"]))]
pub(super) struct PolicySpec {
    /// `audit` only says what it would do; `enforce` does it. Default: audit.
    pub(super) mode: Leaf<Mode>,
    /// Which namespaces it governs; a namespace belongs to one policy at most.
    #[schemars(with = "Option<Namespaces>")]
    pub(super) namespaces: Block<Namespaces>,
    /// How long clones live.
    #[schemars(with = "Option<Ttl>")]
    pub(super) ttl: Block<Ttl>,
    /// Ends a clone early that nothing uses. Left out: never.
    #[schemars(with = "Option<Idle>")]
    pub(super) idle: Block<Idle>,
    /// How many clones there may be.
    #[schemars(with = "Option<Limits>")]
    pub(super) limits: Block<Limits>,
    /// What all clones of a namespace may request together: the `hard` of a ResourceQuota.
    pub(super) quota: Option<Entries<Quantity>>,
    /// What a container gets that requests nothing, and its bounds: a LimitRange.
    #[schemars(with = "Option<LimitRange>")]
    pub(super) limit_range: Block<LimitRange>,
    /// Which database a clone gets: the first rule that matches. Without rules: as the clone says, else shared.
    #[schemars(with = "Option<Vec<Rule>>")]
    pub(super) databases: Block<Vec<Spanned<Rule>>>,
    /// What the clones of a namespace may cost a month.
    #[schemars(with = "Option<Budget>")]
    pub(super) budget: Block<Budget>,
    /// What becomes of what dead clones leave behind.
    #[schemars(with = "Option<Orphans>")]
    pub(super) orphans: Block<Orphans>,
    /// How many unannounced ends at once need a person.
    #[schemars(with = "Option<Brake>")]
    pub(super) brake: Block<Brake>,
}

/// `spec.namespaces`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Namespaces {
    /// By name.
    pub(super) names: List<String>,
    /// By labels; `names` and `selector` exclude each other.
    #[schemars(with = "Option<Selector>")]
    pub(super) selector: Block<Selector>,
}

/// `spec.namespaces.selector`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["matchLabels"]))]
pub(super) struct Selector {
    /// Labels that a namespace must all have.
    pub(super) match_labels: Option<Entries<String>>,
}

/// `spec.ttl`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Ttl {
    /// For clones that do not say. Default: 2h, or the maximum where that is less.
    pub(super) default: Leaf<Span>,
    /// No clone lives shorter, whatever it says. Default: 15m.
    pub(super) minimum: Leaf<Span>,
    /// No clone lives longer, extensions included. Default: 24h.
    pub(super) maximum: Leaf<Span>,
    /// How long before its end a clone is warned. Default: 1h, 10m.
    pub(super) warnings: List<Span>,
    /// How long before it happens an end is announced that had not been. Default: 10m.
    pub(super) grace: Leaf<Span>,
}

/// `spec.idle`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["after"]))]
pub(super) struct Idle {
    /// How long nothing must have used the clone's database. Its end is announced with `ttl.grace`, and never before `ttl.minimum`.
    pub(super) after: Leaf<Span>,
}

/// `spec.limits`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Limits {
    /// Live clones in a namespace.
    pub(super) clones: Leaf<u32>,
    /// Live clones in a namespace with a database of their own.
    pub(super) dedicated_databases: Leaf<u32>,
    /// Live clones in a namespace of one owner.
    pub(super) clones_per_owner: Leaf<u32>,
    /// What becomes of clones over the limit that got in while admission was away. Default: report.
    pub(super) overflow: Leaf<Overflow>,
}

/// `spec.limitRange`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LimitRange {
    /// The limits of a container that has none.
    pub(super) default: Option<Entries<Quantity>>,
    /// The requests of a container that has none.
    pub(super) default_request: Option<Entries<Quantity>>,
    /// The most that a container may have.
    pub(super) max: Option<Entries<Quantity>>,
    /// The least that a container may have.
    pub(super) min: Option<Entries<Quantity>>,
}

/// One of `spec.databases`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["name", "use"]))]
pub(super) struct Rule {
    /// What the decision is explained by.
    pub(super) name: Leaf<String>,
    /// A CEL expression over `clone`, `namespace`, `budget` and `hosts`. Left out: always.
    pub(super) when: Leaf<String>,
    /// `shared`: a schema on one of the hosts. `dedicated`: a database of its own.
    #[serde(rename = "use")]
    pub(super) outcome: Leaf<Use>,
    /// The hosts to choose from, by the names of their DatabaseHost documents.
    pub(super) hosts: List<String>,
    /// The instance classes that a clone may choose from; the first where it does not say.
    pub(super) classes: List<String>,
    /// Aurora Serverless v2 in place of an instance class.
    #[schemars(with = "Option<Serverless>")]
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
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["minACU", "maxACU"]))]
pub(super) struct Serverless {
    /// The least capacity, in steps of 0.5.
    #[serde(rename = "minACU")]
    pub(super) min_acu: Leaf<Decimal>,
    /// The greatest capacity, in steps of 0.5.
    #[serde(rename = "maxACU")]
    pub(super) max_acu: Leaf<Decimal>,
}

/// `spec.budget`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["monthly"]))]
pub(super) struct Budget {
    /// USD a month (UTC).
    pub(super) monthly: Leaf<Decimal>,
    /// Percent of it at which to warn. Default: 80.
    pub(super) warn_at: Leaf<u32>,
    /// What a new clone meets that would exceed it. Default: warn.
    pub(super) at_limit: Leaf<AtLimit>,
}

/// `spec.orphans`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Orphans {
    /// How long something must have been an orphan before it goes. Default: 1h.
    pub(super) soak: Leaf<Span>,
    /// How often it must have been seen to be one. Default: 3.
    pub(super) observations: Leaf<u32>,
    /// Whether a database leaves a final snapshot. Default: true.
    pub(super) final_snapshot: Leaf<bool>,
    /// How long final snapshots are kept. Default: 7d.
    pub(super) snapshots_kept_for: Leaf<Span>,
}

/// `spec.brake`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Brake {
    /// More unannounced ends within `per` than this wait for a person. Default: 20.
    pub(super) deletes: Leaf<u32>,
    /// The same, in percent of the policy's clones, from 10 clones on. Default: 50.
    pub(super) percent: Leaf<u32>,
    /// The window. Default: 10m.
    pub(super) per: Leaf<Span>,
}

/// `spec` of a `DatabaseHost`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["endpoint", "schemas"]))]
pub(super) struct HostSpec {
    /// Host name or address.
    pub(super) endpoint: Leaf<String>,
    /// Port. Default: 3306.
    pub(super) port: Leaf<u32>,
    /// How many schemas it has room for.
    pub(super) schemas: Leaf<u32>,
    /// A folder with the files `username` and `password`.
    pub(super) credentials_dir: Leaf<String>,
    /// What it is in RDS.
    #[schemars(with = "Option<Rds>")]
    pub(super) rds: Block<Rds>,
    /// What it costs, USD an hour. Left out: what the price book says of what `rds` names.
    pub(super) cost_per_hour: Leaf<Decimal>,
}

/// `spec.rds` of a `DatabaseHost`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rds {
    /// The identifier of an instance.
    pub(super) instance: Leaf<String>,
    /// The identifier of an Aurora cluster.
    pub(super) cluster: Leaf<String>,
}

/// `spec` of a `PriceBook`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["region", "tables"]))]
pub(super) struct PriceSpec {
    /// The region of AWS that asks for this.
    pub(super) region: Leaf<String>,
    /// The figures, by what they are about.
    #[schemars(with = "Option<Vec<PriceTable>>")]
    pub(super) tables: Block<Vec<Spanned<PriceTable>>>,
    /// What the platform costs there whether or not a clone lives.
    #[schemars(with = "Option<Fixed>")]
    pub(super) fixed: Block<Fixed>,
}

/// `spec.fixed` of a `PriceBook`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["costs"]))]
pub(super) struct Fixed {
    /// What there is.
    #[schemars(with = "Option<Vec<FixedCost>>")]
    pub(super) costs: Block<Vec<Spanned<FixedCost>>>,
    /// Over how many clones it is spread. Left out: as many as the policies allow.
    pub(super) spread_over: Leaf<u32>,
}

/// One of `spec.fixed.costs`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["of", "name"]))]
pub(super) struct FixedCost {
    /// The table that has its price.
    pub(super) of: Leaf<Table>,
    /// What it is called there.
    pub(super) name: Leaf<String>,
    /// How many there are of it. Default: 1.
    pub(super) count: Leaf<Decimal>,
}

/// One of `spec.tables`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["of", "asOf", "source", "usd"]))]
pub(super) struct PriceTable {
    /// What the figures are about. RDS storage and backups are for a month of a GiB, everything else for an hour.
    pub(super) of: Leaf<Table>,
    /// When they were read (UTC): `2026-11-01`.
    pub(super) as_of: Leaf<Date>,
    /// The address at which they were read.
    pub(super) source: Leaf<String>,
    /// USD, by what AWS calls the thing.
    pub(super) usd: Option<Entries<Decimal>>,
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

    fn schema() -> Schema {
        json_schema!({"type": ["string", "number"], "examples": ["4", "250m", "8Gi"]})
    }
}

impl Read for Date {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        let Scalar::Text(text) = scalar else { return Err(Mismatch::Type("a date such as `2026-11-01`", scalar, None)) };
        text.parse().map_err(|_| {
            let help = "write it as `2026-11-01`".to_owned();
            Mismatch::Value(Code::BadValue, format!("`{text}` is not a date"), Some(help))
        })
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "format": "date", "examples": ["2026-11-01"]})
    }
}

impl Choice for Table {
    const WORDS: &'static [(&'static str, Self)] = &Self::WORDS;
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
