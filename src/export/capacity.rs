//! How much room there is and how much of it is used: quotas, nodes, what clones ask of them, autoscalers.
//!
//! Contract: series for each namespace with series of its own and each resource that this file names, for the two kinds of capacity,
//! and none that grows with nodes or clones. What is not known has no series, so that nothing that is missing looks like zero.

use super::{
    figures::number,
    metrics::{Families, Series},
    registry::Metrics,
};
use crate::{
    model::{Kind, Quantity, Snapshot, Source, autoscaler::Autoscaler},
    policy::{Governing, Policies},
};
use std::collections::{BTreeMap, HashSet};

/// What of a quota is said: whoever writes one may name whatever they like.
const RESOURCES: [&str; 7] =
    ["limits.cpu", "limits.ephemeral-storage", "limits.memory", "pods", "requests.cpu", "requests.ephemeral-storage", "requests.memory"];
/// Namespaces with autoscalers that are said at most.
const NAMESPACES: usize = 200;

/// Everything that is said of room in a snapshot.
#[derive(Default)]
pub(super) struct CapacityFigures<'a> {
    quota_allowed: Series<'a, 2>,
    quota_used: Series<'a, 2>,
    nodes: Series<'a, 1>,
    allocatable: Series<'a, 2>,
    requested: Series<'a, 1>,
}

impl<'a> CapacityFigures<'a> {
    /// `own` tells whether a namespace has series of its own.
    pub(super) fn of(snapshot: &'a Snapshot, own: &dyn Fn(&str) -> bool) -> Self {
        let mut figures = Self::default();
        for quota in snapshot.quotas.iter().filter(|quota| quota.kind == Kind::ResourceQuota && own(quota.meta.namespace())) {
            let namespace = quota.meta.namespace();
            let amounts = |of: &BTreeMap<String, String>| RESOURCES.map(|resource| Some((resource, Quantity::parse(of.get(resource)?)?.number())));
            for (resource, amount) in amounts(&quota.values).into_iter().flatten() {
                figures.quota_allowed.insert([namespace, resource], amount);
            }
            for (resource, amount) in amounts(&quota.used).into_iter().flatten() {
                figures.quota_used.insert([namespace, resource], amount);
            }
        }
        if known(snapshot, Kind::Node) || !snapshot.nodes.is_empty() {
            figures.nodes(snapshot);
        }
        if known(snapshot, Kind::Pod) {
            figures.pods(snapshot);
        }
        figures
    }

    fn nodes(&mut self, snapshot: &Snapshot) {
        for capacity in ["spot", "on_demand"] {
            let of = || snapshot.nodes.iter().filter(|node| node.spot == (capacity == "spot"));
            self.nodes.insert([capacity], number(of().count()));
            self.allocatable.insert([capacity, "cpu"], sum(of().map(|node| node.cpu)));
            self.allocatable.insert([capacity, "memory"], sum(of().map(|node| node.memory)));
            self.allocatable.insert([capacity, "pods"], sum(of().map(|node| node.pods)));
        }
    }

    fn pods(&mut self, snapshot: &Snapshot) {
        let asked = || snapshot.children.iter().filter_map(|child| child.requests.as_deref());
        self.requested.insert(["cpu"], sum(asked().map(|one| one.cpu)));
        self.requested.insert(["memory"], sum(asked().map(|one| one.memory)));
        self.requested.insert(["pods"], number(asked().count()));
    }

    /// Replaces what was said of the plan before.
    pub(super) fn set(&self, families: &Families) {
        families.quota_allowed.replace(&self.quota_allowed);
        families.quota_used.replace(&self.quota_used);
        families.nodes.replace(&self.nodes);
        families.nodes_allocatable.replace(&self.allocatable);
        families.clones_requested.replace(&self.requested);
    }
}

fn sum(all: impl Iterator<Item = Quantity>) -> f64 {
    all.fold(Quantity::default(), Quantity::and).number()
}

fn known(snapshot: &Snapshot, kind: Kind) -> bool {
    snapshot.evidence.get(&Source::Objects(kind)).is_some_and(|evidence| evidence.complete)
}

