//! How much of a namespace's limits is taken.
//!
//! Contract: pure, and counted as admission counts it (`plan/admit/census.rs`): whatever exists takes up its place, also while it is being
//! deleted, and so does a database that a clone has left. Only places that are promised to clones nobody has seen yet are missing:
//! they last for seconds, and are known to the holder of the lease alone.

use super::{Kind, Snapshot};
use std::collections::{HashMap, HashSet};

/// What is taken in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occupancy<'a> {
    /// Clones, those that cannot be read and those that are being deleted included.
    pub clones: usize,
    /// Databases that clones have for themselves, and those that clones which are gone have left.
    pub dedicated: usize,
    owners: HashMap<&'a str, usize>,
}

impl<'a> Occupancy<'a> {
    /// That of each namespace in which there is anything.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> HashMap<&'a str, Self> {
        let mut all: HashMap<&str, Self> = HashMap::new();
        // As admission does, in each namespace by itself.
        let mut living: HashSet<(&str, &str)> = HashSet::new();
        for clone in &snapshot.clones {
            let here = all.entry(clone.meta.namespace()).or_default();
            here.clones = here.clones.saturating_add(1);
            if clone.database.is_dedicated() {
                here.dedicated = here.dedicated.saturating_add(1);
                living.insert((clone.meta.namespace(), &clone.meta.uid));
            }
            if let Some(owner) = clone.owner.as_deref() {
                let theirs = here.owners.entry(owner).or_default();
                *theirs = theirs.saturating_add(1);
            }
        }
        for clone in snapshot.unreadable.iter().filter(|object| object.kind == Kind::Clone) {
            let here = all.entry(&clone.namespace).or_default();
            here.clones = here.clones.saturating_add(1);
        }
        let databases = snapshot.children.iter().filter(|child| matches!(child.kind, Kind::DbInstance | Kind::DbCluster));
        for database in databases {
            // A cluster and its member are one database.
            if database.owner.as_ref().is_some_and(|owner| living.insert((database.meta.namespace(), &owner.uid))) {
                let here = all.entry(database.meta.namespace()).or_default();
                here.dedicated = here.dedicated.saturating_add(1);
            }
        }
        all
    }

    /// Clones of the owner who has the most of them.
    #[must_use]
    pub fn of_one_owner(&self) -> usize {
        self.owners.values().copied().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Child, Unreadable, WordPressClone};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn clone(name: &str, owner: &str, more: &Value, dedicated: bool) -> Arc<WordPressClone> {
        let mut object = json!({
            "metadata": {
                "namespace": "a", "name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": "2026-02-05T14:00:00Z",
                "annotations": {"clonewarden.io/owner": owner},
            },
            "spec": {"useDedicatedDatabase": dedicated},
        });
        if let (Some(metadata), Some(more)) = (object["metadata"].as_object_mut(), more.as_object()) {
            metadata.extend(more.clone());
        }
        Arc::new(WordPressClone::read(&object).unwrap())
    }

    fn database(kind: Kind, of: &str) -> Arc<Child> {
        let object = json!({
            "metadata": {
                "namespace": "a", "name": format!("{of}-db"), "uid": format!("{of}-{kind:?}"), "resourceVersion": "1",
                "creationTimestamp": "2026-02-05T14:00:00Z",
                "labels": {"kro.run/instance-name": of, "kro.run/instance-id": of, "kro.run/instance-kind": "WordPressClone", "kro.run/instance-namespace": "a"},
            },
        });
        Arc::new(Child::read(kind, &object).unwrap().unwrap())
    }

    #[test]
    fn whatever_exists_takes_up_its_place() {
        let terminating = json!({"deletionTimestamp": "2026-02-05T15:00:00Z", "finalizers": ["kro.run/finalizer"]});
        let unreadable = Unreadable { kind: Kind::Clone, namespace: "a".into(), name: "x".into(), uid: None, problem: String::new() };
        let snapshot = Snapshot {
            clones: vec![
                clone("lives", "ann", &json!({}), true),
                clone("ends", "ann", &terminating, false),
                clone("other", "bob", &json!({}), false),
            ],
            unreadable: vec![unreadable],
            // One of a clone that lives; a cluster and its member that a clone has left.
            children: vec![database(Kind::DbInstance, "lives"), database(Kind::DbInstance, "gone"), database(Kind::DbCluster, "gone")],
            ..Snapshot::default()
        };
        let taken = Occupancy::of(&snapshot);
        let here = &taken["a"];
        assert_eq!((here.clones, here.dedicated, here.of_one_owner()), (4, 2, 2));
        assert_eq!(taken.len(), 1);
    }
}
