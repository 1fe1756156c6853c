//! Databases and snapshots in AWS, trimmed to what proves whose they are and what may be done with them.

use super::{evidence::CloudList, names};
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// One RDS instance, Aurora cluster or snapshot, as AWS described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudResource {
    /// What was listed.
    pub list: CloudList,
    /// The region it is in, from its ARN.
    pub region: Arc<str>,
    /// Its ARN.
    pub arn: String,
    /// Its identifier: a name, which may be used again.
    pub id: String,
    /// AWS' own id of this very resource (`DbiResourceId`, `DbClusterResourceId`); of a snapshot, that of what it was taken of.
    pub resource_id: String,
    /// The identifier of the instance or cluster that a snapshot was taken of.
    pub snapshot_of: Option<String>,
    /// Its status, as AWS words it: `available`, `creating`, `deleting`, …
    pub status: String,
    /// When AWS made it. An instance has none before AWS has begun to.
    pub created: Option<Timestamp>,
    /// Its tags. `None` if the answer carried none at all, which is not the same as an empty list.
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether AWS refuses to delete it. `None` if the answer does not say: then it counts as protected. Snapshots have none.
    pub protected: Option<bool>,
    /// The Aurora cluster that an instance is a member of.
    pub cluster: Option<String>,
    /// The identifiers of the instances in an Aurora cluster.
    pub members: Vec<String>,
    /// Since when it has been seen to go, by our clock; only where sweeps are made one after the other.
    pub going_since: Option<Timestamp>,
    /// A snapshot that AWS took by itself, and takes away by itself.
    pub automated: bool,
    /// What it is made of, for its price.
    pub size: Size,
}

/// What a database or a snapshot is made of, as far as it decides what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Size {
    /// `mysql`, `aurora-mysql`, …
    pub engine: Option<String>,
    /// `db.t3.micro`, `db.serverless`, …
    pub class: Option<String>,
    /// Storage, in GiB.
    pub storage_gib: Option<u32>,
    /// `gp2`, `gp3`, …
    pub storage_type: Option<String>,
    /// Whether there are two of it.
    pub multi_az: bool,
    /// The least that an Aurora Serverless v2 cluster takes, in thousandths of a capacity unit.
    pub least_milli_acu: Option<u32>,
}

impl CloudResource {
    /// The tag `key`.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.as_ref()?.get(key).map(String::as_str)
    }

    /// The kind as it appears in a plan's target.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        kind(self.list)
    }

    /// [`names::KEEP`] as a tag: somebody's veto. Snapshots and restores inherit it, as they do every tag.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.tags.as_ref().and_then(|tags| tags.get(names::KEEP)).is_some_and(|value| value != "false")
    }

    /// Whether it is a database, not a snapshot of one.
    #[must_use]
    pub fn is_database(&self) -> bool {
        matches!(self.list, CloudList::Instances | CloudList::Clusters)
    }

    /// Whether AWS is already taking it away.
    #[must_use]
    pub fn is_going(&self) -> bool {
        self.status == "deleting"
    }

    /// Reads one element of an answer of `aws rds describe-…`.
    ///
    /// # Errors
    /// Names the field that is missing; the sweep is then not complete.
    pub fn read(list: CloudList, object: &Value) -> Result<Self, String> {
        let prefix = kind(list);
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let id_key = format!("{prefix}Identifier");
        let id = text(&id_key).ok_or_else(|| format!("{id_key} is missing"))?;
        let arn_key = format!("{prefix}Arn");
        let arn = text(&arn_key).ok_or_else(|| format!("{arn_key} of `{id}` is missing"))?;
        let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| format!("{arn_key} of `{id}` names no region"))?;
        let (resource_id, snapshot_of, created) = match list {
            CloudList::Instances => ("DbiResourceId", None, "InstanceCreateTime"),
            CloudList::Clusters => ("DbClusterResourceId", None, "ClusterCreateTime"),
            CloudList::Snapshots => ("DbiResourceId", text("DBInstanceIdentifier"), "SnapshotCreateTime"),
            CloudList::ClusterSnapshots => ("DbClusterResourceId", text("DBClusterIdentifier"), "SnapshotCreateTime"),
        };
        let members = object.get("DBClusterMembers").and_then(Value::as_array);
        let member = |member: &Value| member.get("DBInstanceIdentifier").and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            list,
            region: Arc::from(region),
            resource_id: text(resource_id).unwrap_or_default(),
            snapshot_of,
            status: text(if list == CloudList::Instances { "DBInstanceStatus" } else { "Status" }).unwrap_or_default(),
            created: text(created).and_then(|date| date.parse().ok()),
            tags: object.get("TagList").and_then(Value::as_array).map(|tags| read_tags(tags)),
            protected: object.get("DeletionProtection").and_then(Value::as_bool),
            cluster: text("DBClusterIdentifier").filter(|_| list == CloudList::Instances),
            members: members.into_iter().flatten().filter_map(member).collect(),
            going_since: None,
            automated: text("SnapshotType").is_some_and(|kind| kind != "manual"),
            size: read_size(object),
            arn,
            id,
        })
    }
}

/// The kind of what a list holds, as AWS words it.
#[must_use]
pub fn kind(list: CloudList) -> &'static str {
    match list {
        CloudList::Instances => "DBInstance",
        CloudList::Clusters => "DBCluster",
        CloudList::Snapshots => "DBSnapshot",
        CloudList::ClusterSnapshots => "DBClusterSnapshot",
    }
}

fn read_tags(tags: &[Value]) -> BTreeMap<String, String> {
    let pair = |tag: &Value| Some((tag.get("Key")?.as_str()?.to_owned(), tag.get("Value").and_then(Value::as_str).unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}

fn read_size(object: &Value) -> Size {
    let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let least = object.pointer("/ServerlessV2ScalingConfiguration/MinCapacity").and_then(Value::as_number).map(ToString::to_string);
    Size {
        engine: text("Engine"),
        class: text("DBInstanceClass"),
        storage_gib: object.get("AllocatedStorage").and_then(Value::as_u64).and_then(|gib| u32::try_from(gib).ok()),
        storage_type: text("StorageType"),
        multi_az: object.get("MultiAZ").and_then(Value::as_bool).unwrap_or_default(),
        least_milli_acu: least.and_then(|units| milli(&units)),
    }
}

/// A decimal number such as `0.5`, in thousandths.
fn milli(decimal: &str) -> Option<u32> {
    let (whole, rest) = decimal.split_once('.').unwrap_or((decimal, ""));
    let thousandths: String = rest.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u32>().ok()?.checked_mul(1_000)?.checked_add(thousandths.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_units_are_read_in_thousandths() {
        for (text, value) in [("0.5", Some(500)), ("4", Some(4_000)), ("1.25", Some(1_250)), ("0", Some(0)), ("x", None), ("-1", None)] {
            assert_eq!(milli(text), value, "{text}");
        }
    }
}
