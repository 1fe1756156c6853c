//! What KRO makes of a clone: the objects of its graph, in the order in which they are made, with the labels that prove whose
//! they are.

use super::json;
use crate::model::{Kind, names};
use serde_json::{Value, json};

/// A finalizer that makes KRO's plain DELETE of a Job take its Pods along.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// ACK's finalizers on its database objects.
pub(super) const ACK: &str = "finalizers.rds.services.k8s.aws/DBInstance";
pub(super) const ACK_CLUSTER: &str = "finalizers.rds.services.k8s.aws/DBCluster";

/// Which database a clone has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Dedicated,
    Serverless,
}

impl Mode {
    pub(super) fn of(clone: &Value) -> Self {
        let dedicated = clone.pointer("/spec/useDedicatedDatabase").and_then(Value::as_bool).unwrap_or_default();
        match clone.pointer("/spec/serverless") {
            _ if !dedicated => Self::Shared,
            None => Self::Dedicated,
            Some(_) => Self::Serverless,
        }
    }
}

/// One node of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Database,
    Cluster,
    Writer,
    ConfigDedicated,
    ConfigServerless,
    ConfigShared,
    Job,
    Service,
    Ingress,
}

impl Node {
    /// In the order in which KRO makes them; it takes them down from the last to the first.
    pub(super) const ALL: [Self; 9] = [
        Self::Database,
        Self::Cluster,
        Self::Writer,
        Self::ConfigDedicated,
        Self::ConfigServerless,
        Self::ConfigShared,
        Self::Job,
        Self::Service,
        Self::Ingress,
    ];

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Database | Self::Writer => Kind::DbInstance,
            Self::Cluster => Kind::DbCluster,
            Self::ConfigDedicated | Self::ConfigServerless | Self::ConfigShared => Kind::ConfigMap,
            Self::Job => Kind::Job,
            Self::Service => Kind::Service,
            Self::Ingress => Kind::Ingress,
        }
    }

    /// Whether a clone with such a database has it.
    pub(super) fn wanted(self, mode: Mode) -> bool {
        match self {
            Self::Database | Self::ConfigDedicated => mode == Mode::Dedicated,
            Self::Cluster | Self::Writer | Self::ConfigServerless => mode == Mode::Serverless,
            Self::ConfigShared => mode == Mode::Shared,
            Self::Job | Self::Service | Self::Ingress => true,
        }
    }

    /// The node that has to be ready before this one can be made, because this one refers to it.
    pub(super) fn waits_for(self) -> Option<Self> {
        match self {
            Self::ConfigDedicated => Some(Self::Database),
            Self::Writer => Some(Self::Cluster),
            Self::ConfigServerless => Some(Self::Writer),
            _ => None,
        }
    }

    /// Whether its object is as far as the definition wants it: a database has an endpoint.
    pub(super) fn is_ready(self, object: &Value) -> bool {
        match self {
            Self::Database | Self::Writer => !json::text(object, "/status/endpoint/address").is_empty(),
            Self::Cluster => !json::text(object, "/status/endpoint").is_empty(),
            _ => true,
        }
    }

    pub(super) fn name(self, clone_id: &str) -> String {
        let suffix = match self {
            Self::Database | Self::Cluster => "db",
            Self::Writer => "db-writer",
            Self::ConfigServerless => "db-serverless",
            Self::ConfigDedicated => "db-dedicated",
            Self::ConfigShared => "db-shared",
            Self::Job => "job",
            Self::Service => "svc",
            Self::Ingress => "ingress",
        };
        format!("{clone_id}-{suffix}")
    }

    /// The node's object for a clone; `cluster` is the literal in the definition.
    pub(super) fn object(self, clone: &Value, cluster: &str) -> Value {
        let text = |pointer| json::text(clone, pointer);
        let (namespace, uid, clone_id) = (text("/metadata/namespace"), text("/metadata/uid"), clone_id(clone));
        let mut object = json!({
            "metadata": {
                "namespace": namespace, "name": self.name(clone_id), "labels": labels(clone),
                "managedFields": [{"manager": names::KRO_APPLIER, "operation": "Apply"}],
            },
        });
        let identifier = || names::database_identifier(clone_id, uid);
        let tags = || {
            let all =
                [(names::TAG_CLONE_ID, clone_id), (names::TAG_CLONE_UID, uid), (names::TAG_NAMESPACE, namespace), (names::TAG_CLUSTER, cluster)];
            all.map(|(key, value)| json!({"key": key, "value": value}))
        };
        if matches!(self, Self::Database | Self::Cluster | Self::Writer) {
            json::add_finalizer(&mut object, if self == Self::Cluster { ACK_CLUSTER } else { ACK });
            let annotations = json!({names::ACK_DELETION_POLICY: "delete", names::ACK_SKIP_SNAPSHOT: "true"});
            json::set(&mut object, &["metadata"], "annotations", Some(annotations));
        }
        let spec = match self {
            Self::Database => Some(json!({
                "dbInstanceIdentifier": identifier(), "engine": "mysql", "deletionProtection": false, "copyTagsToSnapshot": true,
                "dbInstanceClass": clone.pointer("/spec/databaseSize").and_then(Value::as_str).unwrap_or("db.t3.micro"), "tags": tags(),
            })),
            Self::Cluster => Some(json!({
                "dbClusterIdentifier": identifier(), "engine": "aurora-mysql", "deletionProtection": false, "copyTagsToSnapshot": true, "tags": tags(),
            })),
            Self::Writer => Some(json!({
                "dbInstanceIdentifier": identifier(), "dbClusterIdentifier": identifier(), "dbInstanceClass": "db.serverless",
                "engine": "aurora-mysql", "tags": tags(),
            })),
            Self::Job => {
                json::add_finalizer(&mut object, FOREGROUND);
                Some(json!({"template": {"metadata": {"labels": {"clone-id": clone_id, names::CLONE_UID: uid}}}}))
            }
            _ => None,
        };
        if let Some(spec) = spec {
            json::set(&mut object, &[], "spec", Some(spec));
        }
        object
    }
}

