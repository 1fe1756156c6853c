//! Months of UTC, and what a `CloneUsage` says of one: what the clones of a namespace have cost in it. The daemon reads back what it
//! wrote, so these types are both.
//!
//! Contract: what is summed up is exact. Money is kept as it was added, to the millionth of a millionth of a dollar, and nothing is
//! rounded but for reading ([`Costs::rounded`]).

use super::{
    kind::Kind,
    meta::{Meta, Unreadable},
    orphan::status::{Condition, count, moment, money},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// A month of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(Date);

impl Month {
    /// The month in which something happens.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.to_zoned(TimeZone::UTC).date().first_of_month())
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        self.0.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |start| start.timestamp())
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.last_of_month().tomorrow().unwrap_or(Date::MAX))
    }

    /// The first moment that is not in it any more.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.next().start()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl FromStr for Month {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        format!("{text}-01").parse().map(Self)
    }
}

/// One `CloneUsage` in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord {
    /// Which object it is.
    pub meta: Meta,
    /// The namespace that it is about.
    pub namespace: String,
    /// The month that it is about.
    pub month: Month,
    /// What it says; empty where that was not written yet.
    pub status: UsageStatus,
}

impl UsageRecord {
    /// Reads a `CloneUsage`.
    ///
    /// # Errors
    /// Where its identity, its age, or anything that it says cannot be read. Nothing is then added to it: what it says must not be
    /// lost, nor counted twice.
    pub fn read(object: &Value) -> Result<Self, Unreadable> {
        let meta = Meta::read(Kind::Usage, object)?;
        let unreadable = |problem: String| Unreadable {
            kind: Kind::Usage,
            namespace: String::new(),
            name: meta.name().to_owned(),
            uid: Some(meta.uid.to_string()),
            problem,
        };
        let text = |field: &str| object.pointer(field).and_then(Value::as_str).ok_or_else(|| unreadable(format!("{field} is missing")));
        let namespace = text("/spec/namespace")?.to_owned();
        let month = text("/spec/month")?.parse().map_err(|error| unreadable(format!("spec.month: {error}")))?;
        let status = match object.get("status") {
            None | Some(Value::Null) => UsageStatus::default(),
            Some(status) => serde_json::from_value(status.clone()).map_err(|error| unreadable(format!("status: {error}")))?,
        };
        // A copy under another name must not take its place.
        if meta.name() != object_name(&namespace, month) {
            return Err(unreadable(format!("it should be called {}", object_name(&namespace, month))));
        }
        Ok(Self { namespace, month, status, meta })
    }
}

/// The name of the object for a namespace and a month.
#[must_use]
pub fn object_name(namespace: &str, month: Month) -> String {
    format!("{namespace}-{month}")
}

/// The ledger of one namespace and month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatus {
    /// Up to when everything is counted. What comes after it is added by the next checkpoint, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub accrued_through: Option<Timestamp>,
    /// The policy that governed the namespace then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How many clones there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clones: Option<CloneCounts>,
    /// How long clones lived in this month, together, in hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount")]
    pub clone_hours: Option<Decimal>,
    /// What they have cost, by the price book; the sum over the owners, rounded for reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accrued: Option<Costs>,
    /// How much of that is estimated: nobody watched when clones went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub estimated: Option<Decimal>,
    /// What the clones that live now will still cost in this month if each lives to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub committed: Option<Decimal>,
    /// What the month will have cost when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub forecast: Option<Decimal>,
    /// What things that were reaped would have cost until they would otherwise have ended, together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub saved: Option<Decimal>,
    /// The same, by why they were reaped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["reason"]))]
    pub savings: Vec<Saving>,
    /// What each owner's clones have cost, exactly. Of very many owners, those who come last are summed up in the one without a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["owner"]))]
    pub owners: Vec<OwnerCosts>,
    /// What the policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<UsageBudget>,
    /// What the bill says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<Actual>,
    /// What could not be priced, and is counted as nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<String>,
    /// Conditions: WithinBudget, where the policy has a budget.
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
    /// The most at one checkpoint.
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

