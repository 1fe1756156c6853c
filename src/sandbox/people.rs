//! What people do: create clones, keep them, extend them, change their minds, and break things.

use super::{
    history::{Actor, Issue},
    json,
    world::{Key, World},
};
use crate::{
    model::{Kind, names},
    ports::ApiError,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

impl World {
    fn person(&self) -> Issue {
        self.issue(Actor::Person)
    }

    /// Makes a namespace with these labels.
    ///
    /// # Errors
    /// Where there is one of that name.
    pub fn create_namespace(&mut self, name: &str, labels: &BTreeMap<String, String>) -> Result<Arc<Value>, ApiError> {
        let object = json!({"metadata": {"name": name, "labels": labels}});
        self.create(&self.person(), Kind::Namespace, object)
    }

    /// Applies KRO's definition of what a clone is. `cluster` is the literal that it writes into the tag of databases.
    ///
    /// # Errors
    /// Where it is there already.
    pub fn create_definition(&mut self, name: &str, cluster: &str) -> Result<Arc<Value>, ApiError> {
        let tags = json!([{"key": names::TAG_CLONE_UID, "value": "${schema.metadata.uid}"}, {"key": names::TAG_CLUSTER, "value": cluster}]);
        let database = json!({"id": "rdsDatabase", "template": {"kind": "DBInstance", "spec": {"tags": tags}}});
        let object = json!({
            "metadata": {"name": name},
            "spec": {"schema": {"apiVersion": "v1alpha1", "kind": names::CLONE_KIND}, "resources": [database]},
            "status": {"state": "Active", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        self.create(&self.person(), Kind::Definition, object)
    }

    /// Makes a clone. `cloneId` is its name unless `spec` says otherwise.
    ///
    /// # Errors
    /// Where the name is taken, or the CRD is gone.
    pub fn create_clone(&mut self, namespace: &str, name: &str, spec: Value, annotations: &BTreeMap<String, String>) -> Result<Arc<Value>, ApiError> {
        let mut object = json!({"metadata": {"namespace": namespace, "name": name, "annotations": annotations}, "spec": spec});
        if object.pointer("/spec").is_some_and(Value::is_object) && object.pointer("/spec/cloneId").is_none() {
            json::set(&mut object, &["spec"], "cloneId", Some(name.into()));
        }
        self.create(&self.person(), Kind::Clone, object)
    }

    /// Sets an annotation of a clone, or takes it away.
    ///
    /// # Errors
    /// Where there is no such clone.
    pub fn annotate_clone(&mut self, clone: &Key, key: &str, value: Option<&str>) -> Result<(), ApiError> {
        self.edit_clone(clone, |object| json::set(object, &["metadata", "annotations"], key, value.map(Into::into)))
    }

    /// Sets a field of a clone's spec, or takes it away.
    ///
    /// # Errors
    /// Where there is no such clone.
    pub fn set_spec(&mut self, clone: &Key, field: &str, value: Option<Value>) -> Result<(), ApiError> {
        self.edit_clone(clone, |object| json::set(object, &["spec"], field, value))
    }

    /// Changes a clone in any way.
    ///
    /// # Errors
    /// Where there is no such clone.
    pub fn edit_clone(&mut self, clone: &Key, edit: impl FnOnce(&mut Value)) -> Result<(), ApiError> {
        self.change(&self.person(), Kind::Clone, (&clone.0, &clone.1), None, edit)
    }

    /// Deletes an object, without preconditions, as `kubectl delete` does.
    ///
    /// # Errors
    /// Where there is none.
    pub fn remove(&mut self, kind: Kind, object: &Key) -> Result<(), ApiError> {
        self.delete(&self.person(), kind, (&object.0, &object.1), None)
    }

    /// Takes every finalizer off an object, as people do with one that hangs. What it held back stays behind.
    ///
    /// # Errors
    /// Where there is none.
    pub fn strip_finalizers(&mut self, kind: Kind, object: &Key) -> Result<(), ApiError> {
        self.change(&self.person(), kind, (&object.0, &object.1), None, |object| json::set(object, &["metadata"], "finalizers", None))
    }
}