/// The name of the Pod of a Job.
pub(super) fn pod_name(job: &Value) -> String {
    format!("{}-0", json::text(job, "/metadata/name"))
}

/// The Pod that the Job controller makes for a Job.
pub(super) fn pod(job: &Value) -> Value {
    let (namespace, name) = (json::text(job, "/metadata/namespace"), json::text(job, "/metadata/name"));
    json!({
        "metadata": {
            "namespace": namespace, "name": pod_name(job), "labels": job.pointer("/spec/template/metadata/labels"),
            "ownerReferences": [{"kind": "Job", "name": name, "uid": job.pointer("/metadata/uid")}],
        },
        "status": {"phase": "Pending"},
    })
}

/// The id that the names of the children begin with.
pub(super) fn clone_id(clone: &Value) -> &str {
    let id = json::text(clone, "/spec/cloneId");
    if id.is_empty() { json::text(clone, "/metadata/name") } else { id }
}

/// KRO's labels on a child.
fn labels(clone: &Value) -> Value {
    let text = |pointer| json::text(clone, pointer);
    json!({
        "kro.run/owned": "true", "app.kubernetes.io/managed-by": "kro", "clone-id": clone_id(clone),
        names::KRO_INSTANCE_ID: text("/metadata/uid"), names::KRO_INSTANCE_NAME: text("/metadata/name"),
        names::KRO_INSTANCE_NAMESPACE: text("/metadata/namespace"), names::KRO_INSTANCE_GROUP: names::CLONE_GROUP,
        "kro.run/instance-version": "v1alpha1", names::KRO_INSTANCE_KIND: names::CLONE_KIND,
    })
}
