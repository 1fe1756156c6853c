//! What a file is named after: `jobs.yaml` was meant to hold Jobs, even if there was none.

use crate::model::{Kind, evidence::CloudList};

/// Everything that a sweep over AWS may list.
pub(super) const LISTS: [CloudList; 4] = [CloudList::Instances, CloudList::Clusters, CloudList::Snapshots, CloudList::ClusterSnapshots];

/// What the name of a file says about its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// Nothing.
    Nothing,
    /// Objects of this kind, as `kubectl get` writes them.
    Objects(Kind),
    /// An answer of AWS, and the region if the name carries one (`db-instances-us-east-1`).
    Answer(CloudList, Option<String>),
}

impl Named {
    /// Reads the name of a file, without its extension.
    pub(super) fn after(stem: &str) -> Self {
        let stem = stem.to_ascii_lowercase().replace('_', "-");
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| names_kind(*kind, &stem)) {
            return Self::Objects(kind);
        }
        let stem = ["aws-", "rds-", "describe-"].into_iter().fold(stem.as_str(), |stem, prefix| stem.strip_prefix(prefix).unwrap_or(stem));
        for list in LISTS {
            let Some(rest) = stem.strip_prefix(command(list)) else { continue };
            if rest.is_empty() {
                return Self::Answer(list, None);
            }
            if let Some(region) = rest.strip_prefix(['-', '.']).filter(|region| is_region(region)) {
                return Self::Answer(list, Some(region.to_owned()));
            }
        }
        Self::Nothing
    }
}

/// The command of the AWS CLI, without `describe-`.
pub(super) fn command(list: CloudList) -> &'static str {
    match list {
        CloudList::Instances => "db-instances",
        CloudList::Clusters => "db-clusters",
        CloudList::Snapshots => "db-snapshots",
        CloudList::ClusterSnapshots => "db-cluster-snapshots",
    }
}

/// The field that holds the elements in an answer of AWS.
pub(super) fn field(list: CloudList) -> &'static str {
    match list {
        CloudList::Instances => "DBInstances",
        CloudList::Clusters => "DBClusters",
        CloudList::Snapshots => "DBSnapshots",
        CloudList::ClusterSnapshots => "DBClusterSnapshots",
    }
}

/// The field by which an element outside of an answer is recognised.
pub(super) fn arn_field(list: CloudList) -> &'static str {
    match list {
        CloudList::Instances => "DBInstanceArn",
        CloudList::Clusters => "DBClusterArn",
        CloudList::Snapshots => "DBSnapshotArn",
        CloudList::ClusterSnapshots => "DBClusterSnapshotArn",
    }
}

/// Every way in which `kubectl get` lets a kind be called, and the name of its evidence.
fn names_kind(kind: Kind, stem: &str) -> bool {
    let short: &[&str] = match kind {
        Kind::Service => &["svc"],
        Kind::Ingress => &["ing"],
        Kind::ConfigMap => &["cm"],
        Kind::Pod => &["po"],
        Kind::Namespace => &["ns"],
        Kind::Definition => &["rgd", "rgds"],
        Kind::ResourceQuota => &["quota"],
        Kind::LimitRange => &["limits"],
        Kind::Node => &["no"],
        Kind::Usage => &["cusage"],
        _ => &[],
    };
    let (bare, group) = stem.split_once('.').unwrap_or((stem, kind.group()));
    let called = bare == kind.plural() || bare == kind.source() || bare == kind.name().to_ascii_lowercase() || short.contains(&bare);
    called && group == kind.group()
}

/// `us-east-1`, `us-gov-west-1`, …
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digit = parts.last().is_some_and(|last| last.len() == 1 && last.bytes().all(|byte| byte.is_ascii_digit()));
    let words = parts.iter().rev().skip(1).all(|part| part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    digit && words && parts.len() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_as_kubectl_and_aws_call_what_is_in_it() {
        for (stem, kind) in [
            ("wordpressclones", Kind::Clone),
            ("clones", Kind::Clone),
            ("wordpressclones.kro.run", Kind::Clone),
            ("Jobs", Kind::Job),
            ("namespaces", Kind::Namespace),
            ("rgd", Kind::Definition),
            ("dbinstances", Kind::DbInstance),
            ("orphans", Kind::Orphan),
            ("resourcequotas", Kind::ResourceQuota),
            ("limits", Kind::LimitRange),
            ("nodes", Kind::Node),
            ("cloneusages", Kind::Usage),
        ] {
            assert_eq!(Named::after(stem), Named::Objects(kind), "{stem}");
        }
        for (stem, list, region) in [
            ("db-instances", CloudList::Instances, None),
            ("describe-db-clusters", CloudList::Clusters, None),
            ("db_snapshots", CloudList::Snapshots, None),
            ("aws-rds-describe-db-cluster-snapshots", CloudList::ClusterSnapshots, None),
            ("db-instances-us-east-1", CloudList::Instances, Some("us-east-1")),
            ("db-snapshots.us-gov-west-1", CloudList::Snapshots, Some("us-gov-west-1")),
        ] {
            assert_eq!(Named::after(stem), Named::Answer(list, region.map(str::to_owned)), "{stem}");
        }
        for stem in ["services.serving.knative.dev", "jobs-staging", "db-instances-old", "notes", ""] {
            assert_eq!(Named::after(stem), Named::Nothing, "{stem}");
        }
    }
}
