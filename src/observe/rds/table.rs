//! The lists that RDS has, and one page of any of them: how it is asked for, and that it is what was asked for.

use super::{Region, call::Witness, xml::Element};
use crate::{model::cloud, model::evidence::CloudList, ports::CloudError};
use aws_sdk_rds::operation::{
    describe_db_cluster_automated_backups::DescribeDbClusterAutomatedBackupsOutput, describe_db_cluster_snapshots::DescribeDbClusterSnapshotsOutput,
    describe_db_clusters::DescribeDbClustersOutput, describe_db_instance_automated_backups::DescribeDbInstanceAutomatedBackupsOutput,
    describe_db_instances::DescribeDbInstancesOutput, describe_db_snapshots::DescribeDbSnapshotsOutput,
};

/// How many items one page may hold: the most that AWS allows.
const PAGE: i32 = 100;

/// A list of RDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// One of those that are swept.
    Swept(CloudList),
    /// Automated backups of instances, also of those that are gone.
    InstanceBackups,
    /// Automated backups of clusters, also of those that are gone.
    ClusterBackups,
}

impl Table {
    /// The operation that lists it.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Swept(CloudList::Instances) => "DescribeDBInstances",
            Self::Swept(CloudList::Clusters) => "DescribeDBClusters",
            Self::Swept(CloudList::Snapshots) => "DescribeDBSnapshots",
            Self::Swept(CloudList::ClusterSnapshots) => "DescribeDBClusterSnapshots",
            Self::InstanceBackups => "DescribeDBInstanceAutomatedBackups",
            Self::ClusterBackups => "DescribeDBClusterAutomatedBackups",
        }
    }

    /// What one item of it is called.
    pub(super) fn item(self) -> &'static str {
        match self {
            Self::Swept(list) => cloud::kind(list),
            Self::InstanceBackups => "DBInstanceAutomatedBackup",
            Self::ClusterBackups => "DBClusterAutomatedBackup",
        }
    }

    /// What every item of it must say of itself: its identifier; of a backup, which life of an identifier it is of.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Swept(CloudList::Instances) => "DBInstanceIdentifier",
            Self::Swept(CloudList::Clusters) => "DBClusterIdentifier",
            Self::Swept(CloudList::Snapshots) => "DBSnapshotIdentifier",
            Self::Swept(CloudList::ClusterSnapshots) => "DBClusterSnapshotIdentifier",
            Self::InstanceBackups => "DbiResourceId",
            Self::ClusterBackups => "DbClusterResourceId",
        }
    }
}

/// What is asked of a list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Question<'a> {
    /// Only the item of this identifier.
    pub(super) id: Option<&'a str>,
    /// Only what was taken of the instance or cluster of this identifier.
    pub(super) of: Option<&'a str>,
    /// Only snapshots of this type.
    pub(super) kind: Option<&'a str>,
}

/// One page of a list.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Its items, each with its key.
    pub(super) items: Vec<(String, Element)>,
    /// Where the next page begins; `None`: this was the last one.
    pub(super) marker: Option<String>,
}

/// What the SDK has read of a page.
trait Answer {
    fn keys(&self) -> Vec<Option<&str>>;
    fn marker(&self) -> Option<&str>;
}

macro_rules! answer {
    ($($output:ty, $items:ident, $key:ident;)*) => {
        $(impl Answer for $output {
            fn keys(&self) -> Vec<Option<&str>> {
                self.$items().iter().map(|item| item.$key()).collect()
            }
            fn marker(&self) -> Option<&str> {
                self.marker()
            }
        })*
    };
}

answer! {
    DescribeDbInstancesOutput, db_instances, db_instance_identifier;
    DescribeDbClustersOutput, db_clusters, db_cluster_identifier;
    DescribeDbSnapshotsOutput, db_snapshots, db_snapshot_identifier;
    DescribeDbClusterSnapshotsOutput, db_cluster_snapshots, db_cluster_snapshot_identifier;
    DescribeDbInstanceAutomatedBackupsOutput, db_instance_automated_backups, dbi_resource_id;
    DescribeDbClusterAutomatedBackupsOutput, db_cluster_automated_backups, db_cluster_resource_id;
}

impl Region {
    /// Asks for one page.
    pub(super) async fn page(&self, table: Table, question: Question<'_>, marker: Option<String>) -> Result<Page, CloudError> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let (id, of, kind) = (own(question.id), own(question.of), own(question.kind));
        let operation = table.operation();
        // Each of these has fields and types of its own; what they have in common ends with `max_records`.
        macro_rules! ask {
            ($call:ident $(, $set:ident = $value:expr)*) => {{
                let call = self.reads.$call().max_records(PAGE).set_marker(marker)$(.$set($value))*;
                let sent = self.line.ask(operation, |witness: Witness| call.customize().interceptor(witness).send()).await;
                sent.and_then(|(output, answer)| checked(table, &output, answer))
            }};
        }
        match table {
            Table::Swept(CloudList::Instances) => ask!(describe_db_instances, set_db_instance_identifier = id),
            Table::Swept(CloudList::Clusters) => ask!(describe_db_clusters, set_db_cluster_identifier = id),
            Table::Swept(CloudList::Snapshots) => {
                ask!(describe_db_snapshots, set_db_snapshot_identifier = id, set_db_instance_identifier = of, set_snapshot_type = kind)
            }
            Table::Swept(CloudList::ClusterSnapshots) => {
                ask!(describe_db_cluster_snapshots, set_db_cluster_snapshot_identifier = id, set_db_cluster_identifier = of, set_snapshot_type = kind)
            }
            Table::InstanceBackups => ask!(describe_db_instance_automated_backups, set_db_instance_identifier = of),
            Table::ClusterBackups => ask!(describe_db_cluster_automated_backups, set_db_cluster_identifier = of),
        }
    }
}

/// The page, if both readings of it agree.
fn checked(table: Table, output: &impl Answer, answer: Element) -> Result<Page, CloudError> {
    let page = read(table, answer).map_err(CloudError::NotWhole)?;
    let same = output.keys().into_iter().eq(page.items.iter().map(|(key, _)| Some(key.as_str())));
    if !same || output.marker().filter(|marker| !marker.is_empty()) != page.marker.as_deref() {
        return Err(CloudError::NotWhole("it can be read in two ways".to_owned()));
    }
    Ok(page)
}

/// Reads a page. A list that is not there is a broken answer, never an empty list.
pub(super) fn read(table: Table, answer: Element) -> Result<Page, String> {
    let (result, list) = (format!("{}Result", table.operation()), format!("{}s", table.item()));
    let result = taken(answer, &result)?;
    // AWS has been seen to close a last page with an empty marker. A marker cut short is no whole XML.
    let marker = result.text("Marker")?.map(str::to_owned);
    let mut page = Page { items: Vec::new(), marker };
    let items = taken(result, &list)?;
    if !items.text.trim().is_empty() {
        return Err(format!("{list} holds a text"));
    }
    for item in items.children {
        if item.name != table.item() {
            return Err(format!("{list} holds something else than a {}", table.item()));
        }
        let key = item.text(table.key())?.ok_or_else(|| format!("a {} without its {}", table.item(), table.key()))?;
        page.items.push((key.to_owned(), item));
    }
    Ok(page)
}

/// The one element of this name, out of what it is in.
pub(super) fn taken(mut outer: Element, name: &str) -> Result<Element, String> {
    if outer.one(name)?.is_none() {
        return Err(format!("{name} is missing"));
    }
    let place = outer.children.iter().position(|child| child.name == name);
    place.map(|place| outer.children.swap_remove(place)).ok_or_else(|| format!("{name} is missing"))
}
