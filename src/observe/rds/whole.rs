//! What must be there in an item before anybody may judge it, and where it must be.
//!
//! An item is turned into the form in which `aws rds describe-…` prints it, so that exported files and live answers are read by
//! the same code ([`CloudResource::read`]). What that code takes for optional and AWS always says is demanded here.

use super::xml::Element;
use crate::{
    model::{cloud::CloudResource, evidence::CloudList},
    ports::{CloudError, Kin},
};
use serde_json::{Map, Value};

/// Where everything has to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The account.
    pub(super) account: &'a str,
    /// The region.
    pub(super) region: &'a str,
}

/// Reads one item of a list.
pub(super) fn resource(list: CloudList, item: &Element, place: Place<'_>) -> Result<CloudResource, CloudError> {
    let whole = || {
        let value = json(item)?;
        let resource = CloudResource::read(list, &value)?;
        demand(&resource, &value)?;
        Ok(resource)
    };
    let resource: CloudResource = whole().map_err(CloudError::NotWhole)?;
    located(&resource.arn, part(list), &resource.id, place)?;
    Ok(resource)
}

/// Reads an automated backup of the instance or cluster `id`. `prefix` is what AWS calls such a thing: `DBInstance`.
pub(super) fn backup(prefix: &str, id: &str, item: &Element) -> Result<Kin, String> {
    let field = |name: &str| item.text(name).and_then(|text| text.ok_or_else(|| format!("{name} of an automated backup is missing")));
    let of = format!("{prefix}Identifier");
    if field(&of)? != id {
        return Err(format!("an automated backup of something else than `{id}`"));
    }
    let resource_id = field(if prefix == "DBCluster" { "DbClusterResourceId" } else { "DbiResourceId" })?.to_owned();
    Ok(Kin { what: format!("automated backup of {resource_id}"), resource_id })
}

/// Whether an ARN names this very thing in this very place.
pub(super) fn located(arn: &str, part: &str, id: &str, place: Place<'_>) -> Result<(), CloudError> {
    let mut fields = arn.splitn(7, ':');
    let mut next = || fields.next().unwrap_or_default();
    let (scheme, partition, service, region, account, kind, name) = (next(), next(), next(), next(), next(), next(), next());
    if scheme != "arn" || !partition.starts_with("aws") || service != "rds" || kind != part || name != id {
        return Err(CloudError::NotWhole(format!("`{id}` has the ARN `{arn}`, which is not that of a {part} of this name")));
    }
    if (account, region) != (place.account, place.region) {
        return Err(CloudError::Elsewhere(format!("`{arn}` is not in account {}, region {}, which were asked", place.account, place.region)));
    }
    Ok(())
}

/// What stands before the identifier in an ARN.
pub(super) fn part(list: CloudList) -> &'static str {
    match list {
        CloudList::Instances => "db",
        CloudList::Clusters => "cluster",
        CloudList::Snapshots => "snapshot",
        CloudList::ClusterSnapshots => "cluster-snapshot",
    }
}

fn demand(resource: &CloudResource, value: &Value) -> Result<(), String> {
    let lacks = |what: &str| Err(format!("`{}` is without {what}", resource.id));
    let database = matches!(resource.list, CloudList::Instances | CloudList::Clusters);
    if resource.id.is_empty() || resource.arn.is_empty() {
        return lacks("an identifier or an ARN");
    }
    if resource.status.is_empty() {
        return lacks("a status");
    }
    if resource.tags.is_none() {
        return lacks("a list of tags");
    }
    // A moment that is there and cannot be read is not a moment that is not there yet.
    let dated = ["InstanceCreateTime", "ClusterCreateTime", "SnapshotCreateTime"].iter().any(|key| value.get(*key).is_some());
    // What was never made, since that failed, may have none.
    if resource.created.is_none() && (dated || resource.status == "available") {
        return lacks("a time of creation");
    }
    if database && resource.resource_id.is_empty() {
        return lacks("a resource id");
    }
    if database && resource.protected.is_none() {
        return lacks("a word on its deletion protection");
    }
    if !database && resource.snapshot_of.is_none() {
        return lacks("what it was taken of");
    }
    if !database && value.get("SnapshotType").is_none() {
        return lacks("a type");
    }
    Ok(())
}

/// The fields of an item as the AWS command line prints them: the scalar ones, and the few of the others that are read.
fn json(item: &Element) -> Result<Value, String> {
    let mut fields = Map::new();
    for child in &item.children {
        let value = match child.name.as_str() {
            "TagList" => Value::Array(child.children.iter().map(tag).collect::<Result<_, _>>()?),
            "DBClusterMembers" => Value::Array(child.children.iter().map(member_of).collect::<Result<_, _>>()?),
            "ServerlessV2ScalingConfiguration" => json(child)?,
            _ if !child.children.is_empty() => continue,
            name => scalar(name, &child.text),
        };
        let mistaken = !child.text.is_empty() && (value.is_array() || value.is_object());
        if (mistaken && !child.text.trim().is_empty()) || fields.insert(child.name.clone(), value).is_some() {
            return Err(format!("{} in a {} is there twice, or not as it should be", child.name, item.name));
        }
    }
    // What is empty says nothing.
    fields.retain(|_, value| value.as_str() != Some(""));
    Ok(Value::Object(fields))
}

fn scalar(name: &str, text: &str) -> Value {
    let number = || text.parse::<u64>().ok().map(Value::from).or_else(|| text.parse::<f64>().ok().map(Value::from));
    match (name, text) {
        ("DeletionProtection" | "MultiAZ", "true") => Value::Bool(true),
        ("DeletionProtection" | "MultiAZ", "false") => Value::Bool(false),
        ("AllocatedStorage" | "MinCapacity", _) => number().unwrap_or_else(|| Value::from(text)),
        _ => Value::from(text),
    }
}

fn tag(tag: &Element) -> Result<Value, String> {
    let key = tag.text("Key")?.filter(|_| tag.name == "Tag").ok_or("a tag without a key")?;
    if tag.one("Value")?.is_none() {
        return Err(format!("the tag `{key}` is without a value"));
    }
    Ok(Value::Object(Map::from_iter([
        ("Key".to_owned(), Value::from(key)),
        ("Value".to_owned(), Value::from(tag.text("Value")?.unwrap_or_default())),
    ])))
}

fn member_of(member: &Element) -> Result<Value, String> {
    let id = member.text("DBInstanceIdentifier")?.filter(|_| member.name == "DBClusterMember").ok_or("a cluster's member without an identifier")?;
    Ok(Value::Object(Map::from_iter([("DBInstanceIdentifier".to_owned(), Value::from(id))])))
}
