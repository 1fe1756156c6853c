//! What KRO makes of a clone: the objects of its graph, in the order in which they are made, with the labels that prove whose
//! they are.

use super::json;
use crate::model::{Kind, names};
use serde_json::{Value, json};

/// A finalizer that makes KRO's plain DELETE of a Job take its Pods along.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// ACK's finalizer on its database objects.
pub(super) const ACK: &str = "finalizers.rds.services.k8s.aws/DBInstance";

/// One node of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Database,
    ConfigDedicated,
    ConfigShared,
    Job,
    Service,
    Ingress,
}

impl Node {
    /// In the order in which KRO makes them; it takes them down from the last to the first.
    pub(super) const ALL: [Self; 6] = [Self::Database, Self::ConfigDedicated, Self::ConfigShared, Self::Job, Self::Service, Self::Ingress];

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Database => Kind::DbInstance,
            Self::ConfigDedicated | Self::ConfigShared => Kind::ConfigMap,
            Self::Job => Kind::Job,
            Self::Service => Kind::Service,
            Self::Ingress => Kind::Ingress,
        }
    }

    /// Whether a clone with or without a database of its own has it.
    pub(super) fn wanted(self, dedicated: bool) -> bool {
        match self {
            Self::Database | Self::ConfigDedicated => dedicated,
            Self::ConfigShared => !dedicated,
            Self::Job | Self::Service | Self::Ingress => true,
        }
    }

    pub(super) fn name(self, clone_id: &str) -> String {
        let suffix = match self {
            Self::Database => "db",
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
        let spec = match self {
            Self::Database => {
                json::add_finalizer(&mut object, ACK);
                Some(json!({
                    "dbInstanceIdentifier": names::database_identifier(clone_id, uid),
                    "dbInstanceClass": clone.pointer("/spec/databaseSize").and_then(Value::as_str).unwrap_or("db.t3.micro"),
                    "engine": "mysql",
                    "tags": [
                        {"key": names::TAG_CLONE_ID, "value": clone_id}, {"key": names::TAG_CLONE_UID, "value": uid},
                        {"key": names::TAG_NAMESPACE, "value": namespace}, {"key": names::TAG_CLUSTER, "value": cluster},
                    ],
                }))
            }
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