impl Metrics {
    /// The autoscalers of the cluster as they were last listed; only those in governed namespaces are said.
    pub fn autoscalers(&self, all: &[Autoscaler], policies: &Policies, namespaces: &BTreeMap<String, BTreeMap<String, String>>) {
        let (mut count, mut replicas) = (Series::new(), Series::new());
        let governed = |name: &str| matches!(policies.governing(name, namespaces.get(name)), Governing::Policy(_));
        let names: HashSet<&str> = all.iter().map(|one| one.namespace.as_str()).collect();
        let mut names: Vec<&str> = names.into_iter().filter(|name| governed(name)).collect();
        names.sort_unstable();
        names.truncate(NAMESPACES);
        for one in all {
            let Ok(place) = names.binary_search(&one.namespace.as_str()) else { continue };
            let Some(namespace) = names.get(place) else { continue };
            *count.entry([*namespace]).or_default() += 1.0;
            for (which, many) in [("current", one.current), ("desired", one.desired), ("most", one.most)] {
                *replicas.entry([*namespace, which]).or_default() += f64::from(many);
            }
        }
        self.families.autoscalers.replace(&count);
        self.families.autoscaler_replicas.replace(&replicas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        export::tests::{Hands, at, policies, policy},
        model::{Child, Evidence, Node, Quota},
        policy::{Mode, Namespaces},
        ports::Clock,
    };
    use serde_json::json;
    use std::sync::{Arc, Mutex};
    use tokio::sync::watch;

    fn meta(namespace: &str, name: &str) -> serde_json::Value {
        json!({"namespace": namespace, "name": name, "uid": name, "creationTimestamp": at(0), "labels": {"clonewarden.io/clone-uid": "u"}})
    }

    #[test]
    fn quotas_nodes_and_what_clones_ask_for_are_added_up() {
        let hard = json!({"requests.cpu": "16", "requests.memory": "32Gi", "pods": 100, "count/secrets": "7", "hunter2": "1"});
        let used = json!({"requests.cpu": "1500m", "pods": "6", "hunter2": "1"});
        let quota = |namespace: &str| {
            let object = json!({"metadata": meta(namespace, "clonewarden"), "spec": {"hard": hard}, "status": {"used": used}});
            Arc::new(Quota::read(Kind::ResourceQuota, &object).unwrap().unwrap())
        };
        let node = |name: &str, labels: serde_json::Value| {
            let mut object = json!({"metadata": meta("", name), "status": {"allocatable": {"cpu": "1930m", "memory": "7Gi", "pods": "35"}}});
            object["metadata"]["labels"] = labels;
            Arc::new(Node::read(&object).unwrap())
        };
        let pod = |phase: &str| {
            let container = json!({"resources": {"requests": {"cpu": "250m", "memory": "512Mi"}}});
            let object = json!({"metadata": meta("a", phase), "spec": {"containers": [container]}, "status": {"phase": phase}});
            Arc::new(Child::read(Kind::Pod, &object).unwrap().unwrap())
        };
        let mut snapshot = Snapshot {
            quotas: vec![quota("a"), quota("merged")],
            nodes: vec![node("one", json!({"karpenter.sh/capacity-type": "spot"})), node("two", json!({})), node("three", json!({}))],
            children: vec![pod("Running"), pod("Pending"), pod("Failed")],
            ..Snapshot::default()
        };
        snapshot.evidence.insert(Source::Objects(Kind::Pod), Evidence::complete(at(0)));
        let figures = CapacityFigures::of(&snapshot, &|namespace| namespace == "a");
        let allowed = [(["a", "requests.cpu"], 16.0), (["a", "requests.memory"], 34_359_738_368.0), (["a", "pods"], 100.0)];
        assert_eq!(figures.quota_allowed, allowed.into());
        assert_eq!(figures.quota_used, [(["a", "requests.cpu"], 1.5), (["a", "pods"], 6.0)].into());
        assert_eq!(figures.nodes, [(["spot"], 1.0), (["on_demand"], 2.0)].into());
        assert_eq!(figures.allocatable.get(&["on_demand", "cpu"]), Some(&3.86));
        assert_eq!(figures.allocatable.get(&["spot", "pods"]), Some(&35.0));
        assert_eq!(figures.requested, [(["cpu"], 0.5), (["memory"], 1_073_741_824.0), (["pods"], 2.0)].into());
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let nothing = Snapshot::default();
        let figures = CapacityFigures::of(&nothing, &|_| true);
        assert!(figures.nodes.is_empty() && figures.allocatable.is_empty() && figures.requested.is_empty());
    }

    #[test]
    fn autoscalers_are_said_of_governed_namespaces_and_go_when_they_are_gone() {
        let clock: Arc<dyn Clock> = Arc::new(Hands(Mutex::new(at(0))));
        let set = policies(vec![policy("staging", Mode::Audit, Namespaces::Names(vec!["a".into()]))]);
        let (_sender, receiver) = watch::channel(Arc::new(set.clone()));
        let metrics = Metrics::new(clock, receiver, 0).unwrap();
        let one = |namespace: &str| Autoscaler { namespace: namespace.to_owned(), current: 1, desired: 2, most: 5 };
        metrics.autoscalers(&[one("a"), one("b"), one("a")], &set, &BTreeMap::new());
        let text = metrics.render().unwrap();
        for line in ["clonewarden_autoscalers{namespace=\"a\"} 2", "clonewarden_autoscaler_replicas{namespace=\"a\",which=\"most\"} 10"] {
            assert!(text.lines().any(|said| said == line), "{line}: {text}");
        }
        assert!(!text.contains("namespace=\"b\""), "{text}");
        metrics.autoscalers(&[], &set, &BTreeMap::new());
        assert!(!metrics.render().unwrap().contains("clonewarden_autoscaler"));
    }
}
