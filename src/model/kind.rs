//! The kinds of objects in the cluster that the daemon looks at, each with how it is asked for.

use super::names;

/// A kind of object in the Kubernetes API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `WordPressClone`, the clone itself.
    Clone,
    /// The clone's Job.
    Job,
    /// The clone's Service.
    Service,
    /// The clone's Ingress.
    Ingress,
    /// The clone's ConfigMaps.
    ConfigMap,
    /// The Pods of the clone's Job.
    Pod,
    /// ACK's `DBInstance`.
    DbInstance,
    /// ACK's `DBCluster`.
    DbCluster,
    /// Namespaces: their labels decide which policy governs.
    Namespace,
    /// KRO's `ResourceGraphDefinition`.
    Definition,
    /// Our own `Orphan`.
    Orphan,
    /// Our own `CloneUsage`.
    Usage,
    /// Nodes: what they cost is shared by the clones.
    Node,
    /// Our `ResourceQuota` in a governed namespace.
    ResourceQuota,
    /// Our `LimitRange` in a governed namespace.
    LimitRange,
}

impl Kind {
    /// Every kind that is watched, in the order in which they are listed at start.
    pub const ALL: [Self; 15] = [
        Self::Clone,
        Self::Namespace,
        Self::Definition,
        Self::Job,
        Self::Service,
        Self::Ingress,
        Self::ConfigMap,
        Self::Pod,
        Self::DbInstance,
        Self::DbCluster,
        Self::Orphan,
        Self::Usage,
        Self::Node,
        Self::ResourceQuota,
        Self::LimitRange,
    ];

    /// The kinds that a clone is expanded into.
    pub const CHILDREN: [Self; 7] = [Self::Job, Self::Service, Self::Ingress, Self::ConfigMap, Self::Pod, Self::DbInstance, Self::DbCluster];

    /// The kinds by which a namespace is bounded.
    pub const QUOTAS: [Self; 2] = [Self::ResourceQuota, Self::LimitRange];

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Clone | Self::Definition => names::CLONE_GROUP,
            Self::Job => "batch",
            Self::Ingress => "networking.k8s.io",
            Self::DbInstance | Self::DbCluster => "rds.services.k8s.aws",
            Self::Orphan | Self::Usage => names::OWN_GROUP,
            Self::Service | Self::ConfigMap | Self::Pod | Self::Namespace | Self::Node | Self::ResourceQuota | Self::LimitRange => "",
        }
    }

    /// The API version within the group.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self.group() {
            "" | "batch" | "networking.k8s.io" => "v1",
            _ => "v1alpha1",
        }
    }

    /// `group/version`, as in an object's `apiVersion`.
    #[must_use]
    pub fn api_version(self) -> String {
        match self.group() {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }

    /// The kind as in an object's `kind`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clone => names::CLONE_KIND,
            Self::Job => "Job",
            Self::Service => "Service",
            Self::Ingress => "Ingress",
            Self::ConfigMap => "ConfigMap",
            Self::Pod => "Pod",
            Self::DbInstance => "DBInstance",
            Self::DbCluster => "DBCluster",
            Self::Namespace => "Namespace",
            Self::Definition => "ResourceGraphDefinition",
            Self::Orphan => "Orphan",
            Self::Usage => "CloneUsage",
            Self::Node => "Node",
            Self::ResourceQuota => "ResourceQuota",
            Self::LimitRange => "LimitRange",
        }
    }

    /// The plural, as in a URL and in RBAC.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Clone => "wordpressclones",
            Self::Job => "jobs",
            Self::Service => "services",
            Self::Ingress => "ingresses",
            Self::ConfigMap => "configmaps",
            Self::Pod => "pods",
            Self::DbInstance => "dbinstances",
            Self::DbCluster => "dbclusters",
            Self::Namespace => "namespaces",
            Self::Definition => "resourcegraphdefinitions",
            Self::Orphan => "orphans",
            Self::Usage => "cloneusages",
            Self::Node => "nodes",
            Self::ResourceQuota => "resourcequotas",
            Self::LimitRange => "limitranges",
        }
    }

    /// The source of evidence that a list of this kind is.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Clone => "clones",
            Self::Definition => "definitions",
            other => other.plural(),
        }
    }

    /// Whether objects of this kind live in a namespace.
    #[must_use]
    pub fn namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node | Self::Definition | Self::Orphan | Self::Usage)
    }

    /// Whether nothing but `metadata` is read, so that nothing else need be sent.
    #[must_use]
    pub fn metadata_only(self) -> bool {
        matches!(self, Self::Service | Self::Ingress | Self::ConfigMap | Self::Namespace)
    }

    /// Whether the API may be absent from a cluster: its CRD is not installed, or not yet.
    #[must_use]
    pub fn optional(self) -> bool {
        matches!(self, Self::Clone | Self::Definition | Self::DbInstance | Self::DbCluster | Self::Orphan | Self::Usage)
    }

    /// The label selector of the watch. All `DBInstance` and `DBCluster` objects are seen: one that is not ours may claim
    /// the very instance that would be judged an orphan.
    #[must_use]
    pub fn selector(self) -> Option<&'static str> {
        match self {
            Self::Job | Self::Service | Self::Ingress | Self::ConfigMap => Some("kro.run/instance-kind=WordPressClone"),
            Self::Pod => Some(names::CLONE_UID),
            _ => None,
        }
    }

    /// The only name under which objects of the kind are looked at. Not by our label: somebody else's object of that name has to
    /// be seen, so that it is left alone. It is asked for by a field selector, to which RBAC can be narrowed.
    #[must_use]
    pub fn only(self) -> Option<&'static str> {
        matches!(self, Self::ResourceQuota | Self::LimitRange).then_some(names::OURSELVES)
    }

    /// The kind of an object by its `apiVersion` and `kind`.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == kind && known.api_version() == api_version)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