impl Costs {
    /// Costs of these parts.
    #[must_use]
    pub fn of(databases: Decimal, storage: Decimal, compute: Decimal, fixed: Decimal) -> Self {
        let total = [storage, compute, fixed].into_iter().fold(databases, Decimal::saturating_add);
        Self { total, databases, storage, compute, fixed }
    }

    /// Each part by itself.
    fn each(self, with: impl Fn(Decimal) -> Decimal) -> Self {
        Self::of(with(self.databases), with(self.storage), with(self.compute), with(self.fixed))
    }

    /// The two together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(
            self.databases.saturating_add(other.databases),
            self.storage.saturating_add(other.storage),
            self.compute.saturating_add(other.compute),
            self.fixed.saturating_add(other.fixed),
        )
    }

    /// This without the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        self.and(other.each(|part| Decimal::ZERO.saturating_sub(part)))
    }

    /// So many times this.
    #[must_use]
    pub fn times(self, factor: Decimal) -> Self {
        self.each(|part| part.saturating_mul(factor).normalize())
    }

    /// Each part rounded to so many places.
    #[must_use]
    pub fn to_places(self, places: u32) -> Self {
        self.each(|part| part.round_dp(places).normalize())
    }

    /// For reading: hundredths of a cent. Each part is rounded, and the total is the sum of what is shown.
    #[must_use]
    pub fn rounded(self) -> Self {
        self.to_places(4)
    }
}

/// What the clones of one owner have cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnerCosts {
    /// Whose they are: the authenticated user who made them; empty: nobody is known, or many with little each.
    pub owner: String,
    /// What they have cost.
    pub accrued: Costs,
    /// How long they lived, together, in seconds.
    #[schemars(schema_with = "seconds")]
    pub clone_seconds: u64,
    /// How many of them live at the checkpoint.
    #[schemars(schema_with = "count")]
    pub live: u32,
    /// What those cost an hour.
    pub per_hour: Costs,
    /// What those will still cost in this month if each lives to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub committed: Option<Decimal>,
    /// What the month will have cost for this owner when it is over, rounded for reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub forecast: Option<Decimal>,
    /// What the ends of this owner's clones have saved; what was left behind and reaped is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub saved: Option<Decimal>,
}

/// What was saved by reaping for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Saving {
    /// The reason: expired, idle, overLimit, orphan.
    pub reason: String,
    /// USD.
    #[schemars(schema_with = "money")]
    pub usd: Decimal,
    /// How many were reaped.
    #[schemars(schema_with = "count")]
    pub reaped: u32,
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

/// A decimal string that is never negative.
fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 40, "pattern": r"^[0-9]+(\.[0-9]+)?$"})
}

/// Seconds. Kubernetes knows no unsigned formats.
fn seconds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_one_of_utc() {
        let month: Month = "2026-02".parse().unwrap();
        assert_eq!((month.start(), month.end()), ("2026-02-01T00:00:00Z".parse().unwrap(), "2026-03-01T00:00:00Z".parse().unwrap()));
        assert_eq!(Month::of("2026-02-28T23:59:59.999Z".parse().unwrap()), month);
        assert_eq!(Month::of(month.end()), month.next());
        assert_eq!((month.to_string().as_str(), object_name("wordpress-staging", month).as_str()), ("2026-02", "wordpress-staging-2026-02"));
        assert_eq!("2026-12".parse::<Month>().unwrap().next().to_string(), "2027-01");
        assert!(["2026-13", "2026", "2026-02-03", ""].iter().all(|text| text.parse::<Month>().is_err()));
    }

    #[test]
    fn what_is_shown_adds_up() {
        let costs = Costs::of("1.00004".parse().unwrap(), "1.00004".parse().unwrap(), Decimal::ZERO, Decimal::ZERO);
        assert_eq!((costs.total.to_string().as_str(), costs.rounded().total.to_string().as_str()), ("2.00008", "2"));
        assert_eq!(costs.without(costs), Costs::default());
    }
}
