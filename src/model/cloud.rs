//! Databases and snapshots in AWS, trimmed to what proves whose they are. In this release they are read from files.

use super::evidence::CloudList;
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
    /// AWS' own id of this very resource (`DbiResourceId`, `DbClusterResourceId`); empty for snapshots.
    pub resource_id: String,
    /// The identifier of the instance or cluster that a snapshot was taken of.
    pub snapshot_of: Option<String>,
    /// Its status, as AWS words it: `available`, `creating`, `deleting`, …
    pub status: String,
    /// When AWS made it.
    pub created: Option<Timestamp>,
    /// Its tags. `None` if the answer carried none at all, which is not the same as an empty list.
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether AWS refuses to delete it.
    pub protected: bool,
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
        match self.list {
            CloudList::Instances => "DBInstance",
            CloudList::Clusters => "DBCluster",
            CloudList::Snapshots => "DBSnapshot",
            CloudList::ClusterSnapshots => "DBClusterSnapshot",
        }
    }

    /// Reads one element of an answer of `aws rds describe-…`.
    ///
    /// # Errors
    /// Names the field that is missing; the sweep is then not complete.
    pub fn read(list: CloudList, object: &Value) -> Result<Self, String> {
        let prefix = match list {
            CloudList::Instances => "DBInstance",
            CloudList::Clusters => "DBCluster",
            CloudList::Snapshots => "DBSnapshot",
            CloudList::ClusterSnapshots => "DBClusterSnapshot",
        };
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
        Ok(Self {
            list,
            region: Arc::from(region),
            resource_id: text(resource_id).unwrap_or_default(),
            snapshot_of,
            status: text(if list == CloudList::Instances { "DBInstanceStatus" } else { "Status" }).unwrap_or_default(),
            created: text(created).and_then(|date| date.parse().ok()),
            tags: object.get("TagList").and_then(Value::as_array).map(|tags| read_tags(tags)),
            protected: object.get("DeletionProtection").and_then(Value::as_bool).unwrap_or_default(),
            arn,
            id,
        })
    }
}

fn read_tags(tags: &[Value]) -> BTreeMap<String, String> {
    let pair = |tag: &Value| Some((tag.get("Key")?.as_str()?.to_owned(), tag.get("Value").and_then(Value::as_str).unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}
