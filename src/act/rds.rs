//! What is written to AWS. Every write is about something that was judged, is sent once, and says nothing of whether it should be.
//!
//! RDS has no preconditions: a delete names an identifier, whoever has it by then. So what can be checked without asking is
//! checked here once more (place, identifier, protection), and the answer is compared with what was judged.
//!
//! The rights that IAM has to allow stand in `deploy/iam-policy.json`.

use crate::{
    model::{cloud::CloudResource, evidence::CloudList},
    observe::rds::{Element, RdsCloud, Witness, plain, unsent},
    ports::{CloudError, Farewell},
};
use aws_sdk_rds::types::Tag;
use std::collections::BTreeMap;

/// Asks for the deletion of exactly this identifier. Automated backups go by AWS' own default.
pub(crate) async fn delete(cloud: &RdsCloud, resource: &CloudResource, farewell: Farewell<'_>) -> Result<(), CloudError> {
    let database = matches!(resource.list, CloudList::Instances | CloudList::Clusters);
    // AWS would refuse these, too. A wall is worth a second look.
    if database && resource.protected != Some(false) {
        return Err(unsent("it is protected against deletion, or was not seen not to be"));
    }
    if resource.automated {
        return Err(unsent("AWS takes its own snapshots away by itself"));
    }
    let last = match farewell {
        Farewell::Nothing => None,
        Farewell::Snapshot(_) if !database => return Err(unsent("no snapshot can be taken of a snapshot")),
        Farewell::Snapshot(name) => {
            plain(name)?;
            Some(name.to_owned())
        }
    };
    let region = cloud.locate(resource).await?;
    let (writes, id) = (&region.writes, resource.id.as_str());
    macro_rules! send {
        ($operation:literal, $call:expr) => {
            region.line.ask($operation, |witness: Witness| $call.customize().interceptor(witness).send()).await.map(|(_, answer)| answer)
        };
    }
    let (answer, result) = match resource.list {
        CloudList::Instances => {
            let call = writes.delete_db_instance().db_instance_identifier(id).skip_final_snapshot(last.is_none());
            (send!("DeleteDBInstance", call.set_final_db_snapshot_identifier(last)), "DeleteDBInstanceResult")
        }
        CloudList::Clusters => {
            let call = writes.delete_db_cluster().db_cluster_identifier(id).skip_final_snapshot(last.is_none());
            (send!("DeleteDBCluster", call.set_final_db_snapshot_identifier(last)), "DeleteDBClusterResult")
        }
        CloudList::Snapshots => (send!("DeleteDBSnapshot", writes.delete_db_snapshot().db_snapshot_identifier(id)), "DeleteDBSnapshotResult"),
        CloudList::ClusterSnapshots => {
            let call = writes.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(id);
            (send!("DeleteDBClusterSnapshot", call), "DeleteDBClusterSnapshotResult")
        }
    };
    same(resource, &answer?, result).map_err(CloudError::NotWhole)
}

/// Whether AWS took for deletion what was judged. If not, that must be known at once; it cannot be undone.
fn same(resource: &CloudResource, answer: &Element, result: &str) -> Result<(), String> {
    let missing = || format!("it does not say what is deleted in the place of `{}`", resource.id);
    let taken = answer.one(result)?.ok_or_else(missing)?.one(resource.kind())?.ok_or_else(missing)?;
    let arn = taken.text(&format!("{}Arn", resource.kind()))?;
    let resource_id = match resource.list {
        CloudList::Instances | CloudList::Snapshots => taken.text("DbiResourceId")?,
        CloudList::Clusters | CloudList::ClusterSnapshots => taken.text("DbClusterResourceId")?,
    };
    let other = resource_id.is_some_and(|found| !resource.resource_id.is_empty() && found != resource.resource_id);
    if arn.is_some_and(|arn| arn != resource.arn) || other {
        return Err(format!("AWS deletes another `{}` than the one that was judged ({})", resource.id, resource_id.or(arn).unwrap_or_default()));
    }
    Ok(())
}

/// Sets tags beside those that are there.
pub(crate) async fn tag(cloud: &RdsCloud, resource: &CloudResource, tags: &BTreeMap<String, String>) -> Result<(), CloudError> {
    if tags.is_empty() {
        return Ok(());
    }
    let region = cloud.locate(resource).await?;
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    let call = region.writes.add_tags_to_resource().resource_name(&resource.arn).set_tags(Some(tags));
    region.line.ask("AddTagsToResource", |witness: Witness| call.customize().interceptor(witness).send()).await?;
    Ok(())
}
